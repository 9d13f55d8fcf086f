//! What a user can do about messages that are not stored yet, and what they are told of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::id::MessageId;
use common::proto::status::Code;
use common::storage::Store;
use peer::SCHEMA;
use peer::api::{Command, Event, LinkState, OutboxCommand, OutboxItem, OutgoingState, SessionState};
use peer::store::PeerStore;
use support::{Fate, MadeHost, Person, World, refused, stored, until};
use tokio::net::TcpListener;

fn is(event: &Event, message: MessageId, wanted: OutgoingState) -> Option<()> {
    matches!(event, Event::Outgoing { id, state, .. } if *id == message && *state == wanted).then_some(())
}

fn warned(event: &Event) -> Option<Code> {
    if let Event::Warning { code, .. } = event { Some(code.clone()) } else { None }
}

/// A channel whose host treats messages so, and a member.
async fn made(fates: Vec<Fate>, together: usize) -> (World, MadeHost, Person) {
    let world = World::new().await;
    let host = MadeHost::start(&world, "made", fates, together).await;
    let charlie = world.guest("charlie").await;
    charlie.join("made").await;
    (world, host, charlie)
}

/// A channel with a real host, and a member.
async fn scene() -> (World, Person, Person) {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    (world, host, charlie)
}

async fn away(host: &mut Person, member: &mut Person) {
    host.stop().await;
    member.expect_connection("first", LinkState::Retrying).await;
}

fn not_allowed() -> Fate {
    Fate::Refuse(Code::NotAllowed.into())
}

#[actix::test]
async fn a_message_that_is_stored_before_it_is_cancelled_stays_and_the_user_is_told() {
    let (_world, host, mut charlie) = made(vec![], 2).await;
    let one = charlie.send("made", "one").await;
    charlie.expect("sending", |event| is(event, one, OutgoingState::Sending)).await;
    assert!(!charlie.change(one, None).await.done, "its answer is on the way");
    let waiting = charlie.outbox().await;
    assert_eq!((waiting[0].state, waiting[0].wish.is_some()), (OutgoingState::Sending, true));
    charlie.send("made", "two").await;
    assert_eq!(charlie.expect("stored message", stored).await, 1);
    assert_eq!(charlie.expect("warning", warned).await, Code::TooLate);
    assert_eq!(charlie.expect("stored message", stored).await, 2);
    assert_eq!(host.stored(), ["one", "two"]);
}

#[actix::test]
async fn an_edit_of_what_is_under_way_takes_the_place_of_what_is_refused() {
    let (_world, host, mut charlie) = made(vec![not_allowed()], 2).await;
    let one = charlie.send("made", "one").await;
    charlie.expect("sending", |event| is(event, one, OutgoingState::Sending)).await;
    let change = charlie.change(one, Some("better")).await;
    assert!(!change.done);
    let new = change.becomes.unwrap();
    charlie.send("made", "two").await;
    charlie.expect("edited", |event| is(event, one, OutgoingState::Edited)).await;
    charlie.expect("stored", |event| is(event, new, OutgoingState::Stored)).await;
    assert_eq!(charlie.expect("stored message", stored).await, 2);
    assert_eq!(host.stored(), ["better", "two"]);
}

#[actix::test]
async fn after_a_lost_connection_the_host_says_whether_a_message_can_still_be_changed() {
    for (fate, is_stored) in [(Fate::StoreAndBreak, true), (Fate::Break, false)] {
        let (_world, host, mut charlie) = made(vec![fate], 0).await;
        let one = charlie.send("made", "one").await;
        charlie.expect_connection("made", LinkState::Retrying).await;
        assert!(!charlie.change(one, Some("better")).await.done, "it may be stored");
        charlie.send("made", "two").await;
        if is_stored {
            assert_eq!(charlie.expect("warning", warned).await, Code::TooLate);
        } else {
            charlie.expect("edited", |event| is(event, one, OutgoingState::Edited)).await;
        }
        while charlie.expect("stored message", stored).await < 2 {}
        let first = if is_stored { "one" } else { "better" };
        assert_eq!(host.stored(), [first, "two"]);
        assert!(charlie.outbox().await.is_empty());
    }
}

