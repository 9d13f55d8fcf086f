//! When things are tried again: connecting after a restart, sending after a passing refusal, giving up what is too late.

use std::time::Duration;

use actix::prelude::*;
use common::clock::Timestamp;
use common::id::ChannelId;
use common::proto::directory::Locate;
use common::proto::status::Refusal;
use common::storage::ReadError;

use super::{Client, follow};
use crate::pace::{Pace, Rest, Tried};
use crate::store::PeerStore;

/// The user is told how far a channel has moved on before text of this age goes out.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(15 * 60);
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
    /// Whether the client still waits for an attempt of before the restart.
    is_resting: bool,
}

impl Flow {
    pub fn load(store: PeerStore, channel: ChannelId, expire: Option<Duration>) -> Result<Self, ReadError> {
        let pace = Pace::load(store, Tried::Outbox(channel))?;
        Ok(Self { pace, held_because: None, expire, expiry: None, holds: 0, is_resting: false })
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
        if !self.channel.joined {
            return;
        }
        let Some(Rest { left, why }) = self.pace.take_rest() else { return self.connect(ctx) };
        self.flow.is_resting = true;
        let (channel, seconds) = (self.channel.name(), left.as_secs_f64().ceil());
        let reason = format!("{} (tried again in {seconds} s, or at once with: join {channel})", why.reason);
        self.wait(Refusal { reason, ..why }, left, ctx);
    }

    /// Whether the next attempt is left to the timer that was set at the start. What the tracker is asked meanwhile has
    /// it tell when the channel comes up.
    pub(super) fn is_resting(&self, ctx: &mut Context<Self>) -> bool {
        if !self.flow.is_resting {
            return false;
        }
        let (tracker, record) = (self.way.tracker.clone(), self.channel.record.clone());
        let locating = async move { tracker.request(&Locate::Id(record.id)).await };
        ctx.spawn(locating.into_actor(self).map(|located, client, _| {
            let fresh = located.ok().and_then(|fresh| follow(&client.channel.record, fresh).ok());
            if let Some(fresh) = fresh.filter(|_| client.link().is_none()) {
                client.channel.record = fresh;
            }
        }));
        true
    }

    /// An attempt is made now, whatever was planned.
    pub(super) fn end_rest(&mut self) {
        self.flow.is_resting = false;
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
