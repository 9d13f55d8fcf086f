//! Channels: announced, found, told of, given up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::identity::Identity;
use common::proto::directory::{Guest, Host, List, Locate, Policy, Signin, Signout, Unhost, View};
use common::proto::status::Code;
use common::secret::Secret;
use support::{Client, PASSWORD, Running, channel, config, start, within};
use tracker::limits::GUEST_CHANNEL_HOLD;

/// The name of a channel that nobody else has asked for, so that its id is known by the LOCATE that went before.
async fn waiting_for(tracker: &Running, name: &str) -> Client {
    let client = tracker.guest(&format!("w{}", ChannelId::new().0.simple()).as_str()[13..]).await;
    client.locate(name).await.unwrap();
    client
}

#[actix_rt::test]
async fn a_hosted_channel_is_found_with_its_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let first = channel("First Channel");
    let record = ken.host(&first).await.unwrap();
    assert_eq!((record.id, record.host_key, record.term, record.online), (first.id, ken.key, 1, true));
    assert_eq!((record.owner.name.as_str(), record.head), ("ken", first.head));
    let addresses: Vec<&str> = record.addresses.iter().map(|address| address.as_str()).collect();
    assert_eq!(addresses, ["tcp:127.0.0.1:40123", "tcp:192.0.2.7:40123"]);

    let charlie = tracker.guest("charlie").await;
    assert_eq!(charlie.locate("FIRST channel").await.unwrap(), record);
    assert_eq!(charlie.ask(&Locate::Id(first.id)).await.unwrap(), record);
    assert_eq!(charlie.locate("second").await.unwrap_err(), Code::NoSuchChannel);
    assert_eq!(charlie.ask(&Locate::Id(ChannelId::new())).await.unwrap_err(), Code::NoSuchChannel);
    tracker.stop().await;
}

