//! A hosted channel on a real store, and members over links within the process.

use std::sync::Arc;
use std::time::Duration;

use actix::{Arbiter, ArbiterHandle};
use common::clock::Timestamp;
use common::entry::{Header, Position, RawEntry, TEXT};
use common::id::{AccountId, DirectoryId, IdentityKind, MessageId, Subject};
use common::identity::{Identity, PeerKey};
use common::link::{CloseReason, Inbound, Inbox, Link, RequestError};
use common::pass::{PASS_LIFETIME, PASS_VERSION, Pass, SignedPass};
use common::proto::channel::{Connect, Connected, History, HistoryPage, Message, Stored};
use common::proto::event::HostEvent;
use common::proto::limits::{MAX_UNANSWERED_MESSAGES, PROTOCOL_VERSION};
use common::proto::session::{Directory, Hello, Limits, Purpose};
use common::proto::status::Code;
use common::shutdown::{Shutdown, ShutdownTrigger};
use common::storage::{Faults, Program, Schema, Store};
use common::transport::{Origin, memory_pair};
use serde_json::value::{RawValue, to_raw_value};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::host::quota;
use crate::host::{HostConfig, HostHandle, HostRecord, load_records};
use crate::listener::{self, Hosts};
use crate::search::{self, Search};

/// Whatever is waited for has to come by then.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Scene {
    pub store: Store,
    pub faults: Arc<Faults>,
    pub tracker: Identity,
    pub directory: Directory,
    pub identity: Identity,
    pub owner: Identity,
    pub host: HostHandle,
    pub hosts: Hosts,
    search: Search,
    pub shutdown: Shutdown,
    /// Where members come from.
    pub origin: Origin,
    _trigger: ShutdownTrigger,
    _folder: TempDir,
}

impl Scene {
    /// With the host's actor on this thread.
    pub async fn new() -> Self {
        Self::on(Arbiter::current()).await
    }

    /// With the host's actor on the thread of `arbiter`.
    pub async fn on(arbiter: ArbiterHandle) -> Self {
        Self::with(arbiter, quota::Limits::default()).await
    }

    /// With members who come from afar and are held to `limits`.
    pub async fn limited(limits: quota::Limits) -> Self {
        let scene = Self::with(Arbiter::current(), limits).await;
        Self { origin: Origin::of([192, 0, 2, 1].into()), ..scene }
    }

    async fn with(arbiter: ArbiterHandle, limits: quota::Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let schema = Schema { program: Program::Peer, version: 1 };
        let store = Store::open_with_faults(folder.path(), schema, Arc::clone(&faults)).unwrap();
        let (tracker, identity, owner) =
            (Identity::generate().unwrap(), Identity::generate().unwrap(), Identity::generate().unwrap());
        let directory = Directory { id: DirectoryId::new(), signing_keys: vec![tracker.key()] };
        let subject = Subject::Guest(owner.key());
        let owner_row = common::proto::directory::Owner {
            subject,
            name: "owner".parse().unwrap(),
            kind: IdentityKind::Guest,
        };
        let record = HostRecord::new("lounge".parse().unwrap(), owner_row);
        let hosts = Hosts::new(limits);
        hosts.gate().trust(directory.clone());
        let search = search::start(folder.path().join("search"), store.clone()).unwrap();
        let host = open(&store, &identity, record, arbiter, (&hosts, &search)).await;
        hosts.insert(host.clone());
        let (trigger, shutdown) = Shutdown::new();
        Self {
            store,
            faults,
            tracker,
            directory,
            identity,
            owner,
            host,
            hosts,
            search,
            shutdown,
            origin: Origin::InProcess,
            _trigger: trigger,
            _folder: folder,
        }
    }

    /// The same after the host was closed and opened again.
    pub async fn reopen(&mut self) {
        let record = load_records(&self.store).await.unwrap().remove(0);
        self.host.close().await;
        self.host =
            open(&self.store, &self.identity, record, Arbiter::current(), (&self.hosts, &self.search)).await;
        self.hosts.insert(self.host.clone());
    }

    pub fn guest_pass(&self, key: PeerKey, name: &str) -> Pass {
        let now = Timestamp::now();
        Pass {
            version: PASS_VERSION,
            signing_key: self.tracker.key(),
            directory: self.directory.id,
            subject: Subject::Guest(key),
            name: name.to_owned(),
            kind: IdentityKind::Guest,
            peer_key: key,
            serial: 1,
            issued: now,
            expires: now.plus(PASS_LIFETIME),
        }
    }

    pub fn account_pass(&self, key: PeerKey, name: &str, account: AccountId) -> Pass {
        let subject = Subject::Account(account);
        Pass { subject, kind: IdentityKind::Account, ..self.guest_pass(key, name) }
    }

    pub fn sign(&self, pass: &Pass) -> SignedPass {
        SignedPass::sign(pass, &self.tracker).unwrap()
    }

    /// A link to the peer on which nothing was said yet.
    pub fn dial(&self, key: PeerKey, capacity: usize) -> (Link, Inbox) {
        let (ours, mut theirs) = memory_pair(key, self.identity.key(), capacity);
        theirs.origin = self.origin;
        tokio::spawn(listener::serve(theirs, self.hosts.clone(), self.shutdown.clone()));
        Link::open(ours)
    }

