//! The actor that owns who is connected and what is hosted: it asks the pure [`State`] and does what that decides.

use std::collections::HashMap;
use std::time::Instant;

use actix::{Actor, AsyncContext, Context, Handler, MessageResult};
use bytes::Bytes;
use common::id::ChannelId;
use common::link::Link;
use common::proto::directory::ChannelRecord;
use common::proto::presence::User;
use common::proto::status::{Code, Refusal};
use common::proto::transfer::ChannelOffer;
use common::proto::{Pushed, encode_event};
use tokio::sync::oneshot;

use super::messages::{
    Admitted, Announce, AreOnline, Connect, Count, CountOwned, Counts, Deliver, Disconnect, Due, EndSessions,
    Enter, Evict, Hear, Hide, KeptHeads, List, ListUsers, ListingReply, Locate, Met, OffersBy, PolicyChanged,
    Refresh, Remove, Ring, SignOut, Stop, TellAll, TellKeys, There, Unkept, Unwatch, UsersReply, Watch,
    WhoIsThere, Withdraw,
};
use super::sessions::ConnId;
use super::state::{Effect, SessionGone, State, Unseen};
use crate::limits::{MAILBOX, MAX_OFFERS_SHOWN};

/// Lives as long as the process. Nothing it does waits.
pub struct Tracker {
    state: State,
    links: HashMap<ConnId, Link>,
    is_stopping: bool,
    /// Dropped with the actor, however it ends: a tracker without it must not look alive.
    _alive: oneshot::Sender<()>,
}

impl Tracker {
    /// The actor, which begins with this list of channels; the receiver learns when it has ended.
    pub fn new(state: State) -> (Self, oneshot::Receiver<()>) {
        let (alive, ended) = oneshot::channel();
        (Self { state, links: HashMap::new(), is_stopping: false, _alive: alive }, ended)
    }

    fn apply(&mut self) {
        for effect in std::mem::take(&mut self.state.effects) {
            match effect {
                Effect::Up(conns, event) => self.tell(&conns, &*event),
                Effect::Down(conns, event) => self.tell(&conns, &event),
                Effect::Knocked(conns, event) => self.tell(&conns, &event),
                Effect::CameOnline(conn, event) => self.tell(&[conn], &event),
                Effect::WentOffline(conn, event) => self.tell(&[conn], &event),
                Effect::Invisible(conns, event) => self.tell(&conns, &event),
                Effect::Introduce(conn, event) => self.tell(&[conn], &event),
                Effect::Moved(conn, event) => self.tell(&[conn], &*event),
                Effect::Supersede(conn) => {
                    if let Some(link) = self.links.get(&conn) {
                        link.close_because(Code::Superseded.into());
                    }
                }
            }
        }
    }

    /// Does what was decided, and has told in a while what was only gathered.
    fn apply_and_gather(&mut self, ctx: &mut Context<Self>) {
        self.apply();
        let now = Instant::now();
        if let Some(due) = self.state.watching.plan(now) {
            ctx.run_later(due - now, |tracker, ctx| {
                tracker.state.gather(Instant::now());
                tracker.apply_and_gather(ctx);
            });
        }
    }

    fn tell<E: Pushed>(&self, conns: &[ConnId], event: &E) {
        let line: Bytes = match encode_event(event) {
            Ok(line) => line,
            Err(error) => {
                return tracing::error!(err = ?error.to_string(), event = E::NAME, "event does not fit a frame");
            }
        };
        for link in conns.iter().filter_map(|conn| self.links.get(conn)) {
            // A link that does not take it ends by that, and its session with it.
            let _ = link.push(line.clone());
        }
    }
}

impl Actor for Tracker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Connect> for Tracker {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Connect { conn, link }: Connect, _: &mut Self::Context) -> Self::Result {
        if self.is_stopping {
            return Err(Code::GoingAway.into());
        }
        self.state.sessions.connect(conn);
        self.links.insert(conn, link);
        Ok(())
    }
}

impl Handler<Enter> for Tracker {
    type Result = Result<Admitted, SessionGone>;

    fn handle(&mut self, Enter { conn, identity }: Enter, ctx: &mut Self::Context) -> Self::Result {
        let subject = identity.subject;
        let inherited = self.state.enter(conn, identity);
        self.apply_and_gather(ctx);
        Ok(Admitted { inherited: inherited?, invisible: self.state.people.is_invisible(subject) })
    }
}

impl Handler<Hide> for Tracker {
    type Result = ();

