//! The sled database of a data folder, and the hard-won facts about sled 0.34.7.
//!
//! * Its flush is not an fsync: `fdatasync` follows, on a descriptor of our own.
//! * After one write error all later writes fail until the database is opened again, and for a moment after it
//!   was dropped it may find itself locked.
//! * It panics on some kinds of damage instead of saying so.
//! * A snapshot file that a crash left unfinished keeps it from opening at all.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::error::OpenError;
use super::fault::Disk;
use super::job::{Verdict, panic_text};
use super::limits::{CACHE_BYTES, MIN_FREE_BYTES, REOPEN_FOR, REOPEN_PAUSE, SEGMENT_BYTES};
use super::lock::FolderLock;
use super::mark::{self, Mark, Noted};
use super::schema::Schema;
use super::slot::Slot;
use super::view::Overlay;
use crate::crash::{self, Point};
use crate::files;

/// Where sled has its files, in the data folder.
pub(super) const SLED_FOLDER: &str = "store";
/// In the database, under a table name that no table has: what [`Schema`] says.
const SCHEMA_KEY: &[u8] = b"\0schema";

/// An open database; owned by the committer, which is the only one to write.
pub(super) struct Database {
    folder: PathBuf,
    schema: Schema,
    disk: Disk,
    slot: Arc<Slot>,
    /// sled's file once more, for `fdatasync`.
    file: File,
    /// How many groups of writes it has.
    groups: u64,
    mark: Mark,
    /// A write failed: the database must be opened again before the next.
    failed: bool,
    _lock: FolderLock,
}

impl Database {
    /// Opens the store of `folder`, or makes it there.
    pub fn open(folder: &Path, schema: Schema, disk: Disk) -> Result<Self, OpenError> {
        Self::open_with(folder, schema, &[schema], disk)
    }

    /// Opens a store that is to become one of `wanted`, and may be half of the way there.
    pub fn open_for_migration(
        folder: &Path,
        found: Schema,
        wanted: Schema,
        disk: Disk,
    ) -> Result<Self, OpenError> {
        Self::open_with(folder, found, &[found, wanted], disk)
    }

