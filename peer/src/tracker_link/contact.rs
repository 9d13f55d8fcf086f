//! One attempt to reach the tracker: who answers has to be who answered before.

use std::path::PathBuf;

use common::files::write_private_file;
use common::identity::PeerKey;
use common::link::{Inbox, Link, RequestError};
use common::proto::limits::PROTOCOL_VERSION;
use common::proto::session::{Directory, Hello, Limits, Purpose};
use common::proto::status::{Code, Refusal};
use common::transport::{Address, DialError, Expected, Transport};

use super::trust::{BadLine, KnownTrackers};
use crate::PROGRAM;

/// Where the tracker is, and what is said in advance of its key.
#[derive(Clone, Debug)]
pub struct TrackerAddress {
    /// `HOST:PORT`.
    pub address: String,
    /// The key it has to have.
    pub key: Option<PeerKey>,
    /// Whether the key shown at first contact counts as confirmed.
    pub trust_first: bool,
}

/// The file of known trackers.
#[derive(Clone, Debug)]
pub struct TrustFile {
    path: PathBuf,
}

/// Why the file of known trackers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it means nothing.
    #[error("{path}: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which, and what to do.
        source: BadLine,
    },
}

impl TrustFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What is known.
    ///
    /// # Errors
    /// When the file cannot be read; a file that is not there knows nothing.
    pub fn load(&self) -> Result<KnownTrackers, TrustError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => KnownTrackers::parse(&text)
                .map_err(|source| TrustError::Line { path: self.path.clone(), source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(KnownTrackers::default()),
            Err(source) => Err(TrustError::Io { path: self.path.clone(), source }),
        }
    }

    /// Pins a tracker's key.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn pin(&self, address: &str, key: PeerKey, confirmed: bool) -> Result<(), TrustError> {
        let mut known = self.load()?;
        known.pin(address, key, confirmed);
        write_private_file(&self.path, known.to_string().as_bytes())
            .map_err(|source| TrustError::Io { path: self.path.clone(), source })
    }
}

impl From<TrustError> for Refusal {
    fn from(error: TrustError) -> Self {
        Self::new(Code::StorageFailed, error.to_string())
    }
}

/// A tracker that was reached and said HELLO.
pub struct Contact {
    /// The connection.
    pub link: Link,
    /// Its reading side.
    pub inbox: Inbox,
    /// What passes have to be of.
    pub directory: Directory,
    /// Whether a password may be sent.
    pub confirmed: bool,
    /// Whether this was the first contact.
    pub is_first: bool,
}

/// Dials the tracker, checks its key against the pinned one, and says HELLO; as a host, with the last revocation that it
/// knows.
///
/// # Errors
/// What keeps the peer from its tracker, and what to do.
pub async fn contact(
    transport: &Transport,
    tracker: &TrackerAddress,
    trust: &TrustFile,
    revoked_after: Option<u64>,
) -> Result<Contact, Refusal> {
    let known = trust.load()?.find(&tracker.address).cloned();
    let pinned = tracker.key.or(known.as_ref().map(|known| known.key));
    let address: Address = format!("tcp:{}", tracker.address)
        .parse()
        .map_err(|_| Refusal::new(Code::Usage, format!("{:?} is not HOST:PORT", tracker.address)))?;
    let expected = pinned.map_or(Expected::Any, Expected::Key);
    let connection =
        transport.dial(expected, &[address]).await.map_err(|error| dial_refusal(&error, tracker, trust))?;
    let key = connection.peer_key;
    let confirmed = tracker.key.is_some()
        || tracker.trust_first
        || known.as_ref().is_some_and(|known| known.confirmed && known.key == key);
    let (link, mut inbox) = Link::open(connection);
    let directory = hello(&link, &mut inbox, revoked_after).await?;
    // Not before it is known to be a tracker: a mistyped port may lead to a peer.
    if known.as_ref().is_none_or(|known| known.key != key || known.confirmed != confirmed) {
        trust.pin(&tracker.address, key, confirmed)?;
    }
    link.keep_alive();
    Ok(Contact { link, inbox, directory, confirmed, is_first: known.is_none() })
}

async fn hello(link: &Link, inbox: &mut Inbox, revoked_after: Option<u64>) -> Result<Directory, Refusal> {
    let hello = Hello { revoked_after, ..hello_for(Purpose::Control) };
    let welcome = inbox.ask(link, &hello).await.map_err(RequestError::into_refusal)?;
    welcome.directory.ok_or_else(|| Refusal::new(Code::BadRequest, "what answers there is not a tracker"))
}

/// The HELLO of this program.
pub fn hello_for(purpose: Purpose) -> Hello {
    let (program, limits) = (PROGRAM.to_owned(), Limits::default());
    Hello { protocol: PROTOCOL_VERSION, program, purpose, limits, revoked_after: None }
}

fn dial_refusal(error: &DialError, tracker: &TrackerAddress, trust: &TrustFile) -> Refusal {
    match error {
        DialError::WrongKey { expected, found, .. } => Refusal::new(
            Code::TrackerKeyChanged,
            format!(
                "the tracker at {} shows the key {found}, but {expected} is expected. Somebody may be listening in, or \
                 the tracker was set up anew. If its operator confirms the new key, start with --tracker {}#{found}, \
                 or remove its line from {}",
                tracker.address,
                tracker.address,
                trust.path.display()
            ),
        ),
        error => Refusal::new(
            Code::TrackerAway,
            format!("the tracker at {} cannot be reached: {error}", tracker.address),
        ),
    }
}
