//! Who is at the tracker: shown to all who have entered, and told to those who watch.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::id::Subject;
use common::identity::Identity;
use common::proto::limits::MAX_USERS_IN_FRAME;
use common::proto::presence::{Unwatch, Users, Watch};
use common::proto::status::Code;
use support::{Client, PASSWORD, Running, config, start};

async fn online(client: &Client) -> Vec<String> {
    let page = client.ask(&Users::default()).await.unwrap();
    page.users.into_iter().map(|user| user.name.to_string()).collect()
}

/// An account, and its subject.
async fn account(tracker: &Running, name: &str) -> (Client, Subject) {
    let client = tracker.stranger().await;
    let subject = client.signup(name, PASSWORD).await.unwrap().subject;
    (client, subject)
}

#[actix_rt::test]
async fn who_is_there_is_shown_once_whatever_their_devices() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ada, _) = account(&tracker, "ada").await;
    let gus = tracker.guest("gus").await;
    let pocket = tracker.stranger().await;
    assert_eq!(pocket.ask(&Users::default()).await.unwrap_err(), Code::NotSignedIn);
    pocket.signin("ada", PASSWORD).await.unwrap();
    assert_eq!(online(&gus).await, ["ada", "gus"]);
    ada.hang_up().await;
    assert_eq!(online(&gus).await, ["ada", "gus"], "still on another device");
    // Whoever signs out on the last one is gone, and may come back as somebody else.
    pocket.ask(&common::proto::directory::Signout {}).await.unwrap();
    assert_eq!(online(&gus).await, ["gus"]);
    pocket.guest("zoe").await.unwrap();
    assert_eq!(online(&gus).await, ["gus", "zoe"]);
    gus.signup("gustav", PASSWORD).await.unwrap();
    assert_eq!(online(&gus).await, ["gustav", "zoe"]);
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_watches_is_told_of_coming_and_going_and_nobody_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let key = Identity::generate().unwrap();
    let first = tracker.client(&key).await;
    let subject = first.signup("ada", PASSWORD).await.unwrap().subject;
    let (mut ken, mut gus) = (tracker.account("ken").await, tracker.guest("gus").await);
    let watch = Watch { subjects: vec![subject, Subject::Guest(gus.key)] };
    let there = ken.ask(&watch).await.unwrap().users;
    assert_eq!(there.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["ada", "gus"]);
    first.hang_up().await;
    assert_eq!(ken.expect_offline().await, ["ada"]);
    let again = tracker.client(&key).await;
    again.renew().await.unwrap();
    assert_eq!(ken.expect_online().await, ["ada"]);
    gus.expect_nothing().await;
    ken.ask(&Unwatch { subjects: vec![subject] }).await.unwrap();
    again.hang_up().await;
    gus.hang_up().await;
    assert_eq!(ken.expect_offline().await, ["gus"], "and nothing of ada");
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_comes_back_at_once_was_never_away() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (key, mut ken) = (Identity::generate().unwrap(), tracker.account("ken").await);
    let mut ada = tracker.client(&key).await;
    let subject = ada.signup("ada", PASSWORD).await.unwrap().subject;
    let zoe = tracker.guest("zoe").await;
    ken.ask(&Watch { subjects: vec![subject, Subject::Guest(zoe.key)] }).await.unwrap();
    for _ in 0..5 {
        // The newer connection of a key takes the place of the older one.
        ada = tracker.client(&key).await;
        ada.renew().await.unwrap();
    }
    zoe.hang_up().await;
    assert_eq!(ken.expect_offline().await, ["zoe"], "the first word, and the only one");
    ken.expect_nothing().await;
    drop(ada);
    tracker.stop().await;
}

#[actix_rt::test]
async fn watching_nobody_knows_or_too_many_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let nobody = || Subject::Guest(Identity::generate().unwrap().key());
    assert_eq!(ken.ask(&Watch { subjects: vec![nobody()] }).await.unwrap().users, []);
    let too_many = Watch { subjects: (0..=MAX_USERS_IN_FRAME).map(|_| nobody()).collect() };
    assert_eq!(ken.ask(&too_many).await.unwrap_err(), Code::BadRequest);
    for n in 0.. {
        let some = Watch { subjects: (0..MAX_USERS_IN_FRAME).map(|_| nobody()).collect() };
        match ken.ask(&some).await {
            Ok(watched) => assert!(watched.users.is_empty() && n < 64),
            Err(code) => {
                assert_eq!(code, Code::NotAllowed);
                break;
            }
        }
    }
    let stranger = tracker.stranger().await;
    assert_eq!(stranger.ask(&Watch { subjects: Vec::new() }).await.unwrap_err(), Code::NotSignedIn);
    assert_eq!(stranger.ask(&Unwatch { subjects: Vec::new() }).await.unwrap_err(), Code::NotSignedIn);
    tracker.stop().await;
}
