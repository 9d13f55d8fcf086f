//! Private conversations: from this peer's device straight to the devices of its user's contacts.
//!
//! One actor owns all of them and applies what the pure parts decide: [`book`] (who may talk to this user), [`order`]
//! (where a message stands), [`lines`] (which of two connections stays), [`sending`] (what goes out). What was written
//! and what was received is in the [`archive`]: it is also what is sent from, so that there is no outbox beside it.

pub mod archive;
pub mod book;
mod carrying;
mod commands;
mod dial;
mod door;
mod found;
mod handle;
pub mod lines;
mod meet;
pub mod order;
mod outgoing;
pub mod sending;
mod shown;
mod talk;
mod telling;
mod unseen;
mod visit;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use actix::prelude::*;
use common::id::{MessageId, Subject};
use common::identity::PeerKey;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::status::{Code, Refusal};
use common::storage::{ReadError, Store};
use common::transport::Transport;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

pub use book::Accept;
pub use door::{Door, Visitor, Visitors, door};
pub use found::FoundDirect;
pub use handle::DirectHandle;

use crate::alarm::{Alarm, Death};
use crate::api::Event;
use crate::events::Events;
use crate::files::FilesHandle;
use crate::hosting::HostingHandle;
use crate::presence::PresenceHandle;
use crate::search::Search;
use crate::session::SessionView;
use crate::tracker_link::TrackerHandle;
use archive::Archive;
use book::{Book, ContactId};
use dial::Reach;
use lines::{ConnId, Lines};
use sending::Sending;
use shown::Unshown;
use talk::Talk;
use unseen::Unseen;

/// How many messages may wait for this actor.
const MAILBOX: usize = 64;
/// How many connections may be there that are not a conversation yet.
const MAX_VISITORS: usize = 256;
/// How many of these may come from one place.
const MAX_VISITORS_EACH: usize = MAX_VISITORS / 4;

/// How its user wants private conversations.
#[derive(Clone, Copy, Debug)]
pub struct DirectSettings {
    /// Who gets through without being asked about.
    pub accept: Accept,
    /// Whether others are told what was read.
    pub receipts: bool,
    /// A request is said to be unanswered after so long.
    pub unanswered_after: Duration,
}

impl Default for DirectSettings {
    fn default() -> Self {
        Self { accept: Accept::Ask, receipts: true, unanswered_after: Duration::from_secs(60) }
    }
}

/// What private conversations need from the rest of the peer.
pub struct DirectConfig {
    /// How its user wants them.
    pub settings: DirectSettings,
    /// Where they are kept.
    pub store: Store,
    /// How to dial.
    pub transport: Transport,
    /// Who introduces peers.
    pub tracker: TrackerHandle,
    /// Who listens.
    pub hosting: HostingHandle,
    /// Who watches the contacts.
    pub presence: PresenceHandle,
    /// Who is told of files that are offered.
    pub files: FilesHandle,
    /// Who is told that there is something new.
    pub search: Search,
    /// Those who connect.
    pub visitors: Visitors,
    /// Where the user interface is told.
    pub events: Events,
    /// Is told when the actor dies.
    pub alarm: Alarm,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The other side has dialled and not yet said who it is.
    Greeted,
    /// It has said who it is, and what of this device's messages it has; whether it is let in is for the user to say.
    Waiting {
        /// The last message of this device that it has.
        have: u64,
    },
    /// This side has dialled, and waits to be let in.
    Asking,
    /// Messages may go.
    Open,
}

struct Conn {
    link: Link,
    key: PeerKey,
    phase: Phase,
    /// Whose device it is, once that is known.
    contact: Option<ContactId>,
    /// The number of the pass that the other side has shown.
    serial: Option<u64>,
    sending: Sending,
    /// What was sent and not answered.
    in_flight: BTreeMap<u64, MessageId>,
    /// How many messages of the other side are not answered.
    unanswered: usize,
}

impl Conn {
    fn new(link: Link, phase: Phase) -> Self {
        let (key, sending) = (link.peer_key(), Sending::new(0));
        let in_flight = BTreeMap::new();
        Self { link, key, phase, contact: None, serial: None, sending, in_flight, unanswered: 0 }
    }
}

struct Direct {
    settings: DirectSettings,
    me: PeerKey,
    archive: Archive,
    transport: Transport,
    tracker: TrackerHandle,
    hosting: HostingHandle,
    session: SessionView,
    events: Events,
    book: Book,
    lines: Lines,
    conns: HashMap<ConnId, Conn>,
    next_conn: u64,
    talks: HashMap<ContactId, Talk>,
    reach: HashMap<PeerKey, Reach>,
    /// How many attempts to reach somebody are under way.
    dials: usize,
    unshown: VecDeque<Unshown>,
    is_looking: bool,
    /// As whom the connections were made.
    subject: Option<Subject>,
    /// Which announcement at the tracker is meant; an earlier one that failed is not tried again.
    announcement: u64,
    is_keeping_later: bool,
    /// The user was told that what comes in cannot be kept.
    is_failing: bool,
    /// How many messages wait for answers over connections that are there.
    owed: watch::Sender<u64>,
    stopping: bool,
    /// To whom this peer is there although its user is invisible.
    unseen: Unseen,
    presence: PresenceHandle,
    files: FilesHandle,
    search: Search,
    death: Death,
}

