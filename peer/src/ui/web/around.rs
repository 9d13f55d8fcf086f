//! A talk that is opened at one of its messages: what stands around it, and what comes behind that.

use actix_web::{HttpResponse, web};
use common::name::{ChannelName, UserName};
use common::proto::status::{Code, Refusal};
use maud::{Markup, html as markup};
use serde::Deserialize;

use super::door::html;
use super::kept::Mark;
use super::page::{PAGE_ROWS, Page};
use super::people;
use super::talk::{self, with_lines};
use super::views::{self, Chain, place};
use crate::api::{Command, Conversation, DirectCommand, HistoryOf, Reply};

/// So many of the messages of a view stand behind the one at which it is opened.
const BEHIND: u64 = PAGE_ROWS as u64 / 2;

/// At which message a talk is opened; at its end when absent.
#[derive(Deserialize)]
pub(super) struct Opened {
    pub at: Option<String>,
}

/// Behind which message the next ones are wanted.
#[derive(Deserialize)]
pub(super) struct Behind {
    after: String,
}

/// What stands around an entry; the newest, when it cannot be had.
pub(super) async fn channel(page: &Page, channel: &ChannelName, at: &str) -> Markup {
    match channel_at(page, channel, at).await {
        Ok(shown) => shown,
        Err(why) => markup! { (talk::newest_log(page, channel).await) (views::not_there(&why)) },
    }
}

async fn channel_at(page: &Page, channel: &ChannelName, at: &str) -> Result<Markup, Refusal> {
    let at = at.parse::<Mark>().map_err(|()| Refusal::from(Code::NoSuchEntry))?;
    let before = at.seq.saturating_add(BEHIND + 1);
    let history = page.history(channel, PAGE_ROWS, Some(before)).await?;
    if !history.messages.iter().any(|message| Mark::of(message) == at) {
        let why = history.missing.map(|missing| Refusal::new(missing.code, missing.reason));
        return Err(why.unwrap_or_else(|| Code::NoSuchEntry.into()));
    }
    Ok(with_lines(page, None, |lines| {
        let rows = views::rows(&lines.pointing_at(at), &mut Chain::default(), &history.messages);
        markup! { (views::older(&history)) (rows) (views::newer(&history)) }
    }))
}

/// The messages of a channel behind one that a view shows.
pub(super) async fn channel_newer(
    page: web::Data<Page>,
    channel: web::Path<ChannelName>,
    behind: web::Query<Behind>,
) -> HttpResponse {
    let Ok(after) = behind.after.parse::<Mark>() else { return HttpResponse::BadRequest().finish() };
    // With the one that is there already, so that those of one author stand together.
    let count = PAGE_ROWS + 1;
    let before = after.seq.saturating_add(u64::from(count) + 1);
    match page.history(&channel, count, Some(before)).await {
        Ok(history) => html(rows_behind(&page, history, after)),
        Err(refusal) => html(views::no_newer(&views::channel_path(&channel), &behind.after, &refusal)),
    }
}

fn rows_behind(page: &Page, mut history: HistoryOf, after: Mark) -> Markup {
    if history.head.epoch != after.epoch {
        // The view takes this for the end, and begins anew since it cannot go on from there.
        return Markup::default();
    }
    let shown = history.messages.iter().position(|message| Mark::of(message) == after);
    let mut chain = shown.and_then(|at| history.messages.get(at)).map(Chain::behind).unwrap_or_default();
    history.messages.retain(|message| message.seq > after.seq);
    if history.messages.is_empty() && history.head.seq > after.seq {
        let path = views::channel_path(&history.channel);
        return views::no_newer(&path, &after.to_string(), &Code::HostAway.into());
    }
    with_lines(page, None, |lines| {
        let rows = views::rows(lines, &mut chain, &history.messages);
        markup! { (rows) (views::newer(&history)) }
    })
}

/// What stands around a private message; the newest, when it is not there.
pub(super) async fn private(page: &Page, user: &UserName, at: &str) -> Markup {
    let before = clock(at).map(|clock| clock.saturating_add(BEHIND + 1));
    let found = match before {
        Some(before) => page.conversation(user, PAGE_ROWS, Some(before)).await,
        None => Err(Code::NoSuchEntry.into()),
    };
    match found {
        Ok(found) if found.messages.iter().any(|message| place(message) == at) => {
            let more = private_newer_link(page, &found).await;
            markup! {
                (views::private_older(&found, PAGE_ROWS))
                (views::private_rows(&found.messages, None, Some(at), page.zone()))
                (more)
            }
        }
        Ok(_) => {
            markup! { (people::newest_log(page, user).await) (views::not_there(&Code::NoSuchEntry.into())) }
        }
        Err(why) => markup! { (people::newest_log(page, user).await) (views::not_there(&why)) },
    }
}

/// The messages of a conversation behind one that a view shows.
pub(super) async fn private_newer(
    page: web::Data<Page>,
    user: web::Path<UserName>,
    behind: web::Query<Behind>,
) -> HttpResponse {
    let Some(after) = clock(&behind.after) else { return HttpResponse::BadRequest().finish() };
    let (before, found) =
        tokio::join!(page.conversation(&user, 1, after.checked_add(1)), behind_clock(&page, &user, after));
    let found = match found {
        Ok(found) => found,
        Err(refusal) => {
            return html(views::no_newer(&views::private_path(&user), &behind.after, &refusal));
        }
    };
    let last = before.ok().and_then(|before| before.messages.last().cloned());
    let more = private_newer_link(&page, &found).await;
    html(markup! { (views::private_rows(&found.messages, last.as_ref(), None, page.zone())) (more) })
}

/// The clock of a private message as a page names it.
fn clock(place: &str) -> Option<u64> {
    place.split(':').next()?.parse().ok()
}

async fn behind_clock(page: &Page, user: &UserName, after: u64) -> Result<Conversation, Refusal> {
    let command = DirectCommand::Newer { user: user.clone(), count: PAGE_ROWS, after };
    match page.perform(Command::Direct(command)).await? {
        Reply::Conversation(found) => Ok(found),
        _ => Err(Code::Internal.into()),
    }
}

async fn private_newer_link(page: &Page, found: &Conversation) -> Markup {
    let Some(last) = found.messages.last() else { return Markup::default() };
    let newest = page.conversation(&found.user, 1, None).await;
    let is_last =
        newest.is_ok_and(|newest| newest.messages.last().is_none_or(|newest| newest.clock <= last.clock));
    if is_last { Markup::default() } else { views::private_newer(&found.user, last) }
}
