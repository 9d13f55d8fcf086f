use std::fs;
use std::path::PathBuf;

use common::clock::Timestamp;
use common::entry::{Author, Hash, Header, Position, RawEntry, TEXT};
use common::id::{ChannelId, Epoch, IdentityKind, MessageId, Subject};
use common::identity::PeerKey;
use common::storage::Store;
use serde_json::value::to_raw_value;
use tempfile::TempDir;

use super::index::Index;
use super::query::Query;
use super::*;
use crate::SCHEMA;
use crate::client::archive::intervals::{Intervals, Place};
use crate::client::archive::{Archive, Batch, Kept};

/// A store in which there is an archive of one channel, and the search over it.
struct Scene {
    folder: TempDir,
    store: Store,
    channel: ChannelId,
    epoch: Epoch,
    intervals: Intervals,
    search: Search,
}

fn entry(seq: u64, from: &str, text: &str) -> RawEntry {
    entry_of(seq, from, TEXT, &serde_json::json!({ "text": text }))
}

fn entry_of(seq: u64, from: &str, kind: &str, body: &serde_json::Value) -> RawEntry {
    let key = PeerKey::from_bytes([3; 32]);
    let header = Header {
        seq,
        id: MessageId::new(),
        kind: kind.into(),
        from: Author::new(Subject::Guest(key), from.into(), IdentityKind::Guest, key),
        sent_at: Timestamp::from_millis(1),
        // Several have the same time.
        stored_at: Timestamp::from_millis(1000 * (seq / 3)),
        about: None,
        imported: None,
        body_hash: Hash::of(b""),
    };
    RawEntry::seal(header, to_raw_value(body).unwrap()).unwrap().1
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), SCHEMA).unwrap();
        let search = start(folder.path().join("search"), store.clone()).unwrap();
        let (channel, epoch) = (ChannelId::new(), Epoch::new());
        Self { folder, store, channel, epoch, intervals: Intervals::default(), search }
    }

    fn index_folder(&self) -> PathBuf {
        self.folder.path().join("search")
    }

    fn log(&self) -> LogId {
        LogId::Channel(self.channel, self.epoch)
    }

    /// Keeps entries after `after`, as a stream or a page would bring them.
    async fn keep(&mut self, after: u64, texts: &[&str]) {
        let hash = Position::start(self.channel, self.epoch).hash;
        let entries = (after + 1..).zip(texts).map(|(seq, text)| {
            Kept::new(seq, &entry(seq, if seq % 2 == 0 { "Ken" } else { "Ada" }, text), None).unwrap()
        });
        let entries = entries.collect::<Vec<_>>();
        let last = after + texts.len() as u64;
        if !self.intervals.prepend(after + 1, last) {
            self.intervals.begin(Place { seq: after, hash }).unwrap();
            assert!(self.intervals.append(after + 1, Place { seq: last, hash }));
        }
        self.write(entries).await;
    }

    async fn write(&self, entries: Vec<Kept>) {
        let archive = Archive::new(self.store.clone(), self.channel);
        let batch = Batch {
            epoch: self.epoch,
            entries,
            intervals: self.intervals.clone(),
            shown: 0,
            erasures: Vec::new(),
        };
        archive.keep(batch).await.unwrap();
        self.search.nudge();
    }

    async fn found(&self, wanted: Wanted) -> Vec<u64> {
        let Hits { hits, total, missing } = self.search.find(wanted).await.unwrap();
        assert_eq!((total as usize, missing), (hits.len(), 0));
        hits.iter().map(|hit| hit.seq).collect()
    }

    async fn seqs(&self, words: &str) -> Vec<u64> {
        self.found(wanted(words)).await
    }

    /// Ends the search, has something done to its folder, and starts it again.
    async fn restart(&mut self, meanwhile: impl FnOnce(&Scene)) {
        self.search.close().await;
        meanwhile(self);
        self.search = start(self.index_folder(), self.store.clone()).unwrap();
    }
}

