//! One member's connection, from CONNECT to its end: a plain task that reads and answers.
//!
//! It is spawned on whichever runtime serves the connection, so that with several threads members spread over them.

use common::clock::Timestamp;
use common::entry::{Hash, TEXT, TextBody};
use common::id::RequestId;
use common::link::{CloseReason, Inbound, Inbox, Link};
use common::pass::Pass;
use common::proto::channel::{self, Connect, HostRequest, Message};
use common::proto::file::{ChannelOffer, FILE};
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MESSAGE_ENVELOPE_BYTES};
use common::proto::status::{Code, Refusal};
use common::proto::transfer::Taken;
use common::proto::{Command, Empty, Request};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::HostHandle;
use super::channel::ConnId;
use super::held::{Held, Turn};
use super::messages::{
    Asker, Describe, Enter, Entered, Erase, Inspect, Leave, ListMembers, Moderate, Post, Renew, Take,
};
use super::moderation::Order;
use super::permission::Verb;
use super::quota::Allowance;
use super::stream::catch_up;

/// Somebody who has entered: what the task of their connection works with.
pub(crate) struct MemberSession {
    host: HostHandle,
    link: Link,
    entered: Entered,
    allowance: Allowance,
}

/// Somebody who may know of the channel, and would enter it.
pub(crate) struct Admitted {
    pub host: HostHandle,
    pub pass: Pass,
    pub allowance: Allowance,
}

/// A MESSAGE request, checked as far as it can be without the channel.
struct Incoming {
    request: RequestId,
    /// Whether the sender goes on with this one after a refusal.
    restart: bool,
    message: Result<(Message, Hash), Refusal>,
}

impl Incoming {
    fn written(&self) -> Option<Timestamp> {
        self.message.as_ref().ok().map(|(message, _)| message.sent_at)
    }

    fn bytes(&self) -> usize {
        self.message.as_ref().map_or(0, |(message, _)| message.body.get().len())
    }
}

/// Whether the connection goes on.
type Flow = std::ops::ControlFlow<()>;
const GO_ON: Flow = Flow::Continue(());

impl MemberSession {
    /// Enters a channel with a pass that counts; the rest is checked by the host, which answers when all is well.
    pub async fn enter(
        Admitted { host, pass, allowance }: Admitted,
        link: Link,
        id: RequestId,
        connect: Connect,
    ) -> Result<Self, Refusal> {
        let (reply, answer) = oneshot::channel();
        let enter = Enter { link: link.clone(), request: id, connect, pass, reply };
        host.tell(enter).await.map_err(|_| Refusal::from(Code::GoingAway))?;
        // Waits while messages of an older connection are on their way; then either is answered, or the link closed.
        let entered = answer.await.map_err(|_| Refusal::from(Code::GoingAway))??;
        Ok(Self { host, link, entered, allowance })
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
        let _ = self.host.tell(Leave { conn, is_for_good: false }).await;
        reason
    }

