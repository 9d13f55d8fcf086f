//! Who is invisible is to everybody else as if away, and has everything that is theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::collections::BTreeSet;

use common::id::Subject;
use common::identity::{Identity, PeerKey};
use common::proto::directory::{Entered, Renew, Signin};
use common::proto::event::TrackerEvent;
use common::proto::knock::{Introduce, Knock};
use common::proto::presence::{Invisible, Users, Watch};
use common::proto::status::Code;
use common::secret::Secret;
use serde_json::{Value, json};
use support::wire::Wire;
use support::{COMMANDS, Client, PASSWORD, Running, channel, config, hello, start};

async fn online(client: &Client) -> Vec<String> {
    let page = client.ask(&Users::default()).await.unwrap();
    page.users.into_iter().map(|user| user.name.to_string()).collect()
}

fn meet(subject: Subject, key: PeerKey) -> Introduce {
    let addresses = Vec::new();
    Introduce { subject, keys: vec![key], reject: false, port: Some(1), addresses, invisible: false }
}

/// Somebody who is looked at, with two devices.
struct Ada {
    devices: [Identity; 2],
    subject: Subject,
    /// A channel that has nothing to do with her.
    square: Value,
}

impl Ada {
    /// Signed up and gone.
    async fn invisible(tracker: &Running) -> Self {
        let devices = [Identity::generate().unwrap(), Identity::generate().unwrap()];
        let (first, second) = (tracker.client(&devices[0]).await, tracker.client(&devices[1]).await);
        let subject = first.signup("ada", PASSWORD).await.unwrap().subject;
        second.signin("ada", PASSWORD).await.unwrap();
        first.ask(&Invisible { on: true }).await.unwrap();
        first.hang_up().await;
        second.hang_up().await;
        Self { devices, subject, square: serde_json::to_value(channel("square")).unwrap() }
    }

    async fn enter(&self, tracker: &Running, device: usize) -> (Client, Entered) {
        let client = tracker.client(&self.devices[device]).await;
        let entered = client.ask(&Renew {}).await.unwrap();
        (client, entered)
    }

    fn keys(&self) -> Vec<PeerKey> {
        self.devices.iter().map(Identity::key).collect()
    }
}

/// What is not asked of somebody, and why.
const NOT_ASKED: &[(&str, &str)] = &[
    ("SIGNIN", "wrong passwords are counted by the clock"),
    ("SIGNOUT", "ends what the observer sees with, and shows nothing but that"),
    ("PASSWORD", "is about the observer's own password"),
    ("RENEW", "is answered with the observer's own pass, which is another one each time"),
    ("DEVICES", "shows the observer's own devices, and their clocks"),
    ("BROADCAST", "goes to everybody, is answered without a word, and is counted by the clock"),
];

/// Everything that an observer can ask of somebody at a tracker.
fn questions(ada: &Ada) -> Vec<(&'static str, Value)> {
    let id = &ada.square["id"];
    vec![
        ("HELLO", serde_json::to_value(hello()).unwrap()),
        ("USERS", json!({})),
        ("USERS", json!({"limit": 1})),
        ("WATCH", json!({"subjects": [ada.subject]})),
        ("UNWATCH", json!({"subjects": [ada.subject]})),
        ("WATCH", json!({"subjects": [ada.subject]})),
        ("RESOLVE", json!({"name": "ada"})),
        ("KNOCK", json!({"name": "ada"})),
        ("INTRODUCE", json!({"subject": ada.subject, "keys": ada.keys(), "port": 40_000})),
        ("LIST", json!({})),
        ("LOCATE", json!({"name": "ada"})),
        ("SIGNUP", json!({"name": "ada", "password": PASSWORD})),
        ("GUEST", json!({"name": "ada"})),
        ("REVOKE", json!({"key": ada.devices[0].key()})),
        ("INVISIBLE", json!({"on": false})),
        ("HOST", ada.square.clone()),
        ("POLICY", json!({"id": id, "policy": {"rev": 0}})),
        ("UNHOST", json!({"id": id})),
        ("TRANSFER", json!({})),
        ("TRANSFER", json!({"id": id, "end": true})),
        ("PING", json!({})),
    ]
}

async fn asked_of(wire: &mut Wire, ada: &Ada) -> Vec<String> {
    let mut answers = Vec::new();
    for (command, body) in questions(ada) {
        answers.push(wire.ask(command, &body).await);
    }
    answers
}

