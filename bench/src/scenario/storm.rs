//! All members lose their connection at once and come back, each with its client's own back-off.

use std::time::{Duration, Instant};

use clap::Args;
use common::backoff::{Backoff, BackoffLimits, random_fraction};

use super::fanout::enter;
use crate::Fallible;
use crate::crew::Stage;
use crate::process::usage;
use crate::report::Report;
use crate::world::{Target, World};

/// How big the storm is.
#[derive(Args, Clone, Debug)]
pub struct Storm {
    /// How many members come back
    #[arg(long, default_value_t = 5000)]
    pub members: usize,
}

/// When each member tries first, by the back-off that every client has; the earliest first.
fn first_tries(members: usize) -> Vec<(Duration, usize)> {
    let delay = || Backoff::new(BackoffLimits::default()).next_delay(random_fraction());
    let mut tries: Vec<_> = (0..members).map(|n| (delay(), n)).collect();
    tries.sort_unstable();
    tries
}

/// Runs it.
pub fn run(target: &Target, options: &Storm) -> Fallible<Report> {
    let mut world = World::start(target, &["bench".to_owned()])?;
    let mut report = Report::new(format!("{} members come back at once", options.members));
    enter(&mut world, options.members, &mut report)?;
    let (before, own) = (world.host_usage()?, usage(std::process::id())?);
    world.disconnect(0..options.members);
    let begun = Instant::now();
    let mut times = Vec::with_capacity(options.members);
    for (at, n) in first_tries(options.members) {
        while begun.elapsed() < at {
            world.turn(at.saturating_sub(begun.elapsed()))?;
        }
        let host = world.crew.channels[0].host;
        world.dial(n, host, Stage::Joining)?;
        world.turn(Duration::ZERO)?;
    }
    world.until(|crew| {
        !crew.faults.is_empty() || crew.members.iter().all(|member| member.stage == Stage::In)
    })?;
    let elapsed = begun.elapsed().as_secs_f64();
    for member in &world.crew.members {
        times.extend(member.in_at.map(|at| at.saturating_duration_since(begun).as_nanos() as u64));
    }
    let after = world.host_usage()?;
    report.add("all back after", elapsed, "s");
    report.add("back", options.members as f64 / elapsed, "/s");
    report.add("host CPU per member", (after.cpu - before.cpu) * 1e3 / options.members as f64, "ms");
    let own = usage(std::process::id())?.cpu - own.cpu;
    report.add("driver CPU per member", own * 1e3 / options.members as f64, "ms");
    report.add_times("back after", &mut times);
    report.close(&mut world.crew);
    Ok(report)
}
