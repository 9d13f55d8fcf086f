//! What a host says by PING of how far its channels are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::entry::{Hash, Position};
use common::id::{ChannelId, Epoch};
use common::identity::Identity;
use common::proto::directory::{ChannelHead, Heads, HeadsKnown, Host, List, Locate, Policy, View};
use common::proto::limits::MAX_HEADS;
use common::proto::moving::TakeOver;
use common::proto::status::Code;
use support::{Client, PASSWORD, channel, config, start};

fn at(of: &Host, seq: u64) -> ChannelHead {
    let head = Position { seq, hash: Hash::of(&seq.to_be_bytes()), ..of.head };
    ChannelHead { id: of.id, head, members: Some(seq) }
}

async fn ping(client: &Client, heads: Vec<ChannelHead>) -> Vec<ChannelId> {
    client.ask(&Heads { heads }).await.unwrap().log_behind
}

/// How far the first channel of the list is, and how many members it has there.
async fn seen(client: &Client, of: &Host) -> (u64, Option<u64>) {
    let head = client.ask(&Locate::Id(of.id)).await.unwrap().head;
    let listed = client.ask(&List::default()).await.unwrap().channels;
    (head.seq, listed.iter().find(|row| row.id == of.id).unwrap().members)
}

#[actix_rt::test]
async fn the_highest_head_is_known_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (key, first, second) = (Identity::generate().unwrap(), channel("first"), channel("second"));
    let ken = tracker.client(&key).await;
    assert_eq!(ping(&ken, vec![at(&first, 3)]).await, [], "nobody has entered");
    ken.signup("ken", PASSWORD).await.unwrap();
    for host in [&first, &second] {
        ken.host(host).await.unwrap();
    }
    assert_eq!(seen(&ken, &first).await, (0, None), "an older host does not say it");
    assert_eq!(ping(&ken, vec![at(&first, 5), at(&second, 7)]).await, []);
    assert_eq!((seen(&ken, &first).await, seen(&ken, &second).await), ((5, Some(5)), (7, Some(7))));
    // It never goes back, and says so.
    assert_eq!(ping(&ken, vec![at(&first, 4), at(&second, 8)]).await, [first.id]);
    let other =
        ChannelHead { head: Position { hash: Hash::of(b"x"), ..at(&first, 5).head }, ..at(&first, 5) };
    assert_eq!(ping(&ken, vec![other]).await, [first.id]);
    assert_eq!((seen(&ken, &first).await, seen(&ken, &second).await), ((5, Some(5)), (8, Some(8))));
    // Another log is for an announcement.
    let mut of_new_log = at(&first, 9);
    of_new_log.head.epoch = Epoch::new();
    assert_eq!(ping(&ken, vec![of_new_log]).await, []);
    let many = Heads { heads: vec![at(&first, 9); MAX_HEADS + 1] };
    assert_eq!(ken.ask(&many).await.unwrap_err(), Code::BadRequest);
    assert_eq!(ken.ask(&Heads::default()).await, Ok(HeadsKnown::default()));
    tracker.stop().await;

    let tracker = start(config(folder.path())).await;
    let ken = tracker.client(&key).await;
    ken.renew().await.unwrap();
    assert_eq!((seen(&ken, &first).await, seen(&ken, &second).await), ((5, Some(5)), (8, Some(8))));
    assert_eq!(ken.host(&first).await.unwrap_err(), Code::LogBehind, "what a PING has told counts");
    tracker.stop().await;
}

#[actix_rt::test]
async fn nobody_but_who_hosts_a_channel_says_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, eve, pocket) =
        (tracker.account("ken").await, tracker.account("eve").await, tracker.stranger().await);
    pocket.signin("ken", PASSWORD).await.unwrap();
    let first = channel("first");
    ken.host(&first).await.unwrap();
    ping(&ken, vec![at(&first, 5)]).await;
    for other in [&eve, &pocket] {
        for seq in [1, 9] {
            assert_eq!(ping(other, vec![at(&first, seq)]).await, [], "and learns nothing by that");
        }
    }
    assert_eq!(seen(&eve, &first).await, (5, Some(5)));
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_takes_over_has_to_bring_what_a_ping_has_told() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, pocket) = (tracker.account("ken").await, tracker.stranger().await);
    pocket.signin("ken", PASSWORD).await.unwrap();
    let first = channel("first");
    ken.host(&first).await.unwrap();
    ping(&ken, vec![at(&first, 5)]).await;
    let bring =
        |seq| Host { head: at(&first, seq).head, takeover: Some(TakeOver::default()), ..first.clone() };
    let refused = pocket.outcome(&bring(4)).await.unwrap_err();
    assert!(refused.code == Code::LogBehind && refused.reason.contains("entry 5"), "{refused}");
    assert_eq!(pocket.host(&bring(5)).await.unwrap().host_key, pocket.key);
    // The one before says nothing more of it.
    assert_eq!(ping(&ken, vec![at(&first, 9)]).await, []);
    assert_eq!(seen(&pocket, &first).await.0, 5);
    tracker.stop().await;
}

#[actix_rt::test]
async fn how_many_members_there_are_is_told_to_those_who_may_know_of_the_channel() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ken, eve) = (tracker.account("ken").await, tracker.account("eve").await);
    let policy = Policy { rev: 1, view: View::Restricted, ..Policy::default() };
    let secret = Host { policy, members: Some(4), ..channel("secret") };
    ken.host(&secret).await.unwrap();
    assert_eq!(seen(&ken, &secret).await, (0, Some(4)));
    ping(&ken, vec![at(&secret, 5)]).await;
    assert_eq!(seen(&ken, &secret).await, (5, Some(5)));
    assert!(eve.ask(&List::default()).await.unwrap().channels.is_empty());
    assert_eq!(eve.ask(&Locate::Id(secret.id)).await.unwrap_err(), Code::NoSuchChannel);
    // An announcement without a number, of an older version of its host, takes it back.
    ken.host(&Host { members: None, head: at(&secret, 5).head, ..secret.clone() }).await.unwrap();
    assert_eq!(seen(&ken, &secret).await, (5, None));
    tracker.stop().await;
}
