//! What answers the commands of the outbox.

use common::clock::Timestamp;
use common::id::MessageId;
use common::name::ChannelName;
use common::proto::status::Code;
use serde::Serialize;

use super::event::OutgoingState;
use super::reply::{rfc3339, rfc3339_if_any};

/// What waits to be sent.
#[derive(Clone, Debug, Serialize)]
pub struct OutboxList {
    /// The messages, by channel and in the order they go out; of very many only the first.
    pub messages: Vec<OutboxItem>,
    /// How many there are in all.
    pub total: usize,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, Serialize)]
pub struct OutboxItem {
    /// The message.
    pub id: MessageId,
    /// Where it goes.
    pub channel: ChannelName,
    /// How far it is: `queued`, `sending` or `refused`.
    pub state: OutgoingState,
    /// What was written.
    pub text: String,
    /// When it was written.
    #[serde(serialize_with = "rfc3339")]
    pub sent_at: Timestamp,
    /// When it is too late to send it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    pub expires: Option<Timestamp>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Why it was refused, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is done with it once it is known that it was not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wish: Option<WishedChange>,
}

/// What a user can have done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WishedChange {
    /// It is not to be sent.
    Cancel,
    /// Another text is to be sent in its place.
    Edit,
}

/// A message was changed, or is to be.
#[derive(Clone, Debug, Serialize)]
pub struct OutboxChange {
    /// The message.
    pub id: MessageId,
    /// Where it goes.
    pub channel: ChannelName,
    /// What was wished.
    pub wish: WishedChange,
    /// Whether it is done; otherwise it is once it is known that the message was not stored.
    pub done: bool,
    /// The message that takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub becomes: Option<MessageId>,
}

/// Refused messages go out again.
#[derive(Clone, Debug, Serialize)]
pub struct Retried {
    /// Where.
    pub channel: ChannelName,
    /// How many.
    pub messages: usize,
    /// What still keeps the queue waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
