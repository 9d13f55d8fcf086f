//! A disk that is full, or fails.

use super::*;

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    put(&store, "a", "1").await.unwrap();
    faults.set_free_bytes(Some(limits::MIN_FREE_BYTES - 1));
    let full = StoreError::Full { free_bytes: limits::MIN_FREE_BYTES - 1 };
    assert_eq!(put(&store, "b", "1").await, Err(full.clone()));
    assert!(full.to_string().starts_with("storage_full"), "{full}");
    assert_eq!(count(&store, LOG), 1, "reads still work");
    faults.set_free_bytes(Some(limits::MIN_FREE_BYTES));
    put(&store, "b", "1").await.unwrap();
    assert_eq!(count(&store, LOG), 2);
}

#[tokio::test]
async fn after_a_failed_flush_the_database_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    let reader = store.reader();
    put(&store, "a", "1").await.unwrap();
    faults.fail_next_flush();
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Unknown { .. })));
    assert_eq!(settled(&store, "b").await.as_deref(), Some("1"));
    faults.fail_next_sync();
    assert!(matches!(put(&store, "b", "2").await, Err(StoreError::Unknown { .. })));
    assert_eq!(settled(&store, "b").await.as_deref(), Some("2"));
    put(&store, "c", "1").await.unwrap();
    assert_eq!(reader.scan(LOG, .., 10, Direction::Forward).unwrap().len(), 3, "an old reader reads on");
}

#[tokio::test]
async fn a_lost_write_leaves_nothing_of_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    let held = hold_up(&store);
    faults.lose_next_write();
    let lost = [1_u8, 2, 3].map(|at| {
        store.submit(move |tx| -> Outcome<()> {
            tx.put(LOG, [at], "x");
            Ok(())
        })
    });
    // It wrote nothing, but what it saw may be gone.
    let looked = store.submit(|tx| -> Outcome<_> { Ok(tx.get(LOG, [1])?) });
    drop(held);
    for lost in lost {
        assert!(matches!(lost.unwrap().await, Err(StoreError::Unknown { .. })));
    }
    assert!(matches!(looked.unwrap().await, Err(StoreError::Unknown { .. })));
    put(&store, "a", "1").await.unwrap();
    assert_eq!(count(&store, LOG), 1);
}

#[tokio::test]
async fn a_failed_database_on_a_full_disk_can_be_read_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    put(&store, "a", "1").await.unwrap();
    faults.lose_next_write();
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Unknown { .. })));
    faults.set_free_bytes(Some(0));
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Full { .. })));
    assert_eq!(count(&store, LOG), 1);
    faults.set_free_bytes(None);
    put(&store, "b", "1").await.unwrap();
    assert_eq!(count(&store, LOG), 2);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_again_is_tried_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    put(&store, "a", "1").await.unwrap();
    faults.lose_next_write();
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Unknown { .. })));
    let (here, away) = (folder.path().join("store"), folder.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Failed { .. })));
    assert!(matches!(store.reader().get(LOG, "a"), Err(ReadError::Failed { .. })));
    std::fs::rename(&away, &here).unwrap();
    put(&store, "b", "1").await.unwrap();
    assert_eq!(count(&store, LOG), 2);
}

#[tokio::test]
async fn a_long_read_holds_back_the_reopening_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    put(&store, "a", "1").await.unwrap();
    let (say_started, started) = mpsc::channel();
    let (release, released) = mpsc::channel::<Infallible>();
    let reader = store.reader();
    let reading = std::thread::spawn(move || {
        reader.visit(LOG, .., Direction::Forward, |_, _| {
            say_started.send(()).unwrap();
            let _ = released.recv();
            std::ops::ControlFlow::Continue(())
        })
    });
    started.recv().unwrap();
    faults.lose_next_write();
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Unknown { .. })));
    assert!(matches!(put(&store, "b", "1").await, Err(StoreError::Failed { .. })));
    drop(release);
    reading.join().unwrap().unwrap();
    put(&store, "b", "1").await.unwrap();
    assert_eq!(count(&store, LOG), 2);
}

#[tokio::test]
async fn the_end_of_the_committer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    let ended = store.ended();
    faults.panic_at_next_flush();
    assert!(matches!(put(&store, "a", "1").await, Err(StoreError::Unknown { .. })));
    assert_eq!(ended.await, Ended::Died);
    assert_eq!(put(&store, "a", "1").await, Err(StoreError::Closed));
    assert_eq!(store.reader().get(LOG, "a"), Err(ReadError::Closed));
    assert_eq!(store.close().await, Ended::Died);
}
