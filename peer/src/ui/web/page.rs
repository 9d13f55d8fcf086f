//! What all of the page's requests and sockets share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::clock::Timestamp;
use common::name::{ChannelName, UserName};
use common::proto::status::{Code, Refusal};
use common::shutdown::{Shutdown, ShutdownTrigger};
use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::kept::{Kept, KeptBrowser, KeptFile};
use super::model::Model;
use super::safety::{Keys, csrf_token};
use super::uploads::Uploads;
use crate::api::{
    ChannelStatus, Command, ContactRow, Conversation, DirectCommand, HistoryOf, Outcome, Reply, StatusReport,
};
use crate::ui::Node;

/// How many sockets may be open at once.
const MAX_SOCKETS: usize = 64;
/// How many messages a view begins with, and gets at once when its user scrolls up.
pub(super) const PAGE_ROWS: u32 = 60;

type Perform = dyn Fn(Command) -> BoxFuture<'static, Outcome> + Send + Sync;

/// The page. Cheap to clone.
#[derive(Clone)]
pub(super) struct Page(Arc<Inner>);

struct Inner {
    perform: Box<Perform>,
    model: Mutex<Model>,
    changed: watch::Sender<()>,
    keys: Mutex<Keys>,
    file: KeptFile,
    uploads: Uploads,
    address: SocketAddr,
    zone: TimeZone,
    sockets: Arc<AtomicUsize>,
    quit: ShutdownTrigger,
    ending: Shutdown,
}

/// What a page is made of.
pub(super) struct PageParts<N> {
    pub node: N,
    pub file: KeptFile,
    pub kept: Kept,
    /// Where copies are of what browsers hand over.
    pub uploads: Uploads,
    /// Where it is served.
    pub address: SocketAddr,
    /// Given when its user wants the peer to stop.
    pub quit: ShutdownTrigger,
    /// Given when the page is over.
    pub ending: Shutdown,
}

impl Page {
    pub fn new<N: Node + Sync>(parts: PageParts<N>) -> Self {
        let PageParts { node, file, kept, uploads, address, quit, ending } = parts;
        let browsers = kept.browsers.iter().filter_map(KeptBrowser::to_browser).collect();
        Self(Arc::new(Inner {
            perform: Box::new(move |command| {
                let node = node.clone();
                Box::pin(async move { node.perform(command).await })
            }),
            model: Mutex::new(Model::new(kept.channels, kept.privates)),
            changed: watch::Sender::new(()),
            keys: Mutex::new(Keys::new(browsers)),
            file,
            uploads,
            address,
            zone: TimeZone::system(),
            sockets: Arc::default(),
            quit,
            ending,
        }))
    }

    /// Has the node do something. What it does is done even when the browser that asked goes away.
    pub async fn perform(&self, command: Command) -> Outcome {
        let task = tokio::spawn((self.0.perform)(command));
        task.await.unwrap_or_else(|_| Err(Code::Internal.into()))
    }

    /// What is connected and what is not.
    pub async fn status(&self) -> Result<StatusReport, Refusal> {
        match self.perform(Command::Status).await? {
            Reply::Status(status) => Ok(*status),
            _ => Err(Code::Internal.into()),
        }
    }

    /// The channels that the user is in or hosts.
    pub async fn channels(&self) -> Result<Vec<ChannelStatus>, Refusal> {
        match self.perform(Command::Connected).await? {
            Reply::Connected(connected) => Ok(connected.channels),
            _ => Err(Code::Internal.into()),
        }
    }

    /// A page of a channel's log.
    pub async fn history(
        &self,
        channel: &ChannelName,
        count: u32,
        before: Option<u64>,
    ) -> Result<HistoryOf, Refusal> {
        let command = Command::History { channel: channel.clone(), count, before };
        match self.perform(command).await? {
            Reply::History(history) => Ok(history),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Everybody whom the user knows, or who asks.
    pub async fn contacts(&self) -> Result<Vec<ContactRow>, Refusal> {
        match self.perform(Command::Direct(DirectCommand::Contacts)).await? {
            Reply::Contacts(contacts) => Ok(contacts.contacts),
            _ => Err(Code::Internal.into()),
        }
    }

    /// A page of a private conversation.
    pub async fn conversation(
        &self,
        user: &UserName,
        count: u32,
        before: Option<u64>,
    ) -> Result<Conversation, Refusal> {
        let command = DirectCommand::History { user: user.clone(), count, before };
        match self.perform(Command::Direct(command)).await? {
            Reply::Conversation(conversation) => Ok(conversation),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Looks at the model.
    pub fn look<T>(&self, work: impl FnOnce(&Model) -> T) -> T {
        work(&self.model())
    }

    /// Changes the model, and wakes the sockets.
    pub fn change<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        let done = work(&mut self.model());
        self.0.changed.send_replace(());
        done
    }

    // The model is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn model(&self) -> MutexGuard<'_, Model> {
        self.0.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says when the model has changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// The keys that open the page.
    pub fn with_keys<T>(&self, work: impl FnOnce(&mut Keys) -> T) -> T {
        work(&mut self.0.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A link that opens the page once.
    pub fn new_link(&self) -> Result<String, getrandom::Error> {
        let token = self.with_keys(Keys::new_link)?;
        Ok(format!("http://{}/#{token}", self.0.address))
    }

    /// Whether this cookie opens the page; gives what a change has to bring along.
    pub fn visitor(&self, cookie: &str) -> Option<String> {
        self.with_keys(|keys| keys.knows(cookie, Timestamp::now())).then(|| csrf_token(cookie))
    }

    /// Writes down what the next start is to know, if there is anything new.
    pub async fn save(&self, always: bool) {
        let (channels, privates) = {
            let mut model = self.model();
            let is_dirty = std::mem::take(&mut model.is_dirty);
            if !is_dirty && !always {
                return;
            }
            (model.kept(), model.privates.kept())
        };
        let browsers = self.with_keys(|keys| keys.browsers().iter().map(KeptBrowser::from).collect());
        let file = self.0.file.clone();
        // Only for comfort: nothing is lost when it fails.
        let _ = tokio::task::spawn_blocking(move || file.save(&Kept { channels, privates, browsers })).await;
    }

    /// The copies of what browsers have handed over.
    pub fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Where its user is.
    pub fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    /// Ends the peer.
    pub fn quit(&self) {
        self.0.quit.request();
    }

    /// Given when the page is over.
    pub fn ending(&self) -> Shutdown {
        self.0.ending.clone()
    }

    /// A place for one more socket, if there is one.
    pub fn seat(&self) -> Option<Seat> {
        let sockets = self.0.sockets.clone();
        let taken = sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < MAX_SOCKETS).then_some(open + 1)
        });
        taken.is_ok().then(|| Seat(sockets))
    }
}

/// The place of an open socket.
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
