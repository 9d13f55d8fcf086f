use common::clock::Timestamp;
use common::entry::Header;
use common::entry::{Hash, Position};
use common::id::AccountId;
use common::identity::Identity;
use common::pass::{CLOCK_SKEW, PASS_GRACE_AFTER, Pass};
use common::proto::channel;
use common::proto::channel::{Connect, Debug, History, Members, RetInfo, Role};
use common::proto::event::HostEvent;
use common::proto::session::{Hello, Ping, Purpose};
use common::proto::status::Code;
use std::time::Duration;

use super::scene::{Scene, code, hello, message};
use crate::host::TrackerState;

#[actix::test]
async fn nothing_is_served_before_hello_but_ping() {
    let scene = Scene::new().await;
    let (link, inbox) = scene.dial(Identity::generate().unwrap().key(), 4096);
    let _member = super::scene::Member::new(link.clone(), inbox);
    link.request(&Ping {}).await.unwrap();
    assert_eq!(code(link.request(&RetInfo {}).await), Code::WrongPhase);
    let pass = scene.guest_pass(scene.owner.key(), "ken");
    assert_eq!(code(link.request(&scene.connect(&pass, None, 0)).await), Code::WrongPhase);
    link.request(&hello()).await.unwrap();
    assert_eq!(code(link.request(&hello()).await), Code::WrongPhase);
    assert_eq!(code(link.request(&message("a")).await), Code::WrongPhase);
    link.request(&Ping {}).await.unwrap();
}

#[actix::test]
async fn another_version_or_purpose_is_refused() {
    let scene = Scene::new().await;
    let (link, inbox) = scene.dial(Identity::generate().unwrap().key(), 4096);
    let mut member = super::scene::Member::new(link.clone(), inbox);
    let for_a_tracker = Hello { purpose: Purpose::Control, ..hello() };
    assert_eq!(code(link.request(&for_a_tracker).await), Code::BadRequest);
    let of_another_version = Hello { protocol: 99, ..hello() };
    assert_eq!(code(link.request(&of_another_version).await), Code::UnsupportedVersion);
    assert_eq!(member.farewell().await, Code::UnsupportedVersion);
}

#[actix::test]
async fn an_unknown_channel_can_be_followed_by_a_known_one() {
    let scene = Scene::new().await;
    let key = Identity::generate().unwrap().key();
    let pass = scene.guest_pass(key, "ken");
    let mut member = scene.visitor(key).await;
    let connect = Connect { channel: common::id::ChannelId::new(), ..scene.connect(&pass, None, 0) };
    assert_eq!(code(member.link.request(&connect).await), Code::NoSuchChannel);
    let connected = member.link.request(&scene.connect(&pass, None, 0)).await.unwrap();
    assert_eq!((connected.role, connected.head.seq), (Role::Guest, 0));
    let checkpoint = connected.checkpoint.verify(&scene.identity.key()).unwrap();
    assert_eq!((checkpoint.position, checkpoint.channel), (connected.head, scene.host.id()));
    let stored = member.send("hello").await;
    let entry = member.entry().await;
    let header: Header = entry.open().unwrap();
    assert_eq!(
        (header.seq, header.from.name.as_str(), entry.text().as_deref()),
        (stored.seq, "ken", Some("hello"))
    );
}

