//! What is pushed, unasked and unanswered.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::Pushed;
use super::directory::ChannelRecord;
use super::knock::{Introduction, Knocked};
use super::{closed, status::Refusal};
use crate::entry::RawEntry;
use crate::id::{ChannelId, IdentityKind};

closed! {
    /// All that a tracker pushes to a peer.
    TrackerEvent: Pushed {
        /// A channel somebody asked for can be reached.
        ChannelUp,
        /// A channel somebody asked for has gone.
        ChannelDown,
        /// Somebody asks for a conversation.
        Knocked,
        /// Where somebody is with whom both sides want to talk.
        Introduction,
        /// The connection is about to be closed.
        GoingAway,
    }
}

closed! {
    /// All that a host pushes to a member.
    HostEvent: Pushed {
        /// The next entry of the log.
        RawEntry,
        /// Members came.
        Joined,
        /// Members went.
        Left,
        /// The connection is about to be closed.
        GoingAway,
    }
}

/// The host of a channel that this peer asked for has announced it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChannelUp {
    /// Where it is now.
    pub channel: ChannelRecord,
}

/// The host of a channel that this peer asked for has left the tracker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ChannelDown {
    /// The channel.
    pub id: ChannelId,
}

/// Somebody of whom JOINED or LEFT tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name.
    pub name: String,
    /// Account or guest.
    pub kind: IdentityKind,
}

/// Members who came since the last JOINED.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// Who; empty when there are too many to name.
    pub members: Vec<Person>,
    /// How many.
    pub count: usize,
}

/// Members who went since the last LEFT.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Left {
    /// Who; empty when there are too many to name.
    pub members: Vec<Person>,
    /// How many.
    pub count: usize,
}

/// The last thing said on a connection by the side that closes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GoingAway {
    /// Why.
    pub reason: Refusal,
}

macro_rules! pushed {
    ($($name:literal $body:ty;)*) => {
        $(impl Pushed for $body {
            const NAME: &'static str = $name;
        })*
    };
}

pushed! {
    "MESSAGE" RawEntry;
    "CHANNEL_UP" ChannelUp;
    "CHANNEL_DOWN" ChannelDown;
    "KNOCKED" Knocked;
    "INTRODUCTION" Introduction;
    "JOINED" Joined;
    "LEFT" Left;
    "GOING_AWAY" GoingAway;
}

/// Appends the line of a MESSAGE event that carries an entry's stored bytes as they are.
pub fn put_message(lines: &mut BytesMut, entry: &Bytes) {
    lines.put_slice(br#"{"event":"MESSAGE","body":"#);
    lines.put_slice(entry);
    lines.put_slice(b"}\n");
}
