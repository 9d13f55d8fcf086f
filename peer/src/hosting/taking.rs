//! Somebody takes a channel that is hosted here, and does not host it in time: it is taken back.

use common::id::ChannelId;

use super::announce::Stage;
use super::{Hosting, Job};
use crate::host::HostHandle;

impl Hosting {
    /// Waits for that as long as the host lives.
    pub(super) fn watch_taking(&self, host: HostHandle) {
        let jobs = self.jobs.clone();
        actix::spawn(async move {
            loop {
                tokio::select! {
                    () = host.taking_is_over() => {}
                    _ = host.stopped() => return,
                }
                let Some(sender) = jobs.upgrade() else { return };
                if sender.send(Job::TakeBack(host.id())).await.is_err() {
                    return;
                }
                drop(sender);
                tokio::select! {
                    () = host.taking_has_ended() => {}
                    _ = host.stopped() => return,
                }
            }
        });
    }

    /// Announces the channel as its own: what was signed counts no more by that, unless it was shown to the tracker before.
    pub(super) fn take_channel_back(&mut self, id: ChannelId) {
        if let Some(host) = self.config.hosts.get(id) {
            self.announce(&host, Stage::Running, None);
        }
    }
}
