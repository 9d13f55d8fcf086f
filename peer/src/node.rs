//! The root of one user's peer: it owns the clients, and turns each command into calls of the parts below it.
//!
//! The actor is a registry: which client stands for which channel. What a command does is plain code over the handles
//! (`account`, `look`, `channels`, `outbox`), so that a slow one holds nobody up.

mod account;
mod channels;
mod files;
mod history;
mod look;
mod moderate;
mod moving;
mod outbox;
mod presence;
mod search;
mod transfer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use actix::prelude::*;
use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::id::ChannelId;
use common::name::ChannelName;
use common::proto::directory::ChannelRecord;
use common::proto::event::TrackerEvent;
use common::proto::limits::DRAIN_LIMIT;
use common::proto::status::{Code, Refusal};
use common::proto::transfer::{ChannelOffer, Offered};
use futures_util::future::{join, join_all};
use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::alarm::{Alarm, Death};
use crate::api::{Command, DirectCommand, Event, OfferRow, Outcome, Reply, WatchCommand};
use crate::client::{self, CatchUp, ClientConfig, ClientHandle, Way};
use crate::direct::DirectHandle;
use crate::events::Events;
use crate::files::FilesHandle;
use crate::history::Historian;
use crate::hosting::HostingHandle;
use crate::presence::PresenceHandle;
use crate::search::Search;
use crate::session::SessionView;
use crate::store::{KnownChannel, PeerStore};
use crate::tracker_link::TrackerHandle;
use crate::ui;

/// How many messages may wait for this actor.
const MAILBOX: usize = 64;
/// How many offers are remembered as told: the tracker tells no more of one user.
const MAX_OFFERS_TOLD: usize = 64;
/// How long the clients may take to say their last words to the hosts.
const FINISH_LIMIT: Duration = DRAIN_LIMIT.saturating_add(Duration::from_secs(1));

/// What a node is made of.
pub struct NodeConfig {
    /// Where the peer keeps its state, to be shown.
    pub data: PathBuf,
    /// The peer's tables.
    pub store: PeerStore,
    /// The link to the tracker.
    pub tracker: TrackerHandle,
    /// What the tracker tells of channels.
    pub from_tracker: mpsc::Receiver<TrackerEvent>,
    /// The channels this peer hosts.
    pub hosting: HostingHandle,
    /// Private conversations.
    pub direct: DirectHandle,
    /// Files, to and from other users.
    pub files: FilesHandle,
    /// Whom the user watches.
    pub presence: PresenceHandle,
    /// What takes history along.
    pub historian: Historian,
    /// What finds messages.
    pub search: Search,
    /// How clients get to their channels.
    pub way: Way,
    /// Who this peer is.
    pub session: SessionView,
    /// Where the user interface is told.
    pub events: Events,
    /// How clients catch up.
    pub catch_up: CatchUp,
    /// Is told when the node dies.
    pub alarm: Alarm,
    /// How long a message may wait before it is too late to send it.
    pub expire: Option<Duration>,
}

/// The handle of a node: what user interfaces drive. Cheap to clone.
#[derive(Clone)]
pub struct NodeHandle {
    addr: Addr<Node>,
    tracker: TrackerHandle,
    hosting: HostingHandle,
    direct: DirectHandle,
    files: FilesHandle,
    presence: PresenceHandle,
    session: SessionView,
    data: PathBuf,
    historian: Historian,
    search: Search,
}

/// Starts a node, and the clients of all channels that are joined.
pub fn start(config: NodeConfig) -> NodeHandle {
    let NodeConfig {
        data,
        store,
        tracker,
        from_tracker,
        hosting,
        direct,
        files,
        presence,
        historian,
        search,
        way,
        session,
        events,
        catch_up,
        alarm,
        expire,
    } = config;
    let (offered, nudged) = (files.clone(), search.clone());
    let (view, told, hosted, watching) = (session.clone(), direct.clone(), hosting.clone(), presence.clone());
    let addr = Node::create(|ctx: &mut Context<Node>| {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.add_stream(events_of(from_tracker));
        Node {
            store,
            way,
            direct: told,
            session: view,
            hosting: hosted,
            presence: watching,
            files: offered,
            search: nudged,
            events,
            catch_up,
            clients: BTreeMap::new(),
            offers: BTreeMap::new(),
            death: Death::of("the node", &alarm),
            alarm,
            expire,
        }
    });
    NodeHandle { addr, tracker, hosting, direct, files, presence, session, data, historian, search }
}

