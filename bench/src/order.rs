//! Whether somebody gets every message once and in order. Pure.

/// What one member has got of a channel's numbered messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    next: u64,
    received: u64,
    lost: u64,
    repeated: u64,
}

/// A message that is not the one that had to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder {
    pub expected: u64,
    pub found: u64,
}

impl Stream {
    /// The number that has to come next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many messages came since [`Self::reset`], each counted once.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How many never came.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many came again, or too late.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Takes what came.
    ///
    /// # Errors
    /// When it is another one than had to come; those in between are lost then, or it came before.
    pub fn take(&mut self, found: u64) -> Result<(), OutOfOrder> {
        let expected = self.next;
        if found < expected {
            self.repeated += 1;
            return Err(OutOfOrder { expected, found });
        }
        self.lost += found - expected;
        self.received += 1;
        self.next = found + 1;
        if found == expected { Ok(()) } else { Err(OutOfOrder { expected, found }) }
    }

    /// Counts the next as taken, whichever it is.
    pub fn skip(&mut self) {
        self.next += 1;
        self.received += 1;
    }

    /// The stream begins, or goes on over another connection, with number `next`.
    pub fn resume(&mut self, next: u64) {
        self.next = next;
    }

    /// Forgets how many came; where it stands and what went wrong stays known.
    pub fn reset(&mut self) {
        self.received = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(from: u64, numbers: &[u64]) -> (Stream, Vec<OutOfOrder>) {
        let mut stream = Stream::default();
        stream.resume(from);
        let faults = numbers.iter().filter_map(|number| stream.take(*number).err()).collect();
        (stream, faults)
    }

    #[test]
    fn all_in_order_is_no_fault() {
        let (stream, faults) = stream(5, &[5, 6, 7]);
        assert!(faults.is_empty());
        assert_eq!((stream.next(), stream.received(), stream.lost(), stream.repeated()), (8, 3, 0, 0));
    }

    #[test]
    fn a_gap_is_a_loss_of_all_in_it() {
        let (stream, faults) = stream(1, &[1, 4, 5]);
        assert_eq!(faults, [OutOfOrder { expected: 2, found: 4 }]);
        assert_eq!((stream.next(), stream.received(), stream.lost(), stream.repeated()), (6, 3, 2, 0));
    }

    #[test]
    fn what_comes_again_counts_as_repeated_and_not_as_received() {
        let (stream, faults) = stream(1, &[1, 2, 2, 1, 3]);
        assert_eq!(faults, [OutOfOrder { expected: 3, found: 2 }, OutOfOrder { expected: 3, found: 1 }]);
        assert_eq!((stream.next(), stream.received(), stream.lost(), stream.repeated()), (4, 3, 0, 2));
    }

    #[test]
    fn two_that_changed_places_are_a_loss_and_a_repeat() {
        let (stream, faults) = stream(1, &[2, 1, 3]);
        assert_eq!(faults.len(), 2);
        assert_eq!((stream.next(), stream.lost(), stream.repeated()), (4, 1, 1));
    }

    #[test]
    fn counting_anew_forgets_no_fault() {
        let (mut stream, _) = stream(1, &[1, 3]);
        stream.reset();
        assert_eq!((stream.next(), stream.received(), stream.lost()), (4, 0, 1));
        stream.resume(9);
        assert_eq!((stream.take(9), stream.received()), (Ok(()), 1));
    }
}
