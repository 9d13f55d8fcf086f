//! The outbox of one channel: what was written and no host has confirmed yet. Pure.
//!
//! Messages go out in the order written, up to a window of unanswered ones. A passing failure holds the queue back for a
//! while; a lasting refusal pauses it until the user says so. Either way nothing overtakes what was not stored: the host
//! answers what came after it with `after_refused`, and the first one sent again says `restart`.

use std::collections::VecDeque;
use std::time::Duration;

use common::clock::Timestamp;
use common::id::{MessageId, Subject};
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use common::proto::status::{Code, Refusal};
use serde::{Deserialize, Serialize};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place in the queue, rising.
    pub number: u64,
    /// Made when it was written; the same in every attempt.
    pub id: MessageId,
    /// What was written.
    pub text: String,
    /// When it was written.
    pub sent_at: Timestamp,
    /// Who wrote it: it never goes out under another identity.
    pub writer: Subject,
}

/// What the other side said of a message, or that it said nothing.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is on the host's disk under this number.
    Stored(u64),
    /// The host did not take it.
    Refused(Refusal),
    /// The connection ended first; whether it was stored is unknown, so it goes out again under its id.
    None,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The item is done and leaves the outbox.
    Stored {
        /// Its number in the log.
        seq: u64,
    },
    /// The queue is paused until the user acts.
    Paused(Refusal),
    /// The queue waits, then goes on by itself.
    Held {
        /// How long the other side wants it to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// Nothing new.
    Nothing,
}

#[derive(Debug)]
struct Entry {
    item: Item,
    under_way: bool,
}

/// Why nothing goes out at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hold {
    /// A passing failure; ends with [`Outbox::release`].
    Passing,
    /// A lasting refusal; ends with [`Outbox::resume`].
    Lasting,
}

/// The queue of one channel.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    under_way: usize,
    hold: Option<Hold>,
    /// The hold ends as soon as all answers are in: before, it is not known what to begin with again.
    ending: bool,
    /// The next message sent has to tell the host that the sender knows of the refusal before it.
    restart: bool,
    next_number: u64,
}

impl Outbox {
    /// The queue as it was kept on disk, in order.
    pub fn load(items: Vec<Item>) -> Self {
        let next_number = items.last().map_or(0, |item| item.number + 1);
        let entries = items.into_iter().map(|item| Entry { item, under_way: false }).collect();
        Self { entries, next_number, ..Self::default() }
    }

