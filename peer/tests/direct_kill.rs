//! Private conversations of real programs that are stopped, killed and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::peer::{Peer, acquainted};
use rustix::process::Signal;
use serde_json::Value;

fn write(peer: &mut Peer, user: &str, text: &str) -> Value {
    peer.done(&format!("msg {user} {text}"))["id"].clone()
}

fn reads(peer: &mut Peer, text: &str) {
    peer.wait(text, |event| event["event"] == "chat_message" && event["text"] == *text);
}

fn delivered(peer: &mut Peer, id: &Value) {
    peer.wait("delivered", |event| {
        event["event"] == "chat_outgoing" && event["id"] == *id && event["state"] == "delivered"
    });
}

/// Everything that two have said to each other, as one of them has it.
fn conversation(peer: &mut Peer, user: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut before = String::new();
    loop {
        let page = peer.done(&format!("history @{user} 100{before}"))["messages"].clone();
        let Some(first) = page.get(0) else { break };
        before = format!(" --before {}", first["clock"]);
        let lines =
            page.as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap().to_owned());
        texts.splice(0..0, lines);
    }
    texts
}

#[test]
fn whoever_closes_the_lid_and_comes_back_gets_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, mut ken, mut charlie) = acquainted(folder.path());
    let first = write(&mut ken, "charlie", "before");
    delivered(&mut ken, &first);
    reads(&mut charlie, "before");
    // The lid is closed: nothing answers any more, and nothing is lost.
    charlie.program.signal(Signal::STOP);
    for number in 1..=20 {
        write(&mut ken, "charlie", &format!("asleep {number}"));
    }
    charlie.kill();
    ken.wait_connection("@charlie", "retrying");
    let last = write(&mut ken, "charlie", "after the kill");
    let mut charlie = Peer::enter(&tracker, "charlie", folder.path());
    delivered(&mut ken, &last);
    let expected: Vec<String> = std::iter::once("before".to_owned())
        .chain((1..=20).map(|number| format!("asleep {number}")))
        .chain(["after the kill".to_owned()])
        .collect();
    assert_eq!(conversation(&mut charlie, "ken"), expected);
    assert_eq!(conversation(&mut ken, "charlie"), expected);
}

#[test]
fn kills_of_either_side_while_both_write_lose_and_repeat_nothing() {
    const ROUNDS: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    let (tracker, mut ken, mut charlie) = acquainted(folder.path());
    let (mut by_ken, mut by_charlie) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Without waiting for anything but its own disk: the kill comes while messages are on their way.
        for number in 0..15 {
            by_ken.push(format!("ken {round} {number}"));
            write(&mut ken, "charlie", by_ken.last().unwrap());
            by_charlie.push(format!("charlie {round} {number}"));
            write(&mut charlie, "ken", by_charlie.last().unwrap());
        }
        if round % 2 == 0 {
            charlie.kill();
            charlie = Peer::enter(&tracker, "charlie", folder.path());
        } else {
            ken.kill();
            ken = Peer::enter(&tracker, "ken", folder.path());
        }
    }
    let last = [write(&mut ken, "charlie", "ken ends"), write(&mut charlie, "ken", "charlie ends")];
    delivered(&mut ken, &last[0]);
    delivered(&mut charlie, &last[1]);
    by_ken.push("ken ends".to_owned());
    by_charlie.push("charlie ends".to_owned());
    let (one, other) = (conversation(&mut ken, "charlie"), conversation(&mut charlie, "ken"));
    assert_eq!(one, other, "one order");
    for (name, written) in [("ken", by_ken), ("charlie", by_charlie)] {
        let found: Vec<&String> = one.iter().filter(|text| text.starts_with(name)).collect();
        assert_eq!(found, written.iter().collect::<Vec<_>>(), "each once, in the order of writing");
    }
}
