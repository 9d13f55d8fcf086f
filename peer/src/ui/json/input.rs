//! Lines of text out of a stream of bytes, each bounded.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, ReadBuf};
use tokio::sync::mpsc;

use crate::ui::parse::MAX_LINE_BYTES;

/// How much is read from the standard input at once.
const READ_BYTES: usize = 16 * 1024;
/// How many such reads may wait; what is not read holds back whoever writes.
const READS_AHEAD: usize = 4;

/// A line that cannot be read as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLine {
    /// It was skipped.
    #[error("a line has at most {MAX_LINE_BYTES} bytes; this one was left out")]
    TooLong,
    /// It was skipped.
    #[error("a line is UTF-8; this one was left out")]
    NotUtf8,
}

/// The lines of a stream, without their ends. A last one without an end counts.
pub(super) struct Lines<R> {
    stream: BufReader<R>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// The next line; `None` at the end, and when the stream is broken.
    pub(super) async fn next(&mut self) -> Option<Result<String, BadLine>> {
        let mut line = Vec::new();
        let mut is_too_long = false;
        let mut seen = false;
        loop {
            // A broken input has ended: there is nobody to tell but the log.
            let read = self.stream.fill_buf().await;
            let chunk = read.inspect_err(|error| tracing::warn!(err = %error, "the input is broken")).ok()?;
            if chunk.is_empty() {
                break;
            }
            seen = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            is_too_long |= line.len() + part.len() > MAX_LINE_BYTES;
            if is_too_long {
                line.clear();
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.stream.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !seen {
            return None;
        }
        if is_too_long {
            return Some(Err(BadLine::TooLong));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(String::from_utf8(line).map_err(|_| BadLine::NotUtf8))
    }
}

/// The standard input, read by a thread of its own.
///
/// The one of tokio would keep the runtime from ending for as long as a read blocks, until somebody types a line.
pub fn stdin() -> impl AsyncRead + Unpin + Send {
    let (sender, chunks) = mpsc::channel(READS_AHEAD);
    let read_on = move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut chunk = vec![0; READ_BYTES];
            let read = match stdin.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            let chunk = read.map(|length| {
                chunk.truncate(length);
                chunk
            });
            if sender.blocking_send(chunk).is_err() || is_last {
                return;
            }
        }
    };
    let started = std::thread::Builder::new().name("stdin".into()).spawn(read_on);
    if let Err(error) = started {
        tracing::error!(err = %error, "the input cannot be read");
    }
    Chunks { chunks, rest: io::Cursor::default() }
}

/// What the reading thread has read.
struct Chunks {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    rest: io::Cursor<Vec<u8>>,
}

impl AsyncRead for Chunks {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut free = vec![0; buf.remaining().min(READ_BYTES)];
            let length = this.rest.read(&mut free)?;
            if length > 0 {
                buf.put_slice(free.get(..length).unwrap_or_default());
                return Poll::Ready(Ok(()));
            }
            match std::task::ready!(this.chunks.poll_recv(cx)) {
                Some(chunk) => this.rest = io::Cursor::new(chunk?),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<Result<String, BadLine>> {
        let mut lines = Lines { stream: BufReader::with_capacity(7, bytes) };
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_are_told_apart() {
        let expected = ["one", "", "two words, longer", "last"].map(|line| Ok(line.to_owned()));
        assert_eq!(lines(b"one\n\r\ntwo words, longer\r\nlast").await, expected);
        assert_eq!(lines(b"").await, []);
        assert_eq!(lines(b"\n").await, [Ok(String::new())]);
    }

    #[tokio::test]
    async fn what_is_no_line_is_left_out() {
        let long = "x".repeat(MAX_LINE_BYTES);
        let bytes = [long.as_bytes(), b"\n", long.as_bytes(), b"y\n\xff\nnext\n"].concat();
        let expected = [Ok(long), Err(BadLine::TooLong), Err(BadLine::NotUtf8), Ok("next".to_owned())];
        assert_eq!(lines(&bytes).await, expected);
    }
}
