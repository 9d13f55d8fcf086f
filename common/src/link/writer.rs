//! The writing side of a link: the one task that writes out what is pushed.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{CloseReason, Outgoing, Shared};
use crate::crash::{self, Point};
use crate::proto::limits::{DRAIN_BYTES, DRAIN_LIMIT, WRITE_LIMIT};
use crate::transport::Stream;

/// How much of what is passed over is read at once.
const DRAIN_PIECE: usize = 8 * 1024;

/// Writes out what is pushed until the queue is closed and empty, or the other side takes nothing any more. After the
/// end of the link it sees to it that the last words arrive.
pub(super) async fn write(
    shared: Arc<Shared>,
    mut writer: WriteHalf<Stream>,
    left_over: oneshot::Receiver<ReadHalf<Stream>>,
) {
    let mut closed = shared.closed.subscribe();
    let overdue = async {
        // The sender lives as long as `shared`.
        let _ = closed.wait_for(Option::is_some).await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    let last_words = async {
        if let Err(reason) = write_all(&shared.outgoing, &mut writer).await {
            give_up(&shared, reason).await;
        }
        // Says to the other side that nothing more will come; whether it still listens does not matter.
        let _ = writer.shutdown().await;
        drain(&shared, left_over).await;
    };
    tokio::select! {
        () = last_words => {}
        () = overdue => {}
    }
    shared.written.send_replace(true);
}

async fn write_all(outgoing: &Outgoing, writer: &mut WriteHalf<Stream>) -> Result<(), CloseReason> {
    while let Some(batch) = outgoing.next_batch().await {
        let write = async {
            writer.write_all(&batch).await?;
            writer.flush().await
        };
        match timeout(WRITE_LIMIT, write).await {
            Ok(Ok(())) => crash::here(Point::LinkWrote),
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
