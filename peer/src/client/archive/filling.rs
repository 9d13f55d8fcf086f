//! Fills the gaps of the archive behind the newest entries: page by page from the host, newest first, one request at a
//! time, while nothing else waits, and now and then while there is always something. Where it is stands in the intervals, so it goes on after any break.

use std::time::Duration;

use actix::prelude::*;
use common::entry::RawEntry;
use common::id::Epoch;
use common::proto::channel::{History, HistoryPage};
use common::proto::status::Code;
use tokio::time::Instant;

use super::Kept;
use super::intervals::{Gap, Proof};
use super::keeper::Page;
use crate::api::Event;
use crate::client::Client;

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
pub(in crate::client) struct Filling {
    /// The next look is planned.
    is_planned: bool,
    /// A page is asked for, or a proof is under way.
    is_under_way: bool,
    /// Until the next connection.
    is_given_up: bool,
    began: Option<Instant>,
    /// Since when something else has come first.
    waits_since: Option<Instant>,
}

impl Filling {
    pub fn disconnected(&mut self) {
        self.is_under_way = false;
        self.is_given_up = false;
    }
}

impl Client {
    /// Goes on filling, when there is something to fill, after a pause.
    pub(in crate::client) fn fill(&mut self, ctx: &mut Context<Self>) {
        let took = self.writing.filling.began.map_or(Duration::ZERO, |began| began.elapsed());
        self.plan_to_fill(took.clamp(SHORTEST_PAUSE, LONGEST_PAUSE), ctx);
    }

    fn plan_to_fill(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let filling = &self.writing.filling;
        if filling.is_planned || filling.is_under_way || filling.is_given_up || !self.is_lacking() {
            return;
        }
        self.writing.filling.is_planned = true;
        ctx.run_later(pause, |client, ctx| {
            client.writing.filling.is_planned = false;
            client.fill_now(ctx);
        });
    }

    fn is_lacking(&self) -> bool {
        self.writing.keeper.intervals().next_gap().is_some() || self.next_proof().is_some()
    }

    fn next_proof(&self) -> Option<Proof> {
        let epoch = self.writing.keeper.epoch()?;
        self.writing.keeper.next_proof(self.writing.archive.root(epoch))
    }

    /// Whether it is filling's turn. The stream up to where the log was when we came in and what the user asks always
    /// come first; what comes in and what is sent, unless that never ends.
    fn is_its_turn(&mut self) -> bool {
        let keeper = &self.writing.keeper;
        let caught_up = self.standing.as_ref().is_some_and(|own| own.head.seq <= keeper.seq());
        let is_possible =
            caught_up && !self.writing.asking.is_asking() && !keeper.is_filling() && !keeper.is_full();
        let is_quiet = keeper.is_idle() && self.outbox.under_way() == 0;
        let since = *self.writing.filling.waits_since.get_or_insert_with(Instant::now);
        let is_its_turn = is_possible && (is_quiet || since.elapsed() >= PATIENCE);
        if is_its_turn {
            self.writing.filling.waits_since = None;
        }
        is_its_turn
    }

    fn fill_now(&mut self, ctx: &mut Context<Self>) {
        if self.stopping || self.link().is_none() || self.writing.filling.is_given_up {
            // The next connection begins again.
            return;
        }
        if !self.is_its_turn() {
            return self.plan_to_fill(LOOK_AGAIN_AFTER, ctx);
        }
        let Some(epoch) = self.writing.keeper.epoch() else { return };
        self.writing.filling.began = Some(Instant::now());
        if let Some(proof) = self.next_proof() {
            return self.prove(epoch, proof, ctx);
        }
        match self.writing.keeper.intervals().next_gap() {
            Some(Gap { after, upto }) if self.writing.at_home => {
                // This peer's own log has it.
                self.put_page(Page { first: after + 1, last: upto, entries: Vec::new() }, ctx);
            }
            Some(gap) => self.ask_page(epoch, gap, ctx),
            None => {}
        }
    }

    fn ask_page(&mut self, epoch: Epoch, gap: Gap, ctx: &mut Context<Self>) {
        let Some(link) = self.link() else { return };
        let generation = self.generation();
        self.writing.filling.is_under_way = true;
        let asked = History { before: Some(gap.upto + 1), after: Some(gap.after), limit: None };
        let page = async move { link.request(&asked).await };
        ctx.spawn(page.into_actor(self).map(move |page, client, ctx| {
            if generation != client.generation() {
                return;
            }
            client.writing.filling.is_under_way = false;
            match page {
                Ok(page) => match check_page(&page, epoch, gap) {
                    Ok(page) => client.put_page(page, ctx),
                    Err(reason) => client.give_up(&reason, ctx),
                },
                Err(error) => {
                    let refusal = error.into_refusal();
                    tracing::info!(code = %refusal.code, "a page of older entries did not come");
                    if refusal.code.is_passing() {
                        return client.plan_to_fill(ASK_AGAIN_AFTER, ctx);
                    }
                    client.writing.filling.is_given_up = true;
                }
            }
        }));
    }

    fn give_up(&mut self, reason: &str, ctx: &mut Context<Self>) {
        self.writing.filling.is_given_up = true;
        let reason = format!("the host sent a page of older entries that cannot be taken: {reason}");
        self.tell(
            Event::Warning { code: Code::BadRequest, reason, channel: Some(self.channel.name().clone()) },
            ctx,
        );
    }

    pub(in crate::client) fn put_page(&mut self, page: Page, ctx: &mut Context<Self>) {
        if self.writing.keeper.put(page) {
            self.keep(ctx);
        }
        self.fill(ctx);
    }

    /// Counts the chain through from one interval to the next.
    fn prove(&mut self, epoch: Epoch, proof: Proof, ctx: &mut Context<Self>) {
        let (generation, archive) = (self.generation(), self.writing.archive.clone());
        self.writing.filling.is_under_way = true;
        let chain = async move { archive.chain(epoch, proof.from, proof.to.seq).await };
        ctx.spawn(chain.into_actor(self).map(move |chain, client, ctx| {
            if generation != client.generation() {
                return;
            }
            client.writing.filling.is_under_way = false;
            match chain {
                Ok(hash) => {
                    client.writing.keeper.settle(proof, hash == proof.to.hash);
                    client.keep(ctx);
                }
                Err(error) => {
                    tracing::error!(err = %error, "the archive cannot be checked");
                    client.writing.filling.is_given_up = true;
                }
            }
        }));
    }
}

/// A page of older entries as it is kept: each whole, without a gap, and up to where it was asked for.
pub(super) fn check_page(page: &HistoryPage, epoch: Epoch, gap: Gap) -> Result<Page, String> {
    if page.head.epoch != epoch {
        return Err("it is of another log".to_owned());
    }
    let count = page.entries.len() as u64;
    let first = (gap.upto + 1).checked_sub(count).filter(|first| *first > gap.after && count > 0);
    let first = first.ok_or_else(|| format!("it has {count} entries"))?;
    let keep = |(seq, entry): (u64, &RawEntry)| {
        let header = entry.open().map_err(|error| error.to_string())?;
        if header.seq != seq {
            return Err(format!("entry {} stands where {seq} was expected", header.seq));
        }
        Kept::new(seq, entry, None).map_err(|error| error.to_string())
    };
    let entries = (first..).zip(&page.entries).map(keep).collect::<Result<_, _>>()?;
    Ok(Page { first, last: gap.upto, entries })
}
