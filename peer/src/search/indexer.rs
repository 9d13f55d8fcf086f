//! The thread that keeps the index up with what is on disk. It has a low priority, reads what it indexes from the store,
//! and is told by nobody what that is: whatever was missed, it finds.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use common::proto::status::{Code, Refusal};
use common::storage::{ReadError, Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::index::{Index, IndexError, LogId};
use super::ranges::Ranges;
use super::sources::{Read, Source, message_at, read, sources};
use super::{Board, MAX_ORDERS};

/// How many entries are read in one go.
const PORTION: u64 = 1000;
/// After so many the index is written.
const COMMIT_EVERY: u64 = 50_000;
/// Who looks for something waits for so many entries, and is told of more that they are missing.
const WAITED_FOR: u64 = 2_000;
/// So long what comes in is gathered before it is written, when nobody looks for anything.
const GATHER: Duration = Duration::from_secs(60);
/// What nobody tells of is found after so long: texts that a host has dropped because of their age.
const LOOK_AFTER: Duration = Duration::from_secs(600);
/// After a failure it is tried again after so long.
const RETRY: Duration = Duration::from_secs(30);
/// Words that were taken out are gone from the disk after so long.
const PURGE_AFTER: Duration = Duration::from_secs(30);
/// With less than that free nothing is indexed.
const MIN_FREE_BYTES: u64 = 256 * 1024 * 1024;
/// How much the thread gives way to others.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What the thread is told.
pub(super) enum Command {
    /// There is something new.
    Nudge,
    /// Somebody looks for something, and waits for what came in last.
    CatchUp(oneshot::Sender<()>),
    /// Entries have lost their texts.
    Forget { log: LogId, seqs: RangeInclusive<u64> },
    /// The index could not be read.
    Broken,
    /// Make it anew.
    Rebuild(oneshot::Sender<Result<u64, Refusal>>),
    /// The end.
    Close,
}

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the disk is nearly full")]
    Full,
}

pub(super) struct Indexer {
    folder: PathBuf,
    store: Store,
    board: Arc<Board>,
    orders: Receiver<Command>,
    runtime: Handle,
    index: Option<Index>,
    /// What came while the thread had other things to do.
    held: VecDeque<Command>,
    /// Those who wait for what came in last.
    waiting: Vec<oneshot::Sender<()>>,
    /// When there is something to do.
    due: Option<Instant>,
    /// When what was taken out is to be gone.
    purge: Option<Instant>,
    /// When there was last something to do.
    looked: Instant,
}

impl Indexer {
    pub fn new(
        folder: PathBuf,
        store: Store,
        board: Arc<Board>,
        orders: Receiver<Command>,
        runtime: Handle,
    ) -> Self {
        let (waiting, now) = (Vec::new(), Instant::now());
        Self {
            folder,
            store,
            board,
            orders,
            runtime,
            index: None,
            held: VecDeque::new(),
            waiting,
            due: Some(now),
            purge: None,
            looked: now,
        }
    }

