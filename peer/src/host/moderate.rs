//! What owner and moderators do: one order after another, first on disk, then in force for all who are there.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use bytes::Bytes;
use common::clock::Timestamp;
use common::id::Subject;
use common::proto::channel::{Act, Moderated, Role, Someone};
use common::proto::encode_event;
use common::proto::event::{self, PostChanged, RoleChanged, ViewChanged};
use common::proto::limits::{BUSY_AGAIN_AFTER, GRANTED_ROWS, KICK_LASTS, MAX_ORDERS};
use common::proto::policy::{Holder, Policy};
use common::proto::status::{Code, Refusal};

use super::HostError;
use super::actor::{Admission, Host, Seat};
use super::acts::{Named, NewAct};
use super::channel::ConnId;
use super::messages::{Consult, GrantedPage, ListGranted, Moderate};
use super::moderation::Order;
use super::permission::{Target, Verb, decide};

/// An order that is being written: what is told of it then.
struct Decided {
    by: String,
    /// The policy after it, if it is another one.
    policy: Option<Policy>,
    /// The name of whom it is about.
    whom: Option<String>,
}

impl Handler<Moderate> for Host {
    type Result = ();

    fn handle(&mut self, order: Moderate, ctx: &mut Context<Self>) {
        if let Err(refusal) = self.check_order(&order) {
            return self.answer_to(&order, Err(refusal));
        }
        self.orders.push_back(order);
        if self.orders.len() == 1 {
            self.next_order(ctx);
        }
    }
}

impl Handler<Consult> for Host {
    type Result = Result<Arc<Policy>, Refusal>;

    fn handle(&mut self, Consult { by }: Consult, _: &mut Context<Self>) -> Self::Result {
        self.permitted(by)?;
        Ok(Arc::clone(&self.parts.admission.borrow().policy))
    }
}

impl Handler<ListGranted> for Host {
    type Result = Result<GrantedPage, Refusal>;

    fn handle(&mut self, ListGranted { by, after }: ListGranted, _: &mut Context<Self>) -> Self::Result {
        self.permitted(by)?;
        let (policy, owner) = (&self.record().policy, &self.record().owner);
        let owner = (owner.subject, Role::Owner, Some(owner.name.to_string()));
        let known = |subject| self.presence.name_of(subject).map(str::to_owned);
        let granted = policy.roles.iter().map(|(account, grant)| {
            let subject = Subject::Account(*account);
            (account.to_string(), (subject, Role::from(*grant), known(subject)))
        });
        let behind = |(place, _): &(String, _)| after.as_ref().is_none_or(|after| place > after);
        let mut rest = granted.filter(behind);
        let mut rows = Vec::from_iter(after.is_none().then_some(owner));
        let mut last = None;
        for (place, row) in rest.by_ref().take(GRANTED_ROWS) {
            rows.push(row);
            last = Some(place);
        }
        let next = rest.next().and(last);
        Ok(GrantedPage { rows, total: policy.roles.len() + 1, next })
    }
}

impl Host {
    /// Whether an order may wait for its turn, when all is looked at once more: whoever may not give it takes no place.
    fn check_order(&self, Moderate { by, .. }: &Moderate) -> Result<(), Refusal> {
        let (seat, role) = self.permitted(*by)?;
        if role != Role::Owner {
            let too_often = |wait| {
                let reason = "you give more orders than the host takes; wait a little";
                Refusal::new(Code::TooManyRequests, reason).after(wait)
            };
            self.given.check(&seat.who.pass.subject).map_err(too_often)?;
        }
        if self.orders.len() >= MAX_ORDERS {
            let reason = "too many orders wait at the host; wait a little";
            return Err(Refusal::new(Code::TooManyRequests, reason).after(BUSY_AGAIN_AFTER));
        }
        Ok(())
    }

    /// Begins with the first order that there is something to write for; those before it are answered.
    fn next_order(&mut self, ctx: &mut Context<Self>) {
        while let Some(order) = self.orders.front() {
            match self.decide_order(order) {
                Ok(Some((decided, act))) => return self.write_order(decided, act, ctx),
                Ok(None) => self.answer_order(Ok(false)),
                Err(refusal) => self.answer_order(Err(refusal)),
            }
        }
        self.apply(ctx);
    }

