//! Who this peer is at its tracker, as all its parts see it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::id::IdentityKind;
use common::identity::PeerKey;
use common::name::UserName;
use common::pass::{Pass, SignedPass};
use common::proto::session::Directory;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::api::{Event, Identity, SessionState};

/// Who this peer is. Kept on disk, so that a peer can go on while its tracker is away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The name in use, or wanted.
    pub username: UserName,
    /// This peer's key.
    pub key: PeerKey,
    /// What the tracker signed; kept when the tracker goes away.
    pub held: Option<HeldPass>,
    /// What passes have to be of; known since the first contact.
    pub directory: Option<Directory>,
    /// Whether the tracker has let this peer in on the present connection.
    #[serde(skip)]
    pub entered: bool,
}

/// A pass of this peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPass {
    /// As it is shown to hosts.
    pub signed: SignedPass,
    /// What it says.
    pub claims: Pass,
}

impl Session {
    /// A session nobody has let in yet.
    pub fn new(username: UserName, key: PeerKey) -> Self {
        Self { username, key, held: None, directory: None, entered: false }
    }

    /// Whether the tracker has let this peer in, and as what.
    pub fn state(&self) -> SessionState {
        match &self.held {
            Some(held) if self.entered => match held.claims.kind {
                IdentityKind::Account => SessionState::Account,
                IdentityKind::Guest => SessionState::Guest,
            },
            _ => SessionState::None,
        }
    }

    /// The same, as it is shown.
    pub fn identity(&self) -> Identity {
        Identity {
            state: self.state(),
            username: self.username.clone(),
            subject: self.held.as_ref().map(|held| held.claims.subject),
            key: self.key,
        }
    }
}

/// Everybody's view of the session; the tracker's link alone changes it.
pub type SessionView = watch::Receiver<Session>;

/// How many events may wait for the user interface before the network is held back.
const WAITING_EVENTS: usize = 1024;

/// Where events for the user interface go, in the order in which they are told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    waiting: Arc<Mutex<Waiting>>,
}

/// What is told, before it is in the queue.
#[derive(Debug, Default)]
struct Waiting {
    /// What was told while the queue was full. Whoever tells waits until it is empty, which bounds it.
    overflow: VecDeque<Event>,
    /// How many events were told in all.
    told: u64,
    /// How many of them the queue has taken.
    queued: u64,
}

impl Events {
    /// A bounded queue of events, and the end that the user interface takes them from.
    pub fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        (Self { sender, waiting: Arc::default() }, receiver)
    }

    /// Tells the user interface. What is told first is shown first, whether or not the future is polled in that order;
    /// the future ends when there was room for all. An interface that is gone hears nothing.
    pub fn tell(&self, event: Event) -> impl Future<Output = ()> + Send + use<> {
        self.put(event);
        let events = self.clone();
        async move { events.flush().await }
    }

    /// How many events were told so far.
    pub fn told(&self) -> u64 {
        self.waiting().told
    }

    /// How many of the events that were told the user interface has taken. One that ends closes its queue and still
    /// takes what is in it.
    pub fn taken(&self) -> u64 {
        let waiting = self.waiting();
        if self.sender.is_closed() {
            return waiting.queued;
        }
        let in_queue = self.sender.max_capacity() - self.sender.capacity();
        waiting.queued.saturating_sub(in_queue as u64)
    }

    fn put(&self, event: Event) {
        let mut waiting = self.waiting();
        waiting.told += 1;
        if !waiting.overflow.is_empty() {
            return waiting.overflow.push_back(event);
        }
        match self.sender.try_send(event) {
            Ok(()) => waiting.queued += 1,
            Err(TrySendError::Full(event)) => waiting.overflow.push_back(event),
            Err(TrySendError::Closed(_)) => {}
        }
    }

    async fn flush(&self) {
        while !self.waiting().overflow.is_empty() {
            let Ok(room) = self.sender.reserve().await else { return self.waiting().overflow.clear() };
            let mut waiting = self.waiting();
            if let Some(event) = waiting.overflow.pop_front() {
                room.send(event);
                waiting.queued += 1;
            }
        }
    }

    // The state is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LinkState;

    fn event(number: usize) -> Event {
        Event::Connection { to: number.to_string(), state: LinkState::Up, reason: None }
    }

    #[tokio::test]
    async fn events_keep_their_order_when_nobody_takes_them_for_a_while() {
        let (events, mut receiver) = Events::new();
        let told: Vec<_> = (0..WAITING_EVENTS + 50).map(|number| events.tell(event(number))).collect();
        let tellers = tokio::spawn(async move {
            // The other way round: the order is that of the calls.
            for teller in told.into_iter().rev() {
                teller.await;
            }
        });
        for expected in 0..WAITING_EVENTS + 50 {
            let Some(Event::Connection { to, .. }) = receiver.recv().await else { panic!("no event") };
            assert_eq!(to, expected.to_string());
        }
        tellers.await.unwrap();
    }
}
