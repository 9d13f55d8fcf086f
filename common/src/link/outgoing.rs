//! What waits to be written to one connection: bounded by lines and bytes, taken as one batch.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::proto::limits::{OUTGOING_BYTES, OUTGOING_LINES, WRITE_BATCH_BYTES};

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too much waits already: the other side does not read.
    Overflow,
    /// Nothing is taken any more.
    Closed,
}

/// The lines that wait. Pure.
#[derive(Debug, Default)]
pub struct WriteQueue {
    lines: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

impl WriteQueue {
    /// Appends a line, or several as one piece.
    ///
    /// # Errors
    /// When the queue would overflow, or is closed; the queue is as before then.
    pub fn push(&mut self, lines: Bytes) -> Result<(), NotTaken> {
        if self.closed {
            return Err(NotTaken::Closed);
        }
        if self.lines.len() >= OUTGOING_LINES || self.bytes + lines.len() > OUTGOING_BYTES {
            return Err(NotTaken::Overflow);
        }
        self.bytes += lines.len();
        self.lines.push_back(lines);
        Ok(())
    }

    /// Takes nothing more; `last` is still written after what waits, or instead of it.
    pub fn close(&mut self, last: Option<Bytes>, drop_waiting: bool) {
        if self.closed {
            return;
        }
        if drop_waiting {
            self.lines.clear();
            self.bytes = 0;
        }
        if let Some(last) = last {
            self.bytes += last.len();
            self.lines.push_back(last);
        }
        self.closed = true;
    }

    /// Takes what waits, in order, up to a batch. A lone piece is passed on without a copy.
    pub fn take(&mut self) -> Option<Bytes> {
        let first = self.lines.pop_front()?;
        self.bytes -= first.len();
        let fits = |taken: usize, next: &Bytes| taken + next.len() <= WRITE_BATCH_BYTES;
        if !self.lines.front().is_some_and(|next| fits(first.len(), next)) {
            return Some(first);
        }
        let mut batch = BytesMut::with_capacity((first.len() + self.bytes).min(WRITE_BATCH_BYTES));
        batch.extend_from_slice(&first);
        while let Some(next) = self.lines.pop_front_if(|next| fits(batch.len(), next)) {
            self.bytes -= next.len();
            batch.extend_from_slice(&next);
        }
        Some(batch.freeze())
    }
}

/// The queue between those who write lines and the one task that writes them out.
#[derive(Debug, Default)]
pub struct Outgoing {
    queue: Mutex<WriteQueue>,
    filled: Notify,
    drained: Notify,
}

impl Outgoing {
    // The queue is whole after every statement that changes it, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, WriteQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line. Never waits.
    ///
    /// # Errors
    /// When the queue would overflow, or is closed.
    pub fn push(&self, lines: Bytes) -> Result<(), NotTaken> {
        self.lock().push(lines)?;
        self.filled.notify_one();
        Ok(())
    }

    /// Takes nothing more; `last` is still written after what waits, or instead of it.
    pub fn close(&self, last: Option<Bytes>, drop_waiting: bool) {
        self.lock().close(last, drop_waiting);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// How many bytes wait.
    pub fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits until fewer than `bytes` wait, or nothing is taken any more.
    pub async fn below(&self, bytes: usize) {
        loop {
            let drained = self.drained.notified();
            {
                let queue = self.lock();
                if queue.closed || queue.bytes < bytes {
                    return;
                }
            }
            drained.await;
        }
    }

    /// The next batch to write; `None` once the queue is closed and empty. For the writer alone.
    pub async fn next_batch(&self) -> Option<Bytes> {
        loop {
            let (batch, closed) = {
                let mut queue = self.lock();
                (queue.take(), queue.closed)
            };
            if batch.is_some() {
                self.drained.notify_waiters();
                return batch;
            }
            if closed {
                return None;
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_taken_as_one_batch_in_order() {
        let mut queue = WriteQueue::default();
        for line in ["a\n", "b\n", "c\n"] {
            queue.push(Bytes::from(line)).unwrap();
        }
        assert_eq!(queue.take().unwrap(), "a\nb\nc\n");
        assert_eq!((queue.take(), queue.bytes), (None, 0));
    }

    #[test]
    fn a_batch_is_bounded_but_a_long_line_is_not_cut() {
        let mut queue = WriteQueue::default();
        let long = Bytes::from(vec![b'x'; WRITE_BATCH_BYTES - 1]);
        queue.push(long.clone()).unwrap();
        queue.push(long.clone()).unwrap();
        queue.push(Bytes::from_static(b"y")).unwrap();
        assert_eq!(queue.take().unwrap().len(), long.len());
        assert_eq!(queue.take().unwrap().len(), long.len() + 1);
    }

    #[test]
    fn a_full_queue_refuses_and_stays_as_it_was() {
        let mut queue = WriteQueue::default();
        while queue.push(Bytes::from_static(&[b'x'; 1024])).is_ok() {}
        assert_eq!(queue.bytes, OUTGOING_BYTES);
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(NotTaken::Overflow));
        queue.close(Some(Bytes::from_static(b"bye")), true);
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(NotTaken::Closed));
        assert_eq!(queue.take().unwrap(), "bye");
        assert_eq!(queue.take(), None);
    }
}
