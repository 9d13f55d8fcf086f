use common::entry::{Header, Position};
use common::id::IdentityKind;
use common::identity::Identity;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::channel::{Debug, Disconnect};
use common::proto::directory::Owner;
use common::proto::event::HostEvent;
use common::proto::limits::MAX_TEXT_BYTES;
use common::proto::status::Code;
use common::transport::Address;
use common::transport::{Expected, Transport};

use super::scene::{Member, Scene, hello, message};
use crate::alarm::{Alarm, Death};
use crate::host::{HostEnded, forget, load_records};
use crate::listener::Listener;

/// Enters, and reads nothing more than the answer to that.
async fn enter_and_stop_reading(scene: &Scene, key: common::identity::PeerKey) -> (Link, Inbox) {
    let (link, mut inbox) = scene.dial(key, 1024);
    let connect = scene.connect(&scene.guest_pass(key, "stuck"), None, 0);
    let asked = async {
        link.request(&hello()).await.unwrap();
        link.request(&connect).await.unwrap();
    };
    tokio::select! {
        () = asked => {}
        next = inbox.next() => panic!("unexpected {next:?}"),
    }
    (link, inbox)
}

#[actix::test]
async fn who_stops_reading_is_closed_and_the_others_notice_nothing() {
    let scene = Scene::new().await;
    let mut members = Vec::new();
    for n in 0..12 {
        members.push(scene.join_as(&format!("ken{n}")).await);
    }
    let start = scene.host.head();
    let key = Identity::generate().unwrap().key();
    let (_stuck, mut inbox) = enter_and_stop_reading(&scene, key).await;
    let owner = scene.join(&scene.guest_pass(scene.owner.key(), "owner"), None, 0).await.0;
    let text = "x".repeat(MAX_TEXT_BYTES);
    let mut sent = 0;
    while owner.link.request(&Debug {}).await.unwrap().connections.iter().any(|row| row.name == "stuck") {
        members[0].send(&text).await;
        sent += 1;
    }
    members[0].send("after").await;
    for member in &mut members {
        assert_eq!(member.take_upto(start, sent + 1).await, scene.host.head());
    }
    let mut at = start;
    let reason = loop {
        match inbox.next().await {
            Ok(Inbound::Event(event)) => {
                if let HostEvent::RawEntry(entry) = HostEvent::parse(&event.name, &event.body).unwrap() {
                    let header: Header = entry.open().unwrap();
                    at = Position { seq: header.seq, hash: at.hash.next(&entry.header), ..at };
                }
            }
            Ok(Inbound::Request(request)) => panic!("unexpected {request:?}"),
            Err(reason) => break reason,
        }
    };
    assert!(matches!(reason, CloseReason::Told(refusal) if refusal.code == Code::SlowReader));
    let (mut back, connected) = scene.join(&scene.guest_pass(key, "stuck"), Some(at), 0).await;
    assert_eq!(connected.after, at);
    assert_eq!(back.take_upto(at, sent + 1).await, scene.host.head());
}

#[actix::test]
async fn a_newer_connection_of_a_key_takes_over_after_what_the_older_one_sent() {
    let scene = Scene::new().await;
    let key = Identity::generate().unwrap().key();
    let pass = scene.guest_pass(key, "ken");
    let (mut older, _) = scene.join(&pass, None, 0).await;
    let sent: Vec<_> = (0..40).map(|n| message(&n.to_string())).collect();
    for message in &sent {
        drop(older.link.send(message).unwrap());
    }
    // All of it has reached the host, in order, before this answer.
    let _ = older.link.request(&common::proto::session::Ping {}).await;
    let (mut newer, connected) = scene.join(&pass, None, 0).await;
    assert_eq!(connected.head.seq, 40);
    assert_eq!(older.farewell().await, Code::Superseded);
    for (n, message) in sent.iter().enumerate() {
        assert_eq!(newer.link.request(message).await.unwrap().seq, n as u64 + 1);
    }
    newer.send("after").await;
    assert_eq!(newer.take_upto(connected.after, 41).await.seq, 41);
}

#[actix::test]
async fn disconnect_is_answered_and_then_closed() {
    let scene = Scene::new().await;
    let mut member = scene.join_as("ken").await;
    member.link.request(&Disconnect {}).await.unwrap();
    assert_eq!(member.end().await, CloseReason::There);
}

