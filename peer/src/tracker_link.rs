//! The connection to the tracker: found, entered, renewed, and tried again when it is lost.
//!
//! One actor owns it and alone changes the [`Session`]; requests of others go over the link directly, past its mailbox.

mod connection;
mod contact;
mod entry;
mod handle;
pub mod trust;

use std::time::Duration;

use actix::prelude::*;
use common::clock::Timestamp;
use common::identity::PeerKey;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::directory::Entered;
use common::proto::event::TrackerEvent;
use common::proto::status::{Code, Refusal};
use common::transport::Transport;
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use contact::{TrackerAddress, TrustError, TrustFile, hello_for};
pub use entry::Entry;
pub use handle::TrackerHandle;

use crate::alarm::{Alarm, Death};
use crate::api::{Event, Identity, LinkState, SessionState};
use crate::events::Events;
use crate::reconnect::Reconnect;
use crate::session::Session;
use crate::store::PeerStore;

/// How many messages may wait for this actor.
const MAILBOX: usize = 64;
/// How many of the tracker's events may wait for the node.
const WAITING_TRACKER_EVENTS: usize = 64;
/// A pass is not renewed more often than this, whatever its lifetime.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(30);

/// What the link needs from the rest of the peer.
pub struct TrackerLinkConfig {
    /// Where the tracker is.
    pub tracker: TrackerAddress,
    /// The known trackers.
    pub trust: TrustFile,
    /// How to get there.
    pub transport: Transport,
    /// Where the session is kept.
    pub store: PeerStore,
    /// The session as it was kept.
    pub session: Session,
    /// Whether its name was asked for, rather than found.
    pub name_was_given: bool,
    /// Where the user interface is told.
    pub events: Events,
    /// Is told when the link's actor dies.
    pub alarm: Alarm,
}

/// How the link is, for those who watch it.
#[derive(Clone, Debug)]
struct State {
    link: Option<Link>,
    /// Why it is down.
    reason: Option<Refusal>,
    down: Option<Down>,
    key: Option<PeerKey>,
    confirmed: bool,
    /// Whether the first attempt is over, however it ended.
    settled: bool,
    /// Whether an attempt is under way.
    is_dialling: bool,
}

/// The link is down: it was lost, or is tried for in vain.
#[derive(Clone, Copy, Debug)]
struct Down {
    since: Instant,
    /// The same for people.
    at: Timestamp,
}

impl Down {
    fn now() -> Self {
        Self { since: Instant::now(), at: Timestamp::now() }
    }
}

struct TrackerLink {
    config: TrackerLinkConfig,
    session: watch::Sender<Session>,
    state: watch::Sender<State>,
    to_node: mpsc::Sender<TrackerEvent>,
    /// When connecting is tried.
    reconnect: Reconnect,
    stopping: bool,
    death: Death,
}

/// Starts the link; it keeps itself up from then on. The receiver yields what the tracker tells of channels.
pub fn start(config: TrackerLinkConfig) -> (TrackerHandle, mpsc::Receiver<TrackerEvent>) {
    let (to_node, from_tracker) = mpsc::channel(WAITING_TRACKER_EVENTS);
    let session = watch::Sender::new(config.session.clone());
    let key = config.tracker.key;
    let state = watch::Sender::new(State {
        link: None,
        reason: None,
        down: Some(Down::now()),
        key,
        confirmed: key.is_some(),
        settled: false,
        is_dialling: false,
    });
    let (view, states) = (session.subscribe(), state.subscribe());
    let (tracker, trust) = (config.tracker.address.clone(), config.trust.clone());
    let addr = TrackerLink::create(|ctx: &mut Context<TrackerLink>| {
        ctx.set_mailbox_capacity(MAILBOX);
        let reconnect = connection::load_reconnect(&config);
        let death = Death::of("the link to the tracker", &config.alarm);
        TrackerLink { config, session, state, to_node, reconnect, stopping: false, death }
    });
    (TrackerHandle::new(addr, view, states, tracker, trust), from_tracker)
}

impl Actor for TrackerLink {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.start(ctx);
    }
}

