//! One connection to the tracker: a plain task that reads a request, has it done and answers, one after another.

mod dispatch;
pub mod phase;

use std::time::Duration;

use common::identity::PeerKey;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::directory::{
    ChannelRecord, Host, Hosted, List, Listing, Locate, Missed, SayToAll, SetPolicy, TrackerRequest, Unhost,
};
use common::proto::knock::{Introduce, Knock, Sent};
use common::proto::limits::PROTOCOL_VERSION;
use common::proto::session::{Hello, Purpose, Welcome};
use common::proto::status::{Code, Refusal};
use common::proto::transfer::{Offered, Offers, Transfer};
use common::proto::{Empty, Request};
use common::shutdown::Shutdown;
use common::transport::{Connection, Origin};
use tokio::time::timeout;
use tracing::Instrument;

use crate::error::Failure;
use crate::tracker::TrackerHandle;
use crate::tracker::hosting::Announced;
use crate::tracker::sessions::{Caller, ConnId};
use phase::Phase;

/// What the tracker says of itself in HELLO.
const PROGRAM: &str = concat!("natter tracker ", env!("CARGO_PKG_VERSION"));

/// What one connection is served with.
struct Session {
    tracker: TrackerHandle,
    caller: Caller,
    phase: Phase,
    /// The last revocation that was told over this connection; `None` before any was wanted.
    told: Option<u64>,
}

/// Serves a connection until it ends, and its last words are written.
pub async fn serve(
    connection: Connection,
    tracker: TrackerHandle,
    hello_limit: Duration,
    shutdown: Shutdown,
) {
    let (remote, origin) = (connection.remote.map(|remote| remote.ip()), connection.origin);
    let (link, mut inbox) = Link::open(connection);
    let key = link.peer_key();
    let greeted = tokio::select! {
        greeted = greet(&link, &mut inbox, &tracker, hello_limit) => greeted,
        // The tracker tells only those it knows.
        () = shutdown.requested() => Err(hang_up(&link, Code::GoingAway.into())),
    };
    let begun = match greeted {
        Ok(hello) => match tracker.connect(link.clone()).await {
            Ok(conn) => Ok((conn, hello)),
            Err(failure) => Err(hang_up(&link, failure.into_refusal())),
        },
        Err(reason) => Err(reason),
    };
    match begun {
        Ok((conn, hello)) => {
            let known = Known { tracker: tracker.clone(), conn, key, is_over: false };
            let span = tracing::info_span!("session", conn = conn.0);
            let caller = Caller { conn, key, origin, remote };
            let session = Session { tracker, caller, phase: Phase::Stranger, told: hello.revoked_after };
            session.run(&link, &mut inbox).instrument(span).await;
            known.end().await;
        }
        Err(reason) => {
            tracing::debug!(reason = ?reason.to_string(), path = %link.path(), "connection ended before it began")
        }
    }
    drop(inbox);
    link.finished().await;
}

fn hang_up(link: &Link, reason: Refusal) -> CloseReason {
    link.close_because(reason.clone());
    CloseReason::Told(reason)
}

/// A connection that the tracker counts: what it hosts is no longer online once it is over, even when its task panics
/// or is cut off.
struct Known {
    tracker: TrackerHandle,
    conn: ConnId,
    key: PeerKey,
    is_over: bool,
}

impl Known {
    async fn end(mut self) {
        self.tracker.clone().forget(self.conn).await;
        self.is_over = true;
        if let Err(failure) = self.tracker.note_device_seen(self.key).await {
            tracing::warn!(err = ?failure.to_string(), "when a device was last here was not noted");
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        // Without a runtime the whole tracker is at its end.
        if !self.is_over
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (tracker, conn) = (self.tracker.clone(), self.conn);
            runtime.spawn(async move { tracker.forget(conn).await });
        }
    }
}

impl Session {
    async fn run(mut self, link: &Link, inbox: &mut Inbox) {
        tracing::debug!(key = %self.caller.key, "connected");
        let reason = loop {
            let request = match inbox.next().await {
                Ok(Inbound::Request(request)) => request,
                // A peer has nothing to tell its tracker; a newer one may.
                Ok(Inbound::Event(_)) => continue,
                Err(reason) => break reason,
            };
            if let Err(reason) = self.serve(link, request).await {
                break reason;
            }
        };
        link.close();
        tracing::debug!(reason = ?reason.to_string(), "disconnected");
    }

    async fn listing(&self, list: List) -> Result<Listing, Failure> {
        self.tracker.list(self.caller.origin, self.phase.identity()?, list).await
    }

    async fn locate(&self, what: Locate) -> Result<ChannelRecord, Failure> {
        self.tracker.locate(self.caller.conn, self.phase.identity()?, what).await
    }

