//! Schedules, run: the tour over every point, and as many random ones as are wanted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::crash::Point;

use super::history::repeats;
use super::schedule::{Role, Schedule, points};
use super::world::{Outcome, Wrong, run};

/// How many worlds live at once: most of them wait most of the time.
const WORLDS: u64 = 4;
/// How often a program is sent to die at a point.
const TRIES: usize = 8;

/// What a long run wants more of: see `scripts/chaos`.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn again(seed: u64) -> String {
    format!("NATTER_SEED={seed} NATTER_SCHEDULES=1 cargo test -p peer --test crashes -- --nocapture random_1")
}

/// What many schedules have come to.
#[derive(Default)]
struct Total {
    schedules: u64,
    deaths: usize,
    messages: usize,
    stored: usize,
    repeats: usize,
    slowest: Duration,
    hit: BTreeMap<(&'static str, &'static str), usize>,
    wrong: Vec<String>,
}

impl Total {
    fn add(&mut self, seed: u64, outcome: Result<Outcome, Wrong>) {
        self.schedules += 1;
        match outcome {
            Ok(Outcome { history, hit, deaths, took }) => {
                self.deaths += deaths;
                self.messages += history.views[0].log.len();
                self.stored += history.stored.len();
                self.repeats += repeats(&history);
                self.slowest = self.slowest.max(took);
                for (point, times) in hit {
                    *self.hit.entry(point).or_default() += times;
                }
            }
            Err(Wrong { what, folder }) => {
                let wrong = format!("seed {seed}: {what}; see {}; again: {}", folder.display(), again(seed));
                println!("{wrong}");
                self.wrong.push(wrong);
            }
        }
    }
}

/// Runs the schedules of these seeds, several at once, until there are enough or the time is over.
fn run_all(first: u64, schedules: u64, limit: Option<Duration>) {
    let (next, total, started) = (AtomicU64::new(0), Mutex::new(Total::default()), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..WORLDS.min(schedules) {
            scope.spawn(|| {
                while limit.is_none_or(|limit| started.elapsed() < limit) {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= schedules {
                        return;
                    }
                    let seed = first + at;
                    let outcome = run(&Schedule::random(seed));
                    total.lock().unwrap().add(seed, outcome);
                }
            });
        }
    });
    let Total { schedules, deaths, messages, stored, repeats, slowest, hit, wrong } =
        total.into_inner().unwrap();
    println!(
        "{schedules} schedules from seed {first} in {:.0} s: {deaths} lives ended, {} of them at {} points; {messages} \
         messages, {stored} acknowledged, {repeats} shown again after a crash; the slowest took {:.1} s",
        started.elapsed().as_secs_f64(),
        hit.values().sum::<usize>(),
        hit.len(),
        slowest.as_secs_f64()
    );
    assert!(wrong.is_empty(), "{} schedules went wrong: {wrong:#?}", wrong.len());
}

/// A quarter of the usual ones, or all that a long run wants.
fn quarter(at: u64) {
    let minutes = std::env::var("NATTER_MINUTES").ok().map(|text| text.parse::<f64>().unwrap());
    let limit = minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes));
    let wanted = std::env::var_os("NATTER_SCHEDULES").is_some();
    if wanted || limit.is_some() {
        if at == 0 {
            run_all(setting("NATTER_SEED", 1), setting("NATTER_SCHEDULES", u64::MAX), limit);
        }
        return;
    }
    run_all(1 + 25 * at, 25, None);
}

// In quarters, so that none takes long.
#[test]
fn random_1_acknowledged_messages_survive_and_are_shown_once() {
    quarter(0);
}

#[test]
fn random_2_acknowledged_messages_survive_and_are_shown_once() {
    quarter(1);
}

#[test]
fn random_3_acknowledged_messages_survive_and_are_shown_once() {
    quarter(2);
}

#[test]
fn random_4_acknowledged_messages_survive_and_are_shown_once() {
    quarter(3);
}

/// What the tracker has written and not answered is this peer's channel all the same, and not a name that is taken.
#[test]
fn a_channel_whose_announcement_was_cut_short_can_be_hosted_again() {
    die_at(Role::Tracker, Point::TrackerListed);
}

/// Has a program die at a point, in a world of its own where all is as promised in the end. On a slow machine it may end
/// before it comes there.
fn die_at(role: Role, point: Point) {
    let comes_by = |_| {
        let outcome = run(&Schedule::dying(role, point));
        let outcome = outcome.unwrap_or_else(|wrong| panic!("{role:?} at {}: {wrong:?}", point.name()));
        outcome.hit.contains_key(&(role.name(), point.name()))
    };
    assert!((0..TRIES).any(comes_by), "no {} came by {}", role.name(), point.name());
}

#[test]
fn every_crash_point_is_come_by() {
    let roles = [Role::Tracker, Role::Host, Role::Member];
    let all: Vec<_> =
        roles.into_iter().flat_map(|role| points(role).into_iter().map(move |at| (role, at))).collect();
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(|| {
                while let Some((role, point)) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    die_at(*role, *point);
                }
            });
        }
    });
    println!(
        "{} deaths at {} points in {:.0} s",
        all.len(),
        Point::ALL.len(),
        started.elapsed().as_secs_f64()
    );
}
