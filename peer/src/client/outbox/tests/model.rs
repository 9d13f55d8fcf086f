//! A sender with its disk, and a host that keeps the rules of the protocol, over connections that break and restarts
//! that lose what was not flushed: every message is stored once, in order, as the user last wished it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// What is done next, whatever the state is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    /// The own disk answers up to so many writes.
    Flush(u8),
    /// The own disk fails in a change.
    Fail(u8),
    /// The host takes a request, with this much luck.
    Take(u8),
    /// An answer arrives.
    Hear,
    /// The connection breaks, after the host took so many of the requests under way.
    Break(u8),
    /// The sender's process is killed; so many of its unanswered writes are on disk all the same.
    Kill(u8),
    /// The user wants a message cancelled, or edited.
    Cancel(u8),
    Edit(u8),
    Retry(u8),
    Expire,
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Write),
        8 => any::<u8>().prop_map(Step::Flush),
        2 => any::<u8>().prop_map(Step::Fail),
        8 => any::<u8>().prop_map(Step::Take),
        8 => Just(Step::Hear),
        1 => any::<u8>().prop_map(Step::Break),
        1 => any::<u8>().prop_map(Step::Kill),
        2 => any::<u8>().prop_map(Step::Cancel),
        2 => any::<u8>().prop_map(Step::Edit),
        1 => any::<u8>().prop_map(Step::Retry),
        1 => Just(Step::Expire),
        2 => Just(Step::Release),
    ];
    prop::collection::vec(step, 1..400)
}

enum Request {
    Message { id: MessageId, restart: bool },
    StatusOf(Vec<MessageId>),
}

enum Reply {
    Message(MessageId, Answer),
    Stored(Vec<MessageId>, Vec<StoredMessage>),
    CannotSay(Vec<MessageId>),
}

/// The rules of design section 5 for one sender; permission is looked at before what is stored already.
#[derive(Default)]
struct Host {
    stored: Vec<MessageId>,
    is_rejecting: bool,
}

impl Host {
    fn take(&mut self, request: Request, luck: u8) -> Reply {
        match request {
            Request::Message { id, restart } => Reply::Message(id, self.message(id, restart, luck)),
            Request::StatusOf(ids) if luck % 16 == 15 => Reply::CannotSay(ids),
            Request::StatusOf(ids) => {
                let found = ids.iter().filter_map(|id| Some(stored(*id, self.seq(*id)?))).collect();
                Reply::Stored(ids, found)
            }
        }
    }

    fn seq(&self, id: MessageId) -> Option<u64> {
        self.stored.iter().position(|known| *known == id).map(|place| place as u64 + 1)
    }

    fn message(&mut self, id: MessageId, restart: bool, luck: u8) -> Answer {
        self.is_rejecting &= !restart;
        if self.is_rejecting {
            return refuse(Code::AfterRefused);
        }
        let failure = match luck % 16 {
            15 => Some(Code::NotAllowed),
            14 => Some(Code::StorageFull),
            12 | 13 => Some(Code::StorageFailed),
            _ => None,
        };
        self.is_rejecting = failure.is_some();
        // Whether it was stored is unknown to the host itself, then.
        let is_stored = failure.as_ref().is_none_or(|code| *code == Code::StorageFailed && luck % 16 == 12);
        if is_stored && self.seq(id).is_none() {
            self.stored.push(id);
        }
        failure.map_or_else(|| Answer::Stored(self.seq(id).unwrap()), refuse)
    }
}

/// A write to the sender's disk, and what waits for it.
struct Write {
    number: u64,
    value: Option<Item>,
    then: Then,
}

enum Then {
    Nothing,
    Written,
    /// The flag says that the user waits for it.
    Changed(bool),
}

/// What a message was, and what its user was told of it.
#[derive(Default)]
struct Fate {
    versions: Vec<MessageId>,
    is_queued: bool,
    is_cancelled: bool,
    may_be_cancelled: bool,
    /// A cancel was accepted, and nothing has come since that could have undone it.
    is_to_be_cancelled: bool,
    stored: Option<MessageId>,
    /// Said to be replaced: never to be seen at the host.
    replaced: Vec<MessageId>,
}

