//! What a user may look for, and what is found.

use std::fmt;
use std::str::FromStr;

use common::clock::Timestamp;
use common::name::{ChannelName, UserName};
use serde::Serialize;

use super::direct::DirectMessage;
use super::message::ChatMessage;
pub use crate::search::Cursor;
pub use crate::search::snippet::Snippet;

/// How much is found when nothing else is said.
pub const DEFAULT_FOUND: u32 = 20;
/// How much is found at most.
pub const MAX_FOUND: u32 = common::proto::limits::MAX_FOUND;
/// How many messages around one that is found are shown at most.
pub const MAX_CONTEXT: u32 = 10;

/// What a user may ask of the search.
#[derive(Clone, Debug)]
pub enum SearchCommand {
    /// Look for something.
    Find(Box<Look>),
    /// Throw the index away, and make it anew.
    Rebuild,
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Words that have to be there, `"in this order"`, `-not`, or only `begun*`.
    pub words: String,
    /// Where; everywhere when absent.
    pub place: Option<Place>,
    /// Whose name was at it.
    pub from: Option<String>,
    /// Only what was said at this time or later.
    pub since: Option<Timestamp>,
    /// Only what was said before this time.
    pub before: Option<Timestamp>,
    /// Only what has a link in it.
    pub link: bool,
    /// How much at most.
    pub limit: u32,
    /// How many messages before and after each are shown.
    pub context: u32,
    /// Only what comes behind this in the order of what is found.
    pub older: Option<Cursor>,
    /// Whether the channel's host is asked, which has all of it.
    pub at_host: bool,
}

/// A channel or a private conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A channel.
    Channel(ChannelName),
    /// A conversation with this user.
    User(UserName),
}

/// What was found, the newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The messages.
    pub hits: Vec<FoundMessage>,
    /// How many there are in all.
    pub total: u64,
    /// `search … --older` this gives the next; absent when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<Cursor>,
    /// How many messages are here that could not be looked through yet.
    pub missing: u64,
}

/// A message that was found.
#[derive(Clone, Debug, Serialize)]
pub struct FoundMessage {
    /// The message.
    pub message: AnyMessage,
    /// The part of it with what was looked for.
    pub snippet: Snippet,
    /// What to type to read on there; absent when it is of a log that is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// The messages before it, when they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<AnyMessage>,
    /// Those after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<AnyMessage>,
}

/// A message of a channel, or of a private conversation.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum AnyMessage {
    /// Of a channel.
    Channel(Box<ChatMessage>),
    /// Of a conversation.
    Direct(Box<DirectMessage>),
}

impl AnyMessage {
    /// What it says, when it is a text that was not erased.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Channel(message) => message.text.as_deref(),
            Self::Direct(message) => message.text.as_deref(),
        }
    }
}

/// The index is being made anew.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reindexing {
    /// How many entries there are to be indexed.
    pub entries: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.key)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (time, key) = text.split_once('.').ok_or(())?;
        Ok(Self { time: time.parse().map_err(drop)?, key: key.parse().map_err(drop)? })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
