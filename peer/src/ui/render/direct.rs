//! Private conversations: requests, messages, contacts.

use common::clock::Timestamp;
use common::entry::TEXT;
use common::id::IdentityKind;
use common::identity::PeerKey;
use common::name::UserName;
use common::text::{for_terminal, one_line};

use super::table::table;
use super::{INDENT, Renderer, fingerprint};
use crate::api::{
    ChatRequest, ChatState, ContactRow, ContactState, Conversation, DeliveryState, DirectMessage, LinkState,
    StartedChat,
};

/// How much of a key a table shows: enough to tell one from another.
const SHOWN_DIGITS: usize = 16;

impl Renderer {
    /// Somebody asks. What is more than a request is loud.
    pub(super) fn chat_request(&self, request: &ChatRequest) -> String {
        let ChatRequest { user, kind, key, new_device, same_name, .. } = request;
        let short: String = key.to_string().chars().take(8).collect();
        let who = who(user, *kind);
        let (print, ways) = (fingerprint(*key), format!("accept {user} {short}, or reject {user} {short}"));
        if *new_device {
            return self.style.red(&format!(
                "! {who} asks from a device that is not known here, with the key\n  {print}\n  If {user} has not told \
                 you of a new device, somebody is pretending. Nothing is sent to it unless you type: {ways}"
            ));
        }
        if *same_name {
            return self.style.red(&format!(
                "! {who} asks for a conversation, and is NOT the {user} you know. The key is\n  {print}\n  Type: {ways}"
            ));
        }
        self.notice(&format!(
            "{who} asks for a conversation; the key is\n  {print}\n  type: accept {user}, or reject {user}"
        ))
    }

    pub(super) fn chat(&self, user: &UserName, state: ChatState, key: Option<PeerKey>) -> String {
        let text = match state {
            ChatState::Unanswered => {
                format!("@{user} has not answered yet; the request stands, for a week")
            }
            ChatState::Accepted => {
                let print = key.map(|key| format!(" with the key\n  {}", fingerprint(key)));
                let print = print.unwrap_or_default();
                format!("@{user} is a contact now{print}\n  type: msg {user} text…, or talk @{user}")
            }
            ChatState::Rejected => format!("@{user} does not want to talk"),
            ChatState::Left => format!("@{user} has left the conversation; what you write opens it again"),
        };
        self.notice(&text)
    }

    /// A message as it stands in a conversation.
    pub(super) fn chat_message(&self, message: &DirectMessage, now: Timestamp) -> String {
        let time = self.style.dim(&self.time(message.sent_at, now));
        let with = self.style.dim(&format!("@{}", message.user));
        let author = self.style.bold(&one_line(&message.from));
        let guest = if message.author_kind == IdentityKind::Guest { " (guest)" } else { "" };
        let late = if message.late { self.style.dim(" (late)") } else { String::new() };
        let head = format!("{time} {with} {author}{guest}:{late}");
        if let Some(note) = &message.file {
            return format!("{head} {}", self.file_note(note, message.mine));
        }
        match &message.text {
            Some(text) => format!("{head} {}", for_terminal(text, INDENT)),
            None if message.kind == TEXT => format!("{head} {}", self.style.dim("(unreadable)")),
            None => {
                let what = format!("({}: a newer version of this program shows it)", one_line(&message.kind));
                format!("{head} {}", self.style.dim(&what))
            }
        }
    }

    pub(super) fn kept_for(&self, user: &UserName) -> String {
        self.notice(&format!("@{user} cannot be reached now; your message is kept and goes out by itself"))
    }

    pub(super) fn started(&self, started: &StartedChat) -> Option<String> {
        let user = &started.contact.user;
        let text = match (&started.reason, started.contact.state) {
            (Some(reason), _) => {
                format!("@{user} is asked as soon as that is possible: {}", one_line(reason))
            }
            (None, ContactState::Asked) => format!("@{user} is asked; the answer is shown here"),
            // What was agreed to is told as it happens.
            (None, _) if started.contact.connection.is_none() => return None,
            (None, _) => format!("@{user} is a contact; type: msg {user} text…, or talk @{user}"),
        };
        Some(self.notice(&text))
    }

    pub(super) fn contacts(&self, contacts: &[ContactRow]) -> String {
        if contacts.is_empty() {
            return self.notice("no contacts yet; start USER asks somebody for a conversation");
        }
        let row = |row: &ContactRow| {
            let keys =
                row.keys.iter().map(|key| key.to_string().chars().take(SHOWN_DIGITS).collect::<String>());
            [
                row.kind.map_or_else(|| row.user.to_string(), |kind| who(&row.user, kind)),
                standing(row).to_owned(),
                row.queued.to_string(),
                keys.collect::<Vec<_>>().join(" "),
            ]
        };
        let rows = contacts.iter().map(row).collect::<Vec<_>>();
        table(self.style, ["user", "is", "to send", "key"], &rows)
    }

    pub(super) fn conversation(&self, page: &Conversation, now: Timestamp) -> String {
        let Some(first) = page.messages.first() else {
            return self.notice(&format!("@{}: no messages there", page.user));
        };
        let line = |message: &DirectMessage| {
            let state = match message.state {
                Some(DeliveryState::Queued) => " (queued)",
                Some(DeliveryState::Read) => " (read)",
                Some(DeliveryState::Delivered) | None => "",
            };
            format!("{}{}", self.chat_message(message, now), self.style.dim(state))
        };
        let mut lines = page.messages.iter().map(line).collect::<Vec<_>>();
        if first.clock > 1 {
            lines.push(self.notice(&format!("older ones: history @{} --before {}", page.user, first.clock)));
        }
        lines.join("\n")
    }
}

fn who(user: &UserName, kind: IdentityKind) -> String {
    let guest = if kind == IdentityKind::Guest { " (guest)" } else { "" };
    format!("{user}{guest}")
}

fn standing(row: &ContactRow) -> &'static str {
    match (row.state, row.connection) {
        (ContactState::Contact, Some(LinkState::Up)) => "contact, connected",
        (ContactState::Contact, Some(LinkState::Retrying)) => "contact, away, tried again",
        (ContactState::Contact, _) => "contact, away",
        (ContactState::Asks, _) => "asks you",
        (ContactState::Asked, _) => "asked by you",
        (ContactState::Rejected, _) => "turned down by you",
        (ContactState::Blocked, _) => "blocked",
    }
}