#[actix::test]
async fn a_pass_counts_only_for_its_key_its_time_and_its_directory() {
    let scene = Scene::new().await;
    let key = Identity::generate().unwrap().key();
    let good = scene.guest_pass(key, "ken");
    let forger = Identity::generate().unwrap();
    let forged = Pass { signing_key: forger.key(), ..good.clone() };
    let forged = common::pass::SignedPass::sign(&forged, &forger).unwrap();
    let others = scene.sign(&scene.guest_pass(forger.key(), "ken"));
    let elsewhere = scene.sign(&Pass { directory: common::id::DirectoryId::new(), ..good.clone() });
    let long_ago = Timestamp::now().minus(CLOCK_SKEW * 2);
    let ended = Pass { issued: long_ago, expires: long_ago, ..good.clone() };
    let member = scene.visitor(key).await;
    for (pass, expected) in [
        (forged, Code::BadPass),
        (others, Code::BadPass),
        (elsewhere, Code::BadPass),
        (scene.sign(&ended), Code::PassExpired),
    ] {
        let connect = Connect { pass, ..scene.connect(&good, None, 0) };
        assert_eq!(code(member.link.request(&connect).await), expected);
    }
    scene.hosts.gate().set_tracker(TrackerState::DownSince(Timestamp::now().minus(PASS_GRACE_AFTER)));
    member.link.request(&scene.connect(&ended, None, 0)).await.unwrap();
}

#[actix::test]
async fn a_session_ends_with_its_pass_unless_that_is_replaced() {
    let scene = Scene::new().await;
    let expires = Timestamp::now().minus(CLOCK_SKEW).plus(Duration::from_millis(500));
    let nearly = |pass: Pass| Pass { issued: expires.minus(CLOCK_SKEW), expires, ..pass };
    let (stays, goes) = (Identity::generate().unwrap().key(), Identity::generate().unwrap().key());
    let (mut goes, _) = scene.join(&nearly(scene.guest_pass(goes, "goes")), None, 0).await;
    let (stayer, _) = scene.join(&nearly(scene.guest_pass(stays, "stays")), None, 0).await;
    let of_other = channel::Pass {
        pass: scene.sign(&scene.account_pass(stays, "stays", AccountId::new())),
        moved: None,
    };
    assert_eq!(code(stayer.link.request(&of_other).await), Code::BadPass);
    let renewed = channel::Pass { pass: scene.sign(&scene.guest_pass(stays, "stays")), moved: None };
    stayer.link.request(&renewed).await.unwrap();
    let renamed = channel::Pass { pass: scene.sign(&scene.guest_pass(stays, "still")), moved: None };
    stayer.link.request(&renamed).await.unwrap();
    let page = stayer.link.request(&Members::default()).await.unwrap();
    assert!(page.members.iter().any(|member| member.name == "still"), "{page:?}");
    assert!(page.members.iter().all(|member| member.name != "stays"), "{page:?}");
    assert_eq!(goes.farewell().await, Code::PassExpired);
    stayer.send("still here").await;
}

#[actix::test]
async fn whoever_joins_while_messages_flow_misses_nothing_and_gets_nothing_twice() {
    join_while_messages_flow(Scene::new().await).await;
}

#[test]
fn the_same_with_members_on_several_threads_and_the_host_on_its_own() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let hosting = actix::Arbiter::new();
        for _ in 0..3 {
            let scene = Scene::on(hosting.handle()).await;
            // On a worker, as in the programs: there is what is spawned from it too.
            tokio::spawn(join_while_messages_flow(scene)).await.unwrap();
        }
        hosting.stop();
    });
}

async fn join_while_messages_flow(scene: Scene) {
    let writer = scene.join_as("writer").await;
    let start = Position::start(scene.host.id(), scene.host.head().epoch);
    let total: u32 = 1200;
    let flow = tokio::spawn(async move {
        writer.send_many(total as usize).await;
        writer
    });
    let mut heads = Vec::new();
    for n in 0..24_u64 {
        let key = Identity::generate().unwrap().key();
        let have = (n % 2 == 0).then_some(start);
        let (mut member, connected) = scene.join(&scene.guest_pass(key, &format!("ken{n}")), have, 5).await;
        assert!(n % 2 == 1 || connected.after == start);
        heads.push(tokio::spawn(async move { member.take_upto(connected.after, total.into()).await }));
        // Lets the flow go on between two joins.
        scene.host.summary().await.unwrap();
        tokio::task::yield_now().await;
    }
    let _writer = flow.await.unwrap();
    for head in heads {
        assert_eq!(head.await.unwrap(), scene.host.head());
    }
}

