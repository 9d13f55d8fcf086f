//! A real peer that is killed again and again while messages come in: over all its lives everything is shown, in order,
//! and only a little of it twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::peer::{Peer, at};
use process_support::tracker::Tracker;

/// How many lives the reader has.
const LIVES: usize = 12;
/// How much is written in each.
const WRITTEN: u64 = 150;

#[test]
fn a_member_that_is_killed_while_messages_come_misses_none() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    let mut written = 0;
    let (mut most, mut repeats) = (0, 0);
    for life in 0..LIVES {
        for _ in 0..WRITTEN {
            written += 1;
            ken.send("first", &written.to_string());
        }
        // At another point of the way each time.
        let wanted = written - WRITTEN * (life as u64 % 4) / 4;
        charlie
            .wait("a message", |event| event["event"] == "message" && event["seq"].as_u64() >= Some(wanted));
        let mut events = charlie.said.clone();
        events.extend(charlie.kill().rest.iter().filter_map(|line| serde_json::from_str(line).ok()));
        let shown = events.iter().filter(|event| event["event"] == "message");
        let shown: Vec<u64> = shown.map(|message| message["seq"].as_u64().unwrap()).collect();
        for seq in shown {
            assert!(seq <= most + 1, "life {life}: {seq} came after {most}: one was left out");
            repeats += u64::from(seq <= most);
            most = most.max(seq);
        }
        charlie = Peer::start(at(&tracker, "charlie", folder.path()));
    }
    charlie.wait("the last message", |event| event["seq"].as_u64() == Some(written) || most == written);
    assert!(repeats < written / 2, "{repeats} of {written} were shown twice");
    let mut seqs = Vec::new();
    while seqs.first() != Some(&1) {
        let before = seqs.first().copied().unwrap_or(written + 1);
        let page = charlie.done(&format!("history first 500 --before {before}"));
        let page =
            page["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap());
        seqs.splice(0..0, page.collect::<Vec<_>>());
    }
    assert_eq!(seqs, (1..=written).collect::<Vec<_>>());
}
