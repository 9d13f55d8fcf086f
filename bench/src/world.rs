//! What is measured, and those who drive it: a tracker, a host, and the crew on the wire.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::proto::limits::PING_EVERY;
use serde_json::{Value, json};

use crate::Fallible;
use crate::crew::{Channel, Crew, PING, Stage, request};
use crate::dialect::Dialect;
use crate::process::{Program, Scratch, Usage, programs, start_tracker, usage};
use crate::tls::any_server;
use crate::wire::{Wire, origin};

/// How many are on their way in at a time.
const JOINING: usize = 128;
/// How long any step may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);
const TURN: Duration = Duration::from_millis(50);

/// What is to be measured.
#[derive(Clone, Debug)]
pub enum Target {
    /// A tracker and a peer, started here.
    Natter { data: PathBuf },
    /// The bare limit, started here.
    Bare,
    /// A tracker and a host that run already.
    Running { tracker: SocketAddr, host_id: u32 },
    /// Another chat server, which runs already.
    Other { dialect: Dialect, address: SocketAddr, host_id: u32, joining: usize },
}

impl Target {
    /// What it is called in the results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Natter { .. } | Self::Running { .. } => "natter",
            Self::Bare => "bare",
            Self::Other { dialect: Dialect::Nats, .. } => "nats",
            Self::Other { dialect: Dialect::Irc, .. } => "irc",
        }
    }
}

/// What is measured, and those who drive it.
pub struct World {
    pub wire: Wire,
    pub crew: Crew,
    pub host: Option<Program>,
    pub tracker: Option<Program>,
    tracker_at: Option<SocketAddr>,
    host_id: u32,
    made: usize,
    /// How many are on their way in at a time.
    joining: usize,
    /// Who says PING next, and since when the round goes on.
    pinged: (usize, Instant),
    // Last, so that it goes after the programs.
    _scratch: Option<Scratch>,
}

impl World {
    /// Starts what is to be measured, with these channels.
    pub fn start(target: &Target, channels: &[String]) -> Fallible<Self> {
        let mut world = match target {
            Target::Natter { data } => Self::natter(data, channels)?,
            Target::Bare => Self::bare()?,
            Target::Running { tracker, host_id } => Self::new(Some(*tracker), *host_id)?,
            Target::Other { dialect, address, host_id, joining } => {
                let mut world = Self::other(*dialect, *address, *host_id)?;
                world.joining = (*joining).max(1);
                world
            }
        };
        if !matches!(target, Target::Bare | Target::Other { .. }) {
            world.locate(channels)?;
        }
        Ok(world)
    }

    fn new(tracker_at: Option<SocketAddr>, host_id: u32) -> Fallible<Self> {
        let (wire, crew) = (Wire::new()?, Crew::new());
        let pinged = (0, Instant::now());
        Ok(Self {
            wire,
            crew,
            host: None,
            tracker: None,
            tracker_at,
            host_id,
            made: 0,
            joining: JOINING,
            pinged,
            _scratch: None,
        })
    }

