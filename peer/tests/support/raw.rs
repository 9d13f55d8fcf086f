//! Somebody who speaks the protocol with a program of their own making.

use std::time::Duration;

use common::clock::Timestamp;
use common::entry::{Position, RawEntry, TEXT};
use common::id::{FileId, MessageId};
use common::identity::{Identity, PeerKey};
use common::link::{CloseReason, Inbound, Inbox, Link, RequestError};
use common::pass::SignedPass;
use common::proto::Command;
use common::proto::channel::{Connect, Connected, Message, Stored};
use common::proto::directory::{ChannelRecord, Entered, Guest, Locate, Renew};
use common::proto::event::HostEvent;
use common::proto::file::{FileGet, FilePart};
use common::proto::session::Purpose;
use common::proto::status::Refusal;
use common::transport::{Address, Expected, Transport};
use peer::tracker_link::hello_for;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{Person, World, within};

/// How many of the host's messages may wait to be looked at.
const WAITING: usize = 16 * 1024;

pub struct Raw {
    pub identity: Identity,
    pub pass: SignedPass,
    /// The connection to the tracker.
    pub control: Link,
}

impl Raw {
    pub async fn guest(world: &World, name: &str) -> Self {
        let identity = Identity::generate().unwrap();
        let control = control(world, &identity).await;
        let name = name.parse().unwrap();
        let Entered { pass, .. } = within(control.request(&Guest { name })).await.unwrap();
        Self { identity, pass, control }
    }

    /// Fetches a new pass.
    pub async fn renew(&mut self) {
        let Entered { pass, .. } = within(self.control.request(&Renew {})).await.unwrap();
        self.pass = pass;
    }

    pub async fn locate(&self, channel: &str) -> ChannelRecord {
        within(self.control.request(&Locate::Name(channel.parse().unwrap()))).await.unwrap()
    }

    /// A connection to the channel's host that has said HELLO.
    pub async fn reach(&self, record: &ChannelRecord) -> (Link, Inbox) {
        self.greet(record.host_key, &record.addresses, Purpose::Channel).await.unwrap()
    }

    /// A connection to a peer that has said for what it comes, or why it is not welcome.
    pub async fn greet(
        &self,
        key: PeerKey,
        addresses: &[Address],
        purpose: Purpose,
    ) -> Result<(Link, Inbox), Refusal> {
        let transport = Transport::new(self.identity.clone()).unwrap();
        let connection = within(transport.dial(Expected::Key(key), addresses)).await;
        let (link, mut inbox) = Link::open(connection.unwrap());
        let welcome = within(inbox.ask(&link, &hello_for(purpose))).await;
        welcome.map(|_| (link, inbox)).map_err(RequestError::into_refusal)
    }

    /// Asks a peer for a file with somebody's pass: why it does not get it.
    pub async fn refused_file(&self, pass: &SignedPass, of: &Person, id: FileId) -> Refusal {
        self.fetch(pass, of, id).await.err().expect("it is handed out")
    }

    /// Asks a peer for a file with somebody's pass: the connection on which its bytes follow.
    pub async fn fetch(&self, pass: &SignedPass, of: &Person, id: FileId) -> Result<(Link, Inbox), Refusal> {
        let addresses = [Address::tcp(of.status().await.listen.unwrap())];
        let key = of.whoami().await.key;
        let (link, mut inbox) = self.greet(key, &addresses, Purpose::File).await.unwrap();
        let get = FileGet { pass: pass.clone(), id, part: FilePart::Content, from: 0 };
        within(inbox.ask(&link, &get)).await.map_err(RequestError::into_refusal)?;
        Ok((link, inbox))
    }

    pub async fn enter(&self, record: &ChannelRecord, have: Option<Position>) -> Result<Seat, RequestError> {
        self.enter_with(record, have, self.pass.clone()).await
    }

    /// Enters with any pass.
    pub async fn enter_with(
        &self,
        record: &ChannelRecord,
        have: Option<Position>,
        pass: SignedPass,
    ) -> Result<Seat, RequestError> {
        let (link, mut inbox) = self.reach(record).await;
        let connect =
            Connect { channel: record.id, pass, have, tail: 50, invisible: false, proof: None, moved: None };
        let connected = within(inbox.ask(&link, &connect)).await?;
        Ok(Seat { link, inbox, connected })
    }
}

async fn control(world: &World, identity: &Identity) -> Link {
    let transport = Transport::new(identity.clone()).unwrap();
    let tracker = [Address::tcp(world.address)];
    let connection = within(transport.dial(Expected::Key(world.key), &tracker)).await.unwrap();
    let (link, mut inbox) = Link::open(connection);
    actix::spawn(async move { while inbox.next().await.is_ok() {} });
    within(link.request(&hello_for(Purpose::Control))).await.unwrap();
    link.keep_alive();
    link
}

/// A place in a channel; nothing is read from it until somebody wants to.
pub struct Seat {
    pub link: Link,
    pub inbox: Inbox,
    pub connected: Connected,
}

impl Seat {
    /// Reads from now on.
    pub fn read(self) -> Reader {
        let Self { link, mut inbox, connected } = self;
        let (tell, entries) = mpsc::channel(WAITING);
        actix::spawn(async move {
            loop {
                let next = match inbox.next().await {
                    Ok(Inbound::Event(event)) => match HostEvent::parse(&event.name, &event.body).unwrap() {
                        HostEvent::RawEntry(entry) => Ok(entry),
                        _ => continue,
                    },
                    Ok(Inbound::Request(request)) => panic!("{request:?}"),
                    Err(reason) => Err(reason),
                };
                let is_end = next.is_err();
                if tell.send(next).await.is_err() || is_end {
                    return;
                }
            }
        });
        Reader { link, connected, entries }
    }
}

/// A place in a channel whose entries are read.
pub struct Reader {
    pub link: Link,
    pub connected: Connected,
    entries: mpsc::Receiver<Result<RawEntry, CloseReason>>,
}

impl Reader {
    pub async fn next(&mut self) -> Result<RawEntry, CloseReason> {
        within(self.entries.recv()).await.expect("nothing comes after the end")
    }

    pub async fn ask<C: Command>(&self, command: &C) -> Result<C::Reply, Refusal> {
        within(self.link.request(command)).await.map_err(RequestError::into_refusal)
    }

    pub async fn post(&self, message: &Message) -> Result<Stored, Refusal> {
        self.ask(message).await
    }
}

/// A message with this body, whatever it may be.
pub fn message(body: serde_json::Value) -> Message {
    Message {
        id: MessageId::new(),
        kind: TEXT.to_owned(),
        sent_at: Timestamp::now(),
        about: None,
        body: RawValue::from_string(body.to_string()).unwrap(),
        restart: false,
    }
}

pub fn text_message(text: &str) -> Message {
    message(serde_json::json!({ "text": text }))
}

/// Long enough for a host to notice something by itself: it looks once a second.
pub const NOTICE: Duration = Duration::from_secs(5);
