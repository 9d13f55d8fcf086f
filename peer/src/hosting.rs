//! The channels this peer hosts: opened, listened for, announced.
//!
//! One task does all of it, one thing after another: what a step finds is still so at the next. It has an inbox like an
//! actor, and a handle. It never waits for the tracker, which may be slow: what is told there are tasks of their own.

mod addresses;
mod announce;
mod handle;
mod heads;
mod moving;
mod recovering;
mod revoking;
mod taking;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use actix::Arbiter;
use common::clock::Timestamp;
use common::id::ChannelId;
use common::identity::Identity;
use common::name::ChannelName;
use common::proto::device::Revoked;
use common::proto::directory::{Owner, Unhost};
use common::proto::limits::PING_EVERY;
use common::proto::moving::Hosting as HostingProof;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use common::shutdown::Shutdown;
use common::transport::{Address, Transport};
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::alarm::{Alarm, Death};
use crate::api::{self, Event};
use crate::events::Events;
use crate::history::clear_left_overs;
use crate::host::{self, Claim, HostConfig, HostEnded, HostError, HostHandle, HostRecord, TrackerState};
use crate::listener::{Doors, Hosts, Listener};
use crate::search::Search;
use crate::session::{HeldPass, SessionView};
use crate::store::PeerStore;
use crate::tracker_link::TrackerHandle;
use announce::{Announcing, Next, Stage};
pub use handle::HostingHandle;
use heads::Telling;
use revoking::Revoking;

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
    /// What finds entries.
    pub search: Search,
    /// The running hosts, shared with the listener and with this peer's own clients.
    pub hosts: Hosts,
    /// Where the user interface is told.
    pub events: Events,
    /// Where those go who come for a private conversation.
    pub doors: Doors,
    /// Ends the listener.
    pub shutdown: Shutdown,
    /// Is told when a host dies.
    pub alarm: Alarm,
}

type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Where this peer can be reached.
#[derive(Clone, Debug)]
pub struct Place {
    /// The addresses it knows of itself, best first.
    pub addresses: Vec<Address>,
    /// The port to which the tracker adds the IP that it sees.
    pub port: Option<u16>,
}

enum Job {
    Start(ChannelName, Reply<api::Hosting>),
    Release(ChannelId, Reply<()>),
    Stop(ChannelId, Reply<()>),
    /// Members are to give back what a log has lost.
    Recover(ChannelName, Holder, Reply<api::Recovered>),
    /// A channel is to go on in a new log.
    Fork(ChannelName, Holder, Reply<api::Recovered>),
    /// What has come of either.
    Recovered(ChannelId, Result<api::Recovered, Refusal>, Reply<api::Recovered>),
    /// Who may do what in the channel has changed.
    Policy(ChannelId),
    Revoked(Vec<Revoked>),
    /// Another key hosts the channel, as was proven.
    Superseded(HostingProof, oneshot::Sender<()>),
    /// Who has taken a channel has not hosted it in time.
    TakeBack(ChannelId),
    Place(Reply<Place>),
    /// Nobody is to find this peer, unless it hosts something.
    Withdraw,
    Shutdown(oneshot::Sender<()>),
}

