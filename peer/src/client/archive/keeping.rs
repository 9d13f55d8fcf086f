//! The client's part that writes what was received, and shows it once it is written.

use std::time::Duration;

use actix::prelude::*;
use common::crash::{self, Point};
use common::entry::Position;
use common::id::ChannelId;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::status::{Code, Refusal};
use common::storage::{ReadError, StoreError};
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::intervals::{Continuation, Proof};
use super::keeper::Written;
use super::{Archive, ArchiveError, Asking, CatchUp, Filling, Keeper};
use crate::api::{ChatMessage, Event};
use crate::client::connect::Resume;
use crate::client::incoming::chat_message;
use crate::client::{Client, FromHost};
use crate::store::PeerStore;

/// After a write the disk rests for so many times as long as it took: where the disk is quick nobody notices, and many
/// peers on one disk write less often, and more at once. Measured with 115 peers in one process.
const REST_FACTOR: u32 = 8;
/// It rests no longer than this: so late may a message be that follows another one.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// When a write failed the next one is tried after so long.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How far was shown is written by itself when no entry takes it along for so long.
const KEEP_SHOWN_AFTER: Duration = Duration::from_millis(500);
/// How many entries that may not have been shown are shown at a start, at most; a crash leaves far fewer.
const MAX_SHOWN_AGAIN: u64 = 4096;

/// The archive of a client's channel, and what it does about it.
pub(in crate::client) struct Writing {
    pub archive: Archive,
    pub keeper: Keeper,
    pub catch_up: CatchUp,
    pub filling: Filling,
    /// How many requests of the user are unanswered.
    pub asking: Asking,
    /// Whether the channel's log is on this very disk.
    pub at_home: bool,
    /// Whether the stream is held back.
    held: watch::Sender<bool>,
    /// Nothing is written for a while.
    rests: bool,
    /// The last write failed, and the user was told.
    is_failing: bool,
    is_mark_planned: bool,
    /// A connection is wanted, and waits for what is at the store.
    connect_after: bool,
}

impl Writing {
    /// With what is on disk.
    pub fn load(store: &PeerStore, channel: ChannelId, catch_up: CatchUp) -> Result<Self, ReadError> {
        let archive = Archive::new(store.store().clone(), channel);
        Ok(Self {
            keeper: Keeper::new(archive.load()?),
            archive,
            catch_up,
            filling: Filling::default(),
            asking: Asking::default(),
            at_home: false,
            held: watch::Sender::new(false),
            rests: false,
            is_failing: false,
            is_mark_planned: false,
            connect_after: false,
        })
    }

    /// Whether a connection may be made now. What is at the store has to be known first: CONNECT says what is written.
    pub fn may_connect(&mut self) -> bool {
        self.connect_after = self.keeper.is_writing();
        !self.connect_after
    }

    /// From where on entries are wanted.
    pub fn resume(&self) -> Resume {
        let may_skip = self.keeper.intervals().has_room();
        Resume { have: self.keeper.have(), may_skip, catch_up: self.catch_up }
    }

    /// The connection has ended.
    pub fn disconnected(&mut self) {
        self.keeper.disconnected();
        self.filling.disconnected();
        self.hold_back();
    }

    /// Holds the stream back while too much waits for the disk, and lets it go on afterwards.
    fn hold_back(&self) {
        let is_full = self.keeper.is_full();
        self.held.send_if_modified(|held| std::mem::replace(held, is_full) != is_full);
    }

