//! The story of the first page with the real programs: a tracker, a host, members who talk; restarts, signals, ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::peer::{Peer, at, bare, texts};
use process_support::tracker::Tracker;
use process_support::{PASSWORD, command, peer_program, run};
use rustix::process::Signal;
use serde_json::Value;

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

/// Ken has an account; at the next start his key is enough.
fn make_account(tracker: &Tracker, folder: &std::path::Path) {
    let mut ken = Peer::enter(tracker, "ken", folder);
    assert_eq!(ken.done(&format!("signup\n{PASSWORD}"))["state"], "account");
    assert_eq!(ken.done("quit"), serde_json::json!({}));
    assert_eq!(ken.program.ended().code, Some(0));
}

#[test]
fn three_machines_talk() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    make_account(&tracker, folder.path());
    let mut ken = bare(&folder.path().join("ken"));
    ken.args(["--username", "ken", "--tracker-ip", "127.0.0.1", "--channel-name", "first"]);
    ken.args(["--tracker-port", &tracker.address.port().to_string()]);
    let mut ken = Peer::start(ken);
    let hosting = ken.hosting();
    assert_eq!(ken.wait_in()["state"], "account");

    // Charlie says the same by his environment.
    let mut charlie = command(&peer_program(), folder.path());
    charlie
        .env("NATTER_TRACKER", tracker.shared())
        .env("NATTER_USERNAME", "charlie")
        .env("NATTER_JSON", "true");
    charlie.env("NATTER_PEER_DATA", folder.path().join("charlie"));
    let mut charlie = Peer::start(charlie);
    let listed = charlie.done("list");
    assert_eq!(listed["channels"].as_array().unwrap().len(), 1, "{listed}");
    let (first, owner) = (&listed["channels"][0], &listed["channels"][0]["owner"]);
    assert_eq!(
        (&first["name"], &first["online"], &first["id"]),
        (&"first".into(), &true.into(), &hosting["id"])
    );
    assert_eq!((&owner["name"], &owner["kind"]), (&"ken".into(), &"account".into()));
    charlie.done("/join first");
    let mut dora = Peer::join(&tracker, "dora", folder.path(), "first");

    assert_eq!(charlie.send("first", "hello")["seq"], 1);
    ken.wait_message("hello");
    assert_eq!(ken.send("first", "Hello charlie – welcome!")["seq"], 2);
    charlie.wait_message("Hello charlie – welcome!");
    assert_eq!(dora.send("first", "  spaces and \"quotes\"  stay ")["seq"], 3);
    for peer in [&mut ken, &mut charlie, &mut dora] {
        if !peer.messages().iter().any(|message| message["seq"] == 3) {
            peer.wait_message("  spaces and \"quotes\"  stay ");
        }
    }
    check_one_order(&[&ken, &charlie, &dora]);

    for peer in [ken, charlie, dora] {
        let ended = peer.stop();
        assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""), "{ended:?}");
    }
    assert_eq!(tracker.stop().code, Some(0));
}

fn check_one_order(peers: &[&Peer]) {
    let expected =
        [(1, "hello"), (2, "Hello charlie – welcome!"), (3, "  spaces and \"quotes\"  stay ")].to_vec();
    let authors = [("charlie", "guest"), ("ken", "account"), ("dora", "guest")];
    let shown = peers[0].messages();
    assert_eq!(texts(&shown), expected);
    for (message, (name, kind)) in shown.iter().zip(authors) {
        assert_eq!((&message["from"], &message["author_kind"]), (&name.into(), &kind.into()), "{message}");
        assert!(is_time(&message["sent_at"]) && is_time(&message["stored_at"]), "{message}");
    }
    for peer in peers {
        assert_eq!(peer.messages(), shown);
    }
}

#[test]
fn a_restart_of_the_host_keeps_everything_its_port_included() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let start = || {
        let mut ken = at(&tracker, "ken", folder.path());
        ken.args(["--host-channel", "first"]);
        let mut ken = Peer::start(ken);
        let hosting = ken.hosting();
        (ken, hosting)
    };
    let (mut ken, before) = start();
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    charlie.send("first", "one");
    ken.send("first", "two");
    for peer in [&mut ken, &mut charlie] {
        peer.wait_message("two");
    }
    assert_eq!(ken.stop().code, Some(0));

    charlie.wait_connection("first", "retrying");
    let waiting = charlie.done("send first written while ken was away")["id"].clone();
    charlie.wait_outgoing(&waiting, "queued");
    let (mut ken, after) = start();
    for same in ["id", "listen", "channel"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["head"]["epoch"], before["head"]["epoch"]);
    // What charlie has waiting may be there already.
    assert!(after["head"]["seq"].as_u64().unwrap() >= 2, "{after}");
    assert_eq!(charlie.wait_outgoing(&waiting, "stored")["seq"], 3);
    for peer in [&mut ken, &mut charlie] {
        peer.wait_message("written while ken was away");
    }
    let expected = [(1, "one"), (2, "two"), (3, "written while ken was away")];
    let history = ken.done("history first")["messages"].as_array().unwrap().clone();
    assert_eq!(texts(&history), expected);
    assert_eq!(charlie.done("history first")["messages"], Value::from(history));
    assert_eq!(texts(&charlie.messages()), expected);
    // The host had shown the first two before its end.
    assert_eq!(texts(&ken.messages()), expected[2..]);
}