/// Whether a command asks the tracker: right after the start it then waits for the outcome of the first contact, so
/// that commands out of a file need not.
fn needs_tracker(command: &Command) -> bool {
    match command {
        Command::Signup { .. }
        | Command::Signin { .. }
        | Command::Signout
        | Command::Guest { .. }
        | Command::Passwd { .. }
        | Command::Devices(_)
        | Command::TrackerTrust
        | Command::ConfirmTracker { .. }
        | Command::List { .. }
        | Command::Broadcast { .. }
        | Command::Users
        | Command::Watch(WatchCommand::Watch { .. })
        | Command::Invisible { .. }
        | Command::Members { .. }
        | Command::Info { .. }
        | Command::Moderate { .. }
        | Command::Erase { .. }
        | Command::Host { .. }
        | Command::TakeOver { .. }
        | Command::HandOver { .. }
        | Command::Transfer(_)
        | Command::Import { .. }
        | Command::Unhost { .. }
        | Command::Join { .. }
        | Command::Direct(DirectCommand::Start { .. }) => true,
        Command::Whoami
        | Command::Watch(WatchCommand::List | WatchCommand::Unwatch { .. })
        | Command::Connected
        | Command::Status
        | Command::Debug { .. }
        | Command::Client
        | Command::Leave { .. }
        | Command::Send { .. }
        | Command::Outbox(_)
        | Command::Direct(_)
        | Command::Verify { .. }
        | Command::Files(_)
        | Command::Export { .. }
        | Command::Backup { .. }
        | Command::Recover { .. }
        | Command::Search(_)
        | Command::Branch { .. }
        | Command::History { .. } => false,
    }
}

