//! What is told of a channel's history as a whole.

use std::collections::BTreeMap;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{ChannelId, Epoch, MessageId};
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::directory::Owner;
use common::proto::status::Code;
use serde::Serialize;

use super::ChatMessage;
use super::reply::{rfc3339, rfc3339_if_any};
pub use crate::recovery::Rejected;

/// That an entry was erased: what is known of it. Nothing is, of what the host keeps no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The entry that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whose name that has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, by the host's clock.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rfc3339_if_any")]
    pub at: Option<Timestamp>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Erased {
    /// By an entry as it is shown.
    pub fn by(entry: &ChatMessage) -> Self {
        let why = entry.erases.as_ref().and_then(|erases| erases.why.clone());
        Self { seq: Some(entry.seq), by: Some(entry.from.clone()), at: Some(entry.stored_at), why }
    }
}

/// What an entry of type `erase` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erases {
    /// The entry whose body is gone.
    pub seq: u64,
    /// Its id.
    #[serde(skip)]
    pub id: MessageId,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Messages that are shown together: of what one of them erases, only that.
pub fn as_erased(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let mut erased = BTreeMap::new();
    for (erases, message) in messages.iter().filter_map(|message| Some((message.erases.as_ref()?, message))) {
        erased.entry(erases.seq).or_insert_with(|| (erases.id, Erased::by(message)));
    }
    let as_it_is_now = |message: ChatMessage| match erased.get(&message.seq) {
        Some((id, by)) if *id == message.id && message.erases.is_none() => message.without_text(by.clone()),
        _ => message,
    };
    messages.into_iter().map(as_it_is_now).collect()
}

impl ChatMessage {
    /// The same, erased.
    pub fn without_text(self, erased: Erased) -> Self {
        Self { text: None, file: None, offered: None, erased: Some(Box::new(erased)), ..self }
    }
}

/// What came of `erase`.
#[derive(Clone, Debug, Serialize)]
pub struct ErasedEntry {
    /// The channel.
    pub channel: ChannelName,
    /// The entry whose body is gone.
    pub seq: u64,
    /// The entry that says so, for everybody.
    pub by: u64,
    /// When the host took that.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
}

/// Whether what was received of a channel is what its host has signed.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The channel.
    pub channel: ChannelName,
    /// Whether nothing is wrong. What is missing is not wrong.
    pub sound: bool,
    /// The lives of the log of which something was received.
    pub logs: Vec<VerifiedLog>,
    /// Why the host could not be asked for its signatures: those that were kept had to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<NotAsked>,
}

/// Why the host was not asked.
#[derive(Clone, Debug, Serialize)]
pub struct NotAsked {
    /// Stable, for programs.
    pub code: Code,
    /// A sentence for people.
    pub reason: String,
}

/// What was received of one life of a log.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedLog {
    /// Which.
    pub epoch: Epoch,
    /// Whether it is the one that is received now.
    pub newest: bool,
    /// How many entries there are here.
    pub entries: u64,
    /// The last of them.
    pub last: u64,
    /// Up to where they are what the host has signed; absent when nothing that was signed is among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedUpTo>,
    /// Which entries are not here.
    pub missing: Vec<Run>,
    /// How many of those that are here have no text although nothing is known that erased it: it was too old to be kept
    /// when they came, or was not given.
    pub without_text: u64,
    /// Which are here, and cannot be proven before those that are missing below them have come.
    pub unproven: Vec<Run>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// How much more is.
    pub more_faults: u64,
}

/// A place that the host has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SignedUpTo {
    /// The entry's number.
    pub seq: u64,
    /// When it was signed, by the host's clock.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
}

/// Entries one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// Something that is wrong with an entry that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its number.
    pub seq: u64,
    /// What, for programs.
    pub code: FaultKind,
    /// What, and what it means, for people.
    pub reason: String,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is gone from this disk, or is no entry any more.
    Unreadable,
    /// Its text is another one.
    Body,
    /// It, or where it stands, is another one than came in.
    Altered,
    /// The host has signed another one at this place.
    OtherThanSigned,
    /// The host has signed two different ones at this place.
    TwoLogs,
    /// It does not follow from what was received before.
    Apart,
}

