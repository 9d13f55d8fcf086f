//! Faults of the surroundings, with the real programs: each gets a clear error on the right side, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::net::TcpListener;

use process_support::peer::{Peer, at, bare, texts};
use process_support::tracker::Tracker;
use process_support::{PASSWORD, command, run, tracker_program};
use rustix::process::Signal;

#[test]
fn a_taken_port_for_members_is_told_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut ken = at(&tracker, "ken", folder.path());
    ken.args(["--host-channel", "first", "--peer-host-port", &port]);
    let mut ken = Peer::start(ken);
    let result = ken.wait("the result of host", |event| event["command"] == "host");
    assert_eq!((&result["ok"], &result["code"]), (&false.into(), &"cannot_listen".into()), "{result}");
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.contains(&port) && reason.contains("another port"), "{reason}");
    // The peer itself goes on, and the channel is nobody's.
    assert_eq!(ken.done("list")["channels"], serde_json::json!([]));
    assert_eq!(ken.refused("host first").0, "cannot_listen");
    drop(taken);
    let hosting = ken.done("host first");
    assert_eq!(hosting["listen"], format!("127.0.0.1:{port}"), "{hosting}");
}

#[test]
fn the_port_of_the_last_time_may_be_taken_when_none_was_demanded() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::start(at(&tracker, "ken", folder.path()));
    let before = ken.done("host first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    charlie.send("first", "one");
    assert_eq!(ken.stop().code, Some(0));
    let _taken = TcpListener::bind(before["listen"].as_str().unwrap()).unwrap();
    let mut ken = Peer::start(at(&tracker, "ken", folder.path()));
    let after = ken.done("host first");
    assert_eq!((&after["id"], after["listen"] == before["listen"]), (&before["id"], false), "{after}");
    // Who was in it finds it again where it is now.
    charlie.wait_connection("first", "retrying");
    charlie.wait_connection("first", "up");
    charlie.send("first", "two");
    ken.wait_message("two");
}

#[test]
fn an_unreachable_tracker_is_told_with_its_address_and_found_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut ken = bare(&folder.path().join("ken"));
    ken.args(["--username", "ken", "--tracker", &free, "--host-channel", "first"]);
    let mut ken = Peer::start(ken);
    let told = ken.wait_connection("tracker", "retrying");
    assert!(told["reason"].as_str().unwrap().contains(&free), "{told}");
    for line in ["list", "join first", &format!("signup ken\n{PASSWORD}")] {
        let (code, reason) = ken.refused(line);
        assert_eq!(code, "tracker_away", "{line}: {reason}");
    }
    assert_eq!(ken.done("status")["tracker"]["state"], "retrying");
    let _tracker = Tracker::start_at(&folder.path().join("tracker"), &free);
    ken.wait_in();
    // The channel of the command line was only waiting for that.
    ken.wait("the channel", |event| event["command"] == "host" && event["ok"] == true);
}

#[test]
fn a_changed_tracker_key_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let address = tracker.address.to_string();
    let start = |more: &[&str]| {
        let mut command = bare(&folder.path().join("ken"));
        command.args(["--username", "ken", "--tracker", &address]).args(more);
        Peer::start(command)
    };
    let mut ken = start(&[]);
    let first = ken.wait("the key", |event| event["event"] == "tracker_key");
    assert_eq!((&first["key"], &first["confirmed"]), (&tracker.key.as_str().into(), &false.into()));
    // Not compared yet: no password goes there.
    let (code, reason) = ken.refused(&format!("signup ken\n{PASSWORD}"));
    assert_eq!(code, "tracker_unconfirmed", "{reason}");
    assert_eq!(ken.stop().code, Some(0));
    let mut ken = start(&["--trust-first"]);
    assert_eq!(ken.done(&format!("signup ken\n{PASSWORD}"))["state"], "account");
    assert_eq!(ken.stop().code, Some(0));

    let key = tracker.key.clone();
    assert_eq!(tracker.stop().code, Some(0));
    let other = Tracker::start_at(&folder.path().join("other"), &address);
    for more in [&[][..], &["--trust-first"], &["--tracker-key", &key]] {
        let mut ken = start(more);
        let told = ken.wait_connection("tracker", "retrying");
        let reason = told["reason"].as_str().unwrap();
        for expected in [&key, &other.key, &format!("--tracker {address}#{}", other.key)] {
            assert!(reason.contains(expected.as_str()), "{expected} in {reason}");
        }
        let (code, _) = ken.refused(&format!("signin ken\n{PASSWORD}"));
        assert_eq!(code, "tracker_key_changed");
        assert_eq!(ken.stop().code, Some(0));
    }
    // The way out that it names.
    let mut command = bare(&folder.path().join("ken"));
    command.args(["--username", "ken", "--tracker", &other.shared()]);
    let mut ken = Peer::start(command);
    assert_eq!(ken.wait_in()["state"], "guest");
}

