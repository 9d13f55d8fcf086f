//! A program over all of its lives: how it is started, what it was told and what it said.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::history::{End, Entry, Life as Shown, Sent, Stored, Text, Told};
use super::life::Life;
use super::process_support::{PASSWORD, command, peer_program, tracker_program};
use super::schedule::{Death, Plan, Role};

/// The one channel of a world.
pub const CHANNEL: &str = "first";
/// How long to wait before something is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(40);

/// What a command was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Setup,
    Send(u64),
    Outbox,
    History,
}

pub struct Program {
    pub who: usize,
    pub role: Role,
    pub name: String,
    pub data: PathBuf,
    pub record: PathBuf,
    /// The ends of its lives to come.
    pub plan: VecDeque<Death>,
    /// How this life is to end.
    pub death: Option<Death>,
    pub life: Option<Life>,
    pub is_ready: bool,
    /// What it has to do before it can write.
    setup: VecDeque<String>,
    asked: HashMap<String, Asked>,
    tags: u64,
    not_before: Instant,
    /// How many texts it has typed, and may type by now.
    typed: u64,
    quota: u64,
    ahead: usize,
    pub sent: Vec<Sent>,
    pub stored: Vec<Stored>,
    pub lives: Vec<Shown>,
    pub is_outbox_empty: bool,
    pub log: Option<Vec<Entry>>,
    /// Something went otherwise than it ever may.
    pub broken: Option<String>,
}

impl Program {
    pub fn new(who: usize, role: Role, name: &str, folder: &Path, plan: &Plan, ahead: usize) -> Self {
        Self {
            who,
            role,
            name: name.to_owned(),
            data: folder.join(name),
            record: folder.join(format!("{name}.log")),
            plan: plan.iter().copied().collect(),
            death: None,
            life: None,
            is_ready: false,
            setup: VecDeque::new(),
            asked: HashMap::new(),
            tags: 0,
            not_before: Instant::now(),
            typed: 0,
            quota: 0,
            ahead,
            sent: Vec::new(),
            stored: Vec::new(),
            lives: Vec::new(),
            is_outbox_empty: false,
            log: None,
            broken: None,
        }
    }

    /// Has it do these before anything else, until each is done.
    pub fn set_up(&mut self, commands: impl IntoIterator<Item = String>) {
        self.setup.extend(commands);
    }

    pub fn is_set_up(&self) -> bool {
        self.is_ready && self.setup.is_empty()
    }

    pub fn may_type(&mut self, texts: u64) {
        self.quota += texts;
    }

    /// Whether it has typed all that it may, and was told what became of it.
    pub fn has_typed(&self) -> bool {
        self.is_set_up() && self.typed >= self.quota && self.asked.is_empty()
    }

    /// The command line of its next life; `tracker` is where the tracker is, once it is somewhere.
    pub fn command(&self, tracker: Option<&(String, String)>) -> Option<Command> {
        let mut command = if self.role == Role::Tracker {
            let mut command = command(&tracker_program(), &self.data);
            command.args(["--listen", tracker.map_or("127.0.0.1:0", |(address, _)| address)]);
            command
        } else {
            let (address, key) = tracker?;
            let mut command = command(&peer_program(), &self.data);
            command.args(["--json", "--drain-ms", "200", "--peer-host-ip", "127.0.0.1"]);
            command.args(["--username", &self.name, "--tracker", &format!("{address}#{key}")]);
            command
        };
        command.arg("--data").arg(&self.data).env("NATTER_LOG", "info");
        if let Some(Death::At { point, nth }) = self.death {
            command.env("NATTER_CRASH_AT", format!("{}:{nth}", point.name()));
        }
        Some(command)
    }

    /// Its next life has begun.
    pub fn begun(&mut self, life: Life) {
        self.life = Some(life);
        self.lives.push(Shown { shown: Vec::new(), end: End::Killed });
    }

    /// Its life is over.
    pub fn ended(&mut self, end: End) {
        self.is_ready = false;
        self.is_outbox_empty = false;
        self.life = None;
        if let Some(shown) = self.lives.last_mut() {
            shown.end = end;
        }
        for (_, asked) in self.asked.drain() {
            if let Asked::Send(number) = asked {
                let text = Text { sender: self.who, number };
                self.sent.push(Sent { text, told: Told::Nothing });
            }
        }
    }

    /// Gives it what it can take now.
    pub fn act(&mut self) {
        if !self.is_ready || Instant::now() < self.not_before {
            return;
        }
        if let Some(step) = self.setup.front().cloned() {
            if self.asked.is_empty() {
                self.ask(&step, Asked::Setup);
            }
            return;
        }
        while self.typed < self.quota && self.asked.len() < self.ahead {
            self.typed += 1;
            let line = format!("send {CHANNEL} s{}-{}", self.who, self.typed);
            self.ask(&line, Asked::Send(self.typed));
        }
    }

