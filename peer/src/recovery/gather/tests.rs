use std::cell::Cell;

use common::clock::Timestamp;
use common::entry::Checkpoint;
use common::id::Epoch;
use common::proto::limits::CHECKPOINT_EVERY;
use common::signed::Signed;
use serde_json::value::RawValue;
use tempfile::TempDir;

use super::*;
use crate::host::log::PageRange;
use crate::testing::entry;

/// How many entries a made member gives at once.
const PAGE: usize = 7;

/// A log as it was before it was lost, and an empty one to be continued.
struct Scene {
    store: Store,
    identity: Identity,
    channel: ChannelId,
    start: Position,
    entries: Vec<RawEntry>,
    positions: Vec<Position>,
    _folder: TempDir,
}

/// A member who has some of it, and may lie.
#[derive(Clone)]
struct Made {
    name: String,
    entries: Vec<(u64, RawEntry)>,
    proofs: Vec<Signed<Checkpoint>>,
    /// After so many pages nothing more comes.
    pages: Cell<usize>,
}

impl Source for Made {
    fn name(&self) -> &str {
        &self.name
    }

    async fn proofs(&self, _: u64) -> Result<Vec<Signed<Checkpoint>>, Refusal> {
        Ok(self.proofs.clone())
    }

    async fn entries(&self, after: u64) -> Result<Vec<RawEntry>, Refusal> {
        let left = self.pages.get().checked_sub(1).ok_or_else(|| Refusal::from(Code::ConnectionLost))?;
        self.pages.set(left);
        let Some(first) = self.entries.iter().position(|(seq, _)| *seq == after + 1) else {
            return Ok(Vec::new());
        };
        Ok(self.entries[first..].iter().take(PAGE).map(|(_, entry)| entry.clone()).collect())
    }
}

impl Scene {
    fn new(count: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), crate::SCHEMA).unwrap();
        let identity = Identity::generate().unwrap();
        let channel = ChannelId::new();
        let start = Position::start(channel, Epoch::new());
        let entries: Vec<_> = (1..=count).map(|seq| entry(seq, &format!("number {seq}"))).collect();
        let mut at = start;
        let positions = entries.iter().map(|entry| {
            at = Position { seq: at.seq + 1, hash: at.hash.next(&entry.header), ..at };
            at
        });
        let positions = positions.collect();
        Self { store, identity, channel, start, entries, positions, _folder: folder }
    }

    fn signed(&self, seq: u64) -> Signed<Checkpoint> {
        let position = self.positions[seq as usize - 1];
        let checkpoint = Checkpoint { channel: self.channel, position, time: Timestamp::now() };
        Signed::sign(&checkpoint, &self.identity).unwrap()
    }

    /// Somebody who has the entries `from` to `to`, proven up to `proven`.
    fn member(&self, name: &str, from: u64, to: u64, proven: &[u64]) -> Made {
        let entries = (from..=to).map(|seq| (seq, self.entries[seq as usize - 1].clone())).collect();
        let proofs = proven.iter().map(|seq| self.signed(*seq)).collect();
        Made { name: name.to_owned(), entries, proofs, pages: Cell::new(10_000) }
    }

    async fn gather(&self, from: Position, sources: &[Made]) -> Gathered {
        let quest = Quest {
            store: self.store.clone(),
            identity: self.identity.clone(),
            channel: self.channel,
            signers: vec![self.identity.key()],
            from,
        };
        gather(quest, sources).await.unwrap()
    }

    fn log(&self) -> Log {
        Log::new(self.store.clone(), self.channel, self.start.epoch)
    }

    /// Makes sure that the log on the disk is as it was, up to its end.
    async fn check(&self, end: u64) {
        let log = self.log();
        assert_eq!(log.head().await.unwrap().seq, end);
        let mut after = 0;
        while after < end {
            let page = log.page(PageRange { after, upto: end, rows: 500, newest: false }).await.unwrap();
            for bytes in page.entries {
                let expected = &self.entries[after as usize];
                let found = RawEntry::from_bytes(&bytes).unwrap();
                assert_eq!(found.header.get(), expected.header.get());
                after += 1;
                let id = found.open().unwrap().id;
                assert_eq!(log.find(id).unwrap().unwrap().stored.seq, after, "a repeat is known again");
            }
        }
    }
}

fn names(gathered: &Gathered) -> Vec<&str> {
    gathered.from.iter().map(String::as_str).collect()
}

fn rejected(gathered: &Gathered) -> Vec<&str> {
    gathered.rejected.iter().map(|one| one.name.as_str()).collect()
}

#[tokio::test]
async fn two_who_each_have_a_half_give_all_of_it_back() {
    let scene = Scene::new(100);
    let sources = [scene.member("late", 51, 100, &[100]), scene.member("early", 1, 50, &[50])];
    let gathered = scene.gather(scene.start, &sources).await;
    assert_eq!((gathered.end, gathered.signed, gathered.unproven), (scene.positions[99], None, 0));
    assert_eq!(names(&gathered), ["early", "late"]);
    scene.check(100).await;
}

#[tokio::test]
async fn halves_of_which_only_the_last_is_signed_count_together() {
    let scene = Scene::new(60);
    let sources =
        [scene.member("a", 1, 20, &[]), scene.member("b", 15, 45, &[]), scene.member("c", 40, 60, &[60])];
    let gathered = scene.gather(scene.start, &sources).await;
    assert_eq!(gathered.end, scene.positions[59]);
    assert_eq!(names(&gathered), ["a", "b", "c"]);
    scene.check(60).await;
}

