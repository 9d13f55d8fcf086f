//! A client of somebody who has read `docs/PROTOCOL.md` and nothing else.
//!
//! It speaks to a real tracker and a real host with plain TLS, JSON, BLAKE3 and Ed25519. Nothing of this project's own
//! libraries is used but to start those two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Section 2: what stands before the 32 bytes of a key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const LIMIT: Duration = Duration::from_secs(10);
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// The other side has to prove this key.
#[derive(Debug)]
struct Pinned {
    key: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        spki: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_it = chain.is_empty() && spki.strip_prefix(&SPKI_PREFIX) == Some(&self.key);
        is_it.then(ServerCertVerified::assertion).ok_or_else(|| Error::General("another key".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(spki.as_ref()),
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn tls_config(own: &SigningKey, other: &str) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    // RFC 8410: the seed as PKCS #8.
    let pkcs8 = [hex::decode("302e020100300506032b657004220420").unwrap(), own.to_bytes().to_vec()].concat();
    let key = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    let spki = [SPKI_PREFIX.as_slice(), own.verifying_key().as_bytes()].concat();
    let certified = Arc::new(CertifiedKey::new(vec![spki.into()], key));
    let pinned = Pinned { key: bytes(other), provider: provider.clone() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config
}

fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

/// A connection, with the events that came while an answer was waited for.
struct Wire {
    stream: BufReader<TlsStream<TcpStream>>,
    events: VecDeque<(Value, String)>,
    answers: VecDeque<Value>,
    asked: u64,
}

impl Wire {
    async fn dial(own: &SigningKey, address: &str, key: &str) -> Self {
        let place = address.strip_prefix("tcp:").expect("a carrier that is known here");
        let stream = TcpStream::connect(place).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]));
        let connector = TlsConnector::from(Arc::new(tls_config(own, key)));
        let stream = timeout(LIMIT, connector.connect(name, stream)).await.unwrap().unwrap();
        Self { stream: BufReader::new(stream), events: VecDeque::new(), answers: VecDeque::new(), asked: 0 }
    }

    async fn write(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// Sorts the next line into answers and events.
    async fn read(&mut self) {
        let mut line = String::new();
        let read = timeout(LIMIT, self.stream.read_line(&mut line)).await.expect("a line in time").unwrap();
        assert!(read > 0 && line.ends_with('\n') && line.len() <= 65_536, "the end, or no frame");
        let frame: Value = serde_json::from_str(&line).unwrap();
        if frame["event"].is_string() {
            self.events.push_back((frame, line));
        } else {
            self.answers.push_back(frame);
        }
    }

    /// Asks without waiting; the id to wait for.
    async fn send(&mut self, command: &str, body: Value) -> String {
        self.asked += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.asked);
        self.write(&json!({ "id": id, "command": command, "body": body }).to_string()).await;
        id
    }

    /// The next answer, whichever it is.
    async fn answer(&mut self) -> Value {
        while self.answers.is_empty() {
            self.read().await;
        }
        self.answers.pop_front().unwrap()
    }

    async fn ask(&mut self, command: &str, body: Value) -> Result<Value, String> {
        let id = self.send(command, body).await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], id.as_str(), "{answer}");
        outcome(&answer)
    }

    /// The code of GOING_AWAY, after which nothing comes.
    async fn farewell(&mut self) -> String {
        let (reason, _) = self.event("GOING_AWAY").await;
        let mut rest = String::new();
        let read = timeout(LIMIT, self.stream.read_line(&mut rest)).await.expect("the end in time");
        assert!(!matches!(read, Ok(1..)), "{rest}");
        reason["code"].as_str().unwrap().to_owned()
    }

    /// The next event of this name, with its line; JOINED and LEFT come when they come.
    async fn event(&mut self, name: &str) -> (Value, String) {
        loop {
            while let Some((event, line)) = self.events.pop_front() {
                if event["event"] == name {
                    return (event["body"].clone(), line);
                }
                assert!(["JOINED", "LEFT"].contains(&event["event"].as_str().unwrap()), "{event}");
            }
            self.read().await;
        }
    }
}

fn outcome(answer: &Value) -> Result<Value, String> {
    if answer["status"] == "OK" {
        return Ok(answer["body"].clone());
    }
    assert!(answer["body"]["reason"].is_string(), "{answer}");
    Err(answer["body"]["code"].as_str().unwrap().to_owned())
}

