//! What everybody has seen, held against what was promised. Pure: it knows no process, no file and no clock.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A text that was typed: whose, and the how-manyth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    pub sender: usize,
    pub number: u64,
}

/// What the sender was told when it had typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is in the outbox: it has to arrive, once.
    Queued,
    /// Nothing, since the peer was killed: it may arrive, once.
    Nothing,
    /// It was not taken: it must not arrive.
    Refused,
}

/// A text and what was said of it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub text: Text,
    pub told: Told,
}

/// A sender was told that its message is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    pub seq: u64,
}

/// An entry of the log as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    pub id: String,
    pub text: Text,
}

/// How a life of a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Killed,
    Orderly,
}

/// What a peer has shown from a start to the end after it.
#[derive(Clone, Debug)]
pub struct Life {
    pub shown: Vec<Entry>,
    pub end: End,
}

/// What one peer has seen.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub lives: Vec<Life>,
    /// The whole history, read when everything was over.
    pub log: Vec<Entry>,
}

/// All of it. The first view is that of the host.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub sent: Vec<Sent>,
    pub stored: Vec<Stored>,
    pub views: Vec<View>,
}

/// A promise that was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A message that was said to be queued is nowhere.
    Lost(Text),
    /// A message is not at the number at which it was said to be stored.
    StoredLost { seq: u64 },
    /// A text, or an id, has two places.
    Twice { seq: u64 },
    /// A sender's message stands behind one that it wrote later.
    SenderOrder(Text),
    /// The history of a peer has a hole before this number, or does not begin with 1.
    Gap { view: usize, seq: u64 },
    /// A peer has another entry at this number than the host.
    Differs { view: usize, seq: u64 },
    /// A peer has never shown the entry with this number, or later ones first.
    NotShown { view: usize, seq: u64 },
    /// A peer has shown an entry again that it need not.
    ShownAgain { view: usize, seq: u64 },
    /// An entry that nobody has sent.
    Invented { seq: u64 },
}

/// Everything that is wrong with a history.
pub fn check(history: &History) -> Vec<Violation> {
    let Some(host) = history.views.first() else { return Vec::new() };
    let log: BTreeMap<u64, &Entry> = host.log.iter().map(|entry| (entry.seq, entry)).collect();
    let mut found = Vec::new();
    check_sent(history, &host.log, &mut found);
    check_stored(history, &log, &mut found);
    check_order(&host.log, &mut found);
    for (at, view) in history.views.iter().enumerate() {
        check_log(at, view, &log, &mut found);
        check_shown(at, view, &log, &mut found);
    }
    found
}

fn check_sent(history: &History, log: &[Entry], found: &mut Vec<Violation>) {
    let told: HashMap<Text, Told> = history.sent.iter().map(|sent| (sent.text, sent.told)).collect();
    let (mut texts, mut ids) = (HashSet::new(), HashSet::new());
    for entry in log {
        if matches!(told.get(&entry.text), None | Some(Told::Refused)) {
            found.push(Violation::Invented { seq: entry.seq });
        }
        let is_new = texts.insert(entry.text) & ids.insert(&entry.id);
        if !is_new {
            found.push(Violation::Twice { seq: entry.seq });
        }
    }
    let queued = history.sent.iter().filter(|sent| sent.told == Told::Queued);
    found.extend(queued.filter(|sent| !texts.contains(&sent.text)).map(|sent| Violation::Lost(sent.text)));
}

fn check_stored(history: &History, log: &BTreeMap<u64, &Entry>, found: &mut Vec<Violation>) {
    for Stored { id, seq } in &history.stored {
        if log.get(seq).is_none_or(|entry| entry.id != *id) {
            found.push(Violation::StoredLost { seq: *seq });
        }
    }
}

fn check_order(log: &[Entry], found: &mut Vec<Violation>) {
    let mut newest: HashMap<usize, u64> = HashMap::new();
    for entry in log {
        let newest = newest.entry(entry.text.sender).or_insert(0);
        if entry.text.number < *newest {
            found.push(Violation::SenderOrder(entry.text));
        }
        *newest = entry.text.number.max(*newest);
    }
}

fn check_log(at: usize, view: &View, log: &BTreeMap<u64, &Entry>, found: &mut Vec<Violation>) {
    let mut expected = 1;
    for entry in &view.log {
        if entry.seq != expected {
            found.push(Violation::Gap { view: at, seq: entry.seq });
        }
        expected = entry.seq + 1;
        if log.get(&entry.seq).is_none_or(|there| *there != entry) {
            found.push(Violation::Differs { view: at, seq: entry.seq });
        }
    }
    let head = log.last_key_value().map_or(0, |(seq, _)| *seq);
    if expected <= head {
        found.push(Violation::Gap { view: at, seq: head + 1 });
    }
}

fn check_shown(at: usize, view: &View, log: &BTreeMap<u64, &Entry>, found: &mut Vec<Violation>) {
    // The newest that was shown in any life, and whether what comes next may go back behind it.
    let (mut newest, mut may_repeat) = (0, false);
    for life in &view.lives {
        let mut last = None;
        for entry in &life.shown {
            let next = last.unwrap_or(newest) + 1;
            if entry.seq > next {
                found.push(Violation::NotShown { view: at, seq: next });
            } else if entry.seq < next && !(last.is_none() && may_repeat) {
                found.push(Violation::ShownAgain { view: at, seq: entry.seq });
            }
            if log.get(&entry.seq).is_none_or(|there| *there != entry) {
                found.push(Violation::Differs { view: at, seq: entry.seq });
            }
            last = Some(entry.seq);
            newest = entry.seq.max(newest);
        }
        // A life that showed nothing changes nothing: what the one before it left open is still so.
        if !life.shown.is_empty() {
            may_repeat = life.end == End::Killed;
        }
    }
    let head = log.last_key_value().map_or(0, |(seq, _)| *seq);
    if newest < head {
        found.push(Violation::NotShown { view: at, seq: newest + 1 });
    }
}

/// How many entries were shown more than once, which a crash allows.
pub fn repeats(history: &History) -> usize {
    let shown = |view: &View| view.lives.iter().map(|life| life.shown.len()).sum::<usize>();
    history.views.iter().map(|view| shown(view).saturating_sub(view.log.len())).sum()
}

#[cfg(test)]
mod tests;
