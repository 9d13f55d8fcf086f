//! The way in: those who connect to this peer for a conversation.

use common::link::{Inbox, Link};
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

/// How many of those who connect may wait to be taken in.
const WAITING: usize = 16;

/// Where the listener leads those who come for a conversation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Visitor>);

/// Somebody who has said HELLO.
pub(super) struct Visitor {
    pub link: Link,
    pub inbox: Inbox,
}

/// Those who come.
pub struct Visitors(mpsc::Receiver<Visitor>);

/// A door, and what is behind it.
pub fn door() -> (Door, Visitors) {
    let (outside, inside) = mpsc::channel(WAITING);
    (Door(outside), Visitors(inside))
}

impl Door {
    /// Leads a connection in that has said HELLO. It lasts until the link ends.
    pub async fn enter(&self, link: Link, inbox: Inbox) {
        // When nobody is behind the door any more, the connection ends with its inbox.
        let _ = self.0.send(Visitor { link, inbox }).await;
    }
}

impl Visitors {
    pub(super) fn into_stream(self) -> impl Stream<Item = Visitor> {
        stream::unfold(self.0, |mut inside| async move { Some((inside.recv().await?, inside)) })
    }
}
