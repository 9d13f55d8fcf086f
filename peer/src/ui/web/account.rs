//! Who the user is, and what is connected.

use actix_web::{HttpRequest, HttpResponse, web};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use serde::Deserialize;

use super::door::{form_error, html};
use super::frame::frame;
use super::page::Page;
use super::views::{self, AccountView, At, FrameView};
use super::{broken, visitor_csrf};
use crate::api::{ChannelStatus, Command, Identity, Reply, SessionState, Trust};

/// The page of who the user is.
pub(super) async fn me(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let frame = match frame(&page, &visitor_csrf(&request), At::Me).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let trust = trust(&page).await;
    let hosted = hosted(&frame.status.channels);
    let view =
        AccountView { identity: &frame.status.identity, trust: trust.as_ref(), hosted: &hosted, sent: None };
    html(views::page(&frame, "You", views::account_page(&view)))
}

/// The page of somebody who is not in.
pub(super) async fn enter(page: &Page, frame: FrameView) -> HttpResponse {
    let trust = trust(page).await;
    let view =
        AccountView { identity: &frame.status.identity, trust: trust.as_ref(), hosted: &[], sent: None };
    let why = page.look(|model| model.notices.since(0).filter(|notice| notice.is_bad).last().cloned());
    let why = why.map(|notice| notice.text);
    html(views::page(&frame, "Welcome", views::enter_page(&view, why.as_deref())))
}

/// The page of what is connected.
pub(super) async fn status(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let frame = match frame(&page, &visitor_csrf(&request), At::Status).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let notices = page.look(|model| model.notices.since(0).cloned().collect::<Vec<_>>());
    html(views::page(&frame, "Status", views::status_page(&frame.status, &notices)))
}

/// What a form of the account brings.
#[derive(Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    name: String,
    password: Option<Secret>,
    old: Option<Secret>,
    key: Option<PeerKey>,
}

/// Does what a form of the account asks for.
pub(super) async fn act(
    page: web::Data<Page>,
    way: web::Path<String>,
    sent: web::Form<Sent>,
) -> HttpResponse {
    let sent = sent.into_inner();
    let typed = sent.name.clone();
    let before = identity(&page).await;
    let outcome = match command(&way, sent) {
        Some(Ok(command)) => page.perform(command).await.map(|_| "Done."),
        Some(Err(refusal)) => Err(refusal),
        None => return HttpResponse::NotFound().finish(),
    };
    let Some(identity) = identity(&page).await else { return HttpResponse::ServiceUnavailable().finish() };
    page.change(|model| model.see_identity(&identity));
    let was_out = before.is_none_or(|before| before.state == SessionState::None);
    if outcome.is_ok() && was_out && identity.state != SessionState::None {
        return HttpResponse::NoContent().insert_header(("HX-Redirect", "/")).finish();
    }
    let trust = trust(&page).await;
    let hosted = hosted(&page.channels().await.unwrap_or_default());
    let sent = Some((way.as_str(), typed.as_str(), &outcome));
    let view = AccountView { identity: &identity, trust: trust.as_ref(), hosted: &hosted, sent };
    let card = views::account_card(&view);
    if outcome.is_ok() { html(card) } else { form_error(card) }
}

/// The command of a form; `None` when there is no such form.
fn command(way: &str, sent: Sent) -> Option<Result<Command, Refusal>> {
    let name = || sent.name.trim().parse::<UserName>();
    let name = || name().map(Some).map_err(|error| Refusal::new(Code::BadName, error.to_string()));
    let missing = || Refusal::from(Code::BadRequest);
    Some(match way {
        "guest" => name().map(|name| Command::Guest { name }),
        "signup" => {
            name().and_then(|name| Ok(Command::Signup { name, password: sent.password.ok_or_else(missing)? }))
        }
        "signin" => {
            name().and_then(|name| Ok(Command::Signin { name, password: sent.password.ok_or_else(missing)? }))
        }
        "signout" => Ok(Command::Signout),
        "invisible" => Ok(Command::Invisible { on: true }),
        "visible" => Ok(Command::Invisible { on: false }),
        "passwd" => {
            sent.old.zip(sent.password).map(|(old, new)| Command::Passwd { old, new }).ok_or_else(missing)
        }
        "confirm" => sent.key.map(|key| Command::ConfirmTracker { key }).ok_or_else(missing),
        _ => return None,
    })
}

/// The channels that show others that this machine is up.
fn hosted(channels: &[ChannelStatus]) -> Vec<ChannelName> {
    channels.iter().filter(|status| status.hosted).map(|status| status.channel.clone()).collect()
}

async fn identity(page: &Page) -> Option<Identity> {
    match page.perform(Command::Whoami).await {
        Ok(Reply::Identity(identity)) => Some(identity),
        _ => None,
    }
}

async fn trust(page: &Page) -> Option<Trust> {
    match page.perform(Command::TrackerTrust).await {
        Ok(Reply::Trust(trust)) => Some(trust),
        _ => None,
    }
}
