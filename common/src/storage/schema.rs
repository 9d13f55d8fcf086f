//! Whose store a folder has, and in which form.
//!
//! It is written in a small file beside the database, so that a folder can be refused before sled, which
//! repairs on opening, has touched it; and in the database, so that one that was emptied or swapped is noticed.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::OpenError;
use crate::files;

/// Which program a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// The central directory.
    Tracker,
    /// One user's node.
    Peer,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tracker => "tracker",
            Self::Peer => "peer",
        })
    }
}

/// The form of what a program stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Whose it is.
    pub program: Program,
    /// Counted up with each change that an older release could not read; from 1.
    pub version: u32,
}

impl Schema {
    /// What the folder says it has; `None` for one without a store, or with one whose making was interrupted.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, OpenError> {
        let text = match std::fs::read(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(OpenError::Io { folder: folder.to_owned(), source });
            }
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| OpenError::Damaged {
            folder: folder.to_owned(),
            what: format!("{FILE} does not say what it is: {error}"),
        })
    }

    /// Written last when a store is made: its presence says that the rest is on disk.
    pub(super) fn write(self, folder: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(&self)?;
        text.push(b'\n');
        files::write_private_file(&folder.join(FILE), &text)
    }

    /// Whether a program that wants `self` may use a store that has `found`.
    pub(super) fn check(self, found: Self, folder: &Path) -> Result<(), OpenError> {
        let folder = folder.to_owned();
        if found.program != self.program {
            return Err(OpenError::OtherProgram { folder, found: found.program, wanted: self.program });
        }
        match found.version.cmp(&self.version) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => {
                Err(OpenError::Newer { folder, found: found.version, known: self.version })
            }
            std::cmp::Ordering::Less => {
                Err(OpenError::Older { folder, found: found.version, known: self.version })
            }
        }
    }
}

/// Beside the database, in the data folder.
pub(super) const FILE: &str = "store.json";
