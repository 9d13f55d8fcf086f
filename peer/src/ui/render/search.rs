//! What was found, as text for a terminal.

use common::clock::Timestamp;
use common::id::IdentityKind;
use common::text::one_line;

use super::Renderer;
use crate::api::{AnyMessage, Found, FoundMessage, Reindexing, Snippet};

impl Renderer {
    pub(super) fn found(&self, found: &Found, now: Timestamp) -> String {
        let Found { hits, total, older, missing } = found;
        let mut lines = Vec::new();
        for hit in hits {
            lines.extend(hit.before.iter().map(|message| self.any_message(message, now)));
            lines.push(self.hit(hit, now));
            lines.extend(hit.after.iter().map(|message| self.any_message(message, now)));
            if !hit.before.is_empty() || !hit.after.is_empty() {
                lines.push(self.style.dim("--"));
            }
        }
        lines.push(self.notice(&match (hits.len() as u64, *total) {
            (0, _) => "nothing was found".to_owned(),
            (1, 1) => "1 message".to_owned(),
            (shown, total) if shown < total => format!("{shown} of {total} messages, the newest first"),
            (_, total) => format!("{total} messages, the newest first"),
        }));
        if let Some(jump) = hits.iter().find_map(|hit| hit.jump.as_deref()) {
            lines.push(self.notice(&format!("to read on there: {}", one_line(jump))));
        }
        if let Some(older) = older {
            lines.push(self.notice(&format!("older ones: the same with --older {older}")));
        }
        if *missing > 0 {
            lines.push(
                self.notice(&format!("{missing} messages could not be looked through yet; try again soon")),
            );
        }
        lines.join("\n")
    }

    pub(super) fn reindexing(&self, state: Reindexing) -> String {
        self.notice(&format!("the index is being made anew, of {} messages", state.entries))
    }

    fn any_message(&self, message: &AnyMessage, now: Timestamp) -> String {
        match message {
            AnyMessage::Channel(message) => self.message(message, now),
            AnyMessage::Direct(message) => self.chat_message(message, now),
        }
    }

    fn hit(&self, hit: &FoundMessage, now: Timestamp) -> String {
        let (place, number, from, kind, imported, at) = match &hit.message {
            AnyMessage::Channel(message) => {
                let place = format!("#{}", message.channel);
                let imported = message.imported.as_deref();
                (place, message.seq, &message.from, message.author_kind, imported, message.sent_at)
            }
            AnyMessage::Direct(message) => {
                let place = format!("@{}", message.user);
                (place, message.clock, &message.from, message.author_kind, None, message.sent_at)
            }
        };
        let author = self.style.bold(&one_line(from));
        let kind = match (imported, kind) {
            (Some(from), _) => format!(" ({})", one_line(from)),
            (None, IdentityKind::Guest) => " (guest)".to_owned(),
            (None, IdentityKind::Account) => String::new(),
        };
        let old = if hit.jump.is_none() { " (of an older log)" } else { "" };
        let place = self.style.dim(&format!("{place} {number}{old}"));
        let time = self.style.dim(&self.time(at, now));
        format!("{time} {place} {author}{kind}: {}", self.marked(&hit.snippet))
    }

    /// A part of a message in one line, with what was looked for in bold.
    fn marked(&self, Snippet { text, marks }: &Snippet) -> String {
        let chars = text.chars().collect::<Vec<_>>();
        let piece = |from: usize, to: usize| {
            chars.get(from..to.max(from)).map(|piece| piece.iter().collect::<String>()).unwrap_or_default()
        };
        let (mut line, mut done) = (String::new(), 0);
        for (from, count) in marks {
            line.push_str(&one_line(&piece(done, *from)));
            line.push_str(&self.style.bold(&one_line(&piece(*from, from + count))));
            done = from + count;
        }
        line.push_str(&one_line(&piece(done, chars.len())));
        line
    }
}
