//! Where the stream of somebody who comes in begins. Pure.

use common::entry::Position;
use common::proto::limits::MAX_PAGE_ROWS;
use common::proto::status::{Code, Refusal};

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
