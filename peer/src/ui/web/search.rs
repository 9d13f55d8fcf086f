//! Looking for what was said.

use actix_web::{HttpRequest, HttpResponse, web};
use common::clock::Timestamp;
use common::proto::status::{Code, Refusal};
use serde::Deserialize;

use super::door::html;
use super::frame::frame;
use super::page::Page;
use super::views::{self, At, FrameView, SearchView};
use super::{broken, visitor_csrf};
use crate::api::{Command, DEFAULT_FOUND, Look, Place, Reply, SearchCommand};
use crate::ui::parse::search::{Wrong, read};

/// How many messages before and after each are shown.
const AROUND: u32 = 1;

/// What is looked for, as forms and links say it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// What was typed, as on a terminal.
    #[serde(default)]
    pub q: String,
    /// Where, as the terminal says it; everywhere when empty.
    #[serde(default, rename = "in")]
    pub place: String,
    /// Where the user was, who may have meant only that.
    #[serde(default)]
    pub near: String,
    /// Whether the channel's host is asked: then it says anything.
    #[serde(default)]
    pub host: String,
    /// Only what comes behind this.
    #[serde(default)]
    pub older: String,
}

/// The page of what is looked for.
pub(super) async fn search(
    request: HttpRequest,
    page: web::Data<Page>,
    asked: web::Query<Asked>,
) -> HttpResponse {
    let frame = match frame(&page, &visitor_csrf(&request), At::Search).await {
        Ok(frame) => frame,
        Err(refusal) => return broken(&refusal),
    };
    let found = match asked.q.trim().is_empty() {
        true => None,
        false => Some(look(&page, &asked).await),
    };
    let view =
        SearchView { asked: &asked, places: &places(&frame), found: found.as_ref(), zone: page.zone() };
    html(views::page(&frame, "Search", views::search_page(&view)))
}

/// What comes behind the last that was found, for a page that is open.
pub(super) async fn rows(page: web::Data<Page>, asked: web::Query<Asked>) -> HttpResponse {
    html(views::found_rows(&asked, &look(&page, &asked).await, page.zone()))
}

/// What was looked for in the end, and what was found.
pub(super) async fn look(page: &Page, asked: &Asked) -> Looked {
    let look = match wanted(page, asked) {
        Ok(look) => look,
        Err(refusal) => return Looked { place: None, at_host: false, found: Err(refusal) },
    };
    let (place, at_host) = (look.place.clone(), look.at_host);
    let found = match page.perform(Command::Search(SearchCommand::Find(Box::new(look)))).await {
        Ok(Reply::Found(found)) => Ok(found),
        Ok(_) => Err(Code::Internal.into()),
        Err(refusal) => Err(refusal),
    };
    Looked { place, at_host, found }
}

/// What has come of looking.
pub(super) struct Looked {
    /// Where it was looked for.
    pub place: Option<Place>,
    /// Whether the channel's host was asked.
    pub at_host: bool,
    pub found: Result<crate::api::Found, Refusal>,
}

/// What is typed counts first: who writes where, means it.
fn wanted(page: &Page, asked: &Asked) -> Result<Look, Refusal> {
    let (now, zone) = (Timestamp::now(), page.zone());
    let usage = |why: String| Refusal::new(Code::Usage, why);
    let typed = read(&asked.q, now, zone).map_err(|wrong| match wrong {
        Wrong::Usage(why) => usage(why),
        Wrong::Name(refusal) => refusal,
    })?;
    let SearchCommand::Find(look) = typed else {
        return Err(usage("that is for the terminal: nothing but looking is done here".to_owned()));
    };
    let place = look.place.or(views::place_of(&asked.place)?);
    let is_channel = matches!(place, Some(Place::Channel(_)));
    let older = match asked.older.as_str() {
        "" => None,
        older => Some(older.parse().map_err(|()| Refusal::from(Code::BadRequest))?),
    };
    let at_host = is_channel && (look.at_host || !asked.host.is_empty());
    Ok(Look { place, at_host, older, limit: DEFAULT_FOUND, context: AROUND, ..*look })
}

/// All places of the user.
fn places(frame: &FrameView) -> Vec<Place> {
    let channels = frame.rows.iter().map(|row| Place::Channel(row.status.channel.clone()));
    let people = frame.people.iter().map(|row| Place::User(row.contact.user.clone()));
    channels.chain(people).collect()
}
