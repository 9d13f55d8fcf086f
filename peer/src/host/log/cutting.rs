//! A log that is cut back to where it was.

use common::entry::RawEntry;
use common::proto::limits::MAX_APPEND_ENTRIES;
use common::storage::{Abort, Direction, Transaction};

use super::{CHECKPOINTS, ENTRIES, IDS, Log, LogError, bytes_of};

impl Log {
    /// Drops the entries behind this number: they are of no log that anybody knows. From the end, so that a crash in between
    /// leaves a log without a gap.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub async fn cut_back(&self, to: u64) -> Result<(), LogError> {
        if to == 0 {
            return Ok(self.clear().await?);
        }
        self.unmark(to).await?;
        loop {
            let log = self.clone();
            let cut = self.store.write(move |transaction| log.cut_some(transaction, to));
            if cut.await? < MAX_APPEND_ENTRIES {
                return Ok(());
            }
        }
    }

    fn cut_some(&self, transaction: &mut Transaction<'_>, to: u64) -> Result<usize, Abort> {
        let rows =
            transaction.scan(ENTRIES, self.keys(to, u64::MAX), MAX_APPEND_ENTRIES, Direction::Backward)?;
        let count = rows.len();
        for (key, value) in rows {
            let entry = bytes_of(&value).and_then(|bytes| RawEntry::from_bytes(&bytes).ok()?.open().ok());
            if let Some(header) = entry {
                transaction.delete(IDS, self.id_key(header.id));
            }
            for table in [ENTRIES, CHECKPOINTS] {
                transaction.delete(table, &key);
            }
        }
        Ok(count)
    }
}
