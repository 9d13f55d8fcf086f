//! What an operator can decide.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use common::admission;
use common::clock::Timestamp;
use common::proto::limits::{HELLO_LIMIT, TRACKER_PORT};
use common::storage::{OpenError, Store};

use crate::password::{PasswordError, PasswordPool};
use crate::quotas::Rates;
use crate::store::schema::SCHEMA;
use crate::tracker::Clock;

/// All that a tracker needs to know. Made by [`Config::new`]; the rest is for tests.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; with port 0, on a free one.
    pub listen: SocketAddr,
    /// The folder with keys and directory.
    pub data: PathBuf,
    /// How much at once.
    pub limits: Limits,
    /// Who may say something to all who are there.
    pub may_broadcast: MayBroadcast,
    /// Tells the time.
    pub clock: Clock,
    /// Makes the pool that hashes passwords.
    pub passwords: fn() -> Result<PasswordPool, PasswordError>,
    /// Opens the store.
    pub open_store: OpenStore,
}

/// Who may say something to all who are there; the operator always may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MayBroadcast {
    /// Nobody else.
    Off,
    /// Whoever has an account.
    #[default]
    Registered,
    /// Guests, too.
    Everyone,
}

/// Opens the store in a data folder.
pub type OpenStore = Arc<dyn Fn(&std::path::Path) -> Result<Store, OpenError> + Send + Sync>;

/// How much at once, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections and handshakes.
    pub admission: admission::Limits,
    /// HELLO has to come within this.
    pub hello: Duration,
    /// What one place may do in a while.
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self { admission: admission::Limits::default(), hello: HELLO_LIMIT, rates: Rates::default() }
    }
}

impl Config {
    /// A tracker on `listen` with its data in `data`.
    pub fn new(listen: SocketAddr, data: PathBuf) -> Self {
        Self {
            listen,
            data,
            limits: Limits::default(),
            may_broadcast: MayBroadcast::default(),
            clock: Arc::new(Timestamp::now),
            passwords: PasswordPool::new,
            open_store: Arc::new(|data| Store::open(data, SCHEMA)),
        }
    }

    /// Where a tracker listens unless told otherwise.
    pub const fn default_listen() -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), TRACKER_PORT)
    }
}