    /// Asks until it is empty, and then no more, so that no answer comes late.
    pub fn ask_outbox(&mut self) {
        let is_free = self.is_ready && self.asked.is_empty() && Instant::now() >= self.not_before;
        if is_free && !self.is_outbox_empty {
            self.ask(&format!("outbox {CHANNEL}"), Asked::Outbox);
            self.not_before = Instant::now() + ASK_AGAIN_AFTER;
        }
    }

    /// Has it read everything there is, page by page from the end.
    pub fn ask_history(&mut self) {
        if self.is_ready && self.asked.is_empty() && !self.has_history() {
            let before = self.log.as_ref().and_then(|log| log.first()).map(|first| first.seq);
            let before = before.map(|seq| format!(" --before {seq}")).unwrap_or_default();
            self.ask(&format!("history {CHANNEL} 500{before}"), Asked::History);
        }
    }

    pub fn has_history(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.first().is_none_or(|first| first.seq == 1))
    }

    /// The newest entry that it has shown.
    pub fn shown(&self) -> u64 {
        self.lives.iter().flat_map(|life| &life.shown).map(|entry| entry.seq).max().unwrap_or_default()
    }

    fn ask(&mut self, line: &str, asked: Asked) {
        self.tags += 1;
        let tag = self.tags.to_string();
        if let Some(life) = &mut self.life {
            life.say(&format!("#{tag} {line}"));
        }
        self.asked.insert(tag, asked);
    }

    /// A peer has said something.
    pub fn heard(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            return self.broken(format!("no JSON: {line}"));
        };
        match event["event"].as_str() {
            Some("ready") => self.is_ready = true,
            Some("message") => match (entry(&event), self.lives.last_mut()) {
                (Some(entry), Some(life)) => life.shown.push(entry),
                _ => self.broken(format!("no message of ours: {line}")),
            },
            Some("outgoing") => self.told(&event),
            Some("result") => self.answered(&event),
            _ => {}
        }
    }

    fn told(&mut self, event: &Value) {
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        match (event["state"].as_str(), event["seq"].as_u64()) {
            (Some("stored"), Some(seq)) => self.stored.push(Stored { id, seq }),
            (Some("refused"), _) => self.broken(format!("refused for good: {event}")),
            _ => {}
        }
    }

    fn answered(&mut self, event: &Value) {
        let asked = event["tag"].as_str().and_then(|tag| self.asked.remove(tag));
        let is_done = event["ok"] == true;
        match asked {
            Some(Asked::Setup) => {
                // Done by a life that did not live to be told.
                let is_done = is_done || event["code"] == "already_signed_in";
                if is_done {
                    self.setup.pop_front();
                } else {
                    self.not_before = Instant::now() + ASK_AGAIN_AFTER;
                }
            }
            Some(Asked::Send(number)) => {
                let text = Text { sender: self.who, number };
                let told = if is_done { Told::Queued } else { Told::Refused };
                self.sent.push(Sent { text, told });
            }
            Some(Asked::Outbox) => self.is_outbox_empty = is_done && event["body"]["total"] == 0,
            Some(Asked::History) if is_done => self.take_page(&event["body"]),
            Some(Asked::History) => self.broken(format!("no history: {event}")),
            None => self.broken(format!("nobody asked for {event}")),
        }
    }

    fn take_page(&mut self, body: &Value) {
        let page = body["messages"].as_array().into_iter().flatten();
        let Some(mut page) = page.map(entry).collect::<Option<Vec<_>>>() else {
            return self.broken(format!("no message of ours in {body}"));
        };
        let before = self.log.take().unwrap_or_default();
        if page.is_empty() && !before.is_empty() {
            return self.broken(format!("there is nothing before {:?}", before.first()));
        }
        page.extend(before);
        self.log = Some(page);
    }

    fn broken(&mut self, how: String) {
        self.broken.get_or_insert(how);
    }

    /// The next command for a setup that makes an account.
    pub fn sign_up() -> String {
        format!("signup\n{PASSWORD}")
    }
}

fn entry(message: &Value) -> Option<Entry> {
    let (sender, number) = message["text"].as_str()?.strip_prefix('s')?.split_once('-')?;
    let text = Text { sender: sender.parse().ok()?, number: number.parse().ok()? };
    Some(Entry { seq: message["seq"].as_u64()?, id: message["id"].as_str()?.to_owned(), text })
}
