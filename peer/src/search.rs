//! Looking for what was said, in all that this peer has: channels and private conversations, with nobody else there.
//!
//! In reading order: the words of a text ([`words`], pure), what is typed ([`query`], pure), the part of a message that is
//! shown ([`mod@snippet`], pure), which entries are indexed ([`ranges`], pure); what there is ([`sources`]), the index
//! ([`index`]), and the thread that keeps it up with the archive (`indexer`). This file is what the rest of the peer sees.
//!
//! Nothing waits for the index: who keeps a message says that there is something new, and the thread reads it from the
//! disk when it has time.

pub mod index;
mod indexer;
pub mod query;
pub mod ranges;
pub mod snippet;
pub mod sources;
pub mod words;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use common::id::ChannelId;
use common::proto::status::{Code, Refusal};
use common::storage::Store;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;

use crate::direct::book::ContactId;
use index::{Finder, LogId};
use indexer::{Command, Indexer};
use query::Query;

/// How many may look for something at once; more wait.
const MAX_SEARCHES: usize = 4;
/// How many orders to the thread may wait.
const MAX_ORDERS: usize = 64;
/// How long what came in last is waited for. Of so much that it cannot be soon, nothing is waited for.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(5);
/// How long the index itself is waited for, at the start of the peer.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// In which logs something is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Within {
    /// All lives of a channel's log.
    Channel(ChannelId),
    /// One life of it.
    Log(LogId),
    /// A private conversation.
    Direct(ContactId),
}

impl Within {
    /// The place of the one log that is meant.
    fn place(&self, logs: &[LogId]) -> Option<usize> {
        let Self::Log(wanted) = self else { return None };
        logs.iter().position(|log| log == wanted)
    }

    fn holds(&self, log: LogId) -> bool {
        match (self, log) {
            (Self::Channel(wanted), LogId::Channel(channel, _)) => *wanted == channel,
            (Self::Log(wanted), log) => *wanted == log,
            (Self::Direct(wanted), LogId::Direct(contact)) => *wanted == contact,
            _ => false,
        }
    }
}

/// A place in the order of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When it was stored, in milliseconds.
    pub time: u64,
    /// Which entry it is, as the index counts; within one life of a log its number will do.
    pub key: u64,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What it says.
    pub query: Query,
    /// Where; everywhere when absent.
    pub within: Option<Within>,
    /// Whose name was at it, folded.
    pub from: Option<String>,
    /// Stored at this time or later, in milliseconds.
    pub since: Option<u64>,
    /// Stored before this time.
    pub before: Option<u64>,
    /// Whether it has to have a link in it.
    pub link: bool,
    /// How much at most.
    pub limit: usize,
    /// Only what stands behind this place, the newest being first.
    pub older: Option<Cursor>,
}

/// Something that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where.
    pub log: LogId,
    /// Which entry.
    pub seq: u64,
    /// Its place in the order.
    pub cursor: Cursor,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// The newest first.
    pub hits: Vec<Hit>,
    /// How much there is in all.
    pub total: u64,
    /// How many entries of where it was looked for are not indexed yet.
    pub missing: u64,
}

/// What the thread and those who ask have in common.
struct Board {
    is_nudged: AtomicBool,
    is_closing: AtomicBool,
    /// How many entries of which log are not indexed.
    missing: Mutex<Vec<(LogId, u64)>>,
    finder: watch::Sender<Option<Finder>>,
}

impl Board {
    fn new() -> Self {
        Self {
            is_nudged: AtomicBool::new(true),
            is_closing: AtomicBool::new(false),
            missing: Mutex::default(),
            finder: watch::Sender::new(None),
        }
    }

    fn set_missing(&self, missing: Vec<(LogId, u64)>) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    /// How many entries are not indexed, there or in all.
    fn missing(&self, within: Option<&Within>) -> u64 {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = missing.iter().filter(|(log, _)| within.is_none_or(|within| within.holds(*log)));
        there.map(|(_, entries)| entries).sum()
    }
}

