//! What the rest of the peer asks of hosting.

use std::net::SocketAddr;

use common::id::ChannelId;
use common::name::ChannelName;
use common::proto::device::Revoked;
use common::proto::directory::ChannelRecord;
use common::proto::moving::Hosting as HostingProof;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Job, Place};
use crate::api;
use crate::listener::Hosts;

/// The handle of hosting. Cheap to clone.
#[derive(Clone)]
pub struct HostingHandle {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) hosts: Hosts,
    pub(super) listening: watch::Receiver<Option<SocketAddr>>,
}

impl HostingHandle {
    /// Hosts a channel, a new one or one of the user's. One that is hosted already is as good.
    ///
    /// # Errors
    /// The tracker's refusal, or what keeps this peer from hosting.
    pub async fn start(&self, channel: ChannelName) -> Result<api::Hosting, Refusal> {
        self.ask(|reply| Job::Start(channel, reply)).await?
    }

    /// Gives up the name of a channel, which is to be stopped then. It is hosted as before when that fails.
    ///
    /// # Errors
    /// Why the tracker could not be told.
    pub async fn release(&self, channel: ChannelId) -> Result<(), Refusal> {
        self.ask(|reply| Job::Release(channel, reply)).await?
    }

    /// Stops hosting a channel. A tracker that cannot be told notices by itself: its lease ends with the
    /// connection.
    ///
    /// # Errors
    /// `not_hosted`, or what the tracker has against it.
    pub async fn stop(&self, channel: ChannelId) -> Result<(), Refusal> {
        self.ask(|reply| Job::Stop(channel, reply)).await?
    }

    /// Has members give back what the log of a channel has lost, for this user, if they may.
    ///
    /// # Errors
    /// `not_hosted`, `not_owner`, `not_behind`, or why nothing could be done.
    pub async fn recover(&self, channel: ChannelName, who: Holder) -> Result<api::Recovered, Refusal> {
        self.ask(|reply| Job::Recover(channel, who, reply)).await?
    }

    /// Has a channel go on in a new log, with all that is there of the old one, for this user, if they may.
    ///
    /// # Errors
    /// `not_hosted`, `not_owner`, or why nothing could be done.
    pub async fn fork(&self, channel: ChannelName, who: Holder) -> Result<api::Recovered, Refusal> {
        self.ask(|reply| Job::Fork(channel, who, reply)).await?
    }

    /// The tracker has revoked passes.
    pub async fn revoked(&self, revoked: Vec<Revoked>) {
        // Gone already is as good: nobody is in then.
        let _ = self.jobs.send(Job::Revoked(revoked)).await;
    }

    /// The tracker says that a channel, which was hosted here, has moved. When this returns it is hosted here no more.
    pub async fn moved(&self, channel: &ChannelRecord) {
        let proven = channel.moved.as_ref().and_then(|moved| self.hosts.gate().now().proven(&moved.proof));
        if let Some(hosting) = proven.filter(|hosting| hosting.channel == channel.id) {
            self.superseded(hosting).await;
        }
    }

    /// Another key hosts a channel, as was proven.
    pub(super) async fn superseded(&self, hosting: HostingProof) {
        // Gone already is as good.
        let _ = self.ask(|reply| Job::Superseded(hosting, reply)).await;
    }

    /// Where this peer can be reached. It listens from now on.
    ///
    /// # Errors
    /// `cannot_listen`.
    pub async fn place(&self) -> Result<Place, Refusal> {
        self.ask(Job::Place).await?
    }

    /// Listens no more, unless something is hosted: then who connects finds that, and nothing else.
    pub async fn withdraw(&self) {
        // Gone already is as good.
        let _ = self.jobs.send(Job::Withdraw).await;
    }

    /// The running hosts.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Where this peer listens, once it does.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        *self.listening.borrow()
    }

    /// Closes all hosts in order: what was taken is flushed and answered, and the members are told.
    pub async fn shut_down(&self) {
        // Gone already is as good.
        let _ = self.ask(Job::Shutdown).await;
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| Refusal::from(Code::GoingAway))?;
        answer.await.map_err(|_| Code::GoingAway.into())
    }
}
