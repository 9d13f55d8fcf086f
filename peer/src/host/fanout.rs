//! How what is on disk goes out to those who are live: one task for many members, which writes to each on the spot.
//!
//! Waking a task for each member and message takes longer than the message. So members are spread over a few groups,
//! each with a task of its own on the threads that serve connections, and a group is woken once for all of them. While
//! it is writing, what comes gathers and goes out with the next round: a quiet channel is heard at once, and a busy one
//! is written in larger and larger pieces. What a member does not take at once waits in the queue of its link.

mod backlog;

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use bytes::Bytes;
use common::crash::{self, Point};
use common::link::Link;
use common::proto::limits::{FANOUT_BYTES, FANOUT_GROUP_MEMBERS, FANOUT_TURN, MAX_FANOUT_GROUPS};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{unconstrained, yield_now};

use super::channel::ConnId;
use backlog::{Backlog, Round};

/// Those of a channel who are live, in groups. Dropping it ends the groups.
pub(super) struct Fanout {
    groups: Vec<Arc<Group>>,
    /// How many members each group has.
    sizes: Vec<usize>,
    /// In which group somebody is.
    places: HashMap<ConnId, usize>,
}

impl Fanout {
    /// Half as many groups as there are processors, whose tasks run on `runtime`. The other half reads, stores, and does
    /// what the system has to do for what is written: with all of them writing, each delivery takes longer.
    pub fn start(runtime: &Handle) -> Self {
        let count = available_parallelism().map_or(1, NonZero::get) / 2;
        Self::in_groups(runtime, count.clamp(1, MAX_FANOUT_GROUPS))
    }

    fn in_groups(runtime: &Handle, count: usize) -> Self {
        let groups: Vec<Arc<Group>> = (0..count).map(|_| Arc::default()).collect();
        for group in &groups {
            runtime.spawn(unconstrained(Group::serve(Arc::clone(group))));
        }
        Self { sizes: vec![0; groups.len()], groups, places: HashMap::new() }
    }

    /// From now on somebody gets what is pushed.
    pub fn enter(&mut self, conn: ConnId, link: Link) {
        // Few members are better served by one task that is woken than by several.
        let open = (self.places.len() / FANOUT_GROUP_MEMBERS + 1).min(self.groups.len());
        let smallest = self.sizes[..open].iter().enumerate().min_by_key(|(_, size)| **size);
        let place = smallest.map_or(0, |(place, _)| place);
        if self.places.insert(conn, place).is_none() {
            self.sizes[place] += 1;
            self.groups[place].change(|backlog| backlog.enter(conn, link));
        }
    }

    /// From now on somebody gets nothing more.
    pub fn leave(&mut self, conn: ConnId) {
        if let Some(place) = self.places.remove(&conn) {
            self.sizes[place] -= 1;
            self.groups[place].change(|backlog| backlog.leave(conn));
        }
    }

    /// Has lines go out to all who are in.
    pub fn push(&self, lines: &Bytes) {
        for (group, _) in self.groups.iter().zip(&self.sizes).filter(|(_, size)| **size > 0) {
            group.change(|backlog| backlog.push(lines.clone()));
        }
    }

    /// Waits until there is room for more, so that what is pushed stays bounded; members are not waited for.
    pub fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        self.below(FANOUT_BYTES)
    }

    /// Waits until what was pushed is written, or waits in the queues of those who do not read.
    pub fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        self.below(0)
    }

    fn below(&self, bytes: usize) -> impl Future<Output = ()> + Send + use<> {
        let full = self.groups.iter().filter(|group| group.lock().bytes() > bytes);
        let full: Vec<Arc<Group>> = full.cloned().collect();
        async move {
            for group in full {
                group.below(bytes).await;
            }
        }
    }

    /// Whether a group has died: its members would get nothing more.
    pub fn is_broken(&self) -> bool {
        self.groups.iter().any(|group| group.lock().is_over())
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.groups.iter().for_each(|group| group.change(Backlog::end));
    }
}

/// Some of the members.
#[derive(Default)]
struct Group {
    backlog: Mutex<Backlog<Link>>,
    filled: Notify,
    drained: Notify,
}

impl Group {
    // A backlog is whole after every call, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Backlog<Link>> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Backlog<Link>)) {
        change(&mut self.lock());
        self.filled.notify_one();
    }

    async fn below(&self, bytes: usize) {
        loop {
            let drained = self.drained.notified();
            {
                let backlog = self.lock();
                if backlog.bytes() <= bytes || backlog.is_over() {
                    return;
                }
            }
            drained.await;
        }
    }

    async fn serve(self: Arc<Self>) {
        let _end = End(&self);
        let mut members = HashMap::new();
        loop {
            let (round, is_over) = {
                let mut backlog = self.lock();
                (backlog.take(), backlog.is_over())
            };
            self.drained.notify_waiters();
            match round {
                Some(round) => write(round, &mut members).await,
                None if is_over => return,
                None => self.filled.notified().await,
            }
        }
    }
}

/// Nobody waits for a group that has ended, however.
struct End<'a>(&'a Group);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().end();
        self.0.drained.notify_waiters();
    }
}

/// Writes a round to all, and to those who came or went meanwhile what of it is for them.
async fn write(round: Round<Link>, members: &mut HashMap<ConnId, Link>) {
    for (conn, lines) in round.left {
        if let Some(link) = members.remove(&conn).filter(|_| !lines.is_empty()) {
            let _ = link.push_now(lines);
        }
    }
    if !round.lines.is_empty() {
        for (turn, link) in members.values().enumerate() {
            if turn % FANOUT_TURN == FANOUT_TURN - 1 {
                // What else runs on this thread gets a turn.
                yield_now().await;
            }
            // A member that does not keep up is closed by this, and noticed by its reader; the others go on.
            let _ = link.push_now(round.lines.clone());
            crash::here(Point::HostDelivering);
        }
        crash::here(Point::HostDelivered);
    }
    for (conn, link, lines) in round.entered {
        if !lines.is_empty() {
            let _ = link.push_now(lines);
        }
        members.insert(conn, link);
    }
}

#[cfg(test)]
mod tests;