    /// What an order comes to now, or `None` when it is so already.
    fn decide_order(
        &self,
        Moderate { by, order, .. }: &Moderate,
    ) -> Result<Option<(Decided, NewAct)>, Refusal> {
        let (seat, _) = self.permitted(*by)?;
        if self.is_closing() {
            return Err(Code::GoingAway.into());
        }
        let (record, subject) = (self.record(), order.subject());
        let target = subject.map(|subject| self.target(seat.who.holder(), subject));
        decide(record.standing(seat.who.holder()), by.verb, target, record.policy.switches())?;
        let policy = order.apply(&record.policy)?;
        if policy.is_none() && !matches!(order, Order::Kick { .. }) {
            return Ok(None);
        }
        let known = |subject| self.presence.name_of(subject).map(str::to_owned);
        let shown = subject.and_then(known);
        let is_shown = shown.is_some();
        let whom = shown.or_else(|| order.name().map(ToString::to_string));
        let (by, now) = (&seat.who.pass, Timestamp::now());
        let ((what, to), why) = (order.told(), order.why().map(str::to_owned));
        let act = Act {
            number: 0,
            at: now,
            by: Someone { subject: by.subject, name: Some(by.name.clone()) },
            what: what.to_owned(),
            to,
            whom: subject.map(|subject| Someone { subject, name: whom.clone() }),
            why: why.clone(),
        };
        let is_named = matches!(order, Order::Authorize { .. } | Order::Ban { .. });
        let named =
            is_named.then(|| Named { name: whom.clone(), is_shown, by: by.name.clone(), at: now, why });
        let named = subject.filter(|_| policy.is_some()).map(|subject| (subject, named));
        let new = NewAct { act, policy: policy.clone(), named };
        Ok(Some((Decided { by: by.name.clone(), policy, whom }, new)))
    }

    /// Somebody has shown a pass, whom the policy may name. Of whom nobody is to see, nobody is to see the name either.
    pub(super) fn learn_name(&mut self, conn: ConnId) {
        let Some(Seat { who, .. }) = self.seats.get(&conn) else { return };
        let Subject::Account(account) = who.pass.subject else { return };
        if !who.invisible && self.record().policy.roles.contains_key(&account) {
            self.learnt.push((who.pass.subject, who.pass.name.clone()));
        }
    }

    /// Keeps the names that were learnt, for when their owners are away.
    pub(super) fn keep_names(&mut self, ctx: &mut Context<Self>) {
        for (subject, name) in std::mem::take(&mut self.learnt) {
            let acts = self.parts.acts.clone();
            let kept = async move { acts.shown(subject, name).await };
            ctx.spawn(kept.into_actor(self).map(|kept, host, _| {
                if let Err(error) = kept {
                    let channel = host.record().id;
                    tracing::warn!(%channel, err = ?error.to_string(), "a name is not kept");
                }
            }));
        }
    }

    /// What somebody is to whoever asks. The owner is known by the key too, before the tracker has said that a guest's
    /// channel is an account's now.
    fn target(&self, asks: Holder, subject: Subject) -> Target {
        let (policy, owner) = (&self.record().policy, self.record().owner.subject);
        let is_owner = |seat: &Seat| seat.who.pass.subject == subject && seat.who.holder().is(owner);
        if asks.subject == subject {
            Target::Oneself
        } else if self.seats.values().any(is_owner) {
            Target::Other(Role::Owner)
        } else {
            Target::Other(policy.role_of(subject, owner))
        }
    }

    fn write_order(&mut self, decided: Decided, act: NewAct, ctx: &mut Context<Self>) {
        let acts = self.parts.acts.clone();
        let writing = async move { acts.write(act).await };
        ctx.spawn(writing.into_actor(self).map(move |written, host, ctx| {
            match written {
                Ok(()) => host.order_done(decided),
                Err(error) => host.answer_order(Err(HostError::from(error).into())),
            }
            host.next_order(ctx);
        }));
    }

    /// Answers the first order, which is over by that.
    fn answer_order(&mut self, outcome: Result<bool, Refusal>) {
        if let Some(order) = self.orders.pop_front() {
            self.answer_to(&order, outcome);
        }
    }

    fn answer_to(&self, Moderate { by, request, .. }: &Moderate, outcome: Result<bool, Refusal>) {
        let rev = self.record().policy.rev;
        if let Some(seat) = self.seats.get(&by.conn) {
            // A link that has ended is noticed by its reader.
            let _ = seat.link.answer(*request, &outcome.map(|changed| Moderated { rev, changed }));
        }
    }

