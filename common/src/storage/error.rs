//! What can go wrong with a store, by operation.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

use super::limits::MIN_FREE_BYTES;
use super::schema::Program;
use crate::proto::limits::BUSY_AGAIN_AFTER;
use crate::proto::status::{Code, Refusal};

/// Why a store could not be opened. Nothing that was in the folder is given up by trying.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another store of this one, has the folder.
    #[error("another program uses {}: stop it, or give --data another folder", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder is that of the other program.
    #[error("{} belongs to a {found}: give this {wanted} another folder with --data", folder.display())]
    OtherProgram {
        /// The data folder.
        folder: PathBuf,
        /// Whose it is.
        found: Program,
        /// Who asked.
        wanted: Program,
    },
    /// A later release has written here.
    #[error(
        "{} was written by a newer release (its data is version {found}, this program knows {known}): \
         start that release",
        folder.display()
    )]
    Newer {
        /// The data folder.
        folder: PathBuf,
        /// The version of what is stored.
        found: u32,
        /// The version that this program writes.
        known: u32,
    },
    /// An earlier release has written here, and this one cannot bring it up to date.
    #[error(
        "{} was written by an older release (its data is version {found}, this program needs {known}): \
         start a release between them once",
        folder.display()
    )]
    Older {
        /// The data folder.
        folder: PathBuf,
        /// The version of what is stored.
        found: u32,
        /// The version that this program writes.
        known: u32,
    },
    /// What an earlier release has written could not be brought up to date. It is as it was, and tried again.
    #[error("the store in {} could not be brought to version {to} ({what}): start again when that is mended", folder.display())]
    Migration {
        /// The data folder.
        folder: PathBuf,
        /// The version that this program writes.
        to: u32,
        /// What happened.
        what: String,
    },
    /// What is stored cannot be read.
    #[error("the store in {} is damaged ({what}): put back a copy of the whole folder", folder.display())]
    Damaged {
        /// The data folder.
        folder: PathBuf,
        /// What was found.
        what: String,
    },
    /// The database ends before what was acknowledged.
    #[error(
        "the store in {} has lost its end (its database ends with write {found}, and {noted} were acknowledged): \
         put back a copy of the whole folder, or remove {mark} there to go on without what is lost",
        folder.display()
    )]
    Shorter {
        /// The data folder.
        folder: PathBuf,
        /// How many groups of writes are there.
        found: u64,
        /// How many were acknowledged.
        noted: u64,
        /// The file that says so.
        mark: &'static str,
    },
    /// The file system refused.
    #[error("cannot open the store in {}: {source}", folder.display())]
    Io {
        /// The data folder.
        folder: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// Why a write was not done, or is not known to be; `R` is the job's own reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError<R = Infallible> {
    /// The job itself decided so. Nothing of it was written.
    #[error("{0}")]
    Rejected(R),
    /// As many jobs wait as may. Nothing was written; try again later.
    #[error("the store has too much to do: try again in a moment")]
    Busy,
    /// The file system is full. Nothing was written; reads still work, writes do again when there is room.
    #[error(
        "storage_full: {free_bytes} bytes are free where {MIN_FREE_BYTES} are needed: make room on the disk"
    )]
    Full {
        /// Free bytes found.
        free_bytes: u64,
    },
    /// The job wrote more than a job, a value or a key may have. Nothing of it was written.
    #[error("{bytes} bytes are more than the {limit} that fit: write less at once")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The job could not be run, or not to its end. Nothing of it was written.
    #[error("nothing was written: {reason}")]
    Failed {
        /// What happened.
        reason: String,
    },
    /// The disk failed under the write: it may or may not be there. What a later job finds is what counts: it
    /// runs only after the database was opened again.
    #[error("it is not known whether this was written ({reason}): look before repeating it")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// The store was closed before the job. Nothing of it was written.
    #[error("the store is closed")]
    Closed,
}

impl<R> StoreError<R> {
    /// The job's own reason; otherwise what kept it from being done.
    ///
    /// # Errors
    /// The same error, of which a job is no longer the reason.
    pub fn into_rejection(self) -> Result<R, StoreError> {
        Err(match self {
            Self::Rejected(reason) => return Ok(reason),
            Self::Busy => StoreError::Busy,
            Self::Full { free_bytes } => StoreError::Full { free_bytes },
            Self::TooLarge { bytes, limit } => StoreError::TooLarge { bytes, limit },
            Self::Failed { reason } => StoreError::Failed { reason },
            Self::Unknown { reason } => StoreError::Unknown { reason },
            Self::Closed => StoreError::Closed,
        })
    }
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk failed, or has failed and the database is not open again yet: try again.
    #[error("cannot read the store: {reason}")]
    Failed {
        /// What happened.
        reason: String,
    },
    /// What is there is not of the form that it was written in.
    #[error("{what} is damaged: go on with a copy of the data folder that is whole")]
    Damaged {
        /// What cannot be read.
        what: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl ReadError {
    pub(super) fn failed(reason: impl ToString) -> Self {
        Self::Failed { reason: reason.to_string() }
    }
}

/// How a job ends without writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abort<R = Infallible> {
    /// The job's own decision, after what it read.
    Rejected(R),
    /// It could not read what it needs.
    Unreadable(ReadError),
}

impl<R> From<ReadError> for Abort<R> {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl<R> From<Abort<R>> for StoreError<R> {
    fn from(abort: Abort<R>) -> Self {
        match abort {
            Abort::Rejected(reason) => Self::Rejected(reason),
            Abort::Unreadable(error) => Self::Failed { reason: error.to_string() },
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Rejected(never) => match never {},
            StoreError::Busy => {
                return Self::new(Code::TooManyRequests, error.to_string()).after(BUSY_AGAIN_AFTER);
            }
            StoreError::Full { .. } => Code::StorageFull,
            StoreError::TooLarge { .. } => Code::BadRequest,
            StoreError::Failed { .. } | StoreError::Unknown { .. } => Code::StorageFailed,
            StoreError::Closed => Code::GoingAway,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::Failed { .. } | ReadError::Damaged { .. } => Code::StorageFailed,
            ReadError::Closed => Code::GoingAway,
        };
        Self::new(code, error.to_string())
    }
}
