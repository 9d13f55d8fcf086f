//! Who this peer is at its tracker, as all its parts see it.

use common::id::IdentityKind;
use common::identity::PeerKey;
use common::name::UserName;
use common::pass::{Pass, SignedPass};
use common::proto::session::Directory;
use common::proto::status::Code;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::api::{Event, Identity, SessionState};
pub use crate::events::Events;

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
    /// Whether nobody is to see that this account is there. The tracker keeps it; kept here too, for when it is away.
    #[serde(default)]
    pub invisible: bool,
    /// Whether the tracker has let this peer in on the present connection.
    #[serde(skip)]
    pub entered: bool,
    /// The number of the present connection to the tracker, or of the last; from 1.
    #[serde(skip)]
    pub contact: u64,
}

/// A pass of this peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPass {
    /// As it is shown to hosts.
    pub signed: SignedPass,
    /// What it says.
    pub claims: Pass,
}

/// The name to go by from the start.
#[derive(Clone, Debug)]
pub struct FirstName {
    /// The name.
    pub name: UserName,
    /// Whether the user asked for it.
    pub was_given: bool,
}

impl Session {
    /// The session as it was kept, unless the user asks for another name; and what they have to know of it.
    ///
    /// A guest's pass under another name is let go of. An account stays: only a sign-out leaves it.
    pub fn at_start(kept: Option<Self>, first: FirstName, key: PeerKey) -> (Self, Option<Event>) {
        let FirstName { name, was_given } = first;
        let Some(kept) = kept else { return (Self::new(name, key), None) };
        let is_account = |held: &HeldPass| held.claims.kind == IdentityKind::Account;
        if !was_given || (kept.held.is_some() && kept.username == name) {
            (kept, None)
        } else if kept.held.as_ref().is_some_and(is_account) {
            let reason = format!(
                "this peer is signed in as {}, not as {name}. To change, type: signout, then guest {name} or signin \
                 {name}; or start with another --data",
                kept.username
            );
            (kept, Some(Event::Warning { code: Code::AlreadySignedIn, reason, channel: None }))
        } else {
            (Self { username: name, held: None, invisible: false, ..kept }, None)
        }
    }

    /// A session nobody has let in yet.
    pub fn new(username: UserName, key: PeerKey) -> Self {
        Self { username, key, held: None, directory: None, invisible: false, entered: false, contact: 0 }
    }

    /// The number of the connection over which the tracker has let this peer in, while it lasts.
    pub fn entered_over(&self) -> Option<u64> {
        self.entered.then_some(self.contact)
    }

    /// Whether the tracker has let this peer in, and as what.
    pub fn state(&self) -> SessionState {
        match &self.held {
            Some(held) if self.entered => match held.claims.kind {
                IdentityKind::Account => SessionState::Account,
                IdentityKind::Guest => SessionState::Guest,
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
            invisible: self.invisible,
        }
    }
}

/// Everybody's view of the session; the tracker's link alone changes it.
pub type SessionView = watch::Receiver<Session>;