impl FaultKind {
    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "it came in and was kept, and is gone from this disk or cannot be read: the disk or its files were damaged"
            }
            Self::Body => {
                "its text is not the one that came in: it was changed on this machine since, for what comes in is checked"
            }
            Self::Altered => {
                "it is not the one that came in: it was changed on this machine since, or its files were damaged"
            }
            Self::OtherThanSigned => {
                "the host has signed another entry here than the one it gave to this peer: it has changed what was said, or \
                 shows different people different things. Keep this archive, which with the signature is the proof, and \
                 have other members type verify"
            }
            Self::TwoLogs => {
                "the host has signed two different logs: it shows different people different things, or has gone back to an \
                 old copy and gone on from there. Both signatures are kept here; ask the channel's owner"
            }
            Self::Apart => {
                "it does not follow from what was received before: the host has lost or changed entries. Both are kept here; \
                 ask the channel's owner"
            }
        }
    }
}

/// A channel was written into a file.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The channel.
    pub channel: ChannelName,
    /// The file.
    pub file: String,
    /// How many entries are in it.
    pub entries: u64,
    /// The last of them.
    pub last: u64,
    /// Which are not, since this peer has not received them.
    pub missing: Vec<Run>,
    /// Whether the channel is hosted here: then all of it is there, and who may do what too.
    pub by_host: bool,
}

/// What was put aside when a channel moved.
#[derive(Clone, Debug, Serialize)]
pub struct BranchOf {
    /// The channel.
    pub channel: ChannelName,
    /// The newest of it, in order.
    pub messages: Vec<ChatMessage>,
}

/// A channel was made of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// What it is called.
    pub channel: ChannelName,
    /// Its id, a new one.
    pub id: ChannelId,
    /// What the file was.
    pub from: ImportedFrom,
    /// How many entries it has.
    pub entries: u64,
    /// How far its log is.
    pub head: Position,
}

/// What a file was that a channel was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportedFrom {
    /// An export of a channel.
    Export,
    /// A log of IRC.
    Irc,
}

/// What an export is, once nothing was found to be wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The channel's name.
    pub channel: ChannelName,
    /// Its id.
    pub id: ChannelId,
    /// Who owned it; only the host's word counts.
    pub owner: Owner,
    /// The key by which its entries are signed.
    pub host_key: PeerKey,
    /// Whether the host wrote the file.
    pub by_host: bool,
    /// How many entries there are in it.
    pub entries: u64,
    /// The last of them.
    pub last: u64,
    /// Up to where the host has signed them; absent when it has signed nothing of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedUpTo>,
    /// Which entries are not in it.
    pub missing: Vec<Run>,
    /// Which are, and hang on what is missing below them.
    pub unproven: Vec<Run>,
}

/// What has become of a log that had lost entries.
#[derive(Clone, Debug, Serialize)]
pub struct Recovered {
    /// The channel.
    pub channel: ChannelName,
    /// Whether it takes messages again.
    pub whole: bool,
    /// How many entries are back.
    pub entries: u64,
    /// How far its log is.
    pub head: Position,
    /// Who has given them back.
    pub from: Vec<String>,
    /// Which are still missing, as far as is known: nobody who was asked has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Run>,
    /// How many more somebody has, at least, that the host has not signed: nobody can prove them.
    pub unproven: u64,
    /// Whether the log has gone on from an older copy since, so that what was lost does not fit behind it.
    pub diverged: bool,
    /// Whose gift was not taken, and why.
    pub rejected: Vec<Rejected>,
    /// Where the log ended that the channel goes on from without what is missing, in a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked: Option<Position>,
}

/// All that this peer keeps was copied.
#[derive(Clone, Debug, Serialize)]
pub struct BackedUp {
    /// Where to.
    pub folder: String,
    /// How many bytes it has.
    pub bytes: u64,
}
