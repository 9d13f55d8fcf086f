//! Files and folders that must survive a power cut and are nobody else's business.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How the name of a file ends that is to take another's place.
const TEMPORARY_ENDING: &str = ".new";
/// A temporary file that is older was left behind by a crash.
const LEFT_OVER_AGE: Duration = Duration::from_secs(60);

/// Puts `bytes` in the file at `path`, readable by this user only: after a crash it has either the old
/// content or the new, never a part.
///
/// Blocks until file and folder are on disk. Of two writers of one path at once, either may be the last.
///
/// # Errors
///
/// Whatever the file system says; the old content is then still there.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    clear_left_overs(path);
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is the one to report; what is left of the temporary file goes with a later write.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(parent_of(path))
}

/// Makes the folder at `path`, and those above it, for this user only; one that exists stays as it is.
///
/// Blocks until the new folder is on disk.
///
/// # Errors
///
/// Whatever the file system says.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_folder(parent_of(path))
}

/// Waits until the names in the folder at `path` are on disk: a new file is safe only after this.
///
/// # Errors
///
/// Whatever the file system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name of its own for each write, so that two at once do not meet in one temporary file.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let mut temporary = temporary_prefix(path).ok_or(io::ErrorKind::InvalidInput)?;
    // After a crash another process may have the same id, so the time is in it as well.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    temporary.push(format!("{}-{now}-{number}{TEMPORARY_ENDING}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn temporary_prefix(path: &Path) -> Option<OsString> {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name()?);
    prefix.push(".");
    Some(prefix)
}

/// Removes what crashes have left behind of earlier writes. One that is still under way is younger than that; where
/// it is not, it fails and keeps the old content.
fn clear_left_overs(path: &Path) {
    let (Some(prefix), Ok(entries)) = (temporary_prefix(path), fs::read_dir(parent_of(path))) else { return };
    let is_left_over = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let (name, prefix) = (name.as_encoded_bytes(), prefix.as_encoded_bytes());
        let is_temporary = name.starts_with(prefix) && name.ends_with(TEMPORARY_ENDING.as_bytes());
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        is_temporary && age().is_some_and(|age| age > LEFT_OVER_AGE)
    };
    for entry in entries.flatten().filter(is_left_over) {
        // It does no harm where it is.
        let _ = fs::remove_file(entry.path());
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_is_replaced_whole_and_stays_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let left_over = folder.path().join(".key.1-2-3.new");
        fs::write(&left_over, "left by a crash").unwrap();
        let long_ago = SystemTime::now() - 2 * LEFT_OVER_AGE;
        File::options().write(true).open(&left_over).unwrap().set_modified(long_ago).unwrap();
        for content in ["one", "another, longer", ""] {
            write_private_file(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(mode_of(&path), 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn writers_at_once_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        write_private_file(path, format!("{writer}").repeat(100).as_bytes()).unwrap();
                    }
                });
            }
        });
        let kept = fs::read(&path).unwrap();
        assert!(kept.len() == 100 && kept.iter().all(|byte| *byte == kept[0]), "{kept:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        write_private_file(&path, b"x").unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_private_file(Path::new("/"), b"x").unwrap_err();
    }

    #[test]
    fn a_private_folder_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        create_private_folder(&path).unwrap();
        create_private_folder(&path).unwrap();
        assert_eq!(mode_of(&path), 0o700);
    }
}
