//! Erasing: an entry of its own says which older one has lost its body, why, and, as its author, by whom. The header of
//! the older one stays, and with it the chain of hashes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadEntry, Header, RawEntry};
use crate::id::MessageId;
use crate::proto::limits::MAX_WHY_BYTES;
use crate::proto::status::{Code, Refusal};

/// The type of an entry that erases the body of another one.
pub const ERASE: &str = "erase";

/// The body of an entry of type `erase`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseBody {
    /// The entry whose body is erased.
    pub seq: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl EraseBody {
    /// What an entry erases, and why; nothing unless it is one that erases, and has its body.
    pub fn of(header: &Header, entry: &RawEntry) -> Option<Self> {
        if header.kind != ERASE {
            return None;
        }
        let body: Self = serde_json::from_str(entry.body.as_ref()?.get()).ok()?;
        (1..header.seq).contains(&body.seq).then_some(body)
    }
}

/// What an entry of type `erase` says, as far as it can be told from that entry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The number of the entry that erases.
    pub by: u64,
    /// The entry whose body goes.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
}

impl Erasure {
    /// What an entry erases; nothing when it is of another type, or names nothing that it could erase.
    pub fn of(header: &Header, entry: &RawEntry) -> Option<Self> {
        let EraseBody { seq, .. } = EraseBody::of(header, entry)?;
        Some(Self { by: header.seq, seq, id: header.about? })
    }

    /// Whether it is this entry that is meant. What erases stays.
    pub fn is_of(&self, target: &Header) -> bool {
        target.seq == self.seq && target.id == self.id && target.kind != ERASE
    }

    /// The bytes that are left of an entry, whether or not it had a body still; nothing when another one is meant.
    ///
    /// # Errors
    /// When the bytes are not an entry.
    pub fn left_of(&self, entry: &[u8]) -> Result<Option<Bytes>, BadEntry> {
        let mut entry = RawEntry::from_bytes(entry)?;
        let header = entry.open_header()?;
        entry.body = None;
        if self.is_of(&header) { entry.to_bytes().map(Some) } else { Ok(None) }
    }
}

/// Whether a reason may be given; an empty one is none.
///
/// # Errors
/// `bad_request` for one that is too long.
pub fn check_why(why: Option<&str>) -> Result<Option<&str>, Refusal> {
    match why {
        Some(why) if why.len() > MAX_WHY_BYTES => {
            let reason = format!("the reason has at most {MAX_WHY_BYTES} bytes");
            Err(Refusal::new(Code::BadRequest, reason))
        }
        why => Ok(why.filter(|why| !why.is_empty())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::{Author, Hash, TEXT};
    use crate::id::{IdentityKind, Subject};
    use crate::identity::PeerKey;

    fn entry(seq: u64, kind: &str, about: Option<MessageId>, body: &str) -> (Header, RawEntry) {
        let key = PeerKey::from_bytes([3; 32]);
        let header = Header {
            seq,
            id: MessageId::new(),
            kind: kind.into(),
            from: Author::new(Subject::Guest(key), "ken".into(), IdentityKind::Guest, key),
            sent_at: Timestamp::from_millis(1),
            stored_at: Timestamp::from_millis(2),
            about,
            imported: None,
            body_hash: Hash::of(b""),
        };
        RawEntry::seal(header, RawValue::from_string(body.into()).unwrap()).unwrap()
    }

    #[test]
    fn an_erased_entry_keeps_its_header_and_twice_is_as_once() {
        let (header, raw) = entry(3, TEXT, None, r#"{"text":"secret"}"#);
        let (erasing, by) = entry(9, ERASE, Some(header.id), r#"{"seq":3,"why":"a slip"}"#);
        let erasure = Erasure::of(&erasing, &by).unwrap();
        assert_eq!(erasure, Erasure { by: 9, seq: 3, id: header.id });
        let left = erasure.left_of(&raw.to_bytes().unwrap()).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&left).contains("secret"));
        let again = RawEntry::from_bytes(&left).unwrap();
        assert_eq!(again.header.get(), raw.header.get());
        assert_eq!(again.open().unwrap(), header);
        assert_eq!(erasure.left_of(&left).unwrap().unwrap(), left);
    }

    #[test]
    fn what_erases_itself_or_what_is_to_come_or_another_erasure_erases_nothing() {
        let (text, raw) = entry(3, TEXT, None, r#"{"text":"a"}"#);
        let erasure = |kind: &str, about, body: &str| {
            let (header, raw) = entry(9, kind, about, body);
            Erasure::of(&header, &raw)
        };
        for body in [r#"{"seq":9}"#, r#"{"seq":10}"#, r#"{"seq":0}"#, r#"{}"#, r#"{"text":"a"}"#] {
            assert_eq!(erasure(ERASE, Some(text.id), body), None, "{body}");
        }
        assert_eq!(erasure(TEXT, Some(text.id), r#"{"seq":3}"#), None);
        assert_eq!(erasure(ERASE, None, r#"{"seq":3}"#), None);
        let of_another = erasure(ERASE, Some(MessageId::new()), r#"{"seq":3}"#).unwrap();
        assert_eq!(of_another.left_of(&raw.to_bytes().unwrap()).unwrap(), None);
        let (first, raw) = entry(4, ERASE, Some(text.id), r#"{"seq":3}"#);
        let second = erasure(ERASE, Some(first.id), r#"{"seq":4}"#).unwrap();
        assert_eq!(second.left_of(&raw.to_bytes().unwrap()).unwrap(), None);
    }
}
