//! Whom the user knows, and who asks to talk.

use common::name::UserName;
use common::proto::status::Refusal;
use common::text::one_line;
use maud::{Markup, html};

use super::field::NameField;
use super::here::{broadcast_form, here_card};
use super::words::{name, picture, private_path, why};
use crate::api::{ContactRow, ContactState, LinkState};
use crate::ui::render::fingerprint;

/// The page of people.
pub(in crate::ui::web) fn people_page(card: &Markup) -> Markup {
    html! {
        main #main .sheet {
            header.top { a.back href="/" aria-label="Back to the channels" { "‹" } h1 { "People" } }
            div.content {
                (card)
                (ask_form("", None))
                (here_card())
                (broadcast_form("", None))
            }
        }
    }
}

/// Who asks, and who is known.
pub(in crate::ui::web) fn people_card(contacts: &Result<Vec<ContactRow>, Refusal>) -> Markup {
    let rows = contacts.as_ref().map(Vec::as_slice).unwrap_or_default();
    let of =
        |states: &[ContactState]| rows.iter().filter(|row| states.contains(&row.state)).collect::<Vec<_>>();
    html! {
        div #people hx-get="/people/card" hx-trigger="people" hx-target="this" hx-swap="outerHTML" {
            @if let Err(refusal) = contacts { p.notice { (why(&refusal.reason)) } }
            (section("Who asks to talk with you", &of(&[ContactState::Asks]), rows))
            (section("Whom you know", &of(&[ContactState::Contact]), rows))
            (section("Whom you have asked", &of(&[ContactState::Asked]), rows))
            (section("Turned down and blocked", &of(&[ContactState::Rejected, ContactState::Blocked]), rows))
        }
    }
}

fn section(title: &str, rows: &[&ContactRow], all: &[ContactRow]) -> Markup {
    html! {
        @if !rows.is_empty() {
            section.card {
                h2 { (title) }
                ul.plain.contacts { @for row in rows { (contact(row, is_known(row, all))) } }
            }
        }
    }
}

/// Whether somebody of this name is a contact already: then whoever asks has another key.
fn is_known(row: &ContactRow, all: &[ContactRow]) -> bool {
    all.iter().any(|other| other.state == ContactState::Contact && other.user == row.user)
}

fn contact(row: &ContactRow, is_known: bool) -> Markup {
    let user = &row.user;
    html! {
        li {
            @if let Some(subject) = row.subject { (picture(user.as_str(), subject)) }
            div.what {
                b { (name(user.as_str())) }
                span.quiet { (standing(row)) }
                @if row.state == ContactState::Asks {
                    @for key in &row.keys { span.key { (fingerprint(*key)) } }
                    @if is_known {
                        span.warning {
                            "This is not the key of the " (name(user.as_str())) " you know. Accept only if they have told you of a new device; else somebody is pretending."
                        }
                    }
                }
            }
            (ways(row))
        }
    }
}

fn standing(row: &ContactRow) -> String {
    match (row.state, row.connection, row.queued) {
        (ContactState::Asks, ..) => "asks, with this key:".to_owned(),
        (ContactState::Asked, ..) => "has not answered yet".to_owned(),
        (ContactState::Rejected, ..) => "you have turned this down".to_owned(),
        (ContactState::Blocked, ..) => "nothing of them is let through".to_owned(),
        (ContactState::Contact, Some(LinkState::Up), _) => "here".to_owned(),
        (ContactState::Contact, _, 0) => "away".to_owned(),
        (ContactState::Contact, _, queued) => format!("away; {queued} to be delivered"),
    }
}

fn ways(row: &ContactRow) -> Markup {
    let user = &row.user;
    let key = (row.keys.len() == 1).then(|| row.keys.first().map(ToString::to_string)).flatten();
    let key = key.unwrap_or_default();
    html! {
        div.ways {
            @match row.state {
                ContactState::Contact => {
                    a.button href=(private_path(user)) { "Write" }
                    (way(user, "close", "Leave", ""))
                    (hard(user, "block", "Block", &format!("Let nothing of {user} through any more?")))
                },
                ContactState::Asks => {
                    (way(user, "accept", "Accept", &key))
                    (way(user, "reject", "Reject", &key))
                    (hard(user, "block", "Block", &format!("Let nothing of {user} through any more?")))
                },
                ContactState::Rejected => (way(user, "accept", "Accept after all", "")),
                ContactState::Blocked => (way(user, "unblock", "Unblock", "")),
                ContactState::Asked => {},
            }
        }
    }
}

fn vals(user: &UserName, key: &str) -> String {
    serde_json::json!({ "user": user, "key": key }).to_string()
}

fn way(user: &UserName, verb: &str, word: &str, key: &str) -> Markup {
    html! { button type="button" hx-post=(format!("/people/{verb}")) hx-vals=(vals(user, key)) { (word) } }
}

fn hard(user: &UserName, verb: &str, word: &str, question: &str) -> Markup {
    html! {
        button.danger type="button" hx-post=(format!("/people/{verb}")) hx-vals=(vals(user, "")) hx-confirm=(question) { (word) }
    }
}

/// A place to ask somebody; with what was typed and how it ended. It stands apart from what is asked for anew all the
/// time, so that nothing is taken away from under whoever types.
pub(in crate::ui::web) fn ask_form(typed: &str, said: Option<&Result<String, Refusal>>) -> Markup {
    let refusal = said.and_then(|said| said.as_ref().err());
    let field =
        NameField { id: "ask-user", sent_as: "user", label: "Their name", button: "Ask", typed, refusal };
    html! {
        form #ask .card hx-post="/people/start" hx-swap="outerHTML" {
            h2 { "Talk with somebody alone" }
            p.quiet { "They are asked first. What you say goes straight from your machine to theirs." }
            div.field {
                (field.show())
                @if let Some(Ok(said)) = said { @if !said.is_empty() { p.done role="status" { (one_line(said)) } } }
            }
        }
    }
}