#[actix::test]
async fn a_real_host_says_what_became_of_messages_of_before_a_restart() {
    let (_world, mut host, mut charlie) = scene().await;
    away(&mut host, &mut charlie).await;
    let one = charlie.send("first", "one").await;
    let two = charlie.send("first", "two").await;
    let three = charlie.send("first", "three").await;
    assert!(charlie.change(three, None).await.done, "it was never sent");
    charlie.restart().await;
    // From now on nobody here knows whether they were sent.
    assert!(!charlie.change(one, None).await.done);
    assert!(!charlie.change(two, Some("better")).await.done);
    charlie.restart().await;
    charlie.entered().await;
    host.start().await;
    charlie.expect("cancelled", |event| is(event, one, OutgoingState::Cancelled)).await;
    assert_eq!(charlie.expect("stored message", stored).await, 1);
    host.reads("first", 1).await;
    assert_eq!(host.texts("first"), ["better"]);
}

#[actix::test]
async fn a_paused_queue_is_paused_after_a_restart_too_and_only_that_one() {
    let (world, host, mut charlie) = made(vec![Fate::Store, not_allowed()], 0).await;
    for text in ["one", "two", "three"] {
        charlie.send("made", text).await;
    }
    assert_eq!(charlie.expect("refusal", refused).await, Code::NotAllowed);
    charlie.restart().await;
    let waiting = charlie.outbox().await;
    let rows: Vec<_> = waiting.iter().map(|item: &OutboxItem| (item.text.as_str(), item.state)).collect();
    assert_eq!(rows, [("two", OutgoingState::Refused), ("three", OutgoingState::Queued)]);
    assert_eq!(waiting[0].code, Some(Code::NotAllowed));
    charlie.expect_connection("made", LinkState::Up).await;
    let ken = world.guest("ken").await;
    ken.host("other").await;
    charlie.join("other").await;
    charlie.send("other", "hi").await;
    ken.reads("other", 1).await;
    assert_eq!(host.stored(), ["one"]);
    let later = charlie.send("made", "four").await;
    let why = |event: &Event| match event {
        Event::Outgoing { id, reason, .. } if *id == later => reason.clone(),
        _ => None,
    };
    assert!(charlie.expect("why it waits", why).await.contains("refused"));
    assert_eq!(
        charlie.refused(Command::Outbox(OutboxCommand::Retry { which: "ffffffffffff".into() })).await,
        Code::NoSuchMessage
    );
    let end = peer::client::short_id(waiting[0].id);
    assert_eq!(charlie.retry(&end).await.messages, 1);
    while charlie.expect("stored message", stored).await < 4 {}
    assert_eq!(host.stored(), ["one", "two", "three", "four"]);
}

#[actix::test]
async fn what_could_not_be_sent_in_time_is_shown_as_refused_and_goes_out_when_retried() {
    let (_world, mut host, mut charlie) = scene().await;
    charlie.stop().await;
    charlie.config.expire = Some(Duration::from_secs(1));
    charlie.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    away(&mut host, &mut charlie).await;
    charlie.send("first", "one").await;
    assert_eq!(charlie.expect("refusal", refused).await, Code::Expired);
    host.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.barrier("first").await;
    assert_eq!(charlie.outbox().await[0].state, OutgoingState::Refused);
    assert_eq!(charlie.retry("first").await.messages, 1);
    host.reads("first", 1).await;
}

/// Has all that waits in the outbox of a stopped peer written so long ago.
async fn age_outbox(person: &Person, channel: common::id::ChannelId, age: Duration) {
    let store = Store::open(&person.config.data, SCHEMA).unwrap();
    let kept = PeerStore::new(store.clone());
    for mut item in kept.outbox(channel).unwrap() {
        item.sent_at = item.sent_at.minus(age);
        kept.keep_item(channel, &item).unwrap().await.unwrap();
    }
    store.close().await;
}

