//! The terminal's interface: typed lines to the node, what the node says above the line being typed.

mod driver;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::clock::Timestamp;
use common::shutdown::Shutdown;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::editor::{self, Desk};
use super::known::Known;
use super::render::{Renderer, Style};
use super::screen::{Screen, put};
use super::terminal::{self, PutBack, Terminal};
use super::{Exit, Node};
use crate::api::{Event, Outcome, OutgoingState};
use crate::events::EventQueue;
use driver::Driver;

/// The file of the data folder that keeps what was typed, without passwords.
const HISTORY_FILE: &str = "typed";
/// How long the terminal may take for what is left to show at the end.
const SLOW_TERMINAL: Duration = Duration::from_secs(2);

/// What the terminal's interface is told.
#[derive(Clone, Debug)]
pub struct ReplConfig {
    /// Where the peer keeps its state.
    pub data_dir: PathBuf,
    /// How long what is under way may take at the end.
    pub drain: Duration,
    /// Ends the interface, as `quit` does.
    pub shutdown: Shutdown,
    /// The terminal; whoever remembered it puts it back once more when the process ends.
    pub terminal: Terminal,
}

/// Takes commands from the terminal until its user leaves, the signal to stop comes, or the node is gone. What the node
/// has told by then is still shown.
///
/// The terminal is then as it was before. The thread of the line editor may still wait for a key: the process is to
/// end without waiting for it.
pub async fn run_repl<N: Node>(node: N, events: EventQueue, config: ReplConfig) -> Exit {
    let put_back = PutBack(config.terminal.clone());
    let view = View::new();
    let (turns, inputs) = match editor::start(view.desk(&events, &config)) {
        Ok(started) => started,
        Err(error) => {
            drop(put_back);
            // A terminal that is gone shows nothing more.
            let _ = put(&view.render.notice(&format!("the line editor cannot be started: {error}\n")));
            return Exit::Failed;
        }
    };
    let (ready, is_ready) = oneshot::channel();
    let driver = Driver::new(node.clone(), view.clone(), turns, inputs);
    let work = async {
        tokio::select! {
            biased;
            () = config.shutdown.requested() => {}
            () = hangup() => {}
            () = driver.run(is_ready) => {}
        }
        node.finish(config.drain).await;
    };
    let exit = tokio::select! {
        biased;
        () = work => Exit::Done,
        () = view.watch(&events, ready) => {
            if config.shutdown.is_requested() { Exit::Done } else { Exit::Failed }
        }
    };
    events.finish();
    while let Some(event) = events.recv().await {
        view.screen.show(view.event(&event).as_deref());
    }
    let (rest, count) = view.screen.close();
    drop(put_back);
    if timeout(SLOW_TERMINAL, spawn_blocking(move || put(&rest)))
        .await
        .is_ok_and(|put| matches!(put, Ok(Ok(()))))
    {
        events.shown().add(count);
    }
    exit
}

/// What both the driver and the watcher show and know.
#[derive(Clone)]
struct View {
    screen: Screen,
    known: Arc<Mutex<Known>>,
    render: Renderer,
}

impl View {
    fn new() -> Self {
        let style = Style { colour: terminal::wants_colour() };
        let render = Renderer { style, zone: TimeZone::system() };
        Self { screen: Screen::default(), known: Arc::default(), render }
    }

    fn desk(&self, events: &EventQueue, config: &ReplConfig) -> Desk {
        let desk = Desk {
            history: config.data_dir.join(HISTORY_FILE),
            known: Arc::clone(&self.known),
            screen: self.screen.clone(),
            shown: events.shown(),
            terminal: config.terminal.clone(),
            style: self.render.style,
            is_plain: terminal::is_plain(),
        };
        if !desk.is_plain {
            desk.terminal.hush();
        }
        desk
    }

    /// Shows events as long as there are any. Whoever drops it loses none.
    async fn watch(&self, events: &EventQueue, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        loop {
            self.screen.room().await;
            let Some(event) = events.recv().await else { return };
            self.screen.show(self.event(&event).as_deref());
            if let Some(ready) = ready.take_if(|_| matches!(event, Event::Ready { .. })) {
                // The driver may have been ended by a signal.
                let _ = ready.send(());
            }
        }
    }

    /// What is shown of an event, if anything is.
    fn event(&self, event: &Event) -> Option<String> {
        let is_cut_off = self.with_known(|known| {
            known.see_event(event);
            matches!(event, Event::Outgoing { channel, state: OutgoingState::Queued, .. } if known.is_cut_off(channel))
        });
        match event {
            Event::Result { outcome, .. } => self.lines_of(outcome),
            Event::Outgoing { channel, reason, .. } if is_cut_off => {
                let is_joined = self.with_known(|known| known.is_joined(channel));
                // What waits for the user does not go out by itself when the way is free again.
                if is_joined && reason.is_some() {
                    return self.render.event(event, Timestamp::now());
                }
                Some(self.render.queued(channel.as_str(), is_joined))
            }
            event => self.render.event(event, Timestamp::now()),
        }
    }

    fn outcome(&self, outcome: &Outcome) {
        if let Some(lines) = self.lines_of(outcome) {
            self.screen.print(&lines);
        }
    }

    fn lines_of(&self, outcome: &Outcome) -> Option<String> {
        match outcome {
            Ok(reply) => {
                self.with_known(|known| known.see_reply(reply));
                self.render.reply(reply, Timestamp::now())
            }
            Err(refusal) => Some(self.render.refusal(refusal)),
        }
    }

    fn notice(&self, text: &str) {
        self.screen.print(&self.render.notice(text));
    }

    fn with_known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until the terminal is taken away, or somebody says so: unheard, that would end the process as it stands.
async fn hangup() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::hangup()) {
        Ok(mut hangups) => {
            hangups.recv().await;
        }
        Err(error) => {
            tracing::warn!(err = %error, "a hangup will not be noticed");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests;
