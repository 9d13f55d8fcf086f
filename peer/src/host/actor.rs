//! The actor that owns a channel: who sits in it, and its pure state. It translates, asks [`Channel`], applies effects.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture};
use common::clock::Timestamp;
use common::crash::{self, Point};
use common::entry::{Author, Checkpoint, Hash, Position};
use common::id::Subject;
use common::identity::Identity;
use common::link::Link;
use common::meter::Meter;
use common::pass::Pass;
use common::proto::channel::{self, DebugConnection, DebugReport, Info, MemberList, Role};
use common::proto::directory::Policy;
use common::proto::limits::{HOST_MAILBOX, MAX_PAGE_BYTES, ORDERS, PRESENCE_EVERY};
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::Store;
use tokio::sync::{oneshot, watch};

use super::HostError;
use super::acts::Acts;
use super::channel::{Channel, ConnId, NewMessage, Offer};
use super::claims::Claims;
use super::counted::Counted;
use super::fanout::Fanout;
use super::gate::SharedGate;
use super::handing::Taking;
use super::kicked::Kicked;
use super::log::Log;
use super::messages::{
    Asker, Attest, Claimed, Close, Describe, Disclose, Disclosed, Enter, GoLive, Handover, HostSummary,
    Identify, Inspect, Leave, ListMembers, Moderate, Permit, Post, Reach, Renew, SetOwner, SetTerm,
    Summarise, Sweep, TurnBehind,
};
use super::permission::{Verb, decide};
use super::presence::Presence;
use super::record::{self, Handed, HostRecord};
use super::retention::Retention;
use super::seats::Seats;
use crate::search::Search;

/// Somebody who has entered.
pub(super) struct Seat {
    pub link: Link,
    /// Whether it has all that is on disk, and is pushed what comes.
    pub live: bool,
    /// Apart, so that what a delivery runs over stays small.
    pub who: Box<Who>,
}

/// Who sits there.
pub(super) struct Who {
    pub pass: Pass,
    pub author: Author,
    /// Whether nobody is to see that they are here.
    pub invisible: bool,
    /// Whether they may have entries that this log lacks.
    pub has_more: bool,
}

impl Who {
    pub fn holder(&self) -> Holder {
        Holder { subject: self.pass.subject, key: self.pass.peer_key }
    }
}

/// What of the channel has to be known of it before anybody is told that it exists.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    pub owner: Subject,
    pub policy: Arc<Policy>,
    /// The hosting's number.
    pub term: u64,
}

impl Admission {
    pub fn of(record: &HostRecord) -> Self {
        Self { owner: record.owner.subject, policy: Arc::new(record.policy.clone()), term: record.term }
    }
}

/// When the members were last given a signature on where the log ends, and how far it was then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attested {
    pub at: Timestamp,
    pub seq: u64,
    /// How far the log was a second ago.
    pub passed: u64,
}

/// What the actor is made of.
pub(super) struct Parts {
    pub store: Store,
    pub identity: Identity,
    pub record: HostRecord,
    pub log: Log,
    pub acts: Acts,
    pub gate: SharedGate,
    pub search: Search,
    pub admission: watch::Sender<Admission>,
    pub head: watch::Sender<Position>,
    pub ended: watch::Sender<bool>,
    pub behind: watch::Sender<Option<String>>,
    pub claimed: watch::Sender<Claimed>,
    pub reach: watch::Sender<Reach>,
    pub handed: watch::Sender<Option<Handed>>,
}

