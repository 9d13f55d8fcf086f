//! Whether what was received of a channel is what its host has signed, and what of it is missing.

use std::collections::BTreeMap;

use actix::Message;
use common::entry::{Checkpoint, Hash, RawEntry};
use common::id::Epoch;
use common::identity::PeerKey;
use common::proto::channel::{Checkpoints, Verify};
use common::proto::directory::ChannelRecord;
use common::proto::limits::CHECKPOINT_EVERY;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::{ReadError, Reader, Store};

use super::intervals::Intervals;
use super::proof::{Audit, Audited, Found, SignedPlaces};
use super::{Archive, ArchiveError, Keeper, READ_ROWS};
use crate::api::{NotAsked, Run, Verified, VerifiedLog};
use crate::client::LONGEST_LOG;
use crate::client::handle::ClientHandle;
use crate::store::KnownChannel;

/// The archive as it is at a moment, and which channel's it is.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What is on disk.
    pub archive: Archive,
    /// The channel: by its host's key what is in the archive has to be signed.
    pub record: ChannelRecord,
    /// The keys of those who hosted it before: what they have signed counts as it did.
    pub former_keys: Vec<PeerKey>,
    /// The life of the log that is received now, and what there is of it; nothing before the first.
    pub newest: Option<(Epoch, Intervals)>,
}

impl Sources {
    pub(in crate::client) fn new(archive: Archive, channel: &KnownChannel, keeper: &Keeper) -> Self {
        let newest = keeper.epoch().map(|epoch| (epoch, keeper.intervals().clone()));
        let (record, former_keys) = (channel.record.clone(), channel.former_keys.clone());
        Self { archive, record, former_keys, newest }
    }
}

#[derive(Message)]
#[rtype(result = "Sources")]
pub(in crate::client) struct GetSources;

type Attested = (Checkpoint, Signed<Checkpoint>);

impl ClientHandle {
    /// Checks all that was received of the channel against what its host has signed, and names what is missing.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub async fn verify(&self) -> Result<Verified, Refusal> {
        let asked = self.ask_signatures().await;
        // Behind the answers, so that what is signed is here as far as it has come.
        let Sources { archive, record, former_keys, newest } = self.sources().await?;
        let (mut places, not_asked) = match asked {
            Ok(signed) => {
                let places = by_epoch(&signed);
                archive.keep_checkpoints(signed).await?;
                (places, None)
            }
            Err(Refusal { code, reason, .. }) => (BTreeMap::new(), Some(NotAsked { code, reason })),
        };
        let mut epochs = archive.epochs().await?;
        let now = newest.as_ref().map(|(epoch, _)| *epoch);
        epochs.retain(|epoch| now != Some(*epoch));
        let mut logs = Vec::new();
        for epoch in epochs.into_iter().chain(now) {
            let mut signed = places.remove(&epoch).unwrap_or_default();
            for kept in archive.checkpoints(epoch).await? {
                let mut keys = former_keys.iter().chain([&record.host_key]);
                match keys.find_map(|key| kept.verify(key).ok()) {
                    Some(checkpoint) => signed.add(&checkpoint),
                    None => tracing::warn!("a kept checkpoint does not count"),
                }
            }
            let intervals = match &newest {
                Some((now, intervals)) if *now == epoch => intervals.clone(),
                _ => archive.intervals(epoch)?,
            };
            let life =
                Life { epoch, newest: now == Some(epoch), root: archive.root(epoch), intervals, signed };
            let source = archive.clone();
            let found = move |reader: &Reader, seq| source.found(reader, epoch, seq);
            logs.push(life.verify(&archive.store, found).await?);
        }
        let sound = logs.iter().all(|log| log.faults.is_empty());
        Ok(Verified { channel: self.name().clone(), sound, logs, not_asked })
    }

    /// By which key what is received has to be signed.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn host_key(&self) -> Result<PeerKey, Refusal> {
        Ok(self.sources().await?.record.host_key)
    }

    /// What there is to be exported: what is here, with all that the host has signed of it by now, if it can be asked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn to_export(&self) -> Result<Sources, Refusal> {
        let asked = self.ask_signatures().await;
        let sources = self.sources().await?;
        if let Ok(signed) = asked {
            sources.archive.keep_checkpoints(signed).await?;
        }
        Ok(sources)
    }

    /// All that the host has signed of its log.
    async fn ask_signatures(&self) -> Result<Vec<Attested>, Refusal> {
        let host_key = self.host_key().await?;
        let mut signed = Vec::<Attested>::new();
        loop {
            let after = signed.last().map(|(checkpoint, _)| checkpoint.position.seq);
            let Checkpoints { head, checkpoints } = self.request(&Verify { after }).await?;
            let head = self.checked(head, host_key)?;
            if head.0.position.seq > LONGEST_LOG {
                return Err(self.contradiction());
            }
            if checkpoints.is_empty() {
                signed.push(head);
                return Ok(signed);
            }
            for checkpoint in checkpoints {
                let checkpoint = self.checked(checkpoint, host_key)?;
                let position = checkpoint.0.position;
                let last = signed.last().map_or(0, |(last, _)| last.position.seq);
                // A host that does not stop is stopped: so it cannot say more than a log has.
                if position.seq < last + CHECKPOINT_EVERY || position.seq > head.0.position.seq {
                    return Err(self.contradiction());
                }
                signed.push(checkpoint);
            }
        }
    }

    fn checked(&self, signed: Signed<Checkpoint>, host_key: PeerKey) -> Result<Attested, Refusal> {
        let checkpoint = signed.verify(&host_key).ok().filter(|checkpoint| checkpoint.channel == self.id());
        checkpoint.map(|checkpoint| (checkpoint, signed)).ok_or_else(|| self.contradiction())
    }

    fn contradiction(&self) -> Refusal {
        Refusal::new(Code::BadRequest, format!("{}: its host contradicts itself", self.name()))
    }
}

