//! Takes typed lines one after another, and has the node do what they ask for.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use common::name::{ChannelName, UserName};
use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::View;
use crate::api::{Command, ContactState, DevicesCommand, DirectCommand, Outcome, Reply, TransferCommand};
use crate::ui::Node;
use crate::ui::command::{Action, Spec, TalkTo};
use crate::ui::editor::{Input, Turn};
use crate::ui::parse::{self, Parsed, quoted};

/// A command that takes longer leaves the prompt to its user, and its outcome appears above.
const PROMPT_AFTER: Duration = Duration::from_millis(250);
/// How many typed lines may wait for the command before them.
const MAX_WAITING_LINES: usize = 64;
/// How long the first prompt waits for the names of the channels.
const NAMES_LIMIT: Duration = Duration::from_secs(1);

/// Takes typed lines.
///
/// The editor is silent until it gets its turn; while it has it, a line may come.
pub(super) struct Driver<N> {
    node: N,
    view: View,
    turns: mpsc::Sender<Turn>,
    inputs: mpsc::Receiver<Input>,
    /// Lines that were typed while a command was under way.
    waiting: VecDeque<String>,
    /// Whether the editor waits for its turn.
    is_editor_idle: bool,
    was_interrupted: bool,
}

/// A line as a message.
fn message(to: TalkTo, text: String) -> Command {
    match to {
        TalkTo::Channel(channel) => Command::Send { channel, text },
        TalkTo::User(user) => Command::Direct(DirectCommand::Msg { user, text }),
    }
}

/// Where nothing is to be said any more once a command is done.
fn left_by(command: &Command) -> Option<TalkTo> {
    match command {
        Command::Leave { channel } => Some(TalkTo::Channel(channel.clone())),
        Command::Direct(DirectCommand::Close { user } | DirectCommand::Block { user }) => {
            Some(TalkTo::User(user.clone()))
        }
        _ => None,
    }
}

/// The user wants to leave.
struct Leave;

impl<N: Node> Driver<N> {
    pub(super) fn new(node: N, view: View, turns: mpsc::Sender<Turn>, inputs: mpsc::Receiver<Input>) -> Self {
        let waiting = VecDeque::new();
        Self { node, view, turns, inputs, waiting, is_editor_idle: true, was_interrupted: false }
    }

    /// Goes on until the user leaves.
    pub(super) async fn run(mut self, is_ready: oneshot::Receiver<()>) {
        if is_ready.await.is_err() {
            return;
        }
        if let Ok(Ok(reply)) = timeout(NAMES_LIMIT, self.node.perform(Command::Connected)).await {
            self.view.with_known(|known| known.see_reply(&reply));
        }
        loop {
            let line = match self.waiting.pop_front() {
                Some(line) => line,
                None => match self.next_line().await {
                    Ok(line) => line,
                    Err(Leave) => return,
                },
            };
            if let Err(Leave) = self.take(line).await {
                return;
            }
        }
    }

    async fn next_line(&mut self) -> Result<String, Leave> {
        loop {
            self.give_turn().await;
            let input = self.inputs.recv().await;
            if let Some(line) = self.typed(input)? {
                return Ok(line);
            }
        }
    }

    /// Lets the editor edit the next line, when it waits for that.
    async fn give_turn(&mut self) {
        if self.is_editor_idle {
            self.view.screen.settle().await;
            let prompt = self.view.with_known(|known| known.prompt());
            self.hand(Turn::Line(prompt)).await;
        }
    }

    async fn hand(&mut self, turn: Turn) {
        self.is_editor_idle = false;
        // An editor that is gone says so by the end of its input.
        let _ = self.turns.send(turn).await;
    }

    fn typed(&mut self, input: Option<Input>) -> Result<Option<String>, Leave> {
        self.is_editor_idle = true;
        match input {
            Some(Input::Line(line)) => {
                self.was_interrupted = false;
                Ok(Some(line))
            }
            Some(Input::Interrupt) if !self.was_interrupted => {
                self.was_interrupted = true;
                self.view.notice("to leave, type quit, or press Ctrl-C once more or Ctrl-D");
                Ok(None)
            }
            Some(Input::Interrupt | Input::End) | None => Err(Leave),
            Some(Input::Secrets(_) | Input::NoSecrets(_)) => Ok(None),
        }
    }

