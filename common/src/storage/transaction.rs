//! What a write job works with.

use bytes::Bytes;
use std::ops::ControlFlow;

use super::error::ReadError;
use super::limits::{MAX_JOB_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use super::table::{Direction, KeyRange, Table};
use super::view::{Entry, Overlay, View};

/// What a write job reads and writes. It sees the writes of all jobs before it, and its own.
///
/// Its own writes, in whatever tables, happen together or not at all, across a crash too.
pub struct Transaction<'a> {
    stored: &'a sled::Tree,
    written: &'a mut Overlay,
    /// What this job replaced in the overlay, in order; `None` where there was nothing.
    undo: Vec<(Vec<u8>, Option<Option<Bytes>>)>,
    bytes: usize,
    too_large: Option<TooLarge>,
}

/// More bytes than the limit for them.
#[derive(Clone, Copy)]
pub(super) struct TooLarge {
    pub bytes: usize,
    pub limit: usize,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(stored: &'a sled::Tree, written: &'a mut Overlay) -> Self {
        Self { stored, written, undo: Vec::new(), bytes: 0, too_large: None }
    }

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    ///
    /// If the disk cannot be read; `?` then ends the job, and nothing of it is written.
    pub fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, ReadError> {
        self.view().get(table, key.as_ref())
    }

    /// Up to `limit` keys of `range` with their values, in order from the end that `direction` says.
    ///
    /// # Errors
    ///
    /// As [`Transaction::get`].
    pub fn scan(
        &self,
        table: Table,
        range: impl Into<KeyRange>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Entry>, ReadError> {
        self.view().scan(table, &range.into(), limit, direction)
    }

    /// Calls `each` with the keys of `range` and their values, in order, until it breaks.
    ///
    /// # Errors
    ///
    /// As [`Transaction::get`].
    pub fn visit(
        &self,
        table: Table,
        range: impl Into<KeyRange>,
        direction: Direction,
        each: impl FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.view().visit(table, &range.into(), direction, each)
    }

    /// Gives `key` the value `value`.
    ///
    /// A key over [`MAX_KEY_BYTES`], a value over [`MAX_VALUE_BYTES`] or a job over [`MAX_JOB_BYTES`] is not
    /// written: the whole job is then answered `TooLarge`, whatever it returns.
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl Into<Bytes>) {
        self.write(table, key.as_ref(), Some(value.into()));
    }

    /// Removes `key`, whether or not it is there.
    pub fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        self.write(table, key.as_ref(), None);
    }

    fn write(&mut self, table: Table, key: &[u8], value: Option<Bytes>) {
        let value_len = value.as_ref().map_or(0, Bytes::len);
        self.bytes += key.len() + value_len;
        let sizes = [(key.len(), MAX_KEY_BYTES), (value_len, MAX_VALUE_BYTES), (self.bytes, MAX_JOB_BYTES)];
        if let Some((bytes, limit)) = sizes.into_iter().find(|(bytes, limit)| bytes > limit) {
            self.too_large.get_or_insert(TooLarge { bytes, limit });
            return;
        }
        let key = table.full_key(key);
        let before = self.written.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    fn view(&self) -> View<'_> {
        View { stored: self.stored, written: self.written }
    }

    pub(super) fn too_large(&self) -> Option<TooLarge> {
        self.too_large
    }

    /// Keeps what the job wrote; answers how many bytes.
    pub(super) fn keep(self) -> usize {
        self.bytes
    }

    /// Takes back what the job wrote, and leaves what others did.
    pub(super) fn take_back(self) {
        for (key, before) in self.undo.into_iter().rev() {
            match before {
                Some(value) => self.written.insert(key, value),
                None => self.written.remove(&key),
            };
        }
    }
}
