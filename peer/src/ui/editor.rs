//! The line editor on a thread of its own: it blocks, and may be left blocked when the process ends.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use common::secret::Secret;
use rustyline::completion::Completer;
use rustyline::config::Config;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::DefaultHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Editor, Event, EventContext, EventHandler, Helper, KeyEvent,
    Movement, RepeatCount, Validator,
};
use tokio::sync::mpsc;

use super::command::Ask;
use super::known::Known;
use super::render::Style;
use super::screen::{Screen, put};
use super::terminal::{Silence, Terminal};
use super::{complete, parse};
use crate::events::Shown;

/// How many lines the history keeps, and its file.
const HISTORY_LINES: usize = 1000;

/// What the editor is to do next. It does one thing at a time and is silent until told the next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Edit a line, after this prompt.
    Line(String),
    /// Edit the answer to this question; it is not kept.
    Answer(String),
    /// Ask for these passwords.
    Secrets(&'static [Ask]),
}

/// What was typed.
#[derive(Debug)]
pub(super) enum Input {
    /// A line, or an answer.
    Line(String),
    /// All the passwords.
    Secrets(Vec<Secret>),
    /// No passwords, for this reason.
    NoSecrets(&'static str),
    /// Ctrl-C where there was nothing to clear.
    Interrupt,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// What the editor needs to know and to reach.
pub(super) struct Desk {
    pub(super) history: PathBuf,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) screen: Screen,
    pub(super) shown: Shown,
    pub(super) terminal: Terminal,
    pub(super) style: Style,
    pub(super) is_plain: bool,
}

/// Starts the editor and the printer, each on its thread.
pub(super) fn start(desk: Desk) -> io::Result<(mpsc::Sender<Turn>, mpsc::Receiver<Input>)> {
    let (turns, to_do) = mpsc::channel(1);
    let (typed, inputs) = mpsc::channel(1);
    let mut editor = open(&desk).map_err(io::Error::other)?;
    // There is none where the editor does without the terminal's powers.
    let printer = if desk.is_plain { None } else { editor.create_external_printer().ok() };
    let (screen, shown) = (desk.screen.clone(), desk.shown.clone());
    std::thread::Builder::new().name("printer".into()).spawn(move || screen.run(printer, &shown))?;
    let work = move || Typist { editor, desk, has_asked: false }.run(to_do, &typed);
    std::thread::Builder::new().name("line editor".into()).spawn(work)?;
    Ok((turns, inputs))
}

type LineEditor = Editor<Assistant, DefaultHistory>;

fn open(desk: &Desk) -> rustyline::Result<LineEditor> {
    let config = Config::builder().max_history_size(HISTORY_LINES)?.history_ignore_dups(true)?;
    let config = config.completion_type(rustyline::CompletionType::List).build();
    let mut editor = LineEditor::with_config(config)?;
    editor.set_helper(Some(Assistant { known: Arc::clone(&desk.known), style: desk.style }));
    editor.bind_sequence(KeyEvent::ctrl('c'), EventHandler::Conditional(Box::new(ClearFirst)));
    match editor.load_history(&desk.history) {
        Ok(()) => {}
        Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(err = %error, "the history of typed lines cannot be read"),
    }
    Ok(editor)
}

/// Does what the editor is told.
struct Typist {
    editor: LineEditor,
    desk: Desk,
    /// The last thing asked for was a password. When it was pasted together with the line before it, the editor has
    /// it already, and it comes as the next line.
    has_asked: bool,
}

impl Typist {
    fn run(mut self, mut turns: mpsc::Receiver<Turn>, typed: &mpsc::Sender<Input>) {
        while let Some(turn) = turns.blocking_recv() {
            let input = match turn {
                Turn::Line(prompt) => self.edit(&prompt, true),
                Turn::Answer(question) => self.edit(&question, false),
                Turn::Secrets(asks) => self.ask_all(asks),
            };
            if typed.blocking_send(input).is_err() {
                return;
            }
        }
    }

    fn edit(&mut self, prompt: &str, keep: bool) -> Input {
        self.desk.terminal.set_editing(!self.desk.is_plain);
        // Asked after it is said that the editor has the terminal: whoever puts it back now undoes that too.
        if self.desk.terminal.is_over() {
            return Input::End;
        }
        let read = self.editor.readline(prompt);
        self.desk.terminal.set_editing(false);
        match read {
            Ok(line) => {
                let is_command = matches!(parse::parse(&line), Ok(Some(_)));
                if keep && !parse::may_hold_password(&line) && (is_command || !self.has_asked) {
                    self.keep(&line);
                }
                self.has_asked = false;
                Input::Line(line)
            }
            Err(ReadlineError::Interrupted) => Input::Interrupt,
            Err(ReadlineError::Eof) => Input::End,
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                self.desk.screen.print("! the line is not UTF-8 and was left out");
                Input::Line(String::new())
            }
            Err(error) => {
                tracing::debug!(err = %error, "the terminal is gone");
                Input::End
            }
        }
    }

    /// Keeps a line at once: the process may be ended while the next one is edited.
    fn keep(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line);
        let kept = added.and_then(|_| self.editor.append_history(&self.desk.history));
        if let Err(error) = kept {
            tracing::warn!(err = %error, "the history of typed lines cannot be written");
        }
    }

    fn ask_all(&mut self, asks: &[Ask]) -> Input {
        const NONE_GIVEN: &str = "no password was given; nothing was done";
        self.has_asked = true;
        if self.desk.terminal.is_over() {
            return Input::NoSecrets(NONE_GIVEN);
        }
        // Between two questions as well: both answers may be pasted at once.
        let Ok(silence) = Silence::begin() else { return Input::NoSecrets(NONE_GIVEN) };
        let mut secrets = Vec::with_capacity(asks.len());
        for ask in asks {
            let Ok(secret) = self.ask(ask.prompt, &silence) else { return Input::NoSecrets(NONE_GIVEN) };
            if ask.twice {
                match self.ask("once more: ", &silence) {
                    Ok(again) if again.expose() == secret.expose() => {}
                    Ok(_) => return Input::NoSecrets("the two differ; nothing was done"),
                    Err(_) => return Input::NoSecrets(NONE_GIVEN),
                }
            }
            secrets.push(secret);
        }
        Input::Secrets(secrets)
    }

    fn ask(&self, prompt: &str, silence: &Silence) -> io::Result<Secret> {
        self.desk.screen.set_question(Some(prompt));
        let read = put(prompt).and_then(|()| silence.read_secret());
        self.desk.screen.set_question(None);
        put("\n")?;
        read.map(Secret::new)
    }
}

/// Ctrl-C clears the line; only on an empty one it is an interrupt.
struct ClearFirst;

impl ConditionalEventHandler for ClearFirst {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let is_empty = context.line().is_empty();
        Some(if is_empty { Cmd::Interrupt } else { Cmd::Kill(Movement::WholeBuffer) })
    }
}

/// Completes and hints.
#[derive(Helper, Validator)]
struct Assistant {
    known: Arc<Mutex<Known>>,
    style: Style,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(complete::complete(line.get(..pos).unwrap_or(line), &known))
    }
}

/// How the command goes on: shown, but not to be taken over into the line.
struct Usage(String);

impl Hint for Usage {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = Usage;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Usage> {
        // Without colours a hint looks like something typed.
        if pos < line.len() || !self.style.colour {
            return None;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        complete::hint(line, &known).map(Usage)
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        self.style.dim(hint).into()
    }
}
