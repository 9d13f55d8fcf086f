//! The directory as the tracker uses it: rows with revisions, read one by one, and changed all or none.
//!
//! A [`Change`] remembers the revision of every row it has read. It is committed only if none of them has another one
//! by then; otherwise the caller decides anew from what is there now. So it is the store that decides who gets a name,
//! whoever else asks at the same time, and an engine that is not in this process could do the same.

use std::marker::PhantomData;
use std::ops::Bound;

use common::crash::{self, Point};
use common::storage::{Abort, Direction, ReadError, Store, StoreError, Table, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::MAX_COMMIT_TRIES;

/// How often the directory had been changed when a row was written. Grows, and is never given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision(u64);

#[cfg(test)]
impl Revision {
    /// Any revision, for tests.
    pub const fn new(revision: u64) -> Self {
        Self(revision)
    }
}

const REVISION: Table = Table::new("revision");
const LATEST: &[u8] = b"latest";
const REVISION_BYTES: usize = size_of::<u64>();

/// A table whose rows are of one type.
#[derive(Debug)]
pub struct Rows<T> {
    table: Table,
    row: PhantomData<fn() -> T>,
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<T> {}

impl<T> Rows<T> {
    /// The rows of `table`.
    pub const fn new(table: Table) -> Self {
        Self { table, row: PhantomData }
    }

    /// The table.
    pub const fn table(self) -> Table {
        self.table
    }
}

impl<T: DeserializeOwned> Rows<T> {
    /// What such a row says, as it is stored; nothing when it cannot be read.
    pub fn read(self, stored: &[u8]) -> Option<T> {
        decode::<T>(stored).ok().map(|row| row.value)
    }

    /// Whether this is one of them, as it is stored.
    pub fn can_read(self, stored: &[u8]) -> bool {
        decode::<T>(stored).is_ok()
    }
}

/// A row and when it was written.
#[derive(Clone, Debug)]
pub struct Row<T> {
    /// What stands there.
    pub value: T,
    /// When it was written.
    pub revision: Revision,
}

/// Why the directory did not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The store did not write.
    #[error("the directory was not changed: {0}")]
    Write(#[source] StoreError<Conflict>),
    /// The store did not read.
    #[error("the directory cannot be read: {0}")]
    Read(#[from] ReadError),
    /// A row is not of the form it should have.
    #[error("a row of the directory cannot be understood")]
    Row(#[from] serde_json::Error),
    /// A row is too short to have a revision.
    #[error("a row of the directory has no revision")]
    NoRevision,
    /// Others were faster each time.
    #[error("others changed the same rows {MAX_COMMIT_TRIES} times in between")]
    Contended,
}

/// The directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory(Store);

/// Another change came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another change came first")]
pub struct Conflict;

impl Directory {
    /// The directory in `store`.
    pub const fn new(store: Store) -> Self {
        Self(store)
    }

    /// The row under `key`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get<T: DeserializeOwned + 'static>(
        &self,
        rows: Rows<T>,
        key: &[u8],
    ) -> Result<Option<Row<T>>, DirectoryError> {
        let key = key.to_vec();
        let stored = self.0.read(move |reader| reader.get(rows.table, key)).await?;
        stored.map(|bytes| decode(&bytes)).transpose()
    }

    /// The first `limit` rows whose keys come after `after`, in the order of the keys.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn scan<T: DeserializeOwned + 'static>(
        &self,
        rows: Rows<T>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row<T>)>, DirectoryError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_vec()));
        let range = (from, Bound::Unbounded);
        let page =
            self.0.read(move |reader| reader.scan(rows.table, range, limit, Direction::Forward)).await?;
        page.into_iter().map(|(key, bytes)| Ok((key.to_vec(), decode(&bytes)?))).collect()
    }

    /// Begins a change.
    pub fn change(&self) -> Change {
        Change { directory: self.clone(), guards: Vec::new(), writes: Vec::new() }
    }

    async fn commit(
        &self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> Result<Option<Revision>, DirectoryError> {
        let job = move |tx: &mut Transaction<'_>| {
            for guard in &guards {
                let now = tx.get(guard.at.table, &guard.at.key)?.and_then(|bytes| revision_of(&bytes));
                if now != guard.revision {
                    return Err(Abort::Rejected(Conflict));
                }
            }
            let latest = tx.get(REVISION, LATEST)?.and_then(|bytes| revision_of(&bytes)).unwrap_or_default();
            let revision = Revision(latest.0 + 1);
            for write in &writes {
                match &write.value {
                    Some(value) => tx.put(write.at.table, &write.at.key, encode(revision, value)),
                    None => tx.delete(write.at.table, &write.at.key),
                }
            }
            tx.put(REVISION, LATEST, revision.0.to_be_bytes().to_vec());
            Ok(revision)
        };
        crash::here(Point::TrackerChanging);
        let outcome = self.0.write(job).await;
        crash::here(Point::TrackerChanged);
        match outcome {
            Ok(revision) => Ok(Some(revision)),
            Err(StoreError::Rejected(Conflict)) => Ok(None),
            Err(error) => Err(DirectoryError::Write(error)),
        }
    }
}

