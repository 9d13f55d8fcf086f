//! The peer's own page, in a browser: HTML that the peer draws, kept up to date over a socket.
//!
//! It drives the same commands and shows the same events as the other interfaces ([`crate::api`]). Every answer is
//! drawn from what the node says at that moment (`frame`, `talk`, `find`, `account`); what only events can tell, such
//! as what is unread, is in one pure model (`model`), which the one who takes the events fills (`feed`). An open page has
//! a socket (`live`) over which it gets what has changed. Who may ask is decided in `safety` and `guard`.

mod account;
mod actions;
mod around;
mod assets;
mod door;
mod feed;
mod files;
mod find;
mod frame;
mod guard;
mod here;
mod kept;
mod live;
mod model;
mod own;
mod page;
mod people;
mod safety;
mod search;
mod server;
mod talk;
mod uploads;
mod views;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use common::proto::status::Refusal;
use common::shutdown::{Shutdown, ShutdownTrigger};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Exit, Node};
use crate::api::Event;
use crate::events::EventQueue;
use guard::Visitor;
use kept::KeptFile;
use page::{Page, PageParts};
use uploads::Uploads;

/// How long what is left to take and to answer may take at the end.
const END_LIMIT: Duration = Duration::from_secs(3);

/// What the page is told.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Where to serve it.
    pub address: SocketAddr,
    /// Where the peer keeps its state.
    pub data_dir: PathBuf,
    /// Given when the page's user wants the peer to stop.
    pub quit: ShutdownTrigger,
}

/// The page, while it is served.
pub struct Web {
    page: Page,
    link: String,
    queue: Arc<EventQueue>,
    feed: JoinHandle<()>,
    keep: JoinHandle<()>,
    server: ServerHandle,
    end: ShutdownTrigger,
}

/// Serves the page of a node. With `beside`, another interface gets all events too, from the queue that comes back.
///
/// # Errors
/// When the address cannot be listened on, or there is no randomness for the link.
pub fn start<N: Node + Sync>(
    node: N,
    queue: EventQueue,
    config: WebConfig,
    beside: bool,
) -> io::Result<(Web, Option<EventQueue>)> {
    let listener = server::listen(config.address)?;
    let (end, ending) = Shutdown::new();
    let file = KeptFile::of(&config.data_dir);
    let kept = file.load();
    let address = listener.local_addr()?;
    let uploads = Uploads::of(&config.data_dir);
    let page = Page::new(PageParts { node, file, kept, uploads, address, quit: config.quit, ending });
    let link = page.new_link().map_err(io::Error::other)?;
    let server = server::serve(listener, page.clone())?;
    let (tell, other) = if beside {
        // Behind what there is: an interface is ready first.
        queue.put(Event::Page { address: link.clone() });
        let (tell, other) = queue.beside();
        (Some(tell), Some(other))
    } else {
        (None, None)
    };
    let queue = Arc::new(queue);
    let feed = actix_rt::spawn(feed::run(page.clone(), queue.clone(), tell));
    let keep = actix_rt::spawn(feed::keep(page.clone()));
    Ok((Web { page, link, queue, feed, keep, server, end }, other))
}

impl Web {
    /// What opens the page, once.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.page.address()
    }

    /// One more link that opens the page once.
    ///
    /// # Errors
    /// When there is no randomness for it.
    pub fn new_link(&self) -> io::Result<String> {
        self.page.new_link().map_err(io::Error::other)
    }

    /// Stays until the signal to stop comes, or the node is gone: for a page that is all the interface there is.
    pub async fn serve_alone<N: Node>(&mut self, node: &N, drain: Duration, shutdown: &Shutdown) -> Exit {
        tokio::select! {
            () = shutdown.requested() => {
                node.finish(drain).await;
                Exit::Done
            }
            _ = &mut self.feed => if shutdown.is_requested() { Exit::Done } else { Exit::Failed },
        }
    }

    /// Takes what was told to the end, closes the sockets, and stops serving.
    pub async fn stop(self) {
        self.queue.finish();
        if !self.feed.is_finished() {
            // What is not taken in time does not count as shown.
            let _ = timeout(END_LIMIT, self.feed).await;
        }
        self.end.request();
        let _ = timeout(END_LIMIT, self.keep).await;
        let _ = timeout(END_LIMIT, self.server.stop(true)).await;
    }
}

/// What this browser's changes bring along.
fn visitor_csrf(request: &HttpRequest) -> String {
    request.extensions().get::<Visitor>().map(|visitor| visitor.csrf.clone()).unwrap_or_default()
}

/// The answer when not even the frame can be drawn: the peer is stopping, or broken.
fn broken(refusal: &Refusal) -> HttpResponse {
    HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body(refusal.reason.clone())
}
