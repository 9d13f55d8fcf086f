//! An entry of a channel's log: exact bytes, and the chain of hashes over them.
//!
//! The bytes that a host stores are the bytes it sends; nobody serialises an entry a second time. The hash of an entry
//! covers the one before it and its own header, and the header names the hash of the body: a body can be erased later
//! and the chain still holds.

pub mod erasure;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::clock::Timestamp;
use crate::hex_bytes::hex_bytes;
use crate::id::{ChannelId, Epoch, IdentityKind, MessageId, Subject};
use crate::identity::PeerKey;
use crate::proto::depth::is_deeper_than;
use crate::proto::limits::{MAX_BODY_DEPTH, MAX_TEXT_BYTES};
use crate::proto::policy::Holder;
use crate::proto::status::{Code, Refusal};

/// The type of an entry that carries a message's text.
pub const TEXT: &str = "text";

/// What an entry has around its header and its body: the names of the two.
const ENVELOPE_BYTES: usize = r#"{"header":,"body":}"#.len();

/// A BLAKE3 hash, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

/// Text that is not a hash.
#[derive(Debug, thiserror::Error)]
#[error("a hash is 64 lower-case hex digits")]
pub struct NotAHash;

hex_bytes!(Hash, 32, NotAHash);

impl Hash {
    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// What the chain of a log begins with, in place of a hash before its first entry.
    pub fn root(channel: ChannelId, epoch: Epoch) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"natter-log-v1\0").update(channel.0.as_bytes()).update(epoch.0.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The hash of the entry with this header that comes after the one with hash `self`.
    pub fn next(&self, header: &RawValue) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(header.get().as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}

/// A place in a log, with the hash of the entry there. `seq` 0 is the place before the first entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The entry's number.
    pub seq: u64,
    /// The chain's hash at that entry.
    pub hash: Hash,
}

impl Position {
    /// The place before the first entry of a log.
    pub fn start(channel: ChannelId, epoch: Epoch) -> Self {
        Self { epoch, seq: 0, hash: Hash::root(channel, epoch) }
    }
}

/// What a host signs now and then: its log was this far, with this hash, at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The channel whose log it is.
    pub channel: ChannelId,
    /// How far the log was.
    #[serde(flatten)]
    pub position: Position,
    /// When, by the host's clock.
    pub time: Timestamp,
}

/// Who wrote an entry, as the host knows it from the connection and the pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name at that time.
    pub name: String,
    /// Account or guest.
    pub kind: IdentityKind,
    /// The device's key; left out when the subject is that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PeerKey>,
}

impl Author {
    /// An author at the device with this key.
    pub fn new(subject: Subject, name: String, kind: IdentityKind, key: PeerKey) -> Self {
        Self { subject, name, kind, key: (subject != Subject::Guest(key)).then_some(key) }
    }

    /// Who they are, with the key of their device; an account's without one was written by no host.
    pub fn holder(&self) -> Option<Holder> {
        let key = self.key.or(match self.subject {
            Subject::Guest(key) => Some(key),
            Subject::Account(_) => None,
        });
        key.map(|key| Holder { subject: self.subject, key })
    }
}

/// The part of an entry that the chain of hashes covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The entry's number in the log, from 1, without gaps.
    pub seq: u64,
    /// The sender's id of the message.
    pub id: MessageId,
    /// What the body is; types this version does not know are kept and shown as one line.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who wrote it.
    pub from: Author,
    /// When it was written, by the sender's clock.
    pub sent_at: Timestamp,
    /// When the host took it, by the host's clock.
    pub stored_at: Timestamp,
    /// The message this one is about.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub about: Option<MessageId>,
    /// What it was imported from, when who wrote it was never proven to a host: `irc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// The hash of the body's bytes.
    pub body_hash: Hash,
}

/// The body of an entry of type `text`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextBody {
    /// What was written, byte for byte.
    pub text: String,
}

impl TextBody {
    /// Reads the body of a message, and checks its length.
    ///
    /// # Errors
    /// `bad_request`, `text_empty` or `text_too_long`.
    pub fn parse(body: &RawValue) -> Result<Self, Refusal> {
        check_body(body)?;
        let body: Self = crate::proto::parse_body(body)?;
        check_text(&body.text)?;
        Ok(body)
    }
}

/// Whether a body may be that of an entry, whatever is in it.
///
/// # Errors
/// `bad_request`.
pub fn check_body(body: &RawValue) -> Result<(), Refusal> {
    if is_deeper_than(MAX_BODY_DEPTH, body.get().as_bytes()) {
        let reason =
            format!("objects and lists in a message stand within each other {MAX_BODY_DEPTH} deep at most");
        return Err(Refusal::new(Code::BadRequest, reason));
    }
    // It comes to all members as it is: a field that is passed over here must not hinder who reads all of it.
    crate::proto::parse_body::<serde_json::Value>(body).map(drop)
}

/// Whether a text may be a message.
///
/// # Errors
/// `text_empty` or `text_too_long`.
pub fn check_text(text: &str) -> Result<(), Refusal> {
    match text.len() {
        0 => Err(Code::TextEmpty.into()),
        1..=MAX_TEXT_BYTES => Ok(()),
        _ => Err(Code::TextTooLong.into()),
    }
}

