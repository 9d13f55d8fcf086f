//! What the user asks of the outbox, and how it is shown.

use common::id::MessageId;
use common::proto::status::Refusal;

use super::ClientState;
use crate::api::{OutboxItem, OutgoingState, Retried, WishedChange};
use crate::client::outbox::{Decision, Row, Waits, Wish};
use crate::client::telling::short_id;
use crate::reconnect::Nudge;

impl ClientState {
    /// What waits, in order, at most so many; and how many in all.
    pub fn rows(&self, limit: usize) -> (Vec<OutboxItem>, usize) {
        let rows = self.outbox.rows(self.me());
        let total = rows.len();
        (rows.into_iter().take(limit).map(|row| self.row(&row)).collect(), total)
    }

    /// Has what was refused sent again: one message, or all.
    ///
    /// # Errors
    /// `no_such_message`.
    pub fn retry(&mut self, which: Option<MessageId>) -> Result<Retried, Refusal> {
        let effects = self.outbox.retry(which, self.next_expiry())?;
        let messages = effects.len();
        self.apply(effects);
        self.release();
        self.nudge(Nudge::Command);
        let reason = self.blocked().or_else(|| self.queue_waits());
        Ok(Retried { channel: self.channel.name().clone(), messages, reason })
    }

    /// Cancels a message, or has another text sent in its place: with [`Self::change_written`] once the change that is
    /// handed out is on disk, or once its outcome is known; then the wish is to be kept, or [withdrawn](Self::withdraw).
    ///
    /// # Errors
    /// `no_such_message`, or `too_many_requests` while it is being written.
    pub fn wish(&mut self, id: MessageId, text: Option<(MessageId, String)>) -> Result<Decision, Refusal> {
        let expires = self.next_expiry();
        let wish = text.map_or(Wish::Cancel, |(id, text)| Wish::Edit { id, text, expires });
        let decision = self.outbox.wish(id, wish)?;
        if let Decision::Later(_) = decision {
            // The host can be asked while the wish is being written.
            self.pump();
        }
        Ok(decision)
    }

    /// A wish could not be kept.
    pub fn withdraw(&mut self, number: u64) {
        self.outbox.withdraw(number);
        self.pump();
    }

    /// What keeps the queue from moving by itself although the way may be free.
    pub(super) fn queue_waits(&self) -> Option<String> {
        let channel = self.channel.name();
        match self.outbox.stuck(self.me()) {
            Some((_, Waits::Writer(name))) => {
                Some(format!("it waits behind a message written as {name}; type: outbox {channel}"))
            }
            Some(_) => Some(format!("it waits behind a message that was refused; type: outbox {channel}")),
            None => self
                .flow
                .held_because
                .as_ref()
                .map(|why| format!("it goes out later by itself: {}", why.reason)),
        }
    }

    /// Why nothing at all goes out.
    fn blocked(&self) -> Option<String> {
        if !self.channel.joined {
            return Some(format!("the channel is not joined; type: join {}", self.channel.name()));
        }
        if self.standing.is_some() {
            return None;
        }
        let reason = self.reason.as_ref().map(|refusal| refusal.reason.clone());
        Some(reason.unwrap_or_else(|| "the channel is not connected yet".to_owned()))
    }

    fn row(&self, row: &Row<'_>) -> OutboxItem {
        let Row { item, is_under_way, waits } = row;
        let state = match (is_under_way, waits) {
            (true, _) => OutgoingState::Sending,
            (false, _) if item.refused.is_some() => OutgoingState::Refused,
            (false, _) => OutgoingState::Queued,
        };
        let refused = item.refused.as_ref();
        let reason = refused.map(|refusal| refusal.reason.clone());
        OutboxItem {
            id: item.id,
            channel: self.channel.name().clone(),
            state,
            text: item.text.clone(),
            sent_at: item.sent_at,
            expires: item.expires,
            code: refused.map(|refusal| refusal.code.clone()),
            reason: reason.or_else(|| self.waits_for(waits.as_ref(), *is_under_way)),
            wish: item.wish.as_ref().map(|wish| wished(matches!(wish, Wish::Edit { .. }))),
        }
    }

    fn waits_for(&self, waits: Option<&Waits>, is_under_way: bool) -> Option<String> {
        let held = || self.flow.held_because.as_ref().map(|refusal| refusal.reason.clone());
        match waits {
            Some(Waits::Writer(name)) => Some(format!("written as {name}")),
            Some(Waits::Outcome) => Some(self.blocked().or_else(held).map_or_else(
                || "the host is asked whether it was stored".to_owned(),
                |why| format!("the host will be asked whether it was stored: {why}"),
            )),
            Some(Waits::Behind(id)) => Some(format!("behind {}", short_id(*id))),
            Some(Waits::Held) => self.blocked().or_else(held),
            Some(Waits::Refused) | None if is_under_way => None,
            Some(Waits::Refused) | None => self.blocked(),
        }
    }
}

/// What is wished of a message.
pub(in crate::client) fn wished(is_edit: bool) -> WishedChange {
    if is_edit { WishedChange::Edit } else { WishedChange::Cancel }
}
