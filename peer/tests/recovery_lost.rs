//! What a host has stored, and lost before anybody had it: whoever wrote it has it still, and is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use peer::api::{Event, OutgoingState};
use support::{MadeHost, World, refused, stored, until};

#[actix::test]
async fn what_was_stored_and_never_came_back_is_asked_about_when_the_host_goes_on_without_it() {
    for is_restarted in [false, true] {
        let world = World::new().await;
        // A host that gives nothing out.
        let host = MadeHost::start(&world, "made", Vec::new(), 0).await;
        let mut charlie = world.guest("charlie").await;
        charlie.join("made").await;
        let ids = [charlie.send("made", "one").await, charlie.send("made", "two").await];
        for seq in [1, 2] {
            assert_eq!(charlie.expect("stored", stored).await, seq);
        }
        assert!(charlie.outbox().await.is_empty(), "for the user they are done");
        host.go_on_without();
        if is_restarted {
            charlie.restart().await;
            charlie.join_soon("made").await;
        } else {
            charlie.leave("made").await;
            charlie.join("made").await;
        }
        for seq in [1, 2] {
            let asked = |event: &Event| match event {
                Event::Outgoing { state: OutgoingState::Refused, reason, .. } => reason.clone(),
                _ => None,
            };
            let why = charlie.expect("a question", asked).await;
            assert!(why.contains(&format!("it was stored as number {seq}")), "{why}");
        }
        assert!(host.stored().is_empty(), "nothing is sent again by itself");
        charlie.change(ids[0], None).await;
        charlie.retry(&ids[1].to_string()).await;
        assert_eq!(charlie.expect("stored", stored).await, 1);
        assert_eq!(host.stored(), ["two"]);
        // It is asked once.
        charlie.restart().await;
        charlie.join_soon("made").await;
        until("nothing is left to be asked", async || charlie.outbox().await.is_empty()).await;
        assert_eq!(host.stored(), ["two"]);
    }
}

#[actix::test]
async fn what_was_stored_and_is_there_still_is_no_matter() {
    let world = World::new().await;
    let host = MadeHost::start(&world, "made", Vec::new(), 0).await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("made").await;
    charlie.send("made", "one").await;
    charlie.expect("stored", stored).await;
    charlie.restart().await;
    charlie.join_soon("made").await;
    charlie.send("made", "two").await;
    assert_eq!(charlie.expect("stored", stored).await, 2);
    assert_eq!(host.stored(), ["one", "two"]);
    let questions = charlie.events().iter().filter_map(refused).collect::<Vec<Code>>();
    assert!(questions.is_empty(), "{questions:?}");
}
