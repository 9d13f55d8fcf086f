//! A simulated client: in place of the actor, of the peer's store, and of the interface that shows what is told.

use std::collections::VecDeque;
use std::time::Duration;

use common::clock::Timestamp;
use common::entry::Hash;
use common::id::Subject;
use common::identity::PeerKey;
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use common::proto::status::{Code, Refusal};

use super::disk::{Disk, Luck, Outcome};
use super::files::{ClientFiles, Job, Then};
use super::history::{Checked, Violation, ensure};
use super::world::{What, World};
use super::{Planted, Side};
use crate::api::{ChatMessage, Event, OutgoingState};
use crate::client::archive::intervals::Proof;
use crate::client::chat_message;
use crate::client::outbox::Item;
use crate::client::state::{Around, Attempt, ClientState, Effect, Habits, Me, Timer};
use crate::reconnect::Now;

/// What the interface was told and has not shown yet.
#[derive(Debug)]
enum Told {
    Other,
    Message(u64),
}

#[derive(Debug)]
pub struct Running {
    pub state: ClientState,
    told: u64,
    taken: u64,
    screen: VecDeque<Told>,
    /// The connection that is the client's, or is being made.
    pub wire: Option<u64>,
    pub attempt: Option<Attempt>,
}

pub struct SimClient {
    pub key: PeerKey,
    pub disk: Disk<ClientFiles>,
    pub habits: Habits,
    pub life: u64,
    pub running: Option<Running>,
    /// The number of its session at the tracker.
    pub session: Option<u64>,
    pub sessions: u64,
    /// The host is to be told of.
    pub watches: bool,
    /// It does not read before.
    pub reads_again: u64,
    /// No way leads to the host before.
    pub reachable_again: u64,
}

impl World {
    pub fn around(&self, number: usize, is_open: bool) -> Around {
        let client = &self.clients[number];
        let (told, taken) = client.running.as_ref().map_or((0, 0), |running| (running.told, running.taken));
        Around {
            now: Now { at: Timestamp::from_millis(self.now), random: 0.5 },
            me: Some(Me {
                subject: Subject::Guest(client.key),
                name: format!("c{number}"),
                invisible: false,
            }),
            entered_over: client.session,
            taken: if self.planted == Some(Planted::ToldIsShown) { told } else { taken },
            is_asking: false,
            is_open,
        }
    }

    pub fn start_client(&mut self, number: usize) -> Checked {
        let around = self.around(number, false);
        let around = Around { taken: 0, ..around };
        let client = &mut self.clients[number];
        client.life += 1;
        let kept = client.disk.read().load(self.record.id, self.planted);
        let state = ClientState::new(kept, client.habits, around);
        client.running =
            Some(Running { state, told: 0, taken: 0, screen: VecDeque::new(), wire: None, attempt: None });
        let life = client.life;
        self.later(1, What::Screen(number, life));
        self.step(number, ClientState::start)?;
        Ok(())
    }

    /// Says what has happened, and does what follows. Nothing when the client does not run.
    pub fn step<R>(
        &mut self,
        number: usize,
        input: impl FnOnce(&mut ClientState) -> R,
    ) -> Result<Option<R>, Violation> {
        let is_open = self.is_connected(number);
        let mut around = self.around(number, is_open);
        around.now.random = self.random.fraction();
        let Some(running) = &mut self.clients[number].running else { return Ok(None) };
        running.state.look(around);
        let outcome = input(&mut running.state);
        self.follow_up(number)?;
        Ok(Some(outcome))
    }

    fn is_connected(&self, number: usize) -> bool {
        let wire = self.clients[number].running.as_ref().and_then(|running| running.wire);
        wire.is_some_and(|id| self.wires.get(&id).is_some_and(|wire| wire.is_open[Side::Client as usize]))
    }

    pub fn follow_up(&mut self, number: usize) -> Checked {
        while let Some(effect) = self.running(number).and_then(|running| running.state.poll()) {
            self.perform(number, effect)?;
        }
        let Some(running) = self.running(number) else { return Ok(()) };
        let under_way = running.state.outbox().under_way();
        ensure(under_way <= MAX_UNANSWERED_MESSAGES, || format!("{under_way} messages are under way"))
    }

    pub fn running(&mut self, number: usize) -> Option<&mut Running> {
        self.clients[number].running.as_mut()
    }

