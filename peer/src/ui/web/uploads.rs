//! Copies of what a browser hands over to be offered: it does not say where a file lies on the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::files::create_private_folder;
use common::id::FileId;
use common::proto::status::{Code, Refusal};
use futures_util::{Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;

use crate::api::{FileDirection, FileRow, FileState};
use crate::files::names;

/// The folder of the data folder that the copies lie in, each in one of its own.
const FOLDER: &str = "outgoing";
/// The largest file that is taken from a browser.
const MAX_UPLOAD_BYTES: u64 = 64 << 30;
/// So much stays free on the disk for everything else.
const KEEP_FREE_BYTES: u64 = 256 << 20;
/// After so many bytes it is asked again how much is free.
const LOOK_EVERY_BYTES: u64 = 8 << 20;
/// How long one stays that has arrived.
const KEPT_WHEN_DONE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many are taken at once.
const MAX_AT_ONCE: usize = 4;
/// How many pieces of one may wait for the disk.
const MAX_WAITING_PIECES: usize = 8;

/// Where the copies are.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    places: Arc<Semaphore>,
}

/// A copy that is not whole yet; it goes with whoever was taking it.
struct Half(Option<PathBuf>);

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take() {
            remove(&folder);
        }
    }
}

impl Uploads {
    pub fn of(data: &Path) -> Self {
        Self { folder: data.join(FOLDER), places: Arc::new(Semaphore::new(MAX_AT_ONCE)) }
    }

    /// Takes a copy of what comes.
    ///
    /// # Errors
    /// When it breaks off, is too large, or the disk does not take it; then nothing is left of it.
    pub async fn take<E>(
        &self,
        name: &str,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<PathBuf, Refusal> {
        let Ok(_place) = self.places.try_acquire() else { return Err(Code::TooManyRequests.into()) };
        let folder = self.folder.join(FileId::new().to_string());
        let path = folder.join(names::safe(name));
        let mut half = Half(Some(folder.clone()));
        let (pieces, to_write) = mpsc::channel(MAX_WAITING_PIECES);
        let writing = spawn_blocking({
            let path = path.clone();
            move || write(&folder, &path, to_write)
        });
        let mut is_whole = true;
        while let Some(piece) = body.next().await {
            let Ok(piece) = piece else {
                is_whole = false;
                break;
            };
            // The writer has ended with a reason, which is asked for below.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        drop(pieces);
        writing.await.map_err(|_| Refusal::from(Code::Internal))??;
        if !is_whole {
            return Err(Code::ConnectionLost.into());
        }
        half.0 = None;
        Ok(path)
    }

    /// Forgets the copy of something that will not be asked for any more. One that has arrived stays until a later
    /// start: the other side may have more devices that want it.
    pub fn see(&self, row: &FileRow) {
        let is_over = matches!(row.state, FileState::Rejected | FileState::Cancelled);
        if row.direction == FileDirection::Out && is_over {
            row.path.as_deref().into_iter().for_each(|path| self.forget(Path::new(path)));
        }
    }

    /// Forgets a copy; any other path is left alone.
    pub fn forget(&self, path: &Path) {
        if let Some(folder) = path.parent()
            && folder.parent() == Some(&self.folder)
        {
            remove(folder);
        }
    }

    /// Forgets all copies that belong to nothing that can still go out: those of a run that was killed.
    pub fn sweep(&self, rows: &[FileRow]) {
        rows.iter().for_each(|row| self.see(row));
        let is_old = |row: &&FileRow| {
            row.direction == FileDirection::Out
                && row.state == FileState::Done
                && row.path.as_deref().is_some_and(|path| is_older(Path::new(path), KEPT_WHEN_DONE))
        };
        for path in rows.iter().filter(is_old).filter_map(|row| row.path.as_deref()) {
            self.forget(Path::new(path));
        }
        let kept: Vec<&Path> =
            rows.iter().filter_map(|row| Path::new(row.path.as_deref()?).parent()).collect();
        let Ok(copies) = std::fs::read_dir(&self.folder) else { return };
        let folders = copies.filter_map(|copy| Some(copy.ok()?.path()));
        folders.filter(|folder| !kept.contains(&folder.as_path())).for_each(|folder| remove(&folder));
    }
}

/// Whether a file has been there for so long, by its own time.
fn is_older(path: &Path, than: Duration) -> bool {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age >= than))
}

