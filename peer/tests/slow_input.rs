//! Who never speaks, or never ends a frame, is hung up on in time, and told why. The time is a pretended one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::time::Duration;

use common::id::RequestId;
use common::identity::Identity;
use common::proto::limits::{CONNECT_LIMIT, FRAME_LIMIT, HELLO_LIMIT, PROTOCOL_VERSION, SILENCE_LIMIT};
use common::proto::session::Limits;
use common::shutdown::{Shutdown, ShutdownTrigger};
use common::transport::{Stream, memory_pair};
use peer::listener::{Hosts, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Somebody who has reached a peer's listener and said nothing yet.
struct Visitor {
    stream: BufReader<Stream>,
    serving: JoinHandle<()>,
    came: Instant,
    _trigger: ShutdownTrigger,
}

impl Visitor {
    fn new() -> Self {
        let key = || Identity::generate().unwrap().key();
        let (ours, theirs) = memory_pair(key(), key(), 4096);
        let (trigger, shutdown) = Shutdown::new();
        let serving = tokio::spawn(serve(theirs, Hosts::default(), shutdown));
        Self { stream: BufReader::new(ours.stream), serving, came: Instant::now(), _trigger: trigger }
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn request(&mut self, command: &str, body: Value) -> Value {
        let id = RequestId::new().to_string();
        self.write(&format!("{}\n", json!({"id": id, "command": command, "body": body}))).await;
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn greet(&mut self) {
        let body = json!({"protocol": PROTOCOL_VERSION, "program": "test", "purpose": "channel",
                          "limits": Limits::default()});
        assert_eq!(self.request("HELLO", body).await["status"], "OK");
    }

    /// It is told why, the end comes after this time, and nothing is left of it.
    async fn expect_end(mut self, limit: Duration) {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        let took = self.came.elapsed();
        assert!(took >= limit && took < limit + Duration::from_secs(1), "{took:?}");
        let last: Value = serde_json::from_str(rest.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {rest:?}"));
        assert_eq!(
            (&last["event"], &last["body"]["code"]),
            (&"GOING_AWAY".into(), &"timed_out".into()),
            "{last}"
        );
        self.serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_speaks_is_hung_up_on() {
    Visitor::new().expect_end(HELLO_LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_says_ping_is_hung_up_on() {
    let mut chatty = Visitor::new();
    assert_eq!(chatty.request("PING", json!({})).await["status"], "OK");
    chatty.expect_end(HELLO_LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_hung_up_on() {
    let mut silent = Visitor::new();
    silent.greet().await;
    silent.expect_end(SILENCE_LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_frame_that_never_ends_is_cut_off() {
    let mut slow = Visitor::new();
    slow.greet().await;
    slow.write("{\"id\":\"").await;
    // Something comes again and again, but never the end.
    let (step, mut written) = (Duration::from_secs(4), Duration::ZERO);
    while written + step < FRAME_LIMIT {
        sleep(step).await;
        written += step;
        slow.write("0").await;
    }
    slow.expect_end(FRAME_LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn who_enters_no_channel_does_not_stay() {
    let mut undecided = Visitor::new();
    undecided.greet().await;
    while undecided.came.elapsed() + Duration::from_secs(5) < CONNECT_LIMIT {
        sleep(Duration::from_secs(5)).await;
        assert_eq!(undecided.request("PING", json!({})).await["status"], "OK");
    }
    undecided.expect_end(CONNECT_LIMIT).await;
}
