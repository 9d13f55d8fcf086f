//! Requests for conversations, and who is introduced to whom.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::clock::Timestamp;
use common::id::Subject;
use common::identity::{Identity, PeerKey};
use common::proto::directory::Renew;
use common::proto::event::TrackerEvent;
use common::proto::knock::{Introduce, Introduction, Knock, Knocked, Sent};
use common::proto::status::Code;
use support::{Client, PASSWORD, Running, config, start};
use tracker::limits::{KNOCK_HOLD, MAX_KNOCKS_PER_USER};

fn knock(name: &str) -> Knock {
    Knock { name: name.parse().unwrap(), invisible: false }
}

/// Says that somebody wants to talk to this user on this device, and is to be found at an address of their own.
fn introduce(subject: Subject, key: PeerKey, own: u8) -> Introduce {
    let addresses = vec![address(own).parse().unwrap()];
    Introduce { subject, keys: vec![key], reject: false, port: None, addresses, invisible: false }
}

fn address(own: u8) -> String {
    format!("tcp:192.0.2.{own}:40123")
}

fn guest_of(client: &Client) -> Subject {
    Subject::Guest(client.key)
}

async fn expect_knock(client: &mut Client) -> Knocked {
    match client.event().await {
        TrackerEvent::Knocked(knocked) => knocked,
        other => panic!("{other:?} instead of KNOCKED"),
    }
}

async fn expect_introduction(client: &mut Client) -> Introduction {
    match client.event().await {
        TrackerEvent::Introduction(introduction) => introduction,
        other => panic!("{other:?} instead of INTRODUCTION"),
    }
}

/// A tracker whose clock can be put forward.
async fn with_clock(folder: &std::path::Path) -> (Running, Arc<AtomicU64>) {
    let ahead = Arc::new(AtomicU64::new(0));
    let mut config = config(folder);
    let clock = ahead.clone();
    config.clock =
        Arc::new(move || Timestamp::now().plus(Duration::from_millis(clock.load(Ordering::Relaxed))));
    (start(config).await, ahead)
}

#[actix_rt::test]
async fn a_knock_is_answered_alike_for_users_who_are_there_away_unknown_or_turn_everybody_down() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let mut there = tracker.guest("there").await;
    tracker.guest("away").await.hang_up().await;
    tracker.account("account").await.hang_up().await;
    let mut refuser = tracker.guest("refuser").await;
    let mut asker = tracker.guest("asker").await;
    asker.ask(&knock("refuser")).await.unwrap();
    let refused = expect_knock(&mut refuser).await;
    let rejection = Introduce { reject: true, ..introduce(refused.from.subject, refused.key, 1) };
    refuser.ask(&rejection).await.unwrap();
    assert!(expect_introduction(&mut asker).await.rejected);

    for name in ["there", "away", "account", "nobody", "asker", "refuser"] {
        assert_eq!(asker.ask(&knock(name)).await, Ok(Sent::default()), "{name}");
        if name != "refuser" {
            asker.expect_nothing().await;
        }
    }
    assert_eq!(expect_knock(&mut there).await.key, asker.key);
    there.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_knock_waits_for_whoever_is_away_over_a_restart_and_a_week_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, _) = with_clock(folder.path()).await;
    let ken = Identity::generate().unwrap();
    let client = tracker.client(&ken).await;
    client.signup("ken", PASSWORD).await.unwrap();
    client.hang_up().await;
    let charlie = tracker.guest("charlie").await;
    charlie.ask(&knock("KEN")).await.unwrap();
    tracker.stop().await;

    let (tracker, ahead) = with_clock(folder.path()).await;
    let mut client = tracker.client(&ken).await;
    client.renew().await.unwrap();
    let knocked = expect_knock(&mut client).await;
    assert_eq!((knocked.from.name.as_str(), knocked.key), ("charlie", charlie.key));
    client.renew().await.unwrap();
    client.expect_nothing().await;
    // Another device of the account hears of it, too.
    let mut laptop = tracker.stranger().await;
    laptop.signin("ken", PASSWORD).await.unwrap();
    assert_eq!(expect_knock(&mut laptop).await, knocked);
    client.hang_up().await;

    ahead.store(u64::try_from(KNOCK_HOLD.as_millis()).unwrap(), Ordering::Relaxed);
    let mut client = tracker.client(&ken).await;
    client.ask(&Renew {}).await.unwrap();
    client.expect_nothing().await;
    tracker.ready.tracker.sweep().await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn addresses_are_given_only_once_both_want_to_talk() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let (mut ken, mut charlie) = (tracker.client(&identity).await, tracker.guest("charlie").await);
    ken.guest("ken").await.unwrap();
    let mut eve = tracker.guest("eve").await;
    // Whoever says so unasked is told nothing, and is not told of.
    eve.ask(&introduce(guest_of(&ken), ken.key, 66)).await.unwrap();
    charlie.ask(&knock("ken")).await.unwrap();
    let knocked = expect_knock(&mut ken).await;
    for client in [&mut ken, &mut charlie, &mut eve] {
        client.expect_nothing().await;
    }

    ken.ask(&introduce(knocked.from.subject, knocked.key, 1)).await.unwrap();
    let accepted = expect_introduction(&mut charlie).await;
    assert_eq!((accepted.who.name.as_str(), accepted.key, accepted.rejected), ("ken", ken.key, false));
    assert_eq!(accepted.addresses[0].as_str(), address(1));
    ken.expect_nothing().await;

    charlie.ask(&introduce(accepted.who.subject, accepted.key, 2)).await.unwrap();
    let both = expect_introduction(&mut ken).await;
    assert_eq!((both.key, both.addresses[0].as_str()), (charlie.key, address(2).as_str()));
    assert_eq!(expect_introduction(&mut charlie).await.key, ken.key);
    eve.expect_nothing().await;
    // The knock is answered: it is not told again.
    let mut again = tracker.client(&identity).await;
    again.renew().await.unwrap();
    again.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn whoever_comes_back_is_introduced_again() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let (mut ken, charlie) = (tracker.guest("ken").await, tracker.client(&identity).await);
    charlie.guest("charlie").await.unwrap();
    ken.ask(&introduce(guest_of(&charlie), charlie.key, 1)).await.unwrap();
    charlie.ask(&introduce(guest_of(&ken), ken.key, 2)).await.unwrap();
    expect_introduction(&mut ken).await;
    charlie.hang_up().await;

    let mut charlie = tracker.client(&identity).await;
    charlie.renew().await.unwrap();
    charlie.ask(&introduce(guest_of(&ken), ken.key, 3)).await.unwrap();
    assert_eq!(expect_introduction(&mut ken).await.addresses[0].as_str(), address(3));
    assert_eq!(expect_introduction(&mut charlie).await.addresses[0].as_str(), address(1));
    tracker.stop().await;
}

