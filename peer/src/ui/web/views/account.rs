//! Who the user is: as a guest, with a new account, or with one that there is.

use common::identity::PeerKey;
use common::name::ChannelName;
use common::proto::status::{Code, Refusal};
use common::text::one_line;
use maud::{Markup, html};

use super::words::{name, why};
use crate::api::{Identity, SessionState, Trust};
use crate::ui::render::fingerprint;

/// What is known when the forms are drawn.
pub(in crate::ui::web) struct AccountView<'a> {
    pub identity: &'a Identity,
    pub trust: Option<&'a Trust>,
    /// The channels that this peer hosts.
    pub hosted: &'a [ChannelName],
    /// The form that was sent, what was typed as a name, and how it ended.
    pub sent: Option<(&'a str, &'a str, &'a Result<&'a str, Refusal>)>,
}

impl AccountView<'_> {
    fn typed(&self, way: &str) -> String {
        match self.sent {
            Some((sent, typed, _)) if sent == way => typed.to_owned(),
            _ => self.identity.username.to_string(),
        }
    }

    fn refusal(&self, way: &str) -> Option<&Refusal> {
        self.sent.filter(|(sent, ..)| *sent == way).and_then(|(.., outcome)| outcome.as_ref().err())
    }

    fn done(&self, way: &str) -> Option<&str> {
        self.sent.filter(|(sent, ..)| *sent == way).and_then(|(.., outcome)| outcome.as_ref().ok().copied())
    }

    fn is_unconfirmed(&self) -> Option<(PeerKey, &str)> {
        let trust = self.trust.filter(|trust| !trust.confirmed)?;
        Some((trust.key?, trust.tracker.as_str()))
    }
}

/// The page of who the user is.
pub(in crate::ui::web) fn account_page(view: &AccountView<'_>) -> Markup {
    html! {
        main #main .sheet {
            header.top { a.back href="/" aria-label="Back to the channels" { "‹" } h1 { "You" } }
            div.content {
                (account_card(view))
                (this_page())
            }
        }
    }
}

/// The page of somebody who is not in.
pub(in crate::ui::web) fn enter_page(view: &AccountView<'_>, why: Option<&str>) -> Markup {
    html! {
        main #main .sheet.enter {
            div.content {
                h1 { "Welcome to Natter" }
                @if let Some(why) = why { p.notice.bad role="status" { (why) } }
                (account_card(view))
            }
        }
    }
}

/// The forms of who the user is. They come back with what is wrong.
pub(in crate::ui::web) fn account_card(view: &AccountView<'_>) -> Markup {
    let state = view.identity.state;
    html! {
        div #account hx-target="this" hx-swap="outerHTML" {
            section.card {
                h2 { (name(view.identity.username.as_str())) }
                p { (standing(state)) }
                details { summary { "Your peer's key" } p.key { (fingerprint(view.identity.key)) } }
            }
            @match view.is_unconfirmed() {
                // A password is not even asked for before.
                Some((key, tracker)) => {
                    (confirm(key, tracker, view.refusal("confirm")))
                    @if state != SessionState::Account { (form(view, &GUEST)) }
                }
                None if state == SessionState::Account => (signed_in(view)),
                None => (ways_in(view)),
            }
        }
    }
}

fn standing(state: SessionState) -> &'static str {
    match state {
        SessionState::Account => "You are signed in. This peer signs in by itself from now on.",
        SessionState::Guest => {
            "You are a guest: the name is yours for about a week after you were last here. With an account it stays yours."
        }
        SessionState::None => "You are not signed in.",
    }
}

fn confirm(key: PeerKey, tracker: &str, refusal: Option<&Refusal>) -> Markup {
    html! {
        section.card.warn {
            h2 { "Is this the right tracker?" }
            p { "This is the first contact with " b { (one_line(tracker)) } ". Its key's fingerprint is" }
            p.key #fingerprint { (fingerprint(key)) }
            p { "Compare it with the one that the tracker's operator sees at its start. If it differs, somebody stands in between and would get your password. If it is the same, you can make an account or sign in." }
            form hx-post="/account/confirm" {
                input type="hidden" name="key" value=(key);
                button.main { "It is the same" }
                (said("confirm", refusal))
            }
        }
    }
}

fn ways_in(view: &AccountView<'_>) -> Markup {
    html! {
        div.ways-in {
            (form(view, &SIGNUP))
            (form(view, &SIGNIN))
            (form(view, &GUEST))
        }
    }
}

/// A form with a name, and perhaps a password.
struct Way {
    word: &'static str,
    title: &'static str,
    about: &'static str,
    button: &'static str,
    /// What a browser's store of passwords makes of it.
    password: Option<&'static str>,
}

