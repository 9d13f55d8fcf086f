//! The part of a peer that is in one channel: it receives the log, and sends what was written.
//!
//! The actor owns the connection and applies what the pure parts decide: [`resume`] (what continues the log),
//! [`archive`] (what of it is on disk here) and [`outbox`] (what goes out, and when).

pub mod archive;
mod connect;
mod connection;
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
use common::clock::Timestamp;
use common::crash::{self, Point};
use common::id::Subject;
use common::link::{CloseReason, Inbound, Link};
use common::proto::channel::Role;
use common::proto::directory::Switches;
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use common::proto::status::Refusal;
use common::storage::ReadError;
use futures_util::stream;
use tokio::sync::{oneshot, watch};

pub use archive::CatchUp;
pub use connect::{Way, follow};
pub use handle::ClientHandle;
pub use incoming::chat_message;
pub use telling::short_id;

use crate::alarm::{Alarm, Death};
use crate::api::{Event, JoinedChannel};
use crate::events::Events;
use crate::pace::Tried;
use crate::reconnect::Reconnect;
use crate::session::SessionView;
use crate::store::{KnownChannel, PeerStore};
use archive::Writing;
use connection::SessionChanged;
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
    policy: Switches,
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
    /// When connecting is tried.
    reconnect: Reconnect,
    flow: Flow,
    /// Over which connection to the tracker this client had it tell when the host is seen.
    located_over: u64,
    /// Who the last attempt to connect was made as.
    tried_as: Option<Subject>,
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
    let kept = store.pace(&Tried::Channel(channel.record.id))?;
    let reconnect = Reconnect::new(kept, Timestamp::now());
    let flow = Flow::load(&store, channel.record.id, expire)?;
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
        reconnect,
        flow,
        located_over: 0,
        tried_as: None,
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
        if item.generation != self.generation() || self.stopping {
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