impl TrackerLink {
    /// Takes the outcome of an entry the user did not ask for.
    fn entered(&mut self, entered: Result<Option<Entered>, Refusal>, ctx: &mut Context<Self>) {
        let adopted = entered.and_then(|entered| self.adopt(entered, ctx));
        if let Err(refusal) = adopted {
            self.session.send_modify(|session| session.entered = false);
            self.let_go(&refusal, ctx);
            self.tell_session(Some(refusal), ctx);
        }
    }

    fn adopt(&mut self, entered: Option<Entered>, ctx: &mut Context<Self>) -> Result<Identity, Refusal> {
        let mut session = self.session.borrow().clone();
        let missed = entered.iter().flat_map(|entered| &entered.missed.revoked);
        self.pass_on_all(missed.cloned().map(TrackerEvent::Revoked).collect(), ctx);
        entry::adopt(&mut session, entered, Timestamp::now())?;
        let identity = session.identity();
        let is_news = identity.state != self.session.borrow().state()
            || identity.username != self.session.borrow().username;
        self.keep(&session, ctx);
        self.plan_renewal(&session, ctx);
        self.session.send_replace(session);
        if is_news {
            self.tell_session(None, ctx);
        }
        Ok(identity)
    }

    /// A pass that was revoked is shown to nobody any more.
    fn let_go(&self, why: &Refusal, ctx: &mut Context<Self>) {
        if matches!(why.code, Code::Revoked | Code::Suspended) {
            self.session.send_modify(|session| session.held = None);
            let session = self.session.borrow().clone();
            self.keep(&session, ctx);
        }
    }

    fn set_invisible(&self, on: bool, ctx: &mut Context<Self>) {
        let is_account = |session: &Session| session.state() == SessionState::Account;
        let changed = self.session.send_if_modified(|session| {
            is_account(session) && std::mem::replace(&mut session.invisible, on) != on
        });
        if changed {
            let session = self.session.borrow().clone();
            self.keep(&session, ctx);
        }
    }

    fn keep(&self, session: &Session, ctx: &mut Context<Self>) {
        let (store, session) = (self.config.store.clone(), session.clone());
        let kept = async move {
            if let Err(error) = store.keep_session(&session).await {
                tracing::warn!(err = %error, "the session could not be kept; the next start asks the tracker");
            }
        };
        ctx.spawn(kept.into_actor(self));
    }

    fn plan_renewal(&self, session: &Session, ctx: &mut Context<Self>) {
        let Some(held) = &session.held else { return };
        let wait = held.claims.renew_at().since(Timestamp::now()).max(SHORTEST_RENEWAL);
        let (serial, generation) = (held.claims.serial, self.generation());
        ctx.run_later(wait, move |link, ctx| link.renew(serial, generation, ctx));
    }

    fn renew(&mut self, serial: u64, generation: u64, ctx: &mut Context<Self>) {
        let is_current = self.session.borrow().held.as_ref().is_some_and(|held| held.claims.serial == serial);
        let Some(link) = self.state.borrow().link.clone() else { return };
        if !is_current || generation != self.generation() {
            return;
        }
        let renewal = async move { Entry::Renew.ask(&link).await };
        ctx.spawn(renewal.into_actor(self).map(move |renewed, link, ctx| match renewed {
            _ if generation != link.generation() => {}
            Err(error) if error.clone().into_refusal().code.is_passing() => {
                ctx.run_later(SHORTEST_RENEWAL, move |link, ctx| link.renew(serial, generation, ctx));
            }
            renewed => link.entered(renewed.map_err(common::link::RequestError::into_refusal), ctx),
        }));
    }

    fn read(&self, inbox: Inbox, ctx: &mut Context<Self>) {
        let generation = self.generation();
        let inbound = inbox.into_stream().map(move |inbound| FromTracker { generation, inbound });
        ctx.add_stream(inbound);
    }

    /// Hands an event to the node, which may keep it waiting.
    fn pass_on(&self, event: TrackerEvent, ctx: &mut Context<Self>) {
        self.pass_on_all(vec![event], ctx);
    }

    /// Hands events over in order: of several futures that an actor waits for, the last is done first.
    fn pass_on_all(&self, events: Vec<TrackerEvent>, ctx: &mut Context<Self>) {
        let to_node = self.to_node.clone();
        let told = async move {
            for event in events {
                // A node that has ended has no use for it.
                let _ = to_node.send(event).await;
            }
        };
        ctx.wait(told.into_actor(self));
    }

