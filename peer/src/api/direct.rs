//! What a user may ask of private conversations, and is told of them.

use common::clock::Timestamp;
use common::id::{IdentityKind, MessageId, Subject};
use common::identity::PeerKey;
use common::name::UserName;
use serde::Serialize;

use super::file::FileNote;
use super::reply::{LinkState, rfc3339};

/// What a user may ask of conversations with one other user.
#[derive(Clone, Debug)]
pub enum DirectCommand {
    /// Ask somebody for a conversation.
    Start {
        /// Whom.
        user: UserName,
    },
    /// Agree to a request.
    Accept {
        /// Whose.
        user: UserName,
        /// The beginning of the key it was made with, where several wait.
        key: Option<String>,
    },
    /// Turn a request down.
    Reject {
        /// Whose.
        user: UserName,
        /// The beginning of the key it was made with, where several wait.
        key: Option<String>,
    },
    /// Write a message.
    Msg {
        /// To whom.
        user: UserName,
        /// What.
        text: String,
    },
    /// End a conversation for now.
    Close {
        /// With whom.
        user: UserName,
    },
    /// Let nothing of somebody through.
    Block {
        /// Whose.
        user: UserName,
    },
    /// Take that back.
    Unblock {
        /// Whose.
        user: UserName,
    },
    /// Who there is, and who asks.
    Contacts,
    /// A page of a conversation.
    History {
        /// With whom.
        user: UserName,
        /// How many messages at most.
        count: u32,
        /// Only messages before this clock; the newest when absent.
        before: Option<u64>,
    },
    /// The messages of a conversation that come next behind one.
    Newer {
        /// With whom.
        user: UserName,
        /// How many messages at most, and those that stand at the same clock as the last of them.
        count: u32,
        /// Only messages after this clock.
        after: u64,
    },
}

/// What somebody is to this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// Messages go there.
    Contact,
    /// They have asked, and wait for an answer.
    Asks,
    /// They were asked, and have not answered.
    Asked,
    /// They have asked, and were turned down.
    Rejected,
    /// Nothing of them is let through.
    Blocked,
}

/// Somebody this user has to do with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContactRow {
    /// Their name.
    pub user: UserName,
    /// What they are to this user.
    pub state: ContactState,
    /// Who, whatever the name; not known of somebody who was only asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Account or guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<IdentityKind>,
    /// The keys of their devices: those agreed to, or the one they ask with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<PeerKey>,
    /// The connection to a contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<LinkState>,
    /// How many messages have not arrived there yet.
    pub queued: u64,
}

/// What asking somebody has come to.
#[derive(Clone, Debug, Serialize)]
pub struct StartedChat {
    /// Who, and what they are now.
    #[serde(flatten)]
    pub contact: ContactRow,
    /// Why they could not be asked yet; it is done by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl StartedChat {
    /// Of somebody, and why they could not be asked yet.
    pub fn of(contact: ContactRow, reason: Option<String>) -> Self {
        Self { contact, reason }
    }
}

/// Everybody this user has to do with.
#[derive(Clone, Debug, Serialize)]
pub struct Contacts {
    /// The rows.
    pub contacts: Vec<ContactRow>,
}

/// A message is on disk here and goes out by itself.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The message.
    pub id: MessageId,
    /// To whom it goes.
    pub user: UserName,
}

/// How far a message of this user has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// On disk here.
    Queued,
    /// On the disk of one of their devices.
    Delivered,
    /// They have seen it.
    Read,
}

/// A message between two users.
#[derive(Clone, Debug, Serialize)]
pub struct DirectMessage {
    /// With whom the conversation is.
    pub user: UserName,
    /// Who, whatever the name.
    pub subject: Subject,
    /// The message.
    pub id: MessageId,
    /// The author's name at that time.
    pub from: String,
    /// Account or guest.
    pub author_kind: IdentityKind,
    /// Whether this user wrote it, on this device.
    pub mine: bool,
    /// The clock it is ordered by,
    pub clock: u64,
    /// then the author's device,
    pub key: PeerKey,
    /// then the device's own count.
    pub number: u64,
    /// The message's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was written; absent for types other than `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it says of a file; only of the types `file` and `file_end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileNote>,
    /// When it was written, by the author's clock.
    #[serde(serialize_with = "rfc3339")]
    pub sent_at: Timestamp,
    /// Whether it came when others stood behind it already.
    pub late: bool,
    /// How far it has come, when this user wrote it; in a page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
}

/// A page of a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Conversation {
    /// With whom.
    pub user: UserName,
    /// The messages, in their order.
    pub messages: Vec<DirectMessage>,
}

/// Somebody asks for a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct ChatRequest {
    /// Their name.
    pub user: UserName,
    /// Who, whatever the name.
    pub subject: Subject,
    /// Account or guest.
    pub kind: IdentityKind,
    /// The key they ask with.
    pub key: PeerKey,
    /// Whether they are a contact, and this is another device than those agreed to.
    pub new_device: bool,
    /// Whether a contact has this name who is somebody else.
    pub same_name: bool,
}

/// What has become of a conversation, or of a request for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatState {
    /// The other has not answered for a while; the request stands.
    Unanswered,
    /// Both agree: messages can be written.
    Accepted,
    /// The other has turned the request down.
    Rejected,
    /// The other has ended the conversation for now.
    Left,
}
