//! The state of a channel's log and of those who send into it: messages and outcomes in, effects out. Pure.
//!
//! At most one append is under way. What arrives meanwhile waits and makes up the next one: the store flushes once
//! for all that waits anyway, so that more under way at a time would not be stored sooner. An entry gets its number
//! when its append begins, so that numbers are only ever given on top of what is known to be on disk.
//!
//! An append that fails takes with it all that waits: each message is answered, and what is to be sent again comes
//! again in its sender's order. Answers leave a connection in the order of its requests. So whoever sees the first
//! refusal knows the fate of all before it, and all after it will be refused as well, until a `restart`.

mod message;
mod order;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use common::clock::Timestamp;
use common::entry::erasure::ERASE;
use common::entry::{Author, Header, Position, RawEntry};
use common::id::{MessageId, RequestId};
use common::proto::channel::Stored;
use common::proto::limits::{BUSY_AGAIN_AFTER, MAX_APPEND_BYTES, MAX_APPEND_ENTRIES, MAX_WAITING_BYTES};
use common::proto::status::{Code, Refusal};

pub use message::{
    AppendFailure, Batch, ConnId, Content, Effect, Known, NewEntry, NewErasure, NewMessage, Offer,
};

use order::{Order, Taken};

/// Where an append stands.
#[derive(Debug)]
enum Log {
    /// The head is known, nothing is under way.
    Settled,
    /// A batch is on its way to the disk.
    Appending(Arc<Vec<NewEntry>>),
    /// It is not known where the log ends.
    Unsettled,
}

/// A message that has not been put on disk yet, under its id.
#[derive(Debug)]
struct Claim {
    content: Content,
    /// Whose it is: the first who sent it.
    conn: ConnId,
    /// Whose requests wait for its fate.
    waiters: Vec<Waiter>,
}

/// A request that waits for the fate of a message.
#[derive(Clone, Copy, Debug)]
enum Waiter {
    /// One that has a place among its connection's messages.
    Slot(ConnId, u64),
    /// One that is answered whenever its answer is known.
    Request(ConnId, RequestId),
}

/// How many requests may wait for the same erasure.
const MAX_SAME_ERASURES: usize = 64;

/// The state of a channel's log and of those who send into it.
#[derive(Debug)]
pub struct Channel {
    head: Position,
    log: Log,
    /// Entries are gone from the disk that were there: nothing more is taken.
    is_behind: bool,
    /// Somebody else hosts the channel soon, or by now: nothing more is taken.
    is_frozen: bool,
    waiting: VecDeque<(NewMessage, Timestamp)>,
    waiting_bytes: usize,
    claims: HashMap<MessageId, Claim>,
    conns: HashMap<ConnId, Order>,
    effects: VecDeque<Effect>,
}

