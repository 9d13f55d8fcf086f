//! A simulated client's connection: made, asked over, lost.

use common::entry::{Position, TEXT, TextBody};
use common::id::{RequestId, Subject};
use common::link::{CloseReason, RequestError};
use common::proto::channel::{
    Connect, Connected, History, HistoryPage, Message, StatusOf, StatusReport, Stored,
};
use common::proto::event::HostEvent;
use common::proto::limits::{MAX_PENDING_REQUESTS, MAX_UNANSWERED_MESSAGES, REQUEST_LIMIT};
use common::proto::status::{Code, Refusal};
use common::proto::{self, Command};
use serde_json::value::{RawValue, to_raw_value};

use super::client::SimClient;
use super::history::Checked;
use super::wire::{Waiter, Wire};
use super::world::{What, World};
use super::{Planted, Side};
use crate::client::Resume;
use crate::client::archive::intervals::Intervals;
use crate::client::outbox::Item;
use crate::client::state::{Came, Question};

impl World {
    /// The way to the host was gone: it is there, or not.
    pub fn dialled(&mut self, number: usize, generation: u64) -> Checked {
        let Some(attempt) = self.running(number).and_then(|running| running.attempt.clone()) else {
            return Ok(());
        };
        if attempt.generation != generation
            || self.running(number).map(|r| r.state.generation()) != Some(generation)
        {
            return Ok(());
        }
        if self.clients[number].reachable_again > self.now || self.host.running.is_none() {
            self.step(number, |state| state.entered(generation, Err(Code::HostAway.into())))?;
            return Ok(());
        }
        let have = attempt.resume.have_for(&attempt.record.head);
        self.connect(number, generation, have, attempt.resume, false);
        Ok(())
    }

    pub fn connect(
        &mut self,
        number: usize,
        generation: u64,
        have: Option<Position>,
        resume: Resume,
        is_second: bool,
    ) {
        self.last_wire += 1;
        let id = self.last_wire;
        let (client_life, host_life) = (self.clients[number].life, self.host.life);
        let mut wire = Wire::new(number, client_life, host_life, generation, self.now);
        wire.is_second = is_second;
        self.wires.insert(id, wire);
        if let Some(running) = self.running(number) {
            running.wire = Some(id);
        }
        self.later(1000, What::Watch(id));
        let connect = Connect {
            channel: self.record.id,
            pass: self.pass.clone(),
            have,
            tail: resume.catch_up.tail,
            invisible: false,
            proof: None,
            moved: None,
        };
        self.client_asks(id, &connect, Waiter::Connect);
    }

    /// Puts a request on its way; who waits is told at once when it cannot be.
    pub fn client_asks<C: Command>(&mut self, id: u64, command: &C, waiter: Waiter) {
        let request = RequestId(self.random.uuid());
        let Ok(line) = proto::encode_request(request, command) else { return };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if wire.is_open[Side::Client as usize] && wire.out(Side::Client).push(line).is_err() {
            self.soon(What::Notice(id, Side::Client));
        }
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if !wire.is_open[Side::Client as usize] || wire.pending.len() == MAX_PENDING_REQUESTS {
            wire.unasked.push(waiter);
            return self.soon(What::Unasked(id));
        }
        // There is room, and it is open.
        let _ = wire.pending.insert(request, waiter);
        self.plan_write(id, Side::Client);
        self.later(REQUEST_LIMIT.as_millis() as u64, What::Overdue(id, request));
    }

    pub fn ask(&mut self, number: usize, question: Question) {
        let Some(id) = self.running(number).and_then(|running| running.wire) else { return };
        match question {
            Question::Message { item, restart } => {
                let Item { id: message, text, sent_at, .. } = *item;
                let Ok(body) = to_raw_value(&TextBody { text }) else { return };
                let restart = restart && self.planted != Some(Planted::NoRestart);
                let asked =
                    Message { id: message, kind: TEXT.to_owned(), sent_at, about: None, body, restart };
                self.client_asks(id, &asked, Waiter::Message(message));
            }
            Question::StatusOf(ids) => {
                self.client_asks(id, &StatusOf { ids: ids.clone() }, Waiter::StatusOf(ids));
            }
            Question::Page(epoch, gap) => {
                let asked = History { before: Some(gap.upto + 1), after: Some(gap.after), limit: None };
                self.client_asks(id, &asked, Waiter::Page(epoch, gap));
            }
        }
    }

    /// A response has come.
    pub fn client_answered(
        &mut self,
        id: u64,
        request: RequestId,
        outcome: Result<Box<RawValue>, Refusal>,
    ) -> Checked {
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        match wire.pending.take(request) {
            Some(waiter) => self.resolve(id, waiter, outcome.map_err(RequestError::Refused)),
            None => Ok(()),
        }
    }

    /// Nobody has answered for too long.
    pub fn overdue(&mut self, id: u64, request: RequestId) -> Checked {
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        match wire.pending.take(request) {
            Some(waiter) => self.resolve(id, waiter, Err(RequestError::TimedOut)),
            None => Ok(()),
        }
    }

    /// What could not be asked is told to who waits for it.
    pub fn unasked(&mut self, id: u64) -> Checked {
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        for waiter in std::mem::take(&mut wire.unasked) {
            self.resolve(id, waiter, Err(RequestError::Lost(CloseReason::Here)))?;
        }
        Ok(())
    }