    fn perform(&mut self, number: usize, effect: Effect) -> Checked {
        match effect {
            Effect::Tell(event) => self.tell(number, event)?,
            Effect::Show(messages) => self.show(number, &messages)?,
            Effect::ReadUnshown(_, unshown) => {
                for (after, upto) in unshown {
                    self.show_again(number, after, upto)?;
                }
            }
            Effect::Dial(attempt) => {
                let delay = self.random.within(1, 2 * self.delay);
                let (life, generation) = (self.clients[number].life, attempt.generation);
                if let Some(running) = self.running(number) {
                    running.attempt = Some(*attempt);
                }
                self.later(delay, What::Dialled { client: number, life, generation });
            }
            Effect::CloseLink => {
                if let Some(wire) = self.running(number).and_then(|running| running.wire.take()) {
                    self.client_closes(wire)?;
                }
            }
            Effect::GiveUpLink => {
                if let Some(wire) = self.running(number).and_then(|running| running.wire) {
                    self.client_closes(wire)?;
                }
            }
            Effect::Joining(_) | Effect::ShowPass => {}
            Effect::Locate(over) => {
                let life = self.clients[number].life;
                let delay = self.random.within(1, 2 * self.delay);
                self.later(delay, What::Located { client: number, life, over });
            }
            Effect::Ask(question) => self.ask(number, question),
            Effect::Chain(_, proof) => self.chain(number, proof)?,
            // The host here never goes on in another log.
            Effect::LookForLost(..) => {}
            Effect::WriteBatch(mut batch) => {
                if self.planted == Some(Planted::ErasureNotFollowed) {
                    batch.erasures.clear();
                }
                let generation = self.running(number).map_or(0, |running| running.state.generation());
                let job = Job::Batch { batch: Box::new(batch), generation, since: self.now };
                self.submit(number, job);
            }
            Effect::KeepItem(item) => self.submit(number, Job::Item(item, Then::Nobody)),
            Effect::DropItem(item) => self.submit(number, Job::Drop(item, Then::Nobody)),
            Effect::WriteChange(change) => {
                let then = Then::Changed { is_awaited: false };
                self.submit_change(number, change.number, change.becomes, then);
            }
            Effect::KeepJoined(_) => {
                let Some(running) = self.running(number) else { return Ok(()) };
                let channel = Box::new(running.state.channel().clone());
                self.submit(number, Job::Channel(channel));
            }
            // The channel stays where it is.
            Effect::KeepChannel | Effect::SetAside(_) | Effect::TellMoved(..) => {}
            Effect::KeepPace(tried, kept) => self.submit(number, Job::Pace(tried, kept)),
            Effect::Wake(after, timer) => {
                let life = self.clients[number].life;
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                self.later(after, What::Timer { client: number, life, timer });
            }
        }
        Ok(())
    }

    pub fn submit_change(&mut self, number: usize, place: u64, becomes: Option<Item>, then: Then) {
        let job = match becomes {
            Some(item) => Job::Item(Box::new(item), then),
            None => Job::Drop(place, then),
        };
        self.submit(number, job);
    }

    pub fn submit(&mut self, number: usize, job: Job) {
        self.clients[number].disk.submit(job);
        self.plan_client_disk(number);
    }

    fn tell(&mut self, number: usize, event: Event) -> Checked {
        let Some(running) = self.running(number) else { return Ok(()) };
        running.told += 1;
        running.screen.push_back(Told::Other);
        match event {
            Event::Outgoing { id, state, seq, .. } => {
                if state == OutgoingState::Stored {
                    let is_there = seq.is_some_and(|seq| self.host.disk.flushed().has(id, seq));
                    ensure(is_there, || format!("{id} was told stored as {seq:?}, and is not"))?;
                }
                self.history.told(id, state, seq)
            }
            Event::Warning { code: Code::BadRequest | Code::LogBehind, reason, .. } => {
                ensure(self.planted.is_some(), || reason)
            }
            _ => Ok(()),
        }
    }

    fn show(&mut self, number: usize, messages: &[ChatMessage]) -> Checked {
        let Some(last) = messages.last().map(|message| message.seq) else { return Ok(()) };
        let entries = &self.clients[number].disk.flushed().entries;
        let unwritten = messages.iter().find(|message| !entries.contains_key(&message.seq));
        ensure(unwritten.is_none(), || format!("client {number} shows what it has not written"))?;
        let Some(running) = self.running(number) else { return Ok(()) };
        running.told += messages.len() as u64;
        running.screen.extend(messages.iter().map(|message| Told::Message(message.seq)));
        running.state.shown(running.told, last);
        Ok(())
    }

    fn show_again(&mut self, number: usize, after: u64, upto: u64) -> Checked {
        let files = self.clients[number].disk.read();
        let epoch = self.record.head.epoch;
        let read = (after + 1..=upto).map(|seq| {
            let entry = files.entry(seq)?;
            Some(chat_message(&self.record.name, epoch, entry.open().ok()?, &entry))
        });
        let Some(messages) = read.collect::<Option<Vec<_>>>() else {
            return ensure(false, || format!("client {number} lacks some of {after} to {upto}"));
        };
        self.show(number, &messages)
    }

