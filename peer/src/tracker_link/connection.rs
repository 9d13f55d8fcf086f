//! The connection to the tracker: made, lost, made again. [`Reconnect`] says when.

use actix::prelude::*;
use common::clock::Timestamp;
use common::link::CloseReason;
use common::proto::directory::Entered;
use common::proto::status::{Code, Refusal};

use super::contact::{self, Contact};
use super::{Down, State, TrackerAddress, TrackerLink, TrackerLinkConfig, entry};
use crate::api::{Event, LinkState};
use crate::direct;
use crate::pace::{Rest, Tried, in_words};
use crate::reconnect::{Effect, Now, Nudge, Reconnect};
use crate::store::PeerStore;

/// What is tried: this tracker, as it was given.
pub(super) fn tried(config: &TrackerLinkConfig) -> Tried {
    let TrackerAddress { address, key, .. } = &config.tracker;
    Tried::Tracker(key.map_or_else(|| address.clone(), |key| format!("{address}#{key}")))
}

/// How often this tracker was tried in vain.
pub(super) fn load_reconnect(config: &TrackerLinkConfig) -> Reconnect {
    let kept = config.store.pace(&tried(config)).unwrap_or_else(|error| {
        tracing::warn!(err = %error, "how often the tracker was tried cannot be read");
        None
    });
    Reconnect::new(kept, Timestamp::now())
}

impl TrackerLink {
    /// Which connection is meant; what comes late of an earlier one is passed over.
    pub(super) fn generation(&self) -> u64 {
        self.reconnect.generation()
    }

    /// Connects, or waits out the pause that an attempt of before the restart has begun, unless the user asks for
    /// something.
    pub(super) fn start(&mut self, ctx: &mut Context<Self>) {
        let (effects, rest) = self.reconnect.start(Now::real());
        if let Some(Rest { left, why }) = rest {
            self.state.send_modify(|state| state.reason = Some(why.clone()));
            let reason = format!("{} (in {})", why.reason, in_words(left));
            let since = self.state.borrow().down.map(|down| down.at);
            self.tell_connection(LinkState::Retrying, Some(reason), since, ctx);
        }
        self.react(effects, ctx);
    }

    fn react(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Dial => self.dial(ctx),
                Effect::Wake { after, alarm } => {
                    ctx.run_later(after, move |link, ctx| {
                        let effects = link.reconnect.woke(alarm, Now::real());
                        link.react(effects, ctx);
                    });
                }
                Effect::Keep(kept) => self.config.store.keep_pace(&tried(&self.config), kept.as_ref()),
            }
        }
        let is_dialling = self.reconnect.is_dialling();
        self.state
            .send_if_modified(|state| std::mem::replace(&mut state.is_dialling, is_dialling) != is_dialling);
    }

    fn dial(&mut self, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        let generation = self.generation();
        let (transport, tracker) = (self.config.transport.clone(), self.config.tracker.clone());
        let (trust, name) = (self.config.trust.clone(), self.session.borrow().username.clone());
        let is_wanted = self.config.name_was_given && self.session.borrow().held.is_none();
        let store = self.config.store.clone();
        let attempt = async move {
            let revoked_after = last_revocation(&store);
            let mut contact = contact::contact(&transport, &tracker, &trust, revoked_after).await?;
            match entry::enter_silently(&contact.link, &mut contact.inbox, &name, is_wanted).await {
                // Tried again like a connection that failed: nobody else would.
                Err(refusal) if refusal.code.is_passing() => Err(refusal),
                entered => Ok((contact, entered)),
            }
        };
        ctx.spawn(Box::pin(attempt).into_actor(self).map(move |outcome, link, ctx| match outcome {
            _ if generation != link.generation() || link.stopping => {}
            Ok((contact, entered)) => link.up(contact, entered, ctx),
            Err(refusal) => link.down(refusal, ctx),
        }));
    }

    fn up(&mut self, contact: Contact, entered: Result<Entered, Refusal>, ctx: &mut Context<Self>) {
        let Contact { link, inbox, directory, confirmed, is_first } = contact;
        let effects = self.reconnect.connected();
        let key = link.peer_key();
        self.session.send_modify(|session| {
            session.directory = Some(directory);
            session.contact += 1;
        });
        if is_first {
            let tracker = self.config.tracker.address.clone();
            self.tell(Event::TrackerKey { tracker, key, confirmed }, ctx);
        }
        self.tell_connection(LinkState::Up, None, None, ctx);
        self.entered(entered.map(Some), ctx);
        // Whoever waits for the link finds the session settled.
        self.state.send_replace(State {
            link: Some(link),
            reason: None,
            down: None,
            key: Some(key),
            confirmed,
            settled: true,
            is_dialling: false,
        });
        self.react(effects, ctx);
        self.read(inbox, ctx);
    }

    /// The connection is lost.
    pub(super) fn lost(&mut self, reason: &CloseReason, ctx: &mut Context<Self>) {
        let code = match reason {
            CloseReason::Told(Refusal { code: Code::Superseded, .. }) => Code::Superseded,
            _ => Code::TrackerAway,
        };
        self.down(Refusal::new(code, format!("the connection to the tracker was lost: {reason}")), ctx);
    }

    fn down(&mut self, refusal: Refusal, ctx: &mut Context<Self>) {
        self.session.send_if_modified(|session| std::mem::take(&mut session.entered));
        let was_told = {
            let state = self.state.borrow();
            state.settled && state.reason.as_ref().map(|reason| &reason.code) == Some(&refusal.code)
        };
        self.state.send_modify(|state| {
            state.link = None;
            state.reason = Some(refusal.clone());
            state.down.get_or_insert_with(Down::now);
            state.settled = true;
        });
        let (effects, _) = self.reconnect.failed(&refusal, Now::real());
        if !was_told {
            let since = self.state.borrow().down.map(|down| down.at);
            self.tell_connection(LinkState::Retrying, Some(refusal.reason), since, ctx);
        }
        self.react(effects, ctx);
    }
}

/// The last revocation that is known, if this peer hosts anything that it would matter to.
fn last_revocation(store: &PeerStore) -> Option<u64> {
    let checks_passes = store.hosting().is_ok_and(|hosted| !hosted.is_empty())
        || direct::has_contacts(store.store()).unwrap_or_default();
    let latest = || store.revoked().ok()?.last().map(|revoked| revoked.rev);
    checks_passes.then(|| latest().unwrap_or_default())
}

/// The user wants something of the tracker: nothing is waited out, unless it was tried just now.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TryNow;

impl Handler<TryNow> for TrackerLink {
    type Result = ();

    fn handle(&mut self, _: TryNow, ctx: &mut Self::Context) {
        let now = Now::real();
        if !self.reconnect.has_just_tried(now.at) {
            let effects = self.reconnect.nudge(Nudge::Command, now);
            self.react(effects, ctx);
        }
    }
}
