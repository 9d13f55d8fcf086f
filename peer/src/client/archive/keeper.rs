//! What was received and is not in the archive yet, what is, and how far it was shown. Pure.
//!
//! An entry goes three steps: it is received, it is written, it is shown. Written entries count only once the disk has
//! said so; what a crash or a lost connection takes away before is received again, since the next CONNECT says what is
//! written. How far was shown is kept after showing, a little later and with the next entries: a crash in between
//! shows the last few again, and never leaves one out.

use std::collections::VecDeque;

use common::entry::erasure::Erasure;
use common::entry::{Hash, Header, Position, RawEntry};
use common::id::Epoch;
use common::name::ChannelName;
use common::proto::limits::FIRST_TAIL;
use common::storage::limits::MAX_VALUE_BYTES;

use super::intervals::{Continuation, Contradiction, Gap, Intervals, Place, Proof};
use super::{Batch, Kept, Loaded};
use crate::api::{ChatMessage, as_erased};
use crate::client::resume::{Progress, Received};
use crate::client::telling::chat_message;

/// How many live entries are written at once, so that the first of many need not wait for the last.
const MAX_BATCH_ENTRIES: usize = 512;
/// How many bytes of them.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How many entries may wait to be written before the stream is held back.
const MAX_WAITING_ENTRIES: usize = 2048;
/// How many bytes of them.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// How a client catches up.
#[derive(Clone, Copy, Debug)]
pub struct CatchUp {
    /// Who is further behind takes the newest entries first, and the rest later.
    pub far_behind: u64,
    /// How many of the newest entries come first then, and when nothing is here yet. No more than `far_behind`.
    pub tail: u32,
    /// What of the entries before the first that was received is fetched unasked.
    pub fill: Fill,
}

/// What of the entries before the first that was received is fetched unasked. What was missed since then always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fill {
    /// All of them, one page after another while nothing else is to be done
    All,
    /// None: they come when they are asked for
    #[default]
    None,
}

impl Default for CatchUp {
    fn default() -> Self {
        Self { far_behind: 2000, tail: FIRST_TAIL, fill: Fill::default() }
    }
}

/// An entry on its way to the disk, and then to the screen.
#[derive(Debug)]
struct Arrived {
    place: Place,
    /// What is written; nothing when this peer's own log has it.
    kept: Option<Kept>,
    /// What it erases here too.
    erases: Option<Erasure>,
    message: ChatMessage,
}

impl Arrived {
    fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::len)
    }
}

/// A page of older entries, in order.
#[derive(Clone, Debug)]
pub struct Page {
    /// The number of its first entry.
    pub first: u64,
    /// The number of its last.
    pub last: u64,
    /// What is written; nothing when this peer's own log has it.
    pub entries: Vec<Kept>,
    /// What these erase.
    pub erasures: Vec<Erasure>,
}

/// A batch that is at the store.
#[derive(Debug)]
struct UnderWay {
    arrived: Vec<Arrived>,
    erasures: Vec<Erasure>,
    page: Option<Page>,
    settled: Option<(Proof, bool)>,
    filled: Option<Gap>,
    intervals: Intervals,
    shown: u64,
}

/// What has come of a batch that is on disk.
#[derive(Debug, Default)]
pub struct Written {
    /// To be shown now, in order.
    pub messages: Vec<ChatMessage>,
    /// A gap that is no more.
    pub filled: Option<Gap>,
    /// Two intervals that are not of one log.
    pub apart: Option<Proof>,
}

/// How far entries were shown. What is told to the interface is shown when the interface has taken it.
#[derive(Debug, Default)]
struct Marks {
    /// On disk, or on the way there.
    kept: u64,
    shown: u64,
    /// What was told, as the interface counts it, and the entry it was; in order.
    told: VecDeque<(u64, u64)>,
}

impl Marks {
    fn at(seq: u64) -> Self {
        Self { kept: seq, shown: seq, told: VecDeque::new() }
    }

    fn see(&mut self, taken: u64) {
        while let Some((_, seq)) = self.told.pop_front_if(|(told, _)| *told <= taken) {
            self.shown = self.shown.max(seq);
        }
    }
}

/// The archive of one channel as far as it can be known without a disk.
#[derive(Debug, Default)]
pub struct Keeper {
    epoch: Option<Epoch>,
    /// What is on disk.
    intervals: Intervals,
    /// They are other ones than on disk, though no entry came.
    is_changed: bool,
    progress: Progress,
    waiting: VecDeque<Arrived>,
    waiting_bytes: usize,
    page: Option<Page>,
    /// What entries of this peer's own log erase: something of it may have been received before it was hosted here.
    erasures: Vec<Erasure>,
    settled: Option<(Proof, bool)>,
    under_way: Option<UnderWay>,
    marks: Marks,
}

