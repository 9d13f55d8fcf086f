//! Guessing of passwords, which gets slower with every wrong one. Pure.
//!
//! Wrong passwords are counted for the name that they were tried on and for the place that they came from. A few are
//! free; after that each next one has to wait twice as long as the one before. Both forgive as time passes. A right
//! password is never made to wait by the right ones of others.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use common::clock::Timestamp;
use common::transport::Origin;

use crate::limits::{GUESSES_OF_NAME, GUESSES_OF_ORIGIN, MAX_GUESSERS};

/// How wrong passwords slow down what comes after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// So many wrong ones cost nothing.
    pub free: u32,
    /// How long to wait after the next one; twice as long after each further one.
    pub first: Duration,
    /// It never gets longer than this.
    pub longest: Duration,
    /// One wrong password is forgiven each time this has passed.
    pub forgive: Duration,
    /// How many may be looked at at the same time.
    pub at_once: u32,
}

/// How wrong passwords count, by name and by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one name.
    pub of_name: Patience,
    /// For one place.
    pub of_origin: Patience,
}

impl Default for Limits {
    fn default() -> Self {
        Self { of_name: GUESSES_OF_NAME, of_origin: GUESSES_OF_ORIGIN }
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password was right.
    Right,
    /// It was not.
    Wrong,
    /// It was not looked at.
    Unknown,
}

/// All wrong passwords that are not forgiven yet.
#[derive(Debug)]
pub struct Attempts {
    names: Book<String>,
    /// Without those that are exempt.
    origins: Book<Origin>,
}

impl Attempts {
    /// Nobody has tried anything.
    pub fn new(limits: Limits) -> Self {
        Self { names: Book::new(limits.of_name), origins: Book::new(limits.of_origin) }
    }

    /// Somebody tries a password on a name, which has to be [ended](Self::end) then. An origin that is not given does
    /// not count.
    ///
    /// # Errors
    /// How long to wait; nothing has begun then.
    pub fn begin(&mut self, name: &str, origin: Option<Origin>, now: Timestamp) -> Result<(), Duration> {
        let (name, of_origin) =
            (name.to_owned(), origin.map_or(Ok(()), |origin| self.origins.check(&origin, now)));
        of_origin.and(self.names.check(&name, now))?;
        self.names.begin(name, now);
        if let Some(origin) = origin {
            self.origins.begin(origin, now);
        }
        Ok(())
    }

    /// What came of it.
    pub fn end(&mut self, name: &str, origin: Option<Origin>, verdict: Verdict, now: Timestamp) {
        let name = name.to_owned();
        self.names.end(&name, verdict == Verdict::Wrong, now);
        if verdict == Verdict::Right {
            self.names.forgive(&name);
        }
        if let Some(origin) = origin {
            self.origins.end(&origin, verdict == Verdict::Wrong, now);
        }
    }

    /// How many names and places there are of which something is known.
    pub fn len(&self) -> usize {
        self.names.rows.len() + self.origins.rows.len()
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug)]
struct Row {
    wrong: u32,
    /// Wrong ones are forgiven from here on.
    since: Timestamp,
    under_way: u32,
    wait_until: Timestamp,
}

#[derive(Debug)]
struct Book<K> {
    patience: Patience,
    rows: HashMap<K, Row>,
}

impl<K: Eq + Hash + Clone> Book<K> {
    fn new(patience: Patience) -> Self {
        Self { patience, rows: HashMap::new() }
    }

    fn check(&self, key: &K, now: Timestamp) -> Result<(), Duration> {
        let Some(row) = self.rows.get(key) else { return Ok(()) };
        let wait = row.wait_until.since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        if row.under_way >= self.patience.at_once { Err(self.patience.first) } else { Ok(()) }
    }

    fn begin(&mut self, key: K, now: Timestamp) {
        if !self.rows.contains_key(&key) {
            self.make_room(now);
        }
        let row = Row { wrong: 0, since: now, under_way: 0, wait_until: now };
        self.rows.entry(key).or_insert(row).under_way += 1;
    }

    fn end(&mut self, key: &K, is_wrong: bool, now: Timestamp) {
        let patience = self.patience;
        let Some(row) = self.rows.get_mut(key) else { return };
        row.under_way = row.under_way.saturating_sub(1);
        row.forgive(patience, now);
        if is_wrong {
            row.wrong = row.wrong.saturating_add(1);
            row.wait_until = row.wait_until.max(now.plus(patience.wait_after(row.wrong)));
        }
        if row.is_clean(now) {
            self.rows.remove(key);
        }
    }

    fn forgive(&mut self, key: &K) {
        if let Some(row) = self.rows.get_mut(key) {
            row.wrong = 0;
            if row.under_way == 0 {
                self.rows.remove(key);
            }
        }
    }

    /// Of too many, those are forgotten that are forgiven, and else those with the fewest wrong ones: making up names
    /// does not clear the one that is guessed at.
    fn make_room(&mut self, now: Timestamp) {
        if self.rows.len() < MAX_GUESSERS {
            return;
        }
        let patience = self.patience;
        self.rows.retain(|_, row| {
            row.forgive(patience, now);
            !row.is_clean(now)
        });
        let mut least = 1;
        while self.rows.len() > MAX_GUESSERS - MAX_GUESSERS / 16 {
            self.rows.retain(|_, row| row.under_way > 0 || row.wrong > least);
            // Those under way are as many as connections at most; they end.
            if least > self.rows.values().map(|row| row.wrong).max().unwrap_or_default() {
                return;
            }
            least += 1;
        }
    }
}

impl Row {
    fn forgive(&mut self, patience: Patience, now: Timestamp) {
        let passed = now.since(self.since).as_millis() / patience.forgive.as_millis().max(1);
        let forgiven = u32::try_from(passed).unwrap_or(u32::MAX);
        self.wrong = self.wrong.saturating_sub(forgiven);
        self.since = if self.wrong == 0 { now } else { self.since.plus(patience.forgive * forgiven) };
    }

    fn is_clean(&self, now: Timestamp) -> bool {
        self.under_way == 0 && self.wrong == 0 && self.wait_until <= now
    }
}

impl Patience {
    fn wait_after(self, wrong: u32) -> Duration {
        match wrong.checked_sub(self.free + 1) {
            None => Duration::ZERO,
            Some(doublings) => self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest),
        }
    }
}

#[cfg(test)]
mod tests;
