//! Which entries of a log the archive holds: intervals without a gap. Pure.
//!
//! Live entries are appended to the newest interval, and their chain of hashes is known from where the stream began
//! (`base`). Older pages are put below an interval: they are without a gap, but what the hash before them is, nobody
//! knows until they reach the interval below, or the beginning of the log. Then the chain is counted through once, and
//! the two become one, or stay apart for good when it does not lead to where it should.

use std::collections::BTreeMap;

use common::entry::Hash;
use serde::{Deserialize, Serialize};

/// How many intervals a log may be in. Whoever is at the limit reads on without leaving another gap.
pub const MAX_INTERVALS: usize = 128;

/// A place in a log whose epoch is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The entry's number; 0 is before the first.
    pub seq: u64,
    /// The chain's hash there.
    pub hash: Hash,
}

/// A run of entries without a gap: those after `after`, up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// The number before its first entry.
    pub after: u64,
    /// From here on the chain of hashes is known; what is below is still to be proven.
    pub base: Place,
    /// Its last entry.
    pub end: Place,
    /// The chain does not lead from the interval that ends at `after` to `base`: they are not of one log.
    #[serde(default)]
    pub apart: bool,
}

impl Interval {
    /// Whether the entry with this number is in it.
    pub fn holds(&self, seq: u64) -> bool {
        self.after < seq && seq <= self.end.seq
    }
}

impl Interval {
    /// The entries of it after a number, up to a place within it.
    fn part(&self, after: u64, end: Place) -> Self {
        let base = if (after..=end.seq).contains(&self.base.seq) { self.base } else { end };
        Self { after, base, end, apart: self.apart && after == self.after }
    }
}

/// Entries that are missing between two intervals: those after `after`, up to `upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last entry before the gap.
    pub after: u64,
    /// The last entry that is missing.
    pub upto: u64,
}

/// What is to be proven: the chain leads from one place to the other over the entries between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The end of an interval, or the beginning of the log.
    pub from: Place,
    /// The base of the next interval.
    pub to: Place,
}

/// What a stream that begins at some place is to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// It continues the newest interval.
    Seamless,
    /// Nothing was here yet.
    First,
    /// It begins later: entries between are missing for now.
    Skips(Gap),
}

/// The stream does not continue what is here, and does not leave it behind either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its stream begins at entry {begins}, but the entries up to {have} are here already")]
pub struct Contradiction {
    /// Where the stream begins.
    pub begins: u64,
    /// What is here.
    pub have: u64,
}

/// The intervals of one log, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Interval>", into = "Vec<Interval>")]
pub struct Intervals(Vec<Interval>);

/// What was kept is no set of intervals.
#[derive(Debug, thiserror::Error)]
#[error("intervals overlap, or are not in order")]
pub struct Disorder;

impl TryFrom<Vec<Interval>> for Intervals {
    type Error = Disorder;

    fn try_from(list: Vec<Interval>) -> Result<Self, Disorder> {
        let in_itself = |one: &Interval| one.after <= one.base.seq && one.base.seq <= one.end.seq;
        let in_order = |pair: &[Interval]| pair[0].end.seq <= pair[1].after;
        let is_whole = list.iter().all(in_itself) && list.windows(2).all(in_order);
        is_whole.then_some(Self(list)).ok_or(Disorder)
    }
}

impl From<Interval> for Intervals {
    fn from(only: Interval) -> Self {
        Self(vec![only])
    }
}

impl From<Intervals> for Vec<Interval> {
    fn from(intervals: Intervals) -> Self {
        intervals.0
    }
}

