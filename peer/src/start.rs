//! How a peer is put together, run, and taken apart in order.

use std::io::IsTerminal;
use std::time::Duration;

use common::files::create_private_folder;
use common::identity::{Identity, IdentityError};
use common::shutdown::{Shutdown, ShutdownTrigger};
use common::storage::{Ended, OpenError, Program, ReadError, Schema, Store};
use common::transport::{TlsError, Transport};
use tokio::sync::mpsc;

use crate::alarm::Alarm;
use crate::api::Event;
use crate::client::Way;
use crate::config::Config;
use crate::hosting::{self, HostingConfig};
use crate::listener::Hosts;
use crate::node::{self, NodeConfig, NodeHandle};
use crate::session::{Events, Session};
use crate::store::PeerStore;
use crate::tracker_link::{self, TrackerLinkConfig, TrustFile};
use crate::ui::{self, Exit};

/// The form of what a peer keeps. Raised when an older program could not read it any more.
pub const SCHEMA: Schema = Schema { program: Program::Peer, version: 1 };
/// How long the orderly end may take before the process ends all the same.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// Why a peer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("{path}: {source}; give --data another folder")]
    Folder {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The peer's key cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// This build cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A running peer.
pub struct Peer {
    /// What user interfaces drive.
    pub node: NodeHandle,
    /// What they are told.
    pub events: mpsc::Receiver<Event>,
    /// Raised when a part has died that others depend on.
    pub alarm: Alarm,
    store: Store,
    stop_listening: ShutdownTrigger,
}

/// Starts a peer within a running actix system.
///
/// # Errors
/// When its data folder, key or store cannot be used.
pub async fn start(config: Config) -> Result<Peer, StartError> {
    let data = &config.data;
    create_private_folder(data)
        .map_err(|source| StartError::Folder { path: data.display().to_string(), source })?;
    let store = Store::open(data, SCHEMA)?;
    start_on(store, config).await
}

/// Starts a peer on the store of its data folder, which is open already.
///
/// # Errors
/// When its key or store cannot be used.
pub async fn start_on(store: Store, config: Config) -> Result<Peer, StartError> {
    let Config { tracker, username, name_was_given, data, host_channels, listen, expire, .. } = config;
    let identity = Identity::load_or_create(&data.join("identity"))?;
    let transport = Transport::new(identity.clone())?;
    let kept = PeerStore::new(store.clone());
    let session = session(&kept, username, name_was_given, &identity)?;
    let (events, receiver) = Events::new();
    let ready = Event::Ready { username: session.username.clone(), key: identity.key(), listen: None };
    events.tell(ready).await;
    let (alarm, hosts) = (Alarm::default(), Hosts::default());
    let (stop_listening, shutdown) = Shutdown::new();
    let trust = TrustFile::new(data.join("known_trackers"));
    let (tracker, from_tracker) = tracker_link::start(TrackerLinkConfig {
        tracker,
        trust,
        transport: transport.clone(),
        store: kept.clone(),
        session,
        events: events.clone(),
        alarm: alarm.clone(),
    });
    let hosting = hosting::start(HostingConfig {
        listen,
        identity,
        transport: transport.clone(),
        store: kept.clone(),
        tracker: tracker.clone(),
        hosts: hosts.clone(),
        events: events.clone(),
        shutdown: shutdown.clone(),
        alarm: alarm.clone(),
    })
    .await;
    let node = node::start(NodeConfig {
        data,
        store: kept,
        session: tracker.session(),
        way: Way { transport, tracker: tracker.clone(), hosts, shutdown },
        tracker,
        from_tracker,
        hosting,
        events: events.clone(),
        alarm: alarm.clone(),
        expire,
    });
    watch_store(&store, &alarm);
    node.host_at_start(host_channels, events);
    Ok(Peer { node, events: receiver, alarm, store, stop_listening })
}

/// The session as it was kept; a name that the user gave counts where no pass says another.
fn session(
    store: &PeerStore,
    username: common::name::UserName,
    name_was_given: bool,
    identity: &Identity,
) -> Result<Session, ReadError> {
    let kept = store.session()?.filter(|session| session.key == identity.key());
    Ok(match kept {
        Some(session) if session.held.is_some() || !name_was_given => session,
        Some(session) => Session { username, ..session },
        None => Session::new(username, identity.key()),
    })
}

fn watch_store(store: &Store, alarm: &Alarm) {
    let (ended, alarm) = (store.ended(), alarm.clone());
    tokio::spawn(async move {
        if ended.await == Ended::Died {
            alarm.raise("the store died".to_owned());
        }
    });
}

impl Peer {
    /// Ends the peer in order: clients and hosts first, the store last.
    pub async fn shut_down(self) {
        // Nobody shows what is told from here on; whoever tells must not wait for it.
        drop(self.events);
        self.stop_listening.request();
        self.node.shut_down().await;
        self.store.close().await;
    }
}

/// Runs a peer with the user interface that fits: the line editor on a terminal, JSON lines elsewhere.
///
/// # Errors
/// When the peer does not start.
pub async fn run(config: Config, json: bool, shutdown: Shutdown) -> Result<Exit, StartError> {
    let (data_dir, drain) = (config.data.clone(), config.drain);
    let Peer { node, events, alarm, store, stop_listening } = start(config).await?;
    let interface = async {
        if json || !std::io::stdin().is_terminal() {
            let config = ui::json::JsonConfig { drain, shutdown };
            ui::json::run_json(node.clone(), events, ui::json::stdin(), tokio::io::stdout(), config).await
        } else {
            let config = ui::repl::ReplConfig { data_dir, drain, shutdown };
            ui::repl::run_repl(node.clone(), events, config).await
        }
    };
    let exit = tokio::select! {
        exit = interface => exit,
        _ = alarm.raised() => Exit::Failed,
    };
    let (_, nobody) = mpsc::channel(1);
    let peer = Peer { node, events: nobody, alarm, store, stop_listening };
    if tokio::time::timeout(SHUTDOWN_LIMIT, peer.shut_down()).await.is_err() {
        tracing::warn!("the orderly end took too long");
        return Ok(Exit::Failed);
    }
    Ok(exit)
}

impl NodeHandle {
    /// Hosts the channels of the command line: once the tracker has let us in or not, and again whenever who this peer
    /// is changes, until it is done.
    fn host_at_start(&self, channels: Vec<common::name::ChannelName>, events: Events) {
        let node = self.clone();
        actix::spawn(async move {
            for channel in channels {
                node.settled().await;
                node.host_until_done(channel, &events).await;
            }
        });
    }
}
