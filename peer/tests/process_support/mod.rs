//! The real programs, each in a process of its own that ends with its test.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

pub mod peer;
pub mod terminal;
pub mod tracker;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No wait of a test is longer.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Good enough for a test's account.
pub const PASSWORD: &str = "correct horse battery";

/// The program `peer` of this build.
pub fn peer_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_peer"))
}

/// The program `tracker`, which the same build puts beside it.
pub fn tracker_program() -> PathBuf {
    let program = peer_program().with_file_name(format!("tracker{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is not built: run the tests of the whole workspace, or `cargo build --workspace` first",
        program.display()
    );
    program
}

/// A command without the surroundings of whoever runs the tests. State that no flag places lies below `home`.
pub fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home);
    for kept in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// How a program ended, and all that it said that was not read before.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub rest: Vec<String>,
    pub log: String,
}

/// A running program: its lines as they come, its log for when a test fails.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
    logging: Option<JoinHandle<()>>,
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let logging = std::thread::spawn(move || keep_log(stderr, &kept));
        let input = child.stdin.take();
        Self { child, input, lines, log, logging: Some(logging) }
    }

    /// The next line; `None` at the end of the output.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more is said; its log: {}", self.log()),
        }
    }

    pub fn write(&mut self, text: &[u8]) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(text).and_then(|()| input.flush()).unwrap();
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for its end. Its input stays open: it has to end by itself.
    pub fn ended(mut self) -> Ended {
        let status = wait(&mut self.child);
        let rest = self.lines.iter().collect();
        if let Some(logging) = self.logging.take() {
            logging.join().unwrap();
        }
        Ended { code: status.code(), rest, log: self.log() }
    }
}

fn keep_log(mut stderr: impl Read, kept: &Mutex<String>) {
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut part) {
        kept.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..read]));
    }
}

/// Waits for the end of a process, and fails when it does not come.
pub fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(started.elapsed() < LIMIT, "it does not end");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program that is to end by itself, with nothing on its input.
pub fn run<A: AsRef<OsStr>>(mut command: Command, args: impl IntoIterator<Item = A>) -> Ended {
    command.args(args);
    let mut program = Program::start(command);
    program.close_input();
    program.ended()
}
