//! The way of a message out: into the outbox on disk, to the host, and what the host says of it.

use std::pin::Pin;
use std::time::Duration;

use actix::prelude::*;
use common::clock::Timestamp;
use common::crash::{self, Point};
use common::entry::{Position, TEXT, TextBody, check_text};
use common::id::{MessageId, Subject};
use common::link::{Link, RequestError};
use common::proto::channel::{Message as Entry, StatusOf, StatusReport, Stored};
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MESSAGE_ENVELOPE_BYTES};
use common::proto::status::{Code, Refusal};
use common::storage::StoreError;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use super::Client;
use super::messages::Send;
use super::outbox::{Answer, Change, Effect, Item, Late, Waits};
use super::telling::{Detail, too_late};
use super::trying::{LATE_AFTER, LONGEST_ASKED, SHORTEST_ASKED};
use crate::api::{Event, OutgoingState, Queued};
use crate::pace::Tried;
use crate::reconnect::Now;

type OnDisk = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

/// A message that is on disk now, or is not.
pub(super) struct Written {
    id: MessageId,
    number: u64,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<Queued, Refusal>>,
}

/// What became of a message that went out.
pub(super) struct Answered {
    generation: u64,
    id: MessageId,
    answer: Result<Stored, RequestError>,
}

impl Handler<Send> for Client {
    type Result = MessageResult<Send>;

