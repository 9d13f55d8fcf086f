//! What a user may ask of files, and is told of them.

use std::path::PathBuf;

use common::id::FileId;
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::file::{ChannelOffer, Offer};
use common::proto::status::Code;
use serde::Serialize;

/// What a user may ask of files.
#[derive(Clone, Debug)]
pub enum FileCommand {
    /// Offer files or folders.
    Send {
        /// To whom.
        to: FileTo,
        /// Which.
        paths: Vec<PathBuf>,
    },
    /// What is offered, either way, and how far it is.
    List,
    /// Do something with one of them.
    Change {
        /// The end of its id.
        id: String,
        /// What.
        change: FileChange,
    },
}

/// To whom something is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileTo {
    /// A contact.
    User(UserName),
    /// All who are in a channel.
    Channel(ChannelName),
    /// Whichever of the two has this name.
    Named(String),
}

impl From<UserName> for FileTo {
    fn from(user: UserName) -> Self {
        Self::User(user)
    }
}

impl From<ChannelName> for FileTo {
    fn from(channel: ChannelName) -> Self {
        Self::Channel(channel)
    }
}

/// What an entry of a channel offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// What.
    pub body: ChannelOffer,
    /// The device that offers it.
    pub key: PeerKey,
}

/// What can be done with an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Fetch it.
    Accept,
    /// Do not want it.
    Reject,
    /// Stop for now.
    Pause,
    /// Go on, also after it has failed.
    Resume,
    /// Stop for good.
    Cancel,
}

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileDirection {
    /// To this peer.
    In,
    /// From this peer.
    Out,
}

/// How far something offered is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It is looked through before it is offered.
    Preparing,
    /// Whether it is wanted is for its receiver to say.
    Offered,
    /// It is wanted, and goes on by itself as soon as that is possible.
    Waiting,
    /// It is on its way.
    Running,
    /// A user has stopped it for now.
    Paused,
    /// It is all there.
    Done,
    /// It is not wanted.
    Rejected,
    /// A user has stopped it for good.
    Cancelled,
    /// It cannot go on unless something is done about it.
    Failed,
}

/// Something that is offered, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// What.
    pub id: FileId,
    /// Which way.
    pub direction: FileDirection,
    /// By whom, or to whom; absent of what this peer offers in a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The channel in which it is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// How many files are in it, when it is a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// How far it is.
    pub state: FileState,
    /// How many bytes are there: checked, and written by whoever fetches.
    pub have: u64,
    /// How many bytes a second that is, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// How many seconds the rest takes, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Where it is on this machine: what was offered, or what was fetched when it is all there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why it waits or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Why it waits or has failed, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it is worth a line for people: while it runs most news are not.
    #[serde(skip)]
    pub is_step: bool,
}

/// All that is offered, either way.
#[derive(Clone, Debug, Serialize)]
pub struct FileList {
    /// The oldest first.
    pub files: Vec<FileRow>,
}

/// What a message of a conversation says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileNote {
    /// What was offered.
    pub id: FileId,
    /// Its name.
    pub name: String,
    /// How many bytes it has; absent when the message says what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How many files are in it, when it is a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// What became of it: `done`, `rejected` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<common::proto::file::FileOutcome>,
}

impl FileNote {
    /// What an offer says.
    pub fn of(offer: &Offer) -> Self {
        let Offer { id, name, size, folder, .. } = offer;
        let files = folder.map(|folder| folder.files);
        Self { id: *id, name: name.clone(), size: Some(*size), files, outcome: None }
    }
}
