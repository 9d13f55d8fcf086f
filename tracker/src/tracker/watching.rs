//! Who wants to hear of whom, and what of all the coming and going they are told. Pure: the time is given.
//!
//! What happens is gathered for a while, and told to each as one; whoever came and went in between, or the other way
//! round, is not told of at all. Nobody's coming costs more than a look unless somebody watches them.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use common::id::Subject;
use common::proto::limits::{MAX_WATCHED, PRESENCE_EVERY};
use common::proto::presence::User;

use super::sessions::ConnId;

/// Somebody whom others watch.
#[derive(Debug)]
struct Watched {
    by: BTreeSet<ConnId>,
    /// As they were last told; nobody while away.
    told: Option<User>,
    now: Option<User>,
}

/// All watchers of all.
#[derive(Debug, Default)]
pub struct Watching {
    watched: HashMap<Subject, Watched>,
    by_conn: HashMap<ConnId, BTreeSet<Subject>>,
    /// Those who are another way than told, perhaps.
    changed: BTreeSet<Subject>,
    /// Then it is told.
    due: Option<Instant>,
}

/// What one watcher is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Who has come.
    pub came: Vec<User>,
    /// Who has gone.
    pub left: Vec<User>,
}

/// There are too many whom a session watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Watching {
    /// A session wants to hear of these, who are so now. Returns those who are there, as everybody was told last.
    ///
    /// # Errors
    /// When it would watch too many; it watches nobody new then.
    pub fn watch(
        &mut self,
        conn: ConnId,
        subjects: Vec<(Subject, Option<User>)>,
    ) -> Result<Vec<User>, TooMany> {
        let mut mine = self.by_conn.get(&conn).cloned().unwrap_or_default();
        mine.extend(subjects.iter().map(|(subject, _)| *subject));
        if mine.len() > MAX_WATCHED {
            return Err(TooMany);
        }
        if !mine.is_empty() {
            self.by_conn.insert(conn, mine);
        }
        let mut there = Vec::new();
        for (subject, now) in subjects {
            let watched = self.watched.entry(subject).or_insert_with(|| Watched {
                by: BTreeSet::new(),
                told: now.clone(),
                now,
            });
            watched.by.insert(conn);
            there.extend(watched.told.clone());
        }
        Ok(there)
    }

    /// A session does not want to hear of these any more.
    pub fn unwatch(&mut self, conn: ConnId, subjects: &[Subject]) {
        for subject in subjects {
            let mine = self.by_conn.get_mut(&conn);
            if mine.is_some_and(|mine| mine.remove(subject)) {
                self.drop_watcher(conn, *subject);
            }
        }
        if self.by_conn.get(&conn).is_some_and(BTreeSet::is_empty) {
            self.by_conn.remove(&conn);
        }
    }

    /// A session is over, or is somebody else's.
    pub fn forget(&mut self, conn: ConnId) {
        for subject in self.by_conn.remove(&conn).unwrap_or_default() {
            self.drop_watcher(conn, subject);
        }
    }

    fn drop_watcher(&mut self, conn: ConnId, subject: Subject) {
        if let Some(watched) = self.watched.get_mut(&subject) {
            watched.by.remove(&conn);
            if watched.by.is_empty() {
                self.watched.remove(&subject);
            }
        }
    }

    /// How many are watched, and by how many each.
    pub fn count(&self) -> usize {
        self.watched.len() + self.by_conn.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Whether anybody watches somebody.
    pub fn is_watched(&self, subject: Subject) -> bool {
        self.watched.contains_key(&subject)
    }

    /// Somebody is there as this now, or is not.
    pub fn is_now(&mut self, subject: Subject, now: Option<User>) {
        if let Some(watched) = self.watched.get_mut(&subject) {
            watched.now = now;
            self.changed.insert(subject);
        }
    }

    /// When something is to be told, if that was not planned before.
    pub fn plan(&mut self, now: Instant) -> Option<Instant> {
        if self.changed.is_empty() || self.due.is_some() {
            return None;
        }
        self.due = Some(now + PRESENCE_EVERY);
        self.due
    }

    /// Tells what is due, to each as one.
    pub fn gather(&mut self, now: Instant) -> HashMap<ConnId, News> {
        let mut news: HashMap<ConnId, News> = HashMap::new();
        if self.due.take_if(|due| *due <= now).is_none() {
            return news;
        }
        for subject in std::mem::take(&mut self.changed) {
            let Some(watched) = self.watched.get_mut(&subject) else { continue };
            let before = std::mem::replace(&mut watched.told, watched.now.clone());
            let (came, left) = match (before, &watched.now) {
                (None, Some(user)) => (Some(user.clone()), None),
                (Some(user), None) => (None, Some(user)),
                (None, None) | (Some(_), Some(_)) => continue,
            };
            for conn in &watched.by {
                let news = news.entry(*conn).or_default();
                news.came.extend(came.clone());
                news.left.extend(left.clone());
            }
        }
        news
    }

    /// How many are watched, and by how many.
    pub fn counts(&self) -> (usize, usize) {
        (self.watched.len(), self.by_conn.len())
    }
}

#[cfg(test)]
mod tests;
