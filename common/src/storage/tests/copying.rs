//! A copy that is made while others write.

use super::*;

#[tokio::test]
async fn a_copy_has_all_that_was_acknowledged_before_and_nothing_by_half() {
    let (folder, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..400_u32 {
                let pair = store.write(move |transaction| {
                    for key in [format!("a{number:05}"), format!("b{number:05}")] {
                        transaction.put(LOG, key, "x".repeat(3000));
                    }
                    Ok::<_, Abort>(())
                });
                pair.await.unwrap();
            }
        })
    };
    let mut before = Vec::new();
    for round in 0..5 {
        let key = format!("z{round}");
        put(&store, &key, "here").await.unwrap();
        before.push(key);
        let copy = target.path().join(round.to_string());
        store.copy_to(copy.clone()).await.unwrap();
        let copied = Store::open(&copy, SCHEMA).unwrap();
        for key in &before {
            assert!(copied.reader().get(LOG, key).unwrap().is_some(), "{key} in round {round}");
        }
        let count = |begin: &str| {
            let rows = copied.reader().scan(LOG, KeyRange::prefix(begin), usize::MAX, Direction::Forward);
            rows.unwrap().len()
        };
        assert_eq!(count("a"), count("b"), "half of a write in round {round}");
        copied.close().await;
    }
    writer.await.unwrap();
    // The store itself goes on, and its copies are on their own.
    put(&store, "later", "x").await.unwrap();
    store.close().await;
    let again = open(folder.path());
    assert!(again.reader().get(LOG, "b00399").unwrap().is_some());
}

#[tokio::test]
async fn a_copy_that_cannot_be_made_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "a", "x").await.unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let refused = store.copy_to(file.join("within")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Failed { .. }), "{refused}");
    put(&store, "b", "x").await.unwrap();
    store.close().await;
    assert!(matches!(store.copy_to(folder.path().join("late")).await, Err(StoreError::Closed)));
}
