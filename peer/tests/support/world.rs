//! A tracker that can be stopped and started again, and the folders of all who belong to it.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::clock::Timestamp;
use common::identity::PeerKey;
use common::shutdown::{Shutdown, ShutdownTrigger};
use peer::Config;
use peer::client::CatchUp;
use peer::direct::DirectSettings;
use peer::hosting::ListenConfig;
use peer::tracker_link::TrackerAddress;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracker::RunError;
use tracker::password::PasswordPool;
use tracker::tracker::TrackerHandle;

use super::{Person, within};

pub struct World {
    folder: TempDir,
    people: Cell<usize>,
    tracker: Option<(ShutdownTrigger, JoinHandle<Result<(), RunError>>)>,
    inside: Option<TrackerHandle>,
    /// Where the tracker listens, also after a restart.
    pub address: SocketAddr,
    pub key: PeerKey,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world whose tracker is not quite as usual.
    pub async fn with(change: impl FnOnce(&mut tracker::Config)) -> Self {
        // Every peer has some files and connections.
        common::process::raise_open_file_limit().unwrap();
        let mut world = Self {
            folder: TempDir::new().unwrap(),
            people: Cell::default(),
            tracker: None,
            inside: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            key: PeerKey::from_bytes([0; 32]),
        };
        world.start_tracker_with(change).await;
        world
    }

    /// Starts the tracker where it was.
    pub async fn start_tracker(&mut self) {
        self.start_tracker_with(|_| {}).await;
    }

    pub async fn start_tracker_with(&mut self, change: impl FnOnce(&mut tracker::Config)) {
        let mut config = tracker::Config::new(self.address, self.tracker_data());
        // Quick to hash: what passwords cost is tested elsewhere.
        config.passwords = || PasswordPool::with_strength(64, 1, 64);
        change(&mut config);
        let (trigger, shutdown) = Shutdown::new();
        let (tell, told) = oneshot::channel();
        let run = tracker::run(config, shutdown, |ready| drop(tell.send(ready)));
        let ended = actix::spawn(run);
        let ready = within(told).await.expect("the tracker starts");
        self.tracker = Some((trigger, ended));
        (self.address, self.key) = (ready.address, ready.key);
        self.inside = Some(ready.tracker);
    }

    /// The tracker itself, to look inside.
    pub fn tracker(&self) -> &TrackerHandle {
        self.inside.as_ref().expect("the tracker was started")
    }

    pub async fn stop_tracker(&mut self) {
        let (trigger, ended) = self.tracker.take().expect("the tracker runs");
        trigger.request();
        within(ended).await.unwrap().unwrap();
    }

    pub fn tracker_data(&self) -> PathBuf {
        self.folder.path().join("tracker")
    }

    /// The folder with everything that anybody keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration of one more peer, with a folder of its own.
    pub fn config(&self, name: &str) -> Config {
        let number = self.people.replace(self.people.get() + 1);
        let data = self.folder.path().join(format!("peer-{number}"));
        Config {
            tracker: TrackerAddress {
                address: self.address.to_string(),
                key: Some(self.key),
                trust_first: false,
            },
            username: name.parse().unwrap(),
            name_was_given: true,
            downloads: data.join("downloads"),
            data,
            last_name: None,
            host_channels: Vec::new(),
            listen: ListenConfig { ip: Ipv4Addr::LOCALHOST.into(), port: 0, advertise: Vec::new() },
            limits: peer::host::quota::Limits::default(),
            drain: Duration::from_millis(500),
            expire: None,
            catch_up: CatchUp::default(),
            direct: DirectSettings::default(),
            web: None,
        }
    }

    /// A guest whom the tracker has let in.
    pub async fn guest(&self, name: &str) -> Person {
        let person = self.person(self.config(name)).await;
        person.entered().await;
        person
    }

    /// Somebody who has just started their peer.
    pub async fn person(&self, config: Config) -> Person {
        let mut person = Person::new(config);
        person.start().await;
        person
    }
}

/// A tracker's clock that goes wrong by so much.
pub fn slow_clock(behind: Duration) -> tracker::tracker::Clock {
    std::sync::Arc::new(move || Timestamp::now().minus(behind))
}
