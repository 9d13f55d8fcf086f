//! The order of a conversation's messages, and what of a device's messages continues it. Pure.
//!
//! Every device numbers its own messages and stamps a Lamport clock on them. The order is that of the stamps, so all
//! devices that have the same messages show the same order, whenever each of them came.

use std::collections::BTreeMap;

use common::identity::PeerKey;
use common::proto::limits::{MAX_CHAT_NUMBER, MAX_CLOCK_JUMP};
use common::proto::status::{Code, Refusal};
use serde::{Deserialize, Serialize};

/// Where a message stands among all of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The clock of the device when it wrote the message.
    pub clock: u64,
    /// The device.
    pub key: PeerKey,
    /// The device's own count.
    pub number: u64,
}

/// How many bytes a stamp has as a key of the store.
const STAMP_BYTES: usize = 8 + 32 + 8;

impl Stamp {
    /// A key of the store: keys are in the order of the stamps.
    pub fn to_key(self) -> [u8; STAMP_BYTES] {
        let mut key = [0; STAMP_BYTES];
        key[..8].copy_from_slice(&self.clock.to_be_bytes());
        key[8..40].copy_from_slice(self.key.as_bytes());
        key[40..].copy_from_slice(&self.number.to_be_bytes());
        key
    }
}

/// The newest message of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    number: u64,
    clock: u64,
}

/// How far a conversation is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// The highest clock seen.
    clock: u64,
    /// The last message of all.
    last: Option<Stamp>,
    /// By device.
    devices: BTreeMap<PeerKey, Newest>,
}

/// What a message of another device is to this conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A new one; `late` when others stand behind it already.
    New {
        /// Whether others stand behind it already.
        late: bool,
    },
    /// One that may be here already: look under its stamp.
    Known,
}

impl Clocks {
    /// The number of the last message of a device that is here; 0 for none.
    pub fn have(&self, key: PeerKey) -> u64 {
        self.devices.get(&key).map_or(0, |newest| newest.number)
    }

    /// The stamp of the next message that this device writes.
    ///
    /// # Errors
    /// When the conversation's clock is used up.
    pub fn next(&self, me: PeerKey) -> Result<Stamp, Refusal> {
        let stamp = Stamp { clock: self.clock + 1, key: me, number: self.have(me) + 1 };
        if stamp.clock > MAX_CHAT_NUMBER || stamp.number > MAX_CHAT_NUMBER {
            return Err(Refusal::new(Code::Internal, "the clock of this conversation is used up"));
        }
        Ok(stamp)
    }

    /// Whether a message of another device continues what it wrote before.
    ///
    /// # Errors
    /// `bad_request`, for a stamp that no device of this protocol makes.
    pub fn take(&self, stamp: Stamp) -> Result<Taken, Refusal> {
        let bad = |reason: &str| Refusal::new(Code::BadRequest, reason);
        let Stamp { clock, key, number } = stamp;
        if !(1..=MAX_CHAT_NUMBER).contains(&number) || !(1..=MAX_CHAT_NUMBER).contains(&clock) {
            return Err(bad("number and clock of a message are from 1 to 2^53 - 1"));
        }
        let newest = self.devices.get(&key).copied().unwrap_or_default();
        if number <= newest.number {
            return Ok(Taken::Known);
        }
        if clock <= newest.clock {
            return Err(bad("the clock of a device rises with every message"));
        }
        if clock - self.clock.min(clock) > MAX_CLOCK_JUMP {
            return Err(bad("the clock is too far ahead of this conversation"));
        }
        Ok(Taken::New { late: self.last.is_some_and(|last| stamp < last) })
    }

    /// Whether it is as far as another count of the same conversation.
    pub fn covers(&self, other: &Self) -> bool {
        let mine = |key: &PeerKey| self.devices.get(key).copied().unwrap_or_default();
        let is_behind = |(key, theirs): (&PeerKey, &Newest)| {
            let mine = mine(key);
            mine.number < theirs.number || mine.clock < theirs.clock
        };
        self.clock >= other.clock && self.last >= other.last && !other.devices.iter().any(is_behind)
    }

    /// Counts a message in, this device's own or one that was [taken](Self::take).
    pub fn add(&mut self, stamp: Stamp) {
        self.clock = self.clock.max(stamp.clock);
        self.last = self.last.max(Some(stamp));
        let newest = self.devices.entry(stamp.key).or_default();
        newest.number = newest.number.max(stamp.number);
        newest.clock = newest.clock.max(stamp.clock);
    }

    /// Another device has more of what this one wrote than is known here: an older copy of the data was put back. What
    /// is written from now on must not have the numbers of what that device has.
    pub fn catch_up(&mut self, me: PeerKey, theirs: u64) {
        let newest = self.devices.entry(me).or_default();
        if theirs > newest.number && theirs < MAX_CHAT_NUMBER {
            newest.number = theirs;
        }
    }
}

#[cfg(test)]
mod tests;
