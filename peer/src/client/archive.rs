//! The durable copy of what was received of a channel, in the peer's store: exact entries by number, which intervals of
//! them there are, and how far they were shown. What belongs together is written as one.
//!
//! In reading order: the intervals ([`intervals`], pure), what waits for the disk and how far it is shown ([`keeper`],
//! pure), what the user reads back (`history`), what a host that has
//! lost entries is given (`giving`), and whether it is what the host has signed ([`proof`], pure; `verify`).
//!
//! A peer that hosts the channel itself has every entry on the same disk already, in its log: its archive keeps the
//! intervals alone, and reads the entries there.

mod aside;
pub mod check;
mod erasing;
mod giving;
mod history;
pub mod intervals;
pub mod keeper;
mod own;
pub mod proof;
#[cfg(test)]
mod tests;
pub mod verify;

use bytes::{BufMut, Bytes, BytesMut};
use common::entry::erasure::Erasure;
use common::entry::{BadEntry, Checkpoint, Hash, RawEntry};
use common::id::{ChannelId, Epoch};
use common::proto::limits::CHECKPOINT_EVERY;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::{Abort, Direction, KeyRange, ReadError, Reader, Store, StoreError, Table, Transaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::host::log::Log;
use intervals::{Intervals, Place};

pub use aside::PutAside;
pub use erasing::{follow_kept, forget};
pub(super) use history::{Asking, GetArchive, KeepPage, View};
pub use keeper::{CatchUp, Fill, Keeper};
pub(super) use verify::GetSources;
pub use verify::Sources;

/// Channel, epoch and number: what is known of the entry's hash, and its exact bytes.
const ENTRIES: Table = Table::new("archive");
/// Channel and epoch: which entries there are, and how far they were shown. The one row that is written often.
const INTERVALS: Table = Table::new("archive_intervals");
/// Channel, epoch, number, and the beginning of the hash: what the host has signed of the entry there.
const CHECKPOINTS: Table = Table::new("archive_checkpoints");
/// Channel: its newest epoch.
const EPOCHS: Table = Table::new("archive_epoch");

/// An entry of which only the bytes are known follows.
const WITHOUT_HASH: u8 = 0;
/// The chain's hash at the entry, and then the entry, follow.
const WITH_HASH: u8 = 1;
const HASH_BYTES: usize = 32;
/// How many entries are read in one go, so that the store is not held for long.
const READ_ROWS: u64 = 1000;

/// Why the archive could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is stored is not an entry.
    #[error("what is stored in the archive is not an entry")]
    Entry(#[from] BadEntry),
    /// An interval says that it is there.
    #[error("entry {0} is missing in the archive")]
    Missing(u64),
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        Self::new(Code::StorageFailed, error.to_string())
    }
}

/// An entry as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub seq: u64,
    value: Bytes,
}

impl Kept {
    /// An entry, with the chain's hash at it when that is known.
    ///
    /// # Errors
    /// When the entry has no JSON form, which does not happen.
    pub fn new(seq: u64, entry: &RawEntry, hash: Option<Hash>) -> Result<Self, BadEntry> {
        let bytes = entry.to_bytes()?;
        let mut value = BytesMut::with_capacity(1 + HASH_BYTES + bytes.len());
        match hash {
            Some(hash) => {
                value.put_u8(WITH_HASH);
                value.put_slice(hash.as_bytes());
            }
            None => value.put_u8(WITHOUT_HASH),
        }
        value.put_slice(&bytes);
        Ok(Self { seq, value: value.freeze() })
    }

    /// The entry itself.
    ///
    /// # Errors
    /// When what is kept is none.
    pub fn entry(&self) -> Result<RawEntry, ArchiveError> {
        let bytes = entry_of(&self.value).ok_or(ArchiveError::Missing(self.seq))?;
        Ok(RawEntry::from_bytes(bytes)?)
    }

    /// How many bytes it takes on disk.
    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// Never: there is always an entry in it.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }
}

/// What is written as one.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Of which life of the log.
    pub epoch: Epoch,
    /// Entries that come in.
    pub entries: Vec<Kept>,
    /// What these erase.
    pub erasures: Vec<Erasure>,
    /// Which there are with them.
    pub intervals: Intervals,
    /// How far they were shown.
    pub shown: u64,
}

/// What the archive of a channel says of itself.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The newest life of the log.
    pub epoch: Epoch,
    /// Which entries of it there are.
    pub intervals: Intervals,
    /// How far they were shown.
    pub shown: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Row {
    intervals: Intervals,
    shown: u64,
}

/// The archive of one channel on disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Store,
    channel: ChannelId,
}

impl Archive {
    /// The archive of a channel in this store.
    pub fn new(store: Store, channel: ChannelId) -> Self {
        Self { store, channel }
    }

