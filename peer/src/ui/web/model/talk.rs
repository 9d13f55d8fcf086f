//! One channel as the page follows it.

use std::collections::VecDeque;

use common::name::{UserName, fold};

use crate::api::ChatMessage;
use crate::ui::web::kept::{KeptTalk, Mark};

/// How much of what came in is remembered for views that are about to show it.
const MAX_LINES: usize = 1024;
/// The same, in bytes of text.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// A channel as the page follows it.
#[derive(Debug, Default)]
pub(in crate::ui::web) struct Talk {
    /// What the next start is to know.
    pub kept: KeptTalk,
    /// Changes with what waits to be sent.
    pub outbox: u64,
    /// Changes with who is there.
    pub people: u64,
    /// How many views show it.
    views: usize,
    lines: VecDeque<Line>,
    bytes: usize,
    /// The number of the first of the lines; an earlier one is not remembered.
    first: u64,
}

/// Something to show behind the last line of a channel.
#[derive(Clone, Debug)]
pub(in crate::ui::web) enum Line {
    Message(Box<ChatMessage>),
    /// In words, from this program.
    Notice(String),
}

impl Line {
    /// The message, if it is one.
    pub fn as_message(&self) -> Option<&ChatMessage> {
        match self {
            Self::Message(message) => Some(message),
            Self::Notice(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.text.as_ref().map_or(0, String::len),
            Self::Notice(text) => text.len(),
        }
    }
}

impl Talk {
    pub fn new(kept: KeptTalk) -> Self {
        Self { kept, ..Self::default() }
    }

    /// At the start: entries that no page has counted are unread, unless no page was there ever.
    pub fn begin(&mut self, received: u64) {
        let Some(counted) = &mut self.kept.counted else { return };
        self.kept.unread += received.saturating_sub(counted.seq);
        counted.seq = received;
    }

    /// A message came in. Whether it is one that was not counted before.
    pub fn message(&mut self, message: &ChatMessage, is_own: bool, is_mention: bool) -> bool {
        let mark = Mark { epoch: message.epoch, seq: message.seq };
        self.push(Line::Message(Box::new(message.clone())));
        let is_old = |counted: &Mark| counted.epoch == mark.epoch && counted.seq >= mark.seq;
        if self.kept.counted.as_ref().is_some_and(is_old) {
            return false;
        }
        self.kept.counted = Some(mark);
        if is_own || message.erases.is_some() {
            return true;
        }
        self.kept.unread += 1;
        self.kept.mentions += u64::from(is_mention);
        true
    }

    /// The user has read so far. Whether that changes anything.
    pub fn read(&mut self, upto: Mark) -> bool {
        let goes_back = |read: &Mark| read.epoch == upto.epoch && read.seq >= upto.seq;
        if self.kept.read.as_ref().is_some_and(goes_back) && self.kept.unread == 0 {
            return false;
        }
        let beyond = self.kept.counted.filter(|counted| counted.epoch == upto.epoch);
        let left = beyond.map_or(0, |counted| counted.seq.saturating_sub(upto.seq));
        self.kept.unread = self.kept.unread.min(left);
        self.kept.mentions = self.kept.mentions.min(left);
        self.kept.read = Some(upto);
        if left == 0 {
            self.kept.counted = Some(upto);
        }
        true
    }

    /// A view shows this channel from now on; gives the number of the first line that it is to be shown.
    pub fn watch(&mut self) -> u64 {
        self.views += 1;
        self.next()
    }

    /// A view is gone.
    pub fn unwatch(&mut self) {
        self.views = self.views.saturating_sub(1);
        if self.views == 0 {
            self.make_stale();
        }
    }

    /// The lines from a number on; `None` when they are not all remembered.
    pub fn lines_from(&self, number: u64) -> Option<impl Iterator<Item = &Line>> {
        let skip = usize::try_from(number.checked_sub(self.first)?).ok()?;
        Some(self.lines.iter().skip(skip))
    }

    /// The number of the line to come.
    pub fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Puts words in the channel that are nobody's message.
    pub fn notice(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.push(Line::Notice(text));
        }
    }

    /// What views have shown so far is not right any more: they have to begin anew.
    pub fn make_stale(&mut self) {
        // One number that nobody is given makes every view's one too small.
        self.first = self.next() + 1;
        self.lines.clear();
        self.bytes = 0;
    }

    fn push(&mut self, line: Line) {
        if self.views == 0 {
            return;
        }
        self.bytes += line.bytes();
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_LINE_BYTES {
            let Some(line) = self.lines.pop_front() else { return };
            self.bytes -= line.bytes();
            self.first += 1;
        }
    }
}

/// Whether a text names somebody: as a word of its own, with or without an `@`.
pub(in crate::ui::web) fn is_mention(text: &str, name: &UserName) -> bool {
    let (text, name) = (fold(text), name.folded());
    text.match_indices(name).any(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|after| after.chars().next());
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
        !is_part(before) && !is_part(after)
    })
}
