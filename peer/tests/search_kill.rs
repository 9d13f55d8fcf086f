//! A real peer that is killed again and again while it indexes what comes in: in the end all of it is found, once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use process_support::peer::{Peer, at};
use process_support::tracker::Tracker;

/// How many lives the reader has.
const LIVES: u64 = 8;
/// How much is written in each.
const WRITTEN: u64 = 100;

#[test]
fn a_member_that_is_killed_while_it_indexes_misses_nothing_and_finds_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
    let mut written = 0;
    for life in 0..LIVES {
        for _ in 0..WRITTEN {
            written += 1;
            ken.send("first", &format!("needle {written}"));
            // A search has what came in indexed at once, so a kill is often in the middle of that.
            if written % 10 == life {
                charlie.program.write(b"search needle\n");
            }
        }
        let wanted = written - WRITTEN * (life % 4) / 4;
        charlie
            .wait("a message", |event| event["event"] == "message" && event["seq"].as_u64() >= Some(wanted));
        charlie.kill();
        charlie = Peer::start(at(&tracker, "charlie", folder.path()));
    }
    let is_whole = |body: &serde_json::Value| body["total"] == written && body["missing"] == 0;
    charlie.ask_until("search needle --limit 1", is_whole);
    let (mut seqs, mut older) = (Vec::new(), String::new());
    loop {
        let page = charlie.done(&format!("search needle --limit 100{older}"));
        let hits = page["hits"].as_array().unwrap();
        seqs.extend(hits.iter().map(|hit| hit["message"]["seq"].as_u64().unwrap()));
        match page["older"].as_str() {
            Some(cursor) => older = format!(" --older {cursor}"),
            None => break,
        }
    }
    assert_eq!(seqs, (1..=written).rev().collect::<Vec<_>>());
}
