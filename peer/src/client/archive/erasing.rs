//! What was erased: the archive follows the host's log. What an entry of type `erase` names loses its body here, in the
//! same write that brings the entry. What is not here yet is noted, and has no body when it comes, whoever gives it.

use std::ops::Bound;

use bytes::Bytes;
use common::entry::erasure::{ERASE, EraseBody, Erasure};
use common::entry::{BadEntry, RawEntry};
use common::id::{Epoch, MessageId};
use common::storage::{Abort, Direction, KeyRange, ReadError, Reader, Table, Transaction};
use uuid::Uuid;

use super::{Archive, ArchiveError, ENTRIES, INTERVALS, Kept, entry_of};
use crate::api::{ChatMessage, Erased};
use crate::host::log::Log;

/// Channel, epoch and number of an entry that is erased: the number of the entry that says so, and the id that it names.
pub(super) const ERASED: Table = Table::new("archive_erased");
const NUMBER_BYTES: usize = 8;
/// Channel, epoch and number.
const ENTRY_KEY_BYTES: usize = 40;
/// How many entries are looked through in one go.
const FOLLOWED_ROWS: usize = 256;

impl Archive {
    /// Puts an entry that comes in, without its body if it was erased before.
    pub(super) fn put_entry(
        &self,
        transaction: &mut Transaction<'_>,
        epoch: Epoch,
        entry: Kept,
    ) -> Result<(), Abort> {
        let key = self.entry_key(epoch, entry.seq);
        let noted = transaction.get(ERASED, key)?.and_then(|row| parse(entry.seq, &row));
        let left = noted.and_then(|erasure| entry.without_body(&erasure).transpose());
        if noted.is_some() && left.is_none() {
            // Another entry was named.
            transaction.delete(ERASED, key);
        }
        // What is no entry is written as it came, as it would be without all this.
        let kept = left.and_then(Result::ok).unwrap_or(entry);
        transaction.put(ENTRIES, key, kept.value);
        Ok(())
    }

    /// Erases an entry, or has it come without its body later.
    pub(super) fn erase(
        &self,
        transaction: &mut Transaction<'_>,
        epoch: Epoch,
        erasure: &Erasure,
    ) -> Result<(), Abort> {
        erase(transaction, self.entry_key(epoch, erasure.seq), erasure)?;
        for life in self.lives(transaction, epoch)? {
            let key = self.entry_key(life, erasure.seq);
            if transaction.get(ENTRIES, key)?.is_some() {
                erase(transaction, key, erasure)?;
            }
        }
        // What this machine hosts, or has hosted, was received by nobody.
        Ok(Log::new(self.store.clone(), self.channel, epoch).erase(transaction, erasure)?)
    }

    /// The other lives of the channel's log of which there is something.
    fn lives(&self, transaction: &Transaction<'_>, epoch: Epoch) -> Result<Vec<Epoch>, ReadError> {
        let rows = transaction.scan(
            INTERVALS,
            KeyRange::prefix(self.channel.0.as_bytes()),
            usize::MAX,
            Direction::Forward,
        )?;
        let lives = rows.iter().filter_map(|(key, _)| Some(Epoch(Uuid::from_bytes(*key.last_chunk()?))));
        Ok(lives.filter(|life| *life != epoch).collect())
    }

    /// The entry that has erased this one, if one has. Blocks for as long as the disk takes.
    pub(super) fn erased_by(
        &self,
        reader: &Reader,
        epoch: Epoch,
        seq: u64,
    ) -> Result<Option<u64>, ReadError> {
        if let Some(row) = reader.get(ERASED, self.entry_key(epoch, seq))? {
            return Ok(parse(seq, &row).map(|erasure| erasure.by));
        }
        Log::new(self.store.clone(), self.channel, epoch).erased_by(seq)
    }

    /// Says of messages that are erased by whom, when and why.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn note_erased(
        &self,
        epoch: Epoch,
        messages: Vec<ChatMessage>,
    ) -> Result<Vec<ChatMessage>, ArchiveError> {
        let archive = self.clone();
        let note = move |reader: &Reader| {
            let noted =
                messages.into_iter().map(|message| match archive.erased_by(reader, epoch, message.seq)? {
                    Some(by) => {
                        let told = archive.told_by(reader, epoch, (message.seq, by))?;
                        Ok(message.without_text(told))
                    }
                    None => Ok(message),
                });
            noted.collect()
        };
        self.store.read(note).await
    }

    /// What the entry with the second number says of the one with the first; nothing when it speaks of another.
    fn told_by(&self, reader: &Reader, epoch: Epoch, (seq, by): (u64, u64)) -> Result<Erased, ArchiveError> {
        let entry = match self.entry(reader, epoch, by) {
            Ok(entry) => entry,
            Err(ArchiveError::Missing(_)) => return Ok(Erased::default()),
            Err(error) => return Err(error),
        };
        let header = entry.open()?;
        let told = EraseBody::of(&header, &entry).filter(|body| body.seq == seq);
        Ok(told.map_or_else(Erased::default, |body| Erased {
            seq: Some(by),
            by: Some(header.from.name),
            at: Some(header.stored_at),
            why: body.why,
        }))
    }
}

