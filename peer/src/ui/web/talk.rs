//! A channel's page: what was said, and what waits.

use actix_web::{HttpRequest, HttpResponse, web};
use common::clock::Timestamp;
use common::name::ChannelName;
use common::proto::status::Refusal;
use maud::{Markup, html as markup};
use serde::Deserialize;

use super::around::{self, Opened};
use super::door::html;
use super::files;
use super::frame::frame;
use super::kept::Mark;
use super::page::{PAGE_ROWS, Page};
use super::views::{self, At, Chain, ChannelView, Lines};
use super::{broken, visitor_csrf};
use crate::api::{Command, FileTo, HistoryOf, OutboxCommand, OutboxList, Reply};

/// Which older messages are wanted.
#[derive(Deserialize)]
pub(super) struct Before {
    before: u64,
}

/// The page of a channel.
pub(super) async fn talk(
    request: HttpRequest,
    page: web::Data<Page>,
    channel: web::Path<ChannelName>,
    opened: web::Query<Opened>,
) -> HttpResponse {
    let channel = channel.into_inner();
    let frame = match frame(&page, &visitor_csrf(&request), At::Channel(channel.clone())).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let Some(status) = frame.status.channels.iter().find(|status| status.channel == channel) else {
        return HttpResponse::SeeOther().insert_header(("Location", "/find")).finish();
    };
    let muted = page.look(|model| model.talk(&channel).is_some_and(|talk| talk.kept.muted));
    let log = match &opened.at {
        Some(at) => around::channel(&page, &channel, at).await,
        None => newest_log(&page, &channel).await,
    };
    let outbox = outbox(&page, &channel).await;
    let place = FileTo::Channel(channel.clone());
    let files = views::shelf(&place, &files::at(&page, &place).await);
    let view = ChannelView { status, muted, log, outbox, files, is_at_end: opened.at.is_none() };
    html(views::page(&frame, &format!("#{channel}"), views::channel_page(&view)))
}

/// The newest messages, for a view that has fallen behind.
pub(super) async fn newest(page: web::Data<Page>, channel: web::Path<ChannelName>) -> HttpResponse {
    html(newest_log(&page, &channel).await)
}

/// The newest messages, and what stands above them.
pub(super) async fn newest_log(page: &Page, channel: &ChannelName) -> Markup {
    let read = page.look(|model| model.talk(channel).and_then(|talk| talk.kept.read));
    match page.history(channel, PAGE_ROWS, None).await {
        Ok(history) => log(page, &history, read),
        Err(refusal) => unreadable(&refusal),
    }
}

/// Older messages, and what stands above them.
pub(super) async fn older(
    page: web::Data<Page>,
    channel: web::Path<ChannelName>,
    wanted: web::Query<Before>,
) -> HttpResponse {
    match page.history(&channel, PAGE_ROWS, Some(wanted.before)).await {
        Ok(history) => html(log(&page, &history, None)),
        Err(refusal) => html(unreadable(&refusal)),
    }
}

fn log(page: &Page, history: &HistoryOf, read: Option<Mark>) -> Markup {
    with_lines(page, read, |lines| {
        let mut chain = Chain::default();
        let rows = views::rows(lines, &mut chain, &history.messages);
        markup! { (views::older(history)) (rows) }
    })
}

/// Draws lines for this page's user.
pub(super) fn with_lines<T>(page: &Page, read: Option<Mark>, work: impl FnOnce(&Lines<'_>) -> T) -> T {
    page.look(|model| {
        let lines = Lines {
            zone: page.zone(),
            now: Timestamp::now(),
            is_own: &|subject| model.is_own(subject),
            names_me: &|text| model.names_me(text),
            read,
            found: None,
        };
        work(&lines)
    })
}

fn unreadable(refusal: &Refusal) -> Markup {
    markup! { li.notice { p { "The messages cannot be read now: " (views::why(&refusal.reason)) } } }
}

/// What waits to be sent to a channel.
pub(super) async fn outbox(page: &Page, channel: &ChannelName) -> Markup {
    let command = Command::Outbox(OutboxCommand::List { channel: Some(channel.clone()) });
    let list = match page.perform(command).await {
        Ok(Reply::Outbox(list)) => list,
        _ => OutboxList { messages: Vec::new(), total: 0 },
    };
    let me = page.look(|model| model.me());
    views::outbox(&list, &|| views::my_picture(me.as_ref()), page.zone())
}
