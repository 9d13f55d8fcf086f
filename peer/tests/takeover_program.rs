//! As people do it, with the real programs: the host's data folder is deleted, a member has everything, and the talk goes
//! on. What to type next is said by the program itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::PASSWORD;
use process_support::peer::{Peer, at, texts};
use process_support::tracker::Tracker;

/// What a text says is to be typed.
fn typed(said: &str) -> &str {
    let (_, typed) =
        said.rsplit_once("type: ").unwrap_or_else(|| panic!("it does not say what to type: {said}"));
    typed
}

#[test]
fn a_deleted_data_folder_is_made_good_by_a_member_and_the_talk_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::enter(&tracker, "ken", folder.path());
    ken.done(&format!("signup\n{PASSWORD}"));
    ken.done("host first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    for text in ["one", "two", "three"] {
        ken.send("first", text);
        charlie.wait_message(text);
    }
    charlie.send("first", "four");
    ken.wait_message("four");
    charlie.wait_message("four");
    // So that all of it is signed, as it is a moment after the talk has paused.
    charlie.done("verify first");
    // With nobody there: all can be read and searched.
    ken.kill();
    charlie.wait_connection("first", "retrying");
    assert_eq!(charlie.done("history first")["messages"].as_array().unwrap().len(), 4);
    std::fs::remove_dir_all(folder.path().join("ken")).unwrap();

    let mut ken = Peer::start(at(&tracker, "ken", folder.path()));
    ken.done(&format!("signin ken\n{PASSWORD}"));
    let (code, why) = ken.refused("host first");
    assert_eq!((code.as_str(), typed(&why)), ("hosted_elsewhere", "host first --takeover"));
    ken.done(typed(&why));
    let warning =
        ken.wait("what to do", |event| event["event"] == "warning" && event["code"] == "log_behind");
    let what_to_do = typed(warning["reason"].as_str().unwrap()).to_owned();
    assert_eq!(what_to_do, "recover first");
    let asked = charlie.wait("another key", |event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        event["event"] == "connection" && reason.contains("type: leave first, then join first")
    });
    let key = ken.done("whoami")["key"].as_str().unwrap().to_owned();
    assert!(asked["reason"].as_str().unwrap().contains(&key), "{asked}");
    charlie.done("leave first");
    charlie.done("join first");
    let recovered = ken.done(&what_to_do);
    assert_eq!((recovered["whole"].as_bool(), recovered["from"][0].as_str()), (Some(true), Some("charlie")));
    ken.send("first", "five");
    charlie.wait_message("five");
    let expected = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "five")];
    for peer in [&mut ken, &mut charlie] {
        let history = peer.done("history first")["messages"].clone();
        assert_eq!(texts(history.as_array().unwrap()), expected);
        let verified = peer.done("verify first");
        assert_eq!(
            (verified["sound"].as_bool(), verified["logs"].as_array().unwrap().len()),
            (Some(true), 1)
        );
    }
}
