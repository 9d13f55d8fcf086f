//! A link: one connection over which both sides ask, answer and push.
//!
//! [`Link`] is the cheap handle by which anybody may ask, answer or push; a task of its own writes. [`Inbox`] reads: its
//! one owner pulls requests and events from it, and answers to requests of this side are handed out on the way. The
//! owner of an inbox must not wait for an answer on the same link before it pulls again.

mod outgoing;
mod pending;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::Decoder;

pub use outgoing::{NotTaken, Outgoing};
pub use pending::{Pending, Refused};

use crate::codec::{LineCodec, LineError};
use crate::id::RequestId;
use crate::identity::PeerKey;
use crate::proto::event::GoingAway;
use crate::proto::limits::{
    DRAIN_LIMIT, FRAME_LIMIT, MAX_BAD_FRAMES, MAX_PENDING_REQUESTS, PING_EVERY, REQUEST_LIMIT, SILENCE_LIMIT,
    WRITE_LIMIT,
};
use crate::proto::session::Ping;
use crate::proto::status::{Code, Refusal};
use crate::proto::{self, Command, Event, Frame, Pushed, Request};
use crate::transport::{Connection, Origin, Stream};

type Outcome = Result<Box<RawValue>, RequestError>;
type Waiter = oneshot::Sender<Outcome>;

/// How many bytes the reading buffer has room for to begin with; most frames are shorter.
const READ_RESERVE: usize = 2048;

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

struct Shared {
    outgoing: Outgoing,
    pending: Mutex<Pending<Waiter>>,
    closed: watch::Sender<Option<CloseReason>>,
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
            pending: Mutex::new(Pending::new(MAX_PENDING_REQUESTS)),
            closed: watch::Sender::new(None),
            peer_key: connection.peer_key,
            origin: connection.origin,
            path: connection.path,
        }));
        tokio::spawn(write(link.0.clone(), writer));
        let inbox = Inbox {
            shared: link.0.clone(),
            reader,
            buffer: BytesMut::new(),
            codec: LineCodec::default(),
            begun: None,
            bad_frames: 0,
        };
        (link, inbox)
    }

    /// Says PING now and then until the link ends. For the side that dialled.
    pub fn keep_alive(&self) {
        let link = self.clone();
        tokio::spawn(async move {
            while timeout(PING_EVERY, link.closed()).await.is_err() {
                // What matters is that bytes come back; their absence is seen by the inbox.
                let _ = link.request(&Ping {}).await;
            }
        });
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
        self.0.outgoing.push(lines).map_err(|not_taken| {
            if not_taken == NotTaken::Overflow {
                self.0.outgoing.close(farewell(Code::SlowReader.into()), true);
                self.0.close(CloseReason::SlowReader);
            }
            self.0.reason()
        })
    }

    /// Ends the link once what waits is written.
    pub fn close(&self) {
        self.0.outgoing.close(None, false);
        self.0.close(CloseReason::Here);
    }

    /// Ends the link once what waits is written, and says why.
    pub fn close_because(&self, reason: Refusal) {
        self.0.outgoing.close(farewell(reason), false);
        self.0.close(CloseReason::Here);
    }

    /// Waits for the end of the link.
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.0.closed.subscribe();
        // The sender lives as long as `self`.
        let _ = closed.wait_for(Option::is_some).await;
        self.0.reason()
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

/// The reading side of a link. Dropping it ends the link.
pub struct Inbox {
    shared: Arc<Shared>,
    reader: ReadHalf<Stream>,
    buffer: BytesMut,
    codec: LineCodec,
    /// When the frame that is not whole yet was begun.
    begun: Option<Instant>,
    bad_frames: u32,
}

impl Inbox {
    /// The next request or event. Can be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// Why the link has ended.
    pub async fn next(&mut self) -> Result<Inbound, CloseReason> {
        loop {
            let line = self.line().await.inspect_err(|reason| self.shared.close(reason.clone()))?;
            if let Some(inbound) = self.sort(&line)? {
                return Ok(inbound);
            }
        }
    }

    /// Asks, and reads just as far as the answer: for the first requests on a connection, when nothing else is under way.
    ///
    /// # Errors
    /// A refusal, or why there is no answer.
    pub async fn ask<C: Command>(&mut self, link: &Link, command: &C) -> Result<C::Reply, RequestError> {
        let mut answer = std::pin::pin!(link.send(command)?);
        let deadline = Instant::now() + REQUEST_LIMIT;
        loop {
            if let Some(reply) = answer.as_mut().now_or_never() {
                return reply;
            }
            let line = timeout_at(deadline, self.line()).await.map_err(|_| RequestError::TimedOut)?;
            let line = line.inspect_err(|reason| self.shared.close(reason.clone())).map_err(RequestError::Lost)?;
            if let Some(inbound) = self.sort(&line).map_err(RequestError::Lost)? {
                tracing::debug!(?inbound, "came before the first answer, passed over");
            }
        }
    }

