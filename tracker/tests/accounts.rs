//! Who is who: guests, accounts, passwords, passes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::id::{IdentityKind, Subject};
use common::identity::Identity;
use common::pass::PASS_LIFETIME;
use common::proto::directory::{Password, Signout};
use common::proto::status::Code;
use common::secret::Secret;
use support::{PASSWORD, config, start, within};

#[actix_rt::test]
async fn a_guest_gets_a_pass_and_keeps_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let first = tracker.stranger().await;
    assert_eq!(first.renew().await.unwrap_err(), Code::NotSignedIn);
    let pass = first.guest("Ken").await.unwrap();
    assert_eq!((pass.subject, pass.kind), (Subject::Guest(first.key), IdentityKind::Guest));
    assert_eq!((pass.name.as_str(), pass.peer_key), ("Ken", first.key));
    assert_eq!(pass.expires, pass.issued.plus(PASS_LIFETIME));
    let renewed = first.renew().await.unwrap();
    assert!(renewed.serial > pass.serial && renewed.name == "Ken");

    let second = tracker.stranger().await;
    for taken in ["Ken", "ken", "KEN", "\u{212a}en", "k\u{435}n"] {
        assert_eq!(second.guest(taken).await.unwrap_err(), Code::NameTaken, "{taken}");
        assert_eq!(second.signup(taken, PASSWORD).await.unwrap_err(), Code::NameTaken, "{taken}");
    }
    // Nobody was harmed.
    assert_eq!(first.renew().await.unwrap().name, "Ken");
    second.guest("charlie").await.unwrap();
    assert_eq!(first.guest("charlie").await.unwrap_err(), Code::NameTaken);
    assert_eq!(first.guest("ken").await.unwrap().name, "ken");
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_newer_session_of_the_same_key_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let older = tracker.client(&identity).await;
    older.guest("ken").await.unwrap();
    let newer = tracker.client(&identity).await;
    newer.guest("ken").await.unwrap();
    let reason = within(older.link.closed()).await;
    assert!(format!("{reason:?}").contains("Superseded"), "{reason:?}");
    newer.renew().await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn an_account_is_entered_with_its_password_and_then_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let first = tracker.stranger().await;
    let made = first.signup("ken", PASSWORD).await.unwrap();
    assert_eq!(made.kind, IdentityKind::Account);
    assert_eq!(first.signup("other", PASSWORD).await.unwrap_err(), Code::AlreadySignedIn);
    assert_eq!(first.guest("other").await.unwrap_err(), Code::AlreadySignedIn);
    assert_eq!(first.signin("ken", PASSWORD).await.unwrap().subject, made.subject);

    let identity = Identity::generate().unwrap();
    let second = tracker.client(&identity).await;
    assert_eq!(second.guest("KEN").await.unwrap_err(), Code::NameRegistered);
    assert_eq!(second.signin("ken", "wrong horse battery").await.unwrap_err(), Code::BadPassword);
    assert_eq!(second.signin("nobody", PASSWORD).await.unwrap_err(), Code::BadPassword);
    assert_eq!(second.renew().await.unwrap_err(), Code::NotSignedIn);
    assert_eq!(second.signin("Ken", PASSWORD).await.unwrap().subject, made.subject);
    second.hang_up().await;

    let again = tracker.client(&identity).await;
    assert_eq!(again.renew().await.unwrap().subject, made.subject);
    // Another device of the same account is left alone.
    assert_eq!(first.renew().await.unwrap().subject, made.subject);
    assert_eq!(again.signin("somebody", PASSWORD).await.unwrap_err(), Code::AlreadySignedIn);

    again.ask(&Signout {}).await.unwrap();
    assert_eq!(again.ask(&Signout {}).await.unwrap_err(), Code::NotSignedIn);
    assert_eq!(again.renew().await.unwrap_err(), Code::NotSignedIn);
    again.guest("visitor").await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn an_entered_guest_becomes_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let client = tracker.guest("ken").await;
    let pass = client.signup("ken", PASSWORD).await.unwrap();
    assert_eq!((pass.kind, pass.name.as_str()), (IdentityKind::Account, "ken"));
    let other = tracker.stranger().await;
    assert_eq!(other.guest("ken").await.unwrap_err(), Code::NameRegistered);
    tracker.stop().await;
}

#[actix_rt::test]
async fn passwords_have_their_length_and_change_with_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let client = tracker.stranger().await;
    for wrong in ["1234567".to_owned(), "x".repeat(257)] {
        assert_eq!(client.signup("ken", &wrong).await.unwrap_err(), Code::PasswordLength);
    }
    let change = |old: &str, new: &str| Password { old: Secret::new(old), new: Secret::new(new) };
    let refused = client.ask(&change(PASSWORD, "battery staple")).await;
    assert_eq!(refused.unwrap_err(), Code::NotSignedIn);
    client.signup("ken", PASSWORD).await.unwrap();
    let refused = client.ask(&change("wrong horse battery", "battery staple")).await;
    assert_eq!(refused.unwrap_err(), Code::BadPassword);
    assert_eq!(client.ask(&change(PASSWORD, "short")).await.unwrap_err(), Code::PasswordLength);
    client.ask(&change(PASSWORD, "battery staple")).await.unwrap();

    let device = tracker.stranger().await;
    assert_eq!(device.signin("ken", PASSWORD).await.unwrap_err(), Code::BadPassword);
    device.signin("ken", "battery staple").await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn an_unknown_name_takes_as_much_work_as_a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    tracker.stranger().await.signup("ken", PASSWORD).await.unwrap();
    tracker.guest("charlie").await;
    let mut work = Vec::new();
    for name in ["ken", "nobody", "charlie", "ken", "nobody"] {
        let client = tracker.stranger().await;
        let before = tracker.ready.tracker.password_runs();
        assert_eq!(client.signin(name, "wrong horse battery").await.unwrap_err(), Code::BadPassword);
        work.push(tracker.ready.tracker.password_runs() - before);
    }
    assert_eq!(work, [1; 5], "one check each, whoever is asked for");
    tracker.stop().await;
}

#[actix_rt::test]
async fn of_two_who_want_a_name_at_once_exactly_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    for round in 0..10 {
        let (one, two, three) =
            (tracker.stranger().await, tracker.stranger().await, tracker.stranger().await);
        let name = format!("name-{round}");
        let (one, two, three) =
            tokio::join!(one.signup(&name, PASSWORD), two.signup(&name, PASSWORD), three.guest(&name));
        let outcomes = [one, two, three];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let refusals = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        for code in refusals {
            assert!(matches!(code, Code::NameTaken | Code::NameRegistered), "{code}");
        }
    }
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_key_does_not_hoard_names() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let client = tracker.stranger().await;
    for index in 0..tracker::limits::MAX_NAMES_PER_GUEST {
        client.guest(&format!("name-{index}")).await.unwrap();
    }
    assert_eq!(client.guest("one-more").await.unwrap_err(), Code::NotAllowed);
    client.guest("name-0").await.unwrap();
    tracker.stop().await;
}
