use std::net::Ipv4Addr;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(5);

fn transport() -> Transport {
    Transport::new(Identity::generate().unwrap()).unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

/// Both ends of a connection from `client` to `server`.
async fn connect(client: &Transport, server: &Transport) -> (Connection, Connection) {
    let mut listener = server.listen(LOCAL).await.unwrap();
    let addresses = [Address::tcp(listener.local_addr())];
    let accept = async { listener.accept().await.handshake().await.unwrap() };
    let dial = async { client.dial(Expected::Key(server.key()), &addresses).await.unwrap() };
    within(async { tokio::join!(dial, accept) }).await
}

async fn assert_open(mut one: Connection, mut other: Connection) {
    one.stream.write_all(b"there").await.unwrap();
    one.stream.flush().await.unwrap();
    let mut word = [0; 5];
    within(other.stream.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"there");
    other.stream.write_all(b"again").await.unwrap();
    other.stream.shutdown().await.unwrap();
    let mut rest = String::new();
    within(one.stream.read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "again");
}

/// Accepts for ever and shows what becomes of each.
fn serve(mut listener: Listener) -> tokio::sync::mpsc::Receiver<Result<Connection, HandshakeError>> {
    let (outcomes, received) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let incoming = listener.accept().await;
            let outcomes = outcomes.clone();
            tokio::spawn(async move { outcomes.send(incoming.handshake().await).await });
        }
    });
    received
}

/// An address that nobody listens on.
async fn dead_address() -> Address {
    let socket = TcpListener::bind(LOCAL).await.unwrap();
    Address::tcp(socket.local_addr().unwrap())
}

#[tokio::test]
async fn each_end_sees_the_key_of_the_other() {
    let (client, server) = (transport(), transport());
    let (dialled, accepted) = connect(&client, &server).await;
    assert_eq!((dialled.peer_key, accepted.peer_key), (server.key(), client.key()));
    assert_eq!(accepted.origin, Origin::Network(LOCAL.ip()));
    assert_eq!(accepted.remote.unwrap().ip(), LOCAL.ip());
    assert_eq!(dialled.path, format!("tcp {}", dialled.remote.unwrap()));
    assert_open(dialled, accepted).await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_named() {
    let (client, server, other) = (transport(), transport(), transport());
    let listener = server.listen(LOCAL).await.unwrap();
    let address = Address::tcp(listener.local_addr());
    let mut outcomes = serve(listener);
    let addresses = [dead_address().await, address.clone()];
    let error = within(client.dial(Expected::Key(other.key()), &addresses)).await.unwrap_err();
    match error {
        DialError::WrongKey { expected, found, address: at } => {
            assert_eq!((expected, found, at), (other.key(), server.key(), address));
        }
        error => panic!("{error:?}"),
    }
    assert!(within(outcomes.recv()).await.unwrap().is_err(), "the server never saw a connection");
}

#[tokio::test]
async fn anybody_will_do_at_first_contact() {
    let (client, server) = (transport(), transport());
    let listener = server.listen(LOCAL).await.unwrap();
    let address = Address::tcp(listener.local_addr());
    let _outcomes = serve(listener);
    let connection = within(client.dial(Expected::Any, &[address])).await.unwrap();
    assert_eq!(connection.peer_key, server.key());
}

/// A client that has nothing to show, whether or not it speaks of raw keys.
#[derive(Debug)]
struct NoKey {
    raw: bool,
}

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        self.raw
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_client_without_a_key_is_refused() {
    let server = transport();
    let listener = server.listen(LOCAL).await.unwrap();
    let address = listener.local_addr();
    let mut outcomes = serve(listener);
    for (raw, reason) in [(true, "no certificates"), (false, "IncorrectCertificateType")] {
        let mut config = ClientConfig::clone(&transport().client);
        config.client_auth_cert_resolver = Arc::new(NoKey { raw });
        let stream = TcpStream::connect(address).await.unwrap();
        let client = TlsConnector::from(Arc::new(config)).connect(tls::no_name(), stream);
        let client = tokio::spawn(async move { client.await?.read_u8().await });
        let error = within(outcomes.recv()).await.unwrap().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(within(client).await.unwrap().is_err());
    }
}

/// The first message of a client that knows TLS 1.2 and nothing later.
fn tls12_hello() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]); // random
    hello.extend([0]); // no session
    hello.extend([0, 2, 0xc0, 0x2b]); // ECDHE-ECDSA with AES-128-GCM
    hello.extend([1, 0]); // no compression
    let extensions = [0, 13, 0, 4, 0, 2, 8, 7, 0, 10, 0, 4, 0, 2, 0, 29]; // Ed25519, X25519
    hello.extend([0, extensions.len() as u8]);
    hello.extend(extensions);
    let length = hello.len() as u8;
    [vec![22, 3, 1, 0, length + 4, 1, 0, 0, length], hello].concat()
}

