//! The way of a message out: into the outbox on disk, to the host, and what the host says of it.

use std::time::Duration;

use actix::prelude::*;
use common::backoff::random_fraction;
use common::clock::Timestamp;
use common::entry::{TEXT, TextBody, check_text};
use common::id::MessageId;
use common::link::{Link, RequestError};
use common::proto::channel::{Message as Entry, Stored};
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MESSAGE_ENVELOPE_BYTES};
use common::proto::status::{Code, Refusal};
use common::storage::StoreError;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use super::Client;
use super::messages::Send;
use super::outbox::{Answer, Consequence, Item};
use crate::api::{Event, OutgoingState, Queued};

/// A message that is on disk now, or is not.
pub(super) struct Written {
    item: Item,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<Queued, Refusal>>,
}

/// What became of a message that went out.
pub(super) struct Answered {
    generation: u64,
    id: MessageId,
    number: u64,
    answer: Result<Stored, RequestError>,
}

impl Handler<Send> for Client {
    type Result = MessageResult<Send>;

    fn handle(&mut self, Send(text): Send, _: &mut Self::Context) -> Self::Result {
        let (reply, queued) = oneshot::channel();
        // Whoever no longer waits has no use for it.
        match self.write(text) {
            Ok((item, on_disk)) => {
                let written = async move { Written { item, outcome: on_disk.await, reply } };
                // Has room, as `write` made sure.
                let _ = self.writes.push(written);
            }
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
        MessageResult(queued)
    }
}

impl StreamHandler<Written> for Client {
    fn handle(&mut self, Written { item, outcome, reply }: Written, ctx: &mut Self::Context) {
        let (id, channel) = (item.id, self.channel.name().clone());
        let queued = outcome.map(|()| Queued { id, channel }).map_err(Refusal::from);
        if queued.is_ok() {
            self.outbox.push(item);
            self.tell_outgoing(id, OutgoingState::Queued, None, None, ctx);
            self.pump();
        }
        // Whoever no longer waits has no use for it.
        let _ = reply.send(queued);
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Answered> for Client {
    fn handle(&mut self, answered: Answered, ctx: &mut Self::Context) {
        if answered.generation == self.generation {
            self.answered(answered, ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Client {
    /// A new message, and when it will be on disk.
    fn write(
        &mut self,
        text: String,
    ) -> Result<(Item, impl Future<Output = Result<(), StoreError>> + use<>), Refusal> {
        check_text(&text)?;
        if !self.writes.has_room() {
            return Err(Code::TooManyRequests.into());
        }
        if body_of(&text)?.get().len() + MESSAGE_ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
            return Err(Code::TextTooLong.into());
        }
        let writer = self.session.borrow().held.as_ref().map(|held| held.claims.subject);
        let writer = writer.ok_or_else(|| Refusal::from(Code::NotSignedIn))?;
        let number = self.outbox.next_number();
        let item = Item { number, id: MessageId::new(), text, sent_at: Timestamp::now(), writer };
        let on_disk = self.store.queue(self.channel.record.id, &item)?;
        Ok((item, on_disk))
    }

    /// Sends what may go out now.
    pub(super) fn pump(&mut self) {
        let me = self.session.borrow().held.as_ref().map(|held| held.claims.subject);
        if let (Some(link), Some(me)) = (self.link(), me) {
            while let Some((item, restart)) = self.outbox.next(me) {
                self.send_out(&link, item, restart);
            }
        }
        self.publish_waiting();
    }

    fn send_out(&self, link: &Link, item: Item, restart: bool) {
        let Item { id, number, text, sent_at, .. } = item;
        let asked = body_of(&text).and_then(|body| {
            let entry = Entry { id, kind: TEXT.to_owned(), sent_at, about: None, body, restart };
            link.send(&entry).map_err(RequestError::into_refusal)
        });
        let generation = self.generation;
        let answered = async move {
            let answer = match asked {
                Ok(answer) => answer.await,
                Err(refusal) => Err(RequestError::Refused(refusal)),
            };
            Answered { generation, id, number, answer }
        };
        if self.answers.push(answered).is_err() {
            // Nobody would hear the answer: a new connection asks again.
            link.close();
        }
    }

    fn answered(&mut self, answered: Answered, ctx: &mut Context<Self>) {
        let Answered { id, number, answer, .. } = answered;
        let answer = match answer {
            Ok(stored) => Answer::Stored(stored.seq),
            Err(RequestError::Refused(refusal)) => Answer::Refused(refusal),
            Err(error) => {
                // Whether it was stored is unknown: only a new connection, on which it is sent again, tells.
                tracing::debug!(err = %error, "message without an answer");
                if let Some(link) = self.link() {
                    link.close();
                }
                Answer::None
            }
        };
        match self.outbox.answered(id, answer) {
            Consequence::Stored { seq } => self.stored(id, number, seq, ctx),
            Consequence::Paused(refusal) => {
                self.tell_outgoing(id, OutgoingState::Refused, None, Some(refusal), ctx);
            }
            Consequence::Held { retry_after } => self.hold(retry_after, ctx),
            Consequence::Nothing => {}
        }
        self.pump();
    }

    fn stored(&mut self, id: MessageId, number: u64, seq: u64, ctx: &mut Context<Self>) {
        let (store, channel) = (self.store.clone(), self.channel.record.id);
        let removed = async move {
            if let Err(error) = store.unqueue(channel, number).await {
                tracing::warn!(err = %error, "stored message stays in the outbox and goes out again");
            }
        };
        ctx.spawn(removed.into_actor(self));
        self.tell_outgoing(id, OutgoingState::Stored, Some(seq), None, ctx);
    }

    fn hold(&mut self, retry_after: Option<Duration>, ctx: &mut Context<Self>) {
        let delay = retry_after.unwrap_or_else(|| self.backoff.next_delay(random_fraction()));
        ctx.run_later(delay, |client, _| {
            client.outbox.release();
            client.pump();
        });
    }

    pub(super) fn publish_waiting(&self) {
        let waiting = if self.outbox.is_paused() { self.outbox.under_way() } else { self.outbox.len() };
        self.state.send_if_modified(|state| std::mem::replace(&mut state.waiting, waiting) != waiting);
    }

    fn tell_outgoing(
        &self,
        id: MessageId,
        state: OutgoingState,
        seq: Option<u64>,
        refusal: Option<Refusal>,
        ctx: &mut Context<Self>,
    ) {
        let (code, reason) = refusal.map(|refusal| (refusal.code, refusal.reason)).unzip();
        let channel = self.channel.name().clone();
        self.tell(Event::Outgoing { id, channel, state, seq, code, reason }, ctx);
    }
}

fn body_of(text: &str) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(&TextBody { text: text.to_owned() })
        .map_err(|error| Refusal::new(Code::Internal, error.to_string()))
}