const SIGNUP: Way = Way {
    word: "signup",
    title: "Make an account",
    about: "The name is yours from then on, and you keep what you own.",
    button: "Sign up",
    password: Some("new-password"),
};
const SIGNIN: Way = Way {
    word: "signin",
    title: "Sign in",
    about: "With an account that you have.",
    button: "Sign in",
    password: Some("current-password"),
};
const GUEST: Way = Way {
    word: "guest",
    title: "Be a guest",
    about: "Without an account, under a name that nobody uses.",
    button: "Enter as a guest",
    password: None,
};

fn form(view: &AccountView<'_>, way: &Way) -> Markup {
    let refusal = view.refusal(way.word);
    let about_password = refusal.filter(|refusal| {
        way.password.is_some() && matches!(refusal.code, Code::PasswordLength | Code::BadPassword)
    });
    let about_name = refusal.filter(|refusal| {
        about_password.is_none()
            && matches!(refusal.code, Code::BadName | Code::NameTaken | Code::NameRegistered)
    });
    let about_all = refusal.filter(|_| about_password.is_none() && about_name.is_none());
    let id = |part: &str| format!("{}-{part}", way.word);
    html! {
        form.card hx-post=(format!("/account/{}", way.word)) {
            h2 { (way.title) }
            p.quiet { (way.about) }
            div.field {
                label for=(id("name")) { "Name" }
                input id=(id("name")) name="name" value=(view.typed(way.word)) required autocomplete="username" maxlength="64"
                    aria-invalid=[about_name.map(|_| "true")] aria-describedby=(id("name-said"));
                (said(&id("name"), about_name))
            }
            @if let Some(complete) = way.password {
                div.field {
                    label for=(id("password")) { "Password" }
                    input id=(id("password")) name="password" type="password" required autocomplete=(complete)
                        aria-invalid=[about_password.map(|_| "true")] aria-describedby=(id("password-said"));
                    (said(&id("password"), about_password))
                }
            }
            button.main { (way.button) }
            (said(way.word, about_all))
        }
    }
}

fn said(id: &str, refusal: Option<&Refusal>) -> Markup {
    html! {
        p id={ (id) "-said" } .error role="alert" { @if let Some(refusal) = refusal { (why(&refusal.reason)) } }
    }
}

fn signed_in(view: &AccountView<'_>) -> Markup {
    html! {
        (visibility(view))
        form.card hx-post="/account/passwd" {
            h2 { "Change the password" }
            div.field {
                label for="passwd-old" { "The present one" }
                input #passwd-old name="old" type="password" required autocomplete="current-password";
            }
            div.field {
                label for="passwd-new" { "The new one" }
                input #passwd-new name="password" type="password" required autocomplete="new-password" aria-describedby="passwd-said";
            }
            button { "Change it" }
            (said("passwd", view.refusal("passwd")))
            @if let Some(done) = view.done("passwd") { p.done role="status" { (done) } }
        }
        form.card hx-post="/account/signout" hx-confirm="Sign out? To come back you need the password." {
            h2 { "Sign out" }
            p.quiet { "This peer is not bound to your account any more." }
            button.danger { "Sign out" }
            (said("signout", view.refusal("signout")))
        }
    }
}

/// Whether others see this account, and what shows it all the same.
fn visibility(view: &AccountView<'_>) -> Markup {
    let is_on = view.identity.invisible;
    let (way, word) = if is_on { ("visible", "Be seen again") } else { ("invisible", "Be invisible") };
    let hosted = view.hosted.iter().map(|channel| format!("#{channel}")).collect::<Vec<_>>().join(", ");
    html! {
        form #visibility .card hx-post=(format!("/account/{way}")) {
            h2 { @if is_on { "You are invisible" } @else { "Others see you" } }
            @if is_on {
                p.quiet { "Others see you as away, on all your devices. You still get everything. Whatever you write shows that you are there." }
            } @else {
                p.quiet { "Invisible, you look to everybody as if you were away, on all your devices, and still get everything." }
            }
            @if !hosted.is_empty() {
                p.warning { "You host " (one_line(&hosted)) ": who may join there sees that this machine is up, invisible or not." }
            }
            button { (word) }
            (said("visibility", view.refusal(way)))
        }
    }
}

fn this_page() -> Markup {
    html! {
        section.card {
            h2 { "This page" }
            div.field #notify {
                button type="button" data-notify { "Notify me on the desktop" }
                p.quiet { "When somebody names you and the page is not in front. Nothing is asked until you press." }
            }
            div.field {
                button type="button" hx-post="/link" hx-target="#link-said" { "Open in another browser" }
                div #link-said {}
            }
            div.field {
                button type="button" hx-post="/lock" hx-swap="none" hx-confirm="Close the page for this browser? It opens again with a new link only." { "Close it for this browser" }
            }
            div.field {
                button.danger type="button" hx-post="/quit" hx-target="#main" hx-confirm="Stop the peer? Channels that you host cannot be reached until you start it again." { "Stop this peer" }
            }
        }
    }
}