    /// `inside` is what may stand in the database.
    fn open_with(folder: &Path, schema: Schema, inside: &[Schema], disk: Disk) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { folder: folder.to_owned(), source };
        let damaged = |what: String| OpenError::Damaged { folder: folder.to_owned(), what };
        files::create_private_folder(folder).map_err(io)?;
        let lock = FolderLock::take(folder)
            .map_err(io)?
            .ok_or_else(|| OpenError::InUse { folder: folder.to_owned() })?;
        let stored = Schema::read(folder)?;
        if let Some(found) = stored {
            schema.check(found, folder)?;
            check_present(folder).map_err(damaged)?;
        }
        let noted = Noted::read(folder)?;
        // Looked at before sled is, which changes what it opens.
        if stored.is_none() && noted.is_some_and(|noted| noted.groups > 0) {
            return Err(damaged("store.json is gone".to_owned()));
        }
        let is_doubted = match noted.filter(|_| stored.is_some()) {
            Some(noted) => noted.doubts(length(folder).map_err(io)?, folder).map_err(io)?,
            None => false,
        };
        let db = open_sled(folder).map_err(|error| error.into_open_error(folder))?;
        if stored.is_some() {
            check_inside(&db, inside).map_err(damaged)?;
        } else {
            make_inside(&db, schema, folder).map_err(|error| error.into_open_error(folder))?;
        }
        let groups = count_groups(&db).map_err(damaged)?;
        if is_doubted {
            read_all(&db).map_err(damaged)?;
        }
        let found = Noted { groups, bytes: length(folder).map_err(io)? };
        let mark = Mark::open(folder, noted, found)?;
        let file = sync_all(folder).map_err(io)?;
        crash::here(Point::StoreMade);
        if stored.is_none() {
            schema.write(folder).map_err(io)?;
        }
        let (folder, slot) = (folder.to_owned(), Arc::new(Slot::new(db)));
        Ok(Self { folder, schema, disk, slot, file, groups, mark, failed: false, _lock: lock })
    }

    /// Where readers find the database.
    pub fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// The database, fit to be written: with room on the disk, and opened again if it has failed.
    pub fn ready(&mut self) -> Result<Arc<sled::Db>, Verdict> {
        let free_bytes =
            self.disk.free_bytes(&self.folder).map_err(|error| Verdict::Failed(error.to_string()))?;
        if free_bytes < MIN_FREE_BYTES {
            // A failed database is left as it is, too: it can be read, and opening it again takes room.
            return Err(Verdict::Full { free_bytes });
        }
        self.reopen_if_failed().map_err(Verdict::Failed)?;
        self.slot.get().map_err(|error| Verdict::Failed(error.to_string()))
    }

    /// Writes a group as one atomic step and waits until it is on disk.
    pub fn commit(&mut self, db: &sled::Db, written: Overlay) -> Verdict {
        if written.is_empty() {
            return Verdict::Settled;
        }
        match self.write_and_flush(db, written) {
            Ok(()) => {
                self.groups += 1;
                let bytes = self.file.metadata().map_or(0, |data| data.len());
                self.mark.note(Noted { groups: self.groups, bytes });
                crash::here(Point::StoreMarked);
                Verdict::Settled
            }
            Err(reason) => {
                tracing::error!(reason, "the store could not write; it will open its database again");
                self.failed = true;
                Verdict::Unknown(reason)
            }
        }
    }

    fn write_and_flush(&self, db: &sled::Db, written: Overlay) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for (key, value) in written {
            match value {
                Some(value) => batch.insert(key, value.as_ref()),
                None => batch.remove(key),
            }
        }
        self.disk.before_write()?;
        db.apply_batch(batch).map_err(|error| error.to_string())?;
        mark::number(db, self.groups + 1).map_err(|error| error.to_string())?;
        crash::here(Point::StoreApplied);
        self.disk.before_flush()?;
        db.flush().map_err(|error| error.to_string())?;
        crash::here(Point::StoreFlushed);
        self.disk.before_sync()?;
        self.file.sync_data().map_err(|error| error.to_string())?;
        crash::here(Point::StoreSynced);
        Ok(())
    }

    /// Copies all that was acknowledged into another folder.
    pub fn copy_to(&mut self, target: &Path) -> Result<(), String> {
        self.reopen_if_failed()?;
        let db = self.slot.get().map_err(|error| error.to_string())?;
        db.flush().map_err(|error| error.to_string())?;
        self.mark.sync();
        super::copy::copy(&self.folder, target).map_err(|error| format!("{}: {error}", target.display()))
    }

    /// From now on the store has another schema: all of that is on disk already. The file beside the database is last:
    /// before, the way there is gone once more.
    pub fn become_of(&mut self, schema: Schema) -> Result<(), String> {
        let inside = serde_json::to_vec(&schema).map_err(|error| error.to_string())?;
        let db = self.slot.get().map_err(|error| error.to_string())?;
        db.insert(SCHEMA_KEY, inside).map_err(|error| error.to_string())?;
        db.flush().map_err(|error| error.to_string())?;
        self.file.sync_data().map_err(|error| error.to_string())?;
        self.mark.sync();
        schema.write(&self.folder).map_err(|error| error.to_string())?;
        self.schema = schema;
        Ok(())
    }

    /// What may be done while nobody waits.
    pub fn rest(&mut self) {
        self.mark.sync_if_due();
    }

    /// Opens the database again after a failure, or after an attempt at this that failed.
    pub fn reopen_if_failed(&mut self) -> Result<(), String> {
        if !self.failed && self.slot.get().is_ok() {
            return Ok(());
        }
        let (folder, schema, mark) = (&self.folder, self.schema, &self.mark);
        let mut opened = None;
        self.slot.replace(|| {
            check_present(folder)?;
            forget_cached(&self.file);
            let db = open_sled(folder).map_err(|error| error.to_string())?;
            check_inside(&db, &[schema])?;
            let groups = count_groups(&db)?;
            mark.check(groups).map_err(|error| error.to_string())?;
            opened = Some((sync_all(folder).map_err(|error| error.to_string())?, groups));
            Ok(db)
        })?;
        if let Some((file, groups)) = opened {
            (self.file, self.groups) = (file, groups);
        }
        self.failed = false;
        tracing::info!("the store has opened its database again");
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Before the lock goes: readers may live on, the database may not.
        self.slot.close();
        self.mark.sync();
    }
}

/// Why sled did not open.
#[derive(Debug, thiserror::Error)]
enum SledError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Damaged(String),
}

