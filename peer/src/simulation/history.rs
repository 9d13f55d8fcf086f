//! What users and hosts were promised, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};

use common::entry::RawEntry;
use common::id::MessageId;

use crate::api::OutgoingState;
use crate::host::channel::NewEntry;

/// What cannot be.
#[derive(Debug)]
pub struct Violation(pub String);

pub type Checked = Result<(), Violation>;

pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation(what())) }
}

/// One thing that a user wrote, whatever it was changed to.
#[derive(Debug, Default)]
pub struct Place {
    pub client: usize,
    /// Its texts by id, in the order of the edits.
    pub versions: Vec<(MessageId, String)>,
    /// The user was told that it is on disk.
    pub queued: bool,
    /// The user was told that it will not be sent.
    pub cancelled: bool,
    /// A cancel was wished, which may have been done without anybody being told.
    pub may_be_cancelled: bool,
    /// These were told to be another text now.
    pub replaced: BTreeSet<MessageId>,
    pub stored: Option<u64>,
}

/// All that was promised.
#[derive(Debug, Default)]
pub struct History {
    pub places: Vec<Place>,
    by_id: BTreeMap<MessageId, usize>,
    /// What was shown, for each client and each of its lives.
    shown: BTreeMap<(usize, u64), Vec<u64>>,
    /// What need not be shown: what was before the first stream, and what was left out for being too much.
    pub excused: BTreeMap<usize, Vec<(u64, u64)>>,
}

impl History {
    pub fn wrote(&mut self, client: usize, id: MessageId, text: String) {
        self.by_id.insert(id, self.places.len());
        self.places.push(Place { client, versions: vec![(id, text)], ..Place::default() });
    }

    pub fn place(&mut self, id: MessageId) -> Option<&mut Place> {
        self.by_id.get(&id).map(|place| &mut self.places[*place])
    }

    /// The user wants another text.
    pub fn edits(&mut self, id: MessageId, new: MessageId, text: String) {
        if let Some(place) = self.by_id.get(&id).copied() {
            self.by_id.insert(new, place);
            self.places[place].versions.push((new, text));
        }
    }

    /// A user was told of a message.
    pub fn told(&mut self, id: MessageId, state: OutgoingState, seq: Option<u64>) -> Checked {
        let Some(place) = self.place(id) else { return ensure(false, || format!("{id} was never written")) };
        match state {
            OutgoingState::Queued => place.queued = true,
            OutgoingState::Cancelled => place.cancelled = true,
            OutgoingState::Edited => drop(place.replaced.insert(id)),
            OutgoingState::Stored => {
                let known = place.stored.or(seq);
                place.stored = known;
                ensure(known == seq, || format!("{id} was stored as {known:?}, and then as {seq:?}"))?;
            }
            OutgoingState::Sending | OutgoingState::Refused => {}
        }
        Ok(())
    }

    /// Somebody saw an entry.
    pub fn saw(&mut self, client: usize, life: u64, seq: u64) -> Checked {
        let seen = self.shown.entry((client, life)).or_default();
        let last = seen.last().copied();
        seen.push(seq);
        ensure(last.is_none_or(|last| last < seq), || {
            format!("client {client} saw {seq} after {last:?} in one life")
        })
    }

    /// Checks the host's log against all that was said.
    pub fn check_log(&self, log: &[NewEntry], is_end: bool) -> Checked {
        let mut seen: BTreeMap<usize, (u64, MessageId)> = BTreeMap::new();
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        let erased: BTreeSet<u64> =
            log.iter().filter_map(|entry| entry.erases.map(|erasure| erasure.seq)).collect();
        for (index, entry) in log.iter().enumerate() {
            let seq = index as u64 + 1;
            ensure(entry.position.seq == seq, || format!("entry {seq} of the log is {:?}", entry.position))?;
            if entry.erases.is_some() {
                continue;
            }
            let place = self.by_id.get(&entry.id).copied();
            let Some(number) = place else { return ensure(false, || format!("{seq} was never written")) };
            let place = &self.places[number];
            let twice = seen.insert(number, (seq, entry.id));
            ensure(twice.is_none(), || format!("{} is in the log twice: {twice:?} and {seq}", entry.id))?;
            let before = last.insert(place.client, number);
            ensure(before.is_none_or(|before| before < number), || {
                format!("client {}: message {number} overtook {before:?} as entry {seq}", place.client)
            })?;
            let raw = RawEntry::from_bytes(&entry.bytes).ok();
            let written = place.versions.iter().find(|(id, _)| *id == entry.id).map(|(_, text)| text.clone());
            if erased.contains(&seq) {
                ensure(raw.is_some_and(|raw| raw.body.is_none()), || format!("entry {seq} is not erased"))?;
            } else {
                let text = raw.and_then(|raw| raw.text());
                ensure(text == written, || format!("entry {seq} has another text than was written"))?;
            }
            ensure(!place.cancelled, || format!("message {number} was told cancelled, and is entry {seq}"))?;
            ensure(!place.replaced.contains(&entry.id), || format!("entry {seq} was told replaced"))?;
        }
        for (number, place) in self.places.iter().enumerate() {
            let found = seen.get(&number).map(|(seq, _)| *seq);
            if let Some(stored) = place.stored {
                ensure(found == Some(stored), || {
                    format!("message {number} was told stored as {stored}, and is {found:?}")
                })?;
            }
            let owed = is_end && place.queued && !place.cancelled && !place.may_be_cancelled;
            ensure(!owed || found.is_some(), || {
                format!("message {number} was queued, and is lost: {place:?}")
            })?;
        }
        Ok(())
    }

    /// Checks that everybody has seen all there was.
    pub fn check_shown(&self, client: usize, head: u64) -> Checked {
        let mut seen: BTreeSet<u64> = BTreeSet::new();
        for ((_, _), entries) in self.shown.iter().filter(|((of, _), _)| *of == client) {
            seen.extend(entries);
        }
        let excused = self.excused.get(&client).map_or(&[][..], Vec::as_slice);
        for seq in 1..=head {
            let is_excused = excused.iter().any(|(after, upto)| (after + 1..=*upto).contains(&seq));
            ensure(is_excused || seen.contains(&seq), || {
                format!("client {client} never saw {seq} of {head}")
            })?;
        }
        Ok(())
    }
}
