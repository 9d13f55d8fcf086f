//! What goes into a channel's state, and what comes out.

use std::sync::Arc;

use bytes::Bytes;
use common::clock::Timestamp;
use common::entry::erasure::Erasure;
use common::entry::{Author, BadEntry, Hash, Header, Position, RawEntry};
use common::id::{MessageId, RequestId, Subject};
use common::proto::channel::Stored;
use common::proto::status::Refusal;
use serde_json::value::RawValue;

/// A member's connection, as the host numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What makes a repeated message the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Who wrote it.
    pub subject: Subject,
    /// The entry's type.
    pub kind: String,
    /// The message it is about.
    pub about: Option<MessageId>,
    /// The hash of its body's bytes.
    pub body_hash: Hash,
}

impl From<&Header> for Content {
    fn from(header: &Header) -> Self {
        let Header { from, kind, about, body_hash, .. } = header;
        Self { subject: from.subject, kind: kind.clone(), about: *about, body_hash: *body_hash }
    }
}

/// A message that may be stored, as far as it can be told without the log.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The sender's id of it.
    pub id: MessageId,
    /// Who wrote it, by connection and pass.
    pub author: Author,
    /// The entry's type.
    pub kind: String,
    /// When it was written, by the sender's clock.
    pub sent_at: Timestamp,
    /// The message it is about.
    pub about: Option<MessageId>,
    /// The exact bytes of its body.
    pub body: Box<RawValue>,
    /// Their hash.
    pub body_hash: Hash,
}

impl NewMessage {
    pub(super) fn content(&self) -> Content {
        let Self { author, kind, about, body_hash, .. } = self;
        Content { subject: author.subject, kind: kind.clone(), about: *about, body_hash: *body_hash }
    }
}

/// A MESSAGE request on its way into the log.
#[derive(Debug)]
pub struct Offer {
    /// Whose.
    pub conn: ConnId,
    /// The request that is to be answered.
    pub request: RequestId,
    /// Whether the sender goes on with this one after a refusal.
    pub restart: bool,
    /// The message, or why it cannot be stored.
    pub message: Result<NewMessage, Refusal>,
}

/// An entry that erases another one, on its way into the log.
#[derive(Debug)]
pub struct NewErasure {
    /// Who wants it.
    pub conn: ConnId,
    /// The request that is to be answered.
    pub request: RequestId,
    /// The entry that erases. It names the other one by its id; whether it may is decided already.
    pub entry: NewMessage,
}

/// A message that the log has already.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its first answer.
    pub stored: Stored,
    /// What it was.
    pub content: Content,
}

/// An entry as it is put on disk.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Where it stands.
    pub position: Position,
    /// The sender's id of it.
    pub id: MessageId,
    /// When the host took it.
    pub stored_at: Timestamp,
    /// The exact bytes that are stored and sent.
    pub bytes: Bytes,
    /// What it erases: that is put on disk with it.
    pub erases: Option<Erasure>,
}

impl NewEntry {
    /// An entry that stands there.
    ///
    /// # Errors
    /// When it has no JSON form, which does not happen.
    pub fn new(position: Position, header: &Header, entry: &RawEntry) -> Result<Self, BadEntry> {
        let (bytes, erases) = (entry.to_bytes()?, Erasure::of(header, entry));
        Ok(Self { position, id: header.id, stored_at: header.stored_at, bytes, erases })
    }
}

/// Entries that are put on disk together, or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where the log has to end for them to follow.
    pub after: Position,
    /// The entries.
    pub entries: Arc<Vec<NewEntry>>,
}

/// Why an append was not done, or is not known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFailure {
    /// There is no room. Nothing was written.
    Full,
    /// It may or may not be there, or the log does not end where this host believes.
    Unknown,
}

/// What has to be done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Answer a MESSAGE or ERASE request.
    Answer {
        /// Whose.
        conn: ConnId,
        /// Which.
        request: RequestId,
        /// How it ended.
        outcome: Result<Stored, Refusal>,
    },
    /// Put a batch on disk, and say how it went with [`Channel::appended`](super::Channel::appended).
    Append(Batch),
    /// These entries are on disk: everybody gets them.
    Deliver(Vec<Bytes>),
    /// Read where the log ends, and tell [`Channel::recovered`](super::Channel::recovered).
    ReadHead,
    /// Nothing of a connection that has left is under way any more.
    Drained(ConnId),
    /// A connection takes no notice of what it is answered: close it.
    Overrun(ConnId),
}
