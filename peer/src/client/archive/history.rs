//! What the user reads back: from the archive where it has the entries, else from the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Message;
use common::entry::{Position, RawEntry};
use common::id::Epoch;
use common::proto::channel::{History, HistoryPage};
use common::proto::status::{Code, Refusal};

use super::Archive;
use super::intervals::{Gap, Intervals, Place};
use super::keeper::{Keeper, Page};
use crate::api::{ChatMessage, EarlierLog, HistoryOf, Missing, as_erased};
use crate::client::handle::ClientHandle;
use crate::client::state::check_page;
use crate::client::telling::chat_message;
use crate::store::{FormerLog, KnownChannel};

/// Counts unanswered requests: the user's, for which what can wait waits; or the host's.
#[derive(Clone, Debug, Default)]
pub(in crate::client) struct Asking(Arc<AtomicUsize>);

/// One of them.
pub(in crate::client) struct Asked(Arc<AtomicUsize>);

impl Asking {
    pub fn begin(&self) -> Asked {
        self.0.fetch_add(1, Ordering::Relaxed);
        Asked(self.0.clone())
    }

    pub fn is_asking(&self) -> bool {
        self.count() > 0
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The archive as it is at a moment.
#[derive(Clone, Debug)]
pub struct View {
    archive: Archive,
    intervals: Intervals,
    /// Where it ends, in the newest life of the log.
    end: Option<Position>,
    /// The logs before the newest, oldest first.
    before: Vec<FormerLog>,
}

#[derive(Message)]
#[rtype(result = "View")]
pub(in crate::client) struct GetArchive;

impl View {
    /// What there is now.
    pub(in crate::client) fn new(archive: Archive, keeper: &Keeper, channel: &KnownChannel) -> Self {
        let before = channel.before.iter().filter(|log| keeper.epoch() != Some(log.epoch)).copied().collect();
        Self { archive, intervals: keeper.intervals().clone(), end: keeper.have(), before }
    }
}

/// A page that the user has read goes into the archive, where it continues an interval downward.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::client) struct KeepPage {
    pub epoch: Epoch,
    pub page: Page,
}

/// Reads back, page by page, the newest first.
struct Reading<'a> {
    client: &'a ClientHandle,
    view: View,
    head: Option<Position>,
    pages: Vec<Vec<ChatMessage>>,
    left: u64,
}

impl ClientHandle {
    /// The newest `count` entries, or those before a number, in order.
    ///
    /// # Errors
    /// When there are none in the archive and the host cannot be asked.
    pub async fn history(&self, count: u32, before: Option<u64>) -> Result<HistoryOf, Refusal> {
        let view = self.archive().await?;
        let head = view.end;
        let mut reading = Reading { client: self, view, head, pages: Vec::new(), left: count.into() };
        let read = match before {
            Some(before) => reading.back_from(before.saturating_sub(1)).await,
            None => reading.back().await,
        };
        let newest = before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let lacks = match read {
            Ok(missing) => missing,
            Err(Refusal { code, reason, .. }) => Some(Missing { upto: newest, code, reason }),
        };
        let (earlier, end) = reading.earlier(lacks.as_ref().map_or(0, |missing| missing.upto)).await?;
        let head = reading.head.or(end).ok_or_else(|| Refusal::from(Code::HostAway));
        let missing = match lacks {
            Some(Missing { code, reason, .. }) if reading.pages.is_empty() && earlier.is_empty() => {
                return Err(Refusal::new(code, reason));
            }
            lacks => lacks.map(|lacks| Missing {
                upto: lacks.upto.min(head.as_ref().map_or(0, |head| head.seq)),
                ..lacks
            }),
        };
        // What erases may be on another page, which the host gave and the archive has not seen yet.
        let messages = as_erased(reading.pages.into_iter().rev().flatten().collect());
        Ok(HistoryOf { channel: self.name().clone(), messages, head: head?, missing, earlier })
    }
}

