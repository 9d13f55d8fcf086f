//! Bad input at a real host: answered, survived or cut off, and nobody else is harmed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::net::SocketAddr;
use std::time::Duration;

use common::id::RequestId;
use common::identity::Identity;
use common::proto::limits::{MAX_BAD_FRAMES, MAX_CONNECT_ATTEMPTS, MAX_FRAME_BYTES, PROTOCOL_VERSION};
use common::proto::session::Limits;
use common::transport::{Address, Expected, Stream, Transport};
use process_support::peer::{Peer, at};
use process_support::tracker::Tracker;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);

async fn within<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// A tracker, a host of the channel `first`, a member, and somebody who does not behave.
struct Scene {
    tracker: Tracker,
    ken: Peer,
    charlie: Peer,
    host: SocketAddr,
    channel: Value,
    identity: Identity,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tracker = Tracker::start(&folder.path().join("tracker"));
        let mut ken = Peer::start(at(&tracker, "ken", folder.path()));
        let hosting = ken.done("host first");
        let charlie = Peer::join(&tracker, "charlie", folder.path(), "first");
        let host = hosting["listen"].as_str().unwrap().parse().unwrap();
        let identity = Identity::generate().unwrap();
        let channel = hosting["id"].clone();
        Self { tracker, ken, charlie, host, channel, identity, _folder: folder }
    }

    async fn dial(&self, place: SocketAddr, as_whom: &Identity) -> Lines {
        let transport = Transport::new(as_whom.clone()).unwrap();
        let dialled = within(transport.dial(Expected::Any, &[Address::tcp(place)])).await.unwrap();
        Lines(BufReader::new(dialled.stream))
    }

    /// A connection to the host that has said HELLO.
    async fn greeted(&self) -> Lines {
        let mut lines = self.dial(self.host, &self.identity).await;
        let answer = lines.request("HELLO", hello("channel", PROTOCOL_VERSION)).await;
        assert_eq!(answer["status"], "OK", "{answer}");
        lines
    }

    /// What the tracker signs for somebody who enters as a guest.
    async fn pass(&self, as_whom: &Identity, name: &str) -> Value {
        let mut lines = self.dial(self.tracker.address, as_whom).await;
        let answer = lines.request("HELLO", hello("control", PROTOCOL_VERSION)).await;
        assert_eq!(answer["status"], "OK", "{answer}");
        let answer = lines.request("GUEST", json!({"name": name})).await;
        assert_eq!(answer["status"], "OK", "{answer}");
        answer["body"]["pass"].clone()
    }

    fn connect(&self, pass: &Value) -> Value {
        json!({"channel": self.channel, "pass": pass, "tail": 0})
    }

    /// A connection that is in the channel.
    async fn entered(&self) -> Lines {
        let pass = self.pass(&self.identity, "mallory").await;
        let mut lines = self.greeted().await;
        let answer = lines.request("CONNECT", self.connect(&pass)).await;
        assert_eq!(answer["status"], "OK", "{answer}");
        lines
    }

    /// Whoever behaves does not notice anything.
    fn check_others(&mut self, text: &str) {
        self.charlie.send("first", text);
        self.ken.wait_message(text);
        assert_eq!(self.ken.program.log(), "");
    }
}

/// A connection of plain lines.
struct Lines(BufReader<Stream>);

impl Lines {
    async fn write(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.unwrap();
        within(self.0.flush()).await.unwrap();
    }

