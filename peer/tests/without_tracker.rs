//! The tracker goes away, and everybody else is killed and started meanwhile: with the real programs. Those who know
//! each other find each other; when the tracker is back nobody does anything by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use process_support::peer::{Peer, bare, texts};
use process_support::tracker::Tracker;
use rustix::process::Signal;
use serde_json::Value;

/// Where everybody keeps what they know, and the tracker is found.
struct Place {
    folder: tempfile::TempDir,
    address: String,
    shared: String,
}

impl Place {
    fn new() -> (Self, Tracker) {
        let folder = tempfile::tempdir().unwrap();
        let tracker = Tracker::start(&folder.path().join("tracker"));
        let (address, shared) = (tracker.address.to_string(), tracker.shared());
        (Self { folder, address, shared }, tracker)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("tracker")
    }

    fn peer(&self, name: &str) -> Command {
        let mut command = bare(&self.path().join(name));
        command.args(["--username", name, "--tracker", &self.shared]);
        command
    }

    fn tracker(&self) -> Tracker {
        Tracker::start_at(&self.data(), &self.address)
    }
}

fn online(list: &Value) -> Vec<(&str, bool)> {
    let channels = list["channels"].as_array().unwrap().iter();
    channels.map(|one| (one["name"].as_str().unwrap(), one["online"].as_bool().unwrap())).collect()
}