fn wanted(words: &str) -> Wanted {
    Wanted { query: Query::parse(words).unwrap(), limit: 100, ..Wanted::default() }
}

#[tokio::test]
async fn what_was_said_in_any_language_is_found() {
    let texts = [
        "Die Größe der Übung",
        "Привет, мир! Ёлка",
        "我爱北京天安门",
        "東京都に住んでいます。カメラ",
        "السَّلَامُ عليكم",
        "well done 👍🏽",
        "see https://example.org/a_b and C++",
        "안녕하세요 여러분",
        "\u{1b}[31mred\u{7} \u{202e}text",
    ];
    let mut scene = Scene::new();
    scene.keep(0, &texts).await;
    let table: [(&str, &[u64]); 26] = [
        ("grosse", &[1]),
        ("GRÖSSE ubung", &[1]),
        ("übu*", &[1]),
        ("привет", &[2]),
        ("елка", &[2]),
        ("北京", &[3]),
        ("京北", &[]),
        ("京", &[4, 3]),
        ("京都", &[4]),
        ("かめら", &[]),
        ("カメラ", &[4]),
        ("ｶﾒﾗ", &[4]),
        ("السلام", &[5]),
        ("👍", &[6]),
        ("👍🏿", &[6]),
        ("example.org", &[7]),
        ("\"example org\"", &[7]),
        ("\"org example\"", &[]),
        ("c++", &[7]),
        ("안녕", &[8]),
        ("31mred text", &[9]),
        ("text -31mred", &[]),
        ("well -nothing", &[6]),
        ("exam*", &[7]),
        ("don*", &[6]),
        ("a*", &[7]),
    ];
    for (words, expected) in table {
        assert_eq!(scene.seqs(words).await, expected, "{words}");
    }
    scene.search.close().await;
}

