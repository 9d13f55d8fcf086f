//! What users do: write, change their minds, try again; and the tracker, as far as clients hear of it.

use common::id::MessageId;
use common::proto::status::{Code, Refusal};

use super::files::{Job, Then};
use super::history::Checked;
use super::world::{What, World};
use super::{Planted, Side};
use crate::client::outbox::Decision;

impl World {
    /// A user does something.
    pub fn user(&mut self, number: usize) -> Checked {
        match self.random.within(0, 19) {
            0 => self.cancel(number),
            1 => self.edit(number),
            2 => self.retry(number),
            3 if self.random.one_in(4) => {
                self.step(number, |state| state.leave())?;
                Ok(())
            }
            4 => self.join(number),
            _ => {
                // Often alone, sometimes many in a row.
                let many = if self.large_texts { 120 } else { 40 };
                for _ in 0..=self.random.mostly(1, many) {
                    self.write_message(number)?;
                }
                Ok(())
            }
        }
    }

    fn text(&mut self) -> String {
        let times = if self.large_texts && self.random.one_in(2) { 800 } else { 1 };
        format!("{:016x}", self.random.next()).repeat(times)
    }

    fn write_message(&mut self, number: usize) -> Checked {
        let (id, text) = (MessageId(self.random.uuid()), self.text());
        let composed = self.step(number, |state| state.compose(id, text.clone()))?;
        let Some(Ok(item)) = composed else { return Ok(()) };
        self.history.wrote(number, id, text);
        self.count.written += 1;
        self.submit(number, Job::Item(Box::new(item.clone()), Then::New(id)));
        let place = item.number;
        self.step(number, |state| state.begin(item))?;
        if self.planted == Some(Planted::ClientAnswersEarly) {
            self.step(number, |state| state.item_written(place, id, true))?;
        }
        Ok(())
    }

    /// One of those that wait.
    fn choose(&mut self, number: usize) -> Option<MessageId> {
        let chance = self.random.next() as usize;
        let running = self.clients[number].running.as_ref()?;
        let rows = running.state.outbox().rows(None);
        (!rows.is_empty()).then(|| rows[chance % rows.len()].item.id)
    }

    fn cancel(&mut self, number: usize) -> Checked {
        let Some(id) = self.choose(number) else { return Ok(()) };
        self.wish(number, id, None)
    }

    /// The connection is gone, and some of what was written is not wanted any more.
    pub fn impatient(&mut self, number: usize) -> Checked {
        for _ in 0..self.random.within(0, 4) {
            self.cancel(number)?;
        }
        Ok(())
    }

    fn edit(&mut self, number: usize) -> Checked {
        let Some(id) = self.choose(number) else { return Ok(()) };
        let new = (MessageId(self.random.uuid()), self.text());
        self.wish(number, id, Some(new))
    }

    fn wish(&mut self, number: usize, id: MessageId, text: Option<(MessageId, String)>) -> Checked {
        let asked = text.clone();
        let Some(decided) = self.step(number, |state| state.wish(id, asked))? else { return Ok(()) };
        let decision = match decided {
            Ok(decision) => decision,
            Err(_) => return Ok(()),
        };
        match text {
            Some((new, text)) => self.history.edits(id, new, text),
            None => {
                if let Some(place) = self.history.place(id) {
                    place.may_be_cancelled = true;
                }
            }
        }
        match decision {
            Decision::Now(change) => {
                let then = Then::Changed { is_awaited: true };
                self.submit_change(number, change.number, change.becomes, then);
            }
            Decision::Later(item) => self.submit(number, Job::Item(Box::new(item), Then::Noted)),
        }
        Ok(())
    }

    pub fn retry(&mut self, number: usize) -> Checked {
        self.step(number, |state| state.retry(None))?;
        Ok(())
    }

    pub fn join(&mut self, number: usize) -> Checked {
        let record = (self.clients[number].session.is_some()).then(|| self.record_now());
        self.step(number, |state| state.join(record))?;
        Ok(())
    }

    fn record_now(&self) -> common::proto::directory::ChannelRecord {
        let online = self.host.running.is_some();
        let head = self.host.disk.flushed().head();
        common::proto::directory::ChannelRecord { online, head, ..self.record.clone() }
    }

    /// The tracker lets a client in, or is gone for it.
    pub fn session(&mut self, number: usize, is_up: bool) -> Checked {
        let client = &mut self.clients[number];
        if client.running.is_none() || client.session.is_some() == is_up {
            return Ok(());
        }
        client.watches = false;
        client.sessions += 1;
        client.session = is_up.then_some(client.sessions);
        self.step(number, |state| state.session_changed())?;
        Ok(())
    }

    /// The tracker answers where the host is, and tells from then on when it comes.
    pub fn located(&mut self, number: usize, over: u64) -> Checked {
        let answer = if self.clients[number].session == Some(over) {
            self.clients[number].watches = true;
            Ok(self.record_now())
        } else {
            Err(Refusal::from(Code::TrackerAway))
        };
        self.step(number, |state| state.watched(over, answer))?;
        Ok(())
    }

    /// The host has announced its channel: who watches is told.
    pub fn host_is_seen(&mut self) {
        for number in 0..self.clients.len() {
            if self.clients[number].watches {
                let (life, delay) = (self.clients[number].life, self.random.within(1, 2 * self.delay));
                self.later(delay, What::Seen { client: number, life });
            }
        }
    }

    pub fn seen(&mut self, number: usize) -> Checked {
        let record = self.record_now();
        self.step(number, |state| state.located(record))?;
        Ok(())
    }

    /// One more fault.
    pub fn fault(&mut self) -> Checked {
        let number = self.random.within(0, self.clients.len() as u64 - 1) as usize;
        let wires: Vec<u64> = self.wires.keys().copied().collect();
        let wire = (!wires.is_empty()).then(|| wires[self.random.next() as usize % wires.len()]);
        self.count.faults += 1;
        match (self.random.within(0, 11), wire) {
            (0, _) if self.host.running.is_some() => self.host_gone(true),
            (1, _) => return self.stop_host(),
            (2 | 3, _) if self.clients[number].running.is_some() => {
                let is_killed = !self.random.one_in(4);
                return self.client_gone(number, is_killed);
            }
            (4 | 5, Some(wire)) => {
                let client = self.wires[&wire].client;
                self.cut(wire);
                let after = self.random.within(10, 4000);
                self.later(after, What::Impatient(client));
            }
            (6, Some(wire)) => self.stall(wire),
            (7, _) => self.clients[number].reads_again = self.now + self.random.within(100, 60_000),
            (8, _) => {
                let again = self.now + self.random.within(1000, 60_000);
                self.clients[number].reachable_again = again;
                for wire in wires {
                    if self.wires[&wire].client == number {
                        self.cut(wire);
                    }
                }
            }
            (9, _) => {
                let is_up = self.clients[number].session.is_none();
                return self.session(number, is_up);
            }
            (10, _) => self.host.refusing = !self.host.refusing,
            _ => self.disk_fails = true,
        }
        Ok(())
    }

    fn stall(&mut self, wire: u64) {
        let until = self.now + self.random.within(1000, 30_000);
        if let Some(wire) = self.wires.get_mut(&wire) {
            wire.stalled_until = until;
            debug_assert!(wire.is_open[Side::Client as usize] || !wire.is_cut || until > 0);
        }
    }
}
