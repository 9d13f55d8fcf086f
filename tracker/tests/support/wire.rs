//! A connection on which every request has the same id, so that answers can be compared byte for byte.

use common::identity::Identity;
use common::transport::Stream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{Running, hello, within};

const SAME_ID: &str = "c7b2bd19-dd29-4fe6-95dc-d26bac076d4e";

pub struct Wire {
    stream: BufReader<Stream>,
    /// What was told meanwhile.
    pub events: Vec<String>,
}

impl Wire {
    pub async fn entered(tracker: &Running, identity: &Identity, command: &str, body: Value) -> Self {
        let stream = BufReader::new(tracker.dial(identity).await.stream);
        let mut wire = Self { stream, events: Vec::new() };
        wire.ask("HELLO", &serde_json::to_value(hello()).unwrap()).await;
        let entered = wire.ask(command, &body).await;
        assert!(entered.contains(r#""status":"OK""#), "{entered}");
        wire
    }

    pub async fn ask(&mut self, command: &str, body: &Value) -> String {
        let line = format!("{}\n", json!({"id": SAME_ID, "command": command, "body": body}));
        within(self.stream.write_all(line.as_bytes())).await.unwrap();
        within(self.stream.flush()).await.unwrap();
        loop {
            let line = self.line().await;
            if !line.starts_with(r#"{"event""#) {
                return line;
            }
            self.events.push(line);
        }
    }

    /// Takes events until one has this in it.
    pub async fn events_upto(&mut self, text: &str) {
        while !self.events.last().is_some_and(|event| event.contains(text)) {
            let event = self.line().await;
            assert!(event.starts_with(r#"{"event""#), "{event}");
            self.events.push(event);
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        within(self.stream.read_line(&mut line)).await.unwrap();
        assert!(line.ends_with('\n'), "the connection has ended");
        line
    }
}
