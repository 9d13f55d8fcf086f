//! The HTTP server: its limits, and which path leads where.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};
use common::name::{ChannelName, UserName};

use super::guard::{KEY_PATH, LIVE_PATH, guard};
use super::page::Page;
use super::{account, actions, around, assets, door, files, find, here, live, own, people, search, talk};

/// How many connections may be open at once.
const MAX_CONNECTIONS: usize = 256;
/// How many bytes a form may have; a message comes through the socket.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// How long a request's head may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long requests under way may take at the end, in seconds.
const STOP_LIMIT_SECONDS: u64 = 1;

/// Listens where the page is to be served.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves the page, from a thread of its own.
pub(super) fn serve(listener: TcpListener, page: Page) -> io::Result<ServerHandle> {
    let page = web::Data::new(page);
    let app = move || {
        App::new()
            .app_data(page.clone())
            .app_data(web::FormConfig::default().limit(MAX_FORM_BYTES))
            .app_data(web::PayloadConfig::new(MAX_FORM_BYTES))
            .configure(routes)
            .wrap(from_fn(guard))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .client_request_timeout(REQUEST_LIMIT)
        .shutdown_timeout(STOP_LIMIT_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(err = %error, "the page is not served any more");
        }
    });
    Ok(handle)
}

fn routes(config: &mut ServiceConfig) {
    config
        .route(KEY_PATH, web::post().to(door::open))
        .route(LIVE_PATH, web::get().to(live::live))
        .route("/assets/{version}/{name}", web::get().to(assets::serve))
        .route("/", web::get().to(find::home))
        .route("/find", web::get().to(find::find))
        .route("/find/rows", web::get().to(find::rows))
        .route("/search", web::get().to(search::search))
        .route("/search/rows", web::get().to(search::rows))
        .route("/join", web::post().to(actions::join))
        .route("/host", web::post().to(actions::host))
        .route("/me", web::get().to(account::me))
        .route("/status", web::get().to(account::status))
        .route("/account/{way}", web::post().to(account::act))
        .route("/people", web::get().to(people::people))
        .route("/people/card", web::get().to(people::card))
        .route("/people/{verb}", web::post().to(people::act))
        .route("/here", web::get().to(here::rows))
        .route("/here/{verb}", web::post().to(here::watch))
        .route("/broadcast", web::post().to(here::broadcast))
        .service(
            web::scope("/p/{user}")
                .route("", web::get().to(people::talk))
                .route("/newest", web::get().to(people::newest))
                .route("/older", web::get().to(people::older))
                .route("/newer", web::get().to(around::private_newer))
                .route("/upload", web::post().to(files::upload::<UserName>))
                .route("/path", web::post().to(files::path::<UserName>))
                .route("/files/{id}/{verb}", web::post().to(files::change)),
        )
        .route("/link", web::post().to(door::new_link))
        .route("/lock", web::post().to(door::lock))
        .route("/quit", web::post().to(door::quit))
        .service(
            web::scope("/c/{channel}")
                .route("", web::get().to(talk::talk))
                .route("/newest", web::get().to(talk::newest))
                .route("/older", web::get().to(talk::older))
                .route("/newer", web::get().to(around::channel_newer))
                .route("/erase", web::post().to(actions::erase))
                .route("/about", web::get().to(own::about))
                .route("/order/{word}", web::post().to(own::order))
                .route("/upload", web::post().to(files::upload::<ChannelName>))
                .route("/path", web::post().to(files::path::<ChannelName>))
                .route("/files/{id}/{verb}", web::post().to(files::change))
                .route("/{verb}", web::post().to(actions::channel))
                .route("/outbox/{id}/{verb}", web::post().to(actions::outbox)),
        );
}