/// Section 10.1: the payload, once the signature is known to be by this key for this purpose.
fn verify(signed: &Value, purpose: &str, key: &str) -> Value {
    let (payload, signature) = signed.as_str().unwrap().split_once('.').unwrap();
    let payload = hex::decode(payload).unwrap();
    let message = [purpose.as_bytes(), b"\0", &payload].concat();
    let key = VerifyingKey::from_bytes(&bytes(key)).unwrap();
    key.verify_strict(&message, &Signature::from_bytes(&bytes(signature))).expect("the signature fits");
    serde_json::from_slice(&payload).unwrap()
}

#[derive(serde::Deserialize)]
struct MessageLine<'a> {
    #[serde(borrow)]
    body: EntryBytes<'a>,
}

#[derive(serde::Deserialize)]
struct EntryBytes<'a> {
    #[serde(borrow)]
    header: &'a RawValue,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Section 9.3: how far the log was followed.
#[derive(Clone, Debug, PartialEq)]
struct Chain {
    seq: u64,
    hash: [u8; 32],
}

impl Chain {
    fn at(position: &Value) -> Self {
        Self { seq: position["seq"].as_u64().unwrap(), hash: bytes(position["hash"].as_str().unwrap()) }
    }

    fn root(channel: &str, epoch: &str) -> Self {
        let uuid = |text: &str| hex::decode(text.replace('-', "")).unwrap();
        let start = [b"natter-log-v1\0".to_vec(), uuid(channel), uuid(epoch)].concat();
        Self { seq: 0, hash: *blake3::hash(&start).as_bytes() }
    }

    fn follow(&mut self, header: &str, body: &str) -> Value {
        let fields: Value = serde_json::from_str(header).unwrap();
        self.seq += 1;
        assert_eq!(fields["seq"], self.seq);
        assert_eq!(fields["body_hash"], blake3::hash(body.as_bytes()).to_hex().as_str());
        self.hash = *blake3::hash(&[self.hash.as_slice(), header.as_bytes()].concat()).as_bytes();
        fields
    }

    /// The next MESSAGE event: its author's name and its text.
    async fn message(&mut self, wire: &mut Wire) -> (Value, Value) {
        let (event, line) = wire.event("MESSAGE").await;
        let MessageLine { body: entry } = serde_json::from_str(&line).unwrap();
        let header = self.follow(entry.header.get(), entry.body.get());
        (header["from"]["name"].clone(), event["body"]["text"].clone())
    }
}

fn hello(purpose: &str) -> Value {
    json!({ "protocol": 1, "program": "stranger 1", "purpose": purpose })
}

fn message(number: u8, text: &str) -> Value {
    let id = format!("01a0c451-5660-7a61-8ff1-fdfef91100{number:02x}");
    json!({ "id": id, "type": "text", "sent_at": 1_790_000_060_000_u64, "body": { "text": text } })
}

/// The tracker, and ken's peer, which hosts the channel `first` and has said two things there.
struct World {
    tracker: tracker::Ready,
    ken: peer::Peer,
    _stop: common::shutdown::ShutdownTrigger,
}

impl World {
    async fn start(folder: &Path) -> Self {
        use peer::api::{Command, Event, OutgoingState};
        use peer::ui::Node;
        let (stop, shutdown) = common::shutdown::Shutdown::new();
        let (tell, told) = tokio::sync::oneshot::channel();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = tracker::Config::new(listen, folder.join("tracker"));
        actix_rt::spawn(tracker::run(config, shutdown, |ready| drop(tell.send(ready))));
        let tracker = timeout(LIMIT, told).await.unwrap().unwrap();
        let mut ken = peer::start(peer_config(&tracker, folder)).await.unwrap();
        let node = ken.node.clone();
        let mut stored = 0;
        while stored < 2 {
            match timeout(LIMIT, ken.events.recv()).await.unwrap().unwrap() {
                Event::Result { outcome, .. } if outcome.is_ok() => {
                    for text in ["hello", "is anybody there?"] {
                        let channel = "first".parse().unwrap();
                        node.perform(Command::Send { channel, text: text.into() }).await.unwrap();
                    }
                }
                Event::Outgoing { state: OutgoingState::Stored, .. } => stored += 1,
                _ => {}
            }
        }
        let events = std::mem::replace(&mut ken.events, peer::events::Events::new().1);
        actix_rt::spawn(async move { while events.recv().await.is_some() {} });
        Self { tracker, ken, _stop: stop }
    }

    /// What the tracker prints at its start.
    fn tracker_address(&self) -> (String, String) {
        (format!("tcp:{}", self.tracker.address), self.tracker.key.to_string())
    }
}