    async fn host(&mut self, host: Host) -> Result<Hosted, Failure> {
        let Announced { channel, policy } =
            self.tracker.host(self.caller, self.phase.identity()?, host).await?;
        // After the lease: what is revoked from now on is pushed.
        let missed = self.missed(self.told.unwrap_or_default()).await?;
        Ok(Hosted { channel, policy, missed })
    }

    async fn missed(&mut self, told: u64) -> Result<Missed, Failure> {
        let (missed, told) = self.tracker.missed(told).await?;
        self.told = Some(told);
        Ok(missed)
    }

    async fn knock(&self, knock: Knock) -> Result<Sent, Failure> {
        self.tracker.knock(self.caller, self.phase.identity()?, knock).await
    }

    async fn transfer(&self, asked: Transfer) -> Result<Offers, Failure> {
        self.tracker.transfer(self.phase.identity()?, asked).await
    }

    async fn say_to_all(&self, said: SayToAll) -> Result<Empty, Failure> {
        self.tracker.say_to_all(self.caller, self.phase.identity()?, said).await.map(|()| Empty {})
    }

    async fn introduce(&self, introduce: Introduce) -> Result<Empty, Failure> {
        let who = self.phase.identity()?;
        self.tracker.introduce(self.caller.conn, who, self.caller.remote, introduce).await.map(|()| Empty {})
    }

    /// Tells who has asked for a conversation or offers a channel, behind the answer that lets this peer in.
    async fn tell_knocks(&self, link: &Link) {
        let Phase::Entered(identity) = &self.phase else { return };
        match self.tracker.knocks_for(identity).await {
            // A link that does not take it ends by that.
            Ok(knocks) => knocks.iter().for_each(|knocked| drop(link.tell(knocked))),
            Err(failure) => tracing::warn!(err = ?failure.to_string(), "kept requests were not told"),
        }
        match self.tracker.offers_to(identity.subject).await {
            Ok(offers) => {
                offers.into_iter().for_each(|offer| drop(link.tell(&Offered { offer, ended: false })))
            }
            Err(failure) => tracing::warn!(err = ?failure.to_string(), "kept offers were not told"),
        }
    }

    async fn set_policy(&self, asked: SetPolicy) -> Result<Empty, Failure> {
        self.tracker.set_policy(self.phase.identity()?, asked).await.map(|()| Empty {})
    }

    async fn unhost(&self, unhost: Unhost) -> Result<Empty, Failure> {
        self.tracker.unhost(self.phase.identity()?, unhost).await.map(|()| Empty {})
    }
}

/// Waits for HELLO and answers it. Whatever else comes first is refused, and the time goes on running.
async fn greet(
    link: &Link,
    inbox: &mut Inbox,
    tracker: &TrackerHandle,
    limit: Duration,
) -> Result<Hello, CloseReason> {
    let greeting = async {
        loop {
            if let Inbound::Request(request) = inbox.next().await?
                && let Some(hello) = answer_hello(link, request, tracker)?
            {
                return Ok(hello);
            }
        }
    };
    timeout(limit, greeting)
        .await
        .unwrap_or_else(|_| Err(hang_up(link, Refusal::new(Code::TimedOut, "HELLO did not come in time"))))
}

/// The HELLO with which the session has begun, if it has.
fn answer_hello(
    link: &Link,
    request: Request,
    tracker: &TrackerHandle,
) -> Result<Option<Hello>, CloseReason> {
    let parsed =
        Hello::check_version(&request).and_then(|()| TrackerRequest::parse(&request.command, &request.body));
    let welcome = match parsed {
        Ok(TrackerRequest::Hello(hello)) => {
            welcome(&hello, link.origin(), tracker).map(|welcome| (hello, welcome))
        }
        Ok(TrackerRequest::Heads(_)) => return link.answer(request.id, &Ok(Empty {})).map(|()| None),
        Ok(_) => Err(Refusal::new(Code::WrongPhase, "the first request of a connection is HELLO")),
        Err(refusal) => Err(refusal),
    };
    match welcome {
        Ok((hello, welcome)) => {
            link.answer(request.id, &Ok(welcome))?;
            Ok(Some(hello))
        }
        Err(refusal) => {
            let is_final = refusal.code == Code::UnsupportedVersion;
            link.answer::<Welcome>(request.id, &Err(refusal.clone()))?;
            if is_final { Err(hang_up(link, refusal)) } else { Ok(None) }
        }
    }
}

fn welcome(hello: &Hello, origin: Origin, tracker: &TrackerHandle) -> Result<Welcome, Refusal> {
    if hello.purpose != Purpose::Control {
        return Err(Refusal::new(Code::BadRequest, "a tracker serves the purpose control only"));
    }
    Ok(Welcome {
        protocol: PROTOCOL_VERSION,
        program: PROGRAM.to_owned(),
        limits: tracker.quotas().advertised(origin),
        directory: Some(tracker.directory()),
    })
}
