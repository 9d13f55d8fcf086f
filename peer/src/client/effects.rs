//! Does what the client's state has decided, and says what came of it.

use std::time::Duration;

use actix::prelude::*;
use common::crash::{self, Point};
use common::entry::{Checkpoint, TEXT, TextBody, check_text};
use common::id::{Epoch, MessageId};
use common::identity::PeerKey;
use common::link::{CloseReason, Inbound, Inbox, Link, RequestError};
use common::proto::channel::{History, Message as Entry, Pass, StatusOf, Stored};
use common::proto::directory::Locate;
use common::proto::event::HostEvent;
use common::proto::file::FILE;
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MESSAGE_ENVELOPE_BYTES};
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::StoreError;
use futures_util::{Stream, stream};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::archive::{ArchiveError, Batch};
use super::connect::{Entered, NotEntered, Ticket};
use super::outbox::{Change, Item};
use super::state::{Attempt, Came, Effect, Question};
use super::telling::chat_message;
use super::{Client, FromHost, Status};
use crate::api::{ChatMessage, Event, JoinedChannel, Queued};

/// How many entries that may not have been shown are shown at a start, at most; a crash leaves far fewer.
const MAX_SHOWN_AGAIN: u64 = 4096;
/// What could not be taken off the disk is tried again after so long.
const DROP_AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(super) type OnDisk = std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

/// A message that is on disk now, or is not.
pub(super) struct Written {
    pub id: MessageId,
    pub number: u64,
    pub outcome: Result<(), StoreError>,
    pub reply: oneshot::Sender<Result<Queued, Refusal>>,
}

/// What became of a message that went out.
pub(super) struct Answered {
    generation: u64,
    id: MessageId,
    answer: Result<Stored, RequestError>,
}

