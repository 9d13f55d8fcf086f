//! Files, to and from somebody with whom the user talks alone, and in channels.

use std::path::PathBuf;

use actix_web::{HttpResponse, web};
use common::proto::status::{Code, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;

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

/// Takes a file from the browser, and offers it to whomever the path names.
pub(super) async fn upload<To: Into<FileTo> + DeserializeOwned>(
    page: web::Data<Page>,
    to: web::Path<To>,
    called: web::Query<Called>,
    body: web::Payload,
) -> HttpResponse {
    let path = match page.uploads().take(&called.name, body).await {
        Ok(path) => path,
        Err(refusal) => return refused(&refusal),
    };
    match offer(&page, to.into_inner().into(), path.clone()).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refusal) => {
            page.uploads().forget(&path);
            refused(&refusal)
        }
    }
}

/// Offers what lies on this machine.
pub(super) async fn path<To: Into<FileTo> + DeserializeOwned>(
    page: web::Data<Page>,
    to: web::Path<To>,
    place: web::Form<Place>,
) -> HttpResponse {
    let (to, typed) = (to.into_inner().into(), place.path.trim());
    let offered = if typed.starts_with('/') {
        offer(&page, to.clone(), PathBuf::from(typed)).await
    } else {
        Err(Refusal::new(Code::BadRequest, "write the whole path: it begins with /"))
    };
    match offered {
        Ok(()) => html(views::path_form(&to, "", None)),
        Err(refusal) => form_error(views::path_form(&to, typed, Some(&refusal))),
    }
}

async fn offer(page: &Page, to: FileTo, path: PathBuf) -> Result<(), Refusal> {
    page.perform(Command::Files(FileCommand::Send { to, paths: vec![path] })).await.map(drop)
}

/// Does something with what is offered.
pub(super) async fn change(page: web::Data<Page>, path: web::Path<(String, String, String)>) -> HttpResponse {
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

/// What is offered there, either way.
pub(super) async fn at(page: &Page, place: &FileTo) -> Vec<FileRow> {
    let mut rows = all(page).await.unwrap_or_default();
    rows.retain(|row| match place {
        FileTo::User(user) => row.channel.is_none() && row.user.as_deref() == Some(user.as_str()),
        FileTo::Channel(channel) => row.channel.as_ref() == Some(channel),
        FileTo::Named(_) => false,
    });
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
