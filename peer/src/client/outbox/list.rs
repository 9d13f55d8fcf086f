//! The queue as it is shown.

use common::id::{MessageId, Subject};

use super::{Entry, Outbox, Row, Step, Waits};

impl Entry {
    /// Why it stands still, whatever stands before it.
    fn obstacle(&self, me: Option<Subject>) -> Option<Waits> {
        let item = &self.item;
        if self.step == Step::UnderWay {
            None
        } else if me.is_some_and(|me| item.writer != me) {
            // Only as that one can the host be asked for it, or be given it.
            Some(Waits::Writer(item.writer_name.clone()))
        } else if item.wish.is_some() {
            Some(Waits::Outcome)
        } else if item.refused.is_some() {
            Some(Waits::Refused)
        } else {
            None
        }
    }
}

impl Outbox {
    /// All there is, in order, as it stands for `me`.
    pub fn rows(&self, me: Option<Subject>) -> Vec<Row<'_>> {
        let mut obstacle = None;
        let rows = self.entries.iter().map(|entry| {
            let own = entry.obstacle(me);
            let is_under_way = entry.step == Step::UnderWay;
            let behind = obstacle.filter(|_| !is_under_way).map(Waits::Behind);
            let held = (self.is_held && !is_under_way).then_some(Waits::Held);
            if own.is_some() {
                obstacle = obstacle.or(Some(entry.item.id));
            }
            Row { item: &entry.item, is_under_way, waits: own.or(behind).or(held) }
        });
        rows.collect()
    }

    /// The first message that does not go out by itself, and why.
    pub fn stuck(&self, me: Option<Subject>) -> Option<(MessageId, Waits)> {
        let mut obstacles =
            self.entries.iter().filter_map(|entry| Some((entry.item.id, entry.obstacle(me)?)));
        obstacles.find(|(_, waits)| *waits != Waits::Outcome)
    }

    /// How many are under way, or go out by themselves while nothing changes.
    pub fn moving(&self, me: Subject) -> usize {
        let waits_for_user =
            |entry: &Entry| matches!(entry.obstacle(Some(me)), Some(Waits::Refused | Waits::Writer(_)));
        let others = self.entries.iter().filter(|entry| entry.step != Step::UnderWay);
        self.under_way + others.take_while(|entry| !waits_for_user(entry)).count()
    }

    /// The messages whose id ends so.
    pub fn matching(&self, ending: &str) -> Vec<MessageId> {
        let ending = ending.to_ascii_lowercase();
        let ids = self.entries.iter().map(|entry| entry.item.id);
        ids.filter(|id| id.to_string().ends_with(&ending)).collect()
    }
}
