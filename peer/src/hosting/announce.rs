//! Telling the tracker what is hosted here, and what its answer changes.

use common::proto::directory::{self, ChannelRecord};
use common::proto::status::{Code, Refusal};

use super::{Hosting, addresses};
use crate::host::{HostHandle, HostSummary};

impl Hosting {
    /// Announces everything again: the connection to the tracker is new, or who this peer is.
    pub(super) async fn announce_all(&mut self) {
        let (directory, is_entered) = {
            let session = self.session.borrow();
            (session.directory.clone(), session.entered)
        };
        for host in self.config.hosts.all() {
            if let Some(directory) = &directory {
                host.trust(directory.clone());
            }
            if !is_entered {
                continue;
            }
            match self.announce(&host).await {
                Ok(()) => {}
                Err(refusal) if refusal.code.is_passing() => {
                    tracing::debug!(channel = %host.id(), code = %refusal.code, "not announced yet");
                }
                Err(refusal) => self.warn(host.name(), refusal).await,
            }
        }
    }

    pub(super) async fn announce(&self, host: &HostHandle) -> Result<(), Refusal> {
        let HostSummary { id, name, head, term, policy, .. } = host.summary().await?;
        let listen = self.local_addr().ok_or_else(|| Refusal::from(Code::CannotListen))?;
        let (addresses, port) = addresses::to_announce(listen, &self.config.listen.advertise);
        let announcement = directory::Host { id, name, head, term, policy, port, addresses };
        let ChannelRecord { owner, term, .. } = self.config.tracker.request(&announcement).await?;
        host.set_owner(owner).await?;
        host.set_term(term).await?;
        Ok(())
    }
}
