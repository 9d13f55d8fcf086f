//! A peer on a terminal: what it writes, byte by byte, and what its user sees of it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use expectrl::session::OsSession;
use expectrl::{Expect, Session};
use rustix::process::{Pid, Signal, kill_process};

use super::tracker::Tracker;
use super::{LIMIT, command, peer_program};

const COLUMNS: u16 = 100;
const ROWS: u16 = 40;

/// What the shell around the peer does: the terminal's settings before and after show whether they were put back.
const SCRIPT: &str = "stty sane; echo before=$(stty -g).; \
    sh -c 'echo pid=$$.; exec \"$@\"' sh \"$@\"; code=$?; echo; echo code=$code.; echo after=$(stty -g).";

pub struct Terminal {
    session: OsSession,
    /// Everything that was written.
    pub bytes: Vec<u8>,
    screen: vt100::Parser,
    pid: Pid,
    before: String,
    has_ended: bool,
}

/// The surroundings of a peer on a terminal.
#[derive(Clone, Copy)]
pub struct Kind {
    pub term: &'static str,
    pub no_color: bool,
}

pub const XTERM: Kind = Kind { term: "xterm-256color", no_color: false };

impl Terminal {
    /// A new peer, as a guest at its prompt.
    pub fn start(tracker: &Tracker, name: &str, folder: &Path, kind: Kind) -> Self {
        let mut terminal = Self::again(tracker, name, folder, kind);
        terminal.see(&format!("entered as the guest {name}"));
        terminal.see(&format!("{name}> "));
        terminal
    }

    /// A peer whose state is in `folder/name`. The tracker's key is not given: it has to be compared.
    pub fn again(tracker: &Tracker, name: &str, folder: &Path, kind: Kind) -> Self {
        let mut shell = command(Path::new("/bin/sh"), folder);
        shell.args(["-c", SCRIPT, "sh"]).arg(peer_program());
        shell.args(["--username", name, "--tracker", &tracker.address.to_string(), "--data"]);
        shell.arg(folder.join(name)).args(["--peer-host-ip", "127.0.0.1"]);
        shell.env("TERM", kind.term);
        if kind.no_color {
            shell.env("NO_COLOR", "1");
        }
        Self::spawn(shell)
    }

    fn spawn(shell: Command) -> Self {
        let mut session = Session::spawn(shell).unwrap();
        session.get_process_mut().set_window_size(COLUMNS, ROWS).unwrap();
        let screen = vt100::Parser::new(ROWS, COLUMNS, 0);
        let (bytes, pid, before) = (Vec::new(), Pid::INIT, String::new());
        // Until its own id is known nothing is ended by it.
        let mut terminal = Self { session, bytes, screen, pid, before, has_ended: true };
        terminal.before = terminal.value("before=");
        terminal.pid = Pid::from_raw(terminal.value("pid=").parse().unwrap()).unwrap();
        terminal.has_ended = false;
        terminal
    }

    /// Takes what was written since.
    fn take(&mut self) {
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = self.session.try_read(&mut part) {
            self.bytes.extend_from_slice(&part[..read]);
            self.screen.process(&part[..read]);
        }
    }

    pub fn wait(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        loop {
            self.take();
            if is_so(self) {
                return;
            }
            if started.elapsed() > LIMIT {
                let tail = self.bytes.len().saturating_sub(600);
                let tail = String::from_utf8_lossy(&self.bytes[tail..]).into_owned();
                panic!("{what} does not come; the screen:\n{}\nthe last bytes: {tail:?}", self.shown());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// What is on the screen now.
    pub fn shown(&self) -> String {
        self.screen.screen().contents()
    }

    /// The screen itself, with its colours.
    pub fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// The last row with anything on it, and where the cursor is: row and column.
    pub fn last_row(&self) -> (String, (u16, u16)) {
        let shown = self.shown();
        (shown.lines().last().unwrap_or_default().to_owned(), self.screen.screen().cursor_position())
    }

    /// Waits until a text is on the screen.
    pub fn see(&mut self, text: &str) {
        self.wait(text, |terminal| terminal.shown().contains(text));
    }

    /// Waits for the prompt, with this typed after it, as the last row, and the cursor at its end.
    pub fn see_line(&mut self, line: &str) {
        self.wait(line, |terminal| {
            let (row, (_, column)) = terminal.last_row();
            row.trim_end() == line.trim_end() && usize::from(column) == line.chars().count()
        });
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
    }

    pub fn type_line(&mut self, line: &str) {
        self.type_keys(&format!("{line}\r"));
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// The value that the shell wrote after `name`, up to the dot.
    fn value(&mut self, name: &str) -> String {
        let written = |terminal: &Self| {
            let text = String::from_utf8_lossy(&terminal.bytes).into_owned();
            let (_, rest) = text.rsplit_once(name)?;
            Some(rest.split_once('.')?.0.to_owned())
        };
        self.wait(name, |terminal| written(terminal).is_some());
        written(self).unwrap()
    }

    /// Presses keys for as long as the peer takes them.
    pub fn type_until_the_end(&mut self, keys: &str) {
        let started = Instant::now();
        while !self.has_written(b"code=") && started.elapsed() < LIMIT {
            self.type_keys(keys);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// The peer has ended well, and the terminal is as it was.
    pub fn see_end(&mut self) {
        assert_eq!(self.value("code="), "0", "{}", self.shown());
        self.has_ended = true;
        assert_eq!(self.value("after="), self.before);
    }

    /// All bytes so far, to look for what must not be there.
    pub fn has_written(&mut self, bytes: &[u8]) -> bool {
        self.take();
        self.bytes.windows(bytes.len()).any(|window| window == bytes)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.has_ended {
            // It may have ended all the same.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}
