//! Looks for what this device has written that is not in the log any more, since its host went on without it.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use common::entry::{Header, RawEntry};
use common::id::Epoch;
use common::link::{CloseReason, Link, RequestError};
use common::proto::channel::StatusOf;
use common::proto::limits::MAX_STATUS_IDS;
use common::proto::policy::Holder;
use common::proto::status::Refusal;

use super::Client;
use super::archive::Archive;
use super::outbox::Item;
use crate::recovery::forking::Kept;

/// Messages that were received as entries, and such that were not.
type Lost = (Vec<(Header, RawEntry)>, Vec<Item>);

impl Client {
    /// Asks the host which of those it has. What cannot be found out now is asked over the next connection.
    pub(super) fn look_for_lost(
        &self,
        before: Option<(Epoch, Kept)>,
        awaited: Vec<Item>,
        ctx: &mut Context<Self>,
    ) {
        let who = self
            .session
            .borrow()
            .held
            .as_ref()
            .map(|held| Holder { subject: held.claims.subject, key: held.claims.peer_key });
        let Some(who) = who else { return };
        let (archive, link) = (self.archive.clone(), self.link.clone());
        let generation = self.state.generation();
        let look = async move {
            let link =
                link.ok_or(RequestError::Lost(CloseReason::Here)).map_err(RequestError::into_refusal)?;
            lost(&archive, &link, before, awaited, who).await
        };
        ctx.spawn(Box::pin(look).into_actor(self).map(move |lost, client, ctx| match lost {
            Ok(lost) if generation == client.state.generation() => client.ask_user(lost, ctx),
            Ok(_) => {}
            Err(refusal) => {
                tracing::info!(code = %refusal.code, "what is not in the log any more is not known yet")
            }
        }));
    }

    fn ask_user(&mut self, (received, awaited): Lost, ctx: &mut Context<Self>) {
        let items = self.step(ctx, |state| state.missed(received, awaited));
        let submitted = items.into_iter().map(|item| {
            let on_disk = self.store.add_item(self.state.channel(), &item);
            async move {
                let is_on_disk = match on_disk {
                    Ok(on_disk) => on_disk.await.is_ok(),
                    Err(_) => false,
                };
                (item, is_on_disk)
            }
        });
        let written = futures_util::future::join_all(submitted.collect::<Vec<_>>());
        ctx.spawn(written.into_actor(self).map(|written, client, ctx| {
            let is_all = written.iter().all(|(_, is_on_disk)| *is_on_disk);
            for (item, is_on_disk) in written {
                client.step(ctx, |state| state.missed_written(item, is_on_disk));
            }
            if is_all {
                client.step(ctx, super::state::ClientState::missed_asked);
            }
        }));
    }
}

/// Which of this device's messages are not in the log that the host has now.
async fn lost(
    archive: &Archive,
    link: &Link,
    before: Option<(Epoch, Kept)>,
    mut awaited: Vec<Item>,
    who: Holder,
) -> Result<Lost, Refusal> {
    let mut received = match before {
        Some((epoch, kept)) => archive.own_behind(epoch, kept, who).await?,
        None => Vec::new(),
    };
    let ids: Vec<_> = received.iter().map(|(header, _)| header.id).collect();
    awaited.retain(|item| !ids.contains(&item.id));
    let ids: Vec<_> = ids.into_iter().chain(awaited.iter().map(|item| item.id)).collect();
    for asked in ids.chunks(MAX_STATUS_IDS) {
        let report = link.request(&StatusOf { ids: asked.to_vec() }).await;
        let stored = report.map_err(RequestError::into_refusal)?.stored;
        let is_there = |id| stored.iter().any(|stored| stored.id == id);
        received.retain(|(header, _)| !is_there(header.id));
        awaited.retain(|item| !is_there(item.id));
    }
    Ok((received, awaited))
}
