//! A channel's history taken along: exports, imports, and their check.
//!
//! In reading order: the form of an export ([`mod@format`]), whether one is what it says ([`check`], pure), files ([`mod@file`]),
//! logs of IRC
//! ([`irc`], pure but for reading), and how entries that are there already get into a log (`appending`). This file brings them together with the log and the archive.

mod appending;
mod backup;
pub mod check;
pub mod file;
pub mod format;
pub mod irc;
mod moving;
mod taking;

use std::path::{Path, PathBuf};

use common::clock::Timestamp;
use common::entry::{Checkpoint, Position, RawEntry};
use common::id::{ChannelId, Epoch};
use common::identity::{Identity, PeerKey};
use common::name::ChannelName;
use common::proto::directory::Owner;
use common::proto::moving::HandOver;
use common::proto::policy::Holder;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::{ReadError, Reader, Store};

use crate::api::{Checked, Exported, Imported, ImportedFrom, Run, VerifiedLog};
use crate::client::Sources;
use crate::client::archive::intervals::{Interval, Intervals, Place};
use crate::client::archive::proof::{Found, SignedPlaces};
use crate::client::archive::verify::Life;
use crate::host::log::Log;
use crate::host::{self, Disclosed, HostHandle, HostRecord};
pub(crate) use appending::append_as_is;
use file::Writing;
use format::{Head, VERSION};
pub use moving::Brought;
use taking::Source;
pub(crate) use taking::{Mark as ImportMark, clear_left_overs};

/// What takes history out of this peer, and into it. Cheap to clone.
#[derive(Clone)]
pub struct Historian {
    store: Store,
    identity: Identity,
}

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct Import {
    /// A file, or a folder with logs of IRC.
    pub path: PathBuf,
    /// What the channel is to be called; as in the file when absent.
    pub name: Option<ChannelName>,
    /// Whose it will be.
    pub owner: Owner,
}

/// The log of a channel that is hosted here, as it is at a moment.
struct Hosted {
    record: HostRecord,
    log: Log,
    /// All of it.
    whole: Interval,
    /// What was signed of it.
    checkpoints: Vec<Signed<Checkpoint>>,
}

impl Historian {
    /// With what logs and archives are kept in, and what they are signed with.
    pub fn new(store: Store, identity: Identity) -> Self {
        Self { store, identity }
    }

    /// Where logs and archives are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Exports a channel that is hosted here, if this user may have all of it.
    ///
    /// # Errors
    /// `not_owner`, or what is wrong with the file or the log.
    pub async fn export_hosted(
        &self,
        host: &HostHandle,
        who: Holder,
        path: PathBuf,
    ) -> Result<Exported, Refusal> {
        let hosted = self.hosted(host.disclose(who).await?).await?;
        self.export_log(hosted, None, path).await
    }

    /// Exports all of a log of this peer.
    async fn export_log(
        &self,
        of: Hosted,
        hand_over: Option<Signed<HandOver>>,
        path: PathBuf,
    ) -> Result<Exported, Refusal> {
        let Hosted { record, log, whole, checkpoints } = of;
        let head = Head {
            natter_export: VERSION,
            channel: record.id,
            name: record.name.clone(),
            owner: record.owner.clone(),
            host_key: self.identity.key(),
            epoch: record.epoch,
            created: Some(record.created),
            policy: Some(record.policy),
            forks: record.forks,
            parent: record.parent,
            hand_over,
            sealed_by: self.identity.key(),
            exported_at: Timestamp::now(),
        };
        let entry = move |seq| log.entry_at(seq)?.ok_or_else(|| missing(seq));
        self.write(path, head, checkpoints, vec![whole], entry).await
    }

    /// Checks the log of a channel that is hosted here against what was signed of it, if this user may have all of it.
    ///
    /// # Errors
    /// `not_owner`, or when the log cannot be read.
    pub async fn verify_hosted(&self, host: &HostHandle, who: Holder) -> Result<VerifiedLog, Refusal> {
        let Hosted { record, log, whole, checkpoints } = self.hosted(host.disclose(who).await?).await?;
        let mut signed = SignedPlaces::default();
        for checkpoint in checkpoints {
            match checkpoint.verify(&self.identity.key()) {
                Ok(checkpoint) => signed.add(&checkpoint),
                Err(error) => tracing::warn!(err = %error, "a kept checkpoint does not count"),
            }
        }
        let (_, forgotten) = Log::end_of(&self.store.reader(), record.id, record.epoch)?;
        let (epoch, root) = (record.epoch, whole.base.hash);
        let life = Life { epoch, newest: true, root, intervals: Intervals::from(whole), signed };
        let found = move |_: &Reader, seq| -> Result<Found, ReadError> {
            let entry: Option<RawEntry> =
                log.entry_at(seq)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let has_no_text = seq > forgotten && entry.as_ref().is_some_and(|entry| entry.body.is_none());
            let is_bare = has_no_text && log.erased_by(seq)?.is_none();
            Ok(Found { entry, noted: log.hash_at(seq)?, is_bare })
        };
        Ok(life.verify(&self.store, found).await?)
    }

    /// The log of a channel that is hosted here, with all that was signed of it.
    async fn hosted(&self, of: Disclosed) -> Result<Hosted, Refusal> {
        let Disclosed { record, head: end, signed } = of;
        let log = Log::new(self.store.clone(), record.id, record.epoch);
        let mut checkpoints = Vec::new();
        let mut after = 0;
        loop {
            let page = log.checkpoints(after).await?;
            let last = page.last().and_then(|last| last.verify(&self.identity.key()).ok());
            checkpoints.extend(page);
            match last {
                Some(last) if last.position.seq > after => after = last.position.seq,
                _ => break,
            }
        }
        checkpoints.push(signed);
        let start = Position::start(record.id, record.epoch);
        let base = Place { seq: 0, hash: start.hash };
        let whole = Interval { after: 0, base, end: Place { seq: end.seq, hash: end.hash }, apart: false };
        Ok(Hosted { record, log, whole, checkpoints })
    }

