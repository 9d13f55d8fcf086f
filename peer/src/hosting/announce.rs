//! Telling the tracker what is hosted here, and what its answers change.
//!
//! Each announcement is a task, so that a slow tracker holds nothing else up: one a channel at a time, and tried again
//! after a while when it fails for a passing reason.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use common::backoff::{Backoff, BackoffLimits, random_fraction};
use common::clock::Timestamp;
use common::id::ChannelId;
use common::proto::directory::{self, ChannelHead, HeadsKnown, Hosted, Missed, SetPolicy, Unhost};
use common::proto::moving::TakeOver;
use common::proto::status::{Code, Refusal};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::{Hosting, Reply, addresses};
use crate::api;
use crate::host::{self, Behind, HostHandle, HostSummary};

/// The tracker may want to be waited for so long at most.
const LONGEST_ASKED: Duration = Duration::from_secs(10 * 60);

/// How a channel came to be announced: it says what becomes of it when that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was served before.
    Running,
    /// It is this peer's, and was opened for this.
    Opened,
    /// Nobody knows of it yet.
    New,
}

/// What a task has come to.
pub(super) enum Outcome {
    Announced(ChannelId, Result<Missed, Refusal>),
    Released(ChannelId, Result<(), Refusal>, Reply<()>),
    /// How far these are.
    Told(Vec<ChannelHead>, Result<HeadsKnown, Refusal>),
    /// Nobody here need know.
    Nothing,
}

/// What comes next.
pub(super) enum Next {
    Ended(Ended),
    /// It is time to try again what has failed.
    Due,
}

/// A task that has ended.
pub(super) struct Ended(Result<(Id, Outcome), JoinError>);

struct UnderWay {
    task: AbortHandle,
    stage: Stage,
    /// Who waits for the outcome.
    waiting: Vec<Reply<api::Hosting>>,
    /// Something has changed since it began.
    again: bool,
}

/// What is being told to the tracker, and what still is to be.
pub(super) struct Announcing {
    /// Dropped with this, and with them their requests.
    tasks: JoinSet<Outcome>,
    under_way: HashMap<ChannelId, UnderWay>,
    failed: BTreeSet<ChannelId>,
    /// The names of these are given up, or about to be.
    released: BTreeSet<ChannelId>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl Announcing {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            failed: BTreeSet::new(),
            released: BTreeSet::new(),
            backoff: Backoff::new(BackoffLimits::default()),
            retry_at: None,
        }
    }

    /// Waits for the end of a task, or the time to try again. Cancel safe.
    pub(super) async fn next(&mut self) -> Next {
        let retry_at = self.retry_at;
        let due = async move {
            match retry_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => Next::Ended(Ended(ended)),
            () = due => Next::Due,
        }
    }

    /// Does something that nothing here waits for.
    pub(super) fn spawn(&mut self, work: impl Future<Output = ()> + 'static) {
        self.tasks.spawn_local(async move {
            work.await;
            Outcome::Nothing
        });
    }

    /// Does something whose outcome is waited for with those of announcements.
    pub(super) fn spawn_outcome(&mut self, work: impl Future<Output = Outcome> + 'static) {
        self.tasks.spawn_local(work);
    }

    /// Whether something is being said of a channel, or is to be said again.
    pub(super) fn is_under_way(&self, id: ChannelId) -> bool {
        self.under_way.contains_key(&id) || self.failed.contains(&id) || self.released.contains(&id)
    }

    /// Says nothing more of a channel. Whether its name is given up.
    pub(super) fn forget(&mut self, id: ChannelId) -> bool {
        if let Some(UnderWay { task, waiting, .. }) = self.under_way.remove(&id) {
            // On the same thread: it does not run now, and will not any more.
            task.abort();
            for reply in waiting {
                // Whoever no longer waits has no use for it.
                let _ = reply.send(Err(Code::NotHosted.into()));
            }
        }
        self.failed.remove(&id);
        self.released.remove(&id)
    }

    fn take(&mut self, id: ChannelId, task: Id) -> Option<UnderWay> {
        let is_it = self.under_way.get(&id).is_some_and(|under_way| under_way.task.id() == task);
        if is_it { self.under_way.remove(&id) } else { None }
    }

    fn note(&mut self, id: ChannelId, outcome: &Result<(), Refusal>) {
        if let Err(refusal) = outcome
            && refusal.code.is_passing()
            // A log does not get longer by waiting, nor does a channel come back.
            && !matches!(refusal.code, Code::LogBehind | Code::Superseded)
        {
            tracing::debug!(channel = %id, code = %refusal.code, "not announced yet");
            self.failed.insert(id);
            let asked = refusal.retry_after_ms.map(Duration::from_millis).unwrap_or_default();
            let delay = self.backoff.next_delay(random_fraction()).max(asked.min(LONGEST_ASKED));
            self.retry_at.get_or_insert_with(|| Instant::now() + delay);
            return;
        }
        self.failed.remove(&id);
        if self.failed.is_empty() {
            self.backoff.reset();
            self.retry_at = None;
        }
    }
}

