//! What stands around every view: the channels at the left, the light, and what is said wherever the user is.

use common::name::{ChannelName, UserName};
use common::text::one_line;
use maud::{DOCTYPE, Markup, html};

use super::words::{badge, channel_path, name, private_path, why};
use crate::api::{ChannelStatus, ContactRow, Identity, LinkState, SessionState, StatusReport};
use crate::ui::web::assets::asset;
use crate::ui::web::model::{Alert, Notice};

/// How htmx may work: nothing is run that stands in a page, and forms that come back with an error are shown.
const HTMX: &str = r#"{"allowEval":false,"allowScriptTags":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyEnabled":false,"defaultSettleDelay":0,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"422","swap":true},{"code":"[45]..","swap":false,"error":true}]}"#;

/// Where the user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ui::web) enum At {
    Home,
    /// Before the door: not signed in.
    Enter,
    Find,
    Me,
    Status,
    People,
    Search,
    Channel(ChannelName),
    /// A private conversation.
    With(UserName),
}

impl At {
    fn word(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Enter => "enter",
            Self::Find => "find",
            Self::Me => "me",
            Self::Status => "status",
            Self::People => "people",
            Self::Search => "search",
            Self::Channel(_) | Self::With(_) => "channel",
        }
    }
}

/// A channel at the left.
#[derive(Clone, Debug)]
pub(in crate::ui::web) struct Row {
    pub status: ChannelStatus,
    pub unread: u64,
    pub mentions: u64,
    pub muted: bool,
    pub refused: bool,
}

/// Somebody at the left.
#[derive(Clone, Debug)]
pub(in crate::ui::web) struct PersonRow {
    pub contact: ContactRow,
    pub unread: u64,
}

/// What the frame shows.
pub(in crate::ui::web) struct FrameView {
    pub at: At,
    pub csrf: String,
    pub status: StatusReport,
    pub rows: Vec<Row>,
    pub people: Vec<PersonRow>,
    /// How many ask to talk.
    pub asking: usize,
    pub unread: (u64, u64),
}

/// A whole page.
pub(in crate::ui::web) fn page(frame: &FrameView, title: &str, main: Markup) -> Markup {
    let headers = format!(r#"{{"X-Csrf-Token":"{}"}}"#, frame.csrf);
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body hx-headers=(headers) hx-ext="ws" ws-connect="/live" data-at=(frame.at.word()) data-title=(title) data-csrf=(frame.csrf) {
                a.skip href="#main" { "Skip to the content" }
                div.frame {
                    nav.side aria-label="Channels" { (side(frame)) }
                    (main)
                }
                div #toasts role="status" aria-live="polite" {}
                div #alerts hidden {}
                p #lost role="alert" hidden { "The page has lost its peer. It tries again by itself; is the peer still running?" }
                (dialogs())
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content";
            meta name="color-scheme" content="light dark";
            meta name="htmx-config" content=(HTMX);
            title { (title) " · Natter" }
            link rel="icon" href=(asset("icon.svg")) type="image/svg+xml";
            link rel="stylesheet" href=(asset("page.css"));
            script src=(asset("htmx.min.js")) defer {}
            script src=(asset("htmx-ext-ws.min.js")) defer {}
            script src=(asset("page.js")) defer {}
        }
    }
}

fn side(frame: &FrameView) -> Markup {
    let me = &frame.status.identity;
    html! {
        header {
            a.brand href="/" { img src=(asset("icon.svg")) alt="" width="24" height="24"; "Natter" }
            button.icon type="button" data-open="switcher" title="Go to a channel (Ctrl-K)" aria-label="Go to a channel" { "→" }
            button.icon type="button" data-open="keys" title="Keys (?)" aria-label="Keys" { "?" }
        }
        @if frame.at != At::Search { (look_for(&frame.at)) }
        a.entry href="/find" aria-current=[(frame.at == At::Find || frame.at == At::Home).then_some("page")] {
            span.sign aria-hidden="true" { "+" } "Find or host a channel"
        }
        h2 { "Channels" }
        ul #channels { (channels(&frame.rows, &frame.at)) }
        h2 { "People" }
        ul #contacts { (contacts(frame)) }
        footer #foot { (foot(me, &frame.status, &frame.at)) }
        (unread_total(frame.unread))
    }
}

