//! What a simulated client keeps on its disk.

use std::collections::BTreeMap;

use common::entry::RawEntry;
use common::entry::erasure::Erasure;
use common::id::{ChannelId, Epoch, MessageId};

use super::Planted;
use super::disk::Files;
use crate::client::archive::intervals::Intervals;
use crate::client::archive::{Batch, Kept, Loaded};
use crate::client::outbox::Item;
use crate::client::state::KeptClient;
use crate::pace::{KeptPace, Tried};
use crate::store::KnownChannel;

/// What a client keeps.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    pub channel: KnownChannel,
    pub outbox: BTreeMap<u64, Item>,
    paces: BTreeMap<Vec<u8>, KeptPace>,
    pub entries: BTreeMap<u64, Kept>,
    erasures: BTreeMap<u64, Erasure>,
    archive: Option<(Epoch, Intervals, u64)>,
}

#[derive(Clone, Debug)]
pub enum Job {
    Item(Box<Item>, Then),
    Drop(u64, Then),
    Batch { batch: Box<Batch>, generation: u64, since: u64 },
    Channel(Box<KnownChannel>),
    Pace(Tried, Option<KeptPace>),
}

/// Who waits for a job.
#[derive(Clone, Debug)]
pub enum Then {
    Nobody,
    New(MessageId),
    Changed { is_awaited: bool },
    Noted,
}

impl ClientFiles {
    pub fn new(channel: KnownChannel) -> Self {
        Self {
            channel,
            outbox: BTreeMap::new(),
            paces: BTreeMap::new(),
            entries: BTreeMap::new(),
            erasures: BTreeMap::new(),
            archive: None,
        }
    }

    pub fn intervals(&self) -> Intervals {
        self.archive.as_ref().map(|(_, intervals, _)| intervals.clone()).unwrap_or_default()
    }

    pub fn entry(&self, seq: u64) -> Option<RawEntry> {
        self.entries.get(&seq)?.entry().ok()
    }

    pub fn load(&self, id: ChannelId, planted: Option<Planted>) -> KeptClient {
        let is_kept = planted != Some(Planted::OutboxForgotten);
        let archive = self.archive.clone();
        KeptClient {
            channel: self.channel.clone(),
            archive: archive.map(|(epoch, intervals, shown)| Loaded { epoch, intervals, shown }),
            outbox: self.outbox.values().filter(|_| is_kept).cloned().collect(),
            connecting: self.paces.get(&Tried::Channel(id).key()).cloned(),
            sending: self.paces.get(&Tried::Outbox(id).key()).cloned(),
        }
    }
}

impl ClientFiles {
    fn put(&mut self, kept: &Kept) {
        let erasure = self.erasures.get(&kept.seq);
        let left = erasure.and_then(|erasure| kept.without_body(erasure).ok().flatten());
        self.entries.insert(kept.seq, left.unwrap_or_else(|| kept.clone()));
    }
}

impl Files for ClientFiles {
    type Job = Job;

    fn apply(&mut self, job: &Job) -> bool {
        match job {
            Job::Item(item, _) => drop(self.outbox.insert(item.number, (**item).clone())),
            Job::Drop(number, _) => drop(self.outbox.remove(number)),
            Job::Batch { batch, .. } => {
                for kept in &batch.entries {
                    self.put(kept);
                }
                for erasure in &batch.erasures {
                    self.erasures.insert(erasure.seq, *erasure);
                    if let Some(kept) = self.entries.get(&erasure.seq).cloned() {
                        self.put(&kept);
                    }
                }
                self.archive = Some((batch.epoch, batch.intervals.clone(), batch.shown));
            }
            Job::Channel(channel) => self.channel = (**channel).clone(),
            Job::Pace(tried, Some(kept)) => drop(self.paces.insert(tried.key(), kept.clone())),
            Job::Pace(tried, None) => drop(self.paces.remove(&tried.key())),
        }
        true
    }
}
