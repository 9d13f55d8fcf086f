//! The real programs are killed at every step of the way of a message, while all write at once; then everything is read
//! and held against what was promised. See docs/RELIABILITY.md.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::print_stdout, reason = "figures are for whoever runs it")]
#![cfg(unix)]

mod history;
#[path = "../process_support/mod.rs"]
mod process_support;

#[cfg(debug_assertions)]
mod dice;
#[cfg(debug_assertions)]
mod life;
#[cfg(debug_assertions)]
mod program;
#[cfg(debug_assertions)]
mod schedule;
#[cfg(debug_assertions)]
mod schedules;
#[cfg(debug_assertions)]
mod world;

/// A release build has no crash points: not the variable, not a name of one.
#[cfg(not(debug_assertions))]
#[test]
fn a_release_build_has_no_crash_points() {
    for program in [process_support::peer_program(), process_support::tracker_program()] {
        let bytes = std::fs::read(&program).unwrap();
        for name in ["NATTER_CRASH_AT", "store.applied", "host.appended", "client.queued", "tracker.listed"] {
            assert!(!bytes.windows(name.len()).any(|part| part == name.as_bytes()), "{name} in {program:?}");
        }
    }
}
