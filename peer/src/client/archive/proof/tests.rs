use common::entry::Position;
use common::id::{ChannelId, Epoch};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::testing::entry;

struct Scene {
    channel: ChannelId,
    epoch: Epoch,
    entries: Vec<RawEntry>,
    places: Vec<Place>,
}

impl Scene {
    fn new(count: u64) -> Self {
        let (channel, epoch) = (ChannelId::new(), Epoch::new());
        let mut scene = Self { channel, epoch, entries: Vec::new(), places: Vec::new() };
        let mut place = Place { seq: 0, hash: Hash::root(channel, epoch) };
        scene.places.push(place);
        for seq in 1..=count {
            let entry = entry(seq, "a");
            place = Place { seq, hash: place.hash.next(&entry.header) };
            scene.entries.push(entry);
            scene.places.push(place);
        }
        scene
    }

    fn root(&self) -> Hash {
        self.places[0].hash
    }

    fn interval(&self, after: u64, base: u64, end: u64) -> Interval {
        let place = |seq: u64| self.places[seq as usize];
        Interval { after, base: place(base), end: place(end), apart: false }
    }

    fn checkpoint(&self, seq: u64) -> Checkpoint {
        let hash = self.places[seq as usize].hash;
        let position = Position { epoch: self.epoch, seq, hash };
        Checkpoint { channel: self.channel, position, time: Timestamp::from_millis(seq) }
    }

    fn signed(&self, seqs: &[u64]) -> SignedPlaces {
        let mut signed = SignedPlaces::default();
        seqs.iter().for_each(|seq| signed.add(&self.checkpoint(*seq)));
        signed
    }

    /// The entries of an interval as they stand on the disk: with a hash from the base on.
    fn found(&self, interval: Interval) -> Vec<Found> {
        let found = |seq: u64| Found {
            entry: Some(self.entries[seq as usize - 1].clone()),
            noted: (seq > interval.base.seq).then(|| self.places[seq as usize].hash),
            is_bare: false,
        };
        (interval.after + 1..=interval.end.seq).map(found).collect()
    }

    fn audit(&self, signed: SignedPlaces, intervals: &[(Interval, Vec<Found>)]) -> Audited {
        let mut audit = Audit::new(signed);
        for (interval, found) in intervals {
            audit.begin(*interval, self.root());
            found.iter().for_each(|found| audit.next(found));
        }
        audit.end()
    }

    /// One interval from the beginning, in which something was changed.
    fn faults(&self, signed: SignedPlaces, change: impl Fn(&mut Vec<Found>)) -> Vec<(u64, FaultKind)> {
        let interval = self.interval(0, 0, self.entries.len() as u64);
        let mut found = self.found(interval);
        change(&mut found);
        let audited = self.audit(signed, &[(interval, found)]);
        audited.faults.iter().map(|fault| (fault.seq, fault.code)).collect()
    }
}

fn body(text: &str) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"text":"{text}"}}"#)).unwrap()
}

#[test]
fn what_is_whole_is_proven_up_to_the_last_signature() {
    let scene = Scene::new(10);
    let whole = scene.interval(0, 0, 10);
    let audited = scene.audit(scene.signed(&[4, 8]), &[(whole, scene.found(whole))]);
    assert_eq!((audited.entries, audited.faults, audited.unproven), (10, vec![], vec![]));
    assert_eq!(audited.proven, Some(SignedUpTo { seq: 8, at: Timestamp::from_millis(8) }));
}

#[test]
fn older_pages_are_unproven_up_to_where_the_stream_began_or_something_was_signed() {
    let scene = Scene::new(20);
    let part = scene.interval(5, 15, 20);
    let unsigned = scene.audit(scene.signed(&[20]), &[(part, scene.found(part))]);
    assert_eq!((unsigned.faults, unsigned.unproven), (vec![], vec![Run { from: 6, to: 15 }]));
    let signed = scene.audit(scene.signed(&[10, 20]), &[(part, scene.found(part))]);
    assert_eq!((signed.faults, signed.unproven), (vec![], vec![Run { from: 6, to: 10 }]));
    assert_eq!(signed.proven.map(|proven| proven.seq), Some(20));
    let below = scene.interval(0, 0, 5);
    let both = [(below, scene.found(below)), (part, scene.found(part))];
    let joined = scene.audit(scene.signed(&[20]), &both);
    assert_eq!((joined.faults, joined.unproven, joined.entries), (vec![], vec![], 20));
}

