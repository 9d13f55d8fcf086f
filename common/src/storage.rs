//! The one way both programs keep things on disk: named tables of keys and values in a sled database, written
//! by one thread that flushes once for all that waits.
//!
//! A write is answered when it is on disk. A read does not wait for writes. The files, in the data folder:
//! `lock`, `store.json` (whose store it is, and in which form), `store.mark` (how far it goes) and `store/` (sled's own).
//!
//! In reading order: what is stored where ([`Table`], [`KeyRange`]), the work of one write ([`Transaction`]),
//! then the thread (`committer`) and the database under it (`database`, `slot`).

mod committer;
mod copy;
mod database;
mod error;
mod fault;
mod job;
pub mod limits;
mod lock;
mod mark;
mod migration;
mod reader;
mod schema;
mod slot;
mod table;
#[cfg(test)]
mod tests;
mod transaction;
mod view;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use committer::{Command, Committer};
use database::Database;
use fault::Disk;
use limits::{MAX_CONCURRENT_READS, MAX_QUEUED_JOBS};
use slot::Slot;

pub use copy::copy_closed;
pub use error::{Abort, OpenError, ReadError, StoreError};
#[cfg(any(test, feature = "testing"))]
pub use fault::Faults;
pub use job::Submitted;
pub use migration::{Piece, Step, copy_of};
pub use reader::Reader;
pub use schema::{Program, Schema};
pub use table::{Direction, KeyRange, Table};
pub use transaction::Transaction;
pub use view::Entry;

/// An open store; clones are the same one.
///
/// It ends with [`Store::close`], or once the last handle is gone: then what was submitted is still written,
/// but nobody waits for it.
#[derive(Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    slot: Arc<Slot>,
    reads: Arc<Semaphore>,
    ended: watch::Receiver<bool>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// How a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was closed; all is on disk and the folder is free.
    Closed,
    /// Its thread died: nothing can be written any more, and the program should end with an error.
    Died,
}

impl Store {
    /// Opens the store in the data folder `folder`, or makes both. Blocks, for as long as it takes to read what
    /// was written since it was last opened.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the folder is in use, is the other program's, was written by another release, or is
    /// damaged. Nothing in it is changed then, except that sled may already have cut off a damaged end.
    pub fn open(folder: &Path, schema: Schema) -> Result<Self, OpenError> {
        Self::open_on(folder, schema, Disk::default())
    }

    /// As [`Store::open`], for a store that an earlier release may have written: it is brought up to date first, by `steps`,
    /// after a copy was made of it. See [`copy_of`].
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and [`OpenError::Migration`].
    pub fn open_migrating(folder: &Path, schema: Schema, steps: &[Step]) -> Result<Self, OpenError> {
        migration::migrate(folder, schema, steps, &Disk::default())?;
        Self::open(folder, schema)
    }

    /// As [`Store::open_migrating`], with a disk that fails on command.
    ///
    /// # Errors
    ///
    /// As [`Store::open_migrating`].
    #[cfg(any(test, feature = "testing"))]
    pub fn open_migrating_with_faults(
        folder: &Path,
        schema: Schema,
        steps: &[Step],
        faults: Arc<Faults>,
    ) -> Result<Self, OpenError> {
        let disk = Disk::with_faults(faults);
        migration::migrate(folder, schema, steps, &disk)?;
        Self::open_on(folder, schema, disk)
    }

    /// As [`Store::open`], with a disk that fails on command.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    #[cfg(any(test, feature = "testing"))]
    pub fn open_with_faults(folder: &Path, schema: Schema, faults: Arc<Faults>) -> Result<Self, OpenError> {
        Self::open_on(folder, schema, Disk::with_faults(faults))
    }

