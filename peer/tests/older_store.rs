//! A data folder of an earlier release: brought up to date at the start, after a copy was made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::storage::{Abort, Direction, KeyRange, Schema, Store, Table, copy_of};
use peer::SCHEMA;
use peer::api::{Command, Reply};
use support::{Person, World, named};

const BEFORE: Schema = Schema { version: 1, ..SCHEMA };
const ARCHIVE: Table = Table::new("archive");
const ERASED: Table = Table::new("archive_erased");
/// What a member has.
const TABLES: &[Table] = &[
    Table::new("session"),
    Table::new("settings"),
    Table::new("channels"),
    Table::new("archive_epoch"),
    Table::new("archive_intervals"),
    Table::new("archive_checkpoints"),
    ARCHIVE,
];
const SECRET: &str = "charlie says the secret";

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows(store: &Store, table: Table) -> Rows {
    let rows = store.reader().scan(table, KeyRange::ALL, usize::MAX, Direction::Forward).unwrap();
    rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn has_secret(rows: &Rows) -> bool {
    rows.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(SECRET))
}

/// The archive as it is with and without what was erased.
async fn archives() -> (World, Person, Rows) {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    charlie.send("first", SECRET).await;
    charlie.reads("first", 1).await;
    charlie.stop().await;
    let store = Store::open(&charlie.config.data, SCHEMA).unwrap();
    let with_text = rows(&store, ARCHIVE);
    store.close().await;
    charlie.start().await;
    ken.done(Command::Erase { channel: named("first"), seq: 1, why: None }).await;
    charlie.reads("first", 2).await;
    ken.stop_quietly().await;
    charlie.stop().await;
    (world, charlie, with_text)
}

/// Writes the folder as the release before has it: it kept entries that erase, and the texts that they name.
async fn as_before(folder: &std::path::Path, with_text: Rows) {
    let store = Store::open(folder, SCHEMA).unwrap();
    let others: Vec<(Table, Rows)> = TABLES.iter().map(|table| (*table, rows(&store, *table))).collect();
    store.close().await;
    for name in ["store.json", "store.mark"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    std::fs::remove_dir_all(folder.join("store")).unwrap();
    let store = Store::open(folder, BEFORE).unwrap();
    let written = store.write(move |transaction| {
        let text = [(ARCHIVE, with_text)];
        for (table, rows) in others.into_iter().chain(text) {
            rows.into_iter().for_each(|(key, value)| transaction.put(table, key, value));
        }
        Ok::<_, Abort>(())
    });
    written.await.unwrap();
    assert!(has_secret(&rows(&store, ARCHIVE)) && rows(&store, ERASED).is_empty());
    store.close().await;
}

#[actix::test]
async fn what_an_earlier_release_kept_of_what_was_erased_goes_and_a_copy_of_before_stays() {
    let (_world, mut charlie, with_text) = archives().await;
    let data = charlie.config.data.clone();
    as_before(&data, with_text).await;
    for _ in 0..2 {
        charlie.start().await;
        let Reply::History(history) =
            charlie.done(Command::History { channel: named("first"), count: 10, before: None }).await
        else {
            unreachable!()
        };
        assert_eq!((history.messages.len(), history.messages[0].text.as_deref()), (2, None));
        assert_eq!(history.messages[0].erased.as_ref().unwrap().by.as_deref(), Some("ken"));
        charlie.stop().await;
    }
    let store = Store::open(&data, SCHEMA).unwrap();
    assert!(!has_secret(&rows(&store, ARCHIVE)));
    store.close().await;
    let copy = Store::open(&copy_of(&data, 1), BEFORE).unwrap();
    assert!(has_secret(&rows(&copy, ARCHIVE)));
    copy.close().await;
}
