//! The writing side of a link: writing at once on the thread of whoever brings lines, and the task that writes out what
//! had to wait.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{CloseReason, Shared};
use crate::crash::{self, Point};
use crate::proto::limits::{DRAIN_BYTES, DRAIN_LIMIT, WRITE_LIMIT};
use crate::transport::Stream;

/// How much of what is passed over is read at once.
const DRAIN_PIECE: usize = 8 * 1024;

/// Where the bytes of a link go, whoever writes them.
#[derive(Default)]
pub(super) struct WritingEnd(Mutex<Option<WriteHalf<Stream>>>);

impl WritingEnd {
    pub fn new(writer: WriteHalf<Stream>) -> Self {
        Self(Mutex::new(Some(writer)))
    }

    // Locked for as long as the system takes bytes, never while it does not.
    fn lock(&self) -> MutexGuard<'_, Option<WriteHalf<Stream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and flushes as much as goes now.
    fn poll_write(&self, batch: &mut Bytes, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut end = self.lock();
        let writer = end.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while !batch.is_empty() {
            match ready!(Pin::new(&mut *writer).poll_write(cx, batch))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => batch.advance(written),
            }
        }
        Pin::new(writer).poll_flush(cx)
    }

    /// Writes what goes now, without waiting; returns what is left to the writer, which finds out why.
    pub fn write_now(&self, mut batch: Bytes) -> Option<Bytes> {
        match self.poll_write(&mut batch, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                crash::here(Point::LinkWrote);
                None
            }
            _ => Some(batch),
        }
    }

    async fn write(&self, mut batch: Bytes) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(&mut batch, cx)).await
    }

    fn take(&self) -> Option<WriteHalf<Stream>> {
        self.lock().take()
    }
}

/// Writes out what waits until the queue is closed and empty, or the other side takes nothing any more. After the
/// end of the link it sees to it that the last words arrive.
pub(super) async fn write(shared: Arc<Shared>, left_over: oneshot::Receiver<ReadHalf<Stream>>) {
    let mut closed = shared.closed.subscribe();
    let overdue = async {
        // The sender lives as long as `shared`.
        let _ = closed.wait_for(Option::is_some).await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    let end = End(&shared);
    let last_words = async {
        if let Err(reason) = write_all(&shared).await {
            give_up(&shared, reason).await;
        }
        if let Some(mut writer) = shared.writing_end.take() {
            // Says to the other side that nothing more will come; whether it still listens does not matter.
            let _ = writer.shutdown().await;
            drain(&shared, left_over).await;
        }
    };
    tokio::select! {
        () = last_words => {}
        () = overdue => {}
    }
    drop(end);
    shared.written.send_replace(true);
}

/// The writer has ended, however: the socket is not to live as long as the last handle of the link.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.writing_end.take();
    }
}

async fn write_all(shared: &Shared) -> Result<(), CloseReason> {
    while let Some(batch) = shared.outgoing.next_batch().await {
        match timeout(WRITE_LIMIT, shared.writing_end.write(batch)).await {
            Ok(Ok(())) => {
                crash::here(Point::LinkWrote);
                shared.outgoing.end(None);
            }
            // The batch counts as being written for ever: nothing may follow half a line.
            Ok(Err(error)) => return Err(CloseReason::Broken(error.to_string())),
            Err(_) => return Err(CloseReason::SlowReader),
        }
    }
    Ok(())
}

/// Ends the link because nothing can be written any more. The other side may have said why before it hung up: whoever
/// reads the inbox has a moment to find that.
async fn give_up(shared: &Shared, reason: CloseReason) {
    shared.outgoing.close(None, true);
    if let CloseReason::Broken(_) = reason {
        let mut closed = shared.closed.subscribe();
        let _ = timeout(DRAIN_LIMIT, closed.wait_for(Option::is_some)).await;
    }
    shared.close(reason);
}

/// Takes what still comes in, until the other side has ended too: a connection that is closed with something unread
/// takes back what was written to it last.
async fn drain(shared: &Shared, left_over: oneshot::Receiver<ReadHalf<Stream>>) {
    if let CloseReason::There | CloseReason::Told(_) | CloseReason::Broken(_) = shared.reason() {
        return;
    }
    let Ok(mut reader) = left_over.await else { return };
    let (mut piece, mut drained) = (vec![0; DRAIN_PIECE], 0);
    while drained < DRAIN_BYTES {
        match reader.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => drained += read,
        }
    }
}
