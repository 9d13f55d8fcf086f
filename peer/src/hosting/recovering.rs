//! A log that has lost entries gets them back from members, and is served on.
//!
//! While that is under way the host goes on as it is: it can be read, and takes nothing. What was given back is on the
//! disk behind its back; then it is closed and opened on what is there, and its members come again.

use std::collections::BTreeSet;
use std::time::Duration;

use common::crash::{self, Point};
use common::entry::Position;
use common::id::{ChannelId, Epoch};
use common::identity::Identity;
use common::name::ChannelName;
use common::proto::directory::Locate;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use common::storage::Store;
use tokio::time::sleep;

use super::announce::Stage;
use super::{Hosting, Job, Reply};
use crate::api::{Recovered, Run};
use crate::host::log::Log;
use crate::host::{self, HostError, HostHandle, HostRecord, Surveyed, forking};
use crate::recovery::forking::copy_log;
use crate::recovery::verdict::{Verdict, judge};
use crate::recovery::{Gathered, Quest, gather};
use crate::tracker_link::TrackerHandle;

/// While something is on its way to the disk, whether it is there is looked at so often.
const LOOKS: usize = 50;
/// So often it is gathered at most, when others come meanwhile.
const MAX_ROUNDS: usize = 4;
/// After so long each.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What recovering needs.
pub(super) struct Recovering {
    host: HostHandle,
    store: Store,
    identity: Identity,
    tracker: TrackerHandle,
}

impl Hosting {
    /// Begins to do what a log needs that has lost something; `reply` hears what has come of it.
    pub(super) fn recover<W>(
        &mut self,
        channel: &ChannelName,
        reply: Reply<Recovered>,
        work: impl FnOnce(Recovering) -> W + 'static,
    ) where
        W: Future<Output = Result<Recovered, Refusal>> + 'static,
    {
        let Some(host) = self.config.hosts.all().into_iter().find(|host| host.name() == channel) else {
            let reason = format!("{channel} is not hosted here");
            return drop(reply.send(Err(Refusal::new(Code::NotHosted, reason))));
        };
        let id = host.id();
        if !self.recovering.insert(id) {
            let reason = format!("{channel} is being recovered already");
            return drop(reply.send(Err(Refusal::new(Code::TooManyRequests, reason))));
        }
        let store = self.config.store.store().clone();
        let (identity, tracker) = (self.config.identity.clone(), self.config.tracker.clone());
        let (work, jobs) = (work(Recovering { host, store, identity, tracker }), self.jobs.clone());
        self.announcing.spawn(async move {
            let outcome = work.await;
            if let Some(jobs) = jobs.upgrade() {
                // Gone already is as good: what is on the disk counts at the next start.
                let _ = jobs.send(Job::Recovered(id, outcome, reply)).await;
            }
        });
    }

    /// Serves a channel on what is there by now.
    pub(super) async fn recovered(
        &mut self,
        id: ChannelId,
        outcome: Result<Recovered, Refusal>,
        reply: Reply<Recovered>,
    ) {
        self.recovering.remove(&id);
        let reopened = match self.is_outdated(id, &outcome).await {
            true => self.reopen(id).await,
            false => Ok(()),
        };
        // Whoever no longer waits has no use for it.
        let _ = reply.send(outcome.and_then(|recovered| reopened.map(|()| recovered)));
    }

    /// Whether the host knows less than is on the disk.
    async fn is_outdated(&self, id: ChannelId, outcome: &Result<Recovered, Refusal>) -> bool {
        let Some(host) = self.config.hosts.get(id) else { return false };
        let is_whole = outcome.as_ref().is_ok_and(|recovered| recovered.whole);
        is_whole || host.is_outdated().await
    }

    async fn reopen(&mut self, id: ChannelId) -> Result<(), Refusal> {
        let records = host::load_records(self.config.store.store()).await?;
        let record = records.into_iter().find(|record| record.id == id).ok_or(Code::NotHosted)?;
        self.close(id).await;
        let host = self.open(record).await?;
        self.announce(&host, Stage::Running, None);
        Ok(())
    }
}