    async fn take(&mut self, line: String) -> Result<(), Leave> {
        let line = match self.message_to(&line) {
            Some(_) if line.trim().is_empty() => return Ok(()),
            Some(to) => return self.perform(message(to, line)).await,
            None => line,
        };
        match parse::parse(&line) {
            Ok(Some(parsed)) => self.act(parsed).await,
            Ok(None) => Ok(()),
            Err(error) => {
                self.refuse(&error.refusal);
                Ok(())
            }
        }
    }

    /// Where the line goes as a message.
    fn message_to(&self, line: &str) -> Option<TalkTo> {
        let talk = self.view.with_known(|known| known.talk.clone());
        talk.filter(|_| !line.starts_with('/'))
    }

    async fn act(&mut self, parsed: Parsed) -> Result<(), Leave> {
        let secrets = match self.secrets(parsed.spec).await? {
            Ok(secrets) => secrets,
            Err(refusal) => {
                self.refuse(&refusal);
                return Ok(());
            }
        };
        match parsed.into_action(secrets) {
            Ok(Action::Perform(command)) => {
                if self.confirms(&command).await? {
                    self.perform(command).await
                } else {
                    Ok(())
                }
            }
            Ok(Action::Help(about)) => {
                self.view.screen.print(&self.view.render.help(about));
                Ok(())
            }
            Ok(Action::Talk(to)) => {
                self.talk(to).await;
                Ok(())
            }
            Ok(Action::Quit) => Err(Leave),
            Err(refusal) => {
                self.refuse(&refusal);
                Ok(())
            }
        }
    }

    /// Whether the user means it, where that is asked.
    async fn confirms(&mut self, command: &Command) -> Result<bool, Leave> {
        let (notice, question) = match command {
            Command::Devices(DevicesCommand::Revoke { key }) if self.is_own(key).await => (
                "that is this very device: it will need the password to come back, and hosts nothing until then".to_owned(),
                "Sign it out? yes/no: ".to_owned(),
            ),
            Command::Transfer(TransferCommand::Offer { channel, user }) => (
                format!("once {user} accepts it, #{channel} is theirs, and they decide about it and about you in it"),
                format!("Offer it to {user}? yes/no: "),
            ),
            _ => return Ok(true),
        };
        self.view.notice(&notice);
        self.view.screen.settle().await;
        self.hand(Turn::Answer(question)).await;
        let input = self.inputs.recv().await;
        let answer = self.typed(input)?.unwrap_or_default();
        let is_meant = is_yes(&answer);
        if !is_meant {
            self.view.notice("nothing was done");
        }
        Ok(is_meant)
    }

    /// Whether a device is this one: to sign itself out needs the password to come back.
    async fn is_own(&self, key: &str) -> bool {
        let own = self.node.perform(Command::Whoami).await;
        matches!(own, Ok(Reply::Identity(identity)) if identity.key.to_string().starts_with(key))
    }

    fn refuse(&self, refusal: &Refusal) {
        self.view.screen.print(&self.view.render.refusal(refusal));
    }

