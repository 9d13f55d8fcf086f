//! Files, to and from somebody or in a channel: what is under way, what is over, and how to send one.

use common::proto::file::FileOutcome;
use common::proto::status::Refusal;
use common::text::one_line;
use maud::{Markup, html};

use super::field::NameField;
use super::words::{channel_path, count, name, private_path, why};
use crate::api::{FileDirection, FileNote, FileRow, FileState, FileTo};
use crate::files::progress::percent;
use crate::ui::render::{bytes, span};

/// So many of those that are over are shown.
const SHOWN_OVER: usize = 50;

/// What is offered, and how far it is.
pub(in crate::ui::web) struct Shelf {
    /// What somebody can still do something about.
    pub open: Markup,
    /// What is over.
    pub over: Markup,
}

/// The files of a conversation or a channel.
pub(in crate::ui::web) fn shelf(place: &FileTo, rows: &[FileRow]) -> Shelf {
    let is_over =
        |row: &&FileRow| matches!(row.state, FileState::Done | FileState::Rejected | FileState::Cancelled);
    let (over, open): (Vec<_>, Vec<_>) = rows.iter().partition(is_over);
    let shown = over.iter().rev().take(SHOWN_OVER);
    Shelf {
        open: html! { @for row in &open { (file(place, row)) } },
        over: html! {
            @if !over.is_empty() {
                summary { (count(over.len() as u64, "file that is over", "files that are over")) }
                ul { @for row in shown { (file(place, row)) } }
            }
        },
    }
}

/// The place of the files in a page.
pub(super) fn shelf_frame(shelf: &Shelf) -> Markup {
    html! {
        div.files role="region" aria-label="Files" {
            ul #uploads {}
            ul #files { (shelf.open) }
            details #files-over { (shelf.over) }
        }
    }
}