impl Intervals {
    /// The newest interval.
    pub fn newest(&self) -> Option<&Interval> {
        self.0.last()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Interval> {
        self.0.iter()
    }

    /// Whether one more gap may be left.
    pub fn has_room(&self) -> bool {
        self.0.len() < MAX_INTERVALS
    }

    /// The interval that an entry is in.
    pub fn holding(&self, seq: u64) -> Option<&Interval> {
        self.0.iter().find(|interval| interval.holds(seq))
    }

    /// The last entry up to `upto` that is here.
    pub fn last_upto(&self, upto: u64) -> Option<u64> {
        let held = self.0.iter().filter(|interval| interval.after < interval.end.seq.min(upto));
        held.map(|interval| interval.end.seq.min(upto)).next_back()
    }

    /// A stream begins after `after`.
    ///
    /// # Errors
    /// When it would have to be put over what is here.
    pub fn begin(&mut self, after: Place) -> Result<Continuation, Contradiction> {
        let begun = Interval { after: after.seq, base: after, end: after, apart: false };
        let Some(newest) = self.newest().copied() else {
            self.0.push(begun);
            return Ok(Continuation::First);
        };
        if newest.end == after {
            return Ok(Continuation::Seamless);
        }
        if newest.end.seq >= after.seq || !self.has_room() {
            return Err(Contradiction { begins: after.seq, have: newest.end.seq });
        }
        self.0.push(begun);
        Ok(Continuation::Skips(Gap { after: newest.end.seq, upto: after.seq }))
    }

    /// Appends the entries from number `first` to the newest interval; false when they do not continue it.
    pub fn append(&mut self, first: u64, end: Place) -> bool {
        let Some(newest) = self.0.last_mut() else { return false };
        let fits = first == newest.end.seq + 1 && end.seq >= first;
        if fits {
            newest.end = end;
        }
        fits
    }

    /// Puts a page below the interval that begins where it ends; false when there is none, or not so much room.
    pub fn prepend(&mut self, first: u64, last: u64) -> bool {
        let Some(place) = self.0.iter().position(|interval| interval.after == last) else { return false };
        let below = place.checked_sub(1).map_or(0, |below| self.0[below].end.seq);
        let fits = below < first && first <= last;
        if fits {
            self.0[place].after = first - 1;
        }
        fits
    }

    /// Forgets what is behind a place: it is of no log any more.
    pub fn cut(&mut self, place: Place) {
        self.0.retain(|interval| interval.after < place.seq || interval.end.seq <= place.seq);
        if let Some(newest) = self.0.last_mut().filter(|newest| newest.end.seq > place.seq) {
            newest.end = place;
            newest.base = if newest.base.seq > place.seq { place } else { newest.base };
        }
    }

    /// The newest gap between two intervals.
    pub fn next_gap(&self) -> Option<Gap> {
        let gaps = self.0.windows(2).map(|pair| Gap { after: pair[0].end.seq, upto: pair[1].after });
        gaps.rev().find(|gap| gap.after < gap.upto)
    }

    /// What is missing before the first entry that is here.
    pub fn first_gap(&self) -> Option<Gap> {
        let first = self.0.first().filter(|first| first.after > 0)?;
        Some(Gap { after: 0, upto: first.after })
    }

    /// What can be proven now, newest first: an interval that has reached the one below, or the beginning of the log,
    /// whose chain begins with `root`.
    pub fn next_proof(&self, root: Hash) -> Option<Proof> {
        let start = Place { seq: 0, hash: root };
        (0..self.0.len()).rev().find_map(|place| {
            let upper = &self.0[place];
            let from = place.checked_sub(1).map_or(start, |below| self.0[below].end);
            let is_open = place > 0 || upper.base.seq > 0;
            (is_open && !upper.apart && upper.after == from.seq).then_some(Proof { from, to: upper.base })
        })
    }

    /// The chain leads from one place to the other: two intervals become one. Returns the gap that was between them.
    pub fn proven(&mut self, proof: Proof) -> Option<Gap> {
        let place = self.place_of(proof)?;
        let Some(below) = place.checked_sub(1) else {
            self.0[place].base = proof.from;
            return None;
        };
        self.0[below].end = self.0[place].end;
        self.0.remove(place);
        Some(Gap { after: proof.from.seq, upto: proof.to.seq })
    }

    /// The chain does not lead there: the two stay apart.
    pub fn disproven(&mut self, proof: Proof) {
        if let Some(place) = self.place_of(proof) {
            self.0[place].apart = true;
        }
    }

    /// The same without some entries, each of which is a gap then. What is above one goes on from where its chain is known,
    /// and is proven anew when the gap is filled. What is below one needs the hash at its end, which comes with it; else it
    /// is left out too. Of too many pieces the shortest are left out.
    pub fn without(&self, wrong: &BTreeMap<u64, Option<Hash>>) -> Self {
        let mut left = Vec::new();
        for interval in &self.0 {
            let mut after = interval.after;
            // In one that holds nothing yet there is nothing wrong.
            let within =
                wrong.range(interval.after..=interval.end.seq).filter(|(gap, _)| **gap > interval.after);
            for (gap, before) in within {
                let end = before.filter(|_| gap - 1 > after).map(|hash| Place { seq: gap - 1, hash });
                left.extend(end.map(|end| interval.part(after, end)));
                after = *gap;
            }
            if after < interval.end.seq || after == interval.after {
                left.push(interval.part(after, interval.end));
            }
        }
        while left.len() > MAX_INTERVALS {
            let shortest = left.iter().enumerate().min_by_key(|(_, piece)| piece.end.seq - piece.after);
            shortest.map(|(place, _)| place).map(|place| left.remove(place));
        }
        Self(left)
    }

    fn place_of(&self, proof: Proof) -> Option<usize> {
        let place = self.0.iter().position(|one| one.base == proof.to && one.after == proof.from.seq)?;
        let below = place.checked_sub(1).map(|below| self.0[below].end);
        below.is_none_or(|end| end == proof.from).then_some(place)
    }
}

#[cfg(test)]
mod tests;
