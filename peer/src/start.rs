//! How a peer is put together, run, and taken apart in order.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::files::create_private_folder;
use common::identity::{Identity, IdentityError};
use common::shutdown::{Shutdown, ShutdownTrigger};
use common::storage::{Ended, OpenError, Program, ReadError, Schema, Step, Store};
use common::transport::{TlsError, Transport};
use futures_util::future::join;
use tokio::time::timeout;

use crate::alarm::Alarm;
use crate::api::Event;
use crate::client::{Way, archive};
use crate::config::Config;
use crate::direct::{self, DirectConfig, DirectHandle, DirectSettings, Visitors};
use crate::events::{EventQueue, Events};
use crate::files::{self, FilesConfig, FilesHandle};
use crate::history::Historian;
use crate::hosting::{self, HostingConfig, HostingHandle};
use crate::listener::{Doors, Hosts};
use crate::node::{self, NodeConfig, NodeHandle};
use crate::presence::{self, PresenceConfig, PresenceHandle};
use crate::search::{self, Search};
use crate::session::{FirstName, Session};
use crate::store::PeerStore;
use crate::tracker_link::{self, TrackerLinkConfig, TrustFile};
use crate::ui::terminal::{PutBack, Terminal};
use crate::ui::{self, Exit};

/// The form of what a peer keeps. Raised when an older program could not read it any more.
pub const SCHEMA: Schema = Schema { program: Program::Peer, version: 2 };

/// What leads there from what earlier releases have kept.
///
/// * 2: what an entry of the type `erase` names has no body. Before, such entries were kept like any of a type that is
///   not known.
const STEPS: &[Step] = &[Step { to: 2, piece: archive::follow_kept }];

/// Opens the store in a peer's data folder; one of an earlier release is brought up to date first.
///
/// # Errors
/// When it cannot be used.
pub fn open_store(data: &Path) -> Result<Store, OpenError> {
    Store::open_migrating(data, SCHEMA, STEPS)
}
/// Where the search has its index, in the data folder.
const SEARCH_FOLDER: &str = "search";
/// How long the orderly end may take before the process ends all the same.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);
/// How long the store may take to put the last on disk, whatever became of the rest.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

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
    /// The search cannot be started.
    #[error("the search cannot be started: {0}; end other programs, or raise the number of threads")]
    Search(std::io::Error),
    /// This build cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why a peer did not run to a good end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A part of it has died.
    #[error("the peer could not go on: {0}")]
    Died(String),
    /// The page cannot be served.
    #[error(
        "the page cannot be served at {address}: {source}; give --web another address, such as 127.0.0.1:0"
    )]
    Page {
        /// Where it was to be.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// It did not end in time.
    #[error("the orderly end took too long and was cut short")]
    Slow,
}

/// A running peer.
pub struct Peer {
    /// What user interfaces drive.
    pub node: NodeHandle,
    /// What they are told.
    pub events: EventQueue,
    /// Raised when a part has died that others depend on.
    pub alarm: Alarm,
    store: Store,
    search: Search,
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
    let store = open_store(data)?;
    // Not before: a peer that does not start, since another one uses its folder, was not used.
    config.remember_name();
    start_on(store, config).await
}

/// Starts a peer on the store of its data folder, which is open already.
///
/// # Errors
/// When its key or store cannot be used.
pub async fn start_on(store: Store, config: Config) -> Result<Peer, StartError> {
    let identity = Identity::load_or_create(&config.data.join("identity"))?;
    let transport = Transport::new(identity.clone())?;
    let kept = PeerStore::new(store.clone());
    kept.check()?;
    let kept_session = kept.session()?.filter(|session| session.key == identity.key());
    let name = FirstName { name: config.username.clone(), was_given: config.name_was_given };
    let (session, warning) = Session::at_start(kept_session, name, identity.key());
    let (events, queue) = Events::new();
    let ready = Event::Ready { username: session.username.clone(), key: identity.key(), listen: None };
    events.tell(ready).await;
    if let Some(warning) = warning {
        events.tell(warning).await;
    }
    let (alarm, (stop_listening, shutdown)) = (Alarm::default(), Shutdown::new());
    watch_store(&store, &alarm);
    let search = search::start(config.data.join(SEARCH_FOLDER), store.clone()).map_err(StartError::Search)?;
    let kept_search = search.clone();
    let parts = Parts { identity, transport, store: kept, search, events, alarm: alarm.clone(), shutdown };
    let node = parts.start(config, session).await?;
    Ok(Peer { node, events: queue, alarm, store, search: kept_search, stop_listening })
}

