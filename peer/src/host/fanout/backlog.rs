//! What a group of members has to be written next. Pure.

use bytes::{Bytes, BytesMut};

use crate::host::channel::ConnId;

/// What gathers while a group is being written to.
#[derive(Debug)]
pub struct Backlog<L> {
    lines: Vec<Bytes>,
    waiting: usize,
    /// How many bytes were taken last, and may still be on their way.
    taken: usize,
    /// Who came in, and how many of the waiting bytes are not for them.
    entered: Vec<(ConnId, L, usize)>,
    /// Who has left, and how many of the waiting bytes were for them.
    left: Vec<(ConnId, usize)>,
    is_over: bool,
}

impl<L> Default for Backlog<L> {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            waiting: 0,
            taken: 0,
            entered: Vec::new(),
            left: Vec::new(),
            is_over: false,
        }
    }
}

/// What is to be done in one round.
#[derive(Debug)]
pub struct Round<L> {
    /// What goes to all who were in before, and are still.
    pub lines: Bytes,
    /// Who came in since, with what of these lines is for them.
    pub entered: Vec<(ConnId, L, Bytes)>,
    /// Who has left since, with what of these lines was for them.
    pub left: Vec<(ConnId, Bytes)>,
}

impl<L> Backlog<L> {
    /// Appends lines for all who are in.
    pub fn push(&mut self, lines: Bytes) {
        self.waiting += lines.len();
        self.lines.push(lines);
    }

    /// Somebody is in: what waits already is not for them.
    pub fn enter(&mut self, conn: ConnId, link: L) {
        self.entered.push((conn, link, self.waiting));
    }

    /// Somebody has left: what comes from now on is not for them.
    pub fn leave(&mut self, conn: ConnId) {
        match self.entered.iter().position(|(entered, ..)| *entered == conn) {
            Some(place) => drop(self.entered.swap_remove(place)),
            None => self.left.push((conn, self.waiting)),
        }
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many bytes wait, or are on their way.
    pub fn bytes(&self) -> usize {
        self.waiting + self.taken
    }

    /// Takes all that waits; `None` when there is nothing, which also says that what was taken before is done.
    pub fn take(&mut self) -> Option<Round<L>> {
        self.taken = std::mem::take(&mut self.waiting);
        if self.taken == 0 && self.entered.is_empty() && self.left.is_empty() {
            return None;
        }
        let lines = join(std::mem::take(&mut self.lines), self.taken);
        let entered = self.entered.drain(..).map(|(conn, link, skip)| (conn, link, lines.slice(skip..)));
        let left = self.left.drain(..).map(|(conn, upto)| (conn, lines.slice(..upto)));
        let (entered, left) = (entered.collect(), left.collect());
        Some(Round { lines, entered, left })
    }
}

/// One piece, made once for all members.
fn join(mut pieces: Vec<Bytes>, bytes: usize) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(bytes);
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lone_piece_is_passed_on_without_a_copy() {
        let mut backlog = Backlog::<()>::default();
        let piece = Bytes::from(b"a\n".to_vec());
        backlog.push(piece.clone());
        assert_eq!(backlog.take().unwrap().lines.as_ptr(), piece.as_ptr());
    }

    #[test]
    fn what_is_on_its_way_counts_until_the_next_is_asked_for() {
        let mut backlog = Backlog::<()>::default();
        backlog.push(Bytes::from_static(b"abc"));
        assert_eq!(backlog.bytes(), 3);
        assert!(backlog.take().is_some());
        assert_eq!(backlog.bytes(), 3);
        backlog.push(Bytes::from_static(b"de"));
        assert_eq!(backlog.bytes(), 5);
        assert!(backlog.take().is_some());
        assert!(backlog.take().is_none());
        assert_eq!(backlog.bytes(), 0);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Enter,
        Leave(usize),
        Round,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Push),
            2 => Just(Step::Enter),
            1 => any::<usize>().prop_map(Step::Leave),
            2 => Just(Step::Round),
        ]
    }

    proptest! {
        /// Whoever is in gets what is pushed meanwhile, once and in order, and nothing else.
        #[test]
        fn everybody_gets_what_is_pushed_while_they_are_in(steps in prop::collection::vec(step(), 0..60)) {
            let mut backlog = Backlog::<usize>::default();
            // For each: what it has to get, what it got, whether it is in.
            let mut members: Vec<(Vec<u8>, Vec<u8>, bool)> = Vec::new();
            let mut written: Vec<usize> = Vec::new();
            for (number, step) in steps.into_iter().chain([Step::Round]).enumerate() {
                match step {
                    Step::Push => {
                        backlog.push(Bytes::from(vec![number as u8; 1 + number % 3]));
                        for (expected, _, _) in members.iter_mut().filter(|member| member.2) {
                            expected.extend(vec![number as u8; 1 + number % 3]);
                        }
                    }
                    Step::Enter => {
                        backlog.enter(ConnId(members.len() as u64), members.len());
                        members.push((Vec::new(), Vec::new(), true));
                    }
                    Step::Leave(who) if !members.is_empty() => {
                        let who = who % members.len();
                        if std::mem::replace(&mut members[who].2, false) {
                            backlog.leave(ConnId(who as u64));
                        }
                    }
                    Step::Leave(_) => {}
                    Step::Round => {
                        let Some(round) = backlog.take() else { continue };
                        for (conn, lines) in round.left {
                            members[conn.0 as usize].1.extend(&lines);
                            written.retain(|who| *who != conn.0 as usize);
                        }
                        written.iter().for_each(|who| members[*who].1.extend(&round.lines));
                        for (_, who, lines) in round.entered {
                            members[who].1.extend(&lines);
                            written.push(who);
                        }
                    }
                }
            }
            for (expected, got, is_in) in members {
                // Who came and went within a round is passed over.
                prop_assert!(got == expected || (!is_in && got.is_empty()));
            }
            prop_assert!(backlog.take().is_none());
        }
    }
}