    fn natter(data: &std::path::Path, channels: &[String]) -> Fallible<Self> {
        let (scratch, folder) = (Scratch::new(data)?, programs()?);
        let at = |name: &str| scratch.0.join(name).display().to_string();
        let (tracker, place) = start_tracker(&scratch.0.join("tracker"))?;
        let (address, _key) = place.split_once('#').ok_or("the tracker has no key")?;
        let arguments = [
            "--json",
            "--tracker",
            &place,
            "--username",
            "host",
            "--data",
            &at("host"),
            "--peer-host-ip",
            "127.0.0.1",
        ];
        let mut host = Program::start(&folder.join("peer"), &arguments.map(str::to_owned))?;
        host.expect(|line| {
            (line.contains(r#""event":"session""#) && line.contains(r#""guest""#)).then_some(())
        })?;
        for channel in channels {
            host.say(&format!("host {channel}"))?;
            host.expect(|line| is_done(line, "host").then_some(()))?;
            // The host's own user would be a member too, who shows what comes: what is measured is the host.
            host.say(&format!("leave {channel}"))?;
            host.expect(|line| is_done(line, "leave").then_some(()))?;
        }
        let mut world = Self::new(Some(address.parse()?), host.id())?;
        (world.tracker, world.host, world._scratch) = (Some(tracker), Some(host), Some(scratch));
        Ok(world)
    }

    fn bare() -> Fallible<Self> {
        let host = Program::start(&std::env::current_exe()?, &["bare-server".to_owned()])?;
        let address = host.expect(|line| line.strip_prefix("bare ready listen=").map(str::to_owned))?;
        let mut world = Self::new(None, host.id())?;
        world.crew.channels.push(Channel { id: String::new(), host: address.parse()? });
        world.host = Some(host);
        Ok(world)
    }

    fn other(dialect: Dialect, address: SocketAddr, host_id: u32) -> Fallible<Self> {
        let mut world = Self::new(None, host_id)?;
        world.crew.channels.push(Channel { id: String::new(), host: address });
        world.crew.other = Some((dialect, any_server()?));
        Ok(world)
    }

    /// Asks the tracker where the channels are.
    fn locate(&mut self, channels: &[String]) -> Fallible {
        self.recruit(1)?;
        for name in channels {
            let found = self.ask(0, "LOCATE", &json!({ "name": name }))?;
            let address = found["addresses"][0].as_str().and_then(|text| text.strip_prefix("tcp:"));
            let host = address.ok_or("the channel has no address")?.parse()?;
            let id = found["id"].as_str().ok_or("the channel has no id")?.to_owned();
            self.crew.channels.push(Channel { id, host });
        }
        Ok(())
    }

    /// Asks the tracker as a member that has entered.
    pub fn ask(&mut self, member: usize, command: &str, body: &Value) -> Fallible<Value> {
        let end = self.crew.members[member].end.ok_or("the member has no connection")?;
        let mut line = Vec::new();
        request(&mut line, command, body);
        self.crew.members[member].answer = None;
        self.wire.send(end, &line)?;
        self.until(|crew| crew.members[member].answer.is_some() || !crew.faults.is_empty())?;
        self.crew.members[member].answer.take().ok_or_else(|| self.crew.faults.join("; ").into())
    }

    /// Turns until something is so.
    pub fn until(&mut self, is_so: impl Fn(&Crew) -> bool) -> Fallible {
        let deadline = Instant::now() + STEP_LIMIT;
        while !is_so(&self.crew) {
            if Instant::now() > deadline {
                let faults = self.crew.faults.join("; ");
                return Err(format!("a step took too long; {faults}").into());
            }
            self.turn(TURN)?;
        }
        Ok(())
    }

    pub fn turn(&mut self, wait: Duration) -> Fallible {
        self.ping();
        self.wire.turn(wait, &mut self.crew)
    }

    /// Has those say PING whose turn it is: everybody once in a round, evenly spread.
    fn ping(&mut self) {
        let (begin, since) = self.pinged;
        let part = since.elapsed().as_secs_f64() / PING_EVERY.as_secs_f64();
        let upto = (part * self.crew.members.len() as f64) as usize;
        for n in begin..upto.min(self.crew.members.len()) {
            let member = &self.crew.members[n];
            if let (Stage::In | Stage::Entered, Some(end), None) =
                (member.stage, member.end, &self.crew.other)
            {
                // Whose connection has gone is told when it is read.
                let _ = self.wire.send(end, PING);
            }
        }
        self.pinged = if part >= 1.0 { (0, Instant::now()) } else { (upto.max(begin), since) };
    }

    /// Brings the crew to `count` members who hold a pass and are connected to the tracker.
    pub fn recruit(&mut self, count: usize) -> Fallible {
        while self.crew.members.len() < count {
            self.made += 1;
            self.crew.add(format!("m{:06}", self.made))?;
        }
        let new: Vec<usize> = (0..count).filter(|n| self.crew.members[*n].pass.is_none()).collect();
        self.enter_tracker(&new)
    }

    /// Has members connect to the tracker and take a pass; the bare limit has no tracker.
    pub fn enter_tracker(&mut self, members: &[usize]) -> Fallible {
        let Some(tracker) = self.tracker_at else { return Ok(()) };
        self.bring(members, Stage::Entering, Stage::Entered, |_, _| tracker)
    }

    /// Ends the connections of members.
    pub fn disconnect(&mut self, members: impl IntoIterator<Item = usize>) {
        for index in members {
            let member = &mut self.crew.members[index];
            member.stage = Stage::Out;
            member.unanswered.clear();
            if let Some(end) = member.end.take() {
                self.wire.close(end);
            }
        }
    }

    /// Has members enter their channel; answers how long that took in all.
    pub fn join(&mut self, members: &[usize]) -> Fallible<Duration> {
        self.disconnect(members.iter().copied());
        let begun = Instant::now();
        self.bring(members, Stage::Joining, Stage::In, |crew, n| {
            crew.channels[crew.members[n].channel].host
        })?;
        Ok(begun.elapsed())
    }

    /// Begins a member's connection.
    pub fn dial(&mut self, member: usize, to: SocketAddr, stage: Stage) -> Fallible {
        let config = self.crew.members[member].config.clone();
        let has_preamble = self.crew.dialect().is_some_and(Dialect::has_preamble);
        let end = self.wire.dial(origin(member, to), to, config, has_preamble)?;
        self.crew.own(end, member);
        self.crew.members[member].stage = stage;
        Ok(())
    }

    fn bring(
        &mut self,
        members: &[usize],
        begin: Stage,
        goal: Stage,
        place: impl Fn(&Crew, usize) -> SocketAddr,
    ) -> Fallible {
        let deadline = Instant::now() + STEP_LIMIT;
        let (mut under_way, mut waiting) = (Vec::new(), members.iter().copied());
        loop {
            under_way.retain(|n: &usize| self.crew.members[*n].stage == begin);
            for n in waiting.by_ref().take(self.joining - under_way.len()) {
                self.dial(n, place(&self.crew, n), begin)?;
                under_way.push(n);
            }
            if under_way.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err("not everybody came in".into());
            }
            self.turn(TURN)?;
        }
        match members.iter().all(|n| self.crew.members[*n].stage == goal) {
            true => Ok(()),
            false => Err(format!("not everybody came in: {}", first(&self.crew.faults)).into()),
        }
    }

    /// Sends `count` messages at once.
    pub fn post(&mut self, member: usize, count: usize, bytes: usize) -> Fallible {
        let mut lines = Vec::with_capacity(count * (bytes + 256));
        for _ in 0..count {
            self.crew.put_message(&mut lines, member, bytes);
        }
        let end = self.crew.members[member].end.ok_or("the sender has lost its connection")?;
        match self.crew.dialect() {
            // ngIRCd lets lie what it did not read of a record until something more comes.
            Some(Dialect::Irc) => self.wire.send_line_by_line(end, &lines),
            _ => self.wire.send(end, &lines),
        }
    }

    /// What the host's process has used so far.
    pub fn host_usage(&self) -> Fallible<Usage> {
        usage(self.host_id)
    }
}

/// What went wrong first, in short.
fn first(faults: &[String]) -> String {
    let told = faults.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ");
    match faults.len().saturating_sub(3) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

/// Whether a line says that a command was carried out.
fn is_done(line: &str, command: &str) -> bool {
    line.contains(r#""event":"result""#)
        && line.contains(&format!(r#""command":"{command}""#))
        && line.contains(r#""ok":true"#)
}
