//! The processes that are measured: started, watched through the operating system, and ended by their own id.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::shutdown::termination;
use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;

/// How long a program has for its first words, and for its last.
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How many lines of a program may wait to be looked at; more are passed over.
const LINES: usize = 4096;
/// The kernel counts CPU time for `/proc` in these.
const TICKS_PER_SECOND: f64 = 100.0;

/// Those that run, so that a signal to this program ends them too.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends what was started, and this program, when it is told to stop.
pub fn end_with_signal() -> Fallible {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(termination()).is_ok() {
            running().iter().for_each(|id| ask_to_end(*id));
            std::process::exit(1);
        }
    });
    Ok(())
}

fn ask_to_end(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have gone by itself.
        let _ = kill_process(id, Signal::TERM);
    }
}

/// A started program.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// The folder with the programs that were built together with this one.
pub fn programs() -> Fallible<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or("this program has no folder")?.to_owned())
}

/// A tracker of one's own, and how peers reach it: its address with its key.
pub fn start_tracker(data: &Path) -> Fallible<(Program, String)> {
    let arguments = ["--listen", "127.0.0.1:0", "--data", &data.display().to_string()].map(str::to_owned);
    let tracker = Program::start(&programs()?.join("tracker"), &arguments)?;
    let place = tracker.expect(|line| {
        let rest = line.strip_prefix("tracker ready listen=")?;
        let (address, key) = rest.split_once(" key=")?;
        Some(format!("{address}#{}", key.trim()))
    })?;
    Ok((tracker, place))
}

impl Program {
    pub fn start(path: &Path, arguments: &[String]) -> Fallible<Self> {
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // What is measured is the programs as they are used, not their logging.
        command.env("NATTER_LOG", "warn");
        let mut child =
            command.spawn().map_err(|error| format!("cannot start {}: {error}", path.display()))?;
        running().push(child.id());
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (sender, lines) = sync_channel(LINES);
        std::thread::spawn(move || {
            for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()) {
                let Ok(line) = line else { return };
                // Nobody may look for long; the program must not wait for that.
                let _ = sender.try_send(line);
            }
        });
        Ok(Self { child, input, lines })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) -> Fallible {
        let input = self.input.as_mut().ok_or("the program takes no input")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Waits for a line that `find` finds something in.
    pub fn expect<T>(&self, mut find: impl FnMut(&str) -> Option<T>) -> Fallible<T> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).map_err(|_| "a program did not say what was expected")?;
            if let Some(found) = find(&line) {
                return Ok(found);
            }
        }
    }
}

impl Program {
    /// Waits so long for a line that `find` finds something in.
    pub fn look<T>(&self, limit: Duration, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(found) = find(&self.lines.recv_timeout(left).ok()?) {
                return Some(found);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The end of the input ends a peer in order; a tracker goes by the signal.
        drop(self.input.take());
        ask_to_end(self.id());
        running().retain(|id| *id != self.id());
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu: f64,
    /// The part of it in the kernel.
    pub system: f64,
    /// Resident memory, in bytes.
    pub rss: u64,
}

/// What process `id` has used so far.
pub fn usage(id: u32) -> Fallible<Usage> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in brackets, may hold anything.
    let rest = stat.rsplit_once(") ").ok_or("the kernel's line has no name")?.1;
    let field =
        |n: usize| rest.split(' ').nth(n - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let (user, system) = (field(14) / TICKS_PER_SECOND, field(15) / TICKS_PER_SECOND);
    Ok(Usage { cpu: user + system, system, rss: status(id, "VmRSS:")? * 1024 })
}

fn status(id: u32, name: &str) -> Fallible<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// A folder that goes when this is dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(base: &Path) -> Fallible<Self> {
        let path = base.join(format!("natter-bench-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
