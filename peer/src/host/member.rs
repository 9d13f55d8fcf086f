//! One member's connection, from CONNECT to its end: a plain task that reads and answers.
//!
//! It is spawned on whichever runtime serves the connection, so that with several threads members spread over them.

use common::entry::{Hash, TEXT, TextBody};
use common::id::RequestId;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::proto::channel::{Connect, History, HostRequest, Message, Pass, StatusOf, StatusReport};
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MAX_PAGE_ROWS, MAX_STATUS_IDS, MESSAGE_ENVELOPE_BYTES};
use common::proto::status::{Code, Refusal};
use common::proto::{Command, Empty, Request};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::HostHandle;
use super::channel::ConnId;
use super::log::PageRange;
use super::messages::{
    Asker, Describe, Enter, Entered, Identify, Inspect, Leave, ListMembers, Permit, Post, Renew,
};
use super::permission::Verb;
use super::stream::catch_up;

/// Somebody who has entered: what the task of their connection works with.
pub(crate) struct MemberSession {
    host: HostHandle,
    link: Link,
    entered: Entered,
}

/// Whether the connection goes on.
type Flow = std::ops::ControlFlow<()>;
const GO_ON: Flow = Flow::Continue(());

impl MemberSession {
    /// Enters a channel: the pass is checked here, the rest by the host, which answers when all is well.
    pub async fn enter(
        host: HostHandle,
        link: Link,
        id: RequestId,
        connect: Connect,
    ) -> Result<Self, Refusal> {
        let pass = host.check_pass(&connect.pass, link.peer_key())?;
        let (reply, answer) = oneshot::channel();
        let enter = Enter { link: link.clone(), request: id, connect, pass, reply };
        host.tell(enter).await.map_err(|_| Refusal::from(Code::GoingAway))?;
        // Waits while messages of an older connection are on their way; then either is answered, or the link closed.
        let entered = answer.await.map_err(|_| Refusal::from(Code::GoingAway))??;
        Ok(Self { host, link, entered })
    }

    /// Serves the member until the connection ends.
    pub async fn serve(self, inbox: &mut Inbox) -> CloseReason {
        let Entered { conn, after, is_live } = self.entered;
        let stream =
            (!is_live).then(|| tokio::spawn(catch_up(self.host.clone(), self.link.clone(), conn, after)));
        let reason = self.read(inbox).await;
        if let Some(stream) = stream {
            stream.abort();
        }
        // When the host has gone, so has the seat.
        let _ = self.host.tell(Leave { conn }).await;
        reason
    }

    async fn read(&self, inbox: &mut Inbox) -> CloseReason {
        loop {
            match inbox.next().await {
                Ok(Inbound::Request(request)) => {
                    if self.answer(request).await.is_break() {
                        self.link.close();
                        return CloseReason::Here;
                    }
                }
                // Nothing that a member tells is known to a host.
                Ok(Inbound::Event(_)) => {}
                Err(reason) => return reason,
            }
        }
    }

    async fn answer(&self, request: Request) -> Flow {
        let id = request.id;
        let asked = match HostRequest::parse(&request.command, &request.body) {
            Ok(asked) => asked,
            // What cannot be read has its place among the messages all the same.
            Err(refusal) if request.command == Message::NAME => {
                return self.post(id, false, Err(refusal)).await;
            }
            Err(refusal) => return self.reply::<Empty>(id, Err(refusal)),
        };
        let by = Asker { conn: self.conn(), verb: Verb::from(&asked) };
        match asked {
            HostRequest::Ping(_) => self.reply(id, Ok(Empty {})),
            HostRequest::Hello(_) | HostRequest::Connect(_) => {
                self.reply::<Empty>(id, Err(Code::WrongPhase.into()))
            }
            HostRequest::Pass(renewal) => self.reply(id, self.renew(&renewal).await),
            HostRequest::Disconnect(_) => {
                // Before the answer, so that whoever has it is no longer listed.
                let _ = self.host.tell(Leave { conn: by.conn }).await;
                let _ = self.reply(id, Ok(Empty {}));
                Flow::Break(())
            }
            HostRequest::Message(message) => {
                let restart = message.restart;
                self.post(id, restart, check(&message).map(|hash| (message, hash))).await
            }
            HostRequest::StatusOf(asked) => self.reply(id, self.status_of(by, asked).await),
            HostRequest::History(asked) => self.reply(id, self.history(by, asked).await),
            HostRequest::Members(asked) => self.reply(id, self.host.ask(ListMembers { by, asked }).await),
            HostRequest::RetInfo(_) => self.reply(id, self.host.ask(Describe { by }).await),
            HostRequest::Debug(_) => self.reply(id, self.host.ask(Inspect { by: Some(by) }).await),
        }
    }