    /// An order is on disk: from here on it counts.
    fn order_done(&mut self, Decided { by, policy, whom }: Decided) {
        let Some(order) = self.orders.front().map(|asked| asked.order.clone()) else { return };
        if let Order::Kick { subject, .. } = &order {
            self.kicked.add(*subject, Timestamp::now());
        }
        if let Some(policy) = policy {
            self.parts.record.policy = policy;
            self.parts.admission.send_replace(Admission::of(self.record()));
        }
        let put_out = self.put_out_by(&order);
        // The answer comes before what ends the connection of whoever gave up their own right to be here.
        // Whom nobody is to see goes as well, and whoever ordered it is told what they would be if nobody had.
        let seen = put_out.iter().filter_map(|conn| self.seats.get(conn)).any(|seat| !seat.who.invisible);
        self.answer_order(Ok(!matches!(order, Order::Kick { .. }) || seen));
        for conn in put_out {
            self.show_out(conn, &order, &by);
        }
        let told = self.event_of(&order, &by, whom);
        self.see_who_may_stay(told.as_ref());
        if let Some(told) = told {
            self.push_to_all(&told);
        }
    }

    /// Those whom a kick or a ban puts out.
    fn put_out_by(&self, order: &Order) -> Vec<ConnId> {
        let now = Timestamp::now();
        let is_out = |seat: &Seat| {
            let (who, standing) = (seat.who.holder(), self.record().standing(seat.who.holder()));
            match order {
                Order::Kick { .. } => self.kicked.check(who, standing.role, now).is_err(),
                Order::Ban { .. } => standing.is_banned,
                _ => false,
            }
        };
        self.seats.iter().filter(|(_, seat)| is_out(seat)).map(|(conn, _)| *conn).collect()
    }

    /// The line that tells everybody of an order.
    fn event_of(&self, order: &Order, by: &str, whom: Option<String>) -> Option<Bytes> {
        let (rev, by) = (self.record().policy.rev, by.to_owned());
        let line = match order {
            Order::View(view) => encode_event(&ViewChanged { view: *view, rev, by }),
            Order::Post(post) => encode_event(&PostChanged { post: *post, rev, by }),
            Order::Authorize { .. } | Order::Deauthorize { .. } => {
                let subject = order.subject()?;
                let role = self.record().policy.role_of(subject, self.record().owner.subject);
                encode_event(&RoleChanged { subject, name: whom, role, rev, by })
            }
            Order::Retention { .. } | Order::Kick { .. } | Order::Ban { .. } | Order::Unban { .. } => {
                return None;
            }
        };
        // A few names fit a frame.
        line.ok()
    }

    fn show_out(&mut self, conn: ConnId, order: &Order, by: &str) {
        let (banned, code) = match order {
            Order::Ban { .. } => (true, Code::Banned),
            _ => (false, Code::Kicked),
        };
        let lasts = u64::try_from(KICK_LASTS.as_millis()).unwrap_or(u64::MAX);
        let retry_after_ms = (!banned).then_some(lasts);
        let why = order.why().map(str::to_owned);
        if let Ok(line) = encode_event(&event::Kicked { by: by.to_owned(), why, banned, retry_after_ms }) {
            self.push_to_one(conn, &line);
        }
        self.dismiss(conn, code.into());
    }

    /// Who may not be here any more is told why and goes, and what those have sent who may not send any more is not stored.
    fn see_who_may_stay(&mut self, why: Option<&Bytes>) {
        let switches = self.record().policy.switches();
        let may_not = |seat: &Seat| !switches.admits(self.record().standing(seat.who.holder()));
        let out = self.seats.iter().filter(|(_, seat)| may_not(seat)).map(|(conn, _)| *conn);
        for conn in out.collect::<Vec<_>>() {
            if let Some(why) = why {
                self.push_to_one(conn, why);
            }
            self.dismiss(conn, Code::NotAdmitted.into());
        }
        let (record, kicked, now) = (&self.parts.record, &self.kicked, Timestamp::now());
        self.channel.judge(|author| {
            let Some(who) = author.holder() else { return Ok(()) };
            let standing = record.standing(who);
            decide(standing, Verb::Message, None, switches)?;
            kicked.check(who, standing.role, now)
        });
    }
}
