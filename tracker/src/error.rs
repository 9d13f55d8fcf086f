//! What can go wrong, and the one place where that becomes what the other side is told.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use common::identity::IdentityError;
use common::proto::limits::BUSY_AGAIN_AFTER;
use common::proto::status::{Code, Refusal};
use common::signed::BadSignature;
use common::storage::{OpenError, StoreError};
use common::transport::{ListenError, TlsError};

use crate::password::PasswordError;
use crate::store::directory::DirectoryError;
use crate::tracker::state::SessionGone;

/// Why a tracker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("cannot make the data folder {}: {source}; give another one with --data", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A key cannot be had.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is stored cannot be read.
    #[error("the directory cannot be read: {0}; put back a copy of the whole data folder")]
    Directory(#[from] DirectoryError),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The address cannot be listened on.
    #[error("{0} (--listen IP:PORT)")]
    Listen(#[from] ListenError),
    /// The work of opening was lost with its thread.
    #[error("the start was interrupted")]
    Interrupted,
}

/// Why a running tracker ended otherwise than it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The actor that everything depends on has died.
    #[error("the tracker's state was lost; the log says why. Start it again: what is stored is safe")]
    StateLost,
    /// The store has ended by itself.
    #[error("the store has died; the log says why. Start the tracker again")]
    StoreDied,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// For a reason that whoever asked is told.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The directory did not answer.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The password was not checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A pass could not be signed.
    #[error("a pass cannot be signed: {0}")]
    Pass(#[from] common::pass::PassError),
    /// A signed value is not whole.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The actor has ended.
    #[error("the tracker's actor does not answer: {0}")]
    Actor(#[from] actix::MailboxError),
    /// A row that another one names is not there.
    #[error("the directory does not hold together: {0} is missing")]
    Missing(&'static str),
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<SessionGone> for Failure {
    fn from(SessionGone: SessionGone) -> Self {
        Code::Superseded.into()
    }
}

static INCIDENTS: AtomicU64 = AtomicU64::new(1);

impl Failure {
    /// What whoever asked is told. What is our own fault gets a number that is also in the log.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Password(PasswordError::Busy { retry_after_ms }) => {
                Refusal { retry_after_ms: Some(retry_after_ms), ..Code::TooManyRequests.into() }
            }
            Self::Directory(DirectoryError::Write(error)) => from_store(error),
            Self::Directory(DirectoryError::Contended) => busy(),
            other => incident(Code::Internal, &other),
        }
    }
}

fn busy() -> Refusal {
    Refusal::from(Code::TooManyRequests).after(BUSY_AGAIN_AFTER)
}

fn from_store<R: std::fmt::Display + std::fmt::Debug>(error: StoreError<R>) -> Refusal
where
    StoreError<R>: std::error::Error,
{
    match error {
        StoreError::Full { .. } => {
            tracing::warn!(err = %error, "the disk is nearly full");
            Code::StorageFull.into()
        }
        StoreError::Busy => busy(),
        StoreError::Closed => Code::GoingAway.into(),
        StoreError::Failed { .. } | StoreError::Unknown { .. } => incident(Code::StorageFailed, &error),
        _ => incident(Code::Internal, &error),
    }
}

fn incident(code: Code, error: &dyn std::error::Error) -> Refusal {
    let number = INCIDENTS.fetch_add(1, Ordering::Relaxed);
    tracing::error!(incident = number, code = %code, err = ?error.to_string(), "a request failed");
    Refusal::new(code.clone(), format!("{} (incident {number})", code.sentence()))
}
