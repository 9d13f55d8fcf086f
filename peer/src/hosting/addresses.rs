//! Which addresses a host tells its tracker. Pure, but for the list of interfaces.

use std::net::{IpAddr, SocketAddr};

use common::transport::Address;

/// How many addresses of interfaces are told.
const MAX_INTERFACES: usize = 8;

/// The addresses to announce for a listener, best first, and the port to which the tracker adds the IP that it sees.
pub fn to_announce(listen: SocketAddr, advertise: &[Address]) -> (Vec<Address>, Option<u16>) {
    let own = if listen.ip().is_unspecified() { interfaces(listen) } else { vec![Address::tcp(listen)] };
    let port = (advertise.is_empty() && !listen.ip().is_loopback()).then_some(listen.port());
    (advertise.iter().cloned().chain(own).collect(), port)
}

fn interfaces(listen: SocketAddr) -> Vec<Address> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let usable = interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| is_told(*ip, listen.ip()));
    usable.take(MAX_INTERFACES).map(|ip| Address::tcp(SocketAddr::new(ip, listen.port()))).collect()
}

/// Whether others can be expected to reach a listener on `listen` at this address of an interface.
fn is_told(ip: IpAddr, listen: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !is_link_local && (ip.is_ipv4() || listen.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_one_address_tells_that_one() {
        let listen: SocketAddr = "127.0.0.1:40123".parse().unwrap();
        assert_eq!(to_announce(listen, &[]), (vec![Address::tcp(listen)], None));
        let listen: SocketAddr = "192.0.2.7:40123".parse().unwrap();
        assert_eq!(to_announce(listen, &[]), (vec![Address::tcp(listen)], Some(40123)));
    }

    #[test]
    fn advertised_addresses_stand_in_for_what_the_tracker_sees() {
        let listen: SocketAddr = "192.0.2.7:40123".parse().unwrap();
        let advertised: Address = "tcp:chat.example:40123".parse().unwrap();
        let (addresses, port) = to_announce(listen, std::slice::from_ref(&advertised));
        assert_eq!((addresses.first(), port), (Some(&advertised), None));
    }

    #[test]
    fn only_addresses_that_others_can_reach_are_told() {
        let (any4, any6): (IpAddr, IpAddr) = ("0.0.0.0".parse().unwrap(), "::".parse().unwrap());
        for (ip, listen, told) in [
            ("127.0.0.1", any4, false),
            ("::1", any6, false),
            ("169.254.1.1", any4, false),
            ("fe80::1", any6, false),
            ("192.168.1.5", any4, true),
            ("2001:db8::1", any4, false),
            ("2001:db8::1", any6, true),
        ] {
            assert_eq!(is_told(ip.parse().unwrap(), listen), told, "{ip}");
        }
    }
}