/// The actor.
pub(super) struct Host {
    pub parts: Parts,
    pub channel: Channel,
    pub presence: Presence,
    /// Who counts as a member.
    pub counted: Counted,
    /// By what the members were counted last: changes of who counts, and of who may come in.
    pub counted_by: Option<(u64, u64, Subject)>,
    /// Who sits, and who waits for a seat.
    pub seating: Seats<Box<Enter>>,
    /// Those who sit.
    pub seats: HashMap<ConnId, Seat>,
    /// Those of them who are live, as they are written to.
    pub fanout: Fanout,
    /// Who says to have more than the log.
    pub claims: Claims,
    /// Who was put out a moment ago.
    pub kicked: Kicked,
    /// How many orders each moderator has given.
    pub given: Meter<Subject>,
    /// What owner and moderators want, one after another: the first is on its way to the disk.
    pub orders: VecDeque<Moderate>,
    /// The names of those whom the policy names, as they have just shown them.
    pub learnt: Vec<(Subject, String)>,
    pub checkpoint: Option<(Position, Signed<Checkpoint>)>,
    /// When texts that are too old are looked for.
    pub retention: Retention,
    /// When the members were last given a signature, and of what.
    pub attested: Attested,
    /// What was found to be lost is to be kept.
    pub keeps_behind: bool,
    /// Who takes the channel, once nothing is under way.
    pub taking: Option<Taking>,
    /// Whether the head is being read after an append of unknown outcome.
    pub is_recovering: bool,
    /// Whether all is done but to end.
    pub is_ending: bool,
    /// Who waits for the end.
    pub closing: Vec<oneshot::Sender<()>>,
    /// Why it ends, once it does.
    pub why: Refusal,
}

impl Actor for Host {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(HOST_MAILBOX);
        ctx.run_interval(PRESENCE_EVERY, Self::tick);
    }
}

impl Host {
    pub fn new(parts: Parts, head: Position, counted: Counted, fanout: Fanout) -> Self {
        let mut channel = Channel::new(head);
        if parts.record.behind.is_some() {
            channel.turn_behind();
        }
        channel.freeze(parts.record.handed.is_some());
        Self {
            parts,
            channel,
            presence: Presence::default(),
            counted,
            counted_by: None,
            seating: Seats::default(),
            seats: HashMap::new(),
            fanout,
            claims: Claims::default(),
            kicked: Kicked::default(),
            given: Meter::new(ORDERS),
            orders: VecDeque::new(),
            learnt: Vec::new(),
            checkpoint: None,
            retention: Retention::default(),
            attested: Attested { at: Timestamp::now(), seq: head.seq, passed: head.seq },
            keeps_behind: false,
            taking: None,
            is_recovering: false,
            is_ending: false,
            closing: Vec::new(),
            why: Code::GoingAway.into(),
        }
    }

    pub fn record(&self) -> &HostRecord {
        &self.parts.record
    }

    pub fn is_closing(&self) -> bool {
        !self.closing.is_empty()
    }

    /// The seat and role of who asks, if it may use this verb.
    pub fn permitted(&self, Asker { conn, verb }: Asker) -> Result<(&Seat, Role), Refusal> {
        let seat = self.seats.get(&conn).ok_or(Code::WrongPhase)?;
        let standing = self.record().standing(seat.who.holder());
        decide(standing, verb, None, self.record().policy.switches())?;
        Ok((seat, standing.role))
    }

    /// The message as it would be stored, its author as connection and pass have it.
    fn compose(
        &self,
        conn: ConnId,
        message: Result<(channel::Message, Hash), Refusal>,
    ) -> Result<NewMessage, Refusal> {
        let (seat, _) = self.permitted(Asker { conn, verb: Verb::Message })?;
        if self.is_closing() {
            return Err(Code::GoingAway.into());
        }
        let (message, body_hash) = message?;
        let channel::Message { id, kind, sent_at, about, body, .. } = message;
        let author = seat.who.author.clone();
        Ok(NewMessage { id, author, kind, sent_at, about, body, body_hash })
    }

    fn report(&self) -> DebugReport {
        let mut bytes = 0;
        let seen = self.seats.iter().filter(|(_, seat)| !seat.who.invisible);
        let rows = seen.map(|(conn, seat)| DebugConnection {
            name: seat.who.pass.name.clone(),
            path: seat.link.path().to_owned(),
            live: seat.live,
            waiting_bytes: seat.link.outgoing().waiting_bytes(),
            unanswered: self.channel.unanswered(*conn),
        });
        // As many as fit a page; escapes in a name can double it.
        let connections = rows.take_while(|row| {
            bytes += 2 * row.name.len() + row.path.len() + 128;
            bytes <= MAX_PAGE_BYTES
        });
        let connections = connections.collect();
        DebugReport { connections, unflushed: self.channel.unflushed(), head: self.channel.head() }
    }

