//! What is pushed, unasked and unanswered.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::Pushed;
use super::device::Revoked;
use super::directory::ChannelRecord;
use super::knock::{Introduction, Knocked};
use super::policy::{Post, Role, View};
use super::presence::{CameOnline, InvisibleChanged, User, WentOffline};
use super::transfer::Offered;
use super::{closed, status::Refusal};
use crate::clock::Timestamp;
use crate::entry::{Checkpoint, RawEntry};
use crate::id::{ChannelId, IdentityKind, Subject};
use crate::signed::Signed;

closed! {
    /// All that a tracker pushes to a peer.
    TrackerEvent: Pushed {
        /// A channel somebody asked for can be reached.
        ChannelUp,
        /// A channel somebody asked for has gone.
        ChannelDown,
        /// Some whom this peer watches have come.
        CameOnline,
        /// Some whom this peer watches have gone.
        WentOffline,
        /// Another device has made this account invisible, or visible.
        InvisibleChanged,
        /// Somebody asks for a conversation.
        Knocked,
        /// Where somebody is with whom both sides want to talk.
        Introduction,
        /// Passes do not count any more. To hosts.
        Revoked,
        /// A channel that this peer hosts is hosted by another one from now on.
        Superseded,
        /// A channel is offered to this user, or was.
        Offered,
        /// The tracker's operator has something to say to all.
        Broadcast,
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
        /// Others may join now than before.
        ViewChanged,
        /// Others may send now than before.
        PostChanged,
        /// Somebody is something else here than before.
        RoleChanged,
        /// This member is put out.
        Kicked,
        /// What the host has signed of its log by now.
        SignedHead,
        /// The host has lost a part of its log.
        LogBehind,
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

/// To the host of a channel: another key of its owner has taken it over, or the one that it was handed over to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Superseded {
    /// Where it is now.
    pub channel: ChannelRecord,
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

/// Who may join is another now. Who may not stay is put out after this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ViewChanged {
    /// Who may.
    pub view: View,
    /// Which policy says so.
    pub rev: u64,
    /// The name of whoever changed it.
    pub by: String,
}

/// Who may send is another now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostChanged {
    /// Who may.
    pub post: Post,
    /// Which policy says so.
    pub rev: u64,
    /// The name of whoever changed it.
    pub by: String,
}

/// Somebody was given a role, or has lost it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleChanged {
    /// Who.
    pub subject: Subject,
    /// The name, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they are now.
    pub role: Role,
    /// Which policy says so.
    pub rev: u64,
    /// The name of whoever changed it.
    pub by: String,
}

/// This member is put out, and is not to come back by itself. GOING_AWAY follows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kicked {
    /// The name of whoever did it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether it is for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub banned: bool,
    /// For how long the host refuses this member, when it is not for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A word to all who are at the tracker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Broadcast {
    /// Who says it; absent when it is the tracker's operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<User>,
    /// What.
    pub text: String,
    /// When, by the tracker's clock.
    pub sent_at: Timestamp,
}

/// The host's signature on where its log ends: with it a member can prove what it was given, should the host lose it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedHead {
    /// The signature.
    pub checkpoint: Signed<Checkpoint>,
}

/// The host has found that it has lost a part of its log: it takes no messages until its owner has recovered it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogBehind {}

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
    "REVOKED" Revoked;
    "SUPERSEDED" Superseded;
    "BROADCAST" Broadcast;
    "JOINED" Joined;
    "LEFT" Left;
    "JOINED" CameOnline;
    "LEFT" WentOffline;
    "INVISIBLE" InvisibleChanged;
    "VIEW_CHANGED" ViewChanged;
    "POST_CHANGED" PostChanged;
    "ROLE_CHANGED" RoleChanged;
    "KICKED" Kicked;
    "CHECKPOINT" SignedHead;
    "LOG_BEHIND" LogBehind;
    "GOING_AWAY" GoingAway;
}

/// Appends the line of a MESSAGE event that carries an entry's stored bytes as they are.
pub fn put_message(lines: &mut BytesMut, entry: &Bytes) {
    lines.put_slice(br#"{"event":"MESSAGE","body":"#);
    lines.put_slice(entry);
    lines.put_slice(b"}\n");
}
