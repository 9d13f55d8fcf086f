//! Writes: order, groups, atomicity, ends.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_neither_lock_up_nor_lose_anything() {
    const WRITERS: u32 = 16;
    const WRITES: u32 = 60;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for at in 0..WRITES {
                put(&store, &format!("{writer}/{at}"), "x").await.unwrap();
            }
        });
    }
    writers.join_all().await;
    assert_eq!(store.close().await, Ended::Closed);
    let store = open(folder.path());
    assert_eq!(count(&store, LOG), (WRITERS * WRITES) as usize);
}

#[tokio::test]
async fn jobs_run_in_the_order_they_were_submitted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let append = |_: u32| {
        let submitted = store.submit(|tx| -> Outcome<u32> {
            let head = tx.get(HEADS, "h")?.map_or(0, |head| u32::from_be_bytes(head[..].try_into().unwrap()));
            tx.put(HEADS, "h", (head + 1).to_be_bytes().to_vec());
            tx.put(LOG, head.to_be_bytes(), "entry");
            Ok(head)
        });
        submitted.unwrap()
    };
    let submitted: Vec<_> = (0..500).map(append).collect();
    for (at, submitted) in submitted.into_iter().enumerate() {
        assert_eq!(submitted.await.unwrap() as usize, at);
    }
}

#[tokio::test]
async fn jobs_that_wait_share_one_flush() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = open_with_faults(folder.path());
    let held = hold_up(&store);
    let submitted: Vec<_> = (0..100_u8)
        .map(|at| {
            store.submit(move |tx| -> Outcome<()> {
                tx.put(LOG, [at], "x");
                Ok(())
            })
        })
        .collect();
    drop(held);
    for submitted in submitted {
        submitted.unwrap().await.unwrap();
    }
    assert_eq!(faults.flushes(), 1);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let held = hold_up(&store);
    let mut submitted = Vec::new();
    let busy = loop {
        match store.submit(|tx| -> Outcome<()> {
            tx.put(LOG, "x", "x");
            Ok(())
        }) {
            Ok(one) => submitted.push(one),
            Err(error) => break error,
        }
    };
    assert_eq!(busy, StoreError::Busy);
    assert_eq!(submitted.len(), MAX_QUEUED_JOBS);
    drop(held);
    for one in submitted {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn a_rejected_or_panicking_job_writes_nothing_and_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "kept", "before").await.unwrap();
    let held = hold_up(&store);
    let first = store.submit(|tx| -> Outcome<()> {
        tx.put(LOG, "kept", "changed");
        Ok(())
    });
    let rejected = store.submit(|tx| {
        assert_eq!(tx.get(LOG, "kept")?.unwrap(), "changed");
        tx.put(LOG, "kept", "lost");
        tx.put(LOG, "kept", "lost again");
        tx.put(HEADS, "new", "lost");
        tx.delete(LOG, "kept");
        Err::<(), _>(Abort::Rejected("taken"))
    });
    let panicked = store.submit(|tx| -> Outcome<()> {
        tx.put(HEADS, "new", "lost");
        panic!("of the test");
    });
    let after = store.submit(|tx| -> Outcome<_> { Ok((tx.get(LOG, "kept")?, tx.get(HEADS, "new")?)) });
    drop(held);
    first.unwrap().await.unwrap();
    assert_eq!(rejected.unwrap().await.unwrap_err(), StoreError::Rejected("taken"));
    let StoreError::Failed { reason } = panicked.unwrap().await.unwrap_err() else { panic!("not failed") };
    assert!(reason.contains("of the test"), "{reason}");
    assert_eq!(after.unwrap().await.unwrap(), (Some("changed".into()), None));
}

