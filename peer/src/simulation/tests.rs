use std::collections::BTreeSet;
use std::time::Instant;

use super::Planted;
use super::world::{Count, Run, run};

/// How many seeds are run, unless the environment says otherwise.
const SEEDS: u64 = 200;
/// A planted bug has to be found within so many.
const SEEDS_FOR_A_BUG: u64 = 60;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

fn tell_failure(seed: u64, run: &Run) -> String {
    format!(
        "seed {seed}: {}\nafter {:?}; the last that happened:\n{}\nagain with: NATTER_SIM_SEED={seed} cargo test -p \
         peer --lib simulation::tests::whatever_happens -- --nocapture",
        run.outcome.as_ref().err().map_or("", |violation| &violation.0),
        run.count,
        run.trace.join("\n"),
    )
}

/// `NATTER_SIM_SEED` runs that one; `NATTER_SIM_SEEDS` so many from `NATTER_SIM_FIRST` on, and `NATTER_SIM_MINUTES` as
/// many as that gives time for.
#[test]
fn whatever_happens_nothing_is_lost_repeated_or_out_of_order() {
    let one = number("NATTER_SIM_SEED");
    let first = one.or_else(|| number("NATTER_SIM_FIRST")).unwrap_or(0);
    let minutes: Option<f64> = std::env::var("NATTER_SIM_MINUTES").ok().map(|text| text.parse().unwrap());
    let seeds = match (one, minutes) {
        (Some(_), _) => 1,
        (None, Some(_)) => u64::MAX - first,
        (None, None) => number("NATTER_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (began, mut total, mut ran) = (Instant::now(), Count::default(), 0);
    for seed in first..first + seeds {
        if minutes.is_some_and(|minutes| ran > 0 && began.elapsed().as_secs_f64() > minutes * 60.0) {
            break;
        }
        let run = run(seed, None);
        assert!(run.outcome.is_ok(), "{}", tell_failure(seed, &run));
        total.add(run.count);
        ran += 1;
    }
    let Count { events, faults, written, stored, connected, slow_readers, virtual_ms } = total;
    let hours = virtual_ms / 3_600_000;
    println!(
        "{ran} seeds of the simulation, {hours} hours in them: {events} events, {faults} faults, {connected} connections, \
         {slow_readers} slow readers, {written} messages written, {stored} stored"
    );
    // A simulation in which nothing happens proves nothing.
    assert!(faults >= ran && stored >= ran && connected >= ran);
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let mut hashes = BTreeSet::new();
    for seed in 0..5 {
        let (once, again) = (run(seed, None), run(seed, None));
        assert_eq!((once.trace_hash, once.count), (again.trace_hash, again.count));
        hashes.insert(once.trace_hash);
    }
    assert_eq!(hashes.len(), 5, "different seeds are different runs");
}

fn is_found(planted: Planted) {
    let found = (0..SEEDS_FOR_A_BUG).find_map(|seed| Some((seed, run(seed, Some(planted)).outcome.err()?)));
    let (seed, violation) = found.unwrap_or_else(|| panic!("{planted:?} is not found"));
    assert!(run(seed, None).outcome.is_ok(), "it is not the planted bug that seed {seed} finds");
    println!("{planted:?} is found by seed {seed}: {}", violation.0);
}

macro_rules! planted {
    ($($name:ident $bug:ident;)*) => {
        $(#[test]
        fn $name() {
            is_found(Planted::$bug);
        })*
    };
}

planted! {
    a_host_that_forgets_ids_is_found HostForgetsIds;
    a_host_that_answers_before_the_flush_is_found HostAnswersEarly;
    a_client_that_answers_before_the_flush_is_found ClientAnswersEarly;
    a_stream_that_begins_one_too_late_is_found ResumeSkipsOne;
    a_link_that_forgets_who_waits_is_found LinkForgets;
    a_sender_that_never_restarts_is_found NoRestart;
    showing_that_counts_too_soon_is_found ToldIsShown;
    an_outbox_that_is_not_read_is_found OutboxForgotten;
    a_member_that_is_live_too_soon_is_found LiveTooSoon;
    a_client_that_keeps_what_is_erased_is_found ErasureNotFollowed;
}
