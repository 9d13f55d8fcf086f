//! Entries that are there already get into a log as they are.

use std::sync::Arc;

use common::clock::Timestamp;
use common::entry::{Checkpoint, Header, Position, RawEntry};
use common::id::ChannelId;
use common::identity::Identity;
use common::proto::limits::CHECKPOINT_EVERY;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;

use crate::host::channel::{AppendFailure, Batch, NewEntry};
use crate::host::log::Log;

/// Appends entries with their numbers, ids, authors and times, erases what they erase, and signs every thousandth.
/// Returns where the log ends.
///
/// # Errors
/// When the log does not end where it is said to, or cannot be written.
pub(crate) async fn append_as_is(
    log: &Log,
    identity: &Identity,
    channel: ChannelId,
    after: Position,
    entries: Vec<(Header, RawEntry)>,
) -> Result<Position, Refusal> {
    let (mut at, mut new, mut checkpoints) = (after, Vec::with_capacity(entries.len()), Vec::new());
    for (header, entry) in entries {
        at = Position { seq: header.seq, hash: at.hash.next(&entry.header), ..at };
        let entry = NewEntry::new(at, &header, &entry);
        new.push(entry.map_err(|error| Refusal::new(Code::BadExport, error.to_string()))?);
        if at.seq % CHECKPOINT_EVERY == 0 {
            let checkpoint = Checkpoint { channel, position: at, time: Timestamp::now() };
            let signed = Signed::sign(&checkpoint, identity);
            checkpoints
                .push((at.seq, signed.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?));
        }
    }
    let appended = log.append(Batch { after, entries: Arc::new(new) }, checkpoints).await;
    appended.map_err(|failure| match failure {
        AppendFailure::Full => Refusal::from(Code::StorageFull),
        AppendFailure::Unknown => Refusal::from(Code::StorageFailed),
    })?;
    Ok(at)
}