#[tokio::test]
async fn what_nobody_can_prove_stays_out_and_is_counted() {
    let scene = Scene::new(50);
    let gathered = scene.gather(scene.start, &[scene.member("a", 1, 50, &[47])]).await;
    assert_eq!((gathered.end.seq, gathered.signed, gathered.unproven), (47, None, 3));
    scene.check(47).await;
    // What was signed and nobody has is said.
    let gathered = scene.gather(gathered.end, &[scene.member("b", 1, 48, &[50])]).await;
    assert_eq!((gathered.end.seq, gathered.signed.map(|place| place.seq)), (47, Some(50)));
    scene.check(47).await;
}

#[tokio::test]
async fn a_member_that_lies_is_named_and_the_others_count() {
    let scene = Scene::new(50);
    let honest = || scene.member("honest", 1, 50, &[50]);
    let forged = entry(10, "I never said this");
    let mut lies: Vec<(&str, Made)> = ["forged", "changed", "reordered", "left out", "repeated"]
        .into_iter()
        .map(|what| (what, scene.member("liar", 1, 50, &[50])))
        .collect();
    lies[0].1.entries[9].1 = forged;
    let other = RawValue::from_string(r#"{"text":"other"}"#.to_owned()).unwrap();
    lies[1].1.entries[9].1.body = Some(other);
    let (ninth, tenth) = (lies[2].1.entries[8].1.clone(), lies[2].1.entries[9].1.clone());
    (lies[2].1.entries[8].1, lies[2].1.entries[9].1) = (tenth, ninth);
    lies[3].1.entries.remove(9);
    lies[4].1.entries[9].1 = lies[4].1.entries[8].1.clone();
    for (what, liar) in lies {
        scene.log().clear().await.unwrap();
        let gathered = scene.gather(scene.start, &[liar, honest()]).await;
        assert_eq!((gathered.end.seq, rejected(&gathered)), (50, vec!["liar"]), "{what}");
        assert_eq!(names(&gathered), ["honest"], "{what}");
        scene.check(50).await;
    }
}

#[tokio::test]
async fn one_of_several_parts_that_is_wrong_does_not_spoil_the_others() {
    let scene = Scene::new(40);
    let mut liar = scene.member("liar", 1, 25, &[]);
    liar.entries[4].1 = entry(5, "I never said this");
    let sources = [liar, scene.member("a", 1, 25, &[]), scene.member("b", 20, 40, &[40])];
    let gathered = scene.gather(scene.start, &sources).await;
    assert_eq!((gathered.end.seq, names(&gathered)), (40, vec!["a", "b"]));
    scene.check(40).await;
}

#[tokio::test]
async fn signatures_of_another_key_or_channel_and_entries_of_another_log_do_not_count() {
    let scene = Scene::new(20);
    let elsewhere = Scene::new(20);
    let stranger = Scene { identity: Identity::generate().unwrap(), ..Scene::new(20) };
    for liar in [
        Made { entries: Vec::new(), ..stranger.member("liar", 1, 20, &[20]) },
        Made { entries: Vec::new(), ..elsewhere.member("liar", 1, 20, &[20]) },
        Made { proofs: vec![scene.signed(20)], ..elsewhere.member("liar", 1, 20, &[]) },
    ] {
        let gathered = scene.gather(scene.start, &[liar]).await;
        assert_eq!((gathered.end, rejected(&gathered)), (scene.start, vec!["liar"]));
        scene.check(0).await;
    }
}

#[tokio::test]
async fn who_goes_in_the_middle_has_helped_as_far_as_that_was_proven() {
    let scene = Scene::new(60);
    let leaver = scene.member("leaver", 1, 60, &[20, 60]);
    leaver.pages.set(4);
    let gathered = scene.gather(scene.start, std::slice::from_ref(&leaver)).await;
    assert_eq!((gathered.end.seq, gathered.signed.map(|place| place.seq)), (20, Some(60)));
    assert!(gathered.rejected.is_empty(), "to go is no lie");
    scene.check(20).await;
    leaver.pages.set(100);
    let gathered = scene.gather(gathered.end, &[leaver]).await;
    assert_eq!(gathered.end.seq, 60);
    scene.check(60).await;
}

#[tokio::test]
async fn who_has_the_text_is_preferred_and_what_was_erased_stays_so() {
    let scene = Scene::new(30);
    let mut without = scene.member("without", 1, 30, &[30]);
    for (_, entry) in &mut without.entries {
        entry.body = None;
    }
    let mut erased = scene.member("with", 1, 30, &[30]);
    erased.entries[9].1.body = None;
    let gathered = scene.gather(scene.start, &[without.clone(), scene.member("with", 1, 30, &[30])]).await;
    assert_eq!((gathered.end.seq, names(&gathered)), (30, vec!["with"]));
    scene.log().clear().await.unwrap();
    let gathered = scene.gather(scene.start, &[erased]).await;
    assert_eq!(gathered.end.seq, 30);
    scene.check(30).await;
}

#[tokio::test]
async fn more_than_memory_holds_waits_on_the_disk_and_nothing_of_it_is_left() {
    let count = 2 * CHECKPOINT_EVERY;
    let mut scene = Scene::new(0);
    let long = "x".repeat(1500);
    scene.entries = (1..=count).map(|seq| entry(seq, &format!("{seq} {long}"))).collect();
    let mut at = scene.start;
    for entry in &scene.entries {
        at = Position { seq: at.seq + 1, hash: at.hash.next(&entry.header), ..at };
        scene.positions.push(at);
    }
    let gathered = scene.gather(scene.start, &[scene.member("a", 1, count, &[count])]).await;
    assert_eq!(gathered.end.seq, count);
    scene.check(count).await;
    assert_eq!(scene.log().checkpoints(0).await.unwrap().len(), 2);
    let staging = Staging::new(scene.store.clone(), scene.channel).await.unwrap();
    assert!(staging.batch(0).await.unwrap().is_empty());
}