    /// What comes over a connection, as long as it is not held back. It is then TCP that holds back the host.
    pub fn incoming(
        &self,
        generation: u64,
        link: Link,
        inbox: Inbox,
    ) -> impl Stream<Item = FromHost> + use<> {
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
}

impl Client {
    /// A stream begins after `after`.
    pub(in crate::client) fn begin_stream(
        &mut self,
        after: Position,
        at_home: bool,
        ctx: &mut Context<Self>,
    ) -> Result<(), Refusal> {
        let epoch = self.writing.keeper.epoch();
        let is_other = epoch != Some(after.epoch);
        let stored = is_other.then(|| self.writing.archive.intervals(after.epoch)).transpose();
        let begun = self.writing.keeper.begin(after, stored?).map_err(|error| {
            tracing::warn!(channel = %self.channel.record.id, err = %error, "the stream cannot be taken");
            Refusal::new(Code::LogBehind, format!("{}: {error}", self.channel.name()))
        })?;
        self.writing.at_home = at_home;
        if let Continuation::Skips(gap) = begun {
            tracing::info!(channel = %self.channel.record.id, after = gap.after, upto = gap.upto, "far behind");
        }
        if is_other && epoch.is_some() {
            let reason = "its log was begun anew; what was received before stays in the archive of this peer";
            let channel = Some(self.channel.name().clone());
            self.tell(Event::Warning { code: Code::NewLog, reason: reason.to_owned(), channel }, ctx);
        }
        Ok(())
    }

    /// Writes what waits, unless a write is under way or the disk rests; shows at once what the disk has already.
    pub(in crate::client) fn keep(&mut self, ctx: &mut Context<Self>) {
        // While a connection is made, what is on disk has to stay what CONNECT says.
        if self.reconnect.is_dialling() {
            return;
        }
        if self.writing.at_home {
            let messages = self.writing.keeper.take_logged();
            self.show(messages, ctx);
            if !self.writing.keeper.has_older() {
                return self.writing.hold_back();
            }
        }
        self.write_batch(ctx);
    }

    fn write_batch(&mut self, ctx: &mut Context<Self>) {
        if self.writing.rests || self.reconnect.is_dialling() {
            return;
        }
        let Some(batch) = self.writing.keeper.next_batch(self.events.taken()) else { return };
        self.writing.hold_back();
        crash::here(Point::ClientArchiving);
        let (archive, since, generation) = (self.writing.archive.clone(), Instant::now(), self.generation());
        let work = async move { archive.keep(batch).await };
        ctx.spawn(work.into_actor(self).map(move |outcome, client, ctx| match outcome {
            Ok(()) => {
                crash::here(Point::ClientArchived);
                client.written(since.elapsed(), ctx);
            }
            Err(error) => client.not_written(&error, generation, ctx),
        }));
    }

    fn written(&mut self, took: Duration, ctx: &mut Context<Self>) {
        let Written { messages, filled, apart } = self.writing.keeper.written();
        self.writing.is_failing = false;
        if !messages.is_empty() {
            // Filling has pauses of its own, and a live entry must not wait for what came of it.
            self.rest((took * REST_FACTOR).min(LONGEST_REST), ctx);
        }
        self.show(messages, ctx);
        if let Some(gap) = filled {
            let channel = self.channel.name().clone();
            self.tell(Event::Filled { channel, from: gap.after + 1, to: gap.upto }, ctx);
        }
        if let Some(proof) = apart {
            self.warn_of(proof, ctx);
        }
        self.connect_if_wanted(ctx);
        self.keep(ctx);
        self.fill(ctx);
    }

    fn not_written(&mut self, error: &StoreError, generation: u64, ctx: &mut Context<Self>) {
        tracing::warn!(channel = %self.channel.record.id, err = %error, "the archive could not be written");
        // After the end of its connection everything that is not on disk comes again.
        let comes_again = generation != self.generation() || self.link().is_none();
        self.writing.keeper.not_written(!comes_again);
        self.writing.hold_back();
        self.rest(WRITE_AGAIN_AFTER, ctx);
        if !std::mem::replace(&mut self.writing.is_failing, true) && !self.stopping {
            let refusal = Refusal::from(error.clone());
            let reason = format!(
                "what comes in cannot be kept, so it is not shown until it can: {}. Nothing is lost; it goes on by itself",
                refusal.reason
            );
            self.tell(
                Event::Warning { code: refusal.code, reason, channel: Some(self.channel.name().clone()) },
                ctx,
            );
        }
        self.connect_if_wanted(ctx);
    }

