//! How many groups of writes were acknowledged: noted beside the database, which may lose its end without a word.
//!
//! sled cuts a damaged end off its log when it opens. So groups are numbered: the number is written in the database
//! behind the group, and once both are on disk, into a small file of ours. A database that does not reach the number in
//! the file has lost what was acknowledged.
//!
//! The file is overwritten in place, and put on disk by itself once a second at most, so that a group costs no second
//! wait for the disk. It is never ahead of the database. A killed process leaves it exact; after a power cut it may be
//! as old as the kernel lets pages lie, half a minute as a rule: so much of the end is then not vouched for by it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::OpenError;
use crate::files;

/// Beside the database, in the data folder.
const FILE: &str = "store.mark";
/// A tree of its own: the row changes with each group, and sled writes a page anew with its neighbours.
const TREE: &[u8] = b"mark";
/// Its only row.
const ROW: &[u8] = b"groups";
/// How often the file is put on disk, at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
const NUMBER_DIGITS: usize = 20;
const CHECK_DIGITS: usize = 16;
/// Two fields of fixed width, so that one write replaces all of it.
const FILE_BYTES: usize = NUMBER_DIGITS + 1 + CHECK_DIGITS + 1;

/// The file, open.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    groups: u64,
    synced: Instant,
    is_synced: bool,
}

impl Mark {
    /// Opens the file and holds it against the database, which has `found` groups. Without a file one is made: that is
    /// how a store is made, and how its owner goes on with one that lost its end.
    pub fn open(folder: &Path, found: u64) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let io = |source| OpenError::Io { folder: folder.to_owned(), source };
        let noted = match std::fs::read(&path) {
            Ok(text) => Some(parse(&text).ok_or_else(|| OpenError::Damaged {
                folder: folder.to_owned(),
                what: format!("{FILE} does not say how far it goes"),
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(io(source)),
        };
        match noted {
            Some(noted) => check(noted, found, folder)?,
            None => make(&path, found).map_err(io)?,
        }
        let file = OpenOptions::new().write(true).open(&path).map_err(io)?;
        let (groups, synced) = (noted.unwrap_or(found), Instant::now());
        Ok(Self { file, path, groups, synced, is_synced: true })
    }

    /// Whether a database that has `found` groups has all that were acknowledged.
    pub fn check(&self, found: u64) -> Result<(), OpenError> {
        check(self.groups, found, self.path.parent().unwrap_or(&self.path))
    }

    /// A group is on disk. The write is acknowledged even when that cannot be noted.
    pub fn note(&mut self, groups: u64) {
        self.groups = groups;
        self.is_synced = false;
        if let Err(error) = self.file.write_all_at(&line(groups), 0) {
            tracing::warn!(%error, "cannot note how far the store goes");
        }
    }

    /// Puts the file on disk, when that is due; called while nobody waits for it.
    pub fn sync_if_due(&mut self) {
        if !self.is_synced && self.synced.elapsed() >= SYNC_EVERY {
            self.sync();
        }
    }

    /// Puts the file on disk.
    pub fn sync(&mut self) {
        (self.synced, self.is_synced) = (Instant::now(), true);
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(%error, "cannot put on disk how far the store goes");
        }
    }
}

fn make(path: &Path, found: u64) -> io::Result<()> {
    if found > 0 {
        tracing::warn!(writes = found, "what says how far the store goes is gone: its end is taken as it is");
    }
    files::write_private_file(path, &line(found))
}

/// How many groups a database has.
pub(super) fn groups(db: &sled::Db) -> sled::Result<u64> {
    let row = db.open_tree(TREE)?.get(ROW)?;
    Ok(row.and_then(|row| Some(u64::from_be_bytes(*row.first_chunk()?))).unwrap_or_default())
}

/// Numbers the group that the database was just given.
pub(super) fn number(db: &sled::Db, groups: u64) -> sled::Result<()> {
    db.open_tree(TREE)?.insert(ROW, &groups.to_be_bytes())?;
    Ok(())
}

fn check(noted: u64, found: u64, folder: &Path) -> Result<(), OpenError> {
    if found >= noted {
        return Ok(());
    }
    Err(OpenError::Shorter { folder: folder.to_owned(), found, noted, mark: FILE })
}

fn line(groups: u64) -> Vec<u8> {
    let number = format!("{groups:0NUMBER_DIGITS$}");
    let check = blake3::hash(number.as_bytes()).to_hex();
    format!("{number} {}\n", &check[..CHECK_DIGITS]).into_bytes()
}

fn parse(text: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(text.get(..NUMBER_DIGITS)?).ok()?.parse().ok()?;
    (text.len() == FILE_BYTES && text == line(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_again_and_no_other() {
        for number in [0, 1, 4711, u64::MAX] {
            let good = line(number);
            assert_eq!(parse(&good), Some(number));
            for cut in 0..good.len() {
                assert_eq!(parse(&good[..cut]), None);
            }
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                assert_eq!(parse(&bad), None, "byte {at}");
            }
        }
    }
}
