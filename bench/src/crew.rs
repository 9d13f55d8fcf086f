//! Members: who they are, how far each has come in, and whether each gets every message once and in order.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use common::identity::Identity;
use common::proto::limits::PROTOCOL_VERSION;
use common::transport::{Expected, Transport};
use rustls::ClientConfig;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Fallible;
use crate::dialect::{Dialect, Mark, Said, mark_of};
use crate::order::{OutOfOrder, Stream};
use crate::text::{put_message, stamp_of};
use crate::wire::{End, Ends};

/// What every MESSAGE event begins with: the host makes entries in this one form.
const MESSAGE: &[u8] = br#"{"event":"MESSAGE","body":{"header":{"seq":"#;
/// What every answer begins with, and what stands behind its id when all went well.
const ANSWER: &[u8] = br#"{"id":""#;
const OK: &[u8] = br#"","status":"OK""#;
const UUID_BYTES: usize = 36;
/// What every member says now and then, as every client does, so that its connection is not silent.
pub const PING: &[u8] =
    b"{\"id\":\"00000000-0000-4000-8000-000000000000\",\"command\":\"PING\",\"body\":{}}\n";
const PONG: &[u8] = br#"{"id":"00000000-0000-4000-8000-000000000000""#;

/// How far somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not connected.
    Out,
    /// Connected or connecting to the tracker, for a pass.
    Entering,
    /// In at the tracker.
    Entered,
    /// Connecting to the host.
    Joining,
    /// In the channel.
    In,
}

/// A channel as its members need to know it.
#[derive(Clone, Debug)]
pub struct Channel {
    pub id: String,
    pub host: SocketAddr,
}

/// One driven member.
pub struct Member {
    pub config: Arc<ClientConfig>,
    pub name: String,
    pub pass: Option<String>,
    pub stage: Stage,
    pub end: Option<End>,
    pub channel: usize,
    /// How many of the newest entries it asks for when it joins.
    pub tail: u32,
    /// The messages it has got.
    pub stream: Stream,
    /// The same by sender, where it is the senders who number them.
    by_sender: Vec<Stream>,
    /// Whether the time of its messages is kept.
    pub is_timed: bool,
    /// When each unanswered message was sent.
    pub unanswered: VecDeque<Instant>,
    pub stored: u64,
    /// The last answer at the tracker, for those who asked.
    pub answer: Option<Value>,
    /// When it was let in, and when its first message came.
    pub in_at: Option<Instant>,
    pub first_at: Option<Instant>,
}

/// All members.
pub struct Crew {
    pub members: Vec<Member>,
    /// Whose a connection is.
    owners: Vec<usize>,
    pub channels: Vec<Channel>,
    /// What another server speaks, and what it is dialled with.
    pub other: Option<(Dialect, Arc<ClientConfig>)>,
    /// How many messages each sender has sent to it.
    sent: Vec<u64>,
    /// What went wrong: nothing may.
    pub faults: Vec<String>,
    /// How many connections ended that were not closed from here.
    pub lost: usize,
    /// From sending to having it, in nanoseconds.
    pub latencies: Vec<u64>,
    /// From sending to the answer, in nanoseconds.
    pub answers: Vec<u64>,
    pub delivered: u64,
    pub begun: Instant,
}

impl Crew {
    pub fn new() -> Self {
        Self {
            members: Vec::new(),
            owners: Vec::new(),
            channels: Vec::new(),
            other: None,
            sent: Vec::new(),
            faults: Vec::new(),
            lost: 0,
            latencies: Vec::new(),
            answers: Vec::new(),
            delivered: 0,
            begun: Instant::now(),
        }
    }

    /// Makes somebody new.
    pub fn add(&mut self, name: String) -> Fallible {
        let config = match &self.other {
            Some((_, config)) => config.clone(),
            None => Transport::new(Identity::generate()?)?.client_config(Expected::Any),
        };
        self.members.push(Member {
            config,
            name,
            pass: None,
            stage: Stage::Out,
            end: None,
            channel: 0,
            tail: 0,
            stream: Stream::default(),
            by_sender: Vec::new(),
            is_timed: false,
            unanswered: VecDeque::new(),
            stored: 0,
            answer: None,
            in_at: None,
            first_at: None,
        });
        Ok(())
    }

