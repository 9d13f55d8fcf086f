//! A channel is offered to somebody by its owner, and taken.
//!
//! From the moment at which the hand-over is signed the host takes nothing: what it stored behind that would be lost to
//! the channel. It serves what there is until it hears that the channel has moved, or its own peer has taken it back.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, MessageResult, ResponseActFuture, WrapFuture};
use common::clock::Timestamp;
use common::id::Subject;
use common::identity::PeerKey;
use common::proto::limits::BUSY_AGAIN_AFTER;
use common::proto::moving::HandOver;
use common::proto::status::{Code, Refusal};
use common::proto::transfer::Taken;
use common::signed::Signed;
use tokio::sync::oneshot;

use super::HostError;
use super::actor::Host;
use super::messages::{Asker, EndOffer, Resume, SetOffer, Take};
use super::record::{self, Handed, Offer};

/// Who has taken a channel has so long to host it before it is taken back.
pub const TAKING_LASTS: Duration = Duration::from_secs(10 * 60);

impl Handed {
    /// How long whoever took the channel still has to host it.
    pub fn left(&self, now: Timestamp) -> Duration {
        self.at.plus(TAKING_LASTS).since(now)
    }

    /// Whether whoever took the channel has had time enough to host it.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.at.plus(TAKING_LASTS)
    }
}

/// Somebody takes the channel, once nothing is on its way to the disk.
pub(super) struct Taking {
    key: PeerKey,
    subject: Subject,
    reply: oneshot::Sender<Result<Taken, Refusal>>,
}

impl Host {
    /// Who takes the channel, if it is offered to them.
    fn taker(&self, by: Asker) -> Result<(PeerKey, Subject), Refusal> {
        let (seat, _) = self.permitted(by)?;
        let subject = seat.who.pass.subject;
        let offer = self.record().offer.as_ref().filter(|offer| Timestamp::now() < offer.until);
        if offer.is_none_or(|offer| offer.to.subject != subject) {
            let reason = "the channel is not offered to you, or not any more";
            return Err(Refusal::new(Code::NotAllowed, reason));
        }
        if self.channel.is_behind() {
            return Err(Code::LogBehind.into());
        }
        if self.record().handed.is_some_and(|handed| handed.is_over(Timestamp::now())) {
            let reason =
                "the channel is being taken back, since it was taken and not hosted in time; try again";
            return Err(Refusal::new(Code::TooManyRequests, reason).after(BUSY_AGAIN_AFTER));
        }
        Ok((seat.who.pass.peer_key, subject))
    }

    /// Signs the hand-over when nothing is under way any more.
    pub(super) fn hand_over_when_idle(&mut self, ctx: &mut Context<Self>) {
        let is_idle = self.channel.is_idle() && self.orders.is_empty() && !self.is_closing();
        if let Some(taking) = self.taking.take_if(|_| is_idle) {
            self.hand_over(taking, ctx);
        }
    }

    fn hand_over(&mut self, Taking { key, subject, reply }: Taking, ctx: &mut Context<Self>) {
        // So that who takes it can prove all that it takes.
        self.attest();
        let (id, now) = (self.record().id, Timestamp::now());
        let hand_over = HandOver {
            channel: id,
            term: self.record().term,
            to: key,
            owner: subject,
            head: self.channel.head(),
            time: now,
        };
        let signed = Signed::sign(&hand_over, &self.parts.identity);
        // However often it is taken, the time does not begin anew.
        let handed = self.record().handed.unwrap_or(Handed { to: key, at: now });
        let handed = Handed { to: key, ..handed };
        let store = self.parts.store.clone();
        let work =
            async move { record::change(&store, id, move |record| record.handed = Some(handed)).await };
        ctx.spawn(work.into_actor(self).map(move |kept, host, ctx| {
            let taken = match (signed, kept) {
                (Ok(hand_over), Ok(())) => {
                    host.set_handed(Some(handed));
                    Ok(Taken { hand_over, policy: host.record().policy.clone() })
                }
                _ => Err(Code::StorageFailed.into()),
            };
            host.channel.freeze(host.record().handed.is_some());
            // Whoever no longer waits asks again.
            let _ = reply.send(taken);
            host.apply(ctx);
        }));
    }

    fn set_handed(&mut self, handed: Option<Handed>) {
        self.parts.record.handed = handed;
        self.parts.handed.send_replace(handed);
    }
}

impl Handler<Take> for Host {
    type Result = MessageResult<Take>;

    fn handle(&mut self, Take { by }: Take, ctx: &mut Context<Self>) -> Self::Result {
        let (reply, taken) = oneshot::channel();
        match self.taker(by) {
            Ok((key, subject)) => {
                self.channel.freeze(true);
                self.taking = Some(Taking { key, subject, reply });
                self.apply(ctx);
            }
            // Whoever no longer waits has no use for it.
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
        MessageResult(taken)
    }
}

impl Handler<SetOffer> for Host {
    type Result = ResponseActFuture<Self, Result<(), HostError>>;

    fn handle(&mut self, SetOffer(offer): SetOffer, _: &mut Context<Self>) -> Self::Result {
        self.change(move |record| record.offer = Some(offer.clone()))
    }
}

impl Handler<EndOffer> for Host {
    type Result = ResponseActFuture<Self, Result<(), HostError>>;

    fn handle(&mut self, EndOffer(of): EndOffer, _: &mut Context<Self>) -> Self::Result {
        let is_meant = |offer: &Offer| of.is_none_or(|subject| offer.to.subject == subject);
        if !self.record().offer.as_ref().is_some_and(is_meant) {
            return Box::pin(actix::fut::ready(Ok(())));
        }
        if let Some(handed) = self.record().handed {
            // Over at once: whoever watches it takes the channel back.
            self.set_handed(Some(Handed { at: Timestamp::from_millis(0), ..handed }));
        }
        self.change(|record| record.offer = None)
    }
}

impl Handler<Resume> for Host {
    type Result = ResponseActFuture<Self, Result<(), HostError>>;

    fn handle(&mut self, _: Resume, _: &mut Context<Self>) -> Self::Result {
        let resumed = self.change(|record| record.handed = None);
        Box::pin(resumed.map(|resumed, host, _| {
            resumed?;
            host.parts.handed.send_replace(None);
            host.channel.freeze(false);
            Ok(())
        }))
    }
}