/// An entry as it is stored and sent: the header's and the body's exact bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawEntry {
    /// The bytes of a [`Header`].
    pub header: Box<RawValue>,
    /// The bytes of the body; absent when it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// An entry that does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum BadEntry {
    /// Not the JSON of an entry.
    #[error("an entry is not of the expected form")]
    Form(#[from] serde_json::Error),
    /// The body is not the one that the header names.
    #[error("the body of entry {seq} is not the one its header names")]
    Body {
        /// The entry's number.
        seq: u64,
    },
}

impl RawEntry {
    /// Makes the entry of `header` and `body`, whose hash is filled in.
    ///
    /// # Errors
    /// When the header has no JSON form, which does not happen.
    pub fn seal(mut header: Header, body: Box<RawValue>) -> Result<(Header, Self), BadEntry> {
        header.body_hash = Hash::of(body.get().as_bytes());
        let raw = Self::sealed(&header, body)?;
        Ok((header, raw))
    }

    /// Makes the entry of a header that has the hash of `body` already.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn sealed(header: &Header, body: Box<RawValue>) -> Result<Self, BadEntry> {
        Ok(Self { header: to_raw_value(header)?, body: Some(body) })
    }

    /// Reads an entry from its stored bytes.
    ///
    /// # Errors
    /// When they are not an entry.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadEntry> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The bytes that are stored, and sent within the event's frame.
    ///
    /// # Errors
    /// When the entry has no JSON form, which does not happen.
    pub fn to_bytes(&self) -> Result<Bytes, BadEntry> {
        let body = self.body.as_ref().map_or(0, |body| body.get().len());
        let mut bytes = Vec::with_capacity(self.header.get().len() + body + ENVELOPE_BYTES);
        serde_json::to_writer(&mut bytes, self)?;
        Ok(bytes.into())
    }

    /// Reads the header, whatever the body is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open_header(&self) -> Result<Header, BadEntry> {
        Ok(serde_json::from_str(self.header.get())?)
    }

    /// Reads the header and checks that the body is the one it names.
    ///
    /// # Errors
    /// When the header cannot be read or the body is another.
    pub fn open(&self) -> Result<Header, BadEntry> {
        let header = self.open_header()?;
        match &self.body {
            Some(body) if Hash::of(body.get().as_bytes()) != header.body_hash => {
                Err(BadEntry::Body { seq: header.seq })
            }
            _ => Ok(header),
        }
    }

    /// The text of an entry of type `text`; `None` for other types, or when the body was erased.
    pub fn text(&self) -> Option<String> {
        let body = self.body.as_ref()?;
        serde_json::from_str::<TextBody>(body.get()).ok().map(|body| body.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seq: u64) -> Header {
        let key = PeerKey::from_bytes([3; 32]);
        Header {
            seq,
            id: MessageId::new(),
            kind: TEXT.into(),
            from: Author::new(Subject::Guest(key), "ken".into(), IdentityKind::Guest, key),
            sent_at: Timestamp::from_millis(1),
            stored_at: Timestamp::from_millis(2),
            about: None,
            imported: None,
            body_hash: Hash::of(b""),
        }
    }

    #[test]
    fn an_entry_keeps_its_bytes() {
        let body = RawValue::from_string(r#"{"text":"a \u0041", "x":1}"#.into()).unwrap();
        let (header, raw) = RawEntry::seal(header(1), body).unwrap();
        let stored = raw.to_bytes().unwrap();
        let again = RawEntry::from_bytes(&stored).unwrap();
        assert_eq!(again.to_bytes().unwrap(), stored);
        assert_eq!(again.open().unwrap(), header);
        assert_eq!(again.text().as_deref(), Some("a A"));
    }

    #[test]
    fn what_not_every_program_can_read_is_no_body() {
        let parse = |json: &str| TextBody::parse(&RawValue::from_string(json.into()).unwrap());
        assert_eq!(parse(r#"{"text":"\ud83d\ude00","later":[1e3,"\u0000"]}"#).unwrap().text, "😀");
        for unreadable in
            [r#"{"text":"\ud83d"}"#, r#"{"text":"a","x":"\ud83d"}"#, r#"{"text":"a","x":[1e999]}"#]
        {
            assert_eq!(parse(unreadable).unwrap_err().code, Code::BadRequest, "{unreadable}");
        }
    }

    #[test]
    fn another_body_is_noticed_and_an_erased_one_leaves_the_chain_whole() {
        let body = RawValue::from_string(r#"{"text":"a"}"#.into()).unwrap();
        let (_, mut raw) = RawEntry::seal(header(1), body).unwrap();
        let root = Hash::root(ChannelId::new(), Epoch::new());
        let before = root.next(&raw.header);
        raw.body = Some(RawValue::from_string(r#"{"text":"b"}"#.into()).unwrap());
        assert!(matches!(raw.open(), Err(BadEntry::Body { seq: 1 })));
        raw.body = None;
        assert!(raw.open().is_ok());
        assert_eq!(root.next(&raw.header), before);
    }

    #[test]
    fn the_chain_depends_on_channel_epoch_and_order() {
        let (channel, epoch) = (ChannelId::new(), Epoch::new());
        assert_ne!(Hash::root(channel, epoch), Hash::root(channel, Epoch::new()));
        assert_ne!(Hash::root(channel, epoch), Hash::root(ChannelId::new(), epoch));
        let one = to_raw_value(&header(1)).unwrap();
        let two = to_raw_value(&header(2)).unwrap();
        let root = Hash::root(channel, epoch);
        assert_ne!(root.next(&one).next(&two), root.next(&two).next(&one));
    }
}
