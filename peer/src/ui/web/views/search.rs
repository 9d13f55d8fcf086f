//! What was found of what was said. All of it is of others: it goes in as text, also where it is marked.

use common::clock::Timestamp;
use common::id::IdentityKind;
use common::name::NameError;
use common::proto::status::{Code, Refusal};
use common::text::one_line;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::private::place as private_mark;
use super::words::{
    channel_path, clock, count, day, day_and_time, in_path, name, person, picture, private_path, why,
};
use crate::api::{AnyMessage, Found, FoundMessage, Place, Snippet};
use crate::ui::web::kept::Mark;
use crate::ui::web::search::{Asked, Looked};

/// So much is shown of what stands around a message, in characters.
const CONTEXT_CHARS: usize = 160;
/// The longest that is looked for, in characters.
const MAX_TYPED_CHARS: usize = 1000;

/// What the page of the search shows.
pub(in crate::ui::web) struct SearchView<'a> {
    pub asked: &'a Asked,
    /// All places of the user.
    pub places: &'a [Place],
    /// What was found, when something was looked for.
    pub found: Option<&'a Looked>,
    pub zone: &'a TimeZone,
}

/// A place as it is typed, and stands in addresses.
pub(in crate::ui::web) fn place_word(place: &Place) -> String {
    match place {
        Place::Channel(channel) => channel.to_string(),
        Place::User(user) => format!("@{user}"),
    }
}

/// The place that is meant by a word; everywhere when there is none.
pub(in crate::ui::web) fn place_of(word: &str) -> Result<Option<Place>, Refusal> {
    let bad = |error: NameError| Refusal::new(Code::BadName, error.to_string());
    match word.strip_prefix('@') {
        _ if word.is_empty() => Ok(None),
        Some(user) => user.parse().map(Place::User).map_err(bad).map(Some),
        None => word.parse().map(Place::Channel).map_err(bad).map(Some),
    }
}

/// A place as it is shown.
fn shown(place: &Place) -> String {
    match place {
        Place::Channel(channel) => format!("#{channel}"),
        Place::User(user) => format!("@{user}"),
    }
}

/// The page of the search.
pub(in crate::ui::web) fn search_page(view: &SearchView<'_>) -> Markup {
    let looked = view.found;
    let place = looked.and_then(|looked| looked.place.clone()).or(place_of(&view.asked.place).ok().flatten());
    let refusal = looked.and_then(|looked| looked.found.as_ref().err());
    html! {
        main #main .sheet {
            header.top { a.back href="/" aria-label="Back to the channels" { "‹" } h1 { "Search" } }
            div.content {
                form.search role="search" action="/search" {
                    div.together {
                        input #search type="search" name="q" value=(view.asked.q) placeholder="What was said" aria-label="What to look for" maxlength=(MAX_TYPED_CHARS)
                            autocomplete="off" autofocus[looked.is_none()] aria-invalid=[refusal.map(|_| "true")] aria-describedby="search-help search-said";
                        button.main { "Search" }
                    }
                    label.where { "Where " (where_to_look(view.places, place.as_ref())) }
                }
                p #search-help .quiet {
                    "All words have to be there. Also: " code { "\"in this order\"" } ", " code { "-not" } ", " code { "begun*" } ", "
                    code { "from:name" } ", " code { "in:channel" } ", " code { "after:2026-11-05" } ", " code { "before:2026-12" } ", " code { "has:link" }
                }
                p #search-said role="status" { @if let Some(looked) = looked { (said(view, looked)) } }
                @if let Some(looked) = looked { ol #found .hits { (found_rows(view.asked, looked, view.zone)) } }
            }
        }
    }
}

fn where_to_look(places: &[Place], chosen: Option<&Place>) -> Markup {
    let is_other = chosen.is_some_and(|chosen| !places.contains(chosen));
    html! {
        select name="in" {
            option value="" { "Everywhere" }
            @for place in places.iter().chain(chosen.filter(|_| is_other)) {
                option value=(place_word(place)) selected[chosen == Some(place)] { (one_line(&shown(place))) }
            }
        }
    }
}

