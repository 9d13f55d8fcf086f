//! Whom the user knows, who asks, and private conversations.

use actix_web::{HttpRequest, HttpResponse, web};
use common::name::UserName;
use common::proto::status::{Code, Refusal};
use maud::{Markup, html as markup};
use serde::Deserialize;

use super::around::{self, Opened};
use super::door::{form_error, html};
use super::files;
use super::frame::frame;
use super::model::Model;
use super::page::{PAGE_ROWS, Page};
use super::views::{self, At, PrivateView};
use super::{broken, visitor_csrf};
use crate::api::{Command, ContactRow, DirectCommand, FileTo, Reply};

/// What a form about somebody brings.
#[derive(Deserialize)]
pub(super) struct Sent {
    user: String,
    #[serde(default)]
    key: String,
}

/// Which older messages are wanted.
#[derive(Deserialize)]
pub(super) struct Before {
    before: u64,
}

/// The page of people.
pub(super) async fn people(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let frame = match frame(&page, &visitor_csrf(&request), At::People).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let card = views::people_card(&page.contacts().await);
    html(views::page(&frame, "People", views::people_page(&card)))
}

/// Whom the user knows and who asks, for a page that is open.
pub(super) async fn card(page: web::Data<Page>) -> HttpResponse {
    html(views::people_card(&page.contacts().await))
}

/// Does what a form about somebody asks for.
pub(super) async fn act(
    page: web::Data<Page>,
    verb: web::Path<String>,
    sent: web::Form<Sent>,
) -> HttpResponse {
    let sent = sent.into_inner();
    let outcome = match command(&verb, &sent) {
        Some(Ok(command)) => page.perform(Command::Direct(command)).await.map(|reply| said(&reply)),
        Some(Err(refusal)) => Err(refusal),
        None => return HttpResponse::NotFound().finish(),
    };
    page.change(Model::know_people);
    if *verb == "start" {
        let typed = if outcome.is_err() { sent.user.as_str() } else { "" };
        let form = views::ask_form(typed, Some(&outcome));
        return if outcome.is_ok() { html(form) } else { form_error(form) };
    }
    let card = views::people_card(&page.contacts().await);
    if let Err(refusal) = outcome {
        page.change(|model| model.say(&refusal.reason));
        return form_error(card);
    }
    html(card)
}

fn command(verb: &str, sent: &Sent) -> Option<Result<DirectCommand, Refusal>> {
    let user = sent.user.trim().trim_start_matches('@').parse::<UserName>();
    let user = user.map_err(|error| Refusal::new(Code::BadName, error.to_string()));
    let key = Some(sent.key.clone()).filter(|key| !key.is_empty());
    Some(match verb {
        "start" => user.map(|user| DirectCommand::Start { user }),
        "accept" => user.map(|user| DirectCommand::Accept { user, key }),
        "reject" => user.map(|user| DirectCommand::Reject { user, key }),
        "close" => user.map(|user| DirectCommand::Close { user }),
        "block" => user.map(|user| DirectCommand::Block { user }),
        "unblock" => user.map(|user| DirectCommand::Unblock { user }),
        _ => return None,
    })
}

fn said(reply: &Reply) -> String {
    match reply {
        Reply::Started(started) => match &started.reason {
            Some(reason) => format!("Kept, and asked by itself later: {reason}"),
            None => "Asked.".to_owned(),
        },
        _ => String::new(),
    }
}

/// The page of a conversation.
pub(super) async fn talk(
    request: HttpRequest,
    page: web::Data<Page>,
    user: web::Path<UserName>,
    opened: web::Query<Opened>,
) -> HttpResponse {
    let user = user.into_inner();
    let frame = match frame(&page, &visitor_csrf(&request), At::With(user.clone())).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let Some(contact) = contact(&page, &user).await else {
        return HttpResponse::SeeOther().insert_header(("Location", "/people")).finish();
    };
    page.change(|model| model.read_private(&user));
    let log = match &opened.at {
        Some(at) => around::private(&page, &user, at).await,
        None => newest_log(&page, &user).await,
    };
    let place = FileTo::User(user.clone());
    let files = views::shelf(&place, &files::at(&page, &place).await);
    let view = PrivateView { contact: &contact, log, files, is_at_end: opened.at.is_none() };
    html(views::page(&frame, &format!("@{user}"), views::private_page(&view)))
}

/// What this user has to do with somebody.
pub(super) async fn contact(page: &Page, user: &UserName) -> Option<ContactRow> {
    page.contacts().await.ok()?.into_iter().find(|row| row.user == *user)
}

/// The newest messages, for a view that cannot go on from where it is.
pub(super) async fn newest(page: web::Data<Page>, user: web::Path<UserName>) -> HttpResponse {
    html(newest_log(&page, &user).await)
}

/// Older messages, and what stands above them.
pub(super) async fn older(
    page: web::Data<Page>,
    user: web::Path<UserName>,
    wanted: web::Query<Before>,
) -> HttpResponse {
    html(log(&page, &user, Some(wanted.before)).await)
}

/// The newest messages, and what stands above them.
pub(super) async fn newest_log(page: &Page, user: &UserName) -> Markup {
    log(page, user, None).await
}

async fn log(page: &Page, user: &UserName, before: Option<u64>) -> Markup {
    match page.conversation(user, PAGE_ROWS, before).await {
        Ok(found) => markup! {
            (views::private_older(&found, PAGE_ROWS))
            (views::private_rows(&found.messages, None, None, page.zone()))
        },
        Err(refusal) => {
            markup! { li.notice { p { "The messages cannot be read now: " (views::why(&refusal.reason)) } } }
        }
    }
}