impl Hosting {
    /// Announces everything again: the connection to the tracker is new, or who this peer is.
    pub(super) fn announce_all(&mut self) {
        let (directory, is_entered) = {
            let session = self.session.borrow();
            (session.directory.clone(), session.entered)
        };
        if let Some(directory) = directory {
            self.config.hosts.gate().trust(directory);
        }
        if is_entered {
            for host in self.config.hosts.all() {
                self.announce(&host, Stage::Running, None);
            }
        }
    }

    /// Announces again what has failed. While this peer is not let in, that would be in vain.
    pub(super) fn announce_failed(&mut self) {
        self.announcing.retry_at = None;
        if !self.session.borrow().entered {
            return;
        }
        for host in self.config.hosts.all() {
            let id = host.id();
            if self.announcing.failed.contains(&id) && !self.announcing.under_way.contains_key(&id) {
                self.announce(&host, Stage::Running, None);
            }
        }
    }

    /// Announces a channel; `reply` hears what comes of it.
    pub(super) fn announce(&mut self, host: &HostHandle, stage: Stage, reply: Option<Reply<api::Hosting>>) {
        let id = host.id();
        if self.announcing.released.contains(&id) {
            if let Some(reply) = reply {
                let reason = "the name of the channel is being given up; try again";
                let _ = reply.send(Err(Refusal::new(Code::TooManyRequests, reason)));
            }
            return;
        }
        if let Some(under_way) = self.announcing.under_way.get_mut(&id) {
            match reply {
                Some(reply) => under_way.waiting.push(reply),
                None => under_way.again = true,
            }
            return;
        }
        let announced = self.announcement(host);
        let task = self.announcing.tasks.spawn_local(async move { Outcome::Announced(id, announced.await) });
        let waiting = Vec::from_iter(reply);
        self.announcing.under_way.insert(id, UnderWay { task, stage, waiting, again: false });
    }

    fn announcement(&self, host: &HostHandle) -> impl Future<Output = Result<Missed, Refusal>> + use<> {
        let (tracker, listen) = (self.config.tracker.clone(), self.local_addr());
        let (host, advertise) = (host.clone(), self.config.listen.advertise.clone());
        async move {
            let HostSummary { id, name, head, term, policy, behind, before: forks, members, handed, .. } =
                host.summary().await?;
            let takes_back = handed.is_some_and(|handed| handed.is_over(Timestamp::now()));
            let listen = listen.ok_or_else(|| Refusal::from(Code::CannotListen))?;
            let (addresses, port) = addresses::to_announce(listen, &advertise);
            let announcement = directory::Host {
                id,
                name,
                head,
                forks,
                term,
                policy,
                port,
                addresses,
                behind,
                takeover: takes_back.then(TakeOver::default),
                members: Some(members),
            };
            let Hosted { channel, missed, .. } = match tracker.request(&announcement).await {
                Err(refusal) if refusal.code == Code::LogBehind => {
                    // How far it was, as far as the tracker knows. Members are to find it all the same.
                    let known = tracker.request(&directory::Locate::Id(id)).await;
                    let reached = known.ok().map(|known| known.head);
                    host.turn_behind(Behind::because(refusal.reason, reached)).await?;
                    tracker.request(&directory::Host { behind: true, ..announcement }).await?
                }
                hosted => hosted?,
            };
            host.set_owner(channel.owner).await?;
            host.set_term(channel.term).await?;
            if takes_back {
                host.resume().await?;
            }
            Ok(missed)
        }
    }

