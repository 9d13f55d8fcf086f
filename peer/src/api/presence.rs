//! Who is at the tracker, and whom this peer's user watches.

use common::id::{IdentityKind, Subject};
use common::name::{ChannelName, UserName};
use serde::Serialize;

/// What a user may ask about whom they watch.
#[derive(Clone, Debug)]
pub enum WatchCommand {
    /// Who is watched.
    List,
    /// Tell of these when they come and go.
    Watch {
        /// Whom.
        names: Vec<UserName>,
    },
    /// Do not any more.
    Unwatch {
        /// Whom.
        names: Vec<UserName>,
    },
}

/// Who is at the tracker, and who of those watched is not.
#[derive(Clone, Debug, Serialize)]
pub struct UsersOf {
    /// The rows: those who are there, then those who are not.
    pub users: Vec<UserRow>,
    /// Whether there are more than are shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Somebody at the tracker, or watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserRow {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name.
    pub name: UserName,
    /// Account or guest.
    pub kind: IdentityKind,
    /// Whether they are there.
    pub online: bool,
    /// Whether this peer's user watches them.
    pub watched: bool,
}

/// Whether others see this account.
#[derive(Clone, Debug, Serialize)]
pub struct Visibility {
    /// Whether they see it as away.
    pub invisible: bool,
    /// The channels that this peer hosts: who can reach them sees that this machine is up.
    pub hosted: Vec<ChannelName>,
}

/// Whom this peer's user watches.
#[derive(Clone, Debug, Serialize)]
pub struct WatchList {
    /// The rows, in the order of their names.
    pub watched: Vec<WatchedUser>,
}

/// Somebody who is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WatchedUser {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name.
    pub name: UserName,
    /// Account or guest.
    pub kind: IdentityKind,
    /// Whether they are there; absent while the tracker is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
}
