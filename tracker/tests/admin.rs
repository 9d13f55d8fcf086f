//! `tracker admin` against a running tracker, and its console on a terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use expectrl::{Eof, Expect};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

/// No wait of a test is longer.
const LIMIT: Duration = Duration::from_secs(30);
/// A user who is neither root nor whoever runs the tests.
const SOMEBODY_ELSE: u32 = 65_534;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracker"));
    command.env_remove("NATTER_TRACKER_DATA").env_remove("NATTER_TRACKER_LISTEN");
    command
}

struct Tracker {
    child: Child,
    data: PathBuf,
}

impl Tracker {
    fn start(data: &Path) -> Self {
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("tracker ready"), "{line:?}");
        Self { child, data: data.to_owned() }
    }

    fn admin(&self, words: &[&str]) -> Output {
        program().args(["admin", "--data"]).arg(&self.data).args(words).output().unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.admin(&[&["--json"], words].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // Ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_running_tracker_is_asked_over_its_socket() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let tracker = Tracker::start(&data);
    let stats = tracker.admin(&["stats"]);
    assert!(stats.status.success() && text(&stats.stdout).contains("accounts         0"), "{stats:?}");
    let said = tracker.json(&["broadcast", "hello", "there"]);
    assert_eq!(
        (&said["ok"], said["body"]["done"].as_str().unwrap()),
        (&true.into(), "said to 0 who are here")
    );
    let audit = tracker.json(&["audit", "1"]);
    let action = &audit["body"]["actions"][0];
    assert_eq!((&action["action"], &action["why"]), (&"broadcast".into(), &"hello there".into()));
    assert_eq!(action["by"], format!("admin, uid {}", geteuid().as_raw()));

    let wrong = tracker.admin(&["fly"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(text(&wrong.stderr).contains("there is no command \"fly\""), "{wrong:?}");
    let refused = tracker.admin(&["suspend", "nobody"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(tracker.json(&["suspend", "nobody"])["body"]["reason"], "there is no account nobody");
    let help = tracker.admin(&[]);
    assert!(help.status.success() && text(&help.stdout).contains("reset-password NAME"), "{help:?}");

    let socket = data.join("admin.sock");
    tracker.stop();
    assert!(!socket.exists(), "it goes with the tracker");
    let away = program().args(["admin", "--data"]).arg(&data).arg("stats").output().unwrap();
    assert_eq!(away.status.code(), Some(1));
    assert!(text(&away.stderr).contains("no tracker answers in"), "{away:?}");
    // What was done is kept, and a socket that was left behind hinders nobody.
    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let tracker = Tracker::start(&data);
    assert_eq!(tracker.json(&["audit"])["body"]["actions"].as_array().unwrap().len(), 1);
    tracker.stop();
}

#[test]
fn nobody_but_the_trackers_user_gets_to_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let tracker = Tracker::start(&data);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = data.join("admin.sock");
    assert_eq!((mode(&socket), mode(&data)), (0o600, 0o700));
    // Only root can be somebody else.
    if geteuid().is_root() {
        let open = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join("tracker");
        std::fs::copy(env!("CARGO_BIN_EXE_tracker"), &copy).unwrap();
        open(elsewhere.path(), 0o755);
        let asks = || {
            let mut command = Command::new(&copy);
            command.args(["admin", "--json", "--data"]).arg(&data).arg("stats");
            command.uid(SOMEBODY_ELSE).gid(SOMEBODY_ELSE).output().unwrap()
        };
        assert!(text(&asks().stderr).contains("Permission denied"), "{:?}", asks());
        open(folder.path(), 0o755);
        open(&data, 0o755);
        assert!(text(&asks().stderr).contains("Permission denied"), "{:?}", asks());
        // Even an open door lets nobody in.
        open(&socket, 0o666);
        let answer: Value = serde_json::from_slice(&asks().stdout).unwrap();
        assert_eq!((&answer["ok"], &answer["body"]["code"]), (&false.into(), &"not_allowed".into()));
    }
    tracker.stop();
}

#[test]
fn commands_can_be_typed_where_the_tracker_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    let mut terminal = expectrl::Session::spawn(command).unwrap();
    terminal.set_expect_timeout(Some(LIMIT));
    terminal.expect("tracker ready").unwrap();
    terminal.expect("type help for the operator's commands").unwrap();
    terminal.send_line("stats").unwrap();
    terminal.expect("0 suspended").unwrap();
    terminal.send_line("suspend nobody").unwrap();
    terminal.expect("there is no account nobody").unwrap();
    terminal.send_line("broadcast to all").unwrap();
    terminal.expect("said to 0 who are here").unwrap();
    terminal.send_line("audit").unwrap();
    terminal.expect("console  broadcast").unwrap();
    // Ctrl-C stops the tracker.
    terminal.send("\u{3}").unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn what_is_typed_while_it_is_in_the_background_is_not_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "set -m; \"$@\" & read line; echo \"the shell has $line\"; fg", "sh"]);
    shell.arg(env!("CARGO_BIN_EXE_tracker")).args(["--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    let mut terminal = expectrl::Session::spawn(shell).unwrap();
    terminal.set_expect_timeout(Some(LIMIT));
    terminal.expect("type help for the operator's commands").unwrap();
    // It does not read, so it is not stopped either.
    let stats = program().args(["admin", "--data"]).arg(folder.path()).arg("stats").output().unwrap();
    assert!(stats.status.success(), "{stats:?}");
    terminal.send_line("hello").unwrap();
    terminal.expect("the shell has hello").unwrap();
    terminal.send_line("stats").unwrap();
    terminal.expect("0 suspended").unwrap();
    terminal.send("\u{3}").unwrap();
    terminal.expect(Eof).unwrap();
}

#[test]
fn whoever_says_nothing_or_too_much_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::start(&folder.path().join("data"));
    let silent = std::os::unix::net::UnixStream::connect(tracker.data.join("admin.sock")).unwrap();
    let mut chatty = std::os::unix::net::UnixStream::connect(tracker.data.join("admin.sock")).unwrap();
    let _ = std::io::Write::write_all(&mut chatty, &vec![b'x'; 256 * 1024]);
    let mut answer = String::new();
    // What was not read of it may end the connection first.
    let _ = chatty.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.contains("\"ok\":false"), "{answer}");
    assert_eq!(tracker.json(&["stats"])["ok"], true);
    drop(silent);
    tracker.stop();
}
