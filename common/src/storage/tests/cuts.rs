//! A store whose files were cut off, overwritten or lost: it opens with everything that was acknowledged, or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

/// A store as it lies on the disk, and what was acknowledged by then.
struct Made {
    folder: TempDir,
    acknowledged: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A generator of numbers that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// What a long run wants more of: see `scripts/chaos`.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// How a store came to lie there.
#[derive(Clone, Copy, Debug)]
enum Life {
    /// Its program was killed.
    Killed,
    /// It was closed.
    Closed,
    /// It was closed, and opened again and closed.
    Reopened,
}

async fn make(dice: &mut Dice, life: Life, groups: u64) -> Made {
    let living = tempfile::tempdir().unwrap();
    let store = open(living.path());
    let mut acknowledged = BTreeMap::new();
    for _ in 0..groups {
        let rows: Vec<_> = (0..=dice.roll(3)).map(|_| row(dice)).collect();
        let written = rows.clone();
        let done = store.write(move |tx| -> Outcome<()> {
            written.into_iter().for_each(|(key, value)| tx.put(LOG, key, value));
            Ok(())
        });
        done.await.unwrap();
        acknowledged.extend(rows);
    }
    let folder = tempfile::tempdir().unwrap();
    if let Life::Killed = life {
        copy(living.path(), folder.path());
        store.close().await;
        return Made { folder, acknowledged };
    }
    store.close().await;
    if let Life::Reopened = life {
        open(living.path()).close().await;
    }
    copy(living.path(), folder.path());
    Made { folder, acknowledged }
}

fn row(dice: &mut Dice) -> (Vec<u8>, Vec<u8>) {
    let sizes = [10, 200, 4_000, 60_000];
    let size = sizes[dice.roll(4) as usize];
    let key = dice.roll(400).to_be_bytes().to_vec();
    (key, (0..=dice.roll(size)).map(|_| dice.roll(256) as u8).collect())
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&file), target).unwrap();
    }
}

/// The files of a store that matter, by their place in the folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = ["store.json", "store.mark"].map(PathBuf::from).into();
    for entry in fs::read_dir(folder.join("store")).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            found.push(Path::new("store").join(entry.file_name()));
        }
    }
    found.sort();
    found
}

/// What happens to one file.
#[derive(Debug)]
enum Damage {
    Cut { bytes: u64 },
    Flip { at: u64 },
    Zero { at: u64, bytes: u64 },
    Gone,
}

fn damage(dice: &mut Dice, folder: &Path) -> (PathBuf, Damage) {
    let files = files(folder);
    // Most of a store is in the one file.
    let file = if dice.roll(4) > 0 {
        "store/db".into()
    } else {
        files[dice.roll(files.len() as u64) as usize].clone()
    };
    let path = folder.join(&file);
    let length = fs::metadata(&path).unwrap().len().max(1);
    let damage = match dice.roll(10) {
        0..6 => Damage::Cut { bytes: dice.roll(length) },
        6..8 => Damage::Flip { at: dice.roll(length) },
        8 => Damage::Zero { at: dice.roll(length), bytes: 1 + dice.roll(8192) },
        _ => Damage::Gone,
    };
    let target = File::options().write(true).read(true).open(&path).unwrap();
    match damage {
        Damage::Cut { bytes } => target.set_len(bytes).unwrap(),
        Damage::Flip { at } => {
            let mut byte = [0];
            target.read_exact_at(&mut byte, at).unwrap();
            target.write_all_at(&[byte[0] ^ (1 << dice.roll(8))], at).unwrap();
        }
        Damage::Zero { at, bytes } => {
            let zeros = vec![0; bytes.min(length - at) as usize];
            target.write_all_at(&zeros, at).unwrap();
        }
        Damage::Gone => fs::remove_file(&path).unwrap(),
    }
    (file, damage)
}

/// How a start ended that went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Everything is there.
    Whole,
    /// Nothing is begun.
    Refused,
    /// What is damaged cannot be read, and says so: sled reads an old page only when it is asked for.
    Noticed,
}

