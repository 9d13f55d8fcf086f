//! The program, small: every scenario that takes a moment only, with the real tracker and host.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::process::Command;

use serde_json::Value;

/// Runs a scenario; answers its line of JSON.
fn bench(arguments: &[&str]) -> Value {
    let data = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_bench");
    let mut command = Command::new(program);
    let output = command.args(arguments).arg("--data").arg(data.path()).output().unwrap();
    let (out, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?} failed\n{out}\n{log}");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "something was left behind");
    serde_json::from_str(out.lines().next().unwrap()).unwrap()
}

fn figure(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("{line} has no {name}"))
}

#[test]
fn a_burst_reaches_everybody_once_and_in_order() {
    let line = bench(&["fanout", "--members", "20", "--senders", "3", "--messages", "300"]);
    assert_eq!((figure(&line, "losses"), figure(&line, "faults")), (0.0, 0.0));
    assert!(figure(&line, "delivered__s") > 0.0);
    assert!(figure(&line, "latency_p99_ms") >= figure(&line, "latency_p50_ms"));
    assert!(figure(&line, "memory_per_member_KiB") > 0.0);
}

#[test]
fn the_bare_limit_takes_the_same_burst() {
    let line = bench(&["fanout", "--bare", "--members", "20", "--senders", "3", "--messages", "300"]);
    assert_eq!((figure(&line, "losses"), figure(&line, "faults")), (0.0, 0.0));
    assert!(figure(&line, "delivered__s") > 0.0);
}

#[test]
fn many_senders_and_many_channels_are_all_answered() {
    let line = bench(&["stored", "--senders", "6", "--channels", "3", "--seconds", "1"]);
    assert_eq!(figure(&line, "losses"), 0.0);
    assert!(figure(&line, "stored__s") > 0.0);
}

#[test]
fn who_joins_gets_the_newest_page_and_who_comes_back_comes_in() {
    let line = bench(&["history", "--entries", "120", "--joins", "2"]);
    assert!(figure(&line, "first_page_p50_ms") > 0.0);
    let line = bench(&["storm", "--members", "12"]);
    assert!(figure(&line, "back_after_max_ms") > 0.0);
}

#[test]
fn a_tracker_lists_all_channels() {
    let line = bench(&["tracker", "--peers", "30", "--channels", "70", "--requests", "5", "--churn", "10"]);
    assert_eq!(figure(&line, "faults"), 0.0);
    assert!(figure(&line, "LIST_whole_p50_ms") > 0.0);
    assert!(figure(&line, "left_and_came_back__s") > 0.0);
}

#[test]
fn who_watches_others_costs_a_tracker_little() {
    let options = ["--peers", "30", "--watched", "5", "--percent", "200", "--seconds", "7"];
    let line = bench(&[&["presence"], &options[..]].concat());
    assert_eq!(figure(&line, "faults"), 0.0);
    assert!(figure(&line, "left_and_came_back") > 0.0);
}

#[test]
fn a_file_and_many_small_ones_arrive() {
    let line = bench(&["files", "--mib", "3"]);
    assert!(figure(&line, "rate_MB_s") > 0.0 && figure(&line, "memory_of_the_receiver_MiB") > 0.0);
    assert!(figure(&bench(&["files", "--small", "250"]), "files__s") > 0.0);
    assert!(figure(&bench(&["files", "--mib", "3", "--bare"]), "rate_MB_s") > 0.0);
}

#[test]
fn lines_of_several_runs_become_tables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    let burst = ["fanout", "--members", "5", "--senders", "1", "--messages", "100", "--label", "small"];
    let lines: String = (0..2).map(|_| format!("{}\n", bench(&burst))).collect();
    std::fs::write(&file, lines).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("table").arg(&file).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(table.contains("| burst, 5 members, 100 bytes | small | losses | 0 | 0 to 0 |"), "{table}");
}

#[test]
fn what_cannot_be_started_is_an_error_and_not_a_figure() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["fanout", "--members", "2", "--data", "/proc/no-such-folder"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("bench: "), "{output:?}");
}
