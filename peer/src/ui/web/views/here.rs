//! Who is at the tracker, and a place to say something to all of them.

use common::id::Subject;
use common::proto::status::Refusal;
use maud::{Markup, html};

use super::words::{count, person, picture, private_path, why};
use crate::api::{ContactRow, ContactState, UserRow, UsersOf};

/// Of more people only the number is shown; they are found by their names.
const SHOWN_USERS: usize = 100;

/// Who is there, for whom.
pub(in crate::ui::web) struct HereView<'a> {
    pub users: &'a Result<UsersOf, Refusal>,
    /// A part of the names that are looked for.
    pub pattern: &'a str,
    /// Whom the user knows, or asks, or does not want to hear of.
    pub contacts: &'a [ContactRow],
    /// The page's user.
    pub me: Option<Subject>,
}

/// The card with all who are there; the rows come by themselves.
pub(super) fn here_card() -> Markup {
    html! {
        section.card {
            h2 { "Who is here" }
            form.search role="search" action="/people" {
                input #here-pattern type="search" name="pattern" placeholder="Part of a name" aria-label="Part of somebody's name" autocomplete="off"
                    hx-get="/here" hx-trigger="input changed delay:200ms, search" hx-target="#here";
            }
            ul #here .plain.contacts hx-get="/here" hx-trigger="load, people" hx-include="#here-pattern" hx-target="this" {
                li.quiet { "Looking…" }
            }
        }
    }
}

/// The rows, or why there are none.
pub(in crate::ui::web) fn here(view: &HereView<'_>) -> Markup {
    let list = match view.users {
        Ok(list) => list,
        Err(refusal) => {
            return html! { li.quiet { "Who is here cannot be said now: " (why(&refusal.reason)) } };
        }
    };
    let wanted = view.pattern.trim().to_lowercase();
    let fits = |user: &&UserRow| user.name.as_str().to_lowercase().contains(&wanted);
    let fitting = list.users.iter().filter(fits).collect::<Vec<_>>();
    let more = fitting.len().saturating_sub(SHOWN_USERS) as u64;
    html! {
        @for user in fitting.iter().take(SHOWN_USERS) { (row(view, user)) }
        @if fitting.is_empty() { li.quiet { "Nobody who is here is called like that." } }
        @if more > 0 { li.quiet { "And " (count(more, "more", "more")) "; write a part of a name above." } }
        @if list.more { li.quiet { "There are more than can be listed." } }
    }
}

fn row(view: &HereView<'_>, user: &UserRow) -> Markup {
    let is_me = view.me == Some(user.subject);
    let presence = match (is_me, user.online) {
        (true, _) => "you",
        (_, true) => "here",
        (_, false) => "away",
    };
    html! {
        li {
            (picture(user.name.as_str(), user.subject))
            div.what {
                b { (person(user.name.as_str(), user.kind)) }
                span.quiet {
                    span class={ "dot " (if user.online { "up" } else { "away" }) } aria-hidden="true" {}
                    " " (presence)
                    @if user.watched { "; you are told when they come and go" }
                }
            }
            @if !is_me { div.ways { (talk(view, user)) (watch(user)) } }
        }
    }
}

fn talk(view: &HereView<'_>, user: &UserRow) -> Markup {
    let known = view.contacts.iter().find(|row| row.user == user.name);
    let vals = serde_json::json!({ "user": user.name }).to_string();
    html! {
        @match known.map(|row| row.state) {
            Some(ContactState::Contact) => a.button href=(private_path(&user.name)) { "Write" },
            None => button #{ "ask-" (user.subject) } type="button" hx-post="/people/start" hx-vals=(vals) hx-target="#ask" hx-swap="outerHTML" { "Ask to talk" },
            // What to do with these stands above.
            Some(_) => {},
        }
    }
}

fn watch(user: &UserRow) -> Markup {
    let (verb, word) = if user.watched { ("unwatch", "Do not tell me") } else { ("watch", "Tell me") };
    let vals = serde_json::json!({ "user": user.name }).to_string();
    html! {
        button #{ "watch-" (user.subject) } type="button" hx-post=(format!("/here/{verb}")) hx-vals=(vals) hx-include="#here-pattern"
            hx-target="#here" title="When they come and go" { (word) }
    }
}

/// The form that says something to all; with what was typed and how it ended.
pub(in crate::ui::web) fn broadcast_form(typed: &str, said: Option<&Result<(), Refusal>>) -> Markup {
    let refusal = said.and_then(|said| said.as_ref().err());
    html! {
        form #broadcast .card hx-post="/broadcast" hx-swap="outerHTML" hx-confirm="Say this to everybody who is here?" {
            h2 { "Say something to everybody" }
            p.quiet { "To all who are connected to your tracker now. The tracker reads it, too." }
            div.field {
                label for="broadcast-text" { "What" }
                div.together {
                    input #broadcast-text name="text" value=(typed) required autocomplete="off" maxlength="1000" aria-invalid=[refusal.map(|_| "true")] aria-describedby="broadcast-said";
                    button.main { "Say it" }
                }
                p #broadcast-said .error role="alert" { @if let Some(refusal) = refusal { (why(&refusal.reason)) } }
                @if let Some(Ok(())) = said { p.done role="status" { "Said." } }
            }
        }
    }
}