/// How much was found, or why nothing, and where else to look.
fn said(view: &SearchView<'_>, looked: &Looked) -> Markup {
    let near = place_of(&view.asked.near).ok().flatten().filter(|_| looked.place.is_none());
    html! {
        @match &looked.found {
            Err(refusal) => {
                span.error { (why(&refusal.reason)) "." }
                @if refusal.code == Code::StorageFailed { " " a href=(address(view.asked, &view.asked.place, false)) { "Try again" } }
            },
            Ok(found) if looked.at_host && found.total == 0 => "Nothing was found.",
            Ok(found) => {
                (how_much(found)) " "
                @if found.total == 0 && looked.place.is_none() {
                    "What was said before you joined is at the channel's host: choose the channel above, and ask it. "
                }
            },
        }
        @if let Some(near) = near { a href=(address(view.asked, &place_word(&near), false)) { "Only in " (one_line(&shown(&near))) } }
        (ask_the_host(view.asked, looked))
    }
}

fn how_much(found: &Found) -> Markup {
    html! {
        @match (found.hits.len() as u64, found.total) {
            (0, _) => "Nothing was found in what is here.",
            (_, 1) => "1 message.",
            (_, total) => { (total) " messages, the newest first." }
        }
        @if found.missing > 0 {
            " " (count(found.missing, "message is", "messages are")) " being made ready to be looked through: look again in a moment."
        }
    }
}

/// What this peer has is looked through by itself; a channel's host has all of it.
fn ask_the_host(asked: &Asked, looked: &Looked) -> Markup {
    let Some(place @ Place::Channel(_)) = &looked.place else { return Markup::default() };
    let word = place_word(place);
    html! {
        @if looked.at_host {
            " This is what the host of " (one_line(&shown(place))) " has. "
            a href=(address(asked, &word, false)) { "Look only at what is here" }
        } @else {
            " " a href=(address(asked, &word, true)) title="It has what came before you joined, too" { "Ask the host of " (one_line(&shown(place))) }
        }
    }
}

/// Where the same is looked for elsewhere.
fn address(asked: &Asked, place: &str, at_host: bool) -> String {
    let host = if at_host { "&host=yes" } else { "" };
    format!("/search?q={}&in={}{host}", in_path(&asked.q), in_path(place))
}

/// What was found, and the way to more of it.
pub(in crate::ui::web) fn found_rows(asked: &Asked, looked: &Looked, zone: &TimeZone) -> Markup {
    let now = Timestamp::now();
    let Ok(found) = &looked.found else {
        // The page has said it above, but for what was to come behind the last one.
        let again = html! { li.notice { p { "No more can be had now: look again." } } };
        return if asked.older.is_empty() { Markup::default() } else { again };
    };
    html! {
        @for hit in &found.hits { (one_hit(hit, now, zone)) }
        @if let Some(older) = &found.older {
            @let more = serde_json::json!({ "q": asked.q, "in": asked.place, "host": asked.host, "older": older });
            li.more { button type="button" hx-get="/search/rows" hx-vals=(more.to_string()) hx-target="closest li" hx-swap="outerHTML" { "Older ones" } }
        }
    }
}

/// What is shown of the one who wrote it, and where it stands.
struct Where<'a> {
    place: String,
    path: Option<String>,
    at: Timestamp,
    from: &'a str,
    kind: IdentityKind,
    picture: Markup,
}

impl<'a> Where<'a> {
    fn of(hit: &'a FoundMessage) -> Self {
        match &hit.message {
            AnyMessage::Channel(message) => Self {
                place: format!("#{}", message.channel),
                path: hit
                    .jump
                    .as_ref()
                    .map(|_| format!("{}?at={}", channel_path(&message.channel), Mark::of(message))),
                at: message.stored_at,
                from: &message.from,
                kind: message.author_kind,
                picture: picture(&message.from, message.subject),
            },
            AnyMessage::Direct(message) => Self {
                place: format!("@{}", message.user),
                path: hit
                    .jump
                    .as_ref()
                    .map(|_| format!("{}?at={}", private_path(&message.user), private_mark(message))),
                at: message.sent_at,
                from: &message.from,
                kind: message.author_kind,
                picture: picture(&message.from, message.subject),
            },
        }
    }
}

