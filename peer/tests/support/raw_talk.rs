//! A private conversation with a program of somebody's own making.

use std::net::SocketAddr;

use bytes::BytesMut;
use common::clock::Timestamp;
use common::id::{MessageId, RequestId};
use common::identity::PeerKey;
use common::link::{CloseReason, Inbound, Inbox, Link, RequestError};
use common::pass::SignedPass;
use common::proto::direct::{ChatAccept, ChatMsg, ChatRequest};
use common::proto::knock::Knock;
use common::proto::session::Purpose;
use common::proto::status::Refusal;
use common::proto::{Command, Empty, encode_request};
use common::transport::Address;
use peer::api::{self, DirectCommand, Event};
use serde_json::value::RawValue;

use super::{Person, Raw, until, within};

/// A connection to a peer for a conversation.
pub struct RawTalk {
    pub link: Link,
    pub inbox: Inbox,
}

impl RawTalk {
    /// Connects, and says HELLO.
    pub async fn dial(raw: &Raw, place: SocketAddr, key: PeerKey) -> Self {
        let (link, inbox) = raw.greet(key, &[Address::tcp(place)], Purpose::Direct).await.unwrap();
        Self { link, inbox }
    }

    /// Asks somebody, is agreed to, and let in over a connection of its own.
    pub async fn meet(raw: &Raw, name: &str, person: &mut Person) -> Self {
        let knock = Knock { name: person.name().parse().unwrap(), invisible: false };
        within(raw.control.request(&knock)).await.unwrap();
        let user = name.parse().unwrap();
        person
            .expect("a request", |event| {
                matches!(event, Event::ChatRequest(request) if request.user == user).then_some(())
            })
            .await;
        person.done(api::Command::Direct(DirectCommand::Accept { user, key: None })).await;
        Self::again(raw, person).await
    }

    /// Is let in as somebody who is known.
    pub async fn again(raw: &Raw, person: &Person) -> Self {
        Self::again_with(raw, person, 0).await
    }

    /// The same, with the other side's messages up to this number.
    pub async fn again_with(raw: &Raw, person: &Person, have: u64) -> Self {
        until("it listens", async || person.status().await.listen.is_some()).await;
        let place = person.status().await.listen.unwrap();
        let mut talk = Self::dial(raw, place, person.whoami().await.key).await;
        talk.ask(&ChatRequest { pass: raw.pass.clone(), have }).await.unwrap();
        talk.let_in().await;
        talk
    }

    pub async fn ask<C: Command>(&mut self, command: &C) -> Result<C::Reply, Refusal> {
        within(self.inbox.ask(&self.link, command)).await.map_err(RequestError::into_refusal)
    }

    pub async fn request_with(&mut self, pass: SignedPass) -> Result<Empty, Refusal> {
        self.ask(&ChatRequest { pass, have: 0 }).await
    }

    /// Waits for CHAT_ACCEPT, and answers it.
    async fn let_in(&mut self) {
        loop {
            match within(self.inbox.next()).await.unwrap() {
                Inbound::Request(request) if request.command == ChatAccept::NAME => {
                    return self.link.answer(request.id, &Ok(Empty {})).unwrap();
                }
                other => drop(other),
            }
        }
    }

    /// Sends as one piece what are several requests, and waits for so many answers.
    pub async fn send_merged(&mut self, messages: &[ChatMsg]) {
        let mut lines = BytesMut::new();
        for message in messages {
            lines.extend_from_slice(&encode_request(RequestId::new(), message).unwrap());
        }
        self.link.push(lines.freeze()).unwrap();
        // Behind all that came before it.
        self.ask(&common::proto::session::Ping {}).await.unwrap();
    }

    /// Waits for a message, and answers it.
    pub async fn message(&mut self) -> ChatMsg {
        loop {
            match within(self.inbox.next()).await.unwrap() {
                Inbound::Request(request) if request.command == ChatMsg::NAME => {
                    self.link.answer(request.id, &Ok(Empty {})).unwrap();
                    return serde_json::from_str(request.body.get()).unwrap();
                }
                other => drop(other),
            }
        }
    }

    /// Waits for the end of the connection.
    pub async fn end(&mut self) -> CloseReason {
        loop {
            if let Err(reason) = within(self.inbox.next()).await {
                return reason;
            }
        }
    }
}

/// A message, whatever its body.
pub fn chat_message(number: u64, clock: u64, body: &serde_json::Value) -> ChatMsg {
    ChatMsg {
        id: MessageId::new(),
        number,
        clock,
        kind: "text".to_owned(),
        sent_at: Timestamp::now(),
        body: RawValue::from_string(body.to_string()).unwrap(),
    }
}
