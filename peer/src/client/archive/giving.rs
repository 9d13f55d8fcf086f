//! What a host that has lost entries is given: those that were received, and what it has signed of them.

use std::ops::Bound;

use common::entry::Checkpoint;
use common::id::Epoch;
use common::proto::limits::{MAX_CHECKPOINTS, MAX_PAGE_BYTES, MAX_PAGE_ROWS};
use common::proto::recovery::{Fetch, Fetched, Proofs, Proven};
use common::signed::Signed;
use common::storage::{Direction, KeyRange, ReadError, Reader};

use super::intervals::Intervals;
use super::{Archive, ArchiveError, CHECKPOINTS};

impl Archive {
    /// The entries right after a number, as many as fit a page and are one after another; `intervals` says which of that
    /// life of the log are here.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn give(&self, intervals: &Intervals, asked: Fetch) -> Result<Fetched, ArchiveError> {
        let Fetch { epoch, after } = asked;
        let first = after.saturating_add(1);
        let Some(interval) = intervals.holding(first) else { return Ok(Fetched::default()) };
        let last = interval.end.seq.min(after.saturating_add(MAX_PAGE_ROWS.into()));
        let archive = self.clone();
        let read = move |reader: &Reader| {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for seq in first..=last {
                let entry = match archive.entry(reader, epoch, seq) {
                    // Of what was hosted here the log may be lost.
                    Err(ArchiveError::Missing(_)) => break,
                    entry => entry?,
                };
                bytes +=
                    entry.header.get().len() + entry.body.as_ref().map_or(0, |body| body.get().len()) + 32;
                if bytes > MAX_PAGE_BYTES && !entries.is_empty() {
                    break;
                }
                entries.push(entry);
            }
            Ok::<_, ArchiveError>(Fetched { entries })
        };
        self.store.read(read).await
    }

    /// What the host has signed of the entries after a number, as it was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn prove(&self, asked: Proofs) -> Result<Proven, ReadError> {
        let range: KeyRange = (
            // Behind all that was signed of that entry itself.
            Bound::Included(self.entry_key(asked.epoch, asked.after.saturating_add(1)).to_vec()),
            Bound::Excluded(self.beyond(asked.epoch)),
        )
            .into();
        let scan =
            move |reader: &Reader| reader.scan(CHECKPOINTS, range, MAX_CHECKPOINTS, Direction::Forward);
        let rows = self.store.read(scan).await?;
        let checkpoints =
            rows.iter().filter_map(|(_, value)| crate::store::parse::<Signed<Checkpoint>>(value));
        Ok(Proven { checkpoints: checkpoints.collect() })
    }

    /// A key behind all of a life of the log.
    fn beyond(&self, epoch: Epoch) -> Vec<u8> {
        [self.entry_key(epoch, u64::MAX).as_slice(), &[u8::MAX; 9]].concat()
    }
}
