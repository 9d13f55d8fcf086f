//! What the rest of the peer sees of a client.

use actix::Addr;
use common::id::{ChannelId, MessageId, Subject};
use common::link::{Link, RequestError};
use common::name::ChannelName;
use common::proto::Command;
use common::proto::channel::Members;
use common::proto::directory::ChannelRecord;
use common::proto::file::ChannelOffer;
use common::proto::status::{Code, Refusal};
use tokio::sync::watch;

use super::archive::{Asking, GetArchive, GetSources, KeepPage, Sources, View};
use super::messages::{
    ChangeItem, Finish, GetOutbox, GetStatus, Join, Leave, Located, Matching, Offer, Retry, Send, Shutdown,
};
use super::moving::MovedHere;
use super::{Client, Status};
use crate::api::{ChannelStatus, JoinedChannel, OutboxChange, OutboxItem, Queued, Retried};

/// The handle of a client. Cheap to clone.
#[derive(Clone)]
pub struct ClientHandle {
    addr: Addr<Client>,
    id: ChannelId,
    name: ChannelName,
    state: watch::Receiver<Status>,
    asking: Asking,
}

impl ClientHandle {
    pub(super) fn new(
        addr: Addr<Client>,
        id: ChannelId,
        name: ChannelName,
        state: watch::Receiver<Status>,
        asking: Asking,
    ) -> Self {
        Self { addr, id, name, state, asking }
    }

    /// The channel.
    pub fn id(&self) -> ChannelId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Enters the channel and stays in it: a lost connection is tried again by itself.
    ///
    /// # Errors
    /// Why the first attempt failed; the client is then as it was before.
    pub async fn join(&self, fresh: Option<ChannelRecord>) -> Result<JoinedChannel, Refusal> {
        let joining = self.addr.send(Join(fresh)).await.map_err(|_| Refusal::from(Code::GoingAway))?;
        joining.await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Leaves the channel.
    ///
    /// # Errors
    /// When that could not be kept.
    pub async fn leave(&self) -> Result<(), Refusal> {
        self.addr.send(Leave).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Writes a message; it is in the outbox, on disk, when this returns.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn send(&self, text: String) -> Result<Queued, Refusal> {
        let queued = self.addr.send(Send(text)).await.map_err(|_| Refusal::from(Code::GoingAway))?;
        queued.await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Offers something to all who are in the channel; it is in the outbox, on disk, when this returns.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn offer(&self, offer: ChannelOffer) -> Result<Queued, Refusal> {
        let queued = self.addr.send(Offer(offer)).await.map_err(|_| Refusal::from(Code::GoingAway))?;
        queued.await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Whether somebody is in the channel now, as its host says.
    ///
    /// # Errors
    /// Why the host cannot be asked.
    pub async fn has_member(&self, subject: Subject) -> Result<bool, Refusal> {
        let mut after = None;
        loop {
            let page = self.request(&Members { granted: false, after }).await?;
            if page.members.iter().any(|member| member.subject == subject) {
                return Ok(true);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(false),
            }
        }
    }

    /// What waits to be sent, in order, at most `limit`; and how much there is in all.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn outbox(&self, limit: usize) -> Result<(Vec<OutboxItem>, usize), Refusal> {
        self.addr.send(GetOutbox { limit }).await.map_err(|_| Code::GoingAway.into())
    }

    /// The messages in the outbox whose id ends so.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn matching(&self, ending: String) -> Result<Vec<MessageId>, Refusal> {
        self.addr.send(Matching(ending)).await.map_err(|_| Code::GoingAway.into())
    }

    /// Has refused messages sent again, one or all, and ends any waiting for a better moment.
    ///
    /// # Errors
    /// `no_such_message`.
    pub async fn retry(&self, which: Option<MessageId>) -> Result<Retried, Refusal> {
        self.addr.send(Retry(which)).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Cancels a message, or has another text sent in its place: now, or once it is known that it was not stored.
    ///
    /// # Errors
    /// `no_such_message`, what is wrong with the text, or when it is not on disk.
    pub async fn change(&self, id: MessageId, text: Option<String>) -> Result<OutboxChange, Refusal> {
        self.addr.send(ChangeItem { id, text }).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Asks the channel's host.
    ///
    /// # Errors
    /// Its refusal, `not_joined`, or why the host cannot be asked.
    pub async fn request<C: Command>(&self, command: &C) -> Result<C::Reply, Refusal> {
        let link = self.link()?;
        let _asked = self.asking.begin();
        link.request(command).await.map_err(RequestError::into_refusal)
    }

    /// What was received of the channel, as it is now.
    pub(super) async fn archive(&self) -> Result<View, Refusal> {
        self.addr.send(GetArchive).await.map_err(|_| Code::GoingAway.into())
    }

    /// What was received of the channel, on disk.
    pub(super) async fn sources(&self) -> Result<Sources, Refusal> {
        self.addr.send(GetSources).await.map_err(|_| Code::GoingAway.into())
    }

    pub(super) async fn keep_page(&self, page: KeepPage) {
        // Whoever cannot keep it asks the host again.
        let _ = self.addr.send(page).await;
    }

    fn link(&self) -> Result<Link, Refusal> {
        let state = self.state.borrow();
        if !state.joined {
            return Err(Refusal::new(Code::NotJoined, format!("type: join {}", self.name)));
        }
        state.link.clone().ok_or_else(|| state.reason.clone().unwrap_or_else(|| Code::HostAway.into()))
    }

    /// The channel was seen somewhere: a client that is not connected tries there at once.
    pub fn located(&self, record: ChannelRecord) {
        // One that is gone has no use for it, and one with so much to do comes to it by itself a little later.
        let _ = self.addr.try_send(Located(record));
    }

    /// The channel is hosted by this very peer from now on.
    pub async fn moved_here(&self, record: ChannelRecord) {
        // Gone already is as good.
        let _ = self.addr.send(MovedHere(record)).await;
    }

    /// How the client is.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn status(&self) -> Result<ChannelStatus, Refusal> {
        self.addr.send(GetStatus).await.map_err(|_| Code::GoingAway.into())
    }

    /// Waits until all that is queued and can go out now has been answered.
    pub async fn drained(&self) {
        let idle = |state: &Status| state.link.is_none() || state.waiting == 0;
        // An ended client has nothing under way.
        let _ = self.state.clone().wait_for(idle).await;
    }

    /// Closes the connection: nothing more is received, and what was has been told to the user interface.
    pub async fn finish(&self) {
        // Gone already is as good.
        let _ = self.addr.send(Finish).await;
    }

    /// Closes the connection and keeps what was received and how far it was shown.
    pub async fn shut_down(&self) {
        // Gone already is as good.
        let _ = self.addr.send(Shutdown).await;
    }
}