/// Starts with what is left; says in which way it is wrong, if it is.
async fn start(folder: &Path, acknowledged: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Start, String> {
    let store = match Store::open(folder, SCHEMA) {
        Ok(store) => store,
        Err(refused) => {
            let text = refused.to_string();
            // Another digit in store.json is another release.
            let says_what_to_do = ["put back a copy", "start that release", "start a release between"];
            let is_clear = text.contains(folder.to_str().unwrap())
                && says_what_to_do.iter().any(|what| text.contains(what));
            return if is_clear { Ok(Start::Refused) } else { Err(format!("unclear: {text}")) };
        }
    };
    let reader = store.reader();
    for (key, value) in acknowledged {
        match reader.get(LOG, key) {
            Ok(Some(found)) if found == *value => {}
            Ok(Some(_)) => return Err(format!("{key:?} has another value")),
            Ok(None) => return Err(format!("{key:?} is gone")),
            Err(_) => return Ok(Start::Noticed),
        }
    }
    put(&store, "one more", "1").await.map_err(|error| error.to_string())?;
    store.close().await;
    let again = Store::open(folder, SCHEMA).map_err(|error| format!("it starts only once: {error}"))?;
    match count(&again, LOG) {
        found if found == acknowledged.len() + 1 => Ok(Start::Whole),
        found => Err(format!("{found} rows are left after another start")),
    }
}

#[tokio::test]
async fn a_store_that_was_cut_or_overwritten_is_whole_or_is_refused() {
    let minutes = std::env::var("NATTER_MINUTES").ok().map(|text| text.parse::<f64>().unwrap());
    let limit = minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes));
    let usual = if limit.is_some() { u64::MAX } else { 150 };
    let (seed, cuts) = (setting("NATTER_SEED", 1), setting("NATTER_CUTS", usual));
    let mut stores = Vec::new();
    // Stores that are so worn that sled uses segments again take seconds to make.
    let worn = setting("NATTER_WORN", 0);
    let sizes = [3, 80, 400].into_iter().chain((worn > 0).then_some(worn));
    let lives = [Life::Killed, Life::Closed, Life::Reopened];
    for (life, groups) in sizes.flat_map(|groups| lives.map(|life| (life, groups))) {
        // The same ones for each seed, so that one seed does the same damage alone as among others.
        stores.push((life, make(&mut Dice(groups), life, groups).await));
    }
    let (mut starts, mut wrong, started) = ([0; 3], Vec::new(), Instant::now());
    for cut in (0..cuts).take_while(|_| limit.is_none_or(|limit| started.elapsed() < limit)) {
        let mut dice = Dice(seed.wrapping_add(cut));
        let (life, Made { folder: made, acknowledged }) = &stores[dice.roll(stores.len() as u64) as usize];
        let folder = tempfile::tempdir().unwrap();
        copy(made.path(), folder.path());
        let (file, damage) = damage(&mut dice, folder.path());
        let outcome = match start(folder.path(), acknowledged).await {
            Ok(Start::Noticed) if matches!(damage, Damage::Cut { .. } | Damage::Gone) => {
                Err("it starts although something is gone".to_owned())
            }
            outcome => outcome,
        };
        match outcome {
            Ok(start) => starts[start as usize] += 1,
            Err(how) => wrong.push(format!(
                "{life:?} {file:?} {damage:?}: {how}; again: NATTER_SEED={} NATTER_CUTS=1 NATTER_WORN={worn}",
                seed.wrapping_add(cut)
            )),
        }
    }
    println!(
        "{} damaged stores from seed {seed}: {} whole, {} refused, {} noticed when read",
        starts.iter().sum::<u64>(),
        starts[0],
        starts[1],
        starts[2]
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Of many, some are whole and some refused; of few that are done again, perhaps not.
    let are_many = starts.iter().sum::<u64>() >= 50;
    assert!(!are_many || (starts[0] > 0 && starts[1] > 0), "{starts:?}");
}

#[tokio::test]
async fn a_store_that_lost_its_end_says_how_to_go_on_without_it() {
    let made = make(&mut Dice(7), Life::Killed, 20).await;
    let (folder, database) = (made.folder.path(), made.folder.path().join("store/db"));
    let length = fs::metadata(&database).unwrap().len();
    File::options().write(true).open(&database).unwrap().set_len(length / 2).unwrap();
    let refused = Store::open(folder, SCHEMA).unwrap_err();
    assert!(matches!(refused, OpenError::Shorter { noted: 20, .. }), "{refused}");
    assert!(refused.to_string().contains("remove store.mark there to go on"), "{refused}");
    fs::remove_file(folder.join("store.mark")).unwrap();
    let store = open(folder);
    assert!(count(&store, LOG) < made.acknowledged.len());
    put(&store, "one more", "1").await.unwrap();
    store.close().await;
    open(folder).close().await;
}

/// Writes that may or may not have happened are looked up, as their callers have to.
#[tokio::test]
async fn whatever_fails_under_writes_what_was_acknowledged_is_there() {
    let (seed, rounds) = (setting("NATTER_SEED", 1), setting("NATTER_FAULTS", 10));
    for seed in (0..rounds).map(|round| seed.wrapping_add(round)) {
        let mut dice = Dice(seed);
        let living = tempfile::tempdir().unwrap();
        let (store, faults) = open_with_faults(living.path());
        let mut acknowledged = BTreeMap::new();
        for number in 0..40_u64 {
            match dice.roll(12) {
                0 => faults.lose_next_write(),
                1 => faults.fail_next_flush(),
                2 => faults.fail_next_sync(),
                3 => faults.set_free_bytes(Some(0)),
                _ => faults.set_free_bytes(None),
            }
            let (key, value) = (format!("{number:03}"), "x".repeat(1 + dice.roll(3000) as usize));
            match put(&store, &key, &value).await {
                Ok(()) => drop(acknowledged.insert(key.into_bytes(), value.into_bytes())),
                Err(StoreError::Full { .. } | StoreError::Failed { .. } | StoreError::Unknown { .. }) => {}
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
        let folder = tempfile::tempdir().unwrap();
        copy(living.path(), folder.path());
        store.close().await;
        for (when, folder) in [("killed", folder.path()), ("closed", living.path())] {
            let store = open(folder);
            for (key, value) in &acknowledged {
                let found = store.reader().get(LOG, key).unwrap();
                assert_eq!(found.as_deref(), Some(value.as_slice()), "seed {seed}, {when}: {key:?}");
            }
            store.close().await;
        }
    }
    println!("{rounds} failing disks from seed {seed}: everything acknowledged was there");
}
