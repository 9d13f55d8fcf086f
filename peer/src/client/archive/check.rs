//! Whether the archives on a disk are whole: for a doctor, while nobody is in their channels.

use std::collections::BTreeMap;

use bytes::Bytes;
use common::entry::{Hash, RawEntry};
use common::id::{ChannelId, Epoch};
use common::storage::{Abort, Direction, KeyRange, ReadError, Reader, Store, StoreError};
use uuid::Uuid;

use super::intervals::{Interval, Intervals};
use super::{Archive, ArchiveError, INTERVALS, Row};

const ID_BYTES: usize = 16;

/// What was found of an archive of one life of a log.
#[derive(Debug)]
pub struct Checked {
    /// Which channel.
    pub channel: ChannelId,
    /// Which life of its log.
    pub epoch: Epoch,
    /// How many entries there are.
    pub entries: u64,
    /// What is wrong: these cannot be read, or are not what came in. What the chain has come to before, where that is sure.
    pub wrong: BTreeMap<u64, Option<Hash>>,
    /// How many are left out with them by a repair, since their chain could not be followed any more.
    pub left_out: u64,
    /// Whether nothing says which entries there are.
    pub is_lost: bool,
}

/// Looks at all archives of a store.
///
/// # Errors
/// When the store cannot be read.
pub fn check_all(store: &Store) -> Result<Vec<Checked>, ReadError> {
    let rows = store.reader().scan(INTERVALS, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    rows.iter().filter_map(|(key, value)| Some(check(store, of_key(key)?, value))).collect()
}

fn of_key(key: &[u8]) -> Option<(ChannelId, Epoch)> {
    let (channel, epoch) = key.split_first_chunk::<ID_BYTES>()?;
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    Some((ChannelId(uuid(channel)?), Epoch(uuid(epoch)?)))
}

fn check(store: &Store, (channel, epoch): (ChannelId, Epoch), row: &Bytes) -> Result<Checked, ReadError> {
    let archive = Archive::new(store.clone(), channel);
    let mut found =
        Checked { channel, epoch, entries: 0, wrong: BTreeMap::new(), left_out: 0, is_lost: false };
    match serde_json::from_slice::<Row>(row) {
        Ok(row) => {
            for interval in row.intervals.iter() {
                archive.check_interval(epoch, interval, &mut found)?;
            }
            let left = archive.without(epoch, &row.intervals, &found.wrong)?;
            let count = |all: &Intervals| all.iter().map(|one| one.end.seq - one.after).sum::<u64>();
            found.left_out = count(&row.intervals) - count(&left) - found.wrong.len() as u64;
        }
        Err(_) => found.is_lost = true,
    }
    Ok(found)
}

impl Archive {
    fn check_interval(
        &self,
        epoch: Epoch,
        interval: &Interval,
        found: &mut Checked,
    ) -> Result<(), ReadError> {
        let reader = self.store.reader();
        let mut hash = None;
        for seq in interval.after + 1..=interval.end.seq {
            found.entries += 1;
            if interval.base.seq == seq - 1 {
                hash = Some(interval.base.hash);
            }
            let noted = self.noted(&reader, epoch, seq)?;
            let computed = match self.sound_entry(&reader, epoch, seq)? {
                Some(entry) => hash.map(|hash: Hash| hash.next(&entry.header)),
                None => {
                    found.wrong.insert(seq, hash);
                    None
                }
            };
            // Here it may be any of those since the last hash that was noted.
            if computed.is_some() && noted.is_some() && computed != noted {
                found.wrong.insert(seq, None);
            }
            hash = noted.or(computed);
        }
        if hash.is_some_and(|hash| hash != interval.end.hash) {
            found.wrong.insert(interval.end.seq, None);
        }
        Ok(())
    }

    /// The entry, if it is there and is one.
    fn sound_entry(&self, reader: &Reader, epoch: Epoch, seq: u64) -> Result<Option<RawEntry>, ReadError> {
        let entry = match self.entry(reader, epoch, seq) {
            Ok(entry) => entry,
            Err(ArchiveError::Read(error)) => return Err(error),
            Err(ArchiveError::Entry(_) | ArchiveError::Missing(_)) => return Ok(None),
        };
        let is_it = entry.open().is_ok_and(|header| header.seq == seq);
        Ok(is_it.then_some(entry))
    }

    fn without(
        &self,
        epoch: Epoch,
        intervals: &Intervals,
        wrong: &BTreeMap<u64, Option<Hash>>,
    ) -> Result<Intervals, ReadError> {
        let reader = self.store.reader();
        let mut ends = BTreeMap::new();
        for (seq, before) in wrong {
            ends.insert(*seq, self.noted(&reader, epoch, seq - 1)?.or(*before));
        }
        Ok(intervals.without(&ends))
    }

    /// Leaves out what is wrong: it is a gap then, which is filled from the host like any other.
    async fn leave_out(
        &self,
        epoch: Epoch,
        wrong: &BTreeMap<u64, Option<Hash>>,
        is_lost: bool,
    ) -> Result<(), StoreError> {
        let failed = |error: ReadError| StoreError::Failed { reason: error.to_string() };
        let row = match is_lost {
            true => Row::default(),
            false => self.row(epoch).map_err(failed)?,
        };
        let intervals = self.without(epoch, &row.intervals, wrong).map_err(failed)?;
        let row = crate::store::json(&Row { intervals, shown: row.shown });
        let key = self.prefix(epoch);
        let write = self.store.write(move |transaction| {
            match is_lost {
                // As if nothing had been received: what is there is written over when it comes again.
                true => transaction.delete(INTERVALS, key),
                false => transaction.put(INTERVALS, key, row),
            }
            Ok::<_, Abort>(())
        });
        write.await
    }
}

/// Has what is wrong in these archives fetched again.
///
/// # Errors
/// When it is not known to be done.
pub async fn repair(store: &Store, found: Vec<Checked>) -> Result<(), StoreError> {
    for Checked { channel, epoch, wrong, is_lost, .. } in found {
        if is_lost || !wrong.is_empty() {
            Archive::new(store.clone(), channel).leave_out(epoch, &wrong, is_lost).await?;
        }
    }
    Ok(())
}
