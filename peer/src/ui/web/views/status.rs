//! What is connected and what is not, and why, in plain words.

use common::text::one_line;
use maud::{Markup, html};

use super::frame::{Light, channel_light};
use super::words::{channel_path, count, name, why};
use crate::api::{ChannelStatus, LinkState, StatusReport};
use crate::ui::render::fingerprint;
use crate::ui::web::model::Notice;

/// The page of what is connected.
pub(in crate::ui::web) fn status_page(status: &StatusReport, notices: &[Notice]) -> Markup {
    html! {
        main #main .sheet {
            header.top { a.back href="/" aria-label="Back to the channels" { "‹" } h1 { "What is connected" } }
            div.content {
                div #status-rows { (status_rows(status)) }
                @if !notices.is_empty() {
                    section.card {
                        h2 { "What was said lately" }
                        ul.plain { @for notice in notices.iter().rev() { li.bad[notice.is_bad] dir="auto" { (one_line(&notice.text)) } } }
                    }
                }
            }
        }
    }
}

/// What is connected, without the page around it.
pub(in crate::ui::web) fn status_rows(status: &StatusReport) -> Markup {
    let light = Light::of(status);
    html! {
        section.card {
            h2 { span class=(format!("dot {}", light.class)) aria-hidden="true" {} (light.text) }
            (tracker(status))
            @if let Some(listen) = status.listen { p { "Members reach your channels at " code { (listen) } "." } }
        }
        section.card {
            h2 { "Channels" }
            @if status.channels.is_empty() { p.quiet { "None yet." } }
            ul.plain.states { @for channel in &status.channels { (channel_row(channel)) } }
        }
    }
}

fn tracker(status: &StatusReport) -> Markup {
    let tracker = &status.tracker;
    let reason = tracker.reason.as_deref().map(why).unwrap_or_default();
    let address = one_line(&tracker.address);
    html! {
        @match tracker.state {
            LinkState::Up => p { "The tracker at " code { (address) } " is connected." },
            LinkState::Retrying => p { "The tracker at " code { (address) } " cannot be reached: " (reason) ". It is tried again by itself; channels whose host is known go on without it." },
            LinkState::Down => p { "The tracker at " code { (address) } " is not connected, and not tried again: " (reason) "." },
        }
        @if let Some(key) = tracker.key { details { summary { "The tracker's key" } p.key { (fingerprint(key)) } } }
    }
}

fn channel_row(channel: &ChannelStatus) -> Markup {
    let (class, state) = channel_light(channel);
    let part = match (channel.hosted, channel.joined) {
        (true, _) => "You host it",
        (false, true) => "You are in it",
        (false, false) => "You have left it",
    };
    let queued = channel.queued as u64;
    html! {
        li {
            span class=(format!("dot {}", if channel.joined || channel.hosted { class } else { "away" })) aria-hidden="true" {}
            a href=(channel_path(&channel.channel)) { "#" (name(channel.channel.as_str())) }
            span.quiet {
                (part) @if channel.joined { ": " (state) } "."
                @if queued > 0 { " " (count(queued, "message waits", "messages wait")) " to be sent." }
            }
        }
    }
}