    fn handle(&mut self, Hide { conn, account, revision, on, keys }: Hide, ctx: &mut Self::Context) {
        self.state.hide(conn, (account, revision), on, &keys);
        self.apply_and_gather(ctx);
    }
}

impl Handler<SignOut> for Tracker {
    type Result = ();

    fn handle(&mut self, SignOut { key }: SignOut, ctx: &mut Self::Context) {
        self.state.sign_out(key);
        self.apply_and_gather(ctx);
    }
}

impl Handler<EndSessions> for Tracker {
    type Result = ();

    fn handle(&mut self, EndSessions { revoked, why, spared }: EndSessions, ctx: &mut Self::Context) {
        for conn in self.state.end_sessions(&revoked.keys) {
            if let Some(link) = self.links.get(&conn).filter(|_| spared != Some(conn)) {
                link.close_because(why.clone());
            }
        }
        self.apply_and_gather(ctx);
        self.tell(&self.state.who_checks_passes(), &revoked);
    }
}

impl Handler<WhoIsThere> for Tracker {
    type Result = There;

    fn handle(&mut self, WhoIsThere(keys): WhoIsThere, _: &mut Self::Context) -> There {
        There(keys.into_iter().map(|key| self.state.sessions.has_entered(key)).collect())
    }
}

impl Handler<AreOnline> for Tracker {
    type Result = There;

    fn handle(&mut self, AreOnline(ids): AreOnline, _: &mut Self::Context) -> There {
        There(ids.into_iter().map(|id| self.state.sessions.is_online(id)).collect())
    }
}

impl Handler<Disconnect> for Tracker {
    type Result = Vec<ChannelId>;

    fn handle(&mut self, Disconnect { conn }: Disconnect, ctx: &mut Self::Context) -> Self::Result {
        self.links.remove(&conn);
        let hosted = self.state.disconnect(conn);
        self.apply_and_gather(ctx);
        hosted
    }
}

impl Handler<Announce> for Tracker {
    type Result = Result<ChannelRecord, SessionGone>;

    fn handle(&mut self, Announce { conn, row, lapsed }: Announce, _: &mut Self::Context) -> Self::Result {
        for id in lapsed {
            self.state.remove(id, row.revision);
        }
        let record = self.state.announce(conn, row);
        self.apply();
        record
    }
}

impl Handler<Refresh> for Tracker {
    type Result = ();

    fn handle(&mut self, Refresh { rows }: Refresh, _: &mut Self::Context) {
        for row in rows {
            self.state.refresh(row);
        }
    }
}

impl Handler<Hear> for Tracker {
    type Result = Vec<ChannelId>;

    fn handle(&mut self, Hear { conn, heads }: Hear, _: &mut Self::Context) -> Self::Result {
        self.state.hear(conn, &heads)
    }
}

impl Handler<OffersBy> for Tracker {
    type Result = Vec<ChannelOffer>;

    fn handle(&mut self, OffersBy { owner, now }: OffersBy, _: &mut Self::Context) -> Self::Result {
        let channels = &self.state.channels;
        channels
            .owned_by(owner)
            .filter_map(|id| channels.get(id)?.offered(now))
            .take(MAX_OFFERS_SHOWN)
            .collect()
    }
}

impl Handler<TellKeys> for Tracker {
    type Result = ();

    fn handle(&mut self, TellKeys { keys, event }: TellKeys, _: &mut Self::Context) {
        let whose = [event.offer.from.subject, event.offer.to.subject];
        let entered = keys.iter().filter_map(|key| self.state.sessions.entered_with(key));
        let conns: Vec<ConnId> =
            entered.filter(|(_, identity)| whose.contains(&identity.subject)).map(|(conn, _)| conn).collect();
        self.tell(&conns, &event);
    }
}

impl Handler<Unkept> for Tracker {
    type Result = MessageResult<Unkept>;

    fn handle(&mut self, Unkept(of): Unkept, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.state.channels.unkept(of))
    }
}

impl Handler<KeptHeads> for Tracker {
    type Result = ();

    fn handle(&mut self, KeptHeads { heard, rows }: KeptHeads, _: &mut Self::Context) {
        rows.into_iter().for_each(|row| self.state.refresh(row));
        self.state.channels.kept(&heard);
    }
}

impl Handler<PolicyChanged> for Tracker {
    type Result = ();

    fn handle(&mut self, PolicyChanged { row }: PolicyChanged, _: &mut Self::Context) {
        self.state.policy_changed(row);
        self.apply();
    }
}

