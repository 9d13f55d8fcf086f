//! What the page knows beyond what the node can be asked: what is unread, what came in since a view was opened, and
//! what is to be told. Pure: events in, what has changed out.

mod privates;
mod talk;

use std::collections::{BTreeMap, VecDeque};

use common::id::Subject;
use common::name::{ChannelName, UserName};
use common::text::one_line;

use super::kept::{KeptTalk, Mark};
use super::views::{channel_path, private_path, why};
use crate::api::{
    ChannelStatus, ChatMessage, ChatRequest, DirectMessage, Event, FileDirection, FileNote, FileRow,
    FileState, Identity, OutgoingState,
};
pub(super) use privates::Privates;
pub(super) use talk::{Line, Talk, is_mention};

/// Of more channels nothing is counted.
const MAX_TALKS: usize = 2000;
/// How many notices and alerts are remembered.
const MAX_TOLD: usize = 50;

/// What the page knows.
#[derive(Debug, Default)]
pub(super) struct Model {
    me: Option<Subject>,
    name: Option<UserName>,
    talks: BTreeMap<ChannelName, Talk>,
    pub privates: Privates,
    /// Changes with whom the user knows and who asks.
    pub people: u64,
    /// Changes with everything that is offered.
    pub files: u64,
    /// Said to the user wherever they are.
    pub notices: Told<Notice>,
    /// What a desktop may show.
    pub alerts: Told<Alert>,
    /// Changes with everything that the list of channels and the status light show.
    pub frame: u64,
    /// Whether there is something new to keep.
    pub is_dirty: bool,
}

/// Something that no command asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notice {
    pub text: String,
    pub is_bad: bool,
    /// Whether it stays until its reader has closed it.
    pub stays: bool,
    /// Whoever looks at the conversation with this user sees it there.
    pub about: Option<UserName>,
}

/// A message that the user wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub title: String,
    /// Where it is.
    pub path: String,
    pub text: String,
    /// Tells it from others, so that two pages show it once.
    pub tag: String,
}

/// The newest of what was told, numbered.
#[derive(Debug)]
pub(super) struct Told<T> {
    newest: VecDeque<T>,
    count: u64,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self { newest: VecDeque::new(), count: 0 }
    }
}

impl<T> Told<T> {
    fn push(&mut self, item: T) {
        if self.newest.len() >= MAX_TOLD {
            self.newest.pop_front();
        }
        self.newest.push_back(item);
        self.count += 1;
    }

    /// How many there were so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those after the first `seen`, as far as they are remembered.
    pub fn since(&self, seen: u64) -> impl Iterator<Item = &T> {
        let new = usize::try_from(self.count.saturating_sub(seen)).unwrap_or(usize::MAX);
        self.newest.iter().skip(self.newest.len().saturating_sub(new))
    }
}

impl Model {
    /// Begins with what was kept.
    pub fn new(kept: BTreeMap<ChannelName, KeptTalk>, unread: BTreeMap<UserName, u64>) -> Self {
        let talks = kept.into_iter().map(|(channel, kept)| (channel, Talk::new(kept))).collect();
        Self { talks, privates: Privates::new(unread), ..Self::default() }
    }

    /// What is to be kept.
    pub fn kept(&self) -> BTreeMap<ChannelName, KeptTalk> {
        self.talks.iter().map(|(channel, talk)| (channel.clone(), talk.kept.clone())).collect()
    }

    /// Learns whose page this is.
    pub fn see_identity(&mut self, identity: &Identity) {
        self.me = identity.subject;
        self.name = Some(identity.username.clone());
        self.frame += 1;
    }

    /// Learns how far the channels are at the start: what came in while no page counted is unread.
    pub fn see_channels(&mut self, channels: &[ChannelStatus]) {
        for status in channels.iter().filter(|status| status.joined) {
            if let Some(talk) = self.talk_mut(&status.channel) {
                talk.begin(status.seq);
            }
        }
        self.talks.retain(|name, _| channels.iter().any(|status| status.channel == *name));
        self.frame += 1;
    }

