//! How many may connect: in all, and from one place, so that nobody takes up all there is alone. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::proto::limits::{
    MAX_CONNECTIONS, MAX_CONNECTIONS_OF_ORIGIN, MAX_HANDSHAKES, MAX_HANDSHAKES_OF_ORIGIN,
};
use crate::transport::Origin;

/// How many bits of an IPv6 address one customer has at least: what is longer is not told apart.
const ORIGIN_BITS: u8 = 64;

/// How many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served in all.
    pub connections: usize,
    /// Connections served of one origin.
    pub connections_of_origin: usize,
    /// Handshakes under way in all. Who comes beyond waits.
    pub handshakes: usize,
    /// Handshakes under way of one origin.
    pub handshakes_of_origin: usize,
    /// Whether this machine's own programs are one origin like others. By default they are not counted: they are
    /// whoever runs this one, and many at once on one address.
    pub counts_loopback: bool,
    /// Networks that are not counted either, since many who are known come from one address there.
    pub trusted: Vec<IpNet>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            connections_of_origin: MAX_CONNECTIONS_OF_ORIGIN,
            handshakes: MAX_HANDSHAKES,
            handshakes_of_origin: MAX_HANDSHAKES_OF_ORIGIN,
            counts_loopback: false,
            trusted: Vec::new(),
        }
    }
}

impl Limits {
    /// Whether nothing is counted of what comes from there: neither connections nor what is done over them.
    pub fn is_exempt(&self, origin: Origin) -> bool {
        match origin {
            Origin::Network(ip) if ip.is_loopback() => !self.counts_loopback,
            Origin::Network(ip) => self.trusted.iter().any(|network| network.contains(&ip)),
            Origin::InProcess => true,
        }
    }
}

/// Reads a network whose members are trusted, such as `192.0.2.0/24`, or a single address.
///
/// # Errors
/// A sentence that says what is expected.
pub fn parse_trusted(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from).map_err(drop));
    match network {
        Ok(IpNet::V6(network)) if network.prefix_len() > ORIGIN_BITS => Err(format!(
            "networks of IPv6 are told apart by their first {ORIGIN_BITS} bits: give {}/{ORIGIN_BITS}",
            network.network()
        )),
        Ok(network) => Ok(network),
        Err(()) => Err("a network is written as 192.0.2.0/24, 2001:db8::/48, or as an address".to_owned()),
    }
}

/// What somebody takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has connected and does TLS.
    Handshake,
    /// It is served.
    Served,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many are there as may be.
    InAll,
    /// As many are there from the same origin as may be.
    OfOrigin,
}

#[derive(Debug, Default)]
struct Counts {
    handshakes: usize,
    served: usize,
}

impl Counts {
    const fn of(&mut self, stage: Stage) -> &mut usize {
        match stage {
            Stage::Handshake => &mut self.handshakes,
            Stage::Served => &mut self.served,
        }
    }

    const fn is_zero(&self) -> bool {
        self.handshakes == 0 && self.served == 0
    }
}

/// Those who are there.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    all: Counts,
    /// Only origins of which somebody is there: as many as connections and handshakes at most.
    origins: HashMap<Origin, Counts>,
}

impl Admission {
    /// Nobody is there.
    pub fn new(limits: Limits) -> Self {
        Self { limits, all: Counts::default(), origins: HashMap::new() }
    }

    /// Somebody begins a stage, and has to [leave](Self::leave) it in the end.
    ///
    /// # Errors
    /// When there is no room; nothing is counted then.
    pub fn enter(&mut self, origin: Origin, stage: Stage) -> Result<(), Full> {
        let (in_all, of_origin) = match stage {
            Stage::Handshake => (self.limits.handshakes, self.limits.handshakes_of_origin),
            Stage::Served => (self.limits.connections, self.limits.connections_of_origin),
        };
        if *self.all.of(stage) >= in_all {
            return Err(Full::InAll);
        }
        if !self.limits.is_exempt(origin) {
            let found = self.origins.get_mut(&origin).map_or(0, |counts| *counts.of(stage));
            if found >= of_origin {
                return Err(Full::OfOrigin);
            }
            *self.origins.entry(origin).or_default().of(stage) += 1;
        }
        *self.all.of(stage) += 1;
        Ok(())
    }

