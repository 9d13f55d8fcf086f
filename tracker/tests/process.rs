//! The program itself: what it prints, how it ends, what it says when it does not start.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(10);

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    command.env_clear().env("NATTER_TRACKER_DATA", data).env("NATTER_TRACKER_LISTEN", "127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends with its test, however that ends.
struct Running {
    child: Child,
    address: SocketAddr,
    key: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(data: &Path) -> Running {
    let mut child = command(data).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let rest = line.strip_prefix("tracker ready listen=").and_then(|rest| rest.strip_suffix('\n'));
    let (address, key) = rest.and_then(|rest| rest.split_once(" key=")).unwrap_or_else(|| panic!("{line:?}"));
    Running { child, address: address.parse().unwrap(), key: key.to_owned() }
}

fn wait(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(started.elapsed() < LIMIT, "it does not end");
        std::thread::yield_now();
    }
}

impl Running {
    fn end_by(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let code = wait(&mut self.child);
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (code, log)
    }
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(stdout.is_empty(), "{stdout:?}");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_says_where_it_is_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path());
    let key = tracker.key.clone();
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(tracker.address.port(), 0);
    let form = format!("--tracker {}#{key}", tracker.address);
    let (code, log) = tracker.end_by(Signal::TERM);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&form) && log.contains("stopped"), "{log}");
    // The key lasts, and Ctrl-C is as good.
    let again = start(folder.path());
    assert_eq!(again.key, key);
    assert_eq!(again.end_by(Signal::INT).0, Some(0));
    // A tracker that was killed starts again.
    let (code, _) = start(folder.path()).end_by(Signal::KILL);
    assert_eq!(code, None);
    assert_eq!(start(folder.path()).end_by(Signal::TERM).0, Some(0));
}

#[test]
fn what_hinders_the_start_is_told_with_the_way_out() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tracker = start(folder.path());
    let (code, said) = run(&mut command(folder.path()));
    assert!(code == Some(1) && said.contains("--data"), "{code:?} {said}");
    let listen = tracker.address.to_string();
    let (code, said) = run(command(other.path()).args(["--listen", &listen]));
    assert!(code == Some(1) && said.contains(&listen) && said.contains("another port"), "{code:?} {said}");
    let file = other.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, said) = run(&mut command(&file.join("below")));
    assert!(code == Some(1) && said.contains("--data"), "{code:?} {said}");
    assert_eq!(tracker.end_by(Signal::TERM).0, Some(0));

    let (code, said) = run(command(other.path()).env("NATTER_LOG", "tracker=loudly"));
    assert!(code == Some(1) && said.contains("NATTER_LOG"), "{code:?} {said}");
}

#[test]
fn wrong_usage_is_2_and_help_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [["--listen", "nowhere"], ["--broadcast", "nobody"], ["--data", ""]] {
        let (code, said) = run(command(folder.path()).args(wrong));
        assert_eq!(code, Some(2), "{wrong:?} {said}");
    }
    let help = command(folder.path()).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.status.code(), Some(0));
    for expected in ["Examples:", "--listen", "NATTER_TRACKER_DATA", "HOST:PORT#KEY"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}
