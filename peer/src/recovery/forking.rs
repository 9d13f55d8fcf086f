//! A log is begun anew with all that is there of an old one, so that no number is given out twice in the same log.

use common::crash::{self, Point};
use common::entry::{Position, RawEntry};
use common::id::{ChannelId, Epoch};
use common::identity::Identity;
use common::proto::limits::MAX_APPEND_ENTRIES;
use common::proto::status::{Code, Refusal};
use common::storage::Store;

use crate::history::append_as_is;
use crate::host::log::{Log, PageRange};

/// Copies a log up to `upto` into an empty one of another epoch: the same entries, under the same numbers and ids, in
/// another chain. Nobody knows of it before all of it is there.
///
/// # Errors
/// When the store fails.
pub async fn copy_log(
    store: &Store,
    identity: &Identity,
    channel: ChannelId,
    upto: Position,
    epoch: Epoch,
) -> Result<Position, Refusal> {
    let old = Log::new(store.clone(), channel, upto.epoch);
    let new = Log::new(store.clone(), channel, epoch);
    let mut at = Position::start(channel, epoch);
    while at.seq < upto.seq {
        let range = PageRange { after: at.seq, upto: upto.seq, rows: MAX_APPEND_ENTRIES, newest: false };
        let page = old.page(range).await?;
        let opened = page.entries.iter().map(|bytes| {
            let entry = RawEntry::from_bytes(bytes)?;
            Ok((entry.open()?, entry))
        });
        let entries: Result<Vec<_>, common::entry::BadEntry> = opened.collect();
        let entries = entries.map_err(|error| Refusal::new(Code::StorageFailed, error.to_string()))?;
        at = append_as_is(&new, identity, channel, at, entries).await?;
        crash::here(Point::RecoverCopied);
    }
    Ok(at)
}

/// Up to where what was in a log of before is in the newest one: `forks` says, oldest first, where each log ended that
/// was gone on from. `None` when the newest does not go back to it.
pub fn kept_of(forks: &[Position], epoch: Epoch) -> Option<Kept> {
    let first = forks.iter().position(|fork| fork.epoch == epoch)?;
    let (at, later) = (forks[first], &forks[first + 1..]);
    match later.iter().map(|fork| fork.seq).min() {
        Some(seq) if seq < at.seq => Some(Kept { seq, hash: None }),
        _ => Some(Kept { seq: at.seq, hash: Some(at.hash) }),
    }
}

/// What is left of a log of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The last entry.
    pub seq: u64,
    /// The chain's hash there, when it is known.
    pub hash: Option<common::entry::Hash>,
}

#[cfg(test)]
mod tests {
    use common::entry::Hash;

    use super::*;

    #[test]
    fn what_was_left_out_at_any_fork_is_not_in_the_newest() {
        let (one, two, three, other) = (Epoch::new(), Epoch::new(), Epoch::new(), Epoch::new());
        let at = |epoch, seq| Position { epoch, seq, hash: Hash::of(b"there") };
        let kept = |seq, hash| Some(Kept { seq, hash });
        let there = Some(Hash::of(b"there"));
        for (forks, epoch, expected) in [
            (vec![at(one, 50)], one, kept(50, there)),
            (vec![at(one, 50)], other, None),
            (vec![at(one, 50), at(two, 70)], one, kept(50, there)),
            (vec![at(one, 50), at(two, 40), at(three, 60)], one, kept(40, None)),
            (vec![at(one, 50), at(two, 40), at(three, 60)], two, kept(40, there)),
            (vec![], one, None),
        ] {
            assert_eq!(kept_of(&forks, epoch), expected, "{forks:?}");
        }
    }
}
