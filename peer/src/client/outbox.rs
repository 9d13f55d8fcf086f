//! The outbox of one channel: what was written and no host has confirmed yet. Pure.
//!
//! Messages go out in the order written, up to a window of unanswered ones. A passing failure holds the queue back for a
//! while; a message that was refused for good stays where it is, and all behind it wait until the user retries, edits
//! or cancels it. Nothing ever overtakes: the host answers what came after a refused message with `after_refused`, and
//! the first one sent again says `restart`.
//!
//! A message that was ever sent is changed only once its outcome is known: by its own answer, or by STATUS_OF.

mod item;
mod list;
mod wishes;

use std::collections::VecDeque;
use std::time::Duration;

use common::clock::Timestamp;
use common::id::{MessageId, Subject};
use common::proto::limits::{MAX_OUTBOX_MESSAGES, MAX_UNANSWERED_MESSAGES};
use common::proto::status::{Code, Refusal};

pub use item::{Answer, Change, Decision, Effect, Item, Late, Receipt, Row, Waits, Wish};

#[derive(Debug)]
struct Entry {
    item: Item,
    step: Step,
    /// Whether it may be on the host's disk although it is not under way.
    is_unsure: bool,
    /// Whether the host is being asked about it.
    is_asked: bool,
    /// Whether the user was told that it goes out late.
    is_told_late: bool,
    /// How many of this outbox had been stored when it was put in: they did not come in between.
    own_before: u64,
}

/// Where an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// On its way to the own disk.
    Writing,
    /// On the own disk.
    Waiting,
    /// Sent, and not answered on this connection.
    UnderWay,
    /// Known not to be stored, and being changed on the own disk.
    Changing(Box<Change>),
    /// The change could not be written; it is tried again.
    Unchanged(Box<Change>),
}

/// That the host takes nothing more on this connection until something says `restart`.
#[derive(Clone, Copy, Debug)]
struct Rejection {
    /// Whether the refusal itself was seen, and not only `after_refused`.
    is_explained: bool,
    /// Whether what was refused by it, and after it, may be on the host's disk all the same.
    leaves_unknown: bool,
}

/// The queue of one channel.
#[derive(Debug)]
pub struct Outbox {
    /// How many may be under way.
    window: usize,
    entries: VecDeque<Entry>,
    under_way: usize,
    is_held: bool,
    rejection: Option<Rejection>,
    next_number: u64,
    own_stored: u64,
}

impl Entry {
    fn new(item: Item, step: Step, own_before: u64) -> Self {
        let is_unsure = step == Step::Waiting;
        Self { item, step, is_unsure, is_asked: false, is_told_late: false, own_before }
    }

    /// Whether it could go out as `me`, were it the first.
    fn may_go(&self, me: Subject) -> bool {
        self.step == Step::Waiting
            && self.item.refused.is_none()
            && self.item.wish.is_none()
            && self.item.writer == me
    }

    fn is_waiting(&self) -> bool {
        self.step == Step::Waiting
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            window: MAX_UNANSWERED_MESSAGES,
            entries: VecDeque::new(),
            under_way: 0,
            is_held: false,
            rejection: None,
            next_number: 0,
            own_stored: 0,
        }
    }
}

impl Outbox {
    /// The queue as it was kept on disk, in order. Whether any of it was sent before the restart is not known.
    pub fn load(items: Vec<Item>) -> Self {
        let next_number = items.last().map_or(0, |item| item.number + 1);
        let entries = items.into_iter().map(|item| Entry::new(item, Step::Waiting, 0)).collect();
        Self { entries, next_number, ..Self::default() }
    }

    /// These numbers are in use on the disk.
    pub fn number_behind(&mut self, last: u64) {
        self.next_number = self.next_number.max(last + 1);
    }

    /// The number of the next item.
    ///
    /// # Errors
    /// `outbox_full`.
    pub fn next_number(&mut self) -> Result<u64, Refusal> {
        if self.entries.len() >= MAX_OUTBOX_MESSAGES {
            return Err(Code::OutboxFull.into());
        }
        self.next_number += 1;
        Ok(self.next_number - 1)
    }

    /// Gives an item its place, before it is on disk: what is written later is not to overtake it.
    pub fn begin(&mut self, item: Item) {
        self.entries.push_back(Entry::new(item, Step::Writing, self.own_stored));
    }

    /// The item is on disk: it may go out. Or it is not: it never was there.
    pub fn written(&mut self, number: u64, is_on_disk: bool) {
        let Some(place) = self.place_of(number).filter(|place| self.entries[*place].step == Step::Writing)
        else {
            return;
        };
        if is_on_disk {
            self.entries[place].step = Step::Waiting;
        } else {
            self.entries.remove(place);
        }
    }

    /// How many wait or are under way.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits or is under way.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// The next message to send as `me`, if one may go out now; it is under way from then on. The flag is its `restart`.
    pub fn next(&mut self, me: Subject) -> Option<(Item, bool)> {
        // After a refusal it is not known what to begin with again before all answers are in.
        let is_unsettled = self.rejection.is_some() && self.under_way > 0;
        if self.is_held || is_unsettled || self.under_way >= self.window {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| entry.step != Step::UnderWay)?;
        if !entry.may_go(me) {
            return None;
        }
        entry.step = Step::UnderWay;
        entry.is_asked = false;
        self.under_way += 1;
        Some((entry.item.clone(), self.rejection.take().is_some()))
    }