#[test]
fn what_was_stored_outlives_a_killed_host() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    for round in 1..=3 {
        let text = format!("stored before kill {round}");
        assert_eq!(charlie.send("first", &text)["seq"], round);
        ken.kill();
        ken = Peer::host(&tracker, "ken", folder.path(), "first");
        let history = ken.done("history first")["messages"].clone();
        assert_eq!(history[usize::try_from(round).unwrap() - 1]["text"], *text, "{history}");
        charlie.wait_connection("first", "retrying");
        charlie.wait_connection("first", "up");
    }
    let expected = (1..=3).map(|round| (round, format!("stored before kill {round}"))).collect::<Vec<_>>();
    let mut dora = Peer::join(&tracker, "dora", folder.path(), "first");
    dora.send("first", "last");
    for peer in [&mut charlie, &mut dora, &mut ken] {
        peer.wait_message("last");
    }
    for peer in [&charlie, &dora] {
        let messages = peer.messages();
        let seen = texts(&messages).into_iter().map(|(seq, text)| (seq, text.to_owned())).collect::<Vec<_>>();
        assert_eq!(seen[..3], expected[..]);
        assert_eq!(seen[3..], [(4, "last".to_owned())]);
    }
}

#[test]
fn the_end_is_in_order_however_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let start = || Peer::host(&tracker, "ken", folder.path(), "first");
    for signal in [Signal::TERM, Signal::INT] {
        let peer = start();
        peer.program.signal(signal);
        let ended = peer.program.ended();
        assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""), "{signal:?} {ended:?}");
    }
    let mut peer = start();
    peer.program.close_input();
    assert_eq!(peer.program.ended().code, Some(0));
    let mut peer = start();
    // What is written without waiting for anything is still done, the last line without an end as well.
    peer.program.write(b"send first in a hurry\n\n#x whoami\nexit");
    peer.program.close_input();
    assert_eq!(peer.wait("whoami", |event| event["tag"] == "x")["ok"], true);
    assert_eq!(peer.wait("exit", |event| event["command"] == "exit")["ok"], true);
    assert_eq!(peer.program.ended().code, Some(0));
    let mut peer = start();
    assert_eq!(texts(peer.done("history first")["messages"].as_array().unwrap()), [(1, "in a hurry")]);
}

#[test]
fn commands_may_come_before_the_tracker_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let _ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::start(at(&tracker, "charlie", folder.path()));
    charlie.program.write(b"list\njoin first\nsend first from a file\nquit\n");
    for word in ["list", "join", "send", "quit"] {
        let result = charlie.wait(word, |event| event["command"] == word);
        assert_eq!(result["ok"], true, "{result}");
    }
    assert_eq!(charlie.program.ended().code, Some(0));
}

#[test]
fn wrong_usage_is_2_and_says_how_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let peer = || command(&peer_program(), folder.path());
    for (args, expected) in [
        (["--tracker", "nowhere:"], "HOST:PORT"),
        (["--tracker", "127.0.0.1:1#abc"], "#"),
        (["--tracker-key", "abc"], "--tracker-key"),
        (["--username", "a b"], "--username"),
        (["--username", "\u{202e}ken"], "--username"),
        (["--host-channel", ""], "--host-channel"),
        (["--peer-host-port", "99999"], "--peer-host-port"),
        (["--peer-host-ip", "here"], "--peer-host-ip"),
        (["--advertise", "pigeon"], "tcp:HOST:PORT"),
        (["--drain-ms", "soon"], "--drain-ms"),
        (["--password", "hunter22"], "--help"),
        (["stray", "words"], "--help"),
    ] {
        let ended = run(peer(), args);
        assert_eq!((ended.code, ended.rest.len()), (Some(2), 0), "{args:?} {ended:?}");
        assert!(ended.log.contains(expected), "{args:?} {ended:?}");
    }
    let both = ["--tracker", "127.0.0.1:1", "--tracker-ip", "127.0.0.1"];
    assert_eq!(run(peer(), both).code, Some(2));
    let help = run(peer(), ["--help"]);
    assert_eq!(help.code, Some(0), "{help:?}");
    let text = help.rest.join("\n");
    for expected in [
        "Examples:",
        "--host-channel",
        "--channel-name",
        "NATTER_TRACKER",
        "HOST:PORT[#KEY]",
        "--trust-first",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(run(peer(), ["--version"]).rest, [format!("peer {}", env!("CARGO_PKG_VERSION"))]);
}

#[test]
fn without_flags_the_tracker_is_on_this_machine_and_state_below_the_home() {
    let home = tempfile::tempdir().unwrap();
    // Nobody is to be talked to by accident, so this one is sent to a port of its own.
    let peer = |name: Option<&str>| {
        let mut command = command(&peer_program(), home.path());
        command.args(["--json", "--tracker-port", "1"]);
        command.args(name.into_iter().flat_map(|name| ["--username", name]));
        Peer::start(command)
    };
    let mut ken = peer(Some("Ken"));
    let client = ken.done("client");
    assert_eq!(client["tracker"]["address"], "127.0.0.1:1", "{client}");
    let data = std::path::PathBuf::from(client["data"].as_str().unwrap());
    assert!(data.starts_with(home.path()) && data.ends_with("natter/peer/ken"), "{data:?}");
    // What is kept is its user's alone.
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o77, 0);
    assert_eq!(data.join("identity").metadata().unwrap().permissions().mode() & 0o77, 0);
    assert_eq!(ken.stop().code, Some(0));
    // The last name counts until another is given.
    let mut again = peer(None);
    let same = again.done("whoami");
    assert_eq!((&same["username"], &same["key"]), (&"Ken".into(), &client["identity"]["key"]));
}
