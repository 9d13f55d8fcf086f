//! The durable log of a channel, in the peer's one store: entries by number, ids, checkpoints, and the record of what
//! is hosted.

mod aside;
pub mod check;
mod cutting;
mod erasing;
#[cfg(test)]
mod tests;

use std::ops::{Bound, ControlFlow};

use bytes::{BufMut, Bytes, BytesMut};
use common::entry::{BadEntry, Checkpoint, Hash, Position, RawEntry};
use common::id::{ChannelId, Epoch, MessageId, Subject};
use common::proto::channel::{Stored, StoredMessage};
use common::proto::event;
use common::proto::limits::{MAX_APPEND_ENTRIES, MAX_CHECKPOINTS, MAX_PAGE_BYTES};
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::{Abort, Direction, KeyRange, ReadError, Reader, Store, StoreError, Table, Transaction};
use uuid::Uuid;

use super::channel::{AppendFailure, Batch, Content, Known};

/// Channel, epoch and number of an entry: its hash and its exact bytes.
const ENTRIES: Table = Table::new("log");
/// Channel, epoch and message id: the entry's number.
const IDS: Table = Table::new("log_ids");
/// Channel, epoch and number: the signed checkpoint there.
const CHECKPOINTS: Table = Table::new("log_checkpoints");
/// Channel, epoch and number of an entry that was erased: the number of the entry that says so.
const ERASED: Table = Table::new("log_erased");
/// Channel and epoch: up to which number bodies were taken away for being too old.
const FORGOTTEN: Table = Table::new("log_forgotten");

const HASH_BYTES: usize = 32;

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not say what is on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not an entry.
    #[error("what is stored in the log is not an entry")]
    Entry(#[from] BadEntry),
    /// What is stored is not of the expected form.
    #[error("what is stored in the log is not of the expected form: {0}")]
    Damaged(&'static str),
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Self::new(Code::StorageFailed, error.to_string())
    }
}

/// The log of one channel. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    store: Store,
    channel: ChannelId,
    epoch: Epoch,
}

/// Entries as they are, in order.
#[derive(Debug, Default)]
pub struct Page {
    /// Their exact bytes.
    pub entries: Vec<Bytes>,
}

/// Which page of the log is wanted.
#[derive(Clone, Copy, Debug)]
pub struct PageRange {
    /// Only entries after this number.
    pub after: u64,
    /// Only entries up to this number.
    pub upto: u64,
    /// How many at most.
    pub rows: usize,
    /// Which end of the range the page is to be at.
    pub newest: bool,
}

/// Where the log on disk ends, and what it has beyond the position that was known.
#[derive(Debug)]
pub struct Recovered {
    /// The end.
    pub head: Position,
    /// The entries after the known position.
    pub beyond: Vec<Bytes>,
}

impl Log {
    /// The log of this life of a channel.
    pub fn new(store: Store, channel: ChannelId, epoch: Epoch) -> Self {
        Self { store, channel, epoch }
    }

    fn start(&self) -> Position {
        Position::start(self.channel, self.epoch)
    }

    fn prefix(&self) -> [u8; 32] {
        let mut prefix = [0; 32];
        prefix[..16].copy_from_slice(self.channel.0.as_bytes());
        prefix[16..].copy_from_slice(self.epoch.0.as_bytes());
        prefix
    }

    fn entry_key(&self, seq: u64) -> [u8; 40] {
        let mut key = [0; 40];
        key[..32].copy_from_slice(&self.prefix());
        key[32..].copy_from_slice(&seq.to_be_bytes());
        key
    }

    fn id_key(&self, id: MessageId) -> [u8; 48] {
        let mut key = [0; 48];
        key[..32].copy_from_slice(&self.prefix());
        key[32..].copy_from_slice(id.0.as_bytes());
        key
    }

    fn keys(&self, after: u64, upto: u64) -> KeyRange {
        (Bound::Excluded(self.entry_key(after)), Bound::Included(self.entry_key(upto))).into()
    }

    /// Where the log ends on disk.
    ///
    /// # Errors
    /// When the store cannot say.
    pub async fn head(&self) -> Result<Position, LogError> {
        let log = self.clone();
        // A write job that writes nothing: what it sees is on disk by the time it is answered.
        Ok(self.store.write(move |transaction| Ok(log.last(transaction)?)).await?)
    }

