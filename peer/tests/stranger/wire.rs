//! What the document says of bytes: TLS, lines, signed values, the chain of an entry's hashes.

use std::collections::VecDeque;
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
pub const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
pub const LIMIT: Duration = Duration::from_secs(10);
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// The other side has to prove this key.
#[derive(Debug)]
pub struct Pinned {
    pub key: [u8; 32],
    pub provider: Arc<CryptoProvider>,
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

pub fn tls_config(own: &SigningKey, other: &str) -> ClientConfig {
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

pub fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    hex::decode(digits).unwrap().try_into().unwrap()
}

/// A connection, with the events that came while an answer was waited for.
pub struct Wire {
    pub stream: BufReader<TlsStream<TcpStream>>,
    pub events: VecDeque<(Value, String)>,
    pub answers: VecDeque<Value>,
    pub asked: u64,
}

impl Wire {
    pub async fn dial(own: &SigningKey, address: &str, key: &str) -> Self {
        let place = address.strip_prefix("tcp:").expect("a carrier that is known here");
        let stream = TcpStream::connect(place).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]));
        let connector = TlsConnector::from(Arc::new(tls_config(own, key)));
        let stream = timeout(LIMIT, connector.connect(name, stream)).await.unwrap().unwrap();
        Self { stream: BufReader::new(stream), events: VecDeque::new(), answers: VecDeque::new(), asked: 0 }
    }

    pub async fn write(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// Sorts the next line into answers and events.
    pub async fn read(&mut self) {
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
    pub async fn send(&mut self, command: &str, body: Value) -> String {
        self.asked += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.asked);
        self.write(&json!({ "id": id, "command": command, "body": body }).to_string()).await;
        id
    }

    /// The next answer, whichever it is.
    pub async fn answer(&mut self) -> Value {
        while self.answers.is_empty() {
            self.read().await;
        }
        self.answers.pop_front().unwrap()
    }

    pub async fn ask(&mut self, command: &str, body: Value) -> Result<Value, String> {
        let id = self.send(command, body).await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], id.as_str(), "{answer}");
        outcome(&answer)
    }

    /// The code of GOING_AWAY, after which nothing comes.
    pub async fn farewell(&mut self) -> String {
        let (reason, _) = self.event("GOING_AWAY").await;
        let mut rest = String::new();
        let read = timeout(LIMIT, self.stream.read_line(&mut rest)).await.expect("the end in time");
        assert!(!matches!(read, Ok(1..)), "{rest}");
        reason["code"].as_str().unwrap().to_owned()
    }

    /// The next event of this name, with its line; JOINED and LEFT come when they come.
    pub async fn event(&mut self, name: &str) -> (Value, String) {
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

pub fn outcome(answer: &Value) -> Result<Value, String> {
    if answer["status"] == "OK" {
        return Ok(answer["body"].clone());
    }
    assert!(answer["body"]["reason"].is_string(), "{answer}");
    Err(answer["body"]["code"].as_str().unwrap().to_owned())
}

/// Section 10.1: the payload, once the signature is known to be by this key for this purpose.
pub fn verify(signed: &Value, purpose: &str, key: &str) -> Value {
    let (payload, signature) = signed.as_str().unwrap().split_once('.').unwrap();
    let payload = hex::decode(payload).unwrap();
    let message = [purpose.as_bytes(), b"\0", &payload].concat();
    let key = VerifyingKey::from_bytes(&bytes(key)).unwrap();
    key.verify_strict(&message, &Signature::from_bytes(&bytes(signature))).expect("the signature fits");
    serde_json::from_slice(&payload).unwrap()
}

#[derive(serde::Deserialize)]
pub struct MessageLine<'a> {
    #[serde(borrow)]
    pub body: EntryBytes<'a>,
}

#[derive(serde::Deserialize)]
pub struct EntryBytes<'a> {
    #[serde(borrow)]
    pub header: &'a RawValue,
    #[serde(borrow)]
    pub body: &'a RawValue,
}

/// Section 9.3: how far the log was followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    pub seq: u64,
    pub hash: [u8; 32],
}

impl Chain {
    pub fn at(position: &Value) -> Self {
        Self { seq: position["seq"].as_u64().unwrap(), hash: bytes(position["hash"].as_str().unwrap()) }
    }

    pub fn root(channel: &str, epoch: &str) -> Self {
        let uuid = |text: &str| hex::decode(text.replace('-', "")).unwrap();
        let start = [b"natter-log-v1\0".to_vec(), uuid(channel), uuid(epoch)].concat();
        Self { seq: 0, hash: *blake3::hash(&start).as_bytes() }
    }

    pub fn follow(&mut self, header: &str, body: &str) -> Value {
        let fields: Value = serde_json::from_str(header).unwrap();
        self.seq += 1;
        assert_eq!(fields["seq"], self.seq);
        assert_eq!(fields["body_hash"], blake3::hash(body.as_bytes()).to_hex().as_str());
        self.hash = *blake3::hash(&[self.hash.as_slice(), header.as_bytes()].concat()).as_bytes();
        fields
    }

    /// The next MESSAGE event: its author's name and its text.
    pub async fn message(&mut self, wire: &mut Wire) -> (Value, Value) {
        let (event, line) = wire.event("MESSAGE").await;
        let MessageLine { body: entry } = serde_json::from_str(&line).unwrap();
        let header = self.follow(entry.header.get(), entry.body.get());
        (header["from"]["name"].clone(), event["body"]["text"].clone())
    }
}

pub fn hello(purpose: &str) -> Value {
    json!({ "protocol": 1, "program": "stranger 1", "purpose": purpose })
}

pub fn message(number: u8, text: &str) -> Value {
    let id = format!("01a0c451-5660-7a61-8ff1-fdfef91100{number:02x}");
    json!({ "id": id, "type": "text", "sent_at": 1_790_000_060_000_u64, "body": { "text": text } })
}
