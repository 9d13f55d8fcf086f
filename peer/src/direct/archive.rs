//! What is kept of conversations: contacts, requests, and every message, by when it came and by where it stands.

pub mod check;

use bytes::Bytes;
use common::clock::Timestamp;
use common::id::{IdentityKind, MessageId, Subject};
use common::identity::PeerKey;
use common::storage::{
    Abort, Direction, KeyRange, ReadError, Reader, Store, StoreError, Submitted, Table, Transaction,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::book::{Asked, Book, Changed, Contact, ContactId, Request};
use super::order::{Clocks, Stamp};
use crate::store::{json, parse};

const CONTACTS: Table = Table::new("direct_contacts");
const REQUESTS: Table = Table::new("direct_requests");
const STATE: Table = Table::new("direct_state");
const SHOWN: Table = Table::new("direct_shown");
const LOG: Table = Table::new("direct_log");
const ORDER: Table = Table::new("direct_order");
const MINE: Table = Table::new("direct_mine");

const IN: &[u8] = b"in";
const OUT: &[u8] = b"out";

/// A message as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The how manyth of its conversation it was to come, from 1.
    pub arrival: u64,
    /// Where it stands.
    pub stamp: Stamp,
    /// The message.
    pub id: MessageId,
    /// The author's name at that time.
    pub from: String,
    /// Account or guest.
    pub author_kind: IdentityKind,
    /// `text`, or what a newer program has.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was written, by the author's clock.
    pub sent_at: Timestamp,
    /// As whom this device's user wrote it: it goes out as nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<Subject>,
    /// Whether it came when others stood behind it already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// As it was sent.
    pub body: Box<RawValue>,
}

/// How far a conversation is, on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkState {
    /// The clocks of its devices.
    pub clocks: Clocks,
    /// How many messages have come.
    pub arrivals: u64,
}

/// How far a conversation was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMark {
    /// How many messages.
    pub arrivals: u64,
    /// The last one of each device.
    pub read: BTreeMap<PeerKey, u64>,
}

/// The tables of conversations within a store.
#[derive(Clone)]
pub struct Archive(Store);

