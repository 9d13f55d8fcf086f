//! The tracker's copy of who may enter a channel: it serves lists, leaks nothing, and is its host's alone to change.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use common::id::{AccountId, ChannelId, Subject};
use common::identity::Identity;
use common::proto::directory::{
    Grant, Host, List, Locate, Policy, Post, Resolve, Resolved, SetPolicy, Unhost, View,
};
use common::proto::status::Code;
use serde_json::json;
use support::wire::Wire;
use support::{Client, PASSWORD, Running, channel, config, start};

fn account_of(subject: Subject) -> AccountId {
    match subject {
        Subject::Account(account) => account,
        Subject::Guest(_) => panic!("not an account"),
    }
}

/// An account with its id.
async fn account(tracker: &Running, name: &str) -> (Client, AccountId) {
    let client = tracker.stranger().await;
    let account = account_of(client.signup(name, PASSWORD).await.unwrap().subject);
    (client, account)
}

fn restricted(rev: u64) -> Policy {
    Policy { rev, view: View::Restricted, ..Policy::default() }
}

async fn set(host: &Client, id: ChannelId, policy: Policy) -> Result<(), Code> {
    host.ask(&SetPolicy { id, policy }).await.map(drop)
}

async fn listed(client: &Client) -> Vec<String> {
    let page = client.ask(&List::default()).await.unwrap();
    page.channels.into_iter().map(|row| row.name.to_string()).collect()
}

#[actix_rt::test]
async fn lists_go_by_what_the_host_said_last() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let ((ada, ada_id), (eve, eve_id), guest) =
        (account(&tracker, "ada").await, account(&tracker, "eve").await, tracker.guest("gus").await);
    let first = channel("first");
    ken.host(&first).await.unwrap();
    for client in [&ada, &eve, &guest] {
        assert_eq!(listed(client).await, ["first"]);
    }
    let roles = BTreeMap::from([(ada_id, Grant::Authorized)]);
    set(&ken, first.id, Policy { roles: roles.clone(), ..restricted(1) }).await.unwrap();
    assert_eq!((listed(&ada).await.len(), listed(&eve).await.len(), listed(&guest).await.len()), (1, 0, 0));
    assert_eq!(eve.locate("first").await.unwrap_err(), Code::NoSuchChannel);
    assert!(ada.locate("first").await.is_ok() && ken.locate("first").await.is_ok());
    let bans = BTreeSet::from([Subject::Account(eve_id), Subject::Guest(guest.key)]);
    set(&ken, first.id, Policy { rev: 2, roles, bans, ..Policy::default() }).await.unwrap();
    assert_eq!((listed(&ada).await.len(), listed(&eve).await.len(), listed(&guest).await.len()), (1, 0, 0));
    assert_eq!(listed(&tracker.guest("zoe").await).await, ["first"], "banned are those two alone");
    // The ban goes by the key as well.
    guest.signup("gus", PASSWORD).await.unwrap();
    assert_eq!(guest.locate("first").await.unwrap_err(), Code::NoSuchChannel);
    set(&ken, first.id, restricted(1)).await.unwrap();
    assert_eq!(listed(&ada).await, ["first"], "what was sent before is passed over");
    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    let eve = tracker.stranger().await;
    eve.signin("eve", PASSWORD).await.unwrap();
    assert_eq!(listed(&eve).await, [""; 0], "also after a restart");
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_policy_is_its_hosts_alone_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, eve) = (tracker.account("ken").await, tracker.account("eve").await);
    let pocket = tracker.stranger().await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    let first = channel("first");
    ken.host(&first).await.unwrap();
    assert_eq!(set(&eve, first.id, restricted(9)).await, Err(Code::NotOwner));
    assert_eq!(set(&pocket, first.id, restricted(9)).await, Err(Code::HostedElsewhere));
    assert_eq!(set(&eve, ChannelId::new(), restricted(9)).await, Err(Code::NoSuchChannel));
    let rehosted = Host { policy: restricted(9), ..first.clone() };
    assert_eq!(eve.host(&rehosted).await.unwrap_err(), Code::NotOwner);
    let roles = (0..1200).map(|_| (AccountId::new(), Grant::Authorized)).collect();
    let long = Policy { roles, ..Policy::default() };
    assert_eq!(set(&ken, first.id, long).await, Err(Code::BadRequest));
    assert_eq!(listed(&eve).await, ["first"], "nothing of that has changed it");
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_asked_is_told_when_they_may_know_of_it_and_when_not() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let ((mut ada, ada_id), mut guest) = (account(&tracker, "ada").await, tracker.guest("gus").await);
    let first = channel("first");
    ken.host(&first).await.unwrap();
    for client in [&ada, &guest] {
        client.locate("first").await.unwrap();
    }
    set(&ken, first.id, restricted(1)).await.unwrap();
    for client in [&mut ada, &mut guest] {
        assert_eq!(client.expect_down().await, first.id, "as if it were gone");
    }
    let roles = BTreeMap::from([(ada_id, Grant::Moderator)]);
    set(&ken, first.id, Policy { roles: roles.clone(), ..restricted(2) }).await.unwrap();
    assert_eq!(ada.expect_up().await.id, first.id);
    guest.expect_nothing().await;
    // Who asks by the id, and may not know of it, is told as soon as they may: also over a connection that is new.
    let second = tracker.guest("zoe").await;
    let mut second = second;
    assert_eq!(second.ask(&Locate::Id(first.id)).await.unwrap_err(), Code::NoSuchChannel);
    ken.ask(&Unhost { id: first.id, release: false }).await.unwrap();
    assert_eq!(ada.expect_down().await, first.id);
    ken.host(&Host { policy: Policy { rev: 3, roles, ..Policy::default() }, ..first.clone() }).await.unwrap();
    for client in [&mut ada, &mut guest, &mut second] {
        assert_eq!(client.expect_up().await.id, first.id);
    }
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_name_is_resolved_online_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, (ada, ada_id)) = (tracker.account("ken").await, account(&tracker, "Ada").await);
    let guest = tracker.guest("gus").await;
    ada.hang_up().await;
    let resolve = async |name: &str| ken.ask(&Resolve { name: name.parse().unwrap() }).await;
    let Resolved { subject, name, .. } = resolve("aDA").await.unwrap();
    assert_eq!((subject, name.as_str()), (Subject::Account(ada_id), "Ada"));
    assert_eq!(resolve("gus").await.unwrap().subject, Subject::Guest(guest.key));
    for nobody in ["nobody", "Аda", "gu5"] {
        assert_eq!(resolve(nobody).await.unwrap_err(), Code::NoSuchUser, "{nobody}");
    }
    let stranger = tracker.stranger().await;
    assert_eq!(stranger.ask(&Resolve { name: "ken".parse().unwrap() }).await.unwrap_err(), Code::NotSignedIn);
    tracker.stop().await;
}

