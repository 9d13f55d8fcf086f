//! Reaching the devices of contacts: at once when the tracker says that they are there, again and again while
//! something waits for them.

use std::time::Duration;

use actix::prelude::*;
use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::identity::PeerKey;
use common::link::{Inbox, Link, RequestError};
use common::proto::direct::ChatRequest;
use common::proto::session::Purpose;
use common::proto::status::{Code, Refusal};
use common::transport::{Address, Expected, Transport};
use tokio::time::Instant;

use super::book::ContactId;
use super::{Conn, Direct, Phase};
use crate::reconnect::HOLDS_AFTER;
use crate::tracker_link::hello_for;

/// After so many attempts in vain a device that nothing waits for is left alone, until the tracker introduces it again.
const ATTEMPTS_FOR_NOTHING: u32 = 6;

/// How many devices are dialled at once; more wait for their turn.
const MAX_DIALS: usize = 32;
/// How long it is until their turn is looked for.
const NEXT_TURN: Duration = Duration::from_secs(1);

/// How a device is tried to be reached.
pub(super) struct Reach {
    backoff: Backoff,
    /// An attempt is under way, or waits to be let in.
    is_busy: bool,
    /// Since when there is a connection.
    up_since: Option<Instant>,
    timer: Option<SpawnHandle>,
    /// There is reason to believe that it is there.
    is_hopeful: bool,
    /// A user has ended the conversation for now.
    is_quiet: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(BackoffLimits::default()),
            is_busy: false,
            up_since: None,
            timer: None,
            // Where it was last is tried at the start, since the tracker may be away.
            is_hopeful: true,
            is_quiet: false,
        }
    }
}

impl Direct {
    /// Dials every device that there is a reason to dial.
    pub(super) fn look_for_all(&mut self, ctx: &mut Context<Self>) {
        let devices: Vec<(ContactId, PeerKey)> = self
            .book
            .contacts()
            .iter()
            .filter(|contact| contact.is_open())
            .flat_map(|contact| contact.devices.iter().map(|device| (contact.id, device.key)))
            .collect();
        for (contact, key) in devices {
            self.look_for(contact, key, ctx);
        }
    }

    /// Dials a device when there is a reason to.
    pub(super) fn look_for(&mut self, contact: ContactId, key: PeerKey, ctx: &mut Context<Self>) {
        if self.stopping || self.lines.get(key).is_some() || !self.unseen.shows(contact) {
            return;
        }
        let Some(known) = self.book.contact(contact).filter(|contact| contact.is_open()) else { return };
        let Some(device) = known.device(key).filter(|device| !device.addresses.is_empty()) else { return };
        let (addresses, acked) = (device.addresses.clone(), device.acked);
        let me = self.me;
        let Some(clocks) = self.talk(contact, ctx).map(|talk| talk.stored.clocks.clone()) else { return };
        let is_owed = clocks.have(me) > acked;
        let reach = self.reach.entry(key).or_default();
        let is_wanted = is_owed || (reach.is_hopeful && !reach.is_quiet);
        if reach.is_busy || reach.timer.is_some() || !is_wanted {
            return;
        }
        let Some(held) = self.session.borrow().held.clone() else { return };
        if self.dials >= MAX_DIALS {
            return self.look_later(contact, key, NEXT_TURN, ctx);
        }
        reach.is_busy = true;
        self.dials += 1;
        let asks = ChatRequest { pass: held.signed, have: clocks.have(key) };
        let transport = self.transport.clone();
        let dialled = async move { dial(&transport, key, &addresses, &asks).await };
        ctx.spawn(Box::pin(dialled).into_actor(self).map(move |dialled, direct, ctx| {
            direct.dials -= 1;
            match dialled {
                Ok((link, inbox)) => direct.asks_to_be_let_in(contact, link, inbox, ctx),
                Err(refusal) => {
                    tracing::debug!(%key, reason = %refusal, "a contact is not reached");
                    direct.not_reached(contact, key, ctx);
                }
            }
        }));
    }

