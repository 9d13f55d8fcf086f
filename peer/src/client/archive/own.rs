//! What this device itself has written, as it was received.

use common::entry::{Header, RawEntry};
use common::id::Epoch;
use common::proto::policy::Holder;
use common::storage::Reader;

use super::intervals::Intervals;
use super::{Archive, ArchiveError, READ_ROWS};
use crate::recovery::forking::Kept;

/// How many entries are looked at, the newest first.
const MAX_LOOKED_AT: u64 = 10_000;

impl Archive {
    /// The messages of one device in a log of before that may not be in the newest, of which `kept` is left: those behind
    /// that, and where this archive has something else there, all. In order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn own_behind(
        &self,
        epoch: Epoch,
        kept: Kept,
        who: Holder,
    ) -> Result<Vec<(Header, RawEntry)>, ArchiveError> {
        let intervals = self.intervals(epoch)?;
        let after = if self.is_as_kept(epoch, kept)? { kept.seq } else { 0 };
        let mut own = Vec::new();
        for begin in looked_at(&intervals, after).step_by(READ_ROWS as usize) {
            let (archive, ranges) = (self.clone(), intervals.clone());
            let read = move |reader: &Reader| {
                let here =
                    (begin..begin.saturating_add(READ_ROWS)).filter(|seq| ranges.holding(*seq).is_some());
                here.map(|seq| archive.entry(reader, epoch, seq)).collect::<Result<Vec<_>, _>>()
            };
            for entry in self.store.read(read).await? {
                let header = entry.open()?;
                if header.from.holder() == Some(who) {
                    own.push((header, entry));
                }
            }
        }
        Ok(own)
    }

    /// Whether this archive has, at the last entry that is left, what the host has there.
    fn is_as_kept(&self, epoch: Epoch, kept: Kept) -> Result<bool, ArchiveError> {
        let noted = self.noted(&self.store.reader(), epoch, kept.seq)?;
        Ok(kept.hash.zip(noted).is_none_or(|(theirs, mine)| theirs == mine))
    }
}

/// The numbers behind `after` that are looked at.
fn looked_at(intervals: &Intervals, after: u64) -> std::ops::RangeInclusive<u64> {
    let last = intervals.newest().map_or(0, |newest| newest.end.seq);
    after.max(last.saturating_sub(MAX_LOOKED_AT)) + 1..=last
}