    /// Works until it is told to end, or nobody can look for anything any more.
    pub fn run(mut self) {
        give_way();
        self.open();
        loop {
            match self.next_order() {
                Ok(Command::Close) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if self.due.is_none() && self.looked.elapsed() >= LOOK_AFTER {
                self.due = Some(now);
            }
            if self.board.is_nudged.swap(false, Ordering::AcqRel) {
                self.due.get_or_insert(now + GATHER);
            }
            if self.due.is_none() {
                // Nothing came in since it was looked at last.
                self.answer_waiting();
            }
            if self.due.is_some_and(|due| due <= now) || !self.waiting.is_empty() {
                self.due = self.round();
            } else if self.purge.take_if(|purge| *purge <= now).is_some() {
                self.do_purge(now);
            }
        }
    }

    fn next_order(&mut self) -> Result<Command, RecvTimeoutError> {
        if let Some(held) = self.held.pop_front() {
            return Ok(held);
        }
        match self.due.into_iter().chain(self.purge).min() {
            Some(next) => self.orders.recv_timeout(next.saturating_duration_since(Instant::now())),
            None => self.orders.recv_timeout(LOOK_AFTER),
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Nudge | Command::Close => {}
            Command::CatchUp(reply) => self.waiting.push(reply),
            Command::Forget { log, seqs } => self.forget(log, seqs),
            Command::Broken => {
                self.close_index();
                self.open();
            }
            Command::Rebuild(reply) => {
                self.close_index();
                let made = self.create().and_then(|()| self.missing());
                // Whoever no longer waits finds it made all the same.
                let _ = reply
                    .send(made.map_err(|failure| Refusal::new(Code::StorageFailed, failure.to_string())));
            }
        }
    }

    /// Opens what is there, if it is whole; else an empty one takes its place.
    fn open(&mut self) {
        let opened = Index::open(&self.folder).and_then(|index| index.check().map(|()| index));
        match opened {
            Ok(index) => self.use_index(index),
            Err(error) => {
                if self.folder.exists() {
                    tracing::warn!(why = %error, "the search index is made anew");
                }
                self.try_to_create();
            }
        }
    }

    fn try_to_create(&mut self) {
        if let Err(failure) = self.create() {
            tracing::error!(err = %failure, "there is no search index");
            self.due = Some(Instant::now() + RETRY);
        }
    }

    fn create(&mut self) -> Result<(), Failure> {
        self.use_index(Index::create(&self.folder)?);
        Ok(())
    }

    fn use_index(&mut self, index: Index) {
        self.board.finder.send_replace(Some(index.finder()));
        let now = Instant::now();
        if index.is_torn().unwrap_or(true) {
            self.purge.get_or_insert(now + PURGE_AFTER);
        }
        self.index = Some(index);
        self.due = Some(now);
    }

    fn close_index(&mut self) {
        self.board.finder.send_replace(None);
        self.index = None;
    }

    /// Does what there is to do; says when there will be more.
    pub(super) fn round(&mut self) -> Option<Instant> {
        self.looked = Instant::now();
        if self.index.is_none() {
            self.open();
        }
        if self.index.is_none() {
            // Who looks for something is told that there is none.
            self.waiting.clear();
            return Some(self.looked + RETRY);
        }
        match self.keep_up() {
            Ok(true) => {
                self.answer_waiting();
                None
            }
            Ok(false) => Some(Instant::now()),
            Err(failure) => {
                tracing::warn!(err = %failure, "what came in cannot be indexed now");
                self.waiting.clear();
                if let Failure::Index(_) = failure {
                    // It goes on from what is on disk.
                    self.close_index();
                    self.open();
                }
                Some(Instant::now() + RETRY)
            }
        }
    }

    fn answer_waiting(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever no longer waits has looked already.
            let _ = waiting.send(());
        }
    }

    /// Indexes what is missing, the newest first, as much as is written at once; true when nothing is missing any more.
    fn keep_up(&mut self) -> Result<bool, Failure> {
        let sources = self.runtime.block_on(sources(&self.store))?;
        self.check_room()?;
        let Some(index) = self.index.as_mut() else { return Ok(false) };
        let mut is_changed = drop_gone(index, &self.store, &sources)?;
        let mut is_torn = is_changed;
        let mut todo = Vec::new();
        for Source { log, there, forgotten } in sources {
            is_torn |= index.forget_upto(log, forgotten)?;
            todo.push((log, there.without(&index.indexed(log))));
        }
        let mut left = COMMIT_EVERY;
        let missing =
            |todo: &[(LogId, Ranges)]| todo.iter().map(|(log, todo)| (*log, todo.count())).collect();
        self.board.set_missing(missing(&todo));
        let mut waits = todo.iter().map(|(_, todo)| todo.count()).sum::<u64>();
        for place in 0..todo.len() {
            while let Some((log, (after, upto))) =
                todo.get(place).and_then(|(log, todo)| Some((*log, todo.last()?))).filter(|_| left > 0)
            {
                if self.board.is_closing.load(Ordering::Acquire) {
                    return Ok(false);
                }
                if waits > WAITED_FOR {
                    hear(&self.orders, &mut self.held, &mut self.waiting);
                }
                let after = after.max(upto.saturating_sub(PORTION.min(left)));
                let Read { texts, erased } = read(&self.store, log, after, upto)?;
                index.add(log, after, upto, texts)?;
                index.note_last(log, upto, message_at(&self.store, log, upto)?);
                for seq in erased {
                    erase(index, log, seq)?;
                    is_torn = true;
                }
                todo[place].1.remove(after, upto);
                left -= upto - after;
                waits -= upto - after;
                is_changed = true;
            }
        }
        if is_changed || is_torn {
            index.commit()?;
        }
        if is_torn {
            self.purge.get_or_insert_with(|| Instant::now() + PURGE_AFTER);
        }
        self.board.set_missing(missing(&todo));
        Ok(waits == 0)
    }

