//! The world: its clock, what is to happen when, and the end, when all is well again.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::entry::{Checkpoint, Position};
use common::id::{ChannelId, Epoch, IdentityKind, RequestId, Subject};
use common::identity::PeerKey;
use common::link::CloseReason;
use common::pass::SignedPass;
use common::proto::directory::{ChannelRecord, Owner};
use common::signed::Signed;

use super::client::SimClient;
use super::disk::{Disk, Luck};
use super::files::ClientFiles;
use super::history::{Checked, History, Violation, ensure};
use super::host::SimHost;
use super::log::LogFile;
use super::random::Random;
use super::wire::Wire;
use super::{Planted, Side};
use crate::client::state::{Habits, Timer};
use crate::client::{CatchUp, Fill};
use crate::store::KnownChannel;

/// How long faults go on, in milliseconds.
const FAULTS_FOR: u64 = 100_000;
/// By then all has to be well again.
const WELL_WITHIN: u64 = 600_000;
/// How many events of the trace are kept, to be shown.
const TRACE: usize = 60;
/// More events than this, and something spins.
const MAX_EVENTS: u64 = 2_000_000;

/// What happens.
#[derive(Clone, Debug, Hash)]
pub enum What {
    Write(u64, Side),
    Arrive(u64, Side),
    Watch(u64),
    Ping(u64),
    Notice(u64, Side),
    Closed(u64),
    Overdue(u64, RequestId),
    Unasked(u64),
    HostLeft(u64),
    CatchUp { wire: u64, conn: u64, after: u64, life: u64 },
    HostTick(u64),
    HostWrites(u64),
    HostFlushed(u64),
    HostStarts,
    Erase,
    ClientStarts(usize),
    ClientWrites(usize, u64),
    ClientFlushed(usize, u64),
    Timer { client: usize, life: u64, timer: Timer },
    Dialled { client: usize, life: u64, generation: u64 },
    Located { client: usize, life: u64, over: u64 },
    Seen { client: usize, life: u64 },
    Screen(usize, u64),
    Enters(usize, u64),
    User(usize),
    Impatient(usize),
    Fault,
    Heal,
    Look,
}

/// How much went on in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub events: u64,
    pub faults: u64,
    pub written: u64,
    pub stored: u64,
    pub connected: u64,
    pub slow_readers: u64,
    pub virtual_ms: u64,
}

impl Count {
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.faults += other.faults;
        self.written += other.written;
        self.stored += other.stored;
        self.connected += other.connected;
        self.slow_readers += other.slow_readers;
        self.virtual_ms += other.virtual_ms;
    }
}

pub struct World {
    pub random: Random,
    pub planted: Option<Planted>,
    pub now: u64,
    pub delay: u64,
    /// How long a flush of the host takes at most.
    pub host_flush: u64,
    pub large_texts: bool,
    /// The next flush fails.
    pub disk_fails: bool,
    pub host: SimHost,
    pub clients: Vec<SimClient>,
    pub wires: BTreeMap<u64, Wire>,
    pub last_wire: u64,
    pub record: ChannelRecord,
    pub pass: SignedPass,
    pub signed: Signed<Checkpoint>,
    pub history: History,
    pub count: Count,
    events: BTreeMap<(u64, u64), What>,
    planned: u64,
    is_calm: bool,
    is_well: bool,
    is_restarted: bool,
    /// Of all that has happened; the same in every process, unlike that of a map.
    hash: DefaultHasher,
    trace: VecDeque<(u64, What)>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    pub count: Count,
    /// Of all that happened, in order.
    pub trace_hash: u64,
    pub outcome: Result<(), Violation>,
    /// The last that happened.
    pub trace: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, planted: Option<Planted>) -> Run {
    let mut world = World::new(seed, planted);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.go()))
        .unwrap_or_else(|_| Err(Violation("it panicked, as is told above".to_owned())));
    world.count.virtual_ms = world.now;
    world.count.stored = world.host.disk.flushed().entries.len() as u64;
    let trace = world.trace.iter().map(|(at, what)| format!("{at} {what:?}")).collect();
    Run { count: world.count, trace_hash: world.hash.finish(), outcome, trace }
}