#[derive(Clone, Debug)]
struct At {
    table: Table,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Guard {
    at: At,
    revision: Option<Revision>,
}

#[derive(Debug)]
struct Write {
    at: At,
    value: Option<Vec<u8>>,
}

/// How a commit ended, short of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is on disk.
    Done(Revision),
    /// Something it was decided from is another now: decide anew.
    Again,
}

/// Counts how often a change was decided anew.
#[derive(Debug, Default)]
pub struct Tries(u32);

/// What is to be written at once, and what that was decided from.
#[derive(Debug)]
pub struct Change {
    directory: Directory,
    guards: Vec<Guard>,
    writes: Vec<Write>,
}

impl Change {
    /// The row under `key`, which may not change until the commit. What this change itself will write is not seen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get<T: DeserializeOwned + 'static>(
        &mut self,
        rows: Rows<T>,
        key: &[u8],
    ) -> Result<Option<T>, DirectoryError> {
        let row = self.directory.get(rows, key).await?;
        let at = At { table: rows.table, key: key.to_vec() };
        self.guards.push(Guard { at, revision: row.as_ref().map(|row| row.revision) });
        Ok(row.map(|row| row.value))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When the row has no JSON form, which does not happen.
    pub fn put<T: Serialize>(&mut self, rows: Rows<T>, key: &[u8], row: &T) -> Result<(), DirectoryError> {
        let value = Some(serde_json::to_vec(row)?);
        self.writes.push(Write { at: At { table: rows.table, key: key.to_vec() }, value });
        Ok(())
    }

    /// Removes a row. Of several writes to one row in one change the last counts.
    pub fn delete<T>(&mut self, rows: Rows<T>, key: &[u8]) {
        self.writes.push(Write { at: At { table: rows.table, key: key.to_vec() }, value: None });
    }

    /// Writes all of it, if nothing it was decided from has changed.
    ///
    /// # Errors
    /// When the store does not write, or the change has been decided anew too often.
    pub async fn commit(self, tries: &mut Tries) -> Result<Committed, DirectoryError> {
        if let Some(revision) = self.directory.commit(self.guards, self.writes).await? {
            return Ok(Committed::Done(revision));
        }
        tries.0 += 1;
        if tries.0 >= MAX_COMMIT_TRIES { Err(DirectoryError::Contended) } else { Ok(Committed::Again) }
    }
}

fn encode(revision: Revision, value: &[u8]) -> Vec<u8> {
    [revision.0.to_be_bytes().as_slice(), value].concat()
}

fn revision_of(bytes: &[u8]) -> Option<Revision> {
    let (revision, _) = bytes.split_first_chunk::<REVISION_BYTES>()?;
    Some(Revision(u64::from_be_bytes(*revision)))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Row<T>, DirectoryError> {
    let revision = revision_of(bytes).ok_or(DirectoryError::NoRevision)?;
    Ok(Row { value: serde_json::from_slice(&bytes[REVISION_BYTES..])?, revision })
}

#[cfg(test)]
mod tests;
