//! Who was put out a moment ago and may not come back yet. Pure.

use std::collections::HashMap;
use std::time::Duration;

use common::clock::Timestamp;
use common::id::Subject;
use common::proto::limits::{KICK_LASTS, MAX_KICKED};
use common::proto::policy::{Holder, Role};
use common::proto::status::{Code, Refusal};

/// Who was kicked, and until when each is refused.
#[derive(Debug, Default)]
pub struct Kicked {
    until: HashMap<Subject, Timestamp>,
}

impl Kicked {
    /// Somebody is refused from now on. Of too many, whoever was kicked first is let in again.
    pub fn add(&mut self, subject: Subject, now: Timestamp) {
        self.sweep(now);
        if self.until.len() >= MAX_KICKED && !self.until.contains_key(&subject) {
            let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(subject, _)| *subject);
            if let Some(first) = first {
                self.until.remove(&first);
            }
        }
        self.until.insert(subject, now.plus(KICK_LASTS));
    }

    /// Lets go those whose time is over.
    pub fn sweep(&mut self, now: Timestamp) {
        // A clock that was put back does not make it longer.
        self.until.retain(|_, until| *until > now && *until <= now.plus(KICK_LASTS));
    }

    /// Whether somebody may come in.
    ///
    /// # Errors
    /// `kicked`, and for how long.
    pub fn check(&self, who: Holder, role: Role, now: Timestamp) -> Result<(), Refusal> {
        match self.left(who, role, now) {
            None => Ok(()),
            Some(left) => {
                let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                Err(Refusal { retry_after_ms: Some(millis), ..Code::Kicked.into() })
            }
        }
    }

    fn left(&self, who: Holder, role: Role, now: Timestamp) -> Option<Duration> {
        let by_key = Some(Subject::Guest(who.key)).filter(|_| matches!(role, Role::Registered | Role::Guest));
        let until = [Some(who.subject), by_key].into_iter().flatten();
        let until = until.filter_map(|subject| self.until.get(&subject)).max()?;
        Some(until.since(now)).filter(|left| !left.is_zero() && role != Role::Owner)
    }
}

#[cfg(test)]
mod tests {
    use common::identity::PeerKey;

    use super::*;

    fn key(n: u32) -> PeerKey {
        PeerKey::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes())
    }

    fn guest(n: u32) -> Holder {
        Holder { subject: Subject::Guest(key(n)), key: key(n) }
    }

    #[test]
    fn who_was_kicked_is_refused_for_a_minute() {
        let (mut kicked, now) = (Kicked::default(), Timestamp::from_millis(1_000_000));
        let code = |kicked: &Kicked, at: Timestamp, role| {
            kicked.check(guest(1), role, at).map_err(|refusal| (refusal.code, refusal.retry_after_ms))
        };
        kicked.add(guest(1).subject, now);
        assert_eq!(code(&kicked, now, Role::Guest), Err((Code::Kicked, Some(60_000))));
        let later = now.plus(Duration::from_millis(59_999));
        assert_eq!(code(&kicked, later, Role::Guest), Err((Code::Kicked, Some(1))));
        assert_eq!(code(&kicked, now.plus(KICK_LASTS), Role::Guest), Ok(()));
        assert_eq!(code(&kicked, now, Role::Owner), Ok(()), "nobody puts the owner out");
        assert!(kicked.check(guest(2), Role::Guest, now).is_ok());
        // An account that the key has entered since.
        let account = Holder { subject: Subject::Account(common::id::AccountId::new()), key: key(1) };
        assert!(kicked.check(account, Role::Registered, now).is_err());
        assert!(kicked.check(account, Role::Moderator, now).is_ok());
        kicked.sweep(Timestamp::from_millis(1));
        assert!(kicked.until.is_empty(), "a clock that was put back does not keep anybody out");
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (mut kicked, now) = (Kicked::default(), Timestamp::from_millis(1_000_000));
        let most = u32::try_from(MAX_KICKED).unwrap();
        for n in 0..most {
            kicked.add(guest(n).subject, now.plus(Duration::from_millis(n.into())));
        }
        let later = now.plus(Duration::from_secs(10));
        let is_out = |kicked: &Kicked, n: u32| kicked.check(guest(n), Role::Guest, later).is_err();
        kicked.add(guest(0).subject, later);
        assert!((0..most).all(|n| is_out(&kicked, n)), "who was kicked again takes nobody's place");
        kicked.add(guest(most).subject, later);
        assert!(is_out(&kicked, most), "the newest is refused, however many there are");
        assert!(
            is_out(&kicked, 0) && !is_out(&kicked, 1) && is_out(&kicked, 2),
            "the first of them is let in"
        );
        assert_eq!(kicked.until.len(), MAX_KICKED);
    }
}
