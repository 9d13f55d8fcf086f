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

/// The lines that wait, and whether somebody is writing. Pure.
///
/// Lines leave by one of two ways, one at a time: whoever brings them writes them at once when nothing waits
/// ([`Self::begin`]), or they wait for the writer ([`Self::take`]). Either ends with [`Self::end`].
#[derive(Debug, Default)]
pub struct WriteQueue {
    lines: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
    /// Somebody is writing what was taken.
    writing: bool,
    /// What was taken last is with TLS and not all with the system.
    unflushed: bool,
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

    /// Hands lines back to be written at once when nothing waits before them, and appends them otherwise.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn begin(&mut self, lines: Bytes) -> Result<Option<Bytes>, NotTaken> {
        if self.closed || self.writing || self.has_work() {
            return self.push(lines).map(|()| None);
        }
        self.writing = true;
        Ok(Some(lines))
    }

    /// What was taken is written, but for `rest`: it goes out before everything else, whatever was closed meanwhile,
    /// since its beginning is out. An empty rest is with TLS and not all with the system.
    pub fn end(&mut self, rest: Option<Bytes>) {
        self.writing = false;
        self.unflushed = rest.is_some();
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            self.bytes += rest.len();
            self.lines.push_front(rest);
        }
    }

    /// Whether there is something for the writer to do.
    fn has_work(&self) -> bool {
        self.unflushed || !self.lines.is_empty()
    }

    /// Takes nothing more; `last` is still written after what waits, or instead of it.
    pub fn close(&mut self, last: Option<Bytes>, drop_waiting: bool) {
        if self.closed {
            return;
        }
        if drop_waiting {
            // A rest is the end of a line that has begun.
            let rest = self.lines.pop_front().filter(|_| self.unflushed);
            self.lines.clear();
            self.lines.extend(rest);
            self.bytes = self.lines.iter().map(Bytes::len).sum();
        }
        if let Some(last) = last {
            self.bytes += last.len();
            self.lines.push_back(last);
        }
        self.closed = true;
    }

    /// Takes what waits, in order, up to a batch, unless somebody is writing. A lone piece is passed on without a copy;
    /// an empty one is to be flushed.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.writing || !self.has_work() {
            return None;
        }
        (self.writing, self.unflushed) = (true, false);
        let Some(first) = self.lines.pop_front() else { return Some(Bytes::new()) };
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

    /// Whether nothing is left to be written, ever.
    fn is_over(&self) -> bool {
        self.closed && !self.writing && !self.has_work()
    }
}

/// The queue between those who bring lines and the task that writes out those that could not go at once.
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

    /// Appends lines, unless nothing waits before them: then they are handed back to be written at once, and
    /// [`Self::end`] has to be called next.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn begin(&self, lines: Bytes) -> Result<Option<Bytes>, NotTaken> {
        // What was appended is found by whoever is writing, or waits with its notice given.
        self.lock().begin(lines)
    }

    /// What was taken is written, but for `rest`, which is left to the writer.
    pub fn end(&self, rest: Option<Bytes>) {
        let has_work = {
            let mut queue = self.lock();
            queue.end(rest);
            queue.closed || queue.has_work()
        };
        if has_work {
            self.filled.notify_one();
        }
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

    /// The next batch to write and flush, after which [`Self::end`] has to be called; `None` once the queue is closed
    /// and empty. For the writer alone.
    pub async fn next_batch(&self) -> Option<Bytes> {
        loop {
            let (batch, is_over) = {
                let mut queue = self.lock();
                (queue.take(), queue.is_over())
            };
            if batch.is_some() {
                self.drained.notify_waiters();
                return batch;
            }
            if is_over {
                return None;
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &mut WriteQueue) -> Option<Bytes> {
        let batch = queue.take();
        if batch.is_some() {
            assert_eq!(queue.take(), None, "one writes at a time");
            queue.end(None);
        }
        batch
    }

    fn line(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn what_waits_is_taken_as_one_batch_in_order() {
        let mut queue = WriteQueue::default();
        for text in ["a\n", "b\n", "c\n"] {
            queue.push(line(text)).unwrap();
        }
        assert_eq!(take(&mut queue).unwrap(), "a\nb\nc\n");
        assert_eq!((take(&mut queue), queue.bytes), (None, 0));
    }

    #[test]
    fn a_batch_is_bounded_but_a_long_line_is_not_cut() {
        let mut queue = WriteQueue::default();
        let long = Bytes::from(vec![b'x'; WRITE_BATCH_BYTES - 1]);
        queue.push(long.clone()).unwrap();
        queue.push(long.clone()).unwrap();
        queue.push(Bytes::from_static(b"y")).unwrap();
        assert_eq!(take(&mut queue).unwrap().len(), long.len());
        assert_eq!(take(&mut queue).unwrap().len(), long.len() + 1);
    }

    #[test]
    fn a_full_queue_refuses_and_stays_as_it_was() {
        let mut queue = WriteQueue::default();
        while queue.push(Bytes::from_static(&[b'x'; 1024])).is_ok() {}
        assert_eq!(queue.bytes, OUTGOING_BYTES);
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(NotTaken::Overflow));
        assert_eq!(queue.begin(Bytes::from_static(b"x")), Err(NotTaken::Overflow));
        queue.close(Some(Bytes::from_static(b"bye")), true);
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(NotTaken::Closed));
        assert_eq!(take(&mut queue).unwrap(), "bye");
        assert_eq!((take(&mut queue), queue.is_over()), (None, true));
    }

    #[test]
    fn only_what_nothing_waits_before_is_written_at_once() {
        let mut queue = WriteQueue::default();
        assert_eq!(queue.begin(line("a\n")), Ok(Some(line("a\n"))));
        assert_eq!(queue.begin(line("b\n")), Ok(None), "a is still being written");
        assert_eq!(queue.take(), None, "not by two at a time");
        queue.end(None);
        assert_eq!(queue.begin(line("c\n")), Ok(None), "b waits");
        assert_eq!(take(&mut queue).unwrap(), "b\nc\n");
        assert_eq!(queue.begin(line("d\n")), Ok(Some(line("d\n"))));
    }

    #[test]
    fn a_rest_goes_out_before_everything_else() {
        let mut queue = WriteQueue::default();
        queue.begin(line("abc\n")).unwrap();
        queue.push(line("d\n")).unwrap();
        queue.end(Some(line("c\n")));
        assert_eq!(queue.begin(line("e\n")), Ok(None));
        assert_eq!(take(&mut queue).unwrap(), "c\nd\ne\n");
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_line_that_has_begun_is_ended_whatever_else_is_dropped() {
        for closes_first in [false, true] {
            let mut queue = WriteQueue::default();
            queue.begin(line("abc\n")).unwrap();
            queue.push(line("d\n")).unwrap();
            if closes_first {
                queue.close(Some(line("bye\n")), true);
            }
            queue.end(Some(line("c\n")));
            queue.close(Some(line("bye\n")), true);
            assert!(!queue.is_over());
            assert_eq!(take(&mut queue).unwrap(), "c\nbye\n");
            assert_eq!((queue.bytes, queue.is_over()), (0, true));
        }
    }

    #[test]
    fn what_tls_still_holds_is_flushed_before_anything_is_written_at_once() {
        let mut queue = WriteQueue::default();
        queue.begin(line("a\n")).unwrap();
        queue.end(Some(Bytes::new()));
        queue.close(None, false);
        assert!(!queue.is_over());
        assert_eq!(take(&mut queue).unwrap(), "");
        assert!(queue.is_over());
    }
}
