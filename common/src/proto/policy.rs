//! Who may do what in a channel: what its host keeps and enforces, and what of it the tracker and the members see.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::limits::MAX_POLICY_BYTES;
use crate::id::{AccountId, Subject};
use crate::identity::PeerKey;

/// Who may join and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Everybody, guests included.
    #[default]
    Public,
    /// Owner, moderators and authorised accounts.
    Restricted,
}

/// Who may send, of those who may join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Post {
    /// Everybody.
    #[default]
    Everyone,
    /// Owner, moderators and authorised accounts.
    Authorized,
}

/// What an account is given in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// May join and send, whatever the switches.
    Authorized,
    /// The same, and sees to it that others behave.
    Moderator,
}

/// What somebody is in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whose channel it is.
    Owner,
    /// An account that the owner has given the care of it.
    Moderator,
    /// An account that was let in, and may send.
    Authorized,
    /// Signed in.
    Registered,
    /// Without an account.
    Guest,
}

impl Role {
    /// Whether the care of the channel is theirs.
    pub const fn is_in_charge(self) -> bool {
        matches!(self, Self::Owner | Self::Moderator)
    }
}

impl From<Grant> for Role {
    fn from(grant: Grant) -> Self {
        match grant {
            Grant::Authorized => Self::Authorized,
            Grant::Moderator => Self::Moderator,
        }
    }
}

/// The two switches of a channel: the part of its policy that every member is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// Which policy it is.
    pub rev: u64,
    /// Who may join.
    #[serde(default)]
    pub view: View,
    /// Who may send.
    #[serde(default)]
    pub post: Post,
}

/// Who may do what in a channel. Its host keeps and enforces it; the tracker has a copy for its lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Raised with every change.
    pub rev: u64,
    /// Who may join.
    #[serde(default)]
    pub view: View,
    /// Who may send.
    #[serde(default)]
    pub post: Post,
    /// For how many days the host keeps texts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// What accounts were given. A guest is given nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<AccountId, Grant>,
    /// Who may not come in at all; a guest by the key of the peer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bans: BTreeSet<Subject>,
}

/// Somebody who has shown who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The proven key of the peer.
    pub key: PeerKey,
}

impl Holder {
    /// What a key was as a guest stays with it when it enters an account: a channel, and a ban too.
    pub fn is(&self, subject: Subject) -> bool {
        self.subject == subject || Subject::Guest(self.key) == subject
    }
}

/// Where somebody stands in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What they are.
    pub role: Role,
    /// Whether they may not come in, whatever they are. Never the owner.
    pub is_banned: bool,
}

impl Policy {
    /// The part that every member is told.
    pub fn switches(&self) -> Switches {
        Switches { rev: self.rev, view: self.view, post: self.post }
    }

    /// What a subject is in a channel of this owner.
    pub fn role_of(&self, subject: Subject, owner: Subject) -> Role {
        match subject {
            subject if subject == owner => Role::Owner,
            Subject::Account(account) => {
                self.roles.get(&account).copied().map_or(Role::Registered, Role::from)
            }
            Subject::Guest(_) => Role::Guest,
        }
    }

    /// Where somebody stands in a channel of this owner.
    pub fn standing(&self, who: Holder, owner: Subject) -> Standing {
        if who.is(owner) {
            return Standing { role: Role::Owner, is_banned: false };
        }
        let role = self.role_of(who.subject, owner);
        // A key that was banned as a guest's stays out as an account's that was given nothing; but nobody gets rid of
        // a moderator by banning a key.
        let counts_by_key = matches!(role, Role::Registered | Role::Guest);
        let is_banned = self.bans.contains(&who.subject)
            || (counts_by_key && self.bans.contains(&Subject::Guest(who.key)));
        Standing { role, is_banned }
    }

    /// Whether somebody may know of a channel of this owner, join it and read it.
    pub fn admits(&self, who: Holder, owner: Subject) -> bool {
        self.switches().admits(self.standing(who, owner))
    }

    /// Whether it is short enough to be sent and kept: about 900 accounts and bans.
    pub fn fits(&self) -> bool {
        serde_json::to_vec(self).is_ok_and(|json| json.len() <= MAX_POLICY_BYTES)
    }
}

