//! What a user says to all who are there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::id::IdentityKind;
use common::proto::directory::SayToAll;
use common::proto::event::{Broadcast, TrackerEvent};
use common::proto::status::Code;
use support::{Client, config, start};
use tracker::config::MayBroadcast;

fn say(text: &str) -> SayToAll {
    SayToAll { text: text.to_owned() }
}

async fn hears(client: &mut Client) -> Broadcast {
    match client.event().await {
        TrackerEvent::Broadcast(told) => told,
        other => panic!("{other:?} instead of BROADCAST"),
    }
}

#[actix_rt::test]
async fn all_others_hear_it_once_with_the_name_of_whoever_said_it() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (mut ken, mut guest) = (tracker.account("ken").await, tracker.guest("guest").await);
    let mut stranger = tracker.stranger().await;
    ken.ask(&say("tea is  ready")).await.unwrap();
    let told = hears(&mut guest).await;
    let from = told.from.unwrap();
    assert_eq!((told.text.as_str(), from.name.as_str()), ("tea is  ready", "ken"));
    assert_eq!(from.kind, IdentityKind::Account);
    for client in [&mut ken, &mut guest, &mut stranger] {
        client.expect_nothing().await;
    }
    assert_eq!(ken.ask(&say("")).await.unwrap_err(), Code::TextEmpty);
    assert_eq!(ken.ask(&say(&"x".repeat(16 * 1024 + 1))).await.unwrap_err(), Code::TextTooLong);
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_may_is_for_the_operator_to_say() {
    for (switch, expected) in [
        (MayBroadcast::Off, [false, false]),
        (MayBroadcast::Registered, [true, false]),
        (MayBroadcast::Everyone, [true, true]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.may_broadcast = switch;
        let tracker = start(config).await;
        let (ken, guest) = (tracker.account("ken").await, tracker.guest("guest").await);
        for (client, may) in [&ken, &guest].into_iter().zip(expected) {
            let outcome = client.ask(&say("hello")).await;
            assert_eq!(outcome.err(), (!may).then_some(Code::NotAllowed), "{switch:?}");
        }
        assert_eq!(tracker.stranger().await.ask(&say("hello")).await.unwrap_err(), Code::NotSignedIn);
        tracker.stop().await;
    }
}

#[actix_rt::test]
async fn nobody_says_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, mut charlie) = (tracker.account("ken").await, tracker.account("charlie").await);
    let mut said = 0;
    let refusal = loop {
        match ken.outcome(&say("again")).await {
            Ok(_) => said += 1,
            Err(refusal) => break refusal,
        }
        assert!(said < 100, "it has to end");
    };
    assert!(refusal.code == Code::TooManyRequests && refusal.retry_after_ms.is_some(), "{refusal:?}");
    assert!(said >= 3, "{said}");
    for _ in 0..said {
        hears(&mut charlie).await;
    }
    charlie.expect_nothing().await;
    charlie.ask(&say("what ken does is not held against me")).await.unwrap();
    tracker.stop().await;
}
