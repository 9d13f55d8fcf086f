//! What the rest of the peer may ask of a client.

use std::time::Duration;

use actix::prelude::*;
use common::crash::{self, Point};
use common::id::MessageId;
use common::proto::channel::Disconnect;
use common::proto::directory::ChannelRecord;
use common::proto::file::ChannelOffer;
use common::proto::status::{Code, Refusal};
use tokio::sync::oneshot;

use super::Client;
use super::archive::{GetArchive, GetSources, KeepPage, Sources, View};
use super::effects::{Written, check};
use super::outbox::{Decision, Item};
use super::state::{ClientState, wished};
use crate::api::{ChannelStatus, JoinedChannel, LinkState, OutboxChange, OutboxItem, Queued, Retried};

#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<JoinedChannel, Refusal>>")]
pub(super) struct Join(pub Option<ChannelRecord>);

impl Handler<Join> for Client {
    type Result = MessageResult<Join>;

    fn handle(&mut self, Join(fresh): Join, ctx: &mut Self::Context) -> Self::Result {
        let (joining, joined) = oneshot::channel();
        // There before what follows, which may answer it.
        self.joining.push(joining);
        if let Some(outcome) = self.step(ctx, |state| state.join(fresh))
            && let Some(joining) = self.joining.pop()
        {
            // Whoever no longer waits has no use for it.
            let _ = joining.send(outcome);
        }
        MessageResult(joined)
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Leave;

impl Handler<Leave> for Client {
    type Result = ResponseFuture<Result<(), Refusal>>;

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) -> Self::Result {
        let parting = self.link.as_ref().and_then(|link| link.send(&Disconnect {}).ok());
        self.step(ctx, ClientState::leave);
        let kept = self.store.keep_channel(self.state.channel());
        Box::pin(async move {
            if let Some(parting) = parting {
                // The host notices the end of the connection just as well.
                let _ = parting.await;
            }
            kept?.await.map_err(Refusal::from)
        })
    }
}

/// Where the channel was seen.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Located(pub ChannelRecord);

impl Handler<Located> for Client {
    type Result = ();

    fn handle(&mut self, Located(record): Located, ctx: &mut Self::Context) {
        self.step(ctx, |state| state.located(record));
    }
}

#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<Queued, Refusal>>")]
pub(super) struct Send(pub String);

impl Handler<Send> for Client {
    type Result = MessageResult<Send>;

    fn handle(&mut self, Send(text): Send, ctx: &mut Self::Context) -> Self::Result {
        let (reply, queued) = oneshot::channel();
        // Whoever no longer waits has no use for what is answered.
        if let Err((reply, refusal)) = self.write(text, None, reply, ctx) {
            let _ = reply.send(Err(refusal));
        }
        MessageResult(queued)
    }
}

/// Something is offered to all who are in the channel.
#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<Queued, Refusal>>")]
pub(super) struct Offer(pub ChannelOffer);

impl Handler<Offer> for Client {
    type Result = MessageResult<Offer>;

    fn handle(&mut self, Offer(offer): Offer, ctx: &mut Self::Context) -> Self::Result {
        let (reply, queued) = oneshot::channel();
        let text = format!("(offers {})", offer.offer.name);
        // Whoever no longer waits has no use for what is answered.
        if let Err((reply, refusal)) = self.write(text, Some(Box::new(offer)), reply, ctx) {
            let _ = reply.send(Err(refusal));
        }
        MessageResult(queued)
    }
}

type Reply = oneshot::Sender<Result<Queued, Refusal>>;

impl Client {
    /// Gives a new message its place; the answer comes when it is on disk.
    fn write(
        &mut self,
        text: String,
        offers: Option<Box<ChannelOffer>>,
        reply: Reply,
        ctx: &mut Context<Self>,
    ) -> Result<(), (Reply, Refusal)> {
        if let Err(refusal) = check(&text) {
            return Err((reply, refusal));
        }
        if !self.writes.has_room() {
            return Err((reply, Code::TooManyRequests.into()));
        }
        let item = match self.step(ctx, |state| state.compose(MessageId::new(), text)) {
            Ok(item) => Item { offers, ..item },
            Err(refusal) => return Err((reply, refusal)),
        };
        crash::here(Point::ClientTyped);
        let on_disk = match self.store.add_item(self.state.channel(), &item) {
            Ok(on_disk) => on_disk,
            Err(error) => return Err((reply, error.into())),
        };
        let (id, number) = (item.id, item.number);
        self.state.begin(item);
        // There is room, as was made sure.
        let _ = self.writes.push(async move { Written { id, number, outcome: on_disk.await, reply } });
        Ok(())
    }
}

/// What waits, in order, at most so many; and how many in all.
#[derive(Message)]
#[rtype(result = "(Vec<OutboxItem>, usize)")]
pub(super) struct GetOutbox {
    pub limit: usize,
}

impl Handler<GetOutbox> for Client {
    type Result = MessageResult<GetOutbox>;

    fn handle(&mut self, GetOutbox { limit }: GetOutbox, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.step(ctx, |state| state.rows(limit)))
    }
}

/// The messages whose id ends so.
#[derive(Message)]
#[rtype(result = "Vec<MessageId>")]
pub(super) struct Matching(pub String);

impl Handler<Matching> for Client {
    type Result = MessageResult<Matching>;

    fn handle(&mut self, Matching(ending): Matching, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.state.outbox().matching(&ending))
    }
}

