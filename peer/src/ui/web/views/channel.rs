//! A channel: its messages, what waits to be sent, the place to write, and what it is.

use common::id::Subject;
use common::name::ChannelName;
use common::proto::limits::MAX_TEXT_BYTES;
use common::proto::status::Refusal;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::files::{Shelf, send_dialog, shelf_frame};
use super::frame::{TRYING, channel_light};
use super::text::message_text;
use super::words::{channel_path, clock, count, day_and_time, in_path, name, picture, why};
use crate::api::{ChannelStatus, FileTo, OutboxItem, OutboxList, OutgoingState, WishedChange};

/// More messages that wait are a number.
const SHOWN_OUTBOX: usize = 50;

/// What a channel's page shows.
pub(in crate::ui::web) struct ChannelView<'a> {
    pub status: &'a ChannelStatus,
    pub muted: bool,
    /// The rows of the log, with what stands above them.
    pub log: Markup,
    pub outbox: Markup,
    /// What is offered here, either way.
    pub files: Shelf,
    /// Whether it is opened at its end, and not at a message.
    pub is_at_end: bool,
}

/// A channel's page.
pub(in crate::ui::web) fn channel_page(view: &ChannelView<'_>) -> Markup {
    let channel = &view.status.channel;
    let path = channel_path(channel);
    html! {
        main #main .talk data-channel=(channel) data-path=(path) {
            header.top {
                a.back href="/" aria-label="Back to the channels" { "‹" }
                h1 { "#" (name(channel.as_str())) }
                div #standing { (standing(view.status)) }
                (search_link(channel.as_str()))
                button.icon.about-button type="button" data-toggle="about" aria-expanded="false" aria-controls="about" title="About this channel" aria-label="About this channel" { "i" }
            }
            div #scroll .scroll tabindex="0" role="region" aria-label="Messages" {
                div.inner {
                    ol #log role="log" aria-label="Messages" { (view.log) }
                    (outbox_frame(false, &view.outbox))
                }
            }
            button #jump type="button" hidden { span {} " ↓" }
            div.below { (shelf_frame(&view.files)) (composer(&format!("#{channel}"), view.is_at_end)) }
            (about_frame(view.status, view.muted))
            (send_dialog(&FileTo::Channel(channel.clone())))
            (message_menu(&path))
        }
    }
}

fn standing(status: &ChannelStatus) -> Markup {
    let (class, why) = channel_light(status);
    html! {
        @if class != "up" { span class=(format!("chip {class}")) role="status" title=(why) { (in_short(&why)) } }
    }
}

/// A reason without what only helps to find its cause; that stands on the page of what is connected.
fn in_short(why: &str) -> String {
    let Some(end) = [why.find(": "), why.find(" (")].into_iter().flatten().min() else {
        return why.to_owned();
    };
    let (first, rest) = why.split_at(end);
    if rest.ends_with(TRYING) { format!("{first}{TRYING}") } else { first.to_owned() }
}

/// What can be done with a message; the page's script says with which.
fn message_menu(path: &str) -> Markup {
    html! {
        div #menu popover {
            button.danger type="button" hx-post=(format!("{path}/erase")) hx-swap="none" data-why
                hx-confirm="Erase this message for everybody? That it was erased, by whom, when and why stays to be seen. What people have copied is theirs." { "Erase…" }
        }
    }
}

/// The way to look for something in one place only.
pub(super) fn search_link(place: &str) -> Markup {
    let path = format!("/search?in={}", in_path(place));
    html! { a.icon href=(path) data-search title="Search here (/)" aria-label="Search here" { "⌕" } }
}

/// Where a message is written. It has the focus, unless something else is to be read first.
pub(super) fn composer(place: &str, is_first: bool) -> Markup {
    html! {
        form #composer ws-send autocomplete="off" {
            input type="hidden" name="kind" value="send";
            input #replaces type="hidden" name="replaces" value="";
            div #editing hidden { span { "You are changing a message that was refused." } button type="button" data-stop-editing { "Leave it" } }
            (said_frame(false, &html! {}))
            div.write {
                button.icon type="button" data-open="send-file" title="Send a file" aria-label="Send a file" { "+" }
                textarea #text name="text" rows="1" placeholder=(format!("Write to {place}")) aria-label=(format!("Message to {place}"))
                    data-max=(MAX_TEXT_BYTES) autofocus[is_first] dir="auto" {}
                button type="submit" title="Send (Enter)" aria-label="Send" { "➤" }
            }
        }
    }
}

