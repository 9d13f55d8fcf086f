//! What the node says, as text for a terminal. Pure: the time and the zone are given.
//!
//! Everything that comes from elsewhere passes the filter of [`common::text`]; a message's later lines are indented, so
//! that none of them looks like another message.

mod direct;
mod files;
mod history;
mod moderation;
mod outbox;
mod presence;
mod reply;
mod search;
mod style;
mod table;
mod transfer;

use common::clock::Timestamp;
use common::entry::TEXT;
use common::id::IdentityKind;
use common::identity::PeerKey;
use common::proto::event::Person;
use common::proto::status::{Code, Refusal};
use common::text::{for_terminal, one_line};
use jiff::tz::TimeZone;

use super::command::{Group, Spec, specs};
use crate::api::{ChatMessage, Event, LinkState, SessionState};
use crate::ui::parse::quoted;
pub(in crate::ui) use files::{bytes, span};
pub(in crate::ui) use moderation::role_word as role;
pub(in crate::ui) use reply::kept_for;
pub use style::Style;

/// How far the later lines of a message are indented.
const INDENT: usize = 8;
/// Where the explanations stand in the list of commands, at most; behind what is longer they follow at once.
const HELP_COLUMN: usize = 44;
/// More names than this in one line of comings and goings are a number.
const NAMES_SHOWN: usize = 8;

/// Dresses what the node says as text.
#[derive(Clone, Debug)]
pub struct Renderer {
    /// What the terminal wants.
    pub style: Style,
    /// Where its user is.
    pub zone: TimeZone,
}

impl Renderer {
    /// An event as text, without a line end; `None` when the terminal's user need not be told. A result is for
    /// whoever shows the outcomes of commands.
    pub fn event(&self, event: &Event, now: Timestamp) -> Option<String> {
        Some(match event {
            Event::Ready { username, .. } => self.ready(username.as_str()),
            Event::Page { address } => self.notice(&format!("your page; the link opens it once: {address}")),
            Event::Session { state, username, code, reason } => {
                self.session(*state, username.as_str(), code.as_ref(), reason.as_deref())
            }
            Event::TrackerKey { confirmed: true, .. } | Event::Result { .. } => return None,
            Event::TrackerKey { tracker, key, .. } => self.tracker_key(tracker, *key),
            Event::Message(message) => self.message(message, now),
            Event::Filled { channel, from, to } => self.filled(channel.as_str(), *from, *to),
            Event::Outgoing { id, channel, state, code, reason, becomes, .. } => {
                let why = (code.as_ref(), reason.as_deref());
                return self.outgoing(*id, channel.as_str(), *state, why, *becomes);
            }
            Event::ChatRequest(request) => self.chat_request(request),
            Event::Chat { user, state, key } => self.chat(user, *state, *key),
            Event::ChatMessage(message) => self.chat_message(message, now),
            Event::ChatOutgoing { user, reason: Some(_), .. } => self.kept_for(user),
            Event::ChatOutgoing { .. } => return None,
            Event::File(row) => return self.file(row),
            Event::MovedOn { channel, messages, between, oldest } => {
                self.moved_on(channel.as_str(), (*messages, *between), *oldest, now)
            }
            Event::Connection { to, state, reason, .. } => self.connection(to, *state, reason.as_deref()),
            Event::Joined { channel, members, count } => {
                self.notice(&came(channel.as_str(), members, *count, "joined"))
            }
            Event::Left { channel, members, count } => {
                self.notice(&came(channel.as_str(), members, *count, "left"))
            }
            Event::Online { users } => self.presence("online", users),
            Event::Offline { users } => self.presence("offline", users),
            Event::ViewChanged { channel, view, by } => self.view_changed(channel.as_str(), *view, by),
            Event::PostChanged { channel, post, by } => self.post_changed(channel.as_str(), *post, by),
            Event::RoleChanged { channel, subject, name, role, you, by } => {
                let subject = subject.to_string();
                let whom = (!you).then(|| name.as_deref().unwrap_or(&subject));
                self.role_changed(channel.as_str(), whom, *role, by)
            }
            Event::Kicked { channel, by, why, retry_after_ms, .. } => {
                self.kicked(channel.as_str(), by, why.as_deref(), *retry_after_ms)
            }
            Event::Offered { offer, ended } => self.offered(offer, *ended),
            Event::Broadcast { from, text, .. } => self.broadcast(from.as_ref(), text),
            Event::Warning { code, reason, channel } => {
                let about = channel.as_ref().map(|channel| format!("#{channel}: ")).unwrap_or_default();
                self.style.red(&format!("! {about}{}", refused(Some(code), Some(reason))))
            }
        })
    }

