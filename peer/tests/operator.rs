//! What the tracker's operator does, as the users of real peers see it.

mod process_support;

use std::path::Path;

use process_support::peer::{Peer, texts};
use process_support::tracker::Tracker;
use process_support::{PASSWORD, command, run, tracker_program};
use serde_json::Value;

/// Has the running tracker do something.
fn operator(data: &Path, words: &[&str]) -> String {
    let mut program = command(&tracker_program(), data);
    program.args(["admin", "--data"]).arg(data);
    let ended = run(program, words);
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    ended.rest.join("\n")
}

#[test]
fn a_suspended_user_is_put_out_of_a_running_channel_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("tracker");
    let tracker = Tracker::start(&data);
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut ada = Peer::enter(&tracker, "ada", folder.path());
    ada.done(&format!("signup ada2\n{PASSWORD}"));
    ada.done("join first");
    ada.send("first", "before");
    ken.wait_message("before");
    let names_ada = |event: &Value, what: &str| {
        let mut members = event["members"].as_array().into_iter().flatten();
        event["event"] == what && members.any(|member| member["name"] == "ada2")
    };
    // Who comes and goes within a second is not told of.
    ken.wait("her coming", |event| names_ada(event, "joined"));

    operator(&data, &["suspend", "ada2", "sells", "things"]);
    let down = ada.wait("the channel to go", |event| {
        event["event"] == "connection" && event["to"] == "first" && event["state"] != "up"
    });
    assert!(down["reason"].as_str().unwrap().contains("signed out"), "{down}");
    ken.wait("her leaving", |event| names_ada(event, "left"));
    let said = ada.wait("the tracker's word", |event| {
        event["event"] == "connection" && event["to"] == "tracker" && event["state"] == "retrying"
    });
    assert!(said["reason"].as_str().unwrap().contains("sells things"), "{said}");
    let id = ada.done("send first meanwhile")["id"].clone();
    ken.send("first", "still here");
    ken.wait_message("still here");
    assert_eq!(texts(&ken.messages()), [(1, "before"), (2, "still here")]);

    operator(&data, &["unsuspend", "ada2"]);
    // What she wrote meanwhile was kept.
    ada.ask_until("status", |body| body["tracker"]["state"] == "up");
    ada.done("join first");
    ada.wait_outgoing(&id, "stored");
    ken.wait_message("meanwhile");
    let audit = operator(&data, &["audit"]);
    assert!(audit.contains("suspend ada2    sells things") && audit.contains("unsuspend ada2"), "{audit}");
}

#[test]
fn a_broadcast_of_the_operator_is_shown_by_all_peers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("tracker");
    let tracker = Tracker::start(&data);
    let mut ken = Peer::enter(&tracker, "ken", folder.path());
    let mut ada = Peer::enter(&tracker, "ada", folder.path());
    assert_eq!(operator(&data, &["broadcast", "we move at noon"]), "said to 2 who are here");
    for peer in [&mut ken, &mut ada] {
        let shown = peer.wait("the broadcast", |event| event["event"] == "broadcast");
        assert_eq!((&shown["text"], shown.get("from")), (&"we move at noon".into(), None), "{shown}");
    }
}

#[test]
fn the_host_of_a_removed_channel_is_told_why_it_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("tracker");
    let tracker = Tracker::start(&data);
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    ken.done("host second");
    operator(&data, &["remove-channel", "first", "not ours"]);
    let told = ken.wait("a warning", |event| event["event"] == "warning");
    assert_eq!((&told["code"], &told["channel"]), (&"channel_removed".into(), &"first".into()), "{told}");
    // The other one is back by itself.
    let listed = ken.ask_until("list", |body| body["channels"][0]["online"] == true);
    assert_eq!(listed["channels"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["channels"][0]["name"], "second", "{listed}");
}
