//! Any order of streams, pages, proofs and crashes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The hash of a log's entry: any will do, as long as each place has its own.
fn hash(seq: u64) -> Hash {
    Hash::of(&seq.to_be_bytes())
}

fn place(seq: u64) -> Place {
    Place { seq, hash: hash(seq) }
}

fn forged(seq: u64) -> Place {
    Place { seq, hash: Hash::of(b"another log") }
}

#[test]
fn a_stream_continues_or_leaves_a_gap_but_is_never_put_over_what_is_here() {
    let mut intervals = Intervals::default();
    assert_eq!(intervals.begin(place(10)), Ok(Continuation::First));
    assert!(intervals.append(11, place(20)) && !intervals.append(22, place(23)));
    assert_eq!(intervals.begin(place(20)), Ok(Continuation::Seamless));
    assert!(intervals.begin(forged(20)).is_err() && intervals.begin(place(15)).is_err());
    let gap = Gap { after: 20, upto: 50 };
    assert_eq!(intervals.begin(place(50)), Ok(Continuation::Skips(gap)));
    assert_eq!(intervals.next_gap(), Some(gap));
    assert_eq!(
        (intervals.last_upto(99), intervals.last_upto(40), intervals.last_upto(15)),
        (Some(20), Some(20), Some(15))
    );
    assert_eq!(intervals.last_upto(10), None);
}

#[test]
fn pages_fill_a_gap_from_its_end_and_the_chain_joins_the_two() {
    let mut intervals = Intervals::default();
    intervals.begin(place(0)).unwrap();
    intervals.append(1, place(20));
    intervals.begin(place(50)).unwrap();
    intervals.append(51, place(60));
    assert!(!intervals.prepend(30, 49), "it does not reach the interval above");
    assert!(!intervals.prepend(20, 50), "it reaches into the interval below");
    assert!(intervals.prepend(30, 50));
    assert_eq!(intervals.next_proof(hash(0)), None);
    assert!(intervals.prepend(21, 29));
    let proof = intervals.next_proof(hash(0)).unwrap();
    assert_eq!(proof, Proof { from: place(20), to: place(50) });
    assert_eq!(intervals.proven(proof), Some(Gap { after: 20, upto: 50 }));
    let whole = Interval { after: 0, base: place(0), end: place(60), apart: false };
    assert_eq!(intervals.iter().collect::<Vec<_>>(), [&whole]);
    assert_eq!((intervals.next_gap(), intervals.next_proof(hash(0))), (None, None));
}

#[test]
fn what_is_behind_a_place_is_forgotten() {
    let mut intervals = Intervals::default();
    intervals.begin(place(0)).unwrap();
    intervals.append(1, place(20));
    intervals.begin(place(50)).unwrap();
    intervals.append(51, place(60));
    intervals.prepend(40, 50);
    for (seq, expected) in
        [(70, (50, 60)), (55, (50, 55)), (45, (45, 45)), (30, (0, 20)), (20, (0, 20)), (7, (0, 7))]
    {
        let mut cut = intervals.clone();
        cut.cut(place(seq));
        let newest = cut.newest().unwrap();
        assert_eq!((newest.base, newest.end), (place(expected.0), place(expected.1)), "{seq}");
        assert!(Intervals::try_from(Vec::from(cut)).is_ok());
    }
    intervals.cut(place(0));
    assert_eq!(intervals, Intervals::default());
}

#[test]
fn what_does_not_chain_stays_apart_and_is_not_asked_again() {
    let mut intervals = Intervals::default();
    intervals.begin(forged(10)).unwrap();
    intervals.append(11, forged(20));
    intervals.begin(place(30)).unwrap();
    assert!(intervals.prepend(21, 30));
    let proof = intervals.next_proof(hash(0)).unwrap();
    intervals.disproven(proof);
    assert_eq!((intervals.next_gap(), intervals.next_proof(hash(0))), (None, None));
    assert!(intervals.holding(20).is_some() && intervals.holding(21).is_some());
    let kept = serde_json::to_string(&intervals).unwrap();
    assert_eq!(serde_json::from_str::<Intervals>(&kept).unwrap(), intervals);
}