/// All that the tracker says of a channel, by its name and by its id.
async fn asked_of(wire: &mut Wire, name: &str, id: ChannelId) -> Vec<String> {
    let policy = serde_json::to_value(Policy { post: Post::Authorized, ..restricted(99) }).unwrap();
    let mut answers = Vec::new();
    for (command, body) in [
        ("LOCATE", json!({"name": name})),
        ("LOCATE", json!({"id": id})),
        ("LIST", json!({"pattern": name})),
        ("LIST", json!({"pattern": format!("{name}*"), "limit": 1})),
        ("UNHOST", json!({"id": id, "release": true})),
        ("POLICY", json!({"id": id, "policy": policy})),
    ] {
        answers.push(wire.ask(command, &body).await);
    }
    answers
}

#[actix_rt::test]
async fn a_channel_one_may_not_enter_answers_byte_for_byte_like_none() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let (banned, guest, stranger) =
        (Identity::generate().unwrap(), Identity::generate().unwrap(), Identity::generate().unwrap());
    let signup = |name: &str| json!({"name": name, "password": PASSWORD});
    let mut wires = [
        Wire::entered(&tracker, &guest, "GUEST", json!({"name": "gus"})).await,
        Wire::entered(&tracker, &stranger, "SIGNUP", signup("eve")).await,
        Wire::entered(&tracker, &banned, "SIGNUP", signup("mallory")).await,
    ];
    let resolved = ken.ask(&Resolve { name: "mallory".parse().unwrap() }).await.unwrap();
    let bans = BTreeSet::from([resolved.subject]);
    let (secret, open) = (channel("secret"), channel("open"));
    ken.host(&Host { policy: Policy { bans: bans.clone(), ..restricted(1) }, ..secret.clone() })
        .await
        .unwrap();
    ken.host(&Host { policy: Policy { bans, ..Policy::default() }, ..open.clone() }).await.unwrap();
    for (n, wire) in wires.iter_mut().enumerate() {
        let none = asked_of(wire, "nowhere", ChannelId::new()).await;
        assert_eq!(asked_of(wire, "secret", secret.id).await, none);
        assert!(none[0].contains(r#""code":"no_such_channel""#) && none[5].contains("no_such_channel"));
        if n == 2 {
            assert_eq!(
                asked_of(wire, "open", open.id).await,
                none,
                "to who is banned, a public one is none too"
            );
        }
        // Only taking the name tells that it is taken: in the words of any other name.
        let take = |name: &str| serde_json::to_value(channel(name)).unwrap();
        let taken = wire.ask("HOST", &take("open")).await;
        assert!(taken.contains(r#""code":"name_taken""#), "{taken}");
        assert_eq!(wire.ask("HOST", &take("secret")).await, taken);
        assert_eq!(wire.ask("HOST", &take("SECRET")).await, taken);
        assert_eq!(wire.ask("HOST", &take("ѕecret")).await, taken, "and so is one that looks like it");
        let its_id = serde_json::to_value(Host { id: secret.id, ..channel("another") }).unwrap();
        assert_eq!(wire.ask("HOST", &its_id).await, taken);
    }
    assert_eq!(listed(&ken).await, ["open", "secret"], "nobody has changed anything");
    tracker.stop().await;
}