impl Recovering {
    pub(super) async fn run(self, who: Holder) -> Result<Recovered, Refusal> {
        let mut surveyed = self.settled(who).await?;
        if surveyed.record.behind.is_none() {
            return Err(Code::NotBehind.into());
        }
        let log = Log::new(self.store.clone(), surveyed.record.id, surveyed.record.epoch);
        let from = log.head().await?;
        let (mut gathered, mut helped) = (self.gather(&surveyed, from).await?, BTreeSet::new());
        for _ in 1..MAX_ROUNDS {
            // That takes its time: meanwhile others may have come, or proven more.
            let again = self.settled(who).await?;
            let is_news = has_more(&surveyed, &again);
            surveyed = again;
            if !is_news {
                break;
            }
            helped.append(&mut gathered.from);
            gathered = self.gather(&surveyed, gathered.end).await?;
        }
        gathered.from.append(&mut helped);
        let record = surveyed.record;
        let mut reached: Vec<Position> = gathered.signed.into_iter().collect();
        reached.extend(self.known_to_tracker(&record).await);
        reached.extend(record.behind.as_ref().and_then(|behind| behind.reached));
        // Nothing is known by that where a log begins.
        reached.retain(|position| position.seq > 0);
        if gathered.end != from {
            // What was signed of it is in it.
            reached.push(gathered.end);
        }
        let found = |seq| log.position_at(seq).ok().flatten();
        let verdict = match judge(gathered.end, &reached, gathered.unproven, found) {
            Verdict::Whole => self.is_whole(&record, gathered.end).await?,
            verdict => verdict,
        };
        tracing::info!(channel = %record.id, seq = gathered.end.seq, ?verdict, "recovered");
        Ok(report(&record, from, gathered, verdict))
    }

    async fn gather(
        &self,
        Surveyed { record, members }: &Surveyed,
        from: Position,
    ) -> Result<Gathered, Refusal> {
        let before = record.behind.iter().flat_map(|behind| &behind.signers).copied();
        let quest = Quest {
            store: self.store.clone(),
            identity: self.identity.clone(),
            channel: record.id,
            signers: [self.identity.key()].into_iter().chain(before).collect(),
            from,
        };
        tracing::info!(channel = %record.id, seq = from.seq, members = members.len(), "recovering");
        gather(quest, members).await
    }

    /// Notes that all is there again, unless more was proven in this very moment.
    async fn is_whole(&self, record: &HostRecord, end: Position) -> Result<Verdict, Refusal> {
        let whole = host::is_whole_again(&self.store, record.id, end).await.map_err(HostError::from)?;
        crash::here(Point::RecoverWhole);
        Ok(if whole { Verdict::Whole } else { Verdict::Unknown })
    }

    /// Goes on without what is missing: the host takes nothing while all that is there is copied into a new log.
    pub(super) async fn fork(self, who: Holder) -> Result<Recovered, Refusal> {
        self.settled(who).await?;
        let why = "its owner has it go on in a new log".to_owned();
        self.host.hold(why).await?;
        let Surveyed { record, .. } = self.settled(who).await?;
        let parent = Log::new(self.store.clone(), record.id, record.epoch).head().await?;
        let epoch = Epoch::new();
        forking::begin(&self.store, record.id, epoch).await?;
        let head = copy_log(&self.store, &self.identity, record.id, parent, epoch).await?;
        host::fork_record(&self.store, record.id, parent, epoch).await.map_err(HostError::from)?;
        tracing::info!(channel = %record.id, seq = head.seq, "goes on in a new log");
        Ok(Recovered {
            channel: record.name,
            whole: true,
            entries: 0,
            head,
            from: Vec::new(),
            missing: None,
            unproven: 0,
            diverged: false,
            rejected: Vec::new(),
            forked: Some(parent),
        })
    }

    /// The same once nothing is on its way to the disk any more.
    async fn settled(&self, who: Holder) -> Result<Surveyed, Refusal> {
        for _ in 0..LOOKS {
            match self.host.survey(who).await {
                Err(refusal) if refusal.code == Code::TooManyRequests => sleep(LOOK_AGAIN_AFTER).await,
                surveyed => return surveyed,
            }
        }
        self.host.survey(who).await
    }

    async fn known_to_tracker(&self, record: &HostRecord) -> Option<Position> {
        self.tracker.request(&Locate::Id(record.id)).await.ok().map(|known| known.head)
    }
}

/// Whether there is more to gather than before: it is proven to go further, or somebody has come who may have it.
fn has_more(before: &Surveyed, now: &Surveyed) -> bool {
    let reached = |surveyed: &Surveyed| surveyed.record.behind.as_ref().and_then(|behind| behind.reached);
    let links = |surveyed: &Surveyed| -> Vec<_> {
        surveyed.members.iter().map(|member| member.link.peer_key()).collect()
    };
    let known = links(before);
    reached(before) != reached(now) || links(now).iter().any(|key| !known.contains(key))
}

fn report(record: &HostRecord, from: Position, gathered: Gathered, verdict: Verdict) -> Recovered {
    let Gathered { end, unproven, from: givers, rejected, .. } = gathered;
    let missing = match verdict {
        Verdict::Missing(to) => Some(Run { from: end.seq + 1, to }),
        _ => None,
    };
    Recovered {
        channel: record.name.clone(),
        whole: verdict == Verdict::Whole,
        entries: end.seq - from.seq,
        head: end,
        from: givers.into_iter().collect(),
        missing,
        unproven,
        diverged: matches!(verdict, Verdict::Diverged(_)),
        rejected,
        forked: None,
    }
}
