use std::collections::BTreeSet;

use common::id::{AccountId, Subject};
use common::identity::Identity;
use common::name::UserName;
use common::pass::Pass;
use common::proto::channel::{
    Audit, Authorize, Ban, Bans, Connect, Deauthorize, Debug, Erase, History, HostRequest, Kick, Members,
    RetInfo, Search, SetPost, SetRetention, SetView, StatusOf, Unban,
};
use common::proto::directory::{Grant, Post, View};
use common::proto::event::HostEvent;
use common::proto::session::Ping;
use common::proto::transfer::Take;
use common::proto::{Command, status::Code};
use serde_json::{Value, json};

use super::scene::{Member, Scene, message};

/// What a request is answered, as it would stand on the wire.
async fn answer<C: Command>(member: &Member, command: &C) -> Value {
    match member.link.request(command).await {
        Ok(reply) => json!({ "ok": serde_json::to_value(reply).unwrap() }),
        Err(error) => json!({ "refused": error.into_refusal() }),
    }
}

/// Sets aside clocks, and what of the host's inside changes from moment to moment.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for name in ["at", "waiting_bytes", "unanswered", "number", "rev"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(|field| *field = timeless(field.take()));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = timeless(item.take()));
            items.sort_by_key(Value::to_string);
        }
        _ => {}
    }
    value
}

/// What is not asked about somebody, and why.
const NOT_ASKED: &[(&str, &str)] = &[
    ("HELLO", "begins a connection, and shows nothing of a channel"),
    ("CONNECT", "tells of the channel what RET_INFO does"),
    ("PASS", "is about the observer's own pass"),
    ("DISCONNECT", "ends what the observer sees with"),
    ("MESSAGE", "is answered with its number, and told to everybody"),
    ("VERIFY", "is answered with what the host has signed of its log, and the time"),
];

