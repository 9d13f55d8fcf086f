//! Coming in and going out: links, and the end of the peer.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use common::clock::Timestamp;
use serde::Deserialize;

use super::guard::{Visitor, key_cookie};
use super::page::Page;
use super::views;

/// What stands behind the `#` of a link.
#[derive(Deserialize)]
pub(super) struct Key {
    token: String,
}

/// Takes a link's key for a cookie, once.
pub(super) async fn open(page: web::Data<Page>, key: web::Form<Key>) -> HttpResponse {
    match page.with_keys(|keys| keys.open(&key.token, Timestamp::now())) {
        Ok(Some(cookie)) => {
            page.save(true).await;
            HttpResponse::NoContent().cookie(key_cookie(page.address().port(), cookie)).finish()
        }
        Ok(None) => HttpResponse::Forbidden().finish(),
        Err(error) => {
            tracing::error!(err = %error, "no key can be made");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Makes a link for another browser.
pub(super) async fn new_link(page: web::Data<Page>) -> HttpResponse {
    match page.new_link() {
        Ok(link) => html(views::link_card(&link)),
        Err(error) => {
            tracing::error!(err = %error, "no link can be made");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Closes the page for this browser: it has to come with a new link.
pub(super) async fn lock(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let visitor = request.extensions().get::<Visitor>().cloned();
    if let Some(visitor) = visitor {
        page.with_keys(|keys| keys.forget(&visitor.cookie));
        page.save(true).await;
    }
    HttpResponse::NoContent().insert_header(("HX-Redirect", "/")).finish()
}

/// Stops the peer.
pub(super) async fn quit(page: web::Data<Page>) -> HttpResponse {
    page.quit();
    html(views::stopped())
}

/// An answer that is a page, or a part of one.
pub(super) fn html(content: maud::Markup) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(content.into_string())
}

/// The same for a form that comes back with what is wrong.
pub(super) fn form_error(content: maud::Markup) -> HttpResponse {
    HttpResponse::UnprocessableEntity().content_type("text/html; charset=utf-8").body(content.into_string())
}