#[tokio::test]
async fn what_is_answered_is_in_the_files_and_jobs_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for round in 0..20_u8 {
        let job = move |tx: &mut Transaction<'_>| -> Outcome<()> {
            tx.put(LOG, [round], vec![round; 1000]);
            tx.put(HEADS, "head", vec![round]);
            tx.delete(LOG, [round.wrapping_sub(10)]);
            Ok(())
        };
        store.write(job).await.unwrap();
        // As after a crash: nobody has closed the store whose files these are.
        let copy = tempfile::tempdir().unwrap();
        copy_files(folder.path(), copy.path());
        let copied = open(copy.path());
        assert_eq!(copied.reader().get(HEADS, "head").unwrap().unwrap(), [round].as_slice());
        assert_eq!(count(&copied, LOG), usize::from(round.min(9)) + 1);
        copied.close().await;
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_files(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let write = |key: usize, value: usize| {
        store.write(move |tx| -> Outcome<()> {
            tx.put(HEADS, "beside", "x");
            tx.put(LOG, vec![1; key], vec![1; value]);
            Ok(())
        })
    };
    let (key, value) = (limits::MAX_KEY_BYTES, limits::MAX_VALUE_BYTES);
    assert_eq!(write(key + 1, 1).await, Err(StoreError::TooLarge { bytes: key + 1, limit: key }));
    assert_eq!(write(1, value + 1).await, Err(StoreError::TooLarge { bytes: value + 1, limit: value }));
    assert_eq!(count(&store, HEADS), 0);
    write(key, value).await.unwrap();
    let whole_job = store.write(|tx| -> Outcome<()> {
        for at in 0..200_u8 {
            tx.put(LOG, [at], vec![0; limits::MAX_VALUE_BYTES]);
        }
        Ok(())
    });
    assert!(matches!(whole_job.await, Err(StoreError::TooLarge { .. })));
    assert_eq!(count(&store, LOG), 1);
}

#[tokio::test]
async fn the_largest_values_stay_in_the_file_that_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let blobs = folder.path().join("store/blobs");
    for round in 0..60_u64 {
        let job = move |tx: &mut Transaction<'_>| -> Outcome<()> {
            for at in 0..8 {
                let number = round * 8 + at;
                // Both in order, as a log is, and scattered, as message ids are; then overwritten.
                let mut scattered = vec![7; limits::MAX_KEY_BYTES];
                scattered[..8]
                    .copy_from_slice(&(number % 150).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
                tx.put(LOG, number.to_be_bytes(), vec![0; limits::MAX_VALUE_BYTES]);
                tx.put(HEADS, scattered, vec![1; limits::MAX_VALUE_BYTES]);
            }
            Ok(())
        };
        store.write(job).await.unwrap();
        assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 0, "in round {round}");
    }
    store.close().await;
    let store = open(folder.path());
    assert_eq!((count(&store, LOG), count(&store, HEADS)), (480, 150));
    assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 0);
}

#[tokio::test]
async fn closing_finishes_what_was_submitted_and_ends_every_handle() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (reader, other) = (store.reader(), store.clone());
    let held = hold_up(&store);
    let submitted = store.submit(|tx| -> Outcome<()> {
        tx.put(LOG, "last", "x");
        Ok(())
    });
    let closing = tokio::spawn(async move { store.close().await });
    drop(held);
    submitted.unwrap().await.unwrap();
    assert_eq!(closing.await.unwrap(), Ended::Closed);
    assert_eq!(put(&other, "after", "x").await, Err(StoreError::Closed));
    assert_eq!(reader.get(LOG, "last"), Err(ReadError::Closed));
    assert_eq!(other.close().await, Ended::Closed, "twice is as good as once");
    assert_eq!(settled(&open(folder.path()), "last").await.as_deref(), Some("x"));
}

#[tokio::test]
async fn dropping_the_last_handle_writes_what_was_submitted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let ended = store.ended();
    let held = hold_up(&store);
    let submitted = store.submit(|tx| -> Outcome<()> {
        tx.put(LOG, "last", "x");
        Ok(())
    });
    drop((store, submitted));
    drop(held);
    assert_eq!(ended.await, Ended::Closed);
    assert_eq!(count(&open(folder.path()), LOG), 1);
}
