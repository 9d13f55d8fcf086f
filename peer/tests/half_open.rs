//! Processes that stop without a word, as with a pulled cable: noticed by both sides within 20 seconds, and healed by
//! itself. The waits are real; the programs idle meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::peer::{Peer, texts};
use process_support::tracker::Tracker;
use rustix::process::Signal;
use serde_json::Value;

/// What is said when nothing is heard any more.
const SILENCE: &str = "nothing was heard";

fn reason(event: &Value) -> &str {
    event["reason"].as_str().unwrap_or_else(|| panic!("{event}"))
}

/// The states of a connection that were told so far.
fn states(peer: &Peer, to: &str) -> Vec<String> {
    let told = peer.said.iter().filter(|event| event["event"] == "connection" && event["to"] == to);
    told.map(|event| event["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_host_that_stops_is_noticed_by_members_and_tracker_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    let mut dora = Peer::join(&tracker, "dora", folder.path(), "first");
    for peer in [&mut ken, &mut charlie, &mut dora] {
        peer.wait_connection("tracker", "up");
        peer.wait_connection("first", "up");
    }
    charlie.send("first", "before");
    ken.program.signal(Signal::STOP);
    // Still believed to be there: it goes out, and nobody answers.
    let id = charlie.done("send first meanwhile")["id"].clone();
    let lost = dora.wait_connection("first", "retrying");
    assert!(reason(&lost).contains(SILENCE), "{lost}");
    let lost = charlie.wait_connection("first", "retrying");
    assert!(reason(&lost).contains("not answered"), "{lost}");
    // The tracker heard of it last at about the same time.
    dora.ask_until("list", |list| list["channels"][0]["online"] == false);
    let mut emil = Peer::enter(&tracker, "emil", folder.path());
    assert_eq!(emil.refused("join first").0, "host_away");

    ken.program.signal(Signal::CONT);
    charlie.wait_connection("first", "up");
    assert_eq!(charlie.wait_outgoing(&id, "stored")["seq"], 2);
    ken.wait_connection("tracker", "up");
    ken.send("first", "after");
    ken.wait_message("after");
    charlie.wait_message("after");
    dora.ask_until("list", |list| list["channels"][0]["online"] == true);
    let expected = [(1, "before"), (2, "meanwhile"), (3, "after")];
    dora.wait_message("after");
    for peer in [&charlie, &ken, &dora] {
        assert_eq!(texts(&peer.messages()), expected);
    }
}

#[test]
fn a_member_that_stops_is_noticed_by_the_host_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    charlie.wait_connection("first", "up");
    charlie.send("first", "before");
    ken.wait("charlie comes", |event| event["event"] == "joined" && event["members"][0]["name"] == "charlie");
    charlie.program.signal(Signal::STOP);
    ken.send("first", "meanwhile");
    ken.wait("charlie goes", |event| event["event"] == "left" && event["members"][0]["name"] == "charlie");
    ken.send("first", "without charlie");
    charlie.program.signal(Signal::CONT);
    charlie.wait_connection("first", "retrying");
    charlie.wait_connection("first", "up");
    charlie.send("first", "after");
    let expected = [(1, "before"), (2, "meanwhile"), (3, "without charlie"), (4, "after")];
    charlie.wait_message("after");
    ken.wait_message("after");
    for peer in [&charlie, &ken] {
        assert_eq!(texts(&peer.messages()), expected);
    }
    assert_eq!(states(&ken, "first"), ["up"], "the host's own user has nothing to do with it");
}

#[test]
fn a_tracker_that_stops_is_noticed_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    for peer in [&mut ken, &mut charlie] {
        peer.wait_connection("tracker", "up");
    }
    tracker.program.signal(Signal::STOP);
    for peer in [&mut ken, &mut charlie] {
        let lost = peer.wait_connection("tracker", "retrying");
        assert!(reason(&lost).contains(SILENCE), "{lost}");
        assert_eq!(peer.done("status")["tracker"]["since"], lost["since"]);
    }
    charlie.send("first", "without the tracker");
    ken.wait_message("without the tracker");
    tracker.program.signal(Signal::CONT);
    for peer in [&mut ken, &mut charlie] {
        peer.wait_connection("tracker", "up");
    }
    let mut dora = Peer::enter(&tracker, "dora", folder.path());
    dora.ask_until("list", |list| list["channels"][0]["online"] == true);
    dora.done("join first");
    dora.send("first", "with it");
    charlie.wait_message("with it");
    assert_eq!(states(&charlie, "first"), ["up"]);
}

#[test]
fn a_host_that_is_busy_for_some_seconds_loses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    ken.program.signal(Signal::STOP);
    let id = charlie.done("send first meanwhile")["id"].clone();
    // Two PINGs go unanswered.
    std::thread::park_timeout(common::proto::limits::PING_EVERY * 2);
    ken.program.signal(Signal::CONT);
    charlie.wait_outgoing(&id, "stored");
    ken.wait_message("meanwhile");
    for (peer, to) in [(&charlie, "first"), (&charlie, "tracker"), (&ken, "first"), (&ken, "tracker")] {
        assert_eq!(states(peer, to), ["up"], "{to}");
    }
    assert!(!ken.said.iter().any(|event| event["event"] == "left"), "{:?}", ken.said);
}
