//! Whose passes count: checked offline, against what the tracker last said. Pure.

use std::time::Duration;

use common::clock::Timestamp;
use common::identity::PeerKey;
use common::pass::{CLOCK_SKEW, PASS_GRACE, PASS_GRACE_AFTER, Pass, PassError, PassRules, SignedPass};
use common::proto::session::Directory;
use common::proto::status::{Code, Refusal};

/// How long after the tracker is back members with an ended pass have to renew it.
const RENEW_WITHIN: Duration = Duration::from_secs(5 * 60);

/// How the connection to the tracker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerState {
    /// It works.
    Up,
    /// It has been lost, or tried for in vain, since then.
    DownSince(Timestamp),
}

/// What decides whose pass counts.
#[derive(Clone, Debug)]
pub struct Gate {
    directory: Option<Directory>,
    tracker: TrackerState,
    /// Passes that have ended count until then, although the tracker is back.
    renew_until: Timestamp,
}

impl Gate {
    /// A gate that lets nobody in until it is told of a directory.
    pub fn new(tracker: TrackerState) -> Self {
        Self { directory: None, tracker, renew_until: Timestamp::default() }
    }

    /// The directory whose passes count.
    pub fn trust(&mut self, directory: Directory) {
        self.directory = Some(directory);
    }

    /// The connection to the tracker has changed.
    pub fn set_tracker(&mut self, tracker: TrackerState, now: Timestamp) {
        if self.has_been_down(now) && tracker == TrackerState::Up {
            self.renew_until = now.plus(RENEW_WITHIN);
        }
        self.tracker = tracker;
    }

    fn has_been_down(&self, now: Timestamp) -> bool {
        matches!(self.tracker, TrackerState::DownSince(since) if now.since(since) >= PASS_GRACE_AFTER)
    }

    fn grace(&self, now: Timestamp) -> Duration {
        if self.has_been_down(now) || now < self.renew_until { PASS_GRACE } else { Duration::ZERO }
    }

    /// What the pass says, if it counts for the holder of this key now.
    ///
    /// # Errors
    /// `pass_expired`, `bad_pass`, or `host_away` while no tracker is known.
    pub fn check(&self, pass: &SignedPass, holder: PeerKey, now: Timestamp) -> Result<Pass, Refusal> {
        let Some(directory) = &self.directory else {
            return Err(Refusal::new(
                Code::HostAway,
                "the host has not met its tracker yet; try again later",
            ));
        };
        let grace = self.grace(now);
        let rules =
            PassRules { trusted: &directory.signing_keys, directory: directory.id, holder, now, grace };
        pass.verify(&rules).map_err(|error| {
            let code = if let PassError::Expired { .. } = error { Code::PassExpired } else { Code::BadPass };
            Refusal::new(code, error.to_string())
        })
    }

    /// Whether the session of somebody who came with this pass has to end.
    pub fn has_ended(&self, pass: &Pass, now: Timestamp) -> bool {
        now > pass.expires.plus(CLOCK_SKEW).plus(self.grace(now))
    }
}
