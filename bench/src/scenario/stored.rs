//! Many senders over many channels: how many messages a host puts on disk in a second.

use std::time::{Duration, Instant};

use clap::Args;
use common::proto::limits::MAX_UNANSWERED_MESSAGES;

use crate::Fallible;
use crate::report::Report;
use crate::world::{Target, World};

/// How many write where.
#[derive(Args, Clone, Debug)]
pub struct Stored {
    /// How many members write
    #[arg(long, default_value_t = 256)]
    pub senders: usize,
    /// Over how many channels of one host they are spread
    #[arg(long, default_value_t = 64)]
    pub channels: usize,
    /// For how long
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// How long each text is, in bytes
    #[arg(long, default_value_t = 100)]
    pub text: usize,
    /// How many messages each has unanswered at most; 1 waits for each to be stored
    #[arg(long, default_value_t = MAX_UNANSWERED_MESSAGES)]
    pub window: usize,
}

/// Runs it.
pub fn run(target: &Target, options: &Stored) -> Fallible<Report> {
    let names: Vec<String> = (0..options.channels).map(|n| format!("bench{n}")).collect();
    let mut world = World::start(target, &names)?;
    world.recruit(options.senders)?;
    for n in 0..options.senders {
        world.crew.members[n].channel = n % options.channels;
    }
    world.join(&(0..options.senders).collect::<Vec<_>>())?;
    write(&mut world, options, Duration::from_secs(1))?;
    world.crew.reset();
    let (before, begun) = (world.host_usage()?, Instant::now());
    write(&mut world, options, Duration::from_secs(options.seconds))?;
    let (after, elapsed) = (world.host_usage()?, begun.elapsed().as_secs_f64());
    let stored = world.crew.members.iter().map(|member| member.stored).sum::<u64>() as f64;
    let Stored { senders, channels, window, .. } = options;
    let mut report = Report::new(format!("{senders} senders over {channels} channels, {window} unanswered"));
    report.add("stored", stored / elapsed, "/s");
    report.add("host CPU per stored", (after.cpu - before.cpu) * 1e6 / stored, "µs");
    report.add("host CPU", (after.cpu - before.cpu) / elapsed * 100.0, "%");
    report.add_times("answer", &mut world.crew.answers);
    report.close(&mut world.crew);
    Ok(report)
}

/// Keeps every sender's window full for so long, and waits for the last answers.
fn write(world: &mut World, options: &Stored, time: Duration) -> Fallible {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline && world.crew.faults.is_empty() {
        for sender in 0..options.senders {
            let room = options.window.saturating_sub(world.crew.members[sender].unanswered.len());
            if room * 2 >= options.window {
                world.post(sender, room, options.text)?;
            }
        }
        world.turn(Duration::from_millis(20))?;
    }
    world.until(|crew| {
        !crew.faults.is_empty() || crew.members.iter().all(|member| member.unanswered.is_empty())
    })
}
