//! Whoever does too much of something is told so, and when to come back; others are not held up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use common::identity::Identity;
use common::link::{CloseReason, Link};
use common::meter::Rate;
use common::proto::directory::{Guest, List, Password, Policy, Renew, SetPolicy, Signin, Signup, Unhost};
use common::proto::knock::{Knock, Sent};
use common::proto::presence::Invisible;
use common::proto::session::Limits;
use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use support::{Client, PASSWORD, channel, config, hello, start, strict, within};
use tracker::config;
use tracker::limits::MAX_CHANNELS_PER_GUEST;

fn guest(name: &str) -> Guest {
    Guest { name: name.parse().unwrap() }
}

fn signup(name: &str) -> Signup {
    Signup { name: name.parse().unwrap(), password: Secret::new(PASSWORD) }
}

fn knock(name: &str) -> Knock {
    Knock { name: name.parse().unwrap(), invisible: false }
}

fn signin(name: &str, password: &str) -> Signin {
    Signin { name: name.parse().unwrap(), password: Secret::new(password) }
}

/// `too_many_requests`, with a wait of so many milliseconds at most.
#[track_caller]
fn expect_patience(refused: Result<impl std::fmt::Debug, Refusal>, at_most: u64) {
    let refusal = refused.unwrap_err();
    assert_eq!(refusal.code, Code::TooManyRequests, "{refusal}");
    let wait = refusal.retry_after_ms.expect("says when to come back");
    assert!(wait > 0 && wait <= at_most, "{wait} ms");
    assert!(refusal.reason.ends_with("; wait a little"), "{refusal}");
}

async fn tracker_with(change: impl FnOnce(&mut config::Limits)) -> (tempfile::TempDir, support::Running) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = strict(folder.path());
    change(&mut config.limits);
    let tracker = start(config).await;
    (folder, tracker)
}

