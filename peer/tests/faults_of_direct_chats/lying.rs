//! A packet of anybody made a peer dial whatever it named. Here even the tracker cannot do that.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use common::clock::Timestamp;
use common::id::{DirectoryId, IdentityKind, Subject};
use common::identity::{Identity, PeerKey};
use common::link::{Inbound, Link};
use common::pass::{PASS_LIFETIME, PASS_VERSION, Pass, SignedPass};
use common::proto::directory::{Entered, Owner, TrackerRequest};
use common::proto::knock::{Introduction, Knocked, Sent};
use common::proto::limits::PROTOCOL_VERSION;
use common::proto::session::{Directory, Limits, Welcome};
use common::proto::status::Code;
use common::proto::{Empty, encode_response};
use common::transport::{Address, Transport};
use peer::api::{ChatState, Command, DirectCommand, Event};
use tokio::sync::mpsc;

use crate::support::{Person, World, until, within};

/// A tracker that lets everybody in, and says of others whatever it is told to say.
struct Liar {
    address: SocketAddr,
    key: PeerKey,
    links: mpsc::Receiver<Link>,
}

impl Liar {
    async fn start() -> Self {
        let (identity, signing) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let transport = Transport::new(identity.clone()).unwrap();
        let mut listener = transport.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let (address, (entered, links)) = (listener.local_addr(), mpsc::channel(4));
        let directory = Directory { id: DirectoryId::new(), signing_keys: vec![signing.key()] };
        actix::spawn(async move {
            loop {
                let connection = listener.accept().await.handshake().await.unwrap();
                let (signing, directory, entered) = (signing.clone(), directory.clone(), entered.clone());
                actix::spawn(async move {
                    let (link, mut inbox) = Link::open(connection);
                    while let Ok(inbound) = inbox.next().await {
                        let Inbound::Request(request) = inbound else { continue };
                        let parsed = TrackerRequest::parse(&request.command, &request.body).unwrap();
                        let line = match &parsed {
                            TrackerRequest::Hello(_) => {
                                encode_response(request.id, &Ok(welcome(directory.clone())))
                            }
                            TrackerRequest::Guest(_) => {
                                let pass = pass(&signing, &directory, link.peer_key());
                                encode_response(
                                    request.id,
                                    &Ok(Entered {
                                        invisible: false,
                                        pass,
                                        missed: common::proto::directory::Missed::default(),
                                    }),
                                )
                            }
                            TrackerRequest::Renew(_) => {
                                encode_response::<Empty>(request.id, &Err(Code::NotSignedIn.into()))
                            }
                            TrackerRequest::Knock(_) => encode_response(request.id, &Ok(Sent::default())),
                            _ => encode_response(request.id, &Ok(Empty {})),
                        };
                        link.push(line).unwrap();
                        if let TrackerRequest::Guest(_) = parsed {
                            entered.send(link.clone()).await.unwrap();
                        }
                    }
                });
            }
        });
        Self { address, key: identity.key(), links }
    }

    /// Somebody who trusts it.
    async fn victim(&mut self, world: &World) -> (Person, Link) {
        let mut config = world.config("ken");
        config.tracker.address = self.address.to_string();
        config.tracker.key = Some(self.key);
        let person = world.person(config).await;
        person.entered().await;
        (person, within(self.links.recv()).await.unwrap())
    }
}

fn welcome(directory: Directory) -> Welcome {
    Welcome {
        protocol: PROTOCOL_VERSION,
        program: "liar".to_owned(),
        limits: Limits::default(),
        directory: Some(directory),
    }
}

fn pass(signing: &Identity, directory: &Directory, key: PeerKey) -> SignedPass {
    let now = Timestamp::now();
    let pass = Pass {
        version: PASS_VERSION,
        signing_key: signing.key(),
        directory: directory.id,
        subject: Subject::Guest(key),
        name: "ken".to_owned(),
        kind: IdentityKind::Guest,
        peer_key: key,
        serial: 1,
        issued: now,
        expires: now.plus(PASS_LIFETIME),
    };
    SignedPass::sign(&pass, signing).unwrap()
}

/// A place where it is seen who connects, and hung up.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> Address {
        Address::tcp(self.0.local_addr().unwrap())
    }

    /// Whether somebody has connected by now.
    fn has_caught(&self) -> bool {
        self.0.accept().is_ok()
    }

    async fn catches(&self) {
        until("somebody connects", async || self.has_caught()).await;
    }
}

fn introduction(name: &str, subject: PeerKey, key: PeerKey, trap: &Trap) -> Introduction {
    let who =
        Owner { subject: Subject::Guest(subject), name: name.parse().unwrap(), kind: IdentityKind::Guest };
    Introduction { who, key, addresses: vec![trap.address()], rejected: false }
}

fn direct(command: DirectCommand) -> Command {
    Command::Direct(command)
}

#[actix::test]
async fn a_packet_that_makes_a_peer_dial_a_stranger() {
    let (world, mut liar) = (World::new().await, Liar::start().await);
    let (mut ken, link) = liar.victim(&world).await;
    let (trap, stranger) = (Trap::set(), Identity::generate().unwrap().key());
    link.tell(&introduction("stranger", stranger, stranger, &trap)).unwrap();
    // A request behind it is shown when it has been dealt with; it gives no address, and none is dialled.
    let from = introduction("eve", stranger, stranger, &trap).who;
    link.tell(&Knocked { from, key: stranger, at: Timestamp::now() }).unwrap();
    ken.expect("the request", |event| matches!(event, Event::ChatRequest(_)).then_some(())).await;
    link.tell(&introduction("eve", stranger, stranger, &trap)).unwrap();
    let user = "eve".parse().unwrap();
    ken.done(direct(DirectCommand::Reject { user, key: None })).await;
    assert!(!trap.has_caught());
    ken.stop().await;
}

#[actix::test]
async fn another_key_for_a_contact_is_a_loud_warning_and_is_sent_nothing() {
    let (world, mut liar) = (World::new().await, Liar::start().await);
    let (mut ken, link) = liar.victim(&world).await;
    let (there, trap) = (Trap::set(), Trap::set());
    let [known, other] = [(); 2].map(|()| Identity::generate().unwrap().key());
    ken.done(direct(DirectCommand::Start { user: "charlie".parse().unwrap() })).await;
    link.tell(&introduction("charlie", known, known, &there)).unwrap();
    ken.expect("accepted", |event| {
        matches!(event, Event::Chat { state: ChatState::Accepted, .. }).then_some(())
    })
    .await;
    there.catches().await;

    link.tell(&introduction("charlie", known, other, &trap)).unwrap();
    let code = |event: &Event| match event {
        Event::Warning { code, reason, .. } => Some((code.clone(), reason.clone())),
        _ => None,
    };
    let (code, reason) = ken.expect("a warning", code).await;
    assert_eq!(code, Code::PeerKeyChanged);
    assert!(reason.contains(&other.to_string()) && reason.contains(&known.to_string()), "{reason}");
    let msg = DirectCommand::Msg { user: "charlie".parse().unwrap(), text: "secret".to_owned() };
    ken.done(direct(msg)).await;
    // What is queued is sent to the key that is known, wherever that is said to be.
    link.tell(&introduction("charlie", known, known, &there)).unwrap();
    there.catches().await;
    assert!(!trap.has_caught());
    ken.stop().await;
}
