//! What a client decides: what has happened in, what is to be done out. Pure.
//!
//! It puts together the parts that decide one thing each: when to connect ([`Reconnect`]), what goes out ([`Outbox`]),
//! what is received, written and shown ([`Keeper`]). Whoever owns it first says what is around it ([`ClientState::look`]),
//! then what has happened, and does in order what [`ClientState::poll`] hands out.

mod awaiting;
mod connecting;
mod filling;
mod forking;
mod keeping;
mod membership;
mod moving;
mod queue;
mod sending;

use std::collections::VecDeque;
use std::time::Duration;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{Epoch, MessageId, Subject};
use common::proto::channel::{Connected, Role};
use common::proto::directory::{ChannelRecord, Switches};
use common::proto::moving::Hosting;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;

use super::archive::intervals::{Gap, Intervals, Proof};
use super::archive::keeper::CatchUp;
use super::archive::{Batch, Keeper, Loaded};
use super::connect::Resume;
use super::outbox::{Change, Item, Outbox};
use crate::api::{ChatMessage, Event, JoinedChannel, LinkState, OutgoingState};
use crate::pace::{KeptPace, Pace, Tried};
use crate::reconnect::{Now, Reconnect};
use crate::recovery::forking::Kept;
use crate::store::{Cut, KnownChannel};
use filling::Filling;
use keeping::Writing;
use sending::Flow;

pub(in crate::client) use filling::check_page;
pub(in crate::client) use queue::wished;

/// What is around a client when something happens to it.
#[derive(Clone, Debug)]
pub struct Around {
    /// The time, and a random number.
    pub now: Now,
    /// Who this peer is, as far as that lets it write.
    pub me: Option<Me>,
    /// The connection over which the tracker has let this peer in.
    pub entered_over: Option<u64>,
    /// How much of what it was told the interface has taken.
    pub taken: u64,
    /// Whether the user waits for an answer of the host.
    pub is_asking: bool,
    /// Whether the connection still takes what is said.
    pub is_open: bool,
}

/// Who this peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Whatever the name.
    pub subject: Subject,
    /// The name.
    pub name: String,
    /// Whether nobody is to see that they are there.
    pub invisible: bool,
}

/// What was kept of a channel.
#[derive(Debug)]
pub struct KeptClient {
    /// As it is known.
    pub channel: KnownChannel,
    /// What was received.
    pub archive: Option<Loaded>,
    /// What waits to go out, in order.
    pub outbox: Vec<Item>,
    /// How often connecting was tried in vain.
    pub connecting: Option<KeptPace>,
    /// How often the host did not take what was sent.
    pub sending: Option<KeptPace>,
}

/// How a client is meant to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// How long a message may wait before it is too late to send it; for ever when absent.
    pub expire: Option<Duration>,
    /// How the client catches up.
    pub catch_up: CatchUp,
}

/// What the host said when it let us in.
#[derive(Clone, Debug)]
struct Standing {
    /// As whom.
    pub subject: Subject,
    /// Whether unseen.
    pub invisible: bool,
    pub role: Role,
    pub policy: Switches,
    pub head: Position,
    /// Whether the host takes nothing, having lost entries.
    pub behind: bool,
}

/// An attempt to enter the channel.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which.
    pub generation: u64,
    /// Where.
    pub record: ChannelRecord,
    /// From where on entries are wanted.
    pub resume: Resume,
}

/// A channel that was entered.
#[derive(Clone, Debug)]
pub struct Came {
    /// As whom.
    pub subject: Subject,
    /// Whether unseen.
    pub invisible: bool,
    /// What the host said.
    pub connected: Connected,
    /// What is known of the channel now.
    pub record: ChannelRecord,
    /// Whether this very peer hosts it.
    pub at_home: bool,
    /// How many messages may be unanswered there.
    pub window: usize,
    /// What the archive has of the life of the log, if that is [another one](ClientState::is_other).
    pub stored: Option<Intervals>,
}

/// What the host is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// To store a message.
    Message {
        /// Which.
        item: Box<Item>,
        /// Whether it is the one to go on with after a refusal.
        restart: bool,
    },
    /// Which of these are stored.
    StatusOf(Vec<MessageId>),
    /// A page of older entries.
    Page(Epoch, Gap),
}

