//! Who is at the tracker: asked for page by page, or told of those whom a peer watches.

use serde::{Deserialize, Serialize};

use super::{Empty, commands};
use crate::id::{IdentityKind, Subject};
use crate::name::UserName;

/// Asks for a page of those who are at the tracker, in the order of their folded names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Users {
    /// Only names after this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; a page may be shorter and still not be the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPage {
    /// The rows: one a subject, on however many devices.
    pub users: Vec<User>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Somebody who has entered. In which channels they are, the tracker does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name in use.
    pub name: UserName,
    /// Account or guest.
    pub kind: IdentityKind,
}

/// Asks to be told when these come and go, beside those named before.
///
/// Answered alike for who is away, invisible, or does not exist.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Whom, at most [`MAX_USERS_IN_FRAME`](super::limits::MAX_USERS_IN_FRAME) at once.
    pub subjects: Vec<Subject>,
}

/// Who of those is there now. From here on every change is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// In no order.
    pub users: Vec<User>,
}

/// Asks not to be told of these any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unwatch {
    /// Of whom.
    pub subjects: Vec<Subject>,
}

/// Shows this peer's account as away to everybody else, on all its devices, or not any more. Kept by the tracker.
///
/// Refused with `not_registered` for a guest.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Invisible {
    /// Whether.
    pub on: bool,
}

/// Another device of this account has said INVISIBLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvisibleChanged {
    /// Whether the account is invisible now.
    pub on: bool,
}

/// Some whom this peer watches have come. `JOINED`, as a tracker says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameOnline {
    /// Who.
    pub users: Vec<User>,
}

/// Some whom this peer watches have gone. `LEFT`, as a tracker says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WentOffline {
    /// Who.
    pub users: Vec<User>,
}

commands! {
    "USERS" Users => UserPage;
    "WATCH" Watch => Watched;
    "UNWATCH" Unwatch => Empty;
    "INVISIBLE" Invisible => Empty;
}