    /// The user's name and who they are, once that is known.
    pub fn me(&self) -> Option<(String, Subject)> {
        Some((self.name.as_ref()?.to_string(), self.me?))
    }

    /// Tells the user what went wrong.
    pub fn say(&mut self, reason: &str) {
        self.notice(reason.to_owned(), true);
    }

    /// Tells the user what has become of a channel, and has all pages look at it anew.
    pub fn tell(&mut self, channel: &ChannelName, said: &str) {
        self.notice(plain(said, Some(channel)), false);
        self.with_talk(channel, |talk| (talk.people, talk.outbox) = (talk.people + 1, talk.outbox + 1));
        self.frame += 1;
    }

    /// Whether a message is the user's own.
    pub fn is_own(&self, subject: Subject) -> bool {
        self.me == Some(subject)
    }

    /// Whether the user is named in a text.
    pub fn names_me(&self, text: &str) -> bool {
        self.name.as_ref().is_some_and(|name| is_mention(text, name))
    }

    pub fn talk(&self, channel: &ChannelName) -> Option<&Talk> {
        self.talks.get(channel)
    }

    pub fn talk_mut(&mut self, channel: &ChannelName) -> Option<&mut Talk> {
        if !self.talks.contains_key(channel) && self.talks.len() >= MAX_TALKS {
            return None;
        }
        Some(self.talks.entry(channel.clone()).or_default())
    }

    /// How many messages are unread, where they count, and in how many the user is named.
    pub fn unread(&self) -> (u64, u64) {
        let heard = self.talks.values().filter(|talk| !talk.kept.muted);
        let private = self.privates.unread();
        heard.fold((private, private), |(unread, mentions), talk| {
            (unread + talk.kept.unread, mentions + talk.kept.mentions)
        })
    }

    /// The user has read a channel up to an entry.
    pub fn read(&mut self, channel: &ChannelName, upto: Mark) {
        let Some(talk) = self.talks.get_mut(channel) else { return };
        if talk.read(upto) {
            (self.is_dirty, self.frame) = (true, self.frame + 1);
        }
    }

    /// The user has read all of a private conversation.
    pub fn read_private(&mut self, user: &UserName) {
        if self.privates.read(user) {
            (self.is_dirty, self.frame) = (true, self.frame + 1);
        }
    }

    /// The user wants to hear of a channel, or not.
    pub fn mute(&mut self, channel: &ChannelName, muted: bool) {
        if let Some(talk) = self.talk_mut(channel) {
            talk.kept.muted = muted;
            (self.is_dirty, self.frame) = (true, self.frame + 1);
        }
    }

    /// The user has left a channel: coming back begins anew.
    pub fn forget(&mut self, channel: &ChannelName) {
        self.talks.remove(channel);
        (self.is_dirty, self.frame) = (true, self.frame + 1);
    }

