//! The order of one connection's requests: answered as they were asked, nothing past a refusal. Pure.

use std::collections::VecDeque;

use common::id::RequestId;
use common::proto::channel::Stored;
use common::proto::limits::{MAX_ANSWERS_OWED, MAX_UNANSWERED_MESSAGES};
use common::proto::status::{Code, Refusal};

#[derive(Debug)]
struct Slot {
    request: RequestId,
    restart: bool,
    outcome: Option<Result<Stored, Refusal>>,
}

/// What becomes of a request as it comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It has this place, to be filled.
    Slot(u64),
    /// It is refused; its answer waits for its turn.
    Refused,
    /// There is no place for it, not even for a refusal.
    Overrun,
}

/// The requests of one connection that are unanswered.
#[derive(Debug, Default)]
pub(super) struct Order {
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    /// Whether what comes is refused, until a restart.
    refusing: bool,
    /// Whether what is answered is refused, until a restart. Lags behind `refusing`.
    refused: bool,
    /// How many of its messages are on their way to the disk.
    under_way: usize,
    left: bool,
}

impl Order {
    pub fn unanswered(&self) -> usize {
        self.slots.len()
    }

    /// A request has come.
    pub fn take(&mut self, request: RequestId, restart: bool) -> Taken {
        if self.slots.len() >= MAX_ANSWERS_OWED {
            return Taken::Overrun;
        }
        self.refusing &= !restart;
        let refusal = if self.refusing {
            Some(Code::AfterRefused)
        } else if self.slots.len() >= MAX_UNANSWERED_MESSAGES {
            Some(Code::TooManyUnanswered)
        } else {
            None
        };
        self.refusing |= refusal.is_some();
        let is_refused = refusal.is_some();
        let slot = self.first + self.slots.len() as u64;
        self.slots.push_back(Slot { request, restart, outcome: refusal.map(|code| Err(code.into())) });
        if is_refused { Taken::Refused } else { Taken::Slot(slot) }
    }

    /// The outcome of a request is known.
    pub fn fill(&mut self, slot: u64, outcome: Result<Stored, Refusal>) {
        // One that comes late must not undo a restart that has come since.
        let Some(index) = slot.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        let has_restarted = self.slots.iter().skip(index + 1).any(|slot| slot.restart);
        if let Some(slot) = self.slots.get_mut(index) {
            self.refusing |= outcome.is_err() && !has_restarted;
            slot.outcome = Some(outcome);
        }
    }

    /// The next answer, if its turn has come.
    pub fn release(&mut self) -> Option<(RequestId, Result<Stored, Refusal>)> {
        let slot = self.slots.pop_front_if(|slot| slot.outcome.is_some())?;
        self.first += 1;
        self.refused &= !slot.restart;
        let outcome = slot.outcome?;
        // A repeated message that was stored long ago has an answer of its own, but not out of turn.
        let outcome = if self.refused { Err(Code::AfterRefused.into()) } else { outcome };
        self.refused |= outcome.is_err();
        Some((slot.request, outcome))
    }

    /// Whether the connection is over.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// One of its messages is on its way to the disk.
    pub fn begin(&mut self) {
        self.under_way += 1;
    }

    /// The fate of one of its messages is known. Returns whether the connection is over and this was the last.
    pub fn end(&mut self) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        self.left && self.under_way == 0
    }

    /// The connection is over: nobody is left to be answered. Returns whether nothing is under way.
    pub fn leave(&mut self) -> bool {
        self.left = true;
        self.first += self.slots.len() as u64;
        self.slots.clear();
        self.under_way == 0
    }
}
