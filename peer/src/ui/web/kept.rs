//! What the page keeps for the next start: how far its user has read, what is muted, which browsers were let in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use common::clock::Timestamp;
use common::files::write_private_file;
use common::id::Epoch;
use common::name::{ChannelName, UserName};
use serde::{Deserialize, Serialize};

use super::safety::{Browser, Hash};
use crate::api::ChatMessage;

/// The file of the data folder.
const FILE: &str = "page.json";

/// What is kept, as it stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub channels: BTreeMap<ChannelName, KeptTalk>,
    /// How many messages of a private conversation were not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub privates: BTreeMap<UserName, u64>,
    #[serde(default)]
    pub browsers: Vec<KeptBrowser>,
}

/// How far a channel was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptTalk {
    /// The last entry that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Mark>,
    /// The last entry that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Mark>,
    /// How many were counted and not read.
    #[serde(default)]
    pub unread: u64,
    /// In how many of these the user is named.
    #[serde(default)]
    pub mentions: u64,
    /// Whether the user wants to hear nothing of it.
    #[serde(default)]
    pub muted: bool,
}

/// An entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub epoch: Epoch,
    pub seq: u64,
}

impl Mark {
    /// What a page names a message by.
    pub fn of(message: &ChatMessage) -> Self {
        Self { epoch: message.epoch, seq: message.seq }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, seq) = text.split_once(':').ok_or(())?;
        Ok(Self { epoch: epoch.parse().map_err(drop)?, seq: seq.parse().map_err(drop)? })
    }
}

/// A browser that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptBrowser {
    /// The hash of its cookie, in hex.
    pub hash: String,
    pub since: Timestamp,
}

impl From<&Browser> for KeptBrowser {
    fn from(browser: &Browser) -> Self {
        Self { hash: browser.hash.to_hex().to_string(), since: browser.since }
    }
}

impl KeptBrowser {
    pub fn to_browser(&self) -> Option<Browser> {
        Some(Browser { hash: Hash::from_hex(&self.hash).ok()?, since: self.since })
    }
}

/// The file.
#[derive(Clone, Debug)]
pub(super) struct KeptFile(PathBuf);

impl KeptFile {
    pub fn of(data: &Path) -> Self {
        Self(data.join(FILE))
    }

    /// What was kept; nothing when there is no file or it is spoiled: it is only for comfort.
    pub fn load(&self) -> Kept {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::default(),
            Err(error) => {
                tracing::warn!(err = %error, "what was read on the page is not known any more");
                return Kept::default();
            }
        };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(err = %error, "what was read on the page is not known any more");
            Kept::default()
        })
    }

    pub fn save(&self, kept: &Kept) {
        let saved = serde_json::to_vec(kept)
            .map_err(io::Error::other)
            .and_then(|bytes| write_private_file(&self.0, &bytes));
        if let Err(error) = saved {
            tracing::warn!(err = %error, "what was read on the page is not kept for the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fake::epoch;

    #[test]
    fn what_is_kept_comes_back_and_a_spoiled_file_is_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = KeptFile::of(folder.path());
        assert_eq!(file.load(), Kept::default());
        let mark = Some(Mark { epoch: epoch(), seq: 7 });
        let talk = KeptTalk { read: mark, counted: mark, unread: 2, mentions: 1, muted: true };
        let browser = Browser { hash: blake3::hash(b"x"), since: Timestamp::from_millis(5) };
        let kept = Kept {
            channels: BTreeMap::from([("book club".parse().unwrap(), talk)]),
            privates: BTreeMap::from([("ada".parse().unwrap(), 3)]),
            browsers: vec![KeptBrowser::from(&browser)],
        };
        file.save(&kept);
        assert_eq!(file.load(), kept);
        assert_eq!(file.load().browsers[0].to_browser(), Some(browser));
        std::fs::write(folder.path().join(FILE), b"{").unwrap();
        assert_eq!(file.load(), Kept::default());
    }
}
