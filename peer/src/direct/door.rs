//! The way in: those who connect to this peer for a conversation, or to fetch a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::link::{Inbox, Link};
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

/// How many of those who connect may wait to be taken in.
const WAITING: usize = 16;

/// Where the listener leads those who come for a conversation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door {
    inside: mpsc::Sender<Visitor>,
    is_shut: Arc<AtomicBool>,
}

/// Somebody who has said HELLO.
pub struct Visitor {
    /// Its connection.
    pub link: Link,
    /// What comes over it.
    pub inbox: Inbox,
}

/// Those who come.
pub struct Visitors {
    visitors: mpsc::Receiver<Visitor>,
    is_shut: Arc<AtomicBool>,
}

/// A door, and what is behind it.
pub fn door() -> (Door, Visitors) {
    let (outside, inside) = mpsc::channel(WAITING);
    let is_shut = Arc::<AtomicBool>::default();
    (Door { inside: outside, is_shut: is_shut.clone() }, Visitors { visitors: inside, is_shut })
}

impl Door {
    /// Whether anybody is let in at all.
    pub fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Relaxed)
    }

    /// Leads a connection in that has said HELLO. It lasts until the link ends.
    pub async fn enter(&self, link: Link, inbox: Inbox) {
        // When nobody is behind the door any more, the connection ends with its inbox.
        let _ = self.inside.send(Visitor { link, inbox }).await;
    }
}

impl Visitors {
    /// Shuts the door, and opens it: to be kept by whoever is behind it.
    pub(super) fn latch(&self) -> Arc<AtomicBool> {
        self.is_shut.clone()
    }

    pub(crate) fn into_stream(self) -> impl Stream<Item = Visitor> {
        stream::unfold(self.visitors, |mut inside| async move { Some((inside.recv().await?, inside)) })
    }
}
