//! The peer's one listener: who connects says HELLO and enters one of the channels that are hosted here, or comes for a
//! private conversation or a file.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use common::clock::Timestamp;
use common::id::{ChannelId, RequestId};
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::listener::listen;
use common::proto::channel::{Connect, HostRequest};
use common::proto::limits::{
    CONNECT_AGAIN_AFTER, CONNECT_LIMIT, DRAIN_LIMIT, HELLO_LIMIT, MAX_CONNECT_ATTEMPTS, PROTOCOL_VERSION,
};
use common::proto::policy::Holder;
use common::proto::session::{self, Hello, Purpose, Welcome};
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, Request};
use common::shutdown::Shutdown;
use common::transport::{self, Connection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::PROGRAM;
use crate::alarm::Death;
use crate::direct::Door;
use crate::host::member::{Admitted, MemberSession};
use crate::host::quota::{self, Quotas};
use crate::host::{HostHandle, SharedGate};

/// The channels hosted here, for whoever comes, and whose passes count for them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    hosts: Arc<RwLock<HashMap<ChannelId, HostHandle>>>,
    gate: SharedGate,
    quotas: Quotas,
}

impl Hosts {
    /// No channel yet; who comes is held to `limits`.
    pub fn new(limits: quota::Limits) -> Self {
        Self { quotas: Quotas::new(limits), ..Self::default() }
    }

    /// From now on CONNECT finds this host.
    pub fn insert(&self, host: HostHandle) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).insert(host.id(), host);
    }

    /// CONNECT does not find this channel any more; who is in it stays.
    pub fn remove(&self, channel: ChannelId) -> Option<HostHandle> {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).remove(&channel)
    }

    /// The host of a channel.
    pub fn get(&self, channel: ChannelId) -> Option<HostHandle> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(&channel).cloned()
    }

    /// What decides whose passes count.
    pub fn gate(&self) -> &SharedGate {
        &self.gate
    }

    /// The host that somebody asks for, and what they may do there. The pass comes first, whether or not there is such a
    /// channel: whoever may not know of it learns as much as from one that does not exist, and as fast.
    fn admit(&self, connect: &Connect, link: &Link) -> Result<Admitted, Refusal> {
        let key = link.peer_key();
        let pass = self.gate.check(&connect.pass, key)?;
        let who = Holder { subject: pass.subject, key };
        let host = self.get(connect.channel).filter(|host| host.admits(who));
        let host = host.ok_or(Code::NoSuchChannel)?;
        host.heed_move(connect.moved.as_ref())?;
        let now = Timestamp::now();
        let allowance = self.quotas.of_member(link.origin(), connect.channel, pass.subject, now);
        Ok(Admitted { host, pass, allowance })
    }

    /// All hosts.
    pub fn all(&self) -> Vec<HostHandle> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The ways in for those who do not come for a channel.
#[derive(Clone, Debug)]
pub struct Doors {
    /// To conversations. Nobody is let in at either when this one is shut.
    pub talks: Door,
    /// To files.
    pub fetches: Door,
}

impl Doors {
    fn to(&self, purpose: Purpose) -> Option<&Door> {
        match purpose {
            Purpose::Direct => Some(&self.talks),
            Purpose::File => Some(&self.fetches),
            Purpose::Control | Purpose::Channel | Purpose::Other => None,
        }
    }
}

/// The running listener.
#[derive(Debug)]
pub struct Listener {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
    close: oneshot::Sender<()>,
}

impl Listener {
    /// Serves whoever connects, until the signal to stop. Has to be called within a tokio runtime, whose threads then
    /// do the work of all connections. Its end for any other reason is the `death`.
    pub fn start(
        listener: transport::Listener,
        hosts: Hosts,
        doors: Doors,
        shutdown: Shutdown,
        mut death: Death,
    ) -> Self {
        let local_addr = listener.local_addr();
        let (close, closed) = oneshot::channel();
        let task = async move {
            tokio::select! {
                () = accept(listener, hosts, doors, shutdown) => {}
                _ = closed => {}
            }
            death.expected();
        };
        Self { local_addr, task: tokio::spawn(task), close }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Listens no more, at once. Who is connected is left to whoever serves them.
    pub async fn close(self) {
        let Self { task, close, .. } = self;
        // Over already is as good.
        let _ = close.send(());
        let _ = task.await;
    }

    /// Waits until nothing is served any more: to be called after the signal to stop and after the hosts are closed.
    /// Who is not done then is cut off after a moment.
    pub async fn finish(self) {
        let Self { task, close: _close, .. } = self;
        if let Err(error) = task.await {
            tracing::error!(err = ?error.to_string(), "the listener ended badly");
        }
    }
}

async fn accept(listener: transport::Listener, hosts: Hosts, doors: Doors, shutdown: Shutdown) {
    let limits = hosts.quotas.admission().clone();
    let serve = {
        let shutdown = shutdown.clone();
        move |connection| receive(connection, hosts.clone(), Some(doors.clone()), shutdown.clone())
    };
    let members = listen(listener, limits, shutdown, serve).await;
    // The hosts tell their members; who does not read that in time is cut off.
    members.finish(DRAIN_LIMIT + Duration::from_secs(1)).await;
}

/// Serves one connection to its end. In process, the node hands in one end of a `memory_pair`.
pub async fn serve(connection: Connection, hosts: Hosts, shutdown: Shutdown) {
    receive(connection, hosts, None, shutdown).await;
}

async fn receive(connection: Connection, hosts: Hosts, doors: Option<Doors>, shutdown: Shutdown) {
    let (link, mut inbox) = Link::open(connection);
    let key = link.peer_key();
    let reason = tokio::select! {
        entered = Visitor { link: &link, inbox: &mut inbox, has_doors: doors.as_ref().is_some_and(|doors| !doors.talks.is_shut()) }.enter(&hosts) => entered,
        () = shutdown.requested() => {
            link.close_because(Code::GoingAway.into());
            Err(CloseReason::Here)
        }
    };
    let reason = match reason {
        Ok(Entered::Channel(session)) => session.serve(&mut inbox).await,
        Ok(Entered::Door(purpose)) => {
            if let Some(door) = doors.as_ref().and_then(|doors| doors.to(purpose)) {
                door.enter(link.clone(), inbox).await;
            }
            return link.finished().await;
        }
        Err(reason) => reason,
    };
    tracing::debug!(%key, reason = ?reason.to_string(), "connection ended");
    // Whoever ends the listener waits for this, so that the last words are not cut off.
    drop(inbox);
    link.finished().await;
}

/// Somebody who has not entered a channel yet.
struct Visitor<'a> {
    link: &'a Link,
    inbox: &'a mut Inbox,
    /// Whether conversations and files are served here.
    has_doors: bool,
}

