//! Whether a hosted log on a disk is whole: for a doctor, while nobody hosts it.

use std::collections::HashSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use common::entry::{Checkpoint, Hash, Header, RawEntry};
use common::id::MessageId;
use common::identity::PeerKey;
use common::proto::limits::MAX_APPEND_ENTRIES;
use common::signed::Signed;
use common::storage::{Abort, Direction, KeyRange, ReadError, StoreError};

use super::{CHECKPOINTS, ENTRIES, IDS, Log, bytes_of, hash_of};

/// What was found of a log.
#[derive(Debug, Default)]
pub struct Checked {
    /// How many entries there are.
    pub entries: u64,
    /// The first thing that is wrong with one of them.
    pub fault: Option<(u64, &'static str)>,
    /// How many message ids lead nowhere, or to another entry, or are not there.
    pub wrong_ids: u64,
    /// How many of what the host has signed is not what is there.
    pub wrong_signed: u64,
}

/// The log as it is gone through.
struct Walk {
    found: Checked,
    hash: Hash,
    /// The ids as they have to be.
    ids: Vec<(MessageId, u64)>,
    /// Whether there are entries whose id cannot be read: an id that leads to none may be one of theirs.
    is_unread: bool,
}

impl Walk {
    fn next(&mut self, key: &[u8], value: &Bytes) {
        let seq = self.found.entries + 1;
        self.found.entries = seq;
        let mut fault = |why| {
            self.found.fault.get_or_insert((seq, why));
        };
        if !key.ends_with(&seq.to_be_bytes()) {
            fault("entries are missing before it");
        }
        let entry = bytes_of(value).and_then(|bytes| RawEntry::from_bytes(&bytes).ok());
        let header = entry.as_ref().and_then(|entry| serde_json::from_str::<Header>(entry.header.get()).ok());
        let (Some(hash), Some(entry), Some(header)) = (hash_of(value), entry, header) else {
            self.is_unread = true;
            return fault("it cannot be read");
        };
        self.ids.push((header.id, seq));
        if header.seq != seq {
            fault("it stands in the place of another");
        }
        if entry.open().is_err() {
            fault("its text is not the one that its header names");
        }
        if self.hash.next(&entry.header) != hash {
            fault("the chain of hashes does not lead to it");
        }
        self.hash = hash;
    }
}

impl Log {
    /// Looks at all of it. `host` is the key that it has to be signed with.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn check(&self, host: PeerKey) -> Result<Checked, ReadError> {
        let mut walk = self.walk()?;
        let reader = self.store.reader();
        let mut known = HashSet::new();
        for (id, seq) in walk.ids.drain(..) {
            let stored = reader.get(IDS, self.id_key(id))?;
            walk.found.wrong_ids += u64::from(stored.as_deref() != Some(&seq.to_be_bytes()));
            known.insert(self.id_key(id).to_vec());
        }
        let (found, is_unread) = (&mut walk.found, walk.is_unread);
        reader.visit(IDS, KeyRange::prefix(self.prefix()), Direction::Forward, |key, _| {
            found.wrong_ids += u64::from(!is_unread && !known.contains(key.as_ref()));
            ControlFlow::Continue(())
        })?;
        let signed =
            reader.scan(CHECKPOINTS, KeyRange::prefix(self.prefix()), usize::MAX, Direction::Forward)?;
        for (_, value) in signed {
            let checkpoint = serde_json::from_slice::<Signed<Checkpoint>>(&value).ok();
            let checkpoint = checkpoint.and_then(|signed| signed.verify(&host).ok());
            let position = checkpoint.filter(|one| one.channel == self.channel).map(|one| one.position);
            let is_there = match position {
                Some(position) => self.hash_at(position.seq)? == Some(position.hash),
                None => false,
            };
            walk.found.wrong_signed += u64::from(!is_there);
        }
        Ok(walk.found)
    }

    fn walk(&self) -> Result<Walk, ReadError> {
        let hash = Hash::root(self.channel, self.epoch);
        let mut walk = Walk { found: Checked::default(), hash, ids: Vec::new(), is_unread: false };
        let keys = KeyRange::prefix(self.prefix());
        self.store.reader().visit(ENTRIES, keys, Direction::Forward, |key, value| {
            walk.next(&key, &value);
            ControlFlow::Continue(())
        })?;
        Ok(walk)
    }

    /// Makes the index of message ids anew, from the entries. Twice is as once.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub async fn repair_ids(&self) -> Result<(), StoreError> {
        let failed = |error: ReadError| StoreError::Failed { reason: error.to_string() };
        let Walk { ids, is_unread, .. } = self.walk().map_err(failed)?;
        let known: HashSet<Vec<u8>> = ids.iter().map(|(id, _)| self.id_key(*id).to_vec()).collect();
        for some in ids.chunks(MAX_APPEND_ENTRIES) {
            let rows: Vec<_> = some.iter().map(|(id, seq)| (self.id_key(*id), seq.to_be_bytes())).collect();
            let write = self.store.write(move |transaction| {
                rows.iter().for_each(|(key, seq)| transaction.put(IDS, key, Bytes::copy_from_slice(seq)));
                Ok::<_, Abort>(())
            });
            write.await?;
        }
        if is_unread {
            return Ok(());
        }
        let rows =
            self.store.reader().scan(IDS, KeyRange::prefix(self.prefix()), usize::MAX, Direction::Forward);
        let wrong = rows.map_err(failed)?.into_iter().map(|(key, _)| key);
        let wrong: Vec<Bytes> = wrong.filter(|key| !known.contains(key.as_ref())).collect();
        for some in wrong.chunks(MAX_APPEND_ENTRIES) {
            let keys = some.to_vec();
            let write = self.store.write(move |transaction| {
                keys.iter().for_each(|key| transaction.delete(IDS, key));
                Ok::<_, Abort>(())
            });
            write.await?;
        }
        Ok(())
    }
}
