//! What stands in the queue, and what is said and done about it.

use std::time::Duration;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{Epoch, MessageId, Subject};
use common::proto::file::ChannelOffer;
use common::proto::status::{Code, Refusal};
use serde::{Deserialize, Serialize};

/// A message on its way, as it is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the queue, rising.
    pub number: u64,
    /// Made when it was written; the same in every attempt.
    pub id: MessageId,
    /// What was written.
    pub text: String,
    /// What it offers; the text is for its user alone then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<Box<ChannelOffer>>,
    /// When it was written; an edit does not change it.
    pub sent_at: Timestamp,
    /// Who wrote it: it never goes out under another identity.
    pub writer: Subject,
    /// The name they went by.
    #[serde(default)]
    pub writer_name: String,
    /// When it is too late to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How far the log was when it was written, as far as was known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_seen: Option<Position>,
    /// Why it waits for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// What the user wants done once it is known whether it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// Where the host has stored it: it is out of the queue then, and kept until its entry has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Receipt>,
}

/// Where a host has stored a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// In which life of its log.
    pub epoch: Epoch,
    /// Under which number.
    pub seq: u64,
}

/// What a user wants done with a message that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// It is not to be sent.
    Cancel,
    /// Another text is to be sent in its place.
    Edit {
        /// The id of the other text: under the old one the host may know the old text.
        id: MessageId,
        /// The other text.
        text: String,
        /// When it is too late to send it.
        expires: Option<Timestamp>,
    },
}

/// What the other side said of a message, or that it said nothing.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is on the host's disk under this number.
    Stored(u64),
    /// The host did not take it.
    Refused(Refusal),
    /// The connection ended first; whether it was stored is unknown, so it goes out again under its id.
    None,
}

/// What follows, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep the item as it is now. Nobody waits for that.
    Keep(Item),
    /// The host has it: say so, and take it off the disk once its entry has come.
    Stored {
        /// Which.
        item: Box<Item>,
        /// Its number in the log.
        seq: u64,
    },
    /// It waits for the user from now on: keep that, and say why.
    Refused(Item),
    /// It waits for the host again: keep that, and say so.
    Requeued(Item),
    /// Nothing goes out until [`Outbox::release`](super::Outbox::release) is called.
    Held {
        /// Why, when the host said so.
        refusal: Option<Refusal>,
        /// How long the host wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The user's wish can be done: write that, then call [`Outbox::changed`](super::Outbox::changed).
    Change(Change),
    /// The wish is done and on disk.
    Changed(Change),
    /// The user's wish cannot be done: the message was stored before.
    TooLate {
        /// Which.
        id: MessageId,
        /// Its number in the log.
        seq: u64,
        /// What was wished.
        wish: Wish,
    },
}

/// A wish that is fulfilled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The message's place.
    pub number: u64,
    /// The message as it was.
    pub id: MessageId,
    /// What comes in its place; nothing when it is cancelled.
    pub becomes: Option<Item>,
}

/// How a wish is answered at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It can be done now: as [`Effect::Change`].
    Now(Change),
    /// Whether the message was stored has to be known first. The wish is to be kept.
    Later(Item),
}

/// Late messages that go out into a channel that has moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// How many go out.
    pub messages: usize,
    /// How many of others came in since the first of them was written.
    pub between: u64,
    /// When that was.
    pub oldest: Timestamp,
}

/// A row of the list.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The message.
    pub item: &'a Item,
    /// Whether it was sent and is not answered.
    pub is_under_way: bool,
    /// Why it does not go out although the way is free.
    pub waits: Option<Waits>,
}

/// Why a message does not go out although the way is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For the user.
    Refused,
    /// For its writer to be signed in again.
    Writer(String),
    /// For the host to say whether it was stored, since the user wants it changed.
    Outcome,
    /// For the time to try again.
    Held,
    /// For a message before it.
    Behind(MessageId),
}

/// Whether a message that was refused so may be on the host's disk all the same.
pub(super) fn leaves_unknown(code: &Code) -> bool {
    matches!(
        code,
        Code::StorageFailed
            | Code::Internal
            | Code::TimedOut
            | Code::ConnectionLost
            | Code::GoingAway
            | Code::Other(_)
    )
}
