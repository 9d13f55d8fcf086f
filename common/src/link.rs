//! A link: one connection over which both sides ask, answer and push.
//!
//! [`Link`] is the cheap handle by which anybody may ask, answer or push; a task of its own writes. [`Inbox`] reads: its
//! one owner pulls requests and events from it, and answers to requests of this side are handed out on the way. The
//! owner of an inbox must not wait for an answer on the same link before it pulls again.

mod inbox;
mod outgoing;
mod pending;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, interval_at, timeout};

pub use inbox::Inbox;
pub use outgoing::{NotTaken, Outgoing};
pub use pending::{Pending, Refused};
use writer::WritingEnd;

use crate::id::RequestId;
use crate::identity::PeerKey;
use crate::proto::event::GoingAway;
use crate::proto::limits::{MAX_PENDING_REQUESTS, PING_EVERY, REQUEST_LIMIT, SILENCE_LIMIT};
use crate::proto::session::Ping;
use crate::proto::status::{Code, Refusal};
use crate::proto::{self, Command, Empty, Event, Pushed, Request};
use crate::transport::{Connection, Origin};

type Outcome = Result<Box<RawValue>, RequestError>;
type Waiter = oneshot::Sender<Outcome>;

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The other side said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer came in time. Whether it was done is unknown.
    #[error("no answer came in time")]
    TimedOut,
    /// The connection was lost first. Whether it was done is unknown.
    #[error("the connection was lost: {0}")]
    Lost(CloseReason),
    /// The request does not fit a frame.
    #[error("the request is too long")]
    TooLong,
    /// Too many requests are unanswered already.
    #[error("too many requests are unanswered")]
    TooMany,
}

impl RequestError {
    /// The same, in the form of a refusal: for those who only want code and sentence.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::TimedOut => Code::TimedOut.into(),
            Self::Lost(reason) => {
                Refusal::new(Code::ConnectionLost, format!("the connection was lost: {reason}"))
            }
            Self::TooLong => Code::FrameTooLong.into(),
            Self::TooMany => Code::TooManyRequests.into(),
        }
    }
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed here")]
    Here,
    /// The other side closed it without a word.
    #[error("closed by the other side")]
    There,
    /// The other side closed it and said why.
    #[error("{0}")]
    Told(Refusal),
    /// Nothing was heard for [`SILENCE_LIMIT`].
    #[error("nothing was heard for {} seconds", SILENCE_LIMIT.as_secs())]
    Silent,
    /// A request of this side was not answered within [`REQUEST_LIMIT`].
    #[error("a request was not answered within {} seconds", REQUEST_LIMIT.as_secs())]
    Unanswered,
    /// A frame did not end in time, or not within its cap, or too many could not be read.
    #[error("the other side does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// The other side did not read what was written to it.
    #[error("the other side does not read")]
    SlowReader,
    /// The stream broke.
    #[error("{0}")]
    Broken(String),
}

/// What comes in from the other side, other than answers.
#[derive(Debug)]
pub enum Inbound {
    /// It asks. Every request wants an answer.
    Request(Request),
    /// It tells.
    Event(Event),
}

impl Inbound {
    /// What it is called by the protocol, as the other side has it.
    pub fn word(&self) -> &str {
        match self {
            Self::Request(request) => &request.command,
            Self::Event(event) => &event.name,
        }
    }
}

struct Shared {
    outgoing: Outgoing,
    writing_end: WritingEnd,
    pending: Mutex<Pending<Waiter>>,
    closed: watch::Sender<Option<CloseReason>>,
    written: watch::Sender<bool>,
    peer_key: PeerKey,
    origin: Origin,
    path: String,
}

impl Shared {
    // The map is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn pending(&self) -> MutexGuard<'_, Pending<Waiter>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first reason stands; all that is pending fails with it at once.
    fn close(&self, reason: CloseReason) {
        let is_first = self.closed.send_if_modified(|closed| {
            let is_first = closed.is_none();
            closed.get_or_insert(reason);
            is_first
        });
        if is_first {
            self.outgoing.close(None, false);
            let reason = self.reason();
            for waiter in self.pending().close() {
                // Whoever no longer waits has no use for it.
                let _ = waiter.send(Err(RequestError::Lost(reason.clone())));
            }
        }
    }