    /// Tells the tracker who may do what in a channel now. While nobody is entered that is left to the announcement,
    /// which says it too.
    pub(super) fn tell_policy(&mut self, id: ChannelId) {
        let Some(host) = self.config.hosts.get(id) else { return };
        if !self.session.borrow().entered || self.announcing.released.contains(&id) {
            return;
        }
        if let Some(under_way) = self.announcing.under_way.get_mut(&id) {
            under_way.again = true;
            return;
        }
        let (tracker, announced) = (self.config.tracker.clone(), self.announcement(&host));
        let told = async move {
            let HostSummary { id, policy, .. } = host.summary().await?;
            match tracker.request(&SetPolicy { id, policy }).await {
                // A tracker that does not know the channel as it is here is told all of it.
                Err(refusal) if !refusal.code.is_passing() => announced.await,
                told => told.map(|_| Missed::default()),
            }
        };
        let task = self.announcing.tasks.spawn_local(async move { Outcome::Announced(id, told.await) });
        let under_way = UnderWay { task, stage: Stage::Running, waiting: Vec::new(), again: false };
        self.announcing.under_way.insert(id, under_way);
    }

    /// Gives up the name of a channel. Until it is known whether it is, the channel is not announced.
    pub(super) fn release(&mut self, id: ChannelId, reply: Reply<()>) {
        self.announcing.forget(id);
        self.announcing.released.insert(id);
        let tracker = self.config.tracker.clone();
        self.announcing.tasks.spawn_local(async move {
            let released = tracker.request(&Unhost { id, release: true }).await.map(drop);
            Outcome::Released(id, released, reply)
        });
    }

