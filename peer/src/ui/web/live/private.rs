//! A private conversation that an open page shows, and what of it has changed.

use std::collections::BTreeMap;

use common::id::MessageId;
use common::name::UserName;

use super::files::FileNews;
use crate::api::{DeliveryState, DirectMessage, FileTo};
use crate::ui::web::page::{PAGE_ROWS, Page};
use crate::ui::web::people::contact;
use crate::ui::web::views::{self, place};

/// The conversation of an open page.
pub(super) struct PrivateTalk {
    page: Page,
    pub user: UserName,
    version: Option<u64>,
    /// The last message that the page shows, as it named it at first.
    after: Option<String>,
    last: Option<DirectMessage>,
    /// How far the messages that it shows were when it was told last; what is not in it was not there.
    states: BTreeMap<MessageId, Option<DeliveryState>>,
    files: FileNews,
}

impl PrivateTalk {
    pub fn new(page: Page, user: UserName, after: Option<String>) -> Self {
        let files = FileNews::new(page.clone(), FileTo::User(user.clone()));
        Self { page, user, version: None, after, last: None, states: BTreeMap::new(), files }
    }

    /// What has changed since the last time, as parts of the page.
    pub async fn news(&mut self) -> String {
        let mut news = self.files.news().await;
        news.push_str(&self.talk_news().await);
        news
    }

    async fn talk_news(&mut self) -> String {
        let now = self.page.look(|model| model.privates.get(&self.user).version);
        let is_first = self.version.is_none();
        if self.version.replace(now) == Some(now) {
            return String::new();
        }
        let mut news = String::new();
        if let Some(contact) = contact(&self.page, &self.user).await {
            news.push_str(&views::standing_swap(&contact).into_string());
        }
        let Ok(found) = self.page.conversation(&self.user, PAGE_ROWS, None).await else { return news };
        let messages = found.messages;
        let shown = self.shown(&messages, is_first);
        let is_gone = shown == 0 && self.is_behind_something() && !messages.is_empty();
        let is_new_above =
            !is_first && messages.iter().take(shown).any(|message| !self.states.contains_key(&message.id));
        for message in messages.iter().take(shown) {
            let was = self.states.get(&message.id).copied().flatten();
            if message.mine && (is_first || was != message.state) {
                news.push_str(&views::state_swap(message).into_string());
            }
        }
        if is_gone || is_new_above {
            news.push_str(&views::stale().into_string());
        } else if let Some(new) = messages.get(shown..).filter(|new| !new.is_empty()) {
            let before = shown.checked_sub(1).and_then(|at| messages.get(at));
            let rows = views::private_rows(new, before, None, self.page.zone());
            news.push_str(&views::log_swap(rows).into_string());
        }
        self.states = messages.iter().map(|message| (message.id, message.state)).collect();
        if let Some(last) = messages.last() {
            self.last = Some(last.clone());
        }
        news
    }

    fn is_behind_something(&self) -> bool {
        self.after.is_some() || self.last.is_some()
    }

    /// How many of the messages the page shows already.
    fn shown(&self, messages: &[DirectMessage], is_first: bool) -> usize {
        let last = if is_first { self.after.clone() } else { self.last.as_ref().map(place) };
        let at = last.and_then(|last| messages.iter().position(|message| place(message) == last));
        at.map_or(0, |at| at + 1)
    }
}
