//! A channel moves to another machine of its owner.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::clock::Timestamp;
use common::entry::{Hash, Position};
use common::id::{ChannelId, Epoch};
use common::identity::Identity;
use common::proto::directory::{ChannelRecord, Host, Policy, View};
use common::proto::event::TrackerEvent;
use common::proto::moving::{HandOver, TakeOver, was_handed_over};
use common::proto::status::Code;
use common::signed::Signed;
use support::{Client, PASSWORD, Running, channel, config, start};
use tempfile::TempDir;

struct Scene {
    _folder: TempDir,
    tracker: Running,
    old: Identity,
    /// The machine that hosts the channel.
    host: Client,
    /// Another one of the same account.
    other: Client,
    /// The channel as it is announced.
    first: Host,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tracker = start(config(folder.path())).await;
        let old = Identity::generate().unwrap();
        let host = tracker.client(&old).await;
        host.signup("ken", PASSWORD).await.unwrap();
        let other = tracker.stranger().await;
        other.signin("ken", PASSWORD).await.unwrap();
        let id = ChannelId::new();
        let head = Position { epoch: Epoch::new(), seq: 7, hash: Hash::of(b"7") };
        let policy = Policy { rev: 5, view: View::Restricted, ..Policy::default() };
        let first = Host { id, head, policy, ..channel("first") };
        host.host(&first).await.unwrap();
        Self { _folder: folder, tracker, old, host, other, first }
    }

    fn taking(&self, takeover: TakeOver) -> Host {
        Host { term: 0, policy: Policy::default(), takeover: Some(takeover), ..self.first.clone() }
    }

    fn hand_over(&self, record: &ChannelRecord) -> TakeOver {
        let hand_over = HandOver {
            channel: record.id,
            term: record.term,
            to: self.other.key,
            owner: record.owner.subject,
            head: record.head,
            time: Timestamp::now(),
        };
        TakeOver { new_log: false, hand_over: Some(Signed::sign(&hand_over, &self.old).unwrap()) }
    }
}