#[test]
fn what_was_changed_on_the_disk_is_named() {
    let scene = Scene::new(5);
    let signed = || scene.signed(&[5]);
    assert_eq!(scene.faults(signed(), |_| {}), []);
    let gone = |found: &mut Vec<Found>| found[2].entry = None;
    assert_eq!(scene.faults(signed(), gone), [(3, FaultKind::Unreadable)]);
    let other_text =
        |found: &mut Vec<Found>| found[2].entry.as_mut().unwrap().body = Some(body("something else"));
    assert_eq!(scene.faults(signed(), other_text), [(3, FaultKind::Body)]);
    let other_entry = |found: &mut Vec<Found>| found[2].entry = Some(entry(3, "a"));
    assert_eq!(scene.faults(signed(), other_entry), [(3, FaultKind::Altered)]);
    let erased = |found: &mut Vec<Found>| found[2].entry.as_mut().unwrap().body = None;
    assert_eq!(scene.faults(signed(), erased), [], "what was erased leaves the chain whole");
    let swapped = |found: &mut Vec<Found>| found.swap(1, 2);
    assert_eq!(scene.faults(signed(), swapped)[0], (2, FaultKind::Altered));
}

#[test]
fn a_host_that_signed_another_log_is_told_from_a_damaged_disk() {
    let scene = Scene::new(5);
    let other = Scene { places: Scene::new(5).places, ..Scene::new(0) };
    assert_eq!(scene.faults(other.signed(&[3]), |_| {}), [(3, FaultKind::OtherThanSigned)]);
    let mut both = scene.signed(&[3]);
    both.add(&other.checkpoint(3));
    assert_eq!(scene.faults(both, |_| {}), [(3, FaultKind::TwoLogs)]);
    let apart = Interval { apart: true, ..scene.interval(2, 3, 5) };
    let below = scene.interval(0, 0, 2);
    let intervals = [(below, scene.found(below)), (apart, scene.found(apart))];
    let audited = scene.audit(scene.signed(&[5]), &intervals);
    assert_eq!(audited.faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [FaultKind::Apart]);
}

#[test]
fn of_many_faults_the_first_are_named_and_the_rest_counted() {
    let scene = Scene::new(100);
    let interval = scene.interval(0, 0, 100);
    let mut found = scene.found(interval);
    found.iter_mut().for_each(|found| found.entry = None);
    let audited = scene.audit(scene.signed(&[]), &[(interval, found)]);
    assert_eq!((audited.faults.len(), audited.more_faults), (MAX_FAULTS, 80));
}

proptest! {
    /// Whatever entry is replaced: it is noticed there, if the chain is known there, and nothing else is blamed.
    #[test]
    fn a_replaced_entry_is_found_where_it_is(count in 1..40_u64, place in 0..40_usize, live in any::<bool>()) {
        let scene = Scene::new(count);
        let place = place % count as usize;
        let base = if live { 0 } else { count };
        let interval = scene.interval(0, base, count);
        let mut found = scene.found(interval);
        found[place].entry = Some(entry(place as u64 + 1, "a"));
        let audited = scene.audit(scene.signed(&[count]), &[(interval, found)]);
        let faults = audited.faults.iter().map(|fault| (fault.seq, fault.code)).collect::<Vec<_>>();
        if live {
            prop_assert_eq!(faults, [(place as u64 + 1, FaultKind::Altered)]);
        } else {
            // Nothing was noted with the pages: only the end tells.
            prop_assert_eq!(faults[0], (count, FaultKind::OtherThanSigned));
        }
    }
}
