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
    /// Whether a life that did not end as planned is tried again.
    pub insists: bool,
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
        Self { tracker, peers, stages, texts: 4, ahead, insists: false, signs_up }
    }

    /// One in which the tracker alone dies, once.
    pub fn tracker_dies(point: Point) -> Self {
        let tracker = vec![Death::At { point, nth: 1 }];
        let (peers, ahead) = (vec![Plan::new(); PEERS], vec![1; PEERS]);
        Self { tracker, peers, stages: 1, texts: 1, ahead, insists: false, signs_up: false }
    }

    /// One that comes by every point there is: each program dies at all of its own.
    pub fn tour() -> Self {
        let of = |role| points(role).into_iter().map(|point| Death::At { point, nth: 1 }).collect::<Plan>();
        let (tracker, host, member) = (of(Role::Tracker), of(Role::Host), of(Role::Member));
        let stages = tracker.len().max(host.len()).max(member.len()) * 2;
        let peers = vec![host, Plan::new(), Plan::new(), member];
        Self { tracker, peers, stages, texts: 2, ahead: vec![2; PEERS], insists: true, signs_up: true }
    }
}

/// The points that a program comes by.
pub fn points(role: Role) -> Vec<Point> {
    let is_passed = |point: &Point| match point.passer() {
        Passer::Any => true,
        Passer::Tracker => role == Role::Tracker,
        Passer::Host => role == Role::Host,
        Passer::Member => role == Role::Member,
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
