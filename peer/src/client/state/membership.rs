//! What the host tells of its members, and of this one.

use common::proto::directory::Switches;
use common::proto::event::{self, HostEvent};
use common::proto::status::{Code, Refusal};

use super::{ClientState, Effect};
use crate::api::{Event, LinkState};

impl ClientState {
    /// The host has told something over the connection.
    pub fn told(&mut self, generation: u64, event: HostEvent) {
        if generation != self.generation() || self.stopping {
            return;
        }
        let channel = self.channel.name().clone();
        match event {
            HostEvent::RawEntry(entry) => self.received(&entry),
            HostEvent::Joined(joined) => {
                self.tell(Event::Joined { channel, members: joined.members, count: joined.count });
            }
            HostEvent::Left(left) => {
                self.tell(Event::Left { channel, members: left.members, count: left.count });
            }
            HostEvent::ViewChanged(event::ViewChanged { view, rev, by }) => {
                self.switched(|switches| *switches = Switches { rev, view, ..*switches });
                self.tell(Event::ViewChanged { channel, view, by });
            }
            HostEvent::PostChanged(event::PostChanged { post, rev, by }) => {
                self.switched(|switches| *switches = Switches { rev, post, ..*switches });
                self.tell(Event::PostChanged { channel, post, by });
            }
            HostEvent::RoleChanged(changed) => self.role_changed(changed),
            HostEvent::Kicked(kicked) => self.put_out(kicked),
            HostEvent::SignedHead(_) => {}
            HostEvent::LogBehind(_) => self.host_is_behind(),
            // The link itself has taken it as the reason of its end.
            HostEvent::GoingAway(_) => {}
        }
    }

    fn switched(&mut self, switch: impl FnOnce(&mut Switches)) {
        if let Some(standing) = self.standing.as_mut() {
            switch(&mut standing.policy);
        }
    }

    fn role_changed(&mut self, changed: event::RoleChanged) {
        let event::RoleChanged { subject, name, role, rev, by } = changed;
        let you = self.standing.as_ref().is_some_and(|standing| standing.subject == subject);
        if let Some(standing) = self.standing.as_mut().filter(|_| you) {
            standing.role = role;
        }
        self.switched(|switches| switches.rev = rev);
        let channel = self.channel.name().clone();
        self.tell(Event::RoleChanged { channel, subject, name, role, you, by });
    }

    /// The host has lost entries: what is written waits, and what is here can help it.
    pub(super) fn host_is_behind(&mut self) {
        let is_news =
            self.standing.as_mut().is_some_and(|standing| !std::mem::replace(&mut standing.behind, true));
        if is_news && !self.writing.at_home {
            let reason = format!(
                "the host of {} has lost a part of its log: it can be read, and takes no messages until its owner has \
                 recovered it. What you write is kept and sent then; stay connected, since it may need what is here",
                self.channel.name()
            );
            self.warn(Code::LogBehind, reason);
        }
    }

    /// Who was kicked does not come back by itself: what waits here stays until the user joins again.
    fn put_out(&mut self, kicked: event::Kicked) {
        let event::Kicked { by, why, banned, retry_after_ms } = kicked;
        let channel = self.channel.name().clone();
        self.tell(Event::Kicked { channel, by, why, banned, retry_after_ms });
        let code = if banned { Code::Banned } else { Code::Kicked };
        self.stay_away(code.into());
    }

    /// The user is not in the channel any more, and not by their own wish.
    pub(super) fn stay_away(&mut self, why: Refusal) {
        self.channel.joined = false;
        self.disconnect(why.clone());
        self.reason = Some(why.clone());
        self.put(Effect::KeepJoined(Box::new(Err(why.clone()))));
        self.tell_connection(LinkState::Down, Some(why.reason));
        self.pump();
    }
}