    /// Appends lines. Never waits: a link whose other side does not read ends by this.
    fn push(&self, lines: Bytes) -> Result<(), CloseReason> {
        self.outgoing.push(lines).map_err(|not_taken| self.not_taken(not_taken))
    }

    /// The same, but lines that nothing waits before are written on this thread, as far as the system takes them.
    fn push_now(&self, lines: Bytes) -> Result<(), CloseReason> {
        if let Some(lines) = self.outgoing.begin(lines).map_err(|not_taken| self.not_taken(not_taken))? {
            self.outgoing.end(self.writing_end.write_now(lines));
        }
        Ok(())
    }

    fn not_taken(&self, not_taken: NotTaken) -> CloseReason {
        if not_taken == NotTaken::Overflow {
            self.outgoing.close(farewell(Code::SlowReader.into()), true);
            self.close(CloseReason::SlowReader);
        }
        self.reason()
    }

    fn reason(&self) -> CloseReason {
        self.closed.borrow().clone().unwrap_or(CloseReason::Here)
    }
}

/// The handle of a link.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("peer_key", &self.0.peer_key).field("path", &self.0.path).finish()
    }
}

impl Link {
    /// Makes a link of a connection. Has to be called within a tokio runtime, on which the writer is started.
    pub fn open(connection: Connection) -> (Self, Inbox) {
        let (reader, writer) = tokio::io::split(connection.stream);
        let link = Self(Arc::new(Shared {
            outgoing: Outgoing::default(),
            writing_end: WritingEnd::new(writer),
            pending: Mutex::new(Pending::new(MAX_PENDING_REQUESTS)),
            closed: watch::Sender::new(None),
            written: watch::Sender::new(false),
            peer_key: connection.peer_key,
            origin: connection.origin,
            path: connection.path,
        }));
        let (inbox, left_over) = Inbox::new(link.0.clone(), reader);
        tokio::spawn(writer::write(link.0.clone(), left_over));
        (link, inbox)
    }

    /// Says PING at a steady pace until the link ends, whatever is answered and whether or not anybody reads that here.
    /// For the side that dialled.
    pub fn keep_alive(&self) {
        let link = self.clone();
        tokio::spawn(async move {
            let mut pace = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
            // Kept until the next PING and never waited for: what matters is that bytes go and come back, and their
            // absence is seen by the inboxes.
            let mut _answer = None;
            loop {
                tokio::select! {
                    _ = link.closed() => return,
                    _ = pace.tick() => _answer = link.ping(),
                }
            }
        });
    }

    /// Says PING. What is returned keeps a place for the answer, if there was one free.
    fn ping(&self) -> Option<impl Send + use<>> {
        let answer = self.send(&Ping {});
        if let Err(RequestError::TooMany) = answer
            && let Ok(line) = proto::encode_request(RequestId::new(), &Ping {})
        {
            // The other side has to hear something all the same. A link that does not take it has ended.
            let _ = self.push(line);
        }
        answer.ok()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// A refusal, or why there is no answer.
    pub async fn request<C: Command>(&self, command: &C) -> Result<C::Reply, RequestError> {
        self.send(command)?.await
    }

    /// Asks at once, in the order of the calls, and returns the future of the answer.
    ///
    /// # Errors
    /// When it could not be asked.
    pub fn send<C: Command>(
        &self,
        command: &C,
    ) -> Result<impl Future<Output = Result<C::Reply, RequestError>> + Send + use<C>, RequestError> {
        let id = RequestId::new();
        let line = proto::encode_request(id, command).map_err(|_| RequestError::TooLong)?;
        let (waiter, answer) = oneshot::channel();
        self.0.pending().insert(id, waiter).map_err(|refused| match refused {
            Refused::Full => RequestError::TooMany,
            Refused::Closed => RequestError::Lost(self.0.reason()),
        })?;
        let waiting = Waiting { shared: self.0.clone(), id };
        self.push(line).map_err(|_| RequestError::Lost(self.0.reason()))?;
        Ok(async move {
            let waiting = waiting;
            let outcome = match timeout(REQUEST_LIMIT, answer).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(RequestError::Lost(waiting.shared.reason())),
                Err(_) => Err(RequestError::TimedOut),
            };
            proto::parse_body(&outcome?).map_err(RequestError::Refused)
        })
    }

