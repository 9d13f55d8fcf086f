//! Which connection of a key is in the channel, and which waits for an older one to be over. Pure.
//!
//! A key has at most one seat. A newer connection takes it over, but sits down only when nothing of the older ones is
//! on its way to the disk any more: what they sent is stored before what the new one sends, and the new one is told of
//! a log that holds it.

use std::collections::HashMap;

use common::identity::PeerKey;

use super::channel::ConnId;

/// The connections of one key.
#[derive(Debug)]
struct OfKey<W> {
    seated: Option<ConnId>,
    /// How many have left with messages still on their way to the disk.
    draining: usize,
    /// Comes in when that is over.
    waiting: Option<W>,
}

impl<W> Default for OfKey<W> {
    fn default() -> Self {
        Self { seated: None, draining: 0, waiting: None }
    }
}

/// What becomes of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<W> {
    /// The seat of its key is free: it may [sit](Seats::sit).
    Free(W),
    /// It waits, and is handed out by [`Seats::drained`]. Who waited before is to be turned away.
    Waits {
        /// A newer connection of the same key has taken its place.
        turned_away: Option<W>,
    },
}

/// Who sits in a channel, by connection and key. `W` is a newcomer, as it was when it came.
#[derive(Debug)]
pub struct Seats<W> {
    keys: HashMap<PeerKey, OfKey<W>>,
    /// Those who sit, and those who have left and are draining.
    conns: HashMap<ConnId, PeerKey>,
    last: u64,
}

impl<W> Default for Seats<W> {
    fn default() -> Self {
        Self { keys: HashMap::new(), conns: HashMap::new(), last: 0 }
    }
}

impl<W> Seats<W> {
    /// The connection that a newcomer with this key takes over from: it has to [leave](Self::leave) first.
    pub fn older(&self, key: PeerKey) -> Option<ConnId> {
        self.keys.get(&key)?.seated
    }

    /// A newcomer, whose key has no seat any more.
    pub fn arrive(&mut self, key: PeerKey, newcomer: W) -> Arrival<W> {
        match self.keys.get_mut(&key) {
            Some(of_key) if of_key.seated.is_some() || of_key.draining > 0 => {
                Arrival::Waits { turned_away: of_key.waiting.replace(newcomer) }
            }
            _ => Arrival::Free(newcomer),
        }
    }

    /// A newcomer sits down, under the number that is returned.
    pub fn sit(&mut self, key: PeerKey) -> ConnId {
        self.last += 1;
        let conn = ConnId(self.last);
        self.conns.insert(conn, key);
        self.keys.entry(key).or_default().seated = Some(conn);
        conn
    }

    /// Somebody gets up. Without `is_drained`, messages of it are on their way, until [`Self::drained`].
    pub fn leave(&mut self, conn: ConnId, is_drained: bool) {
        let Some(key) = self.conns.get(&conn).copied() else { return };
        let Some(of_key) = self.keys.get_mut(&key).filter(|of_key| of_key.seated == Some(conn)) else {
            return;
        };
        of_key.seated = None;
        if is_drained {
            self.conns.remove(&conn);
        } else {
            of_key.draining += 1;
        }
        self.forget_if_unused(key);
    }

    /// Nothing is on its way any more of a connection that has left. Returns who waited for that and may come in now.
    pub fn drained(&mut self, conn: ConnId) -> Option<W> {
        let key = self.conns.get(&conn).copied()?;
        let of_key = self.keys.get_mut(&key).filter(|of_key| of_key.seated != Some(conn))?;
        self.conns.remove(&conn);
        of_key.draining = of_key.draining.saturating_sub(1);
        let next = if of_key.draining == 0 { of_key.waiting.take() } else { None };
        self.forget_if_unused(key);
        next
    }

    /// All who wait: nobody comes in any more.
    pub fn close(&mut self) -> Vec<W> {
        self.keys.drain().filter_map(|(_, of_key)| of_key.waiting).collect()
    }

