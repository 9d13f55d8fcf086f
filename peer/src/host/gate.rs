//! Whose passes count: checked offline, against what the tracker last said. Pure.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::clock::Timestamp;
use common::identity::PeerKey;
use common::pass::{CLOCK_SKEW, PASS_GRACE, PASS_GRACE_AFTER, Pass, PassError, PassRules, SignedPass};
use common::proto::moving::Hosting;
use common::proto::session::Directory;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;

use crate::revocations::Revocations;

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

/// The gate of a peer, the same for all channels it hosts and for those it does not: a pass is judged before it is
/// known whether there is such a channel. Clones are the same.
#[derive(Clone, Debug)]
pub struct SharedGate(Arc<Mutex<Gate>>);

impl Default for SharedGate {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Gate::new(TrackerState::Up))))
    }
}

impl SharedGate {
    // A gate is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory whose passes count from now on.
    pub fn trust(&self, directory: Directory) {
        self.lock().trust(directory);
    }

    /// What is revoked counts, now and from now on.
    pub fn heed(&self, revocations: Revocations) {
        self.lock().heed(revocations);
    }

    /// The connection to the tracker has changed: with it goes how strictly ended passes are taken.
    pub fn set_tracker(&self, tracker: TrackerState) {
        self.lock().set_tracker(tracker, Timestamp::now());
    }

    /// What the pass says, if it counts for the holder of this key now.
    ///
    /// # Errors
    /// As [`Gate::check`].
    pub fn check(&self, pass: &SignedPass, holder: PeerKey) -> Result<Pass, Refusal> {
        // The signature is looked at without holding up others.
        let gate = self.now();
        gate.check(pass, holder, Timestamp::now())
    }

    /// The gate as it is now.
    pub fn now(&self) -> Gate {
        self.lock().clone()
    }
}

/// What decides whose pass counts.
#[derive(Clone, Debug)]
pub struct Gate {
    directory: Option<Directory>,
    revocations: Revocations,
    tracker: TrackerState,
    /// Passes that have ended count until then, although the tracker is back.
    renew_until: Timestamp,
}

impl Gate {
    /// A gate that lets nobody in until it is told of a directory.
    pub fn new(tracker: TrackerState) -> Self {
        Self {
            directory: None,
            revocations: Revocations::default(),
            tracker,
            renew_until: Timestamp::default(),
        }
    }

    /// The directory whose passes count.
    pub fn trust(&mut self, directory: Directory) {
        self.directory = Some(directory);
    }

    /// What is revoked, now and from now on.
    pub fn heed(&mut self, revocations: Revocations) {
        self.revocations = revocations;
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
    /// `pass_expired`, `bad_pass`, `revoked`, or `host_away` while no tracker is known.
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
        let pass = pass.verify(&rules).map_err(|error| {
            let code = if let PassError::Expired { .. } = error { Code::PassExpired } else { Code::BadPass };
            Refusal::new(code, error.to_string())
        })?;
        if self.revocations.holds_against(&pass) { Err(Code::Revoked.into()) } else { Ok(pass) }
    }

    /// Who hosts a channel, if it is the known tracker that says so.
    pub fn proven(&self, shown: &Signed<Hosting>) -> Option<Hosting> {
        let directory = self.directory.as_ref()?;
        let mut proven = directory.signing_keys.iter().filter_map(|key| shown.verify(key).ok());
        proven.find(|hosting| hosting.directory == directory.id)
    }

    /// Why the session of somebody who came with this pass has to end, if it has to.
    pub fn why_ended(&self, pass: &Pass, now: Timestamp) -> Option<Code> {
        if self.revocations.holds_against(pass) {
            return Some(Code::Revoked);
        }
        (now > pass.expires.plus(CLOCK_SKEW).plus(self.grace(now))).then_some(Code::PassExpired)
    }
}

#[cfg(test)]
mod tests {
    use common::id::{DirectoryId, IdentityKind, Subject};
    use common::identity::Identity;
    use common::pass::{PASS_LIFETIME, PASS_VERSION};

    use super::*;

    const ISSUED: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    struct Scene {
        gate: Gate,
        pass: SignedPass,
        claims: Pass,
        holder: PeerKey,
        end: Timestamp,
    }

    impl Scene {
        fn new(tracker: TrackerState) -> Self {
            let signer = Identity::generate().unwrap();
            let (holder, directory) = (Identity::generate().unwrap().key(), DirectoryId::new());
            let claims = Pass {
                version: PASS_VERSION,
                signing_key: signer.key(),
                directory,
                subject: Subject::Guest(holder),
                name: "charlie".to_owned(),
                kind: IdentityKind::Guest,
                peer_key: holder,
                serial: 1,
                issued: ISSUED,
                expires: ISSUED.plus(PASS_LIFETIME),
            };
            let pass = SignedPass::sign(&claims, &signer).unwrap();
            let mut gate = Gate::new(tracker);
            gate.trust(Directory { id: directory, signing_keys: vec![signer.key()] });
            Self { gate, pass, end: claims.expires.plus(CLOCK_SKEW), claims, holder }
        }

        /// Whether it is let in, and whether it may stay.
        fn at(&self, now: Timestamp) -> (bool, bool) {
            let checked = self.gate.check(&self.pass, self.holder, now).map_err(|refusal| refusal.code);
            if let Err(code) = &checked {
                assert_eq!(*code, Code::PassExpired);
            }
            (checked.is_ok(), self.gate.why_ended(&self.claims, now).is_none())
        }
    }

    const BOTH: (bool, bool) = (true, true);
    const NEITHER: (bool, bool) = (false, false);

    #[test]
    fn with_a_tracker_an_ended_pass_opens_nothing() {
        let scene = Scene::new(TrackerState::Up);
        assert_eq!(scene.at(scene.end), BOTH);
        assert_eq!(scene.at(scene.end.plus(SECOND)), NEITHER);
    }

    #[test]
    fn ten_minutes_without_the_tracker_make_an_ended_pass_count_for_seven_days() {
        let mut scene = Scene::new(TrackerState::Up);
        let down = scene.end.plus(MINUTE);
        scene.gate.set_tracker(TrackerState::DownSince(down), down);
        assert_eq!(scene.at(down.plus(MINUTE * 10).minus(SECOND)), NEITHER);
        assert_eq!(scene.at(down.plus(MINUTE * 10)), BOTH);
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        assert_eq!(scene.at(scene.end.plus(week)), BOTH);
        assert_eq!(scene.at(scene.end.plus(week + SECOND)), NEITHER);
    }

    #[test]
    fn when_the_tracker_is_back_there_is_time_to_renew_but_not_after_a_short_absence() {
        for (minutes, expected) in [(10, BOTH), (9, NEITHER)] {
            let mut scene = Scene::new(TrackerState::Up);
            let (down, back) = (scene.end, scene.end.plus(MINUTE * minutes));
            scene.gate.set_tracker(TrackerState::DownSince(down), down);
            scene.gate.set_tracker(TrackerState::Up, back);
            assert_eq!(scene.at(back.plus(SECOND)), expected, "{minutes} minutes");
            assert_eq!(scene.at(back.plus(RENEW_WITHIN)), NEITHER, "{minutes} minutes");
        }
    }

    #[test]
    fn a_host_that_has_met_no_tracker_lets_nobody_in() {
        let scene = Scene::new(TrackerState::DownSince(ISSUED));
        let gate = Gate::new(TrackerState::DownSince(ISSUED));
        let refused = gate.check(&scene.pass, scene.holder, ISSUED.plus(MINUTE)).unwrap_err();
        assert_eq!(refused.code, Code::HostAway);
    }
}
