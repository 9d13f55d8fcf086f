//! Senders that keep to the rules, a disk that fails, connections that come and go, in any order.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Send(u64),
    Repeat(u64, prop::sample::Index),
    Bad(u64),
    Finish,
    Fail { is_written: bool },
    Full,
    Recover,
    Reconnect(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let sender = 0..3u64;
    prop_oneof![
        8 => sender.clone().prop_map(Step::Send),
        3 => (sender.clone(), any::<prop::sample::Index>()).prop_map(|(sender, which)| Step::Repeat(sender, which)),
        1 => sender.clone().prop_map(Step::Bad),
        4 => Just(Step::Finish),
        1 => any::<bool>().prop_map(|is_written| Step::Fail { is_written }),
        1 => Just(Step::Full),
        2 => Just(Step::Recover),
        1 => sender.prop_map(Step::Reconnect),
    ]
}

/// A sender that keeps to the rules: sends in order, goes back to the first that was refused.
#[derive(Default)]
struct Sender {
    conn: u64,
    /// All it has written, in order.
    written: Vec<MessageId>,
    /// How many of these are stored, as it knows.
    stored: usize,
    /// What it has asked for on this connection, in order.
    asked: Vec<(RequestId, Option<usize>)>,
    seen: usize,
}

struct World {
    sim: Sim,
    senders: Vec<Sender>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { sim: Sim::new(), senders: Vec::new() };
        for sender in 0..3 {
            world.senders.push(Sender::default());
            world.connect(sender);
        }
        world
    }

    fn connect(&mut self, sender: usize) {
        let n = u8::try_from(sender).unwrap();
        self.sim.come(n);
        let conn = loop {
            match self.sim.seats.older(key(n)) {
                Some(conn) => break conn,
                // What the older connection had appended is waited for.
                None => self.sim.finish(Ok(()), true),
            }
        };
        let sender = &mut self.senders[sender];
        sender.conn = conn.0;
        sender.asked.clear();
        sender.seen = 0;
    }

    fn post(&mut self, sender: usize, which: usize, restart: bool) {
        let Sender { conn, written, .. } = &self.senders[sender];
        let (conn, id) = (*conn, written[which]);
        let text = format!("{which}");
        let request = self.sim.offer(conn, restart, Ok(message(u8::try_from(sender).unwrap(), id, &text)));
        self.senders[sender].asked.push((request, Some(which)));
    }

    /// Reads the answers that have come; after the first refusal all unanswered are sent again.
    fn read(&mut self, sender: usize) {
        let mut refused = false;
        while let Some((request, which)) = self.senders[sender].asked.get(self.senders[sender].seen).copied()
        {
            let Some(answer) = self.sim.answer(request) else { return };
            self.senders[sender].seen += 1;
            if answer.is_ok() {
                assert!(!refused, "an answer after a refusal has to be one");
                let stored = which.unwrap() + 1;
                self.senders[sender].stored = self.senders[sender].stored.max(stored);
            }
            refused |= answer.is_err();
        }
        if refused {
            self.resend(sender, true);
        }
    }

    fn resend(&mut self, sender: usize, restart: bool) {
        for which in self.senders[sender].stored..self.senders[sender].written.len() {
            let is_first = which == self.senders[sender].stored;
            self.post(sender, which, restart && is_first);
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Send(sender) => {
                let sender = usize::try_from(sender).unwrap();
                self.senders[sender].written.push(MessageId::new());
                let which = self.senders[sender].written.len() - 1;
                // With all refusals seen and sent again, a message that starts anew does so by restart.
                let is_idle = self.senders[sender].seen == self.senders[sender].asked.len();
                self.post(sender, which, is_idle);
            }
            Step::Repeat(sender, which) => {
                let sender = usize::try_from(sender).unwrap();
                let stored = self.senders[sender].stored;
                if stored > 0 {
                    self.post(sender, which.index(stored), false);
                }
            }
            Step::Bad(sender) => {
                let sender = usize::try_from(sender).unwrap();
                let conn = self.senders[sender].conn;
                let request = self.sim.offer(conn, false, Err(Code::UnknownType.into()));
                self.senders[sender].asked.push((request, None));
            }
            Step::Finish => self.sim.finish(Ok(()), true),
            Step::Fail { is_written } => self.sim.finish(Err(AppendFailure::Unknown), is_written),
            Step::Full => self.sim.finish(Err(AppendFailure::Full), false),
            Step::Recover => self.sim.recover(),
            Step::Reconnect(sender) => self.reconnect(usize::try_from(sender).unwrap()),
        }
        for sender in 0..3 {
            self.read(sender);
        }
    }

    fn reconnect(&mut self, sender: usize) {
        self.connect(sender);
        self.resend(sender, false);
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let is_done = self.senders.iter().all(|sender| sender.stored == sender.written.len());
            if is_done && self.sim.under_way.is_none() && !self.sim.wants_head {
                return;
            }
            self.apply(Step::Recover);
            self.apply(Step::Finish);
        }
        panic!("it never comes to rest");
    }

    fn check(&self) {
        let headers = self.sim.headers();
        assert!(headers.iter().map(|header| header.seq).eq(1..=headers.len() as u64), "numbers without gap");
        assert_eq!(self.sim.delivered, self.sim.disk, "everything is delivered once, in order");
        assert_eq!(self.sim.channel.head(), self.sim.head());
        let mut stored: BTreeMap<Subject, Vec<MessageId>> = BTreeMap::new();
        for header in headers {
            stored.entry(header.from.subject).or_default().push(header.id);
        }
        for (n, sender) in self.senders.iter().enumerate() {
            let subject = author(u8::try_from(n).unwrap()).subject;
            let found = stored.remove(&subject).unwrap_or_default();
            assert_eq!(found, sender.written, "each once, in the order written");
        }
    }
}

proptest! {
    #[test]
    fn whatever_fails_and_whoever_reconnects_each_is_stored_once_in_order(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.settle();
        world.check();
    }
}
