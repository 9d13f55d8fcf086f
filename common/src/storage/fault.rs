//! What a store asks of the disk beside sled, so that tests can make it fail.

use std::io;
use std::path::Path;
#[cfg(any(test, feature = "testing"))]
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The disk under a store; a plain one in the programs.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(any(test, feature = "testing"))]
    faults: Option<Arc<Faults>>,
}

impl Disk {
    /// Free bytes of the file system with `folder` that this user may fill.
    #[cfg_attr(not(any(test, feature = "testing")), allow(clippy::unused_self))]
    pub fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(faults) = &self.faults
            && faults.pretend_free.load(Ordering::SeqCst)
        {
            return Ok(faults.free_bytes.load(Ordering::SeqCst));
        }
        let found = rustix::fs::statvfs(folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Called before a group is given to sled.
    #[cfg_attr(not(any(test, feature = "testing")), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub fn before_write(&self) -> Result<(), String> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(faults) = &self.faults
            && faults.lose_next_write.swap(false, Ordering::SeqCst)
        {
            return Err("made to fail before the write".to_owned());
        }
        Ok(())
    }

    /// Called before a flush, which sled then may do all the same when the database is closed.
    #[cfg_attr(not(any(test, feature = "testing")), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub fn before_flush(&self) -> Result<(), String> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(faults) = &self.faults {
            faults.flushes.fetch_add(1, Ordering::SeqCst);
            assert!(!faults.panic_at_next_flush.load(Ordering::SeqCst), "made to panic at the flush");
            if faults.fail_next_flush.swap(false, Ordering::SeqCst) {
                return Err("made to fail before the flush".to_owned());
            }
        }
        Ok(())
    }

    /// Called before sled's file is put on disk.
    #[cfg_attr(not(any(test, feature = "testing")), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub fn before_sync(&self) -> Result<(), String> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(faults) = &self.faults
            && faults.fail_next_sync.swap(false, Ordering::SeqCst)
        {
            return Err("made to fail before the fsync".to_owned());
        }
        Ok(())
    }

    /// A disk that does as `faults` says.
    #[cfg(any(test, feature = "testing"))]
    pub fn with_faults(faults: Arc<Faults>) -> Self {
        Self { faults: Some(faults) }
    }
}

/// Makes the disk under a store fail on command, in tests.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct Faults {
    pretend_free: AtomicBool,
    free_bytes: AtomicU64,
    lose_next_write: AtomicBool,
    fail_next_flush: AtomicBool,
    fail_next_sync: AtomicBool,
    panic_at_next_flush: AtomicBool,
    flushes: AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl Faults {
    /// The file system has this many free bytes from now on; `None` is what it really has.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        self.free_bytes.store(free.unwrap_or_default(), Ordering::SeqCst);
        self.pretend_free.store(free.is_some(), Ordering::SeqCst);
    }

    /// The next group is answered `Unknown`, and is not there.
    pub fn lose_next_write(&self) {
        self.lose_next_write.store(true, Ordering::SeqCst);
    }

    /// The next group is answered `Unknown`, and is there after all.
    pub fn fail_next_flush(&self) {
        self.fail_next_flush.store(true, Ordering::SeqCst);
    }

    /// The next group is answered `Unknown`, and the kernel has it.
    pub fn fail_next_sync(&self) {
        self.fail_next_sync.store(true, Ordering::SeqCst);
    }

    /// The next group kills the committer.
    pub fn panic_at_next_flush(&self) {
        self.panic_at_next_flush.store(true, Ordering::SeqCst);
    }

    /// Flushes so far; one for each group that wrote anything.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst)
    }
}