    /// A message that waits, since the way to its channel is closed now.
    pub fn queued(&self, channel: &str, is_joined: bool) -> String {
        self.notice(&if is_joined {
            format!("#{channel} cannot be reached now; your message is kept and goes out by itself")
        } else {
            format!(
                "you are not in #{channel}; your message is kept until you type: join {}",
                quoted(channel)
            )
        })
    }

    /// Why a command was not done, and what to do.
    pub fn refusal(&self, refusal: &Refusal) -> String {
        let wait = refusal.retry_after_ms.map(|millis| format!(" Again in {} s.", millis.div_ceil(1000)));
        let why = refused(Some(&refusal.code), Some(&refusal.reason));
        self.style.red(&format!("! {why}{}", wait.unwrap_or_default()))
    }

    fn filled(&self, channel: &str, from: u64, to: u64) -> String {
        let count = to.saturating_sub(from).saturating_add(1);
        let before = to.saturating_add(1);
        self.notice(&format!(
            "#{channel}: the {count} messages you missed are here now; to read them: history {} --before {before}",
            quoted(channel)
        ))
    }

    /// A line about what goes on.
    pub fn notice(&self, text: &str) -> String {
        self.style.dim(&format!("* {text}"))
    }

    /// All commands, or one of them.
    pub fn help(&self, about: Option<&Spec>) -> String {
        if let Some(spec) = about {
            let aliases = match spec.aliases {
                [] => String::new(),
                words => format!("\n  also: {}", words.join(", ")),
            };
            let mut lines = vec![format!("{}\n  {}{aliases}", self.style.bold(&spec.synopsis()), spec.help)];
            lines.extend(spec.followed().map(|spec| self.help(Some(spec))));
            return lines.join("\n");
        }
        let widths = specs().map(|spec| spec.synopsis().chars().count());
        let width = widths.filter(|width| *width <= HELP_COLUMN).max().unwrap_or_default();
        let mut lines = Vec::new();
        for group in Group::ALL {
            lines.push(self.style.bold(group.title()));
            for spec in specs().filter(|spec| spec.group == group) {
                lines.push(format!("  {:width$}  {}", spec.synopsis(), spec.help));
            }
        }
        lines.push(self.notice("a name with spaces goes in double quotes; Tab completes; Ctrl-D leaves"));
        lines.join("\n")
    }

    /// What is asked before the first password goes to a tracker.
    pub fn trust(&self, tracker: &str, key: PeerKey) -> String {
        format!(
            "This is the first contact with the tracker {}. Its key's fingerprint is\n\n  {}\n\nCompare it with \
             the one that the tracker's operator sees at its start (key=…). If it differs, somebody stands in \
             between and would get your password.",
            one_line(tracker),
            self.style.bold(&fingerprint(key)),
        )
    }

    fn broadcast(&self, from: Option<&Person>, text: &str) -> String {
        let who = match from {
            Some(person) => format!("{} to everybody", one_line(&person.name)),
            None => "the tracker's operator to everybody".to_owned(),
        };
        format!("{} {}", self.style.bold(&format!("*** {who}:")), for_terminal(text, INDENT))
    }

    fn ready(&self, username: &str) -> String {
        format!("You are {}. Type help for the commands, quit to leave.", self.style.bold(username))
    }

