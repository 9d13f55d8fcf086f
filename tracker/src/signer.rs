//! Signs passes, each with a number of its own.

use std::sync::Arc;

use common::clock::Timestamp;
use common::id::DirectoryId;
use common::identity::{Identity, PeerKey};
use common::pass::{PASS_LIFETIME, PASS_VERSION, Pass, SignedPass};
use common::proto::moving::Hosting;
use common::proto::session;
use common::signed::{BadSignature, Signed};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::Failure;
use crate::limits::SERIALS_PER_WRITE;
use crate::store::directory::{Committed, Directory, DirectoryError, Tries};
use crate::store::schema::{META, Meta, THE_DIRECTORY};
use crate::tracker::sessions;

/// All numbers, for a moment.
#[derive(Debug)]
pub struct Hold {
    serials: OwnedMutexGuard<Serials>,
    signer: Signer,
}

impl Hold {
    /// The next number. They are taken in blocks: after a crash some are skipped, and none is ever given twice.
    ///
    /// # Errors
    /// When a block cannot be taken.
    pub async fn take(&mut self) -> Result<u64, DirectoryError> {
        if self.serials.next == self.serials.end {
            *self.serials = self.signer.take_block().await?;
        }
        self.serials.next += 1;
        Ok(self.serials.next - 1)
    }
}

/// Signs passes in the name of one directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signer {
    directory: Directory,
    id: DirectoryId,
    key: Identity,
    serials: Arc<Mutex<Serials>>,
}

/// The numbers that no pass has and that are on disk as taken.
#[derive(Debug, Default)]
struct Serials {
    next: u64,
    end: u64,
}

impl Signer {
    /// The signer of `directory`, which gets its id if it has none yet.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub async fn open(directory: Directory, key: Identity) -> Result<Self, DirectoryError> {
        let mut tries = Tries::default();
        loop {
            let mut change = directory.change();
            let meta = match change.get(META, THE_DIRECTORY).await? {
                Some(meta) => meta,
                None => Meta { id: DirectoryId::new(), next_serial: 1 },
            };
            change.put(META, THE_DIRECTORY, &meta)?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(Self { directory, id: meta.id, key, serials: Arc::default() });
            }
        }
    }

    /// What the tracker says of its directory in its answer to HELLO.
    pub fn directory(&self) -> session::Directory {
        session::Directory { id: self.id, signing_keys: vec![self.signing_key()] }
    }

    /// The key that passes are signed with.
    pub fn signing_key(&self) -> PeerKey {
        self.key.key()
    }

    /// A pass for `who`, from `now` on.
    ///
    /// # Errors
    /// When its number cannot be taken.
    pub async fn issue(&self, who: &sessions::Identity, now: Timestamp) -> Result<SignedPass, Failure> {
        let pass = Pass {
            version: PASS_VERSION,
            signing_key: self.signing_key(),
            directory: self.id,
            subject: who.subject,
            name: who.name.as_str().to_owned(),
            kind: who.owner().kind,
            peer_key: who.key,
            serial: self.serial().await?,
            issued: now,
            expires: now.plus(PASS_LIFETIME),
        };
        Ok(SignedPass::sign(&pass, &self.key)?)
    }

    /// Signs who hosts a channel now.
    ///
    /// # Errors
    /// When it would be too long, which does not happen.
    pub fn sign_hosting(
        &self,
        hosting: impl FnOnce(DirectoryId) -> Hosting,
    ) -> Result<Signed<Hosting>, BadSignature> {
        Signed::sign(&hosting(self.id), &self.key)
    }

    async fn serial(&self) -> Result<u64, DirectoryError> {
        self.hold().await.take().await
    }

    /// As long as this lives nobody else gets a number, so no pass is signed: what is written meanwhile comes after all
    /// passes with lower numbers and before all with higher ones.
    pub async fn hold(&self) -> Hold {
        Hold { serials: self.serials.clone().lock_owned().await, signer: self.clone() }
    }

    async fn take_block(&self) -> Result<Serials, DirectoryError> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.directory.change();
            let found = change.get(META, THE_DIRECTORY).await?;
            let next = found.map_or(1, |meta| meta.next_serial);
            let end = next + SERIALS_PER_WRITE;
            change.put(META, THE_DIRECTORY, &Meta { id: self.id, next_serial: end })?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(Serials { next, end });
            }
        }
    }
}
