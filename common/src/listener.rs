//! Takes in those who connect, so many at once and no more, and has each served.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::Instrument;

use crate::admission::{Admission, Full, Limits, Stage};
use crate::link::Link;
use crate::proto::limits::CONNECT_AGAIN_AFTER;
use crate::proto::status::{Code, Refusal};
use crate::shutdown::Shutdown;
use crate::transport::{Connection, Incoming, Listener, Origin};

/// Has everybody served who connects, until the signal to stop; those who are still being served then are returned.
///
/// Who comes while all handshakes are under way waits in the queue of the operating system. Who comes from an origin
/// that has too many handshakes under way is hung up on. Who has shown its key and finds no place is told
/// `too_many_connections`.
pub async fn listen<F>(
    mut listener: Listener,
    limits: Limits,
    shutdown: Shutdown,
    serve: impl Fn(Connection) -> F + Send + Sync + 'static,
) -> Connections
where
    F: Future<Output = ()> + Send + 'static,
{
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    let (door, serve) = (Door(Arc::new(Mutex::new(Admission::new(limits)))), Arc::new(serve));
    let mut connections = Connections(JoinSet::new());
    loop {
        let next = async {
            // Before the connection is taken: who comes meanwhile waits outside.
            let permit = handshakes.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = shutdown.requested() => return connections,
            Some(ended) = connections.0.join_next() => note(ended),
            (permit, incoming) = next => {
                // The semaphore is never closed.
                let Ok(permit) = permit else { return connections };
                let remote = incoming.remote();
                match door.enter(incoming.origin(), Stage::Handshake) {
                    Ok(place) => {
                        let arrival = Arrival { incoming, door: door.clone(), handshake: (permit, place) };
                        let task = arrival.receive(Arc::clone(&serve), shutdown.clone());
                        connections.0.spawn(task.instrument(tracing::info_span!("conn", addr = %remote)));
                    }
                    Err(full) => tracing::debug!(%remote, ?full, "too many handshakes"),
                }
            }
        }
    }
}

/// Those who are being served. Dropping it cuts them off.
#[derive(Debug)]
pub struct Connections(JoinSet<()>);

impl Connections {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until nobody is served any more. Who is not done after `limit` is cut off.
    pub async fn finish(mut self, limit: Duration) {
        let all_ended = async {
            while let Some(ended) = self.0.join_next().await {
                note(ended);
            }
        };
        if timeout(limit, all_ended).await.is_err() {
            tracing::warn!(connections = self.0.len(), "connections did not end in time and are cut off");
        }
        self.0.shutdown().await;
    }
}

/// Logs a panic; the others go on.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(err = ?error.to_string(), "the task of a connection panicked");
    }
}

/// Who is there, between those who come.
#[derive(Clone)]
struct Door(Arc<Mutex<Admission>>);

impl Door {
    // The counts are whole after every call, so a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, Admission> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, origin: Origin, stage: Stage) -> Result<Place, Full> {
        self.lock().enter(origin, stage)?;
        Ok(Place { door: self.clone(), origin, stage })
    }
}

/// A place, given up when dropped.
struct Place {
    door: Door,
    origin: Origin,
    stage: Stage,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.lock().leave(self.origin, self.stage);
    }
}

struct Arrival {
    incoming: Incoming,
    door: Door,
    handshake: (OwnedSemaphorePermit, Place),
}

impl Arrival {
    async fn receive<S, F>(self, serve: Arc<S>, shutdown: Shutdown)
    where
        S: Fn(Connection) -> F,
        F: Future<Output = ()>,
    {
        let Self { incoming, door, handshake } = self;
        let handshaken = tokio::select! {
            // The limit of time is in the transport.
            handshaken = incoming.handshake() => handshaken,
            () = shutdown.requested() => return,
        };
        let connection = match handshaken {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(err = ?error.to_string(), "no handshake"),
        };
        match door.enter(connection.origin, Stage::Served) {
            Ok(_place) => {
                drop(handshake);
                serve(connection).await;
            }
            Err(full) => {
                tracing::warn!(?full, "too many connections");
                // Still counted among the handshakes, so that those who are told are not too many either.
                turn_away(connection).await;
            }
        }
    }
}

async fn turn_away(connection: Connection) {
    let (link, inbox) = Link::open(connection);
    link.close_because(Refusal::from(Code::TooManyConnections).after(CONNECT_AGAIN_AFTER));
    drop(inbox);
    link.finished().await;
}

#[cfg(test)]
mod tests;
