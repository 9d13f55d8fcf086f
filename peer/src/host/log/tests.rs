//! Texts that go, and entries that are put aside, on a real store.

use common::clock::Timestamp;
use common::entry::erasure::Erasure;
use common::entry::{Author, Header, TEXT};
use common::id::IdentityKind;
use common::identity::PeerKey;
use serde_json::value::to_raw_value;
use tempfile::TempDir;

use super::*;
use crate::SCHEMA;

fn entry(seq: u64, stored_at: u64) -> RawEntry {
    let key = PeerKey::from_bytes([3; 32]);
    let header = Header {
        seq,
        id: MessageId::new(),
        kind: TEXT.into(),
        from: Author::new(Subject::Guest(key), "ken".into(), IdentityKind::Guest, key),
        sent_at: Timestamp::from_millis(1),
        stored_at: Timestamp::from_millis(stored_at),
        about: None,
        imported: None,
        body_hash: Hash::of(b""),
    };
    let body = to_raw_value(&serde_json::json!({ "text": "word" })).unwrap();
    RawEntry::seal(header, body).unwrap().1
}

/// Logs in which these entries are, one life after the other.
async fn logs<const LIVES: usize>(entries: &[RawEntry]) -> (TempDir, [Log; LIVES]) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), SCHEMA).unwrap();
    let channel = ChannelId::new();
    let logs = std::array::from_fn(|_| Log::new(store.clone(), channel, Epoch::new()));
    for log in &logs {
        let (log, entries) = (log.clone(), entries.to_vec());
        let put = move |transaction: &mut Transaction<'_>| {
            for (seq, entry) in (1..).zip(&entries) {
                let bytes = entry.to_bytes().unwrap();
                transaction.put(ENTRIES, log.entry_key(seq), row(Hash::of(&bytes), &bytes));
            }
            Ok::<_, Abort>(())
        };
        store.write(put).await.unwrap();
    }
    (folder, logs)
}

fn has_text(log: &Log) -> Vec<bool> {
    let entries = (1..).map_while(|seq| log.entry_at(seq).unwrap());
    entries.map(|bytes| RawEntry::from_bytes(&bytes).unwrap().body.is_some()).collect()
}

async fn erase(log: &Log, erasure: Erasure) {
    let this = log.clone();
    let erase = move |transaction: &mut Transaction<'_>| Ok::<_, Abort>(this.erase(transaction, &erasure)?);
    log.store.write(erase).await.unwrap();
}

#[tokio::test]
async fn what_is_erased_and_what_is_too_old_goes_from_every_life_of_the_log() {
    let entries = [10, 20, 30, 40].map(|time| entry(time / 10, time));
    let (_folder, logs) = logs::<3>(&entries).await;
    let id = entries[3].open_header().unwrap().id;
    erase(&logs[1], Erasure { by: 5, seq: 4, id }).await;
    // Another message has that number there: it is not meant.
    erase(&logs[1], Erasure { by: 6, seq: 3, id }).await;
    for log in &logs {
        assert_eq!(has_text(log), [true, true, true, false]);
    }
    let (before, now) = (Timestamp::from_millis(25), Timestamp::from_millis(100));
    assert!(!logs[2].forget(before, now).await.unwrap(), "there is no more that is too old");
    for log in &logs {
        assert_eq!(has_text(log), [false, false, true, false]);
    }
}

#[tokio::test]
async fn a_clock_that_was_wrong_and_an_entry_that_cannot_be_read_keep_nothing_behind_them() {
    let mut entries = [10, 9_999, 20, 30, 9_999].map(|time| entry(1, time)).to_vec();
    entries[3].header = to_raw_value("no header").unwrap();
    let (_folder, [log]) = logs(&entries).await;
    let at = Timestamp::from_millis;
    assert!(!log.forget(at(15), at(100)).await.unwrap());
    assert_eq!(has_text(&log), [false, true, true, true, true], "it may have come a moment ago");
    assert!(!log.forget(at(25), at(100)).await.unwrap());
    assert_eq!(has_text(&log), [false, false, false, true, true]);
    assert!(log.forget(at(10_000), at(10_001)).await.unwrap(), "all of them, so that there may be more");
    assert_eq!(has_text(&log), [false, false, false, true, false]);
    assert!(!log.forget(at(10_000), at(10_001)).await.unwrap());
}

#[tokio::test]
async fn numbers_that_are_free_again_are_neither_erased_nor_too_old() {
    let entries = [10, 20, 30, 40].map(|time| entry(time / 10, time));
    let (_folder, [log]) = logs(&entries).await;
    for (by, seq) in [(2, 1), (4, 2), (5, 3)] {
        let id = entries[seq as usize - 1].open_header().unwrap().id;
        erase(&log, Erasure { by, seq, id }).await;
    }
    log.forget(Timestamp::from_millis(45), Timestamp::from_millis(100)).await.unwrap();
    let from = log.position_at(2).unwrap().unwrap();
    assert_eq!(log.set_aside(from, 2).await.unwrap(), 2);
    let erased = (1..=4).map(|seq| log.erased_by(seq).unwrap()).collect::<Vec<_>>();
    assert_eq!(erased, [Some(2), None, None, None], "what is aside has erased nothing here");
    let (this, reader) = (log.clone(), log.store.reader());
    assert_eq!(Log::end_of(&reader, this.channel, this.epoch).unwrap(), (2, 2));
}
