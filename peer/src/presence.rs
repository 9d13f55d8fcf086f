//! Who of those whom this peer's user knows is at the tracker: those watched by name, and the contacts.
//!
//! The tracker is asked on every new session, and tells what changes; what is the same as before is not told again.

pub mod roster;

use std::time::Duration;

use actix::prelude::*;
use common::id::Subject;
use common::name::UserName;
use common::proto::limits::MAX_USERS_IN_FRAME;
use common::proto::presence::{CameOnline, Unwatch, User, Watch, Watched, WentOffline};
use common::proto::status::{Code, Refusal};
use futures_util::{Stream, stream};

use crate::alarm::{Alarm, Death};
use crate::api::{Event, WatchList, WatchedUser};
use crate::events::Events;
use crate::session::{Session, SessionView};
use crate::store::PeerStore;
use crate::tracker_link::TrackerHandle;
use roster::{Change, MAX_WATCHED_BY_NAME, News, Roster};

/// How many messages may wait for this actor.
const MAILBOX: usize = 64;
/// When the tracker did not take what was asked, it is asked again so much later.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What presence needs from the rest of the peer.
pub struct PresenceConfig {
    /// Who is asked.
    pub tracker: TrackerHandle,
    /// Where the list is kept.
    pub store: PeerStore,
    /// Where the user interface is told.
    pub events: Events,
    /// Is told when the actor dies.
    pub alarm: Alarm,
}

/// The handle of presence. Cheap to clone.
#[derive(Clone)]
pub struct PresenceHandle(Addr<Presence>);

struct Presence {
    roster: Roster,
    tracker: TrackerHandle,
    session: SessionView,
    store: PeerStore,
    events: Events,
    /// The session that was asked last, and how often any was.
    asked: (Option<SessionId>, u64),
    death: Death,
}

/// The connection over which the tracker has let this peer in, and the number of the pass it gave.
type SessionId = (u64, u64);

fn session_id(session: &Session) -> Option<SessionId> {
    Some((session.entered_over()?, session.held.as_ref()?.claims.serial))
}

/// Starts it, with the list as it was kept.
pub fn start(config: PresenceConfig) -> PresenceHandle {
    let PresenceConfig { tracker, store, events, alarm } = config;
    let kept = store.watched().unwrap_or_else(|error| {
        tracing::warn!(err = %error, "who is watched cannot be read");
        Vec::new()
    });
    PresenceHandle(Presence::create(|ctx: &mut Context<Presence>| {
        ctx.set_mailbox_capacity(MAILBOX);
        let session = tracker.session();
        ctx.add_stream(changes(session.clone()));
        let death = Death::of("presence", &alarm);
        Presence { roster: Roster::new(kept), tracker, session, store, events, asked: (None, 0), death }
    }))
}

/// The session as it is, and every time it changes.
fn changes(session: SessionView) -> impl Stream<Item = SessionChanged> {
    stream::unfold((session, true), |(mut session, is_first)| async move {
        if !is_first {
            session.changed().await.ok()?;
        }
        session.mark_unchanged();
        Some((SessionChanged, (session, false)))
    })
}

impl PresenceHandle {
    /// The tracker has told something of those who are watched.
    pub async fn came(&self, CameOnline { users }: CameOnline) {
        // An ended actor shows nothing any more.
        let _ = self.0.send(Told { users, is_online: true }).await;
    }

    /// See [`Self::came`].
    pub async fn left(&self, WentOffline { users }: WentOffline) {
        let _ = self.0.send(Told { users, is_online: false }).await;
    }

