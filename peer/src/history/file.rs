//! Exports as files: written whole or not at all, and read line by line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use common::entry::{Checkpoint, Hash, Header, RawEntry};
use common::files::sync_folder;
use common::identity::Identity;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use serde::Serialize;

use super::check::{BadExport, Check};
use super::format::{Head, Line, MAX_LINE_BYTES, Seal};
use crate::api::Checked;
use crate::client::archive::intervals::Interval;

/// A file that cannot be read or written, or that has something else in it than it should.
pub(super) fn file_failed(path: &Path, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::FileFailed, format!("{}: {why}", path.display()))
}

/// An export that is being written, under a name of its own until it is whole.
pub(super) struct Writing {
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    entries: u64,
    is_whole: bool,
}

impl Writing {
    /// Begins a file, which must not be there yet.
    pub fn begin(path: &Path, head: &Head) -> Result<Self, Refusal> {
        let failed = |error: io::Error| file_failed(path, error);
        if path.symlink_metadata().is_ok() {
            return Err(file_failed(path, "there is such a file already; choose another name"));
        }
        let mut name =
            path.file_name().ok_or_else(|| file_failed(path, "this is no file's name"))?.to_owned();
        name.push(".unfinished");
        let unfinished = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
        let file = BufWriter::new(file.map_err(failed)?);
        let (path, hasher) = (path.to_owned(), blake3::Hasher::new());
        let mut writing = Self { path, unfinished, file, hasher, entries: 0, is_whole: false };
        writing.put(head)?;
        Ok(writing)
    }

    fn put(&mut self, line: &impl Serialize) -> Result<(), Refusal> {
        let line = serde_json::to_vec(line).map_err(|error| file_failed(&self.path, error))?;
        self.put_line(&[&line])
    }

    fn put_line(&mut self, pieces: &[&[u8]]) -> Result<(), Refusal> {
        for piece in pieces.iter().chain(&[&b"\n"[..]]) {
            self.hasher.update(piece);
            self.file.write_all(piece).map_err(|error| file_failed(&self.path, error))?;
        }
        Ok(())
    }

    pub fn checkpoints(&mut self, signed: Vec<Signed<Checkpoint>>) -> Result<(), Refusal> {
        signed.into_iter().try_for_each(|signed| self.put(&Line::Checkpoint(signed)))
    }

    pub fn part(&mut self, part: Interval) -> Result<(), Refusal> {
        self.put(&Line::Part(part))
    }

    /// Writes an entry's exact bytes.
    pub fn entry(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.entries += 1;
        self.put_line(&[br#"{"entry":"#, bytes, b"}"])
    }

    /// Seals the file, and gives it its name once it is on disk.
    pub fn end(mut self, head: &Head, identity: &Identity) -> Result<u64, Refusal> {
        let hash = Hash::from_bytes(*self.hasher.finalize().as_bytes());
        let seal = Seal { channel: head.channel, entries: self.entries, hash };
        let seal = Signed::sign(&seal, identity).map_err(|error| file_failed(&self.path, error))?;
        self.put(&Line::End(seal))?;
        let finish = |writing: &mut Self| {
            writing.file.flush()?;
            writing.file.get_ref().sync_all()?;
            std::fs::rename(&writing.unfinished, &writing.path)?;
            writing.is_whole = true;
            sync_folder(match writing.path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            })
        };
        finish(&mut self).map_err(|error| file_failed(&self.path, error))?;
        Ok(self.entries)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = std::fs::remove_file(&self.unfinished)
        {
            tracing::warn!(err = %error, "an unfinished export is left behind");
        }
    }
}

/// Reads a line of at most `limit` bytes, without its end; none at the end of the file.
///
/// # Errors
/// What the file system says, or that the line is longer.
pub(super) fn read_line(reader: &mut impl BufRead, limit: usize, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    reader.take(limit as u64 + 1).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(true);
    }
    if line.len() > limit {
        return Err(io::Error::other("a line in it is too long"));
    }
    Ok(!line.is_empty())
}

/// Reads an export, checks it, and hands out its entries as far as all was well before.
///
/// # Errors
/// `file_failed`, what is wrong with it, or what `take` says.
pub fn read(
    path: &Path,
    mut take: impl FnMut(&Head, Header, RawEntry) -> Result<(), Refusal>,
) -> Result<(Head, Checked), Refusal> {
    let mut reader = BufReader::new(File::open(path).map_err(|error| file_failed(path, error))?);
    let (mut check, mut line) = (Check::default(), Vec::new());
    let in_file = |error: BadExport| {
        let refusal = Refusal::from(error);
        Refusal { reason: format!("{}: {}", path.display(), refusal.reason), ..refusal }
    };
    while read_line(&mut reader, MAX_LINE_BYTES, &mut line).map_err(|error| file_failed(path, error))? {
        if let Some((header, entry)) = check.line(&line).map_err(in_file)?
            && let Some(head) = check.head()
        {
            take(head, header, entry)?;
        }
    }
    check.finish().map_err(in_file)
}
