//! What the actor has others do: look through what is to be offered, fetch, tell the other side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use common::id::FileId;
use common::proto::file::{ChannelOffer, FILE, FILE_END, Offer};
use common::proto::status::{Code, Refusal};
use futures_util::future::LocalBoxFuture;
use serde_json::value::to_raw_value;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::book::{Place, State, Transfer, Untold};
use super::fetch::{Fetch, Stop, Wish};
use super::sink::Downloads;
use super::source::{self, Listing};
use super::{Fetching, Files};
use crate::direct::DirectHandle;

impl Files {
    /// Looks through what is to be offered, and offers it then.
    pub(super) fn prepare(&mut self, id: FileId, listing: Listing, ctx: &mut Context<Self>) {
        let is_over = Arc::<AtomicBool>::default();
        self.preparing.insert(id, is_over.clone());
        let kept = self.kept.clone();
        let readers = self.readers.clone();
        let preparing = async move {
            let _turn = readers.acquire_owned().await;
            spawn_blocking(move || kept.prepare(id, &listing, is_over)).await
        };
        ctx.spawn(preparing.into_actor(self).map(move |prepared, files, ctx| {
            let prepared = prepared.unwrap_or_else(|_| Err(Code::Internal.into()));
            files.prepared(id, prepared, ctx);
        }));
    }

    /// The same after a restart, or after it has failed.
    pub(super) fn prepare_again(&mut self, id: FileId, ctx: &mut Context<Self>) {
        let Some(at) = self.book.get(id).and_then(|transfer| transfer.path.clone()) else { return };
        if self.preparing.contains_key(&id) {
            return;
        }
        let listing = spawn_blocking(move || source::list(&at));
        ctx.spawn(listing.into_actor(self).map(move |listing, files, ctx| {
            match listing.unwrap_or_else(|_| Err(Code::Internal.into())) {
                Ok(listing) => files.prepare(id, listing, ctx),
                Err(refusal) => files.prepared(id, Err(refusal), ctx),
            }
        }));
    }

    /// Makes anew what stands beside the store, of an offer that stands.
    pub(super) fn look_through_again(&mut self, id: FileId, ctx: &mut Context<Self>) {
        let Some(at) = self.book.get(id).and_then(|transfer| transfer.path.clone()) else { return };
        let (kept, readers) = (self.kept.clone(), self.readers.clone());
        let looked = async move {
            let _turn = readers.acquire_owned().await;
            let look =
                move || source::list(&at).and_then(|listing| kept.prepare(id, &listing, Arc::default()));
            spawn_blocking(look).await.unwrap_or_else(|_| Err(Code::Internal.into()))
        };
        ctx.spawn(looked.into_actor(self).map(move |looked, files, ctx| {
            let Some(transfer) = files.book.get_mut(id).filter(|transfer| transfer.state == State::Offered)
            else {
                return;
            };
            let refusal = match looked {
                Ok(offer) if offer == transfer.offer => return,
                Ok(_) => Code::FileChanged.into(),
                Err(refusal) => refusal,
            };
            (transfer.state, transfer.refusal) = (State::Failed, Some(refusal));
            files.keep_and_tell(id, ctx);
        }));
    }

    fn prepared(&mut self, id: FileId, prepared: Result<Offer, Refusal>, ctx: &mut Context<Self>) {
        self.preparing.remove(&id);
        let is_wanted = |transfer: &&mut Transfer| transfer.state == State::Preparing;
        let Some(transfer) = self.book.get_mut(id).filter(is_wanted).filter(|_| !self.stopping) else {
            if !self.stopping {
                self.kept.remove(id);
            }
            return;
        };
        match prepared {
            Ok(offer) => {
                (transfer.state, transfer.offer, transfer.untold) =
                    (State::Offered, offer, Some(Untold::Offer))
            }
            Err(refusal) => (transfer.state, transfer.refusal) = (State::Failed, Some(refusal)),
        }
        self.keep_and_tell(id, ctx);
    }

    /// What something has come to is on disk before anybody is told, the user and the other side.
    pub(super) fn keep_and_tell(&mut self, id: FileId, ctx: &mut Context<Self>) {
        let kept = self.keep(id);
        ctx.spawn(kept.into_actor(self).map(move |kept, files, ctx| {
            if let Err(refusal) = kept {
                files.warn(refusal, ctx);
            }
            files.tell(id, ctx);
            files.say(id, ctx);
        }));
    }

