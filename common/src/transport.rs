//! Byte streams between two peer keys: the seam behind which other carriers than TLS over TCP can come.
//!
//! [`Transport::dial`] and [`Listener::accept`] both end in a [`Connection`]: a stream, and the key that the
//! other side proved to hold. Nothing above this module knows how the bytes travel. The dialler writes first.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::identity::{Identity, PeerKey};
use crate::proto::limits::HANDSHAKE_LIMIT;

mod address;
mod dial;
mod listen;
mod race;
mod tls;

pub use address::{Address, MAX_ADDRESS_BYTES, NotAnAddress};
pub use dial::{Attempt, AttemptError, DialError, MAX_DIAL_ADDRESSES};
pub use listen::{Incoming, ListenError, Listener};
pub use tls::{HandshakeError, TlsError};

/// What a [`Connection`] reads from and writes to, whichever carrier made it.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A stream of any carrier.
pub type Stream = Box<dyn ByteStream>;

/// An authenticated byte stream.
pub struct Connection {
    /// The bytes.
    pub stream: Stream,
    /// The key that the other side proved to hold.
    pub peer_key: PeerKey,
    /// What limits count the other side under.
    pub origin: Origin,
    /// Where the other side is seen to be; `None` in process.
    pub remote: Option<SocketAddr>,
    /// The way the bytes take, for people: `tcp 192.0.2.1:40123`.
    pub path: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} via {})", self.peer_key, self.path)
    }
}

/// What limits count: as much of an address as somebody can be expected to have only one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An IPv4 address, or the first 64 bits of an IPv6 address, from which one customer has all.
    Network(IpAddr),
    /// This very process.
    InProcess,
}

impl Origin {
    /// The origin of whoever connects from `ip`.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Network(ip.into()),
            // Its first bits alone could not be told from no address at all.
            IpAddr::V6(ip) if ip.is_loopback() => Self::Network(ip.into()),
            IpAddr::V6(ip) => Self::Network(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(IpAddr::V4(ip)) => write!(f, "{ip}/32"),
            Self::Network(IpAddr::V6(ip)) => write!(f, "{ip}/64"),
            Self::InProcess => f.write_str("in process"),
        }
    }
}

/// Whom a dialler wants to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The holder of this key and nobody else.
    Key(PeerKey),
    /// Whoever answers: at first contact, before a key is pinned.
    Any,
}

/// Makes connections in the name of one identity. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    key: PeerKey,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    handshake_limit: Duration,
}

impl Transport {
    /// A transport in the name of `identity`.
    ///
    /// # Errors
    /// When this build's cryptography lacks TLS 1.3.
    pub fn new(identity: Identity) -> Result<Self, TlsError> {
        let key = identity.key();
        let (client, server) = tls::configs(identity)?;
        Ok(Self { key, client: Arc::new(client), server: Arc::new(server), handshake_limit: HANDSHAKE_LIMIT })
    }

    /// The same with another time limit than [`HANDSHAKE_LIMIT`], for what is dialled and listened on from now on.
    pub fn with_handshake_limit(mut self, limit: Duration) -> Self {
        self.handshake_limit = limit;
        self
    }

    /// The key that others see.
    pub fn key(&self) -> PeerKey {
        self.key
    }

    /// What TLS is dialled with, for a program that drives its connections itself.
    pub fn client_config(&self, expected: Expected) -> Arc<ClientConfig> {
        tls::config_for(expected, &self.client)
    }

    /// What TLS is listened with, for a program that drives its connections itself.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }
}

/// The two ends of a connection inside this process, each with the key of the other: first the end that `a`
/// holds, then that of `b`.
///
/// At most `capacity` bytes are under way in either direction.
pub fn memory_pair(a: PeerKey, b: PeerKey, capacity: usize) -> (Connection, Connection) {
    let (stream_a, stream_b) = tokio::io::duplex(capacity);
    let end = |stream, peer_key| Connection {
        stream: Box::new(stream),
        peer_key,
        origin: Origin::InProcess,
        remote: None,
        path: "in process".to_owned(),
    };
    (end(stream_a, b), end(stream_b, a))
}

/// The connection over `stream`, once TLS has shown who is at the other end of it.
fn tcp_connection<S>(stream: S, peer_key: PeerKey, remote: SocketAddr) -> Connection
where
    S: ByteStream + 'static,
{
    Connection {
        stream: Box::new(stream),
        peer_key,
        origin: Origin::of(remote.ip()),
        remote: Some(remote),
        path: format!("tcp {remote}"),
    }
}

/// Small frames are answers that somebody waits for: none may wait for more to come.
fn send_at_once(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)
}

#[cfg(test)]
mod tests;
