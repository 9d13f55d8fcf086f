//! A channel is taken by somebody else, and one of the two peers is ended by a power cut at one step after another: it is
//! hosted by one of them in the end, with all that was said, and can be taken again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::Program;
use process_support::peer::{Peer, at, texts};
use process_support::tracker::Tracker;
use rustix::process::Signal;

const PASSWORD: &str = "correct horse battery";

fn begin(tracker: &Tracker, folder: &std::path::Path) -> (Peer, Peer) {
    let mut ken = Peer::enter(tracker, "ken", folder);
    ken.done(&format!("signup\n{PASSWORD}"));
    ken.done("host first");
    let mut charlie = Peer::enter(tracker, "charlie", folder);
    charlie.done(&format!("signup\n{PASSWORD}"));
    for text in ["one", "two", "three"] {
        ken.send("first", text);
    }
    ken.done("transfer first charlie");
    charlie.wait("an offer", |event| event["event"] == "offered" && event["ended"] == false);
    (ken, charlie)
}

/// All of it is there, at who hosts it.
fn goes_on(host: &mut Peer) {
    host.send("first", "four");
    let history = host.done("history first")["messages"].clone();
    assert_eq!(texts(history.as_array().unwrap()), [(1, "one"), (2, "two"), (3, "three"), (4, "four")]);
    assert_eq!(host.done("verify first")["sound"], true);
}

#[test]
fn whoever_takes_a_channel_and_is_killed_on_the_way_takes_it_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let (mut ken, charlie) = begin(&tracker, folder.path());
    charlie.stop();
    let mut cut_short = 0;
    for nth in [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14] {
        let mut command = at(&tracker, "charlie", folder.path());
        command.env("NATTER_CRASH_AT", format!("store.answered:{nth}"));
        let mut program = Program::start(command);
        program.write(b"transfer first --accept\n");
        program.close_input();
        cut_short += u32::from(program.ended().code.is_none());
    }
    assert!(cut_short > 3, "{cut_short} were cut short");
    let mut charlie = Peer::start(at(&tracker, "charlie", folder.path()));
    charlie.wait_in();
    // It may have been taken already, and be hosted since the start.
    if charlie.done("status")["channels"][0]["hosted"] != true {
        charlie.done("transfer first --accept");
    }
    goes_on(&mut charlie);
    ken.wait("a warning", |event| event["event"] == "warning" && event["code"] == "superseded");
    assert_eq!(ken.refused("host first").0, "superseded");
}

#[test]
fn a_host_that_is_killed_while_its_channel_is_taken_hosts_it_again_or_hears_that_it_is_gone() {
    for nth in [3, 5, 6, 7, 8] {
        let folder = tempfile::tempdir().unwrap();
        let tracker = Tracker::start(&folder.path().join("tracker"));
        let (ken, mut charlie) = begin(&tracker, folder.path());
        ken.stop();
        let mut command = at(&tracker, "ken", folder.path());
        command.env("NATTER_CRASH_AT", format!("store.answered:{nth}"));
        let ken = Program::start(command);
        // As often as ken's peer may need to be there, or to be gone.
        let is_taken = (0..8).any(|_| charlie.ask("transfer first --accept")["ok"] == true);
        ken.signal(Signal::KILL);
        ken.ended();
        let mut ken = Peer::start(at(&tracker, "ken", folder.path()));
        ken.wait_in();
        if !is_taken {
            charlie.ask_until("join first", |body| body["channel"] == "first");
            let is_taken = (0..20).any(|_| charlie.ask("transfer first --accept")["ok"] == true);
            assert!(is_taken, "{}", charlie.ask("transfer first --accept"));
        }
        goes_on(&mut charlie);
        assert_eq!(ken.refused("host first").0, "superseded");
    }
}
