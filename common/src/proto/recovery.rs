//! What a host that has lost entries asks of its members, over the connections that they have made to it.

use serde::{Deserialize, Serialize};

use super::session::Ping;
use super::{closed, commands};
use crate::entry::{Checkpoint, RawEntry};
use crate::id::Epoch;
use crate::signed::Signed;

closed! {
    /// All that a host may ask a member.
    MemberRequest: Command {
        /// Proves that the connection lives.
        Ping,
        /// Entries that the member has.
        Fetch,
        /// What the member has of the host's own signatures.
        Proofs,
    }
}

/// Asks for entries of a log that the member has received.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// Which life of the log.
    pub epoch: Epoch,
    /// The entries after this number.
    pub after: u64,
}

/// Entries one after another, as they were received, the first of them right after the number that was asked for; as many
/// as fit a page. None when the member has not the first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fetched {
    /// The entries.
    pub entries: Vec<RawEntry>,
}

/// Asks for what the host itself has signed of a log.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Proofs {
    /// Which life of the log.
    pub epoch: Epoch,
    /// Only those of entries after this number.
    pub after: u64,
}

/// What the member keeps of the host's signatures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Proven {
    /// In order, at most [`MAX_CHECKPOINTS`](super::limits::MAX_CHECKPOINTS).
    pub checkpoints: Vec<Signed<Checkpoint>>,
}

commands! {
    "FETCH" Fetch => Fetched;
    "PROOFS" Proofs => Proven;
}
