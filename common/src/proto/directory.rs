//! What a peer may ask its tracker.

use serde::{Deserialize, Serialize};

use super::device::{Devices, Revoke, Revoked};
use super::knock::{Introduce, Knock};
use super::moving::{Moved, TakeOver};
pub use super::policy::{Grant, Policy, Post, Switches, View};
use super::presence::{Invisible, Unwatch, Users, Watch};
use super::session::Hello;
use super::transfer::Transfer;
use super::{Empty, closed, commands};
use crate::entry::Position;
use crate::id::{ChannelId, IdentityKind, Subject};
use crate::identity::PeerKey;
use crate::name::{ChannelName, UserName};
use crate::pass::SignedPass;
use crate::secret::Secret;
use crate::transport::Address;

closed! {
    /// All that a peer may ask its tracker.
    TrackerRequest: Command {
        /// Opens the session.
        Hello,
        /// Proves that the connection lives, and says how far what is hosted over it is.
        Heads,
        /// Makes an account and signs this key in.
        Signup,
        /// Binds this key to an account.
        Signin,
        /// Unbinds this key from its account.
        Signout,
        /// Changes the account's password.
        Password,
        /// Enters without an account.
        Guest,
        /// Enters as whoever this key is known to be, or renews the pass.
        Renew,
        /// The account's devices.
        Devices,
        /// Ends what one of them may do.
        Revoke,
        /// A page of the list of channels.
        List,
        /// Announces a channel and keeps it announced as long as the connection lives.
        Host,
        /// Ends an announcement.
        Unhost,
        /// Says who may do what in a channel that is announced.
        SetPolicy,
        /// Who has a name.
        Resolve,
        /// Where a channel is to be found.
        Locate,
        /// A page of those who are here.
        Users,
        /// Asks to be told of some who come and go.
        Watch,
        /// Takes that back.
        Unwatch,
        /// Shows this account as away, or not any more.
        Invisible,
        /// Asks somebody for a conversation.
        Knock,
        /// Agrees to meet somebody, or not.
        Introduce,
        /// Offers a channel to somebody, or ends an offer.
        Transfer,
        /// Says something to all who are there.
        SayToAll,
    }
}

/// Makes an account and binds this peer's key to it. An entered guest becomes that account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Signup {
    /// The account's name.
    pub name: UserName,
    /// 8 to 256 bytes.
    pub password: Secret,
}

/// Binds this peer's key to an account.
///
/// An unknown name and a wrong password are answered alike, with `bad_password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Signin {
    /// The account's name.
    pub name: UserName,
    /// The account's password.
    pub password: Secret,
}

/// Unbinds this peer's key from its account; the session goes on without an identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Signout {}

/// Changes the password of the account this key is bound to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Password {
    /// The password in force.
    pub old: Secret,
    /// The one to be.
    pub new: Secret,
}

/// Enters as a guest. The name has to be nobody's account and in nobody else's use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Guest {
    /// The wanted name.
    pub name: UserName,
}

/// Enters as the account this key is bound to, or renews the pass of an entered session.
///
/// `not_signed_in` when the key is bound to no account and has not entered as a guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Renew {}

/// The answer to every way of entering.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entered {
    /// Says to every host who this peer is.
    pub pass: SignedPass,
    /// Whether the account is invisible: to be said in every CONNECT.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
    /// Passes that do not count any more, for a host; see [`Missed`].
    #[serde(flatten)]
    pub missed: Missed,
}

/// The revocations that a connection was not told yet: after those that its HELLO says it knows, or all of them at its
/// first HOST.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// In the order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revoked>,
    /// Whether there are more, which the next of these answers brings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_revoked: bool,
}

/// Asks for a page of the channels that whoever asks may enter, in the order of their folded names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// Only names that contain this, case folded; `*` stands for any run of characters, and then the whole name counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Only names after this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; a page may be shorter and still not be the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of channels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listing {
    /// The rows.
    pub channels: Vec<Listed>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A row of the list of channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Its owner's name and kind.
    pub owner: Owner,
    /// Who may join.
    pub view: View,
    /// Whether its host is connected now.
    pub online: bool,
    /// How many members it has, here or not, as its host last said. Who is invisible changes nothing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
}

/// Who owns a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name, when the tracker last knew it.
    pub name: UserName,
    /// Account or guest.
    pub kind: IdentityKind,
}

/// Announces a channel that this peer hosts, a new one or one of its owner's.
///
/// The announcement is a lease: it ends with the connection. Refused with `name_taken` when the name is another
/// channel's, `not_owner` when the channel is another's, `hosted_elsewhere` when another of the owner's keys hosts it
/// and it is not taken over, `superseded` when this key hosted it before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// The channel, by the id its first host made.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// How far the log is.
    pub head: Position,
    /// Where the logs of before ended that this one goes on from, or takes the place of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Position>,
    /// The hosting's number: raised by the tracker each time it moves to another key.
    #[serde(deserialize_with = "super::moving::read_term")]
    pub term: u64,
    /// Who may do what.
    pub policy: Policy,
    /// The port this peer listens on; the tracker adds the IP that it sees the peer come from. Absent when `addresses`
    /// is all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Addresses that the peer knows of itself, best first.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// Whether the host has lost a part of its log, and knows that: it takes no messages, and members are to find it all
    /// the same, since they may have what is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// That another of its owner's keys has hosted it so far, and this one does from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takeover: Option<TakeOver>,
    /// How many members it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
}

