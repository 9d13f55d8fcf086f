//! How many revocations there are, and which is the latest: what is asked for every answer that could bring some.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits::SCAN_ROWS;
use crate::store::directory::{Directory, DirectoryError};
use crate::store::schema::REVOCATIONS;

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    count: AtomicUsize,
    latest: AtomicU64,
}

impl Revocations {
    /// Those on disk.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn load(directory: &Directory) -> Result<Self, DirectoryError> {
        let loaded = Self::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = directory.scan(REVOCATIONS, after.as_deref(), SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { return Ok(loaded) };
            after = Some(last.clone());
            for (rev, _) in page {
                loaded.added(rev.as_slice().try_into().map_or(0, u64::from_be_bytes));
            }
        }
    }

    /// One more is on disk.
    pub fn added(&self, rev: u64) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.0.latest.fetch_max(rev, Ordering::Relaxed);
    }

    /// One has been removed.
    pub fn forgotten(&self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// The highest number of one; 0 when there never was one.
    pub fn latest(&self) -> u64 {
        self.0.latest.load(Ordering::Relaxed)
    }
}