impl Reading<'_> {
    /// From the end of the log: first what the host has beyond the archive.
    async fn back(&mut self) -> Result<Option<Missing>, Refusal> {
        let end = self.view.end.filter(|end| end.seq > 0);
        let asked = History { before: None, after: end.map(|end| end.seq), limit: self.limit() };
        let page = match self.client.request(&asked).await {
            Ok(page) => page,
            // Offline, the log ends where the archive does.
            Err(_) if end.is_some() => return self.back_from(end.map_or(0, |end| end.seq)).await,
            Err(refusal) => return Err(refusal),
        };
        self.head = Some(page.head);
        self.check_epoch(page.head.epoch)?;
        if self.view.end.is_none() && end.is_some() {
            return self.back_from(page.head.seq).await;
        }
        if page.entries.is_empty() {
            return self.back_from(page.head.seq.min(end.map_or(0, |end| end.seq))).await;
        }
        let first = self.take(page.head.epoch, &page.entries, page.head.seq).await?;
        self.back_from(first - 1).await
    }

    /// From entry `upto` downward. What is missing is said when the host cannot give it.
    async fn back_from(&mut self, mut upto: u64) -> Result<Option<Missing>, Refusal> {
        while upto > 0 && self.left > 0 {
            let first = match self.view.intervals.holding(upto).copied() {
                Some(interval) => self.read_archive(interval.after, upto).await?,
                None => match self.ask_host(upto).await {
                    Ok(first) => first,
                    Err(refusal) if !self.pages.is_empty() => {
                        return Ok(Some(Missing { upto, code: refusal.code, reason: refusal.reason }));
                    }
                    // What was asked for is not here, but older entries are.
                    Err(refusal) => match self.view.intervals.last_upto(upto) {
                        Some(last) => last + 1,
                        None => return Err(refusal),
                    },
                },
            };
            upto = first - 1;
        }
        Ok(None)
    }

    async fn read_archive(&mut self, after: u64, upto: u64) -> Result<u64, Refusal> {
        let epoch = self.view.end.map(|end| end.epoch).ok_or_else(|| Refusal::from(Code::Internal))?;
        let entries = self.view.archive.read(epoch, after, upto, self.left).await?;
        self.take(epoch, &entries, upto).await
    }

    /// Goes on in the logs of before, as far as they were received: from entry `upto` downward, as far as that is in them
    /// too. With where the last of them ends.
    async fn earlier(&mut self, mut upto: u64) -> Result<(Vec<EarlierLog>, Option<Position>), Refusal> {
        let (mut logs, mut end) = (Vec::new(), None);
        for FormerLog { epoch, kept } in self.view.before.clone().into_iter().rev() {
            let intervals = self.view.archive.intervals(epoch)?;
            let newest = intervals.newest().map(|newest| newest.end);
            end = end.or(newest.map(|Place { seq, hash }| Position { epoch, seq, hash }));
            upto = if kept == 0 { u64::MAX } else { upto.min(kept) };
            let mut pages = Vec::new();
            while self.left > 0
                && let Some(last) = intervals.last_upto(upto)
                && let Some(interval) = intervals.holding(last)
            {
                let entries = self.view.archive.read(epoch, interval.after, last, self.left).await?;
                let (first, messages) = self.open(epoch, &entries, last).await?;
                pages.push(messages);
                upto = first - 1;
            }
            let messages = as_erased(pages.into_iter().rev().flatten().collect());
            if !messages.is_empty() {
                logs.push(EarlierLog { epoch, kept, messages });
            }
        }
        logs.reverse();
        Ok((logs, end))
    }

    async fn ask_host(&mut self, upto: u64) -> Result<u64, Refusal> {
        let after = self.view.intervals.last_upto(upto);
        let asked = History { before: Some(upto + 1), after, limit: self.limit() };
        let page = self.client.request(&asked).await?;
        self.check_epoch(page.head.epoch)?;
        self.head = Some(page.head);
        // More than the log has was asked for.
        let upto = upto.min(page.head.seq);
        if page.entries.is_empty() {
            return Ok(after.map_or(1, |after| after.min(upto) + 1));
        }
        let first = self.take(page.head.epoch, &page.entries, upto).await?;
        self.keep(&page, Gap { after: after.unwrap_or(0), upto }).await;
        Ok(first)
    }

    /// When the log was begun anew, the client is about to learn it: the archive has nothing of it yet.
    fn check_epoch(&mut self, epoch: Epoch) -> Result<(), Refusal> {
        if self.view.end.is_none_or(|end| end.epoch == epoch) {
            return Ok(());
        }
        self.view.intervals = Intervals::default();
        self.view.end = None;
        match self.pages.is_empty() {
            true => Ok(()),
            false => Err(Refusal::new(Code::NewLog, "the channel's log was begun anew meanwhile")),
        }
    }

    /// Has the archive take a page that continues it.
    async fn keep(&self, page: &HistoryPage, gap: Gap) {
        let continues = self.view.intervals.iter().any(|interval| interval.after == gap.upto);
        if let Some(end) = self.view.end
            && continues
            && let Ok(kept) = check_page(page, end.epoch, gap)
        {
            self.client.keep_page(KeepPage { epoch: end.epoch, page: kept }).await;
        }
    }

    fn limit(&self) -> Option<u32> {
        Some(u32::try_from(self.left).unwrap_or(u32::MAX))
    }

    /// Takes a page that is to end with entry `upto`, and returns the number of its first entry.
    async fn take(&mut self, epoch: Epoch, entries: &[RawEntry], upto: u64) -> Result<u64, Refusal> {
        let (first, messages) = self.open(epoch, entries, upto).await?;
        self.pages.push(messages);
        Ok(first)
    }

    async fn open(
        &mut self,
        epoch: Epoch,
        entries: &[RawEntry],
        upto: u64,
    ) -> Result<(u64, Vec<ChatMessage>), Refusal> {
        let opened = entries.iter().map(|entry| match entry.open() {
            Ok(header) => Ok(chat_message(self.client.name(), epoch, header, entry)),
            Err(error) => Err(Refusal::new(Code::BadRequest, format!("a page is none: {error}"))),
        });
        let messages = opened.collect::<Result<Vec<_>, Refusal>>()?;
        let in_order = messages.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq);
        let is_whole = in_order && messages.last().is_some_and(|last| last.seq == upto);
        let first = messages.first().map(|message| message.seq).filter(|first| is_whole && *first > 0);
        let first = first
            .ok_or_else(|| Refusal::new(Code::BadRequest, "a page is not the one that was asked for"))?;
        self.left = self.left.saturating_sub(messages.len() as u64);
        Ok((first, self.view.archive.note_erased(epoch, messages).await?))
    }
}
