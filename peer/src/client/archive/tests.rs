//! The archive on a real store.

use std::sync::Arc;

use common::entry::Position;
use common::storage::{Faults, Program, Schema};
use tempfile::TempDir;

use super::intervals::Proof;
use super::keeper::tests::Log;
use super::*;
use crate::branch;
use crate::store::Cut;

fn open(folder: &TempDir) -> (Store, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let schema = Schema { program: Program::Peer, version: 1 };
    (Store::open_with_faults(folder.path(), schema, Arc::clone(&faults)).unwrap(), faults)
}

fn place(log: &Log, seq: u64) -> Place {
    Place { seq, hash: log.at(seq).hash }
}

/// The entries from `first` to `last`, as they come over a stream, and the intervals with them.
fn batch(log: &Log, intervals: &Intervals, first: u64, last: u64) -> Batch {
    let mut intervals = intervals.clone();
    intervals.begin(place(log, first - 1)).unwrap();
    assert!(intervals.append(first, place(log, last)));
    let entries = (first..=last).map(|seq| Kept::new(seq, log.entry(seq), Some(log.at(seq).hash)).unwrap());
    Batch {
        epoch: log.epoch(),
        entries: entries.collect(),
        erasures: Vec::new(),
        intervals,
        shown: first - 1,
    }
}

#[tokio::test]
async fn entries_and_intervals_are_read_back_as_they_were_after_the_store_is_opened_again() {
    let (folder, log) = (TempDir::new().unwrap(), Log::new(2500));
    let (store, _) = open(&folder);
    let archive = Archive::new(store.clone(), log.channel);
    assert!(archive.load().unwrap().is_none());
    archive.keep(batch(&log, &Intervals::default(), 1, 2500)).await.unwrap();
    store.close().await;
    drop((store, archive));
    let (store, _) = open(&folder);
    let archive = Archive::new(store, log.channel);
    let loaded = archive.load().unwrap().unwrap();
    assert_eq!(
        (loaded.epoch, loaded.shown, loaded.intervals.newest().unwrap().end),
        (log.epoch(), 0, place(&log, 2500))
    );
    let read = archive.read(log.epoch(), 0, 2500, 2400).await.unwrap();
    let bytes = |entry: &RawEntry| entry.to_bytes().unwrap();
    assert!(read.iter().map(bytes).eq(log.entries[100..].iter().map(bytes)), "exact bytes, in order");
    assert_eq!(archive.chain(log.epoch(), place(&log, 0), 2500).await.unwrap(), log.at(2500).hash);
    assert!(matches!(archive.read(log.epoch(), 0, 2501, 1).await, Err(ArchiveError::Missing(2501))));
}

#[tokio::test]
async fn a_lost_write_leaves_what_was_there_and_a_repeat_does_no_harm() {
    let (folder, log) = (TempDir::new().unwrap(), Log::new(30));
    let (store, faults) = open(&folder);
    let archive = Archive::new(store, log.channel);
    let first = batch(&log, &Intervals::default(), 1, 10);
    archive.keep(first.clone()).await.unwrap();
    let second = batch(&log, &first.intervals, 11, 20);
    faults.lose_next_write();
    assert!(matches!(archive.keep(second.clone()).await, Err(StoreError::Unknown { .. })));
    let third = batch(&log, &second.intervals, 21, 30);
    assert_eq!(archive.load().unwrap().unwrap().intervals, first.intervals);
    faults.set_free_bytes(Some(0));
    assert!(matches!(archive.keep(second.clone()).await, Err(StoreError::Full { .. })));
    faults.set_free_bytes(None);
    faults.fail_next_flush();
    assert!(matches!(archive.keep(second.clone()).await, Err(StoreError::Unknown { .. })));
    archive.keep(second).await.unwrap();
    archive.keep(third).await.unwrap();
    assert_eq!(archive.read(log.epoch(), 0, 30, 99).await.unwrap().len(), 30);
}

#[tokio::test]
async fn pages_join_two_intervals_when_the_chain_leads_from_one_to_the_other() {
    let (folder, log) = (TempDir::new().unwrap(), Log::new(40));
    let (store, _) = open(&folder);
    let archive = Archive::new(store, log.channel);
    let first = batch(&log, &Intervals::default(), 1, 10);
    archive.keep(first.clone()).await.unwrap();
    let mut last = batch(&log, &first.intervals, 31, 40);
    let page = log.page(11, 30);
    assert!(last.intervals.prepend(page.first, page.last));
    last.entries.extend(page.entries);
    let root = archive.root(log.epoch());
    let proof = last.intervals.next_proof(root).unwrap();
    assert_eq!(proof, Proof { from: place(&log, 10), to: place(&log, 30) });
    archive.keep(last).await.unwrap();
    let chain = |from| archive.chain(log.epoch(), from, proof.to.seq);
    assert_eq!(chain(proof.from).await.unwrap(), proof.to.hash);
    let forged = Place { hash: root, ..proof.from };
    assert_ne!(chain(forged).await.unwrap(), proof.to.hash);
}

