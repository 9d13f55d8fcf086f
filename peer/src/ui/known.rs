//! The names that have been seen, for the prompt and for completion.

use std::collections::{BTreeMap, BTreeSet};

use common::id::MessageId;
use common::name::{ChannelName, UserName};

use crate::api::{ChannelStatus, Event, LinkState, OutgoingState, Reply};
use crate::client::short_id;
use crate::ui::command::TalkTo;

/// More channels than this are not remembered for completion.
const MAX_CHANNELS: usize = 2000;

/// More messages than this are not remembered for completion.
const MAX_OUTGOING: usize = 2000;

/// More people than this are not remembered for completion.
const MAX_PEOPLE: usize = 2000;

/// What an interface has learned from events and answers.
#[derive(Debug, Default)]
pub struct Known {
    /// The user's name.
    pub username: Option<UserName>,
    /// Where plain lines go as messages.
    pub talk: Option<TalkTo>,
    /// What is still to be sent, by the ends of its ids.
    outgoing: BTreeSet<String>,
    /// The names of people who were seen. What is no name is not completed.
    people: BTreeSet<UserName>,
    /// The channels, and how they are connected when that is known.
    channels: BTreeMap<ChannelName, Option<LinkState>>,
}

impl Known {
    /// What stands before the line that is typed.
    pub fn prompt(&self) -> String {
        let name = self.username.as_ref().map(UserName::as_str).unwrap_or("natter");
        match &self.talk {
            Some(to) => format!("{name} {to}> "),
            None => format!("{name}> "),
        }
    }

    /// The people seen so far.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        self.people.iter().map(UserName::as_str)
    }

    fn person(&mut self, name: &str) {
        if let Ok(name) = name.parse() {
            self.user(&name);
        }
    }

    fn user(&mut self, user: &UserName) {
        if self.people.len() < MAX_PEOPLE {
            self.people.insert(user.clone());
        }
    }

    /// The channels seen so far.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.keys()
    }

    /// Whether it is known that a channel cannot be reached now.
    pub fn is_cut_off(&self, channel: &ChannelName) -> bool {
        matches!(self.channels.get(channel), Some(Some(LinkState::Down | LinkState::Retrying)))
    }

    /// Whether this peer wants to be in a channel, as far as that is known.
    pub fn is_joined(&self, channel: &ChannelName) -> bool {
        !matches!(self.channels.get(channel), Some(Some(LinkState::Down)))
    }

    /// The ends of the ids of messages that are still to be sent.
    pub fn outgoing(&self) -> impl Iterator<Item = &str> {
        self.outgoing.iter().map(String::as_str)
    }

    fn outgoing_is(&mut self, id: MessageId, state: OutgoingState) {
        let end = short_id(id);
        match state {
            OutgoingState::Stored | OutgoingState::Cancelled | OutgoingState::Edited => {
                self.outgoing.remove(&end);
            }
            OutgoingState::Queued | OutgoingState::Sending | OutgoingState::Refused => {
                if self.outgoing.len() < MAX_OUTGOING {
                    self.outgoing.insert(end);
                }
            }
        }
    }

    /// Learns from an event.
    pub fn see_event(&mut self, event: &Event) {
        match event {
            Event::Ready { username, .. } | Event::Session { username, .. } => {
                self.username = Some(username.clone());
            }
            Event::Connection { to, state, .. } if to != "tracker" => {
                if let Ok(channel) = to.parse() {
                    self.channel(&channel, Some(*state));
                }
            }
            Event::Offered { offer, .. } => self.channel(&offer.channel, None),
            Event::ChatRequest(request) => self.user(&request.user),
            Event::Chat { user, .. } | Event::ChatOutgoing { user, .. } => self.user(user),
            Event::ChatMessage(message) => self.user(&message.user),
            Event::Outgoing { id, state, .. } => self.outgoing_is(*id, *state),
            Event::Message(message) => {
                self.person(&message.from);
                self.channel(&message.channel, None);
            }
            Event::Joined { members, .. } => members.iter().for_each(|member| self.person(&member.name)),
            Event::Online { users } => users.iter().for_each(|user| self.person(user.name.as_str())),
            Event::Result { outcome, .. } => {
                if let Ok(reply) = outcome.as_ref() {
                    self.see_reply(reply);
                }
            }
            _ => {}
        }
    }

    /// Learns from an answer.
    pub fn see_reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Identity(identity) => self.username = Some(identity.username.clone()),
            Reply::Channels(page) => page.channels.iter().for_each(|listed| self.channel(&listed.name, None)),
            Reply::Users(list) => list.users.iter().for_each(|user| self.person(user.name.as_str())),
            Reply::Members(list) => list.members.iter().for_each(|member| self.person(&member.name)),
            Reply::Connected(connected) => self.statuses(&connected.channels),
            Reply::Status(status) => self.statuses(&status.channels),
            Reply::Client(report) => self.statuses(&report.status.channels),
            Reply::Outbox(list) => {
                list.messages.iter().for_each(|item| self.outgoing_is(item.id, item.state))
            }
            Reply::Contacts(list) => list.contacts.iter().for_each(|row| self.user(&row.user)),
            Reply::Contact(row) => self.user(&row.user),
            Reply::Started(started) => self.user(&started.contact.user),
            Reply::Offers(list) => list.offers.iter().for_each(|offer| self.channel(&offer.channel, None)),
            Reply::Hosting(hosting) => self.channel(&hosting.channel, None),
            Reply::Joined(joined) => self.channel(&joined.channel, Some(LinkState::Up)),
            _ => {}
        }
    }

    fn statuses(&mut self, channels: &[ChannelStatus]) {
        for status in channels {
            self.channel(&status.channel, Some(status.state));
        }
    }

    fn channel(&mut self, channel: &ChannelName, state: Option<LinkState>) {
        if let Some(known) = self.channels.get_mut(channel) {
            *known = state.or(*known);
        } else if self.channels.len() < MAX_CHANNELS {
            self.channels.insert(channel.clone(), state);
        }
    }
}
