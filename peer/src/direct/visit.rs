//! From a connection to a conversation: who is let in, and which connection it is.

use actix::prelude::*;
use common::clock::Timestamp;
use common::id::RequestId;
use common::identity::PeerKey;
use common::link::CloseReason;
use common::pass::SignedPass;
use common::proto::direct::{ChatAccept, ChatReject, ChatRequest, PeerRequest};
use common::proto::directory::Owner;
use common::proto::knock::Knocked;
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, Request};

use super::book::{ContactId, Heard};
use super::door::Visitor;
use super::lines::{ConnId, Place};
use super::sending::Sending;
use super::{Conn, Direct, MAX_VISITORS, MAX_VISITORS_EACH, Phase};
use crate::api::LinkState;

impl StreamHandler<Visitor> for Direct {
    fn handle(&mut self, Visitor { link, inbox }: Visitor, ctx: &mut Self::Context) {
        let visitors = self.conns.values().filter(|conn| conn.phase != Phase::Open);
        let origins: Vec<_> = visitors.map(|conn| conn.link.origin()).collect();
        let of_place = origins.iter().filter(|origin| **origin == link.origin()).count();
        let is_full = origins.len() >= MAX_VISITORS || of_place >= MAX_VISITORS_EACH;
        let is_away = self.stopping || self.unseen.is_on();
        if is_away || is_full {
            let code = if is_away { Code::GoingAway } else { Code::TooManyConnections };
            return link.close_because(code.into());
        }
        self.take_on(Conn::new(link, Phase::Greeted), inbox, ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Direct {
    /// Whoever is at the other end of a connection asks something.
    pub(super) fn asked(&mut self, id: ConnId, request: Request, ctx: &mut Context<Self>) {
        let Some(phase) = self.conns.get(&id).map(|conn| conn.phase) else { return };
        let parsed = PeerRequest::parse(&request.command, &request.body);
        match (phase, parsed) {
            (_, Ok(PeerRequest::Ping(_))) => self.answer(id, request.id, Ok(())),
            (Phase::Greeted, Ok(PeerRequest::ChatRequest(asks))) => self.visited(id, request.id, asks, ctx),
            (Phase::Asking, Ok(PeerRequest::ChatAccept(accept))) => self.let_in(id, request.id, accept, ctx),
            (Phase::Asking, Ok(PeerRequest::ChatReject(_))) => {
                self.answer(id, request.id, Ok(()));
                self.close(id, Code::GoingAway.into());
            }
            (Phase::Open, Ok(PeerRequest::ChatMsg(message))) => self.received(id, request.id, message, ctx),
            (Phase::Open, Ok(PeerRequest::Receipt(receipt))) => {
                self.answer(id, request.id, Ok(()));
                self.was_read(id, receipt.read, ctx);
            }
            (Phase::Open, Ok(PeerRequest::LeftChat(_))) => {
                self.answer(id, request.id, Ok(()));
                self.was_left(id, ctx);
            }
            (_, Ok(_)) => self.answer(id, request.id, Err(Code::WrongPhase.into())),
            (_, Err(refusal)) => self.answer(id, request.id, Err(refusal)),
        }
    }

    pub(super) fn answer(&self, id: ConnId, request: RequestId, outcome: Result<(), Refusal>) {
        if let Some(conn) = self.conns.get(&id) {
            // When the link has ended, its stream says so.
            let _ = conn.link.answer(request, &outcome.map(|()| Empty {}));
        }
    }

    /// Who shows this pass over a connection.
    fn holder(&mut self, id: ConnId, pass: &SignedPass) -> Result<Owner, Refusal> {
        let conn = self.conns.get_mut(&id).ok_or(Code::ConnectionLost)?;
        let pass = self.hosting.hosts().gate().check(pass, conn.key)?;
        conn.serial = Some(pass.serial);
        let name = pass.name.parse().map_err(|_| Refusal::from(Code::BadPass))?;
        Ok(Owner { subject: pass.subject, name, kind: pass.kind })
    }

    /// Somebody who has dialled says who they are. A stranger is not answered: who wants to talk asks by KNOCK.
    fn visited(&mut self, id: ConnId, request: RequestId, asks: ChatRequest, ctx: &mut Context<Self>) {
        let from = match self.holder(id, &asks.pass) {
            Ok(from) => from,
            Err(refusal) => return self.answer(id, request, Err(refusal)),
        };
        self.answer(id, request, Ok(()));
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.phase = Phase::Waiting { have: asks.have };
        let key = conn.key;
        if !self.book.knows(&from, key) {
            return tracing::debug!(%key, "a stranger wants to talk, and is not answered");
        }
        let knocked = Knocked { from, key, at: Timestamp::now() };
        match self.book.knocked(&knocked, self.settings.accept, Timestamp::now()) {
            Heard::Agreed(contact) | Heard::Known(contact) => self.accept_visitor(id, contact, ctx),
            Heard::Ask(asks) => self.tell_request(asks, ctx),
            Heard::Nothing => {}
        }
        self.keep_book_later(ctx);
    }

    /// Lets somebody in who has dialled.
    pub(super) fn accept_visitor(&mut self, id: ConnId, contact: ContactId, ctx: &mut Context<Self>) {
        let Some(held) = self.session.borrow().held.clone() else { return };
        let Some(Conn { phase: Phase::Waiting { have }, key, link, .. }) = self.conns.get(&id) else {
            return;
        };
        let (their_have, key, link) = (*have, *key, link.clone());
        let Some(have) = self.talk(contact, ctx).map(|talk| talk.stored.clocks.have(key)) else { return };
        if let Some(place) = self.takes_place(id, key, false) {
            // When it is not answered the link has ended, and its stream says so.
            let _ = link.send(&ChatAccept { pass: held.signed, have });
            self.opened(id, contact, their_have, place, ctx);
        }
    }

    /// Those who have dialled with this key and wait for the user.
    pub(super) fn waiting_visitors(&self, key: PeerKey) -> Vec<ConnId> {
        let waits = |conn: &&Conn| conn.key == key && matches!(conn.phase, Phase::Waiting { .. });
        self.conns.iter().filter(|(_, conn)| waits(conn)).map(|(id, _)| *id).collect()
    }

    /// Turns those away who have dialled with this key.
    pub(super) fn reject_visitors(&self, key: PeerKey) {
        for id in self.waiting_visitors(key) {
            if let Some(conn) = self.conns.get(&id) {
                // The end of the connection says it just as well.
                let _ = conn.link.send(&ChatReject {});
                conn.link.close();
            }
        }
    }

    /// The other side lets this one in.
    fn let_in(&mut self, id: ConnId, request: RequestId, accept: ChatAccept, ctx: &mut Context<Self>) {
        let wanted = self.conns.get(&id).and_then(|conn| conn.contact);
        let contact = self.holder(id, &accept.pass).and_then(|who| {
            let key = self.conns.get(&id).ok_or(Code::ConnectionLost)?.key;
            let is_it = wanted.is_some() && wanted == self.book.of_device(who.subject, key);
            wanted.filter(|_| is_it).ok_or_else(|| Code::BadPass.into())
        });
        match contact {
            Ok(contact) => {
                self.answer(id, request, Ok(()));
                let Some(key) = self.conns.get(&id).map(|conn| conn.key) else { return };
                if let Some(place) = self.takes_place(id, key, true) {
                    self.opened(id, contact, accept.have, place, ctx);
                }
            }
            Err(refusal) => {
                self.answer(id, request, Err(refusal.clone()));
                self.close(id, refusal);
            }
        }
    }

    /// Where a connection to a device stands; nowhere when another stays. The one that does not is closed.
    fn takes_place(&mut self, id: ConnId, key: PeerKey, is_dialled: bool) -> Option<Place> {
        let place = self.lines.open(key, id, is_dialled);
        match place {
            Place::Taken => {}
            Place::Replaces(older) => self.close(older, Code::Superseded.into()),
            Place::Refused => {
                self.close(id, Code::Superseded.into());
                return None;
            }
        }
        Some(place)
    }

    /// Messages may go over a connection, to a device that has this device's messages up to `have`.
    fn opened(&mut self, id: ConnId, contact: ContactId, have: u64, place: Place, ctx: &mut Context<Self>) {
        let Some(key) = self.conns.get(&id).map(|conn| conn.key) else { return };
        let is_first = place == Place::Taken && self.devices_up(contact) == 1;
        let Some(begin) = self.begin_at(contact, key, have, ctx) else {
            let reason = "what this device has of the conversation is more than anybody can have written";
            return self.close(id, Refusal::new(Code::BadRequest, reason));
        };
        let Some(conn) = self.conns.get_mut(&id) else { return };
        (conn.phase, conn.contact) = (Phase::Open, Some(contact));
        conn.sending = Sending::new(begin);
        self.reached(key, ctx);
        self.files.is_there(key, contact);
        if is_first {
            self.tell_connection(contact, LinkState::Up, None, ctx);
        }
        self.send_receipt(contact, key);
        self.pump(id, ctx);
        self.publish_owed();
    }

    /// To how many devices of a contact there is a connection.
    pub(super) fn devices_up(&self, contact: ContactId) -> usize {
        let devices =
            self.book.contact(contact).map(|contact| contact.devices.as_slice()).unwrap_or_default();
        devices.iter().filter(|device| self.lines.get(device.key).is_some()).count()
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, id: ConnId, reason: &CloseReason, ctx: &mut Context<Self>) {
        let Some(Conn { key, phase, contact, .. }) = self.conns.remove(&id) else { return };
        tracing::debug!(%key, ?phase, reason = ?reason.to_string(), "a direct connection ended");
        let was_line = self.lines.close(key, id);
        let Some(contact) = contact else { return };
        if was_line {
            self.publish_owed();
            if self.devices_up(contact) == 0 && !self.stopping {
                self.tell_away(contact, key, reason, ctx);
            }
        }
        if was_line || phase == Phase::Asking {
            self.not_reached(contact, key, ctx);
        }
    }
}