impl Keeper {
    /// With what is on disk.
    pub fn new(loaded: Option<Loaded>) -> Self {
        let Some(Loaded { epoch, intervals, shown }) = loaded else { return Self::default() };
        Self { epoch: Some(epoch), intervals, marks: Marks::at(shown), ..Self::default() }
    }

    /// The newest entry on disk: what CONNECT says as `have`.
    pub fn have(&self) -> Option<Position> {
        let Place { seq, hash } = self.intervals.newest()?.end;
        Some(Position { epoch: self.epoch?, seq, hash })
    }

    /// Its number; 0 when there is none.
    pub fn seq(&self) -> u64 {
        self.have().map_or(0, |have| have.seq)
    }

    /// The life of the log that is received.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// Which entries of it are on disk.
    pub fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    /// Whether a batch is at the store.
    pub fn is_writing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether nothing is at the store, nor waits to be written.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty() && self.page.is_none() && self.settled.is_none()
    }

    /// Whether a page or a proof is at the store, or waits to be written.
    pub fn is_filling(&self) -> bool {
        let at_store = self.under_way.as_ref();
        let is_at_store = at_store.is_some_and(|batch| batch.page.is_some() || batch.settled.is_some());
        is_at_store || self.page.is_some() || self.settled.is_some()
    }

    /// Whether so much waits that no more should come.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING_ENTRIES || self.waiting_bytes >= MAX_WAITING_BYTES
    }

    /// A stream begins after `after`; `stored` is what the disk has of that life of the log, when it is another one.
    ///
    /// # Errors
    /// When the stream would have to be put over what is here.
    pub fn begin(
        &mut self,
        after: Position,
        stored: Option<Intervals>,
    ) -> Result<Continuation, Contradiction> {
        let is_other = stored.is_some();
        let mut intervals = stored.unwrap_or_else(|| self.intervals.clone());
        let had_all_shown = self.marks.shown >= self.seq();
        let continuation = intervals.begin(Place { seq: after.seq, hash: after.hash })?;
        if is_other || continuation == Continuation::First {
            self.marks = Marks::at(after.seq);
        } else if had_all_shown {
            self.marks.shown = self.marks.shown.max(after.seq);
        }
        if is_other {
            self.page = None;
            self.erasures.clear();
            self.settled = None;
        }
        self.is_changed |= is_other || continuation != Continuation::Seamless;
        self.intervals = intervals;
        self.epoch = Some(after.epoch);
        self.progress = Progress::at(after);
        Ok(continuation)
    }

    /// The connection has ended: what is not at the store comes again. A page of older entries is as good as before.
    pub fn disconnected(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.progress = Progress::default();
    }

    /// Takes the next entry of the stream. `is_logged` says that this peer's own log has it.
    pub fn receive(&mut self, channel: &ChannelName, entry: &RawEntry, is_logged: bool) -> Received {
        let header = match self.progress.receive(entry) {
            Received::Next(header) => header,
            other => return other,
        };
        let Some(Position { epoch, seq, hash }) = self.progress.position() else { return Received::Repeat };
        let kept = match (!is_logged).then(|| Kept::new(seq, entry, Some(hash))).transpose() {
            Ok(kept) => kept,
            Err(error) => return Received::Broken(error.to_string()),
        };
        if kept.as_ref().is_some_and(|kept| kept.len() > MAX_VALUE_BYTES) {
            return Received::Broken(format!("entry {seq} is longer than an entry may be"));
        }
        let message = chat_message(channel, epoch, Header::clone(&header), entry);
        let erases = Erasure::of(&header, entry);
        let arrived = Arrived { place: Place { seq, hash }, kept, erases, message };
        self.waiting_bytes += arrived.bytes();
        self.waiting.push_back(arrived);
        Received::Next(header)
    }

    /// Takes what this peer's own log has: it need not be written before it is shown. Nothing while a batch is at the
    /// store, whose end is waited for.
    pub fn take_logged(&mut self) -> Vec<ChatMessage> {
        if self.under_way.is_some() {
            return Vec::new();
        }
        let (first, last) = (self.waiting.front(), self.waiting.back());
        if let (Some(first), Some(last)) = (first, last) {
            self.intervals.append(first.place.seq, last.place);
            self.is_changed = true;
        }
        self.waiting_bytes = 0;
        self.erasures.extend(self.waiting.iter().filter_map(|arrived| arrived.erases));
        as_shown(self.waiting.drain(..).collect())
    }

    /// Whether something else than new entries is to be written.
    pub fn has_older(&self) -> bool {
        self.page.is_some() || self.settled.is_some()
    }

    /// Whether the chain of hashes leads to what the host said of its log's head, where both are at the same entry.
    pub fn agrees(&self, head: &Position) -> bool {
        self.progress.agrees(head)
    }

    /// A page of older entries is to be written; false when there is one already.
    pub fn put(&mut self, page: Page) -> bool {
        let is_free = self.page.is_none() && page.first <= page.last;
        if is_free {
            self.page = Some(page);
        }
        is_free
    }

    /// Something is proven, or not so.
    pub fn settle(&mut self, proof: Proof, holds: bool) {
        self.settled = Some((proof, holds));
    }

    /// What can be proven next.
    pub fn next_proof(&self, root: Hash) -> Option<Proof> {
        self.intervals.next_proof(root)
    }

    /// What is to be written now, when nothing is at the store; `taken` is how much the interface has taken.
    pub fn next_batch(&mut self, taken: u64) -> Option<Batch> {
        let epoch = self.epoch.filter(|_| self.under_way.is_none())?;
        let has_more = !self.waiting.is_empty() || self.page.is_some() || self.settled.is_some();
        if !has_more && !self.is_changed && !self.is_mark_due(taken) {
            return None;
        }
        let mut intervals = self.intervals.clone();
        let arrived = self.take_arrived();
        if let (Some(first), Some(last)) = (arrived.first(), arrived.last()) {
            intervals.append(first.place.seq, last.place);
        }
        // A page that nothing is missing below any more is dropped.
        let page = self.page.take().filter(|page| intervals.prepend(page.first, page.last));
        let settled = self.settled.take();
        let filled = settled.and_then(|(proof, holds)| {
            if holds {
                return intervals.proven(proof);
            }
            intervals.disproven(proof);
            None
        });
        let pages = page.iter().flat_map(|page| &page.entries);
        let entries =
            arrived.iter().filter_map(|arrived| arrived.kept.as_ref()).chain(pages).cloned().collect();
        let own = std::mem::take(&mut self.erasures);
        let in_page = page.iter().flat_map(|page| page.erasures.iter().copied());
        let erasures = arrived.iter().filter_map(|arrived| arrived.erases).chain(in_page);
        let erasures = erasures.chain(own.iter().copied()).collect();
        self.is_changed = false;
        self.marks.see(taken);
        let shown = self.marks.shown;
        let batch = Batch { epoch, entries, erasures, intervals: intervals.clone(), shown };
        self.under_way = Some(UnderWay { arrived, erasures: own, page, settled, filled, intervals, shown });
        Some(batch)
    }

    fn take_arrived(&mut self) -> Vec<Arrived> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < MAX_BATCH_ENTRIES
            && let Some(next) =
                self.waiting.pop_front_if(|next| bytes == 0 || bytes + next.bytes() <= MAX_BATCH_BYTES)
        {
            bytes += next.bytes();
            taken.push(next);
        }
        self.waiting_bytes -= bytes;
        taken
    }

    /// The batch is on disk.
    pub fn written(&mut self) -> Written {
        let Some(UnderWay { arrived, settled, filled, intervals, shown, .. }) = self.under_way.take() else {
            return Written::default();
        };
        self.intervals = intervals;
        self.marks.kept = shown;
        let messages = as_shown(arrived);
        let apart = settled.filter(|(_, holds)| !holds).map(|(proof, _)| proof);
        Written { messages, filled, apart }
    }

    /// The batch is not on disk, or not known to be: it is to be written again, unless its entries come again anyhow.
    pub fn not_written(&mut self, again: bool) {
        self.is_changed = true;
        let Some(UnderWay { arrived, erasures, page, settled, .. }) = self.under_way.take() else { return };
        self.erasures.extend(erasures);
        self.settled = self.settled.or(settled);
        self.page = self.page.take().or(page);
        if again {
            self.waiting_bytes += arrived.iter().map(Arrived::bytes).sum::<usize>();
            arrived.into_iter().rev().for_each(|arrived| self.waiting.push_front(arrived));
        }
    }

    /// The messages up to `seq` were told to the interface, as the `told`th of all that it was told.
    pub fn told(&mut self, told: u64, seq: u64) {
        self.marks.told.push_back((told, seq));
    }

    /// Whether how far was shown is to be written.
    pub fn is_mark_due(&mut self, taken: u64) -> bool {
        self.marks.see(taken);
        self.marks.shown != self.marks.kept
    }

    /// Whether something was told that the interface had not taken when it was last asked.
    pub fn is_mark_open(&self) -> bool {
        !self.marks.told.is_empty()
    }

    /// The entries on disk that came live and may not have been shown, in order: those after the first number of each
    /// pair, up to the second. A gap was begun behind what was told and not taken, perhaps.
    pub fn unshown(&self) -> impl Iterator<Item = (u64, u64)> {
        let shown = self.marks.shown;
        let live = self.intervals.iter().map(|interval| (interval.base.seq, interval.end.seq));
        live.map(move |(began, end)| (began.max(shown), end)).filter(|(after, end)| after < end)
    }
}

fn as_shown(arrived: Vec<Arrived>) -> Vec<ChatMessage> {
    as_erased(arrived.into_iter().map(|arrived| arrived.message).collect())
}

#[cfg(test)]
pub(super) mod tests;
