//! The one thread that writes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use super::database::Database;
use super::job::{Job, Verdict};
use super::limits::{MAX_GROUP_BYTES, MAX_GROUP_JOBS};
use super::transaction::Transaction;
use super::view::Overlay;
use crate::crash::{self, Point};

/// What the committer is told.
pub(super) enum Command {
    Write(Box<dyn Job>),
    /// Copy the store, with all that was submitted before.
    Copy {
        target: PathBuf,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A reader found no database.
    Reopen,
    /// Finish what was submitted before, then end.
    Close,
}

/// Takes the jobs that wait, runs them one after the other, writes what they wrote as one atomic step, flushes
/// once, and answers them all.
pub(super) struct Committer {
    database: Database,
    commands: Receiver<Command>,
    copies: Vec<(PathBuf, oneshot::Sender<Result<(), String>>)>,
}

impl Committer {
    pub fn new(database: Database, commands: Receiver<Command>) -> Self {
        Self { database, commands, copies: Vec::new() }
    }

    /// Works until it is told to close, or all handles are gone, and all jobs are answered.
    pub fn run(mut self) {
        let mut jobs = VecDeque::new();
        while let Some(first) = self.commands.blocking_recv() {
            self.take(first, &mut jobs);
            while jobs.len() < MAX_GROUP_JOBS
                && let Ok(next) = self.commands.try_recv()
            {
                self.take(next, &mut jobs);
            }
            while !jobs.is_empty() {
                self.commit_group(&mut jobs);
            }
            for (target, reply) in std::mem::take(&mut self.copies) {
                // Whoever no longer waits has a copy all the same.
                let _ = reply.send(self.database.copy_to(&target));
            }
            self.database.rest();
        }
    }

    fn take(&mut self, command: Command, jobs: &mut VecDeque<Box<dyn Job>>) {
        match command {
            Command::Write(job) => jobs.push_back(job),
            Command::Copy { target, reply } => self.copies.push((target, reply)),
            Command::Reopen => {
                if let Err(reason) = self.database.reopen_if_failed() {
                    tracing::debug!(reason, "a reader has to wait for the database");
                }
            }
            // What was submitted before still comes, and then nothing.
            Command::Close => self.commands.close(),
        }
    }

    /// Commits as many of the jobs as fit into a group, at least one.
    fn commit_group(&mut self, jobs: &mut VecDeque<Box<dyn Job>>) {
        let db = match self.database.ready() {
            Ok(db) => db,
            Err(verdict) => return answer(jobs.drain(..), &verdict),
        };
        let mut group = Group { db: Arc::clone(&db), written: Overlay::new(), bytes: 0 };
        let mut ran = Vec::with_capacity(jobs.len());
        while group.bytes < MAX_GROUP_BYTES
            && let Some(mut job) = jobs.pop_front()
        {
            group.run(&mut *job);
            ran.push(job);
        }
        // A job that wrote nothing is answered after the flush too: it may have seen what others wrote.
        crash::here(Point::StoreRan);
        let verdict = self.database.commit(&db, group.written);
        answer(ran, &verdict);
        crash::here(Point::StoreAnswered);
    }
}

/// Jobs that share a flush.
struct Group {
    db: Arc<sled::Db>,
    written: Overlay,
    bytes: usize,
}

impl Group {
    fn run(&mut self, job: &mut dyn Job) {
        let mut transaction = Transaction::new(&self.db, &mut self.written);
        if job.run(&mut transaction) {
            self.bytes += transaction.keep();
        } else {
            transaction.take_back();
        }
    }
}

fn answer(jobs: impl IntoIterator<Item = Box<dyn Job>>, verdict: &Verdict) {
    for job in jobs {
        job.answer(verdict);
    }
}
