//! The client's connection to the host: made, lost, made again. [`Reconnect`] says when.

use actix::prelude::*;
use common::id::Subject;
use common::link::CloseReason;
use common::proto::channel::Connected;
use common::proto::directory::{ChannelRecord, Locate};
use common::proto::status::{Code, Refusal};

use super::connect::{Entered, follow};
use super::{Client, Standing};
use crate::api::{JoinedChannel, LinkState};
use crate::pace::{Rest, Tried};
use crate::reconnect::{Effect, Now, Nudge};
use crate::store::KnownChannel;

impl Client {
    /// Which connection is meant; what comes late of an earlier one is passed over.
    pub(super) fn generation(&self) -> u64 {
        self.reconnect.generation()
    }

    /// Connects as before the restart, no sooner.
    pub(super) fn start_connecting(&mut self, ctx: &mut Context<Self>) {
        let (effects, rest) = self.reconnect.start(Now::real());
        if let Some(Rest { left, why }) = rest {
            let (channel, seconds) = (self.channel.name(), left.as_secs_f64().ceil());
            let reason =
                format!("{} (tried again in {seconds} s, or at once with: join {channel})", why.reason);
            self.show_waiting(Refusal { reason, ..why }, ctx);
        }
        self.react(effects, ctx);
    }

    /// Does what was decided about the connection.
    pub(super) fn react(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Dial => self.dial(ctx),
                Effect::Wake { after, alarm } => {
                    ctx.run_later(after, move |client, ctx| {
                        let effects = client.reconnect.woke(alarm, Now::real());
                        client.react(effects, ctx);
                    });
                }
                Effect::Keep(kept) => {
                    self.store.keep_pace(&Tried::Channel(self.channel.record.id), kept.as_ref());
                }
            }
        }
    }

    pub(super) fn nudge(&mut self, nudge: Nudge, ctx: &mut Context<Self>) {
        let effects = self.reconnect.nudge(nudge, Now::real());
        self.react(effects, ctx);
    }

    /// Makes the attempt that was decided on. What is at the store has to be known first: then this is called again.
    pub(super) fn dial(&mut self, ctx: &mut Context<Self>) {
        if self.stopping || !self.reconnect.is_dialling() {
            return;
        }
        let Some(held) = self.session.borrow().held.clone() else {
            return self.failed(Code::NotSignedIn.into(), ctx);
        };
        if !self.writing.may_connect() {
            return;
        }
        let (generation, subject) = (self.generation(), held.claims.subject);
        self.tried_as = Some(subject);
        let (way, record, resume) = (self.way.clone(), self.channel.record.clone(), self.writing.resume());
        let entering = async move { way.enter(record, held.signed, resume).await };
        ctx.spawn(Box::pin(entering).into_actor(self).map(move |entered, client, ctx| {
            if generation != client.generation() || client.stopping {
                return;
            }
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
        let effects = self.reconnect.connected();
        self.react(effects, ctx);
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
        let generation = self.generation();
        ctx.add_stream(self.writing.incoming(generation, link, inbox));
        self.keep(ctx);
        self.fill(ctx);
        self.check_identity(ctx);
        self.pump(ctx);
    }

    pub(super) fn joined(&self) -> Result<JoinedChannel, Refusal> {
        let standing = self.standing.as_ref().ok_or_else(|| Refusal::from(Code::HostAway))?;
        Ok(JoinedChannel {
            channel: self.channel.name().clone(),
            id: self.channel.record.id,
            head: standing.head,
            role: standing.role,
            policy: standing.policy,
        })
    }

    pub(super) fn answer_joining(&mut self, outcome: &Result<JoinedChannel, Refusal>) {
        for joining in std::mem::take(&mut self.joining) {
            // Whoever no longer waits has no use for it.
            let _ = joining.send(outcome.clone());
        }
    }

    /// There is no connection: an attempt came to nothing, or what there was is lost.
    pub(super) fn failed(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
        self.answer_joining(&Err(refusal.clone()));
        if refusal.code == Code::Kicked && self.channel.joined {
            // Another device was told so, or this one missed it.
            return self.stay_away(refusal, ctx);
        }
        let is_rare = !refusal.code.is_passing() || refusal.code == Code::Superseded;
        let (effects, after) = self.reconnect.failed(&refusal, Now::real());
        if let Some(after) = after {
            let (channel, seconds) = (self.channel.name(), after.as_secs_f64().ceil());
            let mut told = refusal;
            // Without a pass there is nothing to try again: entering does that.
            if is_rare && told.code != Code::NotSignedIn {
                told.reason =
                    format!("{} (tried again in {seconds} s, or at once with: join {channel})", told.reason);
            }
            self.show_waiting(told, ctx);
            self.have_host_watched(ctx);
        }
        self.react(effects, ctx);
    }

    fn show_waiting(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
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
    }

    /// The connection is lost.
    pub(super) fn lost(&mut self, reason: CloseReason, ctx: &mut Context<Self>) {
        self.let_go();
        let refusal = match reason {
            CloseReason::Told(refusal) => refusal,
            reason => {
                Refusal::new(Code::ConnectionLost, format!("the connection to the host was lost: {reason}"))
            }
        };
        self.failed(refusal, ctx);
    }

    /// Makes the connection anew, at once.
    pub(super) fn connect_again(&mut self, ctx: &mut Context<Self>) {
        self.let_go();
        let effects = self.reconnect.again(Now::real());
        self.react(effects, ctx);
    }

    /// No connection is wanted any more.
    pub(super) fn disconnect(&mut self, why: Refusal) {
        self.reconnect.stop();
        self.let_go();
        self.answer_joining(&Err(why));
    }

    /// Lets go of the connection: what it still brings is passed over.
    fn let_go(&mut self) {
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

    /// While there is no connection the tracker is to tell when the host is seen: it is asked for that once over each
    /// connection to it. What it answers is where the host is to be tried next.
    fn have_host_watched(&mut self, ctx: &mut Context<Self>) {
        let over = {
            let session = self.session.borrow();
            session.entered_over().filter(|over| *over != self.located_over)
        };
        let Some(over) = over else { return };
        self.located_over = over;
        let (tracker, id) = (self.way.tracker.clone(), self.channel.record.id);
        let locating = async move { tracker.request(&Locate::Id(id)).await };
        ctx.spawn(locating.into_actor(self).map(move |located, client, _| match located {
            Ok(fresh) if client.link().is_none() => {
                // What does not follow from what is known is told by the next attempt.
                if let Ok(fresh) = follow(&client.channel.record, fresh) {
                    client.channel.record = fresh;
                }
            }
            Ok(_) => {}
            Err(refusal) if refusal.code == Code::NoSuchChannel => {}
            Err(_) if client.located_over == over => client.located_over = 0,
            Err(_) => {}
        }));
    }
}

pub(super) struct SessionChanged;

impl StreamHandler<SessionChanged> for Client {
    fn handle(&mut self, _: SessionChanged, ctx: &mut Self::Context) {
        let held = self.session.borrow().held.clone();
        match (self.link(), held) {
            (Some(link), Some(held)) if self.is_entered_as(&held) => self.show_pass(link, held, ctx),
            (Some(_), Some(_)) => self.check_identity(ctx),
            (Some(_), None) => {
                self.let_go();
                self.failed(Code::NotSignedIn.into(), ctx);
            }
            (None, Some(held)) if self.channel.joined && self.session.borrow().entered => {
                self.have_host_watched(ctx);
                let is_other = self.tried_as.is_some_and(|subject| subject != held.claims.subject);
                self.nudge(if is_other { Nudge::Command } else { Nudge::Session }, ctx);
            }
            (None, _) => {}
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}