/// What private conversations have to do with.
struct Behind {
    visitors: Visitors,
    presence: PresenceHandle,
    files: FilesHandle,
}

/// What the parts of a peer have in common.
struct Parts {
    identity: Identity,
    transport: Transport,
    store: PeerStore,
    search: Search,
    events: Events,
    alarm: Alarm,
    shutdown: Shutdown,
}

impl Parts {
    async fn start(self, config: Config, session: Session) -> Result<NodeHandle, StartError> {
        let Config {
            tracker,
            data,
            host_channels,
            listen,
            limits,
            name_was_given,
            expire,
            catch_up,
            direct,
            downloads,
            ..
        } = config;
        let (tracker, from_tracker) = tracker_link::start(TrackerLinkConfig {
            tracker,
            trust: TrustFile::new(data.join("known_trackers")),
            transport: self.transport.clone(),
            store: self.store.clone(),
            session,
            name_was_given,
            events: self.events.clone(),
            alarm: self.alarm.clone(),
        });
        let hosts = Hosts::new(limits);
        let ((talks, visitors), (fetches, fetchers)) = (direct::door(), direct::door());
        let doors = Doors { talks, fetches };
        let hosting = self.hosting(listen, tracker.clone(), hosts.clone(), doors).await;
        let presence = presence::start(PresenceConfig {
            tracker: tracker.clone(),
            store: self.store.clone(),
            events: self.events.clone(),
            alarm: self.alarm.clone(),
        });
        let files = files::start(FilesConfig {
            data: data.clone(),
            downloads,
            store: self.store.store().clone(),
            transport: self.transport.clone(),
            gate: hosts.gate().clone(),
            session: tracker.session(),
            visitors: fetchers,
            events: self.events.clone(),
            alarm: self.alarm.clone(),
        })?;
        let behind = Behind { visitors, presence: presence.clone(), files: files.clone() };
        let direct = self.direct(direct, tracker.clone(), hosting.clone(), behind)?;
        files.attach(direct.clone()).await;
        let shutdown = self.shutdown.clone();
        let historian = Historian::new(self.store.store().clone(), self.identity.clone());
        let node = node::start(NodeConfig {
            data,
            historian,
            search: self.search,
            store: self.store,
            session: tracker.session(),
            way: Way { transport: self.transport, tracker: tracker.clone(), hosts, shutdown: self.shutdown },
            tracker,
            from_tracker,
            hosting,
            direct,
            files,
            presence,
            events: self.events.clone(),
            catch_up,
            alarm: self.alarm,
            expire,
        });
        for channel in host_channels {
            let hosted = node.clone().host_until_done(channel, self.events.clone());
            let shutdown = shutdown.clone();
            actix::spawn(async move {
                tokio::select! {
                    () = hosted => {}
                    () = shutdown.requested() => {}
                }
            });
        }
        Ok(node)
    }

    fn direct(
        &self,
        settings: DirectSettings,
        tracker: tracker_link::TrackerHandle,
        hosting: HostingHandle,
        Behind { visitors, presence, files }: Behind,
    ) -> Result<DirectHandle, StartError> {
        let (events, alarm) = (self.events.clone(), self.alarm.clone());
        let (store, transport) = (self.store.store().clone(), self.transport.clone());
        Ok(direct::start(DirectConfig {
            settings,
            store,
            transport,
            tracker,
            hosting,
            presence,
            files,
            search: self.search.clone(),
            visitors,
            events,
            alarm,
        })?)
    }

