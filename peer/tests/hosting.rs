//! Hosting while the tracker is away, slow, or against it; and starts under another name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use peer::Config;
use peer::api::{Command, Event, LinkState, Outcome, Reply, SessionState};
use peer::ui::Node;
use support::{MadeHost, Person, Relay, World, named};

fn host(channel: &str) -> Command {
    Command::Host { channel: named(channel) }
}

fn unhost(channel: &str, release: bool) -> Command {
    Command::Unhost { channel: named(channel), release }
}

/// The outcome of the next `host` of the command line.
async fn result(person: &mut Person) -> Outcome {
    let of_host = |event: &Event| match event {
        Event::Result { command: "host", outcome } => Some((**outcome).clone()),
        _ => None,
    };
    person.expect("result of host", of_host).await
}

fn hosted(outcome: &Outcome) -> String {
    let Ok(Reply::Hosting(hosting)) = outcome else { panic!("{outcome:?}") };
    hosting.channel.to_string()
}

/// Somebody whose way to the tracker can be made to fail.
async fn behind(relay: &mut Relay, world: &World, name: &str) -> Config {
    relay.lead_to(world.address);
    let mut config = world.config(name);
    config.tracker.address = relay.address().tcp_addr().unwrap().to_owned();
    config
}

#[actix::test]
async fn a_channel_of_the_command_line_that_waits_holds_no_other_up() {
    let mut world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("old").await;
    ken.stop().await;
    world.stop_tracker().await;
    ken.config.host_channels = vec![named("new"), named("old")];
    ken.start().await;
    let mut outcomes = [result(&mut ken).await, result(&mut ken).await];
    outcomes.sort_by_key(Result::is_err);
    // What this peer has is served without a tracker, even though it was served already; what is new waits for it.
    assert_eq!(hosted(&outcomes[0]), "old");
    assert_eq!(outcomes[1].as_ref().unwrap_err().code, Code::TrackerAway);
    world.start_tracker().await;
    assert_eq!(hosted(&result(&mut ken).await), "new");
    ken.stop().await;
}

#[actix::test]
async fn a_first_start_without_a_tracker_says_so_and_waits_for_it() {
    let mut world = World::new().await;
    let mut config = world.config("ken");
    world.stop_tracker().await;
    config.host_channels = vec![named("first")];
    let mut ken = world.person(config).await;
    assert_eq!(result(&mut ken).await.unwrap_err().code, Code::TrackerAway);
    assert_eq!(ken.refused(host("second")).await, Code::TrackerAway);
    world.start_tracker().await;
    assert_eq!(hosted(&result(&mut ken).await), "first");
    ken.stop().await;
}

#[actix::test]
async fn a_hanging_tracker_holds_up_neither_other_channels_nor_the_end() {
    let world = World::new().await;
    let mut relay = Relay::new().await;
    let mut ken = world.person(behind(&mut relay, &world, "ken").await).await;
    ken.entered().await;
    for channel in ["first", "second"] {
        ken.host(channel).await;
    }
    relay.swallow_answers();
    let node = ken.node();
    // None of these is answered, and each would be waited for.
    let hanging: Vec<_> = ["third", "fourth", "second"]
        .map(|channel| {
            let node = node.clone();
            actix::spawn(async move { node.perform(host(channel)).await })
        })
        .into();
    tokio::task::yield_now().await;
    ken.send("first", "still served").await;
    ken.reads("first", 1).await;
    // It says so if it had to be cut short.
    ken.stop().await;
    for outcome in hanging {
        outcome.await.unwrap().unwrap_err();
    }
}

#[actix::test]
async fn a_name_is_given_up_wholly_or_not_at_all() {
    let mut world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    world.stop_tracker().await;
    ken.expect_connection("tracker", LinkState::Retrying).await;
    assert_eq!(ken.refused(unhost("first", true)).await, Code::TrackerAway);
    let status = ken.channel("first").await;
    assert!(status.hosted && status.joined, "{status:?}");
    ken.send("first", "as before").await;
    ken.reads("first", 1).await;

    world.start_tracker().await;
    let mut charlie = world.guest("charlie").await;
    // It is announced again, so it is found.
    ken.expect_connection("tracker", LinkState::Up).await;
    charlie.join_soon("first").await;
    ken.done(unhost("first", true)).await;
    let status = ken.channel("first").await;
    assert!(!status.hosted && !status.joined, "{status:?}");
    charlie.host("first").await;
    for person in [ken, charlie] {
        person.stop_quietly().await;
    }
}

#[actix::test]
async fn without_the_tracker_a_channel_can_be_stopped_all_the_same() {
    let mut world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    world.stop_tracker().await;
    ken.done(unhost("first", false)).await;
    assert_eq!(ken.refused(unhost("first", false)).await, Code::NotHosted);
    ken.restart().await;
    assert!(!ken.channel("first").await.hosted);
    ken.stop().await;
}

#[actix::test]
async fn another_name_for_a_folder_is_another_guest() {
    let world = World::new().await;
    let mut peer = world.guest("alice").await;
    peer.config.username = "bob".parse().unwrap();
    peer.restart().await;
    let identity = peer.entered().await;
    assert_eq!((identity.state, identity.username.as_str()), (SessionState::Guest, "bob"));
    // The name that was chosen inside counts when none is given.
    peer.config.username = "carol".parse().unwrap();
    peer.config.name_was_given = false;
    peer.restart().await;
    assert_eq!(peer.entered().await.username.as_str(), "bob");
    peer.stop().await;
}

#[actix::test]
async fn another_name_for_the_folder_of_an_account_is_told_to_be_in_vain() {
    let world = World::new().await;
    let mut peer = world.guest("alice").await;
    peer.signup("correct horse battery").await;
    peer.config.username = "bob".parse().unwrap();
    peer.restart().await;
    let reason = |event: &Event| match event {
        Event::Warning { code: Code::AlreadySignedIn, reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let reason = peer.expect("warning", reason).await;
    for expected in ["alice", "bob", "signout", "--data"] {
        assert!(reason.contains(expected), "{expected} in {reason}");
    }
    let identity = peer.entered().await;
    assert_eq!((identity.state, identity.username.as_str()), (SessionState::Account, "alice"));
    peer.stop().await;
}

#[actix::test]
async fn a_host_that_always_has_more_members_is_not_asked_for_ever() {
    let world = World::new().await;
    let _host = MadeHost::start(&world, "first", Vec::new(), 0).await;
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let reply = charlie.done(Command::Members { channel: named("first"), granted: false }).await;
    let Reply::Members(members) = reply else { panic!("{reply:?}") };
    assert_eq!((members.members.len(), members.total), (0, 7));
    charlie.stop_quietly().await;
}
