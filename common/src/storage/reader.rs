//! Reading without waiting for the committer.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::WeakSender;

use super::committer::Command;
use super::error::ReadError;
use super::slot::Slot;
use super::table::{Direction, KeyRange, Table};
use super::view::{Entry, Overlay, View};

/// Reads a store from a thread that may block. It does not keep the store open.
///
/// A read may see what is written but not flushed yet, and what a failed disk then takes back: whoever tells
/// others what it read first bounds it by what it knows to be on disk, such as the last answered `seq`. Two
/// reads, or the beginning and the end of a scan, may have a write between them; what has to be one picture is
/// read in a write job.
#[derive(Clone)]
pub struct Reader {
    slot: Arc<Slot>,
    commands: WeakSender<Command>,
}

impl Reader {
    pub(super) fn new(slot: Arc<Slot>, commands: WeakSender<Command>) -> Self {
        Self { slot, commands }
    }

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: if the disk cannot be read, or the store is closed.
    pub fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, ReadError> {
        self.with(|view| view.get(table, key.as_ref()))
    }

    /// Up to `limit` keys of `range` with their values, in order from the end that `direction` says.
    ///
    /// # Errors
    ///
    /// As [`Reader::get`].
    pub fn scan(
        &self,
        table: Table,
        range: impl Into<KeyRange>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Entry>, ReadError> {
        self.with(|view| view.scan(table, &range.into(), limit, direction))
    }

    /// Calls `each` with the keys of `range` and their values, in order, until it breaks.
    ///
    /// The database cannot be opened again meanwhile: what takes long reads page by page instead.
    ///
    /// # Errors
    ///
    /// As [`Reader::get`].
    pub fn visit(
        &self,
        table: Table,
        range: impl Into<KeyRange>,
        direction: Direction,
        each: impl FnMut(Bytes, Bytes) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.with(|view| view.visit(table, &range.into(), direction, each))
    }

    fn with<T>(&self, work: impl FnOnce(View<'_>) -> Result<T, ReadError>) -> Result<T, ReadError> {
        match self.slot.get() {
            Ok(db) => work(View { stored: &db, written: &Overlay::new() }),
            Err(error) => {
                // Full or closed, the committer has more to do than this, or nothing any more.
                if let Some(commands) = self.commands.upgrade() {
                    let _ = commands.try_send(Command::Reopen);
                }
                Err(error)
            }
        }
    }
}
