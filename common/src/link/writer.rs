//! The writing side of a link: the one task that writes out what is pushed.

use std::sync::Arc;

use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::time::timeout;

use super::{CloseReason, Outgoing, Shared};
use crate::proto::limits::{DRAIN_LIMIT, WRITE_LIMIT};
use crate::transport::Stream;

/// Writes out what is pushed until the queue is closed and empty, or the other side takes nothing any more.
pub(super) async fn write(shared: Arc<Shared>, mut writer: WriteHalf<Stream>) {
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
