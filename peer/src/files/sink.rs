//! Where what is fetched goes: below the opened folder for downloads, and nowhere else.
//!
//! While it is not whole it has a name of its own ([`names::OWN_PREFIX`]). When it is, it is on the disk first, and then gets
//! the name that was offered, or that with a number: nothing that is there is ever replaced.

use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use common::id::FileId;
use common::proto::status::{Code, Refusal};
use rustix::fs::{Mode, OFlags, RenameFlags, fstatvfs, openat, renameat_with};

use super::manifest::Entry;
use super::names::{self, OWN_PREFIX, numbered};

/// How much is left free on the disk: more than the store, which may be on the same, wants for itself.
const SPARE_BYTES: u64 = 256 * 1024 * 1024;
/// How many numbers are tried for a name that is taken.
const MAX_NUMBER: u32 = 10_000;

/// The opened folder for downloads.
#[derive(Debug)]
pub struct Downloads {
    folder: Dir,
    path: PathBuf,
}

/// What something is called while it is not whole.
pub fn temporary_name(id: FileId) -> String {
    format!("{OWN_PREFIX}{id}.part")
}

/// The folder again, as something that can be synced: the handle that is kept of it is for names only.
fn readable(folder: &Dir) -> io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(std::fs::File::from(openat(folder, ".", flags, Mode::empty())?))
}

