//! Reads: scans against a model, the blocking pool.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type KeyBound = Bound<Vec<u8>>;

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0x7f), Just(0xff)], 0..4)
}

fn bound() -> impl Strategy<Value = KeyBound> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

fn expected(model: &Model, from: &KeyBound, to: &KeyBound, limit: usize, direction: Direction) -> Vec<Entry> {
    let range: (KeyBound, KeyBound) = (from.clone(), to.clone());
    let mut found: Vec<_> = model
        .iter()
        .filter(|(key, _)| std::ops::RangeBounds::contains(&range, *key))
        .map(|(key, value)| (key.clone().into(), value.clone().into()))
        .collect();
    if direction == Direction::Backward {
        found.reverse();
    }
    found.truncate(limit);
    found
}

/// A write or, without a value, a removal.
type Step = (Vec<u8>, Option<u8>);

fn apply(model: &mut Model, steps: &[Step]) {
    for (key, value) in steps {
        match value {
            Some(value) => model.insert(key.clone(), vec![*value]),
            None => model.remove(key),
        };
    }
}

fn write(tx: &mut Transaction<'_>, steps: &[Step]) {
    for (key, value) in steps {
        match value {
            Some(value) => tx.put(LOG, key, vec![*value]),
            None => tx.delete(LOG, key),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_scan_answers_as_a_sorted_map_does(
        stored in prop::collection::vec((key(), any::<Option<u8>>()), 0..120),
        written in prop::collection::vec((key(), any::<Option<u8>>()), 0..40),
        questions in prop::collection::vec((bound(), bound(), 0..90_usize, any::<bool>()), 20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut before = Model::new();
        apply(&mut before, &stored);
        let steps = stored.clone();
        let filled = store.write(move |tx| -> Outcome<()> {
            write(tx, &steps);
            // Neighbours in the database that must never be seen.
            for table in [Table::new("lof"), Table::new("log_"), Table::new("loga"), Table::new("lo")] {
                tx.put(table, "", "x");
                tx.put(table, [0xff; 4], "x");
            }
            Ok(())
        });
        runtime.block_on(filled).unwrap();
        let mut after = before.clone();
        apply(&mut after, &written);
        let reader = store.reader();
        let asked = questions.clone();
        let seen = store.write(move |tx| -> Outcome<_> {
            write(tx, &written);
            asked
                .into_iter()
                .map(|(from, to, limit, forward)| Ok(tx.scan(LOG, (from, to), limit, direction(forward))?))
                .collect::<Outcome<Vec<_>>>()
        });
        for (from, to, limit, forward) in &questions {
            let direction = direction(*forward);
            let found = reader.scan(LOG, (from.clone(), to.clone()), *limit, direction).unwrap();
            prop_assert_eq!(found, expected(&before, from, to, *limit, direction));
        }
        let seen = runtime.block_on(seen).unwrap();
        for ((from, to, limit, forward), found) in questions.iter().zip(seen) {
            prop_assert_eq!(found, expected(&after, from, to, *limit, direction(*forward)));
        }
    }
}

fn direction(forward: bool) -> Direction {
    if forward { Direction::Forward } else { Direction::Backward }
}

#[tokio::test]
async fn reads_run_on_the_blocking_pool_and_survive_their_own_panic() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "a/1", "x").await.unwrap();
    put(&store, "b/1", "y").await.unwrap();
    let found = store.read(|reader| reader.scan(LOG, KeyRange::prefix("b/"), 10, Direction::Forward)).await;
    assert_eq!(found, Ok(vec![("b/1".into(), "y".into())]));
    let panicked = store.read(|_| -> Result<(), ReadError> { panic!("of the test") }).await;
    assert!(matches!(panicked, Err(ReadError::Failed { .. })));
    store.close().await;
    assert_eq!(store.read(|reader| reader.get(LOG, "a/1")).await, Err(ReadError::Closed));
}

#[tokio::test]
async fn reading_does_not_wait_for_the_committer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "a", "x").await.unwrap();
    let held = hold_up(&store);
    assert_eq!(store.read(|reader| reader.get(LOG, "a")).await.unwrap().unwrap(), "x");
    drop(held);
}
