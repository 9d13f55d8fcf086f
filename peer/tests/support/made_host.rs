//! A host of its own making, which keeps the rules of the protocol but refuses what it is told to refuse: a real one
//! does that only when its disk is full.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use common::clock::Timestamp;
use common::entry::{Checkpoint, Position, TextBody};
use common::id::{ChannelId, Epoch, MessageId};
use common::link::{Inbound, Link};
use common::proto::channel::{
    Connected, HostRequest, MemberList, Message, Role, StatusReport, Stored, StoredMessage,
};
use common::proto::directory::{self, Policy, Switches};
use common::proto::limits::PROTOCOL_VERSION;
use common::proto::session::{Limits, Welcome};
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, encode_response};
use common::signed::Signed;
use common::transport::{Address, Connection, Transport};
use futures_util::FutureExt;

use super::{Raw, World, named, within};

/// What the host does with the next message that it could store.
#[derive(Clone, Debug)]
pub enum Fate {
    Store,
    Refuse(Refusal),
    /// Stores it, and breaks the connection instead of answering.
    StoreAndBreak,
    /// Breaks the connection without storing it.
    Break,
}

#[derive(Default)]
struct Log {
    stored: Vec<(MessageId, String)>,
    fates: VecDeque<Fate>,
    /// So many answers are given together, before any of them.
    together: usize,
    /// The log of now, when it is not the first.
    epoch: Option<Epoch>,
    /// Where those before it ended that it goes on from.
    forks: Vec<Position>,
}

#[derive(Clone)]
pub struct MadeHost {
    raw: Arc<Raw>,
    log: Arc<Mutex<Log>>,
    id: ChannelId,
    epoch: Epoch,
}

impl MadeHost {
    /// Hosts a channel; the first `together` messages are answered in one piece.
    pub async fn start(world: &World, channel: &str, fates: Vec<Fate>, together: usize) -> Self {
        let raw = Arc::new(Raw::guest(world, "made-host").await);
        let log = Arc::new(Mutex::new(Log { fates: fates.into(), together, ..Log::default() }));
        let host = Self { raw, log, id: ChannelId::new(), epoch: Epoch::new() };
        let transport = Transport::new(host.raw.identity.clone()).unwrap();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = transport.listen(free).await.unwrap();
        let announcement = directory::Host {
            id: host.id,
            name: named(channel),
            head: Position::start(host.id, host.epoch),
            term: 1,
            policy: Policy::default(),
            port: None,
            behind: false,
            addresses: vec![Address::tcp(listener.local_addr())],
            takeover: None,
            members: None,
            forks: Vec::new(),
        };
        within(host.raw.control.request(&announcement)).await.unwrap();
        let serving = host.clone();
        actix::spawn(async move {
            loop {
                let connection = listener.accept().await.handshake().await.unwrap();
                actix::spawn(serving.clone().serve(connection));
            }
        });
        host
    }

    /// Loses all that was stored, and goes on in a new log without.
    pub fn go_on_without(&self) {
        let mut log = self.log.lock().unwrap();
        log.stored.clear();
        let before = Position::start(self.id, log.epoch.unwrap_or(self.epoch));
        log.forks.push(before);
        log.epoch = Some(Epoch::new());
    }

    /// The texts that were stored, in order.
    pub fn stored(&self) -> Vec<String> {
        self.log.lock().unwrap().stored.iter().map(|(_, text)| text.clone()).collect()
    }

    async fn serve(self, connection: Connection) {
        let (link, mut inbox) = Link::open(connection);
        let (mut refused, mut answers) = (false, BytesMut::new());
        loop {
            let next = match inbox.next().now_or_never() {
                Some(next) => next,
                None if self.log.lock().unwrap().together > 0 => inbox.next().await,
                None => {
                    if !answers.is_empty() && link.push(answers.split().freeze()).is_err() {
                        return;
                    }
                    inbox.next().await
                }
            };
            let Ok(Inbound::Request(request)) = next else { return };
            let answer = match HostRequest::parse(&request.command, &request.body).unwrap() {
                HostRequest::Hello(_) => encode_response(request.id, &Ok(welcome())),
                HostRequest::Connect(_) => encode_response(request.id, &Ok(self.connected())),
                HostRequest::Message(message) => match self.take(&message, &mut refused) {
                    Some(outcome) => encode_response(request.id, &outcome),
                    None => return link.close(),
                },
                HostRequest::StatusOf(asked) => encode_response(request.id, &Ok(self.status_of(&asked.ids))),
                // There is always more, and it never comes.
                HostRequest::Members(_) => encode_response(request.id, &Ok(endless())),
                _ => encode_response(request.id, &Ok(Empty {})),
            };
            answers.extend_from_slice(&answer);
            if request.command != "MESSAGE" {
                link.push(answers.split().freeze()).unwrap();
            }
        }
    }

    fn connected(&self) -> Connected {
        let log = self.log.lock().unwrap();
        let start = Position::start(self.id, log.epoch.unwrap_or(self.epoch));
        let checkpoint = Checkpoint { channel: self.id, position: start, time: Timestamp::now() };
        Connected {
            name: named("made"),
            head: start,
            term: 1,
            after: start,
            checkpoint: Signed::sign(&checkpoint, &self.raw.identity).unwrap(),
            role: Role::Guest,
            policy: Switches::default(),
            behind: false,
            forks: log.forks.clone(),
        }
    }

    fn status_of(&self, ids: &[MessageId]) -> StatusReport {
        let log = self.log.lock().unwrap();
        let found =
            log.stored.iter().enumerate().filter(|(_, (id, _))| ids.contains(id)).map(|(place, (id, _))| {
                let Stored { seq, stored_at } = stored(place + 1);
                StoredMessage { id: *id, seq, stored_at }
            });
        StatusReport { stored: found.collect() }
    }

    /// What becomes of a message; `None` when the connection breaks.
    fn take(&self, message: &Message, refused: &mut bool) -> Option<Result<Stored, Refusal>> {
        let mut log = self.log.lock().unwrap();
        log.together = log.together.saturating_sub(1);
        *refused &= !message.restart;
        if *refused {
            return Some(Err(Code::AfterRefused.into()));
        }
        let known = log.stored.iter().position(|(id, _)| *id == message.id);
        if let Some(place) = known {
            return Some(Ok(stored(place + 1)));
        }
        let fate = log.fates.pop_front().unwrap_or(Fate::Store);
        if let Fate::Refuse(refusal) = fate {
            *refused = true;
            return Some(Err(refusal));
        }
        if matches!(fate, Fate::Break) {
            return None;
        }
        log.stored.push((message.id, TextBody::parse(&message.body).unwrap().text));
        matches!(fate, Fate::Store).then(|| Ok(stored(log.stored.len())))
    }
}

fn stored(seq: usize) -> Stored {
    Stored { seq: seq as u64, stored_at: Timestamp::now() }
}

fn endless() -> MemberList {
    MemberList { members: Vec::new(), total: 7, next: Some("more".to_owned()) }
}

fn welcome() -> Welcome {
    Welcome {
        protocol: PROTOCOL_VERSION,
        program: "made".to_owned(),
        limits: Limits::default(),
        directory: None,
    }
}
