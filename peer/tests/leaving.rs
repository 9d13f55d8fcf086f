//! Who leaves has been shown all that counts as received, and nothing holds the end up for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use process_support::peer::{Peer, at};
use process_support::tracker::Tracker;
use process_support::wait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Not so many that a part of them would be left for later.
const MESSAGES: u64 = 1900;

/// A tracker, a host with a long log, and a member of an earlier day, who was shown the first message.
fn scene(folder: &std::path::Path) -> (Tracker, Peer) {
    let tracker = Tracker::start(&folder.join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder, "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder, "first");
    ken.send("first", "1");
    charlie.wait_message("1");
    assert_eq!(charlie.stop().code, Some(0));
    let lines: String = (2..=MESSAGES).map(|number| format!("send first {number}\n")).collect();
    ken.program.write(lines.as_bytes());
    ken.wait("the last of many", |event| event["event"] == "message" && event["seq"] == MESSAGES);
    (tracker, ken)
}

#[test]
fn whoever_quits_in_the_middle_of_a_catch_up_gets_every_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, _ken) = scene(folder.path());
    let mut shown = vec![1];
    let mut runs = 0;
    // The places at which a run is ended, and how: at the last it may go on to the end.
    for (after, quits) in [(100, true), (400, false), (800, true), (1200, false), (MESSAGES, true)] {
        let mut charlie = Peer::start(at(&tracker, "charlie", folder.path()));
        let before = *shown.last().unwrap();
        if before < after {
            charlie.wait("messages", |event| event["event"] == "message" && event["seq"] == after);
        }
        if quits {
            charlie.program.write(b"quit\n");
        } else {
            charlie.program.signal(Signal::TERM);
        }
        let said = charlie.said.clone();
        let ended = charlie.program.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let rest: Vec<Value> = ended.rest.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let messages = said.iter().chain(&rest).filter(|event| event["event"] == "message");
        shown.extend(messages.map(|message| message["seq"].as_u64().unwrap()));
        runs += 1;
        if after == MESSAGES {
            break;
        }
    }
    let wrong: Vec<_> = shown.windows(2).filter(|pair| pair[0] + 1 != pair[1]).collect();
    assert!(wrong.is_empty(), "lost or repeated, in {runs} runs: {wrong:?}");
    assert_eq!(shown.last(), Some(&MESSAGES));
}

#[test]
fn a_reader_who_has_stopped_reading_does_not_hold_the_end_up() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, _ken) = scene(folder.path());
    let mut command = at(&tracker, "charlie", folder.path());
    let mut charlie =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::with_capacity(64, charlie.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"seq\":2,") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it has ended");
    }
    // The pipe is full soon, and what is behind it.
    charlie.stdin.as_mut().unwrap().write_all(b"quit\n").unwrap();
    kill_process(Pid::from_child(&charlie), Signal::TERM).unwrap();
    // It has another one if it had to be cut short.
    assert_eq!(wait(&mut charlie).code(), Some(0));
}
