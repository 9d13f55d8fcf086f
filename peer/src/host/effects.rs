//! Coming, going, and what follows from the pure state: the part of the actor that acts.

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::{Bytes, BytesMut};
use common::clock::Timestamp;
use common::crash::{self, Point};
use common::entry::{Author, Checkpoint, Position};
use common::id::IdentityKind;
use common::link::Link;
use common::proto::channel::{Connect, Connected};
use common::proto::event;
use common::proto::limits::{CHECKPOINT_EVERY, SIGN_HEAD_EVERY};
use common::proto::policy::{Holder, Standing};
use common::proto::status::{Code, Refusal};
use common::proto::{self, Pushed};
use common::signed::Signed;

use super::actor::{Host, Seat, Who};
use super::begin;
use super::channel::{Batch, ConnId, Effect};
use super::counted;
use super::messages::{Enter, Entered};
use super::permission::{Verb, decide};
use super::record::Behind;
use super::seats::Arrival;
use crate::host::log::Log;
use crate::recovery::forking::kept_of;

impl Host {
    /// Lets somebody in, or has them wait for what an older connection of theirs has under way.
    pub(super) fn enter(&mut self, enter: Enter) {
        if self.is_closing() {
            return refuse(enter, Code::GoingAway.into());
        }
        let who = Holder { subject: enter.pass.subject, key: enter.pass.peer_key };
        let standing = self.record().standing(who);
        let decided = decide(standing, Verb::Connect, None, self.record().policy.switches());
        if let Err(refusal) = decided.and_then(|()| self.kicked.check(who, standing.role, Timestamp::now())) {
            return refuse(enter, refusal);
        }
        let key = enter.pass.peer_key;
        if let Some(older) = self.seating.older(key) {
            self.dismiss(older, Code::Superseded.into());
        }
        match self.seating.arrive(key, Box::new(enter)) {
            Arrival::Free(enter) => self.seat(*enter),
            Arrival::Waits { turned_away: Some(older) } => older.link.close_because(Code::Superseded.into()),
            Arrival::Waits { turned_away: None } => {}
        }
    }

    fn seat(&mut self, enter: Enter) {
        let has_more = self.learn_from(&enter);
        if self.is_aside(&enter) {
            let reason = "the channel has moved, and was taken back: what was stored here meanwhile is in a side branch";
            return refuse(enter, Refusal::new(Code::Superseded, reason));
        }
        let begin = self.begin_of_stream(&enter.connect);
        let (after, checkpoint) = match begin.and_then(|after| Ok((after, self.signed_head()?))) {
            Ok(begin) => begin,
            Err(refusal) => {
                self.hear_claim(&enter);
                return refuse(enter, refusal);
            }
        };
        let Enter { link, request, pass, reply, connect } = enter;
        let head = self.channel.head();
        let record = self.record();
        let who = Holder { subject: pass.subject, key: pass.peer_key };
        let connected = Connected {
            name: record.name.clone(),
            head,
            term: record.term,
            after,
            role: record.standing(who).role,
            policy: record.policy.switches(),
            checkpoint,
            behind: self.channel.is_behind(),
            forks: record.forks.clone(),
        };
        // The answer goes before everything that the member's task or this actor may push from now on. Without
        // anybody to take it, there is nobody to sit here.
        if reply.is_closed() || link.answer(request, &Ok(connected)).is_err() {
            return link.close();
        }
        let conn = self.seating.sit(pass.peer_key);
        let is_live = after.seq == head.seq;
        self.channel.enter(conn);
        let invisible = connect.invisible && pass.kind == IdentityKind::Account;
        if !invisible {
            self.presence.enter(pass.subject, &pass.name, pass.kind);
            self.counted.came(pass.subject, Timestamp::now());
        }
        let author = Author::new(pass.subject, pass.name.clone(), pass.kind, pass.peer_key);
        tracing::debug!(channel = %self.record().id, conn = conn.0, after = after.seq, "entered");
        if reply.send(Ok(Entered { conn, after: after.seq, is_live })).is_err() {
            // Nobody serves it; the seat is cleared by the next sweep.
            link.close();
        }
        if is_live {
            self.fanout.enter(conn, link.clone());
        }
        let who = Who { pass, author, invisible, has_more };
        self.seats.insert(conn, Seat { link, live: is_live, who: Box::new(who) });
        self.learn_name(conn);
    }

