//! A host goes on in a new log: what its members have of the old one is not shown to them again, and what they lack is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use peer::Config;
use peer::api::{Command, Event, LinkState, Reply};
use peer::client::CatchUp;
use support::{Person, World, named, put_back, stored, until};

async fn fork(person: &Person) {
    let fork = Command::Recover { channel: named("first"), fork: true };
    let Reply::Recovered(recovered) = person.done(fork).await else { unreachable!() };
    assert!(recovered.whole && recovered.forked.is_some(), "{recovered:?}");
}

/// Sends so many, and waits until all are stored.
async fn say(person: &mut Person, texts: std::ops::RangeInclusive<u64>) {
    for number in texts {
        person.send("first", &number.to_string()).await;
        assert_eq!(person.expect("stored", stored).await, number);
    }
}

fn numbers(texts: std::ops::RangeInclusive<u64>) -> Vec<String> {
    texts.map(|number| number.to_string()).collect()
}

#[actix::test]
async fn a_member_goes_on_in_the_new_log_where_it_was_in_the_old_one() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    // Newcomers get the newest two.
    let catch_up = CatchUp { tail: 2, ..CatchUp::default() };
    let with_tail = |name| Config { catch_up, ..world.config(name) };
    let (mut here, mut away) = (world.person(with_tail("here")).await, world.person(with_tail("away")).await);
    for person in [&here, &away] {
        person.entered().await;
        person.join("first").await;
    }
    ken.join("first").await;
    say(&mut ken, 1..=3).await;
    for person in [&here, &away] {
        person.reads("first", 3).await;
    }
    away.stop().await;
    say(&mut ken, 4..=8).await;
    here.reads("first", 8).await;
    fork(&ken).await;
    here.expect_connection("first", LinkState::Up).await;
    say(&mut ken, 9..=9).await;
    here.reads("first", 9).await;
    assert_eq!(here.texts("first"), numbers(1..=9), "nothing twice");
    away.start().await;
    away.reads("first", 9).await;
    assert_eq!(away.texts("first"), numbers(1..=9), "nothing left out");
}

#[actix::test]
async fn a_copy_from_before_a_fork_is_noticed_by_the_tracker_and_by_members() {
    for has_members in [false, true] {
        let mut world = World::new().await;
        let mut ken = world.guest("ken").await;
        ken.host("first").await;
        let mut charlie = world.guest("charlie").await;
        charlie.join("first").await;
        say(&mut charlie, 1..=3).await;
        let older = world.folder().join("older");
        ken.stop().await;
        put_back(&ken.config.data, &older);
        ken.start().await;
        charlie.expect_connection("first", LinkState::Up).await;
        fork(&ken).await;
        say(&mut charlie, 4..=6).await;
        charlie.reads("first", 6).await;
        // Tells the tracker how far the log is.
        ken.restart().await;
        charlie.expect_connection("first", LinkState::Up).await;
        ken.stop().await;
        if has_members {
            world.stop_tracker().await;
        } else {
            charlie.stop().await;
        }
        put_back(&older, &ken.config.data);
        ken.start().await;
        let behind = |event: &Event| match event {
            Event::Warning { code: Code::LogBehind, reason, .. } => Some(reason.clone()),
            _ => None,
        };
        let why = ken.expect("a warning of the log", behind).await;
        let words = if has_members { "a newer log" } else { "does not go on from" };
        assert!(why.contains(words), "{why}");
        if has_members {
            continue;
        }
        // Without the newer copy its owner can have it go on, in yet another log.
        fork(&ken).await;
        assert!(ken.channel("first").await.behind.is_none());
        charlie.start().await;
        charlie.expect_connection("first", LinkState::Up).await;
        // Whoever wrote what is in none of them is asked.
        until("charlie is asked", async || charlie.outbox().await.len() == 3).await;
        say(&mut ken, 4..=4).await;
        ken.restart().await;
        ken.entered().await;
        say(&mut ken, 5..=5).await;
        assert!(ken.channel("first").await.behind.is_none());
    }
}
