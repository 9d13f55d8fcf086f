//! Entries on their way to the disk and to the screen, with connections and a process that end at any point.

use common::id::ChannelId;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::testing::entry;

/// A log, and where its chain is at each entry.
pub(in crate::client::archive) struct Log {
    pub channel: ChannelId,
    pub entries: Vec<RawEntry>,
    pub places: Vec<Position>,
}

impl Log {
    pub fn new(count: u64) -> Self {
        let (channel, epoch) = (ChannelId::new(), Epoch::new());
        let mut log = Self { channel, entries: Vec::new(), places: vec![Position::start(channel, epoch)] };
        for seq in 1..=count {
            let entry = entry(seq, &seq.to_string());
            let at = log.places[seq as usize - 1];
            log.places.push(Position { epoch, seq, hash: at.hash.next(&entry.header) });
            log.entries.push(entry);
        }
        log
    }

    pub fn epoch(&self) -> Epoch {
        self.places[0].epoch
    }

    pub fn at(&self, seq: u64) -> Position {
        self.places[seq as usize]
    }

    pub fn entry(&self, seq: u64) -> &RawEntry {
        &self.entries[seq as usize - 1]
    }

    pub fn page(&self, first: u64, last: u64) -> Page {
        let entries = (first..=last).map(|seq| Kept::new(seq, self.entry(seq), None).unwrap()).collect();
        Page { first, last, entries, erasures: Vec::new() }
    }
}

fn name() -> ChannelName {
    "first".parse().unwrap()
}

fn enter(keeper: &mut Keeper, after: Position) -> Continuation {
    let stored = (keeper.epoch() != Some(after.epoch)).then(Intervals::default);
    keeper.begin(after, stored).unwrap()
}

fn receive(keeper: &mut Keeper, log: &Log, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        assert!(matches!(keeper.receive(&name(), log.entry(seq), false), Received::Next(_)));
    }
}

