//! Messages at the pace of a lively talk: what a delivery costs when each message goes out by itself.

use std::time::{Duration, Instant};

use clap::Args;

use super::fanout::enter;
use crate::Fallible;
use crate::report::Report;
use crate::world::{Target, World};

/// How a paced talk is made.
#[derive(Args, Clone, Debug)]
pub struct Paced {
    /// How many members the channel has
    #[arg(long, default_value_t = 1000)]
    pub members: usize,
    /// How many messages are sent in a second
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// For how long
    #[arg(long, default_value_t = 15)]
    pub seconds: u64,
    /// How long each text is, in bytes
    #[arg(long, default_value_t = 100)]
    pub text: usize,
}

/// Runs it.
pub fn run(target: &Target, options: &Paced) -> Fallible<Report> {
    let mut world = World::start(target, &["bench".to_owned()])?;
    let mut report = Report::new(format!("paced, {} members, {} messages/s", options.members, options.rate));
    enter(&mut world, options.members, &mut report)?;
    world.crew.members.iter_mut().for_each(|member| member.is_timed = true);
    talk(&mut world, options, 1)?;
    world.crew.reset();
    let (before, begun) = (world.host_usage()?, Instant::now());
    talk(&mut world, options, options.seconds)?;
    let (after, elapsed) = (world.host_usage()?, begun.elapsed().as_secs_f64());
    let delivered = world.crew.delivered as f64;
    report.add("delivered", delivered / elapsed, "/s");
    report.add("host CPU per delivery", (after.cpu - before.cpu) * 1e6 / delivered, "µs");
    report.add("of it in the kernel", (after.system - before.system) * 1e6 / delivered, "µs");
    report.add("host CPU", (after.cpu - before.cpu) / elapsed * 100.0, "%");
    report.add_times("latency", &mut world.crew.latencies);
    report.close(&mut world.crew);
    Ok(report)
}

/// Sends at the pace for so many seconds, and waits until all members have everything.
pub fn talk(world: &mut World, options: &Paced, seconds: u64) -> Fallible {
    let count = (options.rate * seconds as f64) as u64;
    let goal = world.crew.members[0].stream.next() + count;
    let begun = Instant::now();
    for n in 0..count {
        let at = begun + Duration::from_secs_f64(n as f64 / options.rate);
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            world.turn(left)?;
        }
        world.post(0, 1, options.text)?;
    }
    let members = options.members;
    world.until(|crew| {
        crew.lost > 0 || crew.members[..members].iter().all(|member| member.stream.next() >= goal)
    })
}