    /// The number of the next item.
    pub fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Appends an item that is on disk now.
    pub fn push(&mut self, item: Item) {
        // Writes are confirmed in order, but each by its own answer: keep the order of the numbers whatever comes.
        let place = self.entries.partition_point(|entry| entry.item.number < item.number);
        self.entries.insert(place, Entry { item, under_way: false });
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

    /// Whether the user has to act before anything goes out.
    pub fn is_paused(&self) -> bool {
        self.hold == Some(Hold::Lasting)
    }

    /// The next message to send as `me`, if one may go out now; it is under way from then on. The flag is its `restart`.
    pub fn next(&mut self, me: Subject) -> Option<(Item, bool)> {
        // Answers may be taken up in any order: after an `after_refused` the refusal itself is still to come.
        let is_unsettled = self.restart && self.under_way > 0;
        if self.hold.is_some() || is_unsettled || self.under_way >= MAX_UNANSWERED_MESSAGES {
            return None;
        }
        // After a refusal nothing goes out before all answers are in: an earlier one may be among the refused.
        if self.restart && self.under_way > 0 {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| !entry.under_way)?;
        if entry.item.writer != me {
            return None;
        }
        entry.under_way = true;
        self.under_way += 1;
        Some((entry.item.clone(), std::mem::take(&mut self.restart)))
    }

    /// Whether the queue stands still because its first message was written under another identity.
    pub fn waits_for_other(&self, me: Subject) -> bool {
        self.entries.front().is_some_and(|entry| entry.item.writer != me)
    }

    /// Takes what was said of a message that is under way.
    pub fn answered(&mut self, id: MessageId, answer: Answer) -> Consequence {
        let Some(place) = self.entries.iter().position(|entry| entry.item.id == id && entry.under_way) else {
            return Consequence::Nothing;
        };
        self.under_way -= 1;
        let consequence = match answer {
            Answer::Stored(seq) => {
                self.entries.remove(place);
                Consequence::Stored { seq }
            }
            Answer::Refused(refusal) => {
                self.entries[place].under_way = false;
                self.refused(refusal)
            }
            Answer::None => {
                self.entries[place].under_way = false;
                Consequence::Nothing
            }
        };
        if self.under_way > 0 {
            return consequence;
        }
        if std::mem::take(&mut self.ending) {
            self.hold = None;
            return consequence;
        }
        if self.hold.is_some() { consequence } else { self.check_stalled(consequence) }
    }

    fn refused(&mut self, refusal: Refusal) -> Consequence {
        self.restart = true;
        if refusal.code == Code::AfterRefused {
            return Consequence::Nothing;
        }
        if refusal.code.is_passing() {
            if self.hold.is_none() {
                self.hold = Some(Hold::Passing);
            }
            return Consequence::Held { retry_after: refusal.retry_after_ms.map(Duration::from_millis) };
        }
        self.hold = Some(Hold::Lasting);
        Consequence::Paused(refusal)
    }

    /// An `after_refused` without the refusal it speaks of: begin again after a while instead of at once, for ever.
    fn check_stalled(&mut self, consequence: Consequence) -> Consequence {
        if self.restart && consequence == Consequence::Nothing && !self.entries.is_empty() {
            self.hold = Some(Hold::Passing);
            return Consequence::Held { retry_after: None };
        }
        consequence
    }

    /// Ends a passing hold, as soon as all answers are in.
    pub fn release(&mut self) {
        if self.hold == Some(Hold::Passing) {
            self.resume();
        }
    }

    /// Ends any hold, as soon as all answers are in: the user said so.
    pub fn resume(&mut self) {
        self.ending = self.hold.is_some() && self.under_way > 0;
        if !self.ending {
            self.hold = None;
        }
    }

    /// The connection is gone: nothing is under way, and a new one knows of no refusal.
    pub fn disconnected(&mut self) {
        for entry in &mut self.entries {
            entry.under_way = false;
        }
        self.under_way = 0;
        self.restart = false;
        self.ending = false;
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use common::identity::PeerKey;
    use proptest::prelude::*;

    use super::*;

    fn me() -> Subject {
        Subject::Guest(PeerKey::from_bytes([1; 32]))
    }

    fn filled(count: u64) -> Outbox {
        let mut outbox = Outbox::default();
        for _ in 0..count {
            let number = outbox.next_number();
            outbox.push(Item {
                number,
                id: MessageId::new(),
                text: number.to_string(),
                sent_at: Timestamp::from_millis(number),
                writer: me(),
            });
        }
        outbox
    }

    #[test]
    fn a_window_is_under_way_and_no_more() {
        let mut outbox = filled(100);
        let sent: Vec<_> = std::iter::from_fn(|| outbox.next(me())).collect();
        assert_eq!(sent.len(), MAX_UNANSWERED_MESSAGES);
        assert!(sent.iter().enumerate().all(|(n, (item, restart))| item.number == n as u64 && !restart));
    }

    #[test]
    fn a_refusal_pauses_the_queue_and_what_came_after_it_goes_out_again_in_order() {
        let mut outbox = filled(3);
        let sent: Vec<_> = std::iter::from_fn(|| outbox.next(me())).map(|(item, _)| item.id).collect();
        assert_eq!(outbox.answered(sent[0], Answer::Stored(1)), Consequence::Stored { seq: 1 });
        let refusal = Refusal::from(Code::NotAllowed);
        assert_eq!(outbox.answered(sent[1], Answer::Refused(refusal.clone())), Consequence::Paused(refusal));
        assert_eq!(
            outbox.answered(sent[2], Answer::Refused(Code::AfterRefused.into())),
            Consequence::Nothing
        );
        assert_eq!(outbox.next(me()), None);
        outbox.resume();
        assert_eq!(outbox.next(me()).map(|(item, restart)| (item.id, restart)), Some((sent[1], true)));
        assert_eq!(outbox.next(me()).map(|(item, restart)| (item.id, restart)), Some((sent[2], false)));
    }

    #[test]
    fn a_passing_failure_is_held_and_released() {
        let mut outbox = filled(2);
        let (item, _) = outbox.next(me()).unwrap();
        let mut refusal = Refusal::from(Code::TooManyRequests);
        refusal.retry_after_ms = Some(70);
        let held = outbox.answered(item.id, Answer::Refused(refusal));
        assert_eq!(held, Consequence::Held { retry_after: Some(Duration::from_millis(70)) });
        assert_eq!(outbox.next(me()), None);
        outbox.release();
        assert_eq!(outbox.next(me()).map(|(again, restart)| (again.id, restart)), Some((item.id, true)));
    }

    #[test]
    fn a_hold_ends_only_when_all_answers_are_in() {
        let mut outbox = filled(3);
        let sent: Vec<_> = (0..2).map(|_| outbox.next(me()).unwrap().0.id).collect();
        outbox.answered(sent[0], Answer::Refused(Code::StorageFull.into()));
        outbox.release();
        assert_eq!(outbox.next(me()), None, "the third would overtake the second");
        outbox.answered(sent[1], Answer::Refused(Code::AfterRefused.into()));
        assert_eq!(outbox.next(me()).map(|(item, restart)| (item.id, restart)), Some((sent[0], true)));
    }

    #[test]
    fn nothing_overtakes_a_refusal_that_is_taken_up_last() {
        let mut outbox = filled(3);
        let sent: Vec<_> = (0..2).map(|_| outbox.next(me()).unwrap().0.id).collect();
        let later = outbox.answered(sent[1], Answer::Refused(Code::AfterRefused.into()));
        assert_eq!(later, Consequence::Nothing);
        assert_eq!(outbox.next(me()), None, "the second would overtake the first");
        let first = outbox.answered(sent[0], Answer::Refused(Code::StorageFull.into()));
        assert_eq!(first, Consequence::Held { retry_after: None });
        outbox.release();
        assert_eq!(outbox.next(me()).map(|(item, restart)| (item.id, restart)), Some((sent[0], true)));
    }

    #[test]
    fn nothing_goes_out_under_another_identity() {
        let mut outbox = filled(1);
        let other = Subject::Guest(PeerKey::from_bytes([2; 32]));
        assert_eq!(outbox.next(other), None);
        assert!(outbox.waits_for_other(other) && !outbox.waits_for_other(me()));
    }

    /// A host that keeps the rules of design section 5 for one sender, over connections that break.
    #[derive(Default)]
    struct Host {
        stored: Vec<MessageId>,
        refused: bool,
    }

    impl Host {
        fn take(&mut self, item: &Item, restart: bool, fault: u8) -> Answer {
            self.refused &= !restart;
            if self.refused {
                return Answer::Refused(Code::AfterRefused.into());
            }
            if let Some(seq) = self.stored.iter().position(|id| *id == item.id) {
                return Answer::Stored(seq as u64 + 1);
            }
            if fault.is_multiple_of(5) {
                self.refused = true;
                return Answer::Refused(Code::StorageFull.into());
            }
            self.stored.push(item.id);
            Answer::Stored(self.stored.len() as u64)
        }
    }

    proptest! {
        #[test]
        fn every_message_is_stored_once_and_in_order_whatever_fails(
            count in 1..150u64,
            faults in prop::collection::vec(any::<u8>(), 1..400),
        ) {
            let mut outbox = filled(count);
            let written: Vec<_> = outbox.entries.iter().map(|entry| entry.item.id).collect();
            let mut host = Host::default();
            let mut faults = faults.into_iter().chain(std::iter::repeat(1));
            let mut answers = Vec::new();
            while !outbox.is_empty() {
                while let Some((item, restart)) = outbox.next(me()) {
                    answers.push((item.id, host.take(&item, restart, faults.next().unwrap())));
                }
                if answers.is_empty() {
                    outbox.release();
                } else if faults.next().unwrap().is_multiple_of(50) {
                    // The connection breaks with some answers still on the way.
                    answers.clear();
                    outbox.disconnected();
                    host.refused = false;
                } else {
                    // Whichever comes first.
                    let place = usize::from(faults.next().unwrap()) % answers.len();
                    let (id, answer) = answers.swap_remove(place);
                    outbox.answered(id, answer);
                }
            }
            prop_assert_eq!(host.stored, written);
        }
    }
}
