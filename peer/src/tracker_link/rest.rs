//! The pause before the first attempt, when the last ones of before the restart came to nothing.

use actix::prelude::*;

use super::{TrackerAddress, TrackerLink, TrackerLinkConfig};
use crate::api::LinkState;
use crate::pace::{Pace, Rest, Tried};

/// How often this tracker was tried in vain.
pub(super) fn load_pace(config: &TrackerLinkConfig) -> Pace {
    let TrackerAddress { address, key, .. } = &config.tracker;
    let tried = Tried::Tracker(key.map_or_else(|| address.clone(), |key| format!("{address}#{key}")));
    Pace::load(config.store.clone(), tried.clone()).unwrap_or_else(|error| {
        tracing::warn!(err = %error, "how often the tracker was tried cannot be read");
        Pace::fresh(config.store.clone(), tried)
    })
}

impl TrackerLink {
    /// Waits out the pause that an attempt of before the restart has begun, unless the user asks for something.
    pub(super) fn rest(&mut self, Rest { left, why }: Rest, ctx: &mut Context<Self>) {
        self.is_resting = true;
        self.state.send_modify(|state| state.reason = Some(why.clone()));
        let reason = format!("{} (tried again in {} s)", why.reason, left.as_secs_f64().ceil());
        let since = self.state.borrow().down.map(|down| down.at);
        self.tell_connection(LinkState::Retrying, Some(reason), since, ctx);
        ctx.run_later(left, Self::end_rest);
    }

    fn end_rest(&mut self, ctx: &mut Context<Self>) {
        if std::mem::take(&mut self.is_resting) {
            self.connect(ctx);
        }
    }
}

/// The user wants something of the tracker: the first attempt waits no longer.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TryNow;

impl Handler<TryNow> for TrackerLink {
    type Result = ();

    fn handle(&mut self, _: TryNow, ctx: &mut Self::Context) {
        self.end_rest(ctx);
    }
}