/// What two observers are answered and told while zoe comes, all is asked, and zoe goes: she is the clock.
async fn transcript(
    tracker: &Running,
    wires: &mut [Wire],
    (ada, zoe): (&Ada, &Identity),
    meanwhile: impl AsyncFnOnce(),
) -> Vec<Vec<String>> {
    let mut transcripts = vec![Vec::new(); wires.len()];
    for wire in wires.iter_mut() {
        wire.events.clear();
        wire.ask("WATCH", &json!({"subjects": [zoe.key()]})).await;
    }
    let there = tracker.client(zoe).await;
    there.guest("zoe").await.unwrap();
    for (wire, transcript) in wires.iter_mut().zip(&mut transcripts) {
        wire.events_upto(r#""name":"zoe""#).await;
        transcript.extend(asked_of(wire, ada).await);
    }
    meanwhile().await;
    there.hang_up().await;
    for (wire, transcript) in wires.iter_mut().zip(&mut transcripts) {
        wire.events_upto(r#"{"event":"LEFT""#).await;
        transcript.extend(asked_of(wire, ada).await);
        transcript.append(&mut wire.events);
    }
    transcripts
}

#[actix_rt::test]
async fn to_everybody_else_who_is_invisible_is_byte_for_byte_who_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ada = Ada::invisible(&tracker).await;
    let [ken, gus, zoe] = [(); 3].map(|()| Identity::generate().unwrap());
    let mut wires = [
        Wire::entered(&tracker, &ken, "SIGNUP", json!({"name": "ken", "password": PASSWORD})).await,
        Wire::entered(&tracker, &gus, "GUEST", json!({"name": "gus"})).await,
    ];
    for wire in &mut wires {
        // A first request for a conversation is a row more; what counts is that the next ones are alike.
        asked_of(wire, &ada).await;
    }
    let away = transcript(&tracker, &mut wires, (&ada, &zoe), async || {}).await;
    assert_eq!(transcript(&tracker, &mut wires, (&ada, &zoe), async || {}).await, away, "it can be compared");
    let (first, entered) = ada.enter(&tracker, 0).await;
    assert!(entered.invisible);
    let there = transcript(&tracker, &mut wires, (&ada, &zoe), async || {
        // Another device comes, one renews, one goes, and what cannot be seen is said once more.
        let (second, entered) = ada.enter(&tracker, 1).await;
        assert!(entered.invisible);
        first.ask(&Renew {}).await.unwrap();
        first.ask(&Invisible { on: true }).await.unwrap();
        first.ask(&Watch { subjects: vec![ada.subject] }).await.unwrap();
        second.hang_up().await;
    });
    assert_eq!(there.await, away);
    let asked: BTreeSet<&str> = questions(&ada).iter().map(|(command, _)| *command).collect();
    let not_asked = NOT_ASKED.iter().map(|(command, _)| *command).collect();
    assert_eq!(
        asked.union(&not_asked).copied().collect::<BTreeSet<_>>(),
        BTreeSet::from_iter(COMMANDS.iter().copied())
    );
    assert!(asked.is_disjoint(&not_asked), "what is asked after all is no exception");
    assert!(away.iter().all(|lines| lines.iter().any(|line| line.contains(r#"{"event":"LEFT""#))));
    // The opposite, so that this test can fail: who is to be seen makes a difference.
    first.ask(&Invisible { on: false }).await.unwrap();
    assert_ne!(transcript(&tracker, &mut wires, (&ada, &zoe), async || {}).await, away);
    tracker.stop().await;
}

#[actix_rt::test]
async fn the_tracker_remembers_it_for_all_devices_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ken = tracker.account("ken").await;
    let ada = Identity::generate().unwrap();
    let first = tracker.client(&ada).await;
    let subject = first.signup("ada", PASSWORD).await.unwrap().subject;
    let mut second = tracker.stranger().await;
    second.signin("ada", PASSWORD).await.unwrap();
    let mut watcher = tracker.guest("gus").await;
    assert_eq!(watcher.ask(&Watch { subjects: vec![subject] }).await.unwrap().users.len(), 1);
    first.ask(&Invisible { on: true }).await.unwrap();
    assert!(matches!(second.event().await, TrackerEvent::InvisibleChanged(changed) if changed.on));
    assert_eq!(watcher.expect_offline().await, ["ada"], "as if the last device had gone");
    assert_eq!(online(&ken).await, ["gus", "ken"]);
    tracker.stop().await;
    let tracker = start(config(folder.path())).await;
    let mut watcher = tracker.guest("zoe").await;
    watcher.ask(&Watch { subjects: vec![subject] }).await.unwrap();
    let again = tracker.client(&ada).await;
    assert!(again.ask(&Renew {}).await.unwrap().invisible);
    let third = tracker.stranger().await;
    let signin = Signin { name: "ada".parse().unwrap(), password: Secret::new(PASSWORD) };
    assert!(third.ask(&signin).await.unwrap().invisible, "also on a new device, from the first moment");
    assert_eq!(online(&watcher).await, ["zoe"]);
    again.ask(&Invisible { on: false }).await.unwrap();
    assert_eq!(watcher.expect_online().await, ["ada"]);
    assert!(!again.ask(&Renew {}).await.unwrap().invisible);
    tracker.stop().await;
}

#[actix_rt::test]
async fn only_an_account_can_be_invisible() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (guest, stranger) = (tracker.guest("gus").await, tracker.stranger().await);
    for on in [true, false] {
        let refused = guest.outcome(&Invisible { on }).await.unwrap_err();
        assert_eq!(refused.code, Code::NotRegistered);
        assert!(refused.reason.contains("signup"), "{refused}");
        assert_eq!(stranger.ask(&Invisible { on }).await.unwrap_err(), Code::NotSignedIn);
    }
    assert_eq!(online(&guest).await, ["gus"]);
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_knock_reaches_who_is_invisible_and_whom_they_answer_sees_them() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ada = Ada::invisible(&tracker).await;
    let (mut first, _) = ada.enter(&tracker, 0).await;
    let mut gus = tracker.guest("gus").await;
    gus.ask(&Knock { name: "ada".parse().unwrap(), invisible: false }).await.unwrap();
    assert!(matches!(first.event().await, TrackerEvent::Knocked(knocked) if knocked.key == gus.key));
    gus.expect_nothing().await;
    let subject = Subject::Guest(gus.key);
    let answer = Introduce { invisible: true, ..meet(subject, gus.key) };
    first.ask(&answer).await.unwrap();
    assert!(matches!(gus.event().await, TrackerEvent::Introduction(found) if found.key == first.key));
    assert_eq!(online(&gus).await, ["gus"], "to the list they are away all the same");
    tracker.stop().await;
}

#[actix_rt::test]
async fn whom_one_wanted_to_meet_before_finds_nobody_after() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let ada = tracker.stranger().await;
    let account = ada.signup("ada", PASSWORD).await.unwrap().subject;
    let mut gus = tracker.guest("gus").await;
    ada.ask(&meet(Subject::Guest(gus.key), gus.key)).await.unwrap();
    ada.ask(&Invisible { on: true }).await.unwrap();
    gus.ask(&meet(account, ada.key)).await.unwrap();
    gus.expect_nothing().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn what_a_device_says_before_it_has_heard_of_it_shows_nobody_anything() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let (ada, second) = (tracker.stranger().await, tracker.stranger().await);
    let account = ada.signup("ada", PASSWORD).await.unwrap().subject;
    second.signin("ada", PASSWORD).await.unwrap();
    let mut contacts = Vec::new();
    for number in 0..20 {
        let contact = tracker.guest(&format!("c{number}")).await;
        contact.ask(&meet(account, second.key)).await.unwrap();
        contacts.push(contact);
    }
    let knock = Knock { name: "c19".parse().unwrap(), invisible: false };
    let say = |contact: &Client| meet(Subject::Guest(contact.key), contact.key);
    // A device that has just connected is saying to all whom it wants to meet, when another one makes it invisible.
    for contact in &mut contacts[..10] {
        second.ask(&say(contact)).await.unwrap();
        assert!(matches!(contact.event().await, TrackerEvent::Introduction(_)));
    }
    ada.ask(&Invisible { on: true }).await.unwrap();
    for contact in &mut contacts[10..] {
        assert_eq!(second.ask(&say(contact)).await.unwrap_err(), Code::Invisible);
        assert_eq!(second.ask(&knock).await.unwrap_err(), Code::Invisible);
    }
    for contact in &mut contacts {
        contact.expect_nothing().await;
    }
    // What is said by who knows goes to that one alone; and to take something back shows nothing.
    second.ask(&Introduce { invisible: true, ..say(&contacts[19]) }).await.unwrap();
    assert!(matches!(contacts[19].event().await, TrackerEvent::Introduction(_)));
    second.ask(&Introduce { keys: Vec::new(), ..say(&contacts[18]) }).await.unwrap();
    contacts[18].expect_nothing().await;
    tracker.stop().await;
}
