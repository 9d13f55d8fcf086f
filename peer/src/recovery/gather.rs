//! Has members give back what a log has lost, and extends it on the disk by what is proven.

use std::collections::{BTreeMap, BTreeSet};

use common::crash::{self, Point};
use common::entry::{Checkpoint, Position, RawEntry};
use common::id::ChannelId;
use common::identity::{Identity, PeerKey};
use common::proto::limits::MAX_PAGE_ROWS;
use common::proto::status::{Code, Refusal};
use common::signed::Signed;
use common::storage::Store;
use serde::Serialize;

use super::order::orders;
use super::source::Source;
use super::staging::Staging;
use super::tail::{Tail, Wrong};
use crate::history::append_as_is;
use crate::host::log::Log;

/// How many pages of signatures one of those who are asked may have: more than any log has.
const MAX_PROOF_PAGES: usize = 100_000;

/// Which log is to be continued, and what counts.
pub struct Quest {
    /// Where it is kept.
    pub store: Store,
    /// What it is signed with from now on.
    pub identity: Identity,
    /// The channel.
    pub channel: ChannelId,
    /// Whose signatures count: this host's, and those of the hosts before whose log is taken over.
    pub signers: Vec<PeerKey>,
    /// Where the log on the disk ends.
    pub from: Position,
}

/// What has come of it.
#[derive(Debug)]
pub struct Gathered {
    /// Where the log on the disk ends now.
    pub end: Position,
    /// What was signed beyond that, and nobody has given: the last of it.
    pub signed: Option<Position>,
    /// How many entries behind the end somebody has who cannot prove them, as far as one page of them goes. Only when
    /// all that was signed is there.
    pub unproven: u64,
    /// Who has given something that counts.
    pub from: BTreeSet<String>,
    /// Whose gift was not what the host has signed.
    pub rejected: Vec<Rejected>,
}

/// Somebody who gave what is not of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// What they are called.
    pub name: String,
    /// What was wrong.
    pub reason: String,
}

struct Gathering<'a, S> {
    quest: Quest,
    log: Log,
    sources: &'a [S],
    /// Why some are not asked any more; nothing is wrong with those who only did not answer.
    out: BTreeMap<usize, Option<String>>,
    helped: BTreeSet<usize>,
    tail: Tail,
    staging: Staging,
    /// Where the log on the disk ends.
    end: Position,
}

/// Extends the log by all that the sources have and the signatures prove. It can be stopped at any time: what is on the
/// disk by then is true, and the next time goes on from there.
///
/// # Errors
/// When the store fails.
pub async fn gather<S: Source>(quest: Quest, sources: &[S]) -> Result<Gathered, Refusal> {
    let log = Log::new(quest.store.clone(), quest.channel, quest.from.epoch);
    let staging = Staging::new(quest.store.clone(), quest.channel).await?;
    let (tail, end) = (Tail::new(quest.from), quest.from);
    let (out, helped) = (BTreeMap::new(), BTreeSet::new());
    let mut gathering = Gathering { quest, log, sources, out, helped, tail, staging, end };
    for who in 0..sources.len() {
        gathering.ask_proofs(who).await;
    }
    gathering.run().await?;
    gathering.finish().await
}

