//! What does not keep to the protocol is answered, survived or cut off, and harms nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use common::id::RequestId;
use common::identity::Identity;
use common::link::{CloseReason, Inbound, Link};
use common::proto::limits::MAX_FRAME_BYTES;
use common::proto::session::{Hello, Ping, Purpose};
use common::proto::status::Code;
use common::transport::Stream;
use serde_json::{Value, json};
use support::{COMMANDS, Running, config, hello, start, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// A connection of plain lines.
struct Lines(BufReader<Stream>);

impl Lines {
    async fn new(tracker: &Running) -> Self {
        let connection = tracker.dial(&Identity::generate().unwrap()).await;
        Self(BufReader::new(connection.stream))
    }

    /// One that has said HELLO.
    async fn greeted(tracker: &Running) -> Self {
        let mut lines = Self::new(tracker).await;
        let answer = lines.request("HELLO", serde_json::to_value(hello()).unwrap()).await;
        assert_eq!(answer["status"], "OK");
        lines
    }

    async fn write(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.unwrap();
        within(self.0.flush()).await.unwrap();
    }

    async fn read(&mut self) -> Value {
        let mut line = String::new();
        within(self.0.read_line(&mut line)).await.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    async fn request(&mut self, command: &str, body: Value) -> Value {
        let id = RequestId::new().to_string();
        let line = format!("{}\n", json!({"id": id, "command": command, "body": body}));
        self.write(line.as_bytes()).await;
        let answer = self.read().await;
        assert_eq!(answer["id"], id);
        answer
    }

    /// Nothing more comes, but for what says why.
    async fn expect_end(mut self, code: &str) {
        let mut rest = String::new();
        // An end without TLS's own farewell is one, too.
        let _ = within(self.0.read_to_string(&mut rest)).await;
        assert!(rest.contains("GOING_AWAY") && rest.contains(code), "{rest:?}");
    }
}

fn code(answer: &Value) -> &str {
    assert_ne!(answer["status"], "OK", "{answer}");
    assert!(!answer["body"]["reason"].as_str().unwrap().is_empty(), "{answer}");
    answer["body"]["code"].as_str().unwrap()
}

#[actix_rt::test]
async fn bad_lines_are_answered_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let mut lines = Lines::greeted(&tracker).await;
    for bad in ["not json", "[]", "{}", "{\"id\":7}", "\u{fffd}", "{\"id\":\"x\",\"command\":\"PING\"}"] {
        lines.write(format!("{bad}\n").as_bytes()).await;
        assert_eq!(code(&lines.read().await), "bad_frame", "{bad}");
    }
    lines.write(b"{\"event\":\"\xff\xfe\"}\n").await;
    assert_eq!(code(&lines.read().await), "bad_frame");
    assert_eq!(lines.request("PING", json!({})).await["status"], "OK");
    tracker.stop().await;
}

#[actix_rt::test]
async fn bad_bodies_and_commands_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let mut lines = Lines::greeted(&tracker).await;
    let table = [
        ("SIGNUP", json!({"name": "ken"}), "bad_request"),
        ("SIGNUP", json!({"name": 7, "password": "correct horse"}), "bad_request"),
        ("SIGNUP", json!({"name": "ken", "password": ["correct horse"]}), "bad_request"),
        ("SIGNUP", json!({"name": "", "password": "correct horse"}), "bad_request"),
        ("SIGNUP", json!({"name": "a b", "password": "correct horse"}), "bad_request"),
        ("SIGNUP", json!({"name": "\u{202e}ken", "password": "correct horse"}), "bad_request"),
        ("GUEST", json!(null), "bad_request"),
        ("GUEST", json!([]), "bad_request"),
        ("LOCATE", json!({"name": "first", "id": 1}), "bad_request"),
        ("HOST", json!({}), "bad_request"),
        ("FLY", json!({}), "unknown_command"),
        ("guest", json!({"name": "ken"}), "unknown_command"),
        ("CONNECT", json!({}), "unknown_command"),
        ("LIST", json!({}), "not_signed_in"),
        ("HELLO", serde_json::to_value(hello()).unwrap(), "wrong_phase"),
    ];
    for (command, body, expected) in table {
        assert_eq!(code(&lines.request(command, body.clone()).await), expected, "{command} {body}");
    }
    // Unknown fields are of a later version.
    let answer = lines.request("GUEST", json!({"name": "ken", "later": [1]})).await;
    assert_eq!(answer["status"], "OK");
    tracker.stop().await;
}

