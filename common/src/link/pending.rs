//! The pending-response map: who waits for the answer to which request. Pure.

use std::collections::HashMap;

use crate::id::RequestId;

/// Those who wait on one connection, each under the id of its request.
#[derive(Debug)]
pub struct Pending<W> {
    waiting: HashMap<RequestId, W>,
    capacity: usize,
    closed: bool,
    strays: u64,
}

/// Why nobody can wait now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may.
    Full,
    /// The connection is gone.
    Closed,
}

impl<W> Pending<W> {
    /// A map in which at most `capacity` wait.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: HashMap::new(), capacity, closed: false, strays: 0 }
    }

    /// Puts a waiter under a request that is about to be sent.
    ///
    /// # Errors
    /// When the map is full, or closed.
    pub fn insert(&mut self, id: RequestId, waiter: W) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if self.waiting.len() >= self.capacity {
            return Err(Refused::Full);
        }
        self.waiting.insert(id, waiter);
        Ok(())
    }

    /// The waiter that a response is for. A late, unknown or repeated one is for nobody, and counted.
    pub fn take(&mut self, id: RequestId) -> Option<W> {
        let waiter = self.waiting.remove(&id);
        if waiter.is_none() {
            self.strays += 1;
        }
        waiter
    }

    /// Drops a waiter that no longer waits.
    pub fn forget(&mut self, id: RequestId) {
        self.waiting.remove(&id);
    }

    /// Ends the map: nobody can wait any more, and all who do are returned.
    pub fn close(&mut self) -> Vec<W> {
        self.closed = true;
        self.waiting.drain().map(|(_, waiter)| waiter).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many responses were for nobody.
    pub fn strays(&self) -> u64 {
        self.strays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_its_request_once_in_any_order() {
        let mut pending = Pending::new(8);
        let ids: Vec<_> = (0..8).map(|_| RequestId::new()).collect();
        for (n, id) in ids.iter().enumerate() {
            pending.insert(*id, n).unwrap();
        }
        assert_eq!(pending.insert(RequestId::new(), 9), Err(Refused::Full));
        for (n, id) in ids.iter().enumerate().rev() {
            assert_eq!(pending.take(*id), Some(n));
            assert_eq!(pending.take(*id), None, "a repeated answer is for nobody");
        }
        assert_eq!((pending.strays(), pending.is_empty()), (8, true));
    }

    #[test]
    fn a_late_answer_is_dropped_and_counted() {
        let mut pending = Pending::new(1);
        let id = RequestId::new();
        pending.insert(id, ()).unwrap();
        pending.forget(id);
        assert_eq!(pending.take(id), None);
        assert_eq!(pending.strays(), 1);
    }

    #[test]
    fn closing_returns_all_who_wait_and_lets_nobody_in() {
        let mut pending = Pending::new(4);
        pending.insert(RequestId::new(), 1).unwrap();
        pending.insert(RequestId::new(), 2).unwrap();
        let mut left = pending.close();
        left.sort_unstable();
        assert_eq!(left, [1, 2]);
        assert_eq!(pending.insert(RequestId::new(), 3), Err(Refused::Closed));
    }
}
