//! What a doctor finds in damaged data folders, what it mends, and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::doctor::{Report, State};
use common::storage::{Abort, Direction, KeyRange, Store, Table, Transaction};
use peer::SCHEMA;
use peer::api::{Command, Reply};
use peer::doctor::examine;
use support::{Person, World, named, until};

const LOG: Table = Table::new("log");
const LOG_IDS: Table = Table::new("log_ids");
const ARCHIVE: Table = Table::new("archive");
const INTERVALS: Table = Table::new("archive_intervals");
const OUTBOX: Table = Table::new("outbox");
const MESSAGES: u64 = 20;

/// Ken hosts a channel that charlie is in; both have stopped.
async fn scene() -> (World, Person, Person) {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    for number in 1..=MESSAGES {
        ken.send("first", &format!("message {number}")).await;
    }
    charlie.reads("first", MESSAGES).await;
    charlie.stop().await;
    ken.stop().await;
    (world, ken, charlie)
}

/// All that is in a folder, by path, but for locks.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

async fn change(
    person: &Person,
    change: impl FnOnce(&mut Transaction<'_>, Vec<(Table, Vec<u8>, Vec<u8>)>) + Send + 'static,
) {
    let store = Store::open(&person.config.data, SCHEMA).unwrap();
    let read = |table: Table| {
        let rows = store.reader().scan(table, KeyRange::ALL, usize::MAX, Direction::Forward).unwrap();
        rows.into_iter().map(move |(key, value)| (table, key.to_vec(), value.to_vec())).collect::<Vec<_>>()
    };
    let rows = [LOG, LOG_IDS, ARCHIVE, INTERVALS].into_iter().flat_map(read).collect();
    let changed = store.write(move |transaction| {
        change(transaction, rows);
        Ok::<_, Abort>(())
    });
    changed.await.unwrap();
    store.close().await;
}

fn of(rows: &[(Table, Vec<u8>, Vec<u8>)], table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let of_table = rows.iter().filter(|(of, ..)| *of == table);
    of_table.map(|(_, key, value)| (key.clone(), value.clone())).collect()
}

fn state(report: &Report, part: &str) -> State {
    let check = report.checks.iter().find(|check| check.part.starts_with(part));
    check.unwrap_or_else(|| panic!("{part}: {}", report.text())).state
}

async fn look(person: &Person) -> Report {
    examine(&person.config.data, false).await.unwrap()
}

async fn repair(person: &Person) -> Report {
    examine(&person.config.data, true).await.unwrap()
}

#[actix::test]
async fn what_is_sound_is_told_so_and_nothing_is_touched() {
    let (_world, mut ken, charlie) = scene().await;
    for person in [&ken, &charlie] {
        let before = contents(&person.config.data);
        for report in [look(person).await, repair(person).await] {
            assert!(report.sound && report.copy.is_none(), "{}", report.text());
            assert!(report.text().ends_with("nothing is wrong"));
        }
        assert_eq!(contents(&person.config.data), before);
    }
    assert_eq!(state(&look(&ken).await, "log of first"), State::Sound);
    assert_eq!(state(&look(&charlie).await, "archive"), State::Sound);
    ken.start().await;
    let running = examine(&ken.config.data, true).await.unwrap_err().to_string();
    assert!(running.contains("another program uses"), "{running}");
    let nowhere = examine(&ken.config.data.join("nowhere"), false).await.unwrap_err().to_string();
    assert!(nowhere.contains("--data"), "{nowhere}");
}

#[actix::test]
async fn the_index_of_ids_is_made_anew_from_the_log() {
    let (_world, mut ken, _charlie) = scene().await;
    change(&ken, |transaction, rows| {
        let ids = of(&rows, LOG_IDS);
        transaction.delete(LOG_IDS, &ids[3].0);
        transaction.put(LOG_IDS, &ids[5].0, ids[6].1.clone());
        let mut stray = ids[7].0.clone();
        stray[40] ^= 1;
        transaction.put(LOG_IDS, stray, ids[7].1.clone());
    })
    .await;
    assert_eq!(state(&look(&ken).await, "log of first, ids"), State::Repairable);
    let mended = repair(&ken).await;
    assert!(mended.sound, "{}", mended.text());
    assert_eq!(state(&mended, "log of first, ids"), State::Repaired);
    // The copy is what was there before.
    let copy = Store::open(Path::new(mended.copy.as_ref().unwrap()), SCHEMA).unwrap();
    let ids = copy.reader().scan(LOG_IDS, KeyRange::ALL, usize::MAX, Direction::Forward).unwrap();
    assert_eq!(ids.len() as u64, MESSAGES);
    copy.close().await;
    assert!(look(&ken).await.sound);
    ken.start().await;
    until("the channel to be hosted", async || ken.channel("first").await.hosted).await;
}

#[actix::test]
async fn what_is_damaged_of_an_archive_comes_again_from_the_host() {
    let (_world, mut ken, mut charlie) = scene().await;
    change(&charlie, |transaction, rows| {
        let mut archive = of(&rows, ARCHIVE);
        let (key, value) = &mut archive[4];
        let last = value.len() - 4;
        value[last] ^= 1;
        transaction.put(ARCHIVE, &*key, value.clone());
        transaction.delete(ARCHIVE, &archive[11].0);
        transaction.put(ARCHIVE, &archive[12].0, b"{".to_vec());
    })
    .await;
    let found = look(&charlie).await;
    assert_eq!(state(&found, "archive"), State::Repairable, "{}", found.text());
    assert!(found.text().contains("3 of 20 entries are damaged, the first is 5"), "{}", found.text());
    let mended = repair(&charlie).await;
    assert!(mended.sound, "{}", mended.text());
    ken.start().await;
    charlie.start().await;
    let is_whole = async || {
        let verify = Command::Verify { channel: named("first") };
        let Ok(Reply::Verified(verified)) = charlie.perform(verify).await else { return false };
        verified.sound && verified.logs.iter().all(|log| log.entries == MESSAGES && log.missing.is_empty())
    };
    until("the archive to be whole", is_whole).await;
    let texts = charlie.history("first").await.into_iter().map(|message| message.text.unwrap());
    assert_eq!(texts.collect::<Vec<_>>(), (1..=MESSAGES).map(|n| format!("message {n}")).collect::<Vec<_>>());
}

#[actix::test]
async fn an_archive_of_which_nothing_is_known_begins_anew() {
    let (_world, mut ken, mut charlie) = scene().await;
    change(&charlie, |transaction, rows| {
        transaction.put(INTERVALS, &of(&rows, INTERVALS)[0].0, b"[".to_vec());
    })
    .await;
    assert_eq!(state(&look(&charlie).await, "archive"), State::Repairable);
    assert!(repair(&charlie).await.sound);
    ken.start().await;
    charlie.start().await;
    let history = Command::History { channel: named("first"), count: 50, before: None };
    let is_all_there = async || match charlie.perform(history.clone()).await {
        Ok(Reply::History(history)) => history.messages.len() as u64 == MESSAGES,
        _ => false,
    };
    until("all to be there", is_all_there).await;
}

#[actix::test]
async fn rows_that_cannot_be_read_are_put_aside_and_the_rest_goes_on() {
    let (_world, _ken, mut charlie) = scene().await;
    change(&charlie, |transaction, _| transaction.put(OUTBOX, "a row", b"{\"text\":".to_vec())).await;
    assert_eq!(state(&look(&charlie).await, "outbox"), State::Repairable);
    let mended = repair(&charlie).await;
    assert!(mended.sound, "{}", mended.text());
    let aside = fs::read_to_string(charlie.config.data.join("quarantine.jsonl")).unwrap();
    let row: serde_json::Value = serde_json::from_str(aside.trim_end()).unwrap();
    assert_eq!((&row["table"], &row["text"]), (&"outbox".into(), &"{\"text\":".into()));
    charlie.start().await;
    assert_eq!(charlie.history("first").await.len() as u64, MESSAGES);
}

#[actix::test]
async fn who_may_read_the_key_is_mended_too() {
    let (_world, ken, _charlie) = scene().await;
    let key = ken.config.data.join("identity");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(state(&look(&ken).await, "identity"), State::Repairable);
    assert!(repair(&ken).await.sound);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[actix::test]
async fn what_cannot_be_mended_is_left_alone_and_says_what_to_do() {
    let (_world, ken, charlie) = scene().await;
    change(&ken, |transaction, rows| {
        let mut log = of(&rows, LOG);
        let (key, value) = &mut log[6];
        let last = value.len() - 4;
        value[last] ^= 1;
        transaction.put(LOG, &*key, value.clone());
    })
    .await;
    let before = contents(&ken.config.data);
    let report = repair(&ken).await;
    assert!(!report.sound && report.text().contains("entry 7 of 20"), "{}", report.text());
    assert!(report.text().contains("put back a backup"), "{}", report.text());
    assert_eq!(contents(&ken.config.data), before);

    let db = charlie.config.data.join("store/db");
    let bytes = fs::read(&db).unwrap();
    for damage in [Vec::new(), vec![0x55; bytes.len()]] {
        fs::write(&db, &damage).unwrap();
        let before = contents(&charlie.config.data);
        let report = repair(&charlie).await;
        assert_eq!(state(&report, "store"), State::Broken, "{}", report.text());
        assert_eq!(contents(&charlie.config.data), before, "a doctor changes nothing that it cannot mend");
    }
    fs::remove_file(charlie.config.data.join("store.json")).unwrap();
    assert_eq!(state(&look(&charlie).await, "store"), State::Broken);
}