    /// Exports what this peer has received of a channel.
    ///
    /// # Errors
    /// When nothing was received, or what is wrong with the file or the archive.
    pub async fn export_received(&self, sources: Sources, path: PathBuf) -> Result<Exported, Refusal> {
        let Sources { archive, record, newest, .. } = sources;
        let nothing =
            || Refusal::new(Code::NotJoined, format!("nothing of {} was received yet", record.name));
        let (epoch, intervals) = newest.ok_or_else(nothing)?;
        let mut checkpoints = archive.checkpoints(epoch).await?;
        checkpoints.retain(|signed| signed.verify(&record.host_key).is_ok());
        let head = Head {
            natter_export: VERSION,
            channel: record.id,
            name: record.name,
            owner: record.owner,
            host_key: record.host_key,
            epoch,
            created: None,
            policy: None,
            forks: Vec::new(),
            parent: None,
            hand_over: None,
            sealed_by: self.identity.key(),
            exported_at: Timestamp::now(),
        };
        let entry = move |seq| archive.bytes(epoch, seq).map_err(Refusal::from);
        self.write(path, head, checkpoints, Vec::from(intervals), entry).await
    }

    async fn write(
        &self,
        path: PathBuf,
        head: Head,
        checkpoints: Vec<Signed<Checkpoint>>,
        parts: Vec<Interval>,
        entry: impl Fn(u64) -> Result<bytes::Bytes, Refusal> + Send + 'static,
    ) -> Result<Exported, Refusal> {
        let identity = self.identity.clone();
        blocking(move || {
            let mut writing = Writing::begin(&path, &head)?;
            writing.checkpoints(checkpoints)?;
            let (mut upto, mut missing) = (0, Vec::new());
            for part in parts {
                missing.extend((upto < part.after).then_some(Run { from: upto + 1, to: part.after }));
                upto = part.end.seq;
                writing.part(part)?;
                (part.after + 1..=part.end.seq).try_for_each(|seq| writing.entry(&entry(seq)?))?;
            }
            let entries = writing.end(&head, &identity)?;
            let (by_host, file) = (head.sealed_by == head.host_key, path.display().to_string());
            Ok(Exported { channel: head.name, file, entries, last: upto, missing, by_host })
        })
        .await
    }

    /// Reads what is to be imported, and checks all of it. Nothing is kept yet.
    ///
    /// # Errors
    /// `bad_export`, `file_failed`.
    pub async fn look(&self, path: &Path) -> Result<Option<(Head, Checked)>, Refusal> {
        let path = path.to_owned();
        blocking(move || {
            if irc::is_log(&path) {
                return irc::read(&path, |_, _| Ok(())).map(|_| None);
            }
            let read = file::read(&path, |_, _, _| Ok(()))?;
            check::check_whole(&read.1)?;
            Ok(Some(read))
        })
        .await
    }

    /// Makes a log of a file that was looked at: a new channel's, with the numbers, ids, authors and times of the file.
    ///
    /// # Errors
    /// When the file is another one by now, or the log cannot be written. Nothing is left of it then.
    pub async fn take(
        &self,
        import: Import,
        looked: Option<(Head, Checked)>,
    ) -> Result<(HostRecord, Imported), Refusal> {
        clear_left_overs(&self.store).await?;
        let Import { path, name, owner } = import;
        let name = name.or_else(|| looked.as_ref().map(|(head, _)| head.name.clone()));
        let name = name.ok_or_else(|| {
            Refusal::new(Code::Usage, "a log of IRC needs a name for the channel: import FILE CH")
        })?;
        let mut record = HostRecord::new(name, owner);
        let from = match &looked {
            None => ImportedFrom::Irc,
            Some((head, checked)) => {
                record.created = head.created.unwrap_or(record.created);
                // A member says nothing of who may do what that would count.
                record.policy = head.policy.clone().filter(|_| checked.by_host).unwrap_or_default();
                ImportedFrom::Export
            }
        };
        let looked = looked.map(|(_, checked)| checked);
        let end = taking::append(self, &record, Source { path, looked, upto: u64::MAX, known: None }).await?;
        taking::keep(&self.store, record.clone()).await?;
        let (channel, id) = (record.name.clone(), record.id);
        Ok((record, Imported { channel, id, from, entries: end.seq, head: end }))
    }

    /// Drops what was imported, since it cannot be hosted after all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_again(&self, id: ChannelId, epoch: Epoch) -> Result<(), Refusal> {
        host::forget(&self.store, id).await?;
        Ok(Log::new(self.store.clone(), id, epoch).clear().await?)
    }
}

/// Checks an export with nobody there. Without a key that the host has to have, what it was signed by is told.
///
/// # Errors
/// `bad_export`, `foreign_export`, `file_failed`.
pub fn verify_export(path: &Path, host_key: Option<PeerKey>) -> Result<Checked, Refusal> {
    let (head, checked) = file::read(path, |_, _, _| Ok(()))?;
    if host_key.is_some() {
        check::check_key(head.host_key, None, host_key)?;
    }
    Ok(checked)
}

fn missing(seq: u64) -> Refusal {
    Refusal::new(Code::StorageFailed, format!("entry {seq} is missing in the log"))
}

/// Does what waits for disks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Refusal::new(Code::Internal, error.to_string())))
}
