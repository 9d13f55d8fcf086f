//! What the tracker's actor decides: sessions and channels in, what has to be told out. Pure.

use std::time::Instant;

use common::clock::Timestamp;
use common::id::{AccountId, ChannelId, Subject};
use common::identity::PeerKey;
use common::proto::directory::{ChannelHead, ChannelRecord, Listing, Locate};
use common::proto::event::{ChannelDown, ChannelUp, Superseded};
use common::proto::knock::{Introduction, Knocked};
use common::proto::limits::MAX_USERS_IN_FRAME;
use common::proto::policy::Holder;
use common::proto::presence::{CameOnline, InvisibleChanged, User, WentOffline};

use super::channels::{Channels, Page};
use super::introductions::{Introductions, Wish, introduction};
use super::knocks::Kept;
use super::people::People;
use super::sessions::{ConnId, Identity, Sessions};
use super::watching::{News, TooMany, Watching};
use crate::store::directory::{Revision, Row};
use crate::store::schema::ChannelRow;

/// What has to be done after something was decided.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Tell these that a channel is there.
    Up(Vec<ConnId>, Box<ChannelUp>),
    /// Tell these that a channel has gone.
    Down(Vec<ConnId>, ChannelDown),
    /// Tell these that somebody asks for a conversation.
    Knocked(Vec<ConnId>, Knocked),
    /// Tell this one who has come, of those it watches.
    CameOnline(ConnId, CameOnline),
    /// Tell this one who has gone, of those it watches.
    WentOffline(ConnId, WentOffline),
    /// Tell these devices that their account is seen, or not.
    Invisible(Vec<ConnId>, InvisibleChanged),
    /// Tell this one who can be met, or will not be.
    Introduce(ConnId, Introduction),
    /// Tell this one that a channel, which it hosted, has moved.
    Moved(ConnId, Box<Superseded>),
    /// Close a connection, whose key has entered over a newer one.
    Supersede(ConnId),
}

/// The session has ended, or is not entered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionGone;

/// A session would have shown a user who is invisible by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen;

/// All that the tracker knows beside what is on disk.
#[derive(Debug, Default)]
pub struct State {
    /// Who is connected.
    pub sessions: Sessions,
    /// The list of channels.
    pub channels: Channels,
    /// Who is there, as others see it.
    pub people: People,
    /// Who wants to hear of whom.
    pub watching: Watching,
    /// Who wants to talk to whom.
    pub introductions: Introductions,
    /// What has to be done, in this order.
    pub effects: Vec<Effect>,
}

impl State {
    /// The connections of those who let others in by their passes: hosts, and who wants to talk to somebody.
    pub fn who_checks_passes(&self) -> Vec<ConnId> {
        let mut conns = self.sessions.hosting();
        conns.extend(self.introductions.wishing());
        conns.sort_unstable();
        conns.dedup();
        conns
    }

