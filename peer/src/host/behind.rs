//! A log that has lost entries: how that is found, and what is done about it before they are recovered. The part of the
//! actor that looks after it.

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use common::clock::Timestamp;
use common::entry::{Checkpoint, Position};
use common::proto::channel::Connect;
use common::proto::event::{LogBehind, SignedHead};
use common::proto::limits::MAX_GIVERS;
use common::proto::status::{Code, Refusal};

use super::actor::{Attested, Host, Seat};
use super::begin;
use super::messages::{Claim, Enter, Survey, Surveyed};
use super::permission::{Verb, decide};
use super::record::{self, Behind, HostRecord};
use crate::recovery::Member;

impl Host {
    /// Takes what somebody who comes in proves of how far this log was. Whether they may have entries that it lacks.
    pub(super) fn learn_from(&mut self, enter: &Enter) -> bool {
        let mut proven = self.proven_by(enter).into_iter();
        let lost = proven.find(|(proven, signed_at)| self.has_lost(*proven, *signed_at));
        let lost = lost.map(|(lost, _)| lost);
        if let Some(lost) = lost
            && self.may_turn(lost)
        {
            let (here, there) = (self.channel.head().seq, lost.seq);
            let found = if lost.epoch != self.record().epoch {
                format!("this host has signed entry {there} of a newer log, in which the channel went on")
            } else if there > here {
                format!("its log here ends at entry {here}, and this host has signed entry {there}")
            } else {
                format!("entry {there} of its log here is not the one that this host has signed")
            };
            let why = format!("{found}: an older copy was put back, or the disk has lost entries");
            self.turn_behind(Behind::because(why, Some(lost)), false);
        }
        let head = self.channel.head();
        let claims = enter.connect.have.filter(|have| have.epoch == head.epoch && have.seq > head.seq);
        lost.is_some() || claims.is_some()
    }

    /// What is proven by this host's own signature, or by that of who hosted before, as long as their log is gathered. Its
    /// own user's client is this very peer: what that has was here.
    fn proven_by(&self, Enter { link, connect, .. }: &Enter) -> Vec<(Position, Option<Timestamp>)> {
        let own = connect.have.filter(|_| link.peer_key() == self.parts.identity.key());
        let signed = self.signed_by_me(connect).or_else(|| self.signed_before(connect));
        let signed = signed.map(|checkpoint| (checkpoint.position, Some(checkpoint.time)));
        signed.into_iter().chain(own.map(|own| (own, None))).collect()
    }

    fn signed_before(&self, connect: &Connect) -> Option<Checkpoint> {
        let (proof, behind) = (connect.proof.as_ref()?, self.record().behind.as_ref()?);
        let signed = behind.signers.iter().find_map(|key| proof.verify(key).ok());
        signed.filter(|checkpoint| checkpoint.channel == self.record().id)
    }

    /// What this host has signed, as somebody shows it who comes in.
    pub(super) fn signed_by_me(&self, connect: &Connect) -> Option<Checkpoint> {
        let signed = connect.proof.as_ref()?.verify(&self.parts.identity.key()).ok();
        signed.filter(|checkpoint| checkpoint.channel == self.record().id)
    }

    fn has_lost(&self, proven: Position, signed_at: Option<Timestamp>) -> bool {
        // What cannot be read now is not known to be lost.
        let Ok(found) = self.parts.log.position_at(proven.seq) else { return false };
        // What other hosts have signed, whose log is gathered, says nothing of where this one has been.
        let is_gathering = self.record().behind.as_ref().is_some_and(|behind| !behind.signers.is_empty());
        let is_of_newer = !is_gathering && signed_at.is_some_and(|at| self.record().has_left(proven, at));
        is_of_newer
            || begin::is_lost(self.channel.head(), proven, found)
                && !begin::is_aside(&self.record().side_branches, proven, signed_at, found)
    }

    /// Whether somebody has entries of a side branch: they are to ask the tracker up to where the log was taken along, and
    /// to put them aside. What nothing proves may as well be more than this log has, which has lost it: its owner hears of that.
    pub(super) fn is_aside(&mut self, enter: &Enter) -> bool {
        if let Some(is_aside) = self.is_proven_aside(&enter.connect) {
            return is_aside;
        }
        let is_aside = enter.connect.have.is_some_and(|have| self.lies_aside(have, None));
        if is_aside && !self.channel.is_behind() {
            self.hear_claim(enter);
            return true;
        }
        false
    }

    /// What this host's own signature says of that, if they have one that does.
    fn is_proven_aside(&self, connect: &Connect) -> Option<bool> {
        let signed = self.signed_by_me(connect)?;
        if self.lies_aside(signed.position, Some(signed.time)) {
            return Some(true);
        }
        let were_here_since = self.record().side_branches.iter().all(|branch| signed.time > branch.at);
        were_here_since.then_some(false)
    }

