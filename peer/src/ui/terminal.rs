//! The terminal's own settings: kept, changed for a while, put back whatever happens.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// The terminal as it was found. Clones are the same terminal.
#[derive(Clone, Debug)]
pub struct Terminal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    found: Mutex<Option<Termios>>,
    /// Whether the line editor has it, with modes of its own switched on.
    is_editing: AtomicBool,
    /// Whether it was put back for good: the line editor is not to take it any more.
    is_over: AtomicBool,
}

impl Terminal {
    /// Remembers the settings of the terminal on the standard input, and has a panic anywhere put them back.
    pub fn remember() -> Self {
        let found = Mutex::new(tcgetattr(stdin()).ok());
        let terminal = Self(Arc::new(Inner {
            found,
            is_editing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }));
        let (at_panic, before) = (Arc::downgrade(&terminal.0), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(inner) = at_panic.upgrade() {
                inner.put_back();
            }
            before(panic);
        }));
        terminal
    }

    /// Sees to it that all keys wait for the line editor, between two lines as well.
    ///
    /// The terminal would show what is typed ahead where it does not belong, and then once more when the editor takes
    /// it up; Ctrl-C would end the process without a question, when it comes at the wrong moment.
    pub fn hush(&self) {
        let found = self.0.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut hushed) = found.clone() {
            hushed.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
            // Where it fails, typing ahead looks odd, no more.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &hushed);
        }
    }

    /// Says that the line editor has the terminal, or gives it back.
    pub fn set_editing(&self, is_editing: bool) {
        self.0.is_editing.store(is_editing, Ordering::SeqCst);
    }

    /// Whether the terminal was put back for good.
    pub fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::SeqCst)
    }
}

/// Puts the settings back for good when it goes, also when whoever holds it is not polled to its end. The editor's
/// thread, which may be blocked for ever, has a clone of the terminal, so the last of these would come too late.
///
/// That thread may be on its way into or out of a line just then, and change the settings once more: one of these is to
/// go when the interface is over, and another one when nothing else is left to be done.
#[derive(Debug)]
pub struct PutBack(pub Terminal);

impl Drop for PutBack {
    fn drop(&mut self) {
        self.0.0.is_over.store(true, Ordering::SeqCst);
        self.0.0.put_back();
    }
}

impl Inner {
    fn put_back(&self) {
        // A panic may come while the lock is held: then there is nobody who changes anything any more.
        let Ok(found) = self.found.try_lock() else { return };
        if let Some(found) = found.as_ref() {
            let _ = tcsetattr(stdin(), OptionalActions::Now, found);
        }
        if self.is_editing.swap(false, Ordering::SeqCst) {
            // The editor has switched on bracketed paste, and the cursor stands behind the prompt.
            let _ = io::stdout().write_all(b"\x1b[?2004l\n").and_then(|()| io::stdout().flush());
        }
    }
}

/// Whether the line editor works on this terminal.
pub fn is_plain() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    let is_poor = ["dumb", "cons25", "emacs"].iter().any(|poor| poor.eq_ignore_ascii_case(&term));
    is_poor || !io::stdout().is_terminal()
}

/// Whether to use colours: a terminal that has them, and a user who has not said no (`NO_COLOR`).
pub fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && !is_plain()
}

/// While it is there, nothing that is typed is shown, and keys come one by one.
#[derive(Debug)]
pub struct Silence {
    before: Termios,
}

impl Silence {
    /// To be begun before anything is asked for: an answer may come as soon as the question is seen.
    pub fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }

    /// Reads a line that is not shown, not even as asterisks. An error is what its user meant by Ctrl-C or Ctrl-D.
    pub fn read_secret(&self) -> io::Result<String> {
        let config = rpassword::ConfigBuilder::new().input_reader(Keys).output_discard().build();
        rpassword::read_password_with_config(config)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // It fails when the terminal is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// The keys of the terminal, byte by byte: what is typed ahead of the line's end is the line editor's.
struct Keys;

impl io::Read for Keys {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        const CTRL_C: u8 = 3;
        let free = buf.get_mut(..1).unwrap_or_default();
        let read = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut *free))?;
        if read == 1 && buf.first() == Some(&CTRL_C) {
            // Handed on, it would end the process; it is only this question that is turned down.
            return Err(io::Error::other("interrupted"));
        }
        Ok(read)
    }
}