#[actix_rt::test]
async fn guests_of_one_address_come_in_up_to_a_number_and_who_was_in_comes_back() {
    let (_folder, tracker) = tracker_with(|limits| limits.rates.guests = Rate::new(2, 1)).await;
    let first = tracker.guest("first").await;
    tracker.guest("second").await;
    let third = tracker.stranger().await;
    expect_patience(third.outcome(&guest("third")).await, 60_000);
    // To come in again is no new guest; neither is an account.
    first.renew().await.unwrap();
    third.outcome(&signup("third")).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn accounts_of_one_address_are_made_up_to_a_number() {
    let (_folder, tracker) = tracker_with(|limits| limits.rates.signups = Rate::new(2, 2)).await;
    tracker.account("first").await;
    // A name that is found taken counts like one that is not.
    let client = tracker.stranger().await;
    assert_eq!(client.ask(&signup("first")).await.unwrap_err(), Code::NameTaken);
    expect_patience(client.outcome(&signup("second")).await, 30_000);
    tracker.stop().await;
}

#[actix_rt::test]
async fn names_of_new_channels_are_taken_up_to_a_number() {
    let (_folder, tracker) = tracker_with(|limits| limits.rates.names = Rate::new(2, 1)).await;
    let ken = tracker.account("ken").await;
    let (first, second) = (channel("first"), channel("second"));
    ken.host(&first).await.unwrap();
    // Announced again it is no new name.
    ken.host(&first).await.unwrap();
    assert_eq!(ken.host(&channel("first")).await.unwrap_err(), Code::NameTaken);
    expect_patience(ken.outcome(&second).await, 60_000);
    ken.host(&first).await.unwrap();
    ken.ask(&Unhost { id: first.id, release: true }).await.unwrap();
    expect_patience(ken.outcome(&channel("first")).await, 60_000);
    tracker.stop().await;
}

#[actix_rt::test]
async fn conversations_are_asked_for_up_to_a_number_whether_or_not_there_is_such_a_user() {
    let (_folder, tracker) = tracker_with(|limits| limits.rates.knocks = Rate::new(2, 1)).await;
    let (ken, mut ada) = (tracker.account("ken").await, tracker.account("ada").await);
    for _ in 0..2 {
        assert_eq!(ken.ask(&knock("nobody")).await, Ok(Sent::default()));
    }
    for name in ["nobody", "ada"] {
        expect_patience(ken.outcome(&knock(name)).await, 60_000);
    }
    ada.expect_nothing().await;
    // From another device it is no different; for others it is.
    let device = tracker.stranger().await;
    device.signin("ken", PASSWORD).await.unwrap();
    expect_patience(device.outcome(&knock("ada")).await, 60_000);
    ada.ask(&knock("ken")).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn guests_of_one_address_ask_for_no_more_conversations_by_being_somebody_else() {
    let (_folder, tracker) = tracker_with(|limits| limits.rates.guest_knocks = Rate::new(2, 1)).await;
    for name in ["first", "second"] {
        tracker.guest(name).await.ask(&knock("nobody")).await.unwrap();
    }
    expect_patience(tracker.guest("third").await.outcome(&knock("nobody")).await, 60_000);
    tracker.account("ken").await.ask(&knock("nobody")).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn wrong_passwords_slow_down_and_right_ones_do_not() {
    let (_folder, tracker) = tracker_with(|limits| {
        limits.rates.attempts.of_name.first = Duration::from_secs(30);
    })
    .await;
    tracker.account("ken").await;
    let ada = tracker.account("ada").await;
    let client = tracker.stranger().await;
    for _ in 0..4 {
        assert_eq!(client.ask(&signin("ken", "wrong horse")).await.unwrap_err(), Code::BadPassword);
    }
    let runs = tracker.ready.tracker.password_runs();
    // The right one is not looked at either, from no connection, in whatever capitals.
    expect_patience(client.outcome(&signin("ken", PASSWORD)).await, 30_000);
    expect_patience(tracker.stranger().await.outcome(&signin("KEN", PASSWORD)).await, 30_000);
    assert_eq!(tracker.ready.tracker.password_runs(), runs, "no core was spent on it");
    // A name that nobody has is no different.
    for _ in 0..4 {
        assert_eq!(client.ask(&signin("nobody", PASSWORD)).await.unwrap_err(), Code::BadPassword);
    }
    expect_patience(client.outcome(&signin("nobody", PASSWORD)).await, 30_000);
    // Others sign in.
    for _ in 0..10 {
        tracker.stranger().await.signin("ada", PASSWORD).await.unwrap();
    }
    // The old password of PASSWORD is one to be guessed, too.
    let change = Password { old: Secret::new("wrong horse"), new: Secret::new(PASSWORD) };
    for _ in 0..4 {
        assert_eq!(ada.ask(&change).await.unwrap_err(), Code::BadPassword);
    }
    expect_patience(ada.outcome(&change).await, 30_000);
    tracker.stop().await;
}

#[actix_rt::test]
async fn wrong_passwords_of_one_address_slow_down_for_all_names() {
    let (_folder, tracker) = tracker_with(|limits| {
        limits.rates.attempts.of_origin.free = 2;
        limits.rates.attempts.of_origin.first = Duration::from_secs(30);
    })
    .await;
    tracker.account("ken").await;
    let client = tracker.stranger().await;
    for name in ["ada", "bob", "eve"] {
        assert_eq!(client.ask(&signin(name, "wrong horse")).await.unwrap_err(), Code::BadPassword);
    }
    expect_patience(client.outcome(&signin("ken", PASSWORD)).await, 30_000);
    tracker.stop().await;
}

#[actix_rt::test]
async fn the_one_connection_too_many_is_told_when_to_come_back() {
    let (_folder, tracker) = tracker_with(|limits| limits.admission.connections_of_origin = 1).await;
    let first = tracker.stranger().await;
    let connection = tracker.dial(&Identity::generate().unwrap()).await;
    let (_link, mut inbox) = Link::open(connection);
    let Err(CloseReason::Told(refusal)) = within(inbox.next()).await else { panic!("not turned away") };
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::TooManyConnections, Some(5000)));
    first.hang_up().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn hello_says_the_limits_to_those_whom_they_hold() {
    let rate = Rate::new(7, 7);
    let limits = |limits: &mut config::Limits| limits.rates.guests = rate;
    let (_folder, tracker) = tracker_with(limits).await;
    let said = said_limits(&tracker).await;
    assert_eq!((said.guests, said.connections, said.messages), (Some(rate), Some(512), None));
    assert_eq!((said.depth, said.page_rows), (32, 500));
    tracker.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    assert_eq!(said_limits(&tracker).await, Limits::default(), "this machine's own programs are exempt");
    tracker.stop().await;
}

async fn said_limits(tracker: &support::Running) -> Limits {
    let connection = tracker.dial(&Identity::generate().unwrap()).await;
    let (link, mut inbox) = Link::open(connection);
    let welcome = within(inbox.ask(&link, &hello())).await.unwrap();
    link.close();
    welcome.limits
}

#[actix_rt::test]
async fn by_default_a_class_behind_one_address_gets_in() {
    let (_folder, tracker) = tracker_with(|_| {}).await;
    let mut class: Vec<Client> = Vec::new();
    for n in 0..60 {
        class.push(tracker.guest(&format!("guest{n}")).await);
        // However long it takes, nobody is silent.
        class[n].link.keep_alive();
    }
    for n in 0..60 {
        class.push(tracker.account(&format!("account{n}")).await);
        class[60 + n].link.keep_alive();
    }
    assert_eq!(tracker.ready.tracker.counts().await.unwrap().entered, 120);
    drop(class);
    tracker.stop().await;
}

#[actix_rt::test]
async fn what_is_said_of_one_channel_is_counted_and_what_is_known_already_is_not() {
    let (_folder, tracker) = tracker_with(|limits| limits.rates.announcements = Rate::new(3, 1)).await;
    let (ken, eve) = (tracker.account("ken").await, tracker.account("eve").await);
    let first = channel("first");
    ken.host(&first).await.unwrap();
    let policy = |rev| SetPolicy { id: first.id, policy: Policy { rev, ..Policy::default() } };
    for _ in 0..6 {
        ken.ask(&policy(0)).await.unwrap();
        // Whose it is not, has no part in it.
        assert_eq!(eve.ask(&policy(9)).await.unwrap_err(), Code::NotOwner);
    }
    for rev in 1..=3 {
        ken.ask(&policy(rev)).await.unwrap();
    }
    expect_patience(ken.outcome(&policy(4)).await, 60_000);
    expect_patience(ken.outcome(&first).await, 60_000);
    expect_patience(ken.outcome(&Unhost { id: first.id, release: true }).await, 60_000);
    ken.host(&channel("second")).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn passes_pages_and_turns_are_asked_for_up_to_a_number() {
    let (_folder, tracker) = tracker_with(|limits| {
        let rates = &mut limits.rates;
        (rates.renewals, rates.turns_invisible, rates.lists) =
            (Rate::new(2, 1), Rate::new(2, 1), Rate::new(2, 1));
    })
    .await;
    let (ken, ada) = (tracker.account("ken").await, tracker.account("ada").await);
    for on in [true, false] {
        ken.renew().await.unwrap();
        ken.ask(&List::default()).await.unwrap();
        for _ in 0..3 {
            // What is so already costs nothing.
            ken.ask(&Invisible { on }).await.unwrap();
        }
    }
    expect_patience(ken.outcome(&Renew {}).await, 60_000);
    expect_patience(ken.outcome(&Invisible { on: true }).await, 60_000);
    for client in [&ken, &ada] {
        expect_patience(client.outcome(&List::default()).await, 60_000);
    }
    ada.renew().await.unwrap();
    ada.ask(&Invisible { on: true }).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_guest_owns_few_channels_and_an_account_many() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (gus, ken) = (tracker.guest("gus").await, tracker.account("ken").await);
    for number in 0..MAX_CHANNELS_PER_GUEST {
        gus.host(&channel(&format!("of gus {number}"))).await.unwrap();
        ken.host(&channel(&format!("of ken {number}"))).await.unwrap();
    }
    let refused = gus.outcome(&channel("one more")).await.unwrap_err();
    assert!(refused.code == Code::NotAllowed && refused.reason.contains("unhost --release"), "{refused}");
    ken.host(&channel("one more")).await.unwrap();
    tracker.stop().await;
}
