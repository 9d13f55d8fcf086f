//! What one open page shows, and what of it is not right any more.

use common::name::ChannelName;

use super::Place;
use super::files::FileNews;
use super::private::PrivateTalk;
use crate::api::{ChatMessage, FileTo};
use crate::ui::web::frame::frame;
use crate::ui::web::kept::Mark;
use crate::ui::web::model::{Line, Notice, Talk};
use crate::ui::web::page::{PAGE_ROWS, Page};
use crate::ui::web::talk::{outbox, with_lines};
use crate::ui::web::views::{self, At, Chain};

/// More lines than this at once are not worth drawing one below the other: the page fetches the newest.
const MAX_LINES_AT_ONCE: usize = 200;

/// What one open page shows.
pub(super) struct View {
    page: Page,
    csrf: String,
    talk: Option<TalkView>,
    private: Option<PrivateTalk>,
    frame: Option<u64>,
    /// As the page was told last; never yet, when it may have been drawn before what is so now.
    people: Option<u64>,
    notices: u64,
    alerts: u64,
}

/// The channel that it shows.
struct TalkView {
    channel: ChannelName,
    chain: Chain,
    /// What came in between what the page shows and when it was followed.
    between: Vec<ChatMessage>,
    /// The number of the next line to show; none while the page fetches the newest, or shows an older part of the log.
    next: Option<u64>,
    /// The number of the next line to be looked at for what it erases: that is told whatever else is shown.
    seen: u64,
    /// What was erased lately, when the page does not show the newest.
    erasing: Vec<ChatMessage>,
    outbox: Option<u64>,
    people: Option<u64>,
    files: FileNews,
    /// Whether the page was told nothing yet.
    is_new: bool,
    _watch: Watch,
}

/// As long as it is there, the model keeps a channel's lines.
struct Watch {
    page: Page,
    channel: ChannelName,
}

/// What has changed in a channel.
#[derive(Default)]
struct TalkNews {
    lines: Vec<Line>,
    is_stale: bool,
    erasing: Vec<ChatMessage>,
    outbox: bool,
    people: bool,
}

impl View {
    /// The view of a page that has just been opened, and shows its channel up to an entry.
    pub async fn open(page: Page, csrf: String, place: Option<Place>, after: Option<String>) -> Self {
        let (people, notices, alerts) =
            page.look(|model| (model.people, model.notices.count(), model.alerts.count()));
        // Whoever talks does not look at people, and what is beside a talk is asked for when it opens.
        let people = place.is_some().then_some(people);
        let mut view = Self { page, csrf, talk: None, private: None, frame: None, people, notices, alerts };
        match place {
            Some(Place::Channel(channel)) => {
                view.talk = view.watch(channel, after.and_then(|after| after.parse().ok())).await;
            }
            Some(Place::With(user)) => view.private = Some(PrivateTalk::new(view.page.clone(), user, after)),
            None => {}
        }
        view
    }

    /// Follows a channel from where the page is; what came in between is in the archive.
    async fn watch(&self, channel: ChannelName, after: Option<Mark>) -> Option<TalkView> {
        let (watch, next) = Watch::begin(&self.page, &channel)?;
        let newest = self.page.history(&channel, PAGE_ROWS, None).await.map(|history| history.messages);
        let newest = newest.unwrap_or_default();
        let lately = newest.iter().filter(|message| message.erases.is_some()).cloned().collect();
        let seen = next;
        let (chain, between, next, erasing) = match go_on(newest, after) {
            Some((chain, between)) => (chain, between, Some(next), Vec::new()),
            None => (Chain::default(), Vec::new(), None, lately),
        };
        let files = FileNews::new(self.page.clone(), FileTo::Channel(channel.clone()));
        Some(TalkView {
            channel,
            chain,
            between,
            next,
            seen,
            erasing,
            outbox: None,
            people: None,
            files,
            is_new: true,
            _watch: watch,
        })
    }

    /// All that has changed since the last time, as parts of the page.
    pub async fn news(&mut self) -> String {
        let mut news = self.frame_news().await;
        news.push_str(&self.told());
        news.push_str(&self.talk_news().await);
        if let Some(private) = &mut self.private {
            news.push_str(&private.news().await);
        }
        news
    }

    async fn frame_news(&mut self) -> String {
        let now = self.page.look(|model| model.frame);
        if self.frame.replace(now) == Some(now) {
            return String::new();
        }
        let private = self.private.as_ref().map(|private| At::With(private.user.clone()));
        let at = self.talk.as_ref().map(|talk| At::Channel(talk.channel.clone())).or(private);
        let at = at.unwrap_or(At::Home);
        match frame(&self.page, &self.csrf, at).await {
            Ok(frame) => views::frame_swap(&frame).into_string(),
            Err(_) => String::new(),
        }
    }

    /// Notices, and what the desktop may show.
    fn told(&mut self) -> String {
        let (notices, alerts) = (self.notices, self.alerts);
        let (mut news, notices, alerts) = self.page.look(|model| {
            let mut news = String::new();
            let with = self.private.as_ref().map(|private| &private.user);
            let is_seen = |notice: &&Notice| notice.about.is_some() && notice.about.as_ref() == with;
            for notice in model.notices.since(notices).filter(|notice| !is_seen(notice)) {
                news.push_str(&views::toast_swap(notice).into_string());
            }
            if model.alerts.count() > alerts {
                news.push_str(&views::alerts_swap(model.alerts.since(alerts)).into_string());
            }
            (news, model.notices.count(), model.alerts.count())
        });
        (self.notices, self.alerts) = (notices, alerts);
        let people = self.page.look(|model| model.people);
        if self.people.replace(people) != Some(people) {
            news.push_str(&views::people_swap().into_string());
        }
        news
    }

