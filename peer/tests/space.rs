//! How much room the store takes for what is in it, when its hottest keys are written again and again.
//!
//! Short in the normal run. The long one, whose figures stand in docs/RELIABILITY.md:
//! `NATTER_SPACE_MESSAGES=1000000 cargo test --release -p peer --test space -- --nocapture --test-threads 1`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::print_stderr, reason = "the figures are what it is run for")]
#![cfg(unix)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use common::clock::Timestamp;
use common::entry::{Author, Hash, Header, Position, RawEntry, TEXT};
use common::id::{ChannelId, Epoch, IdentityKind, MessageId, RequestId, Subject};
use common::identity::PeerKey;
use common::storage::{Direction, KeyRange, Store, Table};
use peer::SCHEMA;
use peer::client::archive::intervals::{Intervals, Place};
use peer::client::archive::{Archive, Batch, Kept};
use peer::client::outbox::Item;
use peer::host::channel::{Channel, ConnId, Effect, NewMessage, Offer};
use peer::host::log::Log;
use peer::store::PeerStore;
use serde_json::value::RawValue;

/// A store takes less than so many times the bytes of what is in it.
const MOST: f64 = 3.0;
/// What a store takes in which much was written and little is left: six of sled's segments.
const AT_REST: f64 = (48 << 20) as f64;
/// With so many bytes in it, that much no longer counts.
const LARGE: f64 = (256 << 20) as f64;
/// Through an outbox goes so many times what the others hold, so much at once.
const THROUGH: u64 = 5;
const BURST: u64 = 400;
/// The owner of a channel writes one in so many messages.
const OWN: u64 = 16;

fn messages() -> u64 {
    std::env::var("NATTER_SPACE_MESSAGES").map_or(20_000, |count| count.parse().unwrap())
}

/// How many come together: mostly one, sometimes a burst.
fn together(round: u64) -> u64 {
    [1, 1, 3, 1, 1, 8, 1, 2, 64, 1][(round % 10) as usize]
}

fn author() -> Author {
    let key = PeerKey::from_bytes([7; 32]);
    Author::new(Subject::Guest(key), "charlie".to_owned(), IdentityKind::Guest, key)
}

fn text(number: u64) -> String {
    format!("{number:010} {}", "what people write to each other ".repeat(3).split_at(89).0)
}

fn body(number: u64) -> Box<RawValue> {
    RawValue::from_string(serde_json::json!({ "text": text(number) }).to_string()).unwrap()
}

/// Bytes.
struct Measured {
    live: f64,
    on_disk: f64,
}

/// What the tables hold, and what the folder takes.
fn measure(store: &Store, folder: &Path, tables: &[Table]) -> Measured {
    let mut live: u64 = 0;
    for table in tables {
        let add = |key: bytes::Bytes, value: bytes::Bytes| {
            live += (key.len() + value.len()) as u64;
            std::ops::ControlFlow::Continue(())
        };
        store.reader().visit(*table, KeyRange::ALL, Direction::Forward, add).unwrap();
    }
    Measured { live: live as f64, on_disk: on_disk(folder) as f64 }
}

fn on_disk(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|file| if file.is_dir() { on_disk(&file) } else { file.metadata().unwrap().blocks() * 512 })
        .sum()
}

impl Measured {
    fn report(&self, what: &str, count: u64, since: Instant) {
        let Self { live, on_disk } = self;
        let (ratio, took) = (on_disk / live, since.elapsed());
        eprintln!(
            "{what}: {count} messages, {live} bytes kept, {on_disk} on disk, {ratio:.2} times, {took:?}"
        );
    }

    fn check(&self) {
        let Self { live, on_disk } = *self;
        let at_rest = if live < LARGE { AT_REST } else { 0.0 };
        assert!(on_disk < live * MOST + at_rest, "{on_disk} bytes on disk for {live}");
    }
}

const LOG: [Table; 3] = [Table::new("log"), Table::new("log_ids"), Table::new("log_checkpoints")];
const ARCHIVE: [Table; 3] =
    [Table::new("archive"), Table::new("archive_intervals"), Table::new("archive_epoch")];
const OUTBOX: [Table; 1] = [Table::new("outbox")];

fn item(number: u64) -> Item {
    Item {
        number,
        id: MessageId::new(),
        text: text(number),
        offers: None,
        sent_at: Timestamp::now(),
        writer: author().subject,
        writer_name: "charlie".to_owned(),
        expires: None,
        head_seen: None,
        refused: None,
        wish: None,
        stored: None,
    }
}

/// Has the log take messages as a host does. Answers the entries of each append.
struct Hosting {
    channel: Channel,
    log: Log,
}

impl Hosting {
    fn new(store: &Store, id: ChannelId, epoch: Epoch) -> Self {
        let mut channel = Channel::new(Position::start(id, epoch));
        channel.enter(ConnId(1));
        Self { channel, log: Log::new(store.clone(), id, epoch) }
    }