#[tokio::test]
async fn strange_clients_fail_and_the_listener_lives_on() {
    let (client, server) = (transport(), transport());
    let listener = server.listen(LOCAL).await.unwrap();
    let address = listener.local_addr();
    let mut outcomes = serve(listener);
    for bytes in [tls12_hello(), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 4096], Vec::new()] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let error = within(outcomes.recv()).await.unwrap().unwrap_err();
        assert!(matches!(error, HandshakeError::Failed(_)), "{error:?}");
    }
    let dialled = client.dial(Expected::Key(server.key()), &[Address::tcp(address)]).await.unwrap();
    let accepted = within(outcomes.recv()).await.unwrap().unwrap();
    assert_open(dialled, accepted).await;
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let limit = Duration::from_millis(20);
    let mut listener = transport().with_handshake_limit(limit).listen(LOCAL).await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr()).await.unwrap();
    let incoming = listener.accept().await;
    assert_eq!(incoming.origin(), Origin::of(LOCAL.ip()));
    let outcome = within(incoming.handshake()).await;
    assert!(matches!(outcome, Err(HandshakeError::TimedOut { limit: l }) if l == limit), "{outcome:?}");
}

#[tokio::test]
async fn who_does_not_answer_is_given_up() {
    let limit = Duration::from_millis(400);
    let client = transport().with_handshake_limit(limit);
    let silent = TcpListener::bind(LOCAL).await.unwrap();
    let addresses = [dead_address().await, Address::tcp(silent.local_addr().unwrap())];
    match within(client.dial(Expected::Any, &addresses)).await.unwrap_err() {
        DialError::TimedOut { limit: l, tried } => {
            assert_eq!((l, tried.len()), (limit, 1));
            assert_eq!(tried[0].address, addresses[0]);
        }
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_live_address_wins_over_dead_silent_and_unknown_ones() {
    let (client, server) = (transport(), transport());
    let listener = server.listen(LOCAL).await.unwrap();
    let live = Address::tcp(listener.local_addr());
    let mut outcomes = serve(listener);
    let silent = TcpListener::bind(LOCAL).await.unwrap();
    let silent = Address::tcp(silent.local_addr().unwrap());
    let strange: Address = "pigeon:post".parse().unwrap();
    let addresses = [strange, dead_address().await, silent, live];
    let dialled = within(client.dial(Expected::Key(server.key()), &addresses)).await.unwrap();
    let accepted = within(outcomes.recv()).await.unwrap().unwrap();
    assert_open(dialled, accepted).await;
}

#[tokio::test]
async fn names_are_looked_up() {
    let (client, server) = (transport(), transport());
    let listener = server.listen(LOCAL).await.unwrap();
    let address = format!("tcp:localhost:{}", listener.local_addr().port()).parse().unwrap();
    let _outcomes = serve(listener);
    within(client.dial(Expected::Key(server.key()), &[address])).await.unwrap();
}

#[tokio::test]
async fn failures_are_told_by_address() {
    let client = transport();
    let strange: Address = "pigeon:post".parse().unwrap();
    let error = client.dial(Expected::Any, &[strange]).await.unwrap_err();
    assert!(matches!(error, DialError::NoUsableAddress));

    let dead = dead_address().await;
    let portless: Address = "tcp:127.0.0.1".parse().unwrap();
    let error = within(client.dial(Expected::Any, &[dead.clone(), portless.clone()])).await.unwrap_err();
    let text = error.to_string();
    let DialError::Unreachable { tried } = error else { panic!("{text}") };
    assert!(matches!(tried[0].error, AttemptError::Connect(_)));
    assert!(matches!(tried[1].error, AttemptError::Resolve(_)));
    assert!(text.contains(dead.as_str()) && text.contains(portless.as_str()), "{text}");
}

#[tokio::test]
async fn sockets_that_are_bound_already_will_do() {
    let (client, server) = (transport(), transport());
    let socket = std::net::TcpListener::bind(LOCAL).unwrap();
    let listener = server.listen_on_std(socket).unwrap();
    let taken = server.listen(listener.local_addr()).await.unwrap_err();
    assert!(matches!(taken, ListenError::InUse { .. }), "{taken}");
    let address = Address::tcp(listener.local_addr());
    let _outcomes = serve(listener);
    within(client.dial(Expected::Key(server.key()), &[address])).await.unwrap();
}

#[tokio::test]
async fn a_memory_pair_carries_bytes_between_the_two_keys() {
    let (a, b) = (PeerKey::from_bytes([1; 32]), PeerKey::from_bytes([2; 32]));
    let (end_a, end_b) = memory_pair(a, b, 64);
    assert_eq!((end_a.peer_key, end_b.peer_key), (b, a));
    assert_eq!(end_a.origin, Origin::InProcess);
    assert_open(end_a, end_b).await;
}

#[test]
fn origins_are_single_v4_addresses_and_v6_networks() {
    let table = [
        ("192.0.2.1", "192.0.2.1/32"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
    ];
    for (ip, origin) in table {
        assert_eq!(Origin::of(ip.parse().unwrap()).to_string(), origin);
    }
}
