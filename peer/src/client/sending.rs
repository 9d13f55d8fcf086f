//! The way of a message out: into the outbox on disk, to the host, and what the host says of it.

use std::time::Duration;

use actix::prelude::*;
use common::backoff::random_fraction;
use common::clock::Timestamp;
use common::entry::{TEXT, TextBody, check_text};
use common::id::MessageId;
use common::link::RequestError;
use common::proto::channel::{Message as Entry, Stored};
use common::proto::limits::MAX_MESSAGE_FRAME_BYTES;
use common::proto::status::{Code, Refusal};
use serde_json::value::{RawValue, to_raw_value};

use super::Client;
use super::messages::Send;
use super::outbox::{Answer, Consequence, Item};
use crate::api::{Event, OutgoingState, Queued};

/// What an envelope and the other fields of a message take of its frame, at most.
const ENVELOPE_BYTES: usize = 1024;

impl Handler<Send> for Client {
    type Result = ResponseActFuture<Self, Result<Queued, Refusal>>;

    fn handle(&mut self, Send(text): Send, _: &mut Self::Context) -> Self::Result {
        let queued = self.write(text).and_then(|item| {
            let on_disk = self.store.queue(self.channel.record.id, &item)?;
            Ok((item, on_disk))
        });
        let (item, on_disk) = match queued {
            Ok(queued) => queued,
            Err(refusal) => return Box::pin(fut::ready(Err(refusal))),
        };
        Box::pin(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
            on_disk.map_err(Refusal::from)?;
            let (id, channel) = (item.id, client.channel.name().clone());
            client.outbox.push(item);
            client.tell_outgoing(id, OutgoingState::Queued, None, None, ctx);
            client.pump(ctx);
            Ok(Queued { id, channel })
        }))
    }
}

impl Client {
    fn write(&mut self, text: String) -> Result<Item, Refusal> {
        check_text(&text)?;
        if body_of(&text)?.get().len() + ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
            return Err(Code::TextTooLong.into());
        }
        let writer = self.session.borrow().held.as_ref().map(|held| held.claims.subject);
        let writer = writer.ok_or_else(|| Refusal::from(Code::NotSignedIn))?;
        let number = self.outbox.next_number();
        Ok(Item { number, id: MessageId::new(), text, sent_at: Timestamp::now(), writer })
    }

    /// Sends what may go out now.
    pub(super) fn pump(&mut self, ctx: &mut Context<Self>) {
        let me = self.session.borrow().held.as_ref().map(|held| held.claims.subject);
        if let (Some(link), Some(me)) = (self.link(), me) {
            while let Some((item, restart)) = self.outbox.next(me) {
                self.send_out(&link, item, restart, ctx);
            }
        }
        self.publish_waiting();
    }

    fn send_out(&mut self, link: &common::link::Link, item: Item, restart: bool, ctx: &mut Context<Self>) {
        let Item { id, number, text, sent_at, .. } = item;
        let asked = body_of(&text).and_then(|body| {
            let entry = Entry { id, kind: TEXT.to_owned(), sent_at, about: None, body, restart };
            link.send(&entry).map_err(RequestError::into_refusal)
        });
        let generation = self.generation;
        let answered = async move {
            match asked {
                Ok(answer) => answer.await,
                Err(refusal) => Err(RequestError::Refused(refusal)),
            }
        };
        ctx.spawn(answered.into_actor(self).map(move |answer, client, ctx| {
            if generation == client.generation {
                client.answered(id, number, answer, ctx);
            }
        }));
    }

    fn answered(
        &mut self,
        id: MessageId,
        number: u64,
        answer: Result<Stored, RequestError>,
        ctx: &mut Context<Self>,
    ) {
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
        self.pump(ctx);
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
        ctx.run_later(delay, |client, ctx| {
            client.outbox.release();
            client.pump(ctx);
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