fn erase(
    transaction: &mut Transaction<'_>,
    key: [u8; ENTRY_KEY_BYTES],
    erasure: &Erasure,
) -> Result<(), ReadError> {
    let Some(value) = transaction.get(ENTRIES, key)? else {
        transaction.put(ERASED, key, row(erasure));
        return Ok(());
    };
    match (Kept { seq: erasure.seq, value }).without_body(erasure) {
        Ok(Some(left)) => {
            transaction.put(ENTRIES, key, left.value);
            if transaction.get(ERASED, key)?.is_none() {
                transaction.put(ERASED, key, row(erasure));
            }
        }
        // The host decides who may; but what it names has to be what is there.
        outcome => tracing::warn!(
            seq = erasure.seq,
            by = erasure.by,
            is_entry = outcome.is_ok(),
            "an entry that erases names another one than is there: passed over"
        ),
    }
    Ok(())
}

/// Takes the body away of an entry that is too old to be kept by the channel's host, which this machine is.
///
/// # Errors
/// When the store cannot be read.
pub fn forget(transaction: &mut Transaction<'_>, key: [u8; ENTRY_KEY_BYTES]) -> Result<(), ReadError> {
    let Some(value) = transaction.get(ENTRIES, key)? else { return Ok(()) };
    if let Some(left) = without_text(&value) {
        transaction.put(ENTRIES, key, left);
    }
    Ok(())
}

/// What is left of an entry that is too old, if something of it goes.
fn without_text(value: &[u8]) -> Option<Vec<u8>> {
    let bytes = entry_of(value)?;
    let mut entry = RawEntry::from_bytes(bytes).ok()?;
    entry.body.take().filter(|_| entry.open_header().is_ok_and(|header| header.kind != ERASE))?;
    Some([&value[..value.len() - bytes.len()], &entry.to_bytes().ok()?].concat())
}

/// Of an archive that a release has kept which did not know entries that erase: follows those that are in it, some at a
/// time.
///
/// # Errors
/// When the store cannot be read.
pub fn follow_kept(
    transaction: &mut Transaction<'_>,
    after: Option<Bytes>,
) -> Result<Option<Bytes>, ReadError> {
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_vec()));
    let rows = transaction.scan(ENTRIES, (from, Bound::Unbounded), FOLLOWED_ROWS, Direction::Forward)?;
    for (key, value) in &rows {
        let entry = entry_of(value).and_then(|bytes| RawEntry::from_bytes(bytes).ok());
        let opened = entry.and_then(|entry| Some((entry.open().ok()?, entry)));
        let erasure = opened.and_then(|(header, entry)| Erasure::of(&header, &entry));
        let key: Option<[u8; ENTRY_KEY_BYTES]> = key.as_ref().try_into().ok();
        if let (Some(mut key), Some(erasure)) = (key, erasure) {
            key[ENTRY_KEY_BYTES - NUMBER_BYTES..].copy_from_slice(&erasure.seq.to_be_bytes());
            erase(transaction, key, &erasure)?;
        }
    }
    let is_all = rows.len() < FOLLOWED_ROWS;
    Ok(rows.into_iter().next_back().map(|(key, _)| key).filter(|_| !is_all))
}

impl Kept {
    /// What is left of it when it is erased; nothing when another entry is meant.
    ///
    /// # Errors
    /// When what is kept is none.
    pub fn without_body(&self, erasure: &Erasure) -> Result<Option<Self>, BadEntry> {
        let Some(entry) = entry_of(&self.value) else { return Ok(None) };
        let Some(left) = erasure.left_of(entry)? else { return Ok(None) };
        let before = &self.value[..self.value.len() - entry.len()];
        Ok(Some(Self { seq: self.seq, value: [before, &left].concat().into() }))
    }
}

fn row(erasure: &Erasure) -> Vec<u8> {
    [&erasure.by.to_be_bytes()[..], erasure.id.0.as_bytes()].concat()
}

fn parse(seq: u64, row: &[u8]) -> Option<Erasure> {
    let (by, id) = row.split_first_chunk::<NUMBER_BYTES>()?;
    let id = MessageId(Uuid::from_slice(id).ok()?);
    Some(Erasure { by: u64::from_be_bytes(*by), seq, id })
}
