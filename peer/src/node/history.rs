//! History as a whole: taken along, and brought.

use std::path::PathBuf;

use common::id::ChannelId;
use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::channel::{Erase, Stored};
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use crate::api::{ErasedEntry, Outcome, Reply};
use crate::history::{Import, check};
use crate::host::HostHandle;
use crate::{host, hosting};

impl NodeHandle {
    /// Exports a channel: all of it where it is hosted, if this user may have that; elsewhere what was received.
    pub(super) async fn export(&self, channel: ChannelName, path: PathBuf) -> Outcome {
        let exported = match self.hosted(&channel) {
            Some(hosted) => self.historian.export_hosted(&hosted, self.holder()?, path).await?,
            None => {
                let sources = self.known(&channel).await?.to_export().await?;
                self.historian.export_received(sources, path).await?
            }
        };
        Ok(Reply::Exported(exported))
    }

    /// The host of a channel that is hosted here.
    pub(super) fn hosted(&self, channel: &ChannelName) -> Option<HostHandle> {
        self.hosting.hosts().all().into_iter().find(|host| host.name() == channel)
    }

    /// Who this user is, to a host of this peer.
    pub(super) fn holder(&self) -> Result<Holder, Refusal> {
        let held = self.session.borrow().held.clone();
        let claims = held.ok_or_else(|| self.tracker.why_not_entered())?.claims;
        Ok(Holder { subject: claims.subject, key: claims.peer_key })
    }

    /// Erases a message, at its host and, by the entry that the host makes of it, at everybody.
    pub(super) async fn erase(&self, channel: ChannelName, seq: u64, why: Option<String>) -> Outcome {
        let client = self.known(&channel).await?;
        let Stored { seq: by, stored_at: at } = client.request(&Erase { seq, why }).await?;
        Ok(Reply::Erased(ErasedEntry { channel: client.name().clone(), seq, by, at }))
    }

    /// Has members give back what the log of a channel that is hosted here has lost, or goes on without it.
    pub(super) async fn recover(&self, channel: ChannelName, fork: bool) -> Outcome {
        let who = self.holder()?;
        let recovered = match fork {
            true => self.hosting.fork(channel, who).await?,
            false => self.hosting.recover(channel, who).await?,
        };
        Ok(Reply::Recovered(Box::new(recovered)))
    }

    /// Copies all that this peer keeps.
    pub(super) async fn backup(&self, folder: PathBuf) -> Outcome {
        self.historian.backup(&self.data, folder).await.map(Reply::BackedUp)
    }

    /// Makes a channel of a file, and hosts it.
    pub(super) async fn import(
        &self,
        path: PathBuf,
        name: Option<ChannelName>,
        key: Option<PeerKey>,
    ) -> Outcome {
        let held = self.session.borrow().held.clone();
        let held = held.ok_or_else(|| self.tracker.why_not_entered())?;
        let looked = self.historian.look(&path).await?;
        if let Some((head, _)) = &looked {
            check::check_key(head.host_key, self.known_key(head.channel).await?, key)?;
        }
        let called = name.as_ref().or(looked.as_ref().map(|(head, _)| &head.name));
        if let Some(called) = called {
            self.check_free(called).await?;
        }
        let import = Import { path, name, owner: hosting::owner(&held)? };
        let (record, imported) = self.historian.take(import, looked).await?;
        // Not known by a tracker that is away, it is announced when that is back.
        if let Err(refusal) = self.host(record.name).await {
            if self.hosting.hosts().get(record.id).is_some() {
                self.hosting.stop(record.id).await?;
            }
            self.historian.drop_again(record.id, record.epoch).await?;
            return Err(refusal);
        }
        Ok(Reply::Imported(imported))
    }

    /// By which key a channel is hosted, as far as this peer knows it.
    async fn known_key(&self, id: ChannelId) -> Result<Option<PeerKey>, Refusal> {
        let records = host::load_records(self.historian.store()).await?;
        if records.iter().any(|record| record.id == id) {
            return Ok(Some(self.session.borrow().key));
        }
        let clients = self.clients().await?;
        match clients.into_iter().find(|client| client.id() == id) {
            Some(client) => Ok(Some(client.host_key().await?)),
            None => Ok(None),
        }
    }

    async fn check_free(&self, name: &ChannelName) -> Result<(), Refusal> {
        let records = host::load_records(self.historian.store()).await?;
        if records.iter().any(|record| record.name == *name) {
            let reason = format!("you host a channel {name} already; give another name: import FILE CH");
            return Err(Refusal::new(Code::NameTaken, reason));
        }
        Ok(())
    }
}