    async fn read(&self, inbox: &mut Inbox) -> CloseReason {
        let mut held = Held::default();
        loop {
            let inbound = tokio::select! {
                biased;
                () = until(held.turn()) => {
                    self.let_on(&mut held).await;
                    continue;
                }
                inbound = inbox.next(), if held.has_room() => inbound,
            };
            match inbound {
                Ok(Inbound::Request(request)) => {
                    if self.answer(request, &mut held).await.is_break() {
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

    async fn answer(&self, request: Request, held: &mut Held<Incoming>) -> Flow {
        let id = request.id;
        let asked = match HostRequest::parse(&request.command, &request.body) {
            Ok(asked) => asked,
            // What cannot be read has its place among the messages all the same.
            Err(refusal) if request.command == Message::NAME => {
                let incoming = Incoming { request: id, restart: false, message: Err(refusal) };
                return self.take(incoming, held).await;
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
                let _ = self.host.tell(Leave { conn: by.conn, is_for_good: true }).await;
                let _ = self.reply(id, Ok(Empty {}));
                Flow::Break(())
            }
            HostRequest::Message(message) => {
                let restart = message.restart;
                let message = check(&message).map(|hash| (message, hash));
                self.take(Incoming { request: id, restart, message }, held).await
            }
            HostRequest::StatusOf(asked) => self.reply(id, self.host.status_of(by, asked).await),
            HostRequest::History(asked) => self.reply(id, self.host.history(by, asked).await),
            HostRequest::Search(asked) => self.reply(id, self.search(by, asked).await),
            HostRequest::Verify(asked) => self.reply(id, self.host.verify(by, asked).await),
            HostRequest::Erase(asked) => self.erase(by, id, asked).await,
            HostRequest::Members(asked) if asked.granted => {
                self.reply(id, self.host.granted(by, asked.after).await)
            }
            HostRequest::Members(asked) => self.reply(id, self.host.ask(ListMembers { by, asked }).await),
            HostRequest::RetInfo(_) => self.reply(id, self.host.ask(Describe { by }).await),
            HostRequest::SetView(_)
            | HostRequest::SetPost(_)
            | HostRequest::SetRetention(_)
            | HostRequest::Authorize(_)
            | HostRequest::Deauthorize(_)
            | HostRequest::Kick(_)
            | HostRequest::Ban(_)
            | HostRequest::Unban(_) => self.moderate(by, id, Order::of(&asked)).await,
            HostRequest::Bans(asked) => self.reply(id, self.host.bans(by, asked).await),
            HostRequest::Audit(asked) => self.reply(id, self.host.audit(by, asked).await),
            HostRequest::Take(_) => self.reply(id, self.take_channel(by).await),
            HostRequest::Debug(_) => self.reply(id, self.host.ask(Inspect { by: Some(by) }).await),
        }
    }

    /// Hands an order to the host, which answers when it is done.
    async fn moderate(&self, by: Asker, request: RequestId, order: Option<Order>) -> Flow {
        let told = match order {
            Some(order) => self.host.tell(Moderate { by, request, order }).await.map_err(|_| Code::GoingAway),
            None => Err(Code::UnknownCommand),
        };
        told.map_or_else(|code| self.reply::<Empty>(request, Err(code.into())), |()| GO_ON)
    }

    /// Hands an erasure to the host, which answers when it is done. It is an entry, and counts as one.
    async fn erase(&self, by: Asker, request: RequestId, asked: channel::Erase) -> Flow {
        if let Err(wait) = self.allowance.take(None) {
            return self.reply::<Empty>(request, Err(Refusal::from(Code::TooManyRequests).after(wait)));
        }
        let told = self.host.tell(Erase { by, request, asked }).await;
        told.map_or_else(|_| self.reply::<Empty>(request, Err(Code::GoingAway.into())), |()| GO_ON)
    }

    /// Each search costs the host about as much as a hundred messages.
    async fn search(&self, by: Asker, asked: channel::Search) -> Result<Box<RawValue>, Refusal> {
        let too_often = |wait| {
            Refusal::new(Code::TooManyRequests, "you search more often than the host takes; wait a little")
                .after(wait)
        };
        self.allowance.search().map_err(too_often)?;
        self.host.search(by, asked).await
    }

    async fn take_channel(&self, by: Asker) -> Result<Taken, Refusal> {
        let going_away = || Refusal::from(Code::GoingAway);
        let taken = self.host.addr.send(Take { by }).await.map_err(|_| going_away())?;
        taken.await.map_err(|_| going_away())?
    }

    async fn renew(&self, renewal: &channel::Pass) -> Result<Empty, Refusal> {
        let pass = self.host.shared.gate.check(&renewal.pass, self.link.peer_key())?;
        self.host.heed_move(renewal.moved.as_ref())?;
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

    /// Takes a message that has come: now, or when it is no longer too soon.
    async fn take(&self, incoming: Incoming, held: &mut Held<Incoming>) -> Flow {
        let bytes = incoming.bytes();
        held.push(incoming, bytes, Instant::now());
        self.let_on(held).await;
        GO_ON
    }

    /// Lets on what has its turn.
    async fn let_on(&self, held: &mut Held<Incoming>) {
        loop {
            match held.next(Instant::now(), |first| self.allowance.take(first.written())) {
                Turn::Now(incoming) => self.post(incoming).await,
                Turn::TooLate(all, wait) => {
                    let reason = "you send more than the host takes; wait a little";
                    let refusal = Refusal::new(Code::TooManyRequests, reason).after(wait);
                    for incoming in all {
                        self.post(Incoming { message: Err(refusal.clone()), ..incoming }).await;
                    }
                }
                Turn::NotYet => return,
            }
        }
    }

    /// Hands a message to the host, in order; the host answers when it is on disk.
    async fn post(&self, Incoming { request, restart, message }: Incoming) {
        if self.host.tell(Post { conn: self.conn(), request, restart, message }).await.is_err() {
            let _ = self.reply::<Empty>(request, Err(Code::GoingAway.into()));
        }
    }
}

async fn until(turn: Option<Instant>) {
    match turn {
        Some(turn) => sleep_until(turn).await,
        None => std::future::pending().await,
    }
}

/// What of a message can be checked without the channel; the hash of its body.
fn check(message: &Message) -> Result<Hash, Refusal> {
    if message.kind != TEXT && message.kind != FILE {
        return Err(Code::UnknownType.into());
    }
    let body = message.body.get();
    if body.len() + MESSAGE_ENVELOPE_BYTES > MAX_MESSAGE_FRAME_BYTES {
        let reason =
            format!("a message with its frame has at most {MAX_MESSAGE_FRAME_BYTES} bytes; split it");
        return Err(Refusal::new(Code::FrameTooLong, reason));
    }
    match message.kind.as_str() {
        FILE => ChannelOffer::parse(&message.body).map(drop)?,
        _ => TextBody::parse(&message.body).map(drop)?,
    }
    Ok(Hash::of(body.as_bytes()))
}