/// How many bytes are free. What cannot be asked is found out by writing.
fn free(folder: &Dir) -> Option<u64> {
    fstatvfs(folder.as_fd()).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

impl Downloads {
    /// Opens the folder, and makes it when there is none. Blocks.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let path = std::fs::canonicalize(path)?;
        Ok(Self { folder: Dir::open_ambient_dir(&path, ambient_authority())?, path })
    }

    /// Whether so much more fits. Blocks.
    ///
    /// # Errors
    /// `storage_full`, with how much is free.
    pub fn check_space(&self, bytes: u64) -> Result<(), Refusal> {
        match free(&self.folder) {
            Some(free) if bytes.saturating_add(SPARE_BYTES) > free => {
                let path = self.path.display();
                let reason = format!(
                    "{bytes} bytes do not fit: {free} are free in {path}; make room, or give --downloads"
                );
                Err(Refusal::new(Code::StorageFull, reason))
            }
            _ => Ok(()),
        }
    }

    /// Gives what is whole its name, or that with a number, and says where it is then. `intend` keeps the name before it is
    /// given: after a crash in between it is known what became of it. Blocks.
    ///
    /// # Errors
    /// Whatever the file system, or `intend`, says.
    pub fn name_it(
        &self,
        id: FileId,
        name: &str,
        is_folder: bool,
        mut intend: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        names::check_name(name).map_err(io::Error::other)?;
        let temporary = temporary_name(id);
        for number in 0..MAX_NUMBER {
            let name = numbered(name, number, is_folder);
            if self.folder.symlink_metadata(&name).is_ok() {
                continue;
            }
            intend(&name)?;
            match self.rename(&temporary, &name) {
                Ok(()) => {
                    self.sync()?;
                    return Ok(self.path.join(name));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Whether what was whole has this name already: nothing is left under its temporary one. Blocks.
    pub fn has_named(&self, id: FileId, name: &str) -> Option<PathBuf> {
        let is_left = self.folder.symlink_metadata(temporary_name(id)).is_ok();
        let is_there = names::check_name(name).is_ok() && self.folder.symlink_metadata(name).is_ok();
        (is_there && !is_left).then(|| self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let folder = self.folder.as_fd();
        match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot promise it; that there is none was looked at just now.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                self.folder.rename(from, &self.folder, to)
            }
            done => Ok(done?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        readable(&self.folder)?.sync_all()
    }

    /// Removes what is there of something that is not wanted any more. Blocks.
    pub fn remove(&self, id: FileId) {
        let name = temporary_name(id);
        let removed = match self.folder.symlink_metadata(&name) {
            Ok(metadata) if metadata.is_dir() => self.folder.remove_dir_all(&name),
            Ok(_) => self.folder.remove_file(&name),
            Err(_) => Ok(()),
        };
        if let Err(error) = removed {
            tracing::warn!(err = %error, "what was fetched of a file is not removed");
        }
    }
}

/// Takes what is fetched, in order.
#[derive(Debug)]
pub struct Sink {
    /// In which the files stand: the folder for downloads itself for a single one.
    base: Dir,
    entries: Vec<Entry>,
    is_folder: bool,
    /// The file that is next to be written to, and how much of it is.
    at: (usize, u64),
    open: Option<File>,
    /// The folder that the last file was opened in.
    parent: Option<(String, Dir)>,
    have: u64,
}

impl Sink {
    /// Goes on behind the first `have` bytes, or begins anew where these are not there. Blocks.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(downloads: &Downloads, id: FileId, content: Content, have: u64) -> io::Result<Self> {
        let temporary = temporary_name(id);
        let folder = downloads.folder.try_clone()?;
        let (base, entries, is_folder) = match content {
            Content::File { size } => (folder, vec![Entry { path: temporary, size }], false),
            Content::Folder(entries) => {
                match folder.create_dir(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                if folder.symlink_metadata(&temporary)?.is_symlink() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                (folder.open_dir(&temporary)?, entries, true)
            }
        };
        let mut sink = Self { base, entries, is_folder, at: (0, 0), open: None, parent: None, have: 0 };
        if sink.has(have) {
            sink.skip(have);
        }
        Ok(sink)
    }

    /// How many bytes are there.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Whether anything more fits.
    ///
    /// # Errors
    /// `storage_full`.
    pub fn check_space(&self) -> Result<(), Refusal> {
        match free(&self.base) {
            Some(free) if free < SPARE_BYTES => {
                let reason = format!(
                    "the disk for downloads is full: {free} bytes are left, and {SPARE_BYTES} stay free; make room"
                );
                Err(Refusal::new(Code::StorageFull, reason))
            }
            _ => Ok(()),
        }
    }

    /// Whether the first `have` bytes can be there, by the sizes of the files.
    fn has(&self, have: u64) -> bool {
        let mut left = have;
        self.entries.iter().all(|entry| {
            let wanted = left.min(entry.size);
            left -= wanted;
            wanted == 0
                || self
                    .base
                    .symlink_metadata(&entry.path)
                    .is_ok_and(|found| found.is_file() && found.len() >= wanted)
        })
    }

    fn skip(&mut self, have: u64) {
        let (mut left, mut number) = (have, 0);
        while let Some(entry) = self.entries.get(number).filter(|entry| left > 0 && left >= entry.size) {
            left -= entry.size;
            number += 1;
        }
        (self.at, self.have) = ((number, left), have);
    }

    /// Writes what comes next.
    ///
    /// # Errors
    /// Whatever the file system says; never more than was announced is written.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (number, written) = self.at;
            let entry = self.entries.get(number).ok_or(io::ErrorKind::InvalidData)?;
            let room = usize::try_from(entry.size - written).unwrap_or(usize::MAX).min(bytes.len());
            if room == 0 && !self.is_folder {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.open.is_none() {
                self.open = Some(self.open_file(number, written)?);
            }
            let (now, rest) = bytes.split_at(room);
            if let Some(file) = &mut self.open {
                file.write_all(now)?;
            }
            bytes = rest;
            self.have += room as u64;
            self.at.1 += room as u64;
            self.next_file();
        }
        Ok(())
    }

    fn next_file(&mut self) {
        let (number, written) = self.at;
        // Of a single file the handle is kept, to be synced.
        if self.is_folder && self.entries.get(number).is_some_and(|entry| written == entry.size) {
            self.open = None;
            self.at = (number + 1, 0);
        }
    }

    fn open_file(&mut self, number: usize, written: u64) -> io::Result<File> {
        let path = self.entries.get(number).map(|entry| entry.path.clone()).unwrap_or_default();
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if self.parent.as_ref().is_none_or(|(known, _)| known != parent) {
            let folder = if parent.is_empty() {
                self.base.try_clone()?
            } else {
                self.base.create_dir_all(parent)?;
                self.base.open_dir(parent)?
            };
            self.parent = Some((parent.to_owned(), folder));
        }
        let Some((_, folder)) = &self.parent else { return Err(io::ErrorKind::NotFound.into()) };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(written == 0);
        options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default());
        let mut file = folder.open_with(name, &options)?;
        file.seek(SeekFrom::Start(written))?;
        Ok(file)
    }

    /// What has to be done for what is there to survive a power cut; not on the thread that writes.
    ///
    /// # Errors
    /// When there is nothing to sync.
    pub fn checkpoint(&self) -> io::Result<Checkpoint> {
        let handle = match &self.open {
            Some(file) if !self.is_folder => file.try_clone()?.into_std(),
            _ => readable(&self.base)?,
        };
        Ok(Checkpoint { handle, whole_disk: self.is_folder, have: self.have })
    }

    /// It is whole: files without bytes are made too, and all of it is on disk then. Blocks.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn finish(mut self) -> io::Result<()> {
        let empty =
            (0..self.entries.len()).filter(|number| self.entries[*number].size == 0).collect::<Vec<_>>();
        for number in empty {
            let file = self.open_file(number, 0)?;
            if !self.is_folder {
                self.open = Some(file);
            }
        }
        self.checkpoint()?.sync().map(drop)
    }
}

/// What is fetched: a file, or the files of a folder.
#[derive(Clone, Debug)]
pub enum Content {
    /// One.
    File {
        /// How many bytes it has.
        size: u64,
    },
    /// Several, as the list has them that was looked through.
    Folder(Vec<Entry>),
}

/// So much is written, and on disk once it is synced.
#[derive(Debug)]
pub struct Checkpoint {
    handle: std::fs::File,
    whole_disk: bool,
    have: u64,
}

impl Checkpoint {
    /// Waits for the disk, and says how many bytes are on it by then.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn sync(self) -> io::Result<u64> {
        if !self.whole_disk {
            self.handle.sync_data()?;
        } else {
            // One file after another would wait for the disk as often as there are files.
            #[cfg(target_os = "linux")]
            rustix::fs::syncfs(&self.handle)?;
            #[cfg(not(target_os = "linux"))]
            rustix::fs::sync();
        }
        Ok(self.have)
    }
}

#[cfg(test)]
mod tests;