/// The box for what was said; where the user is now goes along.
fn look_for(at: &At) -> Markup {
    let near = match at {
        At::Channel(channel) => Some(channel.to_string()),
        At::With(user) => Some(format!("@{user}")),
        _ => None,
    };
    html! {
        form.look role="search" action="/search" {
            input #search type="search" name="q" placeholder="Search (/)" aria-label="Search all that was said" autocomplete="off";
            @if let Some(near) = near { input type="hidden" name="near" value=(near); }
        }
    }
}

fn foot(me: &Identity, status: &StatusReport, at: &At) -> Markup {
    let light = Light::of(status);
    let kind = match me.state {
        SessionState::Account if me.invisible => "invisible",
        SessionState::Account => "account",
        SessionState::Guest => "guest",
        // The light says why.
        SessionState::None if status.tracker.state != LinkState::Up => "",
        SessionState::None => "not signed in",
    };
    html! {
        a.light href="/status" aria-current=[(*at == At::Status).then_some("page")] {
            span class=(format!("dot {}", light.class)) aria-hidden="true" {}
            span { (light.text) }
        }
        a.me href="/me" aria-current=[(*at == At::Me).then_some("page")] {
            b { (name(me.username.as_str())) }
            span.quiet { (kind) }
        }
    }
}

fn channels(rows: &[Row], at: &At) -> Markup {
    html! {
        @if rows.is_empty() {
            li.quiet.none { "None yet: find one, or host your own." }
        }
        @for (number, row) in rows.iter().enumerate() {
            @let is_here = *at == At::Channel(row.status.channel.clone());
            li { (channel_link(row, number, is_here)) }
        }
    }
}

fn channel_link(row: &Row, number: usize, is_here: bool) -> Markup {
    let Row { status, unread, mentions, muted, refused } = row;
    let (class, why) = channel_light(status);
    let is_bold = *unread > 0 && !muted;
    html! {
        a #{ "channel-" (number) } .entry.unread[is_bold].muted[*muted] href=(channel_path(&status.channel)) data-name={ "#" (status.channel) }
            aria-current=[is_here.then_some("page")] title=(why) {
            span class=(format!("sign {class}")) aria-hidden="true" { "#" }
            span.label { (name(status.channel.as_str())) }
            @if status.hosted { span.home title="You host this channel" aria-label="hosted by you" { "⌂" } }
            @if *muted { span.home title="Muted" aria-label="muted" { "–" } }
            @if *refused { span.badge.bad title="A message was refused" { "!" } }
            @else if status.queued > 0 { span.badge.wait title=(format!("{} to be sent", status.queued)) { "◷" } }
            @if *mentions > 0 && !muted { span.badge.at { "@" (badge(*mentions)) } }
            @else if *unread > 0 && !muted { span.badge { (badge(*unread)) } }
            span.sr { "(" (why) ")" }
        }
    }
}

/// What is said behind the reason for what is not connected and tried again.
pub(super) const TRYING: &str = "; trying again";

fn contacts(frame: &FrameView) -> Markup {
    html! {
        li {
            a.entry href="/people" aria-current=[(frame.at == At::People).then_some("page")] {
                span.sign aria-hidden="true" { "+" } span.label { "Find people" }
                @if frame.asking > 0 { span.badge.at title="Somebody asks to talk" { (badge(frame.asking as u64)) } }
            }
        }
        @for row in &frame.people {
            @let user = &row.contact.user;
            @let is_here = frame.at == At::With(user.clone());
            @let is_up = row.contact.connection == Some(LinkState::Up);
            li {
                a.entry.unread[row.unread > 0] href=(private_path(user)) data-name={ "@" (user) } aria-current=[is_here.then_some("page")] {
                    span class={ "dot " (if is_up { "up" } else { "away" }) } title=(if is_up { "here" } else { "away" }) {}
                    span.label { (name(user.as_str())) }
                    @if row.contact.queued > 0 { span.badge.wait title="To be delivered" { "◷" } }
                    @if row.unread > 0 { span.badge.at { (badge(row.unread)) } }
                }
            }
        }
    }
}

/// A channel's state as a class and in words.
pub(super) fn channel_light(status: &ChannelStatus) -> (&'static str, String) {
    let reason = status.reason.as_deref().map(why);
    match (status.state, &status.behind) {
        (LinkState::Up, Some(behind)) => ("down", format!("takes no messages: {}", why(behind))),
        (LinkState::Up, None) => ("up", "connected".to_owned()),
        (LinkState::Retrying, _) => {
            ("retry", reason.map_or_else(|| "connecting".to_owned(), |reason| format!("{reason}{TRYING}")))
        }
        (LinkState::Down, _) => ("down", reason.unwrap_or_else(|| "not connected".to_owned())),
    }
}

