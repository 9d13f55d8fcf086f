//! What the tasks that fetch and hand out files tell, and ask.

use std::path::PathBuf;

use actix::prelude::*;
use common::id::FileId;
use common::link::Link;
use common::proto::file::{FetchState, FileOutcome, FileProgress, Offer};
use common::proto::limits::{MAX_FILES_SERVED, MAX_FILES_SERVED_EACH};
use common::proto::status::{Code, Refusal};
use tokio::time::Duration;

use super::book::{Place, State, Transfer, Untold};
use super::shown::Live;
use super::{Files, ServeId};
use crate::client::ClientHandle;
use crate::direct::book::ContactId;

/// When to come back for what is paused by whoever offers it.
const PAUSED_AGAIN: Duration = Duration::from_secs(5);

/// To whom something was offered.
#[derive(Clone)]
pub(super) enum Audience {
    /// A contact.
    Contact(ContactId),
    /// Those who are in a channel.
    Channel(ClientHandle),
}

/// Asks to whom something was offered; nobody of what there is not.
#[derive(Message)]
#[rtype(result = "Option<Audience>")]
pub(super) struct ForWhom(pub FileId);

impl Handler<ForWhom> for Files {
    type Result = Option<Audience>;

    fn handle(&mut self, ForWhom(id): ForWhom, _: &mut Self::Context) -> Self::Result {
        match &self.book.get(id)?.place {
            Place::Contact(contact) => Some(Audience::Contact(*contact)),
            Place::Channel { id, .. } => self.channels.get(id).cloned().map(Audience::Channel),
        }
    }
}

/// Somebody to whom it was offered wants to fetch something.
#[derive(Message)]
#[rtype(result = "Result<(ServeId, Offer), Refusal>")]
pub(super) struct Wanted {
    pub id: FileId,
    pub link: Link,
}

impl Handler<Wanted> for Files {
    type Result = Result<(ServeId, Offer), Refusal>;

    fn handle(&mut self, Wanted { id, link }: Wanted, _: &mut Self::Context) -> Self::Result {
        let meant = |transfer: &&Transfer| transfer.from.is_none();
        let transfer = self.book.get(id).filter(meant).ok_or(Code::NoSuchFile)?;
        match transfer.state {
            State::Offered | State::Done => {}
            State::Paused => return Err(Refusal::from(Code::FilePaused).after(PAUSED_AGAIN)),
            _ => return Err(Code::NoSuchFile.into()),
        }
        let of_key = self.serving.values().filter(|(_, known)| known.peer_key() == link.peer_key()).count();
        if of_key >= MAX_FILES_SERVED_EACH || self.serving.len() >= MAX_FILES_SERVED {
            return Err(Refusal::from(Code::TooManyRequests).after(PAUSED_AGAIN));
        }
        let offer = transfer.offer.clone();
        let serve = ServeId(self.next_serve);
        self.next_serve += 1;
        self.serving.insert(serve, (id, link));
        Ok((serve, offer))
    }
}

/// Whoever fetches says how far it is.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Told {
    pub id: ServeId,
    pub progress: FileProgress,
}

impl Handler<Told> for Files {
    type Result = ();

    fn handle(&mut self, Told { id, progress }: Told, ctx: &mut Self::Context) {
        let Some((file, _)) = self.serving.get(&id) else { return };
        let file = *file;
        if let Some(transfer) = self.book.get_mut(file).filter(|transfer| transfer.state == State::Offered) {
            transfer.have = progress.have;
            self.progressed(&progress, None, ctx);
        }
    }
}

/// A connection of somebody who fetches has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Served(pub ServeId);

impl Handler<Served> for Files {
    type Result = ();

    fn handle(&mut self, Served(id): Served, ctx: &mut Self::Context) {
        let Some((file, _)) = self.serving.remove(&id) else { return };
        let is_last = self.serving.values().all(|(other, _)| *other != file);
        if is_last && self.live.remove(&file).is_some() {
            drop(self.keep(file));
            self.tell(file, ctx);
        }
    }
}