fn key(id: ContactId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

fn numbered(id: ContactId, number: u64) -> Vec<u8> {
    [id.0.as_bytes().as_slice(), &number.to_be_bytes()].concat()
}

fn stamped(id: ContactId, stamp: Stamp) -> Vec<u8> {
    [id.0.as_bytes().as_slice(), &stamp.to_key()].concat()
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

impl Archive {
    /// The tables within a store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Contacts and requests as they were kept.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn book(&self) -> Result<Book, ReadError> {
        let reader = self.0.reader();
        let contacts = reader.scan(CONTACTS, KeyRange::ALL, usize::MAX, Direction::Forward)?;
        let contacts = contacts.iter().filter_map(|(_, value)| parse::<Contact>(value)).collect();
        let requests = reader.get(REQUESTS, IN)?.and_then(|bytes| parse::<Vec<Request>>(&bytes));
        let asked = reader.get(REQUESTS, OUT)?.and_then(|bytes| parse::<Vec<Asked>>(&bytes));
        Ok(Book::load(contacts, requests.unwrap_or_default(), asked.unwrap_or_default()))
    }

    /// Writes what has changed in the book.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn keep_book(
        &self,
        book: &Book,
        changed: &[Changed],
    ) -> Result<Submitted<(), std::convert::Infallible>, StoreError> {
        let mut rows: Vec<(Table, Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for changed in changed {
            match changed {
                Changed::Contact(id) => rows.push((CONTACTS, key(*id), book.contact(*id).map(json))),
                Changed::Requests => {
                    rows.push((REQUESTS, IN.to_vec(), Some(json(&book.requests()))));
                    rows.push((REQUESTS, OUT.to_vec(), Some(json(&book.asked()))));
                }
            }
        }
        self.0.submit(move |tx: &mut Transaction<'_>| {
            for (table, key, value) in rows {
                match value {
                    Some(value) => tx.put(table, key, value),
                    None => tx.delete(table, key),
                }
            }
            Ok::<_, Abort>(())
        })
    }

    /// How far a conversation is, and how far it was shown.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn state(&self, id: ContactId) -> Result<(TalkState, ShownMark), ReadError> {
        let reader = self.0.reader();
        let state = reader.get(STATE, key(id))?.and_then(|bytes| parse(&bytes)).unwrap_or_default();
        let shown = reader.get(SHOWN, key(id))?.and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Ok((state, shown))
    }

    /// Writes messages of this device (`me`) and of others, with how far the conversation is by them.
    ///
    /// # Errors
    /// When it was not taken, or is not known to be on disk.
    pub fn keep(
        &self,
        id: ContactId,
        me: PeerKey,
        state: &TalkState,
        rows: &[Row],
    ) -> Result<Submitted<(), std::convert::Infallible>, StoreError> {
        let state = json(state);
        let rows: Vec<(u64, Stamp, Vec<u8>)> =
            rows.iter().map(|row| (row.arrival, row.stamp, json(row))).collect();
        self.0.submit(move |tx: &mut Transaction<'_>| {
            for (arrival, stamp, value) in rows {
                tx.put(LOG, numbered(id, arrival), value);
                let at = arrival.to_be_bytes().to_vec();
                if stamp.key == me {
                    tx.put(MINE, numbered(id, stamp.number), at.clone());
                }
                tx.put(ORDER, stamped(id, stamp), at);
            }
            tx.put(STATE, key(id), state);
            Ok::<_, Abort>(())
        })
    }

    /// Keeps how far a conversation was shown. Nobody waits for it: what is lost of it is shown again.
    pub fn keep_shown(&self, id: ContactId, shown: &ShownMark) {
        let value = json(shown);
        let submitted = self.0.submit(move |tx: &mut Transaction<'_>| {
            tx.put(SHOWN, key(id), value);
            Ok::<_, Abort>(())
        });
        match submitted {
            Ok(submitted) => drop(submitted),
            Err(error) => tracing::debug!(err = %error, "how far a conversation was shown is not kept"),
        }
    }

    /// The id of the message under a stamp.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find(&self, id: ContactId, stamp: Stamp) -> Result<Option<MessageId>, ReadError> {
        let reader = self.0.reader();
        let Some(at) = reader.get(ORDER, stamped(id, stamp))? else { return Ok(None) };
        Ok(row(&reader, id, &at)?.map(|row| row.id))
    }

    /// This device's messages with the next higher numbers after `after`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn mine(&self, id: ContactId, after: u64, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.0
            .read(move |reader| {
                let range = (Bound::Excluded(numbered(id, after)), Bound::Included(numbered(id, u64::MAX)));
                let found = reader.scan(MINE, range, limit, Direction::Forward)?;
                rows(reader, id, found)
            })
            .await
    }

    /// The messages that came after the first `arrivals`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn since(&self, id: ContactId, arrivals: u64, limit: usize) -> Result<Vec<Row>, ReadError> {
        let range = (Bound::Excluded(numbered(id, arrivals)), Bound::Included(numbered(id, u64::MAX)));
        let found = self.0.reader().scan(LOG, range, limit, Direction::Forward)?;
        Ok(found.iter().filter_map(|(_, value)| parse(value)).collect())
    }

    /// A message by when it came, and so many before and after it in their order; none when there is none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn around(
        &self,
        id: ContactId,
        arrival: u64,
        around: usize,
    ) -> Result<Option<(Vec<Row>, Row, Vec<Row>)>, ReadError> {
        self.0
            .read(move |reader| {
                let Some(found) = row(reader, id, &arrival.to_be_bytes())? else { return Ok(None) };
                let here = stamped(id, found.stamp);
                let below = (Bound::Included(key(id)), Bound::Excluded(here.clone()));
                let above =
                    (Bound::Excluded(here), Bound::Included([key(id).as_slice(), &[u8::MAX; 48]].concat()));
                let before = reader.scan(ORDER, below, around, Direction::Backward)?;
                let after = reader.scan(ORDER, above, around, Direction::Forward)?;
                let mut before = rows(reader, id, before)?;
                before.reverse();
                Ok(Some((before, found, rows(reader, id, after)?)))
            })
            .await
    }

    /// The last messages, in order, at most `count`, before the clock `before`; of several with the same clock all, so
    /// that no page leaves one out.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn page(
        &self,
        id: ContactId,
        count: usize,
        before: Option<u64>,
    ) -> Result<Vec<Row>, ReadError> {
        self.0
            .read(move |reader| {
                let from = key(id);
                let end = match before {
                    Some(clock) => Bound::Excluded([from.as_slice(), &clock.to_be_bytes()].concat()),
                    None => Bound::Included([from.as_slice(), &[u8::MAX; 48]].concat()),
                };
                let newest = |limit| {
                    let range = (Bound::Included(from.clone()), end.clone());
                    reader.scan(ORDER, range, limit, Direction::Backward)
                };
                let mut found = newest(count)?;
                if let Some((first, _)) = found.last() {
                    // The clock stands behind the contact's id.
                    let clock = first.get(..key(id).len() + 8).unwrap_or_default().to_vec();
                    let same =
                        reader.scan(ORDER, KeyRange::prefix(clock), usize::MAX, Direction::Backward)?;
                    let known = found.iter().filter(|(at, _)| same.iter().any(|(other, _)| other == at));
                    let known = known.count();
                    found.extend(same.into_iter().skip(known));
                }
                let mut page = rows(reader, id, found)?;
                page.reverse();
                Ok(page)
            })
            .await
    }

    /// The first messages after the clock `after`, in order, at most `count`; of several with the same clock all.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn page_after(&self, id: ContactId, count: usize, after: u64) -> Result<Vec<Row>, ReadError> {
        let Some(next) = after.checked_add(1) else { return Ok(Vec::new()) };
        let clock = |clock: u64| [key(id).as_slice(), &clock.to_be_bytes()].concat();
        let end = Bound::Included([key(id).as_slice(), &[u8::MAX; 48]].concat());
        let begin = Bound::Included(clock(next));
        self.0
            .read(move |reader| {
                let mut found = reader.scan(ORDER, (begin, end.clone()), count, Direction::Forward)?;
                if let Some((last, _)) = found.last().cloned() {
                    let clock = last.get(..key(id).len() + 8).unwrap_or_default().to_vec();
                    let same = reader.scan(ORDER, KeyRange::prefix(clock), usize::MAX, Direction::Forward)?;
                    found.extend(same.into_iter().filter(|(at, _)| *at > last));
                }
                rows(reader, id, found)
            })
            .await
    }
}

/// How many messages have come in each conversation.
///
/// # Errors
/// When that cannot be read.
pub fn all_arrivals(reader: &Reader) -> Result<Vec<(ContactId, u64)>, ReadError> {
    let rows = reader.scan(STATE, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let read = |(key, value): &(Bytes, Bytes)| {
        let contact = ContactId(uuid::Uuid::from_bytes(key.as_ref().try_into().ok()?));
        Some((contact, parse::<TalkState>(value)?.arrivals))
    };
    Ok(rows.iter().filter_map(read).collect())
}

fn row(reader: &Reader, id: ContactId, at: &[u8]) -> Result<Option<Row>, ReadError> {
    let Some(arrival) = number(at) else { return Ok(None) };
    Ok(reader.get(LOG, numbered(id, arrival))?.and_then(|bytes| parse(&bytes)))
}

fn rows(reader: &Reader, id: ContactId, found: Vec<(Bytes, Bytes)>) -> Result<Vec<Row>, ReadError> {
    let mut rows = Vec::with_capacity(found.len());
    for (_, at) in found {
        rows.extend(row(reader, id, &at)?);
    }
    Ok(rows)
}
