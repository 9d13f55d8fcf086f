//! One member stops reading: the others must not notice.

use std::time::{Duration, Instant};

use clap::Args;

use super::fanout::{Fanout, burst, enter};
use super::paced::{Paced, talk};
use crate::Fallible;
use crate::report::Report;
use crate::world::{Target, World};

const TEXT: usize = 100;

/// How it is found out.
#[derive(Args, Clone, Debug)]
pub struct Stalled {
    /// How many members go on reading
    #[arg(long, default_value_t = 300)]
    pub members: usize,
    /// How many messages are sent in a second, before and after
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// For how long, each time
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// How many messages are written in between; the queue of who does not read and the system's buffers take some 15,000
    #[arg(long, default_value_t = 20_000)]
    pub flood: usize,
}

/// Runs it.
pub fn run(target: &Target, options: &Stalled) -> Fallible<Report> {
    let Stalled { members, rate, seconds, flood } = *options;
    let paced = Paced { members, rate, seconds, text: TEXT };
    let mut world = World::start(target, &["bench".to_owned()])?;
    let mut report = Report::new(format!("one of {} members stops reading", members + 1));
    enter(&mut world, members + 1, &mut report)?;
    world.crew.members.iter_mut().for_each(|member| member.is_timed = true);
    talk(&mut world, &paced, seconds)?;
    report.add_times("latency before", &mut std::mem::take(&mut world.crew.latencies));
    let stalled = members;
    let end = world.crew.members[stalled].end.ok_or("the member has no connection")?;
    world.wire.pause(end);
    let before = world.host_usage()?;
    let begun = Instant::now();
    world.crew.members.iter_mut().for_each(|member| member.is_timed = false);
    burst(&mut world, &Fanout { members, senders: members.min(4), messages: flood, text: TEXT })?;
    report.add("flood, delivered", (flood * members) as f64 / begun.elapsed().as_secs_f64(), "/s");
    report.add(
        "host memory grown",
        (world.host_usage()?.rss as f64 - before.rss as f64) / 1024.0 / 1024.0,
        "MiB",
    );
    world.crew.members.iter_mut().for_each(|member| member.is_timed = true);
    world.turn(Duration::ZERO)?;
    world.crew.latencies.clear();
    talk(&mut world, &paced, seconds)?;
    report.add_times("latency while stalled", &mut world.crew.latencies);
    report.close(&mut world.crew);
    Ok(report)
}
