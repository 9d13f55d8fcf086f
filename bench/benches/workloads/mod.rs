//! The hot paths, one function each: what a message costs on its way, apart from system calls.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot be made is a panic")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use common::clock::Timestamp;
use common::codec::LineCodec;
use common::entry::{Author, Hash, Header, Position, RawEntry, TEXT};
use common::id::{ChannelId, Epoch, IdentityKind, MessageId, RequestId, Subject};
use common::identity::PeerKey;
use common::link::Outgoing;
use common::proto::channel::{HostRequest, Role};
use common::proto::policy::{Post, Standing, Switches, View};
use common::proto::{Frame, event};
use common::storage::{Program, Schema, Store};
use futures_util::FutureExt;
use peer::host::channel::{Batch, NewEntry};
use peer::host::log::Log;
use peer::host::permission::{Verb, decide};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::codec::Decoder;

/// How many entries one append of [`LogAppend`] has.
pub const APPENDED: u64 = 64;

fn body() -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"text":"{}"}}"#, "x".repeat(100))).unwrap()
}

fn header(seq: u64) -> Header {
    let key = PeerKey::from_bytes([7; 32]);
    let now = Timestamp::from_millis(1_790_000_000_000);
    Header {
        seq,
        id: MessageId::new(),
        kind: TEXT.to_owned(),
        from: Author::new(Subject::Guest(key), "charlie".to_owned(), IdentityKind::Guest, key),
        sent_at: now,
        stored_at: now,
        about: None,
        imported: None,
        body_hash: Hash::of(body().get().as_bytes()),
    }
}

/// A MESSAGE request, as it comes in.
pub fn message_line() -> Vec<u8> {
    let (request, id) = (RequestId::new(), MessageId::new());
    let body = body();
    format!(
        "{{\"id\":\"{request}\",\"command\":\"MESSAGE\",\"body\":{{\"id\":\"{id}\",\"type\":\"text\",\
         \"sent_at\":1790000000000,\"body\":{body}}}}}\n"
    )
    .into_bytes()
}

/// One line out of the bytes that came, and what it asks.
pub fn decode(line: &[u8], codec: &mut LineCodec, buffer: &mut BytesMut) {
    buffer.extend_from_slice(line);
    let line = codec.decode(buffer).unwrap().unwrap();
    let Frame::Request(request) = Frame::parse(&line).unwrap() else { panic!("not a request") };
    black_box(HostRequest::parse(&request.command, &request.body).unwrap());
}

/// One entry of the log, and the line that everybody gets.
pub fn encode(head: &mut Position, lines: &mut BytesMut) {
    let raw = RawEntry::sealed(&header(head.seq + 1), body()).unwrap();
    *head = Position { seq: head.seq + 1, hash: head.hash.next(&raw.header), ..*head };
    lines.clear();
    event::put_message(lines, &raw.to_bytes().unwrap());
    black_box(&lines);
}

pub fn start_of_log() -> Position {
    Position::start(ChannelId::new(), Epoch::new())
}

/// Who may do what, for every role and four verbs.
pub fn permission() {
    let switches = Switches { rev: 1, view: View::Public, post: Post::Everyone };
    for role in [Role::Owner, Role::Registered, Role::Guest] {
        let who = Standing { role, is_banned: false };
        for verb in [Verb::Connect, Verb::Message, Verb::History, Verb::Debug] {
            let _ = black_box(decide(black_box(who), black_box(verb), None, black_box(switches)));
        }
    }
}

/// A line that goes at once, and eight that wait and go together.
pub fn outgoing(queue: &Outgoing, line: &Bytes) {
    black_box(queue.begin(line.clone()).unwrap().unwrap());
    for _ in 0..8 {
        queue.push(line.clone()).unwrap();
    }
    queue.end(None);
    black_box(queue.next_batch().now_or_never().unwrap().unwrap());
    queue.end(None);
}

/// A log on disk that batches are appended to.
pub struct LogAppend {
    runtime: Runtime,
    log: Log,
    head: Position,
    _folder: TempDir,
}

impl LogAppend {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Schema { program: Program::Peer, version: 1 }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (channel, epoch) = (ChannelId::new(), Epoch::new());
        let head = Position::start(channel, epoch);
        Self { runtime, log: Log::new(store, channel, epoch), head, _folder: folder }
    }

    /// Appends a batch, and waits until it is on disk.
    pub fn append(&mut self) {
        let after = self.head;
        let entries = (0..APPENDED).map(|_| {
            let header = header(self.head.seq + 1);
            let raw = RawEntry::sealed(&header, body()).unwrap();
            let hash = self.head.hash.next(&raw.header);
            self.head = Position { seq: header.seq, hash, ..self.head };
            let (id, stored_at) = (header.id, header.stored_at);
            NewEntry { position: self.head, id, stored_at, bytes: raw.to_bytes().unwrap(), erases: None }
        });
        let batch = Batch { after, entries: std::sync::Arc::new(entries.collect()) };
        self.runtime.block_on(self.log.append(batch, Vec::new())).unwrap();
    }
}
