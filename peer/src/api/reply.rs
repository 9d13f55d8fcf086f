//! What answers a command.

use std::net::SocketAddr;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{ChannelId, MessageId, Subject};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::channel::{Act, Banned, DebugReport, Info, Member, Role};
use common::proto::directory::{Listed, Post, Switches, View};
use common::proto::status::Refusal;
use serde::{Serialize, Serializer};

use super::direct::{ContactRow, Contacts, Conversation, StartedChat, Written};
use super::file::{FileList, FileRow};
use super::history::{BackedUp, BranchOf, Checked, ErasedEntry, Exported, Imported, Recovered, Verified};
use super::message::HistoryOf;
use super::outbox::{OutboxChange, OutboxList, Retried};
use super::presence::{UsersOf, Visibility, WatchList};
use super::search::{Found, Reindexing};
use super::transfer::OffersOf;

/// How a command ends.
pub type Outcome = Result<Reply, Refusal>;

/// The answer to a command that was done.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// Who this peer is now.
    Identity(Identity),
    /// The tracker's key.
    Trust(Trust),
    /// The devices of the account.
    Devices(DevicesOf),
    /// A device was signed out.
    SignedOut(DeviceRow),
    /// A page of channels.
    Channels(Channels),
    /// Who is at the tracker.
    Users(UsersOf),
    /// Whom the user watches.
    Watched(WatchList),
    /// Whether others see this account.
    Visibility(Visibility),
    /// The channels this peer has to do with.
    Connected(ConnectedChannels),
    /// Who is in a channel.
    Members(MembersOf),
    /// What a channel is.
    Info(Box<Info>),
    /// Who may do what has changed, or somebody was put out.
    Moderated(Moderated),
    /// Who is banned.
    Bans(BansOf),
    /// What owner and moderators have done.
    Audit(AuditOf),
    /// What is connected and what is not.
    Status(Box<StatusReport>),
    /// The inside of a host.
    Debug(DebugReport),
    /// The inside of the peer.
    Client(Box<ClientReport>),
    /// A channel is hosted now.
    Hosting(Hosting),
    /// The channels that are offered, either way.
    Offers(OffersOf),
    /// A channel is joined now.
    Joined(JoinedChannel),
    /// A message is on disk.
    Queued(Queued),
    /// What waits to be sent.
    Outbox(OutboxList),
    /// A message was changed, or is to be.
    Changed(OutboxChange),
    /// Refused messages go out again.
    Retried(Retried),
    /// A page of a log.
    History(HistoryOf),
    /// What was found.
    Found(Found),
    /// The index is being made anew.
    Reindexing(Reindexing),
    /// What was put aside when a channel moved.
    Branch(BranchOf),
    /// Whether what was received is what the host has signed.
    Verified(Verified),
    /// After `erase`.
    Erased(ErasedEntry),
    /// A channel was written into a file.
    Exported(Exported),
    /// A channel was made of a file.
    Imported(Imported),
    /// What a log had lost is back, or what of it is not.
    Recovered(Box<Recovered>),
    /// All that this peer keeps was copied.
    BackedUp(BackedUp),
    /// What an export is.
    Checked(Box<Checked>),
    /// Somebody was asked for a conversation.
    Started(StartedChat),
    /// Somebody is a contact now.
    Contact(ContactRow),
    /// Everybody this user has to do with.
    Contacts(Contacts),
    /// A message to one user is on disk.
    Written(Written),
    /// A page of a conversation.
    Conversation(Conversation),
    /// What is offered, either way.
    Files(FileList),
    /// Something that is offered, as it is now.
    File(Box<FileRow>),
    /// Done; nothing more to say.
    Done {},
}

/// Who this peer is.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// Whether the tracker has let us in, and as what.
    pub state: SessionState,
    /// The name in use, or wanted.
    pub username: UserName,
    /// Who, whatever the name; absent without a pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// This peer's key.
    pub key: PeerKey,
    /// Whether others see this account as away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
}

/// Whether the tracker has let this peer in, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// As a guest.
    Guest,
    /// As an account.
    Account,
    /// Not (yet).
    None,
}

/// The devices that are signed in to this account.
#[derive(Clone, Debug, Serialize)]
pub struct DevicesOf {
    /// The rows, the one that was signed in first at the beginning.
    pub devices: Vec<DeviceRow>,
}

/// A device that is signed in to this account, or was.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceRow {
    /// Its key.
    pub key: PeerKey,
    /// Since when it is signed in, or signed out.
    #[serde(serialize_with = "rfc3339")]
    pub since: Timestamp,
    /// When it was last at the tracker.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    pub seen: Option<Timestamp>,
    /// Whether it is there now.
    pub online: bool,
    /// It has signed out by itself: a pass that it may have kept counts until then.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    pub pass_until: Option<Timestamp>,
    /// Whether it is this one.
    pub this: bool,
}

/// The tracker's key, as far as it is known.
#[derive(Clone, Debug, Serialize)]
pub struct Trust {
    /// Its key; absent before the first contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PeerKey>,
    /// Whether a password may be sent to it.
    pub confirmed: bool,
    /// Where it is.
    pub tracker: String,
}

/// A page of the tracker's channels.
#[derive(Clone, Debug, Serialize)]
pub struct Channels {
    /// The rows.
    pub channels: Vec<Listed>,
    /// `list … --after` this gives the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The channels this peer has to do with.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectedChannels {
    /// The rows.
    pub channels: Vec<ChannelStatus>,
}

