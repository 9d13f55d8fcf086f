//! Whose passes do not count any more, as the tracker has said it: shared by all hosts of a peer, and kept on disk until
//! the last of these passes is dead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::clock::Timestamp;
use common::identity::PeerKey;
use common::pass::Pass;
use common::proto::device::Revoked;
use common::proto::limits::MAX_REMEMBERED_REVOKED;

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Passes with lower numbers do not count.
    rev: u64,
    until: Timestamp,
}

/// What is revoked. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<PeerKey, Row>,
    latest: u64,
}

impl Revocations {
    // What is known is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tracker has revoked these passes. Those before that are dead by now are forgotten.
    pub fn add(&self, revoked: &Revoked, now: Timestamp) {
        let mut known = self.lock();
        known.latest = known.latest.max(revoked.rev);
        known.make_room(now);
        for key in &revoked.keys {
            let row = known.keys.entry(*key).or_insert(Row { rev: 0, until: now });
            row.rev = row.rev.max(revoked.rev);
            row.until = row.until.max(revoked.until);
        }
    }

    /// Whether a pass does not count any more.
    pub fn holds_against(&self, pass: &Pass) -> bool {
        self.lock().keys.get(&pass.peer_key).is_some_and(|row| pass.serial < row.rev)
    }

    /// The number of the last revocation that is known; 0 for none.
    pub fn latest(&self) -> u64 {
        self.lock().latest
    }
}

impl Known {
    fn make_room(&mut self, now: Timestamp) {
        if self.keys.len() < MAX_REMEMBERED_REVOKED {
            return;
        }
        self.keys.retain(|_, row| now < row.until);
        if self.keys.len() >= MAX_REMEMBERED_REVOKED {
            let mut ends: Vec<Timestamp> = self.keys.values().map(|row| row.until).collect();
            let (_, middle, _) = ends.select_nth_unstable(MAX_REMEMBERED_REVOKED / 16);
            let middle = *middle;
            self.keys.retain(|_, row| row.until > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use common::id::{DirectoryId, IdentityKind, Subject};

    use super::*;

    fn key(n: u32) -> PeerKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        PeerKey::from_bytes(bytes)
    }

    fn pass(n: u32, serial: u64) -> Pass {
        Pass {
            version: 1,
            signing_key: key(0),
            directory: DirectoryId::new(),
            subject: Subject::Guest(key(n)),
            name: "ken".into(),
            kind: IdentityKind::Guest,
            peer_key: key(n),
            serial,
            issued: Timestamp::default(),
            expires: Timestamp::default(),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn only_older_passes_of_the_key_are_hit() {
        let revocations = Revocations::default();
        revocations.add(&Revoked { rev: 7, keys: vec![key(1), key(2)], until: at(100) }, at(1));
        for (n, serial, hit) in [(1, 6, true), (2, 1, true), (1, 8, false), (3, 6, false)] {
            assert_eq!(revocations.holds_against(&pass(n, serial)), hit, "{n} {serial}");
        }
        // What is told late takes nothing back.
        revocations.add(&Revoked { rev: 5, keys: vec![key(1)], until: at(50) }, at(1));
        assert!(revocations.holds_against(&pass(1, 6)));
        assert_eq!(revocations.latest(), 7);
    }

    #[test]
    fn of_too_many_the_dead_ones_go_first() {
        let revocations = Revocations::default();
        let many = u32::try_from(MAX_REMEMBERED_REVOKED).unwrap();
        let keys: Vec<PeerKey> = (1..many).map(key).collect();
        revocations.add(&Revoked { rev: 1, keys, until: at(10) }, at(1));
        revocations.add(&Revoked { rev: 2, keys: vec![key(many)], until: at(100) }, at(1));
        revocations.add(&Revoked { rev: 3, keys: vec![key(many + 1)], until: at(100) }, at(50));
        assert!(!revocations.holds_against(&pass(1, 0)) && revocations.holds_against(&pass(many, 0)));
        assert_eq!(revocations.lock().keys.len(), 2);
    }
}
