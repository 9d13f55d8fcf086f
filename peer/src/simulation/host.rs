//! The simulated host: in place of the actor, of the members' tasks, and of the log in sled.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use common::clock::Timestamp;
use common::entry::erasure::{ERASE, EraseBody};
use common::entry::{Author, Hash, RawEntry};
use common::id::{IdentityKind, MessageId, RequestId, Subject};
use common::link::NotTaken;
use common::proto::channel::{
    self, Connect, Connected, History as AskedPage, HistoryPage, HostRequest, Role, StatusReport, Stored,
    StoredMessage,
};
use common::proto::directory::Switches;
use common::proto::limits::{CATCH_UP_BYTES, MAX_PAGE_BYTES};
use common::proto::status::{Code, Refusal};
use common::proto::{self, Empty, Request, event};

use serde_json::value::to_raw_value;

use super::disk::{Disk, Luck, Outcome};
use super::history::{Checked, ensure};
use super::log::{Job, LogFile};
use super::world::{What, World};
use super::{Planted, Side};
use crate::host::channel::{AppendFailure, Channel, ConnId, Effect, NewEntry, NewErasure, NewMessage, Offer};
use crate::host::seats::{Arrival, Seats};

/// The most entries in one page; few, so that pages are many.
const PAGE_ROWS: usize = 16;

/// A newcomer.
#[derive(Debug)]
struct Enter {
    wire: u64,
    request: RequestId,
    connect: Connect,
}

#[derive(Debug)]
struct Seat {
    wire: u64,
    live: bool,
}

/// A host's process.
#[derive(Debug)]
pub struct Running {
    pub channel: Channel,
    seating: Seats<Enter>,
    seats: BTreeMap<ConnId, Seat>,
    is_recovering: bool,
    /// It ends once nothing is under way.
    closing: bool,
}

pub struct SimHost {
    pub disk: Disk<LogFile>,
    pub life: u64,
    pub running: Option<Running>,
    /// Nobody may send at the moment.
    pub refusing: bool,
}

impl World {
    pub fn start_host(&mut self) -> Checked {
        self.host.life += 1;
        let head = self.host.disk.flushed().head();
        self.host.running = Some(Running {
            channel: Channel::new(head),
            seating: Seats::default(),
            seats: BTreeMap::new(),
            is_recovering: false,
            closing: false,
        });
        self.later(1000, What::HostTick(self.host.life));
        self.host_is_seen();
        Ok(())
    }

    fn channel(&mut self) -> Option<&mut Channel> {
        self.host.running.as_mut().map(|host| &mut host.channel)
    }

    /// A request has come over a connection.
    pub fn host_asked(&mut self, wire: u64, request: Request) -> Checked {
        let Ok(asked) = HostRequest::parse(&request.command, &request.body) else {
            return ensure(false, || format!("{} cannot be read", request.command));
        };
        let seat = self.wires.get(&wire).and_then(|wire| wire.seat);
        match (asked, seat) {
            (HostRequest::Ping(_), _) => self.host_reply::<Empty>(wire, request.id, Ok(Empty {})),
            (HostRequest::Connect(connect), None) => {
                self.host_enter(Enter { wire, request: request.id, connect })?;
            }
            (HostRequest::Message(message), Some(conn)) => self.host_post(wire, conn, request.id, message),
            (HostRequest::StatusOf(asked), Some(_)) => {
                let writer = self.subject_of(wire);
                self.host.disk.submit(Job::Stored { wire, request: request.id, ids: asked.ids, writer });
                self.plan_host_disk();
            }
            (HostRequest::History(asked), Some(_)) => self.host_page(wire, request.id, asked),
            (HostRequest::Pass(_), Some(_)) => self.host_reply(wire, request.id, Ok(Empty {})),
            (_, _) => self.host_reply::<Empty>(wire, request.id, Err(Code::WrongPhase.into())),
        }
        self.host_apply()
    }

    fn subject_of(&self, wire: u64) -> Subject {
        Subject::Guest(self.clients[self.wires[&wire].client].key)
    }

