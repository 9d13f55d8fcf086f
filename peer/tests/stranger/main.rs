//! A client of somebody who has read `docs/PROTOCOL.md` and nothing else.
//!
//! It speaks to a real tracker and a real host with plain TLS, JSON, BLAKE3 and Ed25519. Nothing of this project's own
//! libraries is used but to start those two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use tokio::time::timeout;

use wire::*;

/// The tracker, and ken's peer, which hosts the channel `first` and has said two things there.
struct World {
    tracker: tracker::Ready,
    ken: peer::Peer,
    _stop: common::shutdown::ShutdownTrigger,
}

impl World {
    async fn start(folder: &Path) -> Self {
        use peer::api::{Command, Event, OutgoingState};
        use peer::ui::Node;
        let (stop, shutdown) = common::shutdown::Shutdown::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = tracker::Config::new(listen, folder.join("tracker"));
        actix_rt::spawn(tracker::run(config, shutdown, |ready| drop(tell.send(ready))));
        let tracker = timeout(LIMIT, told).await.unwrap().unwrap();
        let mut ken = peer::start(peer_config(&tracker, folder)).await.unwrap();
        let node = ken.node.clone();
        let mut stored = 0;
        while stored < 2 {
            match timeout(LIMIT, ken.events.recv()).await.unwrap().unwrap() {
                Event::Result { outcome, .. } if outcome.is_ok() => {
                    for text in ["hello", "is anybody there?"] {
                        let channel = "first".parse().unwrap();
                        node.perform(Command::Send { channel, text: text.into() }).await.unwrap();
                    }
                }
                Event::Outgoing { state: OutgoingState::Stored, .. } => stored += 1,
                _ => {}
            }
        }
        let events = std::mem::replace(&mut ken.events, peer::events::Events::new().1);
        actix_rt::spawn(async move { while events.recv().await.is_some() {} });
        Self { tracker, ken, _stop: stop }
    }

    /// What the tracker prints at its start.
    fn tracker_address(&self) -> (String, String) {
        (format!("tcp:{}", self.tracker.address), self.tracker.key.to_string())
    }
}

fn peer_config(tracker: &tracker::Ready, folder: &Path) -> peer::Config {
    peer::Config {
        catch_up: peer::client::CatchUp::default(),
        direct: peer::direct::DirectSettings::default(),
        web: None,
        tracker: peer::tracker_link::TrackerAddress {
            address: tracker.address.to_string(),
            key: Some(tracker.key),
            trust_first: false,
        },
        username: "ken".parse().unwrap(),
        name_was_given: true,
        data: folder.join("ken"),
        downloads: folder.join("ken/downloads"),
        last_name: None,
        host_channels: vec!["first".parse().unwrap()],
        listen: peer::hosting::ListenConfig {
            ip: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            advertise: Vec::new(),
        },
        limits: peer::host::quota::Limits::default(),
        drain: Duration::from_secs(1),
        expire: None,
    }
}

/// A stranger who is in the channel.
struct Inside {
    tracker: Wire,
    host: Wire,
    pass: Value,
    record: Value,
    connected: Value,
    own: SigningKey,
}

impl Inside {
    /// Sections 5 to 7, from the first contact to the answer to CONNECT.
    async fn enter(world: &World) -> Self {
        let own = SigningKey::from_bytes(&[42; 32]);
        let (mut tracker, pass) = Self::become_guest(world, &own).await;
        let page = tracker.ask("LIST", json!({ "pattern": "F*T" })).await.unwrap();
        assert_eq!((&page["channels"][0]["name"], &page["next"]), (&json!("first"), &Value::Null));
        let record = tracker.ask("LOCATE", json!({ "name": "First" })).await.unwrap();
        assert_eq!(record["online"], true);
        let (host, connected) = Self::connect(&own, &record, &pass, json!({ "tail": 50 })).await;
        Self { tracker, host, pass, record, connected, own }
    }

