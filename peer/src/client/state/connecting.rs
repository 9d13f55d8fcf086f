//! The connection to the host: wanted, made, lost. [`Reconnect`](crate::reconnect::Reconnect) says when.

use std::time::Duration;

use common::id::Subject;
use common::proto::channel::Connected;
use common::proto::directory::ChannelRecord;
use common::proto::status::{Code, Refusal};

use super::{Attempt, Came, ClientState, Effect, Standing, Timer};
use crate::api::{JoinedChannel, LinkState};
use crate::client::connect::follow;
use crate::pace::{Rest, Tried, in_words};
use crate::reconnect::{self, Nudge};

impl ClientState {
    /// Which connection is meant; what comes late of an earlier one is passed over.
    pub fn generation(&self) -> u64 {
        self.reconnect.generation()
    }

    /// Connects as before the restart, no sooner.
    pub(super) fn start_connecting(&mut self) {
        let (effects, rest) = self.reconnect.start(self.around.now);
        if let Some(Rest { left, why }) = rest {
            let reason = self.or_at_once(&why, left);
            self.show_waiting(Refusal { reason, ..why });
        }
        self.react(effects);
    }

    /// Does what was decided about the connection.
    pub(super) fn react(&mut self, effects: Vec<reconnect::Effect>) {
        for effect in effects {
            match effect {
                reconnect::Effect::Dial => self.dial(),
                reconnect::Effect::Wake { after, alarm } => {
                    self.put(Effect::Wake(after, Timer::Connect(alarm)));
                }
                reconnect::Effect::Keep(kept) => {
                    let tried = Tried::Channel(self.channel.record.id);
                    self.put(Effect::KeepPace(tried, kept));
                }
            }
        }
    }

    pub(super) fn nudge(&mut self, nudge: Nudge) {
        let effects = self.reconnect.nudge(nudge, self.around.now);
        self.react(effects);
    }

    /// The user wants to be in the channel, which was seen where `fresh` says. Answered at once, or by
    /// [`Effect::Joining`].
    pub fn join(&mut self, fresh: Option<ChannelRecord>) -> Option<Result<JoinedChannel, Refusal>> {
        if self.standing.is_some() {
            self.release();
            return Some(self.joined());
        }
        if let Some(fresh) = fresh {
            match follow(&self.channel.record, fresh.clone()) {
                Err(refusal) if self.channel.joined => return Some(Err(refusal)),
                // Whoever left and joins again has agreed to what is there now, and is told once more what that is.
                Err(refusal) => self.warn(refusal.code, refusal.reason),
                Ok(_) => {}
            }
            self.adopt(fresh);
        }
        self.release();
        let effects = self.reconnect.try_once(self.around.now);
        self.react(effects);
        None
    }

    /// The user wants to be out of it.
    pub fn leave(&mut self) {
        self.channel.joined = false;
        self.disconnect(Refusal::new(Code::NotJoined, "the channel was left meanwhile"));
        self.tell_connection(LinkState::Down, None);
        self.pump();
    }

    /// The tracker says where the channel's host is.
    pub fn located(&mut self, record: ChannelRecord) {
        if !self.channel.joined {
            return;
        }
        if self.standing.is_some() {
            return self.seen_elsewhere(record);
        }
        match follow(&self.channel.record, record) {
            Ok(record) => {
                self.adopt(record);
                // Whatever it did not take before it may take now.
                self.release();
                self.nudge(Nudge::Seen);
            }
            Err(refusal) if self.reconnect.is_waiting() => self.failed(refusal),
            // What the attempt under way comes to is told by itself.
            Err(_) => {}
        }
    }

    /// Makes the attempt that was decided on. What is at the store has to be known first: CONNECT says what is written.
    /// Then this is called again.
    pub(super) fn dial(&mut self) {
        if self.stopping || !self.reconnect.is_dialling() {
            return;
        }
        let Some(subject) = self.me() else {
            return self.failed(Code::NotSignedIn.into());
        };
        if !self.may_connect() {
            return;
        }
        if let Some(cut) = self.channel.cut {
            return self.put(Effect::SetAside(cut));
        }
        self.tried_as = Some(subject);
        let attempt = Attempt {
            generation: self.generation(),
            record: self.channel.record.clone(),
            resume: self.resume(),
        };
        self.put(Effect::Dial(Box::new(attempt)));
    }

