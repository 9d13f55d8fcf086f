//! An older copy of a host's folder is put back: nothing is stored over what was there, and its owner is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use peer::api::{Event, LinkState};
use support::{Person, Raw, World, put_back, stored, until};

async fn warned_behind(person: &mut Person) -> String {
    let of_the_log = |event: &Event| match event {
        Event::Warning { code: Code::LogBehind, reason, .. } => Some(reason.clone()),
        _ => None,
    };
    person.expect("a warning of the log", of_the_log).await
}

#[actix::test]
async fn a_host_whose_older_copy_was_put_back_is_told_by_the_tracker_and_takes_nothing() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    ken.host("first").await;
    charlie.join("first").await;
    charlie.send("first", "one").await;
    assert_eq!(charlie.expect("stored", stored).await, 1);
    ken.stop().await;
    let (older, newer) = (world.folder().join("older"), world.folder().join("newer"));
    put_back(&ken.config.data, &older);
    ken.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.send("first", "two").await;
    assert_eq!(charlie.expect("stored", stored).await, 2);
    // The tracker hears of the new end.
    ken.restart().await;
    ken.entered().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.stop().await;
    ken.stop().await;
    put_back(&ken.config.data, &newer);

    put_back(&older, &ken.config.data);
    ken.start().await;
    let told = warned_behind(&mut ken).await;
    assert!(
        told.contains("ends at entry 1") && told.contains("entry 2") && told.contains("newer copy"),
        "{told}"
    );
    // Whoever has not seen what is gone could go on from here, were it taken.
    let mut dora = world.guest("dora").await;
    dora.join("first").await;
    dora.send("first", "three").await;
    until("it is refused for a while", async || dora.outbox().await[0].reason.is_some()).await;
    let waiting = &dora.outbox().await[0];
    assert!(waiting.reason.as_ref().unwrap().contains("lost part of its log"), "{waiting:?}");
    assert_eq!(ken.history("first").await.len(), 1);

    ken.stop().await;
    put_back(&newer, &ken.config.data);
    ken.start().await;
    assert_eq!(dora.expect("stored", stored).await, 3);
    charlie.start().await;
    charlie.reads("first", 3).await;
    assert_eq!(charlie.texts("first"), ["one", "two", "three"]);
}

#[actix::test]
async fn a_host_need_not_announce_its_log_again_to_have_it_known_how_far_it_was() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    ken.host("first").await;
    charlie.join("first").await;
    ken.stop().await;
    let older = world.folder().join("older");
    put_back(&ken.config.data, &older);
    ken.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.send("first", "one").await;
    assert_eq!(charlie.expect("stored", stored).await, 1);
    let observer = Raw::guest(&world, "observer").await;
    until("a PING has told it", async || observer.locate("first").await.head.seq == 1).await;
    charlie.stop().await;
    ken.stop().await;
    put_back(&older, &ken.config.data);
    ken.start().await;
    let told = warned_behind(&mut ken).await;
    assert!(told.contains("ends at entry 0") && told.contains("reach entry 1"), "{told}");
}