    fn host_reply<R: serde::Serialize>(&mut self, wire: u64, id: RequestId, outcome: Result<R, Refusal>) {
        self.host_push(wire, proto::encode_response(id, &outcome));
    }

    fn host_push(&mut self, id: u64, lines: Bytes) {
        let Some(wire) = self.wires.get_mut(&id).filter(|wire| wire.is_open[Side::Host as usize]) else {
            return;
        };
        if wire.out(Side::Host).push(lines) == Err(NotTaken::Overflow) {
            self.count.slow_readers += 1;
            return self.close_because(id, Side::Host, Code::SlowReader, true);
        }
        self.plan_write(id, Side::Host);
    }

    fn host_enter(&mut self, enter: Enter) -> Checked {
        // It may have ended while it waited.
        let Some(wire) = self.wires.get(&enter.wire) else { return Ok(()) };
        let key = self.clients[wire.client].key;
        let Some(host) = &mut self.host.running else { return Ok(()) };
        if host.closing {
            self.host_reply::<Empty>(enter.wire, enter.request, Err(Code::GoingAway.into()));
            return Ok(());
        }
        if let Some(older) = host.seating.older(key) {
            self.host_dismiss(older, Code::Superseded);
        }
        let Some(host) = &mut self.host.running else { return Ok(()) };
        match host.seating.arrive(key, enter) {
            Arrival::Free(enter) => self.host_seat(enter)?,
            Arrival::Waits { turned_away: Some(older) } => {
                self.close_because(older.wire, Side::Host, Code::Superseded, false);
            }
            Arrival::Waits { turned_away: None } => {}
        }
        Ok(())
    }

