//! What owner and moderators have done, on disk: the policy in the record, the acts one by one, and what is remembered
//! of those whom the policy names.

use std::ops::Bound;

use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::proto::channel::{Act, Audit, Banned};
use common::proto::limits::{MAX_ACTS, MAX_PAGE_BYTES, MAX_PAGE_ROWS};
use common::proto::policy::Policy;
use common::storage::{Abort, Direction, KeyRange, ReadError, Store, StoreError, Table, Transaction};
use serde::{Deserialize, Serialize};

use super::record::{self, BadRecord};

/// Channel and number of an act: the act.
const ACTS: Table = Table::new("acts");
/// Channel and subject: what is remembered of somebody whom the channel's policy names.
const NAMED: Table = Table::new("policy_named");

/// What is remembered of somebody whom a policy names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// The name that they had last here; until they come, the one that was claimed for them.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it stood in a pass of theirs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shown: bool,
    /// Who gave the role, or banned.
    pub by: String,
    pub at: Timestamp,
    #[serde(default)]
    pub why: Option<String>,
}

/// An act that is to be put on disk with all that it changes.
pub(super) struct NewAct {
    /// Its number is given when it is written.
    pub act: Act,
    /// The policy after it, if it is another one.
    pub policy: Option<Policy>,
    /// What is to be remembered, or no longer, of whom it is about.
    pub named: Option<(Subject, Option<Named>)>,
}

/// The acts of one channel. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Acts {
    store: Store,
    channel: ChannelId,
}

impl Acts {
    pub fn new(store: Store, channel: ChannelId) -> Self {
        Self { store, channel }
    }

    fn key(&self, number: u64) -> [u8; 24] {
        let mut key = [0; 24];
        key[..16].copy_from_slice(self.channel.0.as_bytes());
        key[16..].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn named_key(&self, subject: Subject) -> Vec<u8> {
        [self.channel.0.as_bytes(), subject.to_string().as_bytes()].concat()
    }

    /// Puts an act on disk, all of it or nothing.
    ///
    /// # Errors
    /// When it is not on disk, or not known to be.
    pub async fn write(&self, new: NewAct) -> Result<(), StoreError<BadRecord>> {
        let acts = self.clone();
        self.store.write(move |transaction| acts.put(transaction, new)).await
    }

    fn put(&self, transaction: &mut Transaction<'_>, new: NewAct) -> Result<(), Abort<BadRecord>> {
        let NewAct { mut act, policy, named } = new;
        if let Some(policy) = policy {
            record::put(transaction, self.channel, |record| record.policy = policy)?;
        }
        if let Some((subject, named)) = named {
            match named {
                Some(named) => {
                    let named = self.with_shown_name(transaction, subject, named)?;
                    transaction.put(NAMED, self.named_key(subject), json(&named)?);
                }
                None => transaction.delete(NAMED, self.named_key(subject)),
            }
        }
        let prefix = KeyRange::prefix(self.channel.0.as_bytes());
        let last = transaction.scan(ACTS, prefix, 1, Direction::Backward)?;
        let last = last.first().and_then(|(key, _)| key.last_chunk().copied()).map_or(0, u64::from_be_bytes);
        act.number = last + 1;
        transaction.put(ACTS, self.key(act.number), json(&act)?);
        if let Some(forgotten) = act.number.checked_sub(MAX_ACTS) {
            transaction.delete(ACTS, self.key(forgotten));
        }
        Ok(())
    }

    /// What somebody claims takes no name from anybody.
    fn with_shown_name(
        &self,
        transaction: &Transaction<'_>,
        subject: Subject,
        named: Named,
    ) -> Result<Named, ReadError> {
        let before = transaction.get(NAMED, self.named_key(subject))?;
        let before: Option<Named> = before.and_then(|bytes| parse(&bytes));
        Ok(match before.filter(|before| before.is_shown && !named.is_shown) {
            Some(Named { name, is_shown, .. }) => Named { name, is_shown, ..named },
            None => named,
        })
    }

    /// Somebody whom the policy names has shown a pass with this name.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn shown(&self, subject: Subject, name: String) -> Result<(), StoreError<BadRecord>> {
        let (acts, key) = (self.clone(), self.named_key(subject));
        let is_known = {
            let (key, name) = (key.clone(), name.clone());
            let read = move |reader: &common::storage::Reader| -> Result<bool, ReadError> {
                let named: Option<Named> = reader.get(NAMED, key)?.and_then(|bytes| parse(&bytes));
                Ok(named.is_none_or(|named| named.is_shown && named.name.as_ref() == Some(&name)))
            };
            acts.store.read(read).await.map_err(Abort::<BadRecord>::from)?
        };
        if is_known {
            return Ok(());
        }
        let write = move |transaction: &mut Transaction<'_>| {
            let named: Option<Named> = transaction.get(NAMED, &key)?.and_then(|bytes| parse(&bytes));
            if let Some(named) = named {
                let named = Named { name: Some(name), is_shown: true, ..named };
                transaction.put(NAMED, &key, json(&named)?);
            }
            Ok(())
        };
        acts.store.write(write).await
    }

    /// A page of the acts, the newest, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn page(&self, asked: Audit) -> Result<Vec<Act>, ReadError> {
        let rows = asked.limit.unwrap_or(MAX_PAGE_ROWS).min(MAX_PAGE_ROWS) as usize;
        let before = asked.before.unwrap_or(u64::MAX);
        let range: KeyRange = (Bound::Included(self.key(0)), Bound::Excluded(self.key(before))).into();
        let found =
            self.store.read(move |reader| reader.scan(ACTS, range, rows, Direction::Backward)).await?;
        let mut bytes = 0;
        let fitting = found.into_iter().take_while(|(_, value)| {
            bytes += value.len() + 1;
            bytes <= MAX_PAGE_BYTES
        });
        let mut acts: Vec<Act> = fitting.filter_map(|(_, value)| parse(&value)).collect();
        acts.reverse();
        Ok(acts)
    }

    /// What is remembered of these.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn named(&self, subjects: Vec<Subject>) -> Result<Vec<(Subject, Named)>, ReadError> {
        let keys: Vec<_> = subjects.into_iter().map(|subject| (subject, self.named_key(subject))).collect();
        let read = move |reader: &common::storage::Reader| {
            let found = keys.into_iter().map(|(subject, key)| {
                let named = reader.get(NAMED, key)?.and_then(|bytes| parse(&bytes)).unwrap_or_default();
                Ok((subject, named))
            });
            found.collect()
        };
        self.store.read(read).await
    }
}

/// A row of the list of those who are banned.
pub(super) fn banned((subject, named): (Subject, Named)) -> Banned {
    let Named { name, by, at, why, .. } = named;
    Banned { subject, name, by, at, why }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Abort<BadRecord>> {
    serde_json::to_vec(value).map_err(BadRecord::form)
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes)
        .inspect_err(
            |error| tracing::error!(err = ?error.to_string(), "a row of a channel's acts is damaged"),
        )
        .ok()
}