    /// Somebody who has said HELLO.
    pub async fn visitor(&self, key: PeerKey) -> Member {
        let (link, inbox) = self.dial(key, 64 * 1024);
        let member = Member::new(link, inbox);
        member.link.request(&hello()).await.unwrap();
        member
    }

    pub fn connect(&self, pass: &Pass, have: Option<Position>, tail: u32) -> Connect {
        Connect {
            channel: self.host.id(),
            pass: self.sign(pass),
            have,
            tail,
            invisible: false,
            proof: None,
            moved: None,
        }
    }

    /// Somebody who has entered.
    pub async fn join(&self, pass: &Pass, have: Option<Position>, tail: u32) -> (Member, Connected) {
        let member = self.visitor(pass.peer_key).await;
        let connected = member.link.request(&self.connect(pass, have, tail)).await.unwrap();
        (member, connected)
    }

    /// Somebody new, from the end of the log on.
    pub async fn join_as(&self, name: &str) -> Member {
        let key = Identity::generate().unwrap().key();
        self.join(&self.guest_pass(key, name), None, 0).await.0
    }
}

async fn open(
    store: &Store,
    identity: &Identity,
    record: HostRecord,
    arbiter: ArbiterHandle,
    (hosts, search): (&Hosts, &Search),
) -> HostHandle {
    let config = HostConfig {
        store: store.clone(),
        identity: identity.clone(),
        record,
        arbiter,
        gate: hosts.gate().clone(),
        search: search.clone(),
    };
    HostHandle::open(config).await.unwrap()
}

pub fn hello() -> Hello {
    Hello {
        revoked_after: None,
        protocol: PROTOCOL_VERSION,
        program: "test".to_owned(),
        purpose: Purpose::Channel,
        limits: Limits::default(),
    }
}

pub fn message(text: &str) -> Message {
    message_with_body(to_raw_value(&serde_json::json!({ "text": text })).unwrap())
}

pub fn message_with_body(body: Box<RawValue>) -> Message {
    Message {
        id: MessageId::new(),
        kind: TEXT.to_owned(),
        sent_at: Timestamp::from_millis(7),
        about: None,
        body,
        restart: false,
    }
}

/// A member's side of a link, whose events are taken as they come.
pub struct Member {
    pub link: Link,
    events: mpsc::Receiver<Result<HostEvent, CloseReason>>,
}

impl Member {
    pub fn new(link: Link, mut inbox: Inbox) -> Self {
        let (sender, events) = mpsc::channel(100_000);
        tokio::spawn(async move {
            loop {
                let next = match inbox.next().await {
                    Ok(Inbound::Event(event)) => Ok(HostEvent::parse(&event.name, &event.body).unwrap()),
                    Ok(Inbound::Request(request)) => panic!("a host asks nothing, not {}", request.command),
                    Err(reason) => Err(reason),
                };
                let is_over = next.is_err();
                if sender.send(next).await.is_err() || is_over {
                    return;
                }
            }
        });
        Self { link, events }
    }

    pub async fn event(&mut self) -> Result<HostEvent, CloseReason> {
        timeout(SOON, self.events.recv()).await.expect("no event came").expect("the link had ended")
    }

    /// The next entry; what else comes before it is passed over.
    pub async fn entry(&mut self) -> RawEntry {
        loop {
            if let HostEvent::RawEntry(entry) = self.event().await.expect("the link has ended") {
                return entry;
            }
        }
    }

    /// Takes entries up to number `upto`, checks that they follow on `after`, and returns where the chain then is.
    pub async fn take_upto(&mut self, after: Position, upto: u64) -> Position {
        let mut at = after;
        while at.seq < upto {
            let entry = self.entry().await;
            let header: Header = entry.open().unwrap();
            assert_eq!(header.seq, at.seq + 1, "neither gap nor repeat");
            at = Position { seq: header.seq, hash: at.hash.next(&entry.header), ..at };
        }
        at
    }

    /// Why the link ended.
    pub async fn end(&mut self) -> CloseReason {
        loop {
            if let Err(reason) = self.event().await {
                return reason;
            }
        }
    }

    /// The code with which the host said farewell.
    pub async fn farewell(&mut self) -> Code {
        match self.end().await {
            CloseReason::Told(refusal) => refusal.code,
            other => panic!("the host said nothing: {other}"),
        }
    }

    pub async fn send(&self, text: &str) -> Stored {
        self.link.request(&message(text)).await.unwrap()
    }

    /// Sends many, as many at a time as may be unanswered.
    pub async fn send_many(&self, count: usize) {
        for begin in (0..count).step_by(MAX_UNANSWERED_MESSAGES) {
            let texts = begin..count.min(begin + MAX_UNANSWERED_MESSAGES);
            let answers: Vec<_> = texts.map(|n| self.link.send(&message(&n.to_string())).unwrap()).collect();
            for answer in answers {
                answer.await.unwrap();
            }
        }
    }

    pub async fn history(&self, asked: History) -> HistoryPage {
        self.link.request(&asked).await.unwrap()
    }
}

pub fn code<T: std::fmt::Debug>(outcome: Result<T, RequestError>) -> Code {
    match outcome {
        Err(RequestError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}