    fn connect_if_wanted(&mut self, ctx: &mut Context<Self>) {
        if std::mem::take(&mut self.writing.connect_after) {
            self.dial(ctx);
        }
    }

    fn rest(&mut self, span: Duration, ctx: &mut Context<Self>) {
        self.writing.rests = true;
        ctx.run_later(span, |client, ctx| {
            client.writing.rests = false;
            client.keep(ctx);
        });
    }

    fn show(&mut self, messages: Vec<ChatMessage>, ctx: &mut Context<Self>) {
        let Some(last) = messages.last().map(|message| message.seq) else { return };
        let mut told = None;
        for message in messages {
            // Each future ends when there was room for all that was told; the last one's is enough.
            told = Some(self.events.tell(Event::Message(message)));
        }
        if let Some(told) = told {
            ctx.wait(told.into_actor(self));
        }
        crash::here(Point::ClientShown);
        self.writing.keeper.told(self.events.told(), last);
        self.plan_mark(ctx);
    }

    fn plan_mark(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.writing.is_mark_planned, true) {
            ctx.run_later(KEEP_SHOWN_AFTER, |client, ctx| {
                client.writing.is_mark_planned = false;
                client.write_batch(ctx);
                let is_due = client.writing.keeper.is_mark_due(client.events.taken());
                if (is_due && !client.writing.keeper.is_writing()) || client.writing.keeper.is_mark_open() {
                    client.plan_mark(ctx);
                }
            });
        }
    }

    /// Writes what is still to be written, and how far entries were shown; for the end, which waits for it.
    pub(in crate::client) fn keep_last(&mut self) -> impl Future<Output = ()> + use<> {
        let archive = self.writing.archive.clone();
        // What is at the store is written once more, since nobody will hear of it: twice does no harm.
        self.writing.keeper.not_written(true);
        let batch = self.writing.keeper.next_batch(self.events.taken());
        async move {
            if let Some(batch) = batch
                && let Err(error) = archive.keep(batch).await
            {
                tracing::warn!(err = %error, "the last entries are not in the archive and will come again");
            }
        }
    }

    /// Shows the entries that were written, and then not shown, or not known to be, when this peer ended.
    pub(in crate::client) fn show_unshown(&mut self, ctx: &mut Context<Self>) {
        let Some((epoch, after, upto)) = self.writing.keeper.unshown() else { return };
        let archive = self.writing.archive.clone();
        let read = async move { archive.read(epoch, after, upto, MAX_SHOWN_AGAIN).await };
        ctx.wait(read.into_actor(self).map(move |read, client, ctx| {
            let opened = read.and_then(|entries| {
                let opened = entries
                    .into_iter()
                    .map(|entry| Ok(chat_message(client.channel.name(), epoch, entry.open()?, &entry)));
                opened.collect::<Result<Vec<_>, ArchiveError>>()
            });
            match opened {
                Ok(messages) => client.show(messages, ctx),
                Err(error) => tracing::error!(err = %error, "entries that were not shown cannot be read"),
            }
        }));
    }

    fn warn_of(&mut self, Proof { from, to }: Proof, ctx: &mut Context<Self>) {
        let reason = format!(
            "the entries up to {} that were received before, and those up to {} that the host gives out now, are not of \
             one log: the host has lost or changed some. Both are kept here; ask the channel's owner",
            from.seq, to.seq
        );
        tracing::warn!(channel = %self.channel.record.id, from = from.seq, to = to.seq, "the chain does not join");
        self.tell(
            Event::Warning { code: Code::LogBehind, reason, channel: Some(self.channel.name().clone()) },
            ctx,
        );
    }
}