    fn open_on(folder: &Path, schema: Schema, disk: Disk) -> Result<Self, OpenError> {
        let database = Database::open(folder, schema, disk)?;
        let slot = database.slot();
        let (commands, waiting) = mpsc::channel(MAX_QUEUED_JOBS);
        let (tell_ended, ended) = watch::channel(false);
        let committer = Committer::new(database, waiting);
        let thread = Builder::new()
            .name("natter-store".to_owned())
            .spawn(move || {
                committer.run();
                tell_ended.send_replace(true);
            })
            .map_err(|source| OpenError::Io { folder: folder.to_owned(), source })?;
        let reads = Arc::new(Semaphore::new(MAX_CONCURRENT_READS));
        Ok(Self { commands, slot, reads, ended, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Queues a write job now and answers where its answer comes: jobs run in the order of these calls, which
    /// need not wait for each other's flush.
    ///
    /// A job runs on the store's thread: it must not block, nor wait for the store. It reads and writes through
    /// the [`Transaction`]; with an error, or a panic, nothing of it is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if too many jobs wait, [`StoreError::Closed`]; the job is dropped then. All other
    /// errors come with the answer.
    pub fn submit<T, R, F>(&self, job: F) -> Result<Submitted<T, R>, StoreError<R>>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Abort<R>> + Send + 'static,
        T: Send + 'static,
        R: Send + 'static,
    {
        let (job, submitted) = job::job(job);
        match self.commands.try_send(Command::Write(job)) {
            Ok(()) => Ok(submitted),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(TrySendError::Closed(_)) => Err(StoreError::Closed),
        }
    }

    /// Runs a write job as [`Store::submit`] does, but waits for room in the queue, and then for the answer.
    /// When the future is dropped, the job may still run.
    ///
    /// # Errors
    ///
    /// [`StoreError`], except for [`StoreError::Busy`].
    pub async fn write<T, R, F>(&self, job: F) -> Result<T, StoreError<R>>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Abort<R>> + Send + 'static,
        T: Send + 'static,
        R: Send + 'static,
    {
        let (job, submitted) = job::job(job);
        self.commands.send(Command::Write(job)).await.map_err(|_| StoreError::Closed)?;
        submitted.await
    }

    /// Reads on tokio's blocking pool; see [`Reader`] for what a read may see.
    ///
    /// # Errors
    ///
    /// What `work` answers; [`ReadError::Failed`] if it panics.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Reader) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<ReadError> + Send + 'static,
    {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| ReadError::Closed)?;
        let reader = self.reader();
        let done = tokio::task::spawn_blocking(move || {
            // Given back when the work ends, even if its caller is gone by then.
            let _permit = permit;
            work(&reader)
        });
        done.await.unwrap_or_else(|error| Err(ReadError::failed(error).into()))
    }

    /// Makes a copy of the store in the folder `target`, which has what was acknowledged before. Writes wait meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`], or [`StoreError::Failed`] with what the file system says; a part of the copy may be there
    /// then.
    pub async fn copy_to(&self, target: PathBuf) -> Result<(), StoreError> {
        let (reply, copied) = oneshot::channel();
        self.commands.send(Command::Copy { target, reply }).await.map_err(|_| StoreError::Closed)?;
        let copied = copied.await.map_err(|_| StoreError::Closed)?;
        copied.map_err(|reason| StoreError::Failed { reason })
    }

    /// For code on a thread that may block.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.slot), self.commands.downgrade())
    }

    /// Finishes what was submitted, flushes, ends the thread and gives the folder free. Later writes and reads
    /// are answered `Closed`, through whichever handle.
    pub async fn close(&self) -> Ended {
        // An error says that it is closed already, or has died: the next line knows.
        let _ = self.commands.send(Command::Close).await;
        let ended = self.ended().await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has nothing left to do but to end; a panic is what `ended` already says.
            let _ = thread.join();
        }
        ended
    }

    /// Waits until the store has ended, however. It does not keep the store open.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(|ended| *ended).await {
                Ok(_) => Ended::Closed,
                Err(_) => Ended::Died,
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}