/// The search of a peer. Cheap to clone.
#[derive(Clone)]
pub struct Search {
    commands: SyncSender<Command>,
    board: Arc<Board>,
    permits: Arc<Semaphore>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Starts the thread that keeps an index in `folder` up with what is in the store. Has to be called within a tokio
/// runtime.
///
/// # Errors
/// When there can be no more threads.
pub fn start(folder: PathBuf, store: Store) -> std::io::Result<Search> {
    let (commands, orders) = sync_channel(MAX_ORDERS);
    let board = Arc::new(Board::new());
    let indexer = Indexer::new(folder, store, board.clone(), orders, tokio::runtime::Handle::current());
    let thread = Builder::new().name("natter-search".to_owned()).spawn(move || indexer.run())?;
    let permits = Arc::new(Semaphore::new(MAX_SEARCHES));
    Ok(Search { commands, board, permits, thread: Arc::new(Mutex::new(Some(thread))) })
}

impl Search {
    /// There is something new on disk. Never waits.
    pub fn nudge(&self) {
        if !self.board.is_nudged.swap(true, Ordering::AcqRel) {
            // With so many orders the thread is awake, and sees that it was nudged.
            let _ = self.commands.try_send(Command::Nudge);
        }
    }

    /// Entries of a log have lost their texts: nothing of these is found any more, and soon nothing is left on disk.
    pub async fn forget(&self, log: LogId, seqs: RangeInclusive<u64>) {
        self.order(Command::Forget { log, seqs }).await;
    }

    /// Throws the index away; it is made anew from what is in the store. Returns how many entries that are.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn rebuild(&self) -> Result<u64, Refusal> {
        let (reply, done) = oneshot::channel();
        self.order(Command::Rebuild(reply)).await;
        done.await.unwrap_or_else(|_| Err(Code::GoingAway.into()))
    }

    /// Looks for something.
    ///
    /// # Errors
    /// When there is no index: it is being made, or cannot be.
    pub async fn find(&self, wanted: Wanted) -> Result<Hits, Refusal> {
        let _permit = self.permits.acquire().await.map_err(|_| Refusal::from(Code::GoingAway))?;
        let finder = self.finder().await?;
        self.catch_up().await;
        let within = wanted.within.clone();
        let found = tokio::task::spawn_blocking(move || finder.find(&wanted)).await;
        let why = match found {
            Ok(Ok((hits, total))) => {
                let missing = self.board.missing(within.as_ref());
                return Ok(Hits { hits, total, missing });
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(why, "the search index cannot be read; it is made anew");
        self.order(Command::Broken).await;
        Err(unusable())
    }

    /// Ends the thread. What is not indexed yet is indexed next time.
    pub async fn close(&self) {
        self.board.is_closing.store(true, Ordering::Release);
        self.order(Command::Close).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // How it ended does not matter: all it has can be made again.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn finder(&self) -> Result<Finder, Refusal> {
        let mut finder = self.board.finder.subscribe();
        let found = timeout(OPEN_LIMIT, finder.wait_for(Option::is_some)).await;
        found.ok().and_then(Result::ok).and_then(|finder| finder.clone()).ok_or_else(unusable)
    }

    /// Waits a little until what came in last is indexed.
    async fn catch_up(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.try_send(Command::CatchUp(reply)).is_ok() {
            // What is not there in time is said to be missing.
            let _ = timeout(CATCH_UP_LIMIT, done).await;
        }
    }

    /// Gives the thread an order, which has to come to it.
    async fn order(&self, command: Command) {
        let commands = self.commands.clone();
        // A thread that has ended needs no orders.
        let _ = tokio::task::spawn_blocking(move || commands.send(command)).await;
    }
}

fn unusable() -> Refusal {
    let reason = "the search index is being made, or cannot be; try again in a moment, and look into the log if that lasts";
    Refusal::new(Code::StorageFailed, reason)
}

#[cfg(test)]
mod tests;
