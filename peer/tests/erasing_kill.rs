//! Host and member are killed around an erasure: what was answered as erased is gone, and stays so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::peer::{Peer, at};
use process_support::tracker::Tracker;
use serde_json::Value;

/// How many lives host and member have.
const LIVES: u64 = 6;

/// The texts that a peer has, by number.
fn texts(peer: &mut Peer) -> Vec<Option<String>> {
    let history = peer.done("history first 200");
    let text = |message: &Value| message["text"].as_str().map(str::to_owned);
    history["messages"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn what_was_answered_as_erased_is_gone_whoever_is_killed_when() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    let (mut head, mut erased) = (0, Vec::new());
    for life in 0..LIVES {
        for _ in 0..4 {
            ken.send("first", &format!("secret {head}"));
            head += 1;
        }
        let seq = head - life % 3;
        charlie.wait("the messages", |event| event["event"] == "message" && event["seq"] == head);
        if life % 2 == 0 {
            // It is away when it happens, and has the text.
            charlie.kill();
            ken.done(&format!("erase first {seq}"));
            ken.kill();
            ken = Peer::start(at(&tracker, "ken", folder.path()));
            charlie = Peer::start(at(&tracker, "charlie", folder.path()));
        } else {
            // It may have seen it, or not.
            ken.done(&format!("erase first {seq}"));
            charlie.kill();
            charlie = Peer::start(at(&tracker, "charlie", folder.path()));
        }
        head += 1;
        erased.push(seq);
        charlie.ask_until("history first 200", |history| {
            history["messages"].as_array().is_some_and(|all| all.len() as u64 == head)
        });
        for peer in [&mut ken, &mut charlie] {
            let texts = texts(peer);
            for seq in &erased {
                assert_eq!(texts[*seq as usize - 1], None, "life {life}: {seq} is back");
            }
            let there = texts.iter().flatten().count() as u64;
            assert_eq!(there, head - 2 * erased.len() as u64, "life {life}: nothing else is gone");
        }
        assert_eq!(charlie.done("verify first")["sound"], true);
    }
}