impl Switches {
    /// Whether somebody may know of the channel, join it and read it.
    pub const fn admits(self, who: Standing) -> bool {
        match (who.role, self.view) {
            (Role::Owner, _) => true,
            _ if who.is_banned => false,
            (Role::Moderator | Role::Authorized, _) => true,
            (Role::Registered | Role::Guest, View::Public) => true,
            (Role::Registered | Role::Guest, View::Restricted) => false,
        }
    }

    /// Whether somebody may send.
    pub const fn lets_send(self, who: Standing) -> bool {
        self.admits(who)
            && match (who.role, self.post) {
                (Role::Owner | Role::Moderator | Role::Authorized, _) => true,
                (Role::Registered | Role::Guest, Post::Everyone) => true,
                (Role::Registered | Role::Guest, Post::Authorized) => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PeerKey {
        PeerKey::from_bytes([n; 32])
    }

    fn guest(n: u8) -> Holder {
        Holder { subject: Subject::Guest(key(n)), key: key(n) }
    }

    fn account(id: AccountId, n: u8) -> Holder {
        Holder { subject: Subject::Account(id), key: key(n) }
    }

    #[test]
    fn the_rows_of_before_there_were_roles_are_read() {
        let policy: Policy =
            serde_json::from_str(r#"{"rev":3,"view":"restricted","post":"everyone"}"#).unwrap();
        assert_eq!(policy, Policy { rev: 3, view: View::Restricted, ..Policy::default() });
        let written = serde_json::to_string(&policy).unwrap();
        assert_eq!(written, r#"{"rev":3,"view":"restricted","post":"everyone"}"#);
    }

    #[test]
    fn a_policy_comes_back_as_it_was_written() {
        let (ken, ada) = (AccountId::new(), AccountId::new());
        let policy = Policy {
            rev: 9,
            view: View::Restricted,
            post: Post::Authorized,
            retention_days: Some(90),
            roles: BTreeMap::from([(ken, Grant::Moderator), (ada, Grant::Authorized)]),
            bans: BTreeSet::from([guest(7).subject, Subject::Account(AccountId::new())]),
        };
        let written = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&written).unwrap(), policy);
        assert!(written.contains(&format!(r#""{ken}":"moderator""#)), "{written}");
    }

    #[test]
    fn who_somebody_is_goes_by_subject_and_by_key_and_never_by_name() {
        let (owner, ada, eve) = (AccountId::new(), AccountId::new(), AccountId::new());
        let policy = Policy {
            roles: BTreeMap::from([(ada, Grant::Authorized), (owner, Grant::Authorized)]),
            bans: BTreeSet::from([guest(3).subject, Subject::Account(eve), Subject::Account(owner)]),
            ..Policy::default()
        };
        let stands = |who| policy.standing(who, Subject::Account(owner));
        let standing = |role, is_banned| Standing { role, is_banned };
        assert_eq!(stands(account(owner, 1)), standing(Role::Owner, false), "the owner loses no right");
        assert_eq!(stands(account(owner, 9)), standing(Role::Owner, false), "from any device");
        assert_eq!(stands(account(ada, 2)), standing(Role::Authorized, false));
        assert_eq!(stands(account(eve, 2)), standing(Role::Registered, true), "banned on every device");
        assert_eq!(stands(guest(2)), standing(Role::Guest, false));
        assert_eq!(stands(guest(3)), standing(Role::Guest, true));
        let escaped = account(AccountId::new(), 3);
        assert_eq!(stands(escaped), standing(Role::Registered, true), "an account is no way out of a ban");
        assert_eq!(
            stands(account(ada, 3)),
            standing(Role::Authorized, false),
            "but a role is more than a key"
        );
        // A guest's channel is theirs too once they have made an account, and before that is noted here.
        let as_account = policy.standing(account(ada, 5), guest(5).subject);
        assert_eq!(as_account, standing(Role::Owner, false));
    }

    #[test]
    fn a_policy_that_is_full_does_not_fit() {
        let mut policy = Policy::default();
        policy.roles.extend((0..900).map(|_| (AccountId::new(), Grant::Authorized)));
        assert!(policy.fits());
        policy.roles.extend((0..100).map(|_| (AccountId::new(), Grant::Authorized)));
        assert!(!policy.fits());
    }
}
