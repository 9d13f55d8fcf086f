//! The connection of whoever fetches: lines to begin with, then raw bytes, and lines the other way meanwhile.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::codec::LineCodec;
use common::id::RequestId;
use common::identity::PeerKey;
use common::proto::event::GoingAway;
use common::proto::file::FileProgress;
use common::proto::limits::{FILE_BLOCK_BYTES, REQUEST_LIMIT, SILENCE_LIMIT, WRITE_LIMIT};
use common::proto::session::Purpose;
use common::proto::status::{Code, Refusal};
use common::proto::{Command, Frame, Pushed, encode_event, encode_request};
use common::transport::{Address, Expected, Stream, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::codec::Decoder;

use crate::tracker_link::hello_for;

/// How much is read at once, and handed on as one.
const PIECE_BYTES: usize = FILE_BLOCK_BYTES as usize;

/// A connection for files, dialled by this side.
pub(super) struct Wire {
    pub incoming: Incoming,
    pub outgoing: Outgoing,
}

/// What comes in.
pub(super) struct Incoming {
    reader: ReadHalf<Stream>,
    buffer: BytesMut,
    codec: LineCodec,
}

/// What goes out.
pub(super) struct Outgoing(WriteHalf<Stream>);

fn lost(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::ConnectionLost, format!("the connection was lost: {error}"))
}

async fn in_time<T>(limit: Duration, future: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    timeout(limit, future).await.unwrap_or_else(|_| Err(Code::TimedOut.into()))
}

impl Wire {
    /// Reaches the device with this key, and says what for.
    ///
    /// # Errors
    /// Why not.
    pub async fn dial(transport: &Transport, key: PeerKey, addresses: &[Address]) -> Result<Self, Refusal> {
        let connection = transport.dial(Expected::Key(key), addresses).await;
        let connection = connection.map_err(|error| Refusal::new(Code::ConnectionLost, error.to_string()))?;
        let (reader, writer) = tokio::io::split(connection.stream);
        let incoming = Incoming { reader, buffer: BytesMut::new(), codec: LineCodec::default() };
        let mut wire = Self { incoming, outgoing: Outgoing(writer) };
        wire.ask(&hello_for(Purpose::File)).await?;
        Ok(wire)
    }

    /// Asks, and reads just as far as the answer.
    ///
    /// # Errors
    /// A refusal, or why there is no answer.
    pub async fn ask<C: Command>(&mut self, command: &C) -> Result<C::Reply, Refusal> {
        let id = RequestId::new();
        let line = encode_request(id, command).map_err(|_| Refusal::from(Code::FrameTooLong))?;
        self.outgoing.write(&line).await?;
        in_time(REQUEST_LIMIT, self.incoming.answer(id)).await.and_then(|body| {
            serde_json::from_str(&body)
                .map_err(|_| Refusal::new(Code::BadRequest, "the answer cannot be read"))
        })
    }
}

impl Incoming {
    async fn answer(&mut self, id: RequestId) -> Result<String, Refusal> {
        loop {
            let line = self.line().await?;
            match Frame::parse(&line)? {
                Frame::Response(response) if response.id == id => {
                    return response.outcome.map(|body| body.get().to_owned());
                }
                Frame::Event(event) if event.name == GoingAway::NAME => {
                    let told = serde_json::from_str::<GoingAway>(event.body.get());
                    return Err(told.map(|told| told.reason).unwrap_or_else(|_| Code::GoingAway.into()));
                }
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Result<Bytes, Refusal> {
        loop {
            if let Some(line) = self.codec.decode(&mut self.buffer).map_err(lost)? {
                return Ok(line);
            }
            if self.reader.read_buf(&mut self.buffer).await.map_err(lost)? == 0 {
                return Err(lost("closed by the other side"));
            }
        }
    }

    /// The next of `left` raw bytes.
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes for too long.
    pub async fn piece(&mut self, left: u64) -> Result<Bytes, Refusal> {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        while self.buffer.len() < wanted {
            self.buffer.reserve(wanted - self.buffer.len());
            // Never beyond what belongs to the raw bytes by more than what is read at once; it stays in the buffer.
            let read = self.reader.read_buf(&mut self.buffer);
            let read = timeout(SILENCE_LIMIT, read).await.map_err(|_| Refusal::from(Code::TimedOut))?;
            if read.map_err(lost)? == 0 {
                return Err(lost("closed by the other side"));
            }
        }
        Ok(self.buffer.split_to(wanted).freeze())
    }
}

impl Outgoing {
    /// Says how far it is.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn tell(&mut self, progress: &FileProgress) -> Result<(), Refusal> {
        let line = encode_event(progress).map_err(|_| Refusal::from(Code::FrameTooLong))?;
        self.write(&line).await
    }

    async fn write(&mut self, line: &[u8]) -> Result<(), Refusal> {
        in_time(WRITE_LIMIT, async {
            self.0.write_all(line).await.map_err(lost)?;
            self.0.flush().await.map_err(lost)
        })
        .await
    }

    /// Ends the connection.
    pub async fn close(mut self) {
        // Whether the other side hears it does not matter.
        let _ = timeout(WRITE_LIMIT, self.0.shutdown()).await;
    }
}