    /// Takes an event. `said` is how the terminal would say it: what the page has no picture of is shown so.
    pub fn apply(&mut self, event: &Event, said: Option<String>) {
        let line = said.map(|said| plain(&said, event_channel(event)));
        match event {
            Event::Ready { .. } | Event::Page { .. } => {}
            Event::Message(message) => self.message(message),
            Event::Outgoing { channel, state, .. } => self.outgoing(channel, *state),
            Event::Filled { channel, .. } => self.with_talk(channel, Talk::make_stale),
            Event::Joined { channel, .. } | Event::Left { channel, .. } => {
                self.with_talk(channel, |talk| {
                    talk.people += 1;
                    talk.notice(line);
                });
            }
            Event::Connection { to, .. } => self.connection(to),
            Event::MovedOn { channel, .. } => self.with_talk(channel, |talk| talk.notice(line)),
            Event::Warning { channel, .. } => self.warning(channel.as_ref(), line),
            Event::Kicked { channel, .. } => {
                self.warning(Some(channel), line);
                self.with_talk(channel, |talk| (talk.kept.unread, talk.kept.mentions) = (0, 0));
            }
            Event::Result { outcome, .. } => {
                self.frame += 1;
                if let Err(refusal) = outcome.as_ref() {
                    self.notice(refusal.reason.clone(), true);
                }
            }
            Event::Session { reason, .. } => {
                self.frame += 1;
                match (reason, line) {
                    (Some(reason), _) => self.notice(format!("not signed in: {reason}"), true),
                    (None, Some(line)) => self.notice(line, false),
                    (None, None) => {}
                }
            }
            Event::TrackerKey { .. } => self.frame += 1,
            Event::ChatMessage(message) => self.private(message),
            Event::ChatOutgoing { user, .. } => self.privates.change(user),
            Event::ChatRequest(request) => {
                self.know_people();
                let (text, is_bad) = asks(request);
                self.notices.push(Notice { text, is_bad, stays: is_bad, about: None });
            }
            Event::Online { .. } | Event::Offline { .. } => {
                self.know_people();
                self.notice(line.unwrap_or_default(), false);
            }
            Event::File(row) => self.file(row),
            Event::Broadcast { .. } => {
                let text = line.unwrap_or_default();
                self.notices.push(Notice { text, is_bad: false, stays: true, about: None });
            }
            Event::Chat { user, .. } => {
                self.know_people();
                self.privates.change(user);
                // The key and what one can type stand on further lines.
                let line = line.unwrap_or_default();
                let first = line.lines().next().unwrap_or_default();
                self.notice(first.strip_suffix(" with the key").unwrap_or(first).to_owned(), false);
            }
            #[allow(unreachable_patterns, reason = "an event that is new here is shown all the same")]
            other => self.other(other, line),
        }
    }

    fn message(&mut self, message: &ChatMessage) {
        let is_own = self.is_own(message.subject);
        let is_mention = !is_own && message.text.as_deref().is_some_and(|text| self.names_me(text));
        let Some(talk) = self.talk_mut(&message.channel) else { return };
        let is_new = talk.message(message, is_own, is_mention);
        let is_heard = is_new && is_mention && !talk.kept.muted;
        if is_new {
            (self.is_dirty, self.frame) = (true, self.frame + 1);
        }
        if is_heard {
            self.alerts.push(Alert {
                title: format!("{} in #{}", one_line(&message.from), message.channel),
                path: channel_path(&message.channel),
                text: message.text.clone().unwrap_or_default(),
                tag: message.id.to_string(),
            });
        }
    }

    fn private(&mut self, message: &DirectMessage) {
        self.privates.message(&message.user, message.mine);
        (self.is_dirty, self.frame) = (true, self.frame + 1);
        if !message.mine {
            self.alerts.push(Alert {
                title: format!("@{}", message.user),
                path: private_path(&message.user),
                text: message.text.clone().or_else(|| message.file.as_ref().map(said_of)).unwrap_or_default(),
                tag: message.id.to_string(),
            });
        }
    }

    /// There is something new about whom the user knows, or who is there.
    pub fn know_people(&mut self) {
        (self.people, self.frame) = (self.people + 1, self.frame + 1);
    }

    fn file(&mut self, row: &FileRow) {
        self.files += 1;
        let path = row.path.as_deref().unwrap_or_default();
        let reason = row.reason.as_deref().unwrap_or_default();
        let (text, is_bad) = match (row.state, row.direction) {
            (FileState::Done, FileDirection::In) => (
                format!("{} from {} is here: {path}", row.name, row.user.as_deref().unwrap_or_default()),
                false,
            ),
            (FileState::Failed, _) => (format!("{}: {}", row.name, why(reason)), true),
            _ => return,
        };
        self.notices.push(Notice { text, is_bad, stays: false, about: private_of(row) });
    }

