//! The way of a message out: into the outbox on disk, to the host, and what the host says of it.

use std::time::Duration;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::MessageId;
use common::link::RequestError;
use common::proto::channel::StatusReport;
use common::proto::status::{Code, Refusal};

use super::{ClientState, Detail, Effect, Question, Timer};
use crate::api::{Event, OutgoingState};
use crate::client::outbox::{self, Answer, Change, Item, Late};
use crate::client::telling::too_late;
use crate::pace::{Pace, Rest, Tried};

/// The user is told how far a channel has moved on before text of this age goes out.
const LATE_AFTER: Duration = Duration::from_secs(15 * 60);
/// A hold that is shorter is not worth a word.
const TELL_HELD_FROM: Duration = Duration::from_secs(3);
/// What a host may want to be waited for.
const SHORTEST_ASKED: Duration = Duration::from_millis(50);
/// See [`SHORTEST_ASKED`].
const LONGEST_ASKED: Duration = Duration::from_secs(10 * 60);
/// Timers stand still while a machine sleeps: what ends by the clock is looked at this often.
const LOOK_AT_EXPIRY_EVERY: Duration = Duration::from_secs(60);

/// How the outbox is worked off.
#[derive(Debug)]
pub(super) struct Flow {
    /// How often what the host does not take now is tried.
    pace: Pace,
    /// What the host said when it did not take anything.
    pub held_because: Option<Refusal>,
    /// Which of that the user was told.
    told_held: Option<Code>,
    /// When something may be too late next.
    expiry: Option<Timestamp>,
    /// Which timer looks at that; an earlier one does not count.
    expiries: u64,
    /// Which hold is meant; an earlier one ends nothing.
    holds: u64,
}

impl Flow {
    pub fn new(pace: Pace) -> Self {
        Self { pace, held_because: None, told_held: None, expiry: None, expiries: 0, holds: 0 }
    }
}

impl ClientState {
    /// A new message, which is to be put on disk; then [`Self::begin`] gives it its place.
    ///
    /// # Errors
    /// `not_signed_in`, `outbox_full`.
    pub fn compose(&mut self, id: MessageId, text: String) -> Result<Item, Refusal> {
        let me = self.around.me.clone().ok_or_else(|| Refusal::from(Code::NotSignedIn))?;
        Ok(Item {
            number: self.outbox.next_number()?,
            id,
            text,
            offers: None,
            sent_at: self.now(),
            writer: me.subject,
            writer_name: me.name,
            expires: self.next_expiry(),
            head_seen: self.head_known(),
            refused: None,
            wish: None,
            stored: None,
        })
    }