fn remove(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(err = %error, "a copy of what was to be sent stays on the disk");
        }
        _ => {}
    }
}

fn write(folder: &Path, path: &Path, mut pieces: mpsc::Receiver<Bytes>) -> Result<(), Refusal> {
    let failed =
        |error: io::Error| Refusal::new(Code::StorageFailed, format!("it cannot be kept here: {error}"));
    let mut file = create(folder, path).map_err(failed)?;
    let (mut written, mut looked) = (0, 0);
    check_room(folder)?;
    while let Some(piece) = pieces.blocking_recv() {
        written += piece.len() as u64;
        if written > MAX_UPLOAD_BYTES {
            return Err(Refusal::new(
                Code::FrameTooLong,
                "a page takes 64 GiB at most; give the file's path instead",
            ));
        }
        if written - looked >= LOOK_EVERY_BYTES {
            check_room(folder)?;
            looked = written;
        }
        file.write_all(&piece).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}

fn create(folder: &Path, path: &Path) -> io::Result<File> {
    if let Some(all) = folder.parent() {
        create_private_folder(all)?;
    }
    create_private_folder(folder)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn check_room(folder: &Path) -> Result<(), Refusal> {
    let free = rustix::fs::statvfs(folder).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    match free {
        Ok(free) if free < KEEP_FREE_BYTES => Err(Code::StorageFull.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn pieces(count: usize) -> impl Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(b"piece "))))
    }

    fn row(path: &Path, state: FileState) -> FileRow {
        FileRow {
            id: FileId::new(),
            direction: FileDirection::Out,
            user: Some("ada".into()),
            channel: None,
            name: "x".into(),
            size: 1,
            files: None,
            state,
            have: 0,
            rate: None,
            seconds_left: None,
            path: Some(path.display().to_string()),
            code: None,
            reason: None,
            is_step: false,
        }
    }

    #[tokio::test]
    async fn a_copy_is_kept_whole_or_not_at_all_and_lies_in_its_folder() {
        let data = tempfile::TempDir::new().unwrap();
        let uploads = Uploads::of(data.path());
        let path = uploads.take("../../etc/pass\0wd", pieces(20)).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), 120);
        assert_eq!(path.parent().unwrap().parent().unwrap(), data.path().join(FOLDER));
        let broken = pieces(3).chain(stream::iter([Err(())]));
        assert_eq!(uploads.take("half", broken).await.unwrap_err().code, Code::ConnectionLost);
        assert_eq!(std::fs::read_dir(data.path().join(FOLDER)).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_copy_goes_when_nobody_can_ask_for_it_any_more() {
        let data = tempfile::TempDir::new().unwrap();
        let uploads = Uploads::of(data.path());
        let own = data.path().join("own.txt");
        std::fs::write(&own, b"mine").unwrap();
        let (one, two, three) = (
            uploads.take("one", pieces(1)).await.unwrap(),
            uploads.take("two", pieces(1)).await.unwrap(),
            uploads.take("three", pieces(1)).await.unwrap(),
        );
        uploads.see(&row(&one, FileState::Running));
        assert!(one.exists());
        uploads.see(&row(&one, FileState::Cancelled));
        uploads.see(&row(&own, FileState::Cancelled));
        assert!(!one.exists() && own.exists());
        // Another device of theirs may still want what has arrived at one, for a day.
        let four = uploads.take("four", pieces(1)).await.unwrap();
        uploads.see(&row(&three, FileState::Done));
        let old = std::time::SystemTime::now() - KEPT_WHEN_DONE;
        File::options().write(true).open(&four).unwrap().set_modified(old).unwrap();
        let five = uploads.take("five", pieces(1)).await.unwrap();
        uploads.sweep(&[
            row(&two, FileState::Paused),
            row(&three, FileState::Done),
            row(&four, FileState::Done),
        ]);
        assert!(two.exists() && three.exists() && !four.exists() && !five.exists());
    }
}