fn peer_config(tracker: &tracker::Ready, folder: &Path) -> peer::Config {
    peer::Config {
        catch_up: peer::client::CatchUp::default(),
        tracker: peer::tracker_link::TrackerAddress {
            address: tracker.address.to_string(),
            key: Some(tracker.key),
            trust_first: false,
        },
        username: "ken".parse().unwrap(),
        name_was_given: true,
        data: folder.join("ken"),
        last_name: None,
        host_channels: vec!["first".parse().unwrap()],
        listen: peer::hosting::ListenConfig {
            ip: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            advertise: Vec::new(),
        },
        drain: Duration::from_secs(1),
        expire: None,
    }
}

/// A stranger who is in the channel.
struct Inside {
    tracker: Wire,
    host: Wire,
    pass: Value,
    record: Value,
    connected: Value,
    own: SigningKey,
}

impl Inside {
    /// Sections 5 to 7, from the first contact to the answer to CONNECT.
    async fn enter(world: &World) -> Self {
        let own = SigningKey::from_bytes(&[42; 32]);
        let (mut tracker, pass) = Self::become_guest(world, &own).await;
        let page = tracker.ask("LIST", json!({ "pattern": "F*T" })).await.unwrap();
        assert_eq!((&page["channels"][0]["name"], &page["next"]), (&json!("first"), &Value::Null));
        let record = tracker.ask("LOCATE", json!({ "name": "First" })).await.unwrap();
        assert_eq!(record["online"], true);
        let (host, connected) = Self::connect(&own, &record, &pass, json!({ "tail": 50 })).await;
        Self { tracker, host, pass, record, connected, own }
    }

    async fn become_guest(world: &World, own: &SigningKey) -> (Wire, Value) {
        let (address, key) = world.tracker_address();
        let mut tracker = Wire::dial(own, &address, &key).await;
        tracker.ask("PING", json!({})).await.unwrap();
        assert_eq!(tracker.ask("LIST", json!({})).await.unwrap_err(), "wrong_phase");
        assert_eq!(tracker.ask("HELLO", hello("channel")).await.unwrap_err(), "bad_request");
        let welcome = tracker.ask("HELLO", hello("control")).await.unwrap();
        assert_eq!(tracker.ask("HELLO", hello("control")).await.unwrap_err(), "wrong_phase");
        assert_eq!(tracker.ask("LIST", json!({})).await.unwrap_err(), "not_signed_in");
        assert_eq!(tracker.ask("RENEW", json!({})).await.unwrap_err(), "not_signed_in");
        assert_eq!(tracker.ask("GUEST", json!({ "name": "no@name" })).await.unwrap_err(), "bad_request");
        assert_eq!(tracker.ask("GUEST", json!({ "name": "KEN" })).await.unwrap_err(), "name_taken");
        let pass =
            tracker.ask("GUEST", json!({ "name": "charlie", "later": 1 })).await.unwrap()["pass"].clone();
        let directory = &welcome["directory"];
        let claims = verify(&pass, "natter-pass-v1", directory["signing_keys"][0].as_str().unwrap());
        let own_key = hex::encode(own.verifying_key().as_bytes());
        assert_eq!((&claims["directory"], &claims["name"]), (&directory["id"], &json!("charlie")));
        assert_eq!((&claims["subject"], &claims["peer_key"]), (&json!(own_key), &json!(own_key)));
        (tracker, pass)
    }

    async fn connect(own: &SigningKey, record: &Value, pass: &Value, begin: Value) -> (Wire, Value) {
        let host_key = record["host_key"].as_str().unwrap();
        let mut host = Wire::dial(own, record["addresses"][0].as_str().unwrap(), host_key).await;
        assert_eq!(host.ask("HELLO", hello("control")).await.unwrap_err(), "bad_request");
        host.ask("HELLO", hello("channel")).await.unwrap();
        assert_eq!(host.ask("MEMBERS", json!({})).await.unwrap_err(), "wrong_phase");
        let mut connect = json!({ "channel": record["id"], "pass": pass });
        connect.as_object_mut().unwrap().extend(begin.as_object().unwrap().clone());
        let connected = host.ask("CONNECT", connect).await.unwrap();
        let checkpoint = verify(&connected["checkpoint"], "natter-checkpoint-v1", host_key);
        assert_eq!(checkpoint["channel"], record["id"]);
        for field in ["epoch", "seq", "hash"] {
            assert_eq!(checkpoint[field], connected["head"][field]);
        }
        (host, connected)
    }
}

