//! The real line editor under a pseudo-terminal, with a node that answers from a script.

use std::process::Command as Process;
use std::sync::atomic::{AtomicBool, Ordering};

use common::shutdown::termination;
use expectrl::{ControlCode, Expect, Regex, Session};
use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::api::{ChannelStatus, Command, ConnectedChannels, LinkState, Reply, Trust};
use crate::events::Events;
use crate::ui::fake::{self, FakeNode};

/// A child of these tests finds its data folder here.
const CHILD: &str = "NATTER_TEST_REPL_DATA";

/// Answers like [`FakeNode`], and says some things besides.
#[derive(Clone)]
struct Scripted {
    fake: FakeNode,
    events: Events,
    confirmed: Arc<AtomicBool>,
}

impl Node for Scripted {
    async fn perform(&self, command: Command) -> Outcome {
        match &command {
            Command::Send { text, .. } if text == "flood" => {
                for seq in 0..3000 {
                    self.events.tell(Event::Message(fake::message(seq, "drop"))).await;
                }
            }
            Command::Send { text, .. } => {
                self.events.tell(Event::Message(fake::message(7, text))).await;
            }
            Command::Connected => return Ok(Reply::Connected(ConnectedChannels { channels: vec![first()] })),
            Command::TrackerTrust => {
                let confirmed = self.confirmed.load(Ordering::SeqCst);
                return Ok(Reply::Trust(Trust {
                    key: Some(fake::key()),
                    confirmed,
                    tracker: "there".into(),
                }));
            }
            Command::ConfirmTracker { key } => self.confirmed.store(*key == fake::key(), Ordering::SeqCst),
            Command::Signin { password, .. } | Command::Signup { password, .. } => {
                let length = password.expose().len();
                self.events.tell(Event::Message(fake::message(8, &format!("got {length}")))).await;
            }
            _ => {}
        }
        self.fake.perform(command).await
    }

    async fn finish(&self, limit: Duration) {
        self.fake.finish(limit).await;
    }
}

fn first() -> ChannelStatus {
    ChannelStatus {
        id: fake::channel_id(),
        channel: "first".parse().unwrap(),
        hosted: false,
        joined: true,
        state: LinkState::Up,
        reason: None,
        seq: 1,
        queued: 0,
        behind: None,
    }
}

/// Starts this program once more in a terminal, where the same test is the interface.
#[test]
fn it_begins_and_ends_by_itself() {
    if let Some(data) = std::env::var_os(CHILD) {
        be_the_interface(data.into());
    }
    let data = tempfile::tempdir().unwrap();
    let mut pty = Pty::start(data.path(), "xterm");
    pty.type_line("quit");
    pty.see_end();
}

fn be_the_interface(data_dir: PathBuf) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let exit = runtime.block_on(async {
        let (events, receiver) = Events::new();
        events.tell(fake::ready()).await;
        let node = Scripted { fake: FakeNode::default(), events, confirmed: Arc::default() };
        let (trigger, shutdown) = Shutdown::new();
        let terminal = Terminal::remember();
        let config = ReplConfig { data_dir, drain: Duration::from_millis(1), shutdown, terminal };
        tokio::spawn(async move {
            termination().await.unwrap();
            trigger.request();
        });
        println!("pid={}.", std::process::id());
        run_repl(node, receiver, config).await
    });
    std::process::exit(i32::from(exit == Exit::Failed));
}

struct Pty {
    session: expectrl::session::OsSession,
    pid: Pid,
    /// The terminal's settings before the interface took it.
    before: String,
}

impl Pty {
    fn start(data: &std::path::Path, term: &str) -> Self {
        let script = "stty sane; echo before=$(stty -g).; \"$0\" --exact ui::repl::tests::it_begins_and_ends_by_itself --nocapture; \
                      echo; echo code=$?.; echo after=$(stty -g).";
        let mut process = Process::new("sh");
        process.args(["-c", script]).arg(std::env::current_exe().unwrap());
        process.env(CHILD, data).env("TERM", term).env("NO_COLOR", "1");
        let mut session = Session::spawn(process).unwrap();
        session.get_process_mut().set_window_size(100, 40).unwrap();
        session.set_expect_timeout(Some(Duration::from_secs(10)));
        let before = captured(&mut session, "before=([^.]*)\\.");
        let pid = captured(&mut session, "pid=([0-9]+)\\.").parse().unwrap();
        let mut pty = Self { session, pid: Pid::from_raw(pid).unwrap(), before };
        pty.see("ken> ");
        pty
    }

    /// Waits for a text, and gives what came before it.
    fn see(&mut self, text: &str) -> String {
        let seen = match self.session.expect(text) {
            Ok(seen) => seen,
            Err(error) => {
                let mut rest = vec![0; 1 << 20];
                let read = self.session.try_read(&mut rest).unwrap_or_default();
                let shown = String::from_utf8_lossy(&rest[read.saturating_sub(500)..read]);
                panic!("{text:?}: {error}; {read} bytes shown, the last: {shown:?}");
            }
        };
        String::from_utf8_lossy(seen.before()).into_owned()
    }

    fn type_line(&mut self, line: &str) {
        self.session.send(format!("{line}\r")).unwrap();
    }

