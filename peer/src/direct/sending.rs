//! What goes out over one connection: this device's messages in their order, so many unanswered at once. Pure.
//!
//! Nothing is kept here but numbers: the messages themselves are read from the archive when there is room for them.

use common::proto::limits::MAX_UNANSWERED_MESSAGES;

/// How far one connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The last message that was sent, or need not be.
    sent: u64,
    unanswered: usize,
    is_reading: bool,
    has_failed: bool,
}

/// What is to be read from the archive next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The numbers after this one.
    pub after: u64,
    /// So many at most.
    pub limit: usize,
}

impl Sending {
    /// The other device has everything up to `acked`, or need not have it.
    pub fn new(acked: u64) -> Self {
        Self { sent: acked, unanswered: 0, is_reading: false, has_failed: false }
    }

    /// What to read next, when this device's last message is `newest`; it is being read from then on.
    pub fn next(&mut self, newest: u64) -> Option<Wanted> {
        let room = MAX_UNANSWERED_MESSAGES - self.unanswered;
        if self.is_reading || self.has_failed || room == 0 || self.sent >= newest {
            return None;
        }
        self.is_reading = true;
        Some(Wanted { after: self.sent, limit: room })
    }

    /// What was wanted has been read, and goes out.
    pub fn read(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.is_reading = false;
        for number in numbers {
            self.sent = self.sent.max(number);
            self.unanswered += 1;
        }
    }

    /// What was wanted could not be read: this connection sends nothing more.
    pub fn fail(&mut self) {
        self.has_failed = true;
    }

    /// One of those sent was answered; when it was not taken, nothing more is sent over this connection.
    pub fn answered(&mut self, is_taken: bool) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.has_failed |= !is_taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_out_once_in_order_and_so_many_at_a_time() {
        let mut sending = Sending::new(2);
        assert_eq!(sending.next(2), None);
        assert_eq!(sending.next(100), Some(Wanted { after: 2, limit: MAX_UNANSWERED_MESSAGES }));
        assert_eq!(sending.next(100), None, "one read at a time");
        sending.read(3..=66);
        assert_eq!(sending.next(100), None, "the window is full");
        sending.answered(true);
        assert_eq!(sending.next(100), Some(Wanted { after: 66, limit: 1 }));
        sending.read([67]);
        (0..64).for_each(|_| sending.answered(true));
        assert_eq!(sending.next(100).unwrap().after, 67);
        sending.read(68..=100);
        assert_eq!(sending.next(100), None);
    }

    #[test]
    fn after_one_that_was_not_taken_nothing_goes_out() {
        let mut sending = Sending::new(0);
        sending.next(2);
        sending.read([1]);
        sending.answered(false);
        assert_eq!(sending.next(2), None);
        let mut sending = Sending::new(0);
        sending.next(2);
        sending.fail();
        assert_eq!(sending.next(2), None);
    }
}
