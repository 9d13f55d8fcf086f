//! What this host stored behind the place from which another machine went on leaves the log, and is kept beside it.

use bytes::Bytes;
use common::entry::{Position, RawEntry};
use common::proto::limits::MAX_APPEND_ENTRIES;
use common::storage::{Abort, Direction, KeyRange, Transaction};

use super::{CHECKPOINTS, ENTRIES, ERASED, FORGOTTEN, IDS, Log, LogError, bytes_of};
use crate::branch::{self, Branch};

impl Log {
    /// Puts the entries behind `from` aside: a hosting with this number went on without them. Returns how many there
    /// were; none when `from` is no place of this log. From the end, so that a crash in between leaves a log without a
    /// gap.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub async fn set_aside(&self, from: Position, term: u64) -> Result<u64, LogError> {
        if self.position_at(from.seq)? != Some(from) {
            return Ok(0);
        }
        // First of all: an entry whose number is free again must not count as one that was erased.
        self.unmark(from.seq).await?;
        let mut count = 0;
        loop {
            let log = self.clone();
            let moved = self.store.write(move |transaction| {
                let keys = log.keys(from.seq, u64::MAX);
                let rows = transaction.scan(ENTRIES, keys, MAX_APPEND_ENTRIES, Direction::Backward)?;
                let count = rows.len();
                for (key, value) in rows {
                    log.move_aside(transaction, term, &key, &value);
                }
                Ok::<_, Abort>(count)
            });
            let moved = moved.await?;
            count += moved as u64;
            if moved < MAX_APPEND_ENTRIES {
                return Ok(count);
            }
        }
    }

    fn move_aside(&self, transaction: &mut Transaction<'_>, term: u64, key: &[u8], value: &Bytes) {
        let seq = key.last_chunk().copied().map_or(0, u64::from_be_bytes);
        if let Some(bytes) = bytes_of(value) {
            if let Ok(header) = RawEntry::from_bytes(&bytes).and_then(|entry| entry.open()) {
                transaction.delete(IDS, self.id_key(header.id));
            }
            branch::put(transaction, self.channel, Branch { term, epoch: self.epoch }, seq, bytes);
        }
        transaction.delete(ENTRIES, key);
        transaction.delete(CHECKPOINTS, self.entry_key(seq));
    }

    /// Nothing behind `upto` is erased, has erased anything, or is too old.
    pub(super) async fn unmark(&self, upto: u64) -> Result<(), LogError> {
        let log = self.clone();
        let unmark = move |transaction: &mut Transaction<'_>| {
            let erased =
                transaction.scan(ERASED, KeyRange::prefix(log.prefix()), usize::MAX, Direction::Forward)?;
            for (key, by) in erased {
                let number = |bytes: &[u8]| bytes.last_chunk().copied().map_or(0, u64::from_be_bytes);
                if number(&key).max(number(&by)) > upto {
                    transaction.delete(ERASED, key);
                }
            }
            if log.forgotten(transaction)? > upto {
                transaction.put(FORGOTTEN, log.prefix(), Bytes::copy_from_slice(&upto.to_be_bytes()));
            }
            Ok::<_, Abort>(())
        };
        Ok(self.store.write(unmark).await?)
    }
}
