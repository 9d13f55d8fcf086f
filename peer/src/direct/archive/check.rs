//! Whether what is kept of private conversations is whole: for a doctor, while nobody talks.
//!
//! The messages by their arrival are what there is; in which order they stand, which of them this device wrote, and how far
//! a conversation is, follow from them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use common::identity::PeerKey;
use common::storage::{Abort, Direction, KeyRange, ReadError, Store, StoreError, Table};
use uuid::Uuid;

use super::{ContactId, LOG, MINE, ORDER, Row, SHOWN, STATE, ShownMark, TalkState, key, numbered, stamped};
use crate::store::{json, parse};

/// How many rows are mended in one write.
const MENDED_ROWS: usize = 512;

/// A row as it is to be; nothing for one that is to go.
type Mend = (Table, Vec<u8>, Option<Vec<u8>>);

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// How many messages can be read.
    pub messages: usize,
    /// The rows of messages that cannot be.
    pub unreadable: Vec<(Bytes, Bytes)>,
    mends: Vec<Mend>,
}

impl Checked {
    /// How much of what follows from the messages is wrong or missing.
    pub fn wrong(&self) -> usize {
        self.mends.len()
    }

    fn compare(
        &mut self,
        store: &Store,
        table: Table,
        expected: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), ReadError> {
        let found = store.reader().scan(table, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        let found: BTreeMap<Vec<u8>, Bytes> =
            found.into_iter().map(|(key, value)| (key.to_vec(), value)).collect();
        let strays = found.keys().filter(|key| !expected.contains_key(*key));
        self.mends.extend(strays.map(|key| (table, key.clone(), None)));
        let wrong =
            expected.iter().filter(|(key, value)| found.get(*key).is_none_or(|found| found != *value));
        self.mends.extend(wrong.map(|(key, value)| (table, key.clone(), Some(value.clone()))));
        Ok(())
    }
}

/// Looks at all conversations of a store; `me` is this device.
///
/// # Errors
/// When the store cannot be read.
pub fn check_all(store: &Store, me: PeerKey) -> Result<Checked, ReadError> {
    let all = |table| store.reader().scan(table, KeyRange::ALL, usize::MAX, Direction::Forward);
    let mut checked = Checked::default();
    let (mut order, mut mine) = (BTreeMap::new(), BTreeMap::new());
    let mut states = HashMap::<ContactId, TalkState>::new();
    for (at, value) in all(LOG)? {
        let whole =
            of_key(&at).zip(parse::<Row>(&value)).filter(|((_, arrival), row)| *arrival == row.arrival);
        let Some(((id, arrival), row)) = whole else {
            checked.unreadable.push((at, value));
            continue;
        };
        checked.messages += 1;
        order.insert(stamped(id, row.stamp), arrival.to_be_bytes().to_vec());
        if row.stamp.key == me {
            mine.insert(numbered(id, row.stamp.number), arrival.to_be_bytes().to_vec());
        }
        let state = states.entry(id).or_default();
        state.clocks.add(row.stamp);
        state.arrivals = state.arrivals.max(arrival);
    }
    checked.compare(store, ORDER, &order)?;
    checked.compare(store, MINE, &mine)?;
    for (at, value) in all(STATE)? {
        let id = ContactId(Uuid::from_slice(&at).unwrap_or_default());
        match (parse::<TalkState>(&value), states.remove(&id)) {
            (Some(kept), Some(counted)) if !kept.covers(&counted) => checked.mends.push(state(id, &counted)),
            (None, Some(counted)) => checked.mends.push(state(id, &counted)),
            (None, None) => checked.mends.push((STATE, at.to_vec(), None)),
            (Some(_), _) => {}
        }
    }
    checked.mends.extend(states.iter().map(|(id, counted)| state(*id, counted)));
    let shown = all(SHOWN)?.into_iter().filter(|(_, value)| parse::<ShownMark>(value).is_none());
    // What was shown before is shown once more then.
    checked.mends.extend(shown.map(|(at, _)| (SHOWN, at.to_vec(), None)));
    Ok(checked)
}

/// Takes out what cannot be read, which was put aside before, and makes anew what follows from the rest.
///
/// # Errors
/// When that is not known to be done.
pub async fn repair(store: &Store, found: Checked) -> Result<(), StoreError> {
    let gone = found.unreadable.into_iter().map(|(key, _)| (LOG, key.to_vec(), None));
    let mends: Vec<Mend> = gone.chain(found.mends).collect();
    for some in mends.chunks(MENDED_ROWS).map(<[Mend]>::to_vec) {
        let write = store.write(move |transaction| {
            for (table, key, value) in some {
                match value {
                    Some(value) => transaction.put(table, key, value),
                    None => transaction.delete(table, key),
                }
            }
            Ok::<_, Abort>(())
        });
        write.await?;
    }
    Ok(())
}

fn state(id: ContactId, counted: &TalkState) -> Mend {
    (STATE, key(id), Some(json(counted)))
}

fn of_key(key: &[u8]) -> Option<(ContactId, u64)> {
    let (contact, arrival) = key.split_first_chunk::<16>()?;
    Some((ContactId(Uuid::from_bytes(*contact)), u64::from_be_bytes(arrival.try_into().ok()?)))
}

impl TalkState {
    /// Whether it is as far as what was counted.
    fn covers(&self, counted: &Self) -> bool {
        self.arrivals >= counted.arrivals && self.clocks.covers(&counted.clocks)
    }
}

#[cfg(test)]
mod tests {
    use common::clock::Timestamp;
    use common::id::{IdentityKind, MessageId};
    use serde_json::value::RawValue;

