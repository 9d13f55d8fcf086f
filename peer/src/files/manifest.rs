//! The list of a folder's files: what is sent before they are, and looked through as a whole before any is written. Pure.
//!
//! One JSON object a line, in the order in which the files follow each other.

use std::io::{self, Write};

use common::proto::file::FolderOffer;
use common::proto::limits::{MAX_FOLDER_FILES, MAX_MANIFEST_BYTES};
use common::proto::status::{Code, Refusal};
use serde::{Deserialize, Serialize};

use super::names::Paths;

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands in the folder, with `/` between the names.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
}

/// The list's bytes.
///
/// # Errors
/// When it is too long.
pub fn write<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    for entry in entries {
        // Into memory nothing fails.
        let _ = serde_json::to_writer(&mut bytes, entry)
            .map_err(io::Error::from)
            .and_then(|()| bytes.write_all(b"\n"));
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            let reason = format!(
                "the list of the folder's files is over {MAX_MANIFEST_BYTES} bytes; send parts of it"
            );
            return Err(Refusal::new(Code::BadRequest, reason));
        }
    }
    Ok(bytes)
}

/// Looks through a list that was fetched: every name, their number, and that all sizes together are what was offered.
///
/// # Errors
/// `bad_file_name`, or `bad_request` for a list that is not what was offered.
pub fn read(bytes: &[u8], offered: &FolderOffer, size: u64) -> Result<Vec<Entry>, Refusal> {
    let wrong = |what: &str| Refusal::new(Code::BadRequest, format!("the list of the folder's files {what}"));
    let (mut entries, mut paths, mut sum) = (Vec::new(), Paths::default(), 0u64);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let entry: Entry = serde_json::from_slice(line).map_err(|_| wrong("cannot be read"))?;
        paths.add(&entry.path)?;
        sum = sum.checked_add(entry.size).ok_or_else(|| wrong("names impossible sizes"))?;
        entries.push(entry);
        if entries.len() as u64 > offered.files.min(MAX_FOLDER_FILES) {
            return Err(wrong("is longer than it was said to be"));
        }
    }
    if sum != size || entries.len() as u64 != offered.files {
        return Err(wrong("is not what was offered"));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use common::entry::Hash;

    use super::*;

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.to_owned(), size }
    }

    fn offered(files: u64) -> FolderOffer {
        FolderOffer { files, size: 0, root: Hash::of(b"") }
    }

    #[test]
    fn what_was_written_is_read() {
        let entries = vec![entry("a/x", 3), entry("b \"c\"".replace('"', "'").as_str(), 0)];
        let bytes = write(&entries).unwrap();
        assert_eq!(read(&bytes, &offered(2), 3).unwrap(), entries);
        assert_eq!(read(b"", &offered(0), 0).unwrap(), []);
    }

    #[test]
    fn a_list_that_is_not_what_was_offered_is_not_taken() {
        let of = |entries: &[Entry]| write(entries).unwrap();
        let good = of(&[entry("a", 1), entry("b", 2)]);
        for (bytes, files, size) in [
            (good.clone(), 3, 3),
            (good.clone(), 1, 3),
            (good.clone(), 2, 4),
            (b"{}\n".to_vec(), 1, 0),
            (b"\xff\n".to_vec(), 1, 0),
            (of(&[entry("a", u64::MAX), entry("b", 1)]), 2, 0),
            (of(&[entry("../a", 3)]), 1, 3),
            (of(&[entry("a", 1), entry("A", 2)]), 2, 3),
        ] {
            assert!(read(&bytes, &offered(files), size).is_err(), "{bytes:?}");
        }
    }
}