#[test]
fn a_data_folder_has_one_program_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("tracker");
    let tracker = Tracker::start(&place);
    let ken = Peer::enter(&tracker, "ken", folder.path());
    for (command, data, expected) in [
        (at(&tracker, "ken", folder.path()), folder.path().join("ken"), "another program uses"),
        (bare(&place), place.clone(), "another program uses"),
        (command(&tracker_program(), folder.path()), folder.path().join("ken"), "another program uses"),
        (command(&tracker_program(), folder.path()), place.clone(), "another program uses"),
    ] {
        let mut command = command;
        command.env("NATTER_TRACKER_LISTEN", "127.0.0.1:0").env("NATTER_TRACKER_DATA", &data);
        let ended = run(command, [""; 0]);
        assert_eq!((ended.code, ended.rest.len()), (Some(1), 0), "{ended:?}");
        let is_told = ended.log.contains(expected) && ended.log.contains("--data");
        assert!(is_told && ended.log.contains(data.to_str().unwrap()), "{ended:?}");
    }
    assert_eq!(ken.stop().code, Some(0));
    assert_eq!(tracker.stop().code, Some(0));
    // Left alone, each still belongs to the other program.
    let mut wrong = command(&tracker_program(), folder.path());
    wrong.args(["--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("ken"));
    for command in [bare(&place), wrong] {
        let ended = run(command, [""; 0]);
        assert!(ended.code == Some(1) && ended.log.contains("belongs to a"), "{ended:?}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ended = run(bare(&file.join("below")), [""; 0]);
    assert!(ended.code == Some(1) && ended.log.contains("--data"), "{ended:?}");
    // A key that is none is not replaced by another in silence.
    let data = folder.path().join("ken");
    let made = run(bare(&data), ["--tracker-port", "1"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    std::fs::write(data.join("identity"), "no key").unwrap();
    let ended = run(bare(&data), ["--tracker-port", "1"]);
    assert!(ended.code == Some(1) && ended.log.contains("identity"), "{ended:?}");
    // Nor is a list of trackers that cannot be read.
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let data = folder.path().join("charlie");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("known_trackers"), "nonsense\n").unwrap();
    let mut charlie = Peer::start(at(&tracker, "charlie", folder.path()));
    let told = charlie.wait_connection("tracker", "retrying");
    assert!(told["reason"].as_str().unwrap().contains("known_trackers"), "{told}");
}

#[test]
fn a_tracker_that_stops_in_the_middle_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    charlie.send("first", "one");
    let (address, data) = (tracker.address.to_string(), folder.path().join("tracker"));
    assert_eq!(tracker.stop().code, Some(0));
    for peer in [&mut ken, &mut charlie] {
        peer.wait_connection("tracker", "retrying");
        assert_eq!(peer.refused("list").0, "tracker_away");
    }
    charlie.send("first", "two");
    ken.send("first", "three");
    charlie.wait_message("three");
    // Even a member that starts anew finds its way: it knows the host, and has its pass.
    assert_eq!(charlie.stop().code, Some(0));
    let mut charlie = bare(&folder.path().join("charlie"));
    charlie.args(["--username", "charlie", "--tracker", &address]);
    let mut charlie = Peer::start(charlie);
    charlie.wait_connection("first", "up");
    charlie.send("first", "four");
    ken.wait_message("four");

    let tracker = Tracker::start_at(&data, &address);
    for peer in [&mut ken, &mut charlie] {
        peer.wait_connection("tracker", "up");
    }
    let mut dora = Peer::join(&tracker, "dora", folder.path(), "first");
    dora.send("first", "five");
    charlie.wait_message("five");
    let history = dora.done("history first");
    let expected = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five")];
    assert_eq!(texts(history["messages"].as_array().unwrap()), expected);
    assert_eq!(texts(&charlie.messages()), expected[3..]);
}

#[test]
fn a_killed_tracker_still_knows_its_accounts_and_channels() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("tracker");
    let tracker = Tracker::start(&data);
    let (address, key) = (tracker.address.to_string(), tracker.key.clone());
    let mut ken = Peer::enter(&tracker, "ken", folder.path());
    let subject = ken.done(&format!("signup\n{PASSWORD}"))["subject"].clone();
    ken.done("host first");
    tracker.program.signal(Signal::KILL);
    tracker.program.ended();
    ken.wait_connection("tracker", "retrying");
    let tracker = Tracker::start_at(&data, &address);
    assert_eq!(tracker.key, key);
    ken.wait_connection("tracker", "up");
    let mut other = Peer::enter(&tracker, "other", folder.path());
    assert_eq!(other.refused("host first").0, "name_taken");
    assert_eq!(other.refused(&format!("signin ken\nwrong {PASSWORD}")).0, "bad_password");
    assert_eq!(other.done(&format!("signin ken\n{PASSWORD}"))["subject"], subject);
    other.done("join first");
    other.send("first", "from another device");
    ken.wait_message("from another device");
}

#[test]
fn a_name_that_is_taken_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::enter(&tracker, "ken", folder.path());
    for (place, name) in [("other", "ken"), ("again", "KEN")] {
        let mut command = bare(&folder.path().join(place));
        command.args(["--username", name, "--tracker", &tracker.shared()]);
        let mut other = Peer::start(command);
        let told = other.wait("a session", |event| event["event"] == "session");
        assert_eq!((&told["state"], &told["code"]), (&"none".into(), &"name_taken".into()), "{told}");
        assert_eq!(other.done(&format!("guest {place}"))["state"], "guest");
    }
    assert_eq!(ken.done(&format!("signup\n{PASSWORD}"))["state"], "account");
    let mut late = bare(&folder.path().join("late"));
    late.args(["--username", "ken", "--tracker", &tracker.shared()]);
    let mut late = Peer::start(late);
    let told = late.wait("a session", |event| event["event"] == "session");
    assert!(told["reason"].as_str().unwrap().contains("type: signin ken"), "{told}");
}