    async fn become_guest(world: &World, own: &SigningKey) -> (Wire, Value) {
        let (address, key) = world.tracker_address();
        let mut tracker = Wire::dial(own, &address, &key).await;
        tracker.ask("PING", json!({})).await.unwrap();
        assert_eq!(tracker.ask("LIST", json!({})).await.unwrap_err(), "wrong_phase");
        assert_eq!(tracker.ask("HELLO", hello("channel")).await.unwrap_err(), "bad_request");
        let welcome = tracker.ask("HELLO", hello("control")).await.unwrap();
        assert_eq!(tracker.ask("HELLO", hello("control")).await.unwrap_err(), "wrong_phase");
        assert_eq!(tracker.ask("LIST", json!({})).await.unwrap_err(), "not_signed_in");
        assert_eq!(tracker.ask("RENEW", json!({})).await.unwrap_err(), "not_signed_in");
        assert_eq!(tracker.ask("GUEST", json!({ "name": "no@name" })).await.unwrap_err(), "bad_request");
        assert_eq!(tracker.ask("GUEST", json!({ "name": "KEN" })).await.unwrap_err(), "name_taken");
        let pass =
            tracker.ask("GUEST", json!({ "name": "charlie", "later": 1 })).await.unwrap()["pass"].clone();
        let directory = &welcome["directory"];
        let claims = verify(&pass, "natter-pass-v1", directory["signing_keys"][0].as_str().unwrap());
        let own_key = hex::encode(own.verifying_key().as_bytes());
        assert_eq!((&claims["directory"], &claims["name"]), (&directory["id"], &json!("charlie")));
        assert_eq!((&claims["subject"], &claims["peer_key"]), (&json!(own_key), &json!(own_key)));
        (tracker, pass)
    }

    async fn connect(own: &SigningKey, record: &Value, pass: &Value, begin: Value) -> (Wire, Value) {
        let host_key = record["host_key"].as_str().unwrap();
        let mut host = Wire::dial(own, record["addresses"][0].as_str().unwrap(), host_key).await;
        assert_eq!(host.ask("HELLO", hello("control")).await.unwrap_err(), "bad_request");
        host.ask("HELLO", hello("channel")).await.unwrap();
        assert_eq!(host.ask("MEMBERS", json!({})).await.unwrap_err(), "wrong_phase");
        let mut connect = json!({ "channel": record["id"], "pass": pass });
        connect.as_object_mut().unwrap().extend(begin.as_object().unwrap().clone());
        let connected = host.ask("CONNECT", connect).await.unwrap();
        let checkpoint = verify(&connected["checkpoint"], "natter-checkpoint-v1", host_key);
        assert_eq!(checkpoint["channel"], record["id"]);
        for field in ["epoch", "seq", "hash"] {
            assert_eq!(checkpoint[field], connected["head"][field]);
        }
        (host, connected)
    }
}

#[actix::test]
async fn a_client_can_be_written_from_the_document_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let mut inside = Inside::enter(&world).await;
    let epoch = inside.connected["head"]["epoch"].as_str().unwrap().to_owned();
    let mut chain = Chain::root(inside.record["id"].as_str().unwrap(), &epoch);
    assert_eq!(chain, Chain::at(&inside.connected["after"]), "the tail is longer than the log");
    assert_eq!(chain.message(&mut inside.host).await, (json!("ken"), json!("hello")));
    assert_eq!(chain.message(&mut inside.host).await, (json!("ken"), json!("is anybody there?")));
    assert_eq!(chain, Chain::at(&inside.connected["head"]));

    send_in_order(&mut inside.host, &mut chain).await;
    look_around(&mut inside.host, &chain, &epoch).await;
    resume(&mut inside, &chain, &epoch).await;
    leave(inside, &world).await;
}

