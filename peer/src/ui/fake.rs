//! A node that answers from a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::clock::Timestamp;
use common::id::{ChannelId, Epoch, IdentityKind, MessageId, Subject};
use common::identity::PeerKey;
use common::proto::status::{Code, Refusal};

use super::Node;
use crate::api::{ChatMessage, Command, Event, Identity, Outcome, Queued, Reply, SessionState};

/// The node, and what it was asked.
#[derive(Clone, Default)]
pub(crate) struct FakeNode {
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeNode {
    /// The debug forms of the commands so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Node for FakeNode {
    async fn perform(&self, command: Command) -> Outcome {
        let passwords = match &command {
            Command::Signin { password, .. } | Command::Signup { password, .. } => {
                format!(" {}", password.expose())
            }
            Command::Passwd { old, new } => format!(" {} {}", old.expose(), new.expose()),
            _ => String::new(),
        };
        let asked = format!("{command:?}");
        self.asked.lock().unwrap().push(asked + &passwords);
        match command {
            // Never answered.
            Command::Debug { .. } => std::future::pending().await,
            Command::Send { channel, .. } => Ok(Reply::Queued(Queued { id: message_id(), channel })),
            Command::Whoami | Command::Signin { .. } | Command::Guest { .. } => {
                Ok(Reply::Identity(identity()))
            }
            Command::Join { .. } => Err(Refusal { retry_after_ms: Some(1000), ..Code::HostAway.into() }),
            _ => Ok(Reply::Done {}),
        }
    }

    async fn finish(&self, limit: Duration) {
        self.asked.lock().unwrap().push(format!("finish {limit:?}"));
    }
}

pub(crate) fn key() -> PeerKey {
    PeerKey::from_bytes([0xab; 32])
}

pub(crate) fn message_id() -> MessageId {
    "01900000-0000-7000-8000-000000000001".parse().unwrap()
}

pub(crate) fn channel_id() -> ChannelId {
    "01900000-0000-7000-8000-000000000002".parse().unwrap()
}

pub(crate) fn epoch() -> Epoch {
    "01900000-0000-4000-8000-000000000003".parse().unwrap()
}

pub(crate) fn identity() -> Identity {
    let state = SessionState::Guest;
    Identity {
        state,
        username: "ken".parse().unwrap(),
        subject: Some(Subject::Guest(key())),
        key: key(),
        invisible: false,
    }
}

pub(crate) fn ready() -> Event {
    Event::Ready { username: "ken".parse().unwrap(), key: key(), listen: None }
}

pub(crate) fn message(seq: u64, text: &str) -> ChatMessage {
    ChatMessage {
        erased: None,
        erases: None,
        file: None,
        offered: None,
        channel: "first".parse().unwrap(),
        epoch: epoch(),
        seq,
        id: message_id(),
        from: "charlie".into(),
        author_kind: IdentityKind::Guest,
        subject: Subject::Guest(key()),
        kind: "text".into(),
        text: Some(text.into()),
        sent_at: Timestamp::from_millis(1_700_000_000_000),
        stored_at: Timestamp::from_millis(1_700_000_000_001),
        imported: None,
    }
}
