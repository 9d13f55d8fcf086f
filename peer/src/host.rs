//! The host of a channel: keeps its log, lets members in, takes their messages, and hands out what is on disk.
//!
//! In reading order: what is pure ([`permission`], [`moderation`], [`kicked`], [`channel`], [`seats`], [`begin`],
//! [`presence`], [`counted`], [`gate`], [`quota`], [`held`], [`claims`]), what is on disk ([`log`], [`forking`], [`record`], `acts`), the actor that owns it all (`actor`, `effects`, `behind`, `moderate`),
//! one member's connection (`member`), what is read past the actor (`reading`), the stream by which a member catches up
//! (`stream`), and what goes to those who have (`fanout`).
//!
//! A message takes this way: a member's task reads and checks it, and hands it to the actor; [`channel`] puts it into
//! the next batch; the store writes and flushes that; then the actor answers the sender and hands the encoded lines, the
//! same bytes for all, to the tasks of `fanout`, which write them to the live members. No message of the actor is made
//! for a delivery, and no task is woken for one.

mod actor;
mod acts;
pub mod begin;
mod behind;
pub mod channel;
pub mod claims;
pub mod counted;
mod effects;
mod erasing;
mod fanout;
pub mod forking;
pub mod gate;
mod handing;
pub mod held;
pub mod kicked;
pub mod log;
pub(crate) mod member;
mod messages;
mod moderate;
pub mod moderation;
pub mod permission;
pub mod presence;
pub mod quota;
mod reading;
pub mod record;
pub mod retention;
mod searching;
pub mod seats;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix::{Addr, ArbiterHandle, MailboxError};
use common::clock::Timestamp;
use common::crash::{self, Point};
use common::entry::Position;
use common::id::{ChannelId, Subject};
use common::identity::{Identity, PeerKey};
use common::name::ChannelName;
use common::proto::channel::DebugReport;
use common::proto::directory::Owner;
use common::proto::moving::Hosting;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::{Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

pub use gate::{SharedGate, TrackerState};
pub use messages::{Claim, Claimed, Disclosed, HostSummary, Reach, Surveyed};
pub use record::{
    Behind, Handed, HostRecord, Offer, SideBranch, add as add_record, change as change_record, forget,
    fork as fork_record, is_whole_again, keep as keep_record, load_records, put_aside,
    replace as replace_record,
};

use crate::search::Search;
use actor::{Admission, Host};
use acts::Acts;
use fanout::Fanout;
use log::{Log, LogError};
use messages::{
    Close, Disclose, EndOffer, Inspect, Resume, SetOffer, SetOwner, SetTerm, Summarise, Survey, Sweep,
    TurnBehind,
};

/// What a host is made of.
pub struct HostConfig {
    /// The peer's store.
    pub store: Store,
    /// The peer's key, which signs checkpoints.
    pub identity: Identity,
    /// The channel, new or known.
    pub record: HostRecord,
    /// The thread on which the host's actor runs. One for all hosts of a peer is meant: a host has little to do for
    /// a message and nothing for a delivery but a push, and it may wait for the disk when it looks up an id, which
    /// should hold up neither the user nor the tracker's connection. Writing and reading of members is elsewhere.
    pub arbiter: ArbiterHandle,
    /// Whose passes count.
    pub gate: SharedGate,
    /// What finds entries.
    pub search: Search,
}

/// Why a host could not do what its peer wants of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// It has ended.
    #[error("the host of the channel has ended")]
    Gone,
    /// Its record could not be kept.
    #[error("the record of the channel could not be kept")]
    Store(#[source] StoreError),
    /// Its record cannot be changed.
    #[error("the record of the channel cannot be changed")]
    Record(#[source] record::BadRecord),
    /// Its log could not be read.
    #[error("the log of the channel could not be read")]
    Log(#[from] LogError),
}

impl From<StoreError<record::BadRecord>> for HostError {
    fn from(error: StoreError<record::BadRecord>) -> Self {
        error.into_rejection().map_or_else(Self::Store, Self::Record)
    }
}

/// How a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostEnded {
    /// It was closed, in order.
    Closed,
    /// It died: the program should end with an error.
    Died,
}

/// A running host, as the rest of the peer sees it. Cheap to clone.
#[derive(Clone)]
pub struct HostHandle {
    addr: Addr<Host>,
    shared: Arc<Shared>,
}

/// What can be known of a host without asking its actor.
struct Shared {
    id: ChannelId,
    name: ChannelName,
    key: PeerKey,
    log: Log,
    acts: Acts,
    gate: SharedGate,
    search: Search,
    admission: watch::Receiver<Admission>,
    head: watch::Receiver<Position>,
    ended: watch::Receiver<bool>,
    behind: watch::Receiver<Option<String>>,
    claimed: watch::Receiver<Claimed>,
    reach: watch::Receiver<Reach>,
    handed: watch::Receiver<Option<Handed>>,
    superseded: watch::Sender<Option<Hosting>>,
}

impl std::fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostHandle").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

impl HostHandle {
    /// Begins to host a channel, whose record and log are on disk or are made. Nobody is let in before the gate knows
    /// whose passes count. Has to be called within a tokio runtime, on which the members are written to.
    ///
    /// # Errors
    /// When the record cannot be kept or the log not be read.
    pub async fn open(config: HostConfig) -> Result<Self, HostError> {
        let HostConfig { store, identity, mut record, arbiter, gate, search } = config;
        record::keep(&store, record.clone()).await?;
        crash::here(Point::HostOpened);
        // Whatever has ended this host before: it is not waited for any longer.
        record.handed = record.handed.map(|handed| Handed { at: Timestamp::from_millis(0), ..handed });
        let log = Log::new(store.clone(), record.id, record.epoch);
        let head = log.head().await?;
        let counted = counted::load(&store, record.id).await.map_err(LogError::from)?;
        let acts = Acts::new(store.clone(), record.id);
        let (tell_admission, admission) = watch::channel(Admission::of(&record));
        let (tell_head, watch_head) = watch::channel(head);
        let (tell_ended, ended) = watch::channel(false);
        let (id, name) = (record.id, record.name.clone());
        let (tell_behind, behind) = watch::channel(record.behind.as_ref().map(|behind| behind.why.clone()));
        let (tell_claimed, claimed) = watch::channel(Claimed::default());
        let (tell_handed, handed) = watch::channel(record.handed);
        let (tell_reach, reach) = watch::channel(Reach { head, members: 0 });
        let shared = Shared {
            id,
            name,
            key: identity.key(),
            log: log.clone(),
            acts: acts.clone(),
            gate: gate.clone(),
            search: search.clone(),
            admission,
            head: watch_head,
            ended,
            behind,
            claimed,
            reach,
            handed,
            superseded: watch::Sender::new(None),
        };
        let parts = actor::Parts {
            store,
            identity,
            record,
            log,
            acts,
            gate,
            search: search.clone(),
            admission: tell_admission,
            head: tell_head,
            ended: tell_ended,
            behind: tell_behind,
            claimed: tell_claimed,
            reach: tell_reach,
            handed: tell_handed,
        };
        // On the threads of whoever opens it, as the members' connections are; the actor has a thread to itself.
        let fanout = Fanout::start(&Handle::current());
        let addr = actix::Actor::start_in_arbiter(&arbiter, move |_| Host::new(parts, head, counted, fanout));
        // Much may have come into the log while nobody hosted it.
        search.nudge();
        tracing::info!(channel = %id, seq = head.seq, "hosting");
        Ok(Self { addr, shared: Arc::new(shared) })
    }

    /// The channel.
    pub fn id(&self) -> ChannelId {
        self.shared.id
    }

    /// Its name.
    pub fn name(&self) -> &ChannelName {
        &self.shared.name
    }

    /// How far the log is on disk.
    pub fn head(&self) -> Position {
        *self.shared.head.borrow()
    }

    /// How far the log is as its members can prove it, and how many members there are.
    pub fn reach(&self) -> Reach {
        *self.shared.reach.borrow()
    }

    /// Whether somebody may know of the channel: looked at by whoever lets people in, before the host itself decides.
    pub fn admits(&self, who: Holder) -> bool {
        let admission = self.shared.admission.borrow();
        admission.policy.admits(who, admission.owner)
    }

    /// Which policy is in force.
    pub fn policy_rev(&self) -> u64 {
        self.shared.admission.borrow().policy.rev
    }

    /// More was revoked: who is in with one of these passes is put out, at once.
    ///
    /// # Errors
    /// When the host has ended.
    pub async fn revoked(&self) -> Result<(), HostError> {
        self.tell(Sweep).await
    }

    /// Waits until the policy has another `rev`, which is returned; never returns for a host that has ended.
    pub async fn policy_changed(&self, rev: u64) -> u64 {
        let mut admission = self.shared.admission.clone();
        match admission.wait_for(|admission| admission.policy.rev != rev).await {
            Ok(admission) => admission.policy.rev,
            Err(_) => std::future::pending().await,
        }
    }

    /// What the channel is announced with.
    ///
    /// # Errors
    /// When the host has ended.
    pub async fn summary(&self) -> Result<HostSummary, HostError> {
        self.addr.send(Summarise).await.map_err(gone)
    }

    /// The inside of the host, for the peer's own user.
    ///
    /// # Errors
    /// When the host has ended.
    pub async fn debug(&self) -> Result<DebugReport, Refusal> {
        self.ask(Inspect { by: None }).await
    }

    /// All of the channel beside its entries, for the peer's own user, if they may have it.
    ///
    /// # Errors
    /// `not_owner`, or when the host has ended.
    pub async fn disclose(&self, who: Holder) -> Result<Disclosed, Refusal> {
        self.ask(Disclose { who }).await
    }

    /// What the log is known to have lost and who may have it, for the peer's own user, if they may have it recovered.
    ///
    /// # Errors
    /// `not_owner`, `too_many_requests` while something is on its way to the disk, or when the host has ended.
    pub async fn survey(&self, who: Holder) -> Result<Surveyed, Refusal> {
        self.ask(Survey { who }).await
    }

    /// The channel is offered to somebody from now on.
    ///
    /// # Errors
    /// When it could not be kept; it does not count then.
    pub async fn offer(&self, offer: Offer) -> Result<(), HostError> {
        self.addr.send(SetOffer(offer)).await.map_err(gone)?
    }

    /// The channel is offered no more: to anybody, or to this one.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn end_offer(&self, of: Option<Subject>) -> Result<(), HostError> {
        self.addr.send(EndOffer(of)).await.map_err(gone)?
    }

    /// What was signed for whoever has taken the channel counts no more.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn resume(&self) -> Result<(), HostError> {
        self.addr.send(Resume).await.map_err(gone)?
    }

    /// Waits until somebody has taken the channel and not hosted it in time; never returns for a host that has ended.
    pub async fn taking_is_over(&self) {
        let mut handed = self.shared.handed.clone();
        loop {
            let left = handed.borrow_and_update().map(|handed| handed.left(Timestamp::now()));
            let changed = match left {
                None => handed.changed().await,
                Some(left) => tokio::select! {
                    () = tokio::time::sleep(left) => return,
                    changed = handed.changed() => changed,
                },
            };
            if changed.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Waits until nobody has taken the channel; never returns for a host that has ended.
    pub async fn taking_has_ended(&self) {
        let mut handed = self.shared.handed.clone();
        if handed.wait_for(Option::is_none).await.is_err() {
            std::future::pending().await
        }
    }

    /// Keeps what the tracker says of the owner.
    ///
    /// # Errors
    /// When it could not be kept; it does not count then.
    pub async fn set_owner(&self, owner: Owner) -> Result<(), HostError> {
        self.addr.send(SetOwner(owner)).await.map_err(gone)?
    }

    /// Keeps the number that the tracker gave to the hosting; a lower one than known is passed over.
    ///
    /// # Errors
    /// When it could not be kept; it does not count then.
    pub async fn set_term(&self, term: u64) -> Result<(), HostError> {
        self.addr.send(SetTerm(term)).await.map_err(gone)?
    }

    /// Ends the host in order: nothing more is taken, what was taken is flushed and answered, the members are told,
    /// and the actor stops. Returns as well when it has ended before.
    pub async fn close(&self) {
        self.close_because(Code::GoingAway.into()).await;
    }

    /// The same, for a reason that the members are told.
    pub async fn close_because(&self, why: Refusal) {
        let (reply, closed) = oneshot::channel();
        if self.addr.send(Close { reply, why }).await.is_ok() {
            // Dropped when the actor ends without an answer, which ends it too.
            let _ = closed.await;
        }
    }

    /// Waits until the log on disk is found to lack entries that were there: from then on the host takes nothing, until
    /// it is opened again on what is whole. Returns what was found; never for a host that ends without that.
    pub async fn log_is_behind(&self) -> String {
        let mut behind = self.shared.behind.clone();
        let why = behind.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Waits for more than the first `known` who say to have more than the log has, and cannot prove it, as far as the
    /// owner is to hear of them; never for a host that ends without that.
    pub async fn more_is_claimed(&self, known: u64) -> Claimed {
        let mut claimed = self.shared.claimed.clone();
        match claimed.wait_for(|claimed| claimed.count > known).await {
            Ok(claimed) => claimed.clone(),
            Err(_) => std::future::pending().await,
        }
    }

    /// The log was longer once, as somebody knows: the host takes nothing more until what is missing is recovered, and
    /// says why to whoever waits for that.
    ///
    /// # Errors
    /// When the host has ended.
    pub async fn turn_behind(&self, behind: Behind) -> Result<(), HostError> {
        self.tell(TurnBehind { behind, is_wanted: false }).await
    }

    /// Takes nothing more, since its owner wants to go on with what is there; they know that themselves.
    ///
    /// # Errors
    /// When the host has ended.
    pub async fn hold(&self, why: String) -> Result<(), HostError> {
        self.tell(TurnBehind { behind: Behind::because(why, None), is_wanted: true }).await
    }

    /// Whether the log on the disk goes on beyond what this host serves of it.
    pub async fn is_outdated(&self) -> bool {
        self.shared.log.head().await.is_ok_and(|end| end.seq > self.head().seq)
    }

    /// Why the host takes nothing, if it has lost entries.
    pub fn why_behind(&self) -> Option<String> {
        self.shared.behind.borrow().clone()
    }

    /// Somebody shows that the channel is hosted by another key. When that holds, whoever waits for it is told, and
    /// whoever showed it is to be refused.
    ///
    /// # Errors
    /// `superseded`.
    pub fn heed_move(&self, shown: Option<&Signed<Hosting>>) -> Result<(), Refusal> {
        let proven = shown.and_then(|shown| self.shared.gate.now().proven(shown));
        let proven = proven.filter(|hosting| {
            let is_later = hosting.term > self.shared.admission.borrow().term;
            is_later && hosting.channel == self.shared.id && hosting.host_key != self.shared.key
        });
        let Some(hosting) = proven else { return Ok(()) };
        self.shared.superseded.send_replace(Some(hosting));
        Err(superseded(&hosting))
    }

    /// Waits until it is proven that the channel is hosted by another key.
    pub async fn superseded(&self) -> Hosting {
        let mut superseded = self.shared.superseded.subscribe();
        match superseded.wait_for(Option::is_some).await.ok().and_then(|hosting| *hosting) {
            Some(hosting) => hosting,
            None => std::future::pending().await,
        }
    }

    /// Waits until the host has ended, however.
    pub async fn stopped(&self) -> HostEnded {
        let mut ended = self.shared.ended.clone();
        match ended.wait_for(|ended| *ended).await {
            Ok(_) => HostEnded::Closed,
            Err(_) => HostEnded::Died,
        }
    }

    /// Asks the actor; its end is a refusal like any other to whoever asked for a member.
    async fn ask<M, T>(&self, message: M) -> Result<T, Refusal>
    where
        M: actix::Message<Result = Result<T, Refusal>> + Send + 'static,
        T: Send + 'static,
        Host: actix::Handler<M>,
    {
        self.addr.send(message).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    async fn tell<M>(&self, message: M) -> Result<(), HostError>
    where
        M: actix::Message<Result = ()> + Send + 'static,
        Host: actix::Handler<M>,
    {
        self.addr.send(message).await.map_err(gone)
    }
}

/// What those are told who come to a host that is none any more.
pub fn superseded(hosting: &Hosting) -> Refusal {
    let reason = format!("the channel has moved: it is hosted by the key {} now", hosting.host_key);
    Refusal::new(Code::Superseded, reason)
}

fn gone(_: MailboxError) -> HostError {
    HostError::Gone
}
