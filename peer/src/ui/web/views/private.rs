//! A private conversation.

use common::clock::Timestamp;
use common::entry::TEXT;
use common::name::UserName;
use common::text::one_line;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::channel::{composer, search_link};
use super::files::{Shelf, note, send_dialog, shelf_frame};
use super::lines::newer_link;
use super::text::message_text;
use super::words::{clock, day, day_and_time, name, person, picture, private_path, same_day};
use crate::api::{ContactRow, ContactState, Conversation, DeliveryState, DirectMessage, FileTo, LinkState};

/// What the page of a conversation shows.
pub(in crate::ui::web) struct PrivateView<'a> {
    pub contact: &'a ContactRow,
    /// The rows, with what stands above them.
    pub log: Markup,
    /// What is offered, either way.
    pub files: Shelf,
    /// Whether it is opened at its end, and not at a message.
    pub is_at_end: bool,
}

/// The page of a conversation.
pub(in crate::ui::web) fn private_page(view: &PrivateView<'_>) -> Markup {
    let user = &view.contact.user;
    html! {
        main #main .talk data-with=(user) data-path=(private_path(user)) {
            header.top {
                a.back href="/" aria-label="Back to the channels" { "‹" }
                h1 { "@" (name(user.as_str())) }
                div #standing { (standing(view.contact)) }
                (search_link(&format!("@{user}")))
                a.button href="/people" { "People" }
            }
            div #scroll .scroll tabindex="0" role="region" aria-label="Messages" {
                div.inner { ol #log role="log" aria-label="Messages" { (view.log) } }
            }
            button #jump type="button" hidden { span {} " ↓" }
            div.below { (shelf_frame(&view.files)) (composer(&format!("@{user}"), view.is_at_end)) }
            (send_dialog(&FileTo::User(user.clone())))
        }
    }
}

/// Why what is written does not arrive at once.
pub(in crate::ui::web) fn standing(contact: &ContactRow) -> Markup {
    let why = match (contact.state, contact.connection) {
        (ContactState::Contact, Some(LinkState::Up)) => return Markup::default(),
        (ContactState::Contact, _) => "away; what you write is kept and goes out by itself",
        (ContactState::Asks, _) => "asks to talk with you: see People",
        (ContactState::Asked, _) => "has not answered yet",
        (ContactState::Rejected, _) => "you have turned this down",
        (ContactState::Blocked, _) => "you let nothing of them through",
    };
    html! { span.chip role="status" { (why) } }
}

/// The same for a page that is open.
pub(in crate::ui::web) fn standing_swap(contact: &ContactRow) -> Markup {
    html! { div #standing hx-swap-oob="true" { (standing(contact)) } }
}

/// Messages behind one that the page shows already, if there is one; the one that was looked for stands out.
pub(in crate::ui::web) fn private_rows(
    messages: &[DirectMessage],
    before: Option<&DirectMessage>,
    found: Option<&str>,
    zone: &TimeZone,
) -> Markup {
    let now = Timestamp::now();
    let earlier = std::iter::once(before).chain(messages.iter().map(Some));
    html! {
        @for (message, earlier) in messages.iter().zip(earlier) {
            @if earlier.is_none_or(|earlier| !same_day(earlier.sent_at, message.sent_at, zone)) {
                li.day role="separator" { span { (day(message.sent_at, now, zone)) } }
            }
            (row(message, found, zone))
        }
    }
}

fn row(message: &DirectMessage, found: Option<&str>, zone: &TimeZone) -> Markup {
    let place = place(message);
    let is_found = found == Some(place.as_str());
    html! {
        li.message.head.own[message.mine].found[is_found] data-at=(place) tabindex=[is_found.then_some("-1")] {
            (picture(&message.from, message.subject))
            p.who {
                b { (person(&message.from, message.author_kind)) } " "
                time title=(day_and_time(message.sent_at, zone)) { (clock(message.sent_at, zone)) }
                @if message.mine { " " (state(message, false)) }
                @if message.late { span.late { " came late" } }
            }
            div.text {
                @match &message.text {
                    Some(text) => (message_text(text)),
                    None if message.kind == TEXT => p.quiet { "(unreadable)" },
                    None if message.file.is_some() => p.quiet { (message.file.as_ref().map(note).unwrap_or_default()) },
                    None => p.quiet { "(" (one_line(&message.kind)) ": a newer version of this program shows it)" },
                }
            }
        }
    }
}

/// What a page names a message by.
pub(in crate::ui::web) fn place(message: &DirectMessage) -> String {
    format!("{}:{}:{}", message.clock, message.key, message.number)
}

fn state(message: &DirectMessage, is_swap: bool) -> Markup {
    let (sign, word) = match message.state {
        Some(DeliveryState::Read) => ("✓✓", "read"),
        Some(DeliveryState::Delivered) => ("✓", "delivered"),
        _ => ("◷", "queued"),
    };
    html! { span #{ "s-" (message.id) } .state role="img" title=(word) aria-label=(word) hx-swap-oob=[is_swap.then_some("true")] { (sign) } }
}

/// How far a message has come, for a page that shows it.
pub(in crate::ui::web) fn state_swap(message: &DirectMessage) -> Markup {
    state(message, true)
}

/// The way on below a page of a conversation.
pub(in crate::ui::web) fn private_newer(user: &UserName, last: &DirectMessage) -> Markup {
    newer_link(&private_path(user), &place(last))
}

/// What stands above a page of a conversation.
pub(in crate::ui::web) fn private_older(page: &Conversation, rows: u32) -> Markup {
    let path = private_path(&page.user);
    let is_full = page.messages.len() >= rows as usize;
    html! {
        @match page.messages.first().filter(|_| is_full) {
            Some(first) => li.older hx-get=(format!("{path}/older?before={}", first.clock)) hx-trigger="intersect once" hx-swap="outerHTML" {
                span.quiet { "Loading older messages…" }
            },
            None => li.begin { p { "This is the beginning, with " b { "@" (name(page.user.as_str())) } ". Nobody else reads this." } },
        }
    }
}
