//! What this peer's user asks of files.

use actix::prelude::*;
use common::clock::Timestamp;
use common::entry::Hash;
use common::id::FileId;
use common::proto::file::Offer;
use common::proto::status::{Code, Refusal};

use super::Files;
use super::book::{Place, State, Transfer};
use super::source::Listing;
use crate::api::{FileChange, FileRow};

/// This user offers something.
#[derive(Message)]
#[rtype(result = "Result<FileRow, Refusal>")]
pub(super) struct Add {
    pub place: Place,
    pub user: Option<String>,
    pub listing: Listing,
}

impl Handler<Add> for Files {
    type Result = Result<FileRow, Refusal>;

    fn handle(&mut self, Add { place, user, listing }: Add, ctx: &mut Self::Context) -> Self::Result {
        let id = FileId::new();
        let size = listing.size().unwrap_or_default();
        let offer = Offer { id, name: listing.name(), size, root: Hash::of(b""), folder: None };
        let path = Some(listing.at.clone());
        self.add(Transfer { path, ..new(offer, place, user, State::Preparing) })?;
        self.prepare(id, listing, ctx);
        self.row(id).ok_or_else(|| Code::Internal.into())
    }
}

pub(super) fn new(offer: Offer, place: Place, user: Option<String>, state: State) -> Transfer {
    let (from, path, named, refusal, untold) = (None, None, None, None, None);
    Transfer {
        offer,
        place,
        entry: None,
        user,
        from,
        state,
        have: 0,
        path,
        named,
        refusal,
        untold,
        since: Timestamp::now(),
    }
}

/// All that is offered.
#[derive(Message)]
#[rtype(result = "Vec<FileRow>")]
pub(super) struct GetFiles;

impl Handler<GetFiles> for Files {
    type Result = MessageResult<GetFiles>;

    fn handle(&mut self, _: GetFiles, _: &mut Self::Context) -> Self::Result {
        let ids: Vec<FileId> = self.book.all().iter().map(|transfer| transfer.offer.id).collect();
        MessageResult(ids.into_iter().filter_map(|id| self.row(id)).collect())
    }
}

/// The one that is meant by the end of its id.
#[derive(Message)]
#[rtype(result = "Result<FileRow, Refusal>")]
pub(super) struct Find(pub String);

impl Handler<Find> for Files {
    type Result = Result<FileRow, Refusal>;

    fn handle(&mut self, Find(end): Find, _: &mut Self::Context) -> Self::Result {
        self.book.find(&end).and_then(|id| self.row(id).ok_or_else(|| Code::NoSuchFile.into()))
    }
}

/// Something is to be done with one of them.
#[derive(Message)]
#[rtype(result = "Result<FileRow, Refusal>")]
pub(super) struct ChangeIt {
    pub id: FileId,
    pub change: FileChange,
}

impl Handler<ChangeIt> for Files {
    type Result = ResponseActFuture<Self, Result<FileRow, Refusal>>;

    fn handle(&mut self, ChangeIt { id, change }: ChangeIt, ctx: &mut Self::Context) -> Self::Result {
        let changed = self.book.get_mut(id).map(|transfer| transfer.change(change));
        match changed.unwrap_or_else(|| Err(Code::NoSuchFile.into())) {
            Ok(true) => {}
            Ok(false) => return Box::pin(fut::ready(self.row(id).ok_or_else(|| Code::NoSuchFile.into()))),
            Err(refusal) => return Box::pin(fut::ready(Err(refusal))),
        }
        self.apply(id, ctx);
        let kept = self.keep(id);
        Box::pin(kept.into_actor(self).map(move |kept, files, ctx| {
            kept?;
            files.say(id, ctx);
            files.tell(id, ctx);
            files.row(id).ok_or_else(|| Code::NoSuchFile.into())
        }))
    }
}
