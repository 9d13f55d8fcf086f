//! When a connection is tried, and when it is tried again. Pure: what has happened, and when, in; what to do out.
//!
//! Whoever owns a connection dials when told to, and says what came of it. After a failure the next attempt waits,
//! longer each time; only a connection that has held for a while makes the next failure the first again. What keeps a
//! peer out until somebody changes something is tried rarely: a refusal that lasts, and a newer connection of the same
//! key, so that two programs with one identity do not turn each other out for ever. News of the other side, and
//! the user, end the waiting.

use std::time::Duration;

use common::backoff::{BackoffLimits, random_fraction};
use common::clock::Timestamp;
use common::proto::status::{Code, Refusal};

use crate::pace::{KeptPace, Pace, Rest};

/// A connection that has held for so long has worked: the next failure is the first again.
pub const HOLDS_AFTER: Duration = Duration::from_secs(30);
/// News of the other side lead to an attempt no sooner than this after the last one began.
pub const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);
/// What does not exist, or is not for this peer, is asked for this often; it is told sooner when that changes.
const BETWEEN_FOR_NOTHING: Duration = Duration::from_secs(60 * 60);

/// The time, and a random number in 0..1: given, so that what follows can be had again.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time.
    pub at: Timestamp,
    /// The random number.
    pub random: f64,
}

impl Now {
    /// This machine's clock, and true chance.
    pub fn real() -> Self {
        Self { at: Timestamp::now(), random: random_fraction() }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect, and say what came of it with [`Reconnect::connected`] or [`Reconnect::failed`].
    Dial,
    /// Call [`Reconnect::woke`] after so long.
    Wake {
        /// How long.
        after: Duration,
        /// Which call; earlier ones count no more.
        alarm: u64,
    },
    /// Keep how often was tried in vain, over a restart; nothing once it works.
    Keep(Option<KeptPace>),
}

/// Why an attempt may be made before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// The user wants it, or this peer is somebody else than at the last attempt.
    Command,
    /// The other side was seen.
    Seen,
    /// The way to the other side may be free again, or this peer has a new pass.
    Session,
}

/// What the waiting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// The failure may pass by itself.
    BackOff,
    /// The pause began before the restart.
    Rest,
    /// This peer has no pass that counts.
    Pass,
    /// Nothing changes before somebody changes it.
    Lasting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection is wanted.
    Off,
    Waiting(Hold),
    Dialling {
        /// The other side was seen since: the attempt may have come too early for it.
        is_outdated: bool,
    },
    Up {
        /// Whether it has held for a while.
        holds: bool,
    },
}

/// The state of one connection that is wanted.
#[derive(Debug)]
pub struct Reconnect {
    phase: Phase,
    pace: Pace,
    /// Whether a failure is followed by another attempt.
    is_lasting: bool,
    /// Which connection, or attempt, is meant; what comes late of an earlier one is to be passed over.
    generation: u64,
    alarm: u64,
    tried_at: Timestamp,
}

impl Reconnect {
    /// As it was kept, with nothing wanted yet.
    pub fn new(kept: Option<KeptPace>, now: Timestamp) -> Self {
        Self {
            phase: Phase::Off,
            pace: Pace::new(kept, now),
            is_lasting: false,
            generation: 0,
            alarm: 0,
            tried_at: Timestamp::default(),
        }
    }

    /// Which connection, or attempt, is meant.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a connection is wanted for as long as it is not [stopped](Self::stop).
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// Whether an attempt is under way.
    pub fn is_dialling(&self) -> bool {
        matches!(self.phase, Phase::Dialling { .. })
    }

