//! How two peers meet: what they ask their tracker, and what it tells them.
//!
//! Nobody learns the address of somebody who does not want to talk to them: the tracker hands out addresses only where
//! both sides have said so.

use serde::{Deserialize, Serialize};

use super::directory::Owner;
use super::{Empty, commands};
use crate::clock::Timestamp;
use crate::id::Subject;
use crate::identity::PeerKey;
use crate::name::UserName;
use crate::transport::Address;

/// Asks somebody for a conversation.
///
/// Answered alike whether there is such a user or not, and wherever they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Knock {
    /// Whom.
    pub name: UserName,
    /// Whether its user, who is invisible, is to be seen by them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
}

/// The answer to KNOCK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Always the same.
    pub state: SentState,
}

/// All that is said of what became of a KNOCK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentState {
    /// It is kept for whoever has the name.
    #[default]
    Sent,
}

/// Says that this peer wants to talk to somebody, and where it can be reached; holds as long as the connection.
///
/// The two are introduced as soon as each has said so of the other's key. A KNOCK says so of every key of its user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Introduce {
    /// With whom.
    pub subject: Subject,
    /// The devices that this peer agrees to; none takes an earlier INTRODUCE back.
    pub keys: Vec<PeerKey>,
    /// Whether the KNOCK of these devices is turned down instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reject: bool,
    /// The port this peer listens on; the tracker adds the IP that it sees the peer come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Addresses that the peer knows of itself, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Whether its user, who is invisible, is to be seen by them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
}

/// Somebody asks for a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knocked {
    /// Who.
    pub from: Owner,
    /// The key of the peer they ask with.
    pub key: PeerKey,
    /// When the tracker first heard of it.
    pub at: Timestamp,
}

/// Somebody with whom both sides want to talk is there; or has turned down a KNOCK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Who.
    pub who: Owner,
    /// The key of their peer.
    pub key: PeerKey,
    /// Where that peer can be reached, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Whether this peer's KNOCK was turned down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rejected: bool,
}

commands! {
    "KNOCK" Knock => Sent;
    "INTRODUCE" Introduce => Empty;
}
