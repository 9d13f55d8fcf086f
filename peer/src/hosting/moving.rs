//! A channel that was hosted here is hosted elsewhere from now on: it stops here, and what was stored since is kept
//! apart.

use common::clock::Timestamp;
use common::entry::Checkpoint;
use common::id::ChannelId;
use common::name::ChannelName;
use common::proto::directory::Locate;
use common::proto::moving::Hosting as HostingProof;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use tokio::sync::oneshot;

use super::{Hosting, Job};
use crate::api::Event;
use crate::client::archive::Archive;
use crate::host::log::Log;
use crate::host::{self, HostHandle, HostRecord, Offer, SideBranch};
use crate::store::Cut;

impl Hosting {
    /// Somebody may bring the proof that a channel has moved.
    pub(super) fn watch_moves(&self, host: HostHandle) {
        let jobs = self.jobs.clone();
        actix::spawn(async move {
            let hosting = tokio::select! {
                hosting = host.superseded() => hosting,
                _ = host.stopped() => return,
            };
            if let Some(jobs) = jobs.upgrade() {
                // Gone already is as good.
                let _ = jobs.send(Job::Superseded(hosting, oneshot::channel().0)).await;
            }
        });
    }

    /// The tracker takes no announcement of a channel from this key any more: it says who hosts it.
    pub(super) fn look_where(&self, host: &HostHandle) -> impl Future<Output = ()> + use<> {
        let (tracker, gate) = (self.config.tracker.clone(), self.config.hosts.gate().clone());
        let (jobs, id) = (self.jobs.clone(), host.id());
        async move {
            let located = tracker.request(&Locate::Id(id)).await;
            let moved = located.ok().and_then(|record| record.moved);
            let proven = moved.and_then(|moved| gate.now().proven(&moved.proof));
            if let Some((hosting, jobs)) = proven.zip(jobs.upgrade()) {
                // Gone already is as good.
                let _ = jobs.send(Job::Superseded(hosting, oneshot::channel().0)).await;
            }
        }
    }

    /// Stops hosting a channel that has moved. First it is noted, so that it is not served again after a crash.
    pub(super) async fn superseded(&mut self, hosting: HostingProof) {
        let id = hosting.channel;
        let records = host::load_records(self.config.store.store()).await.unwrap_or_default();
        let Some(record) = records.into_iter().find(|record| record.id == id) else { return };
        let is_news = hosting.host_key != self.config.identity.key()
            && hosting.term > record.term
            && record.superseded.is_none_or(|known| known.term < hosting.term);
        if !is_news {
            return;
        }
        let name = record.name.clone();
        if let Err(refusal) = self.give_way(record, hosting).await {
            self.warn_of(&name, refusal).await;
        }
    }

    async fn give_way(&mut self, record: HostRecord, hosting: HostingProof) -> Result<(), Refusal> {
        let (id, store) = (record.id, self.config.store.store().clone());
        let mark = host::change_record(&store, id, move |record| {
            record.superseded = Some(hosting);
            (record.offer, record.handed) = (None, None);
        });
        mark.await.map_err(host::HostError::from)?;
        // The client of this very peer finds it when its connection ends.
        self.cut_archive(&record, &hosting).await?;
        self.announcing.forget(id);
        if let Some(host) = self.config.hosts.remove(id) {
            host.close_because(host::superseded(&hosting)).await;
        }
        self.config.store.keep_hosting(id, false).await?;
        let count = self.set_aside(&record, &hosting).await?;
        let is_taken = record.handed.is_some_and(|handed| handed.to == hosting.host_key);
        let told = match record.offer.as_ref().filter(|_| is_taken) {
            Some(offer) => given(&record.name, offer),
            None => refusal(&record.name, &hosting),
        };
        let aside = match count {
            0 => String::new(),
            _ => format!(
                "; {count} messages that were stored here since then are not in it, and kept: type: history {} --branch",
                record.name
            ),
        };
        self.warn_of(&record.name, Refusal { reason: format!("{}{aside}", told.reason), ..told }).await;
        Ok(())
    }

    async fn set_aside(&self, record: &HostRecord, hosting: &HostingProof) -> Result<u64, Refusal> {
        if hosting.from.epoch != record.epoch {
            return Ok(0);
        }
        let store = self.config.store.store();
        let log = Log::new(store.clone(), record.id, record.epoch);
        if hosting.open {
            return self.sign_for_others(&log, record.id).await.map(|()| 0);
        }
        if log.position_at(hosting.from.seq)? != Some(hosting.from) {
            return Ok(0);
        }
        let count = log.set_aside(hosting.from, hosting.term).await?;
        let branch = SideBranch { from: hosting.from, term: hosting.term, at: Timestamp::now() };
        host::put_aside(store, record.id, branch).await.map_err(host::HostError::from)?;
        Ok(count)
    }

    /// The new host has still to gather the log: what is here counts there as far as it is signed.
    async fn sign_for_others(&self, log: &Log, channel: ChannelId) -> Result<(), Refusal> {
        let checkpoint = Checkpoint { channel, position: log.head().await?, time: Timestamp::now() };
        let signed = Signed::sign(&checkpoint, &self.config.identity);
        let signed = signed.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
        let archive = Archive::new(self.config.store.store().clone(), channel);
        Ok(archive.keep_checkpoints(vec![(checkpoint, signed)]).await?)
    }

    /// What the log has no more the archive of this very peer is not to look for there.
    async fn cut_archive(&self, record: &HostRecord, hosting: &HostingProof) -> Result<(), Refusal> {
        if hosting.from.epoch == record.epoch && !hosting.open {
            let cut = Cut { from: hosting.from, term: hosting.term };
            self.config.store.keep_cut(record.id, cut).await?;
        }
        Ok(())
    }

    /// What a crash has left undone of moves. What is in the log since then is of whoever took the channel back.
    pub(super) async fn finish_moves(&self, records: &[HostRecord]) -> Result<(), Refusal> {
        for record in records {
            let undone = record.superseded.filter(|hosting| !record.has_put_aside(hosting.term));
            if let Some(hosting) = undone {
                self.cut_archive(record, &hosting).await?;
                self.set_aside(record, &hosting).await?;
            }
        }
        Ok(())
    }

    fn warn_of(&self, channel: &ChannelName, refusal: Refusal) -> impl Future<Output = ()> + use<> {
        let Refusal { code, reason, .. } = refusal;
        self.config.events.tell(Event::Warning { code, reason, channel: Some(channel.clone()) })
    }
}

/// What the user is told of a channel that was offered and taken.
fn given(channel: &ChannelName, offer: &Offer) -> Refusal {
    let reason = format!("{channel} is {}'s now, and hosted there; you are a member of it", offer.to.name);
    Refusal::new(Code::Superseded, reason)
}

/// What the user is told of a channel that is not hosted here any more.
pub(super) fn refusal(channel: &ChannelName, hosting: &HostingProof) -> Refusal {
    let reason = format!(
        "{channel} has moved: it is hosted by the key {} now, and no more by this peer. To take it back, type: host \
         {channel} --takeover",
        hosting.host_key
    );
    Refusal::new(Code::Superseded, reason)
}
