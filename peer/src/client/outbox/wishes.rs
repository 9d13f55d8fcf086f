//! What the user wants done with messages that are not stored yet.

use common::clock::Timestamp;
use common::id::{MessageId, Subject};
use common::proto::channel::StoredMessage;
use common::proto::limits::MAX_STATUS_IDS;
use common::proto::status::{Code, Refusal};

use super::{Change, Decision, Effect, Entry, Item, Outbox, Step, Wish};

impl Entry {
    /// Whether its outcome has to be known before anything else happens to it.
    fn needs_outcome(&self) -> bool {
        // What was refused counts too: it may have been stored by an attempt before the one that was refused.
        self.is_waiting() && self.is_unsure && (self.item.wish.is_some() || self.item.refused.is_some())
    }
}

impl Outbox {
    /// Notes what the user wants done with a message: at once when it is known not to be stored, else when that is
    /// known. A later wish takes the place of an earlier one.
    ///
    /// # Errors
    /// `no_such_message`, or `too_many_requests` while it is being written.
    pub fn wish(&mut self, id: MessageId, wish: Wish) -> Result<Decision, Refusal> {
        let place = self.place_of_id(id).ok_or(Code::NoSuchMessage)?;
        let entry = &mut self.entries[place];
        if !matches!(entry.step, Step::Waiting | Step::UnderWay) {
            let reason = "the message is just being written to the disk; try again in a moment";
            return Err(Refusal::new(Code::TooManyRequests, reason));
        }
        if entry.item.offers.is_some() && matches!(wish, Wish::Edit { .. }) {
            let reason = "what offers a file cannot be edited; cancel it, and offer another";
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        entry.item.wish = Some(wish);
        let later = Decision::Later(entry.item.clone());
        Ok(match self.fulfil(place) {
            Some(Effect::Change(change)) => Decision::Now(change),
            _ => later,
        })
    }

    /// The wish could not be kept: it does not count, unless it was fulfilled meanwhile.
    pub fn withdraw(&mut self, number: u64) {
        if let Some(place) = self.place_of(number)
            && matches!(self.entries[place].step, Step::Waiting | Step::UnderWay)
        {
            self.entries[place].item.wish = None;
        }
    }

    /// Begins what the user wants done with this entry, if that is known to be possible.
    pub(super) fn fulfil(&mut self, place: usize) -> Option<Effect> {
        let entry = self.entries.get_mut(place)?;
        if !entry.is_waiting() || entry.is_unsure {
            return None;
        }
        let becomes = match entry.item.wish.clone()? {
            Wish::Cancel => None,
            Wish::Edit { id, text, expires } => {
                Some(Item { id, text, expires, refused: None, wish: None, ..entry.item.clone() })
            }
        };
        let change = Change { number: entry.item.number, id: entry.item.id, becomes };
        entry.step = Step::Changing(Box::new(change.clone()));
        Some(Effect::Change(change))
    }

    /// Begins anew what could not be written.
    pub fn change_again(&mut self) -> Vec<Effect> {
        if self.is_held {
            return Vec::new();
        }
        let again = self.entries.iter_mut().filter_map(|entry| match &entry.step {
            Step::Unchanged(change) => {
                let change = change.clone();
                entry.step = Step::Changing(change.clone());
                Some(Effect::Change(*change))
            }
            _ => None,
        });
        again.collect()
    }

    /// A change is on disk, or could not be written. Then it is tried again after a while, unless somebody waits for it and
    /// is told: that wish does not count.
    pub fn changed(&mut self, number: u64, outcome: Result<(), Refusal>, is_awaited: bool) -> Vec<Effect> {
        let Some(place) = self.place_of(number) else { return Vec::new() };
        let entry = &mut self.entries[place];
        let change = match std::mem::replace(&mut entry.step, Step::Waiting) {
            Step::Changing(change) => change,
            other => {
                entry.step = other;
                return Vec::new();
            }
        };
        match outcome {
            Err(_) if is_awaited => self.restore(place),
            Err(refusal) => {
                entry.step = Step::Unchanged(change);
                self.is_held = true;
                vec![Effect::Held { refusal: Some(refusal), retry_after: None }]
            }
            Ok(()) => self.settle_change(place, *change),
        }
    }

    /// Whether the change is on disk may be unknown. Before the message may go out as it was, it has to be as it was there.
    fn restore(&mut self, place: usize) -> Vec<Effect> {
        let entry = &mut self.entries[place];
        entry.item.wish = None;
        let Item { number, id, .. } = entry.item;
        let change = Change { number, id, becomes: Some(entry.item.clone()) };
        entry.step = Step::Changing(Box::new(change.clone()));
        vec![Effect::Change(change)]
    }

    fn settle_change(&mut self, place: usize, change: Change) -> Vec<Effect> {
        match &change.becomes {
            Some(item) if item.id == change.id => return Vec::new(),
            Some(item) => self.entries[place].item = item.clone(),
            None => drop(self.entries.remove(place)),
        }
        vec![Effect::Changed(change)]
    }

    /// The messages whose outcome the host is to be asked for now, as `me`; they count as asked for from then on.
    pub fn questions(&mut self, me: Subject) -> Vec<MessageId> {
        if self.is_held {
            return Vec::new();
        }
        let open = self.entries.iter_mut().filter(|entry| entry.needs_outcome() && !entry.is_asked);
        let open = open.filter(|entry| entry.item.writer == me).take(MAX_STATUS_IDS);
        open.map(|entry| {
            entry.is_asked = true;
            entry.item.id
        })
        .collect()
    }

    /// Takes the host's answer about messages it was asked for. One that was sent again meanwhile has its own answer.
    pub fn learned(&mut self, asked: &[MessageId], stored: &[StoredMessage]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for id in asked {
            let Some(place) = self.place_of_id(*id) else { continue };
            let entry = &mut self.entries[place];
            if !std::mem::take(&mut entry.is_asked) || !entry.is_waiting() {
                continue;
            }
            match stored.iter().find(|stored| stored.id == *id) {
                Some(stored) => effects.extend(self.stored(place, stored.seq)),
                None => {
                    entry.is_unsure = false;
                    effects.extend(self.fulfil(place));
                }
            }
        }
        effects
    }

    /// The host could not say: it is asked again after a while.
    pub fn not_learned(&mut self, asked: &[MessageId], refusal: Refusal) -> Vec<Effect> {
        for entry in self.entries.iter_mut().filter(|entry| asked.contains(&entry.item.id)) {
            entry.is_asked = false;
        }
        self.is_held = true;
        let retry_after = refusal.retry_after_ms.map(std::time::Duration::from_millis);
        vec![Effect::Held { refusal: Some(refusal), retry_after }]
    }

    /// Has refused messages go out again: one, or all; with a new term where there is one. A passing hold ends too.
    ///
    /// # Errors
    /// `no_such_message`.
    pub fn retry(
        &mut self,
        which: Option<MessageId>,
        expires: Option<Timestamp>,
    ) -> Result<Vec<Effect>, Refusal> {
        if let Some(id) = which {
            self.place_of_id(id).ok_or(Code::NoSuchMessage)?;
        }
        self.is_held = false;
        let chosen = self.entries.iter_mut().filter(|entry| which.is_none_or(|id| entry.item.id == id));
        let refused = chosen.filter(|entry| entry.is_waiting() && entry.item.refused.is_some());
        Ok(refused
            .map(|Entry { item, .. }| {
                item.refused = None;
                item.expires = expires;
                Effect::Requeued(item.clone())
            })
            .collect())
    }
}
