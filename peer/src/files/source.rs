//! What is offered, at whoever offers it: files one after another, as they were when they were offered.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bao_tree::io::sync::ReadAt;
use common::proto::limits::{MAX_FILE_BYTES, MAX_FOLDER_FILES};
use common::proto::status::{Code, Refusal};
use common::text::one_line;
use serde::{Deserialize, Serialize};

use super::manifest::Entry;
use super::names::{self, Paths};

/// Where something offered is on this machine, and what its files were like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The file itself, or the folder.
    pub at: PathBuf,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Its files.
    pub files: Vec<Listed>,
}

/// A file that is offered, alone or in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// As others see it.
    #[serde(flatten)]
    pub entry: Entry,
    /// Where it is within the folder, when its name had to be made safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    under: Option<PathBuf>,
    /// When it was last changed.
    changed: (i64, i64),
    /// Which file it is.
    inode: u64,
}

impl Listed {
    fn new(path: String, under: &Path, metadata: &Metadata) -> Self {
        let under = (under != Path::new(&path)).then(|| under.to_owned());
        let entry = Entry { path, size: metadata.len() };
        Self { entry, under, changed: changed(metadata), inode: metadata.ino() }
    }

    fn is_as_it_was(&self, metadata: &Metadata) -> bool {
        metadata.is_file()
            && metadata.len() == self.entry.size
            && changed(metadata) == self.changed
            && metadata.ino() == self.inode
    }
}

/// When its bytes were last changed.
fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// Looks at what is to be offered. Blocks. Links and what is no file are left out of a folder.
///
/// # Errors
/// `usage` for what cannot be offered, with why.
pub fn list(at: &Path) -> Result<Listing, Refusal> {
    let unusable = |why: &dyn std::fmt::Display| {
        Refusal::new(Code::Usage, format!("{}: {why}", one_line(&at.to_string_lossy())))
    };
    let at = fs::canonicalize(at).map_err(|error| unusable(&error))?;
    let metadata = fs::metadata(&at).map_err(|error| unusable(&error))?;
    let name = names::safe(&at.file_name().unwrap_or_default().to_string_lossy());
    let listing = if metadata.is_file() {
        let files = vec![Listed::new(name, Path::new(""), &metadata)];
        Listing { at, is_folder: false, files }
    } else if metadata.is_dir() {
        let mut walk = Walk::default();
        walk.folder(&at, Path::new(""), "")?;
        Listing { at, is_folder: true, files: walk.files }
    } else {
        return Err(unusable(&"only files and folders can be offered"));
    };
    if listing.size().is_none_or(|size| size > MAX_FILE_BYTES) {
        return Err(unusable(&"it is too large"));
    }
    Ok(listing)
}

#[derive(Default)]
struct Walk {
    files: Vec<Listed>,
    paths: Paths,
}

impl Walk {
    fn folder(&mut self, base: &Path, under: &Path, path: &str) -> Result<(), Refusal> {
        let failed = |place: &Path, error: &dyn std::fmt::Display| {
            Refusal::new(Code::Usage, format!("{}: {error}", one_line(&place.to_string_lossy())))
        };
        let place = base.join(under);
        let entries = fs::read_dir(&place).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| failed(&place, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, under) = (entry.file_name(), under.join(entry.file_name()));
            let safe = names::safe(&name.to_string_lossy());
            let path = if path.is_empty() { safe } else { format!("{path}/{safe}") };
            // Not followed when it is a link.
            let metadata = entry.metadata().map_err(|error| failed(&base.join(&under), &error))?;
            if metadata.is_dir() {
                names::check_path(&path)?;
                self.folder(base, &under, &path)?;
            } else if metadata.is_file() {
                self.paths.add(&path)?;
                self.files.push(Listed::new(path, &under, &metadata));
            }
            if self.files.len() as u64 > MAX_FOLDER_FILES {
                return Err(failed(
                    base,
                    &format!("a folder has at most {MAX_FOLDER_FILES} files; send parts of it"),
                ));
            }
        }
        Ok(())
    }
}

impl Listing {
    /// As others see it.
    pub fn name(&self) -> String {
        names::safe(&self.at.file_name().unwrap_or_default().to_string_lossy())
    }

