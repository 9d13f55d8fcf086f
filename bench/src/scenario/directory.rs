//! A tracker with many peers and channels: what LIST and LOCATE take.

use std::time::Instant;

use clap::Args;
use common::id::ChannelId;
use serde_json::json;

use crate::Fallible;
use crate::crew::{Stage, request};
use crate::process::usage;
use crate::report::Report;
use crate::world::{Target, World};

/// How big the directory is.
#[derive(Args, Clone, Debug)]
pub struct Tracker {
    /// How many peers are connected; half the limit of open files at most
    #[arg(long, default_value_t = 10_000)]
    pub peers: usize,
    /// How many channels they announce in all
    #[arg(long, default_value_t = 10_000)]
    pub channels: usize,
    /// How many of them leave and come back
    #[arg(long, default_value_t = 1000)]
    pub churn: usize,
    /// How many times each request is made
    #[arg(long, default_value_t = 200)]
    pub requests: usize,
}

/// Runs it.
pub fn run(target: &Target, options: &Tracker) -> Fallible<Report> {
    let mut world = World::start(target, &[])?;
    let id = world.tracker.as_ref().ok_or("only a tracker that is started here is measured")?.id();
    let mut report = Report::new(format!("tracker, {} peers, {} channels", options.peers, options.channels));
    let (before, begun) = (usage(id)?, Instant::now());
    world.recruit(options.peers)?;
    let (after, elapsed) = (usage(id)?, begun.elapsed().as_secs_f64());
    report.add("peers entered", options.peers as f64 / elapsed, "/s");
    report.add("tracker CPU per entry", (after.cpu - before.cpu) * 1e3 / options.peers as f64, "ms");
    report.add(
        "memory per peer",
        after.rss.saturating_sub(before.rss) as f64 / 1024.0 / options.peers as f64,
        "KiB",
    );
    let (before, begun) = (usage(id)?, Instant::now());
    announce(&mut world, options)?;
    let (after, elapsed) = (usage(id)?, begun.elapsed().as_secs_f64());
    report.add("channels announced", options.channels as f64 / elapsed, "/s");
    report.add("tracker CPU per channel", (after.cpu - before.cpu) * 1e3 / options.channels as f64, "ms");
    look(&mut world, options, &mut report)?;
    churn(&mut world, id, options, &mut report)?;
    report.close(&mut world.crew);
    Ok(report)
}

/// Has the peers announce the channels, so many in turn.
fn announce(world: &mut World, options: &Tracker) -> Fallible {
    let peers: Vec<usize> =
        (0..options.peers).filter(|n| world.crew.members[*n].stage == Stage::Entered).collect();
    for begin in (0..options.channels).step_by(peers.len().min(256)) {
        let upto = (begin + peers.len().min(256)).min(options.channels);
        for n in begin..upto {
            let peer = peers[n % peers.len()];
            let member = &mut world.crew.members[peer];
            member.answer = None;
            let id = ChannelId::new();
            let head = json!({ "epoch": uuid::Uuid::new_v4(), "seq": 0, "hash": "00".repeat(32) });
            let body = json!({ "id": id, "name": format!("channel{n}"), "head": head, "term": 0,
                "policy": { "rev": 0 }, "port": 40_000, "addresses": [] });
            let mut line = Vec::new();
            request(&mut line, "HOST", &body);
            let end = member.end.ok_or("a peer has no connection")?;
            world.wire.send(end, &line)?;
        }
        let done = |n: usize| peers[n % peers.len()];
        world.until(|crew| {
            !crew.faults.is_empty() || (begin..upto).all(|n| crew.members[done(n)].answer.is_some())
        })?;
    }
    Ok(())
}

fn look(world: &mut World, options: &Tracker, report: &mut Report) -> Fallible {
    let (mut pages, mut lists, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let (mut after, mut count, begun) = (json!(null), 0, Instant::now());
        loop {
            let page = Instant::now();
            let body = if after.is_null() { json!({}) } else { json!({ "after": after }) };
            let listing = world.ask(0, "LIST", &body)?;
            pages.push(page.elapsed().as_nanos() as u64);
            count += listing["channels"].as_array().map_or(0, Vec::len);
            after = listing["next"].clone();
            if after.is_null() {
                break;
            }
        }
        lists.push(begun.elapsed().as_nanos() as u64);
        if count != options.channels {
            world.crew.faults.push(format!("LIST has {count} channels instead of {}", options.channels));
        }
    }
    for n in 0..options.requests {
        let begun = Instant::now();
        let name = format!("channel{}", n * 7919 % options.channels);
        world.ask(0, "LOCATE", &json!({ "name": name }))?;
        found.push(begun.elapsed().as_nanos() as u64);
    }
    report.add_times("LIST page", &mut pages);
    report.add_times("LIST whole", &mut lists);
    report.add_times("LOCATE", &mut found);
    Ok(())
}

/// Has some leave and come back: their names and channels go offline and online again.
fn churn(world: &mut World, tracker: u32, options: &Tracker, report: &mut Report) -> Fallible {
    let leaving: Vec<usize> = (1..options.peers).take(options.churn).collect();
    if leaving.is_empty() {
        return Ok(());
    }
    let (before, begun) = (usage(tracker)?, Instant::now());
    world.disconnect(leaving.iter().copied());
    world.enter_tracker(&leaving)?;
    let (after, elapsed) = (usage(tracker)?, begun.elapsed().as_secs_f64());
    report.add("left and came back", leaving.len() as f64 / elapsed, "/s");
    report.add("tracker CPU per return", (after.cpu - before.cpu) * 1e3 / leaving.len() as f64, "ms");
    Ok(())
}
