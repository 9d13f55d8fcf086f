//! A channel moves from one machine to another.

use std::path::{Path, PathBuf};

use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::directory::{self, ChannelRecord, Hosted, Locate};
use common::proto::moving::TakeOver;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use crate::api::{LogFrom, Outcome, Reply};
use crate::history::{Brought, Historian};
use crate::host::HostRecord;
use crate::{host, hosting};

/// Where what this peer has received of a channel is written to before it is hosted here.
const OWN_LOG: &str = "takeover.jsonl";

impl NodeHandle {
    /// Hosts a channel that another machine of its owner hosts so far.
    pub(super) async fn take_over(&self, channel: ChannelName, log: LogFrom) -> Outcome {
        let held = self.session.borrow().held.clone();
        let held = held.ok_or_else(|| self.tracker.why_not_entered())?;
        let me = hosting::owner(&held)?;
        let found = self.tracker.request(&Locate::Name(channel)).await?;
        if self.hosting.hosts().get(found.id).is_some() {
            return self.host(found.name).await;
        }
        if found.owner.subject != me.subject && !matches!(log, LogFrom::File(_)) {
            return Err(Code::NotOwner.into());
        }
        let brought = match (self.still_hosted(&found).await?, log) {
            // What was handed over, and not taken yet, is taken back.
            (Some(record), LogFrom::Received) => self.historian.own(record).await?,
            (_, LogFrom::File(path)) => self.historian.bring(&found, me.subject, path).await?,
            (None, LogFrom::Received) => match self.bring_received(&found).await {
                Err(refusal) if is_short(&refusal) => self.gather(&found, refusal).await?,
                brought => brought?,
            },
            (_, LogFrom::Nothing) => Historian::begin_anew(&found),
        };
        self.begin_hosting(found, brought).await
    }

    /// Hosts a channel whose log is here, and is in it.
    pub(super) async fn begin_hosting(&self, found: ChannelRecord, brought: Brought) -> Outcome {
        let moved = match self.announce_takeover(&found, brought).await {
            Ok(moved) => moved,
            Err(refusal) => {
                self.historian.drop_brought(found.id).await?;
                return Err(refusal);
            }
        };
        if let Some(client) = self.clients().await?.into_iter().find(|client| client.id() == moved.id) {
            client.moved_here(moved.clone()).await;
        }
        self.host(moved.name).await
    }

    /// The channel, when it was this peer that hosted it last.
    async fn still_hosted(&self, found: &ChannelRecord) -> Result<Option<HostRecord>, Refusal> {
        let records = host::load_records(self.historian.store()).await?;
        let is_it = |record: &HostRecord| record.id == found.id && record.superseded.is_none();
        let is_mine = found.host_key == self.session.borrow().key;
        Ok(records.into_iter().find(|record| is_mine && is_it(record)))
    }

    /// The log is what this peer has received as a member.
    pub(super) async fn bring_received(&self, found: &ChannelRecord) -> Result<Brought, Refusal> {
        let client = self.clients().await?.into_iter().find(|client| client.id() == found.id);
        let client = client.ok_or_else(|| {
            let reason = "nothing of the channel was received here; bring a file along that was made with export, or begin \
                          anew with --new-log";
            Refusal::new(Code::NotJoined, reason)
        })?;
        let path = self.data.join(OWN_LOG);
        remove(&path)?;
        self.historian.export_received(client.to_export().await?, path.clone()).await?;
        let brought = self.historian.bring(found, found.owner.subject, path.clone()).await;
        remove(&path)?;
        brought
    }

    /// What is not here members may have: they give it back once the channel is hosted here, which takes nothing before.
    /// While the host of before is there, it is better asked itself.
    async fn gather(&self, found: &ChannelRecord, short: Refusal) -> Result<Brought, Refusal> {
        if found.online {
            let reason = format!(
                "{}. Its host is there now, and has it: type there: export {} FILE --to KEY, with the key that whoami shows \
                 here. If that machine is gone for good, try again in a minute, and members are asked",
                short.reason, found.name
            );
            return Err(Refusal { reason, ..short });
        }
        self.historian.begin_gathering(found).await
    }

    /// Tells the tracker before anybody is let in here: who may do what is known to it, and perhaps not yet here.
    async fn announce_takeover(
        &self,
        found: &ChannelRecord,
        brought: Brought,
    ) -> Result<ChannelRecord, Refusal> {
        let Brought { mut record, head, new_log, hand_over } = brought;
        let hosting::Place { addresses, port } = self.hosting.place().await?;
        let announcement = directory::Host {
            id: found.id,
            name: found.name.clone(),
            head,
            forks: record.lives_before(),
            term: record.term,
            policy: record.policy.clone(),
            port,
            addresses,
            behind: record.behind.is_some(),
            takeover: Some(TakeOver { new_log, hand_over }),
            members: None,
        };
        let Hosted { channel, policy, missed } = self.tracker.request(&announcement).await?;
        // They are told once.
        self.hosting.revoked(missed.revoked).await;
        (record.term, record.owner) = (channel.term, channel.owner.clone());
        record.policy = policy.unwrap_or(record.policy);
        self.historian.keep_brought(record).await?;
        Ok(channel)
    }

    /// Stops hosting a channel, and writes all of it into a file for the key that is to host it: another one of this
    /// user, or somebody else's, whose the channel is to be.
    pub(super) async fn hand_over(
        &self,
        channel: ChannelName,
        heir: Option<UserName>,
        path: PathBuf,
        to: PeerKey,
    ) -> Outcome {
        let hosted = self.hosting.hosts().all().into_iter().find(|host| *host.name() == channel);
        let hosted = hosted.ok_or_else(|| {
            Refusal::new(
                Code::NotHosted,
                format!("{channel} is not hosted here; only its host hands it over"),
            )
        })?;
        let held = self.session.borrow().held.clone();
        let held = held.ok_or_else(|| self.tracker.why_not_entered())?;
        let who = Holder { subject: held.claims.subject, key: held.claims.peer_key };
        let record = hosted.disclose(who).await?.record;
        if to == held.claims.peer_key {
            let reason =
                "this is the key of this very peer; give that of the other one, which whoami shows there";
            return Err(Refusal::new(Code::Usage, reason));
        }
        if path.symlink_metadata().is_ok() {
            let reason = format!("{}: there is such a file already; choose another name", path.display());
            return Err(Refusal::new(Code::FileFailed, reason));
        }
        let owner = match heir {
            Some(heir) => self.heir(heir, who.subject).await?.subject,
            None => who.subject,
        };
        // First, so that nothing is stored behind what is handed over.
        self.hosting.stop(record.id).await?;
        match self.historian.hand_over(record, (to, owner), path).await {
            Ok(exported) => Ok(Reply::Exported(exported)),
            Err(refusal) => {
                self.hosting.start(channel).await?;
                Err(refusal)
            }
        }
    }

    /// What was put aside when a channel moved.
    pub(super) async fn branch(&self, channel: ChannelName, count: u32) -> Outcome {
        let records = host::load_records(self.historian.store()).await?;
        let hosted = records.into_iter().find(|record| record.name == channel).map(|record| record.id);
        let id = match hosted {
            Some(id) => id,
            None => self.known(&channel).await?.id(),
        };
        self.historian.branch((id, channel), count).await.map(Reply::Branch)
    }
}

/// Whether what is here of a log is too little, or cannot be read any more.
fn is_short(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::NotJoined | Code::LogBehind | Code::BadExport | Code::StorageFailed)
}

fn remove(path: &Path) -> Result<(), Refusal> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Refusal::new(Code::FileFailed, format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