    async fn take(&mut self, bodies: impl Iterator<Item = (MessageId, u64)>) -> Vec<bytes::Bytes> {
        for (id, number) in bodies {
            let body = body(number);
            let body_hash = Hash::of(body.get().as_bytes());
            let (kind, sent_at) = (TEXT.to_owned(), Timestamp::now());
            let message =
                Ok(NewMessage { id, author: author(), kind, sent_at, about: None, body, body_hash });
            let offer = Offer { conn: ConnId(1), request: RequestId::new(), restart: false, message };
            self.channel.offer(offer, None, sent_at);
        }
        let mut delivered = Vec::new();
        while let Some(effect) = self.channel.poll() {
            match effect {
                Effect::Append(batch) => {
                    let outcome = self.log.append(batch, Vec::new()).await;
                    self.channel.appended(outcome);
                }
                Effect::Deliver(entries) => delivered.extend(entries),
                _ => {}
            }
        }
        delivered
    }
}

/// The log of a host whose owner writes now and then, through an outbox of its own.
#[tokio::test]
async fn a_log_takes_less_than_three_times_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), SCHEMA).unwrap();
    let (id, epoch, since) = (ChannelId::new(), Epoch::new(), Instant::now());
    let (mut hosting, own) = (Hosting::new(&store, id, epoch), PeerStore::new(store.clone()));
    let archive = Archive::new(store.clone(), id);
    let (mut number, mut round) = (0, 0);
    while number < messages() {
        let count = together(round);
        round += 1;
        let mut ids = Vec::new();
        for number in number..number + count {
            let item = item(number);
            if number % OWN == 0 {
                own.keep_item(id, &item).unwrap().await.unwrap();
            }
            ids.push((item.id, number));
        }
        let entries = hosting.take(ids.into_iter()).await;
        assert_eq!(entries.len() as u64, count);
        for number in (number..number + count).filter(|number| number % OWN == 0) {
            own.drop_item(id, number).unwrap().await.unwrap();
        }
        number += count;
        archive.keep(shown_upto(epoch, Vec::new(), id, hosting.channel.head())).await.unwrap();
    }
    let measured = measure(&store, folder.path(), &[&LOG[..], &ARCHIVE, &OUTBOX].concat());
    measured.report("host", number, since);
    store.close().await;
    measured.check();
}

/// The one row that is written with each batch.
fn shown_upto(epoch: Epoch, entries: Vec<Kept>, id: ChannelId, head: Position) -> Batch {
    let (mut intervals, start) = (Intervals::default(), Position::start(id, epoch));
    intervals.begin(Place { seq: 0, hash: start.hash }).unwrap();
    assert!(intervals.append(1, Place { seq: head.seq, hash: head.hash }));
    Batch { epoch, entries, erasures: Vec::new(), intervals, shown: head.seq }
}

/// The archive of a member to whom messages come, mostly one by one.
#[tokio::test]
async fn an_archive_takes_less_than_three_times_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), SCHEMA).unwrap();
    let (id, epoch, since) = (ChannelId::new(), Epoch::new(), Instant::now());
    let archive = Archive::new(store.clone(), id);
    let (mut head, mut round) = (Position::start(id, epoch), 0);
    while head.seq < messages() {
        let mut entries = Vec::new();
        for _ in 0..together(round) {
            let (entry, next) = sealed(head);
            head = next;
            entries.push(Kept::new(head.seq, &entry, Some(head.hash)).unwrap());
        }
        round += 1;
        archive.keep(shown_upto(epoch, entries, id, head)).await.unwrap();
        // How far was shown is often written once more by itself.
        if round % 2 == 0 {
            archive.keep(shown_upto(epoch, Vec::new(), id, head)).await.unwrap();
        }
    }
    let measured = measure(&store, folder.path(), &ARCHIVE);
    measured.report("archive", head.seq, since);
    store.close().await;
    measured.check();
}

fn sealed(head: Position) -> (RawEntry, Position) {
    let (seq, body, now) = (head.seq + 1, body(head.seq), Timestamp::now());
    let body_hash = Hash::of(body.get().as_bytes());
    let (id, kind) = (MessageId::new(), TEXT.to_owned());
    let header = Header {
        seq,
        id,
        kind,
        from: author(),
        sent_at: now,
        stored_at: now,
        about: None,
        imported: None,
        body_hash,
    };
    let (_, entry) = RawEntry::seal(header, body).unwrap();
    let hash = head.hash.next(&entry.header);
    (entry, Position { epoch: head.epoch, seq, hash })
}

/// An outbox through which everything goes, and in which nothing stays but one message that was refused.
#[tokio::test]
async fn an_outbox_does_not_grow_by_what_has_gone_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), SCHEMA).unwrap();
    let (id, since) = (ChannelId::new(), Instant::now());
    let own = PeerStore::new(store.clone());
    own.keep_item(id, &item(0)).unwrap().await.unwrap();
    let mut number = 1;
    while number < THROUGH * messages() {
        let count = BURST;
        let kept: Vec<_> =
            (number..number + count).map(|number| own.keep_item(id, &item(number)).unwrap()).collect();
        for kept in kept {
            kept.await.unwrap();
        }
        let dropped: Vec<_> =
            (number..number + count).map(|number| own.drop_item(id, number).unwrap()).collect();
        for dropped in dropped {
            dropped.await.unwrap();
        }
        number += count;
    }
    let measured = measure(&store, folder.path(), &OUTBOX);
    measured.report("outbox", number, since);
    store.close().await;
    measured.check();
}