    fn last(&self, transaction: &Transaction<'_>) -> Result<Position, ReadError> {
        let last = transaction.scan(ENTRIES, KeyRange::prefix(self.prefix()), 1, Direction::Backward)?;
        Ok(last.first().and_then(|(key, value)| self.position(key, value)).unwrap_or_else(|| self.start()))
    }

    /// The number of the last entry of a life of a channel's log, and up to where texts were dropped because of their age.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn end_of(reader: &Reader, channel: ChannelId, epoch: Epoch) -> Result<(u64, u64), ReadError> {
        let prefix = [channel.0.into_bytes(), epoch.0.into_bytes()].concat();
        let last = reader.scan(ENTRIES, KeyRange::prefix(&prefix), 1, Direction::Backward)?;
        let end = last.first().and_then(|(key, _)| key.last_chunk().copied());
        let forgotten = reader.get(FORGOTTEN, &prefix)?;
        let forgotten = forgotten.and_then(|row| row.as_ref().try_into().ok());
        Ok((end.map_or(0, u64::from_be_bytes), forgotten.map_or(0, u64::from_be_bytes)))
    }

    /// Whether `position` is the last of the log. Looked up rather than searched for, which is done for every append: a
    /// log has no gaps, so nothing is behind a place that is empty.
    fn ends_at(&self, transaction: &Transaction<'_>, position: Position) -> Result<bool, ReadError> {
        if transaction.get(ENTRIES, self.entry_key(position.seq + 1))?.is_some() {
            return Ok(false);
        }
        if position.seq == 0 {
            return Ok(position == self.start());
        }
        let key = self.entry_key(position.seq);
        let found = transaction.get(ENTRIES, key)?;
        Ok(found.and_then(|value| self.position(&key, &value)) == Some(position))
    }

    /// All lives of this channel's log of which there is something, this one with them.
    fn lives(&self, transaction: &Transaction<'_>) -> Result<Vec<Self>, ReadError> {
        let of = |epoch| Self { epoch, ..self.clone() };
        let (mut lives, mut after) = (vec![self.clone()], of(Epoch(Uuid::nil())).entry_key(0));
        loop {
            let keys = (Bound::Excluded(after), Bound::Included(of(Epoch(Uuid::max())).entry_key(u64::MAX)));
            let next = transaction.scan(ENTRIES, keys, 1, Direction::Forward)?;
            let epoch = next.first().and_then(|(key, _)| key.get(16..)?.first_chunk().copied());
            let Some(epoch) = epoch.map(Uuid::from_bytes) else { return Ok(lives) };
            let life = of(Epoch(epoch));
            after = life.entry_key(u64::MAX);
            if life.epoch != self.epoch {
                lives.push(life);
            }
        }
    }

    fn position(&self, key: &[u8], value: &[u8]) -> Option<Position> {
        let seq = u64::from_be_bytes(key.last_chunk().copied()?);
        Some(Position { epoch: self.epoch, seq, hash: hash_of(value)? })
    }

    /// Where the log ends on disk, and what it has beyond `known`: after an append whose outcome is not known.
    ///
    /// # Errors
    /// When the store cannot say yet.
    pub async fn recover(&self, known: Position) -> Result<Recovered, LogError> {
        let log = self.clone();
        let found = self.store.write(move |transaction| {
            let head = log.last(transaction)?;
            let keys = log.keys(known.seq, u64::MAX);
            // Only one append was under way.
            let beyond = transaction.scan(ENTRIES, keys, MAX_APPEND_ENTRIES + 1, Direction::Forward)?;
            let beyond = beyond.iter().filter_map(|(_, value)| bytes_of(value)).collect();
            Ok(Recovered { head, beyond })
        });
        Ok(found.await?)
    }

    /// Puts a batch on disk, if the log ends where the batch says; `checkpoints` with it.
    ///
    /// # Errors
    /// When there was no room, or it is not known whether it was done.
    pub async fn append(
        &self,
        batch: Batch,
        checkpoints: Vec<(u64, Signed<Checkpoint>)>,
    ) -> Result<(), AppendFailure> {
        let log = self.clone();
        let outcome = self.store.write(move |transaction| log.put(transaction, &batch, &checkpoints)).await;
        outcome.map_err(|error| match error {
            StoreError::Full { .. } => AppendFailure::Full,
            error => {
                tracing::warn!(channel = %self.channel, err = ?error.to_string(), "append failed");
                AppendFailure::Unknown
            }
        })
    }

    fn put(
        &self,
        transaction: &mut Transaction<'_>,
        batch: &Batch,
        checkpoints: &[(u64, Signed<Checkpoint>)],
    ) -> Result<(), Abort<NotPut>> {
        if !self.ends_at(transaction, batch.after)? {
            let (found, expected) = (self.last(transaction)?.seq, batch.after.seq);
            return Err(Abort::Rejected(NotPut::WrongEnd { found, expected }));
        }
        for entry in batch.entries.iter() {
            let seq = entry.position.seq;
            transaction.put(ENTRIES, self.entry_key(seq), row(entry.position.hash, &entry.bytes));
            transaction.put(IDS, self.id_key(entry.id), Bytes::copy_from_slice(&seq.to_be_bytes()));
            if let Some(erasure) = &entry.erases {
                self.erase(transaction, erasure)?;
            }
        }
        for (seq, checkpoint) in checkpoints {
            let text = serde_json::to_vec(checkpoint)
                .map_err(|error| Abort::Rejected(NotPut::Form(error.to_string())))?;
            transaction.put(CHECKPOINTS, self.entry_key(*seq), text);
        }
        Ok(())
    }

    /// What is stored under a message id. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the store cannot be read, or holds no entry there.
    pub fn find(&self, id: MessageId) -> Result<Option<Known>, LogError> {
        let reader = self.store.reader();
        self.find_with(id, |table, key| reader.get(table, key))
    }

    fn find_with(
        &self,
        id: MessageId,
        get: impl Fn(Table, &[u8]) -> Result<Option<Bytes>, ReadError>,
    ) -> Result<Option<Known>, LogError> {
        let Some(seq) = get(IDS, &self.id_key(id))? else { return Ok(None) };
        let seq = seq.as_ref().try_into().map_err(|_| LogError::Damaged("a number under an id"))?;
        let value = get(ENTRIES, &self.entry_key(u64::from_be_bytes(seq)))?;
        let bytes = value.as_ref().and_then(bytes_of).ok_or(LogError::Damaged("an id without an entry"))?;
        let header = RawEntry::from_bytes(&bytes)?.open()?;
        let stored = Stored { seq: header.seq, stored_at: header.stored_at };
        Ok(Some(Known { stored, content: Content::from(&header) }))
    }

    /// Which of these messages, if they are of this writer, are stored.
    ///
    /// # Errors
    /// When the store cannot say.
    pub async fn stored(&self, ids: Vec<MessageId>, writer: Subject) -> Result<Vec<StoredMessage>, LogError> {
        let log = self.clone();
        let find = move |transaction: &Transaction<'_>| {
            let mut stored = Vec::new();
            for id in ids {
                let known = log.find_with(id, |table, key| transaction.get(table, key))?;
                if let Some(Known { stored: Stored { seq, stored_at }, content }) = known
                    && content.subject == writer
                {
                    stored.push(StoredMessage { id, seq, stored_at });
                }
            }
            Ok(stored)
        };
        // A write job that writes nothing: it sees every append before it, and is answered when those are on disk.
        self.store.write(move |transaction| Ok(find(transaction))).await?
    }

    /// The position of an entry, if there is one with this number. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn position_at(&self, seq: u64) -> Result<Option<Position>, LogError> {
        if seq == 0 {
            return Ok(Some(self.start()));
        }
        let key = self.entry_key(seq);
        let value = self.store.reader().get(ENTRIES, key)?;
        Ok(value.and_then(|value| self.position(&key, &value)))
    }

    /// The exact bytes of an entry, if there is one with this number. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn entry_at(&self, seq: u64) -> Result<Option<Bytes>, ReadError> {
        Ok(self.store.reader().get(ENTRIES, self.entry_key(seq))?.as_ref().and_then(bytes_of))
    }

    /// The chain's hash at an entry, if there is one with this number. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn hash_at(&self, seq: u64) -> Result<Option<Hash>, ReadError> {
        Ok(self.store.reader().get(ENTRIES, self.entry_key(seq))?.and_then(|value| hash_of(&value)))
    }

    /// A page of entries, in order: as many as are asked for, and fit a page.
    ///
    /// # Errors
    /// When the store cannot be read, or has a gap there.
    pub async fn page(&self, range: PageRange) -> Result<Page, LogError> {
        let log = self.clone();
        self.store.read(move |reader| log.read_page(reader, range)).await
    }

    /// The lines of the MESSAGE events of a page, and how many they are.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub async fn lines(&self, range: PageRange) -> Result<(Bytes, u64), LogError> {
        let log = self.clone();
        let encode = move |reader: &Reader| {
            let page = log.read_page(reader, range)?;
            let bytes: usize = page.entries.iter().map(Bytes::len).sum();
            let mut lines = BytesMut::with_capacity(bytes + 32 * page.entries.len());
            page.entries.iter().for_each(|entry| event::put_message(&mut lines, entry));
            Ok((lines.freeze(), page.entries.len() as u64))
        };
        self.store.read(encode).await
    }

    /// What the host has signed of the entries after this number, in order, as many as one answer takes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn checkpoints(&self, after: u64) -> Result<Vec<Signed<Checkpoint>>, LogError> {
        let log = self.clone();
        let read = move |reader: &Reader| {
            reader.scan(CHECKPOINTS, log.keys(after, u64::MAX), MAX_CHECKPOINTS, Direction::Forward)
        };
        let rows = self.store.read(read).await?;
        let signed = rows.iter().map(|(_, value)| serde_json::from_slice(value));
        signed.collect::<Result<_, _>>().map_err(|_| LogError::Damaged("a checkpoint"))
    }

    /// Drops all of it: it is of no channel that anybody knows.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub async fn clear(&self) -> Result<(), StoreError> {
        for table in [ENTRIES, IDS, CHECKPOINTS, ERASED, FORGOTTEN] {
            loop {
                let keys = KeyRange::prefix(self.prefix());
                let cleared = self.store.write(move |transaction| {
                    let rows = transaction.scan(table, keys, MAX_APPEND_ENTRIES, Direction::Forward)?;
                    let count = rows.len();
                    rows.into_iter().for_each(|(key, _)| transaction.delete(table, key));
                    Ok::<_, Abort>(count)
                });
                if cleared.await? < MAX_APPEND_ENTRIES {
                    break;
                }
            }
        }
        Ok(())
    }

    fn read_page(&self, reader: &Reader, range: PageRange) -> Result<Page, LogError> {
        let PageRange { after, upto, rows, newest } = range;
        let direction = if newest { Direction::Backward } else { Direction::Forward };
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut next = if newest { upto } else { after + 1 };
        let mut is_whole = true;
        reader.visit(ENTRIES, self.keys(after, upto), direction, |key, value| {
            let Some(entry) = bytes_of(&value).filter(|_| key.ends_with(&next.to_be_bytes())) else {
                is_whole = false;
                return ControlFlow::Break(());
            };
            bytes += entry.len() + 1;
            if entries.len() >= rows || (bytes > MAX_PAGE_BYTES && !entries.is_empty()) {
                return ControlFlow::Break(());
            }
            entries.push(entry);
            next = if newest { next - 1 } else { next + 1 };
            ControlFlow::Continue(())
        })?;
        if !is_whole || (entries.is_empty() && after < upto && rows > 0) {
            return Err(LogError::Damaged("entries are missing"));
        }
        if newest {
            entries.reverse();
        }
        Ok(Page { entries })
    }
}

/// Why a batch was not put on disk.
#[derive(Debug, thiserror::Error)]
enum NotPut {
    /// The log does not end where the host believes.
    #[error("the log ends at {found}, not at {expected}")]
    WrongEnd { found: u64, expected: u64 },
    /// A checkpoint has no stored form.
    #[error("not of the expected form: {0}")]
    Form(String),
}

fn row(hash: Hash, entry: &[u8]) -> BytesMut {
    let mut value = BytesMut::with_capacity(HASH_BYTES + entry.len());
    value.put_slice(hash.as_bytes());
    value.put_slice(entry);
    value
}

fn hash_of(value: &[u8]) -> Option<Hash> {
    Some(Hash::from_bytes(*value.first_chunk()?))
}

/// The entry's exact bytes, without a copy.
fn bytes_of(value: &Bytes) -> Option<Bytes> {
    (value.len() > HASH_BYTES).then(|| value.slice(HASH_BYTES..))
}