    async fn renew(&self, renewal: &Pass) -> Result<Empty, Refusal> {
        let pass = self.host.check_pass(&renewal.pass, self.link.peer_key())?;
        self.host.ask(Renew { conn: self.conn(), pass }).await.map(|()| Empty {})
    }

    fn conn(&self) -> ConnId {
        self.entered.conn
    }

    fn reply<R: Serialize>(&self, id: RequestId, outcome: Result<R, Refusal>) -> Flow {
        // When the link has ended, the next read says so.
        let _ = self.link.answer(id, &outcome);
        GO_ON
    }

    /// Hands a message to the host, in order; the host answers when it is on disk.
    async fn post(
        &self,
        request: RequestId,
        restart: bool,
        message: Result<(Message, Hash), Refusal>,
    ) -> Flow {
        match self.host.tell(Post { conn: self.conn(), request, restart, message }).await {
            Ok(()) => GO_ON,
            Err(_) => self.reply::<Empty>(request, Err(Code::GoingAway.into())),
        }
    }

    /// Which of this member's messages are stored. What its older connection had under way was settled before it was
    /// let in, and the log is asked behind every append before: what is not found was not stored.
    async fn status_of(&self, by: Asker, StatusOf { ids }: StatusOf) -> Result<StatusReport, Refusal> {
        if ids.len() > MAX_STATUS_IDS {
            let reason = format!("STATUS_OF takes at most {MAX_STATUS_IDS} ids");
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        let writer = self.host.ask(Identify { by }).await?;
        let stored = self.host.shared.log.stored(ids, writer).await.map_err(|error| {
            tracing::warn!(channel = %self.host.id(), err = ?error.to_string(), "cannot look up messages");
            Refusal::from(Code::StorageFailed)
        })?;
        Ok(StatusReport { stored })
    }

    /// A page of the log, put together from stored bytes.
    async fn history(&self, by: Asker, asked: History) -> Result<Box<RawValue>, Refusal> {
        self.host.ask(Permit { by }).await?;
        let head = self.host.head();
        let upto = asked.before.map_or(head.seq, |before| before.saturating_sub(1).min(head.seq));
        let rows = asked.limit.unwrap_or(MAX_PAGE_ROWS).min(MAX_PAGE_ROWS) as usize;
        let range = PageRange { after: asked.after.unwrap_or(0), upto, rows, newest: true };
        let page = self.host.shared.log.page(range).await.map_err(|error| {
            tracing::warn!(channel = %self.host.id(), err = ?error.to_string(), "cannot read the log");
            Refusal::from(Code::StorageFailed)
        })?;
        let internal = |error: &dyn std::fmt::Display| {
            tracing::error!(channel = %self.host.id(), err = ?error.to_string(), "cannot make a page");
            Refusal::from(Code::Internal)
        };
        let entries: Vec<&str> = page
            .entries
            .iter()
            .map(|entry| std::str::from_utf8(entry))
            .collect::<Result<_, _>>()
            .map_err(|error| internal(&error))?;
        let head = serde_json::to_string(&head).map_err(|error| internal(&error))?;
        let body = format!(r#"{{"entries":[{}],"head":{head}}}"#, entries.join(","));
        RawValue::from_string(body).map_err(|error| internal(&error))
    }
}

/// What of a message can be checked without the channel; the hash of its body.
fn check(message: &Message) -> Result<Hash, Refusal> {
    if message.kind != TEXT {
        return Err(Code::UnknownType.into());
    }
    let body = message.body.get();
    if body.len() + MESSAGE_ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
        let reason =
            format!("a message with its frame has at most {MAX_MESSAGE_FRAME_BYTES} bytes; split it");
        return Err(Refusal::new(Code::FrameTooLong, reason));
    }
    TextBody::parse(&message.body)?;
    Ok(Hash::of(body.as_bytes()))
}
