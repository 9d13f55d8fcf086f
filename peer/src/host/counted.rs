//! How many members a channel has: those who have come and did not leave it, here or not.
//!
//! The number is told to everybody who may know of the channel, so nothing in it may show who is here: who is invisible
//! comes, goes and leaves without changing it.

use std::collections::HashMap;
use std::time::Duration;

use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::storage::{Direction, KeyRange, ReadError, Store, StoreError, Table};
use serde::{Deserialize, Serialize};

/// Channel and subject: when they were last seen to come.
const MEMBERS: Table = Table::new("members");

/// Who has not come for so long is not counted any more.
const COUNTS_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// That somebody has come is written this often at most.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// More than so many are not counted: it costs a guest nothing to be another one.
const MAX_COUNTED: usize = 16_384;

/// What is kept of somebody who is counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row {
    who: Subject,
    came: Timestamp,
}

/// Those who are counted. Pure.
#[derive(Debug, Default)]
pub struct Counted {
    came: HashMap<Subject, Timestamp>,
    changed: HashMap<Subject, Option<Timestamp>>,
    /// Grows with each change of who is counted.
    changes: u64,
}

impl Counted {
    /// Those who were counted when this was last written.
    pub fn new(rows: impl IntoIterator<Item = (Subject, Timestamp)>) -> Self {
        Self { came: rows.into_iter().take(MAX_COUNTED).collect(), ..Self::default() }
    }

    /// Somebody has come, for all to see.
    pub fn came(&mut self, subject: Subject, now: Timestamp) {
        match self.came.get(&subject) {
            Some(before) if now < before.plus(NOTED_EVERY) => return,
            Some(_) => {}
            None => {
                self.make_room(now);
                if self.came.len() >= MAX_COUNTED {
                    return;
                }
                self.changes += 1;
            }
        }
        self.came.insert(subject, now);
        self.changed.insert(subject, Some(now));
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.came.len() < MAX_COUNTED {
            return;
        }
        let lapsed: Vec<Subject> = self
            .came
            .iter()
            .filter(|(_, came)| has_lapsed(**came, now))
            .map(|(subject, _)| *subject)
            .collect();
        lapsed.into_iter().for_each(|subject| self.left(subject));
    }

    /// Somebody has left for good, for all to see.
    pub fn left(&mut self, subject: Subject) {
        if self.came.remove(&subject).is_some() {
            self.changes += 1;
            self.changed.insert(subject, None);
        }
    }

    /// How many they are of those whom `admits` lets in.
    pub fn count(&self, now: Timestamp, admits: impl Fn(Subject) -> bool) -> u64 {
        let counts = |(subject, came): &(&Subject, &Timestamp)| !has_lapsed(**came, now) && admits(**subject);
        self.came.iter().filter(counts).count() as u64
    }

    /// Another number means that others are counted.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// What is to be written since the last time.
    pub fn take_changed(&mut self) -> HashMap<Subject, Option<Timestamp>> {
        std::mem::take(&mut self.changed)
    }
}

fn has_lapsed(came: Timestamp, now: Timestamp) -> bool {
    now > came.plus(COUNTS_FOR)
}

fn key(channel: ChannelId, subject: Subject) -> Vec<u8> {
    [channel.0.as_bytes(), subject.to_string().as_bytes()].concat()
}

/// Those who were counted in a channel. What cannot be read is not counted: they are when they come again.
///
/// # Errors
/// When the store cannot be read.
pub async fn load(store: &Store, channel: ChannelId) -> Result<Counted, ReadError> {
    let prefix = KeyRange::prefix(channel.0.as_bytes());
    let rows =
        store.read(move |reader| reader.scan(MEMBERS, prefix, MAX_COUNTED, Direction::Forward)).await?;
    let parse = |(_, value): &(bytes::Bytes, bytes::Bytes)| {
        let Row { who, came } = serde_json::from_slice(value).ok()?;
        Some((who, came))
    };
    Ok(Counted::new(rows.iter().filter_map(parse)))
}

/// Writes what has changed.
///
/// # Errors
/// When it is not on disk, or not known to be.
pub async fn keep(
    store: &Store,
    channel: ChannelId,
    changed: HashMap<Subject, Option<Timestamp>>,
) -> Result<(), StoreError> {
    let write = store.write(move |transaction| {
        for (subject, came) in changed {
            let row = came.and_then(|came| serde_json::to_vec(&Row { who: subject, came }).ok());
            match row {
                Some(row) => transaction.put(MEMBERS, key(channel, subject), row),
                None => transaction.delete(MEMBERS, key(channel, subject)),
            }
        }
        Ok(())
    });
    write.await
}

#[cfg(test)]
mod tests {
    use common::id::AccountId;
    use common::identity::PeerKey;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn account() -> Subject {
        Subject::Account(AccountId::new())
    }

    #[test]
    fn who_has_come_counts_until_they_leave_or_are_long_away() {
        let (ken, ada, mut counted) = (account(), account(), Counted::default());
        counted.came(ken, NOW);
        counted.came(ada, NOW);
        counted.came(ken, NOW.plus(NOTED_EVERY / 2));
        assert_eq!((counted.count(NOW, |_| true), counted.changes()), (2, 2));
        assert_eq!(counted.count(NOW, |subject| subject == ken), 1);
        assert_eq!(counted.take_changed().len(), 2);
        let later = NOW.plus(COUNTS_FOR);
        counted.came(ken, later);
        assert_eq!(
            (counted.changes(), counted.take_changed().len()),
            (2, 1),
            "nobody else is counted by that"
        );
        assert_eq!(counted.count(later.plus(NOTED_EVERY), |_| true), 1);
        counted.left(ken);
        counted.left(ken);
        assert_eq!((counted.count(NOW, |_| true), counted.changes()), (1, 3));
        assert_eq!(counted.take_changed(), HashMap::from([(ken, None)]));
    }

    #[test]
    fn there_are_not_more_than_so_many_and_who_is_long_away_makes_room() {
        let guest = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            Subject::Guest(PeerKey::from_bytes(key))
        };
        let mut counted = Counted::new((0..MAX_COUNTED + 5).map(|n| (guest(n), NOW)));
        let ken = account();
        counted.came(ken, NOW);
        assert_eq!(counted.count(NOW, |_| true), MAX_COUNTED as u64);
        let later = NOW.plus(COUNTS_FOR + NOTED_EVERY);
        counted.came(ken, later);
        assert_eq!(counted.count(later, |_| true), 1);
    }
}
