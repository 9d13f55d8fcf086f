//! One connection to the tracker: a plain task that reads a request, has it done and answers, one after another.

mod dispatch;
pub mod phase;

use std::time::Duration;

use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::directory::{
    ChannelRecord, Host, List, Listing, Locate, SetPolicy, TrackerRequest, Unhost,
};
use common::proto::knock::{Introduce, Knock, Sent};
use common::proto::limits::PROTOCOL_VERSION;
use common::proto::session::{Hello, Purpose, Welcome};
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, Request};
use common::shutdown::Shutdown;
use common::transport::{Connection, Origin};
use tokio::time::timeout;
use tracing::Instrument;

use crate::error::Failure;
use crate::tracker::TrackerHandle;
use crate::tracker::sessions::{Caller, ConnId};
use phase::Phase;

/// What the tracker says of itself in HELLO.
const PROGRAM: &str = concat!("natter tracker ", env!("CARGO_PKG_VERSION"));

/// What one connection is served with.
struct Session {
    tracker: TrackerHandle,
    caller: Caller,
    phase: Phase,
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
        Ok(()) => {
            tracker.connect(link.clone()).await.map_err(|failure| hang_up(&link, failure.into_refusal()))
        }
        Err(reason) => Err(reason),
    };
    match begun {
        Ok(conn) => {
            let known = Known { tracker: tracker.clone(), conn, is_over: false };
            let span = tracing::info_span!("session", conn = conn.0);
            let caller = Caller { conn, key, origin, remote };
            let session = Session { tracker, caller, phase: Phase::Stranger };
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
    is_over: bool,
}

impl Known {
    async fn end(mut self) {
        self.tracker.clone().forget(self.conn).await;
        self.is_over = true;
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
        self.tracker.list(self.phase.identity()?, list).await
    }

    async fn locate(&self, what: Locate) -> Result<ChannelRecord, Failure> {
        self.tracker.locate(self.caller.conn, self.phase.identity()?, what).await
    }

    async fn host(&self, host: Host) -> Result<ChannelRecord, Failure> {
        self.tracker.host(self.caller, self.phase.identity()?, host).await
    }

    async fn knock(&self, knock: Knock) -> Result<Sent, Failure> {
        self.tracker.knock(self.caller.conn, self.phase.identity()?, knock).await
    }

    async fn introduce(&self, introduce: Introduce) -> Result<Empty, Failure> {
        let who = self.phase.identity()?;
        self.tracker.introduce(self.caller.conn, who, self.caller.remote, introduce).await.map(|()| Empty {})
    }

    /// Tells who has asked for a conversation, behind the answer that lets this peer in.
    async fn tell_knocks(&self, link: &Link) {
        let Phase::Entered(identity) = &self.phase else { return };
        match self.tracker.knocks_for(identity).await {
            // A link that does not take it ends by that.
            Ok(knocks) => knocks.iter().for_each(|knocked| drop(link.tell(knocked))),
            Err(failure) => tracing::warn!(err = ?failure.to_string(), "kept requests were not told"),
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
) -> Result<(), CloseReason> {
    let greeting = async {
        loop {
            if let Inbound::Request(request) = inbox.next().await?
                && answer_hello(link, request, tracker)?
            {
                return Ok(());
            }
        }
    };
    timeout(limit, greeting)
        .await
        .unwrap_or_else(|_| Err(hang_up(link, Refusal::new(Code::TimedOut, "HELLO did not come in time"))))
}

/// Whether the session has begun.
fn answer_hello(link: &Link, request: Request, tracker: &TrackerHandle) -> Result<bool, CloseReason> {
    let parsed =
        Hello::check_version(&request).and_then(|()| TrackerRequest::parse(&request.command, &request.body));
    let welcome = match parsed {
        Ok(TrackerRequest::Hello(hello)) => welcome(&hello, link.origin(), tracker),
        Ok(TrackerRequest::Ping(_)) => return link.answer(request.id, &Ok(Empty {})).map(|()| false),
        Ok(_) => Err(Refusal::new(Code::WrongPhase, "the first request of a connection is HELLO")),
        Err(refusal) => Err(refusal),
    };
    let has_begun = welcome.is_ok();
    let is_final = matches!(&welcome, Err(refusal) if refusal.code == Code::UnsupportedVersion);
    link.answer(request.id, &welcome)?;
    match welcome {
        Err(refusal) if is_final => Err(hang_up(link, refusal)),
        _ => Ok(has_begun),
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