    fn host_seat(&mut self, Enter { wire: id, request, connect }: Enter) -> Checked {
        let (skips, life) = (self.planted == Some(Planted::ResumeSkipsOne), self.host.life);
        let Some(wire) = self.wires.get(&id).filter(|wire| wire.is_open[Side::Host as usize]) else {
            return Ok(());
        };
        let key = self.clients[wire.client].key;
        let Some(host) = &mut self.host.running else { return Ok(()) };
        let head = host.channel.head();
        let begin = crate::host::begin::begin_of_stream(head, connect.have, connect.tail)
            .and_then(|seq| crate::host::begin::check(self.host.disk.read().position_at(seq), connect.have));
        let after = match begin {
            Ok(after) => after,
            Err(refusal) => {
                self.host_reply::<Empty>(id, request, Err(refusal));
                return Ok(());
            }
        };
        let conn = host.seating.sit(key);
        let from = if skips { head.seq.min(after.seq + 1) } else { after.seq };
        let live = from == head.seq;
        host.channel.enter(conn);
        host.seats.insert(conn, Seat { wire: id, live });
        let connected = Connected {
            name: self.record.name.clone(),
            head,
            term: 1,
            after,
            role: Role::Guest,
            policy: Switches::default(),
            checkpoint: self.signed.clone(),
            behind: false,
            forks: Vec::new(),
        };
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.seat = Some(conn);
        }
        self.host_reply(id, request, Ok(connected));
        if !live {
            self.soon(What::CatchUp { wire: id, conn: conn.0, after: from, life });
        }
        Ok(())
    }

    /// A member that lacks entries gets some, or is made live.
    pub fn host_catch_up(&mut self, id: u64, conn: u64, after: u64) -> Checked {
        let too_soon = self.planted == Some(Planted::LiveTooSoon);
        let Some(host) = &mut self.host.running else { return Ok(()) };
        let head = host.channel.head().seq;
        let Some(seat) = host.seats.get_mut(&ConnId(conn)) else { return Ok(()) };
        if after == head || (too_soon && head - after == 1) {
            seat.live = true;
            return Ok(());
        }
        let again = |after| What::CatchUp { wire: id, conn, after, life: self.host.life };
        let Some(wire) = self.wires.get(&id) else { return Ok(()) };
        if wire.out(Side::Host).waiting_bytes() >= CATCH_UP_BYTES {
            let again = again(after);
            self.later(50, again);
            return Ok(());
        }
        let upto = head.min(after + self.random.within(1, PAGE_ROWS as u64));
        let entries = &self.host.disk.read().entries[after as usize..upto as usize];
        let mut lines = BytesMut::new();
        entries.iter().for_each(|entry| event::put_message(&mut lines, &entry.bytes));
        let again = again(upto);
        self.host_push(id, lines.freeze());
        self.soon(again);
        Ok(())
    }

    fn host_post(&mut self, wire: u64, conn: ConnId, request: RequestId, message: channel::Message) {
        let channel::Message { id, kind, sent_at, about, body, restart } = message;
        let client = self.wires[&wire].client;
        let key = self.clients[client].key;
        let author = Author::new(Subject::Guest(key), format!("c{client}"), IdentityKind::Guest, key);
        let body_hash = Hash::of(body.get().as_bytes());
        let now = Timestamp::from_millis(self.now);
        let refusing = self.host.refusing;
        let known = self.host.disk.read().find(id).filter(|_| self.planted != Some(Planted::HostForgetsIds));
        let Some(host) = &mut self.host.running else { return };
        let message = match (host.closing, refusing) {
            (true, _) => Err(Code::GoingAway.into()),
            (_, true) => Err(Code::NotAllowed.into()),
            _ => Ok(NewMessage { id, author, kind, sent_at, about, body, body_hash }),
        };
        let known = known.filter(|_| message.is_ok());
        host.channel.offer(Offer { conn, request, restart, message }, known, now);
    }

    /// Somebody who may has an entry erased. Nobody is there to be answered.
    pub fn host_erases(&mut self) -> Checked {
        let now = Timestamp::from_millis(self.now);
        let head = self.host.disk.read().head().seq;
        let Some(head) = head.checked_sub(1) else { return Ok(()) };
        let seq = self.random.within(0, head) + 1;
        let (id, request) = (MessageId(self.random.uuid()), RequestId(self.random.uuid()));
        let body = EraseBody { seq, why: None };
        let (Some(header), Ok(body)) = (self.host.disk.read().header_at(seq), to_raw_value(&body)) else {
            return ensure(false, || format!("there is no entry {seq}"));
        };
        let Some(host) = self.host.running.as_mut().filter(|host| !host.closing) else { return Ok(()) };
        if header.kind == ERASE || seq > host.channel.head().seq {
            return Ok(());
        }
        let body_hash = Hash::of(body.get().as_bytes());
        let (author, about) = (header.from, Some(header.id));
        let entry = NewMessage { id, author, kind: ERASE.to_owned(), sent_at: now, about, body, body_hash };
        host.channel.erase(NewErasure { conn: ConnId(u64::MAX), request, entry }, now);
        self.host_apply()
    }

    fn host_page(&mut self, wire: u64, id: RequestId, asked: AskedPage) {
        let Some(head) = self.channel().map(|channel| channel.head()) else { return };
        let upto = asked.before.map_or(head.seq, |before| before.saturating_sub(1).min(head.seq));
        let rows = self.random.within(1, PAGE_ROWS as u64);
        let after = asked.after.unwrap_or(0).max(upto.saturating_sub(rows)).min(upto);
        let entries = newest_of_a_page(&self.host.disk.read().entries[after as usize..upto as usize]);
        let entries = entries.iter().filter_map(|entry| RawEntry::from_bytes(&entry.bytes).ok()).collect();
        self.host_reply(wire, id, Ok(HistoryPage { entries, head }));
    }

    /// Does what the channel has decided.
    fn host_apply(&mut self) -> Checked {
        while let Some(effect) = self.channel().and_then(|channel| channel.poll()) {
            match effect {
                Effect::Answer { conn, request, outcome } => self.host_answer(conn, request, outcome)?,
                Effect::Append(batch) => {
                    self.host.disk.submit(Job::Append(batch));
                    self.plan_host_disk();
                    if self.planted == Some(Planted::HostAnswersEarly)
                        && let Some(channel) = self.channel()
                    {
                        channel.appended(Ok(()));
                    }
                }
                Effect::Deliver(entries) => self.host_deliver(&entries)?,
                Effect::ReadHead => self.host_recover(),
                Effect::Drained(conn) => {
                    let waiting = self.host.running.as_mut().and_then(|host| host.seating.drained(conn));
                    if let Some(enter) = waiting {
                        self.host_enter(enter)?;
                    }
                }
                Effect::Overrun(conn) => self.host_dismiss(conn, Code::TooManyUnanswered),
            }
        }
        if self.host.running.as_ref().is_some_and(|host| host.closing && host.channel.is_idle()) {
            self.host_closes();
        }
        Ok(())
    }

    fn host_answer(&mut self, conn: ConnId, request: RequestId, outcome: Result<Stored, Refusal>) -> Checked {
        if let Ok(stored) = &outcome {
            let head = self.host.disk.flushed().head().seq;
            ensure(stored.seq <= head, || format!("{} was answered before it was on disk", stored.seq))?;
        }
        let Some(host) = &self.host.running else { return Ok(()) };
        if let Some(seat) = host.seats.get(&conn) {
            let wire = seat.wire;
            self.host_reply(wire, request, outcome);
        }
        Ok(())
    }

    fn host_deliver(&mut self, entries: &[Bytes]) -> Checked {
        let mut lines = BytesMut::new();
        for bytes in entries {
            event::put_message(&mut lines, bytes);
            let is_flushed = self.host.disk.flushed().entries.iter().rev().any(|entry| entry.bytes == *bytes);
            ensure(is_flushed, || "an entry left the host before it was on disk".to_owned())?;
        }
        let lines = lines.freeze();
        let Some(host) = &self.host.running else { return Ok(()) };
        let live: Vec<u64> = host.seats.values().filter(|seat| seat.live).map(|seat| seat.wire).collect();
        for wire in live {
            self.host_push(wire, lines.clone());
        }
        Ok(())
    }

    fn host_recover(&mut self) {
        if let Some(host) = &mut self.host.running {
            host.is_recovering = true;
            let known = host.channel.head();
            self.host.disk.submit(Job::Recover { known });
            self.plan_host_disk();
        }
    }

    pub fn host_tick(&mut self) -> Checked {
        self.later(1000, What::HostTick(self.host.life));
        let Some(host) = &self.host.running else { return Ok(()) };
        for seat in host.seats.keys() {
            let unanswered = host.channel.unanswered(*seat);
            ensure(unanswered <= 64, || format!("{unanswered} requests are unanswered"))?;
        }
        let is_open =
            |seat: &Seat| self.wires.get(&seat.wire).is_some_and(|wire| wire.is_open[Side::Host as usize]);
        let gone: Vec<ConnId> =
            host.seats.iter().filter(|(_, seat)| !is_open(seat)).map(|(conn, _)| *conn).collect();
        let recovers = host.channel.is_unsettled() && !host.is_recovering;
        for conn in gone {
            self.host_depart(conn);
        }
        if recovers {
            self.host_recover();
        }
        self.host_apply()
    }

    fn host_dismiss(&mut self, conn: ConnId, why: Code) {
        let seat = self.host.running.as_ref().and_then(|host| host.seats.get(&conn));
        if let Some(wire) = seat.map(|seat| seat.wire) {
            self.close_because(wire, Side::Host, why, false);
            self.host_depart(conn);
        }
    }

    fn host_depart(&mut self, conn: ConnId) {
        if let Some(host) = &mut self.host.running
            && host.seats.remove(&conn).is_some()
        {
            host.seating.leave(conn, host.channel.leave(conn));
        }
    }

    /// The connection of somebody who sits here has ended.
    pub fn host_left(&mut self, wire: u64) -> Checked {
        if let Some(conn) = self.wires.get(&wire).and_then(|wire| wire.seat) {
            self.host_depart(conn);
        }
        self.host_apply()
    }

    fn plan_host_disk(&mut self) {
        if !self.host.disk.is_busy {
            let delay = self.random.within(0, 3);
            self.later(delay, What::HostWrites(self.host.life));
        }
    }

    pub fn host_writes(&mut self) {
        if !self.host.disk.is_idle() && !self.host.disk.is_busy {
            self.host.disk.write();
            let delay = self.random.mostly(self.host_flush / 4, self.host_flush);
            self.later(delay, What::HostFlushed(self.host.life));
        }
    }

    pub fn host_flushed(&mut self, luck: Luck) -> Checked {
        let outcomes = self.host.disk.flush(luck);
        if !self.host.disk.is_idle() {
            self.plan_host_disk();
        }
        for (job, outcome) in outcomes {
            self.host_job_done(job, outcome)?;
        }
        self.host_apply()
    }

    fn host_job_done(&mut self, job: Job, outcome: Outcome) -> Checked {
        let early = self.planted == Some(Planted::HostAnswersEarly);
        let SimHost { disk, running, .. } = &mut self.host;
        let (log, Some(host)) = (disk.flushed(), running) else { return Ok(()) };
        match job {
            Job::Append(_) if early => {}
            Job::Append(_) => host.channel.appended(match outcome {
                Outcome::Done => Ok(()),
                Outcome::Full => Err(AppendFailure::Full),
                Outcome::Rejected | Outcome::Unknown => Err(AppendFailure::Unknown),
            }),
            Job::Recover { known } => {
                host.is_recovering = false;
                if outcome == Outcome::Done {
                    let known = (known.seq as usize).min(log.entries.len());
                    let beyond = log.entries[known..].iter().map(|entry| entry.bytes.clone()).collect();
                    host.channel.recovered(log.head(), beyond);
                    ensure(!host.channel.is_behind(), || "the log has lost entries".to_owned())?;
                }
            }
            Job::Stored { wire, request, ids, writer } => {
                let find = |id: MessageId| {
                    let known = log.find(id).filter(|known| known.content.subject == writer)?;
                    let Stored { seq, stored_at } = known.stored;
                    Some(StoredMessage { id, seq, stored_at })
                };
                let answer = match outcome {
                    Outcome::Done => Ok(StatusReport { stored: ids.into_iter().filter_map(find).collect() }),
                    _ => Err(Code::StorageFailed.into()),
                };
                self.host_reply(wire, request, answer);
            }
        }
        Ok(())
    }

    /// The host is stopped in order.
    pub fn stop_host(&mut self) -> Checked {
        if let Some(host) = &mut self.host.running {
            host.closing = true;
        }
        self.host_apply()
    }

    fn host_closes(&mut self) {
        let Some(host) = self.host.running.take() else { return };
        for seat in host.seats.values() {
            self.close_because(seat.wire, Side::Host, Code::GoingAway, false);
        }
        self.host_gone(false);
    }

    /// The host's process is gone, killed or not.
    pub fn host_gone(&mut self, is_killed: bool) {
        self.host.running = None;
        self.host.life += 1;
        self.host.disk.crash(&mut self.random);
        let ids: Vec<u64> = self.wires.keys().copied().collect();
        for id in ids {
            if self.wires[&id].is_open[Side::Host as usize] && is_killed {
                self.die(id, Side::Host);
            }
        }
        let delay = self.random.mostly(3000, 40_000);
        self.later(delay, What::HostStarts);
    }
}

/// As many of the entries as fit a page, at least one.
fn newest_of_a_page(entries: &[NewEntry]) -> &[NewEntry] {
    let bytes = entries.iter().rev().scan(0, |bytes, entry| {
        *bytes += entry.bytes.len();
        Some(*bytes)
    });
    let count = bytes.take_while(|bytes| *bytes <= MAX_PAGE_BYTES).count().max(1);
    &entries[entries.len().saturating_sub(count)..]
}