#[actix::test]
async fn before_old_text_goes_out_the_user_is_told_how_far_the_channel_has_moved_on() {
    let (world, mut host, mut charlie) = scene().await;
    let channel = charlie.channel("first").await.id;
    charlie.send("first", "before").await;
    charlie.reads("first", 1).await;
    away(&mut host, &mut charlie).await;
    charlie.send("first", "late").await;
    charlie.send("first", "later").await;
    charlie.stop().await;
    age_outbox(&charlie, channel, Duration::from_secs(20 * 60)).await;
    host.start().await;
    host.expect_connection("first", LinkState::Up).await;
    let ada = world.guest("ada").await;
    ada.join("first").await;
    for text in ["a", "b", "c"] {
        ada.send("first", text).await;
    }
    host.reads("first", 4).await;
    charlie.start().await;
    let moved_on = |event: &Event| match event {
        Event::MovedOn { messages, between, .. } => Some((*messages, *between)),
        _ => None,
    };
    // Whoever was away for seconds only need not wait out the pause between two attempts.
    charlie.join("first").await;
    assert_eq!(charlie.expect("moved on", moved_on).await, (2, 3));
    assert_eq!(charlie.expect("stored message", stored).await, 5, "that was told before");
    host.reads("first", 6).await;
    assert_eq!(host.texts("first")[1..], ["a", "b", "c", "late", "later"]);
}

#[actix::test]
async fn what_somebody_else_wrote_waits_for_them_and_says_so() {
    let (_world, mut host, mut charlie) = scene().await;
    away(&mut host, &mut charlie).await;
    charlie.send("first", "as a guest").await;
    charlie.signup("correct horse").await;
    assert_eq!(charlie.whoami().await.state, SessionState::Account);
    host.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.barrier("first").await;
    let waiting = charlie.outbox().await;
    assert_eq!(waiting[0].state, OutgoingState::Queued);
    assert_eq!(waiting[0].reason.as_deref(), Some("written as charlie"));
    charlie.done(Command::Signout).await;
    // The name belongs to the account now; who the guest is, is their key.
    charlie.done(Command::Guest { name: Some("charlie-2".parse().unwrap()) }).await;
    host.reads("first", 1).await;
    assert_eq!(host.texts("first"), ["as a guest"]);
}

#[actix::test]
async fn a_peer_that_is_restarted_in_a_loop_knocks_no_more_often_than_one_that_runs_on() {
    let (_world, mut host, mut charlie) = scene().await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, host.status().await.listen.unwrap().port()));
    away(&mut host, &mut charlie).await;
    charlie.stop().await;
    // Somebody who hangs up on everybody.
    let listener = TcpListener::bind(address).await.unwrap();
    let knocks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&knocks);
    actix::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    // Each failure doubles the span of the next pause.
    for _ in 0..4 {
        charlie.start().await;
        until("an attempt has failed", async || charlie.channel("first").await.reason.is_some()).await;
        charlie.perform(support::join("first")).await.unwrap_err();
        charlie.stop().await;
    }
    let before = knocks.load(Ordering::SeqCst);
    for _ in 0..6 {
        charlie.start().await;
        charlie.entered().await;
        charlie.barrier_of_tracker().await;
        assert!(charlie.channel("first").await.reason.is_some(), "it says why nothing is connected");
        charlie.stop().await;
    }
    let loops = knocks.load(Ordering::SeqCst) - before;
    assert!(loops <= 2, "{loops} knocks by 6 restarts");
    charlie.start().await;
    let before = knocks.load(Ordering::SeqCst);
    charlie.perform(support::join("first")).await.unwrap_err();
    assert!(knocks.load(Ordering::SeqCst) > before, "the user's own wish is not kept waiting");
}
