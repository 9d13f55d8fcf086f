mod any_order;

use std::collections::BTreeMap;

use common::entry::TEXT;
use common::entry::{Author, Hash};
use common::id::{ChannelId, Epoch, IdentityKind, RequestId, Subject};
use common::identity::PeerKey;
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use serde_json::value::RawValue;

use super::*;
use crate::host::seats::{Arrival, Seats};

fn key(n: u8) -> PeerKey {
    PeerKey::from_bytes([n; 32])
}

fn author(n: u8) -> Author {
    let key = key(n);
    Author::new(Subject::Guest(key), format!("ken{n}"), IdentityKind::Guest, key)
}

fn message(author_of: u8, id: MessageId, text: &str) -> NewMessage {
    let body = RawValue::from_string(format!(r#"{{"text":"{text}"}}"#)).unwrap();
    let body_hash = Hash::of(body.get().as_bytes());
    NewMessage {
        id,
        author: author(author_of),
        kind: TEXT.into(),
        sent_at: Timestamp::from_millis(1),
        about: None,
        body,
        body_hash,
    }
}

/// A channel, the disk below it and the members around it.
struct Sim {
    channel: Channel,
    disk: Vec<Bytes>,
    start: Position,
    under_way: Option<Batch>,
    wants_head: bool,
    delivered: Vec<Bytes>,
    answers: Vec<(ConnId, RequestId, Result<Stored, Refusal>)>,
    drained: Vec<ConnId>,
    closed: Vec<ConnId>,
    seats: Seats<u8>,
    /// How far those have come who sit and are live.
    live: BTreeMap<ConnId, u64>,
}

impl Sim {
    fn new() -> Self {
        let start = Position::start(ChannelId::new(), Epoch::new());
        Self {
            channel: Channel::new(start),
            disk: Vec::new(),
            start,
            under_way: None,
            wants_head: false,
            delivered: Vec::new(),
            answers: Vec::new(),
            drained: Vec::new(),
            closed: Vec::new(),
            seats: Seats::default(),
            live: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        while let Some(effect) = self.channel.poll() {
            match effect {
                Effect::Answer { conn, request, outcome } => self.answers.push((conn, request, outcome)),
                Effect::Append(batch) => {
                    assert!(self.under_way.is_none() && !self.wants_head);
                    assert_eq!(batch.after, self.head());
                    self.under_way = Some(batch);
                }
                Effect::Deliver(entries) => self.deliver(entries),
                Effect::ReadHead => self.wants_head = true,
                Effect::Drained(conn) => {
                    self.drained.push(conn);
                    if let Some(next) = self.seats.drained(conn) {
                        self.sit(next);
                    }
                }
                Effect::Overrun(conn) => self.closed.push(conn),
            }
        }
    }

    fn deliver(&mut self, entries: Vec<Bytes>) {
        for entry in &entries {
            let seq = RawEntry::from_bytes(entry).unwrap().open().unwrap().seq;
            for reached in self.live.values_mut() {
                *reached += 1;
                assert_eq!(*reached, seq, "who is live gets everything once, from where it began");
            }
        }
        self.delivered.extend(entries);
    }

    /// As the host's actor does it: CONNECT without `have` and with a `tail` of 0.
    fn come(&mut self, n: u8) {
        let key = key(n);
        if let Some(older) = self.seats.older(key) {
            self.live.remove(&older);
            self.seats.leave(older, self.channel.leave(older));
        }
        if let Arrival::Free(n) = self.seats.arrive(key, n) {
            self.sit(n);
        }
    }

    fn sit(&mut self, n: u8) {
        let conn = self.seats.sit(key(n));
        self.channel.enter(conn);
        self.live.insert(conn, self.channel.head().seq);
    }

    fn head(&self) -> Position {
        self.disk.iter().fold(self.start, |head, bytes| {
            let raw = RawEntry::from_bytes(bytes).unwrap();
            Position { seq: head.seq + 1, hash: head.hash.next(&raw.header), ..head }
        })
    }

    fn known(&self, id: MessageId) -> Option<Known> {
        self.headers().into_iter().find(|header| header.id == id).map(|header| Known {
            stored: Stored { seq: header.seq, stored_at: header.stored_at },
            content: Content::from(&header),
        })
    }

    fn headers(&self) -> Vec<Header> {
        self.disk.iter().map(|bytes| RawEntry::from_bytes(bytes).unwrap().open().unwrap()).collect()
    }

    fn offer(&mut self, conn: u64, restart: bool, message: Result<NewMessage, Refusal>) -> RequestId {
        let request = RequestId::new();
        let known = message.as_ref().ok().and_then(|message| self.known(message.id));
        let offer = Offer { conn: ConnId(conn), request, restart, message };
        self.channel.offer(offer, known, Timestamp::from_millis(2));
        self.run();
        request
    }

    fn send(&mut self, conn: u64, id: MessageId) -> RequestId {
        self.offer(conn, false, Ok(message(u8::try_from(conn).unwrap(), id, "a")))
    }

    fn finish(&mut self, outcome: Result<(), AppendFailure>, is_written: bool) {
        let Some(batch) = self.under_way.take() else { return };
        if is_written {
            self.disk.extend(batch.entries.iter().map(|entry| entry.bytes.clone()));
        }
        self.channel.appended(outcome);
        self.run();
    }

    fn recover(&mut self) {
        if std::mem::take(&mut self.wants_head) {
            let beyond = self.disk[usize::try_from(self.channel.head().seq).unwrap()..].to_vec();
            self.channel.recovered(self.head(), beyond);
            self.run();
        }
    }

    fn enter(&mut self, conn: u64) {
        self.channel.enter(ConnId(conn));
    }

    fn answer(&self, request: RequestId) -> Option<Result<u64, Code>> {
        let (.., outcome) = self.answers.iter().find(|(_, asked, _)| *asked == request)?;
        Some(outcome.as_ref().map(|stored| stored.seq).map_err(|refusal| refusal.code.clone()))
    }
}

#[test]
fn a_message_is_answered_when_it_is_on_disk_and_not_before() {
    let mut sim = Sim::new();
    sim.enter(1);
    let requests: Vec<_> = (0..3).map(|_| sim.send(1, MessageId::new())).collect();
    assert!(sim.answers.is_empty() && sim.delivered.is_empty());
    sim.finish(Ok(()), true);
    assert_eq!(sim.answer(requests[0]), Some(Ok(1)));
    assert_eq!(sim.answers.len(), 1, "the others make up the next append");
    sim.finish(Ok(()), true);
    assert_eq!(
        requests.iter().filter_map(|request| sim.answer(*request)?.ok()).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(sim.delivered, sim.disk);
}

#[test]
fn a_repeated_id_gets_the_first_answer_whether_stored_or_under_way() {
    let mut sim = Sim::new();
    sim.enter(1);
    let id = MessageId::new();
    let first = sim.send(1, id);
    let second = sim.send(1, id);
    sim.finish(Ok(()), true);
    let third = sim.send(1, id);
    for request in [first, second, third] {
        assert_eq!(sim.answer(request), Some(Ok(1)));
    }
    assert_eq!(sim.disk.len(), 1);
}

#[test]
fn an_id_with_other_content_or_of_somebody_else_is_refused() {
    let mut sim = Sim::new();
    sim.enter(1);
    sim.enter(2);
    let id = MessageId::new();
    sim.send(1, id);
    let others = |sim: &mut Sim| {
        let about = NewMessage { about: Some(id), ..message(1, id, "a") };
        let requests = [
            sim.offer(1, true, Ok(message(1, id, "b"))),
            sim.offer(1, true, Ok(about)),
            sim.offer(2, true, Ok(message(2, id, "a"))),
        ];
        sim.finish(Ok(()), true);
        requests.map(|request| sim.answer(request).unwrap())
    };
    for _ in ["while under way", "when stored"] {
        assert_eq!(others(&mut sim), [Err(Code::IdReused), Err(Code::IdReused), Err(Code::IdReused)]);
    }
    assert_eq!(sim.disk.len(), 1);
}

#[test]
fn after_a_refusal_nothing_gets_past_until_a_restart() {
    let mut sim = Sim::new();
    sim.enter(1);
    sim.send(1, MessageId::new());
    let refused = sim.offer(1, false, Err(Code::TextEmpty.into()));
    let later = sim.send(1, MessageId::new());
    assert!(sim.answers.is_empty(), "a refusal does not overtake the answer before it");
    sim.finish(Ok(()), true);
    assert_eq!(sim.answer(refused), Some(Err(Code::TextEmpty)));
    assert_eq!(sim.answer(later), Some(Err(Code::AfterRefused)));
    let restarted = sim.offer(1, true, Ok(message(1, MessageId::new(), "a")));
    sim.finish(Ok(()), true);
    assert_eq!(sim.answer(restarted), Some(Ok(2)));
}

#[test]
fn too_many_unanswered_are_refused_and_who_ignores_that_is_closed() {
    let mut sim = Sim::new();
    sim.enter(1);
    for _ in 0..MAX_UNANSWERED_MESSAGES {
        sim.send(1, MessageId::new());
    }
    let over = sim.send(1, MessageId::new());
    let after = sim.send(1, MessageId::new());
    while sim.closed.is_empty() {
        sim.send(1, MessageId::new());
    }
    sim.finish(Ok(()), true);
    sim.finish(Ok(()), true);
    assert_eq!(sim.answer(over), Some(Err(Code::TooManyUnanswered)));
    assert_eq!(sim.answer(after), Some(Err(Code::AfterRefused)));
    assert_eq!(sim.disk.len(), MAX_UNANSWERED_MESSAGES);
}

#[test]
fn a_full_disk_refuses_what_waits_and_service_resumes() {
    let mut sim = Sim::new();
    sim.enter(1);
    let first = sim.send(1, MessageId::new());
    let second = sim.send(1, MessageId::new());
    sim.finish(Err(AppendFailure::Full), false);
    assert_eq!(sim.answer(first), Some(Err(Code::StorageFull)));
    assert_eq!(sim.answer(second), Some(Err(Code::AfterRefused)));
    let again = sim.offer(1, true, Ok(message(1, MessageId::new(), "a")));
    sim.finish(Ok(()), true);
    assert_eq!(sim.answer(again), Some(Ok(1)));
}

#[test]
fn what_is_not_on_its_way_to_the_disk_is_judged_anew() {
    let mut sim = Sim::new();
    sim.enter(1);
    sim.enter(2);
    let writing = sim.send(1, MessageId::new());
    let (mine, theirs, more) =
        (sim.send(1, MessageId::new()), sim.send(2, MessageId::new()), sim.send(1, MessageId::new()));
    sim.channel.judge(|who| if *who == author(1) { Err(Code::NotAllowed.into()) } else { Ok(()) });
    sim.run();
    for _ in 0..2 {
        sim.finish(Ok(()), true);
    }
    assert_eq!((sim.answer(writing), sim.answer(theirs)), (Some(Ok(1)), Some(Ok(2))));
    assert_eq!(
        (sim.answer(mine), sim.answer(more)),
        (Some(Err(Code::NotAllowed)), Some(Err(Code::AfterRefused)))
    );
    assert_eq!((sim.disk.len(), sim.channel.is_idle()), (2, true));
    // Who has gone meanwhile leaves nothing behind.
    sim.send(2, MessageId::new());
    sim.send(2, MessageId::new());
    assert!(!sim.channel.leave(ConnId(2)));
    sim.channel.judge(|_| Err(Code::Kicked.into()));
    sim.run();
    assert!(sim.drained.is_empty(), "one is on its way to the disk");
    sim.finish(Ok(()), true);
    assert_eq!((sim.drained.as_slice(), sim.disk.len()), (&[ConnId(2)][..], 3));
}

#[test]
fn what_an_unknown_append_wrote_is_delivered_and_not_stored_twice() {
    let mut sim = Sim::new();
    sim.enter(1);
    let id = MessageId::new();
    let lost = sim.send(1, id);
    sim.finish(Err(AppendFailure::Unknown), true);
    assert_eq!(sim.answer(lost), Some(Err(Code::StorageFailed)));
    let too_early = sim.offer(1, true, Ok(message(1, id, "a")));
    assert_eq!(sim.answer(too_early), Some(Err(Code::StorageFailed)), "the head is not known yet");
    sim.recover();
    assert_eq!(sim.delivered, sim.disk);
    let again = sim.offer(1, true, Ok(message(1, id, "a")));
    assert_eq!(sim.answer(again), Some(Ok(1)));
}

#[test]
fn a_log_that_has_lost_entries_takes_nothing_more() {
    let mut sim = Sim::new();
    sim.enter(1);
    sim.send(1, MessageId::new());
    sim.finish(Ok(()), true);
    sim.send(1, MessageId::new());
    sim.finish(Err(AppendFailure::Unknown), false);
    sim.disk.clear();
    sim.channel.recovered(sim.start, Vec::new());
    let refused = sim.offer(1, true, Ok(message(1, MessageId::new(), "a")));
    assert_eq!(sim.answer(refused), Some(Err(Code::LogBehind)));
}

#[test]
fn who_leaves_is_drained_once_all_is_decided() {
    let mut sim = Sim::new();
    sim.enter(1);
    assert!(sim.channel.leave(ConnId(1)));
    sim.enter(2);
    sim.send(2, MessageId::new());
    sim.send(2, MessageId::new());
    assert!(!sim.channel.leave(ConnId(2)));
    sim.finish(Ok(()), true);
    assert!(sim.drained.is_empty());
    sim.finish(Ok(()), true);
    assert_eq!((sim.drained.as_slice(), sim.disk.len()), (&[ConnId(2)][..], 2));
}
