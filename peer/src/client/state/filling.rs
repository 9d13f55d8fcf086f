//! Fills the gaps of the archive behind the newest entries: page by page from the host, newest first, one request at a
//! time, while nothing else waits, and now and then while there is always something. Where it is stands in the
//! intervals, so it goes on after any break.

use std::time::Duration;

use common::clock::Timestamp;
use common::entry::erasure::Erasure;
use common::entry::{Hash, RawEntry};
use common::id::Epoch;
use common::proto::channel::HistoryPage;
use common::proto::status::{Code, Refusal};

use super::{ClientState, Effect, Question, Timer};
use crate::client::archive::intervals::{Gap, Proof};
use crate::client::archive::keeper::Page;
use crate::client::archive::{Fill, Kept};

/// Between two pages there is as much time as the last one took, within these bounds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// See [`SHORTEST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// While something else is under way, filling looks again after so long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// In a channel where something is always under way it takes its turn after so long.
const PATIENCE: Duration = Duration::from_millis(250);
/// After a failure of the host that passes, a page is asked again after so long.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How filling goes.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// The next look is planned.
    is_planned: bool,
    /// A page is asked for, or a proof is under way.
    is_under_way: bool,
    /// Until the next connection.
    is_given_up: bool,
    began: Option<Timestamp>,
    /// Since when something else has come first.
    waits_since: Option<Timestamp>,
}

impl Filling {
    pub fn disconnected(&mut self) {
        self.is_under_way = false;
        self.is_given_up = false;
    }
}

impl ClientState {
    /// Goes on filling, when there is something to fill, after a pause.
    pub(super) fn fill(&mut self) {
        let took = self.filling.began.map_or(Duration::ZERO, |began| self.now().since(began));
        self.plan_to_fill(took.clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    }

    fn plan_to_fill(&mut self, pause: Duration) {
        let filling = &self.filling;
        if filling.is_planned || filling.is_under_way || filling.is_given_up || !self.is_lacking() {
            return;
        }
        self.filling.is_planned = true;
        self.put(Effect::Wake(pause, Timer::Fill));
    }

    fn is_lacking(&self) -> bool {
        self.next_gap().is_some() || self.next_proof().is_some()
    }

    /// What is to be filled next: what was missed, then what was there before.
    fn next_gap(&self) -> Option<Gap> {
        let intervals = self.keeper().intervals();
        let wanted = self.habits.catch_up.fill == Fill::All;
        intervals.next_gap().or_else(|| intervals.first_gap().filter(|_| wanted))
    }

    fn next_proof(&self) -> Option<Proof> {
        let epoch = self.keeper().epoch()?;
        self.keeper().next_proof(self.root(epoch))
    }

    /// Whether it is filling's turn. The stream up to where the log was when we came in and what the user asks always
    /// come first; what comes in and what is sent, unless that never ends.
    fn is_its_turn(&mut self) -> bool {
        let (now, keeper) = (self.now(), self.keeper());
        let caught_up = self.standing.as_ref().is_some_and(|own| own.head.seq <= keeper.seq());
        let is_possible = caught_up && !self.around.is_asking && !keeper.is_filling() && !keeper.is_full();
        let is_quiet = keeper.is_idle() && self.outbox.under_way() == 0;
        let since = *self.filling.waits_since.get_or_insert(now);
        let is_its_turn = is_possible && (is_quiet || now.since(since) >= PATIENCE);
        if is_its_turn {
            self.filling.waits_since = None;
        }
        is_its_turn
    }

    pub(super) fn fill_due(&mut self) {
        self.filling.is_planned = false;
        if self.standing.is_none() || self.filling.is_given_up {
            // The next connection begins again.
            return;
        }
        if !self.is_its_turn() {
            return self.plan_to_fill(LOOK_AGAIN_AFTER);
        }
        let Some(epoch) = self.keeper().epoch() else { return };
        self.filling.began = Some(self.now());
        if let Some(proof) = self.next_proof() {
            self.filling.is_under_way = true;
            return self.put(Effect::Chain(epoch, proof));
        }
        match self.next_gap() {
            Some(Gap { after, upto }) if self.writing.at_home => {
                // This peer's own log has it.
                let (entries, erasures) = (Vec::new(), Vec::new());
                self.put_page(Page { first: after + 1, last: upto, entries, erasures });
            }
            Some(gap) => {
                self.filling.is_under_way = true;
                self.put(Effect::Ask(Question::Page(epoch, gap)));
            }
            None => {}
        }
    }

    /// The host has answered a question for a page.
    pub fn paged(&mut self, generation: u64, epoch: Epoch, gap: Gap, page: Result<HistoryPage, Refusal>) {
        if generation != self.generation() {
            return;
        }
        self.filling.is_under_way = false;
        match page {
            Ok(page) => match check_page(&page, epoch, gap) {
                Ok(page) => self.put_page(page),
                Err(reason) => {
                    self.filling.is_given_up = true;
                    let reason =
                        format!("the host sent a page of older entries that cannot be taken: {reason}");
                    self.warn(Code::BadRequest, reason);
                }
            },
            Err(refusal) => {
                tracing::info!(code = %refusal.code, "a page of older entries did not come");
                if refusal.code.is_passing() {
                    return self.plan_to_fill(ASK_AGAIN_AFTER);
                }
                self.filling.is_given_up = true;
            }
        }
    }

    /// A page that the user has read goes into the archive, where it continues an interval downward.
    pub fn keep_page(&mut self, epoch: Epoch, page: Page) {
        if self.keeper().epoch() == Some(epoch) && !self.writing.at_home && !self.stopping {
            self.put_page(page);
        }
    }

    fn put_page(&mut self, page: Page) {
        if self.writing.keeper.put(page) {
            self.keep();
        }
        self.fill();
    }

    /// The chain was counted through from one interval to the next; nothing when it could not be.
    pub fn chained(&mut self, generation: u64, proof: Proof, hash: Option<Hash>) {
        if generation != self.generation() {
            return;
        }
        self.filling.is_under_way = false;
        match hash {
            Some(hash) => {
                self.writing.keeper.settle(proof, hash == proof.to.hash);
                self.keep();
            }
            None => self.filling.is_given_up = true,
        }
    }
}

/// A page of older entries as it is kept: each whole, without a gap, and up to where it was asked for.
pub(in crate::client) fn check_page(page: &HistoryPage, epoch: Epoch, gap: Gap) -> Result<Page, String> {
    if page.head.epoch != epoch {
        return Err("it is of another log".to_owned());
    }
    let count = page.entries.len() as u64;
    let first = (gap.upto + 1).checked_sub(count).filter(|first| *first > gap.after && count > 0);
    let first = first.ok_or_else(|| format!("it has {count} entries"))?;
    let mut erasures = Vec::new();
    let mut keep = |(seq, entry): (u64, &RawEntry)| {
        let header = entry.open().map_err(|error| error.to_string())?;
        if header.seq != seq {
            return Err(format!("entry {} stands where {seq} was expected", header.seq));
        }
        erasures.extend(Erasure::of(&header, entry));
        Kept::new(seq, entry, None).map_err(|error| error.to_string())
    };
    let entries = (first..).zip(&page.entries).map(&mut keep).collect::<Result<_, _>>()?;
    Ok(Page { first, last: gap.upto, entries, erasures })
}