struct Hosting {
    config: HostingConfig,
    session: SessionView,
    listener: Option<Listener>,
    listening: watch::Sender<Option<SocketAddr>>,
    /// The thread of the hosts' actors.
    arbiter: Arbiter,
    announcing: Announcing,
    telling: Telling,
    /// Where hosts' own news goes. Does not keep the task from its end.
    jobs: mpsc::WeakSender<Job>,
    revoking: Revoking,
    /// What is being recovered.
    recovering: HashSet<ChannelId>,
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
    let (listener, arbiter, announcing) = (None, Arbiter::new(), Announcing::new());
    let revoking = Revoking::load(&config.store);
    config.hosts.gate().heed(revoking.known());
    let (listening_at, news) = (tell_listening, jobs.downgrade());
    let mut hosting = Hosting {
        config,
        session,
        listener,
        listening: listening_at,
        arbiter,
        announcing,
        telling: Telling::default(),
        revoking,
        recovering: HashSet::new(),
        jobs: news,
        death,
    };
    hosting.tell_tracker_state();
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
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => if self.work(job).await.is_break() { return },
                    None => return self.shut_down().await,
                },
                Ok(()) = session.changed() => self.announce_all(),
                true = tracker.changed() => self.tell_tracker_state(),
                next = self.announcing.next() => match next {
                    Next::Ended(ended) => self.ended(ended).await,
                    Next::Due => self.announce_failed(),
                },
                _ = pings.tick() => self.tell_heads(),
            }
        }
    }

    /// Does one job. Whoever no longer waits for its outcome has no use for it.
    async fn work(&mut self, job: Job) -> ControlFlow<()> {
        match job {
            Job::Start(channel, reply) => match self.start(channel).await {
                Ok((host, stage)) => self.announce(&host, stage, Some(reply)),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Job::Release(channel, reply) => self.release(channel, reply),
            Job::Stop(channel, reply) => match self.stop(channel).await {
                Ok(tell) => self.announcing.spawn(async move { drop(reply.send(tell.await)) }),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Job::Recover(channel, who, reply) => self.recover(&channel, reply, move |work| work.run(who)),
            Job::Fork(channel, who, reply) => self.recover(&channel, reply, move |work| work.fork(who)),
            Job::Recovered(channel, outcome, reply) => self.recovered(channel, outcome, reply).await,
            Job::Policy(channel) => self.tell_policy(channel),
            Job::Revoked(revoked) => self.revoked(revoked).await,
            Job::Superseded(hosting, reply) => {
                self.superseded(hosting).await;
                let _ = reply.send(());
            }
            Job::TakeBack(channel) => self.take_channel_back(channel),
            Job::Place(reply) => drop(reply.send(self.place().await)),
            Job::Withdraw => self.withdraw().await,
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
        let records = match self.records_to_serve().await {
            Ok(records) => records,
            Err(Refusal { code, reason, .. }) => {
                let reason = format!("what is hosted here cannot be read, so nothing is: {reason}");
                let warning = Event::Warning { code, reason, channel: None };
                return self.config.events.tell(warning).await;
            }
        };
        for record in records {
            let name = record.name.clone();
            if let Err(refusal) = self.open(record).await {
                self.warn(&name, &refusal).await;
            }
        }
    }

    async fn records_to_serve(&self) -> Result<Vec<HostRecord>, Refusal> {
        let serving = self.config.store.hosting()?;
        clear_left_overs(self.config.store.store()).await?;
        let mut records = host::load_records(self.config.store.store()).await?;
        self.finish_moves(&records).await?;
        records.retain(|record| serving.contains(&record.id) && record.superseded.is_none());
        Ok(records)
    }

    /// The host of a channel, which is to be announced then.
    async fn start(&mut self, name: ChannelName) -> Result<(HostHandle, Stage), Refusal> {
        if let Some(running) = self.config.hosts.all().into_iter().find(|host| *host.name() == name) {
            return Ok((running, Stage::Running));
        }
        let held = self.session.borrow().held.clone();
        let held = held.ok_or_else(|| self.config.tracker.why_not_entered())?;
        let known = host::load_records(self.config.store.store()).await?;
        let known = known.into_iter().find(|record| record.name == name);
        let (record, stage) = match known {
            Some(HostRecord { superseded: Some(hosting), .. }) => {
                return Err(moving::refusal(&name, &hosting));
            }
            Some(record) => (record, Stage::Opened),
            None => (HostRecord::new(name, owner(&held)?), Stage::New),
        };
        Ok((self.open(record).await?, stage))
    }

    async fn open(&mut self, record: HostRecord) -> Result<HostHandle, Refusal> {
        self.listen().await?;
        let config = HostConfig {
            store: self.config.store.store().clone(),
            identity: self.config.identity.clone(),
            record,
            arbiter: self.arbiter.handle(),
            gate: self.config.hosts.gate().clone(),
            search: self.config.search.clone(),
        };
        if let Some(directory) = self.session.borrow().directory.clone() {
            self.config.hosts.gate().trust(directory);
        }
        let host = HostHandle::open(config).await?;
        self.config.hosts.insert(host.clone());
        self.watch(host.clone());
        self.watch_policy(host.clone());
        self.watch_moves(host.clone());
        self.watch_taking(host.clone());
        Ok(host)
    }

    /// Whoever may enter is known to the tracker as soon as it is so here.
    fn watch_policy(&self, host: HostHandle) {
        let (jobs, mut rev) = (self.jobs.clone(), host.policy_rev());
        actix::spawn(async move {
            loop {
                tokio::select! {
                    changed = host.policy_changed(rev) => rev = changed,
                    _ = host.stopped() => return,
                }
                let Some(jobs) = jobs.upgrade() else { return };
                if jobs.send(Job::Policy(host.id())).await.is_err() {
                    return;
                }
            }
        });
    }

    /// A host that dies takes the process with it: members would wait for it in vain. Its user is told when it has lost
    /// the end of its log.
    fn watch(&self, host: HostHandle) {
        let (alarm, events) = (self.config.alarm.clone(), self.config.events.clone());
        actix::spawn(async move {
            let (name, mut claimed) = (host.name().clone(), 0);
            let why = loop {
                let claim = tokio::select! {
                    why = host.log_is_behind() => break why,
                    claim = host.more_is_claimed(claimed) => claim,
                    ended = host.stopped() => return raise_if_died(&alarm, &host, ended),
                };
                claimed = claim.count;
                let Some(claim) = claim.last else { continue };
                let (reason, channel) = (unproven(&name, &claim), Some(name.clone()));
                events.tell(Event::Warning { code: Code::LogBehind, reason, channel }).await;
            };
            let reason = format!(
                "{name} can be read, and takes no messages: {why}. Members may have what is missing; type: recover {name}"
            );
            let channel = Some(name.clone());
            events.tell(Event::Warning { code: Code::LogBehind, reason, channel }).await;
            raise_if_died(&alarm, &host, host.stopped().await);
        });
    }

    /// Stops hosting a channel; what is left to be done is to tell the tracker.
    async fn stop(
        &mut self,
        id: ChannelId,
    ) -> Result<impl Future<Output = Result<(), Refusal>> + use<>, Refusal> {
        let is_released = self.announcing.forget(id);
        let is_running = self.close(id).await;
        if !is_running && !is_released {
            return Err(Code::NotHosted.into());
        }
        self.config.store.keep_hosting(id, false).await?;
        let tracker = self.config.tracker.clone();
        Ok(async move {
            if is_released {
                return Ok(());
            }
            match tracker.request(&Unhost { id, release: false }).await {
                // The lease ends with the connection.
                Err(refusal) if !refusal.code.is_passing() => Err(refusal),
                _ => Ok(()),
            }
        })
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

    async fn place(&mut self) -> Result<Place, Refusal> {
        self.listen().await?;
        let listen = self.local_addr().ok_or_else(|| Refusal::from(Code::CannotListen))?;
        let (addresses, port) = addresses::to_announce(listen, &self.config.listen.advertise);
        Ok(Place { addresses, port })
    }

    async fn withdraw(&mut self) {
        if self.config.hosts.all().is_empty()
            && let Some(listener) = self.listener.take()
        {
            listener.close().await;
            self.listening.send_replace(None);
        }
    }

    /// Listens from the first hosted channel or private conversation on, at the port of the last time if none is demanded.
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
        tracing::info!(listen = %listener.local_addr(), "listening");
        self.listening.send_replace(Some(listener.local_addr()));
        let (hosts, doors) = (self.config.hosts.clone(), self.config.doors.clone());
        let shutdown = self.config.shutdown.clone();
        let death = Death::of("the listener", &self.config.alarm);
        self.listener = Some(Listener::start(listener, hosts, doors, shutdown, death));
        Ok(())
    }

    fn tracker_state(&self) -> TrackerState {
        match self.config.tracker.down_since() {
            None => TrackerState::Up,
            Some(since) => TrackerState::DownSince(Timestamp::now().minus(since.elapsed())),
        }
    }

    fn tell_tracker_state(&self) {
        self.config.hosts.gate().set_tracker(self.tracker_state());
    }

    fn warn(&self, channel: &ChannelName, refusal: &Refusal) -> impl Future<Output = ()> + use<> {
        let reason = format!("{channel} is not hosted: {}", refusal.reason);
        let channel = Some(channel.clone());
        self.config.events.tell(Event::Warning { code: refusal.code.clone(), reason, channel })
    }

    async fn shut_down(&mut self) {
        // Nothing that is being told is waited for.
        self.announcing = Announcing::new();
        let closing = self.config.hosts.all();
        join_all(closing.iter().map(|host| {
            self.config.hosts.remove(host.id());
            host.close()
        }))
        .await;
        if let Some(listener) = self.listener.take() {
            listener.finish().await;
        }
        self.arbiter.stop();
        self.death.expected();
    }
}

fn unproven(channel: &ChannelName, Claim { name, more, .. }: &Claim) -> String {
    format!(
        "{name} says to have {more} entries of {channel} that its host has not, and nothing proves it; they stay out. If an \
         older copy of this peer's data was put back, that is true, and they are let in again once you go on in a new \
         log; type: recover {channel} --fork"
    )
}

fn raise_if_died(alarm: &Alarm, host: &HostHandle, ended: HostEnded) {
    if ended == HostEnded::Died {
        alarm.raise(format!("the host of {} died", host.name()));
    }
}

/// Somebody with a pass, as the owner of a channel.
///
/// # Errors
/// When the name in it is none.
pub fn owner(held: &HeldPass) -> Result<Owner, Refusal> {
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
