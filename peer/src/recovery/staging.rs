//! What was given and is not proven yet. Few are held in memory, many on the disk: nothing of it is a part of the log
//! before it is proven, and what a crash leaves of it is dropped.

use common::crash::{self, Point};
use common::entry::{Header, RawEntry};
use common::id::ChannelId;
use common::proto::limits::{MAX_APPEND_BYTES, MAX_APPEND_ENTRIES};
use common::proto::status::{Code, Refusal};
use common::storage::{Abort, Direction, KeyRange, Store, Table};

/// Channel and number: an entry that was given back, and is not proven yet.
const GIVEN: Table = Table::new("given_back");

/// How many bytes are held in memory at most.
const IN_MEMORY_BYTES: usize = 1024 * 1024;

pub type Entries = Vec<(Header, RawEntry)>;

/// What was given for one channel.
pub struct Staging {
    store: Store,
    channel: ChannelId,
    held: Entries,
    held_bytes: usize,
    /// The last number on the disk; 0 when there is nothing.
    on_disk: u64,
}

impl Staging {
    /// With nothing in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(store: Store, channel: ChannelId) -> Result<Self, Refusal> {
        let mut staging = Self { store, channel, held: Vec::new(), held_bytes: 0, on_disk: u64::MAX };
        staging.clear().await?;
        Ok(staging)
    }

    /// Drops all of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn clear(&mut self) -> Result<(), Refusal> {
        self.held.clear();
        self.held_bytes = 0;
        while self.on_disk > 0 {
            let prefix = KeyRange::prefix(self.channel.0.as_bytes());
            let cleared = self.store.write(move |transaction| {
                let rows = transaction.scan(GIVEN, prefix, MAX_APPEND_ENTRIES, Direction::Forward)?;
                let count = rows.len();
                rows.into_iter().for_each(|(key, _)| transaction.delete(GIVEN, key));
                Ok::<_, Abort>(count)
            });
            if cleared.await? < MAX_APPEND_ENTRIES {
                self.on_disk = 0;
            }
        }
        Ok(())
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn push(&mut self, header: Header, entry: RawEntry) -> Result<(), Refusal> {
        self.held_bytes += size(&entry);
        self.held.push((header, entry));
        if self.held_bytes >= IN_MEMORY_BYTES { self.spill().await } else { Ok(()) }
    }

    async fn spill(&mut self) -> Result<(), Refusal> {
        let mut rows = Vec::with_capacity(self.held.len());
        for (header, entry) in self.held.drain(..) {
            self.on_disk = header.seq;
            rows.push((key(self.channel, header.seq), entry.to_bytes().map_err(unreadable)?));
        }
        self.held_bytes = 0;
        let spill = self.store.write(move |transaction| {
            rows.into_iter().for_each(|(key, bytes)| transaction.put(GIVEN, key, bytes));
            Ok::<_, Abort>(())
        });
        spill.await?;
        crash::here(Point::RecoverGiven);
        Ok(())
    }

    /// The entries after a number, in order, as many as are appended at once; none when there are no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn batch(&self, after: u64) -> Result<Entries, Refusal> {
        let mut bytes = 0;
        let fits = |entry: &RawEntry| {
            bytes += size(entry);
            bytes <= MAX_APPEND_BYTES
        };
        if after >= self.on_disk {
            return Ok(some_of(self.held.iter().filter(|(header, _)| header.seq > after).cloned(), fits));
        }
        let range = key(self.channel, after + 1)..key(self.channel, self.on_disk + 1);
        let read = move |reader: &common::storage::Reader| {
            reader.scan(GIVEN, range, MAX_APPEND_ENTRIES, Direction::Forward)
        };
        let rows = self
            .store
            .read(read)
            .await
            .map_err(|error| Refusal::new(Code::StorageFailed, error.to_string()))?;
        let opened = rows.iter().map(|(_, value)| {
            let entry = RawEntry::from_bytes(value).map_err(unreadable)?;
            Ok((entry.open().map_err(unreadable)?, entry))
        });
        Ok(some_of(opened.collect::<Result<Entries, Refusal>>()?.into_iter(), fits))
    }
}

/// At least one, if there is one.
fn some_of(
    entries: impl Iterator<Item = (Header, RawEntry)>,
    mut fits: impl FnMut(&RawEntry) -> bool,
) -> Entries {
    let mut some = Entries::new();
    for (header, entry) in entries.take(MAX_APPEND_ENTRIES) {
        if !fits(&entry) && !some.is_empty() {
            break;
        }
        some.push((header, entry));
    }
    some
}

fn size(entry: &RawEntry) -> usize {
    entry.header.get().len() + entry.body.as_ref().map_or(0, |body| body.get().len())
}

fn key(channel: ChannelId, seq: u64) -> Vec<u8> {
    [channel.0.as_bytes().as_slice(), &seq.to_be_bytes()].concat()
}

fn unreadable(error: common::entry::BadEntry) -> Refusal {
    Refusal::new(Code::StorageFailed, error.to_string())
}