    /// The entry before the first that a member is to get.
    fn begin_of_stream(&self, connect: &Connect) -> Result<Position, Refusal> {
        if let Some(waits) = begin::beyond(self.channel.head(), connect.have, self.channel.is_behind()) {
            return Ok(waits);
        }
        let seq = match self.place_before_fork(connect) {
            Some(seq) => seq,
            None => begin::begin_of_stream(self.channel.head(), connect.have, connect.tail)?,
        };
        let found = self.parts.log.position_at(seq).map_err(|error| {
            tracing::warn!(channel = %self.record().id, err = ?error.to_string(), "cannot read the log");
            Refusal::from(Code::StorageFailed)
        })?;
        begin::check(found, connect.have)
    }

    /// Up to where somebody has the log already who has received it in a life of before: what was kept of that has the same
    /// numbers in this one. Of somebody who has more than was kept, what was signed shows how far it is the same.
    fn place_before_fork(&self, connect: &Connect) -> Option<u64> {
        let (head, record) = (self.channel.head(), self.record());
        let have = connect.have.filter(|have| have.epoch != head.epoch)?;
        let kept = kept_of(&record.forks, have.epoch)?;
        let old = Log::new(self.parts.store.clone(), record.id, have.epoch);
        let is_there = |place: &Position| {
            place.epoch == have.epoch
                && place.seq <= kept.seq
                && old.position_at(place.seq).is_ok_and(|found| found == Some(*place))
        };
        let signed = self.signed_by_me(connect).map(|signed| signed.position);
        let signed = signed.filter(|signed| kept.seq.saturating_sub(signed.seq) <= connect.tail.into());
        [Some(have), signed].into_iter().flatten().filter(is_there).map(|place| place.seq).max()
    }

    /// The host's signature on where the log ends.
    pub(super) fn signed_head(&mut self) -> Result<Signed<Checkpoint>, Refusal> {
        let head = self.channel.head();
        if let Some((position, signed)) = &self.checkpoint
            && *position == head
        {
            return Ok(signed.clone());
        }
        let signed = self.sign(head)?;
        self.checkpoint = Some((head, signed.clone()));
        Ok(signed)
    }

    pub(super) fn sign(&self, position: Position) -> Result<Signed<Checkpoint>, Refusal> {
        let checkpoint = Checkpoint { channel: self.record().id, position, time: Timestamp::now() };
        Signed::sign(&checkpoint, &self.parts.identity).map_err(|error| {
            tracing::error!(channel = %self.record().id, err = ?error.to_string(), "cannot sign a checkpoint");
            Code::Internal.into()
        })
    }

    /// Ends a member's connection, and says why.
    pub(super) fn dismiss(&mut self, conn: ConnId, reason: Refusal) {
        if let Some(seat) = self.seats.get(&conn) {
            seat.link.close_because(reason);
            self.depart(conn);
        }
    }

    /// A member's connection is over.
    pub(super) fn depart(&mut self, conn: ConnId) {
        let Some(seat) = self.seats.remove(&conn) else { return };
        self.fanout.leave(conn);
        if !seat.who.invisible {
            self.presence.leave(seat.who.pass.subject);
        }
        self.seating.leave(conn, self.channel.leave(conn));
    }

    /// A member does not mean to come back. Whether somebody invisible does, nobody is to see.
    pub(super) fn leave_for_good(&mut self, conn: ConnId) {
        let seen = self.seats.get(&conn).filter(|seat| !seat.who.invisible);
        let subject = seen.map(|seat| seat.who.pass.subject);
        self.depart(conn);
        if let Some(subject) = subject.filter(|subject| self.presence.name_of(*subject).is_none()) {
            self.counted.left(subject);
        }
    }

    /// Counts the members anew if others count than before, and has it told.
    pub(super) fn count_members(&mut self) {
        let record = &self.parts.record;
        let (owner, policy) = (record.owner.subject, &record.policy);
        let by = (self.counted.changes(), policy.rev, owner);
        if self.counted_by.replace(by) == Some(by) {
            return;
        }
        let admits = |subject| {
            let is_banned = policy.bans.contains(&subject);
            policy.switches().admits(Standing { role: policy.role_of(subject, owner), is_banned })
        };
        let members = self.counted.count(Timestamp::now(), admits);
        self.parts.reach.send_modify(|reach| reach.members = members);
    }

