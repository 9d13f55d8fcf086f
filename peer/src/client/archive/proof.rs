//! Whether the entries of an interval are those that the host has signed. Pure.
//!
//! The chain is counted through once more, from where it is known. Where it is not (older pages were put below), it is
//! taken up at the first place that the host has signed, or that the stream began at: what is above is proven then, and
//! what is below stays unproven until it is joined to something.

use std::collections::BTreeMap;

use common::clock::Timestamp;
use common::entry::{BadEntry, Checkpoint, Hash, RawEntry};

use super::intervals::{Interval, Place};
use crate::api::{Fault, FaultKind, Run, SignedUpTo};

/// How many faults of a log are named; more are counted.
pub const MAX_FAULTS: usize = 20;

/// What the host has signed of a log, by number.
#[derive(Debug, Default)]
pub struct SignedPlaces(BTreeMap<u64, Vec<(Hash, Timestamp)>>);

impl SignedPlaces {
    /// Takes one whose signature was checked.
    pub fn add(&mut self, checkpoint: &Checkpoint) {
        let places = self.0.entry(checkpoint.position.seq).or_default();
        let is_known = places.iter().any(|(hash, _)| *hash == checkpoint.position.hash);
        if !is_known {
            places.push((checkpoint.position.hash, checkpoint.time));
        }
    }

    /// The last number that something was signed of.
    pub fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// The places of which two different things were signed.
    fn contradictions(&self) -> impl Iterator<Item = u64> {
        self.0.iter().filter(|(_, places)| places.len() > 1).map(|(seq, _)| *seq)
    }

    fn at(&self, seq: u64) -> &[(Hash, Timestamp)] {
        self.0.get(&seq).map_or(&[], Vec::as_slice)
    }
}

/// An entry as it was found on the disk, with the hash that was noted when it came in.
#[derive(Debug)]
pub struct Found {
    /// Its bytes; nothing when there are none, or none that can be read.
    pub entry: Option<RawEntry>,
    /// What was noted.
    pub noted: Option<Hash>,
    /// Whether it has no text although nothing is known that erased it.
    pub is_bare: bool,
}

/// What was found of a log so far.
#[derive(Debug, Default)]
pub struct Audit {
    signed: SignedPlaces,
    entries: u64,
    bare: u64,
    proven: Option<SignedUpTo>,
    unproven: Vec<Run>,
    faults: Vec<Fault>,
    more_faults: u64,
    /// The interval that is counted through, the last entry that was, and the chain's hash there.
    interval: Option<Interval>,
    at: u64,
    hash: Option<Hash>,
}

/// What came of it.
#[derive(Debug)]
pub struct Audited {
    /// How many entries were looked at.
    pub entries: u64,
    /// How many of them have no text although nothing is known that erased it.
    pub bare: u64,
    /// Up to where they are what the host has signed.
    pub proven: Option<SignedUpTo>,
    /// Which cannot be proven yet.
    pub unproven: Vec<Run>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// How much more is.
    pub more_faults: u64,
}

impl Audit {
    /// Nothing was looked at yet.
    pub fn new(signed: SignedPlaces) -> Self {
        let contradictions = signed.contradictions().collect::<Vec<_>>();
        let mut audit = Self { signed, ..Self::default() };
        contradictions.into_iter().for_each(|seq| audit.fault(seq, FaultKind::TwoLogs));
        audit
    }

    /// The next interval begins. `root` is what the chain begins with.
    pub fn begin(&mut self, interval: Interval, root: Hash) {
        let joins = self.interval.is_some_and(|below| below.end.seq == interval.after && !interval.apart);
        let known = match interval.after {
            0 => Some(root),
            after if interval.base.seq == after => Some(interval.base.hash),
            _ if joins => self.hash,
            _ => None,
        };
        if interval.apart {
            self.fault(interval.after + 1, FaultKind::Apart);
        }
        (self.interval, self.at, self.hash) = (Some(interval), interval.after, known);
        self.take_up(interval.after);
    }

    /// Takes the next entry of the interval.
    pub fn next(&mut self, found: &Found) {
        let seq = self.at + 1;
        (self.at, self.entries) = (seq, self.entries + 1);
        self.bare += u64::from(found.is_bare);
        let computed = self.compute(seq, found);
        if let (Some(computed), Some(noted)) = (computed, found.noted)
            && computed != noted
        {
            self.fault(seq, FaultKind::Altered);
        }
        if computed.is_none() {
            self.leave_unproven(seq);
        }
        // What was noted was counted when the entry came in: behind a fault the chain is taken up there.
        self.hash = found.noted.or(computed);
        self.compare(seq, computed);
        self.take_up(seq);
    }

    /// Where the chain is behind this entry.
    fn compute(&mut self, seq: u64, found: &Found) -> Option<Hash> {
        let Some(entry) = &found.entry else {
            self.fault(seq, FaultKind::Unreadable);
            return None;
        };
        match entry.open() {
            Ok(header) if header.seq != seq => self.fault(seq, FaultKind::Altered),
            Err(BadEntry::Body { .. }) => self.fault(seq, FaultKind::Body),
            Err(_) => {
                self.fault(seq, FaultKind::Unreadable);
                return None;
            }
            Ok(_) => {}
        }
        Some(self.hash?.next(&entry.header))
    }

    fn compare(&mut self, seq: u64, computed: Option<Hash>) {
        let (Some(hash), Some(interval)) = (self.hash.filter(|_| computed.is_some()), self.interval) else {
            return;
        };
        let signed = self.signed.at(seq);
        match signed.iter().find(|(signed, _)| *signed == hash) {
            Some((_, at)) => self.proven = Some(SignedUpTo { seq, at: *at }),
            None if !signed.is_empty() => self.fault(seq, FaultKind::OtherThanSigned),
            None => {}
        }
        let differs = |place: Place| place.seq == seq && place.hash != hash;
        if differs(interval.base) || differs(interval.end) {
            self.fault(seq, FaultKind::Altered);
        }
    }

    /// Where the chain is not known, it is what was signed of this place, or where the stream began.
    fn take_up(&mut self, seq: u64) {
        if self.hash.is_some() {
            return;
        }
        let base = self.interval.map(|interval| interval.base).filter(|base| base.seq == seq);
        let signed = self.signed.at(seq).first().map(|(hash, _)| *hash);
        self.hash = base.map(|base| base.hash).or(signed);
    }

    fn leave_unproven(&mut self, seq: u64) {
        match self.unproven.last_mut() {
            Some(run) if run.to + 1 == seq => run.to = seq,
            _ => self.unproven.push(Run { from: seq, to: seq }),
        }
    }

    fn fault(&mut self, seq: u64, kind: FaultKind) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { seq, code: kind, reason: kind.meaning().to_owned() });
        } else {
            self.more_faults += 1;
        }
    }

    /// The first thing that is wrong, so far.
    pub fn first_fault(&self) -> Option<(u64, FaultKind)> {
        self.faults.first().map(|fault| (fault.seq, fault.code))
    }

    /// What has come of it.
    pub fn end(self) -> Audited {
        let Self { entries, bare, proven, unproven, faults, more_faults, .. } = self;
        Audited { entries, bare, proven, unproven, faults, more_faults }
    }
}

#[cfg(test)]
mod tests;
