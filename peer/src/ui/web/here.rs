//! Who is at the tracker, and words to all of them.

use actix_web::{HttpResponse, web};
use common::name::UserName;
use common::proto::status::{Code, Refusal};
use maud::Markup;
use serde::Deserialize;

use super::door::{form_error, html};
use super::page::Page;
use super::views::{self, HereView};
use crate::api::{Command, Reply, UsersOf, WatchCommand};

/// Whom the user looks for, and about whom something is to be done.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    user: String,
}

/// What is to be said to all.
#[derive(Deserialize)]
pub(super) struct Word {
    text: String,
}

/// Who is there.
pub(super) async fn rows(page: web::Data<Page>, wanted: web::Query<Wanted>) -> HttpResponse {
    html(here(&page, &wanted.pattern).await)
}

/// Is told of somebody's coming and going from now on, or not any more.
pub(super) async fn watch(
    page: web::Data<Page>,
    verb: web::Path<String>,
    wanted: web::Form<Wanted>,
) -> HttpResponse {
    let asked = wanted.user.parse::<UserName>().map(|name| match verb.as_str() {
        "watch" => Some(WatchCommand::Watch { names: vec![name] }),
        "unwatch" => Some(WatchCommand::Unwatch { names: vec![name] }),
        _ => None,
    });
    let outcome = match asked {
        Ok(Some(asked)) => page.perform(Command::Watch(asked)).await.map(drop),
        Ok(None) => return HttpResponse::NotFound().finish(),
        Err(error) => Err(Refusal::new(Code::BadName, error.to_string())),
    };
    if let Err(refusal) = outcome {
        page.change(|model| model.say(&refusal.reason));
    }
    html(here(&page, &wanted.pattern).await)
}

/// Says something to all who are there.
pub(super) async fn broadcast(page: web::Data<Page>, word: web::Form<Word>) -> HttpResponse {
    let Word { text } = word.into_inner();
    match page.perform(Command::Broadcast { text: text.clone() }).await {
        Ok(_) => html(views::broadcast_form("", Some(&Ok(())))),
        Err(refusal) => form_error(views::broadcast_form(&text, Some(&Err(refusal)))),
    }
}

async fn here(page: &Page, pattern: &str) -> Markup {
    let (users, contacts) = tokio::join!(users(page), page.contacts());
    views::here(&HereView {
        users: &users,
        pattern,
        contacts: &contacts.unwrap_or_default(),
        me: page.look(|model| model.me().map(|(_, subject)| subject)),
    })
}

async fn users(page: &Page) -> Result<UsersOf, Refusal> {
    match page.perform(Command::Users).await? {
        Reply::Users(users) => Ok(users),
        _ => Err(Code::Internal.into()),
    }
}
