//! What a peer remembers of the channels it hosts.

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{ChannelId, Epoch};
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::channel::LogBefore;
use common::proto::directory::{Owner, Policy};
use common::proto::limits::MAX_FORKS;
use common::proto::moving::{Hosting, MAX_MOVES};
use common::proto::policy::{Holder, Standing};
use common::storage::{Abort, Direction, KeyRange, ReadError, Reader, Store, StoreError, Table, Transaction};
use serde::{Deserialize, Serialize};

use super::forking;
use super::log::Log;

/// Channel id: its record.
const HOSTED: Table = Table::new("hosted");

/// A channel that this peer hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The channel.
    pub id: ChannelId,
    /// Its name.
    pub name: ChannelName,
    /// Who owns it.
    pub owner: Owner,
    /// When its log was created.
    pub created: Timestamp,
    /// Which life of the log is served.
    pub epoch: Epoch,
    /// The hosting's number.
    pub term: u64,
    /// Who may do what.
    #[serde(default)]
    pub policy: Policy,
    /// Where the log before this one was last, when this one was begun anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Position>,
    /// By whom the channel is hosted now, when that is not this peer any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<Hosting>,
    /// What is known of entries that the log has lost; until they are recovered it takes no messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
    /// Where the logs of before ended that this one goes on from, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Position>,
    /// Since when this peer hosts it in this life of the log, when that is not from its beginning on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What of it was put aside, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub side_branches: Vec<SideBranch>,
    /// To whom its owner offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// Who has taken it, and may host it by now: until that is known it takes no messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<Handed>,
}

/// Another host went on behind a place of this log, and what was stored here behind it has been put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideBranch {
    /// The place.
    pub from: Position,
    /// The number of the hosting that went on.
    pub term: u64,
    /// When it was put aside: what this host signed before that may be of the side branch, what it signs later is not.
    pub at: Timestamp,
}

/// That a channel is offered to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// To whom.
    pub to: Owner,
    /// The offer ends then.
    pub until: Timestamp,
}

/// That a hand-over of the channel was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// For the peer with this key.
    pub to: PeerKey,
    /// When.
    pub at: Timestamp,
}

/// A log that has lost entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// How that was found, for people.
    pub why: String,
    /// How far it was, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Position>,
    /// Who hosted it before, when this peer has taken it over with less than all of it: what they have signed of it counts
    /// until it is whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<PeerKey>,
}

impl Behind {
    /// Found out like this.
    pub fn because(why: String, reached: Option<Position>) -> Self {
        Self { why, reached, signers: Vec::new() }
    }
}

impl HostRecord {
    /// The log that this one has taken the place of.
    pub fn before(&self) -> Option<LogBefore> {
        let kept = self.forks.last().map(|end| LogBefore { end: *end, anew: false });
        kept.or(self.parent.map(|end| LogBefore { end, anew: true }))
    }

    /// Where somebody stands in the channel.
    pub fn standing(&self, who: Holder) -> Standing {
        self.policy.standing(who, self.owner.subject)
    }

    /// The positions where the logs of before ended: those that this one goes on from, and the one that it takes the place of.
    pub fn lives_before(&self) -> Vec<Position> {
        self.forks.iter().chain(&self.parent).copied().collect()
    }

    /// Whether this peer has hosted the channel in another life of the log later than in this one: what it has signed then
    /// is `place`, and an older copy was put back since.
    pub fn has_left(&self, place: Position, signed_at: Timestamp) -> bool {
        place.epoch != self.epoch
            && self.lives_before().iter().all(|before| before.epoch != place.epoch)
            && signed_at > self.since.unwrap_or(self.created)
    }

    /// Whether what was stored here has been put aside that the hosting with this number went on without.
    pub fn has_put_aside(&self, term: u64) -> bool {
        self.side_branches.iter().any(|branch| branch.term == term)
    }

    /// The record of a new channel, with an empty log.
    pub fn new(name: ChannelName, owner: Owner) -> Self {
        Self {
            id: ChannelId::new(),
            name,
            owner,
            created: Timestamp::now(),
            epoch: Epoch::new(),
            term: 0,
            policy: Policy::default(),
            behind: None,
            forks: Vec::new(),
            since: None,
            side_branches: Vec::new(),
            parent: None,
            superseded: None,
            offer: None,
            handed: None,
        }
    }
}

