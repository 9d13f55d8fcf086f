//! How far the database goes: noted beside it, since it may lose its end without a word.
//!
//! sled cuts a damaged end off its log when it opens. So groups of writes are numbered: the number is written in the
//! database behind the group, and once both are on disk, into a small file of ours. A database that does not reach the
//! number in the file has lost what was acknowledged. What is old may lie behind what is new, and sled reads it only
//! when it is asked for; so the file also has the database's length, and one that is shorter is read as a whole.
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
pub(super) const FILE: &str = "store.mark";
/// A tree of its own: the row changes with each group, and sled writes a page anew with its neighbours.
const TREE: &[u8] = b"mark";
/// Its only row.
const ROW: &[u8] = b"groups";
/// How often the file is put on disk, at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
const NUMBER_DIGITS: usize = 20;
const CHECK_DIGITS: usize = 16;
/// Fields of fixed width, so that one write replaces all of it.
const FILE_BYTES: usize = 2 * (NUMBER_DIGITS + 1) + CHECK_DIGITS + 1;
/// A database that was found shorter stays so for the next starts, whatever sled makes of its length.
const UNKNOWN_LENGTH: u64 = u64::MAX;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// How many groups were acknowledged.
    pub groups: u64,
    /// How long the database was then.
    pub bytes: u64,
}

impl Noted {
    /// What is noted of the store in `folder`; nothing where there is no file.
    pub fn read(folder: &Path) -> Result<Option<Self>, OpenError> {
        match std::fs::read(folder.join(FILE)) {
            Ok(text) => parse(&text).map(Some).ok_or_else(|| OpenError::Damaged {
                folder: folder.to_owned(),
                what: format!("{FILE} does not say how far it goes"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenError::Io { folder: folder.to_owned(), source }),
        }
    }

    /// Whether a database of `bytes` has to be read as a whole before it counts; to be asked before sled opens it.
    pub fn doubts(self, bytes: u64, folder: &Path) -> io::Result<bool> {
        if bytes >= self.bytes {
            return Ok(false);
        }
        files::write_private_file(&folder.join(FILE), &line(Self { bytes: UNKNOWN_LENGTH, ..self }))?;
        Ok(true)
    }
}

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
    /// Opens the file and holds it against the database, which has `found`. Without a file one is made: that is how a
    /// store is made, and how its owner goes on with one that lost its end.
    pub fn open(folder: &Path, noted: Option<Noted>, found: Noted) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let io = |source| OpenError::Io { folder: folder.to_owned(), source };
        if let Some(noted) = noted {
            check(noted.groups, found.groups, folder)?;
        } else if found.groups > 0 {
            tracing::warn!(writes = found.groups, "{FILE} is gone: the store's end is taken as it is");
        }
        files::write_private_file(&path, &line(found)).map_err(io)?;
        let file = OpenOptions::new().write(true).open(&path).map_err(io)?;
        Ok(Self { file, path, groups: found.groups, synced: Instant::now(), is_synced: true })
    }

    /// Whether a database that has `found` groups has all that were acknowledged.
    pub fn check(&self, found: u64) -> Result<(), OpenError> {
        check(self.groups, found, self.path.parent().unwrap_or(&self.path))
    }

    /// A group is on disk. The write is acknowledged even when that cannot be noted.
    pub fn note(&mut self, noted: Noted) {
        self.groups = noted.groups;
        self.is_synced = false;
        if let Err(error) = self.file.write_all_at(&line(noted), 0) {
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

fn line(Noted { groups, bytes }: Noted) -> Vec<u8> {
    let numbers = format!("{groups:0NUMBER_DIGITS$} {bytes:0NUMBER_DIGITS$}");
    let check = blake3::hash(numbers.as_bytes()).to_hex();
    format!("{numbers} {}\n", &check[..CHECK_DIGITS]).into_bytes()
}

fn parse(text: &[u8]) -> Option<Noted> {
    let mut fields = std::str::from_utf8(text).ok()?.split(' ');
    let noted = Noted { groups: fields.next()?.parse().ok()?, bytes: fields.next()?.parse().ok()? };
    (text.len() == FILE_BYTES && text == line(noted)).then_some(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_again_and_no_other() {
        for number in [0, 1, 4711, u64::MAX] {
            let noted = Noted { groups: number, bytes: number / 3 };
            let good = line(noted);
            assert_eq!(parse(&good), Some(noted));
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
