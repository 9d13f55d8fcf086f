//! Commands one a line in, outcomes and events as one JSON object a line out: for bots, scripts and tests.

mod input;
mod output;

use std::pin::pin;
use std::time::Duration;

use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use common::shutdown::{Shutdown, ShutdownTrigger};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::command::{Action, Spec, specs};
use super::parse::{self, Parsed};
use super::{Exit, Node};
use crate::api::{Event, Outcome};
use crate::events::EventQueue;
pub use input::stdin;
use input::{BadLine, Lines};
use output::{Outgoing, ResultLine, event_line};

/// How long whoever reads the output may take for all that is left to show at the end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What the JSON interface is told besides its streams.
#[derive(Clone, Debug)]
pub struct JsonConfig {
    /// How long what is under way may take after the end of the input.
    pub drain: Duration,
    /// Ends the interface, as the end of the input does.
    pub shutdown: Shutdown,
}

/// Reads commands from `input` and writes outcomes and events to `output`, until the input ends, `quit` is read, the
/// output is closed, the signal to stop comes, or the node is gone. What the node has told by then is still shown, to
/// whoever reads it in time.
pub async fn run_json<N: Node>(
    node: N,
    events: EventQueue,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    config: JsonConfig,
) -> Exit {
    let (end, ending) = Shutdown::new();
    let (out, lines) = output::channel();
    let write = output::write_lines(lines, output, events.shown(), ending.clone());
    let work = async {
        let exit = serve(&node, &events, input, &out, &config, &end).await;
        drop(out);
        exit
    };
    let overdue = async {
        ending.requested().await;
        tokio::time::sleep(END_LIMIT).await;
    };
    let (mut work, mut write, mut overdue) = (pin!(work), pin!(write), pin!(overdue));
    tokio::select! {
        exit = &mut work => {
            tokio::select! {
                () = write => {}
                () = overdue => {}
            }
            exit
        }
        // Nobody reads any more: whoever that was has got what was wanted.
        () = &mut write => Exit::Done,
        () = &mut overdue => Exit::Done,
    }
}

/// Takes commands and shows events side by side, so that neither waits for the other; at the end shows what is left,
/// once nothing more comes in.
async fn serve<N: Node>(
    node: &N,
    events: &EventQueue,
    input: impl AsyncRead + Unpin,
    out: &Outgoing,
    config: &JsonConfig,
    end: &ShutdownTrigger,
) -> Exit {
    let (ready, is_ready) = oneshot::channel();
    let commands = async {
        tokio::select! {
            () = Commands { node, input: Lines::new(input), out }.run(is_ready) => {}
            () = config.shutdown.requested() => {}
        }
        node.finish(config.drain).await;
    };
    let shown = show_all(events, out, ready);
    let (commands, mut shown) = (pin!(commands), pin!(shown));
    tokio::select! {
        biased;
        () = commands => {}
        () = &mut shown => {
            end.request();
            return if config.shutdown.is_requested() { Exit::Done } else { Exit::Failed };
        }
    }
    end.request();
    events.finish();
    // Not a new one: this one may have an event in hand.
    shown.await;
    Exit::Done
}

/// The line that says how a command ended.
pub(super) fn result_line(command: &'static str, outcome: &Outcome) -> String {
    ResultLine::new(Some(command), None, outcome).to_line()
}

async fn show_all(events: &EventQueue, out: &Outgoing, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    while let Some(event) = events.recv().await {
        let line = match &event {
            Event::Result { command, outcome } => ResultLine::new(Some(command), None, outcome).to_line(),
            event => event_line(event),
        };
        out.event(line).await;
        if let Some(ready) = ready.take_if(|_| matches!(event, Event::Ready { .. })) {
            // The commands may have been ended by the signal to stop.
            let _ = ready.send(());
        }
    }
}

/// Reads and performs commands, one after another.
struct Commands<'a, N, R> {
    node: &'a N,
    input: Lines<R>,
    out: &'a Outgoing,
}

impl<N: Node, R: AsyncRead + Unpin> Commands<'_, N, R> {
    async fn run(mut self, is_ready: oneshot::Receiver<()>) {
        if is_ready.await.is_err() {
            return;
        }
        while let Some(line) = self.input.next().await {
            let goes_on = match line {
                Ok(line) => self.take(&line).await,
                Err(bad) => {
                    self.refuse(None, None, bad.into()).await;
                    true
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Whether there is a next one.
    async fn take(&mut self, line: &str) -> bool {
        let (tag, line) = match parse::split_tag(line) {
            Ok(split) => split,
            Err(refusal) => {
                self.refuse(None, None, refusal).await;
                return true;
            }
        };
        match parse::parse(line) {
            Ok(Some(parsed)) => return self.perform(tag, parsed).await,
            // Whoever tags a line waits for its result.
            Ok(None) if tag.is_some() => {
                let refusal = Refusal::new(Code::Usage, "after the tag comes a command");
                self.refuse(None, tag, refusal).await;
            }
            Ok(None) => {}
            Err(error) => self.refuse(error.word.as_deref(), tag, error.refusal).await,
        }
        true
    }

    async fn perform(&mut self, tag: Option<&str>, parsed: Parsed) -> bool {
        let word = parsed.word;
        let action = match self.secrets(parsed.spec).await {
            Ok(secrets) => parsed.into_action(secrets),
            Err(refusal) => Err(refusal),
        };
        match action {
            Ok(Action::Perform(command)) => {
                let outcome = Box::pin(self.node.perform(command)).await;
                self.result(&ResultLine::new(Some(word), tag, &outcome)).await;
            }
            Ok(Action::Help(about)) => self.result(&ResultLine::help(word, tag, about)).await,
            Ok(Action::Talk(_)) => {
                let refusal = Refusal::new(
                    Code::Usage,
                    "talk is for a terminal; use: send CH text…, or msg USER text…",
                );
                self.refuse(Some(word), tag, refusal).await;
            }
            Ok(Action::Quit) => {
                self.result(&ResultLine::new(Some(word), tag, &Ok(crate::api::Reply::Done {}))).await;
                return false;
            }
            Err(refusal) => self.refuse(Some(word), tag, refusal).await,
        }
        true
    }

    /// The passwords of a command: one line each. All are read even when one is bad, lest it be taken for a command.
    async fn secrets(&mut self, spec: &Spec) -> Result<Vec<Secret>, Refusal> {
        let mut secrets = Vec::with_capacity(spec.secrets.len());
        let mut wrong = None;
        for _ in spec.secrets {
            match self.input.next().await {
                Some(Ok(line)) => secrets.push(Secret::new(line)),
                Some(Err(bad)) => wrong = Some(bad.into()),
                None => {
                    let missing = "the input ended where a password was expected, on a line of its own";
                    wrong = Some(Refusal::new(Code::Usage, missing));
                }
            }
        }
        wrong.map_or(Ok(secrets), Err)
    }

    async fn refuse(&self, word: Option<&str>, tag: Option<&str>, refusal: Refusal) {
        let outcome: Outcome = Err(refusal);
        self.result(&ResultLine::new(word, tag, &outcome)).await;
    }

    async fn result(&self, result: &ResultLine<'_>) {
        self.out.result(result.to_line()).await;
    }
}

impl From<BadLine> for Refusal {
    fn from(bad: BadLine) -> Self {
        Self::new(Code::Usage, bad.to_string())
    }
}

#[cfg(test)]
mod tests;
