//! JSON lines, and the one task that writes them.

use std::time::Duration;

use common::proto::status::{Code, Status};
use common::shutdown::Shutdown;
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::api::{Event, Outcome, Reply};
use crate::events::Shown;
use crate::ui::command::Spec;

/// How many lines may wait to be written; more hold back the events, and with them the network.
const LINES_AHEAD: usize = 256;
/// How many bytes are written at once, so that a flood of lines is not as many writes.
const BATCH_BYTES: usize = 64 * 1024;
/// How long whoever reads the output may take for so much, at the end.
const SLOW_READER: Duration = Duration::from_secs(2);

/// Where lines go on their way out.
pub(super) struct Outgoing(mpsc::Sender<Batch>);

/// Lines, and how many of them show an event.
#[derive(Default)]
pub(super) struct Batch {
    text: String,
    events: u64,
}

impl Outgoing {
    /// Puts the result of a command in the queue, when there is room.
    pub(super) async fn result(&self, line: String) {
        self.send(Batch { text: line, events: 0 }).await;
    }

    /// Puts what shows an event in the queue, when there is room.
    pub(super) async fn event(&self, line: String) {
        self.send(Batch { text: line, events: 1 }).await;
    }

    async fn send(&self, line: Batch) {
        // A closed output ends the interface by itself.
        let _ = self.0.send(line).await;
    }
}

/// A queue of lines.
pub(super) fn channel() -> (Outgoing, mpsc::Receiver<Batch>) {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    (Outgoing(sender), receiver)
}

/// Writes what is in the queue until it ends, or the output is closed, or nobody reads it and it is to end. Events
/// count as shown when whoever reads has taken them.
pub(super) async fn write_lines(
    mut lines: mpsc::Receiver<Batch>,
    mut output: impl AsyncWrite + Unpin,
    shown: Shown,
    ending: Shutdown,
) {
    while let Some(mut batch) = lines.recv().await {
        while batch.text.len() < BATCH_BYTES {
            let Ok(line) = lines.try_recv() else { break };
            batch.text.push_str(&line.text);
            batch.events += line.events;
        }
        let write = async {
            output.write_all(batch.text.as_bytes()).await?;
            output.flush().await
        };
        let stalled = async {
            ending.requested().await;
            sleep(SLOW_READER).await;
        };
        tokio::select! {
            biased;
            written = write => match written {
                Ok(()) => shown.add(batch.events),
                Err(error) => return tracing::debug!(err = %error, "the output is closed"),
            },
            () = stalled => return tracing::warn!("nobody reads the output; what is left of it was not shown"),
        }
    }
}

/// An event other than a result, as a line.
pub(super) fn event_line(event: &Event) -> String {
    to_line(event)
}

/// The result of a command, as a line.
#[derive(Serialize)]
pub(super) struct ResultLine<'a> {
    event: &'static str,
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    ok: bool,
    #[serde(flatten)]
    end: End<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum End<'a> {
    Done {
        body: &'a Reply,
    },
    Help {
        body: serde_json::Value,
    },
    Refused {
        status: Status,
        code: &'a Code,
        reason: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl<'a> ResultLine<'a> {
    /// How a command ended.
    pub(super) fn new(command: Option<&'a str>, tag: Option<&'a str>, outcome: &'a Outcome) -> Self {
        let end = match outcome {
            Ok(body) => End::Done { body },
            Err(refusal) => End::Refused {
                status: refusal.status(),
                code: &refusal.code,
                reason: &refusal.reason,
                retry_after_ms: refusal.retry_after_ms,
            },
        };
        Self { event: "result", command, tag, ok: outcome.is_ok(), end }
    }

    /// The answer to `help`.
    pub(super) fn help(command: &'a str, tag: Option<&'a str>, about: Option<&'static Spec>) -> Self {
        let rows = super::specs().filter(|spec| about.is_none_or(|about| about.word == spec.word));
        let rows = rows.map(|spec| {
            json!({
                "command": spec.word,
                "aliases": spec.aliases,
                "group": spec.group.title(),
                "usage": spec.synopsis(),
                "help": spec.help,
            })
        });
        let body = json!({ "commands": rows.collect::<Vec<_>>() });
        Self { event: "result", command: Some(command), tag, ok: true, end: End::Help { body } }
    }

    /// The line, its end included.
    pub(super) fn to_line(&self) -> String {
        to_line(self)
    }
}

fn to_line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_else(|error| {
        // Everything that is shown has a JSON form; should one not, the reader of the lines is to know.
        tracing::error!(err = %error, "a line cannot be written as JSON");
        json!({ "event": "warning", "code": Code::Internal, "reason": Code::Internal.sentence() }).to_string()
    });
    line.push('\n');
    line
}