    /// The terminal is as it was, and the shell goes on.
    fn see_end(mut self) {
        assert_eq!(captured(&mut self.session, "code=([0-9]+)\\."), "0");
        assert_eq!(captured(&mut self.session, "after=([^.]*)\\."), self.before);
    }
}

fn captured(session: &mut expectrl::session::OsSession, pattern: &str) -> String {
    let found = session.expect(Regex(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    String::from_utf8_lossy(found.get(1).unwrap()).into_owned()
}

#[test]
fn commands_messages_and_talk() {
    let data = tempfile::tempdir().unwrap();
    let mut pty = Pty::start(data.path(), "xterm");
    pty.type_line("whoami");
    pty.see("name  ken");
    pty.see("ken> ");
    pty.type_line("jion first");
    pty.see("did you mean join?");
    pty.session.send("send fir\t").unwrap();
    pty.see("first ");
    pty.type_line("hello");
    pty.see("#first charlie (guest): hello");
    pty.type_line("talk first");
    pty.see("ken #first> ");
    pty.type_line("whoami is a message");
    pty.see("charlie (guest): whoami is a message");
    pty.type_line("/talk");
    pty.see("ken> ");
    pty.type_line("quit");
    pty.see_end();
}

#[test]
fn what_is_being_typed_outlives_messages_and_slow_commands() {
    let data = tempfile::tempdir().unwrap();
    let mut pty = Pty::start(data.path(), "xterm");
    pty.type_line("debug");
    pty.see("ken> ");
    // The command hangs for ever: lines are taken, and wait.
    pty.type_line("whoami");
    pty.see("ken> ");
    pty.session.send(ControlCode::EndOfText).unwrap();
    pty.see("press Ctrl-C once more");
    pty.session.send(ControlCode::EndOfText).unwrap();
    pty.see_end();

    let mut pty = Pty::start(data.path(), "xterm");
    pty.type_line("send first flood");
    pty.session.send("who").unwrap();
    for _ in 0..100 {
        pty.see("drop");
    }
    pty.type_line("ami");
    pty.see("name  ken");
    pty.session.send("half a line").unwrap();
    pty.see("half a line");
    pty.session.send(ControlCode::EndOfText).unwrap();
    pty.type_line("whoami");
    pty.see("name  ken");
    pty.see("ken> ");
    pty.session.send(ControlCode::EndOfTransmission).unwrap();
    pty.see_end();
}

fn sign_in(term: &str) {
    let data = tempfile::tempdir().unwrap();
    let mut pty = Pty::start(data.path(), term);
    pty.type_line("signin ken wrongplace");
    pty.see("asked for afterwards");
    pty.see("ken> ");
    pty.type_line("signin ken");
    pty.see("abab abab");
    pty.see("yes/no: ");
    pty.type_line("no");
    pty.see("tracker_unconfirmed");
    pty.see("ken> ");
    pty.type_line("signin ken");
    pty.see("yes/no: ");
    pty.type_line("yes");
    pty.see("password: ");
    pty.type_line("hunter22!");
    let shown = pty.see("got 9");
    assert!(!shown.contains("hunter") && !shown.contains('*'), "{shown}");
    // The message may have come after the prompt, which a dumb terminal does not show again.
    pty.type_line("signup ken");
    pty.see("new password: ");
    pty.type_line("hunter22!");
    pty.see("once more: ");
    pty.type_line("hunter23!");
    pty.see("the two differ");
    pty.see("ken> ");
    pty.type_line("signin ken");
    pty.see("password: ");
    pty.session.send(ControlCode::EndOfText).unwrap();
    pty.see("no password was given");
    pty.see("ken> ");
    pty.type_line("quit");
    pty.see_end();
    let history = std::fs::read_to_string(data.path().join(HISTORY_FILE)).unwrap();
    assert!(history.contains("signup ken") && history.contains("quit"), "{history}");
    assert!(
        !history.contains("hunter") && !history.contains("wrongplace") && !history.contains("yes"),
        "{history}"
    );
}

#[test]
fn passwords_are_never_shown_or_kept() {
    sign_in("xterm");
}

#[test]
fn passwords_are_never_shown_on_a_dumb_terminal() {
    sign_in("dumb");
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    for (signal, typed) in [(Signal::TERM, "half"), (Signal::HUP, "half"), (Signal::TERM, "passwd\r")] {
        let mut pty = Pty::start(data.path(), "xterm");
        pty.session.send(typed).unwrap();
        pty.see(if typed == "half" { "half" } else { "yes/no: " });
        kill_process(pty.pid, signal).unwrap();
        pty.see_end();
    }
}

#[test]
fn typed_lines_are_there_at_the_next_start() {
    const UP: &str = "\x1b[A";
    let data = tempfile::tempdir().unwrap();
    let mut pty = Pty::start(data.path(), "xterm");
    pty.type_line("whoami");
    pty.see("name  ken");
    // The editor has the terminal again.
    pty.see("ken> ");
    kill_process(pty.pid, Signal::TERM).unwrap();
    pty.see_end();
    let mut pty = Pty::start(data.path(), "xterm");
    pty.type_line(UP);
    pty.see("name  ken");
    pty.type_line("quit");
    pty.see_end();
}
