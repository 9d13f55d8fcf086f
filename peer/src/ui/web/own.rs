//! What a channel is and who is in it; what its owner and moderators order.

use actix_web::{HttpResponse, web};
use common::clock::Timestamp;
use common::name::ChannelName;
use common::proto::channel::{Info, Role};
use common::proto::directory::{Grant, Post, View};
use common::proto::limits::MAX_RETENTION_DAYS;
use common::proto::status::{Code, Refusal};
use maud::Markup;
use serde::Deserialize;

use super::door::{form_error, html};
use super::model::plain;
use super::page::Page;
use super::views::{self, AboutView, OrdersView};
use crate::api::{BansOf, Command, MembersOf, ModerationCommand, Outcome, Reply};
use crate::ui::parse::who;
use crate::ui::render::{Renderer, Style};

/// How many acts are shown.
const ACTS: u32 = 50;

/// What an order brings.
#[derive(Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    who: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    days: String,
}

/// What the channel is, and who is in it.
pub(super) async fn about(page: web::Data<Page>, channel: web::Path<ChannelName>) -> HttpResponse {
    html(card(&page, &channel, None).await)
}

/// Has the channel's host do what owner and moderators may.
pub(super) async fn order(
    page: web::Data<Page>,
    path: web::Path<(ChannelName, String)>,
    sent: web::Form<Sent>,
) -> HttpResponse {
    let (channel, word) = path.into_inner();
    let outcome = match command(&word, sent.into_inner()) {
        Some(Ok(order)) => page.perform(Command::Moderate { channel: channel.clone(), order }).await,
        Some(Err(refusal)) => Err(refusal),
        None => return HttpResponse::NotFound().finish(),
    };
    // What all in the channel are told comes that way.
    let said = outcome.map(|reply| in_words(&page, &reply).map(|said| plain(&said, Some(&channel))));
    let card = card(&page, &channel, Some(&said)).await;
    if said.is_ok() { html(card) } else { form_error(card) }
}

/// The command of an order; `None` when there is no such order.
fn command(word: &str, sent: Sent) -> Option<Result<ModerationCommand, Refusal>> {
    let why = Some(sent.why.trim().to_owned()).filter(|why| !why.is_empty());
    let whom = || who(sent.who.trim());
    Some(match word {
        "public" => Ok(ModerationCommand::View(View::Public)),
        "restricted" => Ok(ModerationCommand::View(View::Restricted)),
        "everyone" => Ok(ModerationCommand::Post(Post::Everyone)),
        "authorized" => Ok(ModerationCommand::Post(Post::Authorized)),
        "retention" => days(&sent.days).map(|days| ModerationCommand::Retention(Some(days))),
        "forever" => Ok(ModerationCommand::Retention(None)),
        "authorize" => whom().map(|who| ModerationCommand::Authorize { who, role: Grant::Authorized }),
        "moderator" => whom().map(|who| ModerationCommand::Authorize { who, role: Grant::Moderator }),
        "deauthorize" => whom().map(|who| ModerationCommand::Deauthorize { who }),
        "kick" => whom().map(|who| ModerationCommand::Kick { who, why }),
        "ban" => whom().map(|who| ModerationCommand::Ban { who, why }),
        "unban" => whom().map(|who| ModerationCommand::Unban { who }),
        _ => return None,
    })
}

fn days(typed: &str) -> Result<u32, Refusal> {
    let days = typed.trim().parse().ok().filter(|days| (1..=MAX_RETENTION_DAYS).contains(days));
    let wrong =
        || Refusal::new(Code::Usage, format!("it is a number of days, from 1 to {MAX_RETENTION_DAYS}"));
    days.ok_or_else(wrong)
}

async fn card(page: &Page, channel: &ChannelName, said: Option<&Result<Option<String>, Refusal>>) -> Markup {
    let (info, members) = tokio::join!(info(page, channel), members(page, channel, false));
    let orders = match &info {
        Ok(info) if matches!(info.role, Role::Owner | Role::Moderator) => Some(orders(page, channel).await),
        _ => None,
    };
    views::about(&AboutView {
        channel,
        info: &info,
        members: &members,
        orders: orders.as_ref(),
        said,
        me: page.look(|model| model.me().map(|(_, subject)| subject)),
        zone: page.zone(),
    })
}

async fn orders(page: &Page, channel: &ChannelName) -> OrdersView {
    let moderate = |order| page.perform(Command::Moderate { channel: channel.clone(), order });
    let (granted, bans, audit) = tokio::join!(
        members(page, channel, true),
        moderate(ModerationCommand::Bans),
        moderate(ModerationCommand::Audit { count: ACTS }),
    );
    let audit = audit.ok().and_then(|reply| in_words(page, &reply));
    OrdersView { granted: granted.ok(), bans: bans_of(bans), audit }
}

fn bans_of(outcome: Outcome) -> Option<BansOf> {
    match outcome {
        Ok(Reply::Bans(list)) => Some(list),
        _ => None,
    }
}

/// As the terminal says it.
pub(super) fn in_words(page: &Page, reply: &Reply) -> Option<String> {
    Renderer { style: Style::default(), zone: page.zone().clone() }.reply(reply, Timestamp::now())
}

async fn info(page: &Page, channel: &ChannelName) -> Result<Info, Refusal> {
    match page.perform(Command::Info { channel: channel.clone() }).await? {
        Reply::Info(info) => Ok(*info),
        _ => Err(Code::Internal.into()),
    }
}

async fn members(page: &Page, channel: &ChannelName, granted: bool) -> Result<MembersOf, Refusal> {
    match page.perform(Command::Members { channel: channel.clone(), granted }).await? {
        Reply::Members(members) => Ok(members),
        _ => Err(Code::Internal.into()),
    }
}