/// Section 9.2.
async fn send_in_order(host: &mut Wire, chain: &mut Chain) {
    let mut asked = Vec::new();
    let mut again = message(4, "four – \u{1f44b}");
    for body in [
        message(1, "one \\ \"two\""),
        message(2, ""),
        again.clone(),
        json!({ "id": "?", "restart": true }),
        message(1, "one \\ \"two\""),
    ] {
        asked.push(host.send("MESSAGE", body).await);
    }
    let mut outcomes = Vec::new();
    for id in &asked {
        let answer = host.answer().await;
        assert_eq!(answer["id"], id.as_str(), "the answers come in the order of the requests");
        outcomes.push(outcome(&answer).map(|stored| stored["seq"].clone()));
    }
    let refused = |code: &str| Err(code.to_owned());
    let after = || refused("after_refused");
    assert_eq!(outcomes, [Ok(json!(3)), refused("text_empty"), after(), after(), after()]);
    again["restart"] = json!(true);
    assert_eq!(host.ask("MESSAGE", again.clone()).await.unwrap()["seq"], 4);
    assert_eq!(host.ask("MESSAGE", again.clone()).await.unwrap()["seq"], 4, "it is stored once");
    again["body"]["text"] = json!("something else");
    assert_eq!(host.ask("MESSAGE", again.clone()).await.unwrap_err(), "id_reused");
    let unknown = json!({ "id": "?", "restart": true });
    assert_eq!(host.ask("MESSAGE", unknown).await.unwrap_err(), "after_refused");
    for text in ["one \\ \"two\"", "four – \u{1f44b}"] {
        assert_eq!(chain.message(host).await, (json!("charlie"), json!(text)));
    }
}

/// The other commands of section 7, and the rules of section 3.
async fn look_around(host: &mut Wire, chain: &Chain, epoch: &str) {
    let page = host.ask("HISTORY", json!({ "after": 1, "before": 4 })).await.unwrap();
    let seqs: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| &entry["header"]["seq"]).collect();
    assert_eq!(seqs, [&json!(2), &json!(3)]);
    assert_eq!((Chain::at(&page["head"]), &page["head"]["epoch"]), (chain.clone(), &json!(epoch)));
    let members = host.ask("MEMBERS", json!({})).await.unwrap();
    let names: Vec<_> =
        members["members"].as_array().unwrap().iter().map(|row| (&row["name"], &row["role"])).collect();
    assert_eq!(names, [(&json!("charlie"), &json!("guest")), (&json!("ken"), &json!("owner"))]);
    let info = host.ask("RET_INFO", json!({})).await.unwrap();
    assert_eq!((&info["members"], &info["policy"]["view"]), (&json!(2), &json!("public")));
    assert_eq!(host.ask("DEBUG", json!({})).await.unwrap_err(), "not_owner");
    assert_eq!(host.ask("DANCE", json!({})).await.unwrap_err(), "unknown_command");
    assert_eq!(host.ask("HISTORY", json!({ "before": "x" })).await.unwrap_err(), "bad_request");
    host.write("{not json").await;
    let answer = host.answer().await;
    assert_eq!((&answer["id"], outcome(&answer).unwrap_err().as_str()), (&json!(NOBODY), "bad_frame"));
    host.ask("PING", json!({})).await.unwrap();
}

/// Section 9.5, and what becomes of the older connection.
async fn resume(inside: &mut Inside, chain: &Chain, epoch: &str) {
    let have = json!({ "epoch": epoch, "seq": chain.seq, "hash": hex::encode(chain.hash) });
    let renewed = inside.tracker.ask("RENEW", json!({})).await.unwrap()["pass"].clone();
    inside.host.ask("PASS", json!({ "pass": renewed })).await.unwrap();
    let (newer, connected) =
        Inside::connect(&inside.own, &inside.record, &renewed, json!({ "have": have })).await;
    assert_eq!((&connected["after"], &connected["head"]), (&have, &have));
    assert_eq!(inside.host.event("GOING_AWAY").await.0["code"], "superseded");
    (inside.host, inside.pass) = (newer, renewed);
}

