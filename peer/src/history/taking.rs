//! How entries of a file become a log. It is nobody's until all of it is there: what a crash leaves of it is cleared
//! before the next import.

use std::path::PathBuf;

use common::entry::{Header, Position, RawEntry};
use common::id::{ChannelId, Epoch};
use common::proto::limits::{MAX_APPEND_BYTES, MAX_APPEND_ENTRIES};
use common::proto::status::{Code, Refusal};
use common::storage::{Abort, Direction, KeyRange, Store, Table};
use serde::{Deserialize, Serialize};
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

/// A log that grows by what is in a file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Mark {
    /// It ended here before.
    Longer(ChannelId, Epoch, u64),
    /// It was empty.
    New(ChannelId, Epoch),
}

/// Drops what an import has left behind that did not end.
///
/// # Errors
/// When it is not known to be done.
pub async fn clear_left_overs(store: &Store) -> Result<(), Refusal> {
    let rows = store.read(|reader| reader.scan(IMPORTING, KeyRange::ALL, usize::MAX, Direction::Forward));
    for mark in rows.await?.iter().filter_map(|(_, value)| crate::store::parse(value)) {
        undo(store, mark).await?;
    }
    Ok(())
}

/// Drops what was brought along for a channel that is not hosted here after all.
pub(super) async fn drop_brought(store: &Store, id: ChannelId) -> Result<(), Refusal> {
    let mark = store.read(move |reader| reader.get(IMPORTING, id.0.into_bytes())).await?;
    match mark.as_deref().and_then(crate::store::parse) {
        Some(mark) => undo(store, mark).await,
        None => Ok(()),
    }
}

async fn undo(store: &Store, mark: Mark) -> Result<(), Refusal> {
    let (id, epoch, stored) = match mark {
        Mark::Longer(id, epoch, stored) => (id, epoch, stored),
        Mark::New(id, epoch) => (id, epoch, 0),
    };
    // What a channel has from its beginning on is not left over, whatever else is noted of it.
    let records = if stored == 0 { host::load_records(store).await? } else { Vec::new() };
    let is_of_it = |it: &HostRecord| it.id == id && it.epoch == epoch && it.superseded.is_none();
    if !records.iter().any(is_of_it) {
        Log::new(store.clone(), id, epoch).cut_back(stored).await?;
    }
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

/// The same for a channel that was hosted here before, perhaps.
pub(super) async fn keep_anew(store: &Store, record: HostRecord) -> Result<(), Refusal> {
    let keep = store.write(move |transaction| {
        transaction.delete(IMPORTING, record.id.0.into_bytes());
        host::replace_record(transaction, record)
    });
    Ok(keep.await.map_err(HostError::from)?)
}

/// Where entries come from.
pub(super) struct Source {
    pub path: PathBuf,
    /// What was found in it, when it is an export.
    pub looked: Option<Checked>,
    /// Entries behind this one are left out.
    pub upto: u64,
    /// A place that its log has to have.
    pub known: Option<Position>,
}

/// Appends the entries of a file to the log of `record`, behind what is there of it already. When that fails, the log is as
/// it was.
pub(super) async fn append(
    historian: &Historian,
    record: &HostRecord,
    source: Source,
) -> Result<Position, Refusal> {
    let (id, epoch) = (record.id, record.epoch);
    let log = Log::new(historian.store.clone(), id, epoch);
    let stored = log.head().await?;
    let mark = Mark::Longer(id, epoch, stored.seq);
    let write = historian.store.write(move |transaction| {
        transaction.put(IMPORTING, id.0.into_bytes(), crate::store::json(&mark));
        Ok::<_, Abort>(())
    });
    write.await?;
    let appended =
        Appending { historian, record, log, stored, at: Position::start(id, epoch) }.all(source).await;
    if appended.is_err() {
        undo(&historian.store, mark).await?;
    }
    appended
}

/// A log that grows by what is in a file.
struct Appending<'a> {
    historian: &'a Historian,
    record: &'a HostRecord,
    log: Log,
    /// How far it was before.
    stored: Position,
    /// How far the file was read.
    at: Position,
}