    pub(super) async fn ended(&mut self, Ended(ended): Ended) {
        match ended {
            Ok((task, Outcome::Announced(id, outcome))) => {
                let outcome = match outcome {
                    Ok(missed) => {
                        self.missed(missed).await;
                        Ok(())
                    }
                    Err(refusal) => Err(refusal),
                };
                if let Some(under_way) = self.announcing.take(id, task) {
                    self.announced(id, under_way, outcome).await;
                }
            }
            Ok((_, Outcome::Released(id, outcome, reply))) => self.released(id, outcome, reply).await,
            Ok((_, Outcome::Told(heads, answer))) => self.told_heads(heads, answer),
            Ok((_, Outcome::Nothing)) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                self.config.alarm.raise(format!("telling the tracker what is hosted died: {error}"))
            }
        }
    }

    /// Takes what was revoked while this peer was away. The rest of very much comes with the next announcement.
    async fn missed(&mut self, missed: Missed) {
        let Missed { revoked, more_revoked } = missed;
        if !revoked.is_empty() {
            self.revoked(revoked).await;
        }
        if more_revoked {
            self.announce_all();
        }
    }

    async fn announced(&mut self, id: ChannelId, under_way: UnderWay, outcome: Result<(), Refusal>) {
        let UnderWay { stage, waiting, again, .. } = under_way;
        let Some(host) = self.config.hosts.get(id) else { return };
        self.announcing.note(id, &outcome);
        if outcome.as_ref().is_err_and(|refusal| refusal.code == Code::Superseded) {
            let look = self.look_where(&host);
            self.announcing.spawn(look);
        }
        // A channel of this peer is served while the tracker is away; only one that nobody knows yet needs its word.
        let is_over = |refusal: &Refusal| !refusal.code.is_passing() || refusal.code == Code::Superseded;
        let refusal = outcome.err().filter(|refusal| stage == Stage::New || is_over(refusal));
        let result = match (refusal, stage) {
            (None, _) if waiting.is_empty() => Ok(()),
            (None, _) => self.config.store.keep_hosting(id, true).await.map_err(Refusal::from),
            (Some(refusal), Stage::Running) if waiting.is_empty() && refusal.code != Code::Superseded => {
                let told = self.warn(host.name(), &refusal);
                self.announcing.spawn(told);
                Err(refusal)
            }
            (Some(refusal), Stage::Running) => Err(refusal),
            (Some(refusal), Stage::Opened | Stage::New) => {
                // Without an answer the tracker may have it: the same channel is announced when the user tries again.
                let is_to_forget = stage == Stage::New && !refusal.code.is_passing();
                self.take_back(&host, is_to_forget).await.and(Err(refusal))
            }
        };
        for reply in waiting {
            let result = result.clone().and_then(|()| self.hosting(&host));
            // Whoever no longer waits has no use for it.
            let _ = reply.send(result);
        }
        if again && self.config.hosts.get(id).is_some() && self.session.borrow().entered {
            self.announce(&host, Stage::Running, None);
        }
    }

    /// A channel that was opened to be hosted is not, after all.
    async fn take_back(&mut self, host: &HostHandle, is_to_forget: bool) -> Result<(), Refusal> {
        self.announcing.forget(host.id());
        self.close(host.id()).await;
        if is_to_forget {
            host::forget(self.config.store.store(), host.id()).await?;
        }
        Ok(())
    }

    async fn released(&mut self, id: ChannelId, outcome: Result<(), Refusal>, reply: Reply<()>) {
        let is_released = outcome.is_ok();
        if !is_released {
            self.announcing.released.remove(&id);
            if let Some(host) = self.config.hosts.get(id) {
                self.announce(&host, Stage::Running, None);
            }
        }
        if reply.send(outcome).is_err() && is_released {
            // Whoever was to stop the channel now is gone.
            match self.stop(id).await {
                Ok(tell) => self.announcing.spawn(async move { drop(tell.await) }),
                Err(refusal) => tracing::warn!(channel = %id, reason = %refusal, "not stopped in order"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many seconds something is tried again.
    fn due(announcing: &Announcing) -> Option<u64> {
        announcing.retry_at.map(|at| at.duration_since(Instant::now()).as_secs())
    }

    fn away() -> Result<(), Refusal> {
        Err(Code::TrackerAway.into())
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_in_passing_is_tried_again_until_nothing_is_left_of_it() {
        let mut announcing = Announcing::new();
        let (first, second) = (ChannelId::new(), ChannelId::new());
        announcing.note(first, &away());
        announcing.note(second, &away());
        assert!(due(&announcing).is_some_and(|seconds| seconds <= 2), "{:?}", due(&announcing));
        assert!(matches!(announcing.next().await, Next::Due));
        announcing.note(first, &Ok(()));
        assert!(due(&announcing).is_some(), "one still waits");
        announcing.note(second, &Err(Code::NotOwner.into()));
        assert_eq!((due(&announcing), announcing.failed.len()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tracker_may_ask_for_patience_within_limits() {
        for (asked, at_least) in [(90_000, 90), (u64::MAX, 600)] {
            let mut announcing = Announcing::new();
            let refusal = Refusal { retry_after_ms: Some(asked), ..Code::TooManyRequests.into() };
            announcing.note(ChannelId::new(), &Err(refusal));
            assert_eq!(due(&announcing), Some(at_least));
        }
    }
}