    /// Takes what was said of a message that is under way.
    pub fn answered(&mut self, id: MessageId, answer: Answer) -> Vec<Effect> {
        let is_it = |entry: &Entry| entry.item.id == id && entry.step == Step::UnderWay;
        let Some(place) = self.entries.iter().position(is_it) else {
            return Vec::new();
        };
        self.under_way -= 1;
        self.entries[place].step = Step::Waiting;
        let mut effects = match answer {
            Answer::Stored(seq) => self.stored(place, seq),
            Answer::Refused(refusal) => self.refused(place, refusal),
            Answer::None => {
                self.entries[place].is_unsure = true;
                Vec::new()
            }
        };
        effects.extend(self.check_stalled());
        effects
    }

    fn stored(&mut self, place: usize, seq: u64) -> Vec<Effect> {
        let Some(Entry { item, .. }) = self.entries.remove(place) else { return Vec::new() };
        self.own_stored += 1;
        let (id, wish) = (item.id, item.wish.clone());
        let mut effects = vec![Effect::Stored { item: Box::new(item), seq }];
        effects.extend(wish.map(|wish| Effect::TooLate { id, seq, wish }));
        effects
    }

    fn refused(&mut self, place: usize, refusal: Refusal) -> Vec<Effect> {
        let is_explained = refusal.code != Code::AfterRefused;
        // A failed append takes all with it that came meanwhile, and only the first is told why.
        let leaves_unknown = !is_explained || item::leaves_unknown(&refusal.code);
        let rejection = self.rejection.get_or_insert(Rejection { is_explained, leaves_unknown });
        rejection.is_explained |= is_explained;
        let leaves_unknown = if is_explained { leaves_unknown } else { rejection.leaves_unknown };
        self.entries[place].is_unsure |= leaves_unknown;
        let mut effects: Vec<Effect> = self.fulfil(place).into_iter().collect();
        if !is_explained {
            return effects;
        }
        if refusal.code.is_passing() {
            self.is_held = true;
            let retry_after = refusal.retry_after_ms.map(Duration::from_millis);
            effects.push(Effect::Held { refusal: Some(refusal), retry_after });
        } else if effects.is_empty() {
            let item = &mut self.entries[place].item;
            item.refused = Some(refusal);
            effects.push(Effect::Refused(item.clone()));
        }
        effects
    }

    /// An `after_refused` without the refusal it speaks of: begin again after a while instead of at once, for ever.
    fn check_stalled(&mut self) -> Option<Effect> {
        let is_unexplained = self.rejection.is_some_and(|rejection| !rejection.is_explained);
        if self.under_way > 0 || self.is_held || !is_unexplained || self.is_empty() {
            return None;
        }
        self.is_held = true;
        Some(Effect::Held { refusal: None, retry_after: None })
    }

    /// Holds everything back, until [`Self::release`].
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// The time to try again has come.
    pub fn release(&mut self) {
        self.is_held = false;
    }

    /// Refuses what could not be sent in time.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        for Entry { item, step, .. } in &mut self.entries {
            let is_late = item.expires.is_some_and(|expires| expires <= now);
            if is_late && *step == Step::Waiting && item.refused.is_none() && item.wish.is_none() {
                item.refused = Some(Code::Expired.into());
                effects.push(Effect::Refused(item.clone()));
            }
        }
        effects
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let waiting = self.entries.iter().filter(|entry| entry.is_waiting() && entry.item.wish.is_none());
        waiting.filter(|entry| entry.item.refused.is_none()).filter_map(|entry| entry.item.expires).min()
    }

    /// What goes out next and is so late that the user is to know how far the channel, now at `head`, has moved on
    /// since. Each message is told of once.
    pub fn late(
        &mut self,
        me: Subject,
        now: Timestamp,
        head: common::entry::Position,
        after: Duration,
    ) -> Option<Late> {
        if self.is_held {
            return None;
        }
        let own_stored = self.own_stored;
        let mut late: Option<Late> = None;
        let going = self.entries.iter_mut().filter(|entry| entry.step != Step::UnderWay);
        for entry in going.take_while(|entry| entry.may_go(me)) {
            let Some(seen) = entry.item.head_seen else { continue };
            let known = if seen.epoch == head.epoch { seen.seq } else { 0 };
            let own = own_stored - entry.own_before;
            let between = head.seq.saturating_sub(known).saturating_sub(own);
            if entry.is_told_late || between == 0 || now.since(entry.item.sent_at) < after {
                continue;
            }
            entry.is_told_late = true;
            let so_far = late.get_or_insert(Late { messages: 0, between: 0, oldest: entry.item.sent_at });
            so_far.messages += 1;
            so_far.between = so_far.between.max(between);
            so_far.oldest = so_far.oldest.min(entry.item.sent_at);
        }
        late
    }

    /// There is a connection to a host that leaves so many unanswered.
    pub fn connected(&mut self, window: usize) {
        self.window = window;
    }

    /// The connection is gone: nothing is under way, what was may be stored, and a new one knows of no refusal.
    pub fn disconnected(&mut self) {
        for entry in &mut self.entries {
            entry.is_asked = false;
            if entry.step == Step::UnderWay {
                entry.step = Step::Waiting;
                entry.is_unsure = true;
            }
        }
        self.under_way = 0;
        self.rejection = None;
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.item.number).ok()
    }

    /// Whether a message is in it.
    pub fn has(&self, id: MessageId) -> bool {
        self.place_of_id(id).is_some()
    }

    fn place_of_id(&self, id: MessageId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.item.id == id)
    }
}

#[cfg(test)]
mod tests;