    fn asks_to_be_let_in(&mut self, contact: ContactId, link: Link, inbox: Inbox, ctx: &mut Context<Self>) {
        // Its user may have become invisible meanwhile.
        if self.stopping || !self.unseen.shows(contact) {
            return link.close();
        }
        let conn = Conn { contact: Some(contact), ..Conn::new(link, Phase::Asking) };
        self.take_on(conn, inbox, ctx);
    }

    /// A device is there, over whichever connection.
    pub(super) fn reached(&mut self, key: PeerKey, ctx: &mut Context<Self>) {
        let reach = self.reach.entry(key).or_default();
        if let Some(timer) = reach.timer.take() {
            ctx.cancel_future(timer);
        }
        (reach.is_hopeful, reach.is_quiet) = (true, false);
        reach.up_since.get_or_insert_with(Instant::now);
    }

    /// An attempt came to nothing, or the connection has ended: tried again after a while, while there is a reason.
    pub(super) fn not_reached(&mut self, contact: ContactId, key: PeerKey, ctx: &mut Context<Self>) {
        let reach = self.reach.entry(key).or_default();
        reach.is_busy = false;
        if self.lines.get(key).is_some() || reach.timer.is_some() {
            return;
        }
        if reach.up_since.take().is_some_and(|since| since.elapsed() >= HOLDS_AFTER) {
            reach.backoff.reset();
        }
        let delay = reach.backoff.next_delay(random_fraction());
        reach.is_hopeful &= reach.backoff.attempts() < ATTEMPTS_FOR_NOTHING;
        self.look_later(contact, key, delay, ctx);
    }

    fn look_later(&mut self, contact: ContactId, key: PeerKey, delay: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(delay, move |direct, ctx| {
            if let Some(reach) = direct.reach.get_mut(&key) {
                reach.timer = None;
            }
            direct.look_for(contact, key, ctx);
        });
        self.reach.entry(key).or_default().timer = Some(timer);
    }

    /// There is news of a device: it is dialled now, whatever was planned.
    pub(super) fn is_there(&mut self, contact: ContactId, key: PeerKey, ctx: &mut Context<Self>) {
        let reach = self.reach.entry(key).or_default();
        if let Some(timer) = reach.timer.take() {
            ctx.cancel_future(timer);
        }
        reach.backoff.reset();
        reach.is_hopeful = true;
        self.look_for(contact, key, ctx);
    }

    /// Whether a device is being dialled, or is to be.
    pub(super) fn is_looking_for(&self, key: PeerKey) -> bool {
        self.reach.get(&key).is_some_and(|reach| reach.is_busy || reach.timer.is_some())
    }

    pub(super) fn is_quiet(&self, key: PeerKey) -> bool {
        self.reach.get(&key).is_some_and(|reach| reach.is_quiet)
    }

    /// A user has ended the conversation: nobody dials before there is something to send.
    pub(super) fn be_quiet(&mut self, key: PeerKey) {
        self.reach.entry(key).or_default().is_quiet = true;
    }

    /// A user has opened the conversation again.
    pub(super) fn end_quiet(&mut self, contact: ContactId, ctx: &mut Context<Self>) {
        let keys = self.book.contact(contact).map(super::book::Contact::keys).unwrap_or_default();
        for key in keys {
            self.reach.entry(key).or_default().is_quiet = false;
            self.is_there(contact, key, ctx);
        }
    }
}

/// Reaches a device and says who asks; whether it lets this peer in is said later.
async fn dial(
    transport: &Transport,
    key: PeerKey,
    addresses: &[Address],
    asks: &ChatRequest,
) -> Result<(Link, Inbox), Refusal> {
    let away = |error: &dyn std::fmt::Display| Refusal::new(Code::ConnectionLost, error.to_string());
    let connection = transport.dial(Expected::Key(key), addresses).await.map_err(|error| away(&error))?;
    let (link, mut inbox) = Link::open(connection);
    let hello = hello_for(Purpose::Direct);
    inbox.ask(&link, &hello).await.map_err(RequestError::into_refusal)?;
    inbox.ask(&link, asks).await.map_err(RequestError::into_refusal)?;
    link.keep_alive();
    Ok((link, inbox))
}
