//! A copy of a store that is in use: made between two groups of writes, when all that was acknowledged is on disk and
//! nothing is being written.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::OpenError;
use super::lock::FolderLock;
use super::schema::Schema;
use super::{mark, schema};
use crate::files;

/// Copies the store in the data folder `folder` into the folder `target`, which is made.
pub(super) fn copy(folder: &Path, target: &Path) -> io::Result<()> {
    let (from, to) = (folder.join(super::database::SLED_FOLDER), target.join(super::database::SLED_FOLDER));
    files::create_private_folder(target)?;
    files::create_private_folder(&to)?;
    for entry in fs::read_dir(&from)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_unfinished = name.to_string_lossy().ends_with(".generating");
        if !entry.file_type()?.is_file() || is_unfinished {
            continue;
        }
        match copy_file(&entry.path(), &to.join(&name)) {
            // A snapshot that sled has replaced meanwhile: the log itself has all that was in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_snapshot(&name.to_string_lossy()) => {
            }
            copied => copied?,
        }
    }
    copy_file(&folder.join(mark::FILE), &target.join(mark::FILE))?;
    // Last: its presence says that the rest is there.
    copy_file(&folder.join(schema::FILE), &target.join(schema::FILE))?;
    files::sync_folder(&to)?;
    files::sync_folder(target)
}

fn is_snapshot(name: &str) -> bool {
    name.starts_with("snap.")
}

/// Copies a file, with its permissions, and waits until it is on disk.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// Copies a store that nobody uses into the folder `target`, in place of whatever is there, file by file and as it is: it is not opened for that. Returns
/// what it says of itself.
///
/// # Errors
/// [`OpenError`]: it is in use, does not say what it is, or cannot be read.
pub fn copy_closed(folder: &Path, target: &Path) -> Result<Schema, OpenError> {
    let io = |source| OpenError::Io { folder: folder.to_owned(), source };
    let damaged = |what: &str| OpenError::Damaged { folder: folder.to_owned(), what: what.to_owned() };
    let _lock = FolderLock::take(folder)
        .map_err(io)?
        .ok_or_else(|| OpenError::InUse { folder: folder.to_owned() })?;
    let found = Schema::read(folder)?.ok_or_else(|| damaged("store.json is gone"))?;
    for file in [mark::FILE, super::database::SLED_FOLDER] {
        if !folder.join(file).exists() {
            return Err(damaged(&format!("{file} is gone")));
        }
    }
    match fs::remove_dir_all(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    copy(folder, target).map_err(io)?;
    Ok(found)
}
