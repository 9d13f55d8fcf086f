//! What the user asks of the outbox.

use actix::prelude::*;
use common::id::MessageId;
use common::proto::status::Refusal;

use super::Client;
use super::outbox::{Decision, Row, Waits, Wish};
use super::sending::check;
use super::telling::short_id;
use crate::api::{OutboxChange, OutboxItem, OutgoingState, Retried, WishedChange};
use crate::reconnect::Nudge;

/// What waits, in order, at most so many; and how many in all.
#[derive(Message)]
#[rtype(result = "(Vec<OutboxItem>, usize)")]
pub(super) struct GetOutbox {
    pub limit: usize,
}

impl Handler<GetOutbox> for Client {
    type Result = MessageResult<GetOutbox>;

    fn handle(&mut self, GetOutbox { limit }: GetOutbox, _: &mut Self::Context) -> Self::Result {
        let rows = self.outbox.rows(self.me());
        let total = rows.len();
        MessageResult((rows.into_iter().take(limit).map(|row| self.shown(&row)).collect(), total))
    }
}

/// The messages whose id ends so.
#[derive(Message)]
#[rtype(result = "Vec<MessageId>")]
pub(super) struct Matching(pub String);

impl Handler<Matching> for Client {
    type Result = MessageResult<Matching>;

    fn handle(&mut self, Matching(ending): Matching, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.outbox.matching(&ending))
    }
}

/// Has what was refused sent again: one message, or all.
#[derive(Message)]
#[rtype(result = "Result<Retried, Refusal>")]
pub(super) struct Retry(pub Option<MessageId>);

impl Handler<Retry> for Client {
    type Result = Result<Retried, Refusal>;

    fn handle(&mut self, Retry(which): Retry, ctx: &mut Self::Context) -> Self::Result {
        let effects = self.outbox.retry(which, self.flow.next_expiry())?;
        let messages = effects.len();
        self.apply(effects, ctx);
        self.release(ctx);
        self.nudge(Nudge::Command, ctx);
        let reason = self.blocked().or_else(|| self.queue_waits());
        Ok(Retried { channel: self.channel.name().clone(), messages, reason })
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
        let decided = text.as_deref().map_or(Ok(()), check).and_then(|()| {
            let expires = self.flow.next_expiry();
            let edit = |text| Wish::Edit { id: MessageId::new(), text, expires };
            let wish = text.map_or(Wish::Cancel, edit);
            Ok((self.outbox.wish(id, wish.clone())?, wish))
        });
        let (decision, wish) = match decided {
            Ok(decided) => decided,
            Err(refusal) => return Box::pin(fut::ready(Err(refusal))),
        };
        let change = OutboxChange {
            id,
            channel: self.channel.name().clone(),
            wish: wished(&wish),
            done: matches!(decision, Decision::Now(_)),
            becomes: if let Wish::Edit { id, .. } = wish { Some(id) } else { None },
        };
        match decision {
            Decision::Now(decided) => {
                let on_disk = self.write_change(&decided);
                Box::pin(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
                    client.change_written(decided.number, on_disk, ctx)?;
                    Ok(change)
                }))
            }
            Decision::Later(item) => self.note(item, change, ctx),
        }
    }
}

impl Client {
    /// Keeps what is to be done with a message once it is known whether it was stored.
    fn note(
        &mut self,
        item: super::outbox::Item,
        change: OutboxChange,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, Result<OutboxChange, Refusal>> {
        let on_disk = match self.store.keep_item(self.channel.record.id, &item) {
            Ok(on_disk) => on_disk,
            Err(error) => {
                self.outbox.withdraw(item.number);
                return Box::pin(fut::ready(Err(error.into())));
            }
        };
        // The host can be asked while the wish is being written.
        self.pump(ctx);
        Box::pin(on_disk.into_actor(self).map(move |on_disk, client, ctx| {
            if let Err(error) = on_disk {
                client.outbox.withdraw(item.number);
                client.pump(ctx);
                return Err(error.into());
            }
            Ok(change)
        }))
    }

    /// Why nothing at all goes out.
    fn blocked(&self) -> Option<String> {
        let state = self.state.borrow();
        if !self.channel.joined {
            return Some(format!("the channel is not joined; type: join {}", self.channel.name()));
        }
        if state.link.is_some() {
            return None;
        }
        let reason = state.reason.as_ref().map(|refusal| refusal.reason.clone());
        Some(reason.unwrap_or_else(|| "the channel is not connected yet".to_owned()))
    }

    fn shown(&self, row: &Row<'_>) -> OutboxItem {
        let Row { item, is_under_way, waits } = row;
        let state = match (is_under_way, waits) {
            (true, _) => OutgoingState::Sending,
            (false, _) if item.refused.is_some() => OutgoingState::Refused,
            (false, _) => OutgoingState::Queued,
        };
        let refused = item.refused.as_ref();
        let reason = refused.map(|refusal| refusal.reason.clone());
        OutboxItem {
            id: item.id,
            channel: self.channel.name().clone(),
            state,
            text: item.text.clone(),
            sent_at: item.sent_at,
            expires: item.expires,
            code: refused.map(|refusal| refusal.code.clone()),
            reason: reason.or_else(|| self.waits_for(waits.as_ref(), *is_under_way)),
            wish: item.wish.as_ref().map(wished),
        }
    }

    fn waits_for(&self, waits: Option<&Waits>, is_under_way: bool) -> Option<String> {
        let held = || self.flow.held_because.as_ref().map(|refusal| refusal.reason.clone());
        match waits {
            Some(Waits::Writer(name)) => Some(format!("written as {name}")),
            Some(Waits::Outcome) => Some("the host is asked whether it was stored".to_owned()),
            Some(Waits::Behind(id)) => Some(format!("behind {}", short_id(*id))),
            Some(Waits::Held) => self.blocked().or_else(held),
            Some(Waits::Refused) | None if is_under_way => None,
            Some(Waits::Refused) | None => self.blocked(),
        }
    }
}

fn wished(wish: &Wish) -> WishedChange {
    match wish {
        Wish::Cancel => WishedChange::Cancel,
        Wish::Edit { .. } => WishedChange::Edit,
    }
}
