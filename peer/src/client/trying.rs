//! When sending is tried again: after a restart, after a passing refusal; and when it is given up as too late.

use std::time::Duration;

use actix::prelude::*;
use common::clock::Timestamp;
use common::id::ChannelId;
use common::proto::status::Refusal;
use common::storage::ReadError;

use super::Client;
use crate::pace::{Pace, Rest, Tried};
use crate::store::PeerStore;

/// The user is told how far a channel has moved on before text of this age goes out.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(15 * 60);
/// What a host may want to be waited for.
pub(super) const SHORTEST_ASKED: Duration = Duration::from_millis(50);
/// See [`SHORTEST_ASKED`].
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(10 * 60);
/// Timers stand still while a machine sleeps: what ends by the clock is looked at this often.
const LOOK_AT_EXPIRY_EVERY: Duration = Duration::from_secs(60);

/// How the outbox is worked off.
pub(super) struct Flow {
    /// How often what the host does not take now is tried.
    pub pace: Pace,
    /// What the host said when it did not take anything.
    pub held_because: Option<Refusal>,
    /// How long a message may wait.
    expire: Option<Duration>,
    /// When something may be too late next, and what wakes the client then.
    expiry: Option<(Timestamp, SpawnHandle)>,
    /// Which hold is meant; an earlier one ends nothing.
    holds: u64,
}

impl Flow {
    pub fn load(store: &PeerStore, channel: ChannelId, expire: Option<Duration>) -> Result<Self, ReadError> {
        let pace = Pace::new(store.pace(&Tried::Outbox(channel))?, Timestamp::now());
        Ok(Self { pace, held_because: None, expire, expiry: None, holds: 0 })
    }

    /// When a message that is written, or tried again, now is too late.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expire.map(|expire| Timestamp::now().plus(expire))
    }
}

impl Client {
    /// Goes on as before the restart, no faster.
    pub(super) fn begin(&mut self, ctx: &mut Context<Self>) {
        if let Some(Rest { left, why }) = self.flow.pace.take_rest() {
            self.outbox.hold();
            self.flow.held_because = Some(why);
            self.hold_for(left, ctx);
        }
        self.pump(ctx);
        if self.channel.joined {
            self.start_connecting(ctx);
        }
    }

    /// Lets go what was held back for a while.
    pub(super) fn release(&mut self, ctx: &mut Context<Self>) {
        self.flow.holds += 1;
        self.flow.held_because = None;
        self.outbox.release();
        self.pump(ctx);
    }

    pub(super) fn hold_for(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        self.flow.holds += 1;
        let hold = self.flow.holds;
        ctx.run_later(delay, move |client, ctx| {
            if hold == client.flow.holds {
                client.release(ctx);
            }
        });
    }

    /// Has the client look when the next message is too late.
    pub(super) fn plan_expiry(&mut self, now: Timestamp, ctx: &mut Context<Self>) {
        let next = self.outbox.next_expiry();
        if self.flow.expiry.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        if let Some((_, timer)) = self.flow.expiry.take() {
            ctx.cancel_future(timer);
        }
        if let Some(at) = next {
            let delay = at.since(now).min(LOOK_AT_EXPIRY_EVERY);
            let timer = ctx.run_later(delay, |client, ctx| {
                client.flow.expiry = None;
                client.pump(ctx);
            });
            self.flow.expiry = Some((at, timer));
        }
    }
}
