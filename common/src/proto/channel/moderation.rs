//! What owner and moderators of a channel may ask of its host.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{AccountId, Subject};
use crate::name::UserName;
use crate::proto::policy::{Grant, Post, View};

/// Says who may join. Who may not stay is put out at once, with the reason.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SetView {
    /// Who.
    pub view: View,
}

/// Says who may send, of those who may join. What others have sent and is not on disk yet is refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SetPost {
    /// Who.
    pub post: Post,
}

/// Says for how long the host keeps texts. Those that are older lose their body, whoever wrote them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SetRetention {
    /// For how many days, at most [`MAX_RETENTION_DAYS`](crate::proto::limits::MAX_RETENTION_DAYS); for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// Gives an account a role, whether or not it is here. A guest cannot be given any.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authorize {
    /// Which, as the tracker resolves its name.
    pub account: AccountId,
    /// The name, to be shown until the account shows its own.
    pub name: UserName,
    /// What it is to be.
    pub role: Grant,
}

/// Takes an account's role back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Deauthorize {
    /// Which.
    pub account: AccountId,
}

/// Puts somebody out, who is refused for a minute then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kick {
    /// Who.
    pub subject: Subject,
    /// Why; at most [`MAX_WHY_BYTES`](crate::proto::limits::MAX_WHY_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Puts somebody out for good: the account on all its devices, or the guest by the key of the peer. It loses its role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ban {
    /// Who.
    pub subject: Subject,
    /// The name, to be shown in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<UserName>,
    /// Why; at most [`MAX_WHY_BYTES`](crate::proto::limits::MAX_WHY_BYTES).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Lets somebody come again who was banned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Unban {
    /// Who.
    pub subject: Subject,
}

/// The answer to what changes the policy, when it is on disk and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moderated {
    /// Which policy is in force now.
    pub rev: u64,
    /// Whether anything is another way than before; after KICK, whether somebody was put out.
    pub changed: bool,
}

/// Asks who is banned.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Bans {
    /// Only those after this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Subject>,
}

/// A page of those who are banned, in no order that means anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BanList {
    /// The rows.
    pub bans: Vec<Banned>,
    /// How many there are in all.
    pub total: usize,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Subject>,
}

/// Somebody who is banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// Who.
    pub subject: Subject,
    /// The name at that time, when it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Asks for a page of what owner and moderators have done, the newest.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Only acts before this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many at most; a page may be shorter, by bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of what owner and moderators have done, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditPage {
    /// The acts.
    pub acts: Vec<Act>,
}

/// Something that the owner or a moderator has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Its number; they have no gaps, and the oldest are forgotten.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Someone,
    /// What: the command's word in lower case.
    pub what: String,
    /// What it was set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whom: Option<Someone>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Somebody of whom an act tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Someone {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name at that time, when it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
