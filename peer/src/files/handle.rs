//! What the rest of the peer sees of files.

use std::path::PathBuf;

use actix::Addr;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::status::{Code, Refusal};
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

use super::commands::{Add, ChangeIt, Find, GetFiles};
use super::sink::Downloads;
use super::{Attach, Files, Heard, IsThere, Shutdown, source};
use crate::api::{FileChange, FileCommand, FileDirection, FileList, FileRow, Outcome, Reply};
use crate::direct::DirectHandle;
use crate::direct::book::ContactId;

/// How many files one command offers.
const MAX_PATHS: usize = 100;

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

    /// Does what the user asks.
    ///
    /// # Errors
    /// Why it is not done.
    pub async fn perform(&self, command: FileCommand, direct: &DirectHandle) -> Outcome {
        match command {
            FileCommand::Send { user, paths } => self.offer(user, paths, direct).await,
            FileCommand::List => {
                let files = self.addr.send(GetFiles).await.map_err(gone)?;
                Ok(Reply::Files(FileList { files }))
            }
            FileCommand::Change { id, change } => {
                self.change(id, change).await.map(|row| Reply::File(Box::new(row)))
            }
        }
    }

    /// All of them can be offered, or none is.
    async fn offer(&self, user: UserName, paths: Vec<PathBuf>, direct: &DirectHandle) -> Outcome {
        if paths.len() > MAX_PATHS {
            return Err(Refusal::new(Code::Usage, format!("one command offers at most {MAX_PATHS} files")));
        }
        let (contact, user) = direct.contact_named(user).await?;
        let looked = spawn_blocking(move || {
            paths.iter().map(|path| source::list(path)).collect::<Result<Vec<_>, _>>()
        });
        let listings = looked.await.map_err(|_| Refusal::from(Code::Internal))??;
        let mut files = Vec::new();
        for listing in listings {
            let add = Add { contact, user: user.clone(), listing };
            files.push(self.addr.send(add).await.map_err(gone)??);
        }
        Ok(Reply::Files(FileList { files }))
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

    /// Ends what is under way; what is there of it is kept.
    pub async fn shut_down(&self) {
        if let Ok(ended) = self.addr.send(Shutdown).await {
            // Gone already is as good.
            let _ = ended.await;
        }
    }
}