#[actix::test]
async fn a_long_history_is_streamed_or_paged() {
    let scene = Scene::new().await;
    let writer = scene.join_as("writer").await;
    writer.send_many(3000).await;
    let head = scene.host.head();
    let start = Position::start(scene.host.id(), head.epoch);
    let key = Identity::generate().unwrap().key();
    let pass = scene.guest_pass(key, "ken");
    let (mut all, _) = scene.join(&pass, Some(start), 0).await;
    assert_eq!(all.take_upto(start, head.seq).await, head);
    let (mut newest, connected) = scene.join(&pass, None, 50).await;
    assert_eq!(connected.after.seq, 2950);
    assert_eq!(newest.take_upto(connected.after, head.seq).await, head);
    let other_epoch = Position { epoch: common::id::Epoch::new(), ..head };
    let (_, connected) = scene.join(&pass, Some(other_epoch), 10).await;
    assert_eq!(connected.after.seq, 2990);
    let (reader, _) = scene.join(&pass, Some(head), 0).await;
    let mut before = None;
    let mut seqs = Vec::new();
    loop {
        let page = reader.history(History { before, after: Some(10), limit: None }).await;
        let Some(first) = page.entries.first() else { break };
        before = Some(first.open().unwrap().seq);
        let page: Vec<u64> = page.entries.iter().map(|entry| entry.open().unwrap().seq).collect();
        seqs.splice(0..0, page);
    }
    assert!(seqs.into_iter().eq(11..=3000));
}

#[actix::test]
async fn who_has_more_than_the_log_or_another_one_is_told_so() {
    let scene = Scene::new().await;
    let writer = scene.join_as("writer").await;
    writer.send("a").await;
    let head = scene.host.head();
    let key = Identity::generate().unwrap().key();
    let member = scene.visitor(key).await;
    let pass = scene.guest_pass(key, "ken");
    for have in [Position { seq: 2, ..head }, Position { hash: Hash::of(b""), ..head }] {
        let connect = scene.connect(&pass, Some(have), 0);
        assert_eq!(code(member.link.request(&connect).await), Code::LogBehind);
    }
    member.link.request(&scene.connect(&pass, Some(head), 0)).await.unwrap();
}

#[actix::test]
async fn members_are_told_and_listed_by_subject() {
    let scene = Scene::new().await;
    let mut watcher = scene.join_as("watcher").await;
    let account = AccountId::new();
    let mut devices = Vec::new();
    for _ in 0..2 {
        let key = Identity::generate().unwrap().key();
        devices.push(scene.join(&scene.account_pass(key, "Ada", account), None, 0).await.0);
    }
    let owner = scene.guest_pass(scene.owner.key(), "owner");
    let (owner, connected) = scene.join(&owner, None, 0).await;
    assert_eq!(connected.role, Role::Owner);
    let page = watcher.link.request(&Members::default()).await.unwrap();
    let rows: Vec<_> = page.members.iter().map(|member| (member.name.as_str(), member.role)).collect();
    assert_eq!(rows, [("Ada", Role::Registered), ("owner", Role::Owner), ("watcher", Role::Guest)]);
    assert_eq!(watcher.link.request(&RetInfo {}).await.unwrap().members, 3);
    assert_eq!(code(watcher.link.request(&Debug {}).await), Code::NotOwner);
    assert_eq!(owner.link.request(&Debug {}).await.unwrap().connections.len(), 4);
    let mut joined = 0;
    while joined < 3 {
        if let HostEvent::Joined(told) = watcher.event().await.unwrap() {
            joined += told.count;
        }
    }
    devices.pop().unwrap().link.close();
    devices[0].link.request(&channel::Disconnect {}).await.unwrap();
    let left = loop {
        if let HostEvent::Left(told) = watcher.event().await.unwrap() {
            break told;
        }
    };
    assert_eq!((left.count, left.members[0].name.as_str()), (1, "Ada"));
}