    pub fn resolve(
        &mut self,
        id: u64,
        waiter: Waiter,
        outcome: Result<Box<RawValue>, RequestError>,
    ) -> Checked {
        let (number, generation, is_alive) = self.owner(id);
        if !is_alive {
            return Ok(());
        }
        fn read<T: serde::de::DeserializeOwned>(
            outcome: Result<Box<RawValue>, RequestError>,
        ) -> Result<T, RequestError> {
            serde_json::from_str(outcome?.get())
                .map_err(|error| RequestError::Refused(Refusal::new(Code::BadRequest, error.to_string())))
        }
        match waiter {
            Waiter::Connect => self.connected(id, read(outcome))?,
            Waiter::Message(message) => {
                let answer = read::<Stored>(outcome).map(|stored| stored.seq);
                self.step(number, |state| state.answered(generation, message, answer))?;
            }
            Waiter::StatusOf(ids) => {
                let answer = read::<StatusReport>(outcome);
                self.step(number, |state| state.told_outcomes(generation, &ids, answer))?;
            }
            Waiter::Page(epoch, gap) => {
                let page = read::<HistoryPage>(outcome).map_err(RequestError::into_refusal);
                self.step(number, |state| state.paged(generation, epoch, gap, page))?;
            }
            Waiter::Ping => {}
        }
        Ok(())
    }

    /// Whose a connection is, by which attempt, and whether that life of the client still is.
    pub fn owner(&self, id: u64) -> (usize, u64, bool) {
        let Wire { client, client_life, generation, .. } = self.wires[&id];
        let SimClient { life, running, .. } = &self.clients[client];
        (client, generation, *life == client_life && running.is_some())
    }

    pub fn connected(&mut self, id: u64, outcome: Result<Connected, RequestError>) -> Checked {
        let (number, generation, _) = self.owner(id);
        let is_second = self.wires[&id].is_second;
        let Some(running) = self.running(number).filter(|running| running.wire == Some(id)) else {
            return Ok(());
        };
        let Some(attempt) = running.attempt.clone() else { return Ok(()) };
        let connected = match outcome {
            Ok(connected) => connected,
            Err(error) => {
                running.wire = None;
                self.shut(id, Side::Client);
                let refusal = error.into_refusal();
                self.step(number, |state| state.entered(generation, Err(refusal)))?;
                return Ok(());
            }
        };
        let have = attempt.resume.have_for(&attempt.record.head).filter(|_| !is_second);
        if attempt.resume.is_to_skip(have, &connected.head) {
            self.shut(id, Side::Client);
            self.connect(number, generation, None, attempt.resume, true);
            return Ok(());
        }
        let skipped = attempt.resume.have.map_or(0, |have| have.seq);
        if connected.after.seq > skipped {
            self.history.excused.entry(number).or_default().push((skipped, connected.after.seq));
        }
        self.enter(
            number,
            id,
            generation,
            Came {
                invisible: false,
                subject: Subject::Guest(self.clients[number].key),
                record: attempt.record,
                at_home: false,
                window: MAX_UNANSWERED_MESSAGES,
                stored: None,
                connected,
            },
        )
    }

    pub fn enter(&mut self, number: usize, id: u64, generation: u64, mut came: Came) -> Checked {
        let around = self.around(number, true);
        let Some(running) = self.running(number) else { return Ok(()) };
        if running.state.is_other(came.connected.after.epoch) {
            came.stored = Some(Intervals::default());
        }
        running.state.look(around);
        if !running.state.entered(generation, Ok(came)) {
            running.wire = None;
            self.shut(id, Side::Client);
        } else {
            self.count.connected += 1;
            if let Some(wire) = self.wires.get_mut(&id) {
                wire.is_entered = true;
            }
            self.soon(What::Ping(id));
        }
        self.follow_up(number)
    }

    /// The host has told something.
    pub fn client_told(&mut self, id: u64, event: HostEvent) -> Checked {
        let (number, generation, is_alive) = self.owner(id);
        if is_alive {
            self.step(number, |state| state.told(generation, event))?;
        }
        Ok(())
    }

    /// Whether the client holds back what comes.
    pub fn client_is_full(&self, id: u64) -> bool {
        let client = &self.clients[self.wires[&id].client];
        client.running.as_ref().is_some_and(|running| running.state.is_full())
    }

    /// The client's end of a connection has ended: first those hear who wait for answers, or the reader does.
    pub fn client_lost(&mut self, id: u64, why: CloseReason) -> Checked {
        if self.planted == Some(Planted::LinkForgets) {
            return Ok(());
        }
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        let mut waiters = wire.pending.close();
        waiters.sort_by_key(|waiter| format!("{waiter:?}"));
        if self.random.one_in(2) {
            self.reader_ends(id, &why)?;
        }
        for waiter in waiters {
            self.resolve(id, waiter, Err(RequestError::Lost(why.clone())))?;
        }
        self.reader_ends(id, &why)
    }

    pub fn reader_ends(&mut self, id: u64, why: &CloseReason) -> Checked {
        let (number, generation, is_alive) = self.owner(id);
        if is_alive && self.wires[&id].is_entered {
            let why = crate::client::why(why.clone());
            self.step(number, |state| state.lost(generation, why))?;
        }
        Ok(())
    }

    /// The client closes its connection. It hears of that itself, unless it has let go of it.
    pub fn client_closes(&mut self, id: u64) -> Checked {
        if self.shut(id, Side::Client) {
            self.soon(What::Closed(id));
        }
        Ok(())
    }

    /// What follows once a connection was closed here.
    pub fn closed(&mut self, id: u64) -> Checked {
        let Some(wire) = self.wires.get_mut(&id) else { return Ok(()) };
        let mut waiters = wire.pending.close();
        waiters.sort_by_key(|waiter| format!("{waiter:?}"));
        for waiter in waiters {
            self.resolve(id, waiter, Err(RequestError::Lost(CloseReason::Here)))?;
        }
        self.reader_ends(id, &CloseReason::Here)
    }
}
