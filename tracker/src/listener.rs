//! Takes in those who connect: so many at once and no more.

use std::sync::Arc;
use std::time::Duration;

use common::link::Link;
use common::proto::status::Code;
use common::shutdown::Shutdown;
use common::transport::{Incoming, Listener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use crate::config::Limits;
use crate::session;
use crate::tracker::TrackerHandle;

/// Serves those who connect until `shutdown`, and returns those who are still there by then.
pub async fn listen(mut listener: Listener, tracker: TrackerHandle, limits: Limits, shutdown: Shutdown) -> JoinSet<()> {
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    let connections = Arc::new(Semaphore::new(limits.connections));
    let mut sessions = JoinSet::new();
    loop {
        let next = async {
            // Before the connection is taken: who comes meanwhile waits in the queue of the operating system.
            let permit = handshakes.clone().acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = shutdown.requested() => return sessions,
            Some(ended) = sessions.join_next() => note(ended),
            (incoming, permit) = next => {
                // The semaphore is never closed.
                let Ok(permit) = permit else { return sessions };
                let connection = Arrival { incoming, connections: connections.clone(), hello_limit: limits.hello };
                sessions.spawn(connection.serve(permit, tracker.clone()));
            }
        }
    }
}

/// Logs a session that has panicked; the others go on.
pub fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(err = ?error.to_string(), "a session panicked");
    }
}

struct Arrival {
    incoming: Incoming,
    connections: Arc<Semaphore>,
    hello_limit: Duration,
}

impl Arrival {
    async fn serve(self, handshake: OwnedSemaphorePermit, tracker: TrackerHandle) {
        let remote = self.incoming.remote();
        let connection = match self.incoming.handshake().await {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(%remote, err = ?error.to_string(), "no connection"),
        };
        drop(handshake);
        let Ok(_place) = self.connections.try_acquire() else {
            tracing::warn!(%remote, "too many connections");
            let (link, _inbox) = Link::open(connection);
            return link.close_because(Code::TooManyConnections.into());
        };
        session::serve(connection, tracker, self.hello_limit).await;
    }
}
