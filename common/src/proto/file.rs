//! Files, from one peer to another: what is offered, and what is said over a connection with the purpose `file`.
//!
//! An offer travels as a message of a conversation, of the type [`FILE`]; what became of it as one of the type
//! [`FILE_END`]. The bytes go over a connection of their own: whoever fetches asks FILE_GET, and after the answer come
//! raw bytes, as many as it says.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::session::{Hello, Ping};
use super::status::Refusal;
use super::{Pushed, closed, commands, parse_body};
use crate::entry::{Hash, check_body};
use crate::id::FileId;
use crate::pass::SignedPass;
use crate::transport::Address;

/// The type of a message that offers a file or a folder; its body is an [`Offer`].
pub const FILE: &str = "file";
/// The type of a message that says what became of an offer; its body is a [`FileEnd`].
pub const FILE_END: &str = "file_end";

closed! {
    /// All that a peer may ask over a connection for files.
    FileRequest: Command {
        /// Opens the session.
        Hello,
        /// Proves that the connection lives.
        Ping,
        /// Asks for the bytes of a file, or of a folder's list.
        FileGet,
    }
}

closed! {
    /// All that is pushed over a connection for files, by whoever fetches.
    FileEvent: Pushed {
        /// How far it is.
        FileProgress,
    }
}

/// Something that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Made once.
    pub id: FileId,
    /// The name of the file, or of the folder: one name and no path.
    pub name: String,
    /// How many bytes it has; of a folder, all its files together.
    pub size: u64,
    /// The root of the BLAKE3 tree over these bytes; of a folder, over its files one after another.
    pub root: Hash,
    /// What a folder's list is; absent for a single file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderOffer>,
}

/// What an entry of a channel offers, of the type [`FILE`]: to all who are in the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOffer {
    /// What.
    #[serde(flatten)]
    pub offer: Offer,
    /// Where the peer that offers it can be reached, best first: those in a channel know each other's addresses from
    /// nobody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
}

impl ChannelOffer {
    /// Reads the body of an entry.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn parse(body: &RawValue) -> Result<Self, Refusal> {
        check_body(body)?;
        parse_body(body)
    }
}

/// What is known of a folder's list before it is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderOffer {
    /// How many files there are.
    pub files: u64,
    /// How many bytes the list has.
    pub size: u64,
    /// The root of the BLAKE3 tree over these.
    pub root: Hash,
}

/// What has become of an offer, said by either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEnd {
    /// Which.
    pub id: FileId,
    /// The name that was offered, for people.
    pub name: String,
    /// What.
    pub outcome: FileOutcome,
}

/// How an offer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOutcome {
    /// It is all on the other side's disk.
    Done,
    /// The other side does not want it.
    Rejected,
    /// It is not offered any more, or not fetched any more.
    Cancelled,
    /// An outcome this program does not know.
    #[serde(other)]
    Other,
}

/// Asks for the bytes of something offered, from one of its blocks on.
///
/// Whoever it was not offered to gets the same answer as for what was never offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileGet {
    /// Says who asks.
    pub pass: SignedPass,
    /// What was offered.
    pub id: FileId,
    /// Which bytes of it.
    #[serde(default)]
    pub part: FilePart,
    /// From this byte on, which is the first of a block.
    #[serde(default)]
    pub from: u64,
}

/// Which bytes of an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilePart {
    /// What it is.
    #[default]
    Content,
    /// The list of a folder's files.
    Manifest,
}

/// The answer to FILE_GET; right behind its line come the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBytes {
    /// How many, the hashes between the blocks included.
    pub bytes: u64,
}

/// How far whoever fetches is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProgress {
    /// What.
    pub id: FileId,
    /// How many bytes were checked and written.
    pub have: u64,
    /// How many bytes a second these are, lately.
    pub rate: u64,
    /// Why it goes on, or does not.
    pub state: FetchState,
}

/// Whether a file is being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchState {
    /// It is.
    Running,
    /// Whoever fetches has paused it.
    Paused,
    /// A state this program does not know.
    #[serde(other)]
    Other,
}

impl Pushed for FileProgress {
    const NAME: &'static str = "FILE_PROGRESS";
}

commands! {
    "FILE_GET" FileGet => FileBytes;
}
