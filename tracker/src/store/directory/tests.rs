use common::storage::Store;

use super::*;
use crate::store::schema::SCHEMA;

const WORDS: Rows<String> = Rows::new(Table::new("words"));

struct Scene {
    directory: Directory,
    store: Store,
    _folder: tempfile::TempDir,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), SCHEMA).unwrap();
    Scene { directory: Directory::new(store.clone()), store, _folder: folder }
}

fn word(text: &str) -> String {
    text.to_owned()
}

async fn commit(change: Change) -> Committed {
    change.commit(&mut Tries::default()).await.unwrap()
}

#[tokio::test]
async fn a_change_counts_only_if_what_it_read_still_stands() {
    let scene = scene();
    let (mut one, mut two) = (scene.directory.change(), scene.directory.change());
    for (change, text) in [(&mut one, "one"), (&mut two, "two")] {
        assert_eq!(change.get(WORDS, b"a").await.unwrap(), None);
        change.put(WORDS, b"a", &word(text)).unwrap();
    }
    let Committed::Done(first) = commit(one).await else { panic!("nobody was faster") };
    assert_eq!(commit(two).await, Committed::Again);
    let row = scene.directory.get(WORDS, b"a").await.unwrap().unwrap();
    assert_eq!((row.value.as_str(), row.revision), ("one", first));

    // The same value written again is another revision.
    let mut reader = scene.directory.change();
    reader.get(WORDS, b"a").await.unwrap();
    let mut again = scene.directory.change();
    again.put(WORDS, b"a", &word("one")).unwrap();
    let Committed::Done(second) = commit(again).await else { panic!("it has read nothing") };
    assert!(second > first);
    reader.put(WORDS, b"b", &word("x")).unwrap();
    assert_eq!(commit(reader).await, Committed::Again);
    assert!(scene.directory.get(WORDS, b"b").await.unwrap().is_none());
    scene.store.close().await;
}

#[tokio::test]
async fn a_removed_row_is_as_one_that_never_was() {
    let scene = scene();
    let mut change = scene.directory.change();
    change.put(WORDS, b"a", &word("one")).unwrap();
    commit(change).await;
    let mut change = scene.directory.change();
    assert!(change.get(WORDS, b"a").await.unwrap().is_some());
    change.delete(WORDS, b"a");
    commit(change).await;
    assert!(scene.directory.get(WORDS, b"a").await.unwrap().is_none());
    scene.store.close().await;
}

#[tokio::test]
async fn of_many_at_once_exactly_one_gets_it() {
    let scene = scene();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..50 {
        let directory = scene.directory.clone();
        tasks.spawn(async move {
            let mut change = directory.change();
            if change.get(WORDS, b"a").await.unwrap().is_some() {
                return false;
            }
            change.put(WORDS, b"a", &index.to_string()).unwrap();
            matches!(commit(change).await, Committed::Done(_))
        });
    }
    let winners = tasks.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
    scene.store.close().await;
}

#[tokio::test]
async fn who_is_always_late_is_told_so() {
    let scene = scene();
    let mut tries = Tries::default();
    for round in 1..=MAX_COMMIT_TRIES {
        let mut late = scene.directory.change();
        late.get(WORDS, b"a").await.unwrap();
        let mut early = scene.directory.change();
        early.put(WORDS, b"a", &round.to_string()).unwrap();
        commit(early).await;
        let outcome = late.commit(&mut tries).await;
        if round < MAX_COMMIT_TRIES {
            assert_eq!(outcome.unwrap(), Committed::Again);
        } else {
            assert!(matches!(outcome, Err(DirectoryError::Contended)));
        }
    }
    scene.store.close().await;
}

#[tokio::test]
async fn a_table_is_read_page_by_page() {
    let scene = scene();
    let mut change = scene.directory.change();
    for index in 0..10_u8 {
        change.put(WORDS, &[index], &index.to_string()).unwrap();
    }
    commit(change).await;
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = scene.directory.scan(WORDS, after.as_deref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.into_iter().map(|(_, row)| row.value));
    }
    assert_eq!(found, (0..10).map(|index| index.to_string()).collect::<Vec<_>>());
    scene.store.close().await;
}
