//! Whether entries that somebody gives continue a log up to where its host has signed it. Pure.
//!
//! The chain is counted on from the last entry that is known to be true. What comes in is believed only when the chain
//! meets a place that was signed: up to there it is what it was, whoever gave it.

use std::collections::BTreeMap;

use common::entry::{Checkpoint, Hash, Header, Position, RawEntry};

/// Why what is given cannot be a part of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is not in order, or of another place.
    #[error("entry {found} stands where {expected} was expected")]
    Number {
        /// What its header says.
        found: u64,
        /// What it would have to be.
        expected: u64,
    },
    /// It does not hold together in itself.
    #[error("entry {0} does not hold together")]
    Entry(u64),
    /// The chain leads elsewhere than the host has signed.
    #[error(
        "it does not lead to entry {0} as this host has signed it: it is wrong, or this log has gone on from an older copy"
    )]
    OtherThanSigned(u64),
}

/// The end of a log that is being continued.
#[derive(Debug)]
pub struct Tail {
    proven: Position,
    at: Position,
    signed: BTreeMap<u64, Vec<Hash>>,
}

impl Tail {
    /// Goes on from a position that is true.
    pub fn new(proven: Position) -> Self {
        Self { proven, at: proven, signed: BTreeMap::new() }
    }

    /// Takes what the host has signed; whoever calls has checked the signature, and of which channel it is.
    pub fn sign(&mut self, checkpoint: &Checkpoint) {
        let Position { epoch, seq, hash } = checkpoint.position;
        if epoch == self.proven.epoch && seq > self.proven.seq {
            let hashes = self.signed.entry(seq).or_default();
            if !hashes.contains(&hash) {
                hashes.push(hash);
            }
        }
    }

    /// Up to where it is true.
    pub fn proven(&self) -> Position {
        self.proven
    }

    /// The last entry that was taken.
    pub fn at(&self) -> Position {
        self.at
    }

    /// The last place beyond what is true that the host has signed.
    pub fn goal(&self) -> Option<Position> {
        let (seq, hashes) = self.signed.last_key_value().filter(|(seq, _)| **seq > self.proven.seq)?;
        Some(Position { epoch: self.proven.epoch, seq: *seq, hash: *hashes.first()? })
    }

    /// Takes the next entry. When it returns, [`Self::proven`] may have moved up to it.
    ///
    /// # Errors
    /// When it cannot be the next. What was taken since the last true one is of no use then.
    pub fn take(&mut self, entry: &RawEntry) -> Result<Header, Wrong> {
        let seq = self.at.seq + 1;
        let header = entry.open().map_err(|_| Wrong::Entry(seq))?;
        if header.seq != seq {
            return Err(Wrong::Number { found: header.seq, expected: seq });
        }
        let at = Position { seq, hash: self.at.hash.next(&entry.header), ..self.at };
        if let Some(signed) = self.signed.get(&seq) {
            if !signed.contains(&at.hash) {
                return Err(Wrong::OtherThanSigned(seq));
            }
            self.proven = at;
        }
        self.at = at;
        Ok(header)
    }

    /// Forgets what was taken and is not proven.
    pub fn rewind(&mut self) {
        self.at = self.proven;
    }
}

#[cfg(test)]
mod tests {
    use common::clock::Timestamp;
    use common::id::{ChannelId, Epoch};
    use serde_json::value::RawValue;

    use super::*;
    use crate::testing::entry;

    /// A log of so many entries, and where each ends.
    fn log(count: u64) -> (Position, Vec<RawEntry>, Vec<Position>) {
        let (channel, epoch) = (ChannelId(uuid::Uuid::nil()), Epoch(uuid::Uuid::nil()));
        let start = Position::start(channel, epoch);
        let entries: Vec<_> = (1..=count).map(|seq| entry(seq, "a")).collect();
        let mut at = start;
        let positions = entries.iter().map(|entry| {
            at = Position { seq: at.seq + 1, hash: at.hash.next(&entry.header), ..at };
            at
        });
        let positions = positions.collect();
        (start, entries, positions)
    }

    fn signed(position: Position) -> Checkpoint {
        Checkpoint { channel: ChannelId(uuid::Uuid::nil()), position, time: Timestamp::from_millis(1) }
    }

    #[test]
    fn what_is_given_counts_up_to_where_the_host_has_signed() {
        let (start, entries, at) = log(5);
        let mut tail = Tail::new(start);
        for place in [at[2], at[0], at[2]] {
            tail.sign(&signed(place));
        }
        assert_eq!(tail.goal(), Some(at[2]));
        let proven: Vec<u64> = entries
            .iter()
            .map(|entry| {
                tail.take(entry).unwrap();
                tail.proven().seq
            })
            .collect();
        assert_eq!(proven, [1, 1, 3, 3, 3]);
        assert_eq!((tail.at(), tail.goal()), (at[4], None));
        tail.rewind();
        assert_eq!(tail.at(), at[2]);
    }

    #[test]
    fn what_is_forged_reordered_or_of_another_log_is_noticed() {
        let (start, entries, at) = log(3);
        let body = RawValue::from_string(r#"{"text":"b"}"#.to_owned()).unwrap();
        let changed = RawEntry { body: Some(body), ..entries[0].clone() };
        let other = entry(2, "a forged one");
        let cases: [(&str, Vec<&RawEntry>, Wrong); 5] = [
            ("a body", vec![&changed], Wrong::Entry(1)),
            ("reordered", vec![&entries[1]], Wrong::Number { found: 2, expected: 1 }),
            ("repeated", vec![&entries[0], &entries[0]], Wrong::Number { found: 1, expected: 2 }),
            ("left out", vec![&entries[0], &entries[2]], Wrong::Number { found: 3, expected: 2 }),
            ("forged", vec![&entries[0], &other, &entries[2]], Wrong::OtherThanSigned(3)),
        ];
        for (what, given, expected) in cases {
            let mut tail = Tail::new(start);
            tail.sign(&signed(at[2]));
            let outcome = given.into_iter().try_for_each(|entry| tail.take(entry).map(drop));
            assert_eq!(outcome, Err(expected), "{what}");
            assert_eq!(tail.proven(), start, "{what}");
        }
        // Entries of another channel are chained to another beginning.
        let elsewhere = Position::start(ChannelId(uuid::Uuid::nil()), Epoch::new());
        let mut tail = Tail::new(Position { epoch: start.epoch, ..elsewhere });
        tail.sign(&signed(at[0]));
        assert_eq!(tail.take(&entries[0]), Err(Wrong::OtherThanSigned(1)));
    }

    #[test]
    fn what_was_signed_of_another_life_of_the_log_or_of_what_is_there_is_nothing_new() {
        let (start, entries, at) = log(2);
        let mut tail = Tail::new(at[0]);
        tail.sign(&signed(at[0]));
        tail.sign(&signed(Position { epoch: Epoch::new(), ..at[1] }));
        assert_eq!(tail.goal(), None);
        // An erased body leaves the chain as it was.
        tail.sign(&signed(at[1]));
        tail.take(&RawEntry { body: None, ..entries[1].clone() }).unwrap();
        assert_eq!(tail.proven(), at[1]);
        assert_ne!(tail.proven(), start);
    }
}
