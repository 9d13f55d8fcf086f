//! A copy of everything that a peer keeps, while it runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use common::files::sync_folder;
use common::proto::status::Refusal;

use super::file::file_failed;
use super::{Historian, blocking};
use crate::api::BackedUp;

/// What of a data folder is no part of a copy: the store is copied by itself, the rest means nothing elsewhere.
const LEFT_OUT: &[&str] = &["lock", "store.json", "store.mark", "peer.log"];

impl Historian {
    /// Copies all that is in the data folder `data` into `folder`, which must not be there yet. It has its name only once
    /// it is whole.
    ///
    /// # Errors
    /// `file_failed`, or what is wrong with the store. Nothing is left of the copy then.
    pub async fn backup(&self, data: &Path, folder: PathBuf) -> Result<BackedUp, Refusal> {
        let mut name =
            folder.file_name().ok_or_else(|| file_failed(&folder, "this is no folder's name"))?.to_owned();
        name.push(".unfinished");
        let unfinished = folder.with_file_name(name);
        for path in [&folder, &unfinished] {
            if path.symlink_metadata().is_ok() {
                return Err(file_failed(path, "it is there already; choose another name, or remove it"));
            }
        }
        let copied = self.store().copy_to(unfinished.clone()).await.map_err(Refusal::from);
        let (from, to, target) = (data.to_owned(), unfinished.clone(), folder.clone());
        let finished = match copied {
            Ok(()) => {
                blocking(move || finish(&from, &to, &target).map_err(|error| file_failed(&target, error)))
                    .await
            }
            Err(refusal) => Err(refusal),
        };
        if finished.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&unfinished);
        }
        finished.map(|bytes| BackedUp { folder: folder.display().to_string(), bytes })
    }
}

/// Copies the files beside the store, and gives the copy its name. Returns how many bytes it has.
fn finish(data: &Path, unfinished: &Path, folder: &Path) -> io::Result<u64> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_left_out = LEFT_OUT.iter().any(|left_out| name == *left_out);
        if entry.file_type()?.is_file() && !is_left_out {
            let to = unfinished.join(&name);
            fs::copy(entry.path(), &to)?;
            File::open(to)?.sync_all()?;
        }
    }
    sync_folder(unfinished)?;
    let bytes = length(unfinished)?;
    fs::rename(unfinished, folder)?;
    sync_folder(folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(bytes)
}

fn length(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => length(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
