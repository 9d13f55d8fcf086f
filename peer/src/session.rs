//! Who this peer is at its tracker, as all its parts see it.

use common::identity::PeerKey;
use common::name::UserName;
use common::pass::{Pass, SignedPass};
use common::proto::session::Directory;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::api::{Event, Identity, SessionState};

/// Who this peer is. Kept on disk, so that a peer can go on while its tracker is away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The name in use, or wanted.
    pub username: UserName,
    /// This peer's key.
    pub key: PeerKey,
    /// What the tracker signed; kept when the tracker goes away.
    pub held: Option<HeldPass>,
    /// What passes have to be of; known since the first contact.
    pub directory: Option<Directory>,
    /// Whether the tracker has let this peer in on the present connection.
    #[serde(skip)]
    pub entered: bool,
}

/// A pass of this peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPass {
    /// As it is shown to hosts.
    pub signed: SignedPass,
    /// What it says.
    pub claims: Pass,
}

impl Session {
    /// A session nobody has let in yet.
    pub fn new(username: UserName, key: PeerKey) -> Self {
        Self { username, key, held: None, directory: None, entered: false }
    }

    /// Whether the tracker has let this peer in, and as what.
    pub fn state(&self) -> SessionState {
        match &self.held {
            Some(held) if self.entered => match held.claims.kind {
                common::id::IdentityKind::Account => SessionState::Account,
                common::id::IdentityKind::Guest => SessionState::Guest,
            },
            _ => SessionState::None,
        }
    }

    /// The same, as it is shown.
    pub fn identity(&self) -> Identity {
        Identity {
            state: self.state(),
            username: self.username.clone(),
            subject: self.held.as_ref().map(|held| held.claims.subject),
            key: self.key,
        }
    }
}

/// Everybody's view of the session; the tracker's link alone changes it.
pub type SessionView = watch::Receiver<Session>;

/// How many events may wait for the user interface before the network is held back.
const WAITING_EVENTS: usize = 1024;

/// Where events for the user interface go.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Event>);

impl Events {
    /// A bounded queue of events, and the end that the user interface takes them from.
    pub fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        (Self(sender), receiver)
    }

    /// Tells the user interface, once it has room. One that is gone hears nothing.
    pub fn tell(&self, event: Event) -> impl Future<Output = ()> + Send + 'static {
        let sender = self.0.clone();
        async move {
            let _ = sender.send(event).await;
        }
    }
}
