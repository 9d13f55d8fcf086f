//! The form of an export: JSON, one object a line.
//!
//! A head, what the host has signed, then the entries in runs without a gap, and an end that seals all of it: a hash over
//! every byte before it, signed by whoever wrote the file. The entries are the exact bytes of the log.

use common::clock::Timestamp;
use common::entry::{Checkpoint, Hash, Position, RawEntry};
use common::id::{ChannelId, Epoch};
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::directory::{Owner, Policy};
use common::proto::moving::HandOver;
use common::signed::{Signable, Signed};
use serde::{Deserialize, Serialize};

use crate::client::archive::intervals::Interval;

/// The form that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// The longest line that is looked at: a policy, or an entry with its escapes.
pub const MAX_LINE_BYTES: usize = 128 * 1024;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The form.
    pub natter_export: u32,
    /// The channel.
    pub channel: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Who owned it.
    pub owner: Owner,
    /// The key of its host, by which all checkpoints are signed.
    pub host_key: PeerKey,
    /// Which life of the log.
    pub epoch: Epoch,
    /// When the log was created; known to its host only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Who may do what; known to its host only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Where logs before this one ended that it goes on from; known to its host only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Position>,
    /// Where the log before this one ended, of which this one has nothing; known to its host only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Position>,
    /// That the host hands the channel over to another key, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<Signed<HandOver>>,
    /// Who wrote the file: the host, or a member.
    pub sealed_by: PeerKey,
    /// When.
    pub exported_at: Timestamp,
}

/// A line behind the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Something that the host has signed.
    Checkpoint(Signed<Checkpoint>),
    /// The entries that follow are those of this interval.
    Part(Interval),
    /// The next entry.
    Entry(RawEntry),
    /// The last line.
    End(Signed<Seal>),
}

/// What is signed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The channel.
    pub channel: ChannelId,
    /// How many entries there are.
    pub entries: u64,
    /// Over all bytes before the last line.
    pub hash: Hash,
}

impl Signable for Seal {
    const PURPOSE: &'static str = "natter-export-v1";
}