    /// Leaves what there is to messages, which cannot be made again.
    fn check_room(&self) -> Result<(), Failure> {
        let free = rustix::fs::statvfs(&self.folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        match free {
            Ok(free) if free < MIN_FREE_BYTES => Err(Failure::Full),
            // A disk that does not say is written to.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// How many entries are not indexed.
    fn missing(&self) -> Result<u64, Failure> {
        let sources = self.runtime.block_on(sources(&self.store))?;
        let Some(index) = &self.index else { return Ok(0) };
        let missing = sources
            .iter()
            .map(|Source { log, there, .. }| (*log, there.without(&index.indexed(*log)).count()));
        let missing = missing.collect::<Vec<_>>();
        let entries = missing.iter().map(|(_, entries)| entries).sum();
        self.board.set_missing(missing);
        Ok(entries)
    }

    fn forget(&mut self, log: LogId, seqs: RangeInclusive<u64>) {
        // Without an index nothing of it is on the disk: what is made later has nothing of what has no text.
        let Some(index) = &mut self.index else { return };
        let forgotten = index.remove(log, seqs, true).and_then(|()| index.commit());
        match forgotten {
            Ok(()) => {
                self.purge.get_or_insert_with(|| Instant::now() + PURGE_AFTER);
            }
            Err(error) => {
                tracing::warn!(err = %error, "a text cannot be taken out of the search index, which is made anew");
                self.close_index();
                self.try_to_create();
            }
        }
    }

    fn do_purge(&mut self, now: Instant) {
        if let Some(Err(error)) = self.index.as_mut().map(Index::purge) {
            tracing::warn!(err = %error, "what was taken out of the search index is on disk for a while longer");
            self.purge = Some(now + RETRY);
        }
    }
}

/// Takes out an entry that was erased. Other lives of the log may have it under the same number: there it is looked at anew.
fn erase(index: &mut Index, log: LogId, seq: u64) -> Result<(), IndexError> {
    index.remove(log, seq..=seq, true)?;
    let LogId::Channel(channel, _) = log else { return Ok(()) };
    let lives =
        index.logs().into_iter().filter(|life| matches!(life, LogId::Channel(of, _) if *of == channel));
    for life in lives.filter(|life| *life != log) {
        index.remove(life, seq..=seq, false)?;
    }
    Ok(())
}

/// Lets go those who look for something while very much is missing, and keeps what else has come for later.
fn hear(orders: &Receiver<Command>, held: &mut VecDeque<Command>, waiting: &mut Vec<oneshot::Sender<()>>) {
    for command in orders.try_iter().take(MAX_ORDERS) {
        match command {
            Command::CatchUp(reply) => waiting.push(reply),
            other => held.push_back(other),
        }
    }
    for waiting in waiting.drain(..) {
        // Whoever no longer waits has looked already.
        let _ = waiting.send(());
    }
}

/// Takes out what is in the index and not in the store any more: an older copy was put back, entries were dropped, or a
/// log was cut and went on with others.
fn drop_gone(index: &mut Index, store: &Store, sources: &[Source]) -> Result<bool, Failure> {
    let known = sources.iter().map(|source| source.log).collect::<HashSet<_>>();
    let gone = index.logs().into_iter().filter(|log| !known.contains(log));
    let gone = gone.map(|log| Source { log, there: Ranges::default(), forgotten: 0 }).collect::<Vec<_>>();
    let mut is_changed = false;
    for Source { log, there, .. } in sources.iter().chain(&gone) {
        if let Some((seq, message)) = index.last(*log)
            && message_at(store, *log, seq)? != message
        {
            index.remove_all(*log)?;
            is_changed = true;
        }
        for (after, upto) in index.indexed(*log).without(there).iter() {
            index.remove(*log, after + 1..=upto, false)?;
            is_changed = true;
        }
    }
    Ok(is_changed)
}

/// Lets everything else go first. Threads that this one starts do the same.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(err = %error, "the search has the priority of everything else");
    }
}
