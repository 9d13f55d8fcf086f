//! Somebody joins a channel with a long history: how soon the first page is there.

use std::time::Instant;

use clap::Args;
use common::proto::limits::FIRST_TAIL;

use super::fanout::{Fanout, burst};
use crate::Fallible;
use crate::report::Report;
use crate::world::{Target, World};

/// How long the history is.
#[derive(Args, Clone, Debug)]
pub struct History {
    /// How many messages the channel has
    #[arg(long, default_value_t = 1_000_000)]
    pub entries: usize,
    /// How many join, one after the other
    #[arg(long, default_value_t = 50)]
    pub joins: usize,
}

/// How many write the history, and how many join later.
const WRITERS: usize = 8;

/// Runs it.
pub fn run(target: &Target, options: &History) -> Fallible<Report> {
    let mut world = World::start(target, &["bench".to_owned()])?;
    world.recruit(WRITERS + 1)?;
    let writers: Vec<usize> = (0..WRITERS).collect();
    world.join(&writers)?;
    let (before, begun) = (world.host_usage()?, Instant::now());
    burst(&mut world, &Fanout { members: WRITERS, senders: WRITERS, messages: options.entries, text: 100 })?;
    let after = world.host_usage()?;
    let mut report = Report::new(format!("join with {} messages of history", options.entries));
    report.add("written", options.entries as f64 / begun.elapsed().as_secs_f64(), "/s");
    report.add("host memory", after.rss as f64 / 1024.0 / 1024.0, "MiB");
    report.add("host CPU per written", (after.cpu - before.cpu) * 1e6 / options.entries as f64, "µs");
    let (mut pages, mut joins) = (Vec::new(), Vec::new());
    let page = u64::from(FIRST_TAIL).min(options.entries as u64);
    world.crew.members[WRITERS].tail = FIRST_TAIL;
    for _ in 0..options.joins {
        world.crew.members[WRITERS].stream.reset();
        let begun = Instant::now();
        joins.push(world.join(&[WRITERS])?.as_nanos() as u64);
        world.until(|crew| crew.members[WRITERS].stream.received() >= page || !crew.faults.is_empty())?;
        pages.push(begun.elapsed().as_nanos() as u64);
    }
    report.add_times("joined", &mut joins);
    report.add_times("first page", &mut pages);
    report.close(&mut world.crew);
    Ok(report)
}
