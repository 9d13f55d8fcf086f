//! A tracker in this process, and clients that talk to it over real connections.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{ChannelId, Epoch};
use common::identity::{Identity, PeerKey};
use common::link::{Inbound, Link, RequestError};
use common::pass::{Pass, PassRules};
use common::proto::Command;
use common::proto::directory::{
    ChannelRecord, Entered, Guest, Host, Locate, Policy, Signin, Signup, TrackerRequest,
};
use common::proto::event::TrackerEvent;
use common::proto::limits::PROTOCOL_VERSION;
use common::proto::presence::User;
use common::proto::session::{Directory, Hello, Limits, Ping, Purpose};
use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use common::shutdown::{Shutdown, ShutdownTrigger};
use common::transport::{Address, Connection, Expected, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracker::password::PasswordPool;
use tracker::{Config, Ready, RunError};

/// No wait of a test is longer.
pub const LIMIT: Duration = Duration::from_secs(10);

pub async fn within<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.expect("it takes too long")
}

/// A tracker on a free port, with passwords that are quick to hash.
pub fn config(data: &Path) -> Config {
    let mut config = Config::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), data.to_owned());
    config.passwords = || PasswordPool::with_strength(64, 1, 64);
    config
}

/// The same, where this machine's own programs count like others.
pub fn strict(data: &Path) -> Config {
    let mut config = config(data);
    config.limits.admission.counts_loopback = true;
    config
}

pub struct Running {
    pub ready: Ready,
    pub trigger: ShutdownTrigger,
    ended: JoinHandle<Result<(), RunError>>,
}

pub async fn start(config: Config) -> Running {
    let (trigger, shutdown) = Shutdown::new();
    let (tell, told) = oneshot::channel();
    let run = tracker::run(config, shutdown, |ready| drop(tell.send(ready)));
    let ended = actix_rt::spawn(run);
    let ready = within(told).await.expect("the tracker starts");
    Running { ready, trigger, ended }
}

impl Running {
    pub async fn stop(self) {
        self.trigger.request();
        within(self.ended).await.unwrap().unwrap();
    }

    /// A connection that has said nothing yet.
    pub async fn dial(&self, identity: &Identity) -> Connection {
        let transport = Transport::new(identity.clone()).unwrap();
        let address = [Address::tcp(self.ready.address)];
        within(transport.dial(Expected::Key(self.ready.key), &address)).await.unwrap()
    }

    /// A client that has said HELLO.
    pub async fn client(&self, identity: &Identity) -> Client {
        Client::hello(self.dial(identity).await, identity.key()).await
    }

    /// A client with a key of its own.
    pub async fn stranger(&self) -> Client {
        self.client(&Identity::generate().unwrap()).await
    }

    pub async fn guest(&self, name: &str) -> Client {
        let client = self.stranger().await;
        client.guest(name).await.unwrap();
        client
    }

    pub async fn account(&self, name: &str) -> Client {
        let client = self.stranger().await;
        client.signup(name, PASSWORD).await.unwrap();
        client
    }
}

pub const PASSWORD: &str = "correct horse battery";

pub struct Client {
    pub link: Link,
    pub key: PeerKey,
    pub directory: Directory,
    events: mpsc::Receiver<TrackerEvent>,
}

pub fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        program: "test".into(),
        purpose: Purpose::Control,
        limits: Limits::default(),
        revoked_after: None,
    }
}

impl Client {
    pub async fn hello(connection: Connection, key: PeerKey) -> Self {
        Self::hello_with(connection, key, hello()).await
    }

    pub async fn hello_with(connection: Connection, key: PeerKey, hello: Hello) -> Self {
        let (link, mut inbox) = Link::open(connection);
        let (tell, events) = mpsc::channel(256);
        tokio::spawn(async move {
            while let Ok(inbound) = inbox.next().await {
                if let Inbound::Event(event) = inbound {
                    tell.send(TrackerEvent::parse(&event.name, &event.body).unwrap()).await.unwrap();
                }
            }
        });
        let directory = within(link.request(&hello)).await.unwrap().directory.unwrap();
        Self { link, key, directory, events }
    }