impl Handler<Withdraw> for Tracker {
    type Result = ();

    fn handle(&mut self, Withdraw { row }: Withdraw, _: &mut Self::Context) {
        let id = row.value.id;
        self.state.refresh(row);
        self.state.withdraw(id);
        self.apply();
    }
}

impl Handler<Remove> for Tracker {
    type Result = ();

    fn handle(&mut self, Remove { ids, revision }: Remove, _: &mut Self::Context) {
        for id in ids {
            self.state.remove(id, revision);
        }
        self.apply();
    }
}

impl Handler<Evict> for Tracker {
    type Result = ();

    fn handle(&mut self, Evict { id, revision }: Evict, _: &mut Self::Context) {
        let host = self.state.sessions.host_of(id);
        self.state.remove(id, revision);
        self.apply();
        if let Some(link) = host.and_then(|conn| self.links.get(&conn)) {
            link.close_because(Code::ChannelRemoved.into());
        }
    }
}

impl Handler<TellAll> for Tracker {
    type Result = usize;

    fn handle(&mut self, TellAll { event, spared }: TellAll, _: &mut Self::Context) -> usize {
        let mut all = self.state.sessions.entered();
        all.retain(|conn| Some(*conn) != spared);
        self.tell(&all, &event);
        all.len()
    }
}

impl Handler<CountOwned> for Tracker {
    type Result = usize;

    fn handle(&mut self, CountOwned { owner }: CountOwned, _: &mut Self::Context) -> usize {
        self.state.channels.owned_by(owner).len()
    }
}

impl Handler<Locate> for Tracker {
    type Result = Option<ChannelRecord>;

    fn handle(&mut self, Locate { conn, who, what }: Locate, _: &mut Self::Context) -> Self::Result {
        self.state.locate(conn, who, &what)
    }
}

impl Handler<List> for Tracker {
    type Result = ListingReply;

    fn handle(&mut self, List { page, who }: List, _: &mut Self::Context) -> ListingReply {
        ListingReply(self.state.list(&page, who))
    }
}

impl Handler<ListUsers> for Tracker {
    type Result = UsersReply;

    fn handle(&mut self, ListUsers(asked): ListUsers, _: &mut Self::Context) -> UsersReply {
        UsersReply(self.state.people.page(&asked))
    }
}

impl Handler<Watch> for Tracker {
    type Result = Result<Option<Vec<User>>, SessionGone>;

    fn handle(&mut self, Watch { conn, subjects }: Watch, _: &mut Self::Context) -> Self::Result {
        self.state.watch(conn, subjects).map(Result::ok)
    }
}

impl Handler<Unwatch> for Tracker {
    type Result = ();

    fn handle(&mut self, Unwatch { conn, subjects }: Unwatch, _: &mut Self::Context) {
        self.state.watching.unwatch(conn, &subjects);
    }
}

impl Handler<Ring> for Tracker {
    type Result = ();

    fn handle(&mut self, Ring { conn, keys, kept }: Ring, _: &mut Self::Context) {
        self.state.ring(conn, &keys, kept);
        self.apply();
    }
}

impl Handler<Met> for Tracker {
    type Result = Result<Result<(), Unseen>, SessionGone>;

    fn handle(&mut self, Met { conn, wish, knocked, invisible }: Met, _: &mut Self::Context) -> Self::Result {
        let met = self.state.meet(conn, wish, &knocked, invisible);
        self.apply();
        met
    }
}

impl Handler<Deliver> for Tracker {
    type Result = ();

    fn handle(&mut self, Deliver { keys, of, rejection }: Deliver, _: &mut Self::Context) {
        self.state.reject(&keys, of, &rejection);
        self.apply();
    }
}

impl Handler<Due> for Tracker {
    type Result = MessageResult<Due>;

    fn handle(&mut self, Due { now }: Due, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.state.due(now))
    }
}

impl Handler<Count> for Tracker {
    type Result = Counts;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> Counts {
        let [connections, entered, leases, waited_for] = self.state.sessions.counts();
        let State { people, watching, introductions, .. } = &self.state;
        let (people, watched, wishes) = (people.count(), watching.count(), introductions.count());
        Counts { connections, entered, leases, waited_for, people, watched, wishes, links: self.links.len() }
    }
}

impl Handler<Stop> for Tracker {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Self::Context) {
        self.is_stopping = true;
        for link in self.links.values() {
            link.close_because(Code::GoingAway.into());
        }
    }
}
