use std::time::Duration;

use common::shutdown::ShutdownTrigger;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::events::Events;
use crate::ui::fake::{FakeNode, key, message, message_id, ready};

const SOON: Duration = Duration::from_secs(5);

struct Driver {
    node: FakeNode,
    events: Events,
    input: Option<WriteHalf<DuplexStream>>,
    output: Option<tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>>,
    trigger: ShutdownTrigger,
    task: JoinHandle<Exit>,
}

impl Driver {
    fn start() -> Self {
        let node = FakeNode::default();
        let (events, receiver) = Events::new();
        let (near, far) = tokio::io::duplex(1 << 20);
        let (trigger, shutdown) = Shutdown::new();
        let config = JsonConfig { drain: Duration::from_millis(700), shutdown };
        let (far_in, far_out) = tokio::io::split(far);
        let task = tokio::spawn(run_json(node.clone(), receiver, far_in, far_out, config));
        let (output, input) = tokio::io::split(near);
        let output = Some(BufReader::new(output).lines());
        Self { node, events, input: Some(input), output, trigger, task }
    }

    async fn ready() -> Self {
        let mut driver = Self::start();
        driver.events.tell(ready()).await;
        driver.expect(json!({"event": "ready", "username": "ken", "key": key(), "listen": null})).await;
        driver
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.as_mut().unwrap().write_all(bytes.as_ref()).await.unwrap();
    }

