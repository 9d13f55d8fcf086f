//! A running peer, driven by JSON.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::tracker::Tracker;
use super::{Ended, LIMIT, Program, command, peer_program};

pub struct Peer {
    pub program: Program,
    /// Everything that it has said so far.
    pub said: Vec<Value>,
    /// What of it nobody has waited for yet.
    waiting: Vec<Value>,
    tags: usize,
}

/// A peer's command line: JSON, state in `data`, nothing else.
pub fn bare(data: &Path) -> Command {
    let mut command = command(&peer_program(), data);
    command.args(["--json", "--peer-host-ip", "127.0.0.1", "--data"]).arg(data);
    command
}

/// The usual command line: that of somebody at a tracker.
pub fn at(tracker: &Tracker, name: &str, folder: &Path) -> Command {
    let mut command = bare(&folder.join(name));
    command.args(["--username", name, "--tracker", &tracker.shared()]);
    command
}

impl Peer {
    /// Starts one and has its first line.
    pub fn start(command: Command) -> Self {
        let program = Program::start(command);
        let mut peer = Self { program, said: Vec::new(), waiting: Vec::new(), tags: 0 };
        let first = peer.next();
        assert_eq!(first["event"], "ready", "{first}");
        peer
    }

    /// Somebody who is at the tracker.
    pub fn enter(tracker: &Tracker, name: &str, folder: &Path) -> Self {
        let mut peer = Self::start(at(tracker, name, folder));
        peer.wait_in();
        peer
    }

    /// Somebody who hosts a channel.
    pub fn host(tracker: &Tracker, name: &str, folder: &Path, channel: &str) -> Self {
        let mut command = at(tracker, name, folder);
        command.args(["--host-channel", channel]);
        let mut peer = Self::start(command);
        peer.hosting();
        peer
    }

    /// Somebody who is in a channel.
    pub fn join(tracker: &Tracker, name: &str, folder: &Path, channel: &str) -> Self {
        let mut peer = Self::enter(tracker, name, folder);
        peer.done(&format!("join {channel}"));
        peer
    }

    fn next(&mut self) -> Value {
        let line = self.program.line();
        let line = line.unwrap_or_else(|| panic!("it has ended; it said {:#?}", self.said));
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["event"].is_string(), "{line}");
        self.said.push(event.clone());
        event
    }

    /// The first event of this kind that nobody has waited for yet, read or still to come.
    pub fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.waiting.iter().position(&is_it) {
            return self.waiting.remove(place);
        }
        loop {
            let Some(line) = self.program.line() else {
                panic!("it ended before {what}; it said {:#?}, log: {}", self.said, self.program.log())
            };
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.said.push(event.clone());
            if is_it(&event) {
                return event;
            }
            self.waiting.push(event);
        }
    }

    /// The result of the start flag `--host-channel`.
    pub fn hosting(&mut self) -> Value {
        let result =
            self.wait("the result of host", |event| event["command"] == "host" && event["tag"].is_null());
        assert_eq!(result["ok"], true, "{result}");
        result["body"].clone()
    }

    /// The tracker has let it in.
    pub fn wait_in(&mut self) -> Value {
        self.wait("a session", |event| event["event"] == "session" && event["state"] != "none")
    }

    pub fn wait_connection(&mut self, to: &str, state: &str) -> Value {
        self.wait(&format!("connection {to} {state}"), |event| {
            event["event"] == "connection" && event["to"] == to && event["state"] == state
        })
    }

    pub fn wait_message(&mut self, text: &str) -> Value {
        self.wait(text, |event| event["event"] == "message" && event["text"] == text)
    }

    /// What has become of a message of this peer.
    pub fn wait_outgoing(&mut self, id: &Value, state: &str) -> Value {
        self.wait(&format!("outgoing {state}"), |event| {
            event["event"] == "outgoing" && event["id"] == *id && event["state"] == state
        })
    }

    /// Has it do something, and gives the result. More lines, such as passwords, may follow the command.
    pub fn ask(&mut self, lines: &str) -> Value {
        self.tags += 1;
        let tag = self.tags.to_string();
        self.program.write(format!("#{tag} {lines}\n").as_bytes());
        self.wait(lines, |event| event["event"] == "result" && event["tag"] == *tag)
    }

    /// The body of a result that has to be good.
    pub fn done(&mut self, lines: &str) -> Value {
        let result = self.ask(lines);
        assert_eq!(result["ok"], true, "{lines}: {result}, log: {}", self.program.log());
        result["body"].clone()
    }

    /// Asks until the answer is so: for what follows from something else without anybody being told.
    pub fn ask_until(&mut self, lines: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let body = self.done(lines);
            if is_so(&body) {
                return body;
            }
            assert!(started.elapsed() < LIMIT, "{lines}: it stays {body}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The code of a result that has to be bad, and its reason.
    pub fn refused(&mut self, lines: &str) -> (String, String) {
        let result = self.ask(lines);
        assert_eq!(result["ok"], false, "{lines}: {result}");
        let text = |name: &str| result[name].as_str().unwrap_or_else(|| panic!("{result}")).to_owned();
        (text("code"), text("reason"))
    }

    /// Sends, and waits until the host has it.
    pub fn send(&mut self, channel: &str, text: &str) -> Value {
        let id = self.done(&format!("send {channel} {text}"))["id"].clone();
        self.wait_outgoing(&id, "stored")
    }

    /// All messages that it has shown, in order.
    pub fn messages(&self) -> Vec<Value> {
        self.said.iter().filter(|event| event["event"] == "message").cloned().collect()
    }

    /// Asks it to end, and waits.
    pub fn stop(self) -> Ended {
        self.program.signal(Signal::TERM);
        self.program.ended()
    }

    /// Ends it as a power cut would.
    pub fn kill(self) -> Ended {
        self.program.signal(Signal::KILL);
        self.program.ended()
    }
}

/// The texts of messages, with their numbers.
pub fn texts(messages: &[Value]) -> Vec<(u64, &str)> {
    messages.iter().map(|one| (one["seq"].as_u64().unwrap(), one["text"].as_str().unwrap())).collect()
}

/// Ken and charlie, who have agreed to talk, and are connected.
pub fn acquainted(folder: &Path) -> (Tracker, Peer, Peer) {
    let tracker = Tracker::start(&folder.join("tracker"));
    let (mut ken, mut charlie) =
        (Peer::enter(&tracker, "ken", folder), Peer::enter(&tracker, "charlie", folder));
    ken.done("start charlie");
    charlie.wait("a request", |event| event["event"] == "chat_request");
    charlie.done("accept ken");
    ken.wait_connection("@charlie", "up");
    charlie.wait_connection("@ken", "up");
    (tracker, ken, charlie)
}
