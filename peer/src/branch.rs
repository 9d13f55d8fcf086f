//! Side branches: what a host stored behind the place from which another one went on. It is kept as it is, apart from
//! the channel's log, and shown to those who ask for it; it never becomes a part of the log again.

use std::ops::ControlFlow;

use bytes::Bytes;
use common::entry::{BadEntry, Header, RawEntry};
use common::id::{ChannelId, Epoch};
use common::storage::{Direction, KeyRange, ReadError, Store, Table, Transaction};
use uuid::Uuid;

/// Channel, number of the hosting that went on without it, epoch, and number of the entry: its exact bytes.
const BRANCHES: Table = Table::new("branches");

/// Which side branch of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The number of the hosting that went on without it.
    pub term: u64,
    /// The life of the log that it hangs on.
    pub epoch: Epoch,
}

/// An entry of a side branch.
#[derive(Clone, Debug)]
pub struct Aside {
    /// Of which.
    pub branch: Branch,
    /// Its exact bytes.
    pub bytes: Bytes,
}

impl Aside {
    /// The entry itself.
    ///
    /// # Errors
    /// When what is kept is none.
    pub fn open(&self) -> Result<(Header, RawEntry), BadEntry> {
        let entry = RawEntry::from_bytes(&self.bytes)?;
        Ok((entry.open()?, entry))
    }
}

/// Puts an entry aside, as a part of something larger.
pub fn put(transaction: &mut Transaction<'_>, channel: ChannelId, branch: Branch, seq: u64, entry: Bytes) {
    let mut key = prefix(channel, Some(branch));
    key.extend(seq.to_be_bytes());
    transaction.put(BRANCHES, key, entry);
}

/// The newest `count` entries that were put aside of a channel, in order; of one branch only, when it is given.
///
/// # Errors
/// When the store cannot be read.
pub async fn read(
    store: &Store,
    channel: ChannelId,
    branch: Option<Branch>,
    count: usize,
) -> Result<Vec<Aside>, ReadError> {
    let prefix = prefix(channel, branch);
    let read = store.read(move |reader| {
        let mut entries = Vec::new();
        reader.visit(BRANCHES, KeyRange::prefix(prefix), Direction::Backward, |key, bytes| {
            if entries.len() == count {
                return ControlFlow::Break(());
            }
            entries.extend(branch_of(&key).map(|branch| Aside { branch, bytes }));
            ControlFlow::Continue(())
        })?;
        Ok::<_, ReadError>(entries)
    });
    let mut entries = read.await?;
    entries.reverse();
    Ok(entries)
}

fn prefix(channel: ChannelId, branch: Option<Branch>) -> Vec<u8> {
    let mut prefix = channel.0.as_bytes().to_vec();
    if let Some(Branch { term, epoch }) = branch {
        prefix.extend(term.to_be_bytes());
        prefix.extend(epoch.0.as_bytes());
    }
    prefix
}

fn branch_of(key: &[u8]) -> Option<Branch> {
    let (term, epoch) = (key.get(16..24)?.try_into().ok()?, key.get(24..40)?.try_into().ok()?);
    Some(Branch { term: u64::from_be_bytes(term), epoch: Epoch(Uuid::from_bytes(epoch)) })
}