    /// Changes the record, first on disk; not at all when that would leave it as it is.
    pub(super) fn change(
        &self,
        change: impl Fn(&mut HostRecord) + Clone + Send + 'static,
    ) -> ResponseActFuture<Self, Result<(), HostError>> {
        let mut changed = self.record().clone();
        change(&mut changed);
        if changed == *self.record() && changed.owner.name.as_str() == self.record().owner.name.as_str() {
            return Box::pin(actix::fut::ready(Ok(())));
        }
        let (store, id) = (self.parts.store.clone(), self.record().id);
        let on_disk = change.clone();
        let work = async move { record::change(&store, id, on_disk).await };
        Box::pin(work.into_actor(self).map(move |outcome, host, _| {
            outcome?;
            change(&mut host.parts.record);
            host.parts.admission.send_replace(Admission::of(host.record()));
            Ok(())
        }))
    }
}

impl Handler<Enter> for Host {
    type Result = ();

    fn handle(&mut self, enter: Enter, ctx: &mut Context<Self>) {
        self.enter(enter);
        self.apply(ctx);
    }
}

impl Handler<Post> for Host {
    type Result = ();

    fn handle(&mut self, post: Post, ctx: &mut Context<Self>) {
        crash::here(Point::HostReceived);
        let Post { conn, request, restart, message } = post;
        let message = self.compose(conn, message);
        let found = match &message {
            Ok(message) => self.parts.log.find(message.id),
            Err(_) => Ok(None),
        };
        let (message, known) = match found {
            Ok(known) => (message, known),
            Err(error) => {
                tracing::warn!(channel = %self.record().id, err = ?error.to_string(), "cannot look up a message");
                (Err(Code::StorageFailed.into()), None)
            }
        };
        self.channel.offer(Offer { conn, request, restart, message }, known, Timestamp::now());
        self.apply(ctx);
    }
}

impl Handler<GoLive> for Host {
    type Result = Handover;

    fn handle(&mut self, GoLive { conn, after }: GoLive, _: &mut Context<Self>) -> Handover {
        let head = self.channel.head().seq;
        match self.seats.get_mut(&conn) {
            None => Handover::Gone,
            Some(seat) if after == head => {
                seat.live = true;
                self.fanout.enter(conn, seat.link.clone());
                Handover::Live
            }
            // Who has more than the log gets nothing before that is recovered.
            Some(_) if after > head => Handover::Gone,
            Some(_) => Handover::ReadTo(head),
        }
    }
}

impl Handler<Leave> for Host {
    type Result = ();

    fn handle(&mut self, Leave { conn, is_for_good }: Leave, ctx: &mut Context<Self>) {
        if is_for_good {
            self.leave_for_good(conn);
        } else {
            self.depart(conn);
        }
        self.apply(ctx);
    }
}

impl Handler<Renew> for Host {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Renew { conn, pass }: Renew, ctx: &mut Context<Self>) -> Self::Result {
        let seat = self.seats.get_mut(&conn).ok_or(Code::WrongPhase)?;
        if seat.who.pass.subject != pass.subject {
            return Err(Refusal::new(Code::BadPass, "the pass is of somebody else; connect again with it"));
        }
        if !seat.who.invisible {
            self.presence.rename(pass.subject, &pass.name);
            self.counted.came(pass.subject, Timestamp::now());
        }
        seat.who.author = Author::new(pass.subject, pass.name.clone(), pass.kind, pass.peer_key);
        let is_news = seat.who.pass.name != pass.name;
        seat.who.pass = pass;
        if is_news {
            self.learn_name(conn);
            self.keep_names(ctx);
        }
        Ok(())
    }
}

impl Handler<Permit> for Host {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Permit { by }: Permit, _: &mut Context<Self>) -> Self::Result {
        self.permitted(by).map(|_| ())
    }
}

impl Handler<Disclose> for Host {
    type Result = Result<Disclosed, Refusal>;

    fn handle(&mut self, Disclose { who }: Disclose, _: &mut Context<Self>) -> Self::Result {
        let (standing, switches) = (self.record().standing(who), self.record().policy.switches());
        decide(standing, Verb::Export, None, switches)?;
        let signed = self.signed_head()?;
        Ok(Disclosed { record: self.record().clone(), head: self.channel.head(), signed })
    }
}

