//! Messages as they stand below one another: by day, and by author.

use std::borrow::Borrow;
use std::time::Duration;

use common::clock::Timestamp;
use common::entry::TEXT;
use common::id::{Epoch, Subject};
use common::proto::status::Refusal;
use common::text::one_line;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::files::note;
use super::text::message_text;
use super::words::{channel_path, clock, count, day, day_and_time, person, picture, same_day, why};
use crate::api::{ChatMessage, Erased, HistoryOf};
use crate::ui::web::kept::Mark;
use crate::ui::web::model::Line;

/// Messages of one author that follow each other so closely stand together.
const TOGETHER: Duration = Duration::from_secs(5 * 60);
/// A message that took longer from its author to the host says when it was written.
const LATE: Duration = Duration::from_secs(5 * 60);

/// What is known when lines are drawn.
pub(in crate::ui::web) struct Lines<'a> {
    pub zone: &'a TimeZone,
    pub now: Timestamp,
    pub is_own: &'a dyn Fn(Subject) -> bool,
    pub names_me: &'a dyn Fn(&str) -> bool,
    /// The last entry that was read, when there are newer ones.
    pub read: Option<Mark>,
    /// The one that was looked for.
    pub found: Option<Mark>,
}

/// What stands before the next line.
#[derive(Debug, Default)]
pub(in crate::ui::web) struct Chain {
    last: Option<Last>,
    said_new: bool,
}

#[derive(Debug)]
struct Last {
    subject: Subject,
    from: String,
    at: Timestamp,
    mark: Mark,
    /// Whether a line that is nobody's message came after it.
    is_broken: bool,
}

impl Chain {
    /// The last entry of the chain.
    pub fn end(&self) -> Option<Mark> {
        self.last.as_ref().map(|last| last.mark)
    }

    /// Goes on behind an entry of which nothing else is known.
    pub fn behind(message: &ChatMessage) -> Self {
        let mut chain = Self { last: None, said_new: true };
        chain.add(message);
        chain
    }

    fn add(&mut self, message: &ChatMessage) {
        self.last = Some(Last {
            subject: message.subject,
            from: message.from.clone(),
            at: message.stored_at,
            mark: Mark::of(message),
            is_broken: false,
        });
    }

    fn begins_day(&self, message: &ChatMessage, zone: &TimeZone) -> bool {
        self.last.as_ref().is_none_or(|last| !same_day(last.at, message.stored_at, zone))
    }

    fn goes_on(&self, message: &ChatMessage) -> bool {
        self.last.as_ref().is_some_and(|last| {
            !last.is_broken
                && last.subject == message.subject
                && last.from == message.from
                && message.stored_at.since(last.at) < TOGETHER
        })
    }

    fn missing(&self, message: &ChatMessage) -> Option<u64> {
        let last = self.last.as_ref().filter(|last| last.mark.epoch == message.epoch)?;
        message.seq.checked_sub(last.mark.seq + 1).filter(|missing| *missing > 0)
    }

    /// Whether the line of what is new belongs before this message.
    fn begins_new(&mut self, message: &ChatMessage, read: Option<Mark>) -> bool {
        let is_new = |read: Mark| read.epoch != message.epoch || read.seq < message.seq;
        let begins = !self.said_new && read.is_some_and(is_new);
        self.said_new |= begins;
        begins
    }
}

