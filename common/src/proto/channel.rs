//! What a member may ask a channel's host.

mod moderation;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::directory::Owner;
use super::moving::Hosting;
pub use super::policy::Role;
use super::policy::Switches;
use super::session::{Hello, Ping};
use super::transfer::Take;
use super::{Empty, closed, commands};
use crate::clock::Timestamp;
use crate::entry::{Checkpoint, Position, RawEntry};
use crate::id::{ChannelId, Epoch, IdentityKind, MessageId, Subject};
use crate::name::ChannelName;
use crate::pass::SignedPass;
use crate::signed::Signed;

pub use moderation::{
    Act, Audit, AuditPage, Authorize, Ban, BanList, Banned, Bans, Deauthorize, Kick, Moderated, SetPost,
    SetRetention, SetView, Someone, Unban,
};

closed! {
    /// All that a member may ask a channel's host.
    HostRequest: Command {
        /// Opens the session.
        Hello,
        /// Proves that the connection lives.
        Ping,
        /// Enters the channel.
        Connect,
        /// Renews the pass within the session.
        Pass,
        /// Leaves the channel.
        Disconnect,
        /// Sends a message.
        Message,
        /// What has become of messages sent earlier.
        StatusOf,
        /// A page of the log.
        History,
        /// What was said that has certain words in it.
        Search,
        /// What the host has signed of its log.
        Verify,
        /// Erases the body of an entry.
        Erase,
        /// Who is in the channel.
        Members,
        /// What the channel is.
        RetInfo,
        /// Says who may join.
        SetView,
        /// Says who may send.
        SetPost,
        /// Says for how long texts are kept.
        SetRetention,
        /// Lets an account in, or gives it the care of the channel.
        Authorize,
        /// Takes back what an account was given.
        Deauthorize,
        /// Puts somebody out for a while.
        Kick,
        /// Keeps somebody out.
        Ban,
        /// Lets somebody come again.
        Unban,
        /// Who is kept out.
        Bans,
        /// What owner and moderators have done.
        Audit,
        /// What goes on inside the host; for its owner.
        Debug,
        /// Takes the channel, when it is offered.
        Take,
    }
}

/// Enters a channel, and says from where its entries are wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connect {
    /// The channel: a peer may host several.
    pub channel: ChannelId,
    /// Says who asks.
    pub pass: SignedPass,
    /// The last entry the client has; the stream begins after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<Position>,
    /// Without `have`, or when it is of another epoch: how many of the newest entries the stream begins with.
    #[serde(default)]
    pub tail: u32,
    /// Whether nobody is to see that this member is here. Counts for accounts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
    /// The newest that this host has signed of its log, as far as the client keeps it. A host that has gone back in time
    /// learns by it how far it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Signed<Checkpoint>>,
    /// That the channel has moved to another host: one that has not heard of it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Signed<Hosting>>,
}

/// The answer to CONNECT. The stream of MESSAGE events begins after `after`, without gap or repeat from there on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connected {
    /// The channel's name.
    pub name: ChannelName,
    /// How far the log is.
    pub head: Position,
    /// The hosting's number. A lower one than seen before does not count.
    #[serde(deserialize_with = "super::moving::read_term")]
    pub term: u64,
    /// The entry before the first of the stream: what the client has, or the one before the tail. All after `head`
    /// are live.
    pub after: Position,
    /// The host's signature on the newest checkpoint.
    pub checkpoint: Signed<Checkpoint>,
    /// What the asking member is here.
    pub role: Role,
    /// Who may join, and who may send.
    pub policy: Switches,
    /// Whether the host has lost a part of its log: it takes no messages until its owner has recovered it, and may ask
    /// for entries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// Where the logs of before ended that this one goes on from, oldest first, at most
    /// [`MAX_FORKS`](super::limits::MAX_FORKS): all up to there is in this one, under the same numbers and ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Position>,
}

/// Replaces the pass of this session before it ends. It has to be of the same subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pass {
    /// The new one.
    pub pass: SignedPass,
    /// That the channel has moved to another host: one that has not heard of it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Signed<Hosting>>,
}

/// Leaves the channel; the host closes the connection after its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disconnect {}

/// Sends a message. Answered when it is on the host's disk.
///
/// A repeated id is answered as it was the first time. After an answer that is not OK, all later messages of the
/// connection are answered `after_refused` until one says `restart`, so that nothing overtakes what was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Made once, when the message was written.
    pub id: MessageId,
    /// `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was written, by the sender's clock.
    pub sent_at: Timestamp,
    /// The message this one is about.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub about: Option<MessageId>,
    /// `{"text":"…"}`.
    pub body: Box<RawValue>,
    /// Whether this is the one to go on with after a refusal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
}

/// The answer to MESSAGE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The entry's number.
    pub seq: u64,
    /// When the host took it.
    pub stored_at: Timestamp,
}

/// Asks which of the asking member's own messages are on the host's disk, after a connection that was lost before the
/// answers came.
///
/// The answer is final for every message of which no MESSAGE request is unanswered: CONNECT was answered after all that
/// the older connection of the key had under way, so what is not in the answer was not stored and will not be, unless
/// it is sent again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusOf {
    /// At most [`MAX_STATUS_IDS`](super::limits::MAX_STATUS_IDS).
    pub ids: Vec<MessageId>,
}

