//! What the former host of a channel stored behind the place from which the new one went on leaves the archive, and is
//! kept beside it.

use common::id::{Epoch, Subject};
use common::proto::status::Refusal;
use common::storage::{Abort, Direction, Transaction};

use super::erasing::ERASED;
use super::intervals::Place;
use super::{Archive, CHECKPOINTS, ENTRIES, INTERVALS, Loaded, Row, entry_of};
use crate::branch::{self, Branch};
use crate::store::{Cut, json};

/// How many entries are put aside in one write.
const ASIDE_ROWS: usize = 64;
/// How many are looked through for those that this user wrote.
const MAX_NAMED: usize = 64;

/// What was put aside.
#[derive(Clone, Debug, Default)]
pub struct PutAside {
    /// What is on disk now; nothing when it is of another log.
    pub loaded: Option<Loaded>,
    /// How many entries.
    pub count: u64,
    /// The numbers of those that this user wrote, at most so many as are named.
    pub mine: Vec<u64>,
}

impl Archive {
    /// Puts aside what was received behind a place. Entries first: a crash in between leaves it to be done again.
    ///
    /// # Errors
    /// When it is not known to be done.
    pub async fn set_aside(&self, cut: Cut, me: Option<Subject>) -> Result<PutAside, Refusal> {
        let Some(Loaded { epoch, mut intervals, shown }) = self.load()? else {
            return Ok(PutAside::default());
        };
        let end = intervals.newest().map_or(0, |newest| newest.end.seq);
        let place = Place { seq: cut.from.seq, hash: cut.from.hash };
        if cut.from.epoch != epoch || !self.agrees(epoch, place)? {
            return Ok(PutAside::default());
        }
        self.unmark(epoch, place.seq).await?;
        if end <= place.seq {
            // What is known beyond that and not on disk yet, of a log of this very peer's, goes too.
            let loaded = Some(Loaded { epoch, intervals, shown });
            return Ok(PutAside { loaded, ..PutAside::default() });
        }
        while self.move_rows(epoch, cut).await? == ASIDE_ROWS {}
        intervals.cut(place);
        let shown = shown.min(place.seq);
        let (key, row) = (self.prefix(epoch), json(&Row { intervals: intervals.clone(), shown }));
        let write = self.store.write(move |transaction| {
            transaction.put(INTERVALS, key, row);
            Ok::<_, Abort>(())
        });
        write.await?;
        let loaded = Some(Loaded { epoch, intervals, shown });
        let mine = self.written_by(Branch { term: cut.term, epoch }, me).await?;
        Ok(PutAside { loaded, count: end - place.seq, mine })
    }

    /// What the former host has signed of entries behind `upto`, or erased of them, is of no log either.
    async fn unmark(&self, epoch: Epoch, upto: u64) -> Result<(), Refusal> {
        let first = self.entry_key(epoch, upto + 1).to_vec();
        let last = [self.entry_key(epoch, u64::MAX).as_slice(), &[u8::MAX; 8]].concat();
        let unmark = self.store.write(move |transaction| {
            for table in [CHECKPOINTS, ERASED] {
                let keys = first.clone()..=last.clone();
                for (key, _) in transaction.scan(table, keys, usize::MAX, Direction::Forward)? {
                    transaction.delete(table, key);
                }
            }
            Ok::<_, Abort>(())
        });
        Ok(unmark.await?)
    }

    /// The numbers of the newest entries put aside that somebody wrote.
    async fn written_by(&self, branch: Branch, who: Option<Subject>) -> Result<Vec<u64>, Refusal> {
        let aside = branch::read(&self.store, self.channel, Some(branch), MAX_NAMED).await?;
        let headers = aside.iter().filter_map(|it| Some(it.open().ok()?.0));
        Ok(headers.filter(|header| Some(header.from.subject) == who).map(|header| header.seq).collect())
    }

    /// Whether what was received has this place, as far as that is known.
    fn agrees(&self, epoch: Epoch, place: Place) -> Result<bool, Refusal> {
        let noted = self.noted(&self.store.reader(), epoch, place.seq)?;
        Ok(noted.is_none_or(|noted| noted == place.hash))
    }

    async fn move_rows(&self, epoch: Epoch, cut: Cut) -> Result<usize, Refusal> {
        let archive = self.clone();
        let moved = self.store.write(move |transaction: &mut Transaction<'_>| {
            let behind = archive.entry_key(epoch, cut.from.seq + 1)..=archive.entry_key(epoch, u64::MAX);
            let rows = transaction.scan(ENTRIES, behind, ASIDE_ROWS, Direction::Forward)?;
            let count = rows.len();
            for (key, value) in rows {
                let seq = key.last_chunk().copied().map_or(0, u64::from_be_bytes);
                if let Some(entry) = entry_of(&value) {
                    let branch = Branch { term: cut.term, epoch };
                    branch::put(transaction, archive.channel, branch, seq, value.slice_ref(entry));
                }
                transaction.delete(ENTRIES, key);
            }
            Ok::<_, Abort>(count)
        });
        Ok(moved.await?)
    }
}
