//! Texts that go while their entries stay: what was erased, and what is too old to be kept.

use std::ops::ControlFlow;

use bytes::Bytes;
use common::clock::Timestamp;
use common::entry::RawEntry;
use common::entry::erasure::{ERASE, Erasure};
use common::storage::{Abort, Direction, ReadError, Transaction};

use super::{ENTRIES, ERASED, FORGOTTEN, Log, LogError, bytes_of, hash_of, row};
use crate::client::archive;

/// How many entries are looked at in one go for whether they are too old.
const FORGET_ROWS: usize = 500;
/// How many bytes of them.
const FORGET_BYTES: usize = 1024 * 1024;

impl Log {
    /// Takes the body away of the entry that is meant, in this life of the log and in those that it was forked from: with
    /// the entry that says so, so that there is never one without the other.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erase(&self, transaction: &mut Transaction<'_>, erasure: &Erasure) -> Result<(), ReadError> {
        for log in self.lives(transaction)? {
            let key = log.entry_key(erasure.seq);
            let Some(value) = transaction.get(ENTRIES, key)? else { continue };
            let (Some(hash), Some(bytes)) = (hash_of(&value), bytes_of(&value)) else { continue };
            // What cannot be read has no text that anybody is given.
            let Ok(Some(left)) = erasure.left_of(&bytes) else { continue };
            transaction.put(ENTRIES, key, row(hash, &left));
            if transaction.get(ERASED, key)?.is_none() {
                transaction.put(ERASED, key, Bytes::copy_from_slice(&erasure.by.to_be_bytes()));
            }
        }
        Ok(())
    }

    /// The number of the entry that has erased this one, if one has. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erased_by(&self, seq: u64) -> Result<Option<u64>, ReadError> {
        let by = self.store.reader().get(ERASED, self.entry_key(seq))?;
        Ok(by.and_then(|by| by.as_ref().try_into().ok()).map(u64::from_be_bytes))
    }

    /// Takes the bodies away of entries that were stored before a moment, in their order, as many as in one go. What erases
    /// keeps its body, so that whoever comes late hears of it. So in all lives of the log, and in what was received of the
    /// channel before it was hosted here. Whether there may be more.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub async fn forget(&self, before: Timestamp, now: Timestamp) -> Result<bool, LogError> {
        let log = self.clone();
        let forget = move |transaction: &mut Transaction<'_>| {
            for log in log.lives(transaction)? {
                if log.forget_some(transaction, before, now)? {
                    return Ok(true);
                }
            }
            Ok::<_, Abort>(false)
        };
        Ok(self.store.write(forget).await?)
    }

    fn forget_some(
        &self,
        transaction: &mut Transaction<'_>,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Abort> {
        let upto = self.forgotten(transaction)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        transaction.visit(ENTRIES, self.keys(upto, u64::MAX), Direction::Forward, |key, value| {
            let seq = key.last_chunk().copied().map_or(0, u64::from_be_bytes);
            bytes += value.len();
            rows.push((seq, value));
            if rows.len() < FORGET_ROWS && bytes < FORGET_BYTES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        let old = old_among(&rows, before, now);
        for (seq, value) in &rows[..old] {
            if let Some(left) = without_text(value) {
                transaction.put(ENTRIES, self.entry_key(*seq), left);
            }
            archive::forget(transaction, self.entry_key(*seq))?;
        }
        if let Some((last, _)) = rows[..old].last() {
            transaction.put(FORGOTTEN, self.prefix(), Bytes::copy_from_slice(&last.to_be_bytes()));
        }
        Ok(old > 0 && old == rows.len())
    }

    /// Up to which number texts were dropped because of their age.
    pub(super) fn forgotten(&self, transaction: &Transaction<'_>) -> Result<u64, ReadError> {
        let upto = transaction.get(FORGOTTEN, self.prefix())?;
        Ok(upto.and_then(|row| row.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes))
    }
}

/// How many of these entries, from the first one on, are older than `before`. One whose time cannot be read, or is still to
/// come since a clock was wrong, is no younger than those behind it.
fn old_among(rows: &[(u64, Bytes)], before: Timestamp, now: Timestamp) -> usize {
    let mut old = 0;
    for (place, (_, value)) in rows.iter().enumerate() {
        match stored_at(value) {
            Some(time) if time < before => old = place + 1,
            Some(time) if time <= now => break,
            _ => {}
        }
    }
    old
}

fn stored_at(value: &Bytes) -> Option<Timestamp> {
    Some(RawEntry::from_bytes(&bytes_of(value)?).ok()?.open_header().ok()?.stored_at)
}

/// What is left of an entry that is too old, if something of it goes.
fn without_text(value: &Bytes) -> Option<Bytes> {
    let mut entry = RawEntry::from_bytes(&bytes_of(value)?).ok()?;
    let header = entry.open_header().ok()?;
    entry.body.take().filter(|_| header.kind != ERASE)?;
    Some(row(hash_of(value)?, &entry.to_bytes().ok()?).freeze())
}