impl Lines<'_> {
    /// The same, with an entry that stands out.
    pub fn pointing_at(&self, found: Mark) -> Self {
        Self { found: Some(found), ..*self }
    }

    /// A line of a channel, behind those of the chain.
    fn line(&self, chain: &mut Chain, line: &Line) -> Markup {
        match line {
            Line::Message(message) => self.message(chain, message),
            Line::Notice(text) => {
                if let Some(last) = &mut chain.last {
                    last.is_broken = true;
                }
                html! { li.notice { p dir="auto" { (one_line(text)) } } }
            }
        }
    }

    fn message(&self, chain: &mut Chain, message: &ChatMessage) -> Markup {
        let begins_day = chain.begins_day(message, self.zone);
        let missing = chain.missing(message);
        let begins_new = chain.begins_new(message, self.read);
        let is_head = begins_day || begins_new || missing.is_some() || !chain.goes_on(message);
        chain.add(message);
        html! {
            @if let Some(missing) = missing {
                li.notice.gap { p { (count(missing, "message that was missed is", "messages that were missed are")) " not here yet." } }
            }
            @if begins_day {
                li.day role="separator" { span { (day(message.stored_at, self.now, self.zone)) } }
            }
            @if begins_new {
                li #new-line .new role="separator" { span { "New" } }
            }
            (self.entry(message, is_head))
        }
    }

    fn entry(&self, message: &ChatMessage, is_head: bool) -> Markup {
        let is_own = (self.is_own)(message.subject);
        let mark = Mark::of(message);
        let is_found = self.found == Some(mark);
        let is_to_me = !is_own && message.text.as_deref().is_some_and(|text| (self.names_me)(text));
        html! {
            li #(id_of(message.epoch, message.seq)) .message.head[is_head].own[is_own].to-me[is_to_me].found[is_found]
                data-at=(mark) tabindex=[is_found.then_some("-1")] {
                @if is_head {
                    (picture(&message.from, message.subject))
                    p.who {
                        b { (person(&message.from, message.author_kind)) }
                        @if let Some(from) = &message.imported {
                            span.state title="Imported: nobody has proven who wrote it" { " (" (from) ")" }
                        }
                        " " (self.time(message, is_own))
                    }
                } @else {
                    p.who.later { (self.time(message, is_own)) }
                }
                (body(message, self.zone))
                // Whether its user may press it is for the page's style: roles change, and these rows stay.
                @if message.text.is_some() || message.file.is_some() {
                    button.icon.menu type="button" data-menu aria-haspopup="true" aria-label="What can be done with it" { "⋯" }
                }
            }
        }
    }

    fn time(&self, message: &ChatMessage, is_own: bool) -> Markup {
        let shown = clock(message.stored_at, self.zone);
        let stored = format!("Stored on the host: {}", day_and_time(message.stored_at, self.zone));
        let is_late = message.stored_at.since(message.sent_at) > LATE;
        html! {
            time datetime=(crate::api::format_utc(message.stored_at)) title=(stored) { (shown) }
            @if is_own { span.state title="On the host's disk" aria-label="stored" { " ✓" } }
            @if is_late {
                span.late title="It was kept until the way to the channel was free" {
                    " written " (self.earlier(message))
                }
            }
        }
    }

    fn earlier(&self, message: &ChatMessage) -> String {
        let at = clock(message.sent_at, self.zone);
        if same_day(message.sent_at, message.stored_at, self.zone) {
            at
        } else {
            format!("{}, {at}", day(message.sent_at, self.now, self.zone))
        }
    }
}

fn body(message: &ChatMessage, zone: &TimeZone) -> Markup {
    html! {
        div.text {
            @match (&message.text, &message.erased, &message.erases) {
                (Some(text), ..) if message.kind == TEXT => (message_text(text)),
                (_, Some(erased), _) => (gone(erased, zone)),
                (_, _, Some(erases)) => p.quiet { "erased message " (erases.seq) (reason(erases.why.as_deref())) },
                (None, ..) if let Some(file) = &message.file => p.quiet { (note(file)) },
                _ => p.quiet { "(" (one_line(&message.kind)) ": a newer version of this program shows it)" },
            }
        }
    }
}

/// What stands in place of a text that is gone.
fn gone(erased: &Erased, zone: &TimeZone) -> Markup {
    html! {
        p.quiet.erased {
            "(erased"
            @if let Some(by) = &erased.by { " by " (one_line(by)) }
            @if let Some(at) = erased.at { ", " (day_and_time(at, zone)) }
            (reason(erased.why.as_deref())) ")"
        }
    }
}

fn reason(why: Option<&str>) -> Markup {
    html! { @if let Some(why) = why { ": " (one_line(why)) } }
}

