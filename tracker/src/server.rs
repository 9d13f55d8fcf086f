//! A tracker from its start to its end.

use std::net::SocketAddr;
use std::path::Path;

use common::files::create_private_folder;
use common::identity::{Identity, PeerKey};
use common::listener::{Connections, listen};
use common::shutdown::Shutdown;
use common::storage::{Ended, Store};
use common::transport::{Listener, Transport};
use tokio::sync::oneshot;

use crate::admin::socket::Socket;
use crate::config::{Config, Limits};
use crate::error::{RunError, StartError};
use crate::limits::STOP_LIMIT;
use crate::quotas::Quotas;
use crate::session;
use crate::signer::Signer;
use crate::store::directory::Directory;
use crate::tracker::{Parts, TrackerHandle};

/// The file with the key that peers know the tracker by.
const IDENTITY_FILE: &str = "identity";
/// The file with the key that passes are signed with.
const SIGNING_FILE: &str = "signing";

/// What a running tracker tells whoever started it.
#[derive(Clone)]
pub struct Ready {
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// The key that peers pin.
    pub key: PeerKey,
    /// The tracker itself, for tests that look inside.
    pub tracker: TrackerHandle,
}

/// A tracker that is open and serves nobody yet.
pub struct Server {
    store: Store,
    transport: Transport,
    listener: Listener,
    tracker: TrackerHandle,
    actor_ended: oneshot::Receiver<()>,
    operators: Option<Socket>,
    limits: Limits,
}

impl Server {
    /// Opens data folder and port. Has to be called within an actix system.
    ///
    /// # Errors
    /// What hinders the start, and what to do about it.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let (store, identity, signing) = open_data(&config).await?;
        let directory = Directory::new(store.clone());
        let opened = Self::open_rest(&config, directory, identity, signing).await;
        let (transport, listener, tracker, actor_ended) = match opened {
            Ok(parts) => parts,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        let operators = bind_operators(&config.data);
        Ok(Self { store, transport, listener, tracker, actor_ended, operators, limits: config.limits })
    }

    async fn open_rest(
        config: &Config,
        directory: Directory,
        identity: Identity,
        signing: Identity,
    ) -> Result<(Transport, Listener, TrackerHandle, oneshot::Receiver<()>), StartError> {
        let transport = Transport::new(identity)?;
        let listener = transport.listen(config.listen).await?;
        let passwords = (config.passwords)()?;
        passwords.prepare().await?;
        let signer = Signer::open(directory.clone(), signing).await?;
        let quotas = Quotas::new(config.limits.rates, config.limits.admission.clone());
        let (may_broadcast, clock) = (config.may_broadcast, config.clock.clone());
        let parts = Parts { directory, passwords, signer, quotas, may_broadcast, clock };
        let (tracker, ended) = TrackerHandle::start(parts).await?;
        Ok((transport, listener, tracker, ended))
    }

    /// What is to be told once [`run`](Self::run) is called.
    pub fn ready(&self) -> Ready {
        Ready {
            address: self.listener.local_addr(),
            key: self.transport.key(),
            tracker: self.tracker.clone(),
        }
    }

    /// Serves until `shutdown`, then ends in order: nobody is taken in any more, all are told, what is under way is
    /// finished, and the store is closed last.
    ///
    /// # Errors
    /// When something that all depends on has died.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { store, listener, tracker, actor_ended, operators, limits, .. } = self;
        let sweeping = tokio::spawn(tracker.clone().keep_sweeping());
        let keeping = tokio::spawn(tracker.clone().keep_heads_now_and_then());
        let store_ended = store.ended();
        let serve = {
            let (tracker, shutdown) = (tracker.clone(), shutdown.clone());
            move |connection| session::serve(connection, tracker.clone(), limits.hello, shutdown.clone())
        };
        let serving = listen(listener, limits.admission, shutdown, serve);
        let outcome = tokio::select! {
            sessions = serving => {
                tracing::info!(sessions = sessions.len(), "stopping");
                end_sessions(sessions, &tracker).await;
                tracker.keep_all_heads().await;
                Ok(())
            }
            _ = actor_ended => Err(RunError::StateLost),
            _ = store_ended => Err(RunError::StoreDied),
            () = serve_operators(operators, &tracker) => Ok(()),
        };
        sweeping.abort();
        keeping.abort();
        if store.close().await == Ended::Died {
            return outcome.and(Err(RunError::StoreDied));
        }
        tracing::info!("stopped");
        outcome
    }
}

async fn open_data(config: &Config) -> Result<(Store, Identity, Identity), StartError> {
    let (data, open_store) = (config.data.clone(), config.open_store.clone());
    let work = move || {
        let folder_error = |source| StartError::Folder { path: data.clone(), source };
        create_private_folder(&data).map_err(folder_error)?;
        // First, since it keeps others out of the folder.
        let store = open_store(&data)?;
        let key = |name: &str| Identity::load_or_create(&Path::join(&data, name));
        Ok((store, key(IDENTITY_FILE)?, key(SIGNING_FILE)?))
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| StartError::Interrupted)?
}

/// A tracker that operators cannot ask is better than none.
fn bind_operators(data: &Path) -> Option<Socket> {
    let bound = Socket::bind(data);
    let warn = |error: &std::io::Error| {
        tracing::warn!(
            err = %error,
            "`tracker admin` does not work: its socket cannot be made in the data folder, whose path may be too long"
        );
    };
    bound.inspect_err(warn).ok()
}

/// Never ends.
async fn serve_operators(operators: Option<Socket>, tracker: &TrackerHandle) {
    if let Some(socket) = &operators {
        socket.serve(tracker).await;
    }
    std::future::pending().await
}

async fn end_sessions(sessions: Connections, tracker: &TrackerHandle) {
    if tracker.stop().await.is_err() {
        tracing::error!("the tracker's actor has died");
    }
    sessions.finish(STOP_LIMIT).await;
}