    fn outgoing(&mut self, channel: &ChannelName, state: OutgoingState) {
        self.with_talk(channel, |talk| talk.outbox += 1);
        if matches!(state, OutgoingState::Refused | OutgoingState::Cancelled | OutgoingState::Edited) {
            self.frame += 1;
        }
    }

    // The light beside the channel's name says it.
    fn connection(&mut self, to: &str) {
        self.frame += 1;
        if let Some(user) = to.strip_prefix('@').and_then(|user| user.parse().ok()) {
            self.people += 1;
            self.privates.change(&user);
        }
        if let Ok(channel) = to.parse::<ChannelName>() {
            self.with_talk(&channel, |talk| {
                (talk.people, talk.outbox) = (talk.people + 1, talk.outbox + 1);
            });
        }
    }

    fn warning(&mut self, channel: Option<&ChannelName>, line: Option<String>) {
        let line = line.unwrap_or_default();
        if let Some(channel) = channel {
            let line = line.clone();
            self.with_talk(channel, |talk| {
                // How it stands, and what can be done about it, may be another thing now.
                (talk.people, talk.outbox) = (talk.people + 1, talk.outbox + 1);
                talk.notice(Some(line));
            });
        }
        self.frame += 1;
        self.notice(line, true);
    }

    fn other(&mut self, event: &Event, line: Option<String>) {
        self.frame += 1;
        let Some(line) = line else { return };
        let fields = serde_json::to_value(event).unwrap_or_default();
        let channel = fields.get("channel").and_then(serde_json::Value::as_str);
        match channel.and_then(|channel| channel.parse().ok()) {
            Some(channel) => self.with_talk(&channel, |talk| {
                talk.people += 1;
                talk.notice(Some(line));
            }),
            None => self.notice(line, false),
        }
    }

    fn with_talk(&mut self, channel: &ChannelName, work: impl FnOnce(&mut Talk)) {
        if let Some(talk) = self.talk_mut(channel) {
            work(talk);
        }
    }

    fn notice(&mut self, text: String, is_bad: bool) {
        self.notices.push(Notice { text: why(&text), is_bad, stays: false, about: None });
    }
}

/// With whom something is sent alone.
fn private_of(row: &FileRow) -> Option<UserName> {
    row.user.as_deref().filter(|_| row.channel.is_none())?.parse().ok()
}

/// How a request is told, and whether something about it is wrong.
fn asks(request: &ChatRequest) -> (String, bool) {
    let user = &request.user;
    if request.new_device {
        let text = format!(
            "{user} asks from a device that is not known here. If {user} has not told you of a new device, somebody is \
             pretending. Nothing is sent to it unless you accept it under People."
        );
        return (text, true);
    }
    if request.same_name {
        return (format!("{user} asks to talk with you, and is NOT the {user} you know: see People."), true);
    }
    (format!("{user} asks to talk with you: see People."), false)
}

/// What the desktop says of a file.
fn said_of(note: &FileNote) -> String {
    if note.outcome.is_none() { format!("offers {}", note.name) } else { note.name.clone() }
}

/// The channel that an event is about, where the terminal's line begins with its name.
fn event_channel(event: &Event) -> Option<&ChannelName> {
    match event {
        Event::Joined { channel, .. }
        | Event::Left { channel, .. }
        | Event::ViewChanged { channel, .. }
        | Event::PostChanged { channel, .. }
        | Event::RoleChanged { channel, .. } => Some(channel),
        _ => None,
    }
}

/// A line of the terminal without the sign, and the channel that it is shown in, with which it begins there.
pub(super) fn plain(said: &str, channel: Option<&ChannelName>) -> String {
    let said = said.trim_start_matches(['*', '!', ' ']);
    let channel = channel.map(|channel| format!("#{channel}: ")).unwrap_or_default();
    said.strip_prefix(&channel).unwrap_or(said).to_owned()
}

#[cfg(test)]
mod tests;
