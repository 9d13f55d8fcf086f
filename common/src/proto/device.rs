//! The devices of an account, and what is told when one of them may not speak for it any more.

use serde::{Deserialize, Serialize};

use super::{Empty, commands};
use crate::clock::Timestamp;
use crate::identity::PeerKey;

/// Which devices the account of this key has.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Devices {}

/// The devices of an account, the one that was bound first at the beginning, those that were signed out at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceList {
    /// One for each key.
    pub devices: Vec<Device>,
}

/// A key that is bound to an account, or has left it and may have a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The key.
    pub key: PeerKey,
    /// When it was bound; or left.
    pub since: Timestamp,
    /// When it was last at the tracker, to about ten minutes; absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// Whether it is there now.
    pub online: bool,
    /// It has signed out by itself: a pass that it may have kept counts until then at most, unless it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_until: Option<Timestamp>,
}

/// Unbinds a key of this account, if it has not left by itself: its passes do not count any more, and it has to sign in
/// with the password again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Revoke {
    /// Which.
    pub key: PeerKey,
}

/// Passes that do not count any more, pushed to hosts. Also an item of the answers that bring what was missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// The tracker's running number, which passes have, too: those of the keys with a lower one do not count.
    pub rev: u64,
    /// The keys.
    pub keys: Vec<PeerKey>,
    /// Then the last of these passes is dead anyway, and this can be forgotten.
    pub until: Timestamp,
}

commands! {
    "DEVICES" Devices => DeviceList;
    "REVOKE" Revoke => Empty;
}