fn seqs(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

#[test]
fn what_comes_while_a_batch_is_written_is_the_next_batch_and_nothing_is_shown_before() {
    let log = Log::new(10);
    let mut keeper = Keeper::default();
    assert_eq!(enter(&mut keeper, log.at(0)), Continuation::First);
    receive(&mut keeper, &log, 1..=2);
    let first = keeper.next_batch(0).unwrap();
    assert_eq!((first.entries.len(), first.intervals.newest().unwrap().end.seq), (2, 2));
    receive(&mut keeper, &log, 3..=9);
    assert!(keeper.next_batch(0).is_none(), "one batch at a time");
    assert_eq!(keeper.have(), Some(log.at(0)), "it counts when the disk says so");
    assert_eq!(seqs(&keeper.written().messages), [1, 2]);
    assert_eq!(keeper.have(), Some(log.at(2)));
    assert_eq!(keeper.next_batch(0).unwrap().entries.len(), 7);
    assert_eq!(seqs(&keeper.written().messages), [3, 4, 5, 6, 7, 8, 9]);
    assert!(keeper.next_batch(0).is_none() && keeper.is_idle());
}

#[test]
fn a_batch_is_bounded_and_so_is_what_waits() {
    let count = MAX_WAITING_ENTRIES as u64;
    let log = Log::new(count);
    let mut keeper = Keeper::default();
    enter(&mut keeper, log.at(0));
    receive(&mut keeper, &log, 1..count);
    assert!(!keeper.is_full());
    receive(&mut keeper, &log, [count]);
    assert!(keeper.is_full());
    assert_eq!(keeper.next_batch(0).unwrap().entries.len(), MAX_BATCH_ENTRIES);
    assert!(!keeper.is_full());
}

#[test]
fn how_far_was_shown_is_kept_once_the_interface_has_taken_it() {
    let log = Log::new(4);
    let mut keeper = Keeper::default();
    enter(&mut keeper, log.at(0));
    receive(&mut keeper, &log, 1..=2);
    keeper.next_batch(0).unwrap();
    keeper.written();
    keeper.told(2, 2);
    assert!(!keeper.is_mark_due(1) && keeper.is_mark_open());
    assert!(keeper.is_mark_due(2) && !keeper.is_mark_open());
    let batch = keeper.next_batch(2).unwrap();
    assert_eq!((batch.shown, batch.entries.len()), (2, 0));
    keeper.written();
    assert!(!keeper.is_mark_due(2));
    receive(&mut keeper, &log, 3..=4);
    let batch = keeper.next_batch(2).unwrap();
    // The process ends here, before anything of it is shown.
    let Batch { epoch, intervals, shown, .. } = batch;
    let keeper = Keeper::new(Some(Loaded { epoch, intervals, shown }));
    assert!(keeper.unshown().eq([(2, 4)]));
}

/// The keeper after a kill, with what was on its way to the disk.
fn killed(keeper: &mut Keeper, taken: u64) -> Keeper {
    let Batch { epoch, intervals, shown, .. } = keeper.next_batch(taken).unwrap();
    Keeper::new(Some(Loaded { epoch, intervals, shown }))
}

#[test]
fn what_was_told_before_a_gap_and_not_shown_is_shown_after_a_kill() {
    let log = Log::new(30);
    let mut keeper = Keeper::default();
    enter(&mut keeper, log.at(0));
    receive(&mut keeper, &log, 1..=7);
    keeper.next_batch(0).unwrap();
    keeper.written();
    keeper.told(1, 6);
    keeper.told(2, 7);
    assert!(keeper.is_mark_due(1));
    keeper.disconnected();
    enter(&mut keeper, log.at(20));
    receive(&mut keeper, &log, 21..=22);
    let mut keeper = killed(&mut keeper, 1);
    assert!(keeper.unshown().eq([(6, 7), (20, 22)]));
    // Filling the gap makes nothing of it new.
    keeper.put(Page { first: 15, last: 20, entries: Vec::new(), erasures: Vec::new() });
    assert!(killed(&mut keeper, 0).unshown().eq([(6, 7), (20, 22)]));
}

#[test]
fn where_all_was_shown_a_gap_is_not_to_be_shown_once_it_is_filled() {
    let log = Log::new(30);
    let mut keeper = Keeper::default();
    enter(&mut keeper, log.at(5));
    let mut keeper = killed(&mut keeper, 0);
    assert!(keeper.unshown().next().is_none());
    enter(&mut keeper, log.at(20));
    assert_eq!(killed(&mut keeper, 0).marks.shown, 20);
}

#[test]
fn another_log_begins_an_archive_of_its_own() {
    let (old, new) = (Log::new(5), Log::new(3));
    let mut keeper = Keeper::default();
    enter(&mut keeper, old.at(0));
    receive(&mut keeper, &old, 1..=5);
    keeper.next_batch(0).unwrap();
    keeper.written();
    assert_eq!(enter(&mut keeper, new.at(0)), Continuation::First);
    assert_eq!((keeper.seq(), keeper.epoch(), keeper.unshown().count()), (0, Some(new.epoch()), 0));
    receive(&mut keeper, &new, 1..=3);
    let batch = keeper.next_batch(0).unwrap();
    assert_eq!((batch.epoch, batch.intervals.newest().unwrap().end.seq), (new.epoch(), 3));
}

#[test]
fn a_stream_that_begins_elsewhere_than_the_archive_ends_changes_nothing() {
    let (log, other) = (Log::new(5), Log::new(5));
    let mut keeper = Keeper::default();
    enter(&mut keeper, log.at(0));
    receive(&mut keeper, &log, 1..=5);
    keeper.next_batch(0).unwrap();
    keeper.written();
    let forged = Position { epoch: log.epoch(), ..other.at(5) };
    assert!(keeper.begin(forged, None).is_err() && keeper.begin(log.at(3), None).is_err());
    assert_eq!(keeper.have(), Some(log.at(5)));
}

#[test]
fn an_entry_longer_than_a_row_is_not_taken() {
    let mut log = Log::new(1);
    let header: Header = serde_json::from_str(log.entries[0].header.get()).unwrap();
    let body = RawValue::from_string(format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_VALUE_BYTES))).unwrap();
    log.entries[0] = RawEntry::seal(header, body).unwrap().1;
    let mut keeper = Keeper::default();
    enter(&mut keeper, log.at(0));
    assert!(matches!(keeper.receive(&name(), log.entry(1), false), Received::Broken(_)));
}

/// One thing that happens to a peer.
#[derive(Clone, Copy, Debug)]
enum Step {
    Receive(u64),
    Write,
    /// The disk answers: it is written, or not, or it is but the answer says that nobody knows.
    Done(u8),
    Show,
    Disconnect,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..9u64).prop_map(Step::Receive),
        4 => Just(Step::Write),
        4 => any::<u8>().prop_map(Step::Done),
        3 => Just(Step::Show),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Kill),
    ]
}