    fn forget_if_unused(&mut self, key: PeerKey) {
        let is_unused =
            |of_key: &OfKey<W>| of_key.seated.is_none() && of_key.draining == 0 && of_key.waiting.is_none();
        if self.keys.get(&key).is_some_and(is_unused) {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> PeerKey {
        PeerKey::from_bytes([n; 32])
    }

    /// As the actor does it: who is seated leaves first.
    fn come(seats: &mut Seats<u32>, n: u8, newcomer: u32, is_drained: bool) -> Arrival<u32> {
        if let Some(older) = seats.older(key(n)) {
            seats.leave(older, is_drained);
        }
        seats.arrive(key(n), newcomer)
    }

    #[test]
    fn a_newcomer_waits_for_what_the_older_one_has_under_way() {
        let mut seats = Seats::default();
        assert_eq!(come(&mut seats, 1, 10, true), Arrival::Free(10));
        let first = seats.sit(key(1));
        assert_eq!(come(&mut seats, 1, 11, false), Arrival::Waits { turned_away: None });
        assert_eq!(come(&mut seats, 1, 12, false), Arrival::Waits { turned_away: Some(11) });
        assert_eq!(come(&mut seats, 2, 20, true), Arrival::Free(20), "another key has nothing to do with it");
        assert_eq!(seats.drained(first), Some(12));
        assert_eq!(seats.drained(first), None, "only once");
    }

    #[test]
    fn with_nothing_under_way_a_newcomer_sits_down_at_once() {
        let mut seats = Seats::default();
        come(&mut seats, 1, 10, true);
        let first = seats.sit(key(1));
        assert_eq!(come(&mut seats, 1, 11, true), Arrival::Free(11));
        let second = seats.sit(key(1));
        assert!(second != first && seats.older(key(1)) == Some(second));
        seats.leave(first, true);
        assert_eq!(seats.older(key(1)), Some(second), "the end of the older one is noticed late");
    }

    #[test]
    fn all_have_to_be_drained_and_closing_hands_out_who_waits() {
        let mut seats = Seats::default();
        let mut left = Vec::new();
        for _ in 0..2 {
            left.push(seats.sit(key(1)));
            seats.leave(left[left.len() - 1], false);
        }
        assert_eq!(seats.arrive(key(1), 10), Arrival::Waits { turned_away: None });
        assert_eq!(seats.drained(left[0]), None);
        assert_eq!(seats.close(), [10]);
        assert_eq!(seats.drained(left[1]), None);
    }

    proptest! {
        #[test]
        fn nobody_is_lost_nobody_sits_twice_and_nothing_is_left_behind(
            steps in prop::collection::vec((0..4_u8, 0..3_u8, any::<bool>()), 0..120),
        ) {
            let (mut seats, mut newcomers) = (Seats::default(), 0..);
            let (mut seated, mut draining) = (HashMap::new(), HashSet::new());
            let mut waiting = HashMap::new();
            for (what, n, is_drained) in steps {
                match what {
                    0 | 1 => {
                        if let Some(older) = seated.remove(&n) {
                            prop_assert_eq!(seats.older(key(n)), Some(older));
                            seats.leave(older, is_drained);
                            if !is_drained { draining.insert((n, older)); }
                        }
                        let newcomer: u32 = newcomers.next().unwrap();
                        match seats.arrive(key(n), newcomer) {
                            Arrival::Free(same) => {
                                prop_assert!(same == newcomer && !draining.iter().any(|(of, _)| *of == n));
                                seated.insert(n, seats.sit(key(n)));
                            }
                            Arrival::Waits { turned_away: older } => {
                                prop_assert!(draining.iter().any(|(of, _)| *of == n));
                                prop_assert_eq!(waiting.insert(n, newcomer), older);
                            }
                        }
                    }
                    2 => if let Some(conn) = seated.remove(&n) {
                        seats.leave(conn, is_drained);
                        if !is_drained { draining.insert((n, conn)); }
                    },
                    _ => if let Some(gone) = draining.iter().find(|(of, _)| *of == n).copied() {
                        draining.remove(&gone);
                        let is_last = !draining.iter().any(|(of, _)| *of == n);
                        let next = seats.drained(gone.1);
                        prop_assert_eq!(next, if is_last { waiting.remove(&n) } else { None });
                        if next.is_some() { seated.insert(n, seats.sit(key(n))); }
                    },
                }
            }
            for (n, conn) in seated { prop_assert_eq!(seats.older(key(n)), Some(conn)); seats.leave(conn, true); }
            for (_, conn) in draining { seats.drained(conn); }
            prop_assert!(seats.keys.is_empty() && seats.conns.is_empty());
        }
    }
}
