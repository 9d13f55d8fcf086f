//! The copy of a log that a channel is to go on in: it is nobody's until all of it is there, and what a crash leaves of
//! it is cleared before the next is begun.

use common::id::{ChannelId, Epoch};
use common::proto::status::Refusal;
use common::storage::{Abort, Store, Table, Transaction};

use super::log::Log;

/// Channel: the epoch of a copy that is not whole.
const FORKING: Table = Table::new("forking");

/// Notes that a copy is being made, before anything of it is written.
///
/// # Errors
/// When the store fails.
pub async fn begin(store: &Store, id: ChannelId, epoch: Epoch) -> Result<(), Refusal> {
    let left = store.read(move |reader| reader.get(FORKING, id.0.as_bytes())).await?;
    if let Some(left) = left.and_then(|left| crate::store::parse::<Epoch>(&left)) {
        Log::new(store.clone(), id, left).clear().await?;
    }
    let mark = store.write(move |transaction| {
        transaction.put(FORKING, id.0.into_bytes(), crate::store::json(&epoch));
        Ok::<_, Abort>(())
    });
    Ok(mark.await?)
}

/// The copy is the channel's log, together with what says so.
pub(super) fn done(transaction: &mut Transaction<'_>, id: ChannelId) {
    transaction.delete(FORKING, id.0.into_bytes());
}