const COUNT: u64 = 300;

/// A peer and its disk; what is told to the interface waits in `told` until it shows it.
struct Peer {
    log: Log,
    keeper: Keeper,
    disk: Option<Loaded>,
    rows: std::collections::BTreeSet<u64>,
    at_store: Option<Batch>,
    is_in: bool,
    told: VecDeque<u64>,
    told_in_all: u64,
    shown: Vec<u64>,
}

impl Peer {
    fn step(&mut self, step: Step) {
        match step {
            Step::Receive(count) => self.receive(count),
            Step::Write => {
                let taken = self.told_in_all - self.told.len() as u64;
                self.at_store = self.at_store.take().or_else(|| self.keeper.next_batch(taken));
            }
            Step::Done(fate) => self.done(fate),
            Step::Show => self.shown.extend(self.told.drain(..)),
            Step::Disconnect => {
                self.is_in = false;
                self.keeper.disconnected();
            }
            Step::Kill => {
                // A batch that is at the store may still be written.
                if let Some(batch) = self.at_store.take().filter(|_| self.told_in_all.is_multiple_of(2)) {
                    self.put(batch);
                }
                self.told.clear();
                self.is_in = false;
                self.keeper = Keeper::new(self.disk.clone());
                self.told_in_all = 0;
                let unshown: Vec<_> = self.keeper.unshown().collect();
                unshown.into_iter().for_each(|(after, upto)| self.tell((after + 1..=upto).collect()));
            }
        }
        self.check();
    }

    fn receive(&mut self, count: u64) {
        if !self.is_in && self.at_store.is_none() {
            let have = self.keeper.have().unwrap_or(self.log.at(0));
            assert_eq!(have, self.log.at(have.seq));
            enter(&mut self.keeper, have);
            self.is_in = true;
        }
        if self.is_in {
            let at = self.keeper.progress.position().unwrap().seq;
            receive(&mut self.keeper, &self.log, at + 1..=COUNT.min(at + count));
        }
    }

    fn done(&mut self, fate: u8) {
        let Some(batch) = self.at_store.take() else { return };
        if !fate.is_multiple_of(5) {
            self.put(batch);
        }
        if fate.is_multiple_of(5) || fate.is_multiple_of(7) {
            return self.keeper.not_written(self.is_in);
        }
        let shown = seqs(&self.keeper.written().messages);
        self.tell(shown);
    }

    fn tell(&mut self, seqs: Vec<u64>) {
        let Some(last) = seqs.last().copied() else { return };
        self.told_in_all += seqs.len() as u64;
        self.told.extend(seqs);
        self.keeper.told(self.told_in_all, last);
    }

    fn put(&mut self, batch: Batch) {
        self.rows.extend(batch.entries.iter().map(|entry| entry.seq));
        let Batch { epoch, intervals, shown, .. } = batch;
        self.disk = Some(Loaded { epoch, intervals, shown });
    }

    fn check(&self) {
        if let Some(Loaded { intervals, .. }) = &self.disk {
            let held = intervals.iter().flat_map(|interval| interval.after + 1..=interval.end.seq);
            for seq in held {
                assert!(self.rows.contains(&seq), "a hole at {seq}");
            }
        }
        let mut most = 0;
        for seq in &self.shown {
            assert!(*seq <= most + 1, "entry {seq} is shown after {most}: one was left out");
            most = most.max(*seq);
        }
    }
}

proptest! {
    #[test]
    fn every_entry_is_shown_in_order_whatever_ends_and_again_only_after_a_kill(
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let was_killed = steps.iter().any(|step| matches!(step, Step::Kill));
        let mut peer = Peer {
            log: Log::new(COUNT),
            keeper: Keeper::default(),
            disk: None,
            rows: Default::default(),
            at_store: None,
            is_in: false,
            told: VecDeque::new(),
            told_in_all: 0,
            shown: Vec::new(),
        };
        for step in steps {
            peer.step(step);
        }
        while peer.shown.last() != Some(&COUNT) {
            for step in [Step::Receive(50), Step::Write, Step::Done(1), Step::Show] {
                peer.step(step);
            }
        }
        prop_assert!(was_killed || peer.shown.len() as u64 == COUNT);
    }
}