/// Every channel that this peer hosts, or has hosted and not given up.
///
/// # Errors
/// When the store cannot be read. A record that cannot be read is skipped, and said in the log.
pub async fn load_records(store: &Store) -> Result<Vec<HostRecord>, ReadError> {
    let rows =
        store.read(|reader| reader.scan(HOSTED, KeyRange::ALL, usize::MAX, Direction::Forward)).await?;
    // One that is damaged keeps no other channel from its members.
    Ok(rows.iter().filter_map(|(_, value)| crate::store::parse(value)).collect())
}

/// How far the log of a hosted channel goes.
#[derive(Clone, Copy, Debug)]
pub struct HostedLog {
    /// The channel.
    pub channel: ChannelId,
    /// Which life of its log.
    pub epoch: Epoch,
    /// Its last entry.
    pub end: u64,
    /// Up to here texts were dropped because of their age.
    pub forgotten: u64,
}

/// How far the logs of all hosted channels go.
///
/// # Errors
/// When the store cannot be read.
pub fn all_logs(reader: &Reader) -> Result<Vec<HostedLog>, ReadError> {
    let rows = reader.scan(HOSTED, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let records = rows.iter().filter_map(|(_, value)| crate::store::parse::<HostRecord>(value));
    let log = |HostRecord { id: channel, epoch, .. }| {
        let (end, forgotten) = Log::end_of(reader, channel, epoch)?;
        Ok(HostedLog { channel, epoch, end, forgotten })
    };
    records.map(log).collect()
}

/// Keeps a record, unless there is one of the channel already.
///
/// # Errors
/// When it is not on disk, or not known to be.
pub async fn keep(store: &Store, record: HostRecord) -> Result<(), StoreError<BadRecord>> {
    store.write(move |transaction| add(transaction, &record)).await
}

/// Keeps a record as a part of something larger, unless there is one of the channel already.
///
/// # Errors
/// When the store cannot be read.
pub fn add(transaction: &mut Transaction<'_>, record: &HostRecord) -> Result<(), Abort<BadRecord>> {
    let key = record.id.0.into_bytes();
    if transaction.get(HOSTED, key)?.is_none() {
        transaction.put(HOSTED, key, serde_json::to_vec(record).map_err(BadRecord::form)?);
    }
    Ok(())
}

/// Keeps a record as a part of something larger, in place of what was known of the channel: it is hosted here anew. What
/// was put aside when it was hosted here before stays known.
///
/// # Errors
/// When what is there cannot be read.
pub fn replace(transaction: &mut Transaction<'_>, mut record: HostRecord) -> Result<(), Abort<BadRecord>> {
    let key = record.id.0.into_bytes();
    if let Some(before) = transaction.get(HOSTED, key)? {
        let before: HostRecord = serde_json::from_slice(&before).map_err(BadRecord::form)?;
        record.side_branches = before.side_branches;
    }
    record.since = Some(Timestamp::now());
    transaction.put(HOSTED, key, serde_json::to_vec(&record).map_err(BadRecord::form)?);
    Ok(())
}

/// Notes that what a host stored behind the place from which another one went on has been put aside.
///
/// # Errors
/// When that is not on disk, or not known to be.
pub async fn put_aside(
    store: &Store,
    id: ChannelId,
    branch: SideBranch,
) -> Result<(), StoreError<BadRecord>> {
    let note = move |record: &mut HostRecord| {
        record.side_branches.push(branch);
        let forgotten = record.side_branches.len().saturating_sub(MAX_MOVES);
        record.side_branches.drain(..forgotten);
    };
    change(store, id, note).await
}

/// Changes a record.
///
/// # Errors
/// When it is not on disk, or not known to be.
pub async fn change(
    store: &Store,
    id: ChannelId,
    change: impl FnOnce(&mut HostRecord) + Send + 'static,
) -> Result<(), StoreError<BadRecord>> {
    store.write(move |transaction| put(transaction, id, change)).await
}

/// Changes a record as a part of something larger.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(super) fn put(
    transaction: &mut Transaction<'_>,
    id: ChannelId,
    change: impl FnOnce(&mut HostRecord),
) -> Result<(), Abort<BadRecord>> {
    let key = id.0.into_bytes();
    let found = transaction.get(HOSTED, key)?.ok_or(Abort::Rejected(BadRecord::Missing))?;
    let mut record: HostRecord = serde_json::from_slice(&found).map_err(BadRecord::form)?;
    change(&mut record);
    transaction.put(HOSTED, key, serde_json::to_vec(&record).map_err(BadRecord::form)?);
    Ok(())
}

