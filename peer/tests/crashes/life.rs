//! One life of a real program: from its start to its end, however that comes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;

use rustix::process::{Pid, Signal, kill_process};

use super::history::End;

/// What was heard of whom.
pub struct Heard {
    pub who: usize,
    pub what: What,
}

pub enum What {
    Line(String),
    /// There is nothing more to hear of this life.
    Silence,
}

pub struct Life {
    child: Child,
    input: Option<ChildStdin>,
    /// How many lines it has said.
    pub lines: u64,
}

impl Life {
    /// Starts a program; everything that it says goes to `tell`, and with its log into `record`.
    pub fn start(who: usize, mut command: Command, record: &Path, tell: Sender<Heard>) -> Self {
        let mut log = File::options().create(true).append(true).open(record).unwrap();
        writeln!(log, "---- {command:?}").unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.try_clone().unwrap());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        std::thread::spawn(move || listen(who, output, log, &tell));
        Self { child, input, lines: 0 }
    }

    /// Gives it a line. One that is gone takes nothing, and is heard of otherwise.
    pub fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = input.write_all(format!("{line}\n").as_bytes());
        }
    }

    pub fn kill(&mut self) {
        // Fails for one that is gone.
        let _ = self.child.kill();
    }

    pub fn stop(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// How it ended; to be asked once nothing is heard of it any more.
    pub fn end(&mut self) -> Result<End, String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(End::Orderly),
            (_, Some(9)) => Ok(End::Killed),
            _ => Err(status.to_string()),
        }
    }
}

fn listen(who: usize, output: ChildStdout, mut log: File, tell: &Sender<Heard>) {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    // What was cut off by the end is no line.
    while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
        let _ = log.write_all(line.as_bytes());
        let what = What::Line(line.trim_end().to_owned());
        if tell.send(Heard { who, what }).is_err() {
            return;
        }
        line.clear();
    }
    let _ = tell.send(Heard { who, what: What::Silence });
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}