#[tokio::test]
async fn the_newest_come_first_and_what_else_is_asked_for_counts() {
    let mut scene = Scene::new();
    let texts = (1..=40).map(|seq| format!("word http://x.org/{seq}")).collect::<Vec<_>>();
    scene.keep(0, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    scene.keep(40, &["word without one"]).await;
    assert_eq!(scene.seqs("word").await, (1..=41).rev().collect::<Vec<_>>());
    let ken = Wanted { from: Some("ken".into()), ..wanted("word") };
    assert_eq!(scene.found(ken).await, (1..=20).rev().map(|half| 2 * half).collect::<Vec<_>>());
    let linked = Wanted { link: true, since: Some(12_000), before: Some(14_000), ..wanted("") };
    assert_eq!(scene.found(linked).await, [40, 39, 38, 37, 36]);
    let elsewhere = Wanted { within: Some(Within::Channel(ChannelId::new())), ..wanted("word") };
    assert_eq!(scene.found(elsewhere).await, [0; 0]);
    // Page by page nothing is left out, and nothing comes twice.
    let (mut all, mut older) = (Vec::new(), None);
    for _ in 0..10 {
        let page = Wanted { limit: 7, older, within: Some(Within::Log(scene.log())), ..wanted("word") };
        let Hits { hits, .. } = scene.search.find(page).await.unwrap();
        older = hits.last().map(|hit| hit.cursor).or(older);
        all.extend(hits.iter().map(|hit| hit.seq));
    }
    assert_eq!(all, (1..=41).rev().collect::<Vec<_>>());
    scene.search.close().await;
}

#[tokio::test]
async fn intervals_that_grow_at_either_end_are_indexed_once() {
    let mut scene = Scene::new();
    scene.keep(10, &["x"; 5]).await;
    assert_eq!(scene.seqs("x").await, [15, 14, 13, 12, 11]);
    scene.keep(5, &["x"; 5]).await;
    scene.keep(20, &["x"; 2]).await;
    let all = [22, 21, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6];
    assert_eq!(scene.seqs("x").await, all);
    scene.restart(|_| {}).await;
    assert_eq!(scene.seqs("x").await, all);
    scene.search.close().await;
}

/// Spoils the largest files of the index.
fn damage(scene: &Scene) {
    let mut files =
        fs::read_dir(scene.index_folder()).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    files
        .retain(|path| path.extension().is_some_and(|kind| kind == "pos" || kind == "idx" || kind == "term"));
    assert!(!files.is_empty());
    for path in files {
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 0xff;
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn an_index_that_is_gone_damaged_or_of_another_release_is_made_anew() {
    let mut scene = Scene::new();
    scene.keep(0, &["one word", "two words"]).await;
    assert_eq!(scene.seqs("word").await, [1]);
    let ways: [fn(&Scene); 6] = [
        |scene| fs::remove_dir_all(scene.index_folder()).unwrap(),
        damage,
        |scene| fs::write(scene.index_folder().join("meta.json"), "{}").unwrap(),
        |scene| fs::remove_file(scene.index_folder().join("meta.json")).unwrap(),
        |scene| {
            let path = scene.index_folder().join("meta.json");
            let of_later =
                fs::read_to_string(&path).unwrap().replace("\\\"version\\\":2", "\\\"version\\\":9");
            assert!(of_later.contains("\\\"version\\\":9"));
            fs::write(path, of_later).unwrap();
        },
        |scene| {
            for file in fs::read_dir(scene.index_folder()).unwrap() {
                fs::write(file.unwrap().path(), "").unwrap();
            }
        },
    ];
    for (at, way) in ways.into_iter().enumerate() {
        scene.restart(way).await;
        assert_eq!(scene.seqs("word").await, [1], "{at}");
        assert_eq!(scene.seqs("two").await, [2], "{at}");
    }
    assert_eq!(scene.search.rebuild().await.unwrap(), 2);
    assert_eq!(scene.seqs("word").await, [1]);
    scene.search.close().await;
}

#[tokio::test]
async fn what_was_erased_is_not_found_and_does_not_come_back() {
    let mut scene = Scene::new();
    scene.keep(0, &["a secret", "a word", "a secret word"]).await;
    assert_eq!(scene.seqs("secret").await, [3, 1]);
    let mut erased = entry(1, "Ada", "a secret");
    erased.body = None;
    scene.write(vec![Kept::new(1, &erased, None).unwrap()]).await;
    scene.search.forget(scene.log(), 1..=1).await;
    assert_eq!(scene.seqs("secret").await, [3]);
    scene.search.nudge();
    assert_eq!(scene.seqs("a").await, [3, 2]);
    scene.search.rebuild().await.unwrap();
    assert_eq!(scene.seqs("secret").await, [3]);
    // The log itself says it too, to who was not told; an entry that names what is still there erases nothing.
    let mut erased = entry(3, "Ada", "a secret word");
    erased.body = None;
    let says = |seq, of: u64| {
        Kept::new(seq, &entry_of(seq, "Ada", "erase", &serde_json::json!({ "seq": of })), None).unwrap()
    };
    let place = Place { seq: 5, hash: Position::start(scene.channel, scene.epoch).hash };
    assert!(scene.intervals.append(4, place));
    scene.write(vec![Kept::new(3, &erased, None).unwrap(), says(4, 3), says(5, 2)]).await;
    assert_eq!(scene.seqs("secret").await, [0; 0]);
    assert_eq!(scene.seqs("word").await, [2]);
    scene.search.close().await;
}

#[tokio::test]
async fn what_is_taken_out_is_gone_from_the_disk_when_it_is_written_anew() {
    let scene = Scene::new();
    let folder = scene.folder.path().join("another");
    let mut index = Index::create(&folder).unwrap();
    let text = |seq, text: &str| index::Text { seq, time: seq, author: String::new(), text: text.to_owned() };
    let texts = vec![text(1, "plain"), text(2, "unmistakable"), text(3, "plain")];
    index.add(scene.log(), 0, 3, texts).unwrap();
    index.commit().unwrap();
    let files = || {
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|kind| kind == "term")).collect::<Vec<_>>()
    };
    let before = files();
    index.remove(scene.log(), 2..=2, true).unwrap();
    index.commit().unwrap();
    assert_eq!(files(), before, "what was taken out is only marked");
    assert!(index.is_torn().unwrap(), "and so it is known after a restart that it is there still");
    index.purge().unwrap();
    assert!(!index.is_torn().unwrap());
    assert!(!index.forget_upto(scene.log(), 0).unwrap());
    assert!(before.iter().all(|path| !path.exists()) && files().len() == 1);
    assert_eq!(index.finder().find(&wanted("plain")).unwrap().1, 2);
    assert_eq!(index.indexed(scene.log()).count(), 3);
    // By age: once for each number.
    assert!(index.forget_upto(scene.log(), 1).unwrap() && !index.forget_upto(scene.log(), 1).unwrap());
    index.commit().unwrap();
    assert_eq!(index.finder().find(&wanted("plain")).unwrap().1, 1);
    scene.search.close().await;
}

#[tokio::test]
async fn what_is_no_more_in_the_store_is_no_more_found() {
    let mut scene = Scene::new();
    scene.keep(0, &["x"; 6]).await;
    assert_eq!(scene.seqs("x").await.len(), 6);
    // An older copy of the store was put back.
    let hash = Position::start(scene.channel, scene.epoch).hash;
    scene.intervals = Intervals::default();
    scene.intervals.begin(Place { seq: 0, hash }).unwrap();
    scene.intervals.append(1, Place { seq: 4, hash });
    scene.write(Vec::new()).await;
    assert_eq!(scene.seqs("x").await, [4, 3, 2, 1]);
    scene.keep(4, &["y", "x"]).await;
    assert_eq!(scene.seqs("x").await, [6, 4, 3, 2, 1]);
    assert_eq!(scene.seqs("y").await, [5]);
    scene.search.close().await;
}

#[tokio::test]
async fn a_log_that_was_cut_and_went_on_with_others_is_indexed_anew() {
    let mut scene = Scene::new();
    scene.keep(0, &["x"; 6]).await;
    assert_eq!(scene.seqs("x").await.len(), 6);
    // All of it between two looks: the numbers alone say that two entries came.
    let hash = Position::start(scene.channel, scene.epoch).hash;
    scene.intervals = Intervals::default();
    scene.intervals.begin(Place { seq: 0, hash }).unwrap();
    scene.intervals.append(1, Place { seq: 8, hash });
    let entries = (5..=8).map(|seq| Kept::new(seq, &entry(seq, "Ada", "y"), None).unwrap());
    scene.write(entries.collect()).await;
    assert_eq!(scene.seqs("x").await, [4, 3, 2, 1]);
    assert_eq!(scene.seqs("y").await, [8, 7, 6, 5]);
    scene.search.close().await;
}

#[tokio::test]
async fn an_index_that_cannot_be_made_is_not_tried_without_a_pause() {
    let scene = Scene::new();
    let in_the_way = scene.folder.path().join("no-folder");
    fs::write(&in_the_way, "").unwrap();
    let (board, (_commands, orders)) = (Arc::new(Board::new()), sync_channel(1));
    let (store, runtime) = (scene.store.clone(), tokio::runtime::Handle::current());
    let mut indexer = Indexer::new(in_the_way, store, board, orders, runtime);
    let before = std::time::Instant::now();
    let next = tokio::task::spawn_blocking(move || indexer.round()).await.unwrap();
    assert!(next.unwrap() - before > Duration::from_secs(10));
    scene.search.close().await;
}

#[test]
fn what_is_not_indexed_is_counted_where_it_was_looked_for() {
    let (board, channel, epoch) = (Board::new(), ChannelId::new(), Epoch::new());
    let log = LogId::Channel(channel, epoch);
    let other = LogId::Channel(ChannelId::new(), Epoch::new());
    board.set_missing(vec![(log, 3), (other, 4), (LogId::Channel(channel, Epoch::new()), 5)]);
    assert_eq!(board.missing(None), 12);
    assert_eq!(board.missing(Some(&Within::Log(log))), 3);
    assert_eq!(board.missing(Some(&Within::Channel(channel))), 8);
}