    /// How many bytes all files have.
    pub fn size(&self) -> Option<u64> {
        self.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.entry.size))
    }

    fn place(&self, file: &Listed) -> PathBuf {
        match (&file.under, self.is_folder) {
            (_, false) => self.at.clone(),
            (Some(under), true) => self.at.join(under),
            (None, true) => self.at.join(&file.entry.path),
        }
    }

    /// Whether all files are still what they were, by what the file system says of them. Blocks.
    ///
    /// # Errors
    /// `file_changed`, with which is not.
    pub fn check(&self) -> Result<(), Refusal> {
        let is_other = |file: &&Listed| {
            !fs::symlink_metadata(self.place(file)).is_ok_and(|metadata| file.is_as_it_was(&metadata))
        };
        match self.files.iter().find(is_other) {
            None => Ok(()),
            Some(file) => {
                let reason =
                    format!("{} is not any more what was offered; ask for it again", file.entry.path);
                Err(Refusal::new(Code::FileChanged, reason))
            }
        }
    }
}

/// All bytes of what is offered, one file after another.
pub struct Source {
    listing: Listing,
    /// Where each file begins.
    starts: Vec<u64>,
    /// The file that was read last.
    open: Mutex<Option<(usize, File)>>,
    /// Nobody wants it any more.
    is_over: Arc<AtomicBool>,
}

impl Source {
    /// The bytes of a listing; reading fails as soon as `is_over`.
    pub fn new(listing: Listing, is_over: Arc<AtomicBool>) -> Self {
        let starts = listing.files.iter().scan(0, |next, file| {
            let start = *next;
            *next += file.entry.size;
            Some(start)
        });
        Self { starts: starts.collect(), listing, open: Mutex::default(), is_over }
    }

    /// All of it, from the beginning on.
    pub fn reader(&self) -> impl Read + '_ {
        Sequential { source: self, at: 0 }
    }

    fn read_file(&self, number: usize, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let changed =
            || io::Error::new(io::ErrorKind::InvalidData, "a file has changed since it was offered");
        let file = self.listing.files.get(number).ok_or_else(changed)?;
        // What was read last is whole after every statement, so a panic elsewhere does not spoil it.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|(known, _)| *known != number) {
            *open = Some((number, File::open(self.listing.place(file))?));
        }
        let Some((_, handle)) = open.as_ref() else { return Err(changed()) };
        if !file.is_as_it_was(&handle.metadata()?) {
            return Err(changed());
        }
        match handle.read_at(at, buffer)? {
            0 => Err(changed()),
            read => Ok(read),
        }
    }
}

impl ReadAt for Source {
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody wants it any more"));
        }
        // Of several that begin at the same place all but the last are empty.
        let number = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        let (Some(start), Some(file)) = (self.starts.get(number), self.listing.files.get(number)) else {
            return Ok(0);
        };
        let within = at - start;
        let wanted =
            usize::try_from(file.entry.size.saturating_sub(within)).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 { Ok(0) } else { self.read_file(number, within, &mut buffer[..wanted]) }
    }
}

struct Sequential<'a> {
    source: &'a Source,
    at: u64,
}

impl Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(self.at, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(listing: Listing) -> Source {
        Source::new(listing, Arc::default())
    }

    fn all(listing: &Listing) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source(listing.clone()).reader().read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn the_files_of_a_folder_follow_each_other_and_links_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("docs");
        fs::create_dir_all(base.join("b")).unwrap();
        for (path, text) in [("a", "one"), ("b/x", "two"), ("b/empty", ""), ("c", "three"), ("d:e", "four")] {
            fs::write(base.join(path), text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", base.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", base.join("b/links")).unwrap();
        let listing = list(&base).unwrap();
        let paths: Vec<&str> = listing.files.iter().map(|file| file.entry.path.as_str()).collect();
        assert_eq!(paths, ["a", "b/empty", "b/x", "c", "d_e"]);
        assert_eq!((listing.name().as_str(), listing.size()), ("docs", Some(15)));
        assert_eq!(all(&listing).unwrap(), b"onetwothreefour");
        let kept: Listing = serde_json::from_slice(&serde_json::to_vec(&listing).unwrap()).unwrap();
        assert_eq!(kept, listing);
        let mut middle = [0; 4];
        source(listing).read_exact_at(2, &mut middle).unwrap();
        assert_eq!(&middle, b"etwo");
    }

    #[test]
    fn what_changes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "before").unwrap();
        let listing = list(&path).unwrap();
        listing.check().unwrap();
        assert_eq!(all(&listing).unwrap(), b"before");
        let again = folder.path().join("again");
        fs::write(&again, "beforf").unwrap();
        fs::rename(&again, &path).unwrap();
        assert_eq!(listing.check().unwrap_err().code, Code::FileChanged);
        assert_eq!(all(&listing).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_file(&path).unwrap();
        assert_eq!(listing.check().unwrap_err().code, Code::FileChanged);
        assert_eq!(list(&path).unwrap_err().code, Code::Usage);
        assert_eq!(list(Path::new("/dev/null")).unwrap_err().code, Code::Usage);
    }
}