    /// An attempt has ended. Whether its connection is the client's from now on.
    pub fn entered(&mut self, generation: u64, outcome: Result<Came, Refusal>) -> bool {
        if generation != self.generation() || self.stopping {
            return false;
        }
        let came = outcome.and_then(|mut came| {
            self.begin_stream(&mut came)?;
            Ok(came)
        });
        match came {
            Ok(came) => self.up(came),
            Err(refusal) => {
                self.failed(refusal);
                return false;
            }
        }
        true
    }

    fn up(&mut self, came: Came) {
        let Came { subject, invisible, connected, record, window, .. } = came;
        let effects = self.reconnect.connected();
        self.react(effects);
        self.channel.adopt(ChannelRecord { term: connected.term, ..record });
        self.channel.joined = true;
        let Connected { role, policy, head, behind, forks, .. } = connected;
        self.outbox.connected(window);
        self.standing = Some(Standing { subject, invisible, role, policy, head, behind: false });
        self.around.is_open = true;
        self.reason = None;
        self.tell_connection(LinkState::Up, None);
        if behind {
            self.host_is_behind();
        }
        self.settle_awaited();
        self.ask_for_lost(&forks);
        let joined = self.joined();
        self.put(Effect::KeepJoined(Box::new(joined)));
        self.keep();
        self.fill();
        self.check_identity();
        self.pump();
    }

    /// That the channel is joined could not be kept: after a restart it would not be.
    pub fn not_kept(&mut self, refusal: &Refusal) {
        let channel = self.channel.name();
        let reason =
            format!("{channel} is joined only until this peer ends, which could not be kept: {refusal}");
        self.warn(refusal.code.clone(), reason);
    }

    pub(super) fn joined(&self) -> Result<JoinedChannel, Refusal> {
        let standing = self.standing.as_ref().ok_or_else(|| Refusal::from(Code::HostAway))?;
        Ok(JoinedChannel {
            channel: self.channel.name().clone(),
            id: self.channel.record.id,
            head: standing.head,
            role: standing.role,
            policy: standing.policy,
        })
    }

    /// There is no connection: an attempt came to nothing, or what there was is lost.
    pub(super) fn failed(&mut self, refusal: Refusal) {
        self.put(Effect::Joining(Box::new(Err(refusal.clone()))));
        if refusal.code == Code::Kicked && self.channel.joined {
            // Another device was told so, or this one missed it.
            return self.stay_away(refusal);
        }
        let is_rare = !refusal.code.is_passing() || refusal.code == Code::Superseded;
        let (effects, after) = self.reconnect.failed(&refusal, self.around.now);
        if let Some(after) = after {
            let mut told = refusal;
            // Without a pass there is nothing to try again: entering does that.
            if is_rare && told.code != Code::NotSignedIn {
                told.reason = self.or_at_once(&told, after);
            }
            self.show_waiting(told);
            self.have_host_watched();
        }
        self.react(effects);
    }

    /// Why there is no connection, when that is tried again, and how not to wait for it.
    fn or_at_once(&self, why: &Refusal, after: Duration) -> String {
        format!("{} (in {}, or at once with: join {})", why.reason, in_words(after), self.channel.name())
    }

    fn show_waiting(&mut self, refusal: Refusal) {
        let is_news = self.reason.as_ref().map(|reason| &reason.code) != Some(&refusal.code);
        self.reason = Some(refusal.clone());
        if is_news {
            self.tell_connection(LinkState::Retrying, Some(refusal.reason));
        }
        // What is too late is too late without a connection as well.
        self.pump();
    }

    /// The connection has ended.
    pub fn lost(&mut self, generation: u64, why: Refusal) {
        if generation == self.generation() && !self.stopping {
            self.let_go();
            self.failed(why);
        }
    }