    fn handle(&mut self, Send(text): Send, _: &mut Self::Context) -> Self::Result {
        let (reply, queued) = oneshot::channel();
        // Whoever no longer waits has no use for it.
        match self.write(text) {
            Ok((id, number, on_disk)) => {
                let written = async move { Written { id, number, outcome: on_disk.await, reply } };
                // Has room, as `write` made sure.
                let _ = self.writes.push(written);
            }
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
        MessageResult(queued)
    }
}

impl StreamHandler<Written> for Client {
    fn handle(&mut self, written: Written, ctx: &mut Self::Context) {
        crash::here(Point::ClientQueued);
        let Written { id, number, outcome, reply } = written;
        self.outbox.written(number, outcome.is_ok());
        if outcome.is_ok() {
            let reason = self.queue_waits();
            self.tell_outgoing(id, OutgoingState::Queued, Detail { reason, ..Detail::default() }, ctx);
        } else {
            // What is said not to be queued must not go out after a restart, should it be on disk all the same.
            self.drop_item(number, ctx);
        }
        self.pump(ctx);
        let channel = self.channel.name().clone();
        // Whoever no longer waits has no use for it.
        let _ = reply.send(outcome.map(|()| Queued { id, channel }).map_err(Refusal::from));
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Answered> for Client {
    fn handle(&mut self, answered: Answered, ctx: &mut Self::Context) {
        if answered.generation == self.generation() {
            self.answered(answered, ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Client {
    /// Gives a new message its place; says when it will be on disk.
    fn write(
        &mut self,
        text: String,
    ) -> Result<(MessageId, u64, impl Future<Output = Result<(), StoreError>> + use<>), Refusal> {
        check(&text)?;
        if !self.writes.has_room() {
            return Err(Code::TooManyRequests.into());
        }
        let writer = self.me().ok_or_else(|| Refusal::from(Code::NotSignedIn))?;
        let item = Item {
            number: self.outbox.next_number()?,
            id: MessageId::new(),
            text,
            sent_at: Timestamp::now(),
            writer,
            writer_name: self.session.borrow().username.to_string(),
            expires: self.flow.next_expiry(),
            head_seen: self.head_known(),
            refused: None,
            wish: None,
        };
        crash::here(Point::ClientTyped);
        let on_disk = self.store.keep_item(self.channel.record.id, &item)?;
        let (id, number) = (item.id, item.number);
        self.outbox.begin(item);
        Ok((id, number, on_disk))
    }

    /// How far the log is, as far as it is known here.
    fn head_known(&self) -> Option<Position> {
        let told = self.standing.as_ref().map(|standing| standing.head);
        match (told, self.writing.keeper.have()) {
            (Some(told), Some(read)) if read.epoch == told.epoch && read.seq > told.seq => Some(read),
            (told, read) => told.or(read),
        }
    }

    /// Who this peer is, as far as that lets it write.
    pub(super) fn me(&self) -> Option<Subject> {
        self.session.borrow().held.as_ref().map(|held| held.claims.subject)
    }

    /// What keeps the queue from moving by itself although the way may be free.
    pub(super) fn queue_waits(&self) -> Option<String> {
        let channel = self.channel.name();
        match self.outbox.stuck(self.me())?.1 {
            Waits::Writer(name) => {
                Some(format!("it waits behind a message written as {name}; type: outbox {channel}"))
            }
            _ => Some(format!("it waits behind a message that was refused; type: outbox {channel}")),
        }
    }

    /// Sends what may go out now, and asks what has to be known.
    pub(super) fn pump(&mut self, ctx: &mut Context<Self>) {
        let now = Timestamp::now();
        let expired = self.outbox.expire(now);
        self.apply(expired, ctx);
        // Not who this peer is now: the connection may still be that of who it was.
        let me = self.standing.as_ref().map(|standing| standing.subject);
        if let (Some(link), Some(me)) = (self.link().filter(|link| !link.is_closed()), me) {
            self.ask_outcomes(&link, me, ctx);
            self.tell_late(me, now, ctx);
            while let Some((item, restart)) = self.outbox.next(me) {
                self.send_out(&link, item, restart, ctx);
            }
        }
        self.publish_waiting();
        self.plan_expiry(now, ctx);
    }

    fn send_out(&mut self, link: &Link, item: Item, restart: bool, ctx: &mut Context<Self>) {
        crash::here(Point::ClientSending);
        let Item { id, text, sent_at, .. } = item;
        let asked = body_of(&text).map_err(RequestError::Refused).and_then(|body| {
            link.send(&Entry { id, kind: TEXT.to_owned(), sent_at, about: None, body, restart })
        });
        crash::here(Point::ClientSent);
        self.tell_outgoing(id, OutgoingState::Sending, Detail::default(), ctx);
        let generation = self.generation();
        let answered = async move {
            let answer = match asked {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            Answered { generation, id, answer }
        };
        if self.answers.push(answered).is_err() {
            // Nobody would hear the answer: a new connection asks again.
            link.close();
        }
    }

    fn answered(&mut self, Answered { id, answer, .. }: Answered, ctx: &mut Context<Self>) {
        let answer = match answer {
            Ok(stored) => {
                crash::here(Point::ClientAnswered);
                Answer::Stored(stored.seq)
            }
            Err(RequestError::Refused(refusal)) => Answer::Refused(refusal),
            Err(error @ RequestError::TooLong) => Answer::Refused(error.into_refusal()),
            Err(error) => {
                // Whether it was stored is unknown: only a new connection, on which it is sent again, tells.
                tracing::debug!(err = %error, "message without an answer");
                self.give_up_link();
                Answer::None
            }
        };
        let effects = self.outbox.answered(id, answer);
        self.apply(effects, ctx);
        self.pump(ctx);
        self.check_identity(ctx);
    }

    fn give_up_link(&self) {
        if let Some(link) = self.link() {
            link.give_up();
        }
    }

    /// Asks the host about messages whose outcome has to be known before anything else happens to them.
    fn ask_outcomes(&mut self, link: &Link, me: Subject, ctx: &mut Context<Self>) {
        let ids = self.outbox.questions(me);
        if ids.is_empty() {
            return;
        }
        let asked = link.send(&StatusOf { ids: ids.clone() });
        let generation = self.generation();
        let answered = async move { asked?.await };
        ctx.spawn(answered.into_actor(self).map(move |answer, client, ctx| {
            if generation == client.generation() {
                client.told_outcomes(&ids, answer, ctx);
            }
        }));
    }

    fn told_outcomes(
        &mut self,
        ids: &[MessageId],
        answer: Result<StatusReport, RequestError>,
        ctx: &mut Context<Self>,
    ) {
        let effects = match answer {
            Ok(report) => self.outbox.learned(ids, &report.stored),
            Err(error) => {
                if !matches!(error, RequestError::Refused(_)) {
                    self.give_up_link();
                }
                self.outbox.not_learned(ids, error.into_refusal())
            }
        };
        self.apply(effects, ctx);
        self.pump(ctx);
    }

    fn tell_late(&mut self, me: Subject, now: Timestamp, ctx: &mut Context<Self>) {
        let late = self.head_known().and_then(|head| self.outbox.late(me, now, head, LATE_AFTER));
        if let Some(Late { messages, between, oldest }) = late {
            let channel = self.channel.name().clone();
            self.tell(Event::MovedOn { channel, messages, between, oldest }, ctx);
        }
    }

    /// Does what the outbox has decided.
    pub(super) fn apply(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Keep(item) => self.keep_item(&item, ctx),
                Effect::Stored { number, id, seq } => {
                    if self.flow.pace.worked() {
                        self.store.keep_pace(&Tried::Outbox(self.channel.record.id), None);
                    }
                    self.drop_item(number, ctx);
                    let detail = Detail { seq: Some(seq), ..Detail::default() };
                    self.tell_outgoing(id, OutgoingState::Stored, detail, ctx);
                }
                Effect::Refused(item) => {
                    self.keep_item(&item, ctx);
                    self.tell_outgoing(item.id, OutgoingState::Refused, Detail::of(item.refused), ctx);
                }
                Effect::Requeued(item) => {
                    self.keep_item(&item, ctx);
                    self.tell_outgoing(item.id, OutgoingState::Queued, Detail::default(), ctx);
                }
                Effect::Held { refusal, retry_after } => self.hold(refusal, retry_after, ctx),
                Effect::Change(change) => self.change(change, ctx),
                Effect::Changed(change) => self.tell_changed(&change, ctx),
                Effect::TooLate { id, seq, wish } => self.warn(too_late(id, seq, &wish), ctx),
            }
        }
    }

    /// Writes a change that nobody waits for any more.
    fn change(&mut self, change: Change, ctx: &mut Context<Self>) {
        let on_disk = self.write_change(&change);
        ctx.spawn(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
            if let Err(error) = client.change_written(change.number, on_disk, ctx) {
                client.warn(error, ctx);
            }
        }));
    }

    /// Writes a change; nothing of it may be told or sent before it is on disk.
    pub(super) fn write_change(&self, change: &Change) -> OnDisk {
        let (store, channel) = (&self.store, self.channel.record.id);
        let submitted: Result<OnDisk, StoreError> = match &change.becomes {
            Some(item) => store.keep_item(channel, item).map(|on_disk| Box::pin(on_disk) as OnDisk),
            None => store.drop_item(channel, change.number).map(|on_disk| Box::pin(on_disk) as OnDisk),
        };
        submitted.unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }

    pub(super) fn change_written(
        &mut self,
        number: u64,
        on_disk: Result<(), StoreError>,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        let effects = self.outbox.changed(number, on_disk.is_ok());
        self.apply(effects, ctx);
        self.pump(ctx);
        on_disk.map_err(Refusal::from)
    }

    fn keep_item(&self, item: &Item, ctx: &mut Context<Self>) {
        let submitted = self.store.keep_item(self.channel.record.id, item);
        let kept = async move {
            let kept = match submitted {
                Ok(on_disk) => on_disk.await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::warn!(err = %error, "what became of a message is not kept; a restart asks for it again");
            }
        };
        ctx.spawn(kept.into_actor(self));
    }

    fn drop_item(&self, number: u64, ctx: &mut Context<Self>) {
        let submitted = self.store.drop_item(self.channel.record.id, number);
        let dropped = async move {
            let dropped = match submitted {
                Ok(on_disk) => on_disk.await,
                Err(error) => Err(error),
            };
            if let Err(error) = dropped {
                tracing::warn!(err = %error, "stored message stays in the outbox and goes out again");
            }
            crash::here(Point::ClientRemoved);
        };
        ctx.spawn(dropped.into_actor(self));
    }

    fn hold(&mut self, refusal: Option<Refusal>, retry_after: Option<Duration>, ctx: &mut Context<Self>) {
        let why = refusal.unwrap_or_else(|| Code::AfterRefused.into());
        let now = Now::real();
        let kept = self.flow.pace.failed(&why, now, |delay| {
            retry_after.map_or(delay, |asked| asked.clamp(SHORTEST_ASKED, LONGEST_ASKED))
        });
        self.store.keep_pace(&Tried::Outbox(self.channel.record.id), Some(&kept));
        self.flow.held_because = Some(why);
        self.hold_for(kept.next_at.since(now.at), ctx);
    }

    pub(super) fn publish_waiting(&self) {
        let waiting = self.me().map_or(0, |me| self.outbox.moving(me));
        self.state.send_if_modified(|state| std::mem::replace(&mut state.waiting, waiting) != waiting);
    }
}

/// What of a text can be checked before it is written.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    check_text(text)?;
    if body_of(text)?.get().len() + MESSAGE_ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
        return Err(Code::TextTooLong.into());
    }
    Ok(())
}

fn body_of(text: &str) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(&TextBody { text: text.to_owned() })
        .map_err(|error| Refusal::new(Code::Internal, error.to_string()))
}
