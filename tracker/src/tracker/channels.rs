//! The tracker's own copy of the list of channels: to look in, not to decide from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::name::ChannelName;
use common::proto::directory::{ChannelHead, Listed, Listing};
use common::proto::limits::{MAX_PAGE_BYTES, MAX_PAGE_ROWS};
use common::proto::policy::Holder;

use super::heads::{Heard, WasFurther};
use super::pattern::Pattern;
use crate::limits::MAX_LIST_SCAN;
use crate::store::directory::{Revision, Row};
use crate::store::schema::ChannelRow;

/// All channels, by id, by name and by owner. Pure.
#[derive(Debug, Default)]
pub struct Channels {
    by_id: HashMap<ChannelId, Row<ChannelRow>>,
    by_name: BTreeMap<String, ChannelId>,
    by_owner: HashMap<Subject, BTreeSet<ChannelId>>,
    /// What was heard of channels and is in no row on disk yet.
    unkept: HashMap<ChannelId, Heard>,
}

/// What of the list is wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// Which names.
    pub pattern: Option<Pattern>,
    /// Only folded names after this one.
    pub after: Option<String>,
    /// How many rows at most.
    pub limit: Option<u32>,
}

impl Channels {
    /// Takes a row in, unless a newer one of the same channel is there already.
    pub fn put(&mut self, mut row: Row<ChannelRow>) {
        let id = row.value.id;
        if self.by_id.get(&id).is_some_and(|known| known.revision > row.revision) {
            return;
        }
        self.forget(id);
        // A row that was read before it was heard says less.
        match self.unkept.get(&id) {
            Some(heard) if heard.is_of(&row.value) => drop(heard.put_into(&mut row.value)),
            _ => drop(self.unkept.remove(&id)),
        }
        self.by_name.insert(row.value.name.folded().to_owned(), id);
        self.by_owner.entry(row.value.owner.subject).or_default().insert(id);
        self.by_id.insert(id, row);
    }

    /// Lets a channel go that was removed at `revision`, unless it has come again since.
    pub fn remove(&mut self, id: ChannelId, revision: Revision) {
        if self.is_before(id, revision) {
            self.forget(id);
            self.unkept.remove(&id);
        }
    }

    /// Whether the channel's row is there and older than `revision`.
    pub fn is_before(&self, id: ChannelId, revision: Revision) -> bool {
        self.by_id.get(&id).is_some_and(|known| known.revision < revision)
    }

    fn forget(&mut self, id: ChannelId) {
        let Some(row) = self.by_id.remove(&id).map(|row| row.value) else { return };
        // Another channel may have taken the name already.
        if self.by_name.get(row.name.folded()) == Some(&id) {
            self.by_name.remove(row.name.folded());
        }
        if let Some(owned) = self.by_owner.get_mut(&row.owner.subject) {
            owned.remove(&id);
            if owned.is_empty() {
                self.by_owner.remove(&row.owner.subject);
            }
        }
    }

    /// The host of a channel says how far it is.
    ///
    /// # Errors
    /// When its log was further once.
    pub fn hear(&mut self, told: &ChannelHead) -> Result<(), WasFurther> {
        let Some(row) = self.by_id.get_mut(&told.id).map(|row| &mut row.value) else { return Ok(()) };
        if let Some(heard) = Heard::news(row, told)? {
            heard.put_into(row);
            self.unkept.insert(told.id, heard);
        }
        Ok(())
    }

    /// What was heard of one channel, or of all, and is not on disk yet.
    pub fn unkept(&self, of: Option<ChannelId>) -> Vec<(ChannelId, Heard)> {
        match of {
            Some(id) => self.unkept.get(&id).map(|heard| (id, *heard)).into_iter().collect(),
            None => self.unkept.iter().map(|(id, heard)| (*id, *heard)).collect(),
        }
    }

    /// This is on disk.
    pub fn kept(&mut self, heard: &[(ChannelId, Heard)]) {
        for (id, heard) in heard {
            if self.unkept.get(id) == Some(heard) {
                self.unkept.remove(id);
            }
        }
    }

    /// The channel with this id.
    pub fn get(&self, id: ChannelId) -> Option<&ChannelRow> {
        self.by_id.get(&id).map(|row| &row.value)
    }

    /// The channel with this name.
    pub fn find(&self, name: &ChannelName) -> Option<&ChannelRow> {
        self.by_name.get(name.folded()).and_then(|id| self.get(*id))
    }

    /// The channels of an owner.
    pub fn owned_by(&self, owner: Subject) -> impl ExactSizeIterator<Item = ChannelId> {
        self.by_owner.get(&owner).map(|owned| owned.iter().copied()).unwrap_or_default()
    }

    /// The channels whose names are free again.
    pub fn lapsed(&self, now: Timestamp) -> Vec<ChannelId> {
        self.by_id.values().filter(|row| row.value.has_lapsed(now)).map(|row| row.value.id).collect()
    }

    /// A page of the channels that `who` may know of.
    ///
    /// Where the next page begins is the name of a channel that `who` may know of, too: what lies between is looked at
    /// again rather than named.
    pub fn list(&self, page: &Page, who: Holder, online: impl Fn(ChannelId) -> bool) -> Listing {
        let max_rows = page.limit.unwrap_or(MAX_PAGE_ROWS).clamp(1, MAX_PAGE_ROWS) as usize;
        let from = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut listing = Listing { channels: Vec::new(), next: None };
        let mut bytes = 0;
        let mut last = None;
        let mut names = self.by_name.range::<str, _>((from, Bound::Unbounded));
        for (scanned, (name, id)) in names.by_ref().enumerate() {
            let Some(row) = self.get(*id).filter(|row| row.is_visible_to(who)) else { continue };
            let wanted = page.pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
            let listed = wanted.then(|| row.listed(online(*id)));
            bytes += listed.as_ref().map_or(0, row_bytes);
            let is_full = listing.channels.len() == max_rows || bytes > MAX_PAGE_BYTES;
            if last.is_some() && ((is_full && wanted) || scanned >= MAX_LIST_SCAN) {
                listing.next = last;
                break;
            }
            listing.channels.extend(listed);
            last = Some(name.clone());
        }
        listing
    }
}

fn row_bytes(row: &Listed) -> usize {
    // One more for the comma.
    serde_json::to_vec(row).map_or(0, |json| json.len()) + 1
}

#[cfg(test)]
mod tests;
