//! How long to wait before trying again: longer each time, and never all together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Between what a delay may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackoffLimits {
    /// No delay is shorter.
    pub shortest: Duration,
    /// No delay is longer; it wins where the two contradict each other.
    pub longest: Duration,
}

impl Default for BackoffLimits {
    /// One second to one minute.
    fn default() -> Self {
        Self { shortest: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

/// Exponential back-off with full jitter above a floor.
///
/// The `n`th delay since the last success is anywhere from the shortest to the shortest times 2ⁿ, capped at
/// the longest. Jitter over the whole span, not over its upper half, because the members of a channel all
/// lose its host at the same moment and should come back spread out.
///
/// Pure: the caller brings the random number and does the waiting. It may be stored to outlive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    limits: BackoffLimits,
    attempts: u32,
}

impl Backoff {
    /// One that has not failed yet.
    pub const fn new(limits: BackoffLimits) -> Self {
        Self { limits, attempts: 0 }
    }

    /// Counts a failure and says how long to wait now. `random` is uniform in 0..1, see [`random_fraction`];
    /// what is outside is taken for the nearer end.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        let BackoffLimits { shortest, longest } = self.limits;
        let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let span = shortest.saturating_mul(factor).min(longest).saturating_sub(shortest);
        let random = if random.is_nan() { 1.0 } else { random.clamp(0.0, 1.0) };
        let jitter = Duration::try_from_secs_f64(span.as_secs_f64() * random).unwrap_or(span);
        shortest.saturating_add(jitter).min(longest)
    }

    /// It worked: the next failure is the first again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The failures counted since the last success.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// A random number, uniform in 0..1; one half when the system has none to give.
pub fn random_fraction() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_span_doubles_up_to_the_longest_and_starts_again_after_success() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        let ends: Vec<u64> = (0..8).map(|_| backoff.next_delay(1.0).as_secs()).collect();
        assert_eq!(ends, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next_delay(0.0), Duration::from_secs(1));
        assert_eq!(backoff.attempts(), 9);
        backoff.reset();
        assert_eq!(backoff, Backoff::new(BackoffLimits::default()));
        assert_eq!(backoff.next_delay(0.5), Duration::from_millis(1500));
    }

    #[test]
    fn it_survives_a_restart() {
        let mut backoff = Backoff::new(BackoffLimits::default());
        backoff.next_delay(random_fraction());
        let json = serde_json::to_string(&backoff).unwrap();
        assert_eq!(serde_json::from_str::<Backoff>(&json).unwrap(), backoff);
    }

    proptest! {
        #[test]
        fn a_delay_is_within_the_limits(attempts: u32, random: f64, shortest: u64, longest: u64) {
            let (shortest, longest) = (Duration::from_millis(shortest), Duration::from_millis(longest));
            let mut backoff = Backoff { limits: BackoffLimits { shortest, longest }, attempts };
            let delay = backoff.next_delay(random);
            prop_assert!(delay >= shortest.min(longest) && delay <= longest);
            prop_assert_eq!(backoff.attempts(), attempts.saturating_add(1));
        }

        #[test]
        fn more_failures_never_mean_a_shorter_span(attempts in 0_u32..1000) {
            let limits = BackoffLimits::default();
            let delay = |attempts| Backoff { limits, attempts }.next_delay(1.0);
            prop_assert!(delay(attempts) <= delay(attempts + 1));
            prop_assert!((0.0..1.0).contains(&random_fraction()));
        }
    }
}
