//! What is received is written, and then shown.

use std::time::Duration;

use common::entry::{Hash, RawEntry};
use common::id::Epoch;
use common::proto::status::{Code, Refusal};

use super::{Came, ClientState, Effect, Timer};
use crate::api::{ChatMessage, Event};
use crate::client::archive::intervals::{Continuation, Proof};
use crate::client::archive::keeper::Written;
use crate::client::archive::{Batch, Keeper, Loaded};
use crate::client::connect::Resume;
use crate::client::resume::Received;

/// After a write the disk rests for so many times as long as it took: where the disk is quick nobody notices, and many
/// peers on one disk write less often, and more at once. Measured with 115 peers in one process.
const REST_FACTOR: u32 = 8;
/// It rests no longer than this: so late may a message be that follows another one.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// When a write failed the next one is tried after so long.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How far was shown is written by itself when no entry takes it along for so long.
const KEEP_SHOWN_AFTER: Duration = Duration::from_millis(500);

/// The archive of a client's channel, and what is done about it.
#[derive(Debug)]
pub(super) struct Writing {
    pub keeper: Keeper,
    /// Whether the channel's log is on this very disk.
    pub at_home: bool,
    /// Nothing is written for a while.
    rests: bool,
    /// The last write failed, and the user was told.
    is_failing: bool,
    is_mark_planned: bool,
    /// A connection is wanted, and waits for what is at the store.
    connect_after: bool,
}

impl Writing {
    pub fn new(archive: Option<Loaded>) -> Self {
        Self {
            keeper: Keeper::new(archive),
            at_home: false,
            rests: false,
            is_failing: false,
            is_mark_planned: false,
            connect_after: false,
        }
    }
}

impl ClientState {
    /// Whether a connection may be made now. What is at the store has to be known first: CONNECT says what is written.
    pub(super) fn may_connect(&mut self) -> bool {
        self.writing.connect_after = self.writing.keeper.is_writing();
        !self.writing.connect_after
    }

    /// From where on entries are wanted.
    pub(super) fn resume(&self) -> Resume {
        let keeper = &self.writing.keeper;
        let may_skip = keeper.intervals().has_room();
        Resume { have: keeper.have(), may_skip, catch_up: self.habits.catch_up }
    }

    /// Whether the stream is to be held back, since too much waits for the disk.
    pub fn is_full(&self) -> bool {
        self.writing.keeper.is_full()
    }

    /// Whether the channel's log is on this very disk.
    pub fn is_at_home(&self) -> bool {
        self.writing.at_home
    }

    /// Whether this is another life of the log than the one that is received.
    pub fn is_other(&self, epoch: Epoch) -> bool {
        self.writing.keeper.epoch() != Some(epoch)
    }

    pub(super) fn root(&self, epoch: Epoch) -> Hash {
        Hash::root(self.channel.record.id, epoch)
    }

    /// A stream begins.
    pub(super) fn begin_stream(&mut self, came: &mut Came) -> Result<(), Refusal> {
        let after = came.connected.after;
        let before = self.writing.keeper.epoch().filter(|epoch| *epoch != after.epoch);
        let begun = self.writing.keeper.begin(after, came.stored.take()).map_err(|error| {
            tracing::warn!(channel = %self.channel.record.id, err = %error, "the stream cannot be taken");
            Refusal::new(Code::LogBehind, format!("{}: {error}", self.channel.name()))
        })?;
        self.writing.at_home = came.at_home;
        if let Continuation::Skips(gap) = begun {
            tracing::info!(channel = %self.channel.record.id, after = gap.after, upto = gap.upto, "far behind");
        }
        if before.is_some() {
            let reason = self.forked(before, &came.connected.forks);
            self.warn(Code::NewLog, reason);
        }
        Ok(())
    }

    /// An entry has come over the connection.
    pub(super) fn received(&mut self, entry: &RawEntry) {
        let Self { writing, channel, .. } = self;
        match writing.keeper.receive(channel.name(), entry, writing.at_home) {
            Received::Next(_) => {
                let head = self.standing.as_ref().map(|standing| standing.head);
                if head.is_some_and(|head| !self.writing.keeper.agrees(&head)) {
                    return self.broken("its log is not the one the host says it is");
                }
                self.keep();
            }
            Received::Repeat => {}
            Received::Broken(reason) => self.broken(&reason),
        }
    }

    /// Writes what waits, unless a write is under way or the disk rests; shows at once what the disk has already.
    pub(super) fn keep(&mut self) {
        // While a connection is made, what is on disk has to stay what CONNECT says.
        if self.reconnect.is_dialling() {
            return;
        }
        if self.writing.at_home {
            let messages = self.writing.keeper.take_logged();
            self.show(messages);
            if !self.writing.keeper.has_older() {
                return;
            }
        }
        self.write_batch();
    }