#[actix_rt::test]
async fn names_and_channels_belong_to_their_owners() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, eve) = (tracker.account("ken").await, tracker.account("eve").await);
    let first = channel("first");
    ken.host(&first).await.unwrap();
    for name in ["first", "FIRST", "f\u{456}rst"] {
        assert_eq!(eve.host(&channel(name)).await.unwrap_err(), Code::NameTaken, "{name}");
    }
    assert_eq!(eve.host(&first).await.unwrap_err(), Code::NotOwner);
    assert_eq!(eve.host(&Host { id: first.id, ..channel("other") }).await.unwrap_err(), Code::NotOwner);
    let unhost = Unhost { id: first.id, release: true };
    assert_eq!(eve.ask(&unhost).await.unwrap_err(), Code::NotOwner);
    let renamed = Host { name: "renamed".parse().unwrap(), ..first.clone() };
    assert_eq!(ken.host(&renamed).await.unwrap_err(), Code::BadRequest);
    // Written otherwise, it is the same name.
    let written = Host { name: "First".parse().unwrap(), ..first.clone() };
    assert_eq!(ken.host(&written).await.unwrap().name.as_str(), "First");

    let laptop = tracker.stranger().await;
    laptop.signin("ken", PASSWORD).await.unwrap();
    assert_eq!(laptop.host(&first).await.unwrap_err(), Code::HostedElsewhere);
    assert_eq!(laptop.host(&channel("first")).await.unwrap_err(), Code::HostedElsewhere);
    assert_eq!(laptop.host(&channel("f\u{456}rst")).await.unwrap_err(), Code::NameTaken);
    assert_eq!(laptop.ask(&unhost).await.unwrap_err(), Code::HostedElsewhere);

    ken.ask(&unhost).await.unwrap();
    assert_eq!(ken.ask(&unhost).await.unwrap_err(), Code::NoSuchChannel);
    eve.host(&channel("first")).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn the_id_of_a_channel_that_is_no_more_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let identity = Identity::generate().unwrap();
    let gus = tracker.client(&identity).await;
    gus.guest("gus").await.unwrap();
    let (given_up, lapsed) = (channel("first"), channel("second"));
    ken.host(&given_up).await.unwrap();
    ken.ask(&Unhost { id: given_up.id, release: true }).await.unwrap();
    gus.host(&lapsed).await.unwrap();
    tracker.stop().await;

    let mut late = config(folder.path());
    late.clock = Arc::new(|| Timestamp::now().plus(GUEST_CHANNEL_HOLD + Duration::from_secs(60)));
    let tracker = start(late).await;
    within(tracker.ready.tracker.sweep()).await.unwrap();
    let eve = tracker.stranger().await;
    // Its pass is of another time than this test's.
    eve.ask(&Guest { name: "eve".parse().unwrap() }).await.unwrap();
    for known in [&given_up, &lapsed] {
        let renamed = Host { name: "other".parse().unwrap(), ..known.clone() };
        for taken in [known, &renamed] {
            assert_eq!(eve.host(taken).await.unwrap_err(), Code::NameTaken);
        }
    }
    // Whoever had it announces it again: from another device of theirs, too, and by the key of a guest.
    let laptop = tracker.stranger().await;
    let signin = Signin { name: "ken".parse().unwrap(), password: Secret::new(PASSWORD) };
    laptop.ask(&signin).await.unwrap();
    laptop.host(&given_up).await.unwrap();
    let gus = tracker.client(&identity).await;
    gus.ask(&Guest { name: "gus".parse().unwrap() }).await.unwrap();
    gus.host(&lapsed).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn of_two_who_announce_a_name_at_once_exactly_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, eve) = (tracker.account("ken").await, tracker.guest("eve").await);
    for round in 0..20 {
        let (one, two) = (channel(&format!("round {round}")), channel(&format!("ROUND {round}")));
        let outcomes = tokio::join!(ken.host(&one), eve.host(&two));
        match outcomes {
            (Ok(_), Err(Code::NameTaken)) | (Err(Code::NameTaken), Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_asked_is_told_when_the_host_goes_and_comes() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let host = tracker.client(&identity).await;
    host.signup("ken", PASSWORD).await.unwrap();
    let first = channel("first");
    host.host(&first).await.unwrap();
    let mut member = waiting_for(&tracker, "first").await;
    let mut bystander = tracker.guest("bystander").await;

    host.hang_up().await;
    assert_eq!(member.expect_down().await, first.id);
    assert!(!member.locate("first").await.unwrap().online);

    let host = tracker.client(&identity).await;
    host.renew().await.unwrap();
    let record = host.host(&first).await.unwrap();
    assert_eq!(member.expect_up().await, record);
    // Only how far the log is has changed: nobody need know.
    host.host(&first).await.unwrap();
    member.expect_nothing().await;
    let moved = Host { port: Some(50_000), ..first.clone() };
    host.host(&moved).await.unwrap();
    assert_eq!(member.expect_up().await.addresses[0].as_str(), "tcp:127.0.0.1:50000");

    host.ask(&Unhost { id: first.id, release: false }).await.unwrap();
    assert_eq!(member.expect_down().await, first.id);
    host.host(&first).await.unwrap();
    member.expect_up().await;
    host.ask(&Signout {}).await.unwrap();
    assert_eq!(member.expect_down().await, first.id);
    assert_eq!(host.host(&first).await.unwrap_err(), Code::NotSignedIn);
    bystander.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_host_that_connects_again_takes_its_lease_over() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let identity = Identity::generate().unwrap();
    let older = tracker.client(&identity).await;
    older.guest("ken").await.unwrap();
    let first = channel("first");
    older.host(&first).await.unwrap();
    let mut member = waiting_for(&tracker, "first").await;
    let newer = tracker.client(&identity).await;
    newer.renew().await.unwrap();
    assert_eq!(member.expect_down().await, first.id);
    newer.host(&first).await.unwrap();
    member.expect_up().await;
    older.hang_up().await;
    assert!(member.locate("first").await.unwrap().online);
    member.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_guests_channels_go_with_the_key_to_its_account() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let client = tracker.guest("ken").await;
    let (first, second) = (channel("first"), channel("second"));
    client.host(&first).await.unwrap();
    client.host(&second).await.unwrap();
    let account = client.signup("ken", PASSWORD).await.unwrap().subject;
    assert!(matches!(account, Subject::Account(_)));
    for name in ["first", "second"] {
        let record = client.locate(name).await.unwrap();
        assert_eq!((record.owner.subject, record.online), (account, true));
    }
    assert_eq!(client.host(&first).await.unwrap().owner.subject, account);
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_restricted_channel_is_known_to_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, eve) = (tracker.account("ken").await, tracker.account("eve").await);
    let policy = Policy { view: View::Restricted, ..Policy::default() };
    let secret = Host { policy, ..channel("secret") };
    ken.host(&secret).await.unwrap();
    assert!(ken.locate("secret").await.is_ok());
    assert_eq!(eve.locate("secret").await.unwrap_err(), Code::NoSuchChannel);
    let unhost = Unhost { id: secret.id, release: true };
    assert_eq!(eve.ask(&unhost).await.unwrap_err(), Code::NoSuchChannel);
    assert!(eve.ask(&List::default()).await.unwrap().channels.is_empty());
    assert_eq!(ken.ask(&List::default()).await.unwrap().channels.len(), 1);
    assert_eq!(eve.host(&channel("secret")).await.unwrap_err(), Code::NameTaken);
    tracker.stop().await;
}

/// As many as there are to be, and in a debug build still in seconds.
const MANY: usize = 10_000;

#[actix_rt::test]
async fn ten_thousand_channels_are_listed_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    // By many peers at once, so that the store flushes for many together.
    const HOSTS: usize = 40;
    let mut hosts = vec![];
    for index in 0..HOSTS {
        hosts.push(tracker.account(&format!("host-{index}")).await);
    }
    let mut wanted = HashSet::new();
    let mut hosting = Vec::new();
    for index in 0..MANY {
        let one = channel(&format!("Channel number {index}"));
        wanted.insert(one.name.as_str().to_owned());
        hosting.push(hosts[index % HOSTS].link.send(&one).unwrap());
        if hosting.len() == HOSTS * 100 {
            for answer in hosting.drain(..) {
                answer.await.unwrap();
            }
        }
    }
    for answer in hosting {
        answer.await.unwrap();
    }
    // Whose connection did not wait while this thread was busy with the others.
    let ken = tracker.account("ken").await;
    let mut found = HashSet::new();
    let mut after = None;
    let mut last = String::new();
    loop {
        let page = ken.ask(&List { after, ..List::default() }).await.unwrap();
        for row in page.channels {
            assert!(last.as_str() < row.name.folded(), "in order");
            last = row.name.folded().to_owned();
            assert!(row.online && found.insert(row.name.as_str().to_owned()), "{:?} twice", row.name);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, wanted);

    let page = |pattern: &str, limit| List { pattern: Some(pattern.into()), limit, after: None };
    let found = ken.ask(&page("NUMBER 1234", None)).await.unwrap();
    assert_eq!((found.channels.len(), found.next), (1, None));
    let found = ken.ask(&page("channel*99", Some(10))).await.unwrap();
    assert_eq!((found.channels.len(), found.next.is_some()), (10, true));
    let found = ken.ask(&page("number*", None)).await.unwrap();
    assert_eq!((found.channels.len(), found.next), (0, None));
    assert_eq!(ken.ask(&page(&"x".repeat(1000), None)).await.unwrap_err(), Code::BadRequest);
    tracker.stop().await;
}
