//! The tracker itself: who is who, who is there, and which channel is where.
//!
//! [`TrackerHandle`] is its only face. It decides on disk what has to be decided there (`accounts`, `guests`,
//! `hosting`), and then tells the actor, which owns who is connected ([`sessions`]) and a copy of the list of channels
//! ([`channels`]), and tells the peers that wait for them.

mod accounts;
mod actor;
mod broadcast;
pub mod channels;
mod devices;
mod guests;
pub mod heads;
pub mod hosting;
mod introductions;
mod knocks;
mod messages;
mod moving;
mod offers;
pub mod operator;
pub mod pattern;
pub mod people;
mod presence;
mod revocations;
pub mod sessions;
pub mod state;
mod survey;
mod sweep;
#[cfg(test)]
pub(crate) mod testing;
pub mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, Addr};
use common::clock::Timestamp;
use common::link::Link;
use common::proto::directory::{ChannelRecord, Entered, List, Listing, Locate, Missed};
use common::proto::session;
use common::proto::status::{Code, Refusal};
use common::transport::Origin;
use tokio::sync::oneshot;

use crate::config::MayBroadcast;
use crate::error::Failure;
use crate::limits::SCAN_ROWS;
use crate::password::PasswordPool;
use crate::quotas::Quotas;
use crate::signer::Signer;
use crate::store::directory::{Directory, DirectoryError};
use crate::store::schema::CHANNELS;
use channels::Page;
pub use messages::Counts;
use pattern::Pattern;
use revocations::Revocations;
use sessions::{ConnId, Identity};
use state::State;

/// Tells the time; another one in tests.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The face of the tracker. Cheap to clone, but one for each session: the actor's mailbox has a place for each.
#[derive(Clone)]
pub struct TrackerHandle {
    actor: Addr<actor::Tracker>,
    directory: Directory,
    passwords: PasswordPool,
    signer: Signer,
    quotas: Quotas,
    may_broadcast: MayBroadcast,
    revocations: Revocations,
    clock: Clock,
    started: Timestamp,
    next_conn: Arc<AtomicU64>,
}

/// What a tracker is made of.
pub struct Parts {
    /// What is on disk.
    pub directory: Directory,
    /// Hashes passwords.
    pub passwords: PasswordPool,
    /// Signs passes.
    pub signer: Signer,
    /// Counts what is done.
    pub quotas: Quotas,
    /// Who may say something to all who are there.
    pub may_broadcast: MayBroadcast,
    /// Tells the time.
    pub clock: Clock,
}

impl TrackerHandle {
    /// Starts the actor, within an actix system, with the channels that are on disk. The receiver learns when the actor
    /// has ended.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn start(parts: Parts) -> Result<(Self, oneshot::Receiver<()>), DirectoryError> {
        let Parts { directory, passwords, signer, quotas, may_broadcast, clock } = parts;
        let mut state = State::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = directory.scan(CHANNELS, after.as_deref(), SCAN_ROWS).await?;
            after = page.last().map(|(key, _)| key.clone());
            for (_, row) in page {
                state.refresh(row);
            }
            if after.is_none() {
                break;
            }
        }
        Self::load_invisible(&directory, &mut state.people).await?;
        let revocations = Revocations::load(&directory).await?;
        let (actor, ended) = actor::Tracker::new(state);
        let (next_conn, started) = (Arc::default(), clock());
        let actor = actor.start();
        let handle = Self {
            actor,
            directory,
            passwords,
            signer,
            quotas,
            may_broadcast,
            revocations,
            clock,
            started,
            next_conn,
        };
        Ok((handle, ended))
    }

    /// What the answer to HELLO says of the directory.
    pub fn directory(&self) -> session::Directory {
        self.signer.directory()
    }

    /// What is counted of those who do things.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A connection has said HELLO. Every connection is to be [forgotten](Self::forget) in the end.
    ///
    /// # Errors
    /// When the tracker stops.
    pub async fn connect(&self, link: Link) -> Result<ConnId, Failure> {
        let conn = ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed));
        self.actor.send(messages::Connect { conn, link }).await??;
        Ok(conn)
    }

    /// A connection has ended, and with it its leases. When the directory cannot be written, guests' names lapse a
    /// little early.
    pub async fn forget(self, conn: ConnId) {
        let noted = async {
            let of_guests = self.actor.send(messages::Disconnect { conn }).await?;
            self.note_seen(of_guests, self.now()).await
        };
        if let Err(failure) = noted.await {
            tracing::warn!(conn = conn.0, err = ?failure.to_string(), "the end of a connection was not noted whole");
        }
    }

    /// Whoever shows itself to be `identity` enters over `conn`, and gets a pass that says so.
    async fn admit(&self, conn: ConnId, identity: Identity) -> Result<(Identity, Entered), Failure> {
        let pass = self.signer.issue(&identity, self.now()).await?;
        let enter = messages::Enter { conn, identity: identity.clone() };
        let messages::Admitted { inherited, invisible } = self.actor.send(enter).await??;
        if let Err(error) = self.inherit(&identity, inherited).await {
            // The next time this key enters, it is done.
            tracing::warn!(err = ?error.to_string(), "a guest's channels were not given to the account");
        }
        if let Err(failure) = self.check_bound(&identity).await {
            self.actor.send(messages::SignOut { key: identity.key }).await?;
            return Err(failure);
        }
        Ok((identity, Entered { pass, invisible, missed: Missed::default() }))
    }

    /// A page of the list of channels.
    ///
    /// # Errors
    /// `bad_request` when the pattern is too long, `too_many_requests`.
    pub async fn list(&self, origin: Origin, who: &Identity, list: List) -> Result<Listing, Failure> {
        self.quotas.list(origin)?;
        let pattern = list.pattern.as_deref().map(Pattern::new).transpose();
        let pattern = pattern.map_err(|error| Refusal::new(Code::BadRequest, error.to_string()))?;
        let page = Page { pattern, after: list.after, limit: list.limit };
        Ok(self.actor.send(messages::List { page, who: who.holder() }).await?.0)
    }

    /// Where a channel is; from now on the session hears of it.
    ///
    /// # Errors
    /// `no_such_channel`, also for one that is not for `who`.
    pub async fn locate(&self, conn: ConnId, who: &Identity, what: Locate) -> Result<ChannelRecord, Failure> {
        let found = self.actor.send(messages::Locate { conn, who: who.holder(), what }).await?;
        found.ok_or_else(|| Code::NoSuchChannel.into())
    }

    /// How much there is of everything that comes and goes.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        Ok(self.actor.send(messages::Count).await?)
    }

    /// How often a password was hashed or checked so far: each time takes a core for a while.
    pub fn password_runs(&self) -> u64 {
        self.passwords.runs()
    }

    /// Tells all sessions that the tracker stops, and lets nobody in any more.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn stop(&self) -> Result<(), Failure> {
        Ok(self.actor.send(messages::Stop).await?)
    }
}
