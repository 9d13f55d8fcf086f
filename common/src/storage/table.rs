//! Named tables, and ranges of keys in them.
//!
//! sled writes atomically within one tree only, so all tables live in one: a key is preceded by the name of
//! its table and a zero byte, which no name has.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::limits::MAX_TABLE_NAME_BYTES;

/// A named set of keys and values of a store; made as a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    name: &'static str,
}

impl Table {
    /// The table `name`: lower-case letters, digits and `_`. It is stored: a renamed table is another one.
    ///
    /// # Panics
    ///
    /// If the name has anything else in it, or is empty or too long; in a constant, already when compiled.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= MAX_TABLE_NAME_BYTES, "a table has a short name");
        let mut at = 0;
        while at < bytes.len() {
            assert!(matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'_'), "a table is named a-z, 0-9, _");
            at += 1;
        }
        Self { name }
    }

    /// The key as sled has it.
    pub(super) fn full_key(self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::with_capacity(self.prefix_len() + key.len());
        full.extend_from_slice(self.name.as_bytes());
        full.push(0);
        full.extend_from_slice(key);
        full
    }

    /// How much of a full key is the table's.
    pub(super) const fn prefix_len(self) -> usize {
        self.name.len() + 1
    }

    /// After all keys of the table, and before those of any other.
    fn end(self) -> Vec<u8> {
        let mut end = self.name.as_bytes().to_vec();
        end.push(1);
        end
    }
}

/// The ends of a range of full keys.
pub(super) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Which keys of a table, in the order of their bytes: from a Rust range of keys, or by a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
}

impl KeyRange {
    /// All keys of the table.
    pub const ALL: Self = Self { from: Bound::Unbounded, to: Bound::Unbounded };

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        let to = match prefix.iter().rposition(|byte| *byte < u8::MAX) {
            Some(last) => {
                let mut after = prefix[..=last].to_vec();
                after[last] += 1;
                Bound::Excluded(after)
            }
            None => Bound::Unbounded,
        };
        Self { from: Bound::Included(prefix.to_vec()), to }
    }

    /// The bounds as sled has them; `None` if no key can be in the range.
    pub(super) fn within(&self, table: Table) -> Option<Bounds> {
        let full = |key: &Vec<u8>| table.full_key(key);
        let from = match &self.from {
            Bound::Unbounded => Bound::Included(table.full_key(&[])),
            bound => bound.as_ref().map(full),
        };
        let to = match &self.to {
            Bound::Unbounded => Bound::Excluded(table.end()),
            bound => bound.as_ref().map(full),
        };
        let filled = match (&from, &to) {
            (Bound::Included(from), Bound::Included(to)) => from <= to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from < to
            }
            _ => true,
        };
        filled.then_some((from, to))
    }
}

impl From<RangeFull> for KeyRange {
    fn from(_: RangeFull) -> Self {
        Self::ALL
    }
}

macro_rules! from_range {
    ($($range:ident),*) => {$(
        impl<K: AsRef<[u8]>> From<$range<K>> for KeyRange {
            fn from(range: $range<K>) -> Self {
                use std::ops::RangeBounds;
                let own = |key: &K| key.as_ref().to_vec();
                Self { from: range.start_bound().map(own), to: range.end_bound().map(own) }
            }
        }
    )*};
}
from_range!(Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive);

impl<K: AsRef<[u8]>> From<(Bound<K>, Bound<K>)> for KeyRange {
    fn from((from, to): (Bound<K>, Bound<K>)) -> Self {
        let own = |key: K| key.as_ref().to_vec();
        Self { from: from.map(own), to: to.map(own) }
    }
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Backward,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table::new("t");

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        let cases: [(&[u8], Bound<Vec<u8>>); 4] = [
            (b"ab", Bound::Excluded(b"ac".to_vec())),
            (b"a\xff", Bound::Excluded(b"b".to_vec())),
            (b"\xff\xff", Bound::Unbounded),
            (b"", Bound::Unbounded),
        ];
        for (prefix, to) in cases {
            assert_eq!(KeyRange::prefix(prefix), KeyRange { from: Bound::Included(prefix.to_vec()), to });
        }
    }

    #[test]
    fn no_key_is_in_a_range_that_ends_before_it_begins() {
        assert_eq!(KeyRange::from("b".."a").within(TABLE), None);
        assert_eq!(KeyRange::from("a".."a").within(TABLE), None);
        assert!(KeyRange::from("a"..="a").within(TABLE).is_some());
        let between = (Bound::Excluded("a"), Bound::Excluded("a"));
        assert_eq!(KeyRange::from(between).within(TABLE), None);
    }

    #[test]
    #[should_panic(expected = "a-z")]
    fn a_table_has_a_plain_name() {
        Table::new("a\0b");
    }
}
