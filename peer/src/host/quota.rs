//! How many messages of one member a host takes in a while.

use std::sync::Arc;
use std::time::Duration;

use common::admission;
use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::meter::{Meter, Rate};
use common::proto::limits::{CATCH_UP_MESSAGES, MESSAGES, SEARCHES};
use common::proto::session;
use common::transport::Origin;

/// What a peer holds those to who come to it. Its user may change it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections, and who is exempt from all that is counted.
    pub admission: admission::Limits,
    /// Messages of one member of a channel.
    pub messages: Rate,
    /// The same for messages that were written before the member came.
    pub catch_up: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        let admission = admission::Limits::default();
        Self { admission, messages: MESSAGES, catch_up: CATCH_UP_MESSAGES }
    }
}

/// Who is counted: a user in a channel, whatever their devices and connections.
type Sender = (ChannelId, Subject);

/// Counts the messages of all members of a peer's channels. Clones are the same.
#[derive(Clone, Debug)]
pub struct Quotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    messages: Meter<Sender>,
    catch_up: Meter<Sender>,
    searches: Meter<Sender>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Quotas {
    /// Nobody has sent anything.
    pub fn new(limits: Limits) -> Self {
        let (messages, catch_up) = (Meter::new(limits.messages), Meter::new(limits.catch_up));
        Self(Arc::new(Inner { limits, messages, catch_up, searches: Meter::new(SEARCHES) }))
    }

    /// How many may connect.
    pub fn admission(&self) -> &admission::Limits {
        &self.0.limits.admission
    }

    /// The bounds as HELLO tells them to whoever comes from there.
    pub fn advertised(&self, origin: Origin) -> session::Limits {
        let Limits { admission, messages, catch_up } = &self.0.limits;
        if admission.is_exempt(origin) {
            return session::Limits::default();
        }
        session::Limits {
            connections: Some(admission.connections_of_origin),
            messages: Some(*messages),
            catch_up: Some(*catch_up),
            ..session::Limits::default()
        }
    }

    /// What somebody may send who comes from there now.
    pub fn of_member(&self, origin: Origin, channel: ChannelId, who: Subject, now: Timestamp) -> Allowance {
        let counted = (!self.admission().is_exempt(origin)).then(|| (self.clone(), (channel, who)));
        Allowance { counted, came: now }
    }
}

/// What one member may send over one connection.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// Nothing is counted of who is exempt.
    counted: Option<(Quotas, Sender)>,
    came: Timestamp,
}

impl Allowance {
    /// One more message, which says when it was written.
    ///
    /// # Errors
    /// When that is too soon, and nothing was counted: how long to wait.
    pub fn take(&self, written: Option<Timestamp>) -> Result<(), Duration> {
        let Some((Quotas(quotas), sender)) = &self.counted else { return Ok(()) };
        // Whoever lies about the time has what is left of this, once.
        let has_waited = written.is_some_and(|written| written < self.came);
        if has_waited && quotas.catch_up.check(sender).is_ok() {
            return Ok(());
        }
        quotas.messages.check(sender)
    }

    /// One more search.
    ///
    /// # Errors
    /// When that is too soon, and nothing was counted: how long to wait.
    pub fn search(&self) -> Result<(), Duration> {
        self.counted.as_ref().map_or(Ok(()), |(Quotas(quotas), sender)| quotas.searches.check(sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_is_counted_apart_and_nothing_of_who_is_exempt() {
        let limits = Limits { messages: Rate::new(1, 1), catch_up: Rate::new(2, 1), ..Limits::default() };
        let quotas = Quotas::new(limits);
        let (channel, who) = (ChannelId::new(), Subject::Account(common::id::AccountId::new()));
        let far = Origin::of("192.0.2.1".parse().unwrap());
        let came = Timestamp::from_millis(1000);
        let (before, now) = (Some(Timestamp::from_millis(999)), Some(came));
        let member = quotas.of_member(far, channel, who, came);
        let looked = (0..12).filter(|_| quotas.of_member(far, channel, who, came).search().is_ok());
        assert_eq!(looked.count(), 10);
        let taken = [before, before, before, before, now, None].map(|written| member.take(written).is_ok());
        assert_eq!(taken, [true, true, true, false, false, false]);
        // Another connection of the same user has nothing more; another channel and another user do.
        assert!(quotas.of_member(far, channel, who, came).take(now).is_err());
        assert!(quotas.of_member(far, ChannelId::new(), who, came).take(now).is_ok());
        for exempt in ["127.0.0.1", "::1"] {
            let origin = Origin::of(exempt.parse().unwrap());
            let member = quotas.of_member(origin, channel, who, came);
            assert!((0..100).all(|_| member.take(now).is_ok() && member.search().is_ok()), "{exempt}");
            assert_eq!(quotas.advertised(origin), session::Limits::default());
        }
        assert_eq!(quotas.advertised(far).messages, Some(Rate::new(1, 1)));
    }
}