fn events_of(receiver: mpsc::Receiver<TrackerEvent>) -> impl Stream<Item = TrackerEvent> {
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

impl ui::Node for NodeHandle {
    #[expect(clippy::cognitive_complexity, reason = "a flat list, one row for each command")]
    async fn perform(&self, command: Command) -> Outcome {
        self.settled_for(&command).await;
        match command {
            Command::Signup { name, password } => self.signup(name, password).await,
            Command::Signin { name, password } => self.signin(name, password).await,
            Command::Signout => self.signout().await,
            Command::Guest { name } => self.guest(name).await,
            Command::Passwd { old, new } => self.passwd(old, new).await,
            Command::Devices(asked) => self.devices(asked).await,
            Command::Whoami => Ok(Reply::Identity(self.session.borrow().identity())),
            Command::TrackerTrust => self.tracker.trust().map(Reply::Trust),
            Command::ConfirmTracker { key } => self.tracker.confirm(key).await.map(|()| Reply::Done {}),
            Command::List { pattern, after } => self.list(pattern, after).await,
            Command::Broadcast { text } => self.broadcast(text).await,
            Command::Users => self.users().await,
            Command::Watch(asked) => self.watch(asked).await,
            Command::Invisible { on } => self.set_invisible(on).await,
            Command::Connected => self.connected().await,
            Command::Members { channel, granted } => self.members(channel, granted).await,
            Command::Info { channel } => self.info(channel).await,
            Command::Status => self.status().await.map(|status| Reply::Status(Box::new(status))),
            Command::Debug { channel } => self.debug(channel).await,
            Command::Client => self.client_report().await,
            Command::Host { channel } => self.host(channel).await,
            Command::TakeOver { channel, log } => Box::pin(self.take_over(channel, log)).await,
            Command::HandOver { channel, heir, path, to } => {
                Box::pin(self.hand_over(channel, heir, path, to)).await
            }
            Command::Transfer(asked) => Box::pin(self.transfer(asked)).await,
            Command::Branch { channel, count } => self.branch(channel, count).await,
            Command::Unhost { channel, release } => self.unhost(channel, release).await,
            Command::Join { channel } => self.join(channel).await,
            Command::Leave { channel } => self.leave(channel).await,
            Command::Send { channel, text } => self.send(channel, text).await,
            Command::Moderate { channel, order } => Box::pin(self.moderate(channel, order)).await,
            Command::Outbox(asked) => self.outbox(asked).await,
            Command::Direct(DirectCommand::Block { user }) => Box::pin(self.block(user)).await,
            Command::Direct(asked) => Box::pin(self.direct.perform(asked)).await,
            Command::Verify { channel } => Box::pin(self.verify(channel)).await,
            Command::Erase { channel, seq, why } => self.erase(channel, seq, why).await,
            Command::Files(asked) => Box::pin(self.files(asked)).await,
            Command::Export { channel, path } => Box::pin(self.export(channel, path)).await,
            Command::Backup { folder } => self.backup(folder).await,
            Command::Recover { channel, fork } => Box::pin(self.recover(channel, fork)).await,
            Command::Import { path, channel, key } => Box::pin(self.import(path, channel, key)).await,
            Command::Search(asked) => Box::pin(self.search(asked)).await,
            Command::History { channel, count, before } => {
                Box::pin(self.history(channel, count, before)).await
            }
        }
    }

    async fn finish(&self, limit: Duration) {
        let clients = self.clients().await.unwrap_or_default();
        // What could not go out in time stays in the outbox.
        let drained = join(join_all(clients.iter().map(ClientHandle::drained)), self.direct.drained());
        let _ = timeout(limit, drained).await;
        // One that cannot end, since nobody takes what it tells, is ended later.
        let finished = join(join_all(clients.iter().map(ClientHandle::finish)), self.direct.finish());
        let _ = timeout(FINISH_LIMIT, finished).await;
    }
}

impl NodeHandle {
    async fn settled_for(&self, command: &Command) {
        if needs_tracker(command) {
            self.tracker.settled_soon().await;
        }
    }

    /// Waits until the first attempt to reach and enter the tracker is over, however it ended.
    pub async fn settled(&self) {
        self.tracker.settled().await;
    }

    /// Hosts a channel of the command line: as soon as that is possible, if it is not at once. Tried again whenever who
    /// this peer is changes, and after a while when the reason may pass by itself.
    pub async fn host_until_done(self, channel: ChannelName, events: Events) {
        self.settled().await;
        let mut session = self.session.clone();
        let mut backoff = Backoff::new(BackoffLimits::default());
        let mut told = None;
        loop {
            session.mark_unchanged();
            let outcome = self.host(channel.clone()).await;
            let wait = match &outcome {
                Err(refusal) if refusal.code == Code::NotSignedIn => Some(None),
                Err(refusal) if refusal.code.is_passing() => {
                    Some(Some(backoff.next_delay(random_fraction())))
                }
                Ok(_) | Err(_) => None,
            };
            let code = outcome.as_ref().err().map(|refusal| refusal.code.clone());
            if wait.is_none() || told != code {
                told = code;
                events.tell(Event::Result { command: "host", outcome: Box::new(outcome) }).await;
            }
            let Some(delay) = wait else { return };
            tokio::select! {
                changed = session.changed() => if changed.is_err() { return },
                () = pause(delay) => {}
            }
        }
    }

    /// Ends the peer in order: clients keep how far they have read, hosts flush and answer, the tracker is left last.
    pub async fn shut_down(&self) {
        // While those are there who are told what became of them.
        self.files.shut_down().await;
        let clients = self.clients().await.unwrap_or_default();
        join(join_all(clients.iter().map(ClientHandle::shut_down)), self.direct.shut_down()).await;
        self.presence.shut_down().await;
        self.hosting.shut_down().await;
        self.tracker.shut_down().await;
        // Gone already is as good.
        let _ = self.addr.send(Shutdown).await;
    }

    async fn clients(&self) -> Result<Vec<ClientHandle>, Refusal> {
        self.addr.send(All).await.map_err(|_| Code::GoingAway.into())
    }

    async fn find(&self, channel: &ChannelName) -> Result<Option<ClientHandle>, Refusal> {
        let clients = self.clients().await?;
        Ok(clients.into_iter().rev().find(|client| client.name() == channel))
    }

    /// The client of a channel that was joined at some time.
    async fn known(&self, channel: &ChannelName) -> Result<ClientHandle, Refusal> {
        let not_joined =
            || Refusal::new(Code::NotJoined, format!("{channel} is not joined; type: join {channel}"));
        self.find(channel).await?.ok_or_else(not_joined)
    }

    /// The client of a channel, a new one if there is none.
    async fn open(&self, record: ChannelRecord) -> Result<ClientHandle, Refusal> {
        self.addr.send(Open(record)).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }
}

/// Waits so long, or for ever.
async fn pause(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}

struct Node {
    store: PeerStore,
    way: Way,
    direct: DirectHandle,
    session: SessionView,
    hosting: HostingHandle,
    presence: PresenceHandle,
    files: FilesHandle,
    search: Search,
    events: Events,
    catch_up: CatchUp,
    clients: BTreeMap<ChannelId, ClientHandle>,
    /// The offers that the user was told of, each once.
    offers: BTreeMap<ChannelId, ChannelOffer>,
    alarm: Alarm,
    death: Death,
    expire: Option<Duration>,
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        match self.store.channels() {
            Ok(channels) => {
                for channel in channels {
                    if let Err(refusal) = self.client(channel) {
                        tracing::error!(reason = %refusal, "a known channel could not be opened");
                    }
                }
            }
            Err(error) => tracing::error!(err = %error, "the known channels could not be read"),
        }
    }
}

