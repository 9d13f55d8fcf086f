//! What the rest of the peer sees of its link to the tracker.

use std::time::Duration;

use actix::Addr;
use common::identity::PeerKey;
use common::link::{Link, RequestError};
use common::proto::Command;
use common::proto::presence::Invisible;
use common::proto::status::{Code, Refusal};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::connection::TryNow;
use super::{Confirm, Enter, Entry, SetInvisible, Shutdown, State, TrackerLink, TrustFile};
use crate::api::{Identity, LinkState, TrackerStatus, Trust};
use crate::session::SessionView;

/// A command that asks the tracker waits so long for the outcome of an attempt that is not the first.
const WAIT_FOR_ATTEMPT: Duration = Duration::from_secs(3);

/// The handle of the link to the tracker. Cheap to clone.
#[derive(Clone)]
pub struct TrackerHandle {
    addr: Addr<TrackerLink>,
    session: SessionView,
    state: watch::Receiver<State>,
    tracker: String,
    trust: TrustFile,
}

impl TrackerHandle {
    pub(super) fn new(
        addr: Addr<TrackerLink>,
        session: SessionView,
        state: watch::Receiver<State>,
        tracker: String,
        trust: TrustFile,
    ) -> Self {
        Self { addr, session, state, tracker, trust }
    }

    /// Asks the tracker.
    ///
    /// # Errors
    /// Its refusal, or `tracker_away`.
    pub async fn request<C: Command>(&self, command: &C) -> Result<C::Reply, Refusal> {
        let link = self.link()?;
        link.request(command).await.map_err(RequestError::into_refusal)
    }

    fn link(&self) -> Result<Link, Refusal> {
        let state = self.state.borrow();
        state.link.clone().ok_or_else(|| state.reason.clone().unwrap_or_else(|| Code::TrackerAway.into()))
    }

    /// Why this peer has no pass: the tracker is away, or has not let it in.
    pub fn why_not_entered(&self) -> Refusal {
        self.link().err().unwrap_or_else(|| Code::NotSignedIn.into())
    }

    /// Waits until the first attempt to reach and enter the tracker is over, however it ended.
    pub async fn settled(&self) {
        // An ended actor settles nothing any more; whoever asks next is told so.
        let _ = self.state.clone().wait_for(|state| state.settled).await;
    }

    /// The same for something that the user wants: it is tried at once, and waited for a little.
    pub async fn settled_soon(&self) {
        if self.state.borrow().link.is_some() {
            return;
        }
        // An ended actor settles nothing any more; whoever asks next is told so.
        let _ = self.addr.send(TryNow).await;
        self.settled().await;
        let mut state = self.state.clone();
        let _ = timeout(WAIT_FOR_ATTEMPT, state.wait_for(|state| !state.is_dialling)).await;
    }

    /// Waits until the link is up, or was found down for another reason than before.
    pub async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Enters, or leaves, as the user said.
    ///
    /// # Errors
    /// The tracker's refusal, or why it could not be asked.
    pub async fn enter(&self, entry: Entry) -> Result<Identity, Refusal> {
        self.addr.send(Enter(entry)).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Has everybody see this account as away, or not any more.
    ///
    /// # Errors
    /// The tracker's refusal, or why it could not be asked.
    pub async fn set_invisible(&self, on: bool) -> Result<(), Refusal> {
        self.request(&Invisible { on }).await?;
        self.addr.send(SetInvisible(on)).await.map_err(|_| Code::GoingAway.into())
    }

    /// The user has compared the tracker's key.
    ///
    /// # Errors
    /// When it is another key, or cannot be kept.
    pub async fn confirm(&self, key: PeerKey) -> Result<(), Refusal> {
        self.addr.send(Confirm(key)).await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// The tracker's key, as far as it is known.
    ///
    /// # Errors
    /// When the file of known trackers cannot be read.
    pub fn trust(&self) -> Result<Trust, Refusal> {
        let state = self.state.borrow();
        let known = self.trust.load()?.find(&self.tracker).cloned();
        Ok(Trust {
            key: state.key.or(known.map(|known| known.key)),
            confirmed: state.confirmed,
            tracker: self.tracker.clone(),
        })
    }

    /// Whether a password may be sent to the tracker.
    ///
    /// # Errors
    /// `tracker_unconfirmed`.
    pub fn check_confirmed(&self) -> Result<(), Refusal> {
        if self.state.borrow().confirmed { Ok(()) } else { Err(Code::TrackerUnconfirmed.into()) }
    }

    /// How the link is, as it is shown.
    pub fn status(&self) -> TrackerStatus {
        let state = self.state.borrow();
        let (link_state, reason) = match (&state.link, &state.reason) {
            (Some(_), _) => (LinkState::Up, None),
            (None, Some(reason)) => (LinkState::Retrying, Some(reason.reason.clone())),
            (None, None) => (LinkState::Retrying, Some("not tried yet".to_owned())),
        };
        let since = state.down.map(|down| down.at);
        TrackerStatus { address: self.tracker.clone(), state: link_state, reason, since, key: state.key }
    }

    /// Since when the link is down; `None` while it is up.
    pub fn down_since(&self) -> Option<Instant> {
        self.state.borrow().down.map(|down| down.since)
    }

    /// Who this peer is.
    pub fn session(&self) -> SessionView {
        self.session.clone()
    }

    /// Stops trying, and closes the link once what waits is written.
    pub async fn shut_down(&self) {
        // Gone already is as good.
        let _ = self.addr.send(Shutdown).await;
    }
}