    /// When a message that is written, or tried again, now is too late.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.habits.expire.map(|expire| self.now().plus(expire))
    }

    /// The message is on its way to the disk: what is written later is not to overtake it.
    pub fn begin(&mut self, item: Item) {
        self.outbox.begin(item);
    }

    /// A new message is on disk, or is not.
    pub fn item_written(&mut self, number: u64, id: MessageId, is_on_disk: bool) {
        self.outbox.written(number, is_on_disk);
        if is_on_disk {
            let reason = self.queue_waits();
            self.tell_outgoing(id, OutgoingState::Queued, Detail { reason, ..Detail::default() });
        } else {
            // What is said not to be queued must not go out after a restart, should it be on disk all the same.
            self.put(Effect::DropItem(number));
        }
        self.pump();
    }

    /// How far the log is, as far as it is known here.
    fn head_known(&self) -> Option<Position> {
        let told = self.standing.as_ref().map(|standing| standing.head);
        match (told, self.keeper().have()) {
            (Some(told), Some(read)) if read.epoch == told.epoch && read.seq > told.seq => Some(read),
            (told, read) => told.or(read),
        }
    }

    /// Sends what may go out now, and asks what has to be known.
    pub(super) fn pump(&mut self) {
        let now = self.now();
        let expired = self.outbox.expire(now);
        self.apply(expired);
        let again = self.outbox.change_again();
        self.apply(again);
        // Not who this peer is now: the connection may still be that of who it was.
        let me = self.standing.as_ref().map(|standing| standing.subject);
        if let Some(me) = me.filter(|_| self.around.is_open && !self.is_broken) {
            let ids = self.outbox.questions(me);
            if !ids.is_empty() {
                self.put(Effect::Ask(Question::StatusOf(ids)));
            }
            let late = self.head_known().and_then(|head| self.outbox.late(me, now, head, LATE_AFTER));
            if let Some(Late { messages, between, oldest }) = late {
                let channel = self.channel.name().clone();
                self.tell(Event::MovedOn { channel, messages, between, oldest });
            }
            while let Some((item, restart)) = self.outbox.next(me) {
                let id = item.id;
                self.put(Effect::Ask(Question::Message { item: Box::new(item), restart }));
                self.tell_outgoing(id, OutgoingState::Sending, Detail::default());
            }
        }
        self.plan_expiry(now);
    }

    /// What became of a message that went out.
    pub fn answered(&mut self, generation: u64, id: MessageId, answer: Result<u64, RequestError>) {
        if generation != self.generation() {
            return;
        }
        let answer = match answer {
            Ok(seq) => Answer::Stored(seq),
            Err(RequestError::Refused(refusal)) => Answer::Refused(refusal),
            Err(error @ RequestError::TooLong) => Answer::Refused(error.into_refusal()),
            Err(error) => {
                // Whether it was stored is unknown: only a new connection, on which it is sent again, tells.
                tracing::debug!(err = %error, "message without an answer");
                self.give_up_link();
                Answer::None
            }
        };
        let effects = self.outbox.answered(id, answer);
        self.apply(effects);
        self.pump();
        self.check_identity();
    }

    /// The connection is of no use any more; its end is told by [`Self::lost`].
    pub fn give_up_link(&mut self) {
        self.is_broken = true;
        self.put(Effect::GiveUpLink);
    }

    /// The host has answered which messages are stored.
    pub fn told_outcomes(
        &mut self,
        generation: u64,
        ids: &[MessageId],
        answer: Result<StatusReport, RequestError>,
    ) {
        if generation != self.generation() {
            return;
        }
        let effects = match answer {
            Ok(report) => self.outbox.learned(ids, &report.stored),
            Err(error) => {
                if !matches!(error, RequestError::Refused(_)) {
                    self.give_up_link();
                }
                self.outbox.not_learned(ids, error.into_refusal())
            }
        };
        self.apply(effects);
        self.pump();
    }

    /// Does what the outbox has decided.
    pub(super) fn apply(&mut self, effects: Vec<outbox::Effect>) {
        for effect in effects {
            match effect {
                outbox::Effect::Keep(item) => self.put(Effect::KeepItem(Box::new(item))),
                outbox::Effect::Stored { item, seq } => self.stored(*item, seq),
                outbox::Effect::Refused(item) => {
                    self.put(Effect::KeepItem(Box::new(item.clone())));
                    self.tell_outgoing(item.id, OutgoingState::Refused, Detail::of(item.refused));
                }
                outbox::Effect::Requeued(item) => {
                    self.put(Effect::KeepItem(Box::new(item.clone())));
                    self.tell_outgoing(item.id, OutgoingState::Queued, Detail::default());
                }
                outbox::Effect::Held { refusal, retry_after } => self.hold(refusal, retry_after),
                outbox::Effect::Change(change) => self.put(Effect::WriteChange(Box::new(change))),
                outbox::Effect::Changed(change) => self.tell_changed(&change),
                outbox::Effect::TooLate { id, seq, wish } => {
                    let Refusal { code, reason, .. } = too_late(id, seq, &wish);
                    self.warn(code, reason);
                }
            }
        }
    }

    fn stored(&mut self, item: Item, seq: u64) {
        let id = item.id;
        self.flow.told_held = None;
        if self.flow.pace.worked() {
            self.put(Effect::KeepPace(Tried::Outbox(self.channel.record.id), None));
        }
        self.await_entry(item, seq);
        let detail = Detail { seq: Some(seq), ..Detail::default() };
        self.tell_outgoing(id, OutgoingState::Stored, detail);
    }

    fn tell_changed(&mut self, change: &Change) {
        match &change.becomes {
            Some(item) => {
                let detail = Detail { becomes: Some(item.id), ..Detail::default() };
                self.tell_outgoing(change.id, OutgoingState::Edited, detail);
                self.tell_outgoing(item.id, OutgoingState::Queued, Detail::default());
            }
            None => self.tell_outgoing(change.id, OutgoingState::Cancelled, Detail::default()),
        }
    }

    /// A change is on disk, or could not be written; nothing of it was told or sent before. Whoever wished it may be
    /// waiting for that, or nobody is: then it is tried again.
    pub fn change_written(&mut self, number: u64, outcome: Result<(), Refusal>, is_awaited: bool) {
        let effects = self.outbox.changed(number, outcome, is_awaited);
        self.apply(effects);
        self.pump();
    }

    fn hold(&mut self, refusal: Option<Refusal>, retry_after: Option<Duration>) {
        let why = refusal.unwrap_or_else(|| Code::AfterRefused.into());
        let now = self.around.now;
        let kept = self.flow.pace.failed(&why, now, |delay| {
            retry_after.map_or(delay, |asked| asked.clamp(SHORTEST_ASKED, LONGEST_ASKED))
        });
        let delay = kept.next_at.since(now.at);
        self.tell_held(&why, delay);
        self.flow.held_because = Some(why);
        self.put(Effect::KeepPace(Tried::Outbox(self.channel.record.id), Some(kept)));
        self.hold_for(delay);
    }

    /// Holds back what was held back before the restart.
    pub(super) fn resume_hold(&mut self) {
        if let Some(Rest { left, why }) = self.flow.pace.take_rest() {
            self.outbox.hold();
            self.tell_held(&why, left);
            self.flow.held_because = Some(why);
            self.hold_for(left);
        }
    }

    /// Tells why nothing goes out although the channel is there: once, and only when it takes long enough to be noticed.
    fn tell_held(&mut self, why: &Refusal, delay: Duration) {
        if delay < TELL_HELD_FROM || self.flow.told_held.as_ref() == Some(&why.code) || self.outbox.is_empty()
        {
            return;
        }
        self.flow.told_held = Some(why.code.clone());
        let (waiting, channel) = (self.outbox.len(), self.channel.name());
        let reason = format!(
            "{waiting} to be sent to {channel}, where it is not taken now: {}; tried again by itself",
            why.reason
        );
        self.warn(why.code.clone(), reason);
    }

    /// At the start: what waits for the user does not go unnoticed.
    pub(super) fn tell_stuck(&mut self) {
        if self.outbox.stuck(self.me()).is_some()
            && let Some(reason) = self.queue_waits()
        {
            let waiting = self.outbox.len();
            self.warn(
                Code::AfterRefused,
                format!("{waiting} to be sent to {}: {reason}", self.channel.name()),
            );
        }
    }

    fn hold_for(&mut self, delay: Duration) {
        self.flow.holds += 1;
        self.put(Effect::Wake(delay, Timer::Hold(self.flow.holds)));
    }

    pub(super) fn hold_over(&mut self, hold: u64) {
        if hold == self.flow.holds {
            self.release();
        }
    }

    /// Lets go what was held back for a while.
    pub(super) fn release(&mut self) {
        self.flow.holds += 1;
        self.flow.held_because = None;
        self.outbox.release();
        self.pump();
    }

    /// Plans to look when the next message is too late.
    fn plan_expiry(&mut self, now: Timestamp) {
        let next = self.outbox.next_expiry();
        if self.flow.expiry == next {
            return;
        }
        self.flow.expiry = next;
        self.flow.expiries += 1;
        if let Some(at) = next {
            let delay = at.since(now).min(LOOK_AT_EXPIRY_EVERY);
            self.put(Effect::Wake(delay, Timer::Expiry(self.flow.expiries)));
        }
    }

    pub(super) fn expiry_due(&mut self, which: u64) {
        if which == self.flow.expiries {
            self.flow.expiry = None;
            self.pump();
        }
    }
}