#[actix::test]
async fn a_client_can_be_written_from_the_document_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let mut inside = Inside::enter(&world).await;
    let epoch = inside.connected["head"]["epoch"].as_str().unwrap().to_owned();
    let mut chain = Chain::root(inside.record["id"].as_str().unwrap(), &epoch);
    assert_eq!(chain, Chain::at(&inside.connected["after"]), "the tail is longer than the log");
    assert_eq!(chain.message(&mut inside.host).await, (json!("ken"), json!("hello")));
    assert_eq!(chain.message(&mut inside.host).await, (json!("ken"), json!("is anybody there?")));
    assert_eq!(chain, Chain::at(&inside.connected["head"]));

    send_in_order(&mut inside.host, &mut chain).await;
    look_around(&mut inside.host, &chain, &epoch).await;
    resume(&mut inside, &chain, &epoch).await;
    leave(inside, &world).await;
}

/// Section 9.2.
async fn send_in_order(host: &mut Wire, chain: &mut Chain) {
    let mut asked = Vec::new();
    let mut again = message(4, "four – \u{1f44b}");
    for body in [
        message(1, "one \\ \"two\""),
        message(2, ""),
        again.clone(),
        json!({ "id": "?", "restart": true }),
        message(1, "one \\ \"two\""),
    ] {
        asked.push(host.send("MESSAGE", body).await);
    }
    let mut outcomes = Vec::new();
    for id in &asked {
        let answer = host.answer().await;
        assert_eq!(answer["id"], id.as_str(), "the answers come in the order of the requests");
        outcomes.push(outcome(&answer).map(|stored| stored["seq"].clone()));
    }
    let refused = |code: &str| Err(code.to_owned());
    let after = || refused("after_refused");
    assert_eq!(outcomes, [Ok(json!(3)), refused("text_empty"), after(), after(), after()]);
    again["restart"] = json!(true);
    assert_eq!(host.ask("MESSAGE", again.clone()).await.unwrap()["seq"], 4);
    assert_eq!(host.ask("MESSAGE", again.clone()).await.unwrap()["seq"], 4, "it is stored once");
    again["body"]["text"] = json!("something else");
    assert_eq!(host.ask("MESSAGE", again.clone()).await.unwrap_err(), "id_reused");
    let unknown = json!({ "id": "?", "restart": true });
    assert_eq!(host.ask("MESSAGE", unknown).await.unwrap_err(), "after_refused");
    for text in ["one \\ \"two\"", "four – \u{1f44b}"] {
        assert_eq!(chain.message(host).await, (json!("charlie"), json!(text)));
    }
}

/// The other commands of section 7, and the rules of section 3.
async fn look_around(host: &mut Wire, chain: &Chain, epoch: &str) {
    let page = host.ask("HISTORY", json!({ "after": 1, "before": 4 })).await.unwrap();
    let seqs: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| &entry["header"]["seq"]).collect();
    assert_eq!(seqs, [&json!(2), &json!(3)]);
    assert_eq!((Chain::at(&page["head"]), &page["head"]["epoch"]), (chain.clone(), &json!(epoch)));
    let members = host.ask("MEMBERS", json!({})).await.unwrap();
    let names: Vec<_> =
        members["members"].as_array().unwrap().iter().map(|row| (&row["name"], &row["role"])).collect();
    assert_eq!(names, [(&json!("charlie"), &json!("guest")), (&json!("ken"), &json!("owner"))]);
    let info = host.ask("RET_INFO", json!({})).await.unwrap();
    assert_eq!((&info["members"], &info["policy"]["view"]), (&json!(2), &json!("public")));
    assert_eq!(host.ask("DEBUG", json!({})).await.unwrap_err(), "not_owner");
    assert_eq!(host.ask("DANCE", json!({})).await.unwrap_err(), "unknown_command");
    assert_eq!(host.ask("HISTORY", json!({ "before": "x" })).await.unwrap_err(), "bad_request");
    host.write("{not json").await;
    let answer = host.answer().await;
    assert_eq!((&answer["id"], outcome(&answer).unwrap_err().as_str()), (&json!(NOBODY), "bad_frame"));
    host.ask("PING", json!({})).await.unwrap();
}