/// Those of the two parts that are to be put into an open page.
pub(in crate::ui::web) fn open_swap(part: &str) -> Markup {
    html! { ul #files hx-swap-oob="innerHTML" { (maud::PreEscaped(part)) } }
}

/// The same for what is over.
pub(in crate::ui::web) fn over_swap(part: &str) -> Markup {
    html! { details #files-over hx-swap-oob="innerHTML" { (maud::PreEscaped(part)) } }
}

fn file(place: &FileTo, row: &FileRow) -> Markup {
    let is_moving = matches!(row.state, FileState::Waiting | FileState::Running | FileState::Paused);
    let path =
        row.path.as_deref().filter(|_| row.direction == FileDirection::In && row.state == FileState::Done);
    html! {
        li.file.failed[row.state == FileState::Failed] data-state=(state_word(row.state)) {
            div.what {
                b { bdi { (one_line(&row.name)) } }
                span.quiet {
                    (way(row)) " · " (bytes(row.size))
                    @if let Some(files) = row.files { " · " (count(files, "file", "files")) }
                    " · " (standing(row))
                }
                @if is_moving { progress max=(row.size.max(1)) value=(row.have) aria-label=(one_line(&row.name)) {} }
                @if let Some(reason) = &row.reason { p.why { (why(reason)) } }
                @if let Some(path) = path { p.path { "It is here: " code { (one_line(path)) } } }
            }
            (ways(place, row))
        }
    }
}

fn way(row: &FileRow) -> Markup {
    match (row.direction, &row.user, &row.channel) {
        (FileDirection::Out, ..) => html! { "from you" },
        (FileDirection::In, Some(user), Some(_)) => html! { "from " (name(user)) },
        (FileDirection::In, ..) => html! { "for you" },
    }
}

/// The page on which it is offered.
fn page_path(place: &FileTo) -> String {
    match place {
        FileTo::User(user) => private_path(user),
        FileTo::Channel(channel) => channel_path(channel),
        FileTo::Named(_) => String::new(),
    }
}

fn state_word(state: FileState) -> &'static str {
    match state {
        FileState::Preparing => "preparing",
        FileState::Offered => "offered",
        FileState::Waiting => "waiting",
        FileState::Running => "running",
        FileState::Paused => "paused",
        FileState::Done => "done",
        FileState::Rejected => "rejected",
        FileState::Cancelled => "cancelled",
        FileState::Failed => "failed",
    }
}

fn standing(row: &FileRow) -> String {
    let percent = percent(row.have, row.size);
    match (row.state, row.direction) {
        (FileState::Preparing, _) => "is looked through".to_owned(),
        (FileState::Offered, FileDirection::In) => "do you want it?".to_owned(),
        (FileState::Offered, FileDirection::Out) => "offered".to_owned(),
        (FileState::Waiting, _) => format!("waits, {percent} %"),
        (FileState::Running, _) => {
            let left =
                row.seconds_left.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
            format!("{percent} %, {}/s{left}", bytes(row.rate.unwrap_or_default()))
        }
        (FileState::Paused, _) => format!("paused, {percent} %"),
        (FileState::Failed, _) => format!("stopped, {percent} %"),
        (state, _) => state_word(state).to_owned(),
    }
}

fn ways(place: &FileTo, row: &FileRow) -> Markup {
    let ways: &[(&str, &str)] = match (row.state, row.direction) {
        (FileState::Offered, FileDirection::In) => &[("accept", "Accept"), ("reject", "Reject")],
        (FileState::Preparing | FileState::Offered, _) => &[("cancel", "Cancel")],
        (FileState::Waiting | FileState::Running, _) => &[("pause", "Pause"), ("cancel", "Cancel")],
        (FileState::Paused, _) => &[("resume", "Go on"), ("cancel", "Cancel")],
        (FileState::Failed, _) => &[("resume", "Try again"), ("cancel", "Cancel")],
        (FileState::Done | FileState::Rejected | FileState::Cancelled, _) => &[],
    };
    let path = page_path(place);
    html! {
        @if !ways.is_empty() {
            div.ways {
                @for (verb, word) in ways {
                    button #{ (verb) "-" (row.id) } .main[*verb == "accept"] type="button" hx-post=(format!("{path}/files/{}/{verb}", row.id)) hx-swap="none" { (word) }
                }
            }
        }
    }
}

/// The window in which files are chosen.
pub(super) fn send_dialog(to: &FileTo) -> Markup {
    html! {
        dialog #send-file aria-labelledby="send-title" {
            @match to {
                FileTo::User(user) => {
                    h2 #send-title { "Send a file to @" (name(user.as_str())) }
                    p.quiet { "They are asked first, and it goes straight to their machine. You can also drop files onto the conversation." }
                }
                FileTo::Channel(channel) => {
                    h2 #send-title { "Offer a file in #" (name(channel.as_str())) }
                    p.quiet { "Everybody in the channel sees the offer, and who wants it fetches it straight from this machine. You can also drop files onto the messages." }
                }
                FileTo::Named(_) => {}
            }
            div.field {
                label for="pick" { "Files of this computer" }
                input #pick type="file" multiple;
            }
            (path_form(to, "", None))
            form method="dialog" { button { "Close" } }
        }
    }
}

/// Where a path is written; with what was typed, and why it was not taken.
pub(in crate::ui::web) fn path_form(to: &FileTo, typed: &str, refusal: Option<&Refusal>) -> Markup {
    let field = NameField {
        id: "send-path",
        sent_as: "path",
        label: "Or the path of a file or folder where Natter runs",
        button: "Send",
        typed,
        refusal,
    };
    html! {
        form #path-form hx-post=(format!("{}/path", page_path(to))) hx-swap="outerHTML" { div { (field.show()) } }
    }
}

/// What a message says of a file.
pub(super) fn note(note: &FileNote) -> String {
    let name = one_line(&note.name);
    match note.outcome {
        None => {
            let size = note.size.map(|size| format!(" ({})", bytes(size))).unwrap_or_default();
            format!("offers {name}{size}")
        }
        Some(FileOutcome::Done) => format!("has received {name}"),
        Some(FileOutcome::Rejected) => format!("does not want {name}"),
        Some(FileOutcome::Cancelled | FileOutcome::Other) => format!("has cancelled {name}"),
    }
}