#[actix_rt::test]
async fn nothing_is_served_before_hello() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let mut lines = Lines::new(&tracker).await;
    for command in COMMANDS.iter().filter(|command| !["HELLO", "PING"].contains(command)) {
        let answer = lines.request(command, json!({"name": "ken", "password": "correct horse"})).await;
        assert!(matches!(code(&answer), "wrong_phase" | "bad_request"), "{command}");
    }
    let other = Hello { purpose: Purpose::Channel, ..hello() };
    let answer = lines.request("HELLO", serde_json::to_value(other).unwrap()).await;
    assert_eq!(code(&answer), "bad_request");
    let answer = lines.request("HELLO", serde_json::to_value(hello()).unwrap()).await;
    assert_eq!(answer["body"]["directory"]["signing_keys"].as_array().unwrap().len(), 1);
    tracker.stop().await;
}

#[actix_rt::test]
async fn another_version_is_told_which_side_is_older() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    for (protocol, older) in [(0, "the one that connects"), (99, "the one that was called")] {
        let mut lines = Lines::new(&tracker).await;
        // Nobody knows what another version has beside its number.
        let answer = lines.request("HELLO", json!({ "protocol": protocol })).await;
        assert_eq!(code(&answer), "unsupported_version");
        assert!(answer["body"]["reason"].as_str().unwrap().contains(older), "{answer}");
        lines.expect_end("unsupported_version").await;
    }
    tracker.stop().await;
}

#[actix_rt::test]
async fn who_says_no_hello_or_half_a_one_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.hello = Duration::from_millis(200);
    let tracker = start(config).await;
    let silent = Lines::new(&tracker).await;
    let mut half = Lines::new(&tracker).await;
    half.write(b"{\"id\":\"01890000-0000-7000-8000-0000").await;
    let mut chatty = Lines::new(&tracker).await;
    assert_eq!(chatty.request("PING", json!({})).await["status"], "OK");
    for lines in [silent, half, chatty] {
        lines.expect_end("timed_out").await;
    }
    tracker.stop().await;
}

#[actix_rt::test]
async fn an_over_long_frame_ends_the_connection_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let bystander = tracker.guest("bystander").await;
    let mut lines = Lines::greeted(&tracker).await;
    lines.write(&vec![b'x'; MAX_FRAME_BYTES + 1]).await;
    lines.expect_end("frame_too_long").await;
    bystander.ask(&Ping {}).await.unwrap();
    tracker.stop().await;
}

#[actix_rt::test]
async fn half_a_frame_and_a_hang_up_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    for _ in 0..50 {
        let mut lines = Lines::greeted(&tracker).await;
        lines.write(b"{\"id\":\"01890000-0000-7000-8000-000000000000\",\"command\":\"GUE").await;
        drop(lines);
    }
    let all_gone = async {
        while tracker.ready.tracker.counts().await.unwrap().connections > 0 {
            tokio::task::yield_now().await;
        }
    };
    within(all_gone).await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn beyond_so_many_connections_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.admission.connections = 1;
    let tracker = start(config).await;
    let only = tracker.guest("ken").await;
    let (link, mut inbox) = Link::open(tracker.dial(&Identity::generate().unwrap()).await);
    let reason = within(inbox.next()).await.map(|inbound| matches!(inbound, Inbound::Event(_))).unwrap_err();
    assert!(
        matches!(&reason, CloseReason::Told(refusal) if refusal.code == Code::TooManyConnections),
        "{reason}"
    );
    drop(link);
    only.hang_up().await;
    // The place is free once the tracker has seen the end of the other.
    let again = async {
        loop {
            let (link, mut inbox) = Link::open(tracker.dial(&Identity::generate().unwrap()).await);
            let answer = link.send(&hello()).unwrap();
            tokio::select! {
                answer = answer => if answer.is_ok() { break },
                _ = inbox.next() => {}
            }
        }
    };
    within(again).await;
    tracker.stop().await;
}
