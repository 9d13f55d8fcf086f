//! What is done now and then: hosts that are there are noted as seen, and what has lapsed goes.

use common::id::Subject;
use common::identity::PeerKey;

use super::TrackerHandle;
use super::messages::Due;
use crate::error::Failure;
use crate::limits::{SCAN_ROWS, SWEEP_EVERY};
use crate::store::directory::Tries;
use crate::store::schema::{KEYS, USER_NAMES};

impl TrackerHandle {
    /// Sweeps now and then, for ever.
    pub async fn keep_sweeping(self) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(err = ?error.to_string(), "what has lapsed could not be swept out");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    /// Sweeps once.
    ///
    /// # Errors
    /// When the directory cannot be read or written; what was not done is done the next time.
    pub async fn sweep(&self) -> Result<(), Failure> {
        let now = self.now();
        let (online, lapsed) = self.actor.send(Due { now }).await?;
        self.note_seen(online, now).await?;
        self.remove_lapsed(lapsed).await?;
        self.sweep_retired().await?;
        self.sweep_knocks().await?;
        self.sweep_revocations().await?;
        self.sweep_guest_names().await
    }

    async fn sweep_guest_names(&self) -> Result<(), Failure> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.directory.scan(USER_NAMES, after.as_deref(), SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let now = self.now();
            for (look, row) in page {
                if let (false, Subject::Guest(key)) = (row.value.is_alive(now), row.value.holder) {
                    self.forget_lapsed_name(&look, key).await?;
                }
            }
        }
    }

    /// Whoever enters with the key meanwhile does the same; a conflict with that needs no second try.
    async fn forget_lapsed_name(&self, look: &[u8], key: PeerKey) -> Result<(), Failure> {
        let now = self.now();
        let mut change = self.directory.change();
        if change.get(USER_NAMES, look).await?.is_some_and(|claim| !claim.is_alive(now)) {
            change.delete(USER_NAMES, look);
        }
        let mut row = change.get(KEYS, key.as_bytes()).await?.unwrap_or_default();
        row.held.retain(|held| now < held.until);
        if row.held.is_empty() && row.account.is_none() && !row.is_signed_out {
            change.delete(KEYS, key.as_bytes());
        } else {
            change.put(KEYS, key.as_bytes(), &row)?;
        }
        change.commit(&mut Tries::default()).await?;
        Ok(())
    }
}