fn by_epoch(signed: &[Attested]) -> BTreeMap<Epoch, SignedPlaces> {
    let mut places = BTreeMap::<Epoch, SignedPlaces>::new();
    for (checkpoint, _) in signed {
        places.entry(checkpoint.position.epoch).or_default().add(checkpoint);
    }
    places
}

/// One life of a log as it is kept somewhere, and what its host has signed of it.
pub struct Life {
    /// Which.
    pub epoch: Epoch,
    /// Whether it is the one that is written now.
    pub newest: bool,
    /// What its chain begins with.
    pub root: Hash,
    /// What there is of it.
    pub intervals: Intervals,
    /// What its host has signed.
    pub signed: SignedPlaces,
}

impl Life {
    /// Checks each entry as `found` finds it.
    ///
    /// # Errors
    /// What `found` fails with.
    pub async fn verify<E: From<ReadError> + Send + 'static>(
        self,
        store: &Store,
        found: impl Fn(&Reader, u64) -> Result<Found, E> + Clone + Send + 'static,
    ) -> Result<VerifiedLog, E> {
        let Self { epoch, newest, root, intervals, signed } = self;
        let last_signed = signed.last();
        let mut audit = Audit::new(signed);
        for interval in intervals.iter() {
            audit.begin(*interval, root);
            for begin in (interval.after + 1..=interval.end.seq).step_by(READ_ROWS as usize) {
                let (found, end) = (found.clone(), interval.end.seq.min(begin + READ_ROWS - 1));
                let read = move |reader: &Reader| {
                    (begin..=end).map(|seq| found(reader, seq)).collect::<Result<Vec<_>, _>>()
                };
                store.read(read).await?.iter().for_each(|found| audit.next(found));
            }
        }
        Ok(report(epoch, newest, &intervals, last_signed, audit.end()))
    }
}

impl Archive {
    pub(super) fn found(&self, reader: &Reader, epoch: Epoch, seq: u64) -> Result<Found, ArchiveError> {
        let entry: Option<RawEntry> = match self.entry(reader, epoch, seq) {
            Ok(entry) => Some(entry),
            Err(ArchiveError::Read(error)) => return Err(error.into()),
            Err(_) => None,
        };
        let has_no_text = entry.as_ref().is_some_and(|entry| entry.body.is_none());
        let is_bare = has_no_text && self.erased_by(reader, epoch, seq)?.is_none();
        Ok(Found { entry, noted: self.noted(reader, epoch, seq)?, is_bare })
    }
}

fn report(
    epoch: Epoch,
    newest: bool,
    intervals: &Intervals,
    last_signed: u64,
    audited: Audited,
) -> VerifiedLog {
    let mut missing = Vec::new();
    let mut upto = 0;
    for interval in intervals.iter() {
        missing.extend((upto < interval.after).then_some(Run { from: upto + 1, to: interval.after }));
        upto = interval.end.seq;
    }
    missing.extend((upto < last_signed).then_some(Run { from: upto + 1, to: last_signed }));
    let Audited { entries, bare, proven, unproven, faults, more_faults } = audited;
    VerifiedLog {
        epoch,
        newest,
        entries,
        last: upto,
        signed: proven,
        missing,
        without_text: bare,
        unproven,
        faults,
        more_faults,
    }
}
