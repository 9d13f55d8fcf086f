//! What the rest of the peer may ask of a client.

use std::time::Duration;

use actix::prelude::*;
use common::proto::channel::Disconnect;
use common::proto::directory::ChannelRecord;
use common::proto::status::{Code, Refusal};
use tokio::sync::oneshot;

use super::{Client, follow};
use crate::api::{ChannelStatus, JoinedChannel, LinkState, Queued};
use crate::reconnect::{Now, Nudge};

#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<JoinedChannel, Refusal>>")]
pub(super) struct Join(pub Option<ChannelRecord>);

impl Handler<Join> for Client {
    type Result = MessageResult<Join>;

    fn handle(&mut self, Join(fresh): Join, ctx: &mut Self::Context) -> Self::Result {
        let (joining, joined) = oneshot::channel();
        if self.link().is_some() {
            self.release(ctx);
            // Whoever no longer waits has no use for it.
            let _ = joining.send(self.joined());
            return MessageResult(joined);
        }
        match fresh.map(|fresh| (follow(&self.channel.record, fresh.clone()), fresh)) {
            Some((Err(refusal), _)) if self.channel.joined => {
                let _ = joining.send(Err(refusal));
                return MessageResult(joined);
            }
            Some((followed, fresh)) => {
                // Whoever left and joins again has agreed to what is there now, and is told once more what that is.
                if let Err(refusal) = followed {
                    self.warn(refusal, ctx);
                }
                self.channel.record = fresh;
            }
            None => {}
        }
        self.release(ctx);
        self.joining.push(joining);
        let effects = self.reconnect.try_once(Now::real());
        self.react(effects, ctx);
        MessageResult(joined)
    }
}

#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Leave;

impl Handler<Leave> for Client {
    type Result = ResponseFuture<Result<(), Refusal>>;

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) -> Self::Result {
        let link = self.link();
        self.channel.joined = false;
        self.state.send_modify(|state| state.joined = false);
        let parting = link.and_then(|link| link.send(&Disconnect {}).ok());
        let (store, channel) = (self.store.clone(), self.channel.clone());
        self.disconnect(Refusal::new(Code::NotJoined, "the channel was left meanwhile"));
        self.tell_connection(LinkState::Down, None, ctx);
        self.pump(ctx);
        Box::pin(async move {
            if let Some(parting) = parting {
                // The host notices the end of the connection just as well.
                let _ = parting.await;
            }
            store.keep_channel(&channel).await.map_err(Refusal::from)
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
        if self.link().is_some() || !self.channel.joined {
            return;
        }
        match follow(&self.channel.record, record) {
            Ok(record) => {
                self.channel.record = record;
                self.nudge(Nudge::Seen, ctx);
            }
            Err(refusal) if self.reconnect.is_waiting() => self.failed(refusal, ctx),
            // What the attempt under way comes to is told by itself.
            Err(_) => {}
        }
    }
}

#[derive(Message)]
#[rtype(result = "oneshot::Receiver<Result<Queued, Refusal>>")]
pub(super) struct Send(pub String);

#[derive(Message)]
#[rtype(result = "ChannelStatus")]
pub(super) struct GetStatus;

impl Handler<GetStatus> for Client {
    type Result = MessageResult<GetStatus>;

    fn handle(&mut self, _: GetStatus, _: &mut Self::Context) -> Self::Result {
        let state = self.state.borrow();
        let link_state = match (&state.link, self.channel.joined) {
            (Some(_), _) => LinkState::Up,
            (None, true) => LinkState::Retrying,
            (None, false) => LinkState::Down,
        };
        MessageResult(ChannelStatus {
            id: self.channel.record.id,
            channel: self.channel.name().clone(),
            hosted: self.way.hosts.get(self.channel.record.id).is_some(),
            joined: self.channel.joined,
            state: link_state,
            reason: state.reason.as_ref().map(|reason| reason.reason.clone()),
            seq: self.writing.keeper.seq(),
            queued: self.outbox.len(),
        })
    }
}

/// Nothing more is to be received: all that there is to be shown has been told then.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Finish;

impl Handler<Finish> for Client {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Finish, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        let link = self.link();
        self.disconnect(Code::GoingAway.into());
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
        self.stopping = true;
        self.death.expected();
        let (kept, link) = (self.keep_last(), self.link());
        self.disconnect(Code::GoingAway.into());
        ctx.run_later(Duration::ZERO, |_, ctx| ctx.stop());
        Box::pin(async move {
            kept.await;
            if let Some(link) = link {
                link.finished().await;
            }
        })
    }
}