/// Has what was refused sent again: one message, or all.
#[derive(Message)]
#[rtype(result = "Result<Retried, Refusal>")]
pub(super) struct Retry(pub Option<MessageId>);

impl Handler<Retry> for Client {
    type Result = Result<Retried, Refusal>;

    fn handle(&mut self, Retry(which): Retry, ctx: &mut Self::Context) -> Self::Result {
        self.step(ctx, |state| state.retry(which))
    }
}

/// Cancels a message, or has another text sent in its place.
#[derive(Message)]
#[rtype(result = "Result<OutboxChange, Refusal>")]
pub(super) struct ChangeItem {
    pub id: MessageId,
    pub text: Option<String>,
}

impl Handler<ChangeItem> for Client {
    type Result = ResponseActFuture<Self, Result<OutboxChange, Refusal>>;

    fn handle(&mut self, ChangeItem { id, text }: ChangeItem, ctx: &mut Self::Context) -> Self::Result {
        let becomes = text.as_ref().map(|_| MessageId::new());
        let wish = wished(text.is_some());
        let decided = text.as_deref().map_or(Ok(()), check).and_then(|()| {
            let text = becomes.zip(text);
            self.step(ctx, |state| state.wish(id, text))
        });
        let channel = self.state.channel().name().clone();
        match decided {
            Err(refusal) => Box::pin(fut::ready(Err(refusal))),
            Ok(Decision::Now(decided)) => {
                let on_disk = self.write_change(&decided);
                Box::pin(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
                    let outcome = on_disk.map_err(Refusal::from);
                    client.step(ctx, |state| state.change_written(decided.number, outcome.clone(), true));
                    outcome.map(|()| OutboxChange { id, channel, wish, done: true, becomes })
                }))
            }
            Ok(Decision::Later(item)) => {
                let change = OutboxChange { id, channel, wish, done: false, becomes };
                self.note(&item, change, ctx)
            }
        }
    }
}

impl Client {
    /// Keeps what is to be done with a message once it is known whether it was stored.
    fn note(
        &mut self,
        item: &Item,
        change: OutboxChange,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, Result<OutboxChange, Refusal>> {
        let number = item.number;
        let on_disk = match self.store.keep_item(self.state.channel().record.id, item) {
            Ok(on_disk) => on_disk,
            Err(error) => {
                self.step(ctx, |state| state.withdraw(number));
                return Box::pin(fut::ready(Err(error.into())));
            }
        };
        Box::pin(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
            if let Err(error) = on_disk {
                client.step(ctx, |state| state.withdraw(number));
                return Err(error.into());
            }
            Ok(change)
        }))
    }
}

impl Handler<GetArchive> for Client {
    type Result = MessageResult<GetArchive>;

    fn handle(&mut self, _: GetArchive, _: &mut Self::Context) -> Self::Result {
        MessageResult(View::new(self.archive.clone(), self.state.keeper(), self.state.channel()))
    }
}

impl Handler<GetSources> for Client {
    type Result = MessageResult<GetSources>;

    fn handle(&mut self, _: GetSources, _: &mut Self::Context) -> Self::Result {
        MessageResult(Sources::new(self.archive.clone(), self.state.channel(), self.state.keeper()))
    }
}

impl Handler<KeepPage> for Client {
    type Result = ();

    fn handle(&mut self, KeepPage { epoch, page }: KeepPage, ctx: &mut Self::Context) {
        self.step(ctx, |state| state.keep_page(epoch, page));
    }
}

#[derive(Message)]
#[rtype(result = "ChannelStatus")]
pub(super) struct GetStatus;

impl Handler<GetStatus> for Client {
    type Result = MessageResult<GetStatus>;

    fn handle(&mut self, _: GetStatus, _: &mut Self::Context) -> Self::Result {
        let state = &self.state;
        let link_state = match (&self.link, state.channel().joined) {
            (Some(_), _) => LinkState::Up,
            (None, true) => LinkState::Retrying,
            (None, false) => LinkState::Down,
        };
        let reason = state.reason().filter(|_| self.link.is_none());
        MessageResult(ChannelStatus {
            id: state.channel().record.id,
            channel: state.channel().name().clone(),
            hosted: self.way.hosts.get(state.channel().record.id).is_some(),
            joined: state.channel().joined,
            state: link_state,
            reason: reason.map(|reason| reason.reason.clone()),
            seq: state.keeper().seq(),
            queued: state.outbox().len(),
            behind: self.why_behind(),
        })
    }
}

impl Client {
    /// Why the channel takes no messages, its host having lost a part of the log; as the host knows it, if that is here.
    fn why_behind(&self) -> Option<String> {
        match self.way.hosts.get(self.state.channel().record.id) {
            Some(host) => host.why_behind(),
            None => self.state.is_host_behind().then(|| Code::LogBehind.sentence().to_owned()),
        }
    }
}

/// Nothing more is to be received: all that there is to be shown has been told then.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Finish;

impl Handler<Finish> for Client {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) -> Self::Result {
        let link = self.link.clone();
        self.step(ctx, ClientState::finish);
        Box::pin(async move {
            if let Some(link) = link {
                link.finished().await;
            }
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Shutdown;

impl Handler<Shutdown> for Client {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.death.expected();
        let (kept, link) = (self.keep_last(), self.link.clone());
        self.step(ctx, ClientState::finish);
        ctx.run_later(Duration::ZERO, |_, ctx| ctx.stop());
        Box::pin(async move {
            kept.await;
            if let Some(link) = link {
                link.finished().await;
            }
        })
    }
}