impl Appending<'_> {
    async fn all(mut self, source: Source) -> Result<Position, Refusal> {
        let Source { path, looked, upto, known } = source;
        let (sender, mut batches) = mpsc::channel::<Entries>(WAITING_BATCHES);
        let is_export = looked.is_some();
        let reading = tokio::spawn(blocking(move || read(&path, is_export, sender)));
        while let Some(entries) = batches.recv().await {
            self.batch(entries, upto, known).await?;
        }
        let read = reading.await.map_err(|error| Refusal::new(Code::Internal, error.to_string()))??;
        if read != looked {
            return Err(Refusal::new(Code::BadExport, "the file was changed while it was read"));
        }
        if self.at.seq < self.stored.seq {
            return Err(another_log());
        }
        Ok(self.at)
    }

    async fn batch(&mut self, entries: Entries, upto: u64, known: Option<Position>) -> Result<(), Refusal> {
        let mut new = Vec::with_capacity(entries.len());
        let after = if self.at.seq < self.stored.seq { self.stored } else { self.at };
        for (header, entry) in entries.into_iter().filter(|(header, _)| header.seq <= upto) {
            let at = Position { seq: header.seq, hash: self.at.hash.next(&entry.header), ..self.at };
            self.at = at;
            let has_to_be = [known, Some(self.stored)].into_iter().flatten();
            if has_to_be.into_iter().any(|place| place.seq == at.seq && place != at) {
                return Err(another_log());
            }
            if at.seq <= self.stored.seq {
                continue;
            }
            new.push((header, entry));
        }
        if !new.is_empty() {
            let Self { historian, record, .. } = self;
            append_as_is(&self.log, &historian.identity, record.id, after, new).await?;
        }
        Ok(())
    }
}

pub(super) fn another_log() -> Refusal {
    Refusal::new(Code::BadExport, "it is another log than the one that is known of the channel")
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

    /// Appends one more entry behind the first.
    async fn append_second(store: &Store, record: &HostRecord) {
        let log = Log::new(store.clone(), record.id, record.epoch);
        let (after, entry) = (log.head().await.unwrap(), crate::testing::entry(2, "brought along"));
        let position = Position { seq: 2, hash: after.hash.next(&entry.header), ..after };
        let (id, stored_at, bytes) =
            (common::id::MessageId::new(), Timestamp::now(), entry.to_bytes().unwrap());
        let entries = Arc::new(vec![NewEntry { position, id, stored_at, bytes, erases: None }]);
        log.append(Batch { after, entries }, Vec::new()).await.unwrap();
    }

    #[actix::test]
    async fn of_a_takeover_that_did_not_end_nothing_is_left_and_the_log_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Schema { program: Program::Peer, version: 1 }).unwrap();
        let record = record("first");
        host::keep_record(&store, record.clone()).await.unwrap();
        append_one(&store, &record).await;
        let log = Log::new(store.clone(), record.id, record.epoch);
        let before = log.head().await.unwrap();
        append_second(&store, &record).await;
        let mark = Mark::Longer(record.id, record.epoch, 1);
        let write = store.write(move |transaction| {
            transaction.put(IMPORTING, record.id.0.into_bytes(), crate::store::json(&mark));
            Ok::<_, Abort>(())
        });
        write.await.unwrap();
        clear_left_overs(&store).await.unwrap();
        assert_eq!(log.head().await.unwrap(), before);
        // Once it is kept, it is the channel's.
        append_second(&store, &record).await;
        keep_anew(&store, record.clone()).await.unwrap();
        clear_left_overs(&store).await.unwrap();
        drop_brought(&store, record.id).await.unwrap();
        assert_eq!(log.head().await.unwrap().seq, 2);
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
