//! What the user is told.

use actix::prelude::*;
use common::entry::{TEXT, TextBody};
use common::id::MessageId;
use common::identity::PeerKey;
use common::link::CloseReason;
use common::proto::file::{FILE, FILE_END, FileEnd, Offer};
use common::proto::status::{Code, Refusal};

use super::Direct;
use super::archive::Row;
use super::book::{Asks, Contact, ContactId, Warning};
use crate::api::{ChatRequest, ChatState, DeliveryState, DirectMessage, Event, FileNote, LinkState};

/// A message as it is shown.
pub(super) fn direct_message(contact: &Contact, row: &Row, me: PeerKey) -> DirectMessage {
    let text = serde_json::from_str::<TextBody>(row.body.get()).ok().filter(|_| row.kind == TEXT);
    DirectMessage {
        user: contact.name.clone(),
        subject: contact.subject,
        id: row.id,
        from: row.from.clone(),
        author_kind: row.author_kind,
        mine: row.stamp.key == me,
        clock: row.stamp.clock,
        key: row.stamp.key,
        number: row.stamp.number,
        kind: row.kind.clone(),
        text: text.map(|body| body.text),
        file: file_note(row),
        sent_at: row.sent_at,
        late: row.late,
        state: None,
    }
}

/// What a message says of a file.
fn file_note(row: &Row) -> Option<FileNote> {
    match row.kind.as_str() {
        FILE => {
            let Offer { id, name, size, folder, .. } = serde_json::from_str(row.body.get()).ok()?;
            Some(FileNote {
                id,
                name,
                size: Some(size),
                files: folder.map(|folder| folder.files),
                outcome: None,
            })
        }
        FILE_END => {
            let FileEnd { id, name, outcome } = serde_json::from_str(row.body.get()).ok()?;
            Some(FileNote { id, name, size: None, files: None, outcome: Some(outcome) })
        }
        _ => None,
    }
}

/// How far a message of this user has come.
pub(super) fn delivery(contact: &Contact, number: u64) -> DeliveryState {
    if number <= contact.read() {
        DeliveryState::Read
    } else if number <= contact.delivered() {
        DeliveryState::Delivered
    } else {
        DeliveryState::Queued
    }
}

impl Direct {
    pub(super) fn tell_request(&self, asks: Asks, ctx: &mut Context<Self>) {
        let Asks { from, key, warning } = asks;
        self.tell(
            Event::ChatRequest(ChatRequest {
                user: from.name,
                subject: from.subject,
                kind: from.kind,
                key,
                new_device: warning == Some(Warning::NewDevice),
                same_name: warning == Some(Warning::SameName),
            }),
            ctx,
        );
    }

    pub(super) fn tell_chat(&self, contact: &Contact, state: ChatState, ctx: &mut Context<Self>) {
        let key = contact.devices.last().map(|device| device.key).filter(|_| state == ChatState::Accepted);
        self.tell(Event::Chat { user: contact.name.clone(), state, key }, ctx);
    }

    pub(super) fn tell_connection(
        &self,
        contact: ContactId,
        state: LinkState,
        reason: Option<String>,
        ctx: &mut Context<Self>,
    ) {
        let Some(contact) = self.book.contact(contact) else { return };
        let to = format!("@{}", contact.name);
        self.tell(Event::Connection { to, state, reason, since: None }, ctx);
    }

    /// The last connection to a contact has ended.
    pub(super) fn tell_away(
        &self,
        contact: ContactId,
        key: PeerKey,
        reason: &CloseReason,
        ctx: &mut Context<Self>,
    ) {
        let is_open = self.book.contact(contact).is_some_and(Contact::is_open);
        let is_wanted = is_open && self.unseen.shows(contact) && !self.is_quiet(key);
        let state = if is_wanted { LinkState::Retrying } else { LinkState::Down };
        let reason = match reason {
            _ if !is_wanted => None,
            // What made this peer close it has been told.
            CloseReason::Here => None,
            CloseReason::Told(refusal) => Some(refusal.reason.clone()),
            reason => Some(format!("the connection was lost: {reason}")),
        };
        self.tell_connection(contact, state, reason, ctx);
    }

    pub(super) fn tell_delivery(
        &self,
        contact: ContactId,
        id: MessageId,
        state: DeliveryState,
        ctx: &mut Context<Self>,
    ) {
        let Some(contact) = self.book.contact(contact) else { return };
        let user = contact.name.clone();
        self.tell(Event::ChatOutgoing { id, user, state, reason: None }, ctx);
    }

    /// Messages turn out to have arrived over an earlier connection.
    pub(super) fn tell_delivered(&self, contact: ContactId, after: u64, upto: u64, ctx: &mut Context<Self>) {
        let archive = self.archive.clone();
        let count = usize::try_from(upto - after).unwrap_or(usize::MAX);
        let count = count.min(common::proto::limits::MAX_OUTBOX_MESSAGES);
        let finding = async move { archive.mine(contact, after, count).await };
        ctx.spawn(finding.into_actor(self).map(move |found, direct, ctx| {
            for row in found.unwrap_or_default().iter().filter(|row| row.stamp.number <= upto) {
                direct.tell_delivery(contact, row.id, DeliveryState::Delivered, ctx);
            }
        }));
    }

    /// Somebody has more of what was written here than is known here.
    pub(super) fn warn_older_copy(&self, contact: ContactId, ctx: &mut Context<Self>) {
        let Some(contact) = self.book.contact(contact) else { return };
        let name = &contact.name;
        let reason = format!(
            "{name} has messages of yours that are not known here: an older copy of this peer's data was put back. What \
             you have written to {name} since then may not have arrived; write it again"
        );
        self.warn(Refusal::new(Code::LogBehind, reason), ctx);
    }

    /// The other side does not take a message: it is tried again, and the user is told why if that may not help.
    pub(super) fn warn_not_taken(&self, contact: ContactId, refusal: Refusal, ctx: &mut Context<Self>) {
        let Some(contact) = self.book.contact(contact) else { return };
        if !refusal.code.is_passing() && refusal.code != Code::WrongPhase {
            let reason = format!("the peer of {} does not take a message: {}", contact.name, refusal.reason);
            self.warn(Refusal { reason, ..refusal }, ctx);
        }
    }
}