    /// What there is; `None` when nothing was received yet. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(&self) -> Result<Option<Loaded>, ReadError> {
        let epoch = self.store.reader().get(EPOCHS, self.channel.0.as_bytes())?;
        let Some(epoch) = epoch else { return Ok(None) };
        let epoch = crate::store::parse_whole("what is kept of an archive", &epoch)?;
        let Row { intervals, shown } = self.row(epoch)?;
        Ok(Some(Loaded { epoch, intervals, shown }))
    }

    /// Which entries of a life of the log there are. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn intervals(&self, epoch: Epoch) -> Result<Intervals, ReadError> {
        Ok(self.row(epoch)?.intervals)
    }

    fn row(&self, epoch: Epoch) -> Result<Row, ReadError> {
        let row = self.store.reader().get(INTERVALS, self.prefix(epoch))?;
        row.map_or_else(
            || Ok(Row::default()),
            |row| crate::store::parse_whole("what is kept of an archive", &row),
        )
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// When it is not on disk, or not known to be. A repeat does no harm.
    pub async fn keep(&self, batch: Batch) -> Result<(), StoreError> {
        let archive = self.clone();
        self.store
            .write(move |transaction| {
                let Batch { epoch, entries, erasures, intervals, shown } = batch;
                entries.into_iter().try_for_each(|entry| archive.put_entry(transaction, epoch, entry))?;
                erasures.iter().try_for_each(|erasure| archive.erase(transaction, epoch, erasure))?;
                let row = crate::store::json(&Row { intervals, shown });
                transaction.put(INTERVALS, archive.prefix(epoch), row);
                let (channel, epoch) = (archive.channel.0.as_bytes(), crate::store::json(&epoch));
                if transaction.get(EPOCHS, channel)?.is_none_or(|stored| stored != epoch) {
                    transaction.put(EPOCHS, channel, epoch);
                }
                Ok::<_, Abort>(())
            })
            .await
    }

    /// The newest `rows` of the entries after `after` up to `upto`, in order. An interval has to have them all.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn read(
        &self,
        epoch: Epoch,
        after: u64,
        upto: u64,
        rows: u64,
    ) -> Result<Vec<RawEntry>, ArchiveError> {
        let first = after.max(upto.saturating_sub(rows)) + 1;
        let mut entries = Vec::new();
        for begin in (first..=upto).step_by(READ_ROWS as usize) {
            let (archive, end) = (self.clone(), upto.min(begin + READ_ROWS - 1));
            let page = self.store.read(move |reader| {
                (begin..=end).map(|seq| archive.entry(reader, epoch, seq)).collect::<Result<Vec<_>, _>>()
            });
            entries.extend(page.await?);
        }
        Ok(entries)
    }

    /// Where the chain leads from a place over the entries up to `upto`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn chain(&self, epoch: Epoch, from: Place, upto: u64) -> Result<Hash, ArchiveError> {
        let Place { mut seq, mut hash } = from;
        while seq < upto {
            let (archive, end) = (self.clone(), upto.min(seq + READ_ROWS));
            let step = self.store.read(move |reader| {
                (seq + 1..=end).try_fold(hash, |hash, seq| {
                    Ok::<_, ArchiveError>(hash.next(&archive.entry(reader, epoch, seq)?.header))
                })
            });
            hash = step.await?;
            seq = end;
        }
        Ok(hash)
    }

    /// Blocks for as long as the disk takes.
    fn entry(&self, reader: &Reader, epoch: Epoch, seq: u64) -> Result<RawEntry, ArchiveError> {
        if let Some(value) = reader.get(ENTRIES, self.entry_key(epoch, seq))? {
            return Kept { seq, value }.entry();
        }
        let log = Log::new(self.store.clone(), self.channel, epoch);
        let bytes = log.entry_at(seq)?.ok_or(ArchiveError::Missing(seq))?;
        Ok(RawEntry::from_bytes(&bytes)?)
    }

    /// The exact bytes of an entry. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn bytes(&self, epoch: Epoch, seq: u64) -> Result<Bytes, ArchiveError> {
        let missing = ArchiveError::Missing(seq);
        if let Some(value) = self.store.reader().get(ENTRIES, self.entry_key(epoch, seq))? {
            let entry = entry_of(&value).map(|entry| value.slice_ref(entry));
            return entry.ok_or(missing);
        }
        let log = Log::new(self.store.clone(), self.channel, epoch);
        log.entry_at(seq)?.ok_or(missing)
    }

    /// The same, or nothing for an entry that is not there. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bytes_if_there(&self, epoch: Epoch, seq: u64) -> Result<Option<Bytes>, ReadError> {
        match self.bytes(epoch, seq) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ArchiveError::Read(error)) => Err(error),
            Err(ArchiveError::Missing(_) | ArchiveError::Entry(_)) => Ok(None),
        }
    }

    /// The chain's hash that was noted with an entry when it came in. Blocks for as long as the disk takes.
    fn noted(&self, reader: &Reader, epoch: Epoch, seq: u64) -> Result<Option<Hash>, ReadError> {
        if let Some(value) = reader.get(ENTRIES, self.entry_key(epoch, seq))? {
            return Ok(noted_in(&value));
        }
        Log::new(self.store.clone(), self.channel, epoch).hash_at(seq)
    }

    /// Keeps what the host has signed. Of those within [`CHECKPOINT_EVERY`] entries the newest is enough; two that
    /// contradict each other are both kept.
    ///
    /// # Errors
    /// When they are not on disk, or not known to be.
    pub async fn keep_checkpoints(
        &self,
        signed: Vec<(Checkpoint, Signed<Checkpoint>)>,
    ) -> Result<(), StoreError> {
        let archive = self.clone();
        let keep = move |transaction: &mut Transaction<'_>| {
            for (Checkpoint { position, .. }, signed) in &signed {
                let (epoch, seq) = (position.epoch, position.seq);
                let Some(before) = seq.checked_sub(1) else { continue };
                let first = before - before % CHECKPOINT_EVERY + 1;
                let older = archive.entry_key(epoch, first)..archive.entry_key(epoch, seq);
                let older = transaction.scan(CHECKPOINTS, older, usize::MAX, Direction::Forward)?;
                for (key, _) in older {
                    transaction.delete(CHECKPOINTS, key);
                }
                let beginning = position.hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
                let key = [archive.entry_key(epoch, seq).as_slice(), &beginning].concat();
                transaction.put(CHECKPOINTS, key, crate::store::json(signed));
            }
            Ok::<_, Abort>(())
        };
        self.store.write(keep).await
    }

    /// What the host has signed of a life of the log, as it was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn checkpoints(&self, epoch: Epoch) -> Result<Vec<Signed<Checkpoint>>, ReadError> {
        let prefix = self.prefix(epoch);
        let scan = move |reader: &Reader| {
            reader.scan(CHECKPOINTS, KeyRange::prefix(prefix), usize::MAX, Direction::Forward)
        };
        let rows = self.store.read(scan).await?;
        Ok(rows.iter().filter_map(|(_, value)| crate::store::parse(value)).collect())
    }

    /// The newest that the host has signed of a life of the log, as it was kept. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn newest_checkpoint(&self, epoch: Epoch) -> Result<Option<Signed<Checkpoint>>, ReadError> {
        let prefix = KeyRange::prefix(self.prefix(epoch));
        let rows = self.store.reader().scan(CHECKPOINTS, prefix, 1, Direction::Backward)?;
        Ok(rows.first().and_then(|(_, value)| crate::store::parse(value)))
    }

    /// The lives of the log of which something was received.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn epochs(&self) -> Result<Vec<Epoch>, ReadError> {
        let channel = self.channel.0.into_bytes();
        let scan = move |reader: &Reader| {
            reader.scan(INTERVALS, KeyRange::prefix(channel), usize::MAX, Direction::Forward)
        };
        let epoch_of = |key: &[u8]| key.last_chunk::<16>().map(|epoch| Epoch(Uuid::from_bytes(*epoch)));
        Ok(self.store.read(scan).await?.iter().filter_map(|(key, _)| epoch_of(key)).collect())
    }

    /// What the chain begins with in this life of the log.
    pub fn root(&self, epoch: Epoch) -> Hash {
        Hash::root(self.channel, epoch)
    }

    fn prefix(&self, epoch: Epoch) -> [u8; 32] {
        let mut prefix = [0; 32];
        prefix[..16].copy_from_slice(self.channel.0.as_bytes());
        prefix[16..].copy_from_slice(epoch.0.as_bytes());
        prefix
    }

    fn entry_key(&self, epoch: Epoch, seq: u64) -> [u8; 40] {
        let mut key = [0; 40];
        key[..32].copy_from_slice(&self.prefix(epoch));
        key[32..].copy_from_slice(&seq.to_be_bytes());
        key
    }
}

/// Which entries there are, of every log of which something was received.
///
/// # Errors
/// When that cannot be read.
pub fn all_intervals(reader: &Reader) -> Result<Vec<(ChannelId, Epoch, Intervals)>, ReadError> {
    let rows = reader.scan(INTERVALS, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let read = |(key, value): &(Bytes, Bytes)| {
        let (channel, epoch) = (key.first_chunk::<16>()?, key.last_chunk::<16>()?);
        let row = crate::store::parse::<Row>(value)?;
        Some((ChannelId(Uuid::from_bytes(*channel)), Epoch(Uuid::from_bytes(*epoch)), row.intervals))
    };
    Ok(rows.iter().filter_map(read).collect())
}

fn noted_in(value: &[u8]) -> Option<Hash> {
    let (&WITH_HASH, rest) = value.split_first()? else { return None };
    Some(Hash::from_bytes(*rest.first_chunk()?))
}

fn entry_of(value: &[u8]) -> Option<&[u8]> {
    match value.split_first()? {
        (&WITHOUT_HASH, bytes) => Some(bytes),
        (&WITH_HASH, rest) => rest.get(HASH_BYTES..),
        _ => None,
    }
}