#[actix_rt::test]
async fn an_acceptance_reaches_whoever_was_away_when_they_knock_again() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let mut ken = tracker.guest("ken").await;
    let charlie = tracker.client(&identity).await;
    charlie.guest("charlie").await.unwrap();
    charlie.ask(&knock("ken")).await.unwrap();
    let knocked = expect_knock(&mut ken).await;
    charlie.hang_up().await;
    ken.ask(&introduce(knocked.from.subject, knocked.key, 1)).await.unwrap();

    let mut charlie = tracker.client(&identity).await;
    charlie.renew().await.unwrap();
    charlie.expect_nothing().await;
    charlie.ask(&knock("ken")).await.unwrap();
    assert_eq!(expect_introduction(&mut charlie).await.key, ken.key);
    ken.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn what_was_turned_down_is_told_to_who_asked_and_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (identity, mut charlie) = (Identity::generate().unwrap(), tracker.guest("charlie").await);
    let mut ken = tracker.client(&identity).await;
    ken.guest("ken").await.unwrap();
    charlie.ask(&knock("ken")).await.unwrap();
    let knocked = expect_knock(&mut ken).await;
    let rejection = Introduce { reject: true, ..introduce(knocked.from.subject, knocked.key, 1) };
    ken.ask(&rejection).await.unwrap();
    let told = expect_introduction(&mut charlie).await;
    assert!(told.rejected && told.addresses.is_empty() && told.who.name.as_str() == "ken");

    charlie.ask(&knock("ken")).await.unwrap();
    assert!(expect_introduction(&mut charlie).await.rejected);
    ken.expect_nothing().await;
    ken.hang_up().await;
    let mut ken = tracker.client(&identity).await;
    ken.renew().await.unwrap();
    ken.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn of_very_many_knocks_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let ken = tracker.client(&identity).await;
    ken.guest("ken").await.unwrap();
    ken.hang_up().await;
    let mut last = None;
    for number in 0..=MAX_KNOCKS_PER_USER {
        let asker = tracker.guest(&format!("asker{number}")).await;
        asker.ask(&knock("ken")).await.unwrap();
        last = Some(asker.key);
        asker.hang_up().await;
    }
    let mut ken = tracker.client(&identity).await;
    ken.renew().await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..MAX_KNOCKS_PER_USER {
        keys.push(expect_knock(&mut ken).await.key);
    }
    assert_eq!(keys.last().copied(), last);
    ken.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn an_introduction_has_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.guest("ken").await;
    let too_many = Introduce { keys: vec![ken.key; 65], ..introduce(guest_of(&ken), ken.key, 1) };
    assert_eq!(ken.ask(&too_many).await.unwrap_err(), Code::BadRequest);
    tracker.stop().await;
}
