//! The log on the simulated host's disk.

use std::collections::BTreeMap;

use common::entry::{Header, Position, RawEntry};
use common::id::{ChannelId, Epoch, MessageId, RequestId, Subject};
use common::proto::channel::Stored;

use super::disk::Files;
use crate::host::channel::{Batch, Content, Known, NewEntry};

/// The log on the host's disk.
#[derive(Clone, Debug)]
pub struct LogFile {
    start: Position,
    pub entries: Vec<NewEntry>,
    ids: BTreeMap<MessageId, usize>,
}

#[derive(Clone, Debug)]
pub enum Job {
    Append(Batch),
    Recover { known: Position },
    Stored { wire: u64, request: RequestId, ids: Vec<MessageId>, writer: Subject },
}

impl LogFile {
    pub fn new(channel: ChannelId, epoch: Epoch) -> Self {
        Self { start: Position::start(channel, epoch), entries: Vec::new(), ids: BTreeMap::new() }
    }

    pub fn head(&self) -> Position {
        self.entries.last().map_or(self.start, |entry| entry.position)
    }

    pub fn position_at(&self, seq: u64) -> Option<Position> {
        match seq.checked_sub(1) {
            None => Some(self.start),
            Some(index) => self.entries.get(index as usize).map(|entry| entry.position),
        }
    }

    pub fn find(&self, id: MessageId) -> Option<Known> {
        let entry = &self.entries[*self.ids.get(&id)?];
        let header = RawEntry::from_bytes(&entry.bytes).ok()?.open().ok()?;
        let stored = Stored { seq: header.seq, stored_at: header.stored_at };
        Some(Known { stored, content: Content::from(&header) })
    }

    pub fn header_at(&self, seq: u64) -> Option<Header> {
        let entry = self.entries.get(seq.checked_sub(1)? as usize)?;
        RawEntry::from_bytes(&entry.bytes).ok()?.open().ok()
    }

    pub fn has(&self, id: MessageId, seq: u64) -> bool {
        self.ids.get(&id).is_some_and(|index| *index as u64 + 1 == seq)
    }
}

impl Files for LogFile {
    type Job = Job;

    fn apply(&mut self, job: &Job) -> bool {
        let Job::Append(batch) = job else { return true };
        if self.head() != batch.after {
            return false;
        }
        for entry in batch.entries.iter() {
            self.ids.insert(entry.id, self.entries.len());
            self.entries.push(entry.clone());
            if let Some(erasure) = entry.erases
                && let Some(target) = self.entries.get_mut(erasure.seq as usize - 1)
                && let Ok(Some(left)) = erasure.left_of(&target.bytes)
            {
                target.bytes = left;
            }
        }
        true
    }
}
