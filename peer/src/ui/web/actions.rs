//! What buttons and forms have the node do.

use actix_web::{HttpResponse, web};
use common::name::ChannelName;
use common::proto::status::{Code, Refusal};
use serde::Deserialize;

use super::door::{form_error, html};
use super::kept::Mark;
use super::model::Notice;
use super::own::in_words;
use super::page::Page;
use super::views;
use crate::api::{Command, LogFrom, OutboxCommand, Reply};

/// Names a channel.
#[derive(Deserialize)]
pub(super) struct Named {
    channel: String,
    /// Whether it is to be hosted here though it is hosted elsewhere so far: then it says anything.
    #[serde(default)]
    takeover: String,
}

impl Named {
    fn channel(&self) -> Result<ChannelName, Refusal> {
        self.channel
            .trim()
            .parse()
            .map_err(|error: common::name::NameError| Refusal::new(Code::BadName, error.to_string()))
    }
}

/// Joins a channel and goes there.
pub(super) async fn join(page: web::Data<Page>, named: web::Form<Named>) -> HttpResponse {
    let joined = match named.channel() {
        Ok(channel) => page.perform(Command::Join { channel: channel.clone() }).await.map(|_| channel),
        Err(refusal) => Err(refusal),
    };
    match joined {
        Ok(channel) => go_to(&page, &views::channel_path(&channel)),
        Err(refusal) => html(views::toast(&Notice {
            text: views::why(&refusal.reason),
            is_bad: true,
            ..Notice::default()
        })),
    }
}

/// Hosts a channel and goes there.
pub(super) async fn host(page: web::Data<Page>, named: web::Form<Named>) -> HttpResponse {
    let hosted = match named.channel() {
        Ok(channel) => {
            let command = match named.takeover.as_str() {
                "" => Command::Host { channel: channel.clone() },
                _ => Command::TakeOver { channel: channel.clone(), log: LogFrom::Received },
            };
            page.perform(command).await.map(|_| channel)
        }
        Err(refusal) => Err(refusal),
    };
    match hosted {
        Ok(channel) => go_to(&page, &views::channel_path(&channel)),
        Err(refusal) => form_error(views::host_form(&named.channel, Some(&refusal))),
    }
}

/// Does something with a channel.
pub(super) async fn channel(page: web::Data<Page>, path: web::Path<(ChannelName, String)>) -> HttpResponse {
    let (channel, verb) = path.into_inner();
    let here = views::channel_path(&channel);
    let (command, next) = match verb.as_str() {
        "mute" | "unmute" => {
            page.change(|model| model.mute(&channel, verb == "mute"));
            return go_to(&page, &here);
        }
        "leave" => (Command::Leave { channel: channel.clone() }, Some("/")),
        "unhost" => (Command::Unhost { channel: channel.clone(), release: false }, Some("/")),
        "release" => (Command::Unhost { channel: channel.clone(), release: true }, Some("/")),
        "retry" => (Command::Outbox(OutboxCommand::Retry { which: channel.to_string() }), None),
        "recover" => (Command::Recover { channel: channel.clone(), fork: false }, None),
        "fork" => (Command::Recover { channel: channel.clone(), fork: true }, None),
        _ => return HttpResponse::NotFound().finish(),
    };
    match (page.perform(command).await, next) {
        (Ok(reply @ Reply::Recovered(_)), _) => {
            let said = in_words(&page, &reply).unwrap_or_default();
            page.change(|model| model.tell(&channel, &said));
            HttpResponse::NoContent().finish()
        }
        (Ok(_), Some(next)) => {
            page.change(|model| model.forget(&channel));
            go_to(&page, next)
        }
        (Ok(_), None) => HttpResponse::NoContent().finish(),
        (Err(refusal), _) => said(&page, &refusal),
    }
}

/// Which message is to be erased, and why.
#[derive(Deserialize)]
pub(super) struct Erasing {
    at: String,
    #[serde(default)]
    why: String,
}

/// Erases a message for everybody; all who show it are told as members of the channel.
pub(super) async fn erase(
    page: web::Data<Page>,
    channel: web::Path<ChannelName>,
    erasing: web::Form<Erasing>,
) -> HttpResponse {
    match erase_at(&page, &channel, &erasing).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(refusal) => said(&page, &refusal),
    }
}

async fn erase_at(page: &Page, channel: &ChannelName, erasing: &Erasing) -> Result<(), Refusal> {
    let at = erasing.at.parse::<Mark>().map_err(|()| Refusal::from(Code::NoSuchEntry))?;
    // In a log that was begun anew, the number is another message's.
    let there = page.history(channel, 1, at.seq.checked_add(1)).await?;
    if !there.messages.iter().any(|message| Mark::of(message) == at) {
        return Err(Code::NoSuchEntry.into());
    }
    let why = Some(erasing.why.trim().to_owned()).filter(|why| !why.is_empty());
    page.perform(Command::Erase { channel: channel.clone(), seq: at.seq, why }).await.map(drop)
}

/// Does something with a message that waits to be sent.
pub(super) async fn outbox(
    page: web::Data<Page>,
    path: web::Path<(ChannelName, String, String)>,
) -> HttpResponse {
    let (_, id, verb) = path.into_inner();
    let command = match verb.as_str() {
        "retry" => OutboxCommand::Retry { which: id },
        "cancel" => OutboxCommand::Cancel { id },
        _ => return HttpResponse::NotFound().finish(),
    };
    match page.perform(Command::Outbox(command)).await {
        Ok(_) => HttpResponse::NoContent().finish(),
        Err(refusal) => said(&page, &refusal),
    }
}

/// A button has no place of its own for what went wrong: it is said where all is said.
fn said(page: &Page, refusal: &Refusal) -> HttpResponse {
    page.change(|model| model.say(&refusal.reason));
    HttpResponse::NoContent().finish()
}

fn go_to(page: &Page, path: &str) -> HttpResponse {
    page.change(|model| model.frame += 1);
    HttpResponse::NoContent().insert_header(("HX-Redirect", path.to_owned())).finish()
}
