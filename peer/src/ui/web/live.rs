//! The socket of an open page: what has changed goes out, batched; what is written comes in.

mod files;
mod private;
mod view;

use std::pin::pin;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, Session};
use common::name::{ChannelName, UserName};
use common::proto::limits::MAX_TEXT_BYTES;
use common::proto::status::{Code, Refusal};
use serde::Deserialize;

use super::guard::Visitor;
use super::kept::Mark;
use super::page::Page;
use super::safety::is_csrf_token;
use super::views;
use crate::api::{Command, DirectCommand, OutboxCommand};
use actix_web::HttpMessage;
use view::View;

/// What happens within so much time goes out as one.
const GATHER: Duration = Duration::from_millis(50);
/// How long the first word of a page may take.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// How long a browser may take for what it is sent; then it begins anew.
const SLOW_BROWSER: Duration = Duration::from_secs(30);
/// How often an idle socket is tried.
const PING_EVERY: Duration = Duration::from_secs(30);
/// The longest thing that is said: a text in JSON, where a byte may take six.
const MAX_SAID_BYTES: usize = 6 * MAX_TEXT_BYTES + 4096;

/// What an open page says.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Said {
    /// The first: which view it shows, and up to which entry.
    Hello {
        csrf: String,
        #[serde(default)]
        channel: Option<ChannelName>,
        /// Or with whom the conversation is that it shows.
        #[serde(default)]
        with: Option<UserName>,
        #[serde(default)]
        after: Option<String>,
    },
    /// A message was written, perhaps in the place of one that was refused.
    Send {
        text: String,
        #[serde(default)]
        replaces: String,
    },
    /// All up to an entry was seen.
    Read { upto: String },
}

/// Opens the socket of a page.
pub(super) async fn live(
    request: HttpRequest,
    body: web::Payload,
    page: web::Data<Page>,
) -> Result<HttpResponse, actix_web::Error> {
    let Some(visitor) = request.extensions().get::<Visitor>().cloned() else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    let Some(seat) = page.seat() else { return Ok(HttpResponse::ServiceUnavailable().finish()) };
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream.max_frame_size(MAX_SAID_BYTES).aggregate_continuations();
    let stream = stream.max_continuation_size(MAX_SAID_BYTES);
    let socket = Socket { page: page.get_ref().clone(), visitor, session };
    actix_web::rt::spawn(async move {
        let _seat = seat;
        socket.run(stream).await;
    });
    Ok(response)
}

struct Socket {
    page: Page,
    visitor: Visitor,
    session: Session,
}

/// What is talked in.
#[derive(Clone, Debug)]
enum Place {
    Channel(ChannelName),
    With(UserName),
}

/// The page is gone, or does not speak as it should.
struct Over;

impl Socket {
    async fn run(self, mut stream: AggregatedMessageStream) {
        let ending = self.page.ending();
        let session = self.session.clone();
        let work = async {
            let hello = tokio::time::timeout(HELLO_LIMIT, self.hello(&mut stream)).await;
            let Ok(Ok((place, after))) = hello else { return };
            let view = View::open(self.page.clone(), self.visitor.csrf.clone(), place.clone(), after).await;
            let show = self.show(view);
            let listen = self.listen(&mut stream, place.as_ref());
            let (show, listen) = (pin!(show), pin!(listen));
            tokio::select! {
                _ = show => {}
                _ = listen => {}
            }
        };
        tokio::select! {
            () = work => {}
            () = ending.requested() => {}
        }
        // A page that gets this word comes back as soon as it can. Gone already is as good.
        let _ = session.close(Some(CloseCode::Restart.into())).await;
    }

    async fn hello(
        &self,
        stream: &mut AggregatedMessageStream,
    ) -> Result<(Option<Place>, Option<String>), Over> {
        match self.next(stream).await? {
            Said::Hello { csrf, channel, with, after } if is_csrf_token(&self.visitor.cookie, &csrf) => {
                Ok((channel.map(Place::Channel).or(with.map(Place::With)), after))
            }
            _ => Err(Over),
        }
    }

    /// Sends what has changed, as long as there is a page that takes it. One that does not keep up gets less often more.
    async fn show(&self, mut view: View) -> Result<(), Over> {
        let mut changes = self.page.changes();
        loop {
            changes.mark_unchanged();
            let news = view.news().await;
            if !news.is_empty() {
                self.say(news).await?;
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| Over)?,
                () = tokio::time::sleep(PING_EVERY) => self.ping().await?,
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    async fn say(&self, news: String) -> Result<(), Over> {
        let mut session = self.session.clone();
        match tokio::time::timeout(SLOW_BROWSER, session.text(news)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Over),
        }
    }

    async fn ping(&self) -> Result<(), Over> {
        self.session.clone().ping(b"").await.map_err(|_| Over)
    }

    async fn listen(&self, stream: &mut AggregatedMessageStream, place: Option<&Place>) -> Result<(), Over> {
        loop {
            match (self.next(stream).await?, place) {
                (Said::Send { text, replaces }, Some(place)) => {
                    let refusal = self.send(place, &text, replaces).await.err();
                    let said = views::composer_said(refusal.as_ref().map(|refusal| (refusal, text.as_str())));
                    self.say(said.into_string()).await?;
                }
                (Said::Read { upto }, Some(Place::Channel(channel))) => {
                    if let Ok(upto) = upto.parse::<Mark>() {
                        self.page.change(|model| model.read(channel, upto));
                    }
                }
                (Said::Read { .. }, Some(Place::With(user))) => {
                    self.page.change(|model| model.read_private(user));
                }
                _ => return Err(Over),
            }
        }
    }

    async fn send(&self, place: &Place, text: &str, replaces: String) -> Result<(), Refusal> {
        // A browser says CR LF in forms; people mean one line end.
        let text = text.replace("\r\n", "\n");
        if text.trim().is_empty() {
            return Err(Code::TextEmpty.into());
        }
        let command = match place {
            Place::With(user) => Command::Direct(DirectCommand::Msg { user: user.clone(), text }),
            Place::Channel(channel) if replaces.is_empty() => {
                Command::Send { channel: channel.clone(), text }
            }
            Place::Channel(_) => Command::Outbox(OutboxCommand::Edit { id: replaces, text }),
        };
        self.page.perform(command).await.map(drop)
    }

    /// The next thing that the page says.
    async fn next(&self, stream: &mut AggregatedMessageStream) -> Result<Said, Over> {
        loop {
            match stream.recv().await {
                Some(Ok(AggregatedMessage::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|_| Over);
                }
                Some(Ok(AggregatedMessage::Ping(bytes))) => {
                    self.session.clone().pong(&bytes).await.map_err(|_| Over)?;
                }
                Some(Ok(AggregatedMessage::Pong(_))) => {}
                Some(Ok(AggregatedMessage::Binary(_) | AggregatedMessage::Close(_)) | Err(_)) | None => {
                    return Err(Over);
                }
            }
        }
    }
}
