//! A store that is damaged, or of a newer release: both programs say what to do, and change nothing in the folder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use process_support::peer::{Peer, bare};
use process_support::tracker::Tracker;
use process_support::{command, run, tracker_program};

/// All that is in a folder, by path.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.is_dir() {
            found.extend(contents(&file));
        } else {
            found.insert(file.clone(), fs::read(&file).unwrap());
        }
    }
    found
}

fn tracker(data: &Path) -> Command {
    let mut command = command(&tracker_program(), data);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
    command
}

type Harm = fn(&Path);

/// What is said about a folder, and what was done to it.
const CASES: [(&str, Harm); 5] = [
    ("was written by a newer release", |data| {
        let said = fs::read_to_string(data.join("store.json")).unwrap();
        let newer = said.replace("\"version\":", "\"version\":9");
        assert_ne!(newer, said);
        fs::write(data.join("store.json"), newer).unwrap();
    }),
    ("does not say what it is", |data| fs::write(data.join("store.json"), "{").unwrap()),
    ("the database was emptied", |data| fs::write(data.join("store/db"), "").unwrap()),
    ("the database is gone", |data| fs::remove_file(data.join("store/db")).unwrap()),
    ("is damaged", |data| fs::write(data.join("store/conf"), "0123456789").unwrap()),
];

#[test]
fn what_cannot_be_opened_is_told_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let running = Tracker::start(&folder.path().join("tracker"));
    let ken = Peer::host(&running, "ken", folder.path(), "first");
    assert_eq!(ken.stop().code, Some(0));
    assert_eq!(running.stop().code, Some(0));
    for (name, start) in [("ken", bare as fn(&Path) -> Command), ("tracker", tracker)] {
        let data = folder.path().join(name);
        let whole = contents(&data);
        for (expected, harm) in CASES {
            harm(&data);
            let before = contents(&data);
            let ended = run(start(&data), [""; 0]);
            let is_told = ended.log.contains(expected) && ended.log.contains(data.to_str().unwrap());
            assert!(ended.code == Some(1) && is_told, "{name}, {expected}: {ended:?}");
            assert!(contents(&data) == before, "{name}, {expected}: something was changed");
            for (path, bytes) in &whole {
                fs::write(path, bytes).unwrap();
            }
        }
        // Put back as it was, it is whole.
        assert_eq!(run(bare(&folder.path().join("ken")), ["--tracker-port", "1"]).code, Some(0));
    }
}