    /// Answers a request of the other side.
    ///
    /// # Errors
    /// When the link has ended, which whoever reads the inbox learns as well.
    pub fn answer<R: Serialize>(
        &self,
        id: RequestId,
        outcome: &Result<R, Refusal>,
    ) -> Result<(), CloseReason> {
        self.push(proto::encode_response(id, outcome))
    }

    /// Answers a request that this side does not expect: PING, which anybody may ask, and nothing else.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn answer_unexpected(&self, request: &Request) -> Result<(), CloseReason> {
        let is_ping = request.command == Ping::NAME;
        self.answer(request.id, &if is_ping { Ok(Empty {}) } else { Err(proto::unknown(&request.command)) })
    }

    /// Tells the other side something.
    ///
    /// # Errors
    /// When the link has ended, or the event does not fit a frame.
    pub fn tell<E: Pushed>(&self, event: &E) -> Result<(), CloseReason> {
        let line = proto::encode_event(event).map_err(|error| CloseReason::Broken(error.to_string()))?;
        self.push(line)
    }

    /// Appends lines made elsewhere. Never waits: a link whose other side does not read is closed.
    ///
    /// # Errors
    /// When the link has ended, or ends by this.
    pub fn push(&self, lines: Bytes) -> Result<(), CloseReason> {
        self.0.push(lines)
    }

    /// The same, but writes the lines on this thread when nothing waits before them. Never waits either: what the system
    /// does not take now is left to the link's writer. For lines that go to many, whose writers would all have to be
    /// woken; with what goes to one, whatever else is said at that moment had better go out together.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_now(&self, lines: Bytes) -> Result<(), CloseReason> {
        self.0.push_now(lines)
    }

    /// Ends the link once what waits is written.
    pub fn close(&self) {
        self.0.outgoing.close(None, false);
        self.0.close(CloseReason::Here);
    }

    /// Ends the link because a request was not answered in time, so that another one can find out what came of it.
    pub fn give_up(&self) {
        self.0.outgoing.close(farewell(Code::TimedOut.into()), true);
        self.0.close(CloseReason::Unanswered);
    }

    /// Ends the link once what waits is written, and says why.
    pub fn close_because(&self, reason: Refusal) {
        self.0.outgoing.close(farewell(reason), false);
        self.0.close(CloseReason::Here);
    }

    /// Whether the link has ended.
    pub fn is_closed(&self) -> bool {
        self.0.closed.borrow().is_some()
    }

    /// Waits for the end of the link.
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.0.closed.subscribe();
        // The sender lives as long as `self`.
        let _ = closed.wait_for(Option::is_some).await;
        self.0.reason()
    }

    /// Waits until the link has ended and its last words have reached the other side, or never will: at most
    /// [`DRAIN_LIMIT`](proto::limits::DRAIN_LIMIT) after its end. A program that stops before may cut them off. The
    /// inbox has to be dropped by then, since what still comes in has to be taken meanwhile.
    pub async fn finished(&self) {
        let mut written = self.0.written.subscribe();
        // The sender lives as long as `self`.
        let _ = written.wait_for(|written| *written).await;
    }

    /// The queue of what waits to be written.
    pub fn outgoing(&self) -> &Outgoing {
        &self.0.outgoing
    }

    /// The proven key of the other side.
    pub fn peer_key(&self) -> PeerKey {
        self.0.peer_key
    }

    /// Where the other side comes from, as limits count it.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The way the connection goes, for people.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

fn farewell(reason: Refusal) -> Option<Bytes> {
    proto::encode_event(&GoingAway { reason }).ok()
}

/// Takes the waiter out of the map when the one who asked no longer waits.
struct Waiting {
    shared: Arc<Shared>,
    id: RequestId,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.pending().forget(self.id);
    }
}
