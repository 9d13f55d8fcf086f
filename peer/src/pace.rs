//! How often something is tried that does not work: kept on disk, so that a peer which is restarted in a loop does not
//! knock more often than one that runs on.

use std::time::Duration;

use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::clock::Timestamp;
use common::id::ChannelId;
use common::proto::status::Refusal;
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
#[derive(Clone, Debug)]
pub struct Rest {
    /// How long.
    pub left: Duration,
    /// Why it failed then.
    pub why: Refusal,
}

/// How often something is tried.
pub struct Pace {
    store: PeerStore,
    tried: Tried,
    backoff: Backoff,
    is_kept: bool,
    rest: Option<Rest>,
}

impl Pace {
    /// The pace as it was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(store: PeerStore, tried: Tried) -> Result<Self, ReadError> {
        let Some(KeptPace { backoff, next_at, why }) = store.pace(&tried)? else {
            return Ok(Self { is_kept: false, ..Self::fresh(store, tried) });
        };
        // A clock that was put back must not keep anybody waiting for hours.
        let left = next_at.since(Timestamp::now()).min(BackoffLimits::default().longest);
        let rest = (!left.is_zero()).then_some(Rest { left, why });
        Ok(Self { store, tried, backoff, is_kept: true, rest })
    }

    /// A pace that starts anew, when the kept one cannot be read.
    pub fn fresh(store: PeerStore, tried: Tried) -> Self {
        let backoff = Backoff::new(BackoffLimits::default());
        Self { store, tried, backoff, is_kept: true, rest: None }
    }

    /// What an attempt of before the restart still keeps the next one waiting; nothing from the second call on.
    pub fn take_rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// It failed: how long to wait now, as long as the other side wants when it said so.
    pub fn failed(&mut self, why: &Refusal, asked: Option<Duration>) -> Duration {
        let delay = self.backoff.next_delay(random_fraction());
        let delay = asked.map_or(delay, |asked| asked.clamp(SHORTEST_ASKED, LONGEST_ASKED));
        self.is_kept = true;
        let next_at = Timestamp::now().plus(delay);
        let kept = KeptPace { backoff: self.backoff.clone(), next_at, why: why.clone() };
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
    use common::proto::status::Code;
    use common::storage::{Program, Schema, Store};

    use super::*;

    #[tokio::test]
    async fn the_wait_outlives_a_restart_and_ends_with_success() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema { program: Program::Peer, version: 1 };
        let tried = || Tried::Tracker("192.0.2.1:22236".into());
        let store = Store::open(folder.path(), schema).unwrap();
        let mut pace = Pace::load(PeerStore::new(store.clone()), tried()).unwrap();
        assert!(pace.take_rest().is_none());
        let why = Refusal::from(Code::HostAway);
        for _ in 0..5 {
            pace.failed(&why, None);
        }
        let delay = pace.failed(&why, Some(Duration::from_secs(40)));
        assert_eq!(delay, Duration::from_secs(40));
        store.close().await;

        let store = Store::open(folder.path(), schema).unwrap();
        let mut pace = Pace::load(PeerStore::new(store.clone()), tried()).unwrap();
        let Rest { left, why: kept } = pace.take_rest().unwrap();
        assert!(left > Duration::from_secs(30) && left <= delay, "{left:?}");
        assert_eq!((kept, pace.take_rest().is_none(), pace.backoff.attempts()), (why, true, 6));
        let other = Pace::load(PeerStore::new(store.clone()), Tried::Tracker("other".into())).unwrap();
        assert_eq!((other.rest.is_none(), other.backoff.attempts()), (true, 0));
        pace.worked();
        store.close().await;

        let store = Store::open(folder.path(), schema).unwrap();
        let pace = Pace::load(PeerStore::new(store), tried()).unwrap();
        assert_eq!((pace.rest.is_none(), pace.backoff.attempts()), (true, 0));
    }

    #[tokio::test]
    async fn a_clock_that_was_put_back_does_not_keep_anybody_waiting_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema { program: Program::Peer, version: 1 };
        let store = PeerStore::new(Store::open(folder.path(), schema).unwrap());
        let tried = Tried::Channel(ChannelId::new());
        let next_at = Timestamp::now().plus(Duration::from_secs(86_400));
        let backoff = Backoff::new(BackoffLimits::default());
        let kept = KeptPace { backoff, next_at, why: Code::HostAway.into() };
        store.keep_pace(&tried, Some(&kept));
        // Another write behind it is answered when both are on disk.
        store.keep_port(1).await.unwrap();
        let rest = Pace::load(store, tried).unwrap().take_rest().unwrap();
        assert_eq!(rest.left, BackoffLimits::default().longest);
    }
}
