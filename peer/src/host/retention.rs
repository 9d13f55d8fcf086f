//! For how long a channel's texts are kept: when the log is looked through for what is older. Pure.
//!
//! What members send comes first: the log is looked through a little at a time, once a second at most, and once nothing
//! older is left in it, every ten minutes.

use std::time::Duration;

use common::clock::Timestamp;

/// Between two pieces of a log in which there is more to forget.
const PAUSE: Duration = Duration::from_secs(1);
/// When the log is looked at again of which nothing was left to forget.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When a host looks for texts that are too old.
#[derive(Debug, Default)]
pub struct Retention {
    days: Option<u32>,
    is_under_way: bool,
    rests_until: Timestamp,
}

impl Retention {
    /// What is to be forgotten now: texts that were stored before this. What was begun has to be ended with
    /// [`Self::done`].
    pub fn next(&mut self, days: Option<u32>, now: Timestamp) -> Option<Timestamp> {
        // Another wish of the owner is done at once, and a clock that was put back delays nothing.
        if self.days != days || self.rests_until > now.plus(LOOK_AGAIN_AFTER) {
            (self.days, self.rests_until) = (days, now);
        }
        let days = days.filter(|_| !self.is_under_way && self.rests_until <= now)?;
        self.is_under_way = true;
        Some(now.minus(DAY * days))
    }

    /// A piece of the log was looked through. Whether there may be more that is too old; after a failure there may.
    pub fn done(&mut self, has_more: bool, now: Timestamp) {
        self.is_under_way = false;
        self.rests_until = now.plus(if has_more { PAUSE } else { LOOK_AGAIN_AFTER });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn it_looks_piece_by_piece_and_then_now_and_then() {
        let mut retention = Retention::default();
        assert_eq!(retention.next(None, at(0)), None, "texts are kept for ever");
        assert_eq!(retention.next(Some(2), at(0)), Some(at(0).minus(2 * DAY)));
        assert_eq!(retention.next(Some(2), at(1)), None, "one piece at a time");
        retention.done(true, at(1));
        assert_eq!(retention.next(Some(2), at(1)), None);
        assert_eq!(retention.next(Some(2), at(2)), Some(at(2).minus(2 * DAY)));
        retention.done(false, at(2));
        assert_eq!(retention.next(Some(2), at(601)), None);
        assert!(retention.next(Some(2), at(602)).is_some());
    }

    #[test]
    fn another_wish_counts_at_once_and_so_does_a_clock_that_was_put_back() {
        let mut retention = Retention::default();
        assert!(retention.next(Some(90), at(0)).is_some());
        retention.done(false, at(0));
        assert_eq!(retention.next(Some(1), at(1)), Some(at(1).minus(DAY)));
        retention.done(false, at(5000));
        assert_eq!(retention.next(None, at(5001)), None);
        assert!(retention.next(Some(1), at(5002)).is_some());
        retention.done(false, at(50_000));
        assert!(retention.next(Some(1), at(10)).is_some());
    }
}