    async fn talk_news(&mut self) -> String {
        let Some(talk) = &mut self.talk else { return String::new() };
        let between = std::mem::take(&mut talk.between);
        let mut news = String::new();
        if !between.is_empty() {
            news.push_str(&with_lines(&self.page, None, |drawn| {
                let rows = views::log_swap(views::rows(drawn, &mut talk.chain, &between));
                rows.into_string() + &views::erased_swap(drawn, between.iter()).into_string()
            }));
        }
        let TalkNews { lines, is_stale, erasing, outbox: is_outbox_new, people } = talk.take(&self.page);
        if is_stale {
            news.push_str(&views::stale().into_string());
        }
        if !erasing.is_empty() {
            let erased = with_lines(&self.page, None, |drawn| views::erased_swap(drawn, erasing.iter()));
            news.push_str(&erased.into_string());
        }
        if !lines.is_empty() {
            news.push_str(&with_lines(&self.page, None, |drawn| {
                let rows = views::log_swap(views::lines(drawn, &mut talk.chain, &lines));
                let messages = lines.iter().filter_map(Line::as_message);
                rows.into_string() + &views::erased_swap(drawn, messages).into_string()
            }));
        }
        if is_outbox_new {
            let status = self.page.channels().await.unwrap_or_default();
            let status = status.into_iter().find(|status| status.channel == talk.channel);
            let items = outbox(&self.page, &talk.channel).await;
            news.push_str(&views::outbox_swap(&items, status.as_ref()).into_string());
        }
        if people {
            news.push_str(&views::people_swap().into_string());
        }
        news.push_str(&talk.files.news().await);
        news
    }
}

/// How to go on from an entry with the newest of the log: behind it, and with what else there is. `None` when the page
/// has to fetch the newest.
fn go_on(newest: Vec<ChatMessage>, after: Option<Mark>) -> Option<(Chain, Vec<ChatMessage>)> {
    let Some(after) = after else {
        let is_all = newest.first().is_none_or(|message| message.seq == 1);
        return is_all.then(|| (Chain::default(), newest));
    };
    if newest.is_empty() {
        return Some((Chain::default(), newest));
    }
    let is_it = |message: &ChatMessage| message.epoch == after.epoch && message.seq == after.seq;
    let place = newest.iter().position(is_it)?;
    let mut chain = Chain::default();
    let mut between = Vec::new();
    for (number, message) in newest.into_iter().enumerate() {
        match number.cmp(&place) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => chain = Chain::behind(&message),
            std::cmp::Ordering::Greater => between.push(message),
        }
    }
    Some((chain, between))
}

impl TalkView {
    fn take(&mut self, page: &Page) -> TalkNews {
        page.look(|model| {
            let Some(talk) = model.talk(&self.channel) else {
                return TalkNews::default();
            };
            let outbox = self.outbox.replace(talk.outbox) != Some(talk.outbox);
            let people = self.people.replace(talk.people).is_some_and(|people| people != talk.people);
            let was_stale = self.next.is_none() && !self.is_new;
            let lines = self.next.and_then(|next| self.lines(talk.lines_from(next)?));
            let is_stale = lines.is_none() && !was_stale;
            let mut erasing = std::mem::take(&mut self.erasing);
            if lines.is_none() {
                erasing.extend(self.erasing(talk));
            }
            self.seen = talk.next();
            self.next = lines.is_some().then(|| talk.next());
            self.is_new = false;
            TalkNews { lines: lines.unwrap_or_default(), is_stale, erasing, outbox, people }
        })
    }

    /// What was erased since this page was told last, as far as the model remembers it.
    fn erasing(&self, talk: &Talk) -> Vec<ChatMessage> {
        let messages = talk.lines_from(self.seen).into_iter().flatten().filter_map(Line::as_message);
        messages.filter(|message| message.erases.is_some()).cloned().collect()
    }

    /// The lines that are new to this page; `None` when it has to fetch the newest.
    fn lines<'a>(&self, lines: impl Iterator<Item = &'a Line>) -> Option<Vec<Line>> {
        let end = self.chain.end();
        let is_new = |line: &&Line| match (line, end) {
            (Line::Message(message), Some(end)) => message.epoch != end.epoch || message.seq > end.seq,
            _ => true,
        };
        let new = lines.filter(is_new).take(MAX_LINES_AT_ONCE + 1).cloned().collect::<Vec<_>>();
        let other_log = |line: &Line| matches!((line, end), (Line::Message(message), Some(end)) if message.epoch != end.epoch);
        let is_too_much = new.len() > MAX_LINES_AT_ONCE || new.iter().any(other_log);
        (!is_too_much).then_some(new)
    }
}

impl Watch {
    /// Has the model keep a channel's lines from now on; gives the number of the first to show.
    fn begin(page: &Page, channel: &ChannelName) -> Option<(Self, u64)> {
        let next = page.change(|model| model.talk_mut(channel).map(|talk| talk.watch()))?;
        Some((Self { page: page.clone(), channel: channel.clone() }, next))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.page.change(|model| {
            if let Some(talk) = model.talk_mut(&self.channel) {
                talk.unwatch();
            }
        });
    }
}