impl Channel {
    /// A channel whose log ends at `head`.
    pub fn new(head: Position) -> Self {
        Self {
            head,
            log: Log::Settled,
            is_behind: false,
            is_frozen: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            claims: HashMap::new(),
            conns: HashMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// How far the log is on disk.
    pub fn head(&self) -> Position {
        self.head
    }

    /// How many entries are not on disk yet.
    pub fn unflushed(&self) -> usize {
        self.claims.len()
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.claims.is_empty() && !matches!(self.log, Log::Appending(_))
    }

    /// How many requests of a connection are unanswered.
    pub fn unanswered(&self, conn: ConnId) -> usize {
        self.conns.get(&conn).map_or(0, Order::unanswered)
    }

    /// A connection begins.
    pub fn enter(&mut self, conn: ConnId) {
        self.conns.insert(conn, Order::default());
    }

    /// A connection is over; what it has appended goes on. Returns whether nothing of it is under way; otherwise
    /// [`Effect::Drained`] tells when.
    pub fn leave(&mut self, conn: ConnId) -> bool {
        let Some(order) = self.conns.get_mut(&conn) else { return true };
        let is_drained = order.leave();
        if is_drained {
            self.conns.remove(&conn);
        }
        is_drained
    }

    /// What has to be done next.
    pub fn poll(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.begin_append();
        }
        self.effects.pop_front()
    }

    /// A MESSAGE request has come. `known` is what the log on disk has under its id.
    pub fn offer(&mut self, offer: Offer, known: Option<Known>, now: Timestamp) {
        let Offer { conn, request, restart, message } = offer;
        let Some(order) = self.conns.get_mut(&conn).filter(|order| !order.has_left()) else { return };
        let slot = match order.take(request, restart) {
            Taken::Slot(slot) => slot,
            Taken::Refused => return self.release(conn),
            Taken::Overrun => return self.effects.push_back(Effect::Overrun(conn)),
        };
        match message.and_then(|message| self.store(conn, slot, message, known, now)) {
            Ok(None) => {}
            Ok(Some(stored)) => self.fill(conn, slot, Ok(stored)),
            Err(refusal) => self.fill(conn, slot, Err(refusal)),
        }
    }

    /// Has the message stored, unless it is already: then its first answer is returned.
    fn store(
        &mut self,
        conn: ConnId,
        slot: u64,
        message: NewMessage,
        known: Option<Known>,
        now: Timestamp,
    ) -> Result<Option<Stored>, Refusal> {
        let content = message.content();
        if let Some(claim) = self.claims.get_mut(&message.id) {
            if claim.content != content {
                return Err(Code::IdReused.into());
            }
            claim.waiters.push(Waiter::Slot(conn, slot));
            return Ok(None);
        }
        // What is beyond the head was written by an append whose fate is not known.
        if let Some(known) = known.filter(|known| known.stored.seq <= self.head.seq) {
            return if known.content == content {
                Ok(Some(known.stored))
            } else {
                Err(Code::IdReused.into())
            };
        }
        self.wait(Waiter::Slot(conn, slot), conn, message, now).map(|()| None)
    }

    /// An ERASE request has come that may be done. It has no place among the messages: nothing of one's own follows on it.
    pub fn erase(&mut self, erasure: NewErasure, now: Timestamp) {
        let NewErasure { conn, request, entry } = erasure;
        let waiter = Waiter::Request(conn, request);
        let is_same = |claim: &&mut Claim| claim.content.kind == ERASE && claim.content.about == entry.about;
        let outcome = match self.claims.values_mut().find(is_same) {
            Some(claim) if claim.waiters.len() >= MAX_SAME_ERASURES => Err(Code::TooManyRequests.into()),
            Some(claim) => {
                claim.waiters.push(waiter);
                Ok(())
            }
            None => self.wait(waiter, conn, entry, now),
        };
        if let Err(refusal) = outcome {
            self.effects.push_back(Effect::Answer { conn, request, outcome: Err(refusal) });
        }
    }

    /// Has an entry wait for the next append, if anything may.
    fn wait(
        &mut self,
        waiter: Waiter,
        conn: ConnId,
        message: NewMessage,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.is_behind {
            return Err(Code::LogBehind.into());
        }
        if self.is_frozen {
            let reason = "the channel is being handed over; what you wrote goes to its new host by itself";
            // Soon: it may be taken back, and then nobody tells those who wait.
            return Err(Refusal::new(Code::GoingAway, reason).after(BUSY_AGAIN_AFTER));
        }
        if self.is_unsettled() {
            return Err(Code::StorageFailed.into());
        }
        let bytes = message.body.get().len();
        if self.waiting_bytes + bytes > MAX_WAITING_BYTES {
            return Err(Refusal::from(Code::TooManyRequests).after(BUSY_AGAIN_AFTER));
        }
        self.waiting_bytes += bytes;
        self.claims.insert(message.id, Claim { content: message.content(), conn, waiters: vec![waiter] });
        self.waiting.push_back((message, now));
        if let Some(order) = self.conns.get_mut(&conn) {
            order.begin();
        }
        Ok(())
    }

    fn begin_append(&mut self) {
        if self.waiting.is_empty() || !matches!(self.log, Log::Settled) {
            return;
        }
        let (after, mut head) = (self.head, self.head);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < MAX_APPEND_ENTRIES && bytes < MAX_APPEND_BYTES {
            let Some((message, stored_at)) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= message.body.get().len();
            let id = message.id;
            match seal(head, message, stored_at) {
                Ok(entry) => {
                    head = entry.position;
                    bytes += entry.bytes.len();
                    entries.push(entry);
                }
                Err(refusal) => {
                    let drained = self.settle(id, &Err(refusal));
                    self.effects.extend(drained.map(Effect::Drained));
                }
            }
        }
        if !entries.is_empty() {
            let entries = Arc::new(entries);
            self.log = Log::Appending(Arc::clone(&entries));
            self.effects.push_back(Effect::Append(Batch { after, entries }));
        }
    }

    /// How the append has gone that was under way.
    pub fn appended(&mut self, outcome: Result<(), AppendFailure>) {
        let Log::Appending(entries) = std::mem::replace(&mut self.log, Log::Settled) else { return };
        match outcome {
            Ok(()) => self.durable(&entries),
            Err(AppendFailure::Full) => self.refuse_all(&Code::StorageFull.into()),
            Err(AppendFailure::Unknown) => {
                self.log = Log::Unsettled;
                self.refuse_all(&Code::StorageFailed.into());
                self.effects.push_back(Effect::ReadHead);
            }
        }
    }

    fn durable(&mut self, entries: &[NewEntry]) {
        let mut drained = Vec::new();
        for entry in entries {
            self.head = entry.position;
            let stored = Stored { seq: entry.position.seq, stored_at: entry.stored_at };
            drained.extend(self.settle(entry.id, &Ok(stored)));
        }
        let lines = entries.iter().map(|entry| entry.bytes.clone()).collect();
        self.effects.push_back(Effect::Deliver(lines));
        // Last: who comes in by this begins after the head, and is not to be given what is up to there once more.
        self.effects.extend(drained.into_iter().map(Effect::Drained));
    }

    /// The log on disk ends at `head`; `beyond` are its entries after the last head that was known.
    pub fn recovered(&mut self, head: Position, beyond: Vec<Bytes>) {
        if !matches!(self.log, Log::Unsettled) {
            return;
        }
        let expected = self.head.seq + beyond.len() as u64;
        let is_lost = head.seq != expected || (beyond.is_empty() && head != self.head);
        self.log = Log::Settled;
        if is_lost {
            self.is_behind = true;
            return;
        }
        self.head = head;
        if !beyond.is_empty() {
            self.effects.push_back(Effect::Deliver(beyond));
        }
    }

    /// Whether it is not known where the log ends.
    pub fn is_unsettled(&self) -> bool {
        matches!(self.log, Log::Unsettled)
    }

    /// Whether entries are gone from the disk that were there.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Nothing more is taken from now on, or something is again. What was taken goes its way.
    pub fn freeze(&mut self, is_frozen: bool) {
        self.is_frozen = is_frozen;
    }

    /// Whether nothing is taken since somebody else hosts the channel soon.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// It was proven that the log once went on beyond what is here: nothing more is taken. An append that is under way
    /// goes its way.
    pub fn turn_behind(&mut self) {
        self.is_behind = true;
        self.waiting_bytes = 0;
        let waiting: Vec<MessageId> = self.waiting.drain(..).map(|(message, _)| message.id).collect();
        let refusal = Refusal::from(Code::LogBehind);
        let drained: Vec<ConnId> =
            waiting.into_iter().filter_map(|id| self.settle(id, &Err(refusal.clone()))).collect();
        self.effects.extend(drained.into_iter().map(Effect::Drained));
    }

    /// What has not been put on disk yet is judged anew: who may send has changed.
    pub fn judge(&mut self, may_send: impl Fn(&Author) -> Result<(), Refusal>) {
        let (mut kept, mut drained) = (VecDeque::new(), Vec::new());
        for (message, at) in std::mem::take(&mut self.waiting) {
            let judged = match message.kind.as_str() {
                // Whoever may not send any more may still take back what they have written.
                ERASE => Ok(()),
                _ => may_send(&message.author),
            };
            match judged {
                Ok(()) => kept.push_back((message, at)),
                Err(refusal) => {
                    self.waiting_bytes -= message.body.get().len();
                    drained.extend(self.settle(message.id, &Err(refusal)));
                }
            }
        }
        self.waiting = kept;
        self.effects.extend(drained.into_iter().map(Effect::Drained));
    }

    /// Everything that is under way ends with `refusal`.
    fn refuse_all(&mut self, refusal: &Refusal) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        let mut ids: Vec<MessageId> = self.claims.keys().copied().collect();
        ids.sort_unstable();
        let mut drained = Vec::new();
        for id in ids {
            drained.extend(self.settle(id, &Err(refusal.clone())));
        }
        self.effects.extend(drained.into_iter().map(Effect::Drained));
    }

