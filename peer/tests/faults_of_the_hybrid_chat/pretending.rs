//! Faults of who somebody is, and of what they may.

use std::path::Path;

use bytes::Bytes;
use common::entry::{Position, TEXT};
use common::id::{Epoch, IdentityKind, RequestId};
use common::link::RequestError;
use common::proto::channel::{Debug, History, Pass, RetInfo};
use common::proto::directory::{Host, Policy};
use common::proto::status::Code;
use common::secret::Secret;
use peer::api::{Command, Reply, SessionState};
use serde_json::json;

use crate::support::{Person, Raw, World, named, text_message};

fn host(channel: &str) -> Command {
    Command::Host { channel: named(channel) }
}

fn guest(name: &str) -> Command {
    Command::Guest { name: Some(name.parse().unwrap()) }
}

/// A world with a channel whose host is ken, and somebody who means no good.
async fn scene() -> (World, Person, Raw) {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    let mallory = Raw::guest(&world, "mallory").await;
    (world, ken, mallory)
}

#[actix::test]
async fn the_author_is_who_the_connection_says_whatever_the_message_says() {
    let (_world, ken, mallory) = scene().await;
    let record = mallory.locate("first").await;
    let victim = ken.whoami().await;
    let forged = json!({ "subject": victim.subject, "name": "ken", "kind": "account", "key": victim.key });
    let mut reader = mallory.enter(&record, None).await.unwrap().read();
    let body = json!({
        "id": text_message("").id, "type": TEXT, "sent_at": 1, "from": forged, "author": "ken", "username": "ken",
        "body": { "text": "I am ken", "from": forged, "name": "ken" },
    });
    let request = json!({ "id": RequestId::new(), "command": "MESSAGE", "from": forged, "body": body });
    reader.link.push(Bytes::from(format!("{request}\n"))).unwrap();
    let header = reader.next().await.unwrap().open().unwrap();
    assert_eq!((header.from.name.as_str(), header.from.kind), ("mallory", IdentityKind::Guest));
    ken.reads("first", 1).await;
    let shown = ken.messages("first").remove(0);
    assert_eq!((shown.from.as_str(), shown.subject), ("mallory", header.from.subject));
    assert_ne!(Some(shown.subject), victim.subject);
}

#[actix::test]
async fn a_pass_of_somebody_else_does_not_count() {
    let (world, ken, mallory) = scene().await;
    let record = mallory.locate("first").await;
    let charlie = Raw::guest(&world, "charlie").await;
    let refused = mallory.enter_with(&record, None, charlie.pass.clone()).await.err().unwrap();
    assert!(matches!(&refused, RequestError::Refused(refusal) if refusal.code == Code::BadPass), "{refused}");

    // Neither does it in the middle of a session, and who is there stays who they are.
    let reader = mallory.enter(&record, None).await.unwrap().read();
    let renewed = reader.ask(&Pass { pass: charlie.pass.clone(), moved: None }).await;
    assert_eq!(renewed.unwrap_err().code, Code::BadPass);
    reader.post(&text_message("still me")).await.unwrap();
    ken.reads("first", 1).await;
    assert_eq!(ken.messages("first")[0].from, "mallory");
}

#[actix::test]
async fn nobody_hosts_a_channel_of_somebody_else() {
    let (world, mut ken, mallory) = scene().await;
    let record = mallory.locate("first").await;
    let announcement = |id| Host {
        id,
        name: named("first"),
        head: Position::start(id, Epoch::new()),
        term: 99,
        policy: Policy::default(),
        port: Some(1),
        addresses: Vec::new(),
        behind: false,
        takeover: None,
        members: None,
        forks: Vec::new(),
    };
    let code = |refused: RequestError| refused.into_refusal().code;
    for online in [true, false] {
        if !online {
            ken.stop().await;
        }
        let other = world.guest(if online { "other" } else { "another" }).await;
        assert_eq!(other.refused(host("first")).await, Code::NameTaken);
        assert_eq!(other.refused(host("FIRST")).await, Code::NameTaken);
        let same_id = mallory.control.request(&announcement(record.id)).await;
        assert_eq!(code(same_id.unwrap_err()), Code::NotOwner);
        let same_name = mallory.control.request(&announcement(common::id::ChannelId::new())).await;
        assert_eq!(code(same_name.unwrap_err()), Code::NameTaken);
        assert!(other.status().await.channels.is_empty(), "what was refused leaves nothing behind");
    }
    let found = mallory.locate("first").await;
    assert_eq!((found.id, found.owner, found.host_key), (record.id, record.owner, record.host_key));
}