/// PING to a tracker: proves that the connection lives, and says of channels that are announced over it how far they
/// are. Of others, and of another log than the announced one, it says nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Heads {
    /// At most [`MAX_HEADS`](super::limits::MAX_HEADS).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<ChannelHead>,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHead {
    /// The channel.
    pub id: ChannelId,
    /// The last entry that its host has signed.
    pub head: Position,
    /// How many members it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
}

/// The answer to PING of a tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsKnown {
    /// Channels whose log is known to have been further, or to have another entry there: they are to be announced again,
    /// and then it is said why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_behind: Vec<ChannelId>,
}

/// The answer to HOST.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hosted {
    /// The channel as the directory has it.
    #[serde(flatten)]
    pub channel: ChannelRecord,
    /// The tracker's copy of the policy, for who takes the channel over and has an older one or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Whose passes do not count any more.
    #[serde(flatten)]
    pub missed: Missed,
}

/// Ends the announcement of a channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unhost {
    /// The channel.
    pub id: ChannelId,
    /// Whether its name is given up too, for anybody to take.
    #[serde(default)]
    pub release: bool,
}

/// Says who may do what in a channel that this peer has announced. It is for the tracker's lists only: what counts is
/// what the host does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetPolicy {
    /// The channel.
    pub id: ChannelId,
    /// Who may do what, whole. One with a lower `rev` than is known is passed over: it was sent before.
    pub policy: Policy,
}

/// Asks who has a name, online or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolve {
    /// An account's name, or one that a guest holds.
    pub name: UserName,
}

/// Who has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name as its holder writes it.
    pub name: UserName,
    /// Account or guest.
    pub kind: IdentityKind,
}

/// Asks where a channel is. Whoever asked is told by CHANNEL_UP when it comes up again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "LocateFields")]
pub enum Locate {
    /// By its name, as typed.
    Name(ChannelName),
    /// By its id, once known.
    Id(ChannelId),
}

/// The body of LOCATE as it comes: an enum by itself would refuse fields of a later version.
#[derive(Deserialize)]
struct LocateFields {
    name: Option<ChannelName>,
    id: Option<ChannelId>,
}

impl TryFrom<LocateFields> for Locate {
    type Error = &'static str;

    fn try_from(fields: LocateFields) -> Result<Self, Self::Error> {
        match fields {
            LocateFields { name: Some(name), id: None } => Ok(Self::Name(name)),
            LocateFields { name: None, id: Some(id) } => Ok(Self::Id(id)),
            _ => Err("either a name or an id is wanted"),
        }
    }
}

/// A channel as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Who owns it.
    pub owner: Owner,
    /// The key of the peer that hosts it.
    pub host_key: PeerKey,
    /// Where that peer can be reached, best first; the last known ones when it is away.
    pub addresses: Vec<Address>,
    /// How far the log was when the host last said so.
    pub head: Position,
    /// The hosting's number. A lower one than seen before does not count.
    #[serde(deserialize_with = "super::moving::read_term")]
    pub term: u64,
    /// Whether the host is connected to the tracker now.
    pub online: bool,
    /// How it came there; absent as long as the first key hosts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Box<Moved>>,
}

/// Says something to all who are there but to whoever says it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SayToAll {
    /// What.
    pub text: String,
}

commands! {
    "SIGNUP" Signup => Entered;
    "SIGNIN" Signin => Entered;
    "SIGNOUT" Signout => Empty;
    "PASSWORD" Password => Empty;
    "GUEST" Guest => Entered;
    "RENEW" Renew => Entered;
    "PING" Heads => HeadsKnown;
    "LIST" List => Listing;
    "HOST" Host => Hosted;
    "UNHOST" Unhost => Empty;
    "POLICY" SetPolicy => Empty;
    "RESOLVE" Resolve => Resolved;
    "LOCATE" Locate => ChannelRecord;
    "BROADCAST" SayToAll => Empty;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locate_takes_a_name_or_an_id_and_passes_over_what_it_does_not_know() {
        let locate = |body: &str| serde_json::from_str::<Locate>(body);
        let id = "01a0c450-6c00-7bdf-98ff-5fea34c979e3";
        assert!(matches!(locate(r#"{"name":"first","later":1}"#), Ok(Locate::Name(_))));
        assert!(matches!(locate(&format!(r#"{{"id":"{id}","later":{{}}}}"#)), Ok(Locate::Id(_))));
        assert!(locate("{}").is_err());
        assert!(locate(&format!(r#"{{"name":"first","id":"{id}"}}"#)).is_err());
    }
}
