//! How entries of a file become a log. It is nobody's until all of it is there: what a crash leaves of it is cleared
//! before the next import.

use std::path::PathBuf;

use common::entry::{Header, Position, RawEntry};
use common::id::{ChannelId, Epoch};
use common::proto::limits::{MAX_APPEND_BYTES, MAX_APPEND_ENTRIES};
use common::proto::status::{Code, Refusal};
use common::storage::{Abort, Direction, KeyRange, Store, Table};
use tokio::sync::mpsc;

use super::{Historian, append_as_is, blocking, file, irc};
use crate::api::Checked;
use crate::host::log::Log;
use crate::host::{self, HostError, HostRecord};

/// Channel: the epoch of its log, as long as that is not whole.
const IMPORTING: Table = Table::new("importing");
/// How many batches may wait for the disk.
const WAITING_BATCHES: usize = 4;

type Entries = Vec<(Header, RawEntry)>;

/// Drops what an import has left behind that did not end.
pub(super) async fn clear_left_overs(store: &Store) -> Result<(), Refusal> {
    let rows = store.read(|reader| reader.scan(IMPORTING, KeyRange::ALL, usize::MAX, Direction::Forward));
    for (_, value) in rows.await? {
        let Some((id, epoch)) = crate::store::parse::<(ChannelId, Epoch)>(&value) else { continue };
        // What a channel has is not left over, whatever else is noted of it.
        if host::is_kept(store, id).await? {
            unmark(store, id).await?;
        } else {
            clear(store, id, epoch).await?;
        }
    }
    Ok(())
}

async fn clear(store: &Store, id: ChannelId, epoch: Epoch) -> Result<(), Refusal> {
    Log::new(store.clone(), id, epoch).clear().await?;
    unmark(store, id).await
}

async fn unmark(store: &Store, id: ChannelId) -> Result<(), Refusal> {
    let unmark = store.write(move |transaction| {
        transaction.delete(IMPORTING, id.0.into_bytes());
        Ok::<_, Abort>(())
    });
    Ok(unmark.await?)
}

/// The log is whole: from now on it is a channel's, and no import's any more.
pub(super) async fn keep(store: &Store, record: HostRecord) -> Result<(), Refusal> {
    let keep = store.write(move |transaction| {
        host::add_record(transaction, &record)?;
        transaction.delete(IMPORTING, record.id.0.into_bytes());
        Ok(())
    });
    Ok(keep.await.map_err(HostError::from)?)
}

/// Appends the entries of a file to the new log of `record`.
pub(super) async fn append(
    historian: &Historian,
    record: &HostRecord,
    path: PathBuf,
    looked: Option<Checked>,
) -> Result<Position, Refusal> {
    let (id, epoch) = (record.id, record.epoch);
    let mark = historian.store.write(move |transaction| {
        transaction.put(IMPORTING, id.0.into_bytes(), crate::store::json(&(id, epoch)));
        Ok::<_, Abort>(())
    });
    mark.await?;
    let appended = append_all(historian, record, path, looked).await;
    if appended.is_err() {
        clear(&historian.store, id, epoch).await?;
    }
    appended
}

async fn append_all(
    historian: &Historian,
    record: &HostRecord,
    path: PathBuf,
    looked: Option<Checked>,
) -> Result<Position, Refusal> {
    let (sender, mut batches) = mpsc::channel::<Entries>(WAITING_BATCHES);
    let is_export = looked.is_some();
    let reading = tokio::spawn(blocking(move || read(&path, is_export, sender)));
    let log = Log::new(historian.store.clone(), record.id, record.epoch);
    let mut end = Position::start(record.id, record.epoch);
    while let Some(entries) = batches.recv().await {
        end = append_as_is(&log, &historian.identity, record.id, end, entries).await?;
    }
    let read = reading.await.map_err(|error| Refusal::new(Code::Internal, error.to_string()))??;
    if read != looked {
        return Err(Refusal::new(Code::BadExport, "the file was changed while it was read"));
    }
    Ok(end)
}

/// Reads the file once more, and hands out its entries in batches.
fn read(
    path: &std::path::Path,
    is_export: bool,
    sender: mpsc::Sender<Entries>,
) -> Result<Option<Checked>, Refusal> {
    let (mut batch, mut bytes) = (Entries::new(), 0);
    let send = |batch: &mut Entries| {
        let full = std::mem::take(batch);
        sender.blocking_send(full).map_err(|_| Refusal::from(Code::GoingAway))
    };
    let mut take = |header: Header, entry: RawEntry| {
        bytes += entry.header.get().len() + entry.body.as_ref().map_or(0, |body| body.get().len());
        batch.push((header, entry));
        if batch.len() < MAX_APPEND_ENTRIES && bytes < MAX_APPEND_BYTES {
            return Ok(());
        }
        bytes = 0;
        send(&mut batch)
    };
    let checked = match is_export {
        true => Some(file::read(path, |_, header, entry| take(header, entry))?.1),
        false => {
            irc::read(path, take)?;
            None
        }
    };
    if !batch.is_empty() {
        send(&mut batch)?;
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::clock::Timestamp;
    use common::id::IdentityKind;
    use common::identity::Identity;
    use common::proto::directory::Owner;
    use common::storage::{Program, Schema};

    use super::*;
    use crate::host::channel::{Batch, NewEntry};

    fn record(name: &str) -> HostRecord {
        let subject = common::id::Subject::Guest(Identity::generate().unwrap().key());
        let owner = Owner { subject, name: "ken".parse().unwrap(), kind: IdentityKind::Guest };
        HostRecord::new(name.parse().unwrap(), owner)
    }

    async fn append_one(store: &Store, record: &HostRecord) {
        let mark = (record.id, record.epoch);
        let log = Log::new(store.clone(), record.id, record.epoch);
        let after = Position::start(record.id, record.epoch);
        let entry = crate::testing::entry(1, "kept");
        let position = Position { seq: 1, hash: after.hash.next(&entry.header), ..after };
        let (id, stored_at, bytes) =
            (common::id::MessageId::new(), Timestamp::now(), entry.to_bytes().unwrap());
        let entries = Arc::new(vec![NewEntry { position, id, stored_at, bytes, erases: None }]);
        log.append(Batch { after, entries }, Vec::new()).await.unwrap();
        let write = store.write(move |transaction| {
            transaction.put(IMPORTING, mark.0.0.into_bytes(), crate::store::json(&mark));
            Ok::<_, Abort>(())
        });
        write.await.unwrap();
    }

    #[actix::test]
    async fn what_an_import_has_left_is_cleared_unless_a_channel_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Schema { program: Program::Peer, version: 1 }).unwrap();
        let (half, hosted, whole) = (record("half"), record("hosted"), record("whole"));
        for record in [&half, &hosted, &whole] {
            append_one(&store, record).await;
        }
        // As a kill between two writes would have left it.
        host::keep_record(&store, hosted.clone()).await.unwrap();
        keep(&store, whole.clone()).await.unwrap();
        clear_left_overs(&store).await.unwrap();
        let is_there = |record: &HostRecord| {
            Log::new(store.clone(), record.id, record.epoch).entry_at(1).unwrap().is_some()
        };
        assert!(!is_there(&half) && is_there(&hosted) && is_there(&whole));
        let marks = store.reader().scan(IMPORTING, KeyRange::ALL, usize::MAX, Direction::Forward).unwrap();
        assert!(marks.is_empty(), "none is cleared twice");
    }
}