    fn lies_aside(&self, place: Position, signed_at: Option<Timestamp>) -> bool {
        let branches = &self.record().side_branches;
        !branches.is_empty()
            && self
                .parts
                .log
                .position_at(place.seq)
                .is_ok_and(|found| begin::is_aside(branches, place, signed_at, found))
    }

    /// Whether this is news: another loss than is known, or one that reaches further.
    fn may_turn(&self, lost: Position) -> bool {
        let known = self.record().behind.as_ref().and_then(|behind| behind.reached);
        !self.channel.is_behind()
            || known.is_none_or(|known| known.epoch == lost.epoch && known.seq < lost.seq)
    }

    /// Takes nothing more, and tells all who should know; the owner not of what they want.
    pub(super) fn turn_behind(&mut self, behind: Behind, is_wanted: bool) {
        let mut is_news = is_wanted && !self.channel.is_behind();
        self.channel.turn_behind();
        if !is_wanted {
            is_news = self.parts.behind.send_if_modified(|told| {
                let is_news = told.is_none();
                *told = Some(behind.why.clone());
                is_news
            });
        }
        let known = self.parts.record.behind.take();
        let before = known.as_ref().and_then(|known| known.reached);
        // That there is a newer log is not forgotten for what is lost of this one.
        let epoch = self.parts.record.epoch;
        let reached = behind.reached.into_iter().chain(before);
        let reached = reached.max_by_key(|position| (position.epoch != epoch, position.seq));
        let signers = known.map_or(behind.signers, |known| known.signers);
        self.parts.record.behind = Some(Behind { reached, signers, why: behind.why });
        self.keeps_behind = true;
        if is_news {
            tracing::error!(channel = %self.record().id, why = ?self.record().behind, "the log is behind");
            self.tell_all(&LogBehind {});
        }
    }

    /// Somebody has more than this log, and nothing that proves it. Anybody can say so: it stops nobody, and the owner
    /// decides what to make of it.
    pub(super) fn hear_claim(&mut self, Enter { connect, pass, .. }: &Enter) {
        let head = self.channel.head();
        let Some(have) = connect.have.filter(|have| have.epoch == head.epoch && have.seq > head.seq) else {
            return;
        };
        self.claims.hear(Claim { name: pass.name.clone(), seq: have.seq, more: have.seq - head.seq });
        self.tell_claims(Timestamp::now());
    }

    /// Has the owner hear of a claim, when it is time.
    pub(super) fn tell_claims(&mut self, now: Timestamp) {
        if let Some(claim) = self.claims.due(now) {
            self.parts.claimed.send_modify(|claimed| {
                (claimed.count, claimed.last) = (claimed.count + 1, Some(claim));
            });
        }
    }

    /// Keeps what was found to be lost: after a restart it is lost still.
    pub(super) fn keep_behind(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::take(&mut self.keeps_behind) {
            return;
        }
        let (store, id, behind) = (self.parts.store.clone(), self.record().id, self.record().behind.clone());
        let epoch = self.record().epoch;
        let keep = move |record: &mut HostRecord| {
            // What was found of a log that the channel has left by now is nothing to the new one.
            if record.epoch == epoch {
                record.behind = behind;
            }
        };
        let kept = async move { record::change(&store, id, keep).await };
        ctx.spawn(kept.into_actor(self).map(|kept, host, _| {
            if let Err(error) = kept {
                tracing::warn!(channel = %host.record().id, err = %error, "that the log is behind is not kept");
            }
        }));
    }

    /// Who of the members may have what is missing; this peer's own client too, which may have received it elsewhere.
    fn givers(&self) -> Vec<Member> {
        let epoch = self.record().epoch;
        let others = self.seats.values().filter(|seat| seat.who.has_more);
        let member =
            |seat: &Seat| Member { name: seat.who.pass.name.clone(), link: seat.link.clone(), epoch };
        others.take(MAX_GIVERS).map(member).collect()
    }

    /// Gives the members a signature on where the log ends, if that is news to them: what they have is proven by it.
    pub(super) fn attest(&mut self) {
        let head = self.channel.head();
        let is_news = self.attested.seq != head.seq;
        self.attested = Attested { at: Timestamp::now(), seq: head.seq, passed: head.seq };
        self.parts.reach.send_if_modified(|reach| std::mem::replace(&mut reach.head, head) != head);
        if is_news && let Ok(checkpoint) = self.signed_head() {
            self.tell_all(&SignedHead { checkpoint });
        }
    }
}

impl Handler<Survey> for Host {
    type Result = Result<Surveyed, Refusal>;

    fn handle(&mut self, Survey { who }: Survey, _: &mut Context<Self>) -> Self::Result {
        let (standing, switches) = (self.record().standing(who), self.record().policy.switches());
        decide(standing, Verb::Recover, None, switches)?;
        if !self.channel.is_idle() || self.channel.is_unsettled() {
            let reason = "messages are on their way to the disk; try again in a moment";
            return Err(Refusal::new(Code::TooManyRequests, reason));
        }
        Ok(Surveyed { record: self.record().clone(), members: self.givers() })
    }
}
