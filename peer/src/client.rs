//! The part of a peer that is in one channel: it receives the log, and sends what was written.
//!
//! In reading order: what it decides, which is pure ([`state`], and its parts [`archive`], [`outbox`], [`resume`]); the
//! actor, which owns the connection, says what happens, and does what was decided (`effects`); what may be asked of it
//! (`messages`, `handle`).

pub mod archive;
mod connect;
mod effects;
mod giving;
mod handle;
mod in_order;
mod lost;
mod messages;
mod moving;
pub mod outbox;
pub mod resume;
pub mod state;
mod telling;

use std::time::Duration;

use actix::prelude::*;
use common::link::{CloseReason, Inbound, Link};
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use common::proto::status::Refusal;
use common::storage::ReadError;
use futures_util::stream;
use tokio::sync::{oneshot, watch};

pub use archive::{CatchUp, Fill, Sources};
pub(crate) use connect::LONGEST_LOG;
pub use connect::{Resume, Way, follow};
pub(crate) use effects::why;
pub use handle::ClientHandle;
pub use telling::{chat_message, short_id};

use crate::alarm::{Alarm, Death};
use crate::api::JoinedChannel;
use crate::events::Events;
use crate::files::FilesHandle;
use crate::pace::Tried;
use crate::reconnect::Now;
use crate::search::Search;
use crate::session::SessionView;
use crate::store::{KnownChannel, PeerStore};
use archive::{Archive, Asking};
use effects::{Answered, Written};
use in_order::{InOrder, in_order};
use state::{Around, ClientState, Habits, KeptClient, Me};

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
    /// Who is told of files that are offered.
    pub files: FilesHandle,
    /// Who is told that there is something new.
    pub search: Search,
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
struct Status {
    joined: bool,
    link: Option<Link>,
    /// Why there is no link.
    reason: Option<Refusal>,
    /// How many messages wait for an answer that may come by itself.
    waiting: usize,
}

type Joining = oneshot::Sender<Result<JoinedChannel, Refusal>>;

struct Client {
    state: ClientState,
    way: Way,
    store: PeerStore,
    archive: Archive,
    session: SessionView,
    files: FilesHandle,
    search: Search,
    events: Events,
    status: watch::Sender<Status>,
    link: Option<Link>,
    /// Whether the stream is held back.
    held: watch::Sender<bool>,
    /// How many requests of the user are unanswered.
    asking: Asking,
    /// How many requests of the host are.
    giving: Asking,
    writes: InOrder<Written>,
    answers: InOrder<Answered>,
    joining: Vec<Joining>,
    death: Death,
}

/// Starts the client of a channel; one that is joined keeps itself connected from then on.
///
/// # Errors
/// When what was kept of the channel cannot be read.
pub fn start(config: ClientConfig) -> Result<ClientHandle, ReadError> {
    let ClientConfig { channel, way, store, session, files, search, events, expire, catch_up, alarm } =
        config;
    let (id, name, joined) = (channel.record.id, channel.record.name.clone(), channel.joined);
    let archive = Archive::new(store.store().clone(), id);
    let kept = KeptClient {
        archive: archive.load()?,
        outbox: store.outbox(id)?,
        connecting: store.pace(&Tried::Channel(id))?,
        sending: store.pace(&Tried::Outbox(id))?,
        channel,
    };
    let asking = Asking::default();
    let around = around(&session, &events, &asking, false);
    let state = ClientState::new(kept, Habits { expire, catch_up }, around);
    let status = watch::Sender::new(Status { joined, ..Status::default() });
    let (view, user_asks) = (status.subscribe(), asking.clone());
    let (writes, written) = in_order(MAX_WRITES);
    let (answers, answered) = in_order(MAX_ANSWERS);
    let client = Client {
        state,
        way,
        store,
        archive,
        session,
        files,
        search,
        events,
        status,
        link: None,
        held: watch::Sender::new(false),
        asking,
        giving: Asking::default(),
        writes,
        answers,
        joining: Vec::new(),
        death: Death::of("the client of a channel", &alarm),
    };
    let addr = Client::create(|ctx: &mut Context<Client>| {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.add_stream(written);
        ctx.add_stream(answered);
        client
    });
    Ok(ClientHandle::new(addr, id, name, view, user_asks))
}

fn around(session: &SessionView, events: &Events, asking: &Asking, is_open: bool) -> Around {
    let session = session.borrow();
    let me = |held: &crate::session::HeldPass| Me {
        subject: held.claims.subject,
        name: session.username.to_string(),
        invisible: session.invisible,
    };
    Around {
        now: Now::real(),
        me: session.held.as_ref().map(me),
        entered_over: session.entered_over(),
        taken: events.taken(),
        is_asking: asking.is_asking(),
        is_open,
    }
}

impl Actor for Client {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let sessions = stream::unfold(self.session.clone(), |mut session| async move {
            session.changed().await.ok()?;
            Some((SessionChanged, session))
        });
        ctx.add_stream(sessions);
        self.step(ctx, ClientState::start);
    }
}

impl Client {
    /// Says what has happened, and does what follows.
    fn step<R>(&mut self, ctx: &mut Context<Self>, input: impl FnOnce(&mut ClientState) -> R) -> R {
        let is_open = self.link.as_ref().is_some_and(|link| !link.is_closed());
        self.state.look(around(&self.session, &self.events, &self.asking, is_open));
        let outcome = input(&mut self.state);
        self.follow_up(ctx);
        outcome
    }
}

struct FromHost {
    generation: u64,
    inbound: Result<Inbound, CloseReason>,
}

impl StreamHandler<FromHost> for Client {
    fn handle(&mut self, FromHost { generation, inbound }: FromHost, ctx: &mut Self::Context) {
        if generation != self.state.generation() {
            return;
        }
        match inbound {
            Ok(Inbound::Event(event)) => self.told(generation, &event.name, &event.body, ctx),
            Ok(Inbound::Request(request)) => {
                self.asked(&request, ctx);
            }
            Err(reason) => {
                let (why, cut) = (why(reason), self.cut_at_home());
                self.step(ctx, |state| {
                    if let Some(cut) = cut {
                        state.cut_at_home(cut);
                    }
                    state.lost(generation, why);
                });
            }
        }
    }

    /// The end of one connection is not the end of the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

struct SessionChanged;

impl StreamHandler<SessionChanged> for Client {
    fn handle(&mut self, _: SessionChanged, ctx: &mut Self::Context) {
        self.step(ctx, ClientState::session_changed);
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}