    pub async fn ask<C: Command>(&self, command: &C) -> Result<C::Reply, Code> {
        self.outcome(command).await.map_err(|refusal| refusal.code)
    }

    /// The answer with all that a refusal says.
    pub async fn outcome<C: Command>(&self, command: &C) -> Result<C::Reply, Refusal> {
        within(self.link.request(command)).await.map_err(|error| match error {
            RequestError::Refused(refusal) => refusal,
            error => panic!("no answer to {}: {error}", C::NAME),
        })
    }

    /// What a host would read in the pass.
    pub fn read(&self, entered: &Entered) -> Pass {
        let rules = PassRules {
            trusted: &self.directory.signing_keys,
            directory: self.directory.id,
            holder: self.key,
            now: Timestamp::now(),
            grace: Duration::ZERO,
        };
        entered.pass.verify(&rules).unwrap()
    }

    async fn enter<C: Command<Reply = Entered>>(&self, command: &C) -> Result<Pass, Code> {
        self.ask(command).await.map(|entered| self.read(&entered))
    }

    pub async fn guest(&self, name: &str) -> Result<Pass, Code> {
        self.enter(&Guest { name: name.parse().unwrap() }).await
    }

    pub async fn signup(&self, name: &str, password: &str) -> Result<Pass, Code> {
        self.enter(&Signup { name: name.parse().unwrap(), password: Secret::new(password) }).await
    }

    pub async fn signin(&self, name: &str, password: &str) -> Result<Pass, Code> {
        self.enter(&Signin { name: name.parse().unwrap(), password: Secret::new(password) }).await
    }

    pub async fn renew(&self) -> Result<Pass, Code> {
        self.enter(&common::proto::directory::Renew {}).await
    }

    pub async fn host(&self, channel: &Host) -> Result<ChannelRecord, Code> {
        self.ask(channel).await.map(|hosted| hosted.channel)
    }

    pub async fn locate(&self, name: &str) -> Result<ChannelRecord, Code> {
        self.ask(&Locate::Name(name.parse().unwrap())).await
    }

    pub async fn event(&mut self) -> TrackerEvent {
        within(self.events.recv()).await.expect("the link has ended")
    }

    pub async fn expect_up(&mut self) -> ChannelRecord {
        match self.event().await {
            TrackerEvent::ChannelUp(up) => up.channel,
            other => panic!("{other:?} instead of CHANNEL_UP"),
        }
    }

    pub async fn expect_online(&mut self) -> Vec<String> {
        match self.event().await {
            TrackerEvent::CameOnline(came) => names(came.users),
            other => panic!("{other:?} instead of JOINED"),
        }
    }

    pub async fn expect_offline(&mut self) -> Vec<String> {
        match self.event().await {
            TrackerEvent::WentOffline(left) => names(left.users),
            other => panic!("{other:?} instead of LEFT"),
        }
    }

    pub async fn expect_down(&mut self) -> ChannelId {
        match self.event().await {
            TrackerEvent::ChannelDown(down) => down.id,
            other => panic!("{other:?} instead of CHANNEL_DOWN"),
        }
    }

    /// A round trip: what the tracker had to tell before it is here afterwards.
    pub async fn expect_nothing(&mut self) {
        self.ask(&Ping {}).await.unwrap();
        assert!(self.events.try_recv().is_err(), "an event that nobody expected");
    }

    pub async fn hang_up(self) {
        self.link.close();
        within(self.link.closed()).await;
    }
}

fn names(users: Vec<User>) -> Vec<String> {
    users.into_iter().map(|user| user.name.to_string()).collect()
}

pub fn channel(name: &str) -> Host {
    let id = ChannelId::new();
    Host {
        id,
        name: name.parse().unwrap(),
        head: Position::start(id, Epoch::new()),
        term: 1,
        policy: Policy::default(),
        port: Some(40_123),
        behind: false,
        addresses: vec!["tcp:192.0.2.7:40123".parse::<Address>().unwrap()],
        takeover: None,
        members: None,
        forks: Vec::new(),
    }
}

/// All that a tracker may be asked, for tests that go through them.
pub const COMMANDS: &[&str] = TrackerRequest::NAMES;