/// How far a fetching task is.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Progressed {
    pub progress: FileProgress,
    pub is_step: bool,
}

impl Handler<Progressed> for Files {
    type Result = ();

    fn handle(&mut self, Progressed { progress, is_step }: Progressed, ctx: &mut Self::Context) {
        if self.fetching.contains_key(&progress.id) {
            self.progressed(&progress, Some(is_step), ctx);
        }
    }
}

/// So much is on disk.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct OnDisk {
    pub id: FileId,
    pub have: u64,
}

impl Handler<OnDisk> for Files {
    type Result = ();

    fn handle(&mut self, OnDisk { id, have }: OnDisk, _: &mut Self::Context) {
        if let Some(transfer) = self.book.get_mut(id).filter(|transfer| !transfer.state.is_over()) {
            transfer.have = have;
            drop(self.keep(id));
        }
    }
}

/// A fetching task waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Waits {
    pub id: FileId,
    pub refusal: Refusal,
}

impl Handler<Waits> for Files {
    type Result = ();

    fn handle(&mut self, Waits { id, refusal }: Waits, ctx: &mut Self::Context) {
        let known = self.live.insert(id, Live::waiting(refusal));
        // Of attempt after attempt the first is news, and so is another reason.
        let is_news = known.is_none_or(|known| !known.waits_like(self.live.get(&id)));
        if is_news {
            self.tell(id, ctx);
        }
    }
}

/// Something is whole, and is about to be given this name; answered when that is on disk.
#[derive(Message)]
#[rtype(result = "Result<(), Refusal>")]
pub(super) struct Intends {
    pub id: FileId,
    pub name: String,
}

impl Handler<Intends> for Files {
    type Result = ResponseFuture<Result<(), Refusal>>;

    fn handle(&mut self, Intends { id, name }: Intends, _: &mut Self::Context) -> Self::Result {
        let Some(transfer) = self.book.get_mut(id).filter(|transfer| transfer.state == State::Accepted)
        else {
            return Box::pin(async { Err(Code::NoSuchFile.into()) });
        };
        transfer.named = Some(name);
        transfer.have = transfer.offer.size;
        Box::pin(self.keep(id))
    }
}

/// A fetching task has ended: with where it is, why it cannot be, or since it was stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Ended {
    pub id: FileId,
    pub outcome: Option<Result<PathBuf, Refusal>>,
}

impl Handler<Ended> for Files {
    type Result = ();

    fn handle(&mut self, Ended { id, outcome }: Ended, ctx: &mut Self::Context) {
        let again = self.fetching.remove(&id).is_some_and(|fetching| fetching.again);
        self.live.remove(&id);
        if self.stopping {
            return self.look_if_ended();
        }
        let Some(transfer) = self.book.get_mut(id) else { return };
        match (transfer.state, outcome) {
            (State::Accepted | State::Paused, Some(Ok(path))) => {
                (transfer.state, transfer.have) = (State::Done, transfer.offer.size);
                (transfer.path, transfer.untold) = (Some(path), Some(Untold::End(FileOutcome::Done)));
            }
            (State::Accepted, Some(Err(refusal))) => {
                (transfer.state, transfer.refusal) = (State::Failed, Some(refusal));
            }
            (State::Accepted, None) if again => return self.fetch(id, ctx),
            (state, _) if state.is_over() => return self.remove_begun(id),
            _ => return,
        }
        self.keep_and_tell(id, ctx);
    }
}

impl Files {
    /// What whoever fetches said, for people.
    fn progressed(&mut self, progress: &FileProgress, is_step: Option<bool>, ctx: &mut Context<Self>) {
        let Some(size) = self.book.get(progress.id).map(|transfer| transfer.offer.size) else { return };
        let known = self.live.remove(&progress.id);
        let live = Live::running(known, progress, size, is_step);
        let is_paused = progress.state == FetchState::Paused;
        self.live.insert(progress.id, live);
        self.tell(progress.id, ctx);
        if is_paused {
            self.live.remove(&progress.id);
        }
    }
}
