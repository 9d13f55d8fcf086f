//! Messages are shown when they are on disk, once; and what was shown was read.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use common::identity::PeerKey;
use common::proto::direct::Receipt;
use common::proto::file::{FILE, FILE_END};

use super::Direct;
use super::archive::Row;
use super::book::ContactId;
use super::lines::ConnId;
use crate::api::{DeliveryState, Event};

/// How often it is looked what was shown.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many messages that may not have been shown are shown at a start, at most, of each conversation.
const MAX_SHOWN_AGAIN: usize = 4096;

/// A message that was told, and perhaps not shown yet.
pub(super) struct Unshown {
    /// How many events had been told with it.
    told: u64,
    contact: ContactId,
    arrival: u64,
    key: PeerKey,
    number: u64,
}

impl Direct {
    /// Shows what was perhaps not shown before the last end.
    pub(super) fn show_unshown(&mut self, ctx: &mut Context<Self>) {
        let ids: Vec<ContactId> = self.book.contacts().iter().map(|contact| contact.id).collect();
        for id in ids {
            let Some(shown) = self.talk(id, ctx).map(|talk| talk.shown.arrivals) else { continue };
            match self.archive.since(id, shown, MAX_SHOWN_AGAIN) {
                Ok(rows) => rows.iter().for_each(|row| self.show(id, row, ctx)),
                Err(error) => self.warn(error.into(), ctx),
            }
        }
    }

    pub(super) fn show(&mut self, contact: ContactId, row: &Row, ctx: &mut Context<Self>) {
        let Some(known) = self.book.contact(contact) else { return };
        if row.stamp.key != self.me && [FILE, FILE_END].contains(&row.kind.as_str()) {
            // Before anything says that it was shown: after a crash in between it is heard again.
            let (user, key, files) = (known.name.clone(), row.stamp.key, self.files.clone());
            let (kind, body) = (row.kind.clone(), row.body.clone());
            ctx.wait(async move { files.heard(contact, user, key, kind, body).await }.into_actor(self));
        }
        let message = super::telling::direct_message(known, row, self.me);
        self.tell(Event::ChatMessage(Box::new(message)), ctx);
        let (told, key, number) = (self.events.told(), row.stamp.key, row.stamp.number);
        self.unshown.push_back(Unshown { told, contact, arrival: row.arrival, key, number });
        self.look_at_shown_later(ctx);
    }

    fn look_at_shown_later(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.is_looking, true) {
            return;
        }
        ctx.run_later(LOOK_EVERY, |direct, ctx| {
            direct.is_looking = false;
            direct.look_at_shown();
            if !direct.unshown.is_empty() {
                direct.look_at_shown_later(ctx);
            }
        });
    }

    /// Keeps how far was shown, and says so to whose messages they were.
    pub(super) fn look_at_shown(&mut self) {
        let taken = self.events.taken();
        let mut read: BTreeMap<ContactId, Vec<PeerKey>> = BTreeMap::new();
        while let Some(one) = self.unshown.pop_front_if(|one| one.told <= taken) {
            let Some(talk) = self.talks.get_mut(&one.contact) else { continue };
            talk.shown.arrivals = talk.shown.arrivals.max(one.arrival);
            let of_device = talk.shown.read.entry(one.key).or_default();
            *of_device = (*of_device).max(one.number);
            read.entry(one.contact).or_default().push(one.key);
        }
        for (contact, mut keys) in read {
            if let Some(talk) = self.talks.get(&contact) {
                self.archive.keep_shown(contact, &talk.shown);
            }
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().for_each(|key| self.send_receipt(contact, key));
        }
    }

    /// Says to a device how far its messages were read, if its user wants that to be said.
    pub(super) fn send_receipt(&self, contact: ContactId, key: PeerKey) {
        let line = self.lines.get(key).and_then(|id| self.conns.get(&id));
        let read = self.talks.get(&contact).and_then(|talk| talk.shown.read.get(&key).copied());
        if let (Some(conn), Some(read), true) = (line, read, self.settings.receipts) {
            // Said again on the next connection.
            let _ = conn.link.send(&Receipt { read });
        }
    }

    /// The other side's user has read this device's messages up to a number.
    pub(super) fn was_read(&mut self, id: ConnId, read: u64, ctx: &mut Context<Self>) {
        let Some((contact, key)) = self.conns.get(&id).and_then(|conn| Some((conn.contact?, conn.key)))
        else {
            return;
        };
        let before = self.book.contact(contact).map_or(0, super::book::Contact::read);
        let read = self.book.change(contact, |contact| {
            let device = contact.device_mut(key)?;
            device.read = device.read.max(read.min(device.acked));
            Some(device.read)
        });
        let Some(read) = read.flatten().filter(|read| *read > before) else { return };
        self.keep_book_later(ctx);
        let archive = self.archive.clone();
        let finding = async move { archive.mine(contact, read - 1, 1).await };
        ctx.spawn(finding.into_actor(self).map(move |found, direct, ctx| {
            let row = found.ok().and_then(|rows| rows.into_iter().next());
            if let Some(row) = row.filter(|row| row.stamp.number == read) {
                direct.tell_delivery(contact, row.id, DeliveryState::Read, ctx);
            }
        }));
    }
}