    /// Whether nothing happens before the time has come.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_))
    }

    /// Whether an attempt began only a moment ago.
    pub fn has_just_tried(&self, now: Timestamp) -> bool {
        now.since(self.tried_at) < BETWEEN_ATTEMPTS && now >= self.tried_at
    }

    /// A connection is wanted from now on. What an attempt of before the restart still keeps it waiting, and why.
    pub fn start(&mut self, now: Now) -> (Vec<Effect>, Option<Rest>) {
        self.is_lasting = true;
        match self.pace.take_rest() {
            Some(rest) => (vec![self.wait(Hold::Rest, rest.left)], Some(rest)),
            None => (self.dial(now), None),
        }
    }

    /// One attempt is wanted; that it succeeds makes the connection wanted for good.
    pub fn try_once(&mut self, now: Now) -> Vec<Effect> {
        match self.phase {
            Phase::Off => self.dial(now),
            _ => self.nudge(Nudge::Command, now),
        }
    }

    /// No connection is wanted any more; what there is of one is to be closed.
    pub fn stop(&mut self) {
        self.is_lasting = false;
        self.drop_connection(Phase::Off);
    }

    /// The attempt has succeeded.
    pub fn connected(&mut self) -> Vec<Effect> {
        if !self.is_dialling() {
            return Vec::new();
        }
        self.is_lasting = true;
        self.phase = Phase::Up { holds: false };
        vec![self.wake(HOLDS_AFTER)]
    }

    /// The attempt has failed, or the connection is lost. How long nothing is tried now; `None` when nothing will be.
    pub fn failed(&mut self, why: &Refusal, now: Now) -> (Vec<Effect>, Option<Duration>) {
        let was_outdated = matches!(self.phase, Phase::Dialling { is_outdated: true });
        if !self.is_lasting {
            self.drop_connection(Phase::Off);
            return (Vec::new(), None);
        }
        let hold = hold_of(&why.code);
        self.drop_connection(Phase::Waiting(hold));
        if why.code == Code::NotSignedIn {
            // Nobody was asked: there is nothing to count.
            let after = BackoffLimits::default().longest;
            return (vec![self.wait(hold, after)], Some(after));
        }
        let is_rare = hold == Hold::Lasting || !why.code.is_passing();
        let mut by_itself = Duration::ZERO;
        let mut kept = self.pace.failed(why, now, |delay| {
            by_itself = delay;
            if is_rare { rare(&why.code) } else { delay.max(asked(why)) }
        });
        let mut after = kept.next_at.since(now.at);
        if !why.code.is_passing() {
            // Whoever restarts may have changed what was in the way.
            kept.next_at = now.at.plus(by_itself);
        }
        if was_outdated && hold == Hold::BackOff {
            after = after.min(BETWEEN_ATTEMPTS);
        }
        (vec![Effect::Keep(Some(kept)), self.wait(hold, after)], Some(after))
    }

    /// The connection is to be made anew, at once.
    pub fn again(&mut self, now: Now) -> Vec<Effect> {
        if self.phase == Phase::Off {
            return Vec::new();
        }
        self.dial(now)
    }

    /// Something speaks for an attempt before its time.
    pub fn nudge(&mut self, nudge: Nudge, now: Now) -> Vec<Effect> {
        match (self.phase, nudge) {
            (Phase::Dialling { .. }, Nudge::Seen) => {
                self.phase = Phase::Dialling { is_outdated: true };
                Vec::new()
            }
            (Phase::Waiting(_), Nudge::Command)
            | (Phase::Waiting(Hold::BackOff | Hold::Pass), Nudge::Session) => self.dial(now),
            (Phase::Waiting(hold), Nudge::Seen) if self.has_just_tried(now.at) => {
                let left = BETWEEN_ATTEMPTS.saturating_sub(now.at.since(self.tried_at));
                vec![self.wait(hold, left)]
            }
            (Phase::Waiting(_), Nudge::Seen) => self.dial(now),
            (Phase::Off | Phase::Dialling { .. } | Phase::Up { .. } | Phase::Waiting(_), _) => Vec::new(),
        }
    }

    /// The time has come that [`Effect::Wake`] asked for.
    pub fn woke(&mut self, alarm: u64, now: Now) -> Vec<Effect> {
        if alarm != self.alarm {
            return Vec::new();
        }
        match self.phase {
            Phase::Waiting(_) => self.dial(now),
            Phase::Up { holds: false } => {
                self.phase = Phase::Up { holds: true };
                self.pace.worked().then_some(Effect::Keep(None)).into_iter().collect()
            }
            Phase::Off | Phase::Dialling { .. } | Phase::Up { holds: true } => Vec::new(),
        }
    }

    fn dial(&mut self, now: Now) -> Vec<Effect> {
        self.drop_connection(Phase::Dialling { is_outdated: false });
        self.tried_at = now.at;
        vec![Effect::Dial]
    }

    fn wait(&mut self, hold: Hold, after: Duration) -> Effect {
        self.phase = Phase::Waiting(hold);
        self.wake(after)
    }

    fn wake(&mut self, after: Duration) -> Effect {
        self.alarm += 1;
        Effect::Wake { after, alarm: self.alarm }
    }

    fn drop_connection(&mut self, phase: Phase) {
        self.generation += 1;
        self.alarm += 1;
        self.phase = phase;
    }
}

fn hold_of(code: &Code) -> Hold {
    match code {
        Code::NotSignedIn | Code::BadPass | Code::PassExpired => Hold::Pass,
        Code::Superseded => Hold::Lasting,
        code if code.is_passing() => Hold::BackOff,
        _ => Hold::Lasting,
    }
}

/// How long to wait for what somebody has to change first.
fn rare(code: &Code) -> Duration {
    match code {
        Code::NoSuchChannel | Code::NotAdmitted => BETWEEN_FOR_NOTHING,
        _ => BackoffLimits::default().longest,
    }
}

/// How long the other side wants to be left alone, within what is waited at most.
fn asked(why: &Refusal) -> Duration {
    let asked = why.retry_after_ms.map(Duration::from_millis).unwrap_or_default();
    asked.min(BackoffLimits::default().longest)
}

#[cfg(test)]
mod tests;
