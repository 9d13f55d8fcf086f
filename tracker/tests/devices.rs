//! The devices of an account: seen, signed out from another one, and never let in on an old pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use common::clock::Timestamp;
use common::identity::Identity;
use common::link::CloseReason;
use common::pass::REVOKED_FOR;
use common::proto::device::{Device, Devices, Revoke, Revoked};
use common::proto::directory::{Guest, Missed, Renew, Signout};
use common::proto::event::TrackerEvent;
use common::proto::session::Hello;
use common::proto::status::Code;
use support::{Client, PASSWORD, Running, channel, config, hello, start, within};
use tracker::limits::MAX_KEYS_PER_ACCOUNT;

async fn devices(client: &Client) -> Vec<Device> {
    client.ask(&Devices {}).await.unwrap().devices
}

async fn revoke(client: &Client, other: &Client) -> Result<(), Code> {
    client.ask(&Revoke { key: other.key }).await.map(drop)
}

/// One more device of ken, and its pass's number.
async fn device(tracker: &Running) -> (Client, u64) {
    let client = tracker.stranger().await;
    let pass = client.signin("ken", PASSWORD).await.unwrap();
    (client, pass.serial)
}

async fn expect_revoked(client: &mut Client) -> Revoked {
    match client.event().await {
        TrackerEvent::Revoked(revoked) => revoked,
        other => panic!("{other:?} instead of REVOKED"),
    }
}

/// A client that says it knows the revocations up to this one.
async fn host_that_knows(tracker: &Running, rev: u64) -> Client {
    let identity = Identity::generate().unwrap();
    let connection = tracker.dial(&identity).await;
    let hello = Hello { revoked_after: Some(rev), ..hello() };
    Client::hello_with(connection, identity.key(), hello).await
}

#[actix_rt::test]
async fn the_devices_are_listed_with_when_they_were_last_there() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let desk = tracker.account("ken").await;
    let (pocket, _) = device(&tracker).await;
    let (of_desk, of_pocket) = (devices(&desk).await, devices(&pocket).await);
    let keys = [desk.key, pocket.key];
    assert_eq!(of_desk.iter().map(|device| device.key).collect::<Vec<_>>(), keys);
    assert!(
        of_desk.iter().chain(&of_pocket).all(|device| device.online && device.seen >= Some(device.since))
    );
    pocket.hang_up().await;
    let is_gone = async {
        while devices(&desk).await[1].online {
            tokio::task::yield_now().await;
        }
    };
    within(is_gone).await;
    let seen = devices(&desk).await[1].seen.unwrap();
    assert!(Timestamp::now().since(seen) < Duration::from_secs(60));
    desk.hang_up().await;
    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    let (third, _) = device(&tracker).await;
    assert_eq!(devices(&third).await[1].seen, Some(seen), "kept over a restart");
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_device_that_is_signed_out_is_out_at_once_and_comes_back_with_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let desk = tracker.account("ken").await;
    let lost = Identity::generate().unwrap();
    let pocket = tracker.client(&lost).await;
    let pass = pocket.signin("ken", PASSWORD).await.unwrap();
    pocket.host(&channel("first")).await.unwrap();
    let mut host = tracker.guest("host").await;
    host.host(&channel("second")).await.unwrap();
    let mut other = tracker.guest("other").await;

    revoke(&desk, &pocket).await.unwrap();
    let CloseReason::Told(told) = within(pocket.link.closed()).await else { panic!("closed without a word") };
    assert_eq!(told.code, Code::Revoked);
    let revoked = expect_revoked(&mut host).await;
    assert_eq!(revoked.keys, [lost.key()]);
    assert!(revoked.rev > pass.serial && revoked.until >= pass.issued.plus(REVOKED_FOR));
    other.expect_nothing().await;
    assert_eq!(devices(&desk).await.len(), 1);
    assert!(!desk.locate("first").await.unwrap().online, "what it hosted is down");

    let pocket = tracker.client(&lost).await;
    for _ in 0..2 {
        assert_eq!(pocket.renew().await.unwrap_err(), Code::Revoked);
    }
    assert_eq!(pocket.ask(&Devices {}).await.unwrap_err(), Code::NotSignedIn);
    assert_eq!(pocket.signin("ken", "wrong horse").await.unwrap_err(), Code::BadPassword);
    let again = pocket.signin("ken", PASSWORD).await.unwrap();
    assert!(again.serial > revoked.rev, "the new pass counts");
    assert_eq!(pocket.renew().await.unwrap().subject, pass.subject);
    tracker.stop().await;
}

#[actix_rt::test]
async fn nobody_signs_out_what_is_not_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, ada) = (tracker.account("ken").await, tracker.account("ada").await);
    let guest = tracker.guest("guest").await;
    assert_eq!(revoke(&ken, &ada).await, Err(Code::NoSuchDevice));
    assert_eq!(revoke(&ken, &guest).await, Err(Code::NoSuchDevice));
    assert_eq!(revoke(&guest, &guest).await, Err(Code::NotSignedIn));
    assert_eq!(guest.ask(&Devices {}).await.unwrap_err(), Code::NotSignedIn);
    ada.renew().await.unwrap();
    // Its own it may.
    revoke(&ken, &ken).await.unwrap();
    assert!(matches!(within(ken.link.closed()).await, CloseReason::Told(told) if told.code == Code::Revoked));
    tracker.stop().await;
}

