//! The reading side of a link.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, stream};
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::Decoder;

use super::{CloseReason, Inbound, Link, RequestError, Shared, farewell};
use crate::codec::{LineCodec, LineError};
use crate::proto::event::GoingAway;
use crate::proto::limits::{FRAME_LIMIT, MAX_BAD_FRAMES, REQUEST_LIMIT, SILENCE_LIMIT};
use crate::proto::status::{Code, Refusal};
use crate::proto::{self, Command, Frame, Pushed};
use crate::transport::Stream;

/// How many bytes the reading buffer has room for to begin with; most frames are shorter.
const READ_RESERVE: usize = 2048;

/// The reading side of a link. Dropping it ends the link.
pub struct Inbox {
    shared: Arc<Shared>,
    /// There until this is dropped.
    reader: Option<ReadHalf<Stream>>,
    /// Who takes the reader over then.
    left_over: Option<oneshot::Sender<ReadHalf<Stream>>>,
    buffer: BytesMut,
    codec: LineCodec,
    /// When the frame that is not whole yet was begun.
    begun: Option<Instant>,
    bad_frames: u32,
}

impl Inbox {
    /// An inbox, and where its reader is left when it is dropped.
    pub(super) fn new(
        shared: Arc<Shared>,
        reader: ReadHalf<Stream>,
    ) -> (Self, oneshot::Receiver<ReadHalf<Stream>>) {
        let (left_over, taken_over) = oneshot::channel();
        let (reader, left_over) = (Some(reader), Some(left_over));
        let (buffer, codec) = (BytesMut::new(), LineCodec::default());
        (Self { shared, reader, left_over, buffer, codec, begun: None, bad_frames: 0 }, taken_over)
    }

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

    /// What comes in, as a stream that ends with why the link has ended.
    pub fn into_stream(
        self,
    ) -> impl futures_util::Stream<Item = Result<Inbound, CloseReason>> + Send + 'static {
        stream::unfold(Some(self), |inbox| async move {
            let mut inbox = inbox?;
            let inbound = inbox.next().await;
            let rest = inbound.is_ok().then_some(inbox);
            Some((inbound, rest))
        })
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
            let line =
                line.inspect_err(|reason| self.shared.close(reason.clone())).map_err(RequestError::Lost)?;
            if let Some(inbound) = self.sort(&line).map_err(RequestError::Lost)? {
                tracing::debug!(word = ?inbound.word(), "came before the first answer, passed over");
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
        self.shared.push(proto::encode_unreadable(refusal))
    }

    /// Says what was too late, to who may still be there.
    fn say_late(&self, reason: &CloseReason) {
        let late = match reason {
            CloseReason::Silent => {
                format!("nothing was heard from you for {} seconds", SILENCE_LIMIT.as_secs())
            }
            CloseReason::Protocol(late) => (*late).to_owned(),
            _ => return,
        };
        self.shared.outgoing.close(farewell(Refusal::new(Code::TimedOut, late)), false);
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
                more = read_more(self.reader.as_mut(), &mut self.buffer, self.begun) => {
                    more.inspect_err(|reason| self.say_late(reason))?;
                }
                _ = closed.wait_for(Option::is_some) => return Err(self.shared.reason()),
            }
            self.begun.get_or_insert_with(Instant::now);
        }
    }
}

async fn read_more(
    reader: Option<&mut ReadHalf<Stream>>,
    buffer: &mut BytesMut,
    begun: Option<Instant>,
) -> Result<(), CloseReason> {
    let reader = reader.ok_or(CloseReason::Here)?;
    let silent = Instant::now() + SILENCE_LIMIT;
    let overdue = begun.map(|begun| begun + FRAME_LIMIT);
    let deadline = overdue.map_or(silent, |overdue| overdue.min(silent));
    buffer.reserve(READ_RESERVE);
    match timeout_at(deadline, reader.read_buf(buffer)).await {
        Ok(Ok(0)) => Err(CloseReason::There),
        Ok(Ok(_)) => Ok(()),
        // A process that is killed has no time for TLS's own goodbye.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(CloseReason::There),
        Ok(Err(error)) => Err(CloseReason::Broken(error.to_string())),
        Err(_) if deadline == silent => Err(CloseReason::Silent),
        Err(_) => Err(CloseReason::Protocol("a begun frame did not end in time")),
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.shared.outgoing.close(None, false);
        self.shared.close(CloseReason::Here);
        if let (Some(reader), Some(left_over)) = (self.reader.take(), self.left_over.take()) {
            // Not taken over when the writer has ended: then nothing is left to be said either.
            let _ = left_over.send(reader);
        }
    }
}
