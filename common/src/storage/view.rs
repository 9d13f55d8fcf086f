//! What is stored, seen through writes that are not yet applied.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::ReadError;
use super::table::{Direction, KeyRange, Table};

/// Writes not yet applied, by full key; `None` removes the key.
pub(super) type Overlay = BTreeMap<Vec<u8>, Option<Bytes>>;

/// A key, without its table, and its value.
pub type Entry = (Bytes, Bytes);

type Stored<'a> = Box<dyn Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + 'a>;
type Written<'a> = Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Option<Bytes>)> + 'a>;

/// The database with an overlay on top.
pub(super) struct View<'a> {
    pub stored: &'a sled::Tree,
    pub written: &'a Overlay,
}

impl View<'_> {
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let key = table.full_key(key);
        if let Some(written) = self.written.get(&key) {
            return Ok(written.clone());
        }
        Ok(self.stored.get(&key).map_err(ReadError::failed)?.map(Bytes::from_owner))
    }

    pub fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.visit(table, range, direction, |key, value| {
            found.push((key, value));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    pub fn visit(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        mut each: impl FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let Some(bounds) = range.within(table) else {
            return Ok(());
        };
        let stored = self.stored.range::<Vec<u8>, _>(bounds.clone());
        let written = self.written.range::<Vec<u8>, _>(bounds);
        let (stored, written): (Stored<'_>, Written<'_>) = match direction {
            Direction::Forward => (Box::new(stored), Box::new(written)),
            Direction::Backward => (Box::new(stored.rev()), Box::new(written.rev())),
        };
        let mut merged = Merged {
            stored: stored.peekable(),
            written: written.peekable(),
            backward: direction == Direction::Backward,
        };
        while let Some((key, value)) = merged.next_entry()? {
            if each(key.slice(table.prefix_len()..), value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Two sorted sources as one; where both have a key, the written one counts.
struct Merged<'a> {
    stored: Peekable<Stored<'a>>,
    written: Peekable<Written<'a>>,
    backward: bool,
}

impl Merged<'_> {
    fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            // An iterator of sled answers the same error for ever: the first one ends it.
            if let Some(Err(error)) = self.stored.next_if(Result::is_err) {
                return Err(ReadError::failed(error));
            }
            let Some(from_written) = self.written_is_next() else {
                return Ok(None);
            };
            if !from_written {
                let next = self.stored.next().transpose().map_err(ReadError::failed)?;
                return Ok(next.map(|(key, value)| (Bytes::from_owner(key), Bytes::from_owner(value))));
            }
            if let Some((key, Some(value))) = self.written.next() {
                return Ok(Some((Bytes::copy_from_slice(key), value.clone())));
            }
        }
    }

    /// Whether the next key is a written one, whose stored value is then skipped; `None` at the end.
    fn written_is_next(&mut self) -> Option<bool> {
        let Some((written, _)) = self.written.peek() else {
            return self.stored.peek().map(|_| false);
        };
        let Some(Ok((stored, _))) = self.stored.peek() else {
            return Some(true);
        };
        let order = stored.as_ref().cmp(written.as_slice());
        let order = if self.backward { order.reverse() } else { order };
        if order.is_eq() {
            self.stored.next();
        }
        Some(order.is_ge())
    }
}