    use super::super::{Archive, Stamp};
    use super::*;

    fn row(arrival: u64, key: PeerKey, number: u64) -> Row {
        Row {
            arrival,
            stamp: Stamp { clock: arrival, key, number },
            id: MessageId::new(),
            from: "ken".to_owned(),
            author_kind: IdentityKind::Guest,
            kind: "text".to_owned(),
            sent_at: Timestamp::from_millis(1),
            writer: None,
            late: false,
            body: RawValue::from_string(r#"{"text":"a"}"#.to_owned()).unwrap(),
        }
    }

    #[tokio::test]
    async fn what_follows_from_the_messages_is_made_anew_and_what_cannot_be_read_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), crate::SCHEMA).unwrap();
        let (me, other) = (PeerKey::from_bytes([1; 32]), PeerKey::from_bytes([2; 32]));
        let (archive, id) = (Archive::new(store.clone()), ContactId(Uuid::from_u128(7)));
        let rows = [row(1, me, 1), row(2, other, 1), row(3, me, 2), row(4, other, 2)];
        let mut whole = TalkState { arrivals: 4, ..TalkState::default() };
        rows.iter().for_each(|row| whole.clocks.add(row.stamp));
        archive.keep(id, me, &whole, &rows).unwrap().await.unwrap();
        let found = check_all(&store, me).unwrap();
        assert_eq!((found.messages, found.wrong(), found.unreadable.len()), (4, 0, 0));
        let damage = store.write(move |transaction| {
            transaction.put(LOG, numbered(id, 2), b"nothing".to_vec());
            transaction.delete(ORDER, stamped(id, Stamp { clock: 1, key: me, number: 1 }));
            transaction.put(MINE, numbered(id, 2), 1_u64.to_be_bytes().to_vec());
            transaction.put(STATE, key(id), b"{".to_vec());
            transaction.put(SHOWN, key(id), b"{".to_vec());
            Ok::<_, Abort>(())
        });
        damage.await.unwrap();
        let found = check_all(&store, me).unwrap();
        // With the message that cannot be read its place in the order goes, too.
        assert_eq!((found.messages, found.wrong(), found.unreadable.len()), (3, 5, 1));
        repair(&store, found).await.unwrap();
        let found = check_all(&store, me).unwrap();
        assert_eq!((found.messages, found.wrong(), found.unreadable.len()), (3, 0, 0));
        let (state, shown) = archive.state(id).unwrap();
        assert_eq!((state, shown), (whole, ShownMark::default()));
        let page: Vec<u64> = archive.page(id, 9, None).await.unwrap().iter().map(|row| row.arrival).collect();
        assert_eq!(page, [1, 3, 4]);
        assert_eq!(archive.mine(id, 0, 9).await.unwrap().len(), 2);
        store.close().await;
    }
}
