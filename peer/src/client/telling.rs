//! What the user is told of their own messages.

use actix::prelude::*;
use common::id::MessageId;
use common::proto::status::{Code, Refusal};

use super::Client;
use super::outbox::{Change, Wish};
use crate::api::{Event, LinkState, OutgoingState};

/// How many digits at the end of an id are shown, and typed, for the whole.
const SHOWN_DIGITS: usize = 8;

/// What goes with the state of a message.
#[derive(Debug, Default)]
pub(super) struct Detail {
    pub seq: Option<u64>,
    pub code: Option<Code>,
    pub reason: Option<String>,
    pub becomes: Option<MessageId>,
}

impl Detail {
    /// Why it was refused.
    pub fn of(refusal: Option<Refusal>) -> Self {
        let (code, reason) = refusal.map(|refusal| (refusal.code, refusal.reason)).unzip();
        Self { code, reason, ..Self::default() }
    }
}

impl Client {
    pub(super) fn tell_outgoing(
        &self,
        id: MessageId,
        state: OutgoingState,
        detail: Detail,
        ctx: &mut Context<Self>,
    ) {
        let Detail { seq, code, reason, becomes } = detail;
        let channel = self.channel.name().clone();
        self.tell(Event::Outgoing { id, channel, state, seq, code, reason, becomes }, ctx);
    }

    pub(super) fn tell_changed(&self, change: &Change, ctx: &mut Context<Self>) {
        match &change.becomes {
            Some(item) => {
                let detail = Detail { becomes: Some(item.id), ..Detail::default() };
                self.tell_outgoing(change.id, OutgoingState::Edited, detail, ctx);
                self.tell_outgoing(item.id, OutgoingState::Queued, Detail::default(), ctx);
            }
            None => self.tell_outgoing(change.id, OutgoingState::Cancelled, Detail::default(), ctx),
        }
    }

    pub(super) fn tell_connection(&self, state: LinkState, reason: Option<String>, ctx: &mut Context<Self>) {
        let to = self.channel.name().as_str().to_owned();
        self.tell(Event::Connection { to, state, reason, since: None }, ctx);
    }

    pub(super) fn warn(&self, refusal: Refusal, ctx: &mut Context<Self>) {
        let channel = Some(self.channel.name().clone());
        self.tell(Event::Warning { code: refusal.code, reason: refusal.reason, channel }, ctx);
    }
}

/// The end of an id, as it is shown and typed.
pub fn short_id(id: MessageId) -> String {
    let digits = id.to_string();
    digits.get(digits.len().saturating_sub(SHOWN_DIGITS)..).unwrap_or_default().to_owned()
}

/// That a message was stored before the user's wish could be done.
pub(super) fn too_late(id: MessageId, seq: u64, wish: &Wish) -> Refusal {
    let (done, lost) = match wish {
        Wish::Cancel => ("cancelled", ""),
        Wish::Edit { .. } => ("edited", "; your new text was not sent"),
    };
    let id = short_id(id);
    Refusal::new(
        Code::TooLate,
        format!("the message {id} was stored as number {seq} before it could be {done}{lost}"),
    )
}
