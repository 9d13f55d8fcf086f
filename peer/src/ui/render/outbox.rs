//! What waits to be sent, and what becomes of it.

use common::clock::Timestamp;
use common::id::MessageId;
use common::proto::status::Code;
use common::text::one_line;

use super::table::table;
use super::{Renderer, refused};
use crate::api::{OutboxChange, OutboxItem, OutboxList, OutgoingState, Retried, WishedChange};
use crate::client::short_id;
use crate::ui::parse::quoted;

/// How much of a text the table shows.
const SHOWN_TEXT: usize = 32;
/// How many messages a reason names that all have.
const SHOWN_IDS: usize = 3;

impl Renderer {
    pub(super) fn outbox(&self, list: &OutboxList, now: Timestamp) -> String {
        if list.messages.is_empty() {
            return self.notice("nothing waits to be sent");
        }
        let row = |item: &OutboxItem| {
            [
                short_id(item.id),
                format!("#{}", item.channel),
                self.time(item.sent_at, now),
                standing(item),
                shortened(&item.text),
            ]
        };
        let rows = list.messages.iter().map(row).collect::<Vec<_>>();
        let mut lines = vec![table(self.style, ["id", "channel", "written", "state", "text"], &rows)];
        lines.extend(reasons(&list.messages).iter().map(|reason| self.notice(reason)));
        if list.total > list.messages.len() {
            lines.push(self.notice(&format!("and {} more", list.total - list.messages.len())));
        }
        if let Some(item) = list.messages.iter().find(|item| item.state == OutgoingState::Refused) {
            let channel = quoted(item.channel.as_str());
            lines.push(self.notice(&format!("all of a channel again: outbox retry {channel}")));
            lines.push(self.notice(&format!("one of them: {}", ways_out(item.id))));
        }
        lines.join("\n")
    }

    /// What a change is at first; what is done is told by its event.
    pub(super) fn changed(&self, change: &OutboxChange) -> Option<String> {
        let done = match change.wish {
            WishedChange::Cancel => "cancelled",
            WishedChange::Edit => "edited",
        };
        let id = short_id(change.id);
        let text = format!(
            "it is not known yet whether {id} was stored; if it was not, it is {done} as soon as #{} says so",
            change.channel
        );
        (!change.done).then(|| self.notice(&text))
    }

    pub(super) fn retried(&self, retried: &Retried) -> String {
        let Retried { channel, messages, reason } = retried;
        let what = match messages {
            0 => format!("#{channel}: nothing was refused; what waits is tried now"),
            1 => format!("#{channel}: 1 message goes out again"),
            more => format!("#{channel}: {more} messages go out again"),
        };
        let why = reason.as_ref().map(|reason| format!(" ({})", one_line(reason))).unwrap_or_default();
        self.notice(&format!("{what}{why}"))
    }

    /// A message of this peer that its user has to know something about.
    pub(super) fn outgoing(
        &self,
        id: MessageId,
        channel: &str,
        state: OutgoingState,
        why: (Option<&Code>, Option<&str>),
        becomes: Option<MessageId>,
    ) -> Option<String> {
        let short = short_id(id);
        match state {
            OutgoingState::Refused => {
                let why = refused(why.0, why.1);
                let ways = ways_out(id);
                Some(
                    self.style
                        .red(&format!("* the message {short} to #{channel} was refused: {why}; {ways}")),
                )
            }
            OutgoingState::Queued => {
                let reason = one_line(why.1?);
                Some(self.notice(&format!("the message {short} to #{channel} is kept: {reason}")))
            }
            OutgoingState::Cancelled => {
                Some(self.notice(&format!("the message {short} to #{channel} is cancelled")))
            }
            OutgoingState::Edited => {
                let new = becomes.map(short_id).unwrap_or_default();
                Some(self.notice(&format!("the message {short} to #{channel} is edited; it is {new} now")))
            }
            OutgoingState::Sending | OutgoingState::Stored => None,
        }
    }

    pub(super) fn moved_on(
        &self,
        channel: &str,
        (messages, between): (usize, u64),
        oldest: Timestamp,
        now: Timestamp,
    ) -> String {
        let came =
            if between == 1 { "1 message came".to_owned() } else { format!("{between} messages came") };
        let yours = match messages {
            1 => format!("your message of {} goes", self.time(oldest, now)),
            more => format!("{more} messages of yours, the oldest of {}, go", self.time(oldest, now)),
        };
        self.notice(&format!("#{channel}: {came} in before {yours} out now"))
    }
}

/// What to type about a refused message.
fn ways_out(id: MessageId) -> String {
    let id = short_id(id);
    format!("type: outbox retry {id}, outbox edit {id} text…, or outbox cancel {id}")
}

fn standing(item: &OutboxItem) -> String {
    let state = match item.state {
        OutgoingState::Sending => "sending",
        OutgoingState::Refused => "refused",
        _ => "queued",
    };
    let wish = match item.wish {
        Some(WishedChange::Cancel) => ", to be cancelled",
        Some(WishedChange::Edit) => ", to be edited",
        None => "",
    };
    format!("{state}{wish}")
}

fn why(item: &OutboxItem) -> Option<String> {
    match (&item.code, &item.reason) {
        (None, None) => None,
        (None, Some(reason)) => Some(one_line(reason).into_owned()),
        (code, reason) => Some(refused(code.as_ref(), reason.as_deref())),
    }
}

/// Why messages stand where they stand: each reason once, as many often have the same.
fn reasons(messages: &[OutboxItem]) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for item in messages {
        let Some(why) = why(item) else { continue };
        let id = short_id(item.id);
        match found.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ids)) => ids.push(id),
            None => found.push((why, vec![id])),
        }
    }
    let line = |(why, ids): (String, Vec<String>)| match ids.len().checked_sub(SHOWN_IDS) {
        None | Some(0) => format!("{}: {why}", ids.join(", ")),
        Some(more) => format!("{} and {more} more: {why}", ids[..SHOWN_IDS].join(", ")),
    };
    found.into_iter().map(line).collect()
}

fn shortened(text: &str) -> String {
    let line = one_line(text);
    if line.chars().count() <= SHOWN_TEXT {
        return line.into_owned();
    }
    line.chars().take(SHOWN_TEXT).chain(['…']).collect()
}
