use common::id::AccountId;
use common::identity::Identity;
use common::pass::Pass;
use common::proto::channel::{Audit, Bans, Connect, Debug, Kick, Members, RetInfo, StatusOf};
use common::proto::event::HostEvent;
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
            for name in ["at", "waiting_bytes", "unanswered", "number"] {
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

/// Everything that a member can ask about another one.
async fn asked(member: &Member, ada: &Pass) -> Vec<Value> {
    let kick = Kick { subject: ada.subject, why: None };
    let answers = [
        answer(member, &Members::default()).await,
        answer(member, &Members { granted: true, after: None }).await,
        answer(member, &RetInfo {}).await,
        answer(member, &Debug {}).await,
        answer(member, &Bans { after: None }).await,
        answer(member, &StatusOf { ids: Vec::new() }).await,
        answer(member, &kick).await,
    ];
    answers.into_iter().map(timeless).collect()
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
    assert_eq!(acts["ok"]["acts"].as_array().map(Vec::len), Some(3), "each kick was one: {acts}");
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