/// Where a visitor has got to.
enum Entered {
    /// A channel.
    Channel(MemberSession),
    /// The door to what they came for.
    Door(Purpose),
}

impl Visitor<'_> {
    async fn enter(mut self, hosts: &Hosts) -> Result<Entered, CloseReason> {
        let greeted = timeout(HELLO_LIMIT, self.greet(&hosts.quotas)).await;
        let purpose = greeted.unwrap_or_else(|_| Err(self.end(Code::TimedOut.into())))?;
        if purpose != Purpose::Channel {
            return Ok(Entered::Door(purpose));
        }
        let deadline = Instant::now() + CONNECT_LIMIT;
        for _ in 0..MAX_CONNECT_ATTEMPTS {
            let Ok(asked) = timeout_at(deadline, self.next_connect()).await else {
                return Err(self.end(Code::TimedOut.into()));
            };
            let (id, connect) = asked?;
            let entered = match hosts.admit(&connect, self.link) {
                Ok(admitted) => MemberSession::enter(admitted, self.link.clone(), id, connect).await,
                Err(refusal) => Err(refusal),
            };
            match entered {
                Ok(session) => return Ok(Entered::Channel(session)),
                Err(refusal) => self.refuse(id, refusal),
            }
        }
        Err(self.end(Refusal::from(Code::TooManyRequests).after(CONNECT_AGAIN_AFTER)))
    }

    /// Waits for HELLO and answers it.
    async fn greet(&mut self, quotas: &Quotas) -> Result<Purpose, CloseReason> {
        loop {
            let request = self.next().await?;
            let id = request.id;
            if let Err(refusal) = Hello::check_version(&request) {
                self.refuse(id, refusal.clone());
                return Err(self.end(refusal));
            }
            match HostRequest::parse(&request.command, &request.body) {
                Ok(HostRequest::Hello(hello)) => match check_purpose(&hello, self.has_doors) {
                    Ok(()) => {
                        let welcome = welcome(quotas.advertised(self.link.origin()));
                        return self.link.answer(id, &Ok(welcome)).map(|()| hello.purpose);
                    }
                    Err(refusal) => self.refuse(id, refusal),
                },
                other => self.refuse_other(id, other),
            }
        }
    }

    /// The next CONNECT, with its request's id.
    async fn next_connect(&mut self) -> Result<(RequestId, Connect), CloseReason> {
        loop {
            let request = self.next().await?;
            match HostRequest::parse(&request.command, &request.body) {
                Ok(HostRequest::Connect(connect)) => return Ok((request.id, connect)),
                other => self.refuse_other(request.id, other),
            }
        }
    }

    async fn next(&mut self) -> Result<Request, CloseReason> {
        loop {
            if let Inbound::Request(request) = self.inbox.next().await? {
                return Ok(request);
            }
        }
    }

    /// PING is answered at any time, nothing else out of turn.
    fn refuse_other(&self, id: RequestId, asked: Result<HostRequest, Refusal>) {
        match asked {
            Ok(HostRequest::Ping(_)) => {
                let _ = self.link.answer(id, &Ok(Empty {}));
            }
            Ok(_) => self.refuse(id, Code::WrongPhase.into()),
            Err(refusal) => self.refuse(id, refusal),
        }
    }

    fn refuse(&self, id: RequestId, refusal: Refusal) {
        // When the link has ended, the next read says so.
        let _ = self.link.answer::<Empty>(id, &Err(refusal));
    }

    fn end(&self, reason: Refusal) -> CloseReason {
        self.link.close_because(reason);
        CloseReason::Here
    }
}

fn check_purpose(hello: &Hello, has_doors: bool) -> Result<(), Refusal> {
    let is_served = match hello.purpose {
        Purpose::Channel => true,
        Purpose::Direct | Purpose::File => has_doors,
        Purpose::Control | Purpose::Other => false,
    };
    if !is_served {
        return Err(Refusal::new(Code::BadRequest, "a peer serves the purposes channel, direct and file"));
    }
    Ok(())
}

fn welcome(limits: session::Limits) -> Welcome {
    Welcome { protocol: PROTOCOL_VERSION, program: PROGRAM.to_owned(), limits, directory: None }
}