fn one_hit(hit: &FoundMessage, now: Timestamp, zone: &TimeZone) -> Markup {
    let Where { place, path, at, from, kind, picture } = Where::of(hit);
    let said_at = html! {
        time datetime=(crate::api::format_utc(at)) title=(day_and_time(at, zone)) { (day(at, now, zone)) ", " (clock(at, zone)) }
    };
    let heading = html! { b { (person(from, kind)) } " in " (name(&place)) };
    html! {
        li.hit {
            (picture)
            div {
                p.who {
                    @match path {
                        Some(path) => a href=(path) { (heading) },
                        None => span title="The channel's log was begun anew since: what was before is kept, and only found here" { (heading) ", in an older log" },
                    }
                    " " (said_at)
                }
                @for message in &hit.before { (around(message)) }
                p.said dir="auto" { (marked(&hit.snippet)) }
                @for message in &hit.after { (around(message)) }
            }
        }
    }
}

/// What stands before or after a message, in a line.
fn around(message: &AnyMessage) -> Markup {
    let from = match message {
        AnyMessage::Channel(message) => &message.from,
        AnyMessage::Direct(message) => &message.from,
    };
    html! {
        @if let Some(text) = message.text() {
            p.around.quiet { (name(from)) ": " bdi { (one_line(&beginning(text))) } }
        }
    }
}

/// So much of a text as is shown, its lines one after the other.
fn beginning(text: &str) -> String {
    let beginning = text.chars().take(CONTEXT_CHARS).collect::<String>();
    beginning.lines().collect::<Vec<_>>().join(" ")
}

/// A part of a message, with what was looked for marked in it.
fn marked(Snippet { text, marks }: &Snippet) -> Markup {
    let chars = text.chars().collect::<Vec<_>>();
    let piece =
        |from: usize, to: usize| chars.get(from..to.max(from)).map(String::from_iter).unwrap_or_default();
    let mut done = 0;
    html! {
        @for (from, length) in marks {
            (piece(std::mem::replace(&mut done, from + length), *from))
            mark { (piece(*from, from + length)) }
        }
        (piece(done, chars.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_text_like_the_rest() {
        let marked = |text: &str, marks: &[(usize, usize)]| {
            marked(&Snippet { text: text.to_owned(), marks: marks.to_vec() }).into_string()
        };
        assert_eq!(marked("größe & <b>", &[(0, 5)]), "<mark>größe</mark> &amp; &lt;b&gt;");
        assert_eq!(marked("<mark>a</mark>", &[(6, 1)]), "&lt;mark&gt;<mark>a</mark>&lt;/mark&gt;");
        assert_eq!(marked("ab", &[(0, 1), (1, 1)]), "<mark>a</mark><mark>b</mark>");
        // What is wrong with the marks breaks nothing.
        assert_eq!(marked("ab", &[(1, 9), (0, 1)]), "a<mark></mark><mark>a</mark>b");
        assert_eq!(marked("", &[]), "");
    }

    #[test]
    fn places_are_said_and_read_alike() {
        for word in ["first", "book club", "@ken"] {
            let place = place_of(word).unwrap().unwrap();
            assert_eq!(place_word(&place), word);
        }
        assert_eq!(place_of("").unwrap(), None);
        assert!(place_of("@").is_err() && place_of("\u{7}").is_err());
    }

    #[test]
    fn an_address_holds_whatever_was_typed() {
        let asked = Asked { q: "\"a b\" & <i> in:x#?%".to_owned(), ..Asked::default() };
        let address = address(&asked, "@ken", true);
        assert_eq!(address, "/search?q=%22a%20b%22%20%26%20%3Ci%3E%20in%3Ax%23%3F%25&in=%40ken&host=yes");
    }
}