impl SledError {
    fn into_open_error(self, folder: &Path) -> OpenError {
        let folder = folder.to_owned();
        match self {
            Self::Io(source) => OpenError::Io { folder, source },
            Self::Damaged(what) => OpenError::Damaged { folder, what },
        }
    }
}

impl From<sled::Error> for SledError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

fn sled_folder(folder: &Path) -> PathBuf {
    folder.join(SLED_FOLDER)
}

fn data_file(folder: &Path) -> PathBuf {
    sled_folder(folder).join("db")
}

fn open_sled(folder: &Path) -> Result<sled::Db, SledError> {
    let path = sled_folder(folder);
    files::create_private_folder(&path).map_err(SledError::Io)?;
    remove_unfinished_snapshots(&path).map_err(SledError::Io)?;
    let since = Instant::now();
    loop {
        let config = sled::Config::new()
            .path(&path)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|panic| SledError::Damaged(panic_text(&*panic).to_owned()))?;
        match opened {
            Err(error) if is_locked(&error) && since.elapsed() < REOPEN_FOR => {
                std::thread::park_timeout(REOPEN_PAUSE);
            }
            other => return Ok(other?),
        }
    }
}

/// sled has no kind of error for this; the lock of the folder is ours, so it can only be sled's last life.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

/// sled takes the one that a crash left behind for its newest, and calls it damaged. The one before is removed
/// only after the newer one is whole, and the log has the rest.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    for file in std::fs::read_dir(path)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

fn length(folder: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(data_file(folder))?.len())
}

/// sled would make a new one in its place.
fn check_present(folder: &Path) -> Result<(), String> {
    match std::fs::metadata(data_file(folder)) {
        Ok(data) if data.len() > 0 => Ok(()),
        Ok(_) => Err("the database was emptied".to_owned()),
        Err(error) => Err(format!("the database is gone: {error}")),
    }
}

/// A database that lost its beginning reads as empty to sled.
fn check_inside(db: &sled::Db, schemas: &[Schema]) -> Result<(), String> {
    let stored = catch_unwind(AssertUnwindSafe(|| db.get(SCHEMA_KEY)))
        .map_err(|panic| panic_text(&*panic).to_owned())?
        .map_err(|error| error.to_string())?;
    let is_of =
        |schema| serde_json::to_vec(schema).is_ok_and(|expected| stored.as_deref() == Some(&*expected));
    match stored {
        Some(_) if schemas.iter().any(is_of) => Ok(()),
        Some(_) => Err("the database is of another store".to_owned()),
        None => Err("the database has lost what was in it".to_owned()),
    }
}

/// sled panics where it finds what it does not expect.
fn count_groups(db: &sled::Db) -> Result<u64, String> {
    catch_unwind(AssertUnwindSafe(|| mark::groups(db)))
        .map_err(|panic| panic_text(&*panic).to_owned())?
        .map_err(|error| error.to_string())
}

/// Reads every page that there is.
fn read_all(db: &sled::Db) -> Result<(), String> {
    let read = || db.iter().try_for_each(|row| row.map(drop));
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|panic| panic_text(&*panic).to_owned())?
        .map_err(|error| format!("a part of the database is gone: {error}"))
}

/// Makes a new database ours; one with more in it than an interrupted making leaves is not.
fn make_inside(db: &sled::Db, schema: Schema, folder: &Path) -> Result<(), SledError> {
    if db.iter().keys().any(|key| key.map_or(true, |key| key != SCHEMA_KEY)) {
        let path = sled_folder(folder);
        return Err(SledError::Damaged(format!("nothing says what is in {}", path.display())));
    }
    let inside = serde_json::to_vec(&schema).map_err(|error| SledError::Io(error.into()))?;
    db.insert(SCHEMA_KEY, inside)?;
    db.flush()?;
    Ok(())
}

/// Puts all of sled's files and their names on disk; answers the descriptor for later.
fn sync_all(folder: &Path) -> io::Result<File> {
    let path = sled_folder(folder);
    let file = File::open(data_file(folder))?;
    file.sync_all()?;
    File::open(path.join("conf"))?.sync_all()?;
    files::sync_folder(&path)?;
    files::sync_folder(folder)?;
    Ok(file)
}

/// After a failed `fdatasync` the kernel may hold as clean what is not on disk: what is read when the database
/// is opened again must come from the disk.
fn forget_cached(file: &File) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::warn!(%error, "cannot drop cached pages of the database");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