#[actix_rt::test]
async fn another_device_takes_over_and_the_one_before_is_told() {
    let mut scene = Scene::new().await;
    let known = scene.other.locate("first").await.unwrap();
    assert_eq!(scene.other.host(&scene.first).await.unwrap_err(), Code::HostedElsewhere);
    let hosted = scene.other.ask(&scene.taking(TakeOver::default())).await.unwrap();
    let moved = hosted.channel.moved.clone().unwrap();
    assert_eq!((hosted.channel.term, hosted.channel.host_key), (2, scene.other.key));
    assert_eq!(hosted.policy, Some(scene.first.policy.clone()), "nobody gets in by a move");
    let proof = moved.proof.verify(&scene.other.directory.signing_keys[0]).unwrap();
    assert_eq!((proof.term, proof.host_key, proof.from), (2, scene.other.key, scene.first.head));
    assert!(!was_handed_over(&known, &hosted.channel), "nothing was signed by the host before");
    match scene.host.event().await {
        TrackerEvent::Superseded(told) => assert_eq!(told.channel, hosted.channel),
        other => panic!("{other:?}"),
    }
    // Whoever took over and has not heard of it asks again.
    let again = scene.other.ask(&scene.taking(TakeOver::default())).await.unwrap();
    assert_eq!((again.channel.term, again.policy.is_some()), (3, true));
    assert_eq!(again.channel.moved, hosted.channel.moved);
    assert_eq!(scene.host.host(&scene.first).await.unwrap_err(), Code::Superseded);
    assert_eq!(scene.host.locate("first").await.unwrap(), again.channel);
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn the_log_has_to_reach_what_the_tracker_knows_or_begin_anew() {
    let scene = Scene::new().await;
    let short = Host {
        head: Position { seq: 6, hash: Hash::of(b"6"), ..scene.first.head },
        ..scene.taking(TakeOver::default())
    };
    let refused = scene.other.outcome(&short).await.unwrap_err();
    assert_eq!(refused.code, Code::LogBehind);
    assert!(refused.reason.contains("entry 6") && refused.reason.contains("--new-log"), "{refused}");
    let head = Position::start(scene.first.id, Epoch::new());
    let new = Host { head, ..scene.taking(TakeOver { new_log: true, hand_over: None }) };
    let hosted = scene.other.host(&new).await.unwrap();
    assert_eq!((hosted.term, hosted.head, hosted.moved.unwrap().moves[0].from), (2, head, scene.first.head));
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn nobody_but_the_owners_account_takes_a_channel_over() {
    let scene = Scene::new().await;
    let (eve, guest) = (scene.tracker.account("eve").await, scene.tracker.guest("visitor").await);
    for who in [&eve, &guest] {
        let asked = scene.taking(TakeOver::default());
        assert_eq!(who.host(&asked).await.unwrap_err(), Code::NameTaken, "it may not even be known of");
    }
    let open = Host { policy: Policy { rev: 6, ..Policy::default() }, ..scene.first.clone() };
    scene.host.host(&open).await.unwrap();
    let forged = {
        let record = scene.host.locate("first").await.unwrap();
        let of_eve = Scene { old: Identity::generate().unwrap(), ..scene };
        let hand_over = of_eve.hand_over(&record);
        let asked = of_eve.taking(hand_over);
        assert_eq!(eve.host(&of_eve.taking(TakeOver::default())).await.unwrap_err(), Code::NotOwner);
        assert_eq!(eve.host(&asked).await.unwrap_err(), Code::BadRequest);
        (of_eve, asked)
    };
    let (scene, asked) = forged;
    assert_eq!(scene.other.host(&asked).await.unwrap_err(), Code::BadRequest);
    assert_eq!(scene.other.locate("first").await.unwrap().term, 1);
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn a_hand_over_is_told_to_all_and_counts_once() {
    let scene = Scene::new().await;
    let known = scene.host.locate("first").await.unwrap();
    let asked = scene.taking(scene.hand_over(&known));
    let hosted = scene.other.host(&asked).await.unwrap();
    assert!(was_handed_over(&known, &hosted));
    assert_eq!(scene.other.locate("first").await.unwrap(), hosted);
    // It goes back, and the same paper does not bring it here again.
    scene.host.host(&scene.taking(TakeOver::default())).await.unwrap();
    assert_eq!(scene.other.host(&asked).await.unwrap_err(), Code::BadRequest);
    assert_eq!(scene.other.host(&scene.first).await.unwrap_err(), Code::Superseded);
    let back = scene.host.locate("first").await.unwrap();
    assert_eq!((back.term, back.host_key), (3, scene.host.key));
    assert!(!was_handed_over(&hosted, &back));
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn what_was_handed_over_can_be_taken_back_before_it_is_taken() {
    let scene = Scene::new().await;
    let known = scene.host.locate("first").await.unwrap();
    let asked = scene.taking(scene.hand_over(&known));
    let back = scene.host.host(&scene.taking(TakeOver::default())).await.unwrap();
    assert_eq!((back.term, back.host_key, back.moved), (2, scene.host.key, None));
    assert_eq!(scene.other.host(&asked).await.unwrap_err(), Code::BadRequest);
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn a_channel_is_given_to_another_account_by_what_its_host_signs_and_no_guest_gets_one() {
    let scene = Scene::new().await;
    let known = scene.host.locate("first").await.unwrap();
    let eve = scene.tracker.account("eve").await;
    let visitor = scene.tracker.guest("visitor").await;
    let given = |to: &Client, owner| {
        let head = known.head;
        let hand_over =
            HandOver { channel: known.id, term: 1, to: to.key, owner, head, time: Timestamp::now() };
        TakeOver { new_log: false, hand_over: Some(Signed::sign(&hand_over, &scene.old).unwrap()) }
    };
    let subject = eve.renew().await.unwrap().subject;
    let guest = common::id::Subject::Guest(visitor.key);
    assert_eq!(visitor.host(&scene.taking(given(&visitor, guest))).await.unwrap_err(), Code::NotAllowed);
    // Ken's other machine cannot use what is for eve, and eve not from another key than the one it is for.
    let asked = scene.taking(given(&eve, subject));
    assert_eq!(scene.other.host(&asked).await.unwrap_err(), Code::BadRequest);
    assert_eq!(eve.host(&scene.taking(given(&visitor, subject))).await.unwrap_err(), Code::NameTaken);
    let hosted = eve.host(&asked).await.unwrap();
    assert_eq!((hosted.owner.subject, hosted.host_key, hosted.term), (subject, eve.key, 2));
    assert!(was_handed_over(&known, &hosted));
    assert_eq!(scene.host.host(&scene.first).await.unwrap_err(), Code::Superseded);
    assert_eq!(scene.other.host(&scene.taking(TakeOver::default())).await.unwrap_err(), Code::NameTaken);
    scene.tracker.stop().await;
}
