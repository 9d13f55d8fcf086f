//! The operator's console: the terminal that the tracker was started on.
//!
//! It has a thread of its own, since a terminal blocks whoever writes to it while its user has stopped it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use common::text::one_line;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::process::getpgrp;
use rustix::stdio::stdin;
use rustix::termios::tcgetpgrp;
use tokio::runtime::Handle;

use super::command::Typed;
use crate::limits::MAX_ADMIN_LINE_BYTES;
use crate::tracker::TrackerHandle;

/// What the audit log calls whoever types here.
const BY: &str = "console";
/// How much is read at once; a terminal gives a line at a time.
const READ_BYTES: usize = 4096;
/// How often it is looked whether what is typed is for the tracker again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts the console when the standard input is a terminal. Has to be called within a tokio runtime.
pub fn start(tracker: TrackerHandle) {
    if !io::stdin().is_terminal() {
        return;
    }
    let runtime = Handle::current();
    let serve = move || {
        show("type help for the operator's commands\n")?;
        let mut typed = Vec::new();
        while let Some(line) = next_line(&mut typed)? {
            if !line.trim().is_empty() {
                show(&runtime.block_on(answer(&tracker, &line)))?;
            }
        }
        Ok(())
    };
    let serve = move || {
        // The terminal has gone, and with it whoever could be told.
        let ended: io::Result<()> = serve();
        tracing::debug!(err = ended.err().map(tracing::field::display), "the console has ended");
    };
    let started = std::thread::Builder::new().name("console".into()).spawn(serve);
    if let Err(error) = started {
        tracing::warn!(err = %error, "there is no operator's console; use: tracker admin");
    }
}

async fn answer(tracker: &TrackerHandle, line: &str) -> String {
    match super::run(tracker, BY, Typed::Line(line)).await {
        Ok(report) => report.text(),
        Err(refusal) => format!("{}\n", one_line(&refusal.reason)),
    }
}

fn show(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// The next line of the terminal; `None` at its end. `typed` keeps what is not a line yet.
fn next_line(typed: &mut Vec<u8>) -> io::Result<Option<String>> {
    let mut is_too_long = false;
    loop {
        if let Some(end) = typed.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = typed.drain(..=end).collect();
            if !std::mem::take(&mut is_too_long) {
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            show("the line is too long; it was left out\n")?;
        } else if typed.len() > MAX_ADMIN_LINE_BYTES {
            is_too_long = true;
            typed.clear();
        } else {
            let mut part = [0; READ_BYTES];
            match read_typed(&mut part)? {
                0 => return Ok(None),
                length => typed.extend_from_slice(part.get(..length).unwrap_or_default()),
            }
        }
    }
}

/// Reads what was typed for the tracker. A process in the background that read from its terminal would be stopped: what
/// is typed while it is there is for somebody else, and is not looked at.
fn read_typed(part: &mut [u8]) -> io::Result<usize> {
    let every = Timespec { tv_sec: LOOK_EVERY.as_secs().cast_signed(), tv_nsec: 0 };
    loop {
        let input = stdin();
        let mut waiting = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut waiting, Some(&every)) {
            Ok(0) | Err(Errno::INTR) => continue,
            found => drop(found?),
        }
        if tcgetpgrp(input).is_ok_and(|group| group != getpgrp()) {
            std::thread::park_timeout(LOOK_EVERY);
            continue;
        }
        match read(input, &mut *part) {
            Err(Errno::INTR) => {}
            found => return Ok(found?),
        }
    }
}
