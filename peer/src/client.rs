//! The part of a peer that is in one channel: it receives the log, and sends what was written.
//!
//! The actor owns the connection and applies what the pure parts decide: [`resume`] (what continues the log),
//! [`archive`] (what of it is on disk here) and [`outbox`] (what goes out, and when).

pub mod archive;
mod connect;
mod handle;
mod in_order;
mod incoming;
mod messages;
pub mod outbox;
mod queue;
pub mod resume;
mod sending;
mod telling;
mod trying;

use std::time::Duration;

use actix::prelude::*;
use common::crash::{self, Point};
use common::id::Subject;
use common::link::{CloseReason, Inbound, Link};
use common::proto::channel::{Connected, Role};
use common::proto::directory::{ChannelRecord, Policy};
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use common::proto::status::{Code, Refusal};
use common::storage::ReadError;
use futures_util::stream;
use tokio::sync::{oneshot, watch};

pub use archive::CatchUp;
pub use connect::{Way, follow};
pub use handle::ClientHandle;
pub use incoming::chat_message;
pub use telling::short_id;

use crate::alarm::{Alarm, Death};
use crate::api::{Event, JoinedChannel, LinkState};
use crate::events::Events;
use crate::pace::{Pace, Tried};
use crate::session::SessionView;
use crate::store::{KnownChannel, PeerStore};
use archive::Writing;
use connect::Entered;
use in_order::{InOrder, in_order};
use outbox::Outbox;
use sending::{Answered, Written};
use trying::Flow;

/// How many messages may wait for this actor.
const MAILBOX: usize = 64;
/// How many messages may be on their way to the disk.
const MAX_WRITES: usize = 1024;
/// How many answers of the host may be waited for: those of a connection, and of one that has just ended.
const MAX_ANSWERS: usize = 2 * MAX_UNANSWERED_MESSAGES;

/// How often a client without a pass looks whether there is one; it is also told.
const LOOK_FOR_PASS_EVERY: Duration = Duration::from_secs(60);

/// What a client needs from the rest of the peer.
pub struct ClientConfig {
    /// The channel, as it is known.
    pub channel: KnownChannel,
    /// How to get there.
    pub way: Way,
    /// Where archive and outbox are kept.
    pub store: PeerStore,
    /// Who this peer is.
    pub session: SessionView,
    /// Where the user interface is told.
    pub events: Events,
    /// How long a message may wait before it is too late to send it; for ever when absent.
    pub expire: Option<Duration>,
    /// How the client catches up.
    pub catch_up: CatchUp,
    /// Is told when the client dies.
    pub alarm: Alarm,
}

/// How the client is, for those who watch it.
#[derive(Clone, Debug, Default)]
struct State {
    joined: bool,
    link: Option<Link>,
    /// Why there is no link.
    reason: Option<Refusal>,
    /// How many messages wait for an answer that may come by itself.
    waiting: usize,
}

/// What the host said when it let us in.
#[derive(Clone, Debug)]
struct Standing {
    /// As whom.
    subject: Subject,
    role: Role,
    policy: Policy,
    head: common::entry::Position,
}

type Joining = oneshot::Sender<Result<JoinedChannel, Refusal>>;

struct Client {
    channel: KnownChannel,
    way: Way,
    store: PeerStore,
    session: SessionView,
    events: Events,
    state: watch::Sender<State>,
    writing: Writing,
    outbox: Outbox,
    writes: InOrder<Written>,
    answers: InOrder<Answered>,
    standing: Option<Standing>,
    joining: Vec<Joining>,
    /// How often connecting is tried.
    pace: Pace,
    flow: Flow,
    /// Which connection is meant; what comes late of an earlier one is passed over.
    generation: u64,
    is_connecting: bool,
    stopping: bool,
    death: Death,
}

