//! What the rest of the peer sees of files.

use std::path::PathBuf;

use actix::Addr;
use common::id::{ChannelId, MessageId};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::file::ChannelOffer;
use common::proto::status::{Code, Refusal};
use common::transport::{Address, MAX_DIAL_ADDRESSES};
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

use super::book::Place;
use super::commands::{Add, ChangeIt, Find, GetFiles};
use super::sink::Downloads;
use super::{Attach, ErasedIn, Files, Heard, HeardIn, IsThere, Met, Parted, Shutdown, source};
use crate::api::{FileChange, FileCommand, FileDirection, FileList, FileRow, Offered, Outcome, Reply};
use crate::client::ClientHandle;
use crate::direct::DirectHandle;
use crate::direct::book::ContactId;

/// How many files one command offers.
const MAX_PATHS: usize = 100;

/// To whom something is offered.
#[derive(Clone, Debug)]
pub enum To {
    /// A contact.
    Contact(ContactId, UserName),
    /// All who are in a channel, who reach this peer at these addresses.
    Channel(ChannelId, ChannelName, Vec<Address>),
}

/// The handle of files. Cheap to clone.
#[derive(Clone)]
pub struct FilesHandle {
    addr: Addr<Files>,
    downloads: PathBuf,
}

fn gone<E>(_: E) -> Refusal {
    Code::GoingAway.into()
}

impl FilesHandle {
    pub(super) fn new(addr: Addr<Files>, downloads: PathBuf) -> Self {
        Self { addr, downloads }
    }

    /// Says who carries offers; what was under way at the last end goes on from here.
    pub async fn attach(&self, direct: DirectHandle) {
        // Gone already is as good.
        let _ = self.addr.send(Attach(direct)).await;
    }

    /// Does what the user asks, but for offering something.
    ///
    /// # Errors
    /// Why it is not done.
    pub async fn perform(&self, command: FileCommand) -> Outcome {
        match command {
            FileCommand::List => {
                let files = self.addr.send(GetFiles).await.map_err(gone)?;
                Ok(Reply::Files(FileList { files }))
            }
            FileCommand::Change { id, change } => {
                self.change(id, change).await.map(|row| Reply::File(Box::new(row)))
            }
            FileCommand::Send { .. } => Err(Code::Internal.into()),
        }
    }

    /// Offers files. All of them can be offered, or none is.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub async fn offer(&self, to: To, paths: Vec<PathBuf>) -> Outcome {
        if paths.len() > MAX_PATHS {
            return Err(Refusal::new(Code::Usage, format!("one command offers at most {MAX_PATHS} files")));
        }
        let looked = spawn_blocking(move || {
            paths.iter().map(|path| source::list(path)).collect::<Result<Vec<_>, _>>()
        });
        let listings = looked.await.map_err(|_| Refusal::from(Code::Internal))??;
        let (place, user) = match to {
            To::Contact(contact, user) => (Place::Contact(contact), Some(user.to_string())),
            To::Channel(id, name, addresses) => (Place::Channel { id, name, addresses }, None),
        };
        let mut files = Vec::new();
        for listing in listings {
            let add = Add { place: place.clone(), user: user.clone(), listing };
            files.push(self.addr.send(add).await.map_err(gone)??);
        }
        Ok(Reply::Files(FileList { files }))
    }

    /// A channel that this peer has to do with.
    pub async fn met(&self, client: ClientHandle) {
        // Gone already is as good.
        let _ = self.addr.send(Met(client)).await;
    }

    /// Entries of a channel are erased: what they offered is offered no longer.
    pub async fn erased_in(&self, channel: ChannelId, entries: Vec<MessageId>) {
        // When it is gone nothing is fetched any more.
        let _ = self.addr.send(ErasedIn { channel, entries }).await;
    }

    /// An entry of a channel offers something. What follows from it is on its way to the disk when this returns.
    pub async fn heard_in(
        &self,
        id: ChannelId,
        name: ChannelName,
        entry: MessageId,
        user: String,
        offered: Offered,
    ) {
        let Offered { body: ChannelOffer { offer, addresses }, key } = offered;
        // More than can be dialled is not kept.
        let addresses = addresses.into_iter().take(MAX_DIAL_ADDRESSES).collect();
        let place = Place::Channel { id, name, addresses };
        // When it is gone nothing is fetched any more; it is heard again at the next start.
        let _ = self.addr.send(HeardIn { place, entry, user, offer, key }).await;
    }

    async fn change(&self, end: String, change: FileChange) -> Result<FileRow, Refusal> {
        let row = self.addr.send(Find(end)).await.map_err(gone)??;
        let begins = matches!(change, FileChange::Accept | FileChange::Resume);
        if begins && row.direction == FileDirection::In {
            let (path, left) = (self.downloads.clone(), row.size.saturating_sub(row.have));
            let checked = spawn_blocking(move || {
                let unusable = |error: std::io::Error| {
                    let reason = format!("{}: {error}; give --downloads another folder", path.display());
                    Refusal::new(Code::StorageFailed, reason)
                };
                Downloads::open(&path).map_err(unusable)?.check_space(left)
            });
            checked.await.map_err(|_| Refusal::from(Code::Internal))??;
        }
        self.addr.send(ChangeIt { id: row.id, change }).await.map_err(gone)?
    }

    /// A message of a conversation that offers a file, or says what became of one. What follows from it is on its way to
    /// the disk when this returns.
    pub async fn heard(
        &self,
        contact: ContactId,
        user: UserName,
        key: PeerKey,
        kind: String,
        body: Box<RawValue>,
    ) {
        // When it is gone nothing is fetched any more; it is heard again at the next start.
        let _ = self.addr.send(Heard { contact, user, key, kind, body }).await;
    }

    /// There is reason to believe that a device of a contact is there. Nobody waits for it: all is tried again by itself.
    pub fn is_there(&self, key: PeerKey, contact: ContactId) {
        let _ = self.addr.try_send(IsThere(key, contact));
    }

    /// Nothing is to go to a contact or come from them any more. Nobody waits for it.
    pub fn part_from(&self, contact: ContactId) {
        let parted = self.addr.clone();
        actix::spawn(async move {
            // Gone already is as good.
            let _ = parted.send(Parted(contact)).await;
        });
    }

    /// Ends what is under way; what is there of it is kept.
    pub async fn shut_down(&self) {
        if let Ok(ended) = self.addr.send(Shutdown).await {
            // Gone already is as good.
            let _ = ended.await;
        }
    }
}
