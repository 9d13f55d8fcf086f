//! Which channels there are, and hosting one.

use common::proto::directory::{Listed, View};
use common::proto::status::{Code, Refusal};
use maud::{Markup, html};

use super::field::NameField;
use super::words::{channel_path, name, person, why};
use crate::api::{Channels, Identity, SessionState};

/// What the page of channels shows.
pub(in crate::ui::web) struct FindView<'a> {
    pub identity: &'a Identity,
    pub pattern: &'a str,
    pub found: Markup,
    /// Whether the user is new here, and is told where they are.
    pub is_new: bool,
}

/// The page of channels.
pub(in crate::ui::web) fn find_page(view: &FindView<'_>) -> Markup {
    html! {
        main #main .sheet {
            header.top { a.back href="/" aria-label="Back to the channels" { "‹" } h1 { "Find a channel" } }
            div.content {
                @if view.is_new { (welcome(view.identity)) }
                form.search role="search" action="/find" {
                    input type="search" name="pattern" value=(view.pattern) placeholder="Part of a name" aria-label="Part of a channel's name" autocomplete="off"
                        hx-get="/find/rows" hx-trigger="input changed delay:200ms, search" hx-target="#found";
                }
                ul #found .channels aria-live="polite" { (view.found) }
                (host_form("", None))
                p.quiet { "Looking for somebody? " a href="/people" { "See who is here" } "." }
            }
        }
    }
}

fn welcome(identity: &Identity) -> Markup {
    html! {
        section.card.hello {
            h2 { span { "Welcome, " (name(identity.username.as_str())) } }
            p {
                "Each channel lives on its owner's machine. Join one below, or host your own: then it lives on this one, for as long as this program runs."
            }
            @if identity.state == SessionState::Guest {
                p { "You are a guest. " a href="/me" { "Make an account" } " to keep your name, or use another one." }
            }
        }
    }
}

/// A page of channels, or why there is none.
pub(in crate::ui::web) fn found(
    page: &Result<Channels, Refusal>,
    pattern: &str,
    is_joined: &dyn Fn(&Listed) -> bool,
) -> Markup {
    html! {
        @match page {
            Err(refusal) => li.notice { p { "The channels cannot be listed now: " (why(&refusal.reason)) } },
            Ok(page) if page.channels.is_empty() && pattern.trim().is_empty() => li.notice { p { "There are no channels yet. Host the first one below." } },
            Ok(page) if page.channels.is_empty() => li.notice { p { "No channel is called like that. You can host one." } },
            Ok(page) => {
                @for listed in &page.channels { (listed_row(listed, is_joined(listed))) }
                @if let Some(next) = &page.next { (more(pattern, next)) }
            }
        }
    }
}

fn listed_row(listed: &Listed, is_joined: bool) -> Markup {
    html! {
        li {
            span class={ "dot " (if listed.online { "up" } else { "away" }) } title=(if listed.online { "The host is online" } else { "The host is away" }) {}
            div.what {
                b { "#" (name(listed.name.as_str())) }
                span.quiet {
                    "by " (person(listed.owner.name.as_str(), listed.owner.kind)) " · "
                    (if listed.online { "online" } else { "host away" })
                    @match listed.members {
                        // A host that has just come is still counting.
                        None | Some(0) => {}
                        Some(1) => " · 1 member",
                        Some(members) => { " · " (members) " members" }
                    }
                    @if listed.view == View::Restricted { " · only who is let in" }
                }
            }
            @if is_joined {
                a.button href=(channel_path(&listed.name)) { "Open" }
            } @else {
                button type="button" hx-post="/join" hx-vals=(serde_json::json!({ "channel": listed.name }).to_string())
                    hx-target="#toasts" hx-swap="beforeend" { "Join" }
            }
        }
    }
}

fn more(pattern: &str, after: &str) -> Markup {
    let vals = serde_json::json!({ "pattern": pattern, "after": after }).to_string();
    html! {
        li.more { button type="button" hx-get="/find/rows" hx-vals=(vals) hx-target="closest li" hx-swap="outerHTML" { "More" } }
    }
}

/// The form that hosts a channel; with what was typed and why it was not done.
pub(in crate::ui::web) fn host_form(typed: &str, refusal: Option<&Refusal>) -> Markup {
    let field = NameField {
        id: "host-name",
        sent_as: "channel",
        label: "Its name",
        button: "Host it",
        typed,
        refusal,
    };
    html! {
        form #host .card hx-post="/host" hx-swap="outerHTML" {
            h2 { "Host a channel" }
            p.quiet { "It lives on this machine, and can be reached while this program runs." }
            div.field {
                (field.show())
                @if let Some(Code::HostedElsewhere | Code::Superseded) = refusal.map(|refusal| &refusal.code) { (move_here(typed)) }
            }
        }
    }
}

/// The way to host here what another machine of the same owner has hosted so far.
fn move_here(channel: &str) -> Markup {
    let vals = serde_json::json!({ "channel": channel, "takeover": "yes" }).to_string();
    html! {
        button type="button" hx-post="/host" hx-vals=(vals) hx-target="#host" hx-swap="outerHTML"
            hx-confirm="Host it on this machine from now on, with what was received here? The other machine stops when it hears of it. Members are asked once whether that is right." { "Move it here" }
    }
}