/// The answer to STATUS_OF.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Those that are stored, in the order asked; of the others, and of messages of other people, nothing is said.
    pub stored: Vec<StoredMessage>,
}

/// A message that is on the host's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// The sender's id of it.
    pub id: MessageId,
    /// The entry's number.
    pub seq: u64,
    /// When the host took it.
    pub stored_at: Timestamp,
}

/// Asks for a page of the log, the newest that fit.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// Only entries before this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only entries after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at most; a page may be shorter, by bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of the log, in order, without gaps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<RawEntry>,
    /// How far the log is.
    pub head: Position,
}

/// Asks for entries by what they say, the newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Search {
    /// Words that have to be there, `"in this order"`, `-not`, or only `begun*`.
    pub words: String,
    /// Whose name was at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only what was stored at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only what was stored before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// Only what has a link in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub link: bool,
    /// Only what comes behind this entry in the order of what is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<FoundAt>,
    /// How many at most; a page may be shorter, by bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Where an entry stands in the order of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundAt {
    /// When it was stored.
    pub stored_at: Timestamp,
    /// Its number.
    pub seq: u64,
}

/// What was found: entries, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SearchPage {
    /// The entries.
    pub entries: Vec<RawEntry>,
    /// Of which life of the log they are.
    pub epoch: Epoch,
    /// How many there are in all.
    pub total: u64,
    /// How many entries the host could not look through yet, in all that it has.
    pub missing: u64,
}

/// Asks for the host's signatures on its log.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Verify {
    /// Only those of entries after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// What the host has signed of its log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoints {
    /// How far the log is now.
    pub head: Signed<Checkpoint>,
    /// Those of before, in order, at most [`MAX_CHECKPOINTS`](super::limits::MAX_CHECKPOINTS).
    pub checkpoints: Vec<Signed<Checkpoint>>,
}

/// Erases the body of an entry, at the host and, by an entry of its own, at all who have it. Answered with that entry's
/// place; asked again, with the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erase {
    /// The entry.
    pub seq: u64,
    /// Why; at most [`MAX_WHY_BYTES`](super::limits::MAX_WHY_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Asks who is in the channel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Members {
    /// Whether those are meant who were given something, here or not, instead of those who are here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub granted: bool,
    /// Only those after this place: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A page of members, those who are here in the order of their folded names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberList {
    /// The rows: one a subject, however many devices.
    pub members: Vec<Member>,
    /// How many there are in all.
    pub total: usize,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Somebody in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name.
    pub name: String,
    /// Account or guest.
    pub kind: IdentityKind,
    /// What they are here.
    pub role: Role,
}

/// Asks what the channel is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetInfo {}

/// What a channel is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Info {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Who owns it.
    pub owner: Owner,
    /// When its log was created.
    pub created: Timestamp,
    /// How far the log is.
    pub head: Position,
    /// The hosting's number.
    #[serde(deserialize_with = "super::moving::read_term")]
    pub term: u64,
    /// Who may join, and who may send.
    pub policy: Switches,
    /// For how many days the host keeps texts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// How many members are connected.
    pub members: usize,
    /// What the asking member is here.
    pub role: Role,
    /// Whether the host has lost a part of its log, and takes no messages until its owner has recovered it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// The log before this one, when it is not the channel's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<LogBefore>,
}

/// A log that another one has taken the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBefore {
    /// Where it ended, as far as that was known.
    pub end: Position,
    /// Whether the one that came after it has nothing of it; otherwise it has all up to there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

/// Asks what goes on inside the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Debug {}

/// What goes on inside a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DebugReport {
    /// One row a connection.
    pub connections: Vec<DebugConnection>,
    /// How many entries wait for the disk.
    pub unflushed: usize,
    /// How far the log is on disk.
    pub head: Position,
}

/// A member's connection as its host sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DebugConnection {
    /// Who.
    pub name: String,
    /// The way it comes, for people.
    pub path: String,
    /// Whether it has caught up and gets entries live.
    pub live: bool,
    /// How many bytes wait to be written to it.
    pub waiting_bytes: usize,
    /// How many of its messages are unanswered.
    pub unanswered: usize,
}

commands! {
    "CONNECT" Connect => Connected;
    "PASS" Pass => Empty;
    "DISCONNECT" Disconnect => Empty;
    "MESSAGE" Message => Stored;
    "STATUS_OF" StatusOf => StatusReport;
    "HISTORY" History => HistoryPage;
    "SEARCH" Search => SearchPage;
    "VERIFY" Verify => Checkpoints;
    "ERASE" Erase => Stored;
    "MEMBERS" Members => MemberList;
    "RET_INFO" RetInfo => Info;
    "VIEW" SetView => Moderated;
    "POST" SetPost => Moderated;
    "RETENTION" SetRetention => Moderated;
    "AUTHORIZE" Authorize => Moderated;
    "DEAUTHORIZE" Deauthorize => Moderated;
    "KICK" Kick => Moderated;
    "BAN" Ban => Moderated;
    "UNBAN" Unban => Moderated;
    "BANS" Bans => BanList;
    "AUDIT" Audit => AuditPage;
    "DEBUG" Debug => DebugReport;
}
