//! When a peer that has lost its host or its tracker tries again: soon when that may help, and rarely when it does not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use common::backoff::{Backoff, BackoffLimits};
use common::clock::Timestamp;
use common::files::create_private_folder;
use common::proto::status::Code;
use common::storage::Store;
use peer::SCHEMA;
use peer::api::{Command, Event, LinkState};
use peer::pace::{KeptPace, Tried};
use peer::store::PeerStore;
use support::{Person, Relay, World, is_connection, join, named, until, within};

#[actix::test]
async fn a_join_is_answered_when_the_channel_is_left_meanwhile() {
    let world = World::new().await;
    let mut relay = Relay::new().await;
    let mut config = world.config("ken");
    config.listen.advertise = vec![relay.address()];
    let ken = world.person(config).await;
    ken.entered().await;
    relay.lead_to(ken.host("first").await.listen);
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    charlie.leave("first").await;

    relay.swallow_answers();
    let node = charlie.node();
    let joining = actix::spawn(async move { peer::ui::Node::perform(&node, join("first")).await });
    until("the join is answered", async || {
        charlie.leave("first").await;
        joining.is_finished()
    })
    .await;
    assert_eq!(joining.await.unwrap().unwrap_err().code, Code::NotJoined);
    assert!(!charlie.channel("first").await.joined);
}

/// What a peer would keep that has failed to enter a channel often, and just now.
async fn keep_waiting(peer: &Person, tried: Tried) {
    let store = Store::open(&peer.config.data, SCHEMA).unwrap();
    let kept = KeptPace {
        backoff: Backoff::new(BackoffLimits::default()),
        next_at: Timestamp::now().plus(Duration::from_secs(60)),
        why: Code::HostAway.into(),
    };
    PeerStore::new(store.clone()).keep_pace(&tried, Some(&kept));
    within(store.close()).await;
}

#[actix::test]
async fn who_waits_long_is_told_of_the_host_also_by_a_tracker_that_was_away_meanwhile() {
    let mut world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    let id = charlie.join("first").await.id;
    charlie.stop().await;
    ken.stop().await;
    keep_waiting(&charlie, Tried::Channel(id)).await;

    charlie.start().await;
    charlie.entered().await;
    let reason = charlie.channel("first").await.reason.unwrap();
    assert!(reason.contains("or at once with: join first"), "{reason}");
    world.stop_tracker().await;
    charlie.expect_connection("tracker", LinkState::Retrying).await;
    world.start_tracker().await;
    charlie.expect_connection("tracker", LinkState::Up).await;
    charlie.barrier_of_tracker().await;
    ken.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
}

#[actix::test]
async fn a_command_ends_the_wait() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    let id = charlie.join("first").await.id;
    charlie.stop().await;
    keep_waiting(&charlie, Tried::Channel(id)).await;
    keep_waiting(&charlie, Tried::Tracker(format!("{}#{}", world.address, world.key))).await;
    charlie.start().await;
    charlie.done(Command::List { pattern: None, after: None }).await;
    charlie.join("first").await;
}

#[actix::test]
async fn two_peers_with_one_identity_do_not_turn_each_other_out_for_ever() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let mut twin = Person::new(world.config("charlie"));
    create_private_folder(&twin.config.data).unwrap();
    std::fs::copy(charlie.config.data.join("identity"), twin.config.data.join("identity")).unwrap();
    twin.start().await;
    twin.entered().await;
    twin.join("first").await;

    let waits = |event: &Event, to: &str| match event {
        Event::Connection { reason: Some(reason), .. } if is_connection(event, to, LinkState::Retrying) => {
            Some(reason.clone())
        }
        _ => None,
    };
    let reason = charlie.expect("first to be lost", |event| waits(event, "first")).await;
    assert!(reason.contains("in 60 s, or at once with: join first"), "{reason}");
    // It has the last word until its user says otherwise.
    assert_eq!(twin.channel("first").await.state, LinkState::Up);
    charlie.join("first").await;
    twin.expect("first to be lost", |event| waits(event, "first")).await;
    assert_eq!(charlie.channel("first").await.channel, named("first"));
}