    async fn read(&mut self) -> Value {
        let mut line = String::new();
        within(self.0.read_line(&mut line)).await.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The answer to a request; events that come before it are passed over.
    async fn request(&mut self, command: &str, body: Value) -> Value {
        let id = RequestId::new().to_string();
        let line = format!("{}\n", json!({"id": id, "command": command, "body": body}));
        self.write(line.as_bytes()).await;
        loop {
            let answer = self.read().await;
            if answer["event"].is_null() {
                assert_eq!(answer["id"], id, "{answer}");
                return answer;
            }
        }
    }

    async fn refused(&mut self, command: &str, body: Value) -> String {
        code(&self.request(command, body).await)
    }

    /// Nothing more comes, but for what says why.
    async fn expect_end(mut self, code: &str) {
        let mut rest = String::new();
        // An end without TLS's own farewell is one, too.
        let _ = within(self.0.read_to_string(&mut rest)).await;
        assert!(rest.contains("GOING_AWAY") && rest.contains(code), "{rest:?}");
    }
}

fn hello(purpose: &str, protocol: u32) -> Value {
    json!({"protocol": protocol, "program": "test", "purpose": purpose, "limits": Limits::default()})
}

fn code(answer: &Value) -> String {
    assert_ne!(answer["status"], "OK", "{answer}");
    assert!(!answer["body"]["reason"].as_str().unwrap().is_empty(), "{answer}");
    answer["body"]["code"].as_str().unwrap().to_owned()
}

fn message(body: Value) -> Value {
    let id = common::id::MessageId::new().to_string();
    json!({"id": id, "type": "text", "sent_at": 1, "body": body})
}

#[tokio::test]
async fn wrong_json_wrong_types_and_missing_fields_are_answered_and_survived() {
    let mut scene = Scene::new();
    let mut lines = scene.greeted().await;
    for bad in ["not json", "[]", "{}", "{\"id\":7}", "\u{fffd}", "{\"id\":\"x\",\"command\":\"PING\"}"] {
        lines.write(format!("{bad}\n").as_bytes()).await;
        assert_eq!(code(&lines.read().await), "bad_frame", "{bad}");
        // One that can be read in between, lest there be too many in a row.
        assert_eq!(lines.request("PING", json!({})).await["status"], "OK");
    }
    lines.write(b"{\"event\":\"\xff\xfe\"}\n").await;
    assert_eq!(code(&lines.read().await), "bad_frame");
    let pass = scene.pass(&scene.identity, "mallory").await;
    for (command, body, expected) in [
        ("FLY", json!({}), "unknown_command"),
        ("connect", scene.connect(&pass), "unknown_command"),
        ("SIGNUP", json!({}), "unknown_command"),
        ("CONNECT", json!({}), "bad_request"),
        ("CONNECT", json!(null), "bad_request"),
        ("CONNECT", json!({"channel": 7, "pass": pass, "tail": 0}), "bad_request"),
        ("CONNECT", json!({"channel": scene.channel, "pass": pass, "tail": -1}), "bad_request"),
        ("CONNECT", json!({"channel": scene.channel, "pass": ["x"], "tail": 0}), "bad_request"),
        ("MESSAGE", message(json!({"text": "early"})), "wrong_phase"),
        ("HELLO", hello("channel", PROTOCOL_VERSION), "wrong_phase"),
    ] {
        assert_eq!(lines.refused(command, body.clone()).await, expected, "{command} {body}");
    }
    assert_eq!(lines.request("CONNECT", scene.connect(&pass)).await["status"], "OK");
    scene.check_others("undisturbed");
}

#[tokio::test]
async fn a_member_that_talks_nonsense_stores_nothing() {
    let mut scene = Scene::new();
    let mut lines = scene.entered().await;
    let good = message(json!({"text": "x"}));
    let with = |name: &str, value: Value| {
        let mut bad = good.clone();
        bad[name] = value;
        bad
    };
    for (command, body, expected) in [
        ("MESSAGE", json!({}), "bad_request"),
        ("MESSAGE", with("id", json!("no id")), "bad_request"),
        ("MESSAGE", with("type", json!(7)), "bad_request"),
        ("MESSAGE", with("sent_at", json!("yesterday")), "bad_request"),
        ("HISTORY", json!({"before": "x"}), "bad_request"),
        ("HISTORY", json!({"limit": -5}), "bad_request"),
        ("CONNECT", json!({}), "bad_request"),
        ("FLY", json!({}), "unknown_command"),
        ("KICK", json!({"name": "charlie"}), "bad_request"),
        ("KICK", json!({"subject": "charlie"}), "bad_request"),
        ("KICK", json!({"subject": "01a0bf2a-1000-7a25-8cbb-00727b95fa95"}), "not_moderator"),
        ("VIEW", json!({"view": "secret"}), "bad_request"),
        ("VIEW", json!({"view": "restricted", "by": "ken"}), "not_moderator"),
        ("AUTHORIZE", json!({"account": "f".repeat(64), "name": "x", "role": "owner"}), "bad_request"),
    ] {
        assert_eq!(lines.refused(command, body.clone()).await, expected, "{command} {body}");
        if command == "MESSAGE" {
            // Lest one that looks in order gets past it.
            assert_eq!(lines.refused(command, good.clone()).await, "after_refused");
            lines = scene.entered().await;
        }
    }
    // A later version's field is none of this one's business; a sender that names itself is not believed.
    let mut forged = good.clone();
    forged["from"] = json!({"name": "ken", "kind": "account"});
    forged["restart"] = json!(true);
    assert_eq!(lines.request("MESSAGE", forged).await["body"]["seq"], 1);
    let shown = scene.charlie.wait_message("x");
    assert_eq!((&shown["from"], &shown["author_kind"]), (&"mallory".into(), &"guest".into()), "{shown}");
    scene.check_others("undisturbed");
}

#[tokio::test]
async fn a_frame_over_64_kib_or_too_many_bad_ones_end_that_connection_only() {
    let mut scene = Scene::new();
    let mut lines = scene.entered().await;
    lines.write(&vec![b'x'; MAX_FRAME_BYTES + 1]).await;
    lines.expect_end("frame_too_long").await;
    let mut lines = scene.entered().await;
    for _ in 0..MAX_BAD_FRAMES {
        lines.write(b"nonsense\n").await;
    }
    lines.expect_end("bad_frame").await;
    let mut lines = scene.greeted().await;
    for _ in 0..MAX_CONNECT_ATTEMPTS {
        let pass = json!("no pass");
        assert_eq!(lines.refused("CONNECT", scene.connect(&pass)).await, "bad_request");
    }
    drop(lines);
    scene.check_others("undisturbed");
}

#[tokio::test]
async fn another_version_or_purpose_is_told() {
    let mut scene = Scene::new();
    for version in [0, 99] {
        let mut lines = scene.dial(scene.host, &scene.identity).await;
        // Another purpose can be said in its place, another version cannot.
        assert_eq!(lines.refused("HELLO", hello("control", PROTOCOL_VERSION)).await, "bad_request");
        // Nobody knows what another version has beside its number.
        assert_eq!(lines.refused("HELLO", json!({ "protocol": version })).await, "unsupported_version");
        lines.expect_end("unsupported_version").await;
    }
    scene.check_others("undisturbed");
}

#[tokio::test]
async fn a_pass_of_another_key_or_a_forged_one_opens_nothing() {
    let mut scene = Scene::new();
    let good = scene.pass(&scene.identity, "mallory").await;
    let stolen = scene.pass(&Identity::generate().unwrap(), "victim").await;
    // A pass is hex, a point, hex: what is signed, and the signature.
    let text = good.as_str().unwrap();
    let (claims, signature) = text.split_once('.').unwrap();
    let other_signature = stolen.as_str().unwrap().split_once('.').unwrap().1;
    let renamed = claims.replace(&hex_of("mallory"), &hex_of("operato"));
    assert_ne!(renamed, claims);
    for (pass, expected) in [
        (stolen.clone(), "bad_pass"),
        (json!(format!("{claims}.{other_signature}")), "bad_pass"),
        (json!(format!("{renamed}.{signature}")), "bad_pass"),
        (json!(format!("{claims}.{}", "0".repeat(signature.len()))), "bad_pass"),
    ] {
        let mut lines = scene.greeted().await;
        assert_eq!(lines.refused("CONNECT", scene.connect(&pass)).await, expected, "{pass}");
        // Nobody was let in.
        assert_eq!(lines.refused("MESSAGE", message(json!({"text": "x"}))).await, "wrong_phase");
        assert_eq!(lines.request("CONNECT", scene.connect(&good)).await["status"], "OK");
    }
    scene.check_others("undisturbed");
}

fn hex_of(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn half_frames_hang_ups_and_strangers_leave_nothing_behind() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        let mut lines = scene.entered().await;
        lines.write(b"{\"id\":\"01890000-0000-7000-8000-000000000000\",\"command\":\"MES").await;
        drop(lines);
        let mut stranger = TcpStream::connect(scene.host).await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // An alert or a reset: both are an end.
        let _ = within(stranger.read_to_end(&mut rest)).await;
    }
    // One poll after another is a barrier: the host has seen the ends when its list says so.
    let started = std::time::Instant::now();
    loop {
        let connections = scene.ken.done("debug first")["connections"].as_array().unwrap().len();
        if connections == 2 {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{connections} connections are left");
    }
    scene.check_others("undisturbed");
}
