//! Where the stream of somebody who comes in begins, and what it means that they have more. Pure.

use common::clock::Timestamp;
use common::entry::Position;
use common::proto::limits::MAX_PAGE_ROWS;
use common::proto::status::{Code, Refusal};

use super::record::SideBranch;

/// The number of the entry before the first that a member is to get: what it has, or the one before the tail.
///
/// # Errors
/// `log_behind` when it has more than the log.
pub fn begin_of_stream(head: Position, have: Option<Position>, tail: u32) -> Result<u64, Refusal> {
    match have.filter(|have| have.epoch == head.epoch) {
        Some(have) if have.seq > head.seq => Err(Code::LogBehind.into()),
        Some(have) => Ok(have.seq),
        None => Ok(head.seq.saturating_sub(tail.min(MAX_PAGE_ROWS).into())),
    }
}

/// Where somebody stands who has more than a log that is known to have lost entries: nothing is streamed to them until it
/// is recovered, and they may give back what is missing.
pub fn beyond(head: Position, have: Option<Position>, is_behind: bool) -> Option<Position> {
    have.filter(|have| is_behind && have.epoch == head.epoch && have.seq > head.seq)
}

/// Whether a position that this host has reached, as it is proven, is not in its log any more: it lies beyond the end, or
/// the log has something else there. `found` is what the log has at its number.
pub fn is_lost(head: Position, proven: Position, found: Option<Position>) -> bool {
    proven.epoch == head.epoch && (proven.seq > head.seq || found != Some(proven))
}

/// Whether a position is of a side branch of this log: it lies behind a place from which another host went on, is not what
/// the log has there now (`found`), and was signed, as far as it is, before that was put aside.
pub fn is_aside(
    branches: &[SideBranch],
    place: Position,
    signed_at: Option<Timestamp>,
    found: Option<Position>,
) -> bool {
    let is_behind = |branch: &SideBranch| {
        let was_signed_before = signed_at.is_none_or(|at| at <= branch.at);
        branch.from.epoch == place.epoch && place.seq > branch.from.seq && was_signed_before
    };
    found != Some(place) && branches.iter().any(is_behind)
}

/// The position that was found there, if it is what the member has.
///
/// # Errors
/// `log_behind` when it is not, or nothing was found.
pub fn check(found: Option<Position>, have: Option<Position>) -> Result<Position, Refusal> {
    let found = found.ok_or(Code::LogBehind)?;
    match have.filter(|have| have.epoch == found.epoch) {
        Some(have) if have != found => Err(Code::LogBehind.into()),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use common::entry::Hash;
    use common::id::{ChannelId, Epoch};

    use super::*;

    #[test]
    fn what_is_proven_and_not_in_the_log_was_lost() {
        let (epoch, other) = (Epoch::new(), Epoch::new());
        let at = |epoch, seq| Position { epoch, seq, hash: Hash::root(ChannelId(uuid::Uuid::nil()), epoch) };
        let head = at(epoch, 100);
        let changed = |position| Position { hash: Hash::of(b"other"), ..position };
        for (proven, found, lost) in [
            (at(epoch, 101), None, true),
            (head, Some(head), false),
            (changed(head), Some(head), true),
            (at(epoch, 70), Some(at(epoch, 70)), false),
            (changed(at(epoch, 70)), Some(at(epoch, 70)), true),
            (at(epoch, 70), None, true),
            (at(other, 101), None, false),
        ] {
            assert_eq!(is_lost(head, proven, found), lost, "{proven:?}");
        }
        for (have, is_behind, waits) in [
            (Some(at(epoch, 101)), true, Some(at(epoch, 101))),
            (Some(at(epoch, 101)), false, None),
            (Some(head), true, None),
            (Some(at(other, 101)), true, None),
            (None, true, None),
        ] {
            assert_eq!(beyond(head, have, is_behind), waits, "{have:?}");
        }
    }

    #[test]
    fn what_is_in_a_side_branch_was_not_lost_and_what_was_signed_since_then_is_in_none() {
        let (epoch, other) = (Epoch::new(), Epoch::new());
        let at = |epoch, seq| Position { epoch, seq, hash: Hash::root(ChannelId(uuid::Uuid::nil()), epoch) };
        let branch = SideBranch { from: at(epoch, 100), term: 2, at: Timestamp::from_millis(50) };
        let changed = Position { hash: Hash::of(b"other"), ..at(epoch, 120) };
        for (place, signed_at, found, aside) in [
            (at(epoch, 120), Some(50), None, true),
            (at(epoch, 120), Some(50), Some(changed), true),
            (at(epoch, 120), None, None, true),
            (at(epoch, 120), Some(51), None, false),
            (at(epoch, 120), Some(51), Some(changed), false),
            (at(epoch, 120), Some(50), Some(at(epoch, 120)), false),
            (at(epoch, 100), Some(50), None, false),
            (at(other, 120), Some(50), None, false),
        ] {
            let signed_at = signed_at.map(Timestamp::from_millis);
            assert_eq!(is_aside(&[branch], place, signed_at, found), aside, "{place:?} {signed_at:?}");
        }
        assert!(!is_aside(&[], at(epoch, 120), None, None));
    }

    #[test]
    fn a_stream_begins_after_what_is_there_or_before_the_tail() {
        let (epoch, other) = (Epoch::new(), Epoch::new());
        let at = |epoch, seq| Position { epoch, seq, hash: Hash::root(ChannelId(uuid::Uuid::nil()), epoch) };
        let head = at(epoch, 100);
        for (have, tail, begins) in [
            (Some(at(epoch, 70)), 5, Ok(70)),
            (Some(at(epoch, 100)), 5, Ok(100)),
            (Some(at(epoch, 101)), 5, Err(Code::LogBehind)),
            (Some(at(other, 101)), 5, Ok(95)),
            (None, 200, Ok(0)),
            (None, 0, Ok(100)),
        ] {
            assert_eq!(begin_of_stream(head, have, tail).map_err(|refusal| refusal.code), begins, "{have:?}");
        }
        let changed = Position { hash: Hash::of(b"other"), ..head };
        assert_eq!(check(Some(head), Some(head)).unwrap(), head);
        assert_eq!(check(Some(head), Some(at(other, 3))).unwrap(), head);
        for (found, have) in [(None, None), (Some(head), Some(changed))] {
            assert_eq!(check(found, have).unwrap_err().code, Code::LogBehind);
        }
    }
}