    /// What comes over this connection cannot be trusted; a new one begins where the last good entry was.
    pub fn broken(&mut self, reason: &str) {
        tracing::warn!(channel = %self.channel.record.id, reason, "broken stream");
        let reason = format!("the stream of {} is broken: {reason}", self.channel.name());
        self.warn(Code::LogBehind, reason.clone());
        self.let_go();
        self.failed(Refusal::new(Code::LogBehind, reason));
    }

    /// Makes the connection anew, at once.
    pub(super) fn connect_again(&mut self) {
        self.let_go();
        let effects = self.reconnect.again(self.around.now);
        self.react(effects);
    }

    /// No connection is wanted any more.
    pub(super) fn disconnect(&mut self, why: Refusal) {
        self.reconnect.stop();
        self.let_go();
        self.put(Effect::Joining(Box::new(Err(why))));
    }

    /// Lets go of the connection: what it still brings is passed over.
    fn let_go(&mut self) {
        self.standing = None;
        self.is_broken = false;
        self.reason = None;
        self.keep_awaited();
        self.outbox.disconnected();
        self.writing.keeper.disconnected();
        self.filling.disconnected();
        self.put(Effect::CloseLink);
    }

    /// While there is no connection the tracker is to tell when the host is seen: it is asked for that once over each
    /// connection to it. What it answers is where the host is to be tried next.
    fn have_host_watched(&mut self) {
        if let Some(over) = self.around.entered_over.filter(|over| *over != self.located_over) {
            self.located_over = over;
            self.put(Effect::Locate(over));
        }
    }

    /// What the tracker has answered to [`Effect::Locate`].
    pub fn watched(&mut self, over: u64, located: Result<ChannelRecord, Refusal>) {
        match located {
            Ok(fresh) if self.standing.is_some() => self.seen_elsewhere(fresh),
            Ok(fresh) => {
                let before = (self.channel.record.host_key, self.channel.cut);
                // What does not follow from what is known is told by the next attempt.
                if let Ok(fresh) = follow(&self.channel.record, fresh) {
                    self.adopt(fresh);
                    if before != (self.channel.record.host_key, self.channel.cut) {
                        self.nudge(Nudge::Seen);
                    }
                }
            }
            Err(refusal) if refusal.code != Code::NoSuchChannel && self.located_over == over => {
                self.located_over = 0;
            }
            Err(_) => {}
        }
    }

    /// Who this peer is, or its pass, has changed.
    pub fn session_changed(&mut self) {
        match (self.entered_as(), self.appearance()) {
            (Some(entered_as), Some(me)) if entered_as == me => {
                self.put(Effect::ShowPass);
                // It may have moved while the tracker was away, and its host not know it.
                self.have_host_watched();
            }
            (Some(_), Some(_)) => self.check_identity(),
            (Some(_), None) => {
                self.let_go();
                self.failed(Code::NotSignedIn.into());
            }
            (None, Some((me, _))) if self.channel.joined && self.around.entered_over.is_some() => {
                self.have_host_watched();
                let is_other = self.tried_as.is_some_and(|tried_as: Subject| tried_as != me);
                self.nudge(if is_other { Nudge::Command } else { Nudge::Session });
            }
            (None, _) => {}
        }
    }

    /// As whom this client is in the channel, and whether unseen.
    fn entered_as(&self) -> Option<(Subject, bool)> {
        self.standing.as_ref().map(|standing| (standing.subject, standing.invisible))
    }

    /// A connection of somebody else than this peer is now, or that others see otherwise than they are to, makes way for a new one, once all is answered that went out
    /// under the old name: under the new one it could not be asked for again.
    pub(super) fn check_identity(&mut self) {
        let entered_as = self.entered_as();
        if entered_as.is_some() && self.outbox.under_way() == 0 && self.appearance() != entered_as {
            self.connect_again();
        }
    }

    /// The host does not take the new pass.
    pub fn pass_refused(&mut self, generation: u64) {
        if generation == self.generation() {
            self.connect_again();
        }
    }
}
