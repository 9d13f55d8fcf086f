//! The messages of one member that came too soon: each has its turn, in order, or is refused when that would be too
//! late. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use common::proto::limits::{HELD_BYTES, MAX_UNANSWERED_MESSAGES, MESSAGE_HELD_LIMIT};
use tokio::time::Instant;

/// What is held of one member.
#[derive(Debug)]
pub struct Held<T> {
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    /// When the first is to be looked at again.
    turn: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<T> {
    came: Instant,
    bytes: usize,
    what: T,
}

/// What becomes of those that are held.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<T> {
    /// This one goes on.
    Now(T),
    /// All of these are refused: their turn would be too late. When to come back.
    TooLate(Vec<T>, Duration),
    /// Nothing yet.
    NotYet,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, turn: None }
    }
}

impl<T> Held<T> {
    /// Whether more may come in.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MAX_UNANSWERED_MESSAGES && self.bytes <= HELD_BYTES
    }

    /// When to ask for the [`Self::next`] one; not before more comes in when there is nothing.
    pub fn turn(&self) -> Option<Instant> {
        self.turn
    }

    /// One more, of so many bytes. It has its turn at once when nothing is before it.
    pub fn push(&mut self, what: T, bytes: usize, now: Instant) {
        self.bytes += bytes;
        self.waiting.push_back(Waiting { came: now, bytes, what });
        self.turn.get_or_insert(now);
    }

    /// What becomes of the first, if `take` lets it through or says how long to wait.
    pub fn next(&mut self, now: Instant, take: impl FnOnce(&T) -> Result<(), Duration>) -> Turn<T> {
        let Some(first) = self.waiting.front().filter(|_| self.turn.is_some_and(|turn| turn <= now)) else {
            return Turn::NotYet;
        };
        match take(&first.what) {
            Ok(()) => self.pop(now).map_or(Turn::NotYet, Turn::Now),
            Err(wait) if now + wait > first.came + MESSAGE_HELD_LIMIT => {
                self.turn = None;
                self.bytes = 0;
                Turn::TooLate(self.waiting.drain(..).map(|waiting| waiting.what).collect(), wait)
            }
            Err(wait) => {
                self.turn = Some(now + wait);
                Turn::NotYet
            }
        }
    }

    fn pop(&mut self, now: Instant) -> Option<T> {
        let first = self.waiting.pop_front()?;
        self.bytes -= first.bytes;
        self.turn = (!self.waiting.is_empty()).then_some(now);
        Some(first.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held(count: u32, now: Instant) -> Held<u32> {
        let mut held = Held::default();
        (0..count).for_each(|n| held.push(n, 100, now));
        held
    }

    #[test]
    fn one_after_another_at_the_pace_that_is_given() {
        let now = Instant::now();
        let mut held = held(3, now);
        assert_eq!(held.next(now, |_| Ok(())), Turn::Now(0));
        assert_eq!(held.next(now, |_| Err(SECOND)), Turn::NotYet);
        assert_eq!(held.turn(), Some(now + SECOND));
        // More that comes in does not bring the turn forward, and nothing is asked before.
        held.push(3, 100, now);
        assert_eq!(held.next(now, |_| panic!("asked too soon")), Turn::NotYet);
        for n in 1..4 {
            assert_eq!(held.next(now + SECOND, |_| Ok(())), Turn::Now(n));
        }
        assert_eq!((held.turn(), held.bytes), (None, 0));
        assert_eq!(held.next(now + SECOND, |_| panic!("there is nothing")), Turn::NotYet);
    }

    #[test]
    fn what_would_be_too_late_is_refused_with_all_behind_it() {
        let now = Instant::now();
        let mut held = held(2, now);
        let late = now + MESSAGE_HELD_LIMIT;
        assert_eq!(held.next(late, |_| Err(SECOND)), Turn::TooLate(vec![0, 1], SECOND));
        assert_eq!((held.turn(), held.bytes), (None, 0));
        held.push(2, 100, late);
        assert_eq!(held.next(late, |_| Ok(())), Turn::Now(2));
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let now = Instant::now();
        let (mut many, mut large) = (Held::default(), Held::default());
        for n in 0..1000 {
            if many.has_room() {
                many.push((), 0, now);
            }
            if large.has_room() {
                large.push((), 60_000, now);
            }
            assert!(
                many.waiting.len() <= MAX_UNANSWERED_MESSAGES && large.bytes <= HELD_BYTES + 60_000,
                "{n}"
            );
        }
        assert!(!many.has_room() && !large.has_room());
        assert_eq!(large.next(now, |()| Ok(())), Turn::Now(()));
        assert!(large.has_room());
    }

    #[test]
    fn all_that_may_be_unanswered_have_their_turn_in_time_at_the_rate_of_a_host() {
        use common::proto::limits::{MESSAGES, REQUEST_LIMIT};
        let last = MESSAGES.period() * u32::try_from(MAX_UNANSWERED_MESSAGES).unwrap();
        assert!(last <= MESSAGE_HELD_LIMIT && MESSAGE_HELD_LIMIT < REQUEST_LIMIT);
    }
}