    /// Hands an answer to who waits for it, answers what cannot be read; the rest is for the owner.
    fn sort(&mut self, line: &[u8]) -> Result<Option<Inbound>, CloseReason> {
        match Frame::parse(line) {
            Ok(frame) => {
                self.bad_frames = 0;
                self.sort_frame(frame)
            }
            Err(refusal) => self.bad_frame(refusal).map(|()| None),
        }
    }

    fn sort_frame(&self, frame: Frame) -> Result<Option<Inbound>, CloseReason> {
        match frame {
            Frame::Request(request) => Ok(Some(Inbound::Request(request))),
            Frame::Response(response) => {
                if let Some(waiter) = self.shared.pending().take(response.id) {
                    let _ = waiter.send(response.outcome.map_err(RequestError::Refused));
                }
                Ok(None)
            }
            Frame::Event(event) if event.name == GoingAway::NAME => {
                let told =
                    proto::parse_body::<GoingAway>(&event.body).unwrap_or_else(|reason| GoingAway { reason });
                let reason = CloseReason::Told(told.reason);
                self.shared.close(reason.clone());
                Err(reason)
            }
            Frame::Event(event) => Ok(Some(Inbound::Event(event))),
        }
    }

    fn bad_frame(&mut self, refusal: Refusal) -> Result<(), CloseReason> {
        self.bad_frames += 1;
        tracing::debug!(path = %self.shared.path, reason = ?refusal.reason, "unreadable frame");
        if self.bad_frames >= MAX_BAD_FRAMES {
            self.shared.outgoing.close(farewell(refusal), false);
            let reason = CloseReason::Protocol("too many unreadable lines in a row");
            self.shared.close(reason.clone());
            return Err(reason);
        }
        // A full queue ends the link, and the next read says so.
        let _ = self.shared.outgoing.push(proto::encode_unreadable(refusal));
        Ok(())
    }

    async fn line(&mut self) -> Result<Bytes, CloseReason> {
        let mut closed = self.shared.closed.subscribe();
        loop {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(line)) => {
                    self.begun = (!self.buffer.is_empty()).then(Instant::now);
                    return Ok(line);
                }
                Ok(None) => {}
                Err(LineError::TooLong) => {
                    self.shared.outgoing.close(farewell(Code::FrameTooLong.into()), false);
                    return Err(CloseReason::Protocol("a line is over the limit of a frame"));
                }
                Err(LineError::Io(error)) => return Err(CloseReason::Broken(error.to_string())),
            }
            tokio::select! {
                more = read_more(&mut self.reader, &mut self.buffer, self.begun) => more?,
                _ = closed.wait_for(Option::is_some) => return Err(self.shared.reason()),
            }
            self.begun.get_or_insert_with(Instant::now);
        }
    }
}

async fn read_more(
    reader: &mut ReadHalf<Stream>,
    buffer: &mut BytesMut,
    begun: Option<Instant>,
) -> Result<(), CloseReason> {
    let silent = Instant::now() + SILENCE_LIMIT;
    let overdue = begun.map(|begun| begun + FRAME_LIMIT);
    let deadline = overdue.map_or(silent, |overdue| overdue.min(silent));
    buffer.reserve(READ_RESERVE);
    match timeout_at(deadline, reader.read_buf(buffer)).await {
        Ok(Ok(0)) => Err(CloseReason::There),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(CloseReason::Broken(error.to_string())),
        Err(_) if deadline == silent => Err(CloseReason::Silent),
        Err(_) => Err(CloseReason::Protocol("a begun frame did not end in time")),
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.shared.outgoing.close(None, false);
        self.shared.close(CloseReason::Here);
    }
}

/// Writes out what is pushed until the queue is closed and empty, or the other side takes nothing any more.
async fn write(shared: Arc<Shared>, mut writer: WriteHalf<Stream>) {
    let mut closed = shared.closed.subscribe();
    let overdue = async {
        // The sender lives as long as `shared`.
        let _ = closed.wait_for(Option::is_some).await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    let ended = tokio::select! {
        ended = write_all(&shared.outgoing, &mut writer) => ended,
        () = overdue => Err(CloseReason::SlowReader),
    };
    if let Err(reason) = ended {
        shared.close(reason);
    }
    // Says to the other side that nothing more will come; whether it still listens does not matter.
    let _ = timeout(DRAIN_LIMIT, writer.shutdown()).await;
}

async fn write_all(outgoing: &Outgoing, writer: &mut WriteHalf<Stream>) -> Result<(), CloseReason> {
    while let Some(batch) = outgoing.next_batch().await {
        let write = async {
            writer.write_all(&batch).await?;
            writer.flush().await
        };
        match timeout(WRITE_LIMIT, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(CloseReason::Broken(error.to_string())),
            Err(_) => return Err(CloseReason::SlowReader),
        }
    }
    Ok(())
}