fn unread_total((unread, mentions): (u64, u64)) -> Markup {
    html! { span #unread hidden data-unread=(unread) data-mentions=(mentions) {} }
}

/// The state of everything in one sentence.
pub(super) struct Light {
    pub class: &'static str,
    pub text: String,
}

impl Light {
    pub fn of(status: &StatusReport) -> Self {
        let light = |class, text: String| Self { class, text };
        if status.tracker.state != LinkState::Up {
            let text = match status.tracker.state {
                LinkState::Retrying => "No tracker; trying again",
                _ => "No tracker",
            };
            return light("retry", text.to_owned());
        }
        if status.identity.state == SessionState::None {
            return light("down", "Not signed in".to_owned());
        }
        let is_stuck = |channel: &&ChannelStatus| channel.state == LinkState::Up && channel.behind.is_some();
        match status.channels.iter().filter(is_stuck).count() {
            0 => {}
            1 => return light("down", "1 channel takes no messages".to_owned()),
            more => return light("down", format!("{more} channels take no messages")),
        }
        let joined = status.channels.iter().filter(|channel| channel.joined);
        match joined.filter(|channel| channel.state != LinkState::Up).count() {
            0 => light("up", "Connected".to_owned()),
            1 => light("retry", "1 channel is away".to_owned()),
            more => light("retry", format!("{more} channels are away")),
        }
    }
}

/// The parts of the frame that change, for a page that is open.
pub(in crate::ui::web) fn frame_swap(frame: &FrameView) -> Markup {
    let me = &frame.status.identity;
    html! {
        ul #channels hx-swap-oob="innerHTML" { (channels(&frame.rows, &frame.at)) }
        ul #contacts hx-swap-oob="innerHTML" { (contacts(frame)) }
        footer #foot hx-swap-oob="innerHTML" { (foot(me, &frame.status, &frame.at)) }
        span #unread hx-swap-oob="true" hidden data-unread=(frame.unread.0) data-mentions=(frame.unread.1) {}
    }
}

/// Something said to the user, which goes away by itself.
pub(in crate::ui::web) fn toast(notice: &Notice) -> Markup {
    let Notice { text, is_bad, stays, .. } = notice;
    html! {
        div.toast.bad[*is_bad] role=[is_bad.then_some("alert")] data-stays[*stays] { p dir="auto" { (one_line(text)) } button.icon type="button" data-close aria-label="Close" { "×" } }
    }
}

/// The same for a page that is open.
pub(in crate::ui::web) fn toast_swap(notice: &Notice) -> Markup {
    html! { div hx-swap-oob="beforeend:#toasts" { (toast(notice)) } }
}

/// What the desktop may show.
pub(in crate::ui::web) fn alerts_swap<'a>(alerts: impl Iterator<Item = &'a Alert>) -> Markup {
    html! {
        div #alerts hx-swap-oob="innerHTML" {
            @for alert in alerts {
                span data-tag=(alert.tag) data-href=(alert.path) data-title=(alert.title) data-body=(one_line(&alert.text)) {}
            }
        }
    }
}

const KEYS: [(&str, &str); 9] = [
    ("Ctrl K", "go to a channel"),
    ("Alt ↑ / Alt ↓", "the channel above, below"),
    ("/ (Ctrl / while writing)", "search what was said"),
    ("Enter", "send the message"),
    ("Shift Enter", "a new line in the message"),
    ("↑ in an empty message", "edit the last refused one"),
    ("End", "the newest message"),
    ("Esc", "close, or stop editing"),
    ("?", "these keys"),
];

fn dialogs() -> Markup {
    html! {
        dialog #switcher aria-label="Go to a channel" {
            input #switch type="search" placeholder="Go to…" autocomplete="off" aria-label="Name of a channel" aria-controls="switch-list";
            ul #switch-list {}
        }
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl.keys { @for (key, what) in KEYS { div { dt { kbd { (key) } } dd { (what) } } } }
            form method="dialog" { button { "Close" } }
        }
        dialog #confirm aria-labelledby="confirm-question" {
            p #confirm-question {}
            form method="dialog" {
                p #confirm-why .field hidden { label for="why" { "Why, if you want to say it" } input #why autocomplete="off" maxlength="160"; }
                button.danger value="yes" { "Yes" }
                button value="no" autofocus { "Cancel" }
            }
        }
    }
}
