//! A connection: two ways of bytes in order, each with the real write queue before it and a window that a slow reader
//! fills. Bytes are late, or stand still, or are gone with the connection; they are never changed or swapped.

use std::collections::VecDeque;

use bytes::Bytes;
use common::id::{Epoch, MessageId};
use common::link::{Outgoing, Pending};
use common::proto::limits::{MAX_PENDING_REQUESTS, OUTGOING_BYTES};
use futures_util::FutureExt;

use super::Side;
use crate::client::archive::intervals::Gap;
use crate::host::channel::ConnId;

/// How many bytes may be on their way in one direction.
pub const WINDOW: usize = 8 * 1024;

/// Who waits for the answer to a request of the client.
#[derive(Debug)]
pub enum Waiter {
    Connect,
    Message(MessageId),
    StatusOf(Vec<MessageId>),
    Page(Epoch, Gap),
    Ping,
}

/// What arrives.
#[derive(Debug)]
pub enum Piece {
    Lines(Bytes),
    /// The other side has ended.
    End,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Way {
    pub queue: Outgoing,
    flying: VecDeque<(u64, Piece)>,
    flying_bytes: usize,
    last: u64,
    ended: bool,
    /// Since when the window has been full.
    pub blocked_since: Option<u64>,
}

impl Way {
    /// The writer puts the next batch on its way, if the window has room. When it arrives.
    pub fn write(&mut self, now: u64, delay: u64) -> Option<u64> {
        if self.ended {
            return None;
        }
        if self.flying_bytes >= WINDOW {
            self.blocked_since.get_or_insert(now);
            return None;
        }
        self.blocked_since = None;
        let piece = match self.queue.next_batch().now_or_never()? {
            Some(lines) => {
                self.queue.end(None);
                Piece::Lines(lines)
            }
            None => {
                self.ended = true;
                Piece::End
            }
        };
        if let Piece::Lines(lines) = &piece {
            self.flying_bytes += lines.len();
        }
        self.last = self.last.max(now + delay);
        self.flying.push_back((self.last, piece));
        Some(self.last)
    }

    /// What has arrived by now, one piece at a time.
    pub fn arrive(&mut self, now: u64) -> Option<Piece> {
        let (_, piece) = self.flying.pop_front_if(|(at, _)| *at <= now)?;
        if let Piece::Lines(lines) = &piece {
            self.flying_bytes -= lines.len();
        }
        Some(piece)
    }

    pub fn is_bounded(&self) -> bool {
        self.queue.waiting_bytes() <= OUTGOING_BYTES + WINDOW
    }
}

/// How a connection stands.
#[derive(Debug)]
pub struct Wire {
    pub client: usize,
    /// Which life of the client's process it is of.
    pub client_life: u64,
    pub host_life: u64,
    /// Which attempt of the client.
    pub generation: u64,
    pub ways: [Way; 2],
    /// Whether this side still reads and writes.
    pub is_open: [bool; 2],
    /// When this side last heard something.
    pub heard: [u64; 2],
    /// Nothing arrives before.
    pub stalled_until: u64,
    /// Nothing arrives any more, and nobody is told.
    pub is_cut: bool,
    pub pending: Pending<Waiter>,
    /// Those whose requests could not be put on their way.
    pub unasked: Vec<Waiter>,
    /// Whether it is the second try of one attempt, for the newest entries only.
    pub is_second: bool,
    /// Both sides have ended, a while ago.
    pub is_over: bool,
    /// Whether the client has entered by it.
    pub is_entered: bool,
    pub seat: Option<ConnId>,
}

impl Wire {
    pub fn new(client: usize, client_life: u64, host_life: u64, generation: u64, now: u64) -> Self {
        Self {
            client,
            client_life,
            host_life,
            generation,
            ways: Default::default(),
            is_open: [true; 2],
            heard: [now; 2],
            stalled_until: 0,
            is_cut: false,
            pending: Pending::new(MAX_PENDING_REQUESTS),
            unasked: Vec::new(),
            is_second: false,
            is_over: false,
            is_entered: false,
            seat: None,
        }
    }

    /// What this side writes to.
    pub fn out(&self, side: Side) -> &Outgoing {
        &self.ways[side as usize].queue
    }
}