    fn keep_counted(&mut self, ctx: &mut Context<Self>) {
        let changed = self.counted.take_changed();
        if changed.is_empty() {
            return;
        }
        let (store, id) = (self.parts.store.clone(), self.record().id);
        let kept = async move { counted::keep(&store, id, changed).await };
        ctx.spawn(kept.into_actor(self).map(|kept, host, _| {
            if let Err(error) = kept {
                tracing::warn!(channel = %host.record().id, err = ?error.to_string(), "who counts as a member is not kept");
            }
        }));
    }

    /// Nothing of a connection that has left is under way any more: who waited for that comes in.
    fn drained(&mut self, conn: ConnId) {
        if let Some(waiting) = self.seating.drained(conn) {
            self.enter(*waiting);
        }
    }

    /// Does what follows from the pure state, in its order.
    pub(super) fn apply(&mut self, ctx: &mut Context<Self>) {
        while let Some(effect) = self.channel.poll() {
            match effect {
                Effect::Answer { conn, request, outcome } => {
                    if let Some(seat) = self.seats.get(&conn) {
                        // A link that has ended is noticed by its reader.
                        let _ = seat.link.answer(request, &outcome);
                    }
                }
                Effect::Append(batch) => self.append(ctx, batch),
                Effect::Deliver(entries) => self.deliver(&entries),
                Effect::ReadHead => self.recover(ctx),
                Effect::Drained(conn) => self.drained(conn),
                Effect::Overrun(conn) => self.dismiss(conn, Code::TooManyUnanswered.into()),
            }
        }
        self.keep_behind(ctx);
        self.keep_names(ctx);
        self.hand_over_when_idle(ctx);
        if self.is_closing() && self.channel.is_idle() && self.orders.is_empty() && !self.is_ending {
            self.is_ending = true;
            self.attest();
            self.keep_counted(ctx);
            let drained = self.fanout.drained();
            ctx.spawn(drained.into_actor(self).map(|(), host, ctx| host.finish(ctx)));
        }
    }

    fn append(&self, ctx: &mut Context<Self>, batch: Batch) {
        let due = batch.entries.iter().filter(|entry| entry.position.seq % CHECKPOINT_EVERY == 0);
        let signed = due.filter_map(|entry| Some((entry.position.seq, self.sign(entry.position).ok()?)));
        let checkpoints = signed.collect();
        crash::here(Point::HostAppending);
        let log = self.parts.log.clone();
        // What is stored faster than it can be written out makes the senders wait, and nobody a slow reader.
        let room = self.fanout.room();
        let work = async move {
            room.await;
            log.append(batch, checkpoints).await
        };
        ctx.spawn(work.into_actor(self).map(|outcome, host, ctx| {
            crash::here(Point::HostAppended);
            host.parts.search.nudge();
            host.channel.appended(outcome);
            host.apply(ctx);
        }));
    }

    /// Reads where the log ends, after an append whose outcome is not known. Tried again by [`Self::tick`].
    fn recover(&mut self, ctx: &mut Context<Self>) {
        self.is_recovering = true;
        let (log, known, id) = (self.parts.log.clone(), self.channel.head(), self.record().id);
        let work = async move { log.recover(known).await };
        ctx.spawn(work.into_actor(self).map(move |found, host, ctx| {
            host.is_recovering = false;
            match found {
                Ok(found) => {
                    host.channel.recovered(found.head, found.beyond);
                    if host.channel.is_behind() {
                        let (here, there) = (found.head.seq, known.seq);
                        let why = format!(
                            "its log here ends at entry {here}, and it had reached entry {there}: the disk has lost entries"
                        );
                        host.turn_behind(Behind::because(why, Some(known)), false);
                    }
                }
                Err(error) => {
                    tracing::warn!(channel = %id, err = ?error.to_string(), "cannot read where the log ends")
                }
            }
            host.apply(ctx);
        }));
    }