impl Handler<Attest> for Host {
    type Result = Result<Signed<Checkpoint>, Refusal>;

    fn handle(&mut self, Attest { by }: Attest, _: &mut Context<Self>) -> Self::Result {
        self.permitted(by)?;
        self.signed_head()
    }
}

impl Handler<Identify> for Host {
    type Result = Result<Subject, Refusal>;

    fn handle(&mut self, Identify { by }: Identify, _: &mut Context<Self>) -> Self::Result {
        self.permitted(by).map(|(seat, _)| seat.who.pass.subject)
    }
}

impl Handler<ListMembers> for Host {
    type Result = Result<MemberList, Refusal>;

    fn handle(&mut self, ListMembers { by, asked }: ListMembers, _: &mut Context<Self>) -> Self::Result {
        self.permitted(by)?;
        let (policy, owner) = (&self.record().policy, self.record().owner.subject);
        Ok(self.presence.page(&asked, |subject| policy.role_of(subject, owner)))
    }
}

impl Handler<Describe> for Host {
    type Result = Result<Info, Refusal>;

    fn handle(&mut self, Describe { by }: Describe, _: &mut Context<Self>) -> Self::Result {
        let (_, role) = self.permitted(by)?;
        let before = self.record().before();
        let HostRecord { id, name, owner, created, term, policy, .. } = self.record().clone();
        let (head, members) = (self.channel.head(), self.presence.count());
        let (policy, retention_days) = (policy.switches(), policy.retention_days);
        let behind = self.channel.is_behind();
        Ok(Info {
            id,
            name,
            owner,
            created,
            head,
            term,
            policy,
            retention_days,
            members,
            role,
            behind,
            before,
        })
    }
}

impl Handler<Inspect> for Host {
    type Result = Result<DebugReport, Refusal>;

    fn handle(&mut self, Inspect { by }: Inspect, _: &mut Context<Self>) -> Self::Result {
        if let Some(by) = by {
            self.permitted(by)?;
        }
        Ok(self.report())
    }
}

impl Handler<Summarise> for Host {
    type Result = HostSummary;

    fn handle(&mut self, _: Summarise, _: &mut Context<Self>) -> HostSummary {
        let HostRecord { id, name, owner, term, policy, .. } = self.record().clone();
        // What the tracker is told to be there, members can prove.
        self.attest();
        self.count_members();
        let (head, behind, members) =
            (self.channel.head(), self.channel.is_behind(), self.parts.reach.borrow().members);
        let (before, handed) = (self.record().lives_before(), self.record().handed);
        HostSummary { id, name, owner, head, term, policy, behind, before, members, handed }
    }
}

impl Handler<SetOwner> for Host {
    type Result = ResponseActFuture<Self, Result<(), HostError>>;

    fn handle(&mut self, SetOwner(owner): SetOwner, _: &mut Context<Self>) -> Self::Result {
        self.change(move |record| record.owner = owner.clone())
    }
}

impl Handler<SetTerm> for Host {
    type Result = ResponseActFuture<Self, Result<(), HostError>>;

    fn handle(&mut self, SetTerm(term): SetTerm, _: &mut Context<Self>) -> Self::Result {
        self.change(move |record| record.term = record.term.max(term))
    }
}

impl Handler<TurnBehind> for Host {
    type Result = ();

    fn handle(&mut self, TurnBehind { behind, is_wanted }: TurnBehind, ctx: &mut Context<Self>) {
        self.turn_behind(behind, is_wanted);
        self.apply(ctx);
    }
}

impl Handler<Sweep> for Host {
    type Result = ();

    fn handle(&mut self, _: Sweep, ctx: &mut Context<Self>) {
        self.sweep(Timestamp::now());
        self.apply(ctx);
    }
}

impl Handler<Close> for Host {
    type Result = ();

    fn handle(&mut self, Close { reply, why }: Close, ctx: &mut Context<Self>) {
        self.closing.push(reply);
        self.why = why;
        self.apply(ctx);
    }
}
