//! What is kept of knocks for one user. Pure.

use common::clock::Timestamp;
use common::id::Subject;
use common::identity::PeerKey;
use common::proto::directory::Owner;
use common::proto::knock::Knocked;

use crate::limits::{KNOCK_HOLD, MAX_KNOCKS_PER_USER};
use crate::store::schema::{KnockRow, KnocksRow};

/// What became of a knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It waits for an answer.
    Waiting(Knocked),
    /// It was turned down before, by this user.
    Rejected(Owner),
}

impl KnockRow {
    /// Whether it has waited for too long.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now >= self.at.plus(KNOCK_HOLD)
    }

    /// As its user is told of it.
    pub fn told(self) -> Knocked {
        Knocked { from: self.from, key: self.key, at: self.at }
    }

    fn is_of(&self, subject: Subject, key: PeerKey) -> bool {
        self.from.subject == subject && self.key == key
    }
}

impl KnocksRow {
    /// Takes a knock in. One of the same device that is there already stays as it is: repeating it makes it neither
    /// younger nor undoes that it was turned down. Of too many the oldest goes.
    pub fn add(&mut self, knock: KnockRow, now: Timestamp) -> Kept {
        self.drop_stale(now);
        let known = self.rows.iter_mut().find(|row| row.is_of(knock.from.subject, knock.key));
        if let Some(known) = known {
            known.from = knock.from;
            return match &known.rejected_by {
                Some(by) => Kept::Rejected(by.clone()),
                None => Kept::Waiting(known.clone().told()),
            };
        }
        if self.rows.len() >= MAX_KNOCKS_PER_USER {
            self.rows.remove(0);
        }
        self.rows.push(knock.clone());
        Kept::Waiting(knock.told())
    }

    /// Which of these devices of somebody have knocked and wait; when they are turned down, that is noted.
    pub fn answer(
        &mut self,
        from: Subject,
        keys: &[PeerKey],
        rejected_by: Option<Owner>,
        now: Timestamp,
    ) -> Vec<PeerKey> {
        let mut knocked = Vec::new();
        for row in &mut self.rows {
            if row.from.subject == from && keys.contains(&row.key) && !row.is_stale(now) {
                knocked.push(row.key);
                row.rejected_by.clone_from(&rejected_by);
            }
        }
        knocked
    }

    /// Lets go of the knock of a device. Whether there was one.
    pub fn forget(&mut self, from: Subject, key: PeerKey) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| !row.is_of(from, key));
        self.rows.len() < before
    }

    /// Lets go of what has waited for too long.
    pub fn drop_stale(&mut self, now: Timestamp) {
        self.rows.retain(|row| !row.is_stale(now));
    }

    /// Whether there is something to let go of.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| row.is_stale(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::testing::guest;
    use super::*;

    fn knock(number: u8, at: u64) -> KnockRow {
        let from = guest(number);
        KnockRow { from: from.owner(), key: from.key, at: Timestamp::from_millis(at), rejected_by: None }
    }

    fn add(knocks: &mut KnocksRow, number: u8, at: u64) -> Kept {
        knocks.add(knock(number, at), Timestamp::from_millis(at))
    }

    #[test]
    fn a_repeated_knock_is_one_knock_as_old_as_the_first() {
        let mut knocks = KnocksRow::default();
        let first = add(&mut knocks, 1, 10);
        assert_eq!(first, Kept::Waiting(knock(1, 10).told()));
        assert_eq!(add(&mut knocks, 1, 20), first);
        assert_eq!(knocks.rows.len(), 1);
    }

    #[test]
    fn what_was_turned_down_stays_so_until_it_is_forgotten() {
        let mut knocks = KnocksRow::default();
        add(&mut knocks, 1, 10);
        add(&mut knocks, 2, 10);
        let (who, by, now) = (guest(1), guest(9).owner(), Timestamp::from_millis(20));
        assert_eq!(knocks.answer(who.subject, &[who.key], Some(by.clone()), now), [who.key]);
        assert_eq!(add(&mut knocks, 1, 30), Kept::Rejected(by));
        assert!(matches!(add(&mut knocks, 2, 30), Kept::Waiting(_)), "the other's is not touched");
        // Whoever turned it down may think better of it.
        assert_eq!(knocks.answer(who.subject, &[who.key], None, now), [who.key]);
        assert!(matches!(add(&mut knocks, 1, 30), Kept::Waiting(_)));
        assert!(knocks.forget(who.subject, who.key) && !knocks.forget(who.subject, who.key));
    }

    #[test]
    fn a_knock_lasts_a_week_and_of_too_many_the_oldest_goes() {
        let mut knocks = KnocksRow::default();
        for number in 1..=u8::try_from(MAX_KNOCKS_PER_USER).unwrap() + 1 {
            add(&mut knocks, number, u64::from(number));
        }
        assert_eq!(knocks.rows.len(), MAX_KNOCKS_PER_USER);
        assert_eq!(knocks.rows[0].key, guest(2).key);
        let end = Timestamp::from_millis(2).plus(KNOCK_HOLD);
        assert!(!knocks.is_stale(end.minus(Duration::from_millis(1))) && knocks.is_stale(end));
        assert_eq!(knocks.answer(guest(2).subject, &[guest(2).key], None, end), []);
        knocks.drop_stale(end);
        assert_eq!(knocks.rows.len(), MAX_KNOCKS_PER_USER - 1);
    }
}
