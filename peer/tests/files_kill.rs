//! Files between real programs that are killed on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::fs;
use std::path::Path;

use process_support::peer::{Peer, acquainted};
use serde_json::Value;

/// How often either side is killed.
const KILLS: usize = 5;
/// How large the file is unless `NATTER_FILE_MIB` says otherwise.
const MIB: usize = 64;

/// A file with bytes that are different everywhere, made piece by piece.
fn made(path: &Path) {
    use std::io::Write;
    let mib = std::env::var("NATTER_FILE_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(MIB);
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    for number in 0..(mib as u64) << 17 {
        file.write_all(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

fn same(one: &Path, other: &Path) -> bool {
    let output = std::process::Command::new("cmp").arg(one).arg(other).output().unwrap();
    output.status.success()
}

fn is<'a>(id: &'a Value, states: &'a [&'a str]) -> impl Fn(&Value) -> bool + 'a {
    move |event| {
        event["event"] == "file" && event["id"] == *id && states.iter().any(|state| event["state"] == **state)
    }
}

/// Waits until it runs, or is there; how much there is, and whether it is there.
fn goes_on(peer: &mut Peer, id: &Value) -> (u64, bool) {
    let event = peer.wait("the file to go on", is(id, &["running", "done"]));
    (event["have"].as_u64().unwrap(), event["state"] == "done")
}

#[test]
fn a_file_is_killed_on_both_sides_and_ends_identical() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, mut ken, mut charlie) = acquainted(folder.path());
    let path = folder.path().join("large.bin");
    made(&path);
    let id = ken.done(&format!("sendfile charlie {}", path.display()))["files"][0]["id"].clone();
    let state = charlie.wait("an offer", is(&id, &["offered"]))["state"].clone();
    assert_eq!(state, "offered");
    charlie.done(&format!("files accept {}", id.as_str().unwrap()));
    let mut is_there = false;
    let mut broken_off = 0;
    for kill in 0..KILLS {
        // Other moments each time: at once, or some time after it began to go on.
        for _ in 0..=kill % 3 {
            if !is_there {
                is_there = goes_on(&mut charlie, &id).1;
            }
        }
        if kill % 2 == 0 {
            charlie.kill();
            charlie = Peer::enter(&tracker, "charlie", folder.path());
        } else {
            ken.kill();
            ken = Peer::enter(&tracker, "ken", folder.path());
        }
        broken_off += usize::from(charlie.done("files")["files"][0]["state"] != "done");
    }
    assert!(broken_off > 0, "it was there before anybody was killed");
    let list = charlie.ask_until("files", |body| body["files"][0]["state"] == "done");
    let there = list["files"][0]["path"].as_str().unwrap();
    assert!(same(&path, Path::new(there)), "it is another one");
    assert_eq!(
        fs::read_dir(Path::new(there).parent().unwrap()).unwrap().count(),
        1,
        "once, and nothing beside it"
    );
    // The other side learns of it, too, whenever it was killed.
    ken.ask_until("files", |body| body["files"][0]["state"] == "done");
}

#[test]
fn what_was_there_before_a_kill_is_not_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, mut ken, mut charlie) = acquainted(folder.path());
    let path = folder.path().join("large.bin");
    made(&path);
    let id = ken.done(&format!("sendfile charlie {}", path.display()))["files"][0]["id"].clone();
    charlie.wait("an offer", is(&id, &["offered"]));
    charlie.done(&format!("files accept {}", id.as_str().unwrap()));
    // Something has come, on a slow machine too.
    charlie.ask_until("files", |body| body["files"][0]["have"].as_u64() > Some(0));
    // Whoever pauses has on disk what there is.
    charlie.ask(&format!("files pause {}", id.as_str().unwrap()));
    let row = charlie.ask_until("files", |body| {
        let state = &body["files"][0]["state"];
        *state == "done" || (*state == "paused" && body["files"][0]["have"].as_u64() > Some(0))
    });
    let kept = row["files"][0]["have"].as_u64().unwrap();
    charlie.kill();
    let mut charlie = Peer::enter(&tracker, "charlie", folder.path());
    let row = charlie.done("files")["files"][0].clone();
    assert_eq!(row["have"].as_u64(), Some(kept));
    if row["state"] != "done" {
        charlie.done(&format!("files resume {}", id.as_str().unwrap()));
        assert!(goes_on(&mut charlie, &id).0 >= kept);
        charlie.ask_until("files", |body| body["files"][0]["state"] == "done");
    }
    let there = charlie.done("files")["files"][0]["path"].clone();
    assert!(same(&path, Path::new(there.as_str().unwrap())));
}