/// Starts the client of a channel; one that is joined keeps itself connected from then on.
///
/// # Errors
/// When what was kept of the channel cannot be read.
pub fn start(config: ClientConfig) -> Result<ClientHandle, ReadError> {
    let ClientConfig { channel, way, store, session, events, expire, catch_up, alarm } = config;
    let writing = Writing::load(&store, channel.record.id, catch_up)?;
    let asking = writing.asking.clone();
    let outbox = Outbox::load(store.outbox(channel.record.id)?);
    let pace = Pace::load(store.clone(), Tried::Channel(channel.record.id))?;
    let flow = Flow::load(store.clone(), channel.record.id, expire)?;
    let state = watch::Sender::new(State { joined: channel.joined, ..State::default() });
    let (id, name, view) = (channel.record.id, channel.record.name.clone(), state.subscribe());
    let (writes, written) = in_order(MAX_WRITES);
    let (answers, answered) = in_order(MAX_ANSWERS);
    let client = Client {
        channel,
        way,
        store,
        session,
        events,
        state,
        writing,
        outbox,
        writes,
        answers,
        standing: None,
        joining: Vec::new(),
        pace,
        flow,
        generation: 0,
        is_connecting: false,
        stopping: false,
        death: Death::of("the client of a channel", &alarm),
    };
    let addr = Client::create(|ctx: &mut Context<Client>| {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.add_stream(written);
        ctx.add_stream(answered);
        client
    });
    Ok(ClientHandle::new(addr, id, name, view, asking))
}

impl Actor for Client {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let sessions = stream::unfold(self.session.clone(), |mut session| async move {
            session.changed().await.ok()?;
            Some((SessionChanged, session))
        });
        ctx.add_stream(sessions);
        if self.channel.joined {
            self.show_unshown(ctx);
        }
        self.begin(ctx);
    }
}

impl Client {
    fn link(&self) -> Option<Link> {
        self.state.borrow().link.clone()
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        if self.stopping || self.is_connecting || self.link().is_some() {
            return;
        }
        let Some(held) = self.session.borrow().held.clone() else {
            return self.failed(Code::NotSignedIn.into(), ctx);
        };
        if !self.writing.may_connect() {
            return;
        }
        self.end_rest();
        self.is_connecting = true;
        self.generation += 1;
        let (generation, subject) = (self.generation, held.claims.subject);
        let (way, record, resume) = (self.way.clone(), self.channel.record.clone(), self.writing.resume());
        let entering = async move { way.enter(record, held.signed, resume).await };
        ctx.spawn(Box::pin(entering).into_actor(self).map(move |entered, client, ctx| {
            if generation != client.generation || client.stopping {
                return;
            }
            client.is_connecting = false;
            match entered {
                Ok(entered) => client.up(entered, subject, ctx),
                Err(refusal) => client.failed(refusal, ctx),
            }
        }));
    }

    fn up(&mut self, entered: Entered, subject: Subject, ctx: &mut Context<Self>) {
        let Entered { link, inbox, connected, record, at_home } = entered;
        if let Err(refusal) = self.begin_stream(connected.after, at_home, ctx) {
            link.close();
            return self.failed(refusal, ctx);
        }
        self.pace.worked();
        self.channel =
            KnownChannel { record: ChannelRecord { term: connected.term, ..record }, joined: true };
        let Connected { role, policy, head, .. } = connected;
        self.standing = Some(Standing { subject, role, policy, head });
        self.state.send_modify(|state| {
            state.joined = true;
            state.link = Some(link.clone());
            state.reason = None;
        });
        self.tell_connection(LinkState::Up, None, ctx);
        self.keep_channel(ctx);
        let generation = self.generation;
        ctx.add_stream(self.writing.incoming(generation, link, inbox));
        self.keep(ctx);
        self.fill(ctx);
        self.check_identity(ctx);
        self.pump(ctx);
    }

    fn joined(&self) -> Result<JoinedChannel, Refusal> {
        let standing = self.standing.as_ref().ok_or_else(|| Refusal::from(Code::HostAway))?;
        Ok(JoinedChannel {
            channel: self.channel.name().clone(),
            id: self.channel.record.id,
            head: standing.head,
            role: standing.role,
            policy: standing.policy.clone(),
        })
    }

    /// An attempt to connect came to nothing.
    fn failed(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
        for joining in std::mem::take(&mut self.joining) {
            // Whoever no longer waits has no use for it.
            let _ = joining.send(Err(refusal.clone()));
        }
        if self.channel.joined {
            self.retry(refusal, ctx);
        }
    }

