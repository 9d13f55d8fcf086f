//! `peer doctor` and `tracker doctor` as programs: what they print, and how they exit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::path::Path;
use std::process::Command;

use process_support::peer::Peer;
use process_support::tracker::Tracker;
use process_support::{command, peer_program, tracker_program};
use serde_json::Value;

fn doctor(program: &Path, home: &Path, data: &Path, words: &[&str]) -> (bool, String) {
    let mut doctor: Command = command(program, home);
    let output = doctor.arg("doctor").args(words).arg("--data").arg(data).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_doctor_says_how_a_folder_is_and_leaves_a_running_program_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let tracker = Tracker::start(&home.join("tracker"));
    let mut ken = Peer::host(&tracker, "ken", home, "first");
    ken.send("first", "hello");
    let (peer_data, tracker_data) = (home.join("ken"), home.join("tracker"));
    for (program, data) in [(peer_program(), &peer_data), (tracker_program(), &tracker_data)] {
        let (is_good, text) = doctor(&program, home, data, &[]);
        assert!(!is_good && text.contains("another program uses"), "{text}");
    }
    ken.kill();
    tracker.stop();
    for (program, data) in [(peer_program(), &peer_data), (tracker_program(), &tracker_data)] {
        let (is_good, text) = doctor(&program, home, data, &["--json"]);
        let report: Value = serde_json::from_str(&text).unwrap();
        assert!(is_good && report["sound"] == true, "{text}");
        std::fs::remove_file(data.join("store/db")).unwrap();
        let (is_good, text) = doctor(&program, home, data, &["--repair"]);
        assert!(!is_good && text.contains("BROKEN") && text.contains("backup"), "{text}");
    }
}