    fn session(&self, state: SessionState, name: &str, code: Option<&Code>, reason: Option<&str>) -> String {
        match state {
            SessionState::Account => self.notice(&format!("signed in as {name}")),
            SessionState::Guest => self.notice(&format!("entered as the guest {name}")),
            SessionState::None if code.is_none() && reason.is_none() => self.notice("not signed in"),
            SessionState::None => self.style.red(&format!("! not signed in: {}", refused(code, reason))),
        }
    }

    fn tracker_key(&self, tracker: &str, key: PeerKey) -> String {
        self.notice(&format!(
            "first contact with the tracker {}; its key: {}",
            one_line(tracker),
            fingerprint(key)
        ))
    }

    /// A message as it stands in a channel's stream.
    pub fn message(&self, message: &ChatMessage, now: Timestamp) -> String {
        let time = self.style.dim(&self.time(message.sent_at, now));
        let channel = self.style.dim(&format!("#{}", message.channel));
        let author = self.style.bold(&one_line(&message.from));
        let guest = if message.author_kind == IdentityKind::Guest { " (guest)" } else { "" };
        // Nobody has proven who that was.
        let guest =
            message.imported.as_ref().map_or(guest.to_owned(), |from| format!(" ({})", one_line(from)));
        let head = format!("{time} {channel} {author}{guest}:");
        if let Some(note) = &message.file {
            return format!("{head} {}", self.file_note(note, true));
        }
        if let Some(text) = message.text.as_ref().filter(|_| message.kind == TEXT) {
            return format!("{head} {}", for_terminal(text, INDENT));
        }
        let what = match (&message.erased, &message.erases) {
            (Some(erased), _) => format!("({})", self.erased(erased, now)),
            (None, Some(erases)) => history::erases_what(erases),
            (None, None) => {
                format!("({}: a newer version of this program shows it)", one_line(&message.kind))
            }
        };
        format!("{head} {}", self.style.dim(&what))
    }

    fn connection(&self, to: &str, state: LinkState, reason: Option<&str>) -> String {
        let to = match to {
            "tracker" => "the tracker".to_owned(),
            user if user.starts_with('@') => one_line(user).into_owned(),
            channel => format!("#{}", one_line(channel)),
        };
        let why = reason.map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
        self.notice(&match state {
            LinkState::Up => format!("connected to {to}"),
            LinkState::Down => format!("not connected to {to}{why}"),
            LinkState::Retrying => format!("no connection to {to}, trying again by itself{why}"),
        })
    }

    /// The time of day; with its date when that is not today's.
    fn time(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (self.zoned(at), self.zoned(now));
        let form = if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        at.strftime(form).to_string()
    }

    fn zoned(&self, at: Timestamp) -> jiff::Zoned {
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_zoned(self.zone.clone())
    }
}

/// A key in groups of four, as people compare it.
pub fn fingerprint(key: PeerKey) -> String {
    let digits = key.to_string();
    let groups = digits.as_bytes().chunks(4).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(" ")
}

/// As much of a key as tells the devices of one account apart, and is typed for it.
fn short_key(key: PeerKey) -> String {
    key.to_string().chars().take(16).collect()
}

/// A sentence and its code.
fn refused(code: Option<&Code>, reason: Option<&str>) -> String {
    let sentence = reason.or(code.map(Code::sentence)).unwrap_or("no reason was given");
    let code = code.map(|code| format!(" ({})", one_line(code.as_str())));
    format!("{}{}", one_line(sentence), code.unwrap_or_default())
}

fn came(channel: &str, members: &[Person], count: usize, verb: &str) -> String {
    let names = members.iter().take(NAMES_SHOWN).map(|person| {
        let guest = if person.kind == IdentityKind::Guest { " (guest)" } else { "" };
        format!("{}{guest}", one_line(&person.name))
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match count.saturating_sub(members.len().min(NAMES_SHOWN)) {
        0 => format!("#{channel}: {names} {verb}"),
        _ if members.is_empty() => format!("#{channel}: {count} {verb}"),
        more => format!("#{channel}: {names} and {more} more {verb}"),
    }
}

#[cfg(test)]
mod tests;