    /// The fate of a message is known: all who wait for it are answered. Returns the connection it came over, if that has
    /// left and this was the last it had under way.
    fn settle(&mut self, id: MessageId, outcome: &Result<Stored, Refusal>) -> Option<ConnId> {
        let claim = self.claims.remove(&id)?;
        for waiter in claim.waiters {
            match waiter {
                Waiter::Slot(conn, slot) => self.fill(conn, slot, outcome.clone()),
                Waiter::Request(conn, request) => {
                    self.effects.push_back(Effect::Answer { conn, request, outcome: outcome.clone() });
                }
            }
        }
        let is_drained = self.conns.get_mut(&claim.conn).is_some_and(Order::end);
        is_drained.then(|| {
            self.conns.remove(&claim.conn);
            claim.conn
        })
    }

    fn fill(&mut self, conn: ConnId, slot: u64, outcome: Result<Stored, Refusal>) {
        if let Some(order) = self.conns.get_mut(&conn) {
            order.fill(slot, outcome);
        }
        self.release(conn);
    }

    /// Answers what can be answered now without overtaking.
    fn release(&mut self, conn: ConnId) {
        let Some(order) = self.conns.get_mut(&conn) else { return };
        while let Some((request, outcome)) = order.release() {
            self.effects.push_back(Effect::Answer { conn, request, outcome });
        }
    }
}

/// Makes the entry that follows `head`.
fn seal(head: Position, message: NewMessage, stored_at: Timestamp) -> Result<NewEntry, Refusal> {
    let NewMessage { id, author, kind, sent_at, about, body, body_hash } = message;
    let seq = head.seq + 1;
    let header = Header { seq, id, kind, from: author, sent_at, stored_at, about, imported: None, body_hash };
    let sealed = RawEntry::sealed(&header, body).and_then(|raw| {
        let position = Position { epoch: head.epoch, seq, hash: head.hash.next(&raw.header) };
        NewEntry::new(position, &header, &raw)
    });
    sealed.map_err(|error| {
        tracing::error!(err = ?error.to_string(), seq, "cannot make an entry");
        Refusal::from(Code::Internal)
    })
}

#[cfg(test)]
mod tests;