fn id_of(epoch: Epoch, seq: u64) -> String {
    format!("m-{}-{seq}", short(epoch))
}

/// What these messages erase, in the place of each; where it is not shown nothing happens.
pub(in crate::ui::web) fn erased_swap(
    drawn: &Lines<'_>,
    messages: impl Iterator<Item = impl Borrow<ChatMessage>>,
) -> Markup {
    html! {
        @for message in messages {
            @let message = message.borrow();
            @if let Some(erases) = &message.erases {
                @let place = format!("outerHTML:#{} .text", id_of(message.epoch, erases.seq));
                div.text hx-swap-oob=(place) { (gone(&Erased::by(message), drawn.zone)) }
            }
        }
    }
}

fn short(epoch: Epoch) -> String {
    epoch.to_string().chars().take(8).collect()
}

/// The messages of a page of history, in order; the chain then ends with the last of them.
pub(in crate::ui::web) fn rows(lines: &Lines<'_>, chain: &mut Chain, messages: &[ChatMessage]) -> Markup {
    html! { @for message in messages { (lines.message(chain, message)) } }
}

/// Lines for a view that is open.
pub(in crate::ui::web) fn lines(drawn: &Lines<'_>, chain: &mut Chain, lines: &[Line]) -> Markup {
    html! { @for line in lines { (drawn.line(chain, line)) } }
}

/// The same, in their place below the others.
pub(in crate::ui::web) fn log_swap(rows: Markup) -> Markup {
    html! { ol hx-swap-oob="beforeend:#log" { (rows) } }
}

/// What stands below a page of history that does not reach the end of the log: the way on.
pub(in crate::ui::web) fn newer(history: &HistoryOf) -> Markup {
    let last = history.messages.last().filter(|last| last.seq < history.head.seq);
    html! { @if let Some(last) = last { (newer_link(&channel_path(&history.channel), &Mark::of(last).to_string())) } }
}

/// Loads what comes behind the last message of a view, as soon as somebody scrolls there.
pub(super) fn newer_link(path: &str, after: &str) -> Markup {
    html! {
        li.newer hx-get=(format!("{path}/newer?after={after}")) hx-trigger="intersect once" hx-swap="outerHTML" {
            span.quiet { "Loading newer messages…" }
        }
    }
}

/// Why what comes behind the last message of a view cannot be had now.
pub(in crate::ui::web) fn no_newer(path: &str, after: &str, refusal: &Refusal) -> Markup {
    html! {
        li.notice.newer {
            p { "Newer messages cannot be read now: " (why(&refusal.reason)) }
            button type="button" hx-get=(format!("{path}/newer?after={after}")) hx-target="closest li" hx-swap="outerHTML" { "Try again" }
        }
    }
}

/// Why the message is not shown at which a view was to be opened.
pub(in crate::ui::web) fn not_there(refusal: &Refusal) -> Markup {
    html! { li.notice role="alert" { p { "That message cannot be shown: " (why(&refusal.reason)) ". These are the newest ones." } } }
}

/// What stands above a page of history: the way to older ones, or that there are none, or why they cannot be had.
pub(in crate::ui::web) fn older(history: &HistoryOf) -> Markup {
    let first = history.messages.first().map(|message| message.seq);
    let path = channel_path(&history.channel);
    html! {
        @if let Some(missing) = &history.missing {
            @let before = first.unwrap_or(missing.upto + 1);
            li.notice.older {
                p { "Older messages are not kept here: " (one_line(&missing.reason)) }
                button type="button" hx-get=(format!("{path}/older?before={before}")) hx-target="closest li" hx-swap="outerHTML" { "Try again" }
            }
        } @else if let Some(first) = first.filter(|first| *first > 1) {
            li.older hx-get=(format!("{path}/older?before={first}")) hx-trigger="intersect once" hx-swap="outerHTML" {
                span.quiet { "Loading older messages…" }
            }
        } @else {
            li.begin { p { "This is the beginning of " b { "#" (super::words::name(history.channel.as_str())) } "." } }
        }
    }
}