/// What was lost of a channel's log is there again, which ends at `end` now, unless more is known to be lost by now.
/// Returns whether it is.
///
/// # Errors
/// When that is not on disk, or not known to be.
pub async fn is_whole_again(
    store: &Store,
    id: ChannelId,
    end: Position,
) -> Result<bool, StoreError<BadRecord>> {
    let write = store.write(move |transaction| {
        let mut is_whole = false;
        put(transaction, id, |record| {
            let reached = record.behind.as_ref().and_then(|behind| behind.reached);
            is_whole = reached.is_none_or(|reached| reached.epoch == end.epoch && reached.seq <= end.seq);
            if is_whole {
                record.behind = None;
            }
        })?;
        Ok(is_whole)
    });
    write.await
}

/// The channel goes on in the log of another epoch, which has all that there was of the one that ends at `parent`.
///
/// # Errors
/// When that is not on disk, or not known to be.
pub async fn fork(
    store: &Store,
    id: ChannelId,
    parent: Position,
    epoch: Epoch,
) -> Result<(), StoreError<BadRecord>> {
    let fork = move |record: &mut HostRecord| {
        record.epoch = epoch;
        record.since = Some(Timestamp::now());
        // A log that an older copy has replaced since: what was in both has the same numbers.
        let newer = record.behind.take().and_then(|behind| behind.reached);
        let newer = newer.filter(|newer| record.lives_before().iter().all(|it| it.epoch != newer.epoch));
        record.forks.extend(newer.filter(|newer| newer.epoch != parent.epoch));
        record.forks.push(parent);
        let forgotten = record.forks.len().saturating_sub(MAX_FORKS);
        record.forks.drain(..forgotten);
    };
    let write = store.write(move |transaction| {
        put(transaction, id, fork)?;
        // From now on the log is the channel's: nobody is to clear it.
        forking::done(transaction, id);
        Ok(())
    });
    write.await
}

/// Drops the record of a channel that is not hosted by this peer after all.
///
/// # Errors
/// When it is not on disk, or not known to be.
pub async fn forget(store: &Store, id: ChannelId) -> Result<(), StoreError> {
    let write = store.write(move |transaction| {
        transaction.delete(HOSTED, id.0.into_bytes());
        Ok(())
    });
    write.await
}

/// Why a record was neither read nor written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRecord {
    /// There is none of the channel.
    #[error("there is no record of the channel")]
    Missing,
    /// What is stored is no record, or what is to be stored has no stored form.
    #[error("not the form of a record: {0}")]
    Form(String),
}

impl BadRecord {
    pub(super) fn form(error: serde_json::Error) -> Abort<Self> {
        Abort::Rejected(Self::Form(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use common::proto::directory::{Policy, View};

    use super::*;

    #[test]
    fn a_record_of_before_there_were_roles_or_any_policy_is_read() {
        let before = |policy: &str| {
            format!(
                r#"{{"id":"01a0c450-6c00-7bdf-98ff-5fea34c979e3","name":"first","owner":{{"subject":"01a0bf2a-1000-7a25-8cbb-00727b95fa95","name":"ken","kind":"account"}},"created":1,"epoch":"52ff0c21-d9f0-42bb-83f0-1875046d70dd","term":1{policy}}}"#
            )
        };
        let read = |text: &str| serde_json::from_str::<HostRecord>(text).unwrap();
        assert_eq!(read(&before("")).policy, Policy::default());
        let kept = read(&before(r#","policy":{"rev":3,"view":"restricted","post":"everyone"}"#));
        assert_eq!(kept.policy, Policy { rev: 3, view: View::Restricted, ..Policy::default() });
    }
}
