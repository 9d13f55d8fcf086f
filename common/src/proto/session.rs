//! What is said on every connection.

use serde::{Deserialize, Serialize};

use super::limits::{MAX_FRAME_BYTES, MAX_TEXT_BYTES, MAX_UNANSWERED_MESSAGES};
use super::{Empty, commands};
use crate::id::DirectoryId;
use crate::identity::PeerKey;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A peer's connection to its tracker.
    Control,
    /// A member's connection to a channel's host.
    Channel,
    /// A conversation of two peers.
    Direct,
    /// A purpose this program does not serve.
    #[serde(other)]
    Other,
}

/// The bounds that a side holds the other to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest frame, in bytes.
    pub frame_bytes: usize,
    /// The longest text of a message, in bytes.
    pub text_bytes: usize,
    /// How many messages may be unanswered.
    pub unanswered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes: MAX_FRAME_BYTES, text_bytes: MAX_TEXT_BYTES, unanswered: MAX_UNANSWERED_MESSAGES }
    }
}

/// The first request on every connection, by the side that dialled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`](super::limits::PROTOCOL_VERSION) of the asking side.
    pub protocol: u32,
    /// Name and version of the asking program, for people.
    pub program: String,
    /// What the connection is for.
    pub purpose: Purpose,
    /// What the asking side can take.
    #[serde(default)]
    pub limits: Limits,
}

/// The answer to HELLO.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol's version on the answering side.
    pub protocol: u32,
    /// Name and version of the answering program, for people.
    pub program: String,
    /// What the answering side can take.
    #[serde(default)]
    pub limits: Limits,
    /// A tracker's directory; absent from hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
}

/// What a tracker says of its directory: with it, a host checks passes offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The directory that passes have to be of.
    pub id: DirectoryId,
    /// The keys whose signature on a pass counts, the one in use first.
    pub signing_keys: Vec<PeerKey>,
}

/// Proves that the connection lives. Either side may ask.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Ping {}

commands! {
    "HELLO" Hello => Welcome;
    "PING" Ping => Empty;
}