async fn leave(mut inside: Inside, world: &World) {
    use peer::ui::Node;
    inside.host.ask("DISCONNECT", json!({})).await.unwrap();
    let unhost = peer::api::Command::Unhost { channel: "first".parse().unwrap(), release: false };
    world.ken.node.perform(unhost).await.unwrap();
    let (down, _) = inside.tracker.event("CHANNEL_DOWN").await;
    assert_eq!(down["id"], inside.record["id"]);
    let record = inside.tracker.ask("LOCATE", json!({ "id": inside.record["id"] })).await.unwrap();
    assert_eq!(
        (&record["online"], &record["head"]["epoch"]),
        (&json!(false), &inside.connected["head"]["epoch"])
    );
    world.ken.node.perform(peer::api::Command::Host { channel: "first".parse().unwrap() }).await.unwrap();
    let (up, _) = inside.tracker.event("CHANNEL_UP").await;
    let again = Inside::connect(&inside.own, &up["channel"], &inside.pass, json!({})).await;
    assert_eq!(again.1["after"], again.1["head"], "nothing old was asked for");
}

/// Section 3: what the limits are, and what is said to those who do not keep to them.
#[actix::test]
async fn whoever_does_not_keep_to_the_document_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let mut inside = Inside::enter(&world).await;
    send_long(&mut inside.host).await;
    for _ in 0..8 {
        inside.host.write("[]").await;
    }
    for _ in 0..7 {
        assert_eq!(outcome(&inside.host.answer().await).unwrap_err(), "bad_frame");
    }
    assert_eq!(inside.host.farewell().await, "bad_frame");

    let (address, key) = (inside.record["addresses"][0].clone(), inside.record["host_key"].clone());
    let (address, key) = (address.as_str().unwrap(), key.as_str().unwrap());
    let mut knocking = Wire::dial(&inside.own, address, key).await;
    knocking.ask("HELLO", hello("channel")).await.unwrap();
    for _ in 0..8 {
        let unknown = json!({ "channel": NOBODY, "pass": inside.pass });
        assert_eq!(knocking.ask("CONNECT", unknown).await.unwrap_err(), "no_such_channel");
    }
    assert_eq!(knocking.farewell().await, "too_many_requests");

    let (address, key) = world.tracker_address();
    let mut old = Wire::dial(&inside.own, &address, &key).await;
    let asked = json!({ "protocol": 2, "program": "stranger 2", "purpose": "control" });
    assert_eq!(old.ask("HELLO", asked).await.unwrap_err(), "unsupported_version");
    assert_eq!(old.farewell().await, "unsupported_version");

    let mut newer = Wire::dial(&inside.own, &address, &key).await;
    newer.ask("HELLO", hello("control")).await.unwrap();
    newer.ask("RENEW", json!({})).await.expect("the name is held");
    assert_eq!(inside.tracker.farewell().await, "superseded");
    newer.write(&"x".repeat(65_536)).await;
    assert_eq!(newer.farewell().await, "frame_too_long");
}

/// The longest body that there may be, and one byte more.
async fn send_long(host: &mut Wire) {
    for (number, padding, expected) in
        [(7, "aaaaa", Ok(json!(3))), (8, "aaaaaa", Err("frame_too_long".into()))]
    {
        let body = format!(r#"{{"text":"{}{padding}"}}"#, r"\u0061".repeat(10_184));
        assert_eq!(body.len(), 61_115 + padding.len());
        let mut asked = message(number, "");
        asked["body"] = json!("BODY");
        let line = json!({ "id": NOBODY, "command": "MESSAGE", "body": asked }).to_string();
        host.write(&line.replace("\"BODY\"", &body)).await;
        assert_eq!(outcome(&host.answer().await).map(|stored| stored["seq"].clone()), expected);
    }
    loop {
        let (event, line) = host.event("MESSAGE").await;
        if event["header"]["seq"] == 3 {
            assert!(line.contains(r"\u0061\u0061aaaaa"), "the bytes are kept as they were written");
            return;
        }
    }
}
