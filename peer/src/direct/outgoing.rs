//! What this device wrote goes to the devices of a contact, and is counted as it arrives there.

use actix::prelude::*;
use common::id::Subject;
use common::identity::PeerKey;
use common::link::RequestError;
use common::proto::Empty;
use common::proto::direct::ChatMsg;
use common::proto::limits::MAX_CLOCK_JUMP;
use common::storage::ReadError;

use super::archive::Row;
use super::book::{Contact, ContactId};
use super::lines::ConnId;
use super::sending::Wanted;
use super::{Direct, Phase};
use crate::api::DeliveryState;

impl Direct {
    /// From which number on a device is sent what it has not; nowhere when it says that it has what cannot be.
    pub(super) fn begin_at(
        &mut self,
        contact: ContactId,
        key: PeerKey,
        have: u64,
        ctx: &mut Context<Self>,
    ) -> Option<u64> {
        let me = self.me;
        let Some(talk) = self.talk(contact, ctx) else { return Some(u64::MAX) };
        let newest = talk.stored.clocks.have(me);
        if have.saturating_sub(newest) > MAX_CLOCK_JUMP {
            return None;
        }
        if have > newest {
            talk.catch_up(me, have);
            self.warn_older_copy(contact, ctx);
        }
        let delivered = self.book.contact(contact).map_or(0, Contact::delivered);
        let begin = self.book.change(contact, |contact| {
            let device = contact.device_mut(key)?;
            // What it says counts: an older copy of its data may have been put back.
            device.acked = have.max(device.base);
            Some(device.acked)
        });
        let begin = begin.flatten().unwrap_or(u64::MAX);
        if begin > delivered {
            self.tell_delivered(contact, delivered, begin, ctx);
        }
        self.keep_book_later(ctx);
        Some(begin)
    }

    pub(super) fn pump_contact(&mut self, contact: ContactId, ctx: &mut Context<Self>) {
        let devices = self.book.contact(contact).map(Contact::keys).unwrap_or_default();
        for key in devices {
            match self.lines.get(key) {
                Some(id) => self.pump(id, ctx),
                None => self.look_for(contact, key, ctx),
            }
        }
        self.publish_owed();
    }

    /// Sends what there is room for.
    pub(super) fn pump(&mut self, id: ConnId, ctx: &mut Context<Self>) {
        let me = self.me;
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.phase == Phase::Open) else { return };
        let Some(contact) = conn.contact else { return };
        let newest = self.talks.get(&contact).map_or(0, |talk| talk.stored.clocks.have(me));
        let Some(Wanted { after, limit }) = conn.sending.next(newest) else { return };
        let archive = self.archive.clone();
        let reading = async move { archive.mine(contact, after, limit).await };
        ctx.spawn(reading.into_actor(self).map(move |read, direct, ctx| direct.send(id, read, ctx)));
    }

    fn send(&mut self, id: ConnId, read: Result<Vec<Row>, ReadError>, ctx: &mut Context<Self>) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (me, present) = (self.me, self.subject);
        let may_go = |row: &Row| row.writer == present || row.writer == Some(Subject::Guest(me));
        let rows = match read {
            // What somebody else wrote here waits for them, and so does all behind it.
            Ok(rows) => rows.into_iter().take_while(may_go).collect::<Vec<_>>(),
            Err(error) => {
                conn.sending.fail();
                return self.warn(error.into(), ctx);
            }
        };
        conn.sending.read(rows.iter().map(|row| row.stamp.number));
        let link = conn.link.clone();
        for row in rows {
            let Row { stamp, id: message, kind, sent_at, body, .. } = row;
            let (number, clock) = (stamp.number, stamp.clock);
            let sent = link.send(&ChatMsg { id: message, number, clock, kind, sent_at, body });
            // A link that takes nothing has ended, and its stream says so.
            let Ok(answer) = sent else { return };
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.in_flight.insert(number, message);
            }
            ctx.spawn(answer.into_actor(self).map(move |answer, direct, ctx| {
                direct.answered(id, number, answer, ctx);
            }));
        }
    }

    /// A device has answered a message: when it has it, it has all before it.
    fn answered(
        &mut self,
        id: ConnId,
        number: u64,
        answer: Result<Empty, RequestError>,
        ctx: &mut Context<Self>,
    ) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.sending.answered(answer.is_ok());
        let Some((contact, key)) = conn.contact.map(|contact| (contact, conn.key)) else { return };
        if let Err(error) = answer {
            if let RequestError::Refused(refusal) = error {
                self.warn_not_taken(contact, refusal, ctx);
            }
            return;
        }
        let later = conn.in_flight.split_off(&(number + 1));
        let arrived = std::mem::replace(&mut conn.in_flight, later);
        let delivered = self.book.contact(contact).map_or(0, Contact::delivered);
        self.book.change(contact, |contact| {
            if let Some(device) = contact.device_mut(key) {
                device.acked = device.acked.max(number);
            }
        });
        for (_, message) in arrived.range(delivered + 1..) {
            self.tell_delivery(contact, *message, DeliveryState::Delivered, ctx);
        }
        self.keep_book_later(ctx);
        self.pump(id, ctx);
        self.publish_owed();
    }

    /// What messages wait for over the connections that there are.
    pub(super) fn publish_owed(&self) {
        let open = self.conns.values().filter(|conn| conn.phase == Phase::Open);
        let owed = open.filter_map(|conn| {
            let contact = conn.contact?;
            let newest = self.talks.get(&contact)?.stored.clocks.have(self.me);
            Some(newest.saturating_sub(self.book.contact(contact)?.device(conn.key)?.acked))
        });
        let owed = owed.sum();
        self.owed.send_if_modified(|known| std::mem::replace(known, owed) != owed);
    }
}