#[derive(Default)]
struct World {
    outbox: Outbox,
    disk: BTreeMap<u64, Item>,
    writes: VecDeque<Write>,
    requests: VecDeque<Request>,
    replies: VecDeque<Reply>,
    host: Host,
    fates: BTreeMap<u64, Fate>,
    last: u64,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Write => self.write(),
            Step::Flush(count) => self.flush(count as usize % 8),
            Step::Fail(luck) => self.fail(luck),
            Step::Take(luck) => self.take(luck),
            Step::Hear => self.hear(),
            Step::Break(taken) => self.break_connection(taken),
            Step::Kill(flushed) => self.kill(flushed),
            Step::Cancel(which) => self.wish(which, false),
            Step::Edit(which) => self.wish(which, true),
            Step::Retry(which) => {
                let ids = ids(&self.outbox);
                let which = ids.get(which as usize % 16).copied();
                let effects = self.outbox.retry(which, None).unwrap();
                self.apply(effects);
            }
            Step::Expire => {
                let effects = self.outbox.expire(Timestamp::from_millis(u64::MAX));
                self.apply(effects);
            }
            Step::Release => self.outbox.release(),
        }
        self.pump();
    }

    fn write(&mut self) {
        // A restart begins to count behind what is on disk; the story here counts on.
        let number = self.outbox.next_number().unwrap().max(self.last + 1);
        self.outbox.next_number = number + 1;
        self.last = number;
        let expires = number.is_multiple_of(3).then(|| Timestamp::from_millis(1));
        let item = Item { expires, ..item(number) };
        self.fates.insert(number, Fate { versions: vec![item.id], ..Fate::default() });
        self.outbox.begin(item.clone());
        self.writes.push_back(Write { number, value: Some(item), then: Then::Written });
    }

    /// A write fails. What was there stays, or what was to be written is there all the same.
    fn fail(&mut self, luck: u8) {
        if !matches!(self.writes.front(), Some(Write { then: Then::Changed(_), .. })) {
            return;
        }
        let Some(Write { number, value, then: Then::Changed(is_awaited) }) = self.writes.pop_front() else {
            return;
        };
        if luck.is_multiple_of(2) {
            self.put(number, value);
        }
        let effects = self.outbox.changed(number, Err(Code::StorageFailed.into()), is_awaited);
        self.apply(effects);
    }

    fn flush(&mut self, count: usize) {
        for _ in 0..count {
            let Some(Write { number, value, then }) = self.writes.pop_front() else { return };
            self.put(number, value);
            match then {
                Then::Nothing => {}
                Then::Written => {
                    self.outbox.written(number, true);
                    self.fate(number).is_queued = true;
                }
                Then::Changed(is_awaited) => {
                    let effects = self.outbox.changed(number, Ok(()), is_awaited);
                    self.apply(effects);
                }
            }
        }
    }

    fn put(&mut self, number: u64, value: Option<Item>) {
        match value {
            Some(item) => drop(self.disk.insert(number, item)),
            None => drop(self.disk.remove(&number)),
        }
    }

    fn fate(&mut self, number: u64) -> &mut Fate {
        self.fates.get_mut(&number).unwrap()
    }

    fn take(&mut self, luck: u8) {
        if let Some(request) = self.requests.pop_front() {
            let reply = self.host.take(request, luck);
            self.replies.push_back(reply);
        }
    }

    fn hear(&mut self) {
        let effects = match self.replies.pop_front() {
            Some(Reply::Message(id, answer)) => self.outbox.answered(id, answer),
            Some(Reply::Stored(asked, stored)) => self.outbox.learned(&asked, &stored),
            Some(Reply::CannotSay(asked)) => self.outbox.not_learned(&asked, Code::StorageFailed.into()),
            None => return,
        };
        self.apply(effects);
    }

    fn break_connection(&mut self, taken: u8) {
        self.host_loses_connection(taken);
        self.outbox.disconnected();
    }

    /// CONNECT comes after all that the older connection had under way; the rest of that is never looked at.
    fn host_loses_connection(&mut self, taken: u8) {
        for luck in 0..taken % 16 {
            self.take(luck.wrapping_mul(taken));
        }
        self.requests.clear();
        self.replies.clear();
        self.host.is_rejecting = false;
    }

    fn kill(&mut self, flushed: u8) {
        self.host_loses_connection(flushed);
        for _ in 0..flushed % 8 {
            let Some(Write { number, value, .. }) = self.writes.pop_front() else { break };
            self.put(number, value);
        }
        self.writes.clear();
        self.fates.values_mut().for_each(|fate| fate.is_to_be_cancelled = false);
        self.outbox = Outbox::load(self.disk.values().cloned().collect());
    }

    fn wish(&mut self, which: u8, is_edit: bool) {
        let ids = ids(&self.outbox);
        let Some(id) = ids.get(which as usize % 24).copied() else { return };
        let wish = if is_edit { edit("new") } else { Wish::Cancel };
        let number = self.outbox.rows(None).iter().find(|row| row.item.id == id).unwrap().item.number;
        match self.outbox.wish(id, wish.clone()) {
            Err(_) => return,
            Ok(Decision::Now(change)) => {
                self.fate(number).is_to_be_cancelled = false;
                self.change(change, true);
            }
            Ok(Decision::Later(item)) => {
                self.writes.push_back(Write { number, value: Some(item), then: Then::Nothing });
                self.fate(number).is_to_be_cancelled = !is_edit;
            }
        }
        match wish {
            Wish::Cancel => self.fate(number).may_be_cancelled = true,
            Wish::Edit { id, .. } => self.fate(number).versions.push(id),
        }
    }

    fn change(&mut self, change: Change, is_awaited: bool) {
        let Change { number, becomes, .. } = change;
        self.writes.push_back(Write { number, value: becomes, then: Then::Changed(is_awaited) });
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Keep(item) | Effect::Refused(item) | Effect::Requeued(item) => {
                    let number = item.number;
                    self.writes.push_back(Write { number, value: Some(item), then: Then::Nothing });
                }
                Effect::Stored { item, .. } => {
                    let (number, id) = (item.number, item.id);
                    self.writes.push_back(Write { number, value: None, then: Then::Nothing });
                    self.fate(number).stored = Some(id);
                }
                Effect::Change(change) => self.change(change, false),
                Effect::Changed(Change { number, id, becomes }) => {
                    let fate = self.fate(number);
                    fate.replaced.push(id);
                    fate.is_cancelled |= becomes.is_none();
                }
                Effect::TooLate { id, .. } => {
                    let fate = self.fates.values_mut().find(|fate| fate.versions.contains(&id)).unwrap();
                    fate.is_to_be_cancelled = false;
                }
                Effect::Held { .. } => {}
            }
        }
    }

    /// What the actor does whenever something has changed.
    fn pump(&mut self) {
        let effects = self.outbox.change_again();
        self.apply(effects);
        let questions = self.outbox.questions(me());
        if !questions.is_empty() {
            self.requests.push_back(Request::StatusOf(questions));
        }
        while let Some((item, restart)) = self.outbox.next(me()) {
            let is_on_disk = self.disk.get(&item.number).is_some_and(|kept| kept.id == item.id);
            assert!(is_on_disk, "went out before it was on disk");
            self.requests.push_back(Request::Message { id: item.id, restart });
        }
    }

    /// Everything works again, and the user has everything sent.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            if self.outbox.is_empty() && self.writes.is_empty() {
                for (number, fate) in self.fates.iter().filter(|(_, fate)| fate.is_to_be_cancelled) {
                    let at_host = fate.versions.iter().find(|id| self.host.seq(**id).is_some());
                    assert_eq!(at_host, None, "the cancel of message {number} was accepted");
                }
                return;
            }
            let effects = self.outbox.retry(None, None).unwrap();
            self.apply(effects);
            self.pump();
            self.flush(1);
            self.take(0);
            self.hear();
            self.pump();
        }
        panic!("stuck: {:?}", self.outbox);
    }

    fn check(&self) {
        let mut last = 0;
        for (place, id) in self.host.stored.iter().enumerate() {
            assert!(!self.host.stored[..place].contains(id), "stored twice");
            let mut fates = self.fates.iter().filter(|(_, fate)| fate.versions.contains(id));
            let (number, _) = fates.next().expect("nobody wrote that");
            assert!(*number > last, "message {number} came after message {last}");
            last = *number;
        }
        for (number, fate) in &self.fates {
            let at_host: Vec<_> = fate.versions.iter().filter(|id| self.host.seq(**id).is_some()).collect();
            assert!(at_host.len() <= 1, "message {number} is there in two versions");
            assert!(
                !at_host.iter().any(|id| fate.replaced.contains(*id)),
                "{number}: the old text was stored"
            );
            assert!(fate.stored.is_none_or(|id| at_host == [&id]), "{number} is said to be stored otherwise");
            let is_gone = fate.is_cancelled || fate.may_be_cancelled || !fate.is_queued;
            assert!(!at_host.is_empty() || is_gone, "message {number} is lost");
            assert!(at_host.is_empty() || !fate.is_cancelled, "message {number} was cancelled");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn every_message_is_stored_once_in_order_and_as_last_wished_whatever_fails(steps in steps()) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check();
    }
}
