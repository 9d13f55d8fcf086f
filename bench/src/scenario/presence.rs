//! A tracker at which people come and go: what it costs to tell those who watch them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::Fallible;
use crate::process::usage;
use crate::report::Report;
use crate::world::{Target, World};

/// For how long somebody is away: longer than what is gathered is held back.
const AWAY: Duration = Duration::from_secs(5);
const TURN: Duration = Duration::from_millis(50);

/// How many come and go.
#[derive(Args, Clone, Debug)]
pub struct Presence {
    /// How many peers are connected; half the limit of open files at most
    #[arg(long, default_value_t = 5000)]
    pub peers: usize,
    /// How many others each of them watches
    #[arg(long, default_value_t = 20)]
    pub watched: usize,
    /// How many of a hundred leave and come back in a minute
    #[arg(long, default_value_t = 1.0)]
    pub percent: f64,
    /// How long it is looked at
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
}

/// Runs it.
pub fn run(target: &Target, options: &Presence) -> Fallible<Report> {
    let mut world = World::start(target, &[])?;
    let id = world.tracker.as_ref().ok_or("only a tracker that is started here is measured")?.id();
    let mut report =
        Report::new(format!("presence, {} peers, {} % a minute", options.peers, options.percent));
    world.recruit(options.peers)?;
    let subjects = users(&mut world)?;
    for n in 0..options.peers {
        watch(&mut world, n, &subjects, options)?;
    }
    let looked_at = Duration::from_secs(options.seconds);
    let before = usage(id)?;
    idle(&mut world, looked_at)?;
    let idle = usage(id)?;
    let returns = come_and_go(&mut world, &subjects, looked_at, options)?;
    let after = usage(id)?;
    let share = |cpu: f64| 100.0 * cpu / looked_at.as_secs_f64();
    report.add("left and came back", returns as f64, "");
    report.add("tracker CPU while nobody does", share(idle.cpu - before.cpu), "%");
    report.add("tracker CPU", share(after.cpu - idle.cpu), "%");
    report.close(&mut world.crew);
    Ok(report)
}

/// Everybody who is there.
fn users(world: &mut World) -> Fallible<Vec<Value>> {
    let (mut users, mut after) = (Vec::new(), json!(null));
    loop {
        let body = if after.is_null() { json!({}) } else { json!({ "after": after }) };
        let page = world.ask(0, "USERS", &body)?;
        users.extend(page["users"].as_array().into_iter().flatten().map(|user| user["subject"].clone()));
        after = page["next"].clone();
        if after.is_null() {
            return Ok(users);
        }
    }
}

/// Has a peer watch others, other ones each.
fn watch(world: &mut World, peer: usize, subjects: &[Value], options: &Presence) -> Fallible {
    let whom = (1..=options.watched).map(|n| &subjects[(peer + n * 7919) % subjects.len()]);
    let whom: Vec<&Value> = whom.collect();
    world.ask(peer, "WATCH", &json!({ "subjects": whom })).map(drop)
}

fn idle(world: &mut World, time: Duration) -> Fallible {
    let begun = Instant::now();
    while begun.elapsed() < time {
        world.turn(TURN)?;
    }
    Ok(())
}

/// Has one after another leave and come back, evenly spread; how many came back.
fn come_and_go(world: &mut World, subjects: &[Value], time: Duration, options: &Presence) -> Fallible<usize> {
    let each = Duration::from_secs_f64(6000.0 / (options.peers as f64 * options.percent));
    // The first member asks for all: it stays.
    let mut leaving = (1..options.peers).cycle();
    let (begun, mut left, mut returns) = (Instant::now(), 0, 0);
    let mut away: VecDeque<(Instant, usize)> = VecDeque::new();
    while begun.elapsed() < time {
        if begun.elapsed() >= each * left {
            let peer = leaving.next().ok_or("there is nobody to leave")?;
            world.disconnect([peer]);
            away.push_back((Instant::now(), peer));
            left += 1;
        }
        if let Some((_, peer)) = away.pop_front_if(|(since, _)| since.elapsed() >= AWAY) {
            world.enter_tracker(&[peer])?;
            watch(world, peer, subjects, options)?;
            returns += 1;
        }
        world.turn(TURN)?;
    }
    Ok(returns)
}
