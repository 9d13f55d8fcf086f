//! The channels this peer hosts: opened, listened for, announced.
//!
//! One task does all of it, one thing after another: what a step finds is still so at the next. It has an inbox like an
//! actor, and a handle.

mod addresses;
mod announce;

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use actix::Arbiter;
use common::clock::Timestamp;
use common::id::ChannelId;
use common::identity::Identity;
use common::name::ChannelName;
use common::proto::directory::{Owner, Unhost};
use common::proto::status::{Code, Refusal};
use common::shutdown::Shutdown;
use common::transport::{Address, Transport};
use tokio::sync::{mpsc, oneshot, watch};

use crate::alarm::{Alarm, Death};
use crate::api::{self, Event};
use crate::host::{self, HostConfig, HostEnded, HostError, HostHandle, HostRecord, TrackerState};
use crate::listener::{Hosts, Listener};
use crate::session::{Events, HeldPass, SessionView};
use crate::store::PeerStore;
use crate::tracker_link::TrackerHandle;

/// How many requests may wait.
const WAITING_JOBS: usize = 16;

/// Where and as what this peer is found by members.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// The IP to listen on.
    pub ip: IpAddr,
    /// The port to listen on; 0 for the one of the last time, or any free one.
    pub port: u16,
    /// Addresses to hand out instead of what the tracker sees.
    pub advertise: Vec<Address>,
}

/// What hosting needs from the rest of the peer.
pub struct HostingConfig {
    /// Where to be found.
    pub listen: ListenConfig,
    /// This peer's key.
    pub identity: Identity,
    /// How to listen.
    pub transport: Transport,
    /// Where logs are kept.
    pub store: PeerStore,
    /// Where channels are announced.
    pub tracker: TrackerHandle,
    /// The running hosts, shared with the listener and with this peer's own clients.
    pub hosts: Hosts,
    /// Where the user interface is told.
    pub events: Events,
    /// Ends the listener.
    pub shutdown: Shutdown,
    /// Is told when a host dies.
    pub alarm: Alarm,
}

enum Job {
    Start(ChannelName, oneshot::Sender<Result<api::Hosting, Refusal>>),
    Stop(ChannelId, bool, oneshot::Sender<Result<(), Refusal>>),
    Shutdown(oneshot::Sender<()>),
}

/// The handle of hosting. Cheap to clone.
#[derive(Clone)]
pub struct HostingHandle {
    jobs: mpsc::Sender<Job>,
    hosts: Hosts,
    listening: watch::Receiver<Option<SocketAddr>>,
}

impl HostingHandle {
    /// Hosts a channel, a new one or one of the user's. One that is hosted already is as good.
    ///
    /// # Errors
    /// The tracker's refusal, or what keeps this peer from hosting.
    pub async fn start(&self, channel: ChannelName) -> Result<api::Hosting, Refusal> {
        self.ask(|reply| Job::Start(channel, reply)).await?
    }

