//! Where a stream of entries is, and whether what comes next continues it. Pure.

use common::entry::{Hash, Header, Position, RawEntry};
use common::id::ChannelId;

/// The place of the last entry that came over the present connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    at: Option<Position>,
}

/// What an entry is to the client that receives it.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The next one.
    Next(Box<Header>),
    /// It was received before.
    Repeat,
    /// Entries are missing before it, or it does not hold together: the connection is not to be trusted further.
    Broken(String),
}

impl Progress {
    /// The stream begins after this place.
    pub fn at(after: Position) -> Self {
        Self { at: Some(after) }
    }

    /// The last entry that came.
    pub fn position(&self) -> Option<Position> {
        self.at
    }

    /// Takes the next entry of the stream.
    pub fn receive(&mut self, entry: &RawEntry) -> Received {
        let Some(at) = &mut self.at else {
            return Received::Broken("an entry came before the answer to CONNECT".into());
        };
        let header = match entry.open() {
            Ok(header) => header,
            Err(error) => return Received::Broken(error.to_string()),
        };
        if header.seq <= at.seq {
            return Received::Repeat;
        }
        if header.seq != at.seq + 1 {
            return Received::Broken(format!("entry {} came after entry {}", header.seq, at.seq));
        }
        at.seq = header.seq;
        at.hash = at.hash.next(&entry.header);
        Received::Next(Box::new(header))
    }

    /// Whether the chain of hashes leads to what the host said of its log's head, where both are at the same entry.
    pub fn agrees(&self, head: &Position) -> bool {
        self.at.is_none_or(|at| at.epoch != head.epoch || at.seq != head.seq || at.hash == head.hash)
    }
}

/// Whether `position` can be the beginning of a stream in this channel.
pub fn is_possible(position: &Position, channel: ChannelId) -> bool {
    position.seq > 0 || position.hash == Hash::root(channel, position.epoch)
}

#[cfg(test)]
mod tests {
    use common::id::Epoch;
    use serde_json::value::RawValue;

    use super::*;
    use crate::testing::entry;

    fn entries(count: u64) -> Vec<RawEntry> {
        (1..=count).map(|seq| entry(seq, "a")).collect()
    }

    #[test]
    fn entries_are_taken_once_in_order_and_the_chain_leads_to_the_head() {
        let (channel, epoch) = (ChannelId::new(), Epoch::new());
        let log = entries(3);
        let mut progress = Progress::at(Position::start(channel, epoch));
        let mut head = Position::start(channel, epoch);
        for entry in &log {
            assert!(matches!(progress.receive(entry), Received::Next(_)));
            assert_eq!(progress.receive(entry), Received::Repeat);
            head = Position { epoch, seq: head.seq + 1, hash: head.hash.next(&entry.header) };
        }
        assert!(progress.agrees(&head));
        assert!(!progress.agrees(&Position { hash: Hash::of(b"other"), ..head }));
        assert_eq!(progress.position(), Some(head));
    }

    #[test]
    fn a_gap_and_a_changed_entry_are_noticed() {
        let log = entries(3);
        assert!(matches!(Progress::default().receive(&log[0]), Received::Broken(_)));
        let mut progress = Progress::at(Position::start(ChannelId::new(), Epoch::new()));
        assert!(matches!(progress.receive(&log[1]), Received::Broken(_)));
        let mut changed = log[0].clone();
        changed.body = log[0].body.as_ref().map(|_| RawValue::from_string(r#"{"text":"b"}"#.into()).unwrap());
        assert!(matches!(progress.receive(&changed), Received::Broken(_)));
    }
}