impl StreamHandler<Written> for Client {
    fn handle(&mut self, written: Written, ctx: &mut Self::Context) {
        crash::here(Point::ClientQueued);
        let Written { id, number, outcome, reply } = written;
        self.step(ctx, |state| state.item_written(number, id, outcome.is_ok()));
        let channel = self.state.channel().name().clone();
        // Whoever no longer waits has no use for it.
        let _ = reply.send(outcome.map(|()| Queued { id, channel }).map_err(Refusal::from));
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Answered> for Client {
    fn handle(&mut self, Answered { generation, id, answer }: Answered, ctx: &mut Self::Context) {
        if answer.is_ok() {
            crash::here(Point::ClientAnswered);
        }
        self.step(ctx, |state| state.answered(generation, id, answer.map(|stored| stored.seq)));
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Client {
    /// Does what was decided, in order.
    pub(super) fn follow_up(&mut self, ctx: &mut Context<Self>) {
        while let Some(effect) = self.state.poll() {
            self.perform(effect, ctx);
        }
        let is_full = self.state.is_full();
        self.held.send_if_modified(|held| std::mem::replace(held, is_full) != is_full);
        self.publish();
    }

    fn publish(&self) {
        let Self { state, link, .. } = self;
        let (joined, reason, waiting) = (state.channel().joined, state.reason(), state.waiting());
        self.status.send_if_modified(|status| {
            let is_same = status.joined == joined
                && status.link.is_some() == link.is_some()
                && status.reason.as_ref() == reason
                && status.waiting == waiting;
            *status = Status { joined, link: link.clone(), reason: reason.cloned(), waiting };
            !is_same
        });
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Tell(event) => ctx.wait(self.events.tell(event).into_actor(self)),
            Effect::Show(messages) => self.show(messages, ctx),
            Effect::ReadUnshown(epoch, ranges) => self.show_unshown(epoch, ranges, ctx),
            Effect::Dial(attempt) => self.dial(*attempt, ctx),
            Effect::CloseLink => {
                if let Some(link) = self.link.take() {
                    link.close();
                }
            }
            Effect::GiveUpLink => {
                if let Some(link) = &self.link {
                    link.give_up();
                }
            }
            Effect::Joining(outcome) => {
                for joining in self.joining.drain(..) {
                    // Whoever no longer waits has no use for it.
                    let _ = joining.send((*outcome).clone());
                }
            }
            Effect::ShowPass => self.show_pass(ctx),
            Effect::Locate(over) => self.locate(over, ctx),
            Effect::Ask(question) => self.ask(question, ctx),
            Effect::LookForLost(before, awaited) => self.look_for_lost(before, awaited, ctx),
            Effect::Chain(epoch, proof) => {
                let (generation, archive) = (self.state.generation(), self.archive.clone());
                let chain = async move { archive.chain(epoch, proof.from, proof.to.seq).await };
                ctx.spawn(chain.into_actor(self).map(move |chain, client, ctx| {
                    let hash = chain
                        .inspect_err(|error| tracing::error!(err = %error, "the archive cannot be checked"))
                        .ok();
                    client.step(ctx, |state| state.chained(generation, proof, hash));
                }));
            }
            Effect::WriteBatch(batch) => self.write_batch(batch, ctx),
            Effect::KeepItem(item) => self.keep_item(&item, ctx),
            Effect::DropItem(number) => self.drop_item(number, ctx),
            Effect::WriteChange(change) => {
                let on_disk = self.write_change(&change);
                ctx.spawn(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
                    let outcome = on_disk.map_err(Refusal::from);
                    client.step(ctx, |state| state.change_written(change.number, outcome, false));
                }));
            }
            Effect::KeepJoined(joined) => self.keep_joined(*joined, ctx),
            Effect::KeepChannel => self.keep_channel(ctx),
            Effect::SetAside(cut) => self.set_aside(cut, ctx),
            Effect::TellMoved(known, moved) => self.tell_moved(*known, moved, ctx),
            Effect::KeepPace(tried, kept) => self.store.keep_pace(&tried, kept.as_ref()),
            Effect::Wake(after, timer) => {
                ctx.run_later(after, move |client, ctx| client.step(ctx, |state| state.woke(timer)));
            }
        }
    }

    fn show(&mut self, messages: Vec<ChatMessage>, ctx: &mut Context<Self>) {
        let Some(last) = messages.last().map(|message| message.seq) else { return };
        let mut told = None;
        for message in messages {
            if let Some(offered) = message.offered.clone() {
                // Before anything says that it was shown: after a crash in between it is heard again.
                let (files, channel) = (self.files.clone(), self.state.channel().record.id);
                let (name, entry, from) = (message.channel.clone(), message.id, message.from.clone());
                let heard = async move { files.heard_in(channel, name, entry, from, *offered).await };
                ctx.wait(heard.into_actor(self));
            }
            // Each future ends when there was room for all that was told; the last one's is enough.
            told = Some(self.events.tell(Event::Message(message)));
        }
        if let Some(told) = told {
            ctx.wait(told.into_actor(self));
        }
        crash::here(Point::ClientShown);
        self.state.shown(self.events.told(), last);
    }

    /// Shows the entries that were written, and then not shown, or not known to be, when this peer ended.
    fn show_unshown(&self, epoch: Epoch, ranges: Vec<(u64, u64)>, ctx: &mut Context<Self>) {
        let (archive, name) = (self.archive.clone(), self.state.channel().name().clone());
        let read = async move {
            let mut messages = Vec::new();
            for (after, upto) in ranges {
                for entry in archive.read(epoch, after, upto, MAX_SHOWN_AGAIN).await? {
                    messages.push(chat_message(&name, epoch, entry.open()?, &entry));
                }
            }
            archive.note_erased(epoch, messages).await
        };
        ctx.wait(read.into_actor(self).map(move |read: Result<_, ArchiveError>, client, ctx| {
            match read {
                Ok(messages) => client.show(messages, ctx),
                Err(error) => client.state.not_shown_again(&error.to_string()),
            }
            client.follow_up(ctx);
        }));
    }

    fn dial(&self, attempt: Attempt, ctx: &mut Context<Self>) {
        let Attempt { generation, record, resume } = attempt;
        // Who was there when the attempt was decided on, in this same step.
        let (held, invisible) = {
            let session = self.session.borrow();
            (session.held.clone(), session.invisible)
        };
        let Some(held) = held else { return };
        let (way, subject) = (self.way.clone(), held.claims.subject);
        let ticket = Ticket { pass: held.signed, invisible, proof: self.proof() };
        let entering = async move { way.enter(record, ticket, resume).await };
        ctx.spawn(Box::pin(entering).into_actor(self).map(move |entered, client, ctx| {
            let entered = match entered {
                Ok(entered) => Ok(entered),
                Err(NotEntered::Refused(refusal)) => Err(refusal),
                Err(NotEntered::Moved(record)) => {
                    return client.step(ctx, |state| state.found_elsewhere(generation, *record));
                }
            };
            let outcome = entered.and_then(|Entered { link, inbox, connected, record, at_home, window }| {
                let is_other = client.state.is_other(connected.after.epoch);
                let stored = is_other.then(|| client.archive.intervals(connected.after.epoch)).transpose()?;
                let came = Came { subject, invisible, connected, record, at_home, window, stored };
                Ok((link, inbox, came))
            });
            match outcome {
                Ok((link, inbox, came)) => client.entered(generation, link, inbox, came, ctx),
                Err(refusal) => {
                    client.step(ctx, |state| state.entered(generation, Err(refusal)));
                }
            }
        }));
    }

    fn entered(&mut self, generation: u64, link: Link, inbox: Inbox, came: Came, ctx: &mut Context<Self>) {
        if !came.at_home {
            self.keep_checkpoint(came.connected.checkpoint.clone(), came.record.host_key, ctx);
        }
        // Not by `step`: what follows needs the link.
        self.state.look(super::around(&self.session, &self.events, &self.asking, true));
        if self.state.entered(generation, Ok(came)) {
            self.link = Some(link.clone());
            ctx.add_stream(self.incoming(generation, link, inbox));
        } else {
            link.close();
        }
        self.follow_up(ctx);
    }

    /// The newest that the host has signed of the log that is received. Without one that can be read, it is none.
    fn proof(&self) -> Option<Signed<Checkpoint>> {
        let epoch = self.state.keeper().epoch()?;
        self.archive.newest_checkpoint(epoch).ok().flatten()
    }

    /// Keeps what the host has signed.
    fn keep_checkpoint(&self, signed: Signed<Checkpoint>, key: PeerKey, ctx: &mut Context<Self>) {
        let id = self.state.channel().record.id;
        let Some(checkpoint) = signed.verify(&key).ok().filter(|signed| signed.channel == id) else { return };
        let archive = self.archive.clone();
        let kept = async move {
            if let Err(error) = archive.keep_checkpoints(vec![(checkpoint, signed)]).await {
                tracing::warn!(err = %error, "what the host has signed is not kept; the next connection brings it again");
            }
        };
        ctx.spawn(kept.into_actor(self));
    }

    /// What comes over a connection, as long as it is not held back. It is then TCP that holds back the host.
    fn incoming(&self, generation: u64, link: Link, inbox: Inbox) -> impl Stream<Item = FromHost> + use<> {
        let held = self.held.subscribe();
        stream::unfold(Some((inbox, held, link)), move |open| async move {
            let (mut inbox, mut held, link) = open?;
            tokio::select! {
                // A client that is gone takes nothing any more.
                _ = held.wait_for(|held| !held) => {}
                _ = link.closed() => {}
            }
            let inbound: Result<Inbound, CloseReason> = inbox.next().await;
            let open = inbound.is_ok().then_some((inbox, held, link));
            Some((FromHost { generation, inbound }, open))
        })
    }

    /// What the host tells: entries of the log, who came and went, who may do what.
    pub(super) fn told(&mut self, generation: u64, name: &str, body: &RawValue, ctx: &mut Context<Self>) {
        match HostEvent::parse(name, body) {
            Ok(event) => {
                if let HostEvent::RawEntry(_) = event {
                    crash::here(Point::ClientReceived);
                }
                if let HostEvent::SignedHead(signed) = &event
                    && !self.state.is_at_home()
                {
                    let key = self.state.channel().record.host_key;
                    self.keep_checkpoint(signed.checkpoint.clone(), key, ctx);
                }
                self.step(ctx, |state| state.told(generation, event));
            }
            Err(refusal) if refusal.code == Code::UnknownCommand => {
                tracing::debug!(event = ?name, "event of the host passed over");
            }
            Err(refusal) => {
                let reason = format!("the host sent an event that cannot be read: {refusal}");
                self.step(ctx, |state| state.broken(&reason));
            }
        }
    }

    /// Shows a new pass within the session.
    fn show_pass(&self, ctx: &mut Context<Self>) {
        let (Some(link), Some(held)) = (self.link.clone(), self.session.borrow().held.clone()) else {
            return;
        };
        let generation = self.state.generation();
        let shown = async move { link.request(&Pass { pass: held.signed, moved: None }).await };
        ctx.spawn(shown.into_actor(self).map(move |shown, client, ctx| {
            if shown.is_err() {
                client.step(ctx, |state| state.pass_refused(generation));
            }
        }));
    }

    fn locate(&self, over: u64, ctx: &mut Context<Self>) {
        let (tracker, id) = (self.way.tracker.clone(), self.state.channel().record.id);
        let locating = async move { tracker.request(&Locate::Id(id)).await };
        ctx.spawn(locating.into_actor(self).map(move |located, client, ctx| {
            client.step(ctx, |state| state.watched(over, located));
        }));
    }

    fn ask(&mut self, question: Question, ctx: &mut Context<Self>) {
        let generation = self.state.generation();
        let link = self.link.clone().ok_or(RequestError::Lost(CloseReason::Here));
        match question {
            Question::Message { item, restart } => {
                crash::here(Point::ClientSending);
                let Item { id, text, offers, sent_at, .. } = *item;
                let asked = link.and_then(|link| {
                    let (kind, body) = match offers {
                        Some(offers) => (FILE, raw(&offers)),
                        None => (TEXT, body_of(&text)),
                    };
                    let body = body.map_err(RequestError::Refused)?;
                    link.send(&Entry { id, kind: kind.to_owned(), sent_at, about: None, body, restart })
                });
                crash::here(Point::ClientSent);
                let answered = async move {
                    let answer = match asked {
                        Ok(answer) => answer.await,
                        Err(error) => Err(error),
                    };
                    Answered { generation, id, answer }
                };
                if self.answers.push(answered).is_err() {
                    // Nobody would hear the answer: a new connection asks again.
                    self.state.give_up_link();
                }
            }
            Question::StatusOf(ids) => {
                let asked = link.and_then(|link| link.send(&StatusOf { ids: ids.clone() }));
                let answered = async move { asked?.await };
                ctx.spawn(answered.into_actor(self).map(move |answer, client, ctx| {
                    client.step(ctx, |state| state.told_outcomes(generation, &ids, answer));
                }));
            }
            Question::Page(epoch, gap) => {
                let asked = History { before: Some(gap.upto + 1), after: Some(gap.after), limit: None };
                let page = async move { link?.request(&asked).await };
                ctx.spawn(page.into_actor(self).map(move |page, client, ctx| {
                    let page = page.map_err(RequestError::into_refusal);
                    client.step(ctx, |state| state.paged(generation, epoch, gap, page));
                }));
            }
        }
    }

    fn write_batch(&self, batch: Batch, ctx: &mut Context<Self>) {
        crash::here(Point::ClientArchiving);
        let (generation, since) = (self.state.generation(), Instant::now());
        let work = self.keep_batch(batch);
        ctx.spawn(work.into_actor(self).map(move |outcome, client, ctx| {
            if outcome.is_ok() {
                crash::here(Point::ClientArchived);
                client.search.nudge();
            }
            let outcome = outcome.map_err(Refusal::from);
            client.step(ctx, |state| state.batch_written(generation, since.elapsed(), outcome));
        }));
    }

    /// Writes a batch. What it erases is offered no longer: before it is written, since after a crash in between it comes
    /// again.
    fn keep_batch(&self, batch: Batch) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (archive, files) = (self.archive.clone(), self.files.clone());
        let channel = self.state.channel().record.id;
        async move {
            let erased: Vec<MessageId> = batch.erasures.iter().map(|erasure| erasure.id).collect();
            if !erased.is_empty() {
                files.erased_in(channel, erased).await;
            }
            archive.keep(batch).await
        }
    }