    fn tell_session(&self, refusal: Option<Refusal>, ctx: &mut Context<Self>) {
        let (state, username) = {
            let session = self.session.borrow();
            (session.state(), session.username.clone())
        };
        let (code, reason) = refusal.map(|refusal| (refusal.code, refusal.reason)).unzip();
        self.tell(Event::Session { state, username, code, reason }, ctx);
    }

    fn tell_connection(
        &self,
        state: LinkState,
        reason: Option<String>,
        since: Option<Timestamp>,
        ctx: &mut Context<Self>,
    ) {
        self.tell(Event::Connection { to: "tracker".to_owned(), state, reason, since }, ctx);
    }

    fn tell(&self, event: Event, ctx: &mut Context<Self>) {
        ctx.wait(self.config.events.tell(event).into_actor(self));
    }
}

struct FromTracker {
    generation: u64,
    inbound: Result<Inbound, CloseReason>,
}

impl StreamHandler<FromTracker> for TrackerLink {
    fn handle(&mut self, item: FromTracker, ctx: &mut Self::Context) {
        if item.generation != self.generation() || self.stopping {
            return;
        }
        match item.inbound {
            Ok(Inbound::Event(event)) => match TrackerEvent::parse(&event.name, &event.body) {
                Ok(TrackerEvent::InvisibleChanged(changed)) => self.set_invisible(changed.on, ctx),
                Ok(event) => self.pass_on(event, ctx),
                Err(refusal) => tracing::debug!(reason = %refusal, "event of the tracker passed over"),
            },
            Ok(Inbound::Request(request)) => {
                if let Some(link) = &self.state.borrow().link {
                    // A link that has ended says so by its stream.
                    let _ = link.answer_unexpected(&request);
                }
            }
            Err(reason) => self.lost(&reason, ctx),
        }
    }

    /// The end of one connection is not the end of the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

/// Enter, or leave, as the user said.
#[derive(Message)]
#[rtype(result = "Result<Identity, Refusal>")]
struct Enter(Entry);

impl Handler<Enter> for TrackerLink {
    type Result = ResponseActFuture<Self, Result<Identity, Refusal>>;

    fn handle(&mut self, Enter(entry): Enter, _: &mut Self::Context) -> Self::Result {
        let state = self.state.borrow().clone();
        let generation = self.generation();
        let asked = async move {
            let link = state.link.ok_or_else(|| state.reason.unwrap_or_else(|| Code::TrackerAway.into()))?;
            if entry.needs_trust() && !state.confirmed {
                return Err(Code::TrackerUnconfirmed.into());
            }
            entry.ask(&link).await.map_err(common::link::RequestError::into_refusal)
        };
        Box::pin(asked.into_actor(self).map(move |entered, link, ctx| {
            if generation != link.generation() {
                return Err(Code::ConnectionLost.into());
            }
            link.adopt(entered?, ctx)
        }))
    }
}

/// The tracker has taken it in that this account is seen, or not.
#[derive(Message)]
#[rtype(result = "()")]
struct SetInvisible(bool);

impl Handler<SetInvisible> for TrackerLink {
    type Result = ();

    fn handle(&mut self, SetInvisible(on): SetInvisible, ctx: &mut Self::Context) {
        self.set_invisible(on, ctx);
    }
}

/// The user has compared the tracker's key.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
struct Confirm(PeerKey);

impl Handler<Confirm> for TrackerLink {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Confirm(key): Confirm, _: &mut Self::Context) -> Self::Result {
        if self.state.borrow().key != Some(key) {
            return Err(Refusal::new(
                Code::TrackerKeyChanged,
                "the tracker has another key than the confirmed one",
            ));
        }
        self.config.trust.pin(&self.config.tracker.address, key, true)?;
        self.state.send_modify(|state| state.confirmed = true);
        Ok(())
    }
}

/// Stop trying, close the link once what waits is written.
#[derive(Message)]
#[rtype(result = "()")]
struct Shutdown;

impl Handler<Shutdown> for TrackerLink {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        self.death.expected();
        let link = self.state.borrow().link.clone();
        ctx.run_later(Duration::ZERO, |_, ctx| ctx.stop());
        Box::pin(async move {
            if let Some(link) = link {
                link.close();
                link.finished().await;
            }
        })
    }
}