#[actix::test]
async fn a_name_that_is_taken_is_refused_and_its_holder_does_not_notice() {
    let (world, ken, _) = scene().await;
    for (name, free) in [("ken", "not-ken"), ("KEN", "nor-ken")] {
        let other = world.person(world.config(name)).await;
        other.settled().await;
        assert_eq!(other.whoami().await.state, SessionState::None);
        assert_eq!(other.refused(guest(name)).await, Code::NameTaken);
        other.done(guest(free)).await;
        other.join("first").await;
        other.leave("first").await;
        other.stop_quietly().await;
    }
    assert_eq!(ken.whoami().await.state, SessionState::Guest);
    ken.send("first", "nothing happened").await;
    ken.reads("first", 1).await;
}

#[actix::test]
async fn a_registered_name_is_its_accounts_alone() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.signup("correct horse").await;
    ken.host("first").await;
    ken.stop().await;
    let other = world.person(world.config("ken")).await;
    other.settled().await;
    assert_eq!(other.whoami().await.state, SessionState::None);
    assert_eq!(other.refused(guest("ken")).await, Code::NameRegistered);
    assert_eq!(other.refused(host("first")).await, Code::NotSignedIn);
    let password = Secret::new("wrong horse");
    assert_eq!(other.refused(Command::Signin { name: None, password }).await, Code::BadPassword);
}

#[actix::test]
async fn a_guest_does_not_look_into_a_channel_it_is_not_in_nor_into_its_host() {
    let (world, ken, mallory) = scene().await;
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let debug = || Command::Debug { channel: Some(named("first")) };
    assert_eq!(charlie.refused(debug()).await, Code::NotOwner);
    assert!(matches!(ken.done(debug()).await, Reply::Debug(_)));

    let record = mallory.locate("first").await;
    let (link, mut inbox) = mallory.reach(&record).await;
    let code = |refused: RequestError| refused.into_refusal().code;
    assert_eq!(code(inbox.ask(&link, &Debug {}).await.unwrap_err()), Code::WrongPhase);
    assert_eq!(code(inbox.ask(&link, &RetInfo {}).await.unwrap_err()), Code::WrongPhase);
    assert_eq!(code(inbox.ask(&link, &History::default()).await.unwrap_err()), Code::WrongPhase);
    let reader = mallory.enter(&record, None).await.unwrap().read();
    assert_eq!(reader.ask(&Debug {}).await.unwrap_err().code, Code::NotOwner);
}

/// Whether any file under `folder` has these bytes in it.
fn is_on_disk(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return is_on_disk(&path, wanted);
        }
        std::fs::read(&path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
    })
}

#[actix::test]
async fn no_password_is_ever_on_a_disk() {
    const PASSWORDS: [&str; 3] = ["plain-text-one", "plain-text-two", "plain-text-wrong"];
    let mut world = World::new().await;
    let mut ken = world.guest("ken-who-is-found").await;
    ken.signup(PASSWORDS[0]).await;
    let (old, new) = (Secret::new(PASSWORDS[0]), Secret::new(PASSWORDS[1]));
    ken.done(Command::Passwd { old, new }).await;
    ken.done(Command::Signout).await;
    assert_eq!(ken.signin("ken-who-is-found", PASSWORDS[2]).await.unwrap_err().code, Code::BadPassword);
    ken.signin("ken-who-is-found", PASSWORDS[1]).await.unwrap();
    ken.stop().await;
    world.stop_tracker().await;
    assert!(is_on_disk(&world.tracker_data(), b"ken-who-is-found"), "the search finds what is there");
    for password in PASSWORDS {
        assert!(!is_on_disk(world.folder(), password.as_bytes()), "{password}");
    }
}
