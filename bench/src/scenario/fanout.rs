//! Senders write as fast as all members take it: what a delivery costs when many wait to go out together.

use std::time::{Duration, Instant};

use clap::Args;
use common::proto::limits::MAX_UNANSWERED_MESSAGES;

use crate::Fallible;
use crate::process::usage;
use crate::report::Report;
use crate::world::{Target, World};

/// Nobody may be so many messages behind, so that the driver itself does not make a slow reader.
const MAX_BEHIND: u64 = 1000;
/// How many members have the time of each message kept.
const TIMED: usize = 20;

/// How a burst is made.
#[derive(Args, Clone, Debug)]
pub struct Fanout {
    /// How many members the channel has, senders included
    #[arg(long, default_value_t = 1000)]
    pub members: usize,
    /// How many of them write
    #[arg(long, default_value_t = 16)]
    pub senders: usize,
    /// How many messages they write in all
    #[arg(long, default_value_t = 10_000)]
    pub messages: usize,
    /// How long each text is, in bytes
    #[arg(long, default_value_t = 100)]
    pub text: usize,
}

/// Runs it.
pub fn run(target: &Target, options: &Fanout) -> Fallible<Report> {
    let mut world = World::start(target, &["bench".to_owned()])?;
    let mut report = Report::new(format!("burst, {} members, {} bytes", options.members, options.text));
    enter(&mut world, options.members, &mut report)?;
    // Once to warm up, so that buffers have the size they keep.
    burst(&mut world, &Fanout { messages: options.messages / 10, ..options.clone() })?;
    world.crew.reset();
    let (before, own, begun) = (world.host_usage()?, usage(std::process::id())?, Instant::now());
    burst(&mut world, options)?;
    let (after, elapsed) = (world.host_usage()?, begun.elapsed().as_secs_f64());
    let delivered = world.crew.delivered as f64;
    report.add("delivered", delivered / elapsed, "/s");
    report.add("host CPU per delivery", (after.cpu - before.cpu) * 1e6 / delivered, "µs");
    report.add("of it in the kernel", (after.system - before.system) * 1e6 / delivered, "µs");
    report.add("host CPU", (after.cpu - before.cpu) / elapsed * 100.0, "%");
    report.add("driver CPU per delivery", (usage(std::process::id())?.cpu - own.cpu) * 1e6 / delivered, "µs");
    report.add("stored", options.messages as f64 / elapsed, "/s");
    report.add_times("latency", &mut world.crew.latencies);
    report.add("memory per member at the end", memory(&world, options.members, &report)?, "KiB");
    report.close(&mut world.crew);
    Ok(report)
}

/// Has members enter, with what that costs.
pub fn enter(world: &mut World, members: usize, report: &mut Report) -> Fallible {
    world.recruit(members)?;
    world.disconnect(0..members);
    for n in (0..members).step_by(members.div_ceil(TIMED)) {
        world.crew.members[n].is_timed = true;
    }
    let before = world.host_usage()?;
    let took = world.join(&(0..members).collect::<Vec<_>>())?;
    let after = world.host_usage()?;
    report.add("joined", members as f64 / took.as_secs_f64(), "/s");
    report.add("host CPU per join", (after.cpu - before.cpu) * 1e3 / members as f64, "ms");
    report.add("host memory before", before.rss as f64 / 1024.0, "KiB");
    report.add(
        "memory per member",
        after.rss.saturating_sub(before.rss) as f64 / 1024.0 / members as f64,
        "KiB",
    );
    Ok(())
}

/// What a member has come to take when all is over.
pub fn memory(world: &World, members: usize, report: &Report) -> Fallible<f64> {
    let before = report.get("host memory before").unwrap_or_default();
    Ok((world.host_usage()?.rss as f64 / 1024.0 - before) / members as f64)
}

/// Sends all messages, and waits until all members have them.
pub fn burst(world: &mut World, options: &Fanout) -> Fallible {
    let Fanout { members, messages, text, .. } = *options;
    let senders = options.senders.min(members);
    let mut left = messages;
    let before = world.crew.members[0].stream.next();
    let goal = before + messages as u64;
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let slowest =
            world.crew.members[..members].iter().map(|member| member.stream.next()).min().unwrap_or(goal);
        if slowest >= goal {
            return Ok(());
        }
        if Instant::now() > deadline || world.crew.lost > 0 {
            return Err(format!("messages were lost: {}", world.crew.faults.join("; ")).into());
        }
        for sender in 0..senders {
            let sent = before + (messages - left) as u64;
            let room = MAX_UNANSWERED_MESSAGES - world.crew.members[sender].unanswered.len();
            let count = room.min(left);
            // In whole windows, as a client with much to send does.
            if count > 0
                && sent < slowest + MAX_BEHIND
                && (room >= MAX_UNANSWERED_MESSAGES / 2 || count == left)
            {
                world.post(sender, count, text)?;
                left -= count;
            }
        }
        world.turn(Duration::from_millis(50))?;
    }
}