    /// Has entries that are on disk go out to all who are live, encoded once.
    fn deliver(&mut self, entries: &[Bytes]) {
        crash::here(Point::HostAnswered);
        self.parts.head.send_replace(self.channel.head());
        let mut lines = BytesMut::with_capacity(entries.iter().map(|entry| entry.len() + 32).sum());
        entries.iter().for_each(|entry| event::put_message(&mut lines, entry));
        self.fanout.push(&lines.freeze());
    }

    /// Once a second: who came and went is told, who may not stay goes, what failed is tried again.
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Timestamp::now();
        self.sweep(now);
        self.tell_claims(now);
        let changes = self.presence.take_changes();
        if let Some(joined) = changes.joined {
            self.tell_all(&joined);
        }
        if let Some(left) = changes.left {
            self.tell_all(&left);
        }
        if self.channel.is_unsettled() && !self.is_recovering {
            self.recover(ctx);
        }
        self.forget(ctx, now);
        self.count_members();
        self.keep_counted(ctx);
        // Whenever the talk pauses, and now and then while it goes on.
        let head = self.channel.head().seq;
        let has_paused = std::mem::replace(&mut self.attested.passed, head) == head;
        if has_paused || now.since(self.attested.at) >= SIGN_HEAD_EVERY {
            self.attest();
        }
        if self.fanout.is_broken() {
            tracing::error!(channel = %self.record().id, "the members of a channel are not written to any more");
            // Without a word to whoever waits for the end: it is a death.
            return ctx.stop();
        }
        self.apply(ctx);
    }

    /// Takes the bodies away of what is older than texts are kept here, a piece of the log at a time.
    fn forget(&mut self, ctx: &mut Context<Self>, now: Timestamp) {
        if self.is_closing() || self.channel.is_behind() {
            return;
        }
        let Some(before) = self.retention.next(self.record().policy.retention_days, now) else { return };
        let (log, id) = (self.parts.log.clone(), self.record().id);
        let work = async move { log.forget(before, now).await };
        ctx.spawn(work.into_actor(self).map(move |forgotten, host, _| {
            let has_more = forgotten.unwrap_or_else(|error| {
                tracing::warn!(channel = %id, err = ?error.to_string(), "what is too old cannot be forgotten now");
                true
            });
            host.retention.done(has_more, Timestamp::now());
        }));
    }

    /// Ends the sessions whose pass does not count any more, and clears the seats whose link has gone without a word.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.kicked.sweep(now);
        let gate = self.parts.gate.now();
        let why = |seat: &Seat| {
            let is_gone = seat.link.is_closed().then_some(Code::ConnectionLost);
            gate.why_ended(&seat.who.pass, now).or(is_gone)
        };
        let over: Vec<(ConnId, Code)> =
            self.seats.iter().filter_map(|(conn, seat)| Some((*conn, why(seat)?))).collect();
        for (conn, code) in over {
            self.dismiss(conn, code.into());
        }
    }

    pub(super) fn tell_all<E: Pushed>(&self, event: &E) {
        if let Ok(line) = proto::encode_event(event) {
            self.push_to_all(&line);
        }
    }

    pub(super) fn push_to_all(&self, line: &Bytes) {
        self.fanout.push(line);
        for seat in self.seats.values().filter(|seat| !seat.live) {
            let _ = seat.link.push(line.clone());
        }
    }

    /// Past what others are told: to be followed by the end of the connection.
    pub(super) fn push_to_one(&self, conn: ConnId, line: &Bytes) {
        if let Some(seat) = self.seats.get(&conn) {
            // A link that has ended is noticed by its reader.
            let _ = seat.link.push(line.clone());
        }
    }

    /// The last step of closing: nothing is under way any more.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.seating.close().into_iter();
        let links: Vec<Link> =
            waiting.map(|enter| enter.link).chain(self.seats.drain().map(|(_, seat)| seat.link)).collect();
        for link in links {
            link.close_because(self.why.clone());
        }
        self.parts.ended.send_replace(true);
        for closed in self.closing.drain(..) {
            // Whoever no longer waits has no use for it.
            let _ = closed.send(());
        }
        tracing::info!(channel = %self.record().id, seq = self.channel.head().seq, "no longer hosting");
        ctx.stop();
    }
}

fn refuse(enter: Enter, refusal: Refusal) {
    // Without anybody left to tell, the link has gone too.
    let _ = enter.reply.send(Err(refusal));
}
