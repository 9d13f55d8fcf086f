//! A takeover that is cut short by a power cut, at one step after another: it can be asked for again, and nothing of the
//! channel is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::Program;
use process_support::peer::{Peer, at, texts};
use process_support::tracker::Tracker;
use rustix::process::Signal;

const PASSWORD: &str = "correct horse battery";
/// At which write to the disk the peer that takes over is ended, one life after another.
const WRITES: [u32; 8] = [2, 4, 5, 6, 7, 8, 10, 12];

#[test]
fn a_takeover_that_is_cut_short_is_done_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut desk = Peer::enter(&tracker, "ken", folder.path());
    desk.done(&format!("signup\n{PASSWORD}"));
    desk.done("host first");
    let mut pocket = Peer::enter(&tracker, "pocket", folder.path());
    pocket.done(&format!("signin ken\n{PASSWORD}"));
    pocket.done("join first");
    for text in ["one", "two", "three"] {
        desk.send("first", text);
        pocket.wait_message(text);
    }
    pocket.stop();
    desk.program.signal(Signal::KILL);
    desk.program.ended();
    let mut cut_short = 0;
    let points = WRITES.iter().map(|nth| format!("store.answered:{nth}")).chain(["host.opened:1".to_owned()]);
    for point in points {
        let mut command = at(&tracker, "pocket", folder.path());
        command.env("NATTER_CRASH_AT", &point);
        let mut program = Program::start(command);
        program.write(b"host first --takeover\n");
        program.close_input();
        cut_short += u32::from(program.ended().code.is_none());
    }
    assert!(cut_short > 3, "{cut_short} were cut short");
    let mut pocket = Peer::start(at(&tracker, "pocket", folder.path()));
    pocket.wait_in();
    pocket.done("host first --takeover");
    let expected = [(1, "one"), (2, "two"), (3, "three"), (4, "four")];
    pocket.send("first", "four");
    let history = pocket.done("history first")["messages"].clone();
    assert_eq!(texts(history.as_array().unwrap()), expected);
    assert_eq!(pocket.done("verify first")["sound"], true);
    // The machine that hosted it is no host any more.
    let mut desk = Peer::start(at(&tracker, "ken", folder.path()));
    desk.wait("a warning", |event| event["event"] == "warning" && event["code"] == "superseded");
    assert_eq!(desk.refused("host first").0, "superseded");
}