impl<S: Source> Gathering<'_, S> {
    async fn run(&mut self) -> Result<(), Refusal> {
        'again: while self.tail.goal().is_some() {
            let left: Vec<usize> =
                (0..self.sources.len()).filter(|who| !self.out.contains_key(who)).collect();
            // A text that was erased is missing at everybody: whoever has it is preferred.
            let orders = orders(&left);
            let tried =
                [true, false].into_iter().flat_map(|texts| orders.iter().map(move |order| (order, texts)));
            for (order, with_texts) in tried {
                let (before, asked) = (self.end, self.out.len());
                self.pull(order, with_texts).await?;
                if self.end != before || self.out.len() != asked {
                    continue 'again;
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// Asks for what was signed. What was is true, whoever gives it.
    async fn ask_proofs(&mut self, who: usize) {
        let mut after = self.tail.proven().seq;
        for _ in 0..MAX_PROOF_PAGES {
            let page = match self.sources[who].proofs(after).await {
                Ok(page) => page,
                Err(refusal) => return self.unheard(who, &refusal),
            };
            let before = after;
            for signed in page {
                match self.looked_at(&signed) {
                    Some((checkpoint, counts)) => {
                        after = after.max(checkpoint.position.seq);
                        if counts {
                            self.tail.sign(&checkpoint);
                        }
                    }
                    None => {
                        let why = "a signature is not this host's, or of another channel";
                        return self.reject(who, why.to_owned());
                    }
                }
            }
            if after == before {
                return;
            }
        }
    }

    /// What was signed, and whether it counts. Of a log that was taken over, there may be some of hosts that are not known:
    /// they are passed over.
    fn looked_at(&self, signed: &Signed<Checkpoint>) -> Option<(Checkpoint, bool)> {
        let is_of_it = |checkpoint: &Checkpoint| checkpoint.channel == self.quest.channel;
        let Quest { signers, .. } = &self.quest;
        if let Some(checkpoint) = signers.iter().find_map(|key| signed.verify(key).ok()) {
            return Some((checkpoint, true)).filter(|(checkpoint, _)| is_of_it(checkpoint));
        }
        let unknown = signed.claimed().ok().filter(|_| signers.len() > 1);
        unknown.filter(is_of_it).map(|checkpoint| (checkpoint, false))
    }

    /// Takes what these have, one page after another, from the first who has the next; what is proven by it is put into
    /// the log.
    async fn pull(&mut self, order: &[usize], with_texts: bool) -> Result<(), Refusal> {
        self.tail.rewind();
        self.staging.clear().await?;
        let mut givers = BTreeSet::new();
        while let Some(goal) = self.tail.goal().filter(|goal| goal.seq > self.tail.at().seq) {
            let Some((who, page)) = self.next_page(order, with_texts).await else { return Ok(()) };
            let wanted = usize::try_from(goal.seq - self.tail.at().seq).unwrap_or(usize::MAX);
            for entry in page.into_iter().take(wanted) {
                givers.insert(who);
                if let Err(wrong) = self.take(entry).await? {
                    self.blame(&givers, &wrong);
                    return Ok(());
                }
                if self.tail.proven().seq > self.end.seq {
                    self.extend().await?;
                    self.helped.append(&mut givers);
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, entry: RawEntry) -> Result<Result<(), Wrong>, Refusal> {
        match self.tail.take(&entry) {
            Ok(header) => self.staging.push(header, entry).await.map(Ok),
            Err(wrong) => Ok(Err(wrong)),
        }
    }

    /// The next page of the first of these who has it.
    async fn next_page(&mut self, order: &[usize], with_texts: bool) -> Option<(usize, Vec<RawEntry>)> {
        for who in order {
            if self.out.contains_key(who) {
                continue;
            }
            match self.sources[*who].entries(self.tail.at().seq).await {
                Ok(mut page) => {
                    page.truncate(MAX_PAGE_ROWS as usize);
                    let texts = page.iter().take_while(|entry| entry.body.is_some()).count();
                    page.truncate(if with_texts { texts } else { page.len() });
                    if !page.is_empty() {
                        return Some((*who, page));
                    }
                }
                Err(refusal) => self.unheard(*who, &refusal),
            }
        }
        None
    }

    /// Puts what is proven into the log.
    async fn extend(&mut self) -> Result<(), Refusal> {
        let proven = self.tail.proven();
        while self.end.seq < proven.seq {
            let batch = self.staging.batch(self.end.seq).await?;
            if batch.is_empty() {
                return Err(Code::Internal.into());
            }
            let Quest { identity, channel, .. } = &self.quest;
            let end = append_as_is(&self.log, identity, *channel, self.end, batch).await?;
            crash::here(Point::RecoverAppended);
            self.end = end;
        }
        self.staging.clear().await
    }

    /// Who gave alone what is wrong is not asked any more; of several it is not known who it was.
    fn blame(&mut self, givers: &BTreeSet<usize>, wrong: &Wrong) {
        if let (1, Some(who)) = (givers.len(), givers.first()) {
            self.reject(*who, wrong.to_string());
        }
    }

    fn reject(&mut self, who: usize, why: String) {
        tracing::warn!(channel = %self.quest.channel, name = ?self.sources[who].name(), why, "what was given back is not taken");
        self.out.insert(who, Some(why));
    }

    fn unheard(&mut self, who: usize, refusal: &Refusal) {
        tracing::info!(channel = %self.quest.channel, name = ?self.sources[who].name(), code = %refusal.code, "nothing was given back");
        self.out.insert(who, None);
    }

    async fn finish(mut self) -> Result<Gathered, Refusal> {
        let signed = self.tail.goal();
        let unproven = if signed.is_none() { self.count_unproven().await } else { 0 };
        self.staging.clear().await?;
        let name = |who: &usize| self.sources[*who].name().to_owned();
        let rejected = self.out.iter().filter_map(|(who, why)| Some((who, why.clone()?)));
        Ok(Gathered {
            end: self.end,
            signed,
            unproven,
            from: self.helped.iter().map(name).collect(),
            rejected: rejected.map(|(who, reason)| Rejected { name: name(who), reason }).collect(),
        })
    }

    /// How many entries somebody would add that nothing proves.
    async fn count_unproven(&mut self) -> u64 {
        let mut most = 0;
        for who in 0..self.sources.len() {
            self.tail.rewind();
            if let Some((_, page)) = self.next_page(&[who], false).await {
                let count = page.iter().take_while(|entry| self.tail.take(entry).is_ok()).count();
                most = most.max(count as u64);
            }
        }
        most
    }
}

#[cfg(test)]
mod tests;
