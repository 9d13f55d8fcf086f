//! From what an earlier release has written to what this one does.

use std::fs;
use std::ops::Bound;

use bytes::Bytes;

use super::*;

const OLD: Schema = Schema { version: 1, ..SCHEMA };
const STEPS: &[Step] = &[Step { to: 2, piece: doubled }, Step { to: 3, piece: named }];

/// Writes each value twice into another table, row by row.
fn doubled(tx: &mut Transaction<'_>, after: Option<Bytes>) -> Result<Option<Bytes>, ReadError> {
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_vec()));
    let row = tx.scan(LOG, (from, Bound::Unbounded), 1, Direction::Forward)?.into_iter().next();
    let Some((key, value)) = row else { return Ok(None) };
    tx.put(HEADS, &key, [value.as_ref(), value.as_ref()].concat());
    Ok(Some(key))
}

/// Needs what the step before has made.
fn named(tx: &mut Transaction<'_>, _: Option<Bytes>) -> Result<Option<Bytes>, ReadError> {
    let rows = tx.scan(HEADS, .., usize::MAX, Direction::Forward)?;
    let count = rows.iter().filter(|(key, _)| key != "count").count();
    tx.put(HEADS, "count", count.to_string());
    Ok(None)
}

fn broken(_: &mut Transaction<'_>, _: Option<Bytes>) -> Result<Option<Bytes>, ReadError> {
    Err(ReadError::Damaged { what: "a row".to_owned() })
}

async fn old(folder: &Path) {
    let store = Store::open(folder, OLD).unwrap();
    for key in ["a", "b", "c"] {
        put(&store, key, key).await.unwrap();
    }
    store.close().await;
}

fn heads(store: &Store) -> Vec<(String, String)> {
    let rows = store.reader().scan(HEADS, .., usize::MAX, Direction::Forward).unwrap();
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    rows.iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn done() -> Vec<(String, String)> {
    let row = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![row("a", "aa"), row("b", "bb"), row("c", "cc"), row("count", "3")]
}

#[tokio::test]
async fn all_steps_are_done_once_and_the_copy_is_what_was_there_before() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path()).await;
    for _ in 0..2 {
        let store = Store::open_migrating(folder.path(), SCHEMA, STEPS).unwrap();
        assert_eq!(heads(&store), done());
        assert_eq!(count(&store, LOG), 3);
        store.close().await;
    }
    assert!(matches!(Store::open(folder.path(), OLD), Err(OpenError::Newer { found: 3, .. })));
    let copy = Store::open(&copy_of(folder.path(), 1), OLD).unwrap();
    assert_eq!((count(&copy, LOG), count(&copy, HEADS)), (3, 0));
}

#[tokio::test]
async fn what_no_step_leads_from_is_refused_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path()).await;
    for steps in [&[], &STEPS[..1], &STEPS[1..]] {
        let refused = Store::open_migrating(folder.path(), SCHEMA, steps).unwrap_err();
        assert!(matches!(refused, OpenError::Older { found: 1, known: 3, .. }), "{refused}");
    }
    assert!(!copy_of(folder.path(), 1).exists());
    let other = Schema { program: Program::Tracker, ..SCHEMA };
    let refused = Store::open_migrating(folder.path(), other, STEPS).unwrap_err();
    assert!(matches!(refused, OpenError::OtherProgram { .. }));
    assert_eq!(count(&Store::open(folder.path(), OLD).unwrap(), LOG), 3);
}

#[tokio::test]
async fn what_was_interrupted_is_an_old_store_still_and_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path()).await;
    let steps = &[STEPS[0], Step { to: 3, piece: broken }];
    let refused = Store::open_migrating(folder.path(), SCHEMA, steps).unwrap_err();
    assert!(matches!(refused, OpenError::Migration { to: 3, .. }), "{refused}");
    // The older release still takes it.
    Store::open(folder.path(), OLD).unwrap().close().await;
    let faults = Arc::new(Faults::default());
    for fault in [Faults::lose_next_write, Faults::fail_next_flush, Faults::fail_next_sync] {
        fault(&faults);
        let opened = Store::open_migrating_with_faults(folder.path(), SCHEMA, STEPS, Arc::clone(&faults));
        assert!(matches!(opened, Err(OpenError::Migration { .. })));
    }
    faults.set_free_bytes(Some(0));
    let full = Store::open_migrating_with_faults(folder.path(), SCHEMA, STEPS, Arc::clone(&faults));
    assert!(full.unwrap_err().to_string().contains("make room"));
    let copy = fs::read(folder.path().join("migrating/store.json")).unwrap();
    let store = Store::open_migrating(folder.path(), SCHEMA, STEPS).unwrap();
    assert_eq!(heads(&store), done());
    assert_eq!(fs::read(copy_of(folder.path(), 1).join("store.json")).unwrap(), copy);
}

#[tokio::test]
async fn a_crash_before_the_last_file_or_within_the_copy_is_made_good() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path()).await;
    let before = fs::read(folder.path().join("store.json")).unwrap();
    // Half a copy.
    let (copy, under_way) = (copy_of(folder.path(), 1), folder.path().join("migrating"));
    fs::create_dir_all(under_way.join("store")).unwrap();
    fs::write(under_way.join("store/db"), "half of it").unwrap();
    Store::open_migrating(folder.path(), SCHEMA, STEPS).unwrap().close().await;
    // All is done, but for the file that says so.
    fs::write(folder.path().join("store.json"), before).unwrap();
    fs::rename(&copy, &under_way).unwrap();
    Store::open_migrating(folder.path(), SCHEMA, STEPS).unwrap().close().await;
    // All, but for the name of the copy.
    fs::rename(&copy, &under_way).unwrap();
    let store = Store::open_migrating(folder.path(), SCHEMA, STEPS).unwrap();
    assert_eq!(heads(&store), done());
    let copied = Store::open(&copy, OLD).unwrap();
    assert_eq!((count(&copied, LOG), count(&copied, HEADS)), (3, 0));
}

#[tokio::test]
async fn whoever_went_back_to_the_older_release_has_a_copy_of_what_that_wrote_too() {
    let folder = tempfile::tempdir().unwrap();
    old(folder.path()).await;
    Store::open_migrating(folder.path(), SCHEMA, STEPS).unwrap().close().await;
    let (again, copy) = (tempfile::tempdir().unwrap(), copy_of(folder.path(), 1));
    let data = again.path().join("data");
    copy_closed(&copy, &data).unwrap();
    fs::rename(&copy, copy_of(&data, 1)).unwrap();
    let store = Store::open(&data, OLD).unwrap();
    put(&store, "d", "d").await.unwrap();
    store.close().await;
    Store::open_migrating(&data, SCHEMA, STEPS).unwrap().close().await;
    let copy = copy_of(&data, 1);
    assert_eq!(count(&Store::open(&copy, OLD).unwrap(), LOG), 4);
    assert_eq!(count(&Store::open(&copy.with_added_extension("1"), OLD).unwrap(), LOG), 3);
}