fn members(peer: &mut Peer) -> Vec<String> {
    let members = peer.done("members first")["members"].clone();
    let mut names: Vec<String> =
        members.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// It says that the tracker is away, and since when; in its status too.
fn says_tracker_is_away(peer: &mut Peer) {
    let told = peer.wait_connection("tracker", "retrying");
    let status = peer.done("status")["tracker"].clone();
    for said in [&told, &status] {
        let since = said["since"].as_str().unwrap_or_else(|| panic!("{said}"));
        assert!(since.starts_with("20") && since.ends_with('Z'), "{said}");
        assert!(!said["reason"].as_str().unwrap().is_empty(), "{said}");
    }
    assert_eq!(peer.refused("list").0, "tracker_away");
}

/// The tracker ends by a signal, everybody else is killed once while it is away, and then it comes back.
fn everybody_finds_each_other_without_the_tracker(signal: Signal) {
    let (place, tracker) = Place::new();
    let mut ken = Peer::host(&tracker, "ken", place.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", place.path(), "first");
    for peer in [&mut ken, &mut charlie] {
        peer.wait_connection("tracker", "up");
        peer.wait_connection("first", "up");
    }
    charlie.send("first", "one");
    tracker.program.signal(signal);
    tracker.program.ended();
    says_tracker_is_away(&mut ken);
    says_tracker_is_away(&mut charlie);
    ken.send("first", "two");
    charlie.wait_message("two");

    // A member knows where the host is, and has its pass.
    charlie.kill();
    let mut charlie = Peer::start(place.peer("charlie"));
    says_tracker_is_away(&mut charlie);
    charlie.wait_connection("first", "up");
    charlie.send("first", "three");
    ken.wait_message("three");
    // A host knows the tracker's keys, and so whose pass is good.
    ken.kill();
    charlie.wait_connection("first", "retrying");
    let mut ken = Peer::start(place.peer("ken"));
    says_tracker_is_away(&mut ken);
    charlie.wait_connection("first", "up");
    charlie.send("first", "four");
    ken.send("first", "five");
    charlie.wait_message("five");

    let tracker = place.tracker();
    for peer in [&mut ken, &mut charlie] {
        peer.wait_connection("tracker", "up");
        assert!(peer.done("status")["tracker"]["since"].is_null());
    }
    let mut dora = Peer::enter(&tracker, "dora", place.path());
    // The host may be a moment behind its own connection.
    dora.ask_until("list", |list| online(list) == [("first", true)]);
    dora.done("join first");
    dora.send("first", "six");
    charlie.wait_message("six");
    assert_eq!(members(&mut dora), ["charlie", "dora", "ken"]);
    let expected = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five"), (6, "six")];
    assert_eq!(texts(dora.done("history first")["messages"].as_array().unwrap()), expected);
    // What was shown just before a kill may be shown again; nothing is left out, and nothing comes twice since.
    let (messages, after) = (charlie.messages(), &expected[2..]);
    let shown = texts(&messages);
    assert!(expected.ends_with(&shown) && shown.ends_with(after), "{shown:?}");
}

#[test]
fn everybody_finds_each_other_while_the_tracker_is_killed() {
    everybody_finds_each_other_without_the_tracker(Signal::KILL);
}

#[test]
fn everybody_finds_each_other_while_the_tracker_has_stopped() {
    everybody_finds_each_other_without_the_tracker(Signal::TERM);
}

#[test]
fn a_host_that_comes_back_with_the_tracker_is_announced_to_those_who_wait() {
    let (place, tracker) = Place::new();
    let ken = Peer::host(&tracker, "ken", place.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", place.path(), "first");
    charlie.wait_connection("tracker", "up");
    charlie.wait_connection("first", "up");
    tracker.program.signal(Signal::KILL);
    tracker.program.ended();
    ken.kill();
    charlie.wait_connection("tracker", "retrying");
    charlie.wait_connection("first", "retrying");
    let id = charlie.done("send first waits")["id"].clone();
    let tracker = place.tracker();
    charlie.wait_connection("tracker", "up");
    // Barrier: it has asked where the host is by then.
    assert_eq!(online(&charlie.done("list")), [("first", false)]);
    let mut ken = Peer::start(place.peer("ken"));
    charlie.wait_outgoing(&id, "stored");
    ken.wait_message("waits");
    drop(tracker);
}

/// All are killed, started in some order, and talk.
fn talk_after_a_start_in_order(orders: [[&str; 3]; 3]) {
    let (place, tracker) = Place::new();
    let ken = Peer::host(&tracker, "ken", place.path(), "first");
    let charlie = Peer::join(&tracker, "charlie", place.path(), "first");
    let (mut tracker, mut ken, mut charlie) = (Some(tracker), Some(ken), Some(charlie));
    for (round, order) in orders.iter().enumerate() {
        for running in [ken.take(), charlie.take()].into_iter().flatten() {
            running.kill();
        }
        let program = tracker.take().unwrap().program;
        program.signal(Signal::KILL);
        program.ended();
        for who in order {
            match *who {
                "tracker" => tracker = Some(place.tracker()),
                "host" => ken = Some(Peer::start(place.peer("ken"))),
                _ => charlie = Some(Peer::start(place.peer("charlie"))),
            }
        }
        let (ken, charlie) = (ken.as_mut().unwrap(), charlie.as_mut().unwrap());
        let (asks, answers) = (format!("{round} there?"), format!("{round} here"));
        charlie.send("first", &asks);
        ken.wait_message(&asks);
        ken.send("first", &answers);
        charlie.wait_message(&answers);
        for peer in [ken, charlie] {
            peer.wait_connection("tracker", "up");
        }
    }
    let mut charlie = charlie.unwrap();
    let history = charlie.done("history first")["messages"].clone();
    let expected =
        [(1, "0 there?"), (2, "0 here"), (3, "1 there?"), (4, "1 here"), (5, "2 there?"), (6, "2 here")];
    assert_eq!(texts(history.as_array().unwrap()), expected);
}

#[test]
fn any_order_of_starting_ends_in_a_conversation() {
    talk_after_a_start_in_order([
        ["host", "client", "tracker"],
        ["tracker", "client", "host"],
        ["client", "host", "tracker"],
    ]);
}

#[test]
fn any_other_order_of_starting_ends_in_a_conversation() {
    talk_after_a_start_in_order([
        ["client", "tracker", "host"],
        ["host", "tracker", "client"],
        ["tracker", "host", "client"],
    ]);
}