#[test]
fn the_beginning_of_the_log_proves_the_lowest_interval() {
    let mut intervals = Intervals::default();
    intervals.begin(place(10)).unwrap();
    assert!(intervals.prepend(1, 10));
    let proof = intervals.next_proof(hash(0)).unwrap();
    assert_eq!(proof, Proof { from: place(0), to: place(10) });
    assert_eq!(intervals.proven(proof), None);
    assert_eq!(intervals.next_proof(hash(0)), None);
}

#[test]
fn as_many_intervals_as_there_may_be_fit_a_row_and_disorder_is_refused() {
    let mut intervals = Intervals::default();
    let far = u64::MAX / 2;
    for number in 0..MAX_INTERVALS as u64 {
        assert!(intervals.has_room());
        intervals.begin(place(far + 10 * number)).unwrap();
        assert!(intervals.append(far + 10 * number + 1, place(far + 10 * number + 5)));
    }
    assert!(!intervals.has_room() && intervals.begin(place(u64::MAX)).is_err());
    assert!(serde_json::to_vec(&intervals).unwrap().len() < common::storage::limits::MAX_VALUE_BYTES);
    let mut list = Vec::from(intervals);
    list.swap(0, 1);
    assert!(Intervals::try_from(list).is_err());
}

/// One thing that happens to an archive.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The host takes entries.
    Grow(u64),
    /// The stream begins, where the archive ends or with so many of the newest.
    Enter(Option<u64>),
    /// Entries come over the stream.
    Receive(u64),
    /// A page of the newest gap comes.
    Page(u64),
    /// A page below the lowest interval comes: somebody reads back.
    Back(u64),
    /// What can be proven is.
    Prove,
    /// What was done since the last flush is on disk.
    Flush,
    /// It is not.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..200u64).prop_map(Step::Grow),
        prop::option::of(0..20u64).prop_map(Step::Enter),
        (1..50u64).prop_map(Step::Receive),
        (1..50u64).prop_map(Step::Page),
        (1..50u64).prop_map(Step::Back),
        Just(Step::Prove),
        Just(Step::Flush),
        Just(Step::Crash),
    ]
}

/// An archive whose writes are lost by a crash, entries and intervals together.
#[derive(Clone, Default)]
struct Disk {
    intervals: Intervals,
    entries: BTreeSet<u64>,
}

#[derive(Default)]
struct World {
    head: u64,
    flushed: Disk,
    now: Disk,
    /// Whether there is a stream, which is where the newest interval ends.
    is_in: bool,
}

impl World {
    fn step(&mut self, step: Step) {
        let intervals = &mut self.now.intervals;
        let end = intervals.newest().map_or(0, |newest| newest.end.seq);
        match step {
            Step::Grow(count) => self.head += count,
            Step::Enter(tail) => {
                let tail = self.head - tail.unwrap_or(u64::MAX).min(self.head);
                let after = if tail > end && intervals.has_room() { tail } else { end };
                intervals.begin(place(after)).unwrap();
                self.is_in = true;
            }
            Step::Receive(count) if self.is_in => {
                let last = self.head.min(end + count);
                if last > end {
                    assert!(intervals.append(end + 1, place(last)));
                    self.now.entries.extend(end + 1..=last);
                }
            }
            Step::Page(rows) => {
                if let Some(gap) = intervals.next_gap() {
                    let first = (gap.after + 1).max((gap.upto + 1).saturating_sub(rows));
                    assert!(intervals.prepend(first, gap.upto));
                    self.now.entries.extend(first..=gap.upto);
                }
            }
            Step::Back(rows) => {
                let lowest = intervals.iter().next().map_or(0, |lowest| lowest.after);
                if lowest > 0 {
                    let first = (lowest + 1).saturating_sub(rows).max(1);
                    assert!(intervals.prepend(first, lowest));
                    self.now.entries.extend(first..=lowest);
                }
            }
            Step::Prove => {
                if let Some(proof) = intervals.next_proof(hash(0)) {
                    assert_eq!((proof.from, proof.to), (place(proof.from.seq), place(proof.to.seq)));
                    intervals.proven(proof);
                }
            }
            Step::Flush => self.flushed = self.now.clone(),
            Step::Crash => {
                let kept = serde_json::to_vec(&self.flushed.intervals).unwrap();
                self.flushed.intervals = serde_json::from_slice(&kept).unwrap();
                self.now = self.flushed.clone();
                self.is_in = false;
            }
            Step::Receive(_) => {}
        }
    }

