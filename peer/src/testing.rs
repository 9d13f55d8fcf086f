//! What unit tests of several parts need.

use common::clock::Timestamp;
use common::entry::{Author, Hash, Header, RawEntry, TEXT};
use common::id::{IdentityKind, MessageId, Subject};
use common::identity::PeerKey;
use serde_json::value::RawValue;

/// An entry that says `text`, which has to need no escapes.
pub(crate) fn entry(seq: u64, text: &str) -> RawEntry {
    let key = PeerKey::from_bytes([3; 32]);
    let header = Header {
        seq,
        id: MessageId::new(),
        kind: TEXT.into(),
        from: Author::new(Subject::Guest(key), "ken".into(), IdentityKind::Guest, key),
        sent_at: Timestamp::from_millis(1),
        stored_at: Timestamp::from_millis(2),
        about: None,
        imported: None,
        body_hash: Hash::of(b""),
    };
    let body = RawValue::from_string(format!(r#"{{"text":"{text}"}}"#)).unwrap();
    RawEntry::seal(header, body).unwrap().1
}
