//! What every request has to pass before anything is done for it, and what every answer says to the browser.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, HOST,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, PERMISSIONS_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};

use super::page::Page;
use super::safety::{cookie_days, cookie_name, is_csrf_token, is_own_host, is_own_origin};
use super::views;

/// Where a link's key is taken to the cookie.
pub(super) const KEY_PATH: &str = "/key";
/// Where the socket is.
pub(super) const LIVE_PATH: &str = "/live";
const ASSETS_PATH: &str = "/assets/";
const CSRF_HEADER: &str = "x-csrf-token";

/// Scripts, styles and pictures are our own files, nothing runs that stands in a page, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A browser that was let in.
#[derive(Clone)]
pub(super) struct Visitor {
    pub cookie: String,
    /// What its changes bring along.
    pub csrf: String,
}

/// Lets a request pass, or answers it.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = match check(&request) {
        Ok(visitor) => {
            if let Some(visitor) = visitor {
                request.extensions_mut().insert(visitor);
            }
            next.call(request).await?.map_into_boxed_body()
        }
        Err(refused) => request.into_response(*refused),
    };
    say_rules(response.headers_mut());
    Ok(response)
}

/// Who asks, when the answer needs to know; else the answer.
fn check(request: &ServiceRequest) -> Result<Option<Visitor>, Box<HttpResponse>> {
    let page = request.app_data::<web::Data<Page>>();
    let page = page.ok_or_else(|| Box::new(HttpResponse::InternalServerError().finish()))?;
    let headers = request.headers();
    let host = text(headers, HOST.as_str()).filter(|host| is_own_host(host, page.address()));
    let Some(host) = host else {
        let own = page.address();
        return Err(refuse(StatusCode::MISDIRECTED_REQUEST, format!("This page is at http://{own} only.")));
    };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes || request.path() == LIVE_PATH {
        let (origin, site) = (text(headers, ORIGIN.as_str()), text(headers, "sec-fetch-site"));
        if !is_own_origin(origin, site, host) {
            return Err(refuse(StatusCode::FORBIDDEN, "Only this page itself may ask for that.".to_owned()));
        }
    }
    if request.path() == KEY_PATH || request.path().starts_with(ASSETS_PATH) {
        return Ok(None);
    }
    let visitor = visitor(request, page).ok_or_else(|| closed_door(request))?;
    let token = text(headers, CSRF_HEADER).unwrap_or_default();
    if changes && !is_csrf_token(&visitor.cookie, token) {
        let reason = "This page is out of date: load it again.".to_owned();
        return Err(refuse(StatusCode::FORBIDDEN, reason));
    }
    Ok(Some(visitor))
}

fn visitor(request: &ServiceRequest, page: &Page) -> Option<Visitor> {
    let cookie = request.cookie(&cookie_name(page.address().port()))?.value().to_owned();
    let csrf = page.visitor(&cookie)?;
    Some(Visitor { cookie, csrf })
}

/// What a browser sees that has no key, or brings it in the link.
fn closed_door(request: &ServiceRequest) -> Box<HttpResponse> {
    match *request.method() {
        Method::GET if request.path() != LIVE_PATH => {
            let door = views::door().into_string();
            Box::new(HttpResponse::Unauthorized().content_type("text/html; charset=utf-8").body(door))
        }
        _ => refuse(StatusCode::UNAUTHORIZED, "Open the page by its link first.".to_owned()),
    }
}

/// The cookie of a browser that is let in.
pub(super) fn key_cookie(port: u16, value: String) -> Cookie<'static> {
    Cookie::build(cookie_name(port), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .max_age(Duration::days(cookie_days()))
        .finish()
}

fn refuse(status: StatusCode, reason: String) -> Box<HttpResponse> {
    Box::new(HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(reason))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name);
    let only = all.next()?.to_str().ok()?;
    // Two of them are nobody's: whoever stands between may have read the other one.
    all.next().is_none().then_some(only)
}

fn say_rules(headers: &mut HeaderMap) {
    let rules: [(HeaderName, &'static str); 7] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        (PERMISSIONS_POLICY, "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, rule) in rules {
        headers.insert(name, HeaderValue::from_static(rule));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
