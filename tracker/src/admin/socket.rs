//! The socket in the data folder over which `tracker admin` asks a running tracker.
//!
//! One line each way, and then the end: the words that were typed, as JSON, and what came of them. Only whoever may write
//! the tracker's own files gets that far: the folder and the socket are its user's alone, and who asks is looked at again.

use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::proto::status::{Code, Refusal};
use common::text::one_line;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::command::Typed;
use super::report::Report;
use crate::limits::{
    ADMIN_ANSWER_LIMIT, ADMIN_LIMIT, MAX_ADMIN_ANSWER_BYTES, MAX_ADMIN_CONNECTIONS, MAX_ADMIN_LINE_BYTES,
};
use crate::tracker::TrackerHandle;

/// What the socket is called.
const FILE: &str = "admin.sock";
/// Nobody but the tracker's user.
const MODE: u32 = 0o600;
const ROOT: u32 = 0;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    words: Vec<String>,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// What came of it, for programs.
    pub body: Box<RawValue>,
    /// The same for people.
    pub text: String,
}

/// Why a tracker was not asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nothing listens there.
    #[error("no tracker answers in {}: {source}; start it, or give its data folder with --data", folder.display())]
    Away {
        /// The data folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection was lost, or the answer is none.
    #[error("the tracker did not answer: {0}; whether it was done is shown by: tracker admin audit")]
    NoAnswer(#[from] io::Error),
}

/// The listening socket. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// Where the socket of a tracker with this data folder is.
pub fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

impl Socket {
    /// Listens in the data folder, which the tracker has locked: a socket that lies there is of an earlier run.
    ///
    /// # Errors
    /// When it cannot be made; the path of a socket has about 100 bytes at most.
    pub fn bind(data: &Path) -> io::Result<Self> {
        let path = path(data);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let socket = Self { listener, path };
        std::fs::set_permissions(&socket.path, Permissions::from_mode(MODE))?;
        Ok(socket)
    }

    /// Answers those who ask, for ever.
    pub async fn serve(&self, tracker: &TrackerHandle) {
        let places = Arc::new(Semaphore::new(MAX_ADMIN_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let tracker = tracker.clone();
                    tokio::spawn(async move {
                        if let Err(error) = serve_one(stream, &tracker).await {
                            tracing::debug!(err = %error, "an operator was not answered");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(err = %error, "operators cannot be taken in for a moment");
                    tokio::time::sleep(ADMIN_LIMIT).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A file that stays behind is taken away by the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Only reading and writing have a time limit: what is being done is done whole.
async fn serve_one(mut stream: UnixStream, tracker: &TrackerHandle) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let outcome = match timeout(ADMIN_LIMIT, read_words(&mut stream)).await?? {
        _ if !may_ask(uid) => {
            Err(Refusal::new(Code::NotAllowed, "only the user whom the tracker runs as may do this"))
        }
        Ok(words) => super::run(tracker, &format!("admin, uid {uid}"), Typed::Words(&words)).await,
        Err(refusal) => Err(refusal),
    };
    let answer = Answer::of(&outcome)?;
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(ADMIN_LIMIT, stream.write_all(&line)).await?
}

/// The permissions of file and folder say the same; but folders may have been opened by hand.
fn may_ask(uid: u32) -> bool {
    uid == ROOT || uid == geteuid().as_raw()
}

async fn read_words(stream: &mut UnixStream) -> io::Result<Result<Vec<String>, Refusal>> {
    let mut line = Vec::new();
    let limit = MAX_ADMIN_LINE_BYTES as u64;
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut line).await?;
    let asked = serde_json::from_slice::<Asked>(&line);
    Ok(asked.map(|asked| asked.words).map_err(|_| Code::BadFrame.into()))
}

impl Answer {
    fn of(outcome: &Result<Report, Refusal>) -> io::Result<Self> {
        let (ok, body, text) = match outcome {
            Ok(report) => (true, serde_json::to_string(report)?, report.text()),
            Err(refusal) => {
                (false, serde_json::to_string(refusal)?, format!("{}\n", one_line(&refusal.reason)))
            }
        };
        Ok(Self { ok, body: RawValue::from_string(body)?, text })
    }
}

/// Asks the tracker with this data folder. Blocks.
///
/// # Errors
/// When none answers.
pub fn ask(data: &Path, words: Vec<String>) -> Result<Answer, AskError> {
    let away = |source| AskError::Away { folder: data.to_owned(), source };
    let mut stream = BlockingStream::connect(path(data)).map_err(away)?;
    stream.set_read_timeout(Some(ADMIN_ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ADMIN_LIMIT))?;
    let mut line = serde_json::to_vec(&Asked { words }).map_err(io::Error::from)?;
    line.push(b'\n');
    if line.len() > MAX_ADMIN_LINE_BYTES {
        return Err(AskError::NoAnswer(io::Error::other("the command is too long")));
    }
    stream.write_all(&line)?;
    let mut answer = String::new();
    stream.take(MAX_ADMIN_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(serde_json::from_str(&answer).map_err(io::Error::from)?)
}
