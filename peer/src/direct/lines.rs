//! Which connection to a device stays, when there are two. Pure.

use std::collections::HashMap;

use common::identity::PeerKey;

/// A connection of this process, numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

#[derive(Clone, Copy, Debug)]
struct Line {
    conn: ConnId,
    opened_by: PeerKey,
}

/// The connections over which messages may go, one a device.
#[derive(Debug)]
pub struct Lines {
    me: PeerKey,
    lines: HashMap<PeerKey, Line>,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the one.
    Taken,
    /// It is the one, and this older one is to be closed.
    Replaces(ConnId),
    /// The older one stays, and this one is to be closed.
    Refused,
}

impl Lines {
    /// None yet, for the device with this key.
    pub fn new(me: PeerKey) -> Self {
        Self { me, lines: HashMap::new() }
    }

    /// A connection to a device is open. Of two the one opened by the lower key stays, so that both sides close the same
    /// one; of two opened by the same the newer, since the older may be dead without anybody having noticed.
    pub fn open(&mut self, other: PeerKey, conn: ConnId, is_dialled: bool) -> Place {
        let line = Line { conn, opened_by: if is_dialled { self.me } else { other } };
        match self.lines.get(&other).copied() {
            Some(older) if older.opened_by < line.opened_by => Place::Refused,
            older => {
                self.lines.insert(other, line);
                older.map_or(Place::Taken, |older| Place::Replaces(older.conn))
            }
        }
    }

    /// The connection to a device.
    pub fn get(&self, other: PeerKey) -> Option<ConnId> {
        self.lines.get(&other).map(|line| line.conn)
    }

    /// A connection has ended. Whether it was the one.
    pub fn close(&mut self, other: PeerKey, conn: ConnId) -> bool {
        let was_it = self.get(other) == Some(conn);
        if was_it {
            self.lines.remove(&other);
        }
        was_it
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> PeerKey {
        PeerKey::from_bytes([number; 32])
    }

    #[test]
    fn of_two_connections_both_sides_keep_the_one_of_the_lower_key() {
        // The connections 1, opened by the lower key, and 2, opened by the higher, are seen in any order.
        for order in [[1, 2], [2, 1]] {
            let (mut low, mut high) = (Lines::new(key(1)), Lines::new(key(2)));
            for conn in order {
                low.open(key(2), ConnId(conn), conn == 1);
            }
            for conn in order.into_iter().rev() {
                high.open(key(1), ConnId(conn), conn == 2);
            }
            assert_eq!((low.get(key(2)), high.get(key(1))), (Some(ConnId(1)), Some(ConnId(1))), "{order:?}");
        }
    }

    #[test]
    fn a_newer_connection_of_the_same_side_replaces_the_older() {
        let mut lines = Lines::new(key(1));
        assert_eq!(lines.open(key(2), ConnId(1), false), Place::Taken);
        assert_eq!(lines.open(key(2), ConnId(2), false), Place::Replaces(ConnId(1)));
        assert!(!lines.close(key(2), ConnId(1)) && lines.get(key(2)) == Some(ConnId(2)));
        assert_eq!(lines.open(key(2), ConnId(3), true), Place::Replaces(ConnId(2)));
        assert_eq!(lines.open(key(2), ConnId(4), false), Place::Refused);
        assert!(lines.close(key(2), ConnId(3)) && lines.get(key(2)).is_none());
        assert_eq!(lines.open(key(2), ConnId(5), false), Place::Taken);
    }

    /// The connections of both openers, in the order in which one side sees them: each opener's stay in their order.
    fn seen(by_low: &[ConnId], by_high: &[ConnId], choices: &[bool]) -> Vec<(ConnId, bool)> {
        let (mut low, mut high) = (by_low.iter().copied(), by_high.iter().copied());
        let mut seen = Vec::new();
        for is_low in choices {
            let next = if *is_low { low.next() } else { high.next() };
            seen.extend(next.map(|conn| (conn, *is_low)));
        }
        seen.extend(low.map(|conn| (conn, true)));
        seen.extend(high.map(|conn| (conn, false)));
        seen
    }

    proptest! {
        #[test]
        fn whatever_comes_first_both_sides_end_with_the_same_connection(
            lows in 0..4_u64, highs in 0..4_u64,
            at_low in prop::collection::vec(any::<bool>(), 0..8), at_high in prop::collection::vec(any::<bool>(), 0..8),
        ) {
            let by_low: Vec<ConnId> = (0..lows).map(ConnId).collect();
            let by_high: Vec<ConnId> = (10..10 + highs).map(ConnId).collect();
            let (mut low, mut high) = (Lines::new(key(1)), Lines::new(key(2)));
            for (conn, is_by_low) in seen(&by_low, &by_high, &at_low) {
                low.open(key(2), conn, is_by_low);
            }
            for (conn, is_by_low) in seen(&by_low, &by_high, &at_high) {
                high.open(key(1), conn, !is_by_low);
            }
            prop_assert_eq!(low.get(key(2)), high.get(key(1)));
            prop_assert_eq!(low.get(key(2)), by_low.last().or(by_high.last()).copied());
        }
    }
}
