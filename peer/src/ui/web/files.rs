//! Files, to and from somebody with whom the user talks alone.

use std::path::PathBuf;

use actix_web::{HttpResponse, web};
use common::name::UserName;
use common::proto::status::{Code, Refusal};
use serde::Deserialize;

use super::door::{form_error, html};
use super::page::Page;
use super::views;
use crate::api::{Command, FileChange, FileCommand, FileRow, FileTo, Reply};

/// What a browser calls a file that it hands over.
#[derive(Deserialize)]
pub(super) struct Called {
    name: String,
}

/// Where something lies on this machine.
#[derive(Deserialize)]
pub(super) struct Place {
    path: String,
}

/// Takes a file from the browser, and offers it.
pub(super) async fn upload(
    page: web::Data<Page>,
    user: web::Path<UserName>,
    called: web::Query<Called>,
    body: web::Payload,
) -> HttpResponse {
    let path = match page.uploads().take(&called.name, body).await {
        Ok(path) => path,
        Err(refusal) => return refused(&refusal),
    };
    match offer(&page, user.into_inner(), path.clone()).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refusal) => {
            page.uploads().forget(&path);
            refused(&refusal)
        }
    }
}

/// Offers what lies on this machine.
pub(super) async fn path(
    page: web::Data<Page>,
    user: web::Path<UserName>,
    place: web::Form<Place>,
) -> HttpResponse {
    let (user, typed) = (user.into_inner(), place.path.trim());
    let offered = if typed.starts_with('/') {
        offer(&page, user.clone(), PathBuf::from(typed)).await
    } else {
        Err(Refusal::new(Code::BadRequest, "write the whole path: it begins with /"))
    };
    match offered {
        Ok(()) => html(views::path_form(&user, "", None)),
        Err(refusal) => form_error(views::path_form(&user, typed, Some(&refusal))),
    }
}

async fn offer(page: &Page, user: UserName, path: PathBuf) -> Result<(), Refusal> {
    page.perform(Command::Files(FileCommand::Send { to: FileTo::User(user), paths: vec![path] }))
        .await
        .map(drop)
}

/// Does something with what is offered.
pub(super) async fn change(
    page: web::Data<Page>,
    path: web::Path<(UserName, String, String)>,
) -> HttpResponse {
    let (_, id, verb) = path.into_inner();
    let change = match verb.as_str() {
        "accept" => FileChange::Accept,
        "reject" => FileChange::Reject,
        "pause" => FileChange::Pause,
        "resume" => FileChange::Resume,
        "cancel" => FileChange::Cancel,
        _ => return HttpResponse::NotFound().finish(),
    };
    if let Err(refusal) = page.perform(Command::Files(FileCommand::Change { id, change })).await {
        page.change(|model| model.say(&refusal.reason));
    }
    HttpResponse::NoContent().finish()
}

/// What is offered between the user and somebody, either way.
pub(super) async fn of(page: &Page, user: &UserName) -> Vec<FileRow> {
    let mut rows = all(page).await.unwrap_or_default();
    rows.retain(|row| row.channel.is_none() && row.user.as_deref() == Some(user.as_str()));
    rows
}

/// All that is offered.
pub(super) async fn all(page: &Page) -> Result<Vec<FileRow>, Refusal> {
    match page.perform(Command::Files(FileCommand::List)).await? {
        Reply::Files(list) => Ok(list.files),
        _ => Err(Code::Internal.into()),
    }
}

/// A script asks, and shows the words as they are.
fn refused(refusal: &Refusal) -> HttpResponse {
    let words = views::why(&refusal.reason);
    HttpResponse::UnprocessableEntity().content_type("text/plain; charset=utf-8").body(words)
}
