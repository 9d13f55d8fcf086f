//! Somebody with a peer: does what they type, and remembers all that they were shown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::id::MessageId;
use common::name::ChannelName;
use common::proto::status::Code;
use common::secret::Secret;
use peer::api::{
    ChannelStatus, ChatMessage, Command, DirectMessage, Event, Hosting, Identity, JoinedChannel, LinkState,
    OutboxChange, OutboxCommand, OutboxItem, Outcome, Reply, Retried, SessionState, StatusReport,
};
use peer::events::{EventQueue, Events};
use peer::node::NodeHandle;
use peer::ui::Node;
use peer::{Config, Peer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{is_connection, within};

/// All that was shown to somebody, over all runs of their peer.
struct Shown {
    events: Mutex<Vec<Event>>,
    count: watch::Sender<usize>,
}

impl Shown {
    fn push(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.count.send_modify(|count| *count += 1);
    }
}

struct Running {
    peer: Peer,
    queue: Arc<EventQueue>,
    showing: JoinHandle<()>,
}

pub struct Person {
    pub config: Config,
    running: Option<Running>,
    shown: Arc<Shown>,
    /// What `expect` has passed over.
    seen: usize,
}

impl Person {
    pub fn new(config: Config) -> Self {
        let shown = Shown { events: Mutex::default(), count: watch::Sender::new(0) };
        Self { config, running: None, shown: Arc::new(shown), seen: 0 }
    }

    /// Starts the peer, with the data that it has.
    pub async fn start(&mut self) {
        assert!(self.running.is_none(), "runs already");
        let mut peer = within(Box::pin(peer::start(self.config.clone()))).await.unwrap();
        let queue = Arc::new(std::mem::replace(&mut peer.events, Events::new().1));
        let (events, shown) = (queue.clone(), self.shown.clone());
        let showing = actix::spawn(async move {
            while let Some(event) = events.recv().await {
                shown.push(event);
                events.shown().add(1);
            }
        });
        self.seen = self.shown.events.lock().unwrap().len();
        self.running = Some(Running { peer, queue, showing });
    }

    /// Stops the peer in order.
    pub async fn stop(&mut self) {
        let Running { peer, queue, showing } = self.running.take().expect("runs");
        within(peer.node.finish(Duration::ZERO)).await;
        queue.finish();
        within(showing).await.unwrap();
        within(peer.shut_down()).await.unwrap();
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// The same for somebody who is not needed any more.
    pub async fn stop_quietly(mut self) {
        self.stop().await;
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the peer runs")
    }

    /// What a user interface would drive.
    pub fn node(&self) -> NodeHandle {
        self.running().peer.node.clone()
    }

    pub fn name(&self) -> &str {
        self.config.username.as_str()
    }

    pub async fn perform(&self, command: Command) -> Outcome {
        within(self.running().peer.node.perform(command)).await
    }

    /// Does what is expected to work.
    pub async fn done(&self, command: Command) -> Reply {
        let what = format!("{command:?}");
        match self.perform(command).await {
            Ok(reply) => reply,
            Err(refusal) => panic!("{}: {what}: {refusal}", self.name()),
        }
    }

    /// Does what is expected to be refused.
    pub async fn refused(&self, command: Command) -> Code {
        let what = format!("{command:?}");
        match self.perform(command).await {
            Ok(reply) => panic!("{}: {what} is done: {reply:?}", self.name()),
            Err(refusal) => refusal.code,
        }
    }

    /// Waits until the tracker has let this peer in, or not.
    pub async fn settled(&self) {
        within(self.running().peer.node.settled()).await;
    }

    /// Waits until the tracker has let this peer in; says as whom.
    pub async fn entered(&self) -> Identity {
        self.settled().await;
        let identity = self.whoami().await;
        assert_ne!(identity.state, SessionState::None, "{} is not let in", self.name());
        identity
    }

    pub async fn whoami(&self) -> Identity {
        let Reply::Identity(identity) = self.done(Command::Whoami).await else { unreachable!() };
        identity
    }

    pub async fn signup(&self, password: &str) {
        self.done(Command::Signup { name: None, password: Secret::new(password) }).await;
    }

    pub async fn signin(&self, name: &str, password: &str) -> Outcome {
        let name = Some(name.parse().unwrap());
        self.perform(Command::Signin { name, password: Secret::new(password) }).await
    }

    pub async fn host(&self, channel: &str) -> Hosting {
        let Reply::Hosting(hosting) = self.done(Command::Host { channel: named(channel) }).await else {
            unreachable!()
        };
        hosting
    }

    pub async fn join(&self, channel: &str) -> JoinedChannel {
        let Reply::Joined(joined) = self.done(join(channel)).await else { unreachable!() };
        joined
    }

    /// Joins a channel whose host may not have come back yet.
    pub async fn join_soon(&mut self, channel: &str) {
        let joined = async {
            while self.running().peer.node.perform(join(channel)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(joined).await;
    }

    pub async fn leave(&self, channel: &str) {
        self.done(Command::Leave { channel: named(channel) }).await;
    }

    pub async fn send(&self, channel: &str, text: &str) -> MessageId {
        let Reply::Queued(queued) = self.done(send(channel, text)).await else { unreachable!() };
        queued.id
    }

    /// Waits for the next message to this user alone that has this text.
    pub async fn reads_alone(&mut self, text: &str) -> DirectMessage {
        self.expect(text, |event| match event {
            Event::ChatMessage(message) if message.text.as_deref() == Some(text) => Some((**message).clone()),
            _ => None,
        })
        .await
    }

    /// What others wrote to this user alone, in the order in which it was shown.
    pub fn direct_texts(&self) -> Vec<String> {
        let events = self.shown.events.lock().unwrap();
        let texts = events.iter().filter_map(|event| match event {
            Event::ChatMessage(message) if !message.mine => message.text.clone(),
            _ => None,
        });
        texts.collect()
    }

    /// Has what was refused sent again: one message, by the end of its id, or all of a channel.
    pub async fn retry(&self, which: &str) -> Retried {
        let command = Command::Outbox(OutboxCommand::Retry { which: which.to_owned() });
        let Reply::Retried(retried) = self.done(command).await else { unreachable!() };
        retried
    }

    /// What waits to be sent.
    pub async fn outbox(&self) -> Vec<OutboxItem> {
        let Reply::Outbox(list) = self.done(Command::Outbox(OutboxCommand::List { channel: None })).await
        else {
            unreachable!()
        };
        list.messages
    }

    /// Cancels a message, or has another text sent in its place.
    pub async fn change(&self, id: MessageId, text: Option<&str>) -> OutboxChange {
        let id = id.to_string();
        let command = match text {
            Some(text) => Command::Outbox(OutboxCommand::Edit { id, text: text.to_owned() }),
            None => Command::Outbox(OutboxCommand::Cancel { id }),
        };
        let Reply::Changed(change) = self.done(command).await else { unreachable!() };
        change
    }

    pub async fn status(&self) -> StatusReport {
        let Reply::Status(status) = self.done(Command::Status).await else { unreachable!() };
        *status
    }

    pub async fn channel(&self, channel: &str) -> ChannelStatus {
        let wanted = named(channel);
        let channels = self.status().await.channels;
        channels.into_iter().find(|row| row.channel == wanted).expect("the channel is known")
    }

    /// The channel's log as the host has it.
    pub async fn history(&self, channel: &str) -> Vec<ChatMessage> {
        let command = Command::History { channel: named(channel), count: u32::MAX, before: None };
        let Reply::History(history) = self.done(command).await else { unreachable!() };
        history.messages
    }

    /// All that was shown so far.
    pub fn events(&self) -> Vec<Event> {
        self.shown.events.lock().unwrap().clone()
    }

    /// The messages of a channel that were shown, in this order.
    pub fn messages(&self, channel: &str) -> Vec<ChatMessage> {
        let wanted = named(channel);
        let of_channel = |event| match event {
            Event::Message(message) if message.channel == wanted => Some(message),
            _ => None,
        };
        self.events().into_iter().filter_map(of_channel).collect()
    }

    pub fn texts(&self, channel: &str) -> Vec<String> {
        self.messages(channel).into_iter().filter_map(|message| message.text).collect()
    }

    /// Waits for an event, from behind the last one that was waited for in this run of the peer.
    pub async fn expect<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut count = self.shown.count.subscribe();
        let waiting = async {
            loop {
                count.borrow_and_update();
                let found = {
                    let events = self.shown.events.lock().unwrap();
                    let mut new = events.iter().enumerate().skip(self.seen);
                    new.find_map(|(place, event)| Some((place, wanted(event)?)))
                };
                if let Some((place, found)) = found {
                    return (place, found);
                }
                count.changed().await.unwrap();
            }
        };
        let Ok((place, found)) = tokio::time::timeout(super::LIMIT, waiting).await else {
            let shown = self.shown.events.lock().unwrap();
            let last = shown.iter().skip(shown.len().saturating_sub(8)).collect::<Vec<_>>();
            panic!("{}: no {what}; {} events, the last {last:#?}", self.config.username, shown.len());
        };
        self.seen = place + 1;
        found
    }

    pub async fn expect_connection(&mut self, to: &str, state: LinkState) {
        let what = format!("connection to {to} {state:?}");
        self.expect(&what, |event| is_connection(event, to, state).then_some(())).await;
    }

    /// Waits until the message with this number was shown.
    pub async fn reads(&self, channel: &str, seq: u64) {
        let wanted = named(channel);
        let mut count = self.shown.count.subscribe();
        let mut looked = 0;
        let read = async {
            loop {
                count.borrow_and_update();
                {
                    let events = self.shown.events.lock().unwrap();
                    let is_it = |event: &Event| matches!(event, Event::Message(message) if message.channel == wanted && message.seq == seq);
                    if events[looked..].iter().any(is_it) {
                        return;
                    }
                    looked = events.len();
                }
                count.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(super::LIMIT, read).await.is_err() {
            panic!("{}: {channel} {seq} is not shown", self.name());
        }
    }

    /// A round trip to the host: all that it had told before is shown afterwards.
    pub async fn barrier(&self, channel: &str) {
        self.done(Command::Info { channel: named(channel) }).await;
        self.catch_up();
    }

    /// A round trip to the tracker.
    pub async fn barrier_of_tracker(&self) {
        self.done(Command::List { pattern: None, after: None }).await;
        self.catch_up();
    }

    /// Takes what waits in the queue of events.
    fn catch_up(&self) {
        let queue = &self.running().queue;
        while let Some(event) = queue.try_recv() {
            self.shown.push(event);
            queue.shown().add(1);
        }
    }
}

pub fn named(channel: &str) -> ChannelName {
    channel.parse().unwrap()
}

pub fn join(channel: &str) -> Command {
    Command::Join { channel: named(channel) }
}

pub fn send(channel: &str, text: &str) -> Command {
    Command::Send { channel: named(channel), text: text.to_owned() }
}