#[actix_rt::test]
async fn whoever_hosts_is_told_what_was_missed_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let desk = tracker.account("ken").await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let (pocket, _) = device(&tracker).await;
        revoke(&desk, &pocket).await.unwrap();
        keys.push(pocket.key);
    }
    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    // Who does not say that it hosts is told with its first HOST.
    let late = tracker.guest("late").await;
    assert_eq!(late.ask(&Renew {}).await.unwrap().missed, Missed::default());
    let first = late.ask(&channel("first")).await.unwrap().missed;
    let told: Vec<_> = first.revoked.iter().flat_map(|revoked| revoked.keys.clone()).collect();
    assert_eq!((told, first.more_revoked), (keys, false));
    assert_eq!(late.ask(&channel("second")).await.unwrap().missed, Missed::default());
    // Who says what it knows is told when it enters.
    let knowing = host_that_knows(&tracker, first.revoked[0].rev).await;
    let entered = knowing.ask(&Guest { name: "host".parse().unwrap() }).await.unwrap();
    assert_eq!(entered.missed.revoked, first.revoked[1..]);
    assert_eq!(knowing.ask(&channel("third")).await.unwrap().missed, Missed::default());
    // Who knows more than there is was told it by a tracker that was put back to an older copy.
    let ahead = host_that_knows(&tracker, u64::MAX).await;
    let entered = ahead.ask(&Guest { name: "ahead".parse().unwrap() }).await.unwrap();
    assert_eq!(entered.missed.revoked, first.revoked);
    tracker.stop().await;
}

#[actix_rt::test]
async fn what_is_dead_is_told_to_nobody_and_swept_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut late = config(folder.path());
    let tracker = start(late.clone()).await;
    let desk = tracker.account("ken").await;
    let (pocket, _) = device(&tracker).await;
    revoke(&desk, &pocket).await.unwrap();
    tracker.stop().await;
    late.clock = std::sync::Arc::new(|| Timestamp::now().plus(REVOKED_FOR + Duration::from_secs(60)));
    let tracker = start(late).await;
    within(tracker.ready.tracker.sweep()).await.unwrap();
    let host = tracker.stranger().await;
    // Its pass is of another time than this test's.
    host.ask(&Guest { name: "host".parse().unwrap() }).await.unwrap();
    assert_eq!(host.ask(&channel("first")).await.unwrap().missed, Missed::default());
    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    let host = tracker.stranger().await;
    host.guest("other").await.unwrap();
    assert_eq!(
        host.ask(&channel("other")).await.unwrap().missed,
        Missed::default(),
        "it is gone from the disk"
    );
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_signs_itself_out_is_listed_while_its_pass_counts_and_can_be_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let desk = tracker.account("ken").await;
    let (pocket, serial) = device(&tracker).await;
    let mut host = tracker.guest("host").await;
    host.host(&channel("first")).await.unwrap();
    pocket.ask(&Signout {}).await.unwrap();
    let listed = devices(&desk).await;
    let [own, left] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((own.key, own.pass_until, left.key, left.online), (desk.key, None, pocket.key, false));
    assert_eq!(left.pass_until, Some(left.since.plus(REVOKED_FOR)));
    // It is somebody else by now: that is not ended, but its passes are.
    pocket.signup("mallory", PASSWORD).await.unwrap();
    revoke(&desk, &pocket).await.unwrap();
    let revoked = expect_revoked(&mut host).await;
    assert!(revoked.keys == [pocket.key] && revoked.rev > serial);
    assert_eq!(devices(&desk).await.len(), 1);
    assert_eq!(revoke(&desk, &pocket).await, Err(Code::NoSuchDevice), "once is enough");
    tracker.stop().await;
}

#[actix_rt::test]
async fn nobody_hides_a_pass_behind_many_who_sign_out() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let desk = tracker.account("ken").await;
    let (thief, serial) = device(&tracker).await;
    let mut host = tracker.guest("host").await;
    host.host(&channel("first")).await.unwrap();
    thief.ask(&Signout {}).await.unwrap();
    for _ in 1..MAX_KEYS_PER_ACCOUNT {
        device(&tracker).await.0.ask(&Signout {}).await.unwrap();
    }
    host.expect_nothing().await;
    assert_eq!(devices(&desk).await.len(), 1 + MAX_KEYS_PER_ACCOUNT);
    // Of one more the first cannot be remembered: its pass is ended with that.
    device(&tracker).await.0.ask(&Signout {}).await.unwrap();
    let revoked = expect_revoked(&mut host).await;
    assert!(revoked.keys == [thief.key] && revoked.rev > serial);
    let listed = devices(&desk).await;
    assert!(listed.len() == 1 + MAX_KEYS_PER_ACCOUNT && listed.iter().all(|one| one.key != thief.key));
    tracker.stop().await;
}
