//! What the tracker keeps, row by row. Stored as JSON: fields may be added, and are never given another meaning.

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{AccountId, ChannelId, DirectoryId, Subject};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::pass::REVOKED_FOR;
use common::proto::directory::{ChannelRecord, Listed, Owner, Policy};
use common::proto::moving::Moved;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use common::storage::{Program, Schema, Table};
use common::transport::Address;
use serde::{Deserialize, Serialize};

use super::directory::Rows;
use crate::limits::{GUEST_CHANNEL_HOLD, MAX_KEYS_PER_ACCOUNT};

/// The form of all that is described here.
pub const SCHEMA: Schema = Schema { program: Program::Tracker, version: 1 };

/// Accounts, by their id.
pub const ACCOUNTS: Rows<Account> = Rows::new(Table::new("accounts"));
/// Who has a user name, by each of its looks.
pub const USER_NAMES: Rows<NameClaim> = Rows::new(Table::new("user_names"));
/// What is known of a peer, by its key.
pub const KEYS: Rows<KeyRow> = Rows::new(Table::new("keys"));
/// Channels, by their id.
pub const CHANNELS: Rows<ChannelRow> = Rows::new(Table::new("channels"));
/// Which channel has a name, by each of its looks.
pub const CHANNEL_NAMES: Rows<ChannelId> = Rows::new(Table::new("channel_names"));
/// Channels that an operator has removed, by their id.
pub const REMOVED: Rows<RemovedRow> = Rows::new(Table::new("removed"));
/// Channels that are no more, by their id, which is nobody else's.
pub const RETIRED: Rows<RetiredRow> = Rows::new(Table::new("retired"));
/// Requests for conversations, by whom they are for.
pub const KNOCKS: Rows<KnocksRow> = Rows::new(Table::new("knocks"));
/// Whose passes do not count any more, by number.
pub const REVOCATIONS: Rows<RevocationRow> = Rows::new(Table::new("revocations"));
/// Which channels are offered to somebody, by whom.
pub const OFFERS: Rows<OffersRow> = Rows::new(Table::new("offers"));
/// Accounts that are invisible, by their id.
pub const INVISIBLE: Rows<InvisibleRow> = Rows::new(Table::new("invisible"));
/// The directory itself, under [`THE_DIRECTORY`].
pub const META: Rows<Meta> = Rows::new(Table::new("meta"));
/// The one key of [`META`].
pub const THE_DIRECTORY: &[u8] = b"directory";

/// The directory itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Made once; passes count only within it.
    pub id: DirectoryId,
    /// No pass has this number or a higher one yet.
    pub next_serial: u64,
}

/// A registered account. Has no `Debug`, so that its hash is in no log.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub id: AccountId,
    /// The name, as it was typed at sign-up.
    pub name: UserName,
    /// The password's hash, a PHC string.
    pub password: String,
    /// When it was made.
    pub created: Timestamp,
    /// The keys that enter as this account.
    #[serde(default)]
    pub keys: Vec<BoundKey>,
    /// Keys that were signed out by themselves and may have a pass that counts; since when they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<BoundKey>,
    /// Whether nobody may enter as it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspension>,
}

impl Account {
    /// Unbinds a key that signs itself out. Of too many, the one that left longest ago is returned: its passes are to be
    /// revoked, since nothing is known of them any more.
    #[must_use]
    pub fn sign_out(&mut self, key: PeerKey, now: Timestamp) -> Option<PeerKey> {
        self.keys.retain(|bound| bound.key != key);
        self.left.retain(|left| left.key != key && now < left.pass_until());
        let oldest =
            if self.left.len() < MAX_KEYS_PER_ACCOUNT { None } else { Some(self.left.remove(0).key) };
        self.left.push(BoundKey { key, since: now });
        oldest
    }

    /// Unbinds a key whose passes are revoked with this: from where, if it was there.
    pub fn revoke(&mut self, key: PeerKey) -> Option<Was> {
        let (bound, left) = (self.keys.len(), self.left.len());
        self.keys.retain(|bound| bound.key != key);
        self.left.retain(|left| left.key != key);
        match (self.keys.len() < bound, self.left.len() < left) {
            (true, _) => Some(Was::Bound),
            (false, true) => Some(Was::SignedOut),
            (false, false) => None,
        }
    }

    /// The keys that may have a pass of this account.
    pub fn keys_with_passes(&self) -> Vec<PeerKey> {
        self.keys.iter().chain(&self.left).map(|bound| bound.key).collect()
    }

    /// Whether somebody may enter as it.
    ///
    /// # Errors
    /// `suspended`, with what the operator said.
    pub fn check_active(&self) -> Result<(), Refusal> {
        let Some(suspension) = &self.suspended else { return Ok(()) };
        let refusal = Refusal::from(Code::Suspended);
        Err(match &suspension.reason {
            Some(why) => Refusal { reason: format!("{}: {why}", refusal.reason), ..refusal },
            None => refusal,
        })
    }
}