/// What wakes a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// See [`crate::reconnect::Effect::Wake`].
    Connect(u64),
    /// What is held back may go out.
    Hold(u64),
    /// A message may be too late.
    Expiry(u64),
    /// The disk has rested.
    Disk,
    /// How far was shown is to be written.
    Mark,
    /// Something may be filled.
    Fill,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Tell the user.
    Tell(Event),
    /// Show messages, and say so with [`ClientState::shown`].
    Show(Vec<ChatMessage>),
    /// Read the entries after the first number of each pair up to the second, and show them, in order.
    ReadUnshown(Epoch, Vec<(u64, u64)>),
    /// Enter the channel, and say what came of it with [`ClientState::entered`].
    Dial(Box<Attempt>),
    /// Close the connection, if there is one.
    CloseLink,
    /// Close the connection, which is of no use any more: its end is told by [`ClientState::lost`].
    GiveUpLink,
    /// Answer those who wait to be in.
    Joining(Box<Result<JoinedChannel, Refusal>>),
    /// Show the host the new pass; say [`ClientState::pass_refused`] when it does not take it.
    ShowPass,
    /// Have the tracker tell when the host is seen, and say what it answers with [`ClientState::watched`].
    Locate(u64),
    /// Ask the host.
    Ask(Question),
    /// Look for what this user has written in a log of before, of which so much is kept, and of what was stored and never
    /// came back; say with [`ClientState::missed`] what is not in the log any more.
    LookForLost(Option<(Epoch, Kept)>, Vec<Item>),
    /// Count the chain of hashes through, and say where it leads with [`ClientState::chained`].
    Chain(Epoch, Proof),
    /// Write entries, and say how it went with [`ClientState::batch_written`].
    WriteBatch(Batch),
    /// Keep a message as it is now; nobody waits for that.
    KeepItem(Box<Item>),
    /// Take a message off the disk; nobody waits for that.
    DropItem(u64),
    /// Write a change, and say how it went with [`ClientState::change_written`].
    WriteChange(Box<Change>),
    /// Keep what is known of the channel, and then answer those who wait to be in.
    KeepJoined(Box<Result<JoinedChannel, Refusal>>),
    /// Keep what is known of the channel; nobody waits for that.
    KeepChannel,
    /// Put aside what was received behind a place, and say what came of it with [`ClientState::put_aside`].
    SetAside(Cut),
    /// Tell the host that was known that the channel has moved, and let go of the connection to it.
    TellMoved(Box<ChannelRecord>, Signed<Hosting>),
    /// Keep how often something was tried in vain.
    KeepPace(Tried, Option<KeptPace>),
    /// Call [`ClientState::woke`] after so long.
    Wake(Duration, Timer),
}

/// All that a client is, but for its connection and its disk.
#[derive(Debug)]
pub struct ClientState {
    channel: KnownChannel,
    reconnect: Reconnect,
    outbox: Outbox,
    /// What is stored, and has not come back as an entry.
    awaited: Vec<Item>,
    standing: Option<Standing>,
    /// Why there is no connection.
    reason: Option<Refusal>,
    writing: Writing,
    filling: Filling,
    flow: Flow,
    habits: Habits,
    /// Nothing goes out over this connection any more.
    is_broken: bool,
    /// Over which connection to the tracker this client had it tell when the host is seen.
    located_over: u64,
    /// Who the last attempt to connect was made as.
    tried_as: Option<Subject>,
    stopping: bool,
    around: Around,
    effects: VecDeque<Effect>,
}

impl ClientState {
    /// A client as it was kept.
    pub fn new(kept: KeptClient, habits: Habits, around: Around) -> Self {
        let KeptClient { channel, archive, outbox, connecting, sending } = kept;
        let last = outbox.last().map(|item| item.number);
        let (awaited, waiting): (Vec<Item>, _) = outbox.into_iter().partition(|item| item.stored.is_some());
        let mut outbox = Outbox::load(waiting);
        last.into_iter().for_each(|last| outbox.number_behind(last));
        Self {
            channel,
            reconnect: Reconnect::new(connecting, around.now.at),
            outbox,
            awaited,
            standing: None,
            reason: None,
            writing: Writing::new(archive),
            filling: Filling::default(),
            flow: Flow::new(Pace::new(sending, around.now.at)),
            habits,
            is_broken: false,
            located_over: 0,
            tried_as: None,
            stopping: false,
            around,
            effects: VecDeque::new(),
        }
    }

