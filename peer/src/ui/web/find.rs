//! Which channels there are.

use actix_web::{HttpRequest, HttpResponse, web};
use common::proto::directory::Listed;
use common::proto::status::{Code, Refusal};
use serde::Deserialize;

use super::account::enter;
use super::door::html;
use super::frame::frame;
use super::page::Page;
use super::views::{self, At, FindView, FrameView};
use super::{broken, visitor_csrf};
use crate::api::{Channels, Command, Reply, SessionState};

/// What is looked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    pattern: String,
    after: Option<String>,
}

/// The first page: the channels of the user, or how to come in.
pub(super) async fn home(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    shown(&request, &page, At::Home, "").await
}

/// The channels of the tracker.
pub(super) async fn find(
    request: HttpRequest,
    page: web::Data<Page>,
    wanted: web::Query<Wanted>,
) -> HttpResponse {
    shown(&request, &page, At::Find, &wanted.pattern).await
}

async fn shown(request: &HttpRequest, page: &Page, at: At, pattern: &str) -> HttpResponse {
    let frame = match frame(page, &visitor_csrf(request), at).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    if frame.status.identity.state == SessionState::None && frame.rows.is_empty() {
        return enter(page, FrameView { at: At::Enter, ..frame }).await;
    }
    let found = list(page, pattern, None).await;
    let found = views::found(&found, pattern, &|listed| is_joined(&frame, listed));
    let is_new = frame.rows.is_empty();
    let view = FindView { identity: &frame.status.identity, pattern, found, is_new };
    html(views::page(&frame, "Channels", views::find_page(&view)))
}

/// A page of the list, for a page that is open.
pub(super) async fn rows(
    request: HttpRequest,
    page: web::Data<Page>,
    wanted: web::Query<Wanted>,
) -> HttpResponse {
    let frame = match frame(&page, &visitor_csrf(&request), At::Find).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let found = list(&page, &wanted.pattern, wanted.after.clone()).await;
    html(views::found(&found, &wanted.pattern, &|listed| is_joined(&frame, listed)))
}

fn is_joined(frame: &FrameView, listed: &Listed) -> bool {
    frame.rows.iter().any(|row| row.status.id == listed.id)
}

async fn list(page: &Page, pattern: &str, after: Option<String>) -> Result<Channels, Refusal> {
    let pattern = (!pattern.trim().is_empty()).then(|| pattern.trim().to_owned());
    match page.perform(Command::List { pattern, after }).await? {
        Reply::Channels(channels) => Ok(channels),
        _ => Err(Code::Internal.into()),
    }
}