    /// Watches these from now on, also after a restart.
    ///
    /// # Errors
    /// When there are too many, or the store does not keep it.
    pub async fn watch(&self, users: Vec<User>) -> Result<WatchList, Refusal> {
        self.0.send(WatchThem(users)).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Does not watch these any more.
    ///
    /// # Errors
    /// `no_such_user` for one who is not watched.
    pub async fn unwatch(&self, names: Vec<UserName>) -> Result<WatchList, Refusal> {
        self.0.send(UnwatchThem(names)).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Who is watched by name.
    ///
    /// # Errors
    /// When the peer ends.
    pub async fn list(&self) -> Result<WatchList, Refusal> {
        self.0.send(GetList).await.map_err(|_| Code::GoingAway.into())
    }

    /// These are the contacts: they are watched as long as they are, beside those watched by name.
    pub async fn follow(&self, contacts: Vec<User>) {
        // An ended actor watches nobody any more.
        let _ = self.0.send(Follow(contacts)).await;
    }

    /// Ends.
    pub async fn shut_down(&self) {
        // Gone already is as good.
        let _ = self.0.send(Shutdown).await;
    }
}

impl Actor for Presence {
    type Context = Context<Self>;
}

/// Asks the tracker to tell of these, in pieces that fit a frame.
async fn ask(tracker: TrackerHandle, subjects: Vec<Subject>) -> Result<Vec<User>, Refusal> {
    let mut there = Vec::new();
    for some in subjects.chunks(MAX_USERS_IN_FRAME) {
        let Watched { users } = tracker.request(&Watch { subjects: some.to_vec() }).await?;
        there.extend(users);
    }
    Ok(there)
}

async fn take_back(tracker: TrackerHandle, subjects: Vec<Subject>) -> Result<(), Refusal> {
    for some in subjects.chunks(MAX_USERS_IN_FRAME) {
        tracker.request(&Unwatch { subjects: some.to_vec() }).await?;
    }
    Ok(())
}

impl Presence {
    fn list(&self) -> WatchList {
        let is_known = self.session.borrow().entered;
        let rows = self.roster.rows().into_iter();
        let row = |row: roster::Row| {
            let User { subject, name, kind } = row.user;
            WatchedUser { subject, name, kind, online: is_known.then_some(row.is_online) }
        };
        WatchList { watched: rows.map(row).collect() }
    }

    /// Asks for all whom this peer watches, over a session that knows nothing of them.
    fn ask_anew(&mut self, ctx: &mut Context<Self>) {
        let number = self.asked.1 + 1;
        self.asked = (session_id(&self.session.borrow()), number);
        let (about, told) = (self.roster.subjects(), self.roster.told());
        if about.is_empty() || self.asked.0.is_none() {
            return;
        }
        let asked = ask(self.tracker.clone(), about.clone());
        ctx.spawn(asked.into_actor(self).map(move |there, presence, ctx| {
            if presence.asked.1 != number {
                return;
            }
            match there {
                Ok(there) => presence.settle(told, &about, there, ctx),
                // Without a session the next one is asked.
                Err(refusal) => {
                    tracing::debug!(reason = %refusal, "the tracker was not asked who is there");
                    ctx.run_later(AGAIN_AFTER, move |presence, ctx| {
                        if presence.asked.1 == number {
                            presence.ask_anew(ctx);
                        }
                    });
                }
            }
        }));
    }

    fn settle(&mut self, asked: u64, about: &[Subject], there: Vec<User>, ctx: &mut Context<Self>) {
        let News { came, left } = self.roster.settle(asked, about, there);
        self.tell(came, true, ctx);
        self.tell(left, false, ctx);
    }

    fn tell(&self, users: Vec<User>, is_online: bool, ctx: &mut Context<Self>) {
        if users.is_empty() {
            return;
        }
        let event = if is_online { Event::Online { users } } else { Event::Offline { users } };
        ctx.wait(self.events.tell(event).into_actor(self));
    }

    /// Says to the tracker what has changed; what does not get through is said with the next session.
    fn follow_up(&self, change: Change) -> impl ActorFuture<Self, Output = ()> + use<> {
        let (tracker, told) = (self.tracker.clone(), self.roster.told());
        let about = change.watch.clone();
        let asked = async move {
            if !change.unwatch.is_empty() {
                take_back(tracker.clone(), change.unwatch).await?;
            }
            if change.watch.is_empty() { Ok(Vec::new()) } else { ask(tracker, change.watch).await }
        };
        asked.into_actor(self).map(move |there: Result<Vec<User>, Refusal>, presence, ctx| match there {
            Ok(there) => presence.settle(told, &about, there, ctx),
            Err(refusal) => tracing::debug!(reason = %refusal, "the tracker was not told whom to watch"),
        })
    }
}

struct SessionChanged;

impl StreamHandler<SessionChanged> for Presence {
    fn handle(&mut self, SessionChanged: SessionChanged, ctx: &mut Self::Context) {
        let now = session_id(&self.session.borrow());
        if now.is_some() && now != self.asked.0 {
            self.ask_anew(ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

#[derive(Message)]
#[rtype(result = "()")]
struct Told {
    users: Vec<User>,
    is_online: bool,
}

impl Handler<Told> for Presence {
    type Result = ();

    fn handle(&mut self, Told { users, is_online }: Told, ctx: &mut Self::Context) {
        let news = self.roster.tell(users, is_online);
        self.tell(news, is_online, ctx);
    }
}

#[derive(Message)]
#[rtype(result = "Result<WatchList, Refusal>")]
struct WatchThem(Vec<User>);

impl Handler<WatchThem> for Presence {
    type Result = ResponseActFuture<Self, Result<WatchList, Refusal>>;

    fn handle(&mut self, WatchThem(users): WatchThem, _: &mut Self::Context) -> Self::Result {
        if self.roster.has_room_for(&users).is_err() {
            let reason = format!("at most {MAX_WATCHED_BY_NAME} users can be watched; unwatch some first");
            return Box::pin(fut::ready(Err(Refusal::new(Code::NotAllowed, reason))));
        }
        let kept = self.store.keep_watched(&users, &[]);
        Box::pin(kept.into_actor(self).then(|kept, presence, _| {
            let change = match kept {
                Ok(()) => presence.roster.watch(users),
                Err(error) => return fut::ready(Err(error.into())).boxed_local(),
            };
            presence.follow_up(change).map(|(), presence, _| Ok(presence.list())).boxed_local()
        }))
    }
}

#[derive(Message)]
#[rtype(result = "Result<WatchList, Refusal>")]
struct UnwatchThem(Vec<UserName>);

impl Handler<UnwatchThem> for Presence {
    type Result = ResponseActFuture<Self, Result<WatchList, Refusal>>;

    fn handle(&mut self, UnwatchThem(names): UnwatchThem, _: &mut Self::Context) -> Self::Result {
        let mut subjects = Vec::new();
        for name in names {
            let Some(user) = self.roster.find(&name) else {
                let reason = format!("{name} is not watched; watch shows who is");
                return Box::pin(fut::ready(Err(Refusal::new(Code::NoSuchUser, reason))));
            };
            subjects.push(user.subject);
        }
        let kept = self.store.keep_watched(&[], &subjects);
        Box::pin(kept.into_actor(self).then(move |kept, presence, _| {
            let change = match kept {
                Ok(()) => presence.roster.unwatch(&subjects),
                Err(error) => return fut::ready(Err(error.into())).boxed_local(),
            };
            presence.follow_up(change).map(|(), presence, _| Ok(presence.list())).boxed_local()
        }))
    }
}

#[derive(Message)]
#[rtype(result = "WatchList")]
struct GetList;

impl Handler<GetList> for Presence {
    type Result = MessageResult<GetList>;

    fn handle(&mut self, _: GetList, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.list())
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Follow(Vec<User>);

impl Handler<Follow> for Presence {
    type Result = ();

    fn handle(&mut self, Follow(contacts): Follow, ctx: &mut Self::Context) {
        let change = self.roster.follow(contacts);
        if change != Change::default() {
            ctx.spawn(self.follow_up(change));
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Shutdown;

impl Handler<Shutdown> for Presence {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.death.expected();
        ctx.stop();
    }
}
