//! Files that are offered, and how far they are.
//!
//! How far one is, is told in lines, a few for each file, and not in a bar that moves: what comes in is printed above the
//! line that is being typed, once, and a bar would have to be drawn over and over where others write.

use common::proto::file::FileOutcome;
use common::text::one_line;

use super::Renderer;
use super::table::table;
use crate::api::{FileDirection, FileList, FileNote, FileRow, FileState};
use crate::files::progress::percent;

/// How many digits of an id are shown; the end of it differs.
const SHOWN_DIGITS: usize = 6;
/// How long a name is shown at most.
const SHOWN_NAME: usize = 48;

impl Renderer {
    /// What is new of a file; `None` when it is not worth a line.
    pub(super) fn file(&self, row: &FileRow) -> Option<String> {
        let (name, id, with) = (shown_name(&row.name), short(row), with(row));
        let is_in = row.direction == FileDirection::In;
        let text = match row.state {
            FileState::Offered if is_in && row.channel.is_some() => {
                format!("to fetch {name} from {with}: files accept {id}")
            }
            // Said by the message of the conversation.
            // Nor is it worth a word that somebody goes who has all of it.
            FileState::Offered if row.have == 0 || row.have == row.size || is_in => return None,
            FileState::Offered => {
                format!("{name}: {with} is not connected any more, at {} %", self.percent(row))
            }
            FileState::Preparing | FileState::Rejected if !is_in => return None,
            FileState::Running if !row.is_step => return None,
            FileState::Running => {
                let way = if is_in { "from" } else { "to" };
                let rate = format!("{}/s", bytes(row.rate.unwrap_or_default()));
                let left = row.seconds_left.filter(|_| row.rate > Some(0));
                let left = left.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
                format!("{name} {way} {with}: {} %, {rate}{left}", self.percent(row))
            }
            FileState::Waiting => match &row.reason {
                Some(reason) => format!("{name} from {with} waits: {}", one_line(reason)),
                None => format!("{name} is fetched from {with}; how far it is: files"),
            },
            FileState::Paused => format!("{name} is paused; to go on: files resume {id}"),
            FileState::Done if is_in => {
                let path = row.path.as_deref().map(one_line).unwrap_or_default();
                format!("{name} from {with} is there: {path}")
            }
            FileState::Cancelled => format!("{name} is cancelled"),
            FileState::Failed => {
                let reason = row.reason.as_deref().map(one_line).unwrap_or_default();
                let text = format!("! {name}: {reason}; to try again: files resume {id}");
                return Some(self.style.red(&text));
            }
            FileState::Preparing | FileState::Rejected | FileState::Done => return None,
        };
        Some(self.notice(&text))
    }

    fn percent(&self, row: &FileRow) -> u64 {
        percent(row.have, row.size)
    }

    /// The answer to `sendfile` and `files`.
    pub(super) fn files(&self, list: &FileList) -> String {
        if list.files.is_empty() {
            return self.notice("no files are offered, either way");
        }
        let row = |row: &FileRow| {
            let way = if row.direction == FileDirection::In { "from" } else { "to" };
            let what = match row.files {
                Some(files) => format!("{} ({files} files)", shown_name(&row.name)),
                None => shown_name(&row.name),
            };
            [short(row), format!("{way} {}", with(row)), what, bytes(row.size), self.standing(row)]
        };
        let rows = list.files.iter().map(row).collect::<Vec<_>>();
        let mut lines = vec![table(self.style, ["id", "way", "file", "size", "state"], &rows)];
        let reasons = list.files.iter().filter_map(|row| Some((short(row), row.reason.as_deref()?)));
        lines.extend(reasons.map(|(id, reason)| self.notice(&format!("{id}: {}", one_line(reason)))));
        if let Some(row) = list
            .files
            .iter()
            .find(|row| row.direction == FileDirection::In && row.state == FileState::Offered)
        {
            let id = short(row);
            lines.push(self.notice(&format!("to fetch one: files accept {id}, or: files reject {id}")));
        }
        lines.join("\n")
    }

    fn standing(&self, row: &FileRow) -> String {
        let percent = self.percent(row);
        match row.state {
            FileState::Preparing => "is looked through".to_owned(),
            FileState::Offered => "offered".to_owned(),
            FileState::Waiting => format!("waits, {percent} %"),
            FileState::Running => {
                let left =
                    row.seconds_left.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
                format!("{percent} %, {}/s{left}", bytes(row.rate.unwrap_or_default()))
            }
            FileState::Paused => format!("paused, {percent} %"),
            FileState::Done => "done".to_owned(),
            FileState::Rejected => "rejected".to_owned(),
            FileState::Cancelled => "cancelled".to_owned(),
            FileState::Failed => format!("failed, {percent} %"),
        }
    }

    /// What a message of a conversation says of a file.
    pub(super) fn file_note(&self, note: &FileNote, mine: bool) -> String {
        let name = shown_name(&note.name);
        let id: String = note
            .id
            .to_string()
            .chars()
            .rev()
            .take(SHOWN_DIGITS)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        let text = match (note.outcome, note.size) {
            (None, size) => {
                let size = size.map(bytes).unwrap_or_default();
                let files = note.files.map(|files| format!(", {files} files")).unwrap_or_default();
                let ways = if mine {
                    String::new()
                } else {
                    format!("; to fetch it: files accept {id}, or: files reject {id}")
                };
                format!("offers {name} ({size}{files}){ways}")
            }
            (Some(FileOutcome::Done), _) => format!("has received {name}"),
            (Some(FileOutcome::Rejected), _) => format!("does not want {name}"),
            (Some(FileOutcome::Cancelled | FileOutcome::Other), _) => format!("has cancelled {name}"),
        };
        self.style.dim(&text)
    }
}

/// By whom, or to whom, and where.
fn with(row: &FileRow) -> String {
    match (&row.user, &row.channel) {
        (Some(user), Some(channel)) => format!("{} in #{channel}", one_line(user)),
        (Some(user), None) => format!("@{}", one_line(user)),
        (None, Some(channel)) => format!("#{channel}"),
        (None, None) => String::new(),
    }
}

fn short(row: &FileRow) -> String {
    let id = row.id.to_string();
    id.get(id.len().saturating_sub(SHOWN_DIGITS)..).unwrap_or_default().to_owned()
}

fn shown_name(name: &str) -> String {
    let name = one_line(name);
    if name.chars().count() <= SHOWN_NAME {
        return name.into_owned();
    }
    name.chars().take(SHOWN_NAME).chain(['…']).collect()
}

/// A number of bytes as people write it.
pub(in crate::ui) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut whole, mut tenths, mut unit) = (count, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        (whole, tenths) = (whole / 1000, whole % 1000 / 100);
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if unit == "B" || whole >= 100 { format!("{whole} {unit}") } else { format!("{whole}.{tenths} {unit}") }
}

/// A number of seconds as people say it.
pub(in crate::ui) fn span(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_250_000, "1.2 MB"),
            (123_456_789, "123 MB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
        assert_eq!([span(5), span(100), span(7200)], ["5 s", "2 min", "2 h"]);
    }
}