    /// The interface shows some of what it was told.
    pub fn screen(&mut self, number: usize, life: u64) -> Checked {
        let delay = self.random.mostly(60, 5000);
        self.later(delay, What::Screen(number, life));
        let count = self.random.within(1, 64);
        for _ in 0..count {
            let Some(running) = self.running(number) else { return Ok(()) };
            let Some(told) = running.screen.pop_front() else { return Ok(()) };
            running.taken += 1;
            if let Told::Message(seq) = told {
                self.history.saw(number, life, seq)?;
            }
        }
        Ok(())
    }

    pub fn is_screen_empty(&self, number: usize) -> bool {
        self.clients[number].running.as_ref().is_some_and(|running| running.screen.is_empty())
    }

    fn chain(&mut self, number: usize, proof: Proof) -> Checked {
        let files = self.clients[number].disk.read();
        let chain = (proof.from.seq + 1..=proof.to.seq)
            .try_fold(proof.from.hash, |hash: Hash, seq| Some(hash.next(&files.entry(seq)?.header)));
        ensure(chain == Some(proof.to.hash), || format!("client {number}: {proof:?} leads to {chain:?}"))?;
        let generation = self.running(number).map_or(0, |running| running.state.generation());
        self.step(number, |state| state.chained(generation, proof, chain))?;
        Ok(())
    }

    fn plan_client_disk(&mut self, number: usize) {
        if !self.clients[number].disk.is_busy {
            let delay = self.random.within(0, 3);
            self.later(delay, What::ClientWrites(number, self.clients[number].life));
        }
    }

    pub fn client_writes(&mut self, number: usize) {
        let disk = &mut self.clients[number].disk;
        if !disk.is_idle() && !disk.is_busy {
            disk.write();
            let delay = self.random.mostly(10, 1500);
            self.later(delay, What::ClientFlushed(number, self.clients[number].life));
        }
    }

    pub fn client_flushed(&mut self, number: usize, luck: Luck) -> Checked {
        let outcomes = self.clients[number].disk.flush(luck);
        if !self.clients[number].disk.is_idle() {
            self.plan_client_disk(number);
        }
        for (job, outcome) in outcomes {
            self.client_job_done(number, job, outcome)?;
        }
        Ok(())
    }

    fn client_job_done(&mut self, number: usize, job: Job, outcome: Outcome) -> Checked {
        let is_done = outcome == Outcome::Done;
        let result = if is_done { Ok(()) } else { Err(Refusal::from(Code::StorageFailed)) };
        match job {
            Job::Item(item, Then::New(id)) if self.planted != Some(Planted::ClientAnswersEarly) => {
                self.step(number, |state| state.item_written(item.number, id, is_done))?;
            }
            Job::Item(item, Then::Changed { is_awaited }) => {
                self.step(number, |state| state.change_written(item.number, result, is_awaited))?;
            }
            Job::Drop(place, Then::Changed { is_awaited }) => {
                self.step(number, |state| state.change_written(place, result, is_awaited))?;
            }
            Job::Item(item, Then::Noted) if !is_done => {
                self.step(number, |state| state.withdraw(item.number))?;
            }
            Job::Batch { generation, since, .. } => {
                let took = Duration::from_millis(self.now - since);
                self.step(number, |state| state.batch_written(generation, took, result))?;
            }
            Job::Item(..) | Job::Drop(..) | Job::Channel(_) | Job::Pace(..) => {}
        }
        Ok(())
    }

    pub fn client_woke(&mut self, number: usize, timer: Timer) -> Checked {
        self.step(number, |state| state.woke(timer))?;
        Ok(())
    }

    /// The client's process is killed; or ended in order, which keeps what it can.
    pub fn client_gone(&mut self, number: usize, is_killed: bool) -> Checked {
        if !is_killed {
            let last = self.step(number, |state| {
                let last = state.last_batch();
                state.finish();
                last
            })?;
            if let Some(batch) = last.flatten() {
                let job = Job::Batch { batch: Box::new(batch), generation: 0, since: self.now };
                self.clients[number].disk.submit(job);
            }
            self.clients[number].disk.write();
            self.clients[number].disk.flush(Luck::Good);
        }
        let client = &mut self.clients[number];
        client.running = None;
        client.life += 1;
        client.session = None;
        client.watches = false;
        client.disk.crash(&mut self.random);
        let ids: Vec<u64> = self.wires.keys().copied().collect();
        for id in ids {
            if self.wires[&id].client == number && self.wires[&id].is_open[Side::Client as usize] {
                self.die(id, Side::Client);
            }
        }
        let delay = self.random.mostly(3000, 40_000);
        self.later(delay, What::ClientStarts(number));
        Ok(())
    }
}