    /// What is around the client from now on.
    pub fn look(&mut self, around: Around) {
        self.around = around;
    }

    /// What has to be done next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Goes on as before the restart, no faster.
    pub fn start(&mut self) {
        if let Some(epoch) = self.keeper().epoch().filter(|_| self.channel.joined) {
            let unshown: Vec<_> = self.keeper().unshown().collect();
            self.put(Effect::ReadUnshown(epoch, unshown));
        }
        self.settle_awaited();
        self.resume_hold();
        self.tell_stuck();
        self.pump();
        if self.channel.joined {
            self.start_connecting();
        } else if let Some(cut) = self.channel.cut {
            self.put(Effect::SetAside(cut));
        }
    }

    /// What was planned for this time is due.
    pub fn woke(&mut self, timer: Timer) {
        if self.stopping {
            return;
        }
        match timer {
            Timer::Connect(alarm) => {
                let effects = self.reconnect.woke(alarm, self.around.now);
                self.react(effects);
            }
            Timer::Hold(hold) => self.hold_over(hold),
            Timer::Expiry(which) => self.expiry_due(which),
            Timer::Disk => self.disk_rested(),
            Timer::Mark => self.mark_due(),
            Timer::Fill => self.fill_due(),
        }
    }

    /// The end is near: nothing more is received or sent.
    pub fn finish(&mut self) {
        self.stopping = true;
        self.disconnect(Code::GoingAway.into());
    }

    fn put(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn now(&self) -> Timestamp {
        self.around.now.at
    }

    /// Who this peer is, as far as that lets it write.
    fn me(&self) -> Option<Subject> {
        self.around.me.as_ref().map(|me| me.subject)
    }

    /// The same, and whether others are to see it.
    fn appearance(&self) -> Option<(Subject, bool)> {
        self.around.me.as_ref().map(|me| (me.subject, me.invisible))
    }

    /// The channel, as it is known.
    pub fn channel(&self) -> &KnownChannel {
        &self.channel
    }

    /// What was received, written and shown.
    pub fn keeper(&self) -> &Keeper {
        &self.writing.keeper
    }

    /// What is not confirmed by the host yet.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Why there is no connection.
    pub fn reason(&self) -> Option<&Refusal> {
        self.reason.as_ref()
    }

    /// Whether the host takes nothing, having lost entries.
    pub fn is_host_behind(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.behind)
    }

    /// How many messages wait for an answer that may come by itself.
    pub fn waiting(&self) -> usize {
        self.me().map_or(0, |me| self.outbox.moving(me))
    }

    fn tell(&mut self, event: Event) {
        self.put(Effect::Tell(event));
    }

    fn tell_connection(&mut self, state: LinkState, reason: Option<String>) {
        let to = self.channel.name().as_str().to_owned();
        self.tell(Event::Connection { to, state, reason, since: None });
    }

    fn warn(&mut self, code: Code, reason: String) {
        let channel = Some(self.channel.name().clone());
        self.tell(Event::Warning { code, reason, channel });
    }

    fn tell_outgoing(&mut self, id: MessageId, state: OutgoingState, detail: Detail) {
        let Detail { seq, code, reason, becomes } = detail;
        let channel = self.channel.name().clone();
        self.tell(Event::Outgoing { id, channel, state, seq, code, reason, becomes });
    }
}

/// What goes with the state of a message.
#[derive(Debug, Default)]
struct Detail {
    seq: Option<u64>,
    code: Option<Code>,
    reason: Option<String>,
    becomes: Option<MessageId>,
}

impl Detail {
    /// Why it was refused.
    fn of(refusal: Option<Refusal>) -> Self {
        let (code, reason) = refusal.map(|refusal| (refusal.code, refusal.reason)).unzip();
        Self { code, reason, ..Self::default() }
    }
}
