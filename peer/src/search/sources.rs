//! What there is to be indexed: what was received, the logs of channels that are hosted here, and private conversations.

use common::entry::erasure::EraseBody;
use common::entry::{Header, RawEntry, TEXT, TextBody};
use common::id::MessageId;
use common::name::fold;
use common::storage::{Abort, ReadError, Reader, Store, StoreError};

use super::index::{LogId, Text};
use super::ranges::Ranges;
use crate::client::archive::{Archive, all_intervals};
use crate::direct::archive::{Archive as DirectArchive, Row, all_arrivals};
use crate::host::record::{HostedLog, all_logs};

/// A log, and which of its entries are on this disk.
#[derive(Clone, Debug)]
pub struct Source {
    /// Which.
    pub log: LogId,
    /// Its entries.
    pub there: Ranges,
    /// Up to here the host has dropped texts because of their age.
    pub forgotten: u64,
}

/// What there is in some entries.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// Their texts.
    pub texts: Vec<Text>,
    /// The numbers of entries that others of these have erased.
    pub erased: Vec<u64>,
}

/// Every log that there is. What it says is on disk.
///
/// # Errors
/// When the store cannot say.
pub async fn sources(store: &Store) -> Result<Vec<Source>, StoreError> {
    // A write job that does nothing: what was written before it is on disk by the time it is answered.
    store.write(|_| Ok::<_, Abort>(())).await?;
    let read = |reader: &Reader| {
        let mut all: Vec<Source> = Vec::new();
        for (channel, epoch, intervals) in all_intervals(reader)? {
            let there = &mut source(&mut all, LogId::Channel(channel, epoch)).there;
            intervals.iter().for_each(|interval| there.add(interval.after, interval.end.seq));
        }
        for (contact, arrivals) in all_arrivals(reader)? {
            source(&mut all, LogId::Direct(contact)).there.add(0, arrivals);
        }
        for HostedLog { channel, epoch, end, forgotten } in all_logs(reader)? {
            let hosted = source(&mut all, LogId::Channel(channel, epoch));
            hosted.there.add(0, end);
            hosted.forgotten = forgotten;
        }
        Ok::<_, ReadError>(all)
    };
    Ok(store.read(read).await.map_err(Abort::from)?)
}

/// The one of a log, a new one if there is none.
fn source(all: &mut Vec<Source>, log: LogId) -> &mut Source {
    let place = all.iter().position(|source| source.log == log).unwrap_or_else(|| {
        all.push(Source { log, there: Ranges::default(), forgotten: 0 });
        all.len() - 1
    });
    &mut all[place]
}

/// Which message an entry of a channel is, if that can be read. Blocks for as long as the disk takes.
///
/// # Errors
/// When the store cannot be read.
pub fn message_at(store: &Store, log: LogId, seq: u64) -> Result<Option<MessageId>, ReadError> {
    let LogId::Channel(channel, epoch) = log else { return Ok(None) };
    let bytes = Archive::new(store.clone(), channel).bytes_if_there(epoch, seq)?;
    let header = bytes.and_then(|bytes| RawEntry::from_bytes(&bytes).ok()?.open_header().ok());
    Ok(header.map(|header| header.id))
}

/// What there is in the entries after `after`, up to `upto`. What is gone, erased or no text is passed over. Blocks for as
/// long as the disk takes.
///
/// # Errors
/// When the store cannot be read.
pub fn read(store: &Store, log: LogId, after: u64, upto: u64) -> Result<Read, ReadError> {
    match log {
        LogId::Channel(channel, epoch) => {
            let archive = Archive::new(store.clone(), channel);
            let entry = |seq| {
                let bytes = archive.bytes_if_there(epoch, seq)?;
                Ok::<_, ReadError>(bytes.and_then(|bytes| RawEntry::from_bytes(&bytes).ok()))
            };
            let mut read = Read::default();
            for seq in after + 1..=upto {
                let Some(entry_here) = entry(seq)? else { continue };
                let Ok(header) = entry_here.open() else { continue };
                read.texts.extend(of_entry(seq, &header, &entry_here));
                // What it names is looked at: an entry that names another one than is there erases nothing.
                if let Some(erased) = EraseBody::of(&header, &entry_here)
                    && entry(erased.seq)?.is_none_or(|entry| entry.body.is_none())
                {
                    read.erased.push(erased.seq);
                }
            }
            Ok(read)
        }
        LogId::Direct(contact) => {
            let limit = usize::try_from(upto - after).unwrap_or(usize::MAX);
            let rows = DirectArchive::new(store.clone()).since(contact, after, limit)?;
            let of_row = |row: &Row| {
                let body =
                    serde_json::from_str::<TextBody>(row.body.get()).ok().filter(|_| row.kind == TEXT)?;
                let (time, author) = (row.sent_at.as_millis(), fold(&row.from));
                Some(Text { seq: row.arrival, time, author, text: body.text })
            };
            let texts = rows.iter().filter_map(of_row).filter(|text| text.seq <= upto).collect();
            Ok(Read { texts, erased: Vec::new() })
        }
    }
}

fn of_entry(seq: u64, header: &Header, entry: &RawEntry) -> Option<Text> {
    if header.kind != TEXT || header.seq != seq {
        return None;
    }
    let (time, author) = (header.stored_at.as_millis(), fold(&header.from.name));
    Some(Text { seq, time, author, text: entry.text()? })
}
