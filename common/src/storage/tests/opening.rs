//! Whose folder it is, and whether it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::*;

/// All that is in a folder, by path.
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

async fn made(folder: &Path) {
    let store = open(folder);
    for key in ["a", "b", "c"] {
        put(&store, key, &"x".repeat(10_000)).await.unwrap();
    }
    store.close().await;
}

fn damage_of(folder: &Path) -> String {
    match Store::open(folder, SCHEMA) {
        Err(error @ OpenError::Damaged { .. }) => error.to_string(),
        other => panic!("not damaged: {other:?}"),
    }
}

#[tokio::test]
async fn a_folder_is_opened_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let refused = Store::open(folder.path(), SCHEMA).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }));
    let text = refused.to_string();
    assert!(text.contains("stop it, or give --data another folder"), "{text}");
    store.close().await;
    open(folder.path());
}

#[tokio::test]
async fn another_release_or_program_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path()).await;
    let before = contents(folder.path());
    let older = Store::open(folder.path(), Schema { version: 2, ..SCHEMA }).unwrap_err();
    assert!(matches!(older, OpenError::Newer { found: 3, known: 2, .. }), "{older}");
    let newer = Store::open(folder.path(), Schema { version: 4, ..SCHEMA }).unwrap_err();
    assert!(matches!(newer, OpenError::Older { found: 3, known: 4, .. }), "{newer}");
    let other = Store::open(folder.path(), Schema { program: Program::Tracker, ..SCHEMA }).unwrap_err();
    assert!(other.to_string().contains("belongs to a peer: give this tracker another folder"), "{other}");
    assert_eq!(contents(folder.path()), before);
    assert_eq!(count(&open(folder.path()), LOG), 3);
}

#[tokio::test]
async fn a_damaged_store_says_so() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 6] = [
        ("gone", |folder| fs::remove_dir_all(folder.join("store")).unwrap()),
        ("emptied", |folder| fs::write(folder.join("store/db"), "").unwrap()),
        ("overwritten", |folder| {
            let path = folder.join("store/db");
            let length = fs::read(&path).unwrap().len();
            fs::write(&path, vec![0x55; length]).unwrap();
        }),
        ("no database", |folder| fs::write(folder.join("store/conf"), "0123456789").unwrap()),
        ("no schema", |folder| fs::write(folder.join("store.json"), "{").unwrap()),
        ("schema lost", |folder| fs::remove_file(folder.join("store.json")).unwrap()),
    ];
    for opened_before in [false, true] {
        for (name, damage) in cases {
            let folder = tempfile::tempdir().unwrap();
            made(folder.path()).await;
            if opened_before {
                // It then has a snapshot of its log, and finds damage in another way.
                open(folder.path()).close().await;
            }
            damage(folder.path());
            let before = contents(folder.path());
            let text = damage_of(folder.path());
            assert!(text.contains("is damaged"), "{name}: {text}");
            // What sled had to read to find out, it has cut off.
            let is_read_by_sled = name == "overwritten" && !opened_before;
            assert!(is_read_by_sled || contents(folder.path()) == before, "{name}: something was changed");
        }
    }
}

#[tokio::test]
async fn a_making_or_opening_that_was_interrupted_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).close().await;
    fs::remove_file(folder.path().join("store.json")).unwrap();
    let store = open(folder.path());
    put(&store, "a", "1").await.unwrap();
    store.close().await;
    fs::write(folder.path().join("store/snap.7FFFFFFFFFFFFFFF.generating"), "half").unwrap();
    assert_eq!(count(&open(folder.path()), LOG), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_may_have_many() {
    let folders: Vec<_> = (0..40).map(|_| tempfile::tempdir().unwrap()).collect();
    let stores: Vec<_> = folders.iter().map(|folder| open(folder.path())).collect();
    let mut writers = tokio::task::JoinSet::new();
    for store in stores.clone() {
        writers.spawn(async move {
            for key in ["a", "b", "c"] {
                put(&store, key, "1").await.unwrap();
            }
            count(&store, LOG)
        });
    }
    assert_eq!(writers.join_all().await, [3; 40]);
    for store in stores {
        store.close().await;
    }
}
