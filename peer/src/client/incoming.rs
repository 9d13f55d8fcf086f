//! What the host tells: entries of the log, who came and went.

use actix::prelude::*;
use common::crash::{self, Point};
use common::entry::{Header, RawEntry};
use common::link::{CloseReason, Link};
use common::name::ChannelName;
use common::proto::channel::Pass;
use common::proto::directory::Switches;
use common::proto::event::{self, HostEvent};
use common::proto::status::{Code, Refusal};
use serde_json::value::RawValue;

use super::Client;
use super::resume::Received;
use crate::api::{ChatMessage, Event, LinkState};
use crate::session::HeldPass;

/// An entry as it is shown.
pub fn chat_message(
    channel: &ChannelName,
    epoch: common::id::Epoch,
    header: Header,
    entry: &RawEntry,
) -> ChatMessage {
    ChatMessage {
        channel: channel.clone(),
        epoch,
        seq: header.seq,
        id: header.id,
        from: header.from.name,
        author_kind: header.from.kind,
        subject: header.from.subject,
        text: entry.text().filter(|_| header.kind == common::entry::TEXT),
        kind: header.kind,
        sent_at: header.sent_at,
        stored_at: header.stored_at,
    }
}

impl Client {
    pub(super) fn told(&mut self, name: &str, body: &RawValue, ctx: &mut Context<Self>) {
        let channel = self.channel.name().clone();
        match HostEvent::parse(name, body) {
            Ok(HostEvent::RawEntry(entry)) => self.received(&entry, ctx),
            Ok(HostEvent::Joined(joined)) => {
                self.tell(Event::Joined { channel, members: joined.members, count: joined.count }, ctx);
            }
            Ok(HostEvent::Left(left)) => {
                self.tell(Event::Left { channel, members: left.members, count: left.count }, ctx);
            }
            Ok(HostEvent::ViewChanged(changed)) => {
                let event::ViewChanged { view, rev, by } = changed;
                self.switched(|switches| *switches = Switches { rev, view, ..*switches });
                self.tell(Event::ViewChanged { channel, view, by }, ctx);
            }
            Ok(HostEvent::PostChanged(changed)) => {
                let event::PostChanged { post, rev, by } = changed;
                self.switched(|switches| *switches = Switches { rev, post, ..*switches });
                self.tell(Event::PostChanged { channel, post, by }, ctx);
            }
            Ok(HostEvent::RoleChanged(changed)) => self.role_changed(changed, ctx),
            Ok(HostEvent::Kicked(kicked)) => self.put_out(kicked, ctx),
            // The link itself has taken it as the reason of its end.
            Ok(HostEvent::GoingAway(_)) => {}
            Err(refusal) if refusal.code == Code::UnknownCommand => {
                tracing::debug!(event = ?name, "event of the host passed over");
            }
            Err(refusal) => {
                self.broken(format!("the host sent an event that cannot be read: {refusal}"), ctx)
            }
        }
    }

    fn switched(&mut self, switch: impl FnOnce(&mut Switches)) {
        if let Some(standing) = self.standing.as_mut() {
            switch(&mut standing.policy);
        }
    }

    fn role_changed(&mut self, changed: event::RoleChanged, ctx: &mut Context<Self>) {
        let event::RoleChanged { subject, name, role, rev, by } = changed;
        let you = self.standing.as_ref().is_some_and(|standing| standing.subject == subject);
        if let Some(standing) = self.standing.as_mut().filter(|_| you) {
            standing.role = role;
        }
        self.switched(|switches| switches.rev = rev);
        let channel = self.channel.name().clone();
        self.tell(Event::RoleChanged { channel, subject, name, role, you, by }, ctx);
    }

    /// Who was kicked does not come back by itself: what waits here stays until the user joins again.
    fn put_out(&mut self, kicked: event::Kicked, ctx: &mut Context<Self>) {
        let event::Kicked { by, why, banned, retry_after_ms } = kicked;
        let channel = self.channel.name().clone();
        self.tell(Event::Kicked { channel, by, why, banned, retry_after_ms }, ctx);
        let code = if banned { Code::Banned } else { Code::Kicked };
        self.stay_away(code.into(), ctx);
    }

    /// The user is not in the channel any more, and not by their own wish.
    pub(super) fn stay_away(&mut self, why: Refusal, ctx: &mut Context<Self>) {
        self.channel.joined = false;
        self.disconnect(why.clone());
        self.state.send_modify(|state| {
            state.joined = false;
            state.reason = Some(why.clone());
        });
        self.keep_channel(ctx);
        self.tell_connection(LinkState::Down, Some(why.reason), ctx);
        self.pump(ctx);
    }

    fn received(&mut self, entry: &RawEntry, ctx: &mut Context<Self>) {
        crash::here(Point::ClientReceived);
        let writing = &mut self.writing;
        match writing.keeper.receive(self.channel.name(), entry, writing.at_home) {
            Received::Next(_) => {
                let head = self.standing.as_ref().map(|standing| standing.head);
                if head.is_some_and(|head| !self.writing.keeper.agrees(&head)) {
                    return self.broken("its log is not the one the host says it is".to_owned(), ctx);
                }
                self.keep(ctx);
            }
            Received::Repeat => {}
            Received::Broken(reason) => self.broken(reason, ctx),
        }
    }

    /// What comes over this connection cannot be trusted; a new one begins where the last good entry was.
    fn broken(&mut self, reason: String, ctx: &mut Context<Self>) {
        tracing::warn!(channel = %self.channel.record.id, reason, "broken stream");
        let refusal = Refusal::new(
            Code::LogBehind,
            format!("the stream of {} is broken: {reason}", self.channel.name()),
        );
        let channel = Some(self.channel.name().clone());
        self.tell(
            Event::Warning { code: refusal.code.clone(), reason: refusal.reason.clone(), channel },
            ctx,
        );
        self.lost(CloseReason::Told(refusal), ctx);
    }

    pub(super) fn is_entered_as(&self, held: &HeldPass) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.subject == held.claims.subject)
    }

    /// A connection of somebody else than this peer is now makes way for a new one, once all is answered that went out
    /// under the old name: under the new one it could not be asked for again.
    pub(super) fn check_identity(&mut self, ctx: &mut Context<Self>) {
        let held = self.session.borrow().held.clone();
        if self.link().is_none() || self.outbox.under_way() > 0 {
            return;
        }
        if held.is_none_or(|held| !self.is_entered_as(&held)) {
            self.connect_again(ctx);
        }
    }

    /// Shows a new pass within the session.
    pub(super) fn show_pass(&mut self, link: Link, held: HeldPass, ctx: &mut Context<Self>) {
        let generation = self.generation();
        let shown = async move { link.request(&Pass { pass: held.signed }).await };
        ctx.spawn(shown.into_actor(self).map(move |shown, client, ctx| {
            if generation == client.generation() && shown.is_err() {
                client.connect_again(ctx);
            }
        }));
    }
}
