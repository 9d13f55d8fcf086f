//! How often something is tried that does not work: kept on disk, so that a peer which is restarted in a loop does not
//! knock more often than one that runs on.

use std::time::Duration;

use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::clock::Timestamp;
use common::id::ChannelId;
use common::storage::ReadError;
use serde::{Deserialize, Serialize};

use crate::store::PeerStore;

/// What another side may want to be waited for.
const SHORTEST_ASKED: Duration = Duration::from_millis(50);
/// See [`SHORTEST_ASKED`].
const LONGEST_ASKED: Duration = Duration::from_secs(10 * 60);

/// What is tried again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// To reach the tracker at this address.
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
}

/// How often something is tried.
pub struct Pace {
    store: PeerStore,
    tried: Tried,
    backoff: Backoff,
    is_kept: bool,
    rest: Duration,
}

impl Pace {
    /// The pace as it was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(store: PeerStore, tried: Tried) -> Result<Self, ReadError> {
        let kept = store.pace(&tried)?;
        let (is_kept, now) = (kept.is_some(), Timestamp::now());
        let fresh = || KeptPace { backoff: Backoff::new(BackoffLimits::default()), next_at: now };
        let KeptPace { backoff, next_at } = kept.unwrap_or_else(fresh);
        // A clock that was put back must not keep anybody waiting for hours.
        let rest = next_at.since(now).min(BackoffLimits::default().longest);
        Ok(Self { store, tried, backoff, is_kept, rest })
    }

    /// A pace that starts anew, when the kept one cannot be read.
    pub fn fresh(store: PeerStore, tried: Tried) -> Self {
        let backoff = Backoff::new(BackoffLimits::default());
        Self { store, tried, backoff, is_kept: true, rest: Duration::ZERO }
    }

    /// How long an attempt of before the restart still keeps the next one waiting; zero from the second call on.
    pub fn take_rest(&mut self) -> Duration {
        std::mem::take(&mut self.rest)
    }

    /// It failed: how long to wait now, as long as the other side wants when it said so.
    pub fn failed(&mut self, asked: Option<Duration>) -> Duration {
        let delay = self.backoff.next_delay(random_fraction());
        let delay = asked.map_or(delay, |asked| asked.clamp(SHORTEST_ASKED, LONGEST_ASKED));
        self.is_kept = true;
        let kept = KeptPace { backoff: self.backoff.clone(), next_at: Timestamp::now().plus(delay) };
        self.store.keep_pace(&self.tried, Some(&kept));
        delay
    }

    /// It worked, or there is news that it may: the next failure is the first again.
    pub fn worked(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.is_kept) {
            self.store.keep_pace(&self.tried, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use common::storage::{Program, Schema, Store};

    use super::*;

    #[tokio::test]
    async fn the_wait_outlives_a_restart_and_ends_with_success() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema { program: Program::Peer, version: 1 };
        let tried = || Tried::Tracker("192.0.2.1:22236".into());
        let store = Store::open(folder.path(), schema).unwrap();
        let mut pace = Pace::load(PeerStore::new(store.clone()), tried()).unwrap();
        assert_eq!(pace.take_rest(), Duration::ZERO);
        for _ in 0..5 {
            pace.failed(None);
        }
        let delay = pace.failed(Some(Duration::from_secs(40)));
        assert_eq!(delay, Duration::from_secs(40));
        store.close().await;

        let store = Store::open(folder.path(), schema).unwrap();
        let mut pace = Pace::load(PeerStore::new(store.clone()), tried()).unwrap();
        let rest = pace.take_rest();
        assert!(rest > Duration::from_secs(30) && rest <= delay, "{rest:?}");
        assert_eq!((pace.take_rest(), pace.backoff.attempts()), (Duration::ZERO, 6));
        let other = Pace::load(PeerStore::new(store.clone()), Tried::Tracker("other".into())).unwrap();
        assert_eq!((other.rest, other.backoff.attempts()), (Duration::ZERO, 0));
        pace.worked();
        store.close().await;

        let store = Store::open(folder.path(), schema).unwrap();
        let pace = Pace::load(PeerStore::new(store), tried()).unwrap();
        assert_eq!((pace.rest, pace.backoff.attempts()), (Duration::ZERO, 0));
    }

    #[tokio::test]
    async fn a_clock_that_was_put_back_does_not_keep_anybody_waiting_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema { program: Program::Peer, version: 1 };
        let store = PeerStore::new(Store::open(folder.path(), schema).unwrap());
        let tried = Tried::Channel(ChannelId::new());
        let next_at = Timestamp::now().plus(Duration::from_secs(86_400));
        let kept = KeptPace { backoff: Backoff::new(BackoffLimits::default()), next_at };
        store.keep_pace(&tried, Some(&kept));
        // Another write behind it is answered when both are on disk.
        store.keep_port(1).await.unwrap();
        assert_eq!(Pace::load(store, tried).unwrap().take_rest(), BackoffLimits::default().longest);
    }
}
