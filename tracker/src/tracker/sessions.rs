//! Who is connected, who hosts what over which connection, and who waits for which channel.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use common::id::{ChannelId, Subject};
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::directory::Owner;
use common::proto::policy::Holder;
use common::proto::presence::User;
use common::transport::Origin;

use crate::limits::MAX_INTERESTS_PER_SESSION;

/// A connection to this tracker, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Who asks, as far as the connection says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The connection.
    pub conn: ConnId,
    /// Its proven key.
    pub key: PeerKey,
    /// Where it comes from.
    pub origin: Origin,
    /// The address it is seen at.
    pub remote: Option<IpAddr>,
}

/// Who a session has entered as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who, whatever the name.
    pub subject: Subject,
    /// The name.
    pub name: UserName,
    /// The proven key of the connection.
    pub key: PeerKey,
}

impl Identity {
    /// Who that is, and with which key.
    pub fn holder(&self) -> Holder {
        Holder { subject: self.subject, key: self.key }
    }

    /// The identity as others see it.
    pub fn user(&self) -> User {
        User { subject: self.subject, name: self.name.clone(), kind: self.subject.kind() }
    }

    /// The identity as the owner of a channel.
    pub fn owner(&self) -> Owner {
        Owner { subject: self.subject, name: self.name.clone(), kind: self.subject.kind() }
    }
}

#[derive(Debug, Default)]
struct Session {
    identity: Option<Identity>,
    hosting: BTreeSet<ChannelId>,
    /// The oldest first.
    waiting_for: VecDeque<ChannelId>,
}

/// All sessions. Pure. A session that has not entered hosts nothing and waits for nothing.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: HashMap<ConnId, Session>,
    entered: HashMap<PeerKey, ConnId>,
    hosts: HashMap<ChannelId, ConnId>,
    waiting: HashMap<ChannelId, BTreeSet<ConnId>>,
}

/// What entering changed for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superseded {
    /// The older session of the same key, to be closed.
    pub session: Option<ConnId>,
    /// What it hosted.
    pub channels: Vec<ChannelId>,
}

impl Sessions {
    /// Somebody connected.
    pub fn connect(&mut self, conn: ConnId) {
        self.sessions.insert(conn, Session::default());
    }

    /// A session entered, or entered as somebody else. `None` when it has ended already.
    pub fn enter(&mut self, conn: ConnId, identity: Identity) -> Option<Superseded> {
        let key = identity.key;
        self.sessions.get_mut(&conn)?.identity = Some(identity);
        let session = self.entered.insert(key, conn).filter(|older| *older != conn);
        let channels = session.map(|older| self.leave(older)).unwrap_or_default();
        Some(Superseded { session, channels })
    }

    /// The session of a key has no identity any more. Returns what it hosted.
    pub fn sign_out(&mut self, key: PeerKey) -> Vec<ChannelId> {
        self.entered.get(&key).copied().map(|conn| self.leave(conn)).unwrap_or_default()
    }

    /// A connection has ended. Returns what it hosted.
    pub fn disconnect(&mut self, conn: ConnId) -> Vec<ChannelId> {
        let hosted = self.leave(conn);
        self.sessions.remove(&conn);
        hosted
    }

    /// Takes a session's identity, and all that hangs on it.
    fn leave(&mut self, conn: ConnId) -> Vec<ChannelId> {
        let Some(session) = self.sessions.get_mut(&conn).map(std::mem::take) else { return Vec::new() };
        if let Some(identity) = session.identity
            && self.entered.get(&identity.key) == Some(&conn)
        {
            self.entered.remove(&identity.key);
        }
        for channel in session.waiting_for {
            self.stop_waiting(conn, channel);
        }
        for channel in &session.hosting {
            self.hosts.remove(channel);
        }
        session.hosting.into_iter().collect()
    }

