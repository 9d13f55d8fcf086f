//! What a user interface is told without having asked.

use std::net::SocketAddr;

use common::clock::Timestamp;
use common::id::{MessageId, Subject};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::channel::Role;
use common::proto::directory::{Post, View};
use common::proto::event::Person;
use common::proto::presence::User;
use common::proto::status::Code;
use serde::Serialize;

use super::direct::{ChatRequest, ChatState, DeliveryState, DirectMessage};
use super::file::FileRow;
use super::message::ChatMessage;
use super::reply::{LinkState, Outcome, SessionState, rfc3339, rfc3339_if_any};
use super::transfer::OfferRow;

/// What a user interface is told.
///
/// Events come in through a bounded queue: an interface that does not take them holds back the network, and nothing
/// is lost. It must go on taking them while it waits for the outcome of a command.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first: commands are taken from here on.
    Ready {
        /// The name in use, or wanted.
        username: UserName,
        /// This peer's key.
        key: PeerKey,
        /// Where it listens, when it hosts.
        listen: Option<SocketAddr>,
    },
    /// The peer's page is served.
    Page {
        /// What to open it with, once.
        address: String,
    },
    /// The tracker has let us in, or not.
    Session {
        /// Whether, and as what.
        state: SessionState,
        /// The name in use, or wanted.
        username: UserName,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        /// Why not, and what to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The tracker was met for the first time: its key is to be compared.
    TrackerKey {
        /// Where it is.
        tracker: String,
        /// Its key.
        key: PeerKey,
        /// Whether it is confirmed already.
        confirmed: bool,
    },
    /// An entry of a joined channel.
    Message(ChatMessage),
    /// Entries that were missed and left out are in the archive now. They are not shown by themselves.
    Filled {
        /// The channel.
        channel: ChannelName,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// What has become of a message of this peer.
    Outgoing {
        /// The message.
        id: MessageId,
        /// Where it goes.
        channel: ChannelName,
        /// How far it is.
        state: OutgoingState,
        /// Its number in the log, once stored.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// Why it was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        /// Why it was refused, and what to do; when it is queued, what keeps its queue waiting.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The message that takes its place, once edited.
        #[serde(skip_serializing_if = "Option::is_none")]
        becomes: Option<MessageId>,
    },
    /// Messages of this peer, written more than a quarter of an hour ago, go out now, and others have written meanwhile.
    MovedOn {
        /// The channel.
        channel: ChannelName,
        /// How many go out late.
        messages: usize,
        /// How many came in since the first of them was written.
        between: u64,
        /// When that was.
        #[serde(serialize_with = "rfc3339")]
        oldest: Timestamp,
    },
    /// A connection changed.
    Connection {
        /// `tracker`, the channel's name, or `@` and a contact's.
        to: String,
        /// How it is now.
        state: LinkState,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Since when the tracker is away.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
        since: Option<Timestamp>,
    },
    /// Members came into a channel.
    Joined {
        /// The channel.
        channel: ChannelName,
        /// Who; empty when there are too many to name.
        members: Vec<Person>,
        /// How many.
        count: usize,
    },
    /// Members left a channel.
    Left {
        /// The channel.
        channel: ChannelName,
        /// Who; empty when there are too many to name.
        members: Vec<Person>,
        /// How many.
        count: usize,
    },
    /// Some whom the user watches have come to the tracker.
    Online {
        /// Who.
        users: Vec<User>,
    },
    /// Some whom the user watches have left it.
    Offline {
        /// Who.
        users: Vec<User>,
    },
    /// Who may join a channel is another now.
    ViewChanged {
        /// The channel.
        channel: ChannelName,
        /// Who may.
        view: View,
        /// The name of whoever changed it.
        by: String,
    },
    /// Who may send in a channel is another now.
    PostChanged {
        /// The channel.
        channel: ChannelName,
        /// Who may.
        post: Post,
        /// The name of whoever changed it.
        by: String,
    },
    /// Somebody was given a role in a channel, or has lost it.
    RoleChanged {
        /// The channel.
        channel: ChannelName,
        /// Who.
        subject: Subject,
        /// The name, when it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What they are now.
        role: Role,
        /// Whether that is this peer's user.
        you: bool,
        /// The name of whoever changed it.
        by: String,
    },
    /// This peer's user was put out of a channel, which is not joined any more.
    Kicked {
        /// The channel.
        channel: ChannelName,
        /// The name of whoever did it.
        by: String,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// Whether it is for good.
        banned: bool,
        /// For how long the host refuses a join, when it is not for good.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// A channel is offered to this user, or an offer has ended.
    Offered {
        /// The offer.
        #[serde(flatten)]
        offer: OfferRow,
        /// Whether it has ended.
        ended: bool,
    },
    /// A word to all who are at the tracker.
    Broadcast {
        /// Who says it; absent when it is the tracker's operator.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Person>,
        /// What.
        text: String,
        /// When.
        #[serde(serialize_with = "rfc3339")]
        sent_at: Timestamp,
    },
    /// Somebody asks for a conversation.
    ChatRequest(ChatRequest),
    /// What has become of a conversation, or of a request for one.
    Chat {
        /// With whom.
        user: UserName,
        /// What.
        state: ChatState,
        /// The key that was agreed to, when it is accepted.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<PeerKey>,
    },
    /// A message between two users.
    ChatMessage(Box<DirectMessage>),
    /// How far a message of this user has come.
    ChatOutgoing {
        /// The message.
        id: MessageId,
        /// To whom it goes.
        user: UserName,
        /// How far it is; when it was read, so were all before it.
        state: DeliveryState,
        /// What it waits for, when it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// How far something is that is offered, either way.
    File(Box<FileRow>),
    /// A command of the command line was done; its interface shows it like a typed one's.
    Result {
        /// The command's word.
        command: &'static str,
        /// How it ended.
        #[serde(skip)]
        outcome: Box<Outcome>,
    },
    /// Something the user has to know, which no command asked for.
    Warning {
        /// Stable, for programs.
        code: Code,
        /// A sentence that says what to do.
        reason: String,
        /// The channel it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<ChannelName>,
    },
}

/// How far a message of this peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutgoingState {
    /// In the outbox, on disk.
    Queued,
    /// On its way to the host, and not answered yet.
    Sending,
    /// On the host's disk.
    Stored,
    /// Turned down by the host, or too late; the channel's queue waits for the user.
    Refused,
    /// Taken back by its user before it was stored.
    Cancelled,
    /// Another text takes its place; this one was not stored.
    Edited,
}