fn said_frame(is_swap: bool, said: &Markup) -> Markup {
    html! { div #composer-said role="alert" hx-swap-oob=[is_swap.then_some("true")] { (said) } }
}

/// Says below the last message that what was just written could not be taken, and gives it back.
pub(in crate::ui::web) fn composer_said(refusal: Option<(&Refusal, &str)>) -> Markup {
    let said = html! {
        @if let Some((refusal, text)) = refusal {
            p.error { (why(&refusal.reason)) }
            template #given-back { (text) }
        }
    };
    said_frame(true, &said)
}

/// What a view that cannot go on from where it is has to know: it is to fetch the newest messages.
pub(in crate::ui::web) fn stale() -> Markup {
    html! { div hx-swap-oob="beforeend:#alerts" { i data-stale {} } }
}

fn outbox_frame(is_swap: bool, items: &Markup) -> Markup {
    html! { ol #outbox aria-label="To be sent" hx-swap-oob=[is_swap.then_some("true")] { (items) } }
}

/// Has a view ask anew who is there.
pub(in crate::ui::web) fn people_swap() -> Markup {
    html! { div hx-swap-oob="beforeend:#alerts" { i data-people {} } }
}

/// The picture of the page's user.
pub(in crate::ui::web) fn my_picture(me: Option<&(String, Subject)>) -> Markup {
    html! { @if let Some((who, subject)) = me { (picture(who, *subject)) } @else { span.picture {} } }
}

/// What waits to be sent, for a view that is open, and how the channel is connected.
pub(in crate::ui::web) fn outbox_swap(items: &Markup, status: Option<&ChannelStatus>) -> Markup {
    html! {
        (outbox_frame(true, items))
        @if let Some(status) = status { div #standing hx-swap-oob="true" { (standing(status)) } }
    }
}

/// What waits to be sent.
pub(in crate::ui::web) fn outbox(list: &OutboxList, me: &dyn Fn() -> Markup, zone: &TimeZone) -> Markup {
    let shown = list.messages.iter().take(SHOWN_OUTBOX);
    let more = list.total.saturating_sub(list.messages.len().min(SHOWN_OUTBOX));
    let all_refused = list.messages.iter().filter(|item| item.state == OutgoingState::Refused).count() > 1;
    html! {
        @for item in shown { (waiting(item, me, zone)) }
        @if more > 0 { li.notice { p { "and " (count(more as u64, "more message", "more messages")) " to be sent" } } }
        @if all_refused {
            @if let Some(first) = list.messages.first() {
                li.notice { button type="button" hx-post=(format!("{}/retry", channel_path(&first.channel))) hx-swap="none" { "Send all again" } }
            }
        }
    }
}

fn waiting(item: &OutboxItem, me: &dyn Fn() -> Markup, zone: &TimeZone) -> Markup {
    let is_refused = item.state == OutgoingState::Refused;
    let reason = item.reason.as_deref().map(waits_for);
    html! {
        li #{ "o-" (item.id) } .message.head.waiting.refused[is_refused] data-id=(item.id) {
            (me())
            p.who {
                b { "You" } " "
                time title=(day_and_time(item.sent_at, zone)) { (clock(item.sent_at, zone)) }
                " " span.state { (state(item)) }
            }
            div.text { (message_text(&item.text)) }
            @if let Some(reason) = &reason { p.why { (reason) } }
            @if is_refused { (ways_out(item)) } @else if item.wish.is_none() && reason.is_some() { (cancel(item)) }
        }
    }
}

/// What a message waits for; another one that is in its way stands above it here.
fn waits_for(reason: &str) -> String {
    if reason.starts_with("behind ") {
        "goes out after the refused one above".to_owned()
    } else {
        why(reason)
    }
}

fn state(item: &OutboxItem) -> &'static str {
    match (item.wish, item.state) {
        (Some(WishedChange::Cancel), _) => "to be cancelled",
        (Some(WishedChange::Edit), _) => "to be changed",
        (None, OutgoingState::Refused) => "refused",
        (None, OutgoingState::Sending) => "sending",
        (None, _) => "queued",
    }
}

fn ways_out(item: &OutboxItem) -> Markup {
    let path = format!("{}/outbox/{}", channel_path(&item.channel), item.id);
    html! {
        div.ways {
            button type="button" hx-post=(format!("{path}/retry")) hx-swap="none" { "Send again" }
            button type="button" data-edit=(item.id) { "Edit" }
            button type="button" hx-post=(format!("{path}/cancel")) hx-swap="none" { "Cancel" }
            template { (item.text) }
        }
    }
}

fn cancel(item: &OutboxItem) -> Markup {
    let path = format!("{}/outbox/{}/cancel", channel_path(&item.channel), item.id);
    html! { div.ways { button type="button" hx-post=(path) hx-swap="none" { "Cancel" } } }
}

fn about_frame(status: &ChannelStatus, muted: bool) -> Markup {
    let path = channel_path(&status.channel);
    html! {
        aside #about aria-label="About this channel" {
            div #about-live hx-get=(format!("{path}/about")) hx-trigger="load, people" hx-target="this" { p.quiet { "Looking…" } }
            section.doings {
                h2 { "This channel" }
                (mute_button(&path, muted))
                @if status.hosted { (owner_doings(&path, &status.channel)) } @else { (leave_button(&path, &status.channel)) }
            }
        }
    }
}

fn mute_button(path: &str, muted: bool) -> Markup {
    let (verb, word) = if muted { ("unmute", "Unmute") } else { ("mute", "Mute") };
    html! { button type="button" hx-post=(format!("{path}/{verb}")) hx-swap="none" { (word) } }
}

fn leave_button(path: &str, channel: &ChannelName) -> Markup {
    html! {
        button.danger type="button" hx-post=(format!("{path}/leave")) hx-swap="none"
            hx-confirm=(format!("Leave #{channel}? You can join it again.")) { "Leave" }
    }
}

fn owner_doings(path: &str, channel: &ChannelName) -> Markup {
    html! {
        button.danger type="button" hx-post=(format!("{path}/unhost")) hx-swap="none"
            hx-confirm=(format!("Stop hosting #{channel}? Nobody can reach it until you host it again. Its name and its messages stay yours.")) { "Stop hosting" }
        button.danger type="button" hx-post=(format!("{path}/release")) hx-swap="none"
            hx-confirm=(format!("Give up #{channel}? It is not hosted any more, and anybody may take its name.")) { "Stop and give up the name" }
    }
}