/// Whether somebody may come for a conversation.
///
/// # Errors
/// When what was kept cannot be read.
pub fn has_contacts(store: &Store) -> Result<bool, ReadError> {
    Archive::new(store.clone()).book().map(|book| book.is_in_use())
}

/// Starts it. Contacts are looked for as soon as the tracker is there, and dialled where they were last.
///
/// # Errors
/// When what was kept cannot be read.
pub fn start(config: DirectConfig) -> Result<DirectHandle, ReadError> {
    let DirectConfig {
        settings,
        store,
        transport,
        tracker,
        hosting,
        presence,
        files,
        search,
        visitors,
        events,
        alarm,
    } = config;
    let archive = Archive::new(store);
    let book = archive.book()?;
    let (me, session) = (transport.key(), tracker.session());
    let owed = watch::Sender::new(0);
    let view = owed.subscribe();
    let actor = Direct {
        settings,
        me,
        archive,
        transport,
        tracker,
        hosting,
        session,
        events,
        book,
        lines: Lines::new(me),
        conns: HashMap::new(),
        next_conn: 0,
        talks: HashMap::new(),
        reach: HashMap::new(),
        dials: 0,
        unshown: VecDeque::new(),
        is_looking: false,
        subject: None,
        announcement: 0,
        is_keeping_later: false,
        is_failing: false,
        owed,
        stopping: false,
        unseen: Unseen::new(visitors.latch()),
        presence,
        files,
        search,
        death: Death::of("private conversations", &alarm),
    };
    let addr = Direct::create(|ctx: &mut Context<Direct>| {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.add_stream(visitors.into_stream());
        actor
    });
    Ok(DirectHandle::new(addr, view))
}

impl Actor for Direct {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut session = self.session.clone();
        // Whatever it was at the start counts as news.
        session.mark_changed();
        let sessions = stream::unfold(session, |mut session| async move {
            session.changed().await.ok()?;
            Some((SessionChanged, session))
        });
        ctx.add_stream(sessions);
        self.be_seen_or_not(ctx);
        self.listen(ctx);
        self.follow_contacts(ctx);
        self.show_unshown(ctx);
    }
}

impl Direct {
    /// Contacts know where this peer was last; the tracker may be away.
    fn listen(&self, ctx: &mut Context<Self>) {
        if self.book.is_in_use() && !self.unseen.is_on() {
            let hosting = self.hosting.clone();
            let listening = async move {
                if let Err(refusal) = hosting.place().await {
                    tracing::warn!(err = %refusal, "contacts cannot reach this peer");
                }
            };
            ctx.spawn(listening.into_actor(self));
        }
    }

    fn tell(&self, event: Event, ctx: &mut Context<Self>) {
        ctx.wait(self.events.tell(event).into_actor(self));
    }

    fn warn(&self, refusal: Refusal, ctx: &mut Context<Self>) {
        let Refusal { code, reason, .. } = refusal;
        self.tell(Event::Warning { code, reason, channel: None }, ctx);
    }

    /// Takes a connection on: what comes over it comes to this actor from now on.
    fn take_on(&mut self, conn: Conn, inbox: Inbox, ctx: &mut Context<Self>) -> ConnId {
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(id, conn);
        ctx.add_stream(inbox.into_stream().map(move |inbound| FromPeer { id, inbound }));
        ctx.run_later(common::proto::limits::CHAT_REQUEST_LIMIT, move |direct, _| {
            if let Some(conn) = direct.conns.get(&id).filter(|conn| conn.phase != Phase::Open) {
                conn.link.close_because(Code::TimedOut.into());
            }
        });
        id
    }

    fn close(&self, id: ConnId, reason: Refusal) {
        if let Some(conn) = self.conns.get(&id) {
            conn.link.close_because(reason);
        }
    }
}

struct FromPeer {
    id: ConnId,
    inbound: Result<Inbound, CloseReason>,
}

impl StreamHandler<FromPeer> for Direct {
    fn handle(&mut self, FromPeer { id, inbound }: FromPeer, ctx: &mut Self::Context) {
        match inbound {
            Ok(Inbound::Request(request)) => self.asked(id, request, ctx),
            // Nothing that a peer tells is known here; a newer one may.
            Ok(Inbound::Event(_)) => {}
            Err(reason) => self.ended(id, &reason, ctx),
        }
    }

    /// The end of one connection is not the end of the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

struct SessionChanged;

impl StreamHandler<SessionChanged> for Direct {
    fn handle(&mut self, _: SessionChanged, ctx: &mut Self::Context) {
        let (directory, subject, entered) = {
            let session = self.session.borrow();
            let subject = session.held.as_ref().map(|held| held.claims.subject);
            (session.directory.clone(), subject, session.entered)
        };
        if let Some(directory) = directory {
            self.hosting.hosts().gate().trust(directory);
        }
        if subject != self.subject {
            // Whoever this peer was, it talks as somebody else now.
            for conn in self.conns.values() {
                conn.link.close_because(Code::GoingAway.into());
            }
            self.subject = subject;
        }
        self.be_seen_or_not(ctx);
        if entered {
            self.announce_all(ctx);
        }
        self.look_for_all(ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}
