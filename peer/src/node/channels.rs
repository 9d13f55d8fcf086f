//! Commands of the group `channel`.

use common::name::ChannelName;
use common::proto::directory::{ChannelRecord, Locate};
use common::proto::status::{Code, Refusal};

use super::NodeHandle;
use crate::api::{Outcome, Reply};
use crate::client::ClientHandle;
use crate::host::HostSummary;

impl NodeHandle {
    /// Hosts a channel, and is in it from then on: a host wants to see what is said at home.
    pub(super) async fn host(&self, channel: ChannelName) -> Outcome {
        let hosting = match self.hosting.start(channel.clone()).await {
            Err(refusal) => return Err(self.why_not_hosted(channel, refusal).await),
            hosting => hosting?,
        };
        let client = match self.find(&hosting.channel).await? {
            Some(client) if client.id() == hosting.id => client,
            _ => self.open(self.hosted_record(&hosting).await?).await?,
        };
        client.join(None).await?;
        Ok(Reply::Hosting(hosting))
    }

    /// Whoever owns a channel that is hosted elsewhere, or was hosted here before all was lost, is told how to go on.
    async fn why_not_hosted(&self, channel: ChannelName, refusal: Refusal) -> Refusal {
        if !matches!(refusal.code, Code::NameTaken | Code::HostedElsewhere) {
            return refusal;
        }
        let found = self.tracker.request(&Locate::Name(channel)).await;
        let me = self.session.borrow().held.as_ref().map(|held| held.claims.subject);
        let Some(found) = found.ok().filter(|found| Some(found.owner.subject) == me) else { return refusal };
        let (name, key) = (&found.name, found.host_key);
        let where_it_is = match (key == self.session.borrow().key, found.online) {
            (true, _) => "was hosted by this peer, which has nothing of it any more".to_owned(),
            (false, false) => {
                format!("was hosted on another machine, with the key {key}, which is not there now")
            }
            (false, true) => format!("is hosted on another machine, with the key {key}"),
        };
        let reason = format!(
            "{name} is yours, and {where_it_is}. To go on with it here, type: host {name} --takeover"
        );
        Refusal::new(Code::HostedElsewhere, reason)
    }

    async fn hosted_record(&self, hosting: &crate::api::Hosting) -> Result<ChannelRecord, Refusal> {
        let host = self.hosting.hosts().get(hosting.id).ok_or_else(|| Refusal::from(Code::NotHosted))?;
        let HostSummary { id, name, owner, head, term, .. } = host.summary().await?;
        Ok(ChannelRecord {
            id,
            name,
            owner,
            host_key: self.session.borrow().key,
            addresses: vec![common::transport::Address::tcp(hosting.listen)],
            head,
            term,
            online: true,
            moved: None,
        })
    }

    pub(super) async fn unhost(&self, channel: ChannelName, release: bool) -> Outcome {
        let client = self.find(&channel).await?;
        let hosted = self.hosting.hosts().all().into_iter().find(|host| *host.name() == channel);
        let id = hosted.map(|host| host.id()).or(client.as_ref().filter(|_| release).map(ClientHandle::id));
        let id = id.ok_or_else(|| Refusal::new(Code::NotHosted, format!("{channel} is not hosted here")))?;
        if release {
            // First, so that nothing has changed when the tracker cannot be told.
            let unchanged = |refusal: Refusal| {
                let reason = format!("{channel} is as it was, and its name is kept: {}", refusal.reason);
                Refusal { reason, ..refusal }
            };
            self.hosting.release(id).await.map_err(unchanged)?;
        }
        if let Some(client) = client.filter(|client| client.id() == id) {
            client.leave().await?;
        }
        self.hosting.stop(id).await?;
        Ok(Reply::Done {})
    }

    pub(super) async fn join(&self, channel: ChannelName) -> Outcome {
        let known = self.find(&channel).await?;
        let joined = match known {
            Some(client) => self.rejoin(client).await?,
            None => {
                let record = self.tracker.request(&Locate::Name(channel)).await?;
                self.open(record).await?.join(None).await?
            }
        };
        Ok(Reply::Joined(joined))
    }

    /// Joins a channel that is known by its id; its name may have become another's since.
    async fn rejoin(&self, client: ClientHandle) -> Result<crate::api::JoinedChannel, Refusal> {
        match self.tracker.request(&Locate::Id(client.id())).await {
            Ok(fresh) => client.join(Some(fresh)).await,
            Err(refusal) if refusal.code == Code::NoSuchChannel => {
                match self.tracker.request(&Locate::Name(client.name().clone())).await {
                    Ok(record) => self.open(record).await?.join(None).await,
                    // What the host says counts, and it may know more of who may enter than the tracker does yet.
                    Err(_) => client.join(None).await.map_err(|tried| match tried.code {
                        Code::HostAway => refusal,
                        _ => tried,
                    }),
                }
            }
            // Without the tracker the way that is known has to do.
            Err(_) => client.join(None).await,
        }
    }

    pub(super) async fn leave(&self, channel: ChannelName) -> Outcome {
        self.known(&channel).await?.leave().await?;
        Ok(Reply::Done {})
    }

    pub(super) async fn send(&self, channel: ChannelName, text: String) -> Outcome {
        self.known(&channel).await?.send(text).await.map(Reply::Queued)
    }

    pub(super) async fn verify(&self, channel: ChannelName) -> Outcome {
        let mut verified = self.known(&channel).await?.verify().await?;
        // What is hosted here is here as a whole, whatever of it this user was shown.
        if let (Some(host), Ok(who)) = (self.hosted(&channel), self.holder()) {
            let log = self.historian.verify_hosted(&host, who).await?;
            verified.logs.retain(|received| received.epoch != log.epoch);
            verified.logs.push(log);
            verified.sound = verified.logs.iter().all(|log| log.faults.is_empty());
        }
        Ok(Reply::Verified(verified))
    }

    pub(super) async fn history(&self, channel: ChannelName, count: u32, before: Option<u64>) -> Outcome {
        self.known(&channel).await?.history(count, before).await.map(Reply::History)
    }
}
