//! A real host that is killed while it gets back what it has lost: it can be told again, and then has all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::path::Path;

use process_support::peer::{Peer, at};
use process_support::tracker::Tracker;

/// More than goes to the disk at once, and so much text that not all of it is held in memory.
const WRITTEN: usize = 1200;

fn put_back(copy: &Path, place: &Path) {
    std::fs::remove_dir_all(place).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(copy).arg(place).status().unwrap();
    assert!(copied.success());
}

fn is_behind(peer: &mut Peer) -> bool {
    let status = peer.done("status");
    status["channels"].as_array().unwrap().iter().any(|channel| channel["behind"].is_string())
}

/// Waits until charlie is in the channel.
fn wait_for_charlie(host: &mut Peer) {
    host.wait_connection("first", "up");
    host.ask_until("members first", |body| {
        body["members"].as_array().unwrap().iter().any(|member| member["name"] == "charlie")
    });
}

#[test]
fn a_host_that_is_killed_while_it_recovers_has_all_of_it_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let (place, copy) = (folder.path().join("ken"), folder.path().join("copy"));
    ken.done(&format!("backup {}", copy.display()));
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    let long = "x".repeat(1500);
    for number in 0..WRITTEN {
        ken.send("first", &format!("{number} {long}"));
    }
    let mut written = WRITTEN as u64;
    charlie.wait("the last", |event| event["event"] == "message" && event["seq"].as_u64() == Some(written));
    for point in ["recover.given", "recover.appended", "recover.appended:3", "recover.whole"] {
        // So that all of it is signed: what a kill takes with it is proven by the next who ask.
        charlie.done("verify first");
        ken.kill();
        put_back(&copy, &place);
        let mut command = at(&tracker, "ken", folder.path());
        command.env("NATTER_CRASH_AT", point);
        let mut dying = Peer::start(command);
        wait_for_charlie(&mut dying);
        dying.program.write(b"recover first\n");
        dying.program.ended();
        ken = Peer::start(at(&tracker, "ken", folder.path()));
        wait_for_charlie(&mut ken);
        if is_behind(&mut ken) {
            let recovered = ken.done("recover first");
            assert_eq!(recovered["whole"], true, "{point}: {recovered}");
        } else {
            assert_eq!(point, "recover.whole");
        }
        assert!(!is_behind(&mut ken), "{point}");
        written += 1;
        // After so many ends in a row charlie's peer would wait before it tries again.
        comes_again(&mut charlie);
        ken.send("first", point);
        let next = charlie.wait_message(point);
        assert_eq!(next["seq"].as_u64(), Some(written), "{point}: neither lost nor twice");
    }
    written = forked_in_spite_of_a_kill(&tracker, folder.path(), ken, &mut charlie, written);
    let verified = charlie.done("verify first");
    assert_eq!(verified["logs"].as_array().unwrap().last().unwrap()["last"].as_u64(), Some(written));
    assert_eq!(verified["sound"], true, "{verified}");
}

/// Joins as soon as the host is there.
fn comes_again(peer: &mut Peer) {
    for _ in 0..300 {
        if peer.ask("join first")["ok"] == true {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    panic!("the host does not let anybody in");
}

/// A copy that was cut off is nobody's log, and is made anew.
fn forked_in_spite_of_a_kill(
    tracker: &Tracker,
    folder: &Path,
    ken: Peer,
    charlie: &mut Peer,
    written: u64,
) -> u64 {
    ken.kill();
    let mut command = at(tracker, "ken", folder);
    command.env("NATTER_CRASH_AT", "recover.copied:2");
    let mut dying = Peer::start(command);
    dying.wait_connection("first", "up");
    dying.program.write(b"recover first --fork\n");
    dying.program.ended();
    let mut ken = Peer::start(at(tracker, "ken", folder));
    ken.wait_connection("first", "up");
    let forked = ken.done("recover first --fork");
    assert_eq!(forked["head"]["seq"].as_u64(), Some(written), "{forked}");
    comes_again(charlie);
    charlie.wait("a warning", |event| event["event"] == "warning" && event["code"] == "new_log");
    ken.send("first", "in the new log");
    assert_eq!(charlie.wait_message("in the new log")["seq"].as_u64(), Some(written + 1));
    assert_eq!(charlie.done("outbox first")["total"], 0, "nothing of charlie's is missing");
    ken.stop();
    written + 1
}
