//! What was erased: the archive follows the host's log. What an entry of type `erase` names loses its body here, in the
//! same write that brings the entry. What is not here yet is noted, and has no body when it comes, whoever gives it.

use common::entry::BadEntry;
use common::entry::erasure::{EraseBody, Erasure};
use common::id::{Epoch, MessageId};
use common::storage::{Abort, ReadError, Reader, Table, Transaction};
use uuid::Uuid;

use super::{Archive, ArchiveError, ENTRIES, Kept, entry_of};
use crate::api::{ChatMessage, Erased};
use crate::host::log::Log;

/// Channel, epoch and number of an entry that is erased: the number of the entry that says so, and the id that it names.
const ERASED: Table = Table::new("archive_erased");
const NUMBER_BYTES: usize = 8;

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
        let key = self.entry_key(epoch, erasure.seq);
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
                channel = %self.channel, seq = erasure.seq, by = erasure.by, is_entry = outcome.is_ok(),
                "an entry that erases names another one than is there: passed over"
            ),
        }
        Ok(())
    }

    /// The entry that has erased this one, if one has. Blocks for as long as the disk takes.
    fn erased_by(&self, reader: &Reader, epoch: Epoch, seq: u64) -> Result<Option<u64>, ReadError> {
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
                    Some(by) => Ok(message.without_text(archive.told_by(reader, epoch, by)?)),
                    None => Ok(message),
                });
            noted.collect()
        };
        self.store.read(note).await
    }

    fn told_by(&self, reader: &Reader, epoch: Epoch, by: u64) -> Result<Erased, ArchiveError> {
        let entry = match self.entry(reader, epoch, by) {
            Ok(entry) => entry,
            Err(ArchiveError::Missing(_)) => return Ok(Erased::default()),
            Err(error) => return Err(error),
        };
        let header = entry.open()?;
        let why = EraseBody::of(&header, &entry).and_then(|body| body.why);
        Ok(Erased { seq: Some(by), by: Some(header.from.name), at: Some(header.stored_at), why })
    }
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
