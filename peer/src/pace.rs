//! How often something is tried that does not work. Pure; what is to be kept of it is handed out, so that a peer which
//! is restarted in a loop does not knock more often than one that runs on.

use std::time::Duration;

use common::backoff::{Backoff, BackoffLimits};
use common::clock::Timestamp;
use common::id::ChannelId;
use common::proto::status::Refusal;
use serde::{Deserialize, Serialize};

use crate::reconnect::Now;

/// What is tried again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// To reach the tracker that was given so: another address, or another key, is another try.
    Tracker(String),
    /// To enter this channel.
    Channel(ChannelId),
    /// To send to this channel what its host does not take now.
    Outbox(ChannelId),
}

impl Tried {
    /// Where it stands in the store.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Tracker(address) => [b"t", address.as_bytes()].concat(),
            Self::Channel(id) => [b"c".as_slice(), id.0.as_bytes()].concat(),
            Self::Outbox(id) => [b"o".as_slice(), id.0.as_bytes()].concat(),
        }
    }
}

/// A pace as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPace {
    /// How often it has failed.
    pub backoff: Backoff,
    /// Not before this is it tried again.
    pub next_at: Timestamp,
    /// Why it failed.
    pub why: Refusal,
}

/// What is left of a pause that began before the restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// How long.
    pub left: Duration,
    /// Why it failed then.
    pub why: Refusal,
}

/// How often something is tried.
#[derive(Debug)]
pub struct Pace {
    backoff: Backoff,
    is_kept: bool,
    rest: Option<Rest>,
}

impl Pace {
    /// The pace as it was kept.
    pub fn new(kept: Option<KeptPace>, now: Timestamp) -> Self {
        let Some(KeptPace { backoff, next_at, why }) = kept else {
            return Self { backoff: Backoff::new(BackoffLimits::default()), is_kept: false, rest: None };
        };
        // A clock that was put back must not keep anybody waiting for hours.
        let left = next_at.since(now).min(BackoffLimits::default().longest);
        let rest = (!left.is_zero()).then_some(Rest { left, why });
        Self { backoff, is_kept: true, rest }
    }

    /// What an attempt of before the restart still keeps the next one waiting; nothing from the second call on.
    pub fn take_rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// It failed. `delay` makes of the delay that the failures in a row lead to how long to wait; what is to be
    /// kept says until when.
    pub fn failed(&mut self, why: &Refusal, now: Now, delay: impl FnOnce(Duration) -> Duration) -> KeptPace {
        let by_itself = self.backoff.next_delay(now.random);
        let delay = delay(by_itself);
        self.is_kept = true;
        KeptPace { backoff: self.backoff.clone(), next_at: now.at.plus(delay), why: why.clone() }
    }

    /// It worked: the next failure is the first again. Returns whether what is kept is to be forgotten.
    pub fn worked(&mut self) -> bool {
        self.backoff.reset();
        std::mem::take(&mut self.is_kept)
    }
}

/// A wait as people say it.
pub fn in_words(wait: Duration) -> String {
    match wait.as_secs_f64().ceil() {
        seconds if seconds < 120.0 => format!("{seconds} s"),
        seconds if seconds < 7200.0 => format!("{} min", (seconds / 60.0).ceil()),
        seconds => format!("{} h", (seconds / 3600.0).ceil()),
    }
}

#[cfg(test)]
mod tests {
    use common::proto::status::Code;

    use super::*;

    fn at(millis: u64) -> Now {
        Now { at: Timestamp::from_millis(millis), random: 1.0 }
    }

    #[test]
    fn a_wait_is_told_in_the_unit_that_people_use() {
        for (millis, words) in [
            (0, "0 s"),
            (1, "1 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (3_600_000, "60 min"),
            (7_200_001, "3 h"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn the_wait_outlives_a_restart_and_ends_with_success() {
        let why = Refusal::from(Code::HostAway);
        let mut pace = Pace::new(None, at(0).at);
        assert!(pace.take_rest().is_none() && !pace.worked());
        for _ in 0..5 {
            pace.failed(&why, at(0), |delay| delay);
        }
        let kept = pace.failed(&why, at(1000), |delay| {
            assert_eq!(delay, Duration::from_secs(60));
            Duration::from_secs(40)
        });
        assert_eq!(kept.next_at, Timestamp::from_millis(41_000));

        let mut pace = Pace::new(Some(kept.clone()), at(11_000).at);
        assert_eq!(pace.take_rest(), Some(Rest { left: Duration::from_secs(30), why: why.clone() }));
        assert_eq!((pace.take_rest(), pace.backoff.attempts()), (None, 6));
        assert!(pace.worked() && !pace.worked(), "forgotten once");
        assert_eq!(pace.backoff.attempts(), 0);

        let mut late = Pace::new(Some(kept), at(41_000).at);
        assert_eq!((late.take_rest(), late.backoff.attempts()), (None, 6));
    }

    #[test]
    fn a_clock_that_was_put_back_does_not_keep_anybody_waiting_for_ever() {
        let backoff = Backoff::new(BackoffLimits::default());
        let next_at = Timestamp::from_millis(86_400_000);
        let kept = KeptPace { backoff, next_at, why: Code::HostAway.into() };
        let rest = Pace::new(Some(kept), at(0).at).take_rest().unwrap();
        assert_eq!(rest.left, BackoffLimits::default().longest);
    }
}