    /// A session entered. Returns the channels that its key owned as a guest and that are the account's now.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn enter(&mut self, conn: ConnId, identity: Identity) -> Result<Vec<ChannelId>, SessionGone> {
        let (key, subject) = (identity.key, identity.subject);
        let before = self.sessions.identity(conn).map(|identity| identity.subject);
        let elsewhere = self.sessions.entered_with(&key).filter(|(older, _)| *older != conn);
        let elsewhere = elsewhere.map(|(_, identity)| identity.subject);
        let superseded = self.sessions.enter(conn, identity.clone()).ok_or(SessionGone)?;
        // In this order, so that whoever stays was never away.
        self.people.came(&identity);
        before.into_iter().chain(elsewhere).for_each(|subject| self.people.left(subject));
        [Some(subject), before, elsewhere].into_iter().flatten().for_each(|subject| self.look_at(subject));
        if before != Some(subject) {
            self.introductions.forget(conn);
        }
        if let Some(older) = superseded.session {
            self.introductions.forget(older);
            self.watching.forget(older);
        }
        self.effects.extend(superseded.session.map(Effect::Supersede));
        self.went_down(&superseded.channels);
        Ok(match subject {
            Subject::Account(_) => self.channels.owned_by(Subject::Guest(key)).collect(),
            Subject::Guest(_) => Vec::new(),
        })
    }

    /// A key belongs to no account any more.
    pub fn sign_out(&mut self, key: PeerKey) {
        let entered = self.sessions.entered_with(&key).map(|(conn, identity)| (conn, identity.subject));
        let hosted = self.sessions.sign_out(key);
        if let Some((conn, subject)) = entered {
            self.over(conn, Some(subject));
        }
        self.went_down(&hosted);
    }

    /// These keys may not be entered any more. Returns their connections, which are to be closed.
    pub fn end_sessions(&mut self, keys: &[PeerKey]) -> Vec<ConnId> {
        let conns = keys.iter().filter_map(|key| self.sessions.conn_of(*key)).collect();
        for key in keys {
            self.sign_out(*key);
        }
        conns
    }

    /// A connection has ended. Returns the guests' channels whose host is gone by that.
    pub fn disconnect(&mut self, conn: ConnId) -> Vec<ChannelId> {
        let subject = self.sessions.identity(conn).map(|identity| identity.subject);
        let hosted = self.sessions.disconnect(conn);
        self.over(conn, subject);
        self.went_down(&hosted);
        self.of_guests(hosted)
    }

    /// What somebody was here for over a connection is over.
    fn over(&mut self, conn: ConnId, subject: Option<Subject>) {
        self.introductions.forget(conn);
        self.watching.forget(conn);
        if let Some(subject) = subject {
            self.people.left(subject);
            self.look_at(subject);
        }
    }

    /// Somebody may be there for others to see now, or not any more.
    fn look_at(&mut self, subject: Subject) {
        if self.watching.is_watched(subject) {
            self.watching.is_now(subject, self.people.visible(subject).cloned());
        }
    }

    /// An account is invisible, or not any more, by the word of the session `conn`; `keys` are its other devices. Whom
    /// they wanted to talk to before is forgotten: that was said by somebody who could be seen.
    pub fn hide(
        &mut self,
        conn: ConnId,
        (account, revision): (AccountId, Revision),
        on: bool,
        keys: &[PeerKey],
    ) {
        self.people.hide(account, revision, on);
        let subject = Subject::Account(account);
        let others = keys.iter().filter_map(|key| self.sessions.entered_with(key));
        let others: Vec<ConnId> =
            others.filter(|(_, identity)| identity.subject == subject).map(|(conn, _)| conn).collect();
        if on {
            [conn].iter().chain(&others).for_each(|conn| self.introductions.forget(*conn));
        }
        self.look_at(subject);
        if !others.is_empty() {
            self.effects.push(Effect::Invisible(others, InvisibleChanged { on }));
        }
    }

    /// A session wants to hear of these. Returns those who are there.
    ///
    /// # Errors
    /// When the session has ended or is not entered.
    pub fn watch(
        &mut self,
        conn: ConnId,
        subjects: Vec<Subject>,
    ) -> Result<Result<Vec<User>, TooMany>, SessionGone> {
        self.sessions.identity(conn).ok_or(SessionGone)?;
        let now = |subject| (subject, self.people.visible(subject).cloned());
        Ok(self.watching.watch(conn, subjects.into_iter().map(now).collect()))
    }

    /// What was gathered of coming and going is told.
    pub fn gather(&mut self, now: Instant) {
        for (conn, News { came, left }) in self.watching.gather(now) {
            let some = came.chunks(MAX_USERS_IN_FRAME);
            let came = some.map(|some| Effect::CameOnline(conn, CameOnline { users: some.to_vec() }));
            self.effects.extend(came);
            let some = left.chunks(MAX_USERS_IN_FRAME);
            let left = some.map(|some| Effect::WentOffline(conn, WentOffline { users: some.to_vec() }));
            self.effects.extend(left);
        }
    }

    /// A channel was announced over a connection.
    ///
    /// # Errors
    /// When the session has ended or is not entered; the row is taken in all the same.
    pub fn announce(&mut self, conn: ConnId, row: Row<ChannelRow>) -> Result<ChannelRecord, SessionGone> {
        let id = row.value.id;
        let before = self.channels.get(id).map(|row| row.record(true));
        let record = row.value.record(true);
        self.policy_changed(row);
        let host = self.sessions.host_of(id).filter(|host| *host != conn);
        let was_up = self.sessions.lease(conn, id).ok_or(SessionGone)?;
        if let Some(host) = host.filter(|_| before.as_ref().is_some_and(|it| it.host_key != record.host_key))
        {
            self.effects.push(Effect::Moved(host, Box::new(Superseded { channel: record.clone() })));
        }
        // Where the log is does not matter to those who wait.
        let is_same = before.is_some_and(|before| ChannelRecord { head: record.head, ..before } == record);
        if !(was_up && is_same) {
            self.came_up(id);
        }
        Ok(record)
    }

    /// Others may know of a channel now than before: to some it comes up by that, and to some it goes down, just as if
    /// it were no more.
    pub fn policy_changed(&mut self, row: Row<ChannelRow>) {
        let id = row.value.id;
        let before = self.channels.get(id).cloned();
        self.channels.put(row);
        let (Some(before), Some(after)) = (before, self.channels.get(id)) else { return };
        if before.policy == after.policy || !self.sessions.is_online(id) {
            return;
        }
        let up = self.sessions.waiting(id, |who| after.is_visible_to(who) && !before.is_visible_to(who));
        let down = self.sessions.waiting(id, |who| before.is_visible_to(who) && !after.is_visible_to(who));
        if !up.is_empty() {
            self.effects.push(Effect::Up(up, Box::new(ChannelUp { channel: after.record(true) })));
        }
        if !down.is_empty() {
            self.effects.push(Effect::Down(down, ChannelDown { id }));
        }
    }

    /// A row has changed without anybody having come or gone.
    pub fn refresh(&mut self, row: Row<ChannelRow>) {
        self.channels.put(row);
    }

    /// A session says how far channels are. Returns those that were further once; of channels that are not announced over
    /// it, nothing is taken or said.
    pub fn hear(&mut self, conn: ConnId, heads: &[ChannelHead]) -> Vec<ChannelId> {
        let hosted = heads.iter().filter(|told| self.sessions.host_of(told.id) == Some(conn));
        let channels = &mut self.channels;
        hosted.filter_map(|told| channels.hear(told).is_err().then_some(told.id)).collect()
    }

    /// A channel's host has ended its announcement.
    pub fn withdraw(&mut self, id: ChannelId) {
        if self.sessions.end_lease(id) {
            self.went_down(&[id]);
        }
    }

    /// A channel is no more.
    pub fn remove(&mut self, id: ChannelId, revision: Revision) {
        if self.channels.is_before(id, revision) {
            self.withdraw(id);
            self.channels.remove(id, revision);
        }
    }

    /// Where a channel is. Whoever asked hears from now on when that changes; by its id also when there is none that they
    /// may know of now, whether or not there is one: they are told as soon as they may.
    pub fn locate(&mut self, conn: ConnId, who: Holder, what: &Locate) -> Option<ChannelRecord> {
        let row = match what {
            Locate::Name(name) => self.channels.find(name),
            Locate::Id(id) => self.channels.get(*id),
        };
        let row = row.filter(|row| row.is_visible_to(who));
        let record = row.map(|row| row.record(self.sessions.is_online(row.id)));
        let found = record.as_ref().map(|record| record.id);
        let named = if let Locate::Id(id) = what { Some(*id) } else { None };
        if let Some(id) = found.or(named) {
            self.sessions.wait_for(conn, id);
        }
        record
    }

    /// A page of the list of channels.
    pub fn list(&self, page: &Page, who: Holder) -> Listing {
        self.channels.list(page, who, |id| self.sessions.is_online(id))
    }

    /// Somebody has knocked at these devices, over this connection.
    pub fn ring(&mut self, conn: ConnId, keys: &[PeerKey], kept: Kept) {
        let knocked = match kept {
            Kept::Waiting(knocked) => knocked,
            Kept::Rejected(by) => {
                // Any device of whoever turned it down stands for them.
                let Some(key) = keys.first().copied() else { return };
                let rejection = Introduction { who: by, key, addresses: Vec::new(), rejected: true };
                return self.effects.push(Effect::Introduce(conn, rejection));
            }
        };
        let Some(me) = self.sessions.identity(conn) else { return };
        let mut waiting = Vec::new();
        for (other_conn, other) in keys.iter().filter_map(|key| self.sessions.entered_with(key)) {
            match self.introductions.find(other_conn, me) {
                Some(wish) => {
                    let accepted = introduction(other, &wish.addresses);
                    self.effects.push(Effect::Introduce(conn, accepted));
                }
                None => waiting.push(other_conn),
            }
        }
        self.effects.push(Effect::Knocked(waiting, knocked));
    }

    /// A session wants to talk to somebody, by whom an invisible user wants to be seen or not.
    ///
    /// # Errors
    /// When the session has ended or is not entered.
    pub fn meet(
        &mut self,
        conn: ConnId,
        wish: Wish,
        knocked: &[PeerKey],
        invisible: bool,
    ) -> Result<Result<(), Unseen>, SessionGone> {
        let me = self.sessions.identity(conn).ok_or(SessionGone)?;
        if !invisible && !wish.keys.is_empty() && self.people.is_invisible(me.subject) {
            return Ok(Err(Unseen));
        }
        let introduced = self.introductions.wish(&self.sessions, conn, wish, knocked).ok_or(SessionGone)?;
        self.effects.extend(introduced.into_iter().map(|(conn, event)| Effect::Introduce(conn, event)));
        Ok(Ok(()))
    }

    /// The knocks of these devices of somebody were turned down.
    pub fn reject(&mut self, keys: &[PeerKey], of: Subject, rejection: &Introduction) {
        for (conn, other) in keys.iter().filter_map(|key| self.sessions.entered_with(key)) {
            if other.subject == of {
                self.effects.push(Effect::Introduce(conn, rejection.clone()));
            }
        }
    }

    /// The guests' channels whose hosts are there, and the channels whose names are free again.
    pub fn due(&self, now: Timestamp) -> (Vec<ChannelId>, Vec<ChannelId>) {
        let online = self.of_guests(self.sessions.online());
        let lapsed =
            self.channels.lapsed(now).into_iter().filter(|id| !self.sessions.is_online(*id)).collect();
        (online, lapsed)
    }

    fn of_guests(&self, ids: impl IntoIterator<Item = ChannelId>) -> Vec<ChannelId> {
        let is_guests = |id: &ChannelId| {
            self.channels.get(*id).is_some_and(|row| matches!(row.owner.subject, Subject::Guest(_)))
        };
        ids.into_iter().filter(is_guests).collect()
    }

    fn came_up(&mut self, id: ChannelId) {
        let Some(row) = self.channels.get(id) else { return };
        let told = self.sessions.waiting(id, |who| row.is_visible_to(who));
        if !told.is_empty() {
            self.effects.push(Effect::Up(told, Box::new(ChannelUp { channel: row.record(true) })));
        }
    }

    fn went_down(&mut self, ids: &[ChannelId]) {
        for id in ids {
            let told = self
                .sessions
                .waiting(*id, |who| self.channels.get(*id).is_none_or(|row| row.is_visible_to(who)));
            if !told.is_empty() {
                self.effects.push(Effect::Down(told, ChannelDown { id: *id }));
            }
        }
    }
}

#[cfg(test)]
mod tests;