    /// Stops hosting a channel, and gives up its name too if so wanted.
    ///
    /// # Errors
    /// `not_hosted`, or why the tracker could not be told.
    pub async fn stop(&self, channel: ChannelId, release: bool) -> Result<(), Refusal> {
        self.ask(|reply| Job::Stop(channel, release, reply)).await?
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

struct Hosting {
    config: HostingConfig,
    session: SessionView,
    listener: Option<Listener>,
    listening: watch::Sender<Option<SocketAddr>>,
    /// The thread of the hosts' actors.
    arbiter: Arbiter,
    death: Death,
}

/// Starts hosting. Channels that were hosted at the last shutdown are served again when this returns, and announced as
/// soon as the tracker is there.
pub async fn start(config: HostingConfig) -> HostingHandle {
    let (jobs, waiting) = mpsc::channel(WAITING_JOBS);
    let hosts = config.hosts.clone();
    let session = config.tracker.session();
    let (tell_listening, listening) = watch::channel(None);
    let death = Death::of("hosting", &config.alarm);
    let (listener, arbiter) = (None, Arbiter::new());
    let mut hosting = Hosting { config, session, listener, listening: tell_listening, arbiter, death };
    hosting.resume().await;
    actix::spawn(hosting.run(waiting));
    HostingHandle { jobs, hosts, listening }
}

impl Hosting {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut session = self.session.clone();
        // Whatever it has become while the hosts were opened counts as news.
        session.mark_changed();
        let mut tracker = self.config.tracker.clone();
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => if self.work(job).await.is_break() { return },
                    None => return self.shut_down().await,
                },
                changed = session.changed() => if changed.is_ok() { self.announce_all().await },
                _ = tracker.changed() => self.tell_tracker_state(),
            }
        }
    }

    /// Does one job. Whoever no longer waits for its outcome has no use for it.
    async fn work(&mut self, job: Job) -> ControlFlow<()> {
        match job {
            Job::Start(channel, reply) => {
                let _ = reply.send(self.start(channel).await);
            }
            Job::Stop(channel, release, reply) => {
                let _ = reply.send(self.stop(channel, release).await);
            }
            Job::Shutdown(reply) => {
                self.shut_down().await;
                let _ = reply.send(());
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Serves again what was hosted at the last shutdown, whether or not the tracker is there.
    async fn resume(&mut self) {
        let serving = self.config.store.hosting().unwrap_or_default();
        let records = host::load_records(self.config.store.store()).await.unwrap_or_default();
        for record in records.into_iter().filter(|record| serving.contains(&record.id)) {
            let name = record.name.clone();
            if let Err(refusal) = self.open(record).await {
                self.warn(&name, refusal).await;
            }
        }
    }

    async fn start(&mut self, name: ChannelName) -> Result<api::Hosting, Refusal> {
        let running = self.config.hosts.all().into_iter().find(|host| *host.name() == name);
        if let Some(host) = running {
            self.announce(&host).await?;
            return self.hosting(&host);
        }
        let held = self.session.borrow().held.clone();
        let held = held.ok_or_else(|| self.config.tracker.why_not_entered())?;
        let known = host::load_records(self.config.store.store()).await?;
        let known = known.into_iter().find(|record| record.name == name);
        let is_new = known.is_none();
        let record = match known {
            Some(record) => record,
            None => HostRecord::new(name, owner(&held)?),
        };
        let id = record.id;
        let host = self.open(record).await?;
        let announced = self.announce(&host).await;
        // A channel of this peer is served while the tracker is away; only one that nobody knows yet needs its word.
        if let Err(refusal) = announced
            && (is_new || !refusal.code.is_passing())
        {
            self.close(id).await;
            if is_new {
                host::forget(self.config.store.store(), id).await?;
            }
            return Err(refusal);
        }
        self.config.store.keep_hosting(id, true).await?;
        self.hosting(&host)
    }

    async fn open(&mut self, record: HostRecord) -> Result<HostHandle, Refusal> {
        self.listen().await?;
        let config = HostConfig {
            store: self.config.store.store().clone(),
            identity: self.config.identity.clone(),
            record,
            arbiter: self.arbiter.handle(),
            tracker: self.tracker_state(),
        };
        let host = HostHandle::open(config).await?;
        if let Some(directory) = self.session.borrow().directory.clone() {
            host.trust(directory);
        }
        self.config.hosts.insert(host.clone());
        self.watch(host.clone());
        Ok(host)
    }

    /// A host that dies takes the process with it: members would wait for it in vain.
    fn watch(&self, host: HostHandle) {
        let alarm = self.config.alarm.clone();
        actix::spawn(async move {
            if host.stopped().await == HostEnded::Died {
                alarm.raise(format!("the host of {} died", host.name()));
            }
        });
    }

    async fn stop(&mut self, id: ChannelId, release: bool) -> Result<(), Refusal> {
        let is_running = self.close(id).await;
        if !is_running && !release {
            return Err(Code::NotHosted.into());
        }
        self.config.store.keep_hosting(id, false).await?;
        match self.config.tracker.request(&Unhost { id, release }).await {
            Ok(_) => Ok(()),
            // The lease ends with the connection, and a name that is given up has to be given up there.
            Err(refusal) if refusal.code.is_passing() && !release => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn close(&mut self, id: ChannelId) -> bool {
        match self.config.hosts.remove(id) {
            Some(host) => {
                host.close().await;
                true
            }
            None => false,
        }
    }

    fn hosting(&self, host: &HostHandle) -> Result<api::Hosting, Refusal> {
        let listen = self.local_addr().ok_or_else(|| Refusal::from(Code::CannotListen))?;
        Ok(api::Hosting { channel: host.name().clone(), id: host.id(), listen, head: host.head() })
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        *self.listening.borrow()
    }

    /// Listens from the first hosted channel on, at the port of the last time if none is demanded.
    async fn listen(&mut self) -> Result<(), Refusal> {
        if self.listener.is_some() {
            return Ok(());
        }
        let ListenConfig { ip, port, .. } = self.config.listen;
        let kept = if port == 0 { self.config.store.port()? } else { None };
        let wanted = SocketAddr::new(ip, kept.unwrap_or(port));
        let listener = match self.config.transport.listen(wanted).await {
            Err(error) if kept.is_some() => {
                tracing::warn!(%wanted, err = %error, "the port of the last time is not free, taking another");
                self.config.transport.listen(SocketAddr::new(ip, 0)).await
            }
            listener => listener,
        };
        let listener = listener.map_err(|error| Refusal::new(Code::CannotListen, error.to_string()))?;
        self.config.store.keep_port(listener.local_addr().port()).await?;
        tracing::info!(listen = %listener.local_addr(), "listening for members");
        self.listening.send_replace(Some(listener.local_addr()));
        let (hosts, shutdown) = (self.config.hosts.clone(), self.config.shutdown.clone());
        let death = Death::of("the listener", &self.config.alarm);
        self.listener = Some(Listener::start(listener, hosts, shutdown, death));
        Ok(())
    }

    fn tracker_state(&self) -> TrackerState {
        match self.config.tracker.down_since() {
            None => TrackerState::Up,
            Some(since) => TrackerState::DownSince(Timestamp::now().minus(since.elapsed())),
        }
    }

    fn tell_tracker_state(&self) {
        let state = self.tracker_state();
        for host in self.config.hosts.all() {
            host.tracker_link(state);
        }
    }

    async fn warn(&self, channel: &ChannelName, refusal: Refusal) {
        let reason = format!("{channel} is not hosted: {}", refusal.reason);
        let channel = Some(channel.clone());
        self.config.events.tell(Event::Warning { code: refusal.code, reason, channel }).await;
    }

    async fn shut_down(&mut self) {
        for host in self.config.hosts.all() {
            self.config.hosts.remove(host.id());
            host.close().await;
        }
        if let Some(listener) = self.listener.take() {
            listener.finish().await;
        }
        self.arbiter.stop();
        self.death.expected();
    }
}

fn owner(held: &HeldPass) -> Result<Owner, Refusal> {
    let name = held
        .claims
        .name
        .parse()
        .map_err(|error: common::name::NameError| Refusal::new(Code::BadName, error.to_string()))?;
    Ok(Owner { subject: held.claims.subject, name, kind: held.claims.kind })
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Store(error) => error.into(),
            error => Self::new(Code::StorageFailed, error.to_string()),
        }
    }
}
