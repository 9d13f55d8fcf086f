//! What a client does when its channel has moved to another host.

use actix::prelude::*;
use common::proto::channel::Pass;
use common::proto::directory::ChannelRecord;
use common::proto::moving::Hosting;
use common::signed::Signed;
use common::storage::StoreError;

use super::Client;
use super::connect::Ticket;
use crate::store::Cut;

/// The channel is hosted by this very peer from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct MovedHere(pub ChannelRecord);

impl Handler<MovedHere> for Client {
    type Result = ();

    fn handle(&mut self, MovedHere(record): MovedHere, ctx: &mut Self::Context) {
        self.step(ctx, |state| state.moved_here(record));
    }
}

impl Client {
    /// Keeps where the channel is; what a crash takes of it is found out again.
    pub(super) fn keep_channel(&self, ctx: &mut Context<Self>) {
        let submitted = self.store.keep_channel(self.state.channel());
        let kept = async move {
            let kept: Result<(), StoreError> = match submitted {
                Ok(on_disk) => on_disk.await,
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                tracing::warn!(err = %error, "where the channel is could not be kept");
            }
        };
        ctx.spawn(kept.into_actor(self));
    }

    /// What of the log of this very peer is to be put aside, if it was its host and is no more.
    pub(super) fn cut_at_home(&self) -> Option<Cut> {
        let cut = self.store.cut(self.state.channel().record.id);
        cut.inspect_err(|error| tracing::warn!(err = %error, "what is kept of the channel cannot be read"))
            .ok()?
    }

    /// Puts aside what the former host has stored since.
    pub(super) fn set_aside(&self, cut: Cut, ctx: &mut Context<Self>) {
        let (archive, session) = (self.archive.clone(), self.session.borrow());
        let me = session.held.as_ref().map(|held| held.claims.subject);
        let aside = async move { archive.set_aside(cut, me).await };
        ctx.spawn(aside.into_actor(self).map(move |aside, client, ctx| {
            client.step(ctx, |state| state.put_aside(aside));
        }));
    }

    /// Tells the former host: over the connection to it, which is given up then, or over one that is made for it.
    pub(super) fn tell_moved(
        &mut self,
        known: ChannelRecord,
        moved: Signed<Hosting>,
        ctx: &mut Context<Self>,
    ) {
        let (held, invisible) = {
            let session = self.session.borrow();
            (session.held.clone(), session.invisible)
        };
        let Some(held) = held else { return };
        let (way, link) = (self.way.clone(), self.link.take());
        let told = async move {
            match link {
                Some(link) => {
                    if let Err(error) = link.request(&Pass { pass: held.signed, moved: Some(moved) }).await {
                        tracing::debug!(err = ?error.to_string(), "what the former host says");
                    }
                    link.close();
                }
                None => {
                    way.tell_moved(known, Ticket { pass: held.signed, invisible, proof: None }, moved).await
                }
            }
        };
        ctx.spawn(told.into_actor(self));
    }
}