    async fn hosting(
        &self,
        listen: hosting::ListenConfig,
        tracker: tracker_link::TrackerHandle,
        hosts: Hosts,
        doors: Doors,
    ) -> HostingHandle {
        hosting::start(HostingConfig {
            listen,
            identity: self.identity.clone(),
            transport: self.transport.clone(),
            store: self.store.clone(),
            tracker,
            search: self.search.clone(),
            hosts,
            doors,
            events: self.events.clone(),
            shutdown: self.shutdown.clone(),
            alarm: self.alarm.clone(),
        })
        .await
    }
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
    /// Ends the peer in order: clients and hosts first, the store last. Whoever shows events has shown what is to
    /// count as shown.
    ///
    /// # Errors
    /// When it took too long; the store is closed all the same, unless it is that which hangs.
    pub async fn shut_down(self) -> Result<(), RunError> {
        // Nobody shows what is told from here on; whoever tells must not wait for it.
        drop(self.events);
        self.stop_listening.request();
        let ended = timeout(SHUTDOWN_LIMIT, self.node.shut_down()).await;
        let closed = timeout(CLOSE_LIMIT, join(self.search.close(), self.store.close())).await;
        if ended.is_ok() && closed.is_ok() { Ok(()) } else { Err(RunError::Slow) }
    }
}

/// Runs a peer with the user interface that fits: the line editor on a terminal, JSON lines elsewhere, and the page if
/// it is wanted. The page is all there is when it is wanted and there is neither a terminal nor a wish for JSON.
///
/// # Errors
/// When the peer does not start, a part of it dies, or it does not end in time.
pub async fn run(config: Config, json: bool, shutdown: Shutdown) -> Result<Exit, RunError> {
    let (data_dir, drain, web) = (config.data.clone(), config.drain, config.web);
    let mut peer = start(config).await?;
    let alarm = peer.alarm.clone();
    let (quit, quitting) = Shutdown::new();
    let shutdown = any(shutdown, quitting, peer.alarm.clone());
    let at_end = (!json && std::io::stdin().is_terminal()).then(|| PutBack(Terminal::remember()));
    let terminal = at_end.as_ref().map(|put_back| put_back.0.clone());
    let node = peer.node.clone();
    let events = std::mem::replace(&mut peer.events, Events::new().1);
    let interfaces = Interfaces { node, data_dir, drain, shutdown, terminal };
    let exit = match web {
        None => {
            let exit = interfaces.run(events).await;
            // Not before: a signal that nobody can give any more counts as given.
            drop(quit);
            Ok(exit)
        }
        Some(address) => interfaces.run_with_page(json, events, address, quit).await,
    };
    let ended = peer.shut_down().await;
    drop(at_end);
    // What had died may be why the end was slow.
    match alarm.reason() {
        Some(reason) => Err(RunError::Died(reason)),
        None => ended.and(exit),
    }
}

/// What all interfaces of a peer need.
struct Interfaces {
    node: NodeHandle,
    data_dir: PathBuf,
    drain: Duration,
    shutdown: Shutdown,
    /// The one on standard input, where commands are typed.
    terminal: Option<Terminal>,
}

impl Interfaces {
    async fn run(self, events: EventQueue) -> Exit {
        let Self { node, data_dir, drain, shutdown, terminal } = self;
        match terminal {
            Some(terminal) => {
                let config = ui::repl::ReplConfig { data_dir, drain, shutdown, terminal };
                ui::repl::run_repl(node, events, config).await
            }
            None => {
                let config = ui::json::JsonConfig { drain, shutdown };
                ui::json::run_json(node, events, ui::json::stdin(), tokio::io::stdout(), config).await
            }
        }
    }

    async fn run_with_page(
        self,
        json: bool,
        events: EventQueue,
        address: SocketAddr,
        quit: ShutdownTrigger,
    ) -> Result<Exit, RunError> {
        let is_alone = !json && self.terminal.is_none();
        let config = ui::web::WebConfig { address, data_dir: self.data_dir.clone(), quit };
        let started = ui::web::start(self.node.clone(), events, config, !is_alone);
        let (mut web, beside) = started.map_err(|source| RunError::Page { address, source })?;
        let exit = match beside {
            Some(events) => self.run(events).await,
            None => {
                // Whoever does not read it may know where the page is by other means.
                let _ = writeln!(std::io::stdout(), "page ready address={}", web.link());
                web.serve_alone(&self.node, self.drain, &self.shutdown).await
            }
        };
        web.stop().await;
        Ok(exit)
    }
}

/// Given by whoever wants the end, on the page too, and by the alarm: what has come in is shown even then.
fn any(shutdown: Shutdown, quitting: Shutdown, alarm: Alarm) -> Shutdown {
    let (trigger, any) = Shutdown::new();
    actix::spawn(async move {
        tokio::select! {
            () = shutdown.requested() => {}
            () = quitting.requested() => {}
            _ = alarm.raised() => {}
        }
        trigger.request();
    });
    any
}