#[actix::test]
async fn closing_answers_what_was_sent_and_tells_the_members() {
    let scene = Scene::new().await;
    let mut member = scene.join_as("ken").await;
    let answers: Vec<_> = (0..20).map(|n| member.link.send(&message(&n.to_string())).unwrap()).collect();
    member.link.request(&common::proto::session::Ping {}).await.unwrap();
    scene.host.close().await;
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().seq, n as u64 + 1);
    }
    assert_eq!(member.farewell().await, Code::GoingAway);
    assert_eq!(scene.host.stopped().await, HostEnded::Closed);
    scene.host.close().await;
    assert!(scene.host.summary().await.is_err());
    assert_eq!(scene.host.head().seq, 20);
}

#[actix::test]
async fn a_host_that_dies_is_noticed() {
    let hosting = actix::Arbiter::new();
    let scene = Scene::on(hosting.handle()).await;
    let member = scene.join_as("ken").await;
    hosting.stop();
    assert_eq!(scene.host.stopped().await, HostEnded::Died);
    assert_eq!(super::scene::code(member.link.request(&message("a")).await), Code::GoingAway);
    scene.host.close().await;
}

#[actix::test]
async fn owner_and_term_are_kept_and_a_record_can_be_forgotten() {
    let mut scene = Scene::new().await;
    let heir = scene.guest_pass(Identity::generate().unwrap().key(), "heir");
    let owner = Owner { subject: heir.subject, name: "heir".parse().unwrap(), kind: IdentityKind::Guest };
    scene.host.set_owner(owner.clone()).await.unwrap();
    scene.host.set_term(3).await.unwrap();
    scene.host.set_term(2).await.unwrap();
    scene.reopen().await;
    let records = load_records(&scene.store).await.unwrap();
    let summary = scene.host.summary().await.unwrap();
    assert_eq!((&summary.owner, summary.term), (&owner, 3));
    assert_eq!((&records[0].owner, records[0].term), (&owner, 3));
    let (_, connected) = scene.join(&heir, None, 0).await;
    assert_eq!((connected.role, connected.term), (common::proto::channel::Role::Owner, 3));
    forget(&scene.store, scene.host.id()).await.unwrap();
    assert!(load_records(&scene.store).await.unwrap().is_empty());
}

#[actix::test]
async fn leaving_leaves_nothing_behind() {
    let scene = Scene::new().await;
    let owner = scene.join(&scene.guest_pass(scene.owner.key(), "owner"), None, 0).await.0;
    for _ in 0..200 {
        let member = scene.join_as("ken").await;
        member.send("a").await;
        member.link.request(&Disconnect {}).await.unwrap();
    }
    let report = owner.link.request(&Debug {}).await.unwrap();
    assert_eq!((report.connections.len(), report.unflushed, report.head.seq), (1, 0, 200));
}

#[actix::test]
async fn the_listener_serves_over_tls_until_it_is_told_to_stop() {
    let scene = Scene::new().await;
    let transport = Transport::new(scene.identity.clone()).unwrap();
    let listener = transport.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (trigger, shutdown) = common::shutdown::Shutdown::new();
    let listener = Listener::start(
        listener,
        scene.hosts.clone(),
        crate::listener::Doors { talks: crate::direct::door().0, fetches: crate::direct::door().0 },
        shutdown,
        Death::of("the listener", &Alarm::default()),
    );
    let identity = Identity::generate().unwrap();
    let pass = scene.guest_pass(identity.key(), "ken");
    let dialler = Transport::new(identity).unwrap();
    let address = Address::tcp(listener.local_addr());
    let connection = dialler.dial(Expected::Key(scene.identity.key()), &[address]).await.unwrap();
    let (link, inbox) = Link::open(connection);
    let mut member = Member::new(link, inbox);
    member.link.request(&hello()).await.unwrap();
    member.link.request(&scene.connect(&pass, None, 0)).await.unwrap();
    member.send("a").await;
    trigger.request();
    scene.host.close().await;
    listener.finish().await;
    assert_eq!(member.farewell().await, Code::GoingAway);
}