impl Node {
    fn client(&mut self, channel: KnownChannel) -> Result<ClientHandle, Refusal> {
        let id = channel.record.id;
        if let Some(client) = self.clients.get(&id) {
            return Ok(client.clone());
        }
        let client = client::start(ClientConfig {
            channel,
            way: self.way.clone(),
            store: self.store.clone(),
            session: self.session.clone(),
            files: self.files.clone(),
            search: self.search.clone(),
            events: self.events.clone(),
            expire: self.expire,
            catch_up: self.catch_up,
            alarm: self.alarm.clone(),
        })?;
        self.clients.insert(id, client.clone());
        let (files, met) = (self.files.clone(), client.clone());
        actix::spawn(async move { files.met(met).await });
        Ok(client)
    }
}

impl Node {
    /// An offer is told once; its end is told, and heeded where the channel is hosted.
    fn offered(&mut self, Offered { offer, ended }: Offered, ctx: &mut Context<Self>) {
        if ended {
            self.offers.remove(&offer.id);
        } else if self.offers.len() >= MAX_OFFERS_TOLD
            || self.offers.insert(offer.id, offer.clone()).as_ref() == Some(&offer)
        {
            return;
        }
        let host = self.hosting.hosts().get(offer.id).filter(|_| ended);
        let me = self.session.borrow().held.as_ref().map(|held| held.claims.subject);
        let events = self.events.clone();
        let work = async move {
            if let Some(host) = host
                && let Err(error) = host.end_offer(Some(offer.to.subject)).await
            {
                tracing::warn!(channel = %offer.id, err = %error, "that an offer has ended is not kept");
            }
            if let Some(me) = me {
                events.tell(Event::Offered { offer: OfferRow::new(offer, me), ended }).await;
            }
        };
        ctx.wait(work.into_actor(self));
    }
}

impl StreamHandler<TrackerEvent> for Node {
    fn handle(&mut self, event: TrackerEvent, ctx: &mut Self::Context) {
        match event {
            TrackerEvent::ChannelUp(up) => {
                if let Some(client) = self.clients.get(&up.channel.id) {
                    client.located(up.channel);
                }
            }
            TrackerEvent::Revoked(revoked) => {
                let (hosting, direct) = (self.hosting.clone(), self.direct.clone());
                let told = async move {
                    // Whoever is put out of a conversation finds the door shut.
                    hosting.revoked(vec![revoked.clone()]).await;
                    direct.told(TrackerEvent::Revoked(revoked)).await;
                };
                ctx.wait(told.into_actor(self));
            }
            TrackerEvent::Superseded(told) => {
                let hosting = self.hosting.clone();
                // Before anything that follows from it: what is to be kept apart is apart then.
                ctx.wait(async move { hosting.moved(&told.channel).await }.into_actor(self));
            }
            TrackerEvent::Offered(offered) => self.offered(offered, ctx),
            TrackerEvent::CameOnline(came) => {
                let presence = self.presence.clone();
                ctx.wait(async move { presence.came(came).await }.into_actor(self));
            }
            TrackerEvent::WentOffline(left) => {
                let presence = self.presence.clone();
                ctx.wait(async move { presence.left(left).await }.into_actor(self));
            }
            TrackerEvent::Knocked(_) | TrackerEvent::Introduction(_) | TrackerEvent::Broadcast(_) => {
                let direct = self.direct.clone();
                // One after another, as the tracker tells them.
                ctx.wait(async move { direct.told(event).await }.into_actor(self));
            }
            TrackerEvent::ChannelDown(_) | TrackerEvent::InvisibleChanged(_) | TrackerEvent::GoingAway(_) => {
            }
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

#[derive(Message)]
#[rtype(result = "Vec<ClientHandle>")]
struct All;

impl Handler<All> for Node {
    type Result = MessageResult<All>;

    fn handle(&mut self, _: All, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.clients.values().cloned().collect())
    }
}

#[derive(Message)]
#[rtype(result = "Result<ClientHandle, Refusal>")]
struct Open(ChannelRecord);

impl Handler<Open> for Node {
    type Result = Result<ClientHandle, Refusal>;

    fn handle(&mut self, Open(record): Open, _: &mut Self::Context) -> Self::Result {
        self.client(KnownChannel::new(record))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Shutdown;

impl Handler<Shutdown> for Node {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.death.expected();
        ctx.stop();
    }
}