    /// Writes a change; nothing of it may be told or sent before it is on disk.
    pub(super) fn write_change(&self, change: &Change) -> OnDisk {
        let (store, channel) = (&self.store, self.state.channel().record.id);
        let submitted: Result<OnDisk, StoreError> = match &change.becomes {
            Some(item) => store.keep_item(channel, item).map(|on_disk| Box::pin(on_disk) as OnDisk),
            None => store.drop_item(channel, change.number).map(|on_disk| Box::pin(on_disk) as OnDisk),
        };
        submitted.unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }

    fn keep_item(&self, item: &Item, ctx: &mut Context<Self>) {
        let submitted = self.store.keep_item(self.state.channel().record.id, item);
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
        let submitted = self.store.drop_item(self.state.channel().record.id, number);
        let dropped = async move { submitted?.await };
        ctx.spawn(dropped.into_actor(self).map(move |dropped: Result<(), StoreError>, _, ctx| {
            crash::here(Point::ClientRemoved);
            if let Err(error) = dropped {
                tracing::debug!(err = %error, "a stored message stays in the outbox for now");
                ctx.run_later(DROP_AGAIN_AFTER, move |client, ctx| client.drop_item(number, ctx));
            }
        }));
    }

    /// Keeps that the channel is joined; whoever waits for that is told when it is on disk.
    fn keep_joined(&mut self, joined: Result<JoinedChannel, Refusal>, ctx: &mut Context<Self>) {
        let submitted = self.store.keep_channel(self.state.channel());
        let joining = std::mem::take(&mut self.joining);
        let kept = async move { submitted?.await };
        ctx.spawn(kept.into_actor(self).map(move |kept: Result<(), StoreError>, client, ctx| {
            crash::here(Point::ClientJoined);
            let joined = joined.and_then(|joined| match kept {
                Ok(()) => Ok(joined),
                Err(error) => {
                    let refusal = Refusal::from(error);
                    client.step(ctx, |state| state.not_kept(&refusal));
                    Err(refusal)
                }
            });
            for joining in joining {
                // Whoever no longer waits has no use for it.
                let _ = joining.send(joined.clone());
            }
        }));
    }

    /// Writes what is still to be written, and how far entries were shown; for the end, which waits for it.
    pub(super) fn keep_last(&mut self) -> impl Future<Output = ()> + use<> {
        self.state.look(super::around(&self.session, &self.events, &self.asking, false));
        let last = self.state.last_batch().map(|batch| self.keep_batch(batch));
        async move {
            if let Some(last) = last
                && let Err(error) = last.await
            {
                tracing::warn!(err = %error, "the last entries are not in the archive and will come again");
            }
        }
    }
}

/// Why the connection to the host has ended.
pub(crate) fn why(reason: CloseReason) -> Refusal {
    match reason {
        CloseReason::Told(refusal) => refusal,
        reason => {
            Refusal::new(Code::ConnectionLost, format!("the connection to the host was lost: {reason}"))
        }
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
    raw(&TextBody { text: text.to_owned() })
}

fn raw(body: &impl serde::Serialize) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(body).map_err(|error| Refusal::new(Code::Internal, error.to_string()))
}