    fn write_batch(&mut self) {
        if self.writing.rests || self.reconnect.is_dialling() {
            return;
        }
        if let Some(batch) = self.writing.keeper.next_batch(self.around.taken) {
            self.put(Effect::WriteBatch(batch));
        }
    }

    /// The batch that was to be written is on disk, or not known to be; it took so long. It was handed out over the
    /// connection `generation`.
    pub fn batch_written(&mut self, generation: u64, took: Duration, outcome: Result<(), Refusal>) {
        match outcome {
            Ok(()) => self.written(took),
            Err(refusal) => self.not_written(generation, refusal),
        }
    }

    fn written(&mut self, took: Duration) {
        let Written { messages, filled, apart } = self.writing.keeper.written();
        self.writing.is_failing = false;
        if !messages.is_empty() {
            // Filling has pauses of its own, and a live entry must not wait for what came of it.
            self.rest((took * REST_FACTOR).min(LONGEST_REST));
        }
        self.settle_awaited();
        self.show(messages);
        if let Some(gap) = filled {
            let channel = self.channel.name().clone();
            self.tell(Event::Filled { channel, from: gap.after + 1, to: gap.upto });
        }
        if let Some(proof) = apart {
            self.warn_of(proof);
        }
        self.connect_if_wanted();
        self.keep();
        self.fill();
    }

    fn not_written(&mut self, generation: u64, refusal: Refusal) {
        tracing::warn!(channel = %self.channel.record.id, err = %refusal, "the archive could not be written");
        // After the end of its connection everything that is not on disk comes again.
        let comes_again = generation != self.generation() || self.standing.is_none();
        self.writing.keeper.not_written(!comes_again);
        self.rest(WRITE_AGAIN_AFTER);
        if !std::mem::replace(&mut self.writing.is_failing, true) && !self.stopping {
            let reason = format!(
                "what comes in cannot be kept, so it is not shown until it can: {}. Nothing is lost; it goes on by itself",
                refusal.reason
            );
            self.warn(refusal.code, reason);
        }
        self.connect_if_wanted();
    }

    fn connect_if_wanted(&mut self) {
        if std::mem::take(&mut self.writing.connect_after) {
            self.dial();
        }
    }

    fn rest(&mut self, span: Duration) {
        self.writing.rests = true;
        self.put(Effect::Wake(span, Timer::Disk));
    }

    pub(super) fn disk_rested(&mut self) {
        self.writing.rests = false;
        self.keep();
    }

    fn show(&mut self, messages: Vec<ChatMessage>) {
        if !messages.is_empty() {
            self.put(Effect::Show(messages));
        }
    }

    /// The messages up to `seq` were told to the interface, as the `told`th of all that it was told.
    pub fn shown(&mut self, told: u64, seq: u64) {
        self.writing.keeper.told(told, seq);
        self.plan_mark();
    }

    /// What was written and not shown when this peer ended cannot be read; the user is to know that something is missing.
    pub fn not_shown_again(&mut self, why: &str) {
        let reason = format!("entries that came in last time and were not shown cannot be read: {why}");
        self.warn(Code::StorageFailed, reason);
    }

    fn plan_mark(&mut self) {
        if !std::mem::replace(&mut self.writing.is_mark_planned, true) {
            self.put(Effect::Wake(KEEP_SHOWN_AFTER, Timer::Mark));
        }
    }

    pub(super) fn mark_due(&mut self) {
        self.writing.is_mark_planned = false;
        self.write_batch();
        let keeper = &mut self.writing.keeper;
        let is_due = keeper.is_mark_due(self.around.taken);
        if (is_due && !keeper.is_writing()) || keeper.is_mark_open() {
            self.plan_mark();
        }
    }

    /// What is still to be written at the end, and how far entries were shown. What is at the store is written once
    /// more, since nobody will hear of it: twice does no harm.
    pub fn last_batch(&mut self) -> Option<Batch> {
        self.writing.keeper.not_written(true);
        self.writing.keeper.next_batch(self.around.taken)
    }

    fn warn_of(&mut self, Proof { from, to }: Proof) {
        let reason = format!(
            "the entries up to {} that were received before, and those up to {} that the host gives out now, are not of \
             one log: the host has lost or changed some. Both are kept here; ask the channel's owner",
            from.seq, to.seq
        );
        tracing::warn!(channel = %self.channel.record.id, from = from.seq, to = to.seq, "the chain does not join");
        self.warn(Code::LogBehind, reason);
    }
}