/// Who is in a channel.
#[derive(Clone, Debug, Serialize)]
pub struct MembersOf {
    /// The channel.
    pub channel: ChannelName,
    /// The rows: one a subject.
    pub members: Vec<Member>,
    /// How many there are in all.
    pub total: usize,
}

/// What an order to a channel's host has come to.
#[derive(Clone, Debug, Serialize)]
pub struct Moderated {
    /// The channel.
    pub channel: ChannelName,
    /// Whether anything is another way than before; after `kick`, whether somebody was put out.
    pub changed: bool,
    /// Which policy is in force.
    pub rev: u64,
    /// What was done.
    #[serde(flatten)]
    pub done: Done,
}

/// What was done to a channel, or to somebody in it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// Who may join was said.
    View {
        /// Who.
        view: View,
    },
    /// Who may send was said.
    Post {
        /// Who.
        post: Post,
    },
    /// For how long texts are kept was said.
    Retention {
        /// As it is typed.
        retention: String,
    },
    /// Somebody was given a role, or it was taken back.
    Role {
        /// Who.
        who: Who,
        /// What they are now.
        role: Role,
    },
    /// Somebody was put out, or let in again.
    Door {
        /// Who.
        who: Who,
        /// Whether, and for how long.
        state: DoorState,
    },
}

/// Somebody whom an order was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Whether somebody may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DoorState {
    /// Not for a minute.
    Kicked,
    /// Not any more.
    Banned,
    /// Again, as anybody.
    Unbanned,
}

/// Who is banned from a channel.
#[derive(Clone, Debug, Serialize)]
pub struct BansOf {
    /// The channel.
    pub channel: ChannelName,
    /// The rows.
    pub bans: Vec<Banned>,
    /// How many there are in all.
    pub total: usize,
}

/// What owner and moderators of a channel have done.
#[derive(Clone, Debug, Serialize)]
pub struct AuditOf {
    /// The channel.
    pub channel: ChannelName,
    /// The acts, in order.
    pub acts: Vec<Act>,
}

/// A channel of this peer, and how it is connected.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelStatus {
    /// The channel's id.
    pub id: ChannelId,
    /// Its name.
    pub channel: ChannelName,
    /// Whether this peer hosts it.
    pub hosted: bool,
    /// Whether this peer is, or wants to be, in it.
    pub joined: bool,
    /// The client's connection.
    pub state: LinkState,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last entry that was received.
    pub seq: u64,
    /// How many messages wait in the outbox.
    pub queued: usize,
    /// Why the channel takes no messages, its host having lost a part of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
}

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It works.
    Up,
    /// It is lost, or was never there, and nobody tries.
    Down,
    /// It does not work and is tried again and again.
    Retrying,
}

/// What is connected and what is not.
#[derive(Clone, Debug, Serialize)]
pub struct StatusReport {
    /// Who this peer is.
    pub identity: Identity,
    /// The tracker.
    pub tracker: TrackerStatus,
    /// Where this peer listens; absent when it hosts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// The channels.
    pub channels: Vec<ChannelStatus>,
}

/// How the connection to the tracker is.
#[derive(Clone, Debug, Serialize)]
pub struct TrackerStatus {
    /// Where it is.
    pub address: String,
    /// The connection.
    pub state: LinkState,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is not up: lost, or tried for in vain.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    pub since: Option<Timestamp>,
    /// Its key, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PeerKey>,
}

/// This peer itself.
#[derive(Clone, Debug, Serialize)]
pub struct ClientReport {
    /// Everything of `status`.
    #[serde(flatten)]
    pub status: StatusReport,
    /// Where this peer keeps its state.
    pub data: String,
    /// Name and version of the program.
    pub program: String,
}

/// A channel is hosted now.
#[derive(Clone, Debug, Serialize)]
pub struct Hosting {
    /// The channel.
    pub channel: ChannelName,
    /// Its id.
    pub id: ChannelId,
    /// Where this peer listens.
    pub listen: SocketAddr,
    /// How far its log is.
    pub head: Position,
}

/// A channel is joined now.
#[derive(Clone, Debug, Serialize)]
pub struct JoinedChannel {
    /// The channel.
    pub channel: ChannelName,
    /// Its id.
    pub id: ChannelId,
    /// How far its log is.
    pub head: Position,
    /// What this peer's user is in it.
    pub role: Role,
    /// Who may join, and who may send.
    pub policy: Switches,
}

/// A message is on disk here and will go out by itself.
#[derive(Clone, Debug, Serialize)]
pub struct Queued {
    /// The message.
    pub id: MessageId,
    /// Where it goes.
    pub channel: ChannelName,
}

/// Timestamps are shown as RFC 3339 in UTC, with milliseconds.
pub(super) fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_utc(*at))
}

/// The same for one that may be absent.
pub(super) fn rfc3339_if_any<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// A timestamp as RFC 3339 in UTC, with milliseconds. Beyond the year 9999 it stays there.
pub fn format_utc(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_whatever_they_are() {
        assert_eq!(format_utc(Timestamp::from_millis(1)), "1970-01-01T00:00:00.001Z");
        assert!(format_utc(Timestamp::from_millis(u64::MAX)).starts_with("9999-12-3"));
    }
}