#[tokio::test]
async fn what_a_former_host_stored_behind_the_move_is_put_aside_once_and_what_comes_then_takes_its_place() {
    let (folder, log) = (TempDir::new().unwrap(), Log::new(200));
    let (store, _) = open(&folder);
    let archive = Archive::new(store.clone(), log.channel);
    let kept = Batch { shown: 150, ..batch(&log, &Intervals::default(), 1, 200) };
    archive.keep(kept).await.unwrap();
    let cut = Cut { from: log.at(90), term: 2 };
    let another = Cut { from: Position { hash: Hash::of(b"another"), ..cut.from }, ..cut };
    for cut in [another, Cut { from: Position { epoch: Epoch::new(), ..cut.from }, ..cut }] {
        assert_eq!(archive.set_aside(cut, None).await.unwrap().count, 0);
    }
    let author = log.entry(91).open().unwrap().from.subject;
    let aside = archive.set_aside(cut, Some(author)).await.unwrap();
    assert_eq!((aside.count, aside.mine.last()), (110, Some(&200)));
    let loaded = archive.load().unwrap().unwrap();
    assert_eq!((loaded.shown, loaded.intervals.newest().unwrap().end), (90, place(&log, 90)));
    assert_eq!(aside.loaded.unwrap().intervals, loaded.intervals);
    assert!(matches!(archive.read(log.epoch(), 0, 91, 1).await, Err(ArchiveError::Missing(91))));
    let branch = branch::read(&store, log.channel, None, 500).await.unwrap();
    let seqs: Vec<u64> = branch.iter().map(|aside| aside.open().unwrap().0.seq).collect();
    assert_eq!(seqs, (91..=200).collect::<Vec<_>>());
    let again = archive.set_aside(cut, None).await.unwrap();
    assert_eq!((again.count, again.loaded.unwrap().intervals), (0, loaded.intervals.clone()), "it is done");
    archive.keep(batch(&log, &loaded.intervals, 91, 95)).await.unwrap();
    assert_eq!(archive.read(log.epoch(), 0, 95, 99).await.unwrap().len(), 95);
}

#[tokio::test]
async fn what_is_erased_is_erased_in_the_lives_of_the_log_before_a_fork_too() {
    let (folder, log) = (TempDir::new().unwrap(), Log::new(10));
    let (store, _) = open(&folder);
    let archive = Archive::new(store, log.channel);
    let id = log.entry(4).open().unwrap().id;
    let erasure = Erasure { by: 11, seq: 4, id };
    archive.keep(batch(&log, &Intervals::default(), 1, 10)).await.unwrap();
    let fork = Epoch::new();
    let forked = Batch { epoch: fork, ..batch(&log, &Intervals::default(), 1, 10) };
    archive.keep(Batch { erasures: vec![erasure], ..forked }).await.unwrap();
    let bodies = |epoch| {
        let entries = (3..=5).map(|seq| RawEntry::from_bytes(&archive.bytes(epoch, seq).unwrap()).unwrap());
        entries.map(|entry| entry.body.is_some()).collect::<Vec<_>>()
    };
    assert_eq!((bodies(log.epoch()), bodies(fork)), (vec![true, false, true], vec![true, false, true]));
}

#[tokio::test]
async fn texts_that_are_not_here_are_counted_unless_they_were_erased() {
    let (folder, log) = (TempDir::new().unwrap(), Log::new(10));
    let (store, _) = open(&folder);
    let archive = Archive::new(store.clone(), log.channel);
    let mut kept = batch(&log, &Intervals::default(), 1, 10);
    for seq in [3_u64, 4, 7] {
        let bare = RawEntry { body: None, ..log.entry(seq).clone() };
        kept.entries[seq as usize - 1] = Kept::new(seq, &bare, Some(log.at(seq).hash)).unwrap();
    }
    let id = log.entry(4).open().unwrap().id;
    kept.erasures.push(Erasure { by: 9, seq: 4, id });
    let intervals = kept.intervals.clone();
    archive.keep(kept).await.unwrap();
    let (root, signed) = (archive.root(log.epoch()), proof::SignedPlaces::default());
    let life = verify::Life { epoch: log.epoch(), newest: true, root, intervals, signed };
    let (source, epoch) = (archive.clone(), log.epoch());
    let verified =
        life.verify(&store, move |reader: &Reader, seq| source.found(reader, epoch, seq)).await.unwrap();
    assert_eq!((verified.entries, verified.without_text, verified.faults.len()), (10, 2, 0));
}