impl World {
    fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut random = Random::new(seed);
        let (channel, epoch) = (ChannelId(random.uuid()), Epoch(random.uuid()));
        let host_key = PeerKey::from_bytes([0xaa; 32]);
        let owner = Owner {
            subject: Subject::Guest(host_key),
            name: "host".parse().unwrap(),
            kind: IdentityKind::Guest,
        };
        let record = ChannelRecord {
            id: channel,
            name: "first".parse().unwrap(),
            owner,
            host_key,
            addresses: Vec::new(),
            head: Position::start(channel, epoch),
            term: 1,
            online: true,
            moved: None,
        };
        let clients = random.within(2, 4);
        let far_behind = [6, 30, 2000][random.within(0, 2) as usize];
        let tail = random.within(1, far_behind.min(50)) as u32;
        let fill = if random.within(0, 1) == 1 { Fill::All } else { Fill::None };
        let catch_up = CatchUp { far_behind, tail, fill };
        let expire = random.one_in(4).then(|| Duration::from_secs(random.within(20, 90)));
        let client = |number: u64| SimClient {
            key: PeerKey::from_bytes([number as u8 + 1; 32]),
            disk: Disk::new(ClientFiles::new(KnownChannel {
                joined: true,
                ..KnownChannel::new(record.clone())
            })),
            habits: Habits { expire, catch_up },
            life: 0,
            running: None,
            session: None,
            sessions: 0,
            watches: false,
            reads_again: 0,
            reachable_again: 0,
        };
        let clients = (0..clients).map(client).collect();
        let text = |text: &str| serde_json::to_string(text).unwrap();
        Self {
            planted,
            now: 1_000_000,
            delay: random.within(1, 80),
            host_flush: [40, 1500, 8000][random.within(0, 2) as usize],
            large_texts: random.one_in(8),
            disk_fails: false,
            host: SimHost {
                disk: Disk::new(LogFile::new(channel, epoch)),
                life: 0,
                running: None,
                refusing: false,
            },
            clients,
            wires: BTreeMap::new(),
            last_wire: 0,
            record,
            pass: serde_json::from_str(&text("00.00")).unwrap(),
            signed: serde_json::from_str(&text("00.00")).unwrap(),
            history: History::default(),
            count: Count::default(),
            events: BTreeMap::new(),
            planned: 0,
            is_calm: false,
            is_well: false,
            is_restarted: false,
            hash: DefaultHasher::new(),
            trace: VecDeque::new(),
            random,
        }
    }

    /// Plans what happens after so many milliseconds.
    pub fn later(&mut self, after: u64, what: What) {
        self.planned += 1;
        self.events.insert((self.now.saturating_add(after), self.planned), what);
    }

    pub fn soon(&mut self, what: What) {
        let after = self.random.within(0, 2);
        self.later(after, what);
    }

    fn go(&mut self) -> Checked {
        self.start_host()?;
        for number in 0..self.clients.len() {
            self.start_client(number)?;
            self.plan_session(number);
            self.later(1, What::User(number));
        }
        self.later(2000, What::Fault);
        self.later(3000, What::Erase);
        self.later(FAULTS_FOR, What::Heal);
        let end = self.now + FAULTS_FOR + 2 * WELL_WITHIN;
        while let Some(((at, _), what)) = self.events.pop_first() {
            self.now = at;
            self.count.events += 1;
            self.note(&what);
            self.happen(what)?;
            if self.is_well && self.restart_once()? {
                return self.check_end();
            }
            let is_over = self.now > end || self.count.events > MAX_EVENTS;
            ensure(!is_over, || format!("it does not come to rest: {}", self.unrest().join("; ")))?;
        }
        ensure(false, || "nothing happens any more".to_owned())
    }

    fn note(&mut self, what: &What) {
        (self.now, what).hash(&mut self.hash);
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back((self.now, what.clone()));
    }

    fn is_life(&self, client: usize, life: u64) -> bool {
        self.clients[client].life == life && self.clients[client].running.is_some()
    }

    fn happen(&mut self, what: What) -> Checked {
        match what {
            What::Write(wire, side) => self.write(wire, side),
            What::Arrive(wire, side) => self.arrive(wire, side),
            What::Watch(wire) => self.watch(wire),
            What::Ping(wire) => {
                self.ping(wire);
                Ok(())
            }
            What::Notice(wire, side) => {
                self.ended(wire, side, CloseReason::Broken("the connection was cut".to_owned()))
            }
            What::Closed(wire) => self.closed(wire),
            What::Unasked(wire) => self.unasked(wire),
            What::Overdue(wire, request) => self.overdue(wire, request),
            What::HostLeft(wire) => match self.wires.get(&wire) {
                Some(wire_of) if wire_of.host_life == self.host.life => self.host_left(wire),
                _ => Ok(()),
            },
            What::CatchUp { wire, conn, after, life } if life == self.host.life => {
                if self.wires.contains_key(&wire) { self.host_catch_up(wire, conn, after) } else { Ok(()) }
            }
            What::HostTick(life) if life == self.host.life => self.host_tick(),
            What::HostWrites(life) if life == self.host.life => {
                self.host_writes();
                Ok(())
            }
            What::HostFlushed(life) if life == self.host.life => {
                let luck = self.luck();
                self.host_flushed(luck)
            }
            What::HostStarts if self.host.running.is_none() => self.start_host(),
            What::Erase if !self.is_calm => {
                let next = self.random.mostly(20_000, 60_000);
                self.later(next, What::Erase);
                self.host_erases()
            }
            What::ClientStarts(number) if self.clients[number].running.is_none() => {
                self.plan_session(number);
                self.start_client(number)
            }
            What::ClientWrites(number, life) if self.is_life(number, life) => {
                self.client_writes(number);
                Ok(())
            }
            What::ClientFlushed(number, life) if self.is_life(number, life) => {
                let luck = self.luck();
                self.client_flushed(number, luck)
            }
            What::Timer { client, life, timer } if self.is_life(client, life) => {
                self.client_woke(client, timer)
            }
            What::Dialled { client, life, generation } if self.is_life(client, life) => {
                self.dialled(client, generation)
            }
            What::Located { client, life, over } if self.is_life(client, life) => self.located(client, over),
            What::Seen { client, life } if self.is_life(client, life) => self.seen(client),
            What::Screen(number, life) if self.is_life(number, life) => self.screen(number, life),
            What::Enters(number, life) if self.is_life(number, life) => self.session(number, true),
            What::User(number) => self.user_turn(number),
            What::Impatient(number) if !self.is_calm => self.impatient(number),
            What::Fault if !self.is_calm => {
                let next = self.random.within(500, 12_000);
                self.later(next, What::Fault);
                self.fault()
            }
            What::Heal => self.heal(),
            What::Look => self.look(),
            _ => Ok(()),
        }
    }

    fn plan_session(&mut self, number: usize) {
        let after = self.random.mostly(200, 30_000);
        // It starts with the next life.
        let life = self.clients[number].life + u64::from(self.clients[number].running.is_none());
        self.later(after, What::Enters(number, life));
    }

    fn user_turn(&mut self, number: usize) -> Checked {
        if self.is_calm {
            return Ok(());
        }
        let next = self.random.mostly(8000, 40_000).max(50);
        self.later(next, What::User(number));
        self.user(number)
    }

    fn luck(&mut self) -> Luck {
        if self.is_calm || !std::mem::take(&mut self.disk_fails) {
            Luck::Good
        } else if self.random.one_in(2) {
            Luck::Full
        } else {
            Luck::Fails(self.random.within(0, 3) as usize)
        }
    }

    /// Faults stop. What is down starts by itself; the users do what the programs ask them to.
    fn heal(&mut self) -> Checked {
        self.is_calm = true;
        self.host.refusing = false;
        for number in 0..self.clients.len() {
            self.clients[number].reads_again = 0;
            self.clients[number].reachable_again = 0;
            self.session(number, true)?;
        }
        for wire in self.wires.values_mut() {
            wire.stalled_until = 0;
        }
        self.later(1000, What::Look);
        Ok(())
    }

    /// Once a second: is all well?
    fn look(&mut self) -> Checked {
        self.later(1000, What::Look);
        for number in 0..self.clients.len() {
            let Some(running) = &self.clients[number].running else { continue };
            if !running.state.channel().joined {
                self.join(number)?;
            } else if running.state.outbox().stuck(None).is_some() {
                self.retry(number)?;
            }
            self.session(number, true)?;
        }
        self.is_well = self.unrest().is_empty();
        Ok(())
    }

    /// When all is well everything is stopped in order and started once more: what is on disk is what counts. Whether
    /// that has been done.
    fn restart_once(&mut self) -> Result<bool, Violation> {
        if std::mem::replace(&mut self.is_restarted, true) {
            return Ok(true);
        }
        self.is_well = false;
        self.stop_host()?;
        for number in 0..self.clients.len() {
            self.client_gone(number, false)?;
        }
        Ok(false)
    }

    /// What keeps the world from being well.
    fn unrest(&self) -> Vec<String> {
        let head = self.host.disk.flushed().head();
        let mut unrest = Vec::new();
        if self.host.running.as_ref().is_none_or(|host| !host.channel.is_idle()) {
            unrest.push("the host has something under way".to_owned());
        }
        for (number, client) in self.clients.iter().enumerate() {
            let Some(running) = &client.running else {
                unrest.push(format!("client {number} is down"));
                continue;
            };
            let (outbox, keeper) = (running.state.outbox(), running.state.keeper());
            if !outbox.is_empty() {
                let first = outbox.rows(None).first().map(|row| {
                    let (item, waits) = (row.item.number, &row.waits);
                    format!("{item} refused {:?} wish {:?}, {waits:?}", row.item.refused, row.item.wish)
                });
                unrest.push(format!("client {number} has {} messages, the first {first:?}", outbox.len()));
            }
            if keeper.have().is_none_or(|have| have != head) && head.seq > 0 {
                unrest.push(format!("client {number} is at {} of {}", keeper.seq(), head.seq));
            }
            if keeper.intervals().iter().count() > 1 || !keeper.is_idle() {
                unrest.push(format!("client {number} lacks entries: {:?}", keeper.intervals()));
            }
            if !self.is_screen_empty(number) || !client.disk.is_idle() {
                unrest.push(format!("client {number} has not shown or written all"));
            }
        }
        unrest
    }

    fn check_end(&mut self) -> Checked {
        let log = &self.host.disk.flushed().entries;
        self.history.check_log(log, true)?;
        for (number, client) in self.clients.iter().enumerate() {
            let files = client.disk.flushed();
            ensure(files.outbox.is_empty(), || format!("client {number} keeps {:?}", files.outbox))?;
            self.history.check_shown(number, log.len() as u64)?;
            let intervals = files.intervals();
            for interval in intervals.iter() {
                for seq in interval.after + 1..=interval.end.seq {
                    let kept = files.entry(seq).and_then(|entry| entry.to_bytes().ok());
                    let is_same = kept.as_ref() == Some(&log[seq as usize - 1].bytes);
                    ensure(is_same, || format!("client {number} has another entry {seq}"))?;
                }
            }
        }
        Ok(())
    }
}
