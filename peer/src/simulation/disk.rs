//! A disk with one committer, as `common::storage` is one: jobs are written in order, flushed together, and answered
//! after the flush. A crash leaves what was flushed, and of the rest a beginning that nobody knows.

use std::collections::VecDeque;

use super::random::Random;

/// What a disk holds.
pub trait Files: Clone {
    type Job: Clone;

    /// Does a job as a whole, or not at all: then false.
    fn apply(&mut self, job: &Self::Job) -> bool;
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It did not fit the state, and changed nothing.
    Rejected,
    /// Nothing was written.
    Full,
    /// Whether it was done is unknown.
    Unknown,
}

/// What the next flush comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    Good,
    Full,
    /// It fails after so many of its jobs.
    Fails(usize),
}

#[derive(Clone, Debug)]
pub struct Disk<F: Files> {
    /// What a crash leaves.
    flushed: F,
    /// What readers see: with what is written and not flushed.
    written: F,
    waiting: VecDeque<F::Job>,
    under_way: Vec<F::Job>,
    pub is_busy: bool,
}

impl<F: Files> Disk<F> {
    pub fn new(files: F) -> Self {
        Self {
            flushed: files.clone(),
            written: files,
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            is_busy: false,
        }
    }

    /// What is on disk for good.
    pub fn flushed(&self) -> &F {
        &self.flushed
    }

    /// What a reader sees.
    pub fn read(&self) -> &F {
        &self.written
    }

    pub fn submit(&mut self, job: F::Job) {
        self.waiting.push_back(job);
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_busy
    }

    /// Takes all that waits and writes it.
    pub fn write(&mut self) {
        self.under_way = self.waiting.drain(..).collect();
        self.is_busy = true;
        for job in &self.under_way {
            self.written.apply(job);
        }
    }

    /// The flush is over: each job with its outcome, in order.
    pub fn flush(&mut self, luck: Luck) -> Vec<(F::Job, Outcome)> {
        self.is_busy = false;
        let jobs = std::mem::take(&mut self.under_way);
        let done = match luck {
            Luck::Good => usize::MAX,
            Luck::Full => 0,
            Luck::Fails(after) => after,
        };
        let mut outcomes = Vec::new();
        for (place, job) in jobs.into_iter().enumerate() {
            let fits = place < done && self.flushed.apply(&job);
            let outcome = match luck {
                Luck::Good if fits => Outcome::Done,
                Luck::Good => Outcome::Rejected,
                Luck::Full => Outcome::Full,
                Luck::Fails(_) => Outcome::Unknown,
            };
            outcomes.push((job, outcome));
        }
        if luck != Luck::Good {
            // The database is opened anew, and what waited goes on.
            self.written = self.flushed.clone();
        }
        outcomes
    }

    /// The process dies: a beginning of what was not flushed may be there all the same.
    pub fn crash(&mut self, random: &mut Random) {
        let unflushed: Vec<F::Job> = self.under_way.drain(..).chain(self.waiting.drain(..)).collect();
        let survive = random.within(0, unflushed.len() as u64) as usize;
        for job in &unflushed[..survive] {
            self.flushed.apply(job);
        }
        self.written = self.flushed.clone();
        self.is_busy = false;
    }
}