    /// Who a session has entered as.
    pub fn identity(&self, conn: ConnId) -> Option<&Identity> {
        self.sessions.get(&conn)?.identity.as_ref()
    }

    /// The session that a key has entered with.
    pub fn entered_with(&self, key: &PeerKey) -> Option<(ConnId, &Identity)> {
        let conn = *self.entered.get(key)?;
        Some((conn, self.identity(conn)?))
    }

    /// The connection over which a key has entered.
    pub fn conn_of(&self, key: PeerKey) -> Option<ConnId> {
        self.entered.get(&key).copied()
    }

    /// Whether a key has entered.
    pub fn has_entered(&self, key: PeerKey) -> bool {
        self.entered.contains_key(&key)
    }

    /// The connections of those who host something.
    pub fn hosting(&self) -> Vec<ConnId> {
        self.sessions
            .iter()
            .filter(|(_, session)| !session.hosting.is_empty())
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// The connections of all who have entered.
    pub fn entered(&self) -> Vec<ConnId> {
        self.entered.values().copied().collect()
    }

    /// The connection over which a channel is hosted.
    pub fn host_of(&self, channel: ChannelId) -> Option<ConnId> {
        self.hosts.get(&channel).copied()
    }

    /// Gives a session the lease of a channel, whoever had it. Whether the channel was up already; `None` when the
    /// session has not entered or has ended.
    pub fn lease(&mut self, conn: ConnId, channel: ChannelId) -> Option<bool> {
        let session = self.sessions.get_mut(&conn).filter(|session| session.identity.is_some())?;
        session.hosting.insert(channel);
        let before = self.hosts.insert(channel, conn);
        if let Some(other) =
            before.filter(|other| *other != conn).and_then(|other| self.sessions.get_mut(&other))
        {
            other.hosting.remove(&channel);
        }
        Some(before.is_some())
    }

    /// Ends the lease of a channel. Whether there was one.
    pub fn end_lease(&mut self, channel: ChannelId) -> bool {
        let Some(conn) = self.hosts.remove(&channel) else { return false };
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.hosting.remove(&channel);
        }
        true
    }

    /// Whether a channel's host is connected.
    pub fn is_online(&self, channel: ChannelId) -> bool {
        self.hosts.contains_key(&channel)
    }

    /// The channels whose hosts are connected.
    pub fn online(&self) -> impl Iterator<Item = ChannelId> {
        self.hosts.keys().copied()
    }

    /// A session wants to hear of a channel. Of too many, the one asked for longest ago is forgotten.
    pub fn wait_for(&mut self, conn: ConnId, channel: ChannelId) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.waiting_for.retain(|known| *known != channel);
        session.waiting_for.push_back(channel);
        let forgotten = (session.waiting_for.len() > MAX_INTERESTS_PER_SESSION)
            .then(|| session.waiting_for.pop_front())
            .flatten();
        self.waiting.entry(channel).or_default().insert(conn);
        if let Some(forgotten) = forgotten {
            self.stop_waiting(conn, forgotten);
        }
    }

    fn stop_waiting(&mut self, conn: ConnId, channel: ChannelId) {
        if let Some(waiting) = self.waiting.get_mut(&channel) {
            waiting.remove(&conn);
            if waiting.is_empty() {
                self.waiting.remove(&channel);
            }
        }
    }

    /// Who wants to hear of a channel, and may.
    pub fn waiting(&self, channel: ChannelId, may: impl Fn(Holder) -> bool) -> Vec<ConnId> {
        let waiting = self.waiting.get(&channel).into_iter().flatten().copied();
        waiting.filter(|conn| self.identity(*conn).is_some_and(|identity| may(identity.holder()))).collect()
    }

    /// How many connections, entered sessions, leases and interests there are.
    pub fn counts(&self) -> [usize; 4] {
        [self.sessions.len(), self.entered.len(), self.hosts.len(), self.waiting.len()]
    }
}

#[cfg(test)]
mod tests;
