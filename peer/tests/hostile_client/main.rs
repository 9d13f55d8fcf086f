//! Clients that speak the protocol and break its rules, in every phase, against a live tracker and a live host.
//!
//! Nothing crashes, nothing hangs, everything is answered or hung up on, nothing of them is left behind, and who behaves
//! notices nothing. See docs/RELIABILITY.md.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::print_stdout, reason = "figures are for whoever runs it")]

#[path = "../crashes/dice.rs"]
mod dice;
mod generator;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod visit;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use generator::Examples;
use scene::{PHASES, Scene};
use visit::Tally;

/// How many are hostile at once, in each round.
const AT_ONCE: u64 = 4;
/// How many rounds a scene has: then all of it is held against what it was before, and stopped in order.
const ROUNDS: u64 = 14;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic in a task ends a connection and nothing else: it would not be noticed.
fn count_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(panic);
    }));
}

fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// One scene: its rounds, and then what is left of them.
async fn run(first: u64, examples: &Examples, tally: &mut Tally) {
    let mut scene = Scene::new().await;
    for round in 0..ROUNDS {
        let seeds = (0..AT_ONCE).map(|at| first + round * AT_ONCE + at);
        scene.round(round, seeds, examples, tally).await;
    }
    scene.end().await;
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something has panicked");
}

#[actix::test]
async fn hostile_clients_disturb_nobody_and_leave_nothing_behind() {
    count_panics();
    let examples = Examples::read();
    let minutes: Option<f64> = setting("NATTER_MINUTES");
    let limit = Duration::from_secs_f64(60.0 * minutes.unwrap_or_default());
    let first: u64 = setting("NATTER_SEED").unwrap_or(1);
    let (started, mut next, mut tally) = (Instant::now(), first, Tally::default());
    loop {
        println!(
            "again: NATTER_SEED={next} cargo test -p peer --all-features --test hostile_client -- --nocapture"
        );
        run(next, &examples, &mut tally).await;
        next += ROUNDS * AT_ONCE;
        if started.elapsed() >= limit {
            break;
        }
    }
    let Tally { connections, requests, answers, ended } = &tally;
    println!(
        "{connections} hostile connections from seed {first} in {:.0} s: {requests} requests that were to be answered, \
         {ended} hung up on; {answers:?}",
        started.elapsed().as_secs_f64()
    );
    // It was no monologue.
    assert!(
        *connections >= 2 * PHASES.len() && *requests > 10 * connections && ended < connections,
        "{tally:?}"
    );
    for code in
        ["ok", "bad_request", "bad_frame", "unknown_command", "wrong_phase", "not_signed_in", "not_moderator"]
    {
        assert!(answers.contains_key(code), "nobody was told {code}: {answers:?}");
    }
}