/// The answers to what was asked, each with its command.
#[derive(Default)]
struct Answers(Vec<(&'static str, Value)>);

impl Answers {
    async fn ask<C: Command>(&mut self, member: &Member, command: &C) {
        self.0.push((C::NAME, timeless(answer(member, command).await)));
    }
}

/// Everything that a member can ask about another one.
async fn asked(member: &Member, ada: &Pass) -> Vec<(&'static str, Value)> {
    let Subject::Account(account) = ada.subject else { panic!("a guest cannot be invisible") };
    let (subject, name) = (ada.subject, "mallory".parse::<UserName>().unwrap());
    let mut answers = Answers::default();
    answers.ask(member, &Ping {}).await;
    answers.ask(member, &Members::default()).await;
    answers.ask(member, &RetInfo {}).await;
    answers.ask(member, &Debug {}).await;
    answers.ask(member, &StatusOf { ids: Vec::new() }).await;
    answers.ask(member, &History::default()).await;
    answers.ask(member, &Search { words: "hello".to_owned(), ..Search::default() }).await;
    answers.ask(member, &SetView { view: View::Public }).await;
    answers.ask(member, &SetPost { post: Post::Everyone }).await;
    answers.ask(member, &SetRetention { days: None }).await;
    answers.ask(member, &Erase { seq: 1, why: None }).await;
    answers.ask(member, &Authorize { account, name: name.clone(), role: Grant::Authorized }).await;
    answers.ask(member, &Members { granted: true, after: None }).await;
    answers.ask(member, &Deauthorize { account }).await;
    answers.ask(member, &Kick { subject, why: None }).await;
    answers.ask(member, &Ban { subject, name: Some(name), why: None }).await;
    answers.ask(member, &Bans { after: None }).await;
    answers.ask(member, &Unban { subject }).await;
    answers.ask(member, &Take {}).await;
    answers.ask(member, &Audit { before: None, limit: Some(5) }).await;
    // Another one each time.
    let (found, written) = (subject.to_string(), "ada");
    let alike = |value: Value| serde_json::from_str(&value.to_string().replace(&found, written)).unwrap();
    answers.0.into_iter().map(|(command, value)| (command, alike(value))).collect()
}

/// What is told until somebody with this name has come.
async fn told_until(member: &mut Member, name: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let event = format!("{:?}", member.event().await.expect("the link has ended"));
        let is_last = event.starts_with("Joined") && event.contains(&format!("{name:?}"));
        told.push(event);
        if is_last {
            return told;
        }
    }
}

fn unseen(connect: Connect) -> Connect {
    Connect { invisible: true, ..connect }
}

async fn enter_unseen(scene: &Scene, pass: &Pass) -> Member {
    let member = scene.visitor(pass.peer_key).await;
    member.link.request(&unseen(scene.connect(pass, None, 0))).await.unwrap();
    member
}

fn account_pass(scene: &Scene, name: &str) -> Pass {
    scene.account_pass(Identity::generate().unwrap().key(), name, AccountId::new())
}

#[actix::test]
async fn an_invisible_member_is_to_all_others_as_if_away() {
    let scene = Scene::new().await;
    let owner_pass = scene.guest_pass(scene.owner.key(), "owner");
    // The owner comes last: after its kick there is nobody to be seen any more.
    let mut observers =
        [scene.join_as("gus").await, scene.join_as("zoe").await, scene.join(&owner_pass, None, 0).await.0];
    let first = scene.join_as("tick").await;
    for observer in &mut observers {
        told_until(observer, "tick").await;
    }
    let mut rounds = Vec::new();
    let clock = scene.guest_pass(Identity::generate().unwrap().key(), "tock");
    // Away, there and not to be seen, and there for all to see: so that this test can fail.
    for unseen in [None, Some(true), Some(false)] {
        // Another one each time: who was kicked may not come back at once.
        let (ada, mut there) = (account_pass(&scene, "ada"), Vec::new());
        match unseen {
            None => {}
            Some(false) => there.push(scene.join(&ada, None, 0).await.0),
            Some(true) => {
                there.push(enter_unseen(&scene, &ada).await);
                // A second device, which goes again.
                let other = Pass { peer_key: Identity::generate().unwrap().key(), ..ada.clone() };
                enter_unseen(&scene, &other).await.link.close();
            }
        }
        let tock = scene.join(&clock, None, 0).await.0;
        let mut round = Vec::new();
        for observer in &mut observers {
            let told = told_until(observer, "tock").await;
            round.push((told, asked(observer, &ada).await));
        }
        for mut member in there {
            // Whom nobody sees is put out all the same.
            let is_kicked = async {
                while !matches!(member.event().await.expect("kicked first"), HostEvent::Kicked(_)) {}
            };
            tokio::time::timeout(super::scene::SOON, is_kicked).await.unwrap();
        }
        tock.link.close();
        for observer in &mut observers {
            while !format!("{:?}", observer.event().await.unwrap()).contains("\"tock\"") {}
        }
        rounds.push(round);
    }
    assert_eq!(rounds[0], rounds[1]);
    assert_ne!(rounds[0], rounds[2]);
    let acts = answer(&observers[2], &Audit { limit: None, before: None }).await;
    assert_eq!(acts["ok"]["acts"].as_array().map(Vec::len), Some(3 * 5), "each order was one: {acts}");
    let commands: BTreeSet<&str> = rounds[0][0].1.iter().map(|(command, _)| *command).collect();
    let not_asked = NOT_ASKED.iter().map(|(command, _)| *command).collect();
    let all = BTreeSet::from_iter(HostRequest::NAMES.iter().copied());
    assert_eq!(commands.union(&not_asked).copied().collect::<BTreeSet<_>>(), all);
    assert!(commands.is_disjoint(&not_asked), "what is asked after all is no exception");
    drop(first);
}

#[actix::test]
async fn an_invisible_member_reads_and_writes_and_speaking_lists_nobody() {
    let scene = Scene::new().await;
    let mut gus = scene.join_as("gus").await;
    let mut ada = enter_unseen(&scene, &account_pass(&scene, "ada")).await;
    gus.link.request(&message("hello")).await.unwrap();
    ada.entry().await;
    ada.link.request(&message("hello yourself")).await.unwrap();
    gus.entry().await;
    gus.entry().await;
    let list = gus.link.request(&Members::default()).await.unwrap();
    assert_eq!((list.members.len(), list.total), (1, 1), "what they write shows them, and nothing else does");
}

#[actix::test]
async fn who_is_seen_on_another_device_is_seen_and_a_guest_always_is() {
    let scene = Scene::new().await;
    let gus = scene.join_as("gus").await;
    let ada = account_pass(&scene, "ada");
    let other = Pass { peer_key: Identity::generate().unwrap().key(), ..ada.clone() };
    let seen = scene.join(&other, None, 0).await.0;
    let unseen_one = enter_unseen(&scene, &ada).await;
    let names = async || {
        let list = gus.link.request(&Members::default()).await.unwrap();
        list.members.into_iter().map(|member| member.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["ada", "gus"]);
    seen.link.close();
    while names().await.len() > 1 {}
    // Whoever says it again over a connection that can be seen is seen from there on.
    let _again = scene.join(&ada, None, 0).await.0;
    assert_eq!(names().await, ["ada", "gus"]);
    unseen_one.link.closed().await;
    let zoe = scene.guest_pass(Identity::generate().unwrap().key(), "zoe");
    let _zoe = enter_unseen(&scene, &zoe).await;
    assert_eq!(names().await, ["ada", "gus", "zoe"], "a guest cannot be invisible");
    let refused = gus.link.request(&Debug {}).await.unwrap_err().into_refusal();
    assert_eq!(refused.code, Code::NotOwner);
}
