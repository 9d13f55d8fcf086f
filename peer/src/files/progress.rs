//! How fast it goes, and how long it will take. Pure: the time is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is looked back at to say how fast it goes.
const WINDOW: Duration = Duration::from_secs(5);
/// A line of the terminal is worth at least so much of the whole,
const STEP_PERCENT: u64 = 10;
/// and comes not sooner after the one before.
const STEP_AFTER: Duration = Duration::from_secs(2);

/// The pace of one transfer.
#[derive(Debug)]
pub struct Pace {
    seen: VecDeque<(Instant, u64)>,
    stepped: (Instant, u64),
}

impl Pace {
    /// It begins, with this much there already.
    pub fn new(now: Instant, have: u64) -> Self {
        Self { seen: VecDeque::from([(now, have)]), stepped: (now, have) }
    }

    /// So much is there now; says how many bytes a second that is, lately.
    pub fn rate(&mut self, now: Instant, have: u64) -> u64 {
        self.seen.push_back((now, have));
        while self.seen.len() > 2 && self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            self.seen.pop_front();
        }
        let Some((since, before)) = self.seen.front() else { return 0 };
        let millis = now.duration_since(*since).as_millis().max(1);
        let rate = u128::from(have.saturating_sub(*before)) * 1000 / millis;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// Whether so much more is there that it is worth a line for people.
    pub fn is_step(&mut self, now: Instant, have: u64, size: u64) -> bool {
        let (at, before) = self.stepped;
        let is_more = percent(have, size) / STEP_PERCENT > percent(before, size) / STEP_PERCENT;
        let is_step = is_more && now.duration_since(at) >= STEP_AFTER;
        if is_step {
            self.stepped = (now, have);
        }
        is_step
    }
}

/// How much of the whole that is.
pub fn percent(have: u64, size: u64) -> u64 {
    if size == 0 { 100 } else { u64::try_from(u128::from(have) * 100 / u128::from(size)).unwrap_or(100) }
}

/// How many seconds the rest takes at this rate, as long as it goes at all.
pub fn seconds_left(have: u64, size: u64, rate: u64) -> Option<u64> {
    size.saturating_sub(have).checked_div(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut pace = Pace::new(begin, 1000);
        assert_eq!(pace.rate(at(1000), 3000), 2000);
        for second in 2..=10 {
            pace.rate(at(second * 1000), 3000);
        }
        assert_eq!(pace.rate(at(11_000), 3000), 0, "nothing came for long");
        assert_eq!((seconds_left(3000, 9000, 0), seconds_left(3000, 9000, 2000)), (None, Some(3)));
    }

    #[test]
    fn lines_are_few() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin, 0);
        let step =
            |pace: &mut Pace, millis, have| pace.is_step(begin + Duration::from_millis(millis), have, 1000);
        assert!(!step(&mut pace, 500, 900), "too soon");
        assert!(step(&mut pace, 2500, 900) && !step(&mut pace, 9000, 950) && step(&mut pace, 9000, 1000));
        assert_eq!((percent(0, 0), percent(1, 3), percent(u64::MAX, u64::MAX)), (100, 33, 100));
    }
}