    async fn line(&mut self) -> Option<Value> {
        let line = timeout(SOON, self.output.as_mut().unwrap().next_line()).await.unwrap().unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    async fn expect(&mut self, expected: Value) {
        assert_eq!(self.line().await.unwrap(), expected);
    }

    async fn refused(&mut self, command: Value, code: &str) {
        let line = self.line().await.unwrap();
        assert_eq!((&line["command"], &line["ok"], &line["code"]), (&command, &json!(false), &json!(code)));
        assert!(!line["reason"].as_str().unwrap().is_empty() && line["status"].is_string(), "{line}");
    }

    /// Closes the input and gives what comes before the end.
    async fn finish(mut self) -> (Vec<Value>, FakeNode, Exit) {
        self.input.take().unwrap().shutdown().await.unwrap();
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        (rest, self.node, timeout(SOON, self.task).await.unwrap().unwrap())
    }
}

#[tokio::test]
async fn results_have_the_promised_form() {
    let mut driver = Driver::ready().await;
    driver.write("send first hi\nmembers first\njoin first\n").await;
    let body = json!({"id": message_id(), "channel": "first"});
    driver.expect(json!({"event": "result", "command": "send", "ok": true, "body": body})).await;
    driver.expect(json!({"event": "result", "command": "members", "ok": true, "body": {}})).await;
    driver
        .expect(json!({"event": "result", "command": "join", "ok": false, "status": "SERVER_ERROR",
            "code": "host_away", "reason": "the channel's host is away", "retry_after_ms": 1000}))
        .await;
}

#[tokio::test]
async fn a_tag_comes_back_and_an_alias_as_typed() {
    let mut driver = Driver::ready().await;
    driver.write("#a1 disconnect first\n#é frob\n#b\n# x\n\n   \n#c quit\nwhoami\n").await;
    driver
        .expect(json!({"event": "result", "command": "disconnect", "tag": "a1", "ok": true, "body": {}}))
        .await;
    let line = driver.line().await.unwrap();
    assert_eq!(
        (&line["tag"], &line["command"], &line["code"]),
        (&json!("é"), &json!("frob"), &json!("usage"))
    );
    let line = driver.line().await.unwrap();
    assert_eq!((&line["tag"], &line["command"], &line["code"]), (&json!("b"), &json!(null), &json!("usage")));
    driver.refused(json!(null), "usage").await;
    driver.expect(json!({"event": "result", "command": "quit", "tag": "c", "ok": true, "body": {}})).await;
    let (rest, node, exit) = driver.finish().await;
    assert_eq!((rest, exit), (vec![], Exit::Done));
    assert_eq!(node.asked().last().unwrap(), "finish 700ms");
}

#[tokio::test]
async fn passwords_are_read_from_lines_of_their_own() {
    let mut driver = Driver::ready().await;
    driver.write("signin ken\n correct horse \r\npasswd\nold one\nnew one\nsignin ken secret\n").await;
    assert_eq!(driver.line().await.unwrap()["body"]["username"], "ken");
    driver.expect(json!({"event": "result", "command": "passwd", "ok": true, "body": {}})).await;
    driver.refused(json!("signin"), "usage").await;
    // A password that is no text is not taken, nor the next line for one.
    driver.write(b"signup ken\n\xff\xfe\npasswd\n\xff\nwhoami\nsignup ken\n").await;
    driver.refused(json!("signup"), "usage").await;
    driver.refused(json!("passwd"), "usage").await;
    let (rest, node, _) = driver.finish().await;
    assert_eq!((rest.len(), &rest[0]["command"], &rest[0]["code"]), (1, &json!("signup"), &json!("usage")));
    let asked = node.asked();
    assert!(asked[0].starts_with("Signin") && asked[0].ends_with("  correct horse "), "{asked:?}");
    assert!(asked[1].starts_with("Passwd") && asked[1].ends_with(" old one new one"), "{asked:?}");
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[tokio::test]
async fn bad_lines_are_refused_and_the_next_one_counts() {
    let mut driver = Driver::ready().await;
    let long = "x".repeat(parse::MAX_LINE_BYTES + 1);
    driver.write(format!("send first {long}\n")).await;
    driver.write(b"join \xff\n/\njoin #first\ntalk first\nwhoami").await;
    driver.refused(json!(null), "usage").await;
    driver.refused(json!(null), "usage").await;
    driver.refused(json!(null), "usage").await;
    driver.refused(json!("join"), "bad_name").await;
    driver.refused(json!("talk"), "usage").await;
    // The last line has no end, and counts all the same.
    let (rest, ..) = driver.finish().await;
    assert_eq!((rest.len(), &rest[0]["command"]), (1, &json!("whoami")));
}

#[tokio::test]
async fn events_go_on_while_a_command_hangs() {
    let mut driver = Driver::ready().await;
    driver.write("debug\nwhoami\n").await;
    for seq in 1..100 {
        driver.events.tell(Event::Message(message(seq, "hi"))).await;
        let line = driver.line().await.unwrap();
        assert_eq!(
            (&line["event"], &line["seq"], &line["type"]),
            (&json!("message"), &json!(seq), &json!("text"))
        );
        assert_eq!(line["sent_at"], "2023-11-14T22:13:20.000Z");
    }
    assert_eq!(driver.node.asked().len(), 1);
    driver.trigger.request();
    let (rest, node, exit) = driver.finish().await;
    assert_eq!((rest, exit), (vec![], Exit::Done));
    assert_eq!(node.asked().last().unwrap(), "finish 700ms");
}

#[tokio::test]
async fn nothing_is_taken_before_ready_and_start_flags_answer_like_commands() {
    let mut driver = Driver::start();
    driver.write("whoami\n").await;
    let outcome = Box::new(Err(Refusal { retry_after_ms: None, ..Code::CannotListen.into() }));
    driver.events.tell(Event::Result { command: "host", outcome }).await;
    driver.refused(json!("host"), "cannot_listen").await;
    assert!(driver.node.asked().is_empty());
    driver.events.tell(ready()).await;
    assert_eq!(driver.line().await.unwrap()["event"], "ready");
    assert_eq!(driver.line().await.unwrap()["command"], "whoami");
}

#[tokio::test]
async fn what_was_said_before_the_end_is_shown() {
    let driver = Driver::ready().await;
    for seq in 1..5 {
        driver.events.tell(Event::Message(message(seq, "hi"))).await;
    }
    let (rest, _, exit) = driver.finish().await;
    assert_eq!((rest.len(), exit), (4, Exit::Done));
}

#[tokio::test]
async fn a_closed_output_and_a_lost_node_end_it() {
    let node = FakeNode::default();
    let (events, receiver) = Events::new();
    let (_trigger, shutdown) = Shutdown::new();
    let config = JsonConfig { drain: Duration::ZERO, shutdown };
    let (near, far) = tokio::io::duplex(64);
    drop(near);
    let (_input, stdin) = tokio::io::duplex(64);
    let task = tokio::spawn(run_json(node.clone(), receiver, stdin, far, config));
    events.tell(ready()).await;
    assert_eq!(timeout(SOON, task).await.unwrap().unwrap(), Exit::Done);

    let mut driver = Driver::ready().await;
    let (gone, _) = Events::new();
    drop(std::mem::replace(&mut driver.events, gone));
    assert_eq!(timeout(SOON, driver.task).await.unwrap().unwrap(), Exit::Failed);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_holds_nothing_up_and_does_not_count_as_shown() {
    let (events, queue) = Events::new();
    let (_trigger, shutdown) = Shutdown::new();
    let config = JsonConfig { drain: Duration::ZERO, shutdown };
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let (input, stdin) = tokio::io::duplex(64);
    drop(input);
    events.tell(ready()).await;
    for seq in 1..500 {
        events.tell(Event::Message(message(seq, &"x".repeat(1000)))).await;
    }
    let end = run_json(FakeNode::default(), queue, stdin, far, config);
    assert_eq!(timeout(Duration::from_secs(15), end).await.unwrap(), Exit::Done);
    let mut read = String::new();
    near.read_to_string(&mut read).await.unwrap();
    assert!(events.taken() <= read.lines().count() as u64, "{}", events.taken());
    assert_eq!(events.told(), 500);
}

#[tokio::test]
async fn what_is_told_while_it_ends_is_shown_and_counts() {
    let (events, queue) = Events::new();
    let (trigger, shutdown) = Shutdown::new();
    let config = JsonConfig { drain: Duration::ZERO, shutdown };
    // A pipe so narrow that an event is always in hand.
    let (near, far) = tokio::io::duplex(16);
    let (_input, stdin) = tokio::io::duplex(64);
    let task = tokio::spawn(run_json(FakeNode::default(), queue, stdin, far, config));
    let mut lines = BufReader::new(near).lines();
    events.tell(ready()).await;
    for seq in 1..=300 {
        events.tell(Event::Message(message(seq, "hi"))).await;
        if seq == 150 {
            trigger.request();
        }
    }
    let mut shown = 0;
    while lines.next_line().await.unwrap().is_some() {
        shown += 1;
    }
    assert_eq!((shown, task.await.unwrap()), (301, Exit::Done));
    assert_eq!((events.told(), events.taken()), (301, 301));
}

#[tokio::test]
async fn help_is_the_table() {
    let mut driver = Driver::ready().await;
    driver.write("help\nhelp exit\n").await;
    let all = driver.line().await.unwrap();
    assert_eq!(all["body"]["commands"].as_array().unwrap().len(), specs().count());
    let one = driver.line().await.unwrap();
    assert_eq!(one["body"]["commands"][0]["usage"], "quit");
}