    /// The connection is not there; it is tried again after a while.
    fn retry(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
        // Without a pass nobody is asked: there is nothing to wait out, and signing in tries at once.
        let delay = if refusal.code == Code::NotSignedIn {
            LOOK_FOR_PASS_EVERY
        } else {
            self.pace.failed(&refusal, None)
        };
        self.wait(refusal, delay, ctx);
    }

    fn wait(&mut self, refusal: Refusal, delay: Duration, ctx: &mut Context<Self>) {
        let is_news = self.state.borrow().reason.as_ref().map(|reason| &reason.code) != Some(&refusal.code);
        self.state.send_modify(|state| {
            state.link = None;
            state.reason = Some(refusal.clone());
        });
        if is_news {
            self.tell_connection(LinkState::Retrying, Some(refusal.reason), ctx);
        }
        // What is too late is too late without a connection as well.
        self.pump(ctx);
        let generation = self.generation;
        ctx.run_later(delay, move |client, ctx| {
            if generation == client.generation && client.channel.joined {
                client.connect(ctx);
            }
        });
    }

    /// The connection is lost.
    fn lost(&mut self, reason: CloseReason, ctx: &mut Context<Self>) {
        self.disconnect();
        let refusal = match reason {
            CloseReason::Told(refusal) => refusal,
            reason => {
                Refusal::new(Code::ConnectionLost, format!("the connection to the host was lost: {reason}"))
            }
        };
        self.retry(refusal, ctx);
    }

    /// Lets go of the connection: what it still brings is passed over.
    fn disconnect(&mut self) {
        self.generation += 1;
        self.is_connecting = false;
        self.standing = None;
        self.outbox.disconnected();
        self.writing.disconnected();
        if let Some(link) = self.state.borrow().link.as_ref() {
            link.close();
        }
        self.state.send_modify(|state| {
            state.link = None;
            state.reason = None;
        });
        self.publish_waiting();
    }

    /// Keeps that the channel is joined; whoever waits for that is told when it is on disk.
    fn keep_channel(&mut self, ctx: &mut Context<Self>) {
        let (store, channel) = (self.store.clone(), self.channel.clone());
        let (joining, joined) = (std::mem::take(&mut self.joining), self.joined());
        let kept = async move {
            if let Err(error) = store.keep_channel(&channel).await {
                tracing::warn!(channel = %channel.record.id, err = %error, "the channel could not be kept");
            }
            crash::here(Point::ClientJoined);
            for joining in joining {
                // Whoever no longer waits has no use for it.
                let _ = joining.send(joined.clone());
            }
        };
        ctx.spawn(kept.into_actor(self));
    }

    fn tell(&self, event: Event, ctx: &mut Context<Self>) {
        ctx.wait(self.events.tell(event).into_actor(self));
    }
}

struct FromHost {
    generation: u64,
    inbound: Result<Inbound, CloseReason>,
}

impl StreamHandler<FromHost> for Client {
    fn handle(&mut self, item: FromHost, ctx: &mut Self::Context) {
        if item.generation != self.generation || self.stopping {
            return;
        }
        match item.inbound {
            Ok(Inbound::Event(event)) => self.told(&event.name, &event.body, ctx),
            Ok(Inbound::Request(request)) => {
                if let Some(link) = self.link() {
                    // A link that has ended says so by its stream.
                    let _ = link.answer_unexpected(&request);
                }
            }
            Err(reason) => self.lost(reason, ctx),
        }
    }

    /// The end of one connection is not the end of the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

struct SessionChanged;

impl StreamHandler<SessionChanged> for Client {
    fn handle(&mut self, _: SessionChanged, ctx: &mut Self::Context) {
        let held = self.session.borrow().held.clone();
        match (self.link(), held) {
            (Some(link), Some(held)) if self.is_entered_as(&held) => self.show_pass(link, held, ctx),
            (Some(_), Some(_)) => self.check_identity(ctx),
            (Some(_), None) => {
                self.disconnect();
                self.retry(Code::NotSignedIn.into(), ctx);
            }
            (None, Some(_)) if self.channel.joined && !self.is_resting(ctx) => self.connect(ctx),
            (None, _) => {}
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}