    pub(super) fn stop_preparing(&mut self, id: FileId) {
        if let Some(is_over) = self.preparing.get(&id) {
            is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Fetches something that was accepted.
    pub(super) fn fetch(&mut self, id: FileId, ctx: &mut Context<Self>) {
        if let Some(fetching) = self.fetching.get_mut(&id) {
            fetching.again = true;
            return;
        }
        let (Some(transfer), Some(direct)) = (self.book.get(id), self.direct.clone()) else { return };
        let Some(from) = transfer.from.filter(|_| !self.stopping) else { return };
        let (wish, wished) = watch::channel(Wish::default());
        let fetch = Fetch {
            offer: transfer.offer.clone(),
            from,
            addresses: match &transfer.place {
                Place::Contact(_) => None,
                Place::Channel { addresses, .. } => Some(addresses.clone()),
            },
            have: transfer.have,
            named: transfer.named.clone(),
            downloads: self.downloads.clone(),
            files: ctx.address(),
            direct,
            transport: self.transport.clone(),
            session: self.session.clone(),
            turns: self.turns.clone(),
            wish: wished,
        };
        self.fetching.insert(id, Fetching { wish, again: false });
        tokio::spawn(fetch.run());
    }

    pub(super) fn stop_fetching(&mut self, id: FileId, stop: Stop) {
        if let Some(fetching) = self.fetching.get_mut(&id) {
            fetching.again = false;
            fetching.wish.send_modify(|wish| wish.stop = Some(stop));
        }
    }

    /// Removes what is there of something that is not wanted any more, once nobody writes to it.
    pub(super) fn remove_begun(&self, id: FileId) {
        if self.fetching.contains_key(&id) {
            return;
        }
        let downloads = self.downloads.clone();
        // Nobody waits for it.
        drop(spawn_blocking(move || {
            if downloads.is_dir()
                && let Ok(downloads) = Downloads::open(&downloads)
            {
                downloads.remove(id);
            }
        }));
    }

    /// Ends the connections over which something is handed out.
    pub(super) fn hang_up(&self, id: FileId) {
        for (_, link) in self.serving.values().filter(|(file, _)| *file == id) {
            link.close();
        }
    }

    /// Tells the other side what it has still to be told, as a message of the conversation. It is tried again when they
    /// are there, and at the next start.
    pub(super) fn say(&mut self, id: FileId, ctx: &mut Context<Self>) {
        let (Some(transfer), Some(direct)) = (self.book.get(id), self.direct.clone()) else { return };
        let Some(untold) = transfer.untold.filter(|untold| self.telling.get(&id) != Some(untold)) else {
            return;
        };
        let Some(written) = self.saying(transfer, untold, direct) else { return };
        self.telling.insert(id, untold);
        ctx.spawn(written.into_actor(self).map(move |written, files, ctx| {
            files.telling.remove(&id);
            match written {
                Ok(()) => files.said(id, untold, ctx),
                Err(refusal) => tracing::debug!(err = %refusal, "the other side is not told of a file yet"),
            }
        }));
    }

    fn saying(
        &self,
        transfer: &Transfer,
        untold: Untold,
        direct: DirectHandle,
    ) -> Option<LocalBoxFuture<'static, Result<(), Refusal>>> {
        let offer = transfer.offer.clone();
        match (&transfer.place, untold) {
            (Place::Contact(contact), untold) => {
                let (kind, body) = match untold {
                    Untold::Offer => (FILE, to_raw_value(&offer)),
                    Untold::End(outcome) => (FILE_END, to_raw_value(&transfer.end(outcome))),
                };
                let (contact, body) = (*contact, body.ok()?);
                Some(Box::pin(async move { direct.note(contact, kind, body).await }))
            }
            (Place::Channel { id, addresses, .. }, Untold::Offer) => {
                let (client, addresses) = (self.channels.get(id)?.clone(), addresses.clone());
                Some(Box::pin(async move { client.offer(ChannelOffer { offer, addresses }).await.map(drop) }))
            }
            // Of what becomes of it in a channel nobody is told: whoever fetches it says how far they are.
            (Place::Channel { .. }, Untold::End(_)) => Some(Box::pin(async { Ok(()) })),
        }
    }

    fn said(&mut self, id: FileId, untold: Untold, ctx: &mut Context<Self>) {
        if let Some(transfer) = self.book.get_mut(id).filter(|transfer| transfer.untold == Some(untold)) {
            transfer.untold = None;
            drop(self.keep(id));
        } else {
            // Meanwhile there is something else to be told.
            self.say(id, ctx);
        }
    }
}
