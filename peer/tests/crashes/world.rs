//! A world of real programs, driven through a schedule: a tracker, a host, members who all write at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::history::{End, History, View, check};
use super::life::{Heard, Life, What};
use super::program::{CHANNEL, Program};
use super::schedule::{Death, PEERS, Role, Schedule};

/// No step of a world takes longer; what is tried again waits for seconds, and several times.
const LIMIT: Duration = Duration::from_secs(90);
/// How long to listen before looking who can be given something to do.
const TURN: Duration = Duration::from_millis(10);
/// A program that fails to start so often in one world will not start.
const MAX_FAILED_STARTS: usize = 20;

/// What came of a schedule that went well.
#[derive(Debug)]
pub struct Outcome {
    pub history: History,
    /// How often a program ended itself at a point, by role.
    pub hit: BTreeMap<(&'static str, &'static str), usize>,
    /// How many lives ended, of all programs.
    pub deaths: usize,
    pub took: Duration,
}

/// What is wrong, and where it can be looked at.
#[derive(Debug)]
pub struct Wrong {
    pub what: String,
    pub folder: PathBuf,
}

pub struct World {
    folder: TempDir,
    /// The tracker last; a peer's place is its number as a sender.
    programs: Vec<Program>,
    tracker: Option<(String, String)>,
    heard: Receiver<Heard>,
    tell: Sender<Heard>,
    hit: BTreeMap<(&'static str, &'static str), usize>,
    deaths: usize,
    failed_starts: usize,
}

/// Runs a schedule in a world of its own, and checks what everybody has seen.
pub fn run(schedule: &Schedule) -> Result<Outcome, Wrong> {
    let started = Instant::now();
    let mut world = World::new(schedule);
    let went = world.live(schedule).and_then(|()| {
        let history = world.history();
        let violations = check(&history);
        if violations.is_empty() { Ok(history) } else { Err(format!("{violations:?}")) }
    });
    match went {
        Ok(history) => Ok(Outcome { history, hit: world.hit, deaths: world.deaths, took: started.elapsed() }),
        Err(what) => {
            world.programs.clear();
            Err(Wrong { what, folder: world.folder.keep() })
        }
    }
}

impl World {
    fn new(schedule: &Schedule) -> Self {
        let folder = tempfile::Builder::new().prefix("natter-crashes-").tempdir().unwrap();
        let (tell, heard) = mpsc::channel();
        let mut programs = Vec::new();
        for (who, plan) in schedule.peers.iter().enumerate() {
            let (role, name) = if who == 0 {
                (Role::Host, "ken".to_owned())
            } else {
                (Role::Member, format!("member{who}"))
            };
            let mut program = Program::new(who, role, &name, folder.path(), plan, schedule.ahead[who]);
            if schedule.signs_up && who == PEERS - 1 {
                program.set_up([Program::sign_up()]);
            }
            let verb = if role == Role::Host { "host" } else { "join" };
            program.set_up([format!("{verb} {CHANNEL}")]);
            programs.push(program);
        }
        let tracker =
            Program::new(programs.len(), Role::Tracker, "tracker", folder.path(), &schedule.tracker, 1);
        programs.push(tracker);
        let hit = BTreeMap::new();
        Self { folder, programs, tracker: None, heard, tell, hit, deaths: 0, failed_starts: 0 }
    }

    fn live(&mut self, schedule: &Schedule) -> Result<(), String> {
        self.until("everybody is in the channel", |world| world.peers().iter().all(Program::is_set_up))?;
        for _ in 0..schedule.stages {
            self.peers_mut().iter_mut().for_each(|peer| peer.may_type(schedule.texts));
            self.until("everybody has written", |world| {
                world.is_tracker_up() && world.peers().iter().all(Program::has_typed)
            })?;
            if schedule.settles {
                self.settle()?;
            }
            self.end_lives();
        }
        self.programs.iter_mut().for_each(|program| program.plan.clear());
        self.end_lives();
        self.settle()?;
        self.until("the host's log is read", |world| {
            world.programs[0].ask_history();
            world.programs[0].has_history()
        })?;
        let log = self.programs[0].log.iter().flatten();
        let head = log.map(|entry| entry.seq).max().unwrap_or_default();
        self.until("everybody has shown the last message", |world| {
            world.peers().iter().all(|peer| peer.shown() >= head)
        })?;
        self.until("all histories are read", |world| {
            world.peers_mut().iter_mut().for_each(Program::ask_history);
            world.peers().iter().all(Program::has_history)
        })
    }