    /// Somebody is no longer in a stage that it had entered.
    pub fn leave(&mut self, origin: Origin, stage: Stage) {
        let all = self.all.of(stage);
        *all = all.saturating_sub(1);
        if let Some(counts) = self.origins.get_mut(&origin) {
            let found = counts.of(stage);
            *found = found.saturating_sub(1);
            if counts.is_zero() {
                self.origins.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    fn limits() -> Limits {
        Limits {
            connections: 6,
            connections_of_origin: 3,
            handshakes: 4,
            handshakes_of_origin: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn one_address_cannot_take_up_what_others_need() {
        let mut admission = Admission::new(limits());
        let (greedy, other) = (origin("192.0.2.1"), origin("192.0.2.2"));
        for stage in [Stage::Handshake, Stage::Served] {
            let entered =
                std::iter::repeat_with(|| admission.enter(greedy, stage)).take_while(Result::is_ok).count();
            assert_eq!(entered, if stage == Stage::Served { 3 } else { 2 });
            assert_eq!(admission.enter(greedy, stage), Err(Full::OfOrigin));
            assert_eq!(admission.enter(other, stage), Ok(()));
        }
        admission.leave(greedy, Stage::Handshake);
        assert_eq!(admission.enter(greedy, Stage::Handshake), Ok(()));
    }

    #[test]
    fn a_whole_network_of_one_customer_is_one_origin_and_this_machine_is_none() {
        let mut admission = Admission::new(Limits { connections_of_origin: 1, ..limits() });
        assert_eq!(admission.enter(origin("2001:db8::1"), Stage::Served), Ok(()));
        assert_eq!(admission.enter(origin("2001:db8::2"), Stage::Served), Err(Full::OfOrigin));
        for local in [origin("127.0.0.1"), origin("::1"), origin("::ffff:127.0.0.1"), Origin::InProcess] {
            assert_eq!(admission.enter(local, Stage::Served), Ok(()), "{local}");
        }
        assert_eq!(admission.enter(origin("192.0.2.1"), Stage::Served), Ok(()));
        assert_eq!(admission.enter(Origin::InProcess, Stage::Served), Err(Full::InAll));
    }

    #[test]
    fn trusted_networks_are_not_counted() {
        let trusted =
            ["192.0.2.0/24", "2001:db8:1::/48", "198.51.100.7"].map(|text| parse_trusted(text).unwrap());
        let limits =
            Limits { trusted: trusted.to_vec(), connections_of_origin: 1, connections: 100, ..limits() };
        for (address, exempt) in [
            ("192.0.2.9", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.3.9", false),
            ("2001:db8:1:7::9", true),
            ("2001:db8:2::9", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("127.0.0.1", true),
            ("::1", true),
        ] {
            assert_eq!(limits.is_exempt(origin(address)), exempt, "{address}");
            let mut admission = Admission::new(limits.clone());
            assert_eq!(admission.enter(origin(address), Stage::Served), Ok(()));
            assert_eq!(admission.enter(origin(address), Stage::Served).is_ok(), exempt, "{address}");
        }
        let strict = Limits { counts_loopback: true, ..limits };
        assert!(!strict.is_exempt(origin("127.0.0.1")) && strict.is_exempt(Origin::InProcess));
        for bad in ["", "everybody", "192.0.2.0/33", "2001:db8::/65", "2001:db8::1", "192.0.2.0-9"] {
            assert!(parse_trusted(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bound_is_passed_and_nothing_is_left_behind(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0..5_u8), 0..200),
        ) {
            let (mut admission, mut inside) = (Admission::new(limits()), Vec::new());
            for (enters, is_served, n) in steps {
                let stage = if is_served { Stage::Served } else { Stage::Handshake };
                let origin = origin(&format!("192.0.2.{n}"));
                if enters {
                    if admission.enter(origin, stage).is_ok() {
                        inside.push((origin, stage));
                    }
                } else if let Some(place) = inside.iter().position(|inside| *inside == (origin, stage)) {
                    inside.swap_remove(place);
                    admission.leave(origin, stage);
                }
                let count = |of: &dyn Fn(&(Origin, Stage)) -> bool| inside.iter().filter(|one| of(one)).count();
                prop_assert!(count(&|(_, stage)| *stage == Stage::Served) <= 6);
                prop_assert!(count(&|(_, stage)| *stage == Stage::Handshake) <= 4);
                prop_assert!(count(&|one| *one == (origin, Stage::Served)) <= 3);
                prop_assert!(count(&|one| *one == (origin, Stage::Handshake)) <= 2);
            }
            for (origin, stage) in inside {
                admission.leave(origin, stage);
            }
            prop_assert!(admission.origins.is_empty() && admission.all.is_zero());
        }
    }
}
