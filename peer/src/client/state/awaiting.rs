//! What the host has stored and has not come back as an entry. Should the host lose it and go on without, nobody else may
//! have it: so it leaves the disk of this peer only when the archive has its entry.

use common::proto::limits::MAX_OUTBOX_MESSAGES;

use super::{ClientState, Effect};
use crate::client::outbox::{Item, Receipt};

impl ClientState {
    /// The host has stored it under this number. While the connection lasts, the entry follows.
    pub(super) fn await_entry(&mut self, item: Item, seq: u64) {
        let epoch = self.standing.as_ref().map(|standing| standing.head.epoch);
        let receipt = epoch.map(|epoch| Receipt { epoch, seq });
        let is_lacking = receipt.is_some_and(|receipt| !self.is_received(receipt));
        // At home the log is on the same disk.
        if is_lacking && !self.writing.at_home && self.awaited.len() < MAX_OUTBOX_MESSAGES {
            self.awaited.push(Item { stored: receipt, refused: None, wish: None, ..item });
        } else {
            self.put(Effect::DropItem(item.number));
        }
    }

    fn is_received(&self, Receipt { epoch, seq }: Receipt) -> bool {
        self.keeper().epoch() == Some(epoch) && seq <= self.keeper().seq()
    }

    /// The archive may have more than before.
    pub(super) fn settle_awaited(&mut self) {
        let awaited = std::mem::take(&mut self.awaited);
        let is_received = |item: &Item| item.stored.is_none_or(|receipt| self.is_received(receipt));
        let (received, awaited): (Vec<Item>, _) = awaited.into_iter().partition(is_received);
        self.awaited = awaited;
        for item in received {
            self.put(Effect::DropItem(item.number));
        }
    }

    /// The connection has ended: after a restart it is to be known what was stored already.
    pub(super) fn keep_awaited(&mut self) {
        for item in self.awaited.clone() {
            self.put(Effect::KeepItem(Box::new(item)));
        }
    }

    /// What was stored in another log than the one of now, and has not come from it.
    pub(super) fn left_behind(&self) -> Vec<Item> {
        let (now, me) = (self.keeper().epoch(), self.me());
        // The host tells nobody what became of the messages of others.
        let is_to_be_asked = |item: &&Item| now.is_some() && Some(item.writer) == me;
        let asked = self.awaited.iter().filter(is_to_be_asked);
        asked.filter(|item| item.stored.is_some_and(|receipt| Some(receipt.epoch) != now)).cloned().collect()
    }

    /// The user was asked for all of that, and the answer is on the disk.
    pub(super) fn forget_left_behind(&mut self) {
        let left = self.left_behind();
        self.awaited.retain(|item| !left.iter().any(|gone| gone.number == item.number));
        for item in left {
            self.put(Effect::DropItem(item.number));
        }
    }
}