    fn settle(&mut self) -> Result<(), String> {
        self.peers_mut().iter_mut().for_each(|peer| peer.is_outbox_empty = false);
        self.until("all is sent", |world| {
            world.peers_mut().iter_mut().for_each(Program::ask_outbox);
            world.peers().iter().all(|peer| peer.is_set_up() && peer.is_outbox_empty)
        })
    }

    fn peers(&self) -> &[Program] {
        &self.programs[..PEERS]
    }

    fn peers_mut(&mut self) -> &mut [Program] {
        &mut self.programs[..PEERS]
    }

    fn is_tracker_up(&self) -> bool {
        self.programs[PEERS].is_ready
    }

    /// Ends the lives that were to end in this stage and did not.
    fn end_lives(&mut self) {
        for program in &mut self.programs {
            if let (Some(death), Some(life)) = (program.death.take(), &mut program.life) {
                match death {
                    Death::Stopped { .. } => life.stop(),
                    Death::Killed { .. } | Death::At { .. } => life.kill(),
                }
                // Its end is heard of later; it takes nothing any more.
                program.is_ready = false;
            }
        }
    }

    /// Goes on until it is so.
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) -> Result<(), String> {
        let started = Instant::now();
        loop {
            self.turn()?;
            if is_so(self) {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(format!("it takes too long until {what}"));
            }
        }
    }

    /// Starts who is not there, gives everybody what it can take, and listens for a while.
    fn turn(&mut self) -> Result<(), String> {
        self.start_all();
        self.programs.iter_mut().for_each(Program::act);
        match self.heard.recv_timeout(TURN) {
            Ok(heard) => self.hear(heard)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        while let Ok(heard) = self.heard.try_recv() {
            self.hear(heard)?;
        }
        let broken = self.programs.iter().find_map(|program| Some((&program.name, program.broken.as_ref()?)));
        broken.map_or(Ok(()), |(name, how)| Err(format!("{name}: {how}")))
    }

    fn start_all(&mut self) {
        for program in self.programs.iter_mut().filter(|program| program.life.is_none()) {
            let before = program.death;
            program.death = program.plan.front().copied();
            let Some(command) = program.command(self.tracker.as_ref()) else {
                program.death = before;
                continue;
            };
            program.plan.pop_front();
            program.begun(Life::start(program.who, command, &program.record, self.tell.clone()));
        }
    }

    fn hear(&mut self, Heard { who, what }: Heard) -> Result<(), String> {
        let program = &mut self.programs[who];
        match what {
            What::Line(line) if program.role == Role::Tracker => {
                let said =
                    line.strip_prefix("tracker ready listen=").and_then(|rest| rest.split_once(" key="));
                let (address, key) = said.ok_or_else(|| format!("the tracker said {line}"))?;
                self.tracker = Some((address.to_owned(), key.to_owned()));
                program.is_ready = true;
            }
            What::Line(line) => program.heard(&line),
            What::Silence => return self.bury(who),
        }
        let Some(life) = &mut program.life else { return Ok(()) };
        life.lines += 1;
        match program.death {
            Some(Death::Killed { lines }) if life.lines == lines => life.kill(),
            Some(Death::Stopped { lines }) if life.lines == lines => life.stop(),
            _ => {}
        }
        Ok(())
    }

    /// A life is over: of itself, or because it was ended.
    fn bury(&mut self, who: usize) -> Result<(), String> {
        let program = &mut self.programs[who];
        let Some(life) = &mut program.life else { return Ok(()) };
        let was_ready = program.is_ready;
        let end = match life.end() {
            Ok(end) => end,
            // Somebody else may have got its port for a moment.
            Err(_)
                if program.role == Role::Tracker && !was_ready && self.failed_starts < MAX_FAILED_STARTS =>
            {
                self.failed_starts += 1;
                program.plan.extend(program.death.take());
                End::Killed
            }
            Err(how) => return Err(format!("{} ended with {how}", program.name)),
        };
        if let (Some(Death::At { point, .. }), End::Killed) = (program.death, end) {
            *self.hit.entry((program.role.name(), point.name())).or_default() += 1;
        }
        self.deaths += 1;
        program.death = None;
        program.ended(end);
        Ok(())
    }

    fn history(&mut self) -> History {
        let mut history = History::default();
        for peer in self.peers_mut() {
            history.sent.append(&mut peer.sent);
            history.stored.append(&mut peer.stored);
            let (lives, log) = (std::mem::take(&mut peer.lives), peer.log.take().unwrap_or_default());
            history.views.push(View { lives, log });
        }
        history
    }
}
