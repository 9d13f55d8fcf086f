//! Rows for the tests of the pure parts.

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{ChannelId, Epoch, Subject};
use common::identity::PeerKey;
use common::proto::directory::Policy;

use super::sessions::Identity;
use crate::store::directory::{Revision, Row};
use crate::store::schema::ChannelRow;

pub fn key(number: u8) -> PeerKey {
    PeerKey::from_bytes([number; 32])
}

pub fn guest(number: u8) -> Identity {
    let key = key(number);
    Identity { subject: Subject::Guest(key), name: format!("n{number}").parse().unwrap(), key }
}

pub fn row(name: &str, owner: &Identity) -> ChannelRow {
    let id = ChannelId::new();
    ChannelRow {
        id,
        name: name.parse().unwrap(),
        owner: owner.owner(),
        host_key: owner.key,
        addresses: Vec::new(),
        head: Position::start(id, Epoch::new()),
        term: 1,
        policy: Policy::default(),
        created: Timestamp::from_millis(1),
        seen: Timestamp::from_millis(1),
        moved: None,
        former: Vec::new(),
        members: None,
        offer: None,
    }
}

pub fn at(revision: u64, value: ChannelRow) -> Row<ChannelRow> {
    Row { value, revision: Revision::new(revision) }
}