    pub fn own(&mut self, end: End, member: usize) {
        if self.owners.len() <= end {
            self.owners.resize(end + 1, usize::MAX);
        }
        self.owners[end] = member;
        self.members[member].end = Some(end);
    }

    /// What the server speaks, if it is another.
    pub fn dialect(&self) -> Option<Dialect> {
        self.other.as_ref().map(|(dialect, _)| *dialect)
    }

    pub fn nanos(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Forgets what was counted so far; what members have stays known.
    pub fn reset(&mut self) {
        self.latencies.clear();
        self.answers.clear();
        self.delivered = 0;
        for member in &mut self.members {
            member.stream.reset();
            member.stored = 0;
        }
    }

    /// How many messages members did not get, and how many they got again.
    pub fn losses(&self) -> u64 {
        let streams = |member: &Member| {
            let all = member.by_sender.iter().chain([&member.stream]);
            all.map(|stream| stream.lost() + stream.repeated()).sum::<u64>()
        };
        self.members.iter().map(streams).sum()
    }

    /// Appends what has `member` send a text, and counts it.
    pub fn put_message(&mut self, out: &mut Vec<u8>, member: usize, bytes: usize) {
        let nanos = self.nanos();
        self.members[member].unanswered.push_back(Instant::now());
        let Some(dialect) = self.dialect() else { return put_message(out, bytes, nanos) };
        let number = slot(&mut self.sent, member);
        dialect.put_message(out, bytes, Mark { nanos, sender: member, number: *number });
        *number += 1;
        if !dialect.echoes() {
            self.members[member].stream.skip();
        }
    }

    /// What another server says.
    fn said(&mut self, index: usize, dialect: Dialect, line: &[u8], reply: &mut Vec<u8>) {
        match dialect.read(line) {
            Said::Message(text) => self.text(index, text),
            Said::Reply(answer) => reply.extend_from_slice(&answer),
            Said::In => {
                self.members[index].stage = Stage::In;
                self.members[index].in_at = Some(Instant::now());
            }
            Said::Refused => {
                let line = String::from_utf8_lossy(line).into_owned();
                self.fault(format!("{} was refused: {line}", self.members[index].name));
            }
            Said::Nothing => {}
        }
    }

    fn text(&mut self, index: usize, text: &[u8]) {
        let Some(Mark { nanos, sender, number }) = mark_of(text) else {
            return self.fault("a text came that nobody sent".to_owned());
        };
        let member = &mut self.members[index];
        if let Err(OutOfOrder { expected, found }) = slot(&mut member.by_sender, sender).take(number) {
            let name = member.name.clone();
            self.fault(format!("{name} got message {found} of sender {sender} instead of {expected}"));
        }
        let member = &mut self.members[index];
        member.stream.skip();
        self.delivered += 1;
        if member.is_timed {
            let latency = self.nanos().saturating_sub(nanos);
            self.latencies.push(latency);
        }
        // Nobody is answered there: what the last member has counts as done.
        if index + 1 == self.members.len() {
            self.members[sender].unanswered.pop_front();
        }
    }

    fn fault(&mut self, text: String) {
        // The first ones tell; millions of the same do not tell more.
        if self.faults.len() < 100 {
            self.faults.push(text);
        }
    }

    fn message(&mut self, index: usize, line: &[u8]) {
        let seq = line[MESSAGE.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        let seq = seq.fold(0, |seq, byte| seq * 10 + u64::from(byte - b'0'));
        if let Err(OutOfOrder { expected, found }) = self.members[index].stream.take(seq) {
            self.fault(format!("{} got message {found} instead of {expected}", self.members[index].name));
        }
        self.delivered += 1;
        let member = &mut self.members[index];
        if member.stream.received() == 1 {
            member.first_at = Some(Instant::now());
        }
        if member.is_timed
            && let Some(sent) = stamp_of(line)
        {
            let now = self.nanos();
            self.latencies.push(now.saturating_sub(sent));
        }
    }

    fn answer(&mut self, index: usize, line: &[u8], reply: &mut Vec<u8>) {
        let behind = line.get(ANSWER.len() + UUID_BYTES..).unwrap_or_default();
        if !behind.starts_with(OK) {
            let (name, line) = (self.members[index].name.clone(), String::from_utf8_lossy(line).into_owned());
            return self.fault(format!("{name} was refused: {line}"));
        }
        let member = &mut self.members[index];
        match member.stage {
            Stage::In => {
                if let Some(sent) = member.unanswered.pop_front() {
                    member.stored += 1;
                    self.answers.push(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
            }
            _ => self.enter(index, line, reply),
        }
    }

    /// The next step on the way in.
    fn enter(&mut self, index: usize, line: &[u8], reply: &mut Vec<u8>) {
        let Ok(frame) = serde_json::from_slice::<Value>(line) else { return };
        let body = &frame["body"];
        let member = &mut self.members[index];
        match member.stage {
            Stage::Entering => match body["pass"].as_str() {
                Some(pass) => {
                    member.pass = Some(pass.to_owned());
                    member.stage = Stage::Entered;
                }
                None => request(reply, "GUEST", &json!({ "name": member.name })),
            },
            Stage::Entered => member.answer = Some(body.clone()),
            Stage::Joining => match body["after"]["seq"].as_u64() {
                Some(after) => {
                    member.stream.resume(after + 1);
                    member.stage = Stage::In;
                    member.in_at = Some(Instant::now());
                }
                None => {
                    let channel = &self.channels[member.channel].id;
                    let connect = json!({ "channel": channel, "pass": member.pass, "tail": member.tail });
                    request(reply, "CONNECT", &connect);
                }
            },
            Stage::Out | Stage::In => {}
        }
    }
}

/// A place of a list that grows as needed.
fn slot<T: Clone + Default>(list: &mut Vec<T>, place: usize) -> &mut T {
    if list.len() <= place {
        list.resize(place + 1, T::default());
    }
    &mut list[place]
}

/// Appends a request.
pub fn request(out: &mut Vec<u8>, command: &str, body: &Value) {
    let line = json!({ "id": Uuid::new_v4().to_string(), "command": command, "body": body });
    out.extend_from_slice(line.to_string().as_bytes());
    out.push(b'\n');
}

impl Ends for Crew {
    fn opened(&mut self, end: End, reply: &mut Vec<u8>) {
        if let Some(dialect) = self.dialect() {
            return reply.extend(dialect.greeting(&self.members[self.owners[end]].name));
        }
        let purpose = match self.members[self.owners[end]].stage {
            Stage::Entering => "control",
            _ => "channel",
        };
        let hello = json!({ "protocol": PROTOCOL_VERSION, "program": "natter bench", "purpose": purpose });
        request(reply, "HELLO", &hello);
    }

    fn line(&mut self, end: End, line: &[u8], reply: &mut Vec<u8>) {
        let index = self.owners[end];
        if let Some(dialect) = self.dialect() {
            self.said(index, dialect, line, reply);
        } else if line.starts_with(MESSAGE) {
            self.message(index, line);
        } else if line.starts_with(PONG) {
            // Nobody waits for it.
        } else if line.starts_with(ANSWER) {
            self.answer(index, line, reply);
        } else if line.starts_with(br#"{"event":"GOING_AWAY""#) {
            let text = String::from_utf8_lossy(line).into_owned();
            self.fault(format!("{} was sent away: {text}", self.members[index].name));
        }
    }

    fn closed(&mut self, end: End, reason: &str) {
        let index = self.owners[end];
        let member = &mut self.members[index];
        let text = format!("{} lost its connection: {reason}", member.name);
        (member.end, member.stage) = (None, Stage::Out);
        self.lost += 1;
        self.fault(text);
    }
}
