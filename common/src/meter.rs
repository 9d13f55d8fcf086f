//! How often something may be done: so many times at once, then so many in a minute, by each who does it.
//!
//! The counting is [`governor`]'s. What it keeps for each is bounded here: of too many, those who have used up the least
//! are forgotten, so that nobody who has used up what is theirs gets it back by making others up.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use serde::{Deserialize, Serialize};

use crate::proto::limits::MAX_METERED;

/// So many at once, then so many a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many at once, after a pause.
    pub burst: NonZeroU32,
    /// How many in a minute, in the long run.
    pub per_minute: NonZeroU32,
}

impl Rate {
    /// The rate of these numbers, where 0 counts as 1.
    pub const fn new(burst: u32, per_minute: u32) -> Self {
        Self { burst: at_least_one(burst), per_minute: at_least_one(per_minute) }
    }

    /// The time after which one more may be done.
    pub fn period(self) -> Duration {
        Duration::from_secs(60) / self.per_minute.get()
    }

    /// How many may be done within so long, after a pause.
    pub fn within(self, time: Duration) -> usize {
        let more = u64::from(self.per_minute.get()).saturating_mul(time.as_secs()) / 60;
        usize::try_from(u64::from(self.burst.get()).saturating_add(more)).unwrap_or(usize::MAX)
    }

    fn quota(self) -> Quota {
        // A minute by a number that fits 32 bits is never nothing.
        let quota = Quota::with_period(self.period()).unwrap_or_else(|| Quota::per_minute(self.per_minute));
        quota.allow_burst(self.burst)
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Counts what each does.
#[derive(Debug)]
pub struct Meter<K: Hash + Eq + Clone, C: Clock = MonotonicClock> {
    limiter: RateLimiter<K, Kept<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    /// A meter by the clock of this machine.
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock, MAX_METERED)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Meter<K, C> {
    /// A meter by another clock, which remembers at most so many who do something.
    pub fn with_clock(rate: Rate, clock: C, most: usize) -> Self {
        let kept = Kept { used: Mutex::new(HashMap::new()), most: most.max(1) };
        Self { limiter: RateLimiter::new(rate.quota(), kept, clock.clone()), clock }
    }

    /// Somebody does it once more.
    ///
    /// # Errors
    /// When that is too often, and nothing was counted: how long to wait.
    pub fn check(&self, who: &K) -> Result<(), Duration> {
        self.limiter.check_key(who).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// How much each has used up, as the time at which nothing of that is left.
#[derive(Debug)]
struct Kept<K> {
    used: Mutex<HashMap<K, Nanos>>,
    most: usize,
}

impl<K: Hash + Eq + Clone> Kept<K> {
    // The map is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Nanos>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a sixteenth at once, so that the work of finding them is done seldom.
    fn make_room(&self, used: &mut HashMap<K, Nanos>) {
        if used.len() < self.most {
            return;
        }
        let mut times: Vec<Nanos> = used.values().copied().collect();
        let place = times.len() / 16;
        let (_, least, _) = times.select_nth_unstable(place);
        let least = *least;
        let mut left = place + 1;
        used.retain(|_, time| {
            let goes = left > 0 && *time <= least;
            left -= usize::from(goes);
            !goes
        });
    }
}

impl<K: Hash + Eq + Clone> StateStore for Kept<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut used = self.lock();
        if let Some(time) = used.get_mut(key) {
            let (outcome, after) = decide(Some(*time))?;
            *time = after;
            return Ok(outcome);
        }
        let (outcome, after) = decide(None)?;
        self.make_room(&mut used);
        used.insert(key.clone(), after);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    fn meter(rate: Rate, most: usize) -> (Meter<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Meter::with_clock(rate, clock.clone(), most), clock)
    }

    #[test]
    fn a_burst_and_then_so_many_a_minute() {
        let (meter, clock) = meter(Rate::new(3, 60), 10);
        // (milliseconds later, who, how long to wait)
        let table = [
            (0, 1, 0),
            (0, 1, 0),
            (0, 1, 0),
            (0, 1, 1000),
            (0, 2, 0),
            (400, 1, 600),
            (600, 1, 0),
            (0, 1, 1000),
            (60_000, 1, 0),
            (0, 1, 0),
            (0, 1, 0),
            (0, 1, 1000),
        ];
        for (step, (later, who, wait)) in table.into_iter().enumerate() {
            clock.advance(Duration::from_millis(later));
            let found = meter.check(&who).err().unwrap_or_default();
            assert_eq!(found, Duration::from_millis(wait), "step {step}");
        }
    }

    #[test]
    fn whoever_is_made_up_does_not_give_back_what_is_used_up() {
        let (meter, _) = meter(Rate::new(2, 1), 32);
        assert!(meter.check(&0).is_ok() && meter.check(&0).is_ok() && meter.check(&0).is_err());
        for made_up in 1..5000 {
            assert!(meter.check(&made_up).is_ok());
        }
        assert!(meter.check(&0).is_err());
        assert!(meter.limiter.into_state_store().lock().len() <= 32);
    }

    #[test]
    fn no_numbers_are_too_small_or_too_large() {
        for rate in [Rate::new(0, 0), Rate::new(u32::MAX, u32::MAX), Rate::new(1, u32::MAX)] {
            assert!(Meter::new(rate).check(&1).is_ok(), "{rate:?}");
        }
    }

    proptest! {
        #[test]
        fn no_more_passes_than_burst_and_time_allow(
            burst in 1..20_u32, per_minute in 1..600_u32, steps in prop::collection::vec(0..5000_u64, 1..200),
        ) {
            let rate = Rate::new(burst, per_minute);
            let (meter, clock) = meter(rate, 4);
            let (mut passed, mut time) = (0, Duration::ZERO);
            for step in steps {
                let later = Duration::from_millis(step);
                clock.advance(later);
                time += later;
                match meter.check(&7) {
                    Ok(()) => passed += 1,
                    Err(wait) => prop_assert!(wait > Duration::ZERO && wait <= rate.period()),
                }
            }
            let most = f64::from(burst) + time.as_secs_f64() * f64::from(per_minute) / 60.0;
            prop_assert!(f64::from(passed) <= most + 1.0, "{passed} of {most}");
        }
    }
}
