//! The entries of a channel as they are shown.

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{Epoch, IdentityKind, MessageId, Subject};
use common::name::ChannelName;
use common::proto::status::Code;
use serde::Serialize;

use super::file::{FileNote, Offered};
use super::history::{Erased, Erases};
use super::reply::rfc3339;

/// A page of a log.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryOf {
    /// The channel.
    pub channel: ChannelName,
    /// The entries, in order, without gaps.
    pub messages: Vec<ChatMessage>,
    /// How far the log is, as far as is known.
    pub head: Position,
    /// What was asked for and could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// What was received of logs before the one of now and goes before these, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierLog>,
}

/// A part of a log that another one has taken the place of.
#[derive(Clone, Debug, Serialize)]
pub struct EarlierLog {
    /// Which.
    pub epoch: Epoch,
    /// Up to this entry it is in the one that came after it; 0 when that was begun anew.
    pub kept: u64,
    /// Its entries, in order.
    pub messages: Vec<ChatMessage>,
}

/// Entries that the archive has not, and the host could not be asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// The last of them.
    pub upto: u64,
    /// Why the host did not give them.
    pub code: Code,
    /// A sentence for people.
    pub reason: String,
}

/// An entry of a channel as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ChatMessage {
    /// The channel.
    pub channel: ChannelName,
    /// Which life of the log.
    pub epoch: Epoch,
    /// The entry's number.
    pub seq: u64,
    /// The message.
    pub id: MessageId,
    /// The author's name at that time.
    pub from: String,
    /// Account or guest.
    pub author_kind: IdentityKind,
    /// Who, whatever the name.
    pub subject: Subject,
    /// The entry's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was written; absent for types other than `text`, and for what was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its body was erased; by whom, as far as it is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased: Option<Box<Erased>>,
    /// What it erases; only of the type `erase`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erases: Option<Box<Erases>>,
    /// What it offers; only of the type `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<FileNote>>,
    /// The same, for whoever fetches it.
    #[serde(skip)]
    pub offered: Option<Box<Offered>>,
    /// When it was written, by the sender's clock.
    #[serde(serialize_with = "rfc3339")]
    pub sent_at: Timestamp,
    /// When the host took it, by the host's clock.
    #[serde(serialize_with = "rfc3339")]
    pub stored_at: Timestamp,
    /// What it was imported from, when nobody has proven who wrote it: `irc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
}
