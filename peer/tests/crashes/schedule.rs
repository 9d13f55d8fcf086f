//! Who dies when: made from a seed, or made to come by every point once.

use common::crash::{Passer, Point};

use super::dice::Dice;

/// How many peers there are; the first one hosts.
pub const PEERS: usize = 4;

/// How one life of a program ends.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// It kills itself when it comes by a point for the `nth` time.
    At { point: Point, nth: u64 },
    /// It is killed when it has said so many lines.
    Killed { lines: u64 },
    /// It is asked to end when it has said so many lines.
    Stopped { lines: u64 },
}

/// What a program is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Tracker,
    Host,
    Member,
}

impl Role {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Host => "host",
            Self::Member => "member",
        }
    }
}

/// The lives of one program before its last one, which is left alone.
pub type Plan = Vec<Death>;

/// What is to happen in one world.
#[derive(Debug)]
pub struct Schedule {
    pub tracker: Plan,
    /// By peer; the first one hosts.
    pub peers: Vec<Plan>,
    /// How often everybody writes something. A life that did not end during one of these is killed at its end.
    pub stages: usize,
    /// How many messages each peer writes in a stage.
    pub texts: u64,
    /// How many commands a peer is given before it has answered the first.
    pub ahead: Vec<usize>,
    /// Whether all has to be sent before a stage ends.
    pub settles: bool,
    /// Whether the last peer makes an account.
    pub signs_up: bool,
}

impl Schedule {
    /// A random one: two to six deaths, of anybody.
    pub fn random(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let (mut tracker, mut peers) = (Plan::new(), vec![Plan::new(); PEERS]);
        for _ in 0..2 + dice.roll(5) {
            match dice.roll(10) {
                0..2 => tracker.push(death(&mut dice, Role::Tracker)),
                2..6 => peers[0].push(death(&mut dice, Role::Host)),
                _ => peers[1 + dice.roll(PEERS as u64 - 1) as usize].push(death(&mut dice, Role::Member)),
            }
        }
        let stages = peers.iter().chain([&tracker]).map(Vec::len).max().unwrap_or_default() + 1;
        let ahead = (0..PEERS).map(|_| 1 + dice.roll(4) as usize).collect();
        let signs_up = dice.roll(10) == 0;
        Self { tracker, peers, stages, texts: 4, ahead, settles: false, signs_up }
    }

    /// One in which a program dies at this point. Where it takes somebody else's going, the host and a member go too.
    pub fn dying(role: Role, point: Point) -> Self {
        let (mut tracker, mut peers) = (Plan::new(), vec![Plan::new(); PEERS]);
        let plan = match role {
            Role::Tracker => &mut tracker,
            Role::Host => &mut peers[0],
            Role::Member => &mut peers[PEERS - 1],
        };
        plan.push(Death::At { point, nth: 1 });
        match point {
            Point::TrackerSeen => peers[0].push(Death::Killed { lines: 8 }),
            Point::HostStreamed => peers[1].push(Death::Killed { lines: 9 }),
            _ => {}
        }
        let signs_up = point == Point::TrackerSignedUp;
        Self { tracker, peers, stages: 2, texts: 4, ahead: vec![1; PEERS], settles: true, signs_up }
    }
}

/// The points that a program comes by.
pub fn points(role: Role) -> Vec<Point> {
    let is_passed = |point: &Point| match point.passer() {
        Passer::Any => true,
        Passer::Tracker => role == Role::Tracker,
        Passer::Host => role == Role::Host,
        Passer::Member => role == Role::Member,
        // See `recovery_kill`.
        Passer::Recovering => false,
    };
    Point::ALL.iter().copied().filter(is_passed).collect()
}

fn death(dice: &mut Dice, role: Role) -> Death {
    let lines = 1 + dice.roll(25);
    match dice.roll(10) {
        0..7 => {
            let point = dice.one_of(&points(role));
            let most = if point.passer() == Passer::Any { 15 } else { 5 };
            Death::At { point, nth: 1 + dice.roll(most) }
        }
        7..9 => Death::Killed { lines },
        _ => Death::Stopped { lines },
    }
}