    /// Has the node do something, and goes on taking lines when that takes long.
    async fn perform(&mut self, command: Command) -> Result<(), Leave> {
        let left = left_by(&command);
        let node = self.node.clone();
        let mut work = Box::pin(node.perform(command));
        let mut grace = pin!(sleep(PROMPT_AFTER));
        let mut is_long = false;
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = &mut grace, if !is_long => is_long = true,
                input = self.inputs.recv(), if !self.is_editor_idle => {
                    if let Some(line) = self.typed(input)? {
                        self.waiting.push_back(line);
                    }
                }
            }
            if is_long && self.may_type_ahead() {
                self.give_turn().await;
            }
        };
        if left.is_some() && outcome.is_ok() {
            self.view.with_known(|known| known.talk.take_if(|talk| Some(&*talk) == left.as_ref()));
        }
        self.view.outcome(&outcome);
        Ok(())
    }

    /// Whether a line may be typed before the last one is done: not after one that asks something, or changes what
    /// the next one means.
    fn may_type_ahead(&self) -> bool {
        let Some(last) = self.waiting.back() else { return true };
        if self.waiting.len() >= MAX_WAITING_LINES {
            return false;
        }
        if self.message_to(last).is_some() {
            return true;
        }
        !matches!(parse::parse(last), Ok(Some(parsed)) if !parsed.spec.secrets.is_empty()
            || ["talk", "leave", "close", "block", "quit", "devices revoke"].contains(&parsed.spec.word))
    }

    async fn talk(&mut self, to: Option<TalkTo>) {
        let refused = match &to {
            None => None,
            Some(TalkTo::Channel(channel)) => self.cannot_talk_in(channel).await,
            Some(TalkTo::User(user)) => self.cannot_talk_to(user).await,
        };
        if let Some(refusal) = refused {
            return self.refuse(&refusal);
        }
        if let Some(to) = &to {
            self.view
                .notice(&format!("each line goes to {to} now; commands begin with /, and /talk ends this"));
        }
        self.view.with_known(|known| known.talk = to);
    }

    async fn cannot_talk_to(&self, user: &UserName) -> Option<Refusal> {
        let contacts = match self.node.perform(Command::Direct(DirectCommand::Contacts)).await {
            Ok(Reply::Contacts(list)) => list.contacts,
            Ok(_) => return None,
            Err(refusal) => return Some(refusal),
        };
        let is_open = contacts.iter().any(|row| row.user == *user && row.state == ContactState::Contact);
        (!is_open).then(|| {
            Refusal::new(Code::NotContact, format!("{user} is no contact of yours; type: start {user}"))
        })
    }

    async fn cannot_talk_in(&self, channel: &ChannelName) -> Option<Refusal> {
        let connected = match self.node.perform(Command::Connected).await {
            Ok(Reply::Connected(connected)) => connected,
            Ok(_) => return None,
            Err(refusal) => return Some(refusal),
        };
        let is_joined = connected.channels.iter().any(|status| status.joined && status.channel == *channel);
        (!is_joined).then(|| {
            let reason = format!("join the channel first: join {}", quoted(channel.as_str()));
            Refusal::new(Code::NotJoined, reason)
        })
    }

    /// The passwords of a command, once it is clear that they go to the right tracker.
    async fn secrets(&mut self, spec: &Spec) -> Result<Result<Vec<Secret>, Refusal>, Leave> {
        if spec.secrets.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        if let Err(refusal) = self.trust().await? {
            return Ok(Err(refusal));
        }
        self.view.screen.settle().await;
        self.hand(Turn::Secrets(spec.secrets)).await;
        let input = self.inputs.recv().await;
        self.is_editor_idle = true;
        match input {
            Some(Input::Secrets(secrets)) => Ok(Ok(secrets)),
            Some(Input::NoSecrets(why)) => Ok(Err(Refusal::new(Code::Usage, why))),
            Some(_) | None => Err(Leave),
        }
    }

    /// At the first contact, has the user compare the tracker's key before a password goes there.
    async fn trust(&mut self) -> Result<Outcome, Leave> {
        let trust = match self.node.perform(Command::TrackerTrust).await {
            Ok(Reply::Trust(trust)) => trust,
            other => return Ok(other),
        };
        if trust.confirmed {
            return Ok(Ok(Reply::Done {}));
        }
        let Some(key) = trust.key else { return Ok(Err(Code::TrackerAway.into())) };
        self.view.screen.print(&self.view.render.trust(&trust.tracker, key));
        self.view.screen.settle().await;
        self.hand(Turn::Answer("Is it the same? yes/no: ".into())).await;
        let input = self.inputs.recv().await;
        let answer = self.typed(input)?.unwrap_or_default();
        if !is_yes(&answer) {
            let reason = "the tracker's key was not confirmed; no password was sent";
            return Ok(Err(Refusal::new(Code::TrackerUnconfirmed, reason)));
        }
        Ok(self.node.perform(Command::ConfirmTracker { key }).await)
    }
}

fn is_yes(answer: &str) -> bool {
    ["yes", "y"].contains(&answer.trim().to_lowercase().as_str())
}