    fn check(&self, flushed_before: &BTreeSet<u64>) {
        let held: BTreeSet<u64> =
            self.now.intervals.iter().flat_map(|one| one.after + 1..=one.end.seq).collect();
        assert_eq!(held, self.now.entries, "an interval has no hole, and no entry is outside of one");
        assert!(held.is_superset(flushed_before), "what was flushed stays");
        assert!(Intervals::try_from(Vec::from(self.now.intervals.clone())).is_ok());
    }
}

#[test]
fn in_an_interval_that_holds_nothing_yet_nothing_is_wrong() {
    let empty = Intervals(vec![Interval { after: 4, base: place(4), end: place(4), apart: false }]);
    assert_eq!(empty.without(&[(4, None), (5, None)].into_iter().collect()), empty);
}

proptest! {
    #[test]
    fn what_is_wrong_is_left_out_and_nothing_is_there_that_was_not(
        (after, base, end) in (0..20u64, 0..20u64, 0..20u64).prop_map(|(a, b, c)| (a, a + b, a + b + c)),
        wrong in prop::collection::btree_set(1..70u64, 0..9),
        noted in prop::collection::btree_set(1..70u64, 0..60),
    ) {
        let before = Intervals(vec![Interval { after, base: place(base), end: place(end), apart: false }]);
        let ends = wrong.iter().map(|seq| (*seq, noted.contains(&(seq - 1)).then(|| hash(seq - 1)))).collect();
        let left = before.without(&ends);
        prop_assert!(Intervals::try_from(left.0.clone()).is_ok(), "{left:?}");
        for seq in 1..70 {
            let is_held = left.holding(seq).is_some();
            prop_assert!(!is_held || (before.holding(seq).is_some() && !wrong.contains(&seq)), "{seq}: {left:?}");
        }
        for interval in left.iter() {
            prop_assert_eq!(interval.end, place(interval.end.seq));
            prop_assert_eq!(interval.base, place(interval.base.seq));
        }
        // What is behind the last that is wrong stays, whatever was noted.
        let within = || wrong.iter().copied().filter(|seq| (after + 1..=end).contains(seq));
        let above = within().next_back().unwrap_or(after);
        prop_assert!((above + 1..=end).all(|seq| left.holding(seq).is_some()), "{left:?}");
        if within().next().is_none() {
            prop_assert_eq!(left, before);
        }
    }

    #[test]
    fn no_interval_has_a_hole_and_none_that_was_flushed_is_lost(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
            world.check(&world.flushed.entries);
        }
        // In the end everything from the lowest entry on is one.
        world.step(Step::Enter(None));
        world.step(Step::Receive(u64::MAX / 2));
        while world.now.intervals.next_gap().is_some() {
            world.step(Step::Page(17));
        }
        while world.now.intervals.next_proof(hash(0)).is_some() {
            world.step(Step::Prove);
        }
        world.check(&world.flushed.entries);
        prop_assert_eq!(world.now.intervals.iter().count(), 1);
        prop_assert_eq!(world.now.intervals.newest().unwrap().end.seq, world.head);
    }
}