/// What a key was to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// It entered as it.
    Bound,
    /// It had signed itself out, and may have had a pass.
    SignedOut,
}

/// That nobody may enter as an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the operator's words; the account's owner is told them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Passes that do not count any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevocationRow {
    /// Of these keys, those with lower numbers than this row.
    pub keys: Vec<PeerKey>,
    /// Then they are dead anyway.
    pub until: Timestamp,
}

/// That an account is invisible.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvisibleRow {
    /// Which.
    pub account: AccountId,
}

/// A key that enters as an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BoundKey {
    /// The peer's key.
    pub key: PeerKey,
    /// Since when.
    pub since: Timestamp,
}

impl BoundKey {
    /// No pass counts any longer that a key had when it left then.
    pub fn pass_until(&self) -> Timestamp {
        self.since.plus(REVOKED_FOR)
    }
}

/// Who has a user name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NameClaim {
    /// The name that looks so.
    pub name: UserName,
    /// Who has it.
    pub holder: Subject,
    /// Until when; for good when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl NameClaim {
    /// Whether it still counts.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeyRow {
    /// The account it enters as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The names it holds as a guest, the one it entered with last at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldName>,
    /// When it was last here, bound to an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// Whether it was unbound from its account from elsewhere, and nobody has entered with it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_signed_out: bool,
}

/// A name that a guest's key holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldName {
    /// The name.
    pub name: UserName,
    /// Until when.
    pub until: Timestamp,
}

/// The requests for conversations that are kept for somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnocksRow {
    /// The oldest first.
    pub rows: Vec<KnockRow>,
}

/// A request for a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnockRow {
    /// Who asked.
    pub from: Owner,
    /// With which peer.
    pub key: PeerKey,
    /// When.
    pub at: Timestamp,
    /// Who has turned it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_by: Option<Owner>,
}

/// A channel, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChannelRow {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Who owns it.
    pub owner: Owner,
    /// The key of the peer that hosts it.
    pub host_key: PeerKey,
    /// Where that peer was last.
    pub addresses: Vec<Address>,
    /// How far its log was when last said.
    pub head: Position,
    /// The hosting's number.
    pub term: u64,
    /// The host's policy when last said.
    pub policy: Policy,
    /// When the tracker first heard of it.
    pub created: Timestamp,
    /// When its host was last there.
    pub seen: Timestamp,
    /// How it came to its host, when that is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Box<Moved>>,
    /// The keys that hosted it before, the last at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<PeerKey>,
    /// How many members it had when last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// To whom it is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferRow>,
}

/// That a channel is offered to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRow {
    /// To whom.
    pub to: Owner,
    /// Since when.
    pub at: Timestamp,
}

/// Which channels are offered to somebody, as far as the channels' rows say so too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffersRow {
    /// What was offered last stands at the end.
    pub channels: Vec<ChannelId>,
}

/// A channel that may not be announced any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemovedRow {
    /// The name it had.
    pub name: ChannelName,
    /// Who owned it.
    pub owner: Owner,
    /// When it was removed.
    pub at: Timestamp,
}

/// A channel that is no more, and whose id it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetiredRow {
    /// Who owned it.
    pub owner: Subject,
    /// The key of the peer that hosted it.
    pub host_key: PeerKey,
    /// When it went.
    pub at: Timestamp,
}

impl RetiredRow {
    /// Whether the channel may be announced again by somebody.
    pub fn is_of(&self, who: Holder) -> bool {
        self.host_key == who.key || who.is(self.owner)
    }
}

impl ChannelRow {
    /// Whether the name is free again: that of a guest's channel whose host has not been there for long.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        matches!(self.owner.subject, Subject::Guest(_)) && now >= self.seen.plus(GUEST_CHANNEL_HOLD)
    }

    /// Whether `who` may learn that the channel exists.
    pub fn is_visible_to(&self, who: Holder) -> bool {
        self.policy.admits(who, self.owner.subject)
    }

    /// The row as peers are told of it.
    pub fn record(&self, online: bool) -> ChannelRecord {
        ChannelRecord {
            id: self.id,
            name: self.name.clone(),
            owner: self.owner.clone(),
            host_key: self.host_key,
            addresses: self.addresses.clone(),
            head: self.head,
            term: self.term,
            online,
            moved: self.moved.clone(),
        }
    }

    /// The row as it stands in the list of channels.
    pub fn listed(&self, online: bool) -> Listed {
        Listed {
            id: self.id,
            name: self.name.clone(),
            owner: self.owner.clone(),
            view: self.policy.view,
            online,
            members: self.members,
        }
    }
}
