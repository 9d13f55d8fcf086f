//! The pages before and after the peer's page.

use maud::{DOCTYPE, Markup, html};

use crate::ui::web::assets::asset;

fn bare(title: &str, script: Option<&str>, content: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href=(asset("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(asset("page.css"));
                @if let Some(script) = script { script src=(asset(script)) defer {} }
            }
            body.bare { main.card.narrow { img.logo src=(asset("icon.svg")) alt="" width="56" height="56"; (content) } }
        }
    }
}

/// What a browser sees that was not let in: the key in its link is taken to the cookie, else it says how to get one.
pub(in crate::ui::web) fn door() -> Markup {
    bare(
        "Natter",
        Some("door.js"),
        html! {
            h1 { "Natter" }
            p #said role="status" { "This page belongs to somebody's peer, and opens with the link that it showed at its start." }
            p.quiet {
                "A link works once. For a new one, start the peer again, or choose "
                b { "Open in another browser" }
                " under your name in a browser where the page is open."
            }
        },
    )
}

/// What is left when the peer was told to stop.
pub(in crate::ui::web) fn stopped() -> Markup {
    html! {
        section.card #stopped role="status" {
            h2 { "Natter has stopped" }
            p { "What you wrote and what you received is kept. Start the peer again to go on; you can close this page." }
        }
    }
}

/// A link for another browser.
pub(in crate::ui::web) fn link_card(link: &str) -> Markup {
    html! {
        div.said {
            p { "Open this in the other browser. It works once; whoever opens it first is let in." }
            p { input.link readonly aria-label="Link" value=(link); }
        }
    }
}
