//! What is to be shown, on its way to a terminal on which somebody is typing.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustyline::ExternalPrinter;
use tokio::sync::Notify;

use crate::events::Shown;

/// More than this waiting to be shown holds back the events, and with them the network.
const MAX_WAITING_BYTES: usize = 64 * 1024;
/// How long a new prompt waits for what is to stand above it.
const SETTLE_LIMIT: Duration = Duration::from_millis(100);

/// The lines that wait to be shown. Clones are the same screen.
///
/// The printer may be blocked until the next line is edited, so nothing that leads to that may wait for it:
/// [`Self::print`] never does. It is for the answers to typed commands, which are as many as lines; whoever prints
/// events waits for [`Self::room`] first.
#[derive(Clone, Debug, Default)]
pub struct Screen(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: String,
    /// How many events that is.
    events: u64,
    /// The printer is at work on what it took last.
    is_printing: bool,
    /// A question that stands where the next line goes, without the line editor.
    question: Option<String>,
    is_closed: bool,
}

/// What is shown at once.
struct Taken {
    lines: String,
    events: u64,
    question: Option<String>,
}

impl Screen {
    /// Adds lines to what is to be shown.
    pub fn print(&self, lines: &str) {
        let mut state = self.state();
        state.waiting.push_str(lines);
        state.waiting.push('\n');
        drop(state);
        self.0.filled.notify_all();
    }

    /// Adds what shows an event, if anything does: the event counts as shown once it is, or would be.
    pub fn show(&self, lines: Option<&str>) {
        let mut state = self.state();
        if let Some(lines) = lines {
            state.waiting.push_str(lines);
            state.waiting.push('\n');
        }
        state.events += 1;
        drop(state);
        self.0.filled.notify_all();
    }

    /// Waits until there is room for more.
    pub async fn room(&self) {
        self.wait(|state| state.waiting.len() < MAX_WAITING_BYTES).await;
    }

    /// Waits a moment for all to be shown.
    pub async fn settle(&self) {
        let is_settled = self.wait(|state| state.waiting.is_empty() && !state.is_printing);
        // A printer that waits for the next line to be edited is not waited for.
        let _ = tokio::time::timeout(SETTLE_LIMIT, is_settled).await;
    }

    /// Says that a question is asked without the line editor, or is no more.
    pub fn set_question(&self, question: Option<&str>) {
        self.state().question = question.map(Into::into);
    }

    /// Ends the printing, and gives back what has not been shown, and how many events that is.
    pub fn close(&self) -> (String, u64) {
        let mut state = self.state();
        state.is_closed = true;
        let rest = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.events));
        drop(state);
        self.0.filled.notify_all();
        rest
    }

    /// Shows what comes, above the line that is being edited; without an editor's printer, just so. Blocks until
    /// the screen is closed.
    pub fn run(&self, mut printer: Option<impl ExternalPrinter>, count: &Shown) {
        while let Some(Taken { lines, events, question }) = self.take() {
            let shown = match (question, &mut printer) {
                _ if lines.is_empty() => Ok(()),
                (Some(question), Some(_)) => put(&format!("\r\x1b[K{lines}{question}")),
                (Some(question), None) => put(&format!("\n{lines}{question}")),
                (None, Some(printer)) => printer.print(lines).map_err(io::Error::other),
                (None, None) => put(&lines),
            };
            match shown {
                Ok(()) => count.add(events),
                Err(error) => tracing::debug!(err = %error, "the terminal is gone"),
            }
            self.state().is_printing = false;
            self.0.emptied.notify_waiters();
        }
    }

    fn take(&self) -> Option<Taken> {
        let is_idle = |state: &mut State| state.waiting.is_empty() && state.events == 0 && !state.is_closed;
        let waited = self.0.filled.wait_while(self.state(), is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return None;
        }
        state.is_printing = true;
        let (lines, events) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.events));
        Some(Taken { lines, events, question: state.question.clone() })
    }

    async fn wait(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            // Asked for before looking, lest the news come in between.
            let mut emptied = std::pin::pin!(self.0.emptied.notified());
            emptied.as_mut().enable();
            if is_so(&self.state()) {
                return;
            }
            emptied.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to the terminal past the line editor.
pub fn put(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