/// Section 9.5, and what becomes of the older connection.
async fn resume(inside: &mut Inside, chain: &Chain, epoch: &str) {
    let have = json!({ "epoch": epoch, "seq": chain.seq, "hash": hex::encode(chain.hash) });
    let renewed = inside.tracker.ask("RENEW", json!({})).await.unwrap()["pass"].clone();
    inside.host.ask("PASS", json!({ "pass": renewed })).await.unwrap();
    let (newer, connected) =
        Inside::connect(&inside.own, &inside.record, &renewed, json!({ "have": have })).await;
    assert_eq!((&connected["after"], &connected["head"]), (&have, &have));
    assert_eq!(inside.host.event("GOING_AWAY").await.0["code"], "superseded");
    (inside.host, inside.pass) = (newer, renewed);
}

async fn leave(mut inside: Inside, world: &World) {
    use peer::ui::Node;
    inside.host.ask("DISCONNECT", json!({})).await.unwrap();
    let unhost = peer::api::Command::Unhost { channel: "first".parse().unwrap(), release: false };
    world.ken.node.perform(unhost).await.unwrap();
    let (down, _) = inside.tracker.event("CHANNEL_DOWN").await;
    assert_eq!(down["id"], inside.record["id"]);
    let record = inside.tracker.ask("LOCATE", json!({ "id": inside.record["id"] })).await.unwrap();
    assert_eq!(
        (&record["online"], &record["head"]["epoch"]),
        (&json!(false), &inside.connected["head"]["epoch"])
    );
    world.ken.node.perform(peer::api::Command::Host { channel: "first".parse().unwrap() }).await.unwrap();
    let (up, _) = inside.tracker.event("CHANNEL_UP").await;
    let again = Inside::connect(&inside.own, &up["channel"], &inside.pass, json!({})).await;
    assert_eq!(again.1["after"], again.1["head"], "nothing old was asked for");
}

/// Section 3: what the limits are, and what is said to those who do not keep to them.
#[actix::test]
async fn whoever_does_not_keep_to_the_document_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let mut inside = Inside::enter(&world).await;
    send_long(&mut inside.host).await;
    for _ in 0..8 {
        inside.host.write("[]").await;
    }
    for _ in 0..7 {
        assert_eq!(outcome(&inside.host.answer().await).unwrap_err(), "bad_frame");
    }
    assert_eq!(inside.host.farewell().await, "bad_frame");

    let (address, key) = (inside.record["addresses"][0].clone(), inside.record["host_key"].clone());
    let (address, key) = (address.as_str().unwrap(), key.as_str().unwrap());
    let mut knocking = Wire::dial(&inside.own, address, key).await;
    knocking.ask("HELLO", hello("channel")).await.unwrap();
    for _ in 0..8 {
        let unknown = json!({ "channel": NOBODY, "pass": inside.pass });
        assert_eq!(knocking.ask("CONNECT", unknown).await.unwrap_err(), "no_such_channel");
    }
    assert_eq!(knocking.farewell().await, "too_many_requests");

    let (address, key) = world.tracker_address();
    let mut old = Wire::dial(&inside.own, &address, &key).await;
    let asked = json!({ "protocol": 2, "program": "stranger 2", "purpose": "control" });
    assert_eq!(old.ask("HELLO", asked).await.unwrap_err(), "unsupported_version");
    assert_eq!(old.farewell().await, "unsupported_version");

    let mut newer = Wire::dial(&inside.own, &address, &key).await;
    newer.ask("HELLO", hello("control")).await.unwrap();
    newer.ask("RENEW", json!({})).await.expect("the name is held");
    assert_eq!(inside.tracker.farewell().await, "superseded");
    newer.write(&"x".repeat(65_536)).await;
    assert_eq!(newer.farewell().await, "frame_too_long");
}

/// The longest body that there may be, and one byte more.
async fn send_long(host: &mut Wire) {
    for (number, padding, expected) in
        [(7, "aaaaa", Ok(json!(3))), (8, "aaaaaa", Err("frame_too_long".into()))]
    {
        let body = format!(r#"{{"text":"{}{padding}"}}"#, r"\u0061".repeat(10_184));
        assert_eq!(body.len(), 61_115 + padding.len());
        let mut asked = message(number, "");
        asked["body"] = json!("BODY");
        let line = json!({ "id": NOBODY, "command": "MESSAGE", "body": asked }).to_string();
        host.write(&line.replace("\"BODY\"", &body)).await;
        assert_eq!(outcome(&host.answer().await).map(|stored| stored["seq"].clone()), expected);
    }
    loop {
        let (event, line) = host.event("MESSAGE").await;
        if event["header"]["seq"] == 3 {
            assert!(line.contains(r"\u0061\u0061aaaaa"), "the bytes are kept as they were written");
            return;
        }
    }
}
