//! Being reached.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::tls::{HandshakeError, peer_key};
use super::{Connection, Origin, Transport, send_at_once, tcp_connection};
use crate::proto::limits::TLS_BUFFER_BYTES;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why nothing can be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program, or another copy of this one, has the port.
    #[error("{address} is in use: end the program that has it, or choose another port")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The operating system keeps the port to itself.
    #[error("this user may not listen on {address}: choose a port of 1024 or above")]
    NotAllowed {
        /// The address.
        address: SocketAddr,
    },
    /// The IP is none of this machine's.
    #[error("{address} is not an address of this machine: choose one that is, or 0.0.0.0 for all of them")]
    NotOurs {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A socket that was given cannot be used.
    #[error("cannot use the given socket")]
    Unusable(#[source] io::Error),
}

impl ListenError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { address },
            _ => Self::Failed { address, source },
        }
    }
}

impl Transport {
    /// Listens on `address`; with port 0, on a free port.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(&self, address: SocketAddr) -> Result<Listener, ListenError> {
        let socket = TcpListener::bind(address).await.map_err(|source| ListenError::new(address, source))?;
        self.listen_on(socket)
    }

    /// Listens on a socket that is bound already.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn listen_on(&self, socket: TcpListener) -> Result<Listener, ListenError> {
        let local_addr = socket.local_addr().map_err(ListenError::Unusable)?;
        Ok(Listener {
            socket,
            local_addr,
            tls: self.server.clone(),
            limit: self.handshake_limit,
            pause: Pause::default(),
        })
    }

    /// Listens on a socket that is bound already, such as one that was passed to the program.
    ///
    /// # Errors
    /// When the socket cannot be used without blocking, or has no address.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen_on_std(&self, socket: std::net::TcpListener) -> Result<Listener, ListenError> {
        socket.set_nonblocking(true).map_err(ListenError::Unusable)?;
        self.listen_on(TcpListener::from_std(socket).map_err(ListenError::Unusable)?)
    }
}

/// Takes in those who connect.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
    tls: Arc<ServerConfig>,
    limit: Duration,
    pause: Pause,
}

impl Listener {
    /// The address that is listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for the next who connects, of whom only the origin is known yet.
    ///
    /// Does not wait for a handshake and does not fail: when the operating system cannot give a connection (no free
    /// file descriptors), it is asked again after a pause. Safe to drop and call again.
    pub async fn accept(&mut self) -> Incoming {
        loop {
            if let Some(end) = self.pause.until {
                tokio::time::sleep_until(end).await;
            }
            match self.socket.accept().await {
                Ok((stream, remote)) => {
                    self.pause = Pause::default();
                    return self.incoming(stream, remote);
                }
                // It had come and gone again; the next is not to wait for it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    let pause = self.pause.after_error(Instant::now());
                    tracing::warn!(err = %error, ?pause, "cannot accept connections for now");
                }
            }
        }
    }

    fn incoming(&self, stream: TcpStream, remote: SocketAddr) -> Incoming {
        // A socket for both families shows IPv4 as IPv6.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        Incoming { stream, remote, tls: self.tls.clone(), limit: self.limit }
    }
}

/// When to ask the operating system again. Kept in the listener, so that dropping the future cannot skip it.
#[derive(Debug, Default)]
struct Pause {
    last: Option<Duration>,
    until: Option<Instant>,
}

impl Pause {
    fn after_error(&mut self, now: Instant) -> Duration {
        let next = self.last.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        *self = Self { last: Some(next), until: Some(now + next) };
        next
    }
}

/// Somebody who has connected and has not shown who it is yet. Dropping it hangs up.
#[derive(Debug)]
#[must_use = "dropping it hangs up"]
pub struct Incoming {
    stream: TcpStream,
    remote: SocketAddr,
    tls: Arc<ServerConfig>,
    limit: Duration,
}

impl Incoming {
    /// What limits count them under.
    pub fn origin(&self) -> Origin {
        Origin::of(self.remote.ip())
    }

    /// Where they are seen to be.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Does TLS, after which it is known who they are.
    ///
    /// # Errors
    /// When they show no key, speak something else, go away, or take longer than the handshake limit.
    pub async fn handshake(self) -> Result<Connection, HandshakeError> {
        let Self { stream, remote, tls, limit } = self;
        send_at_once(&stream)?;
        let handshake = Box::pin(TlsAcceptor::from(tls).accept(stream));
        let mut stream = tokio::time::timeout(limit, handshake)
            .await
            .map_err(|_| HandshakeError::TimedOut { limit })??;
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        let peer_key = peer_key(stream.get_ref().1)?;
        Ok(tcp_connection(stream, peer_key, remote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_start_anew() {
        let now = Instant::now();
        let mut pause = Pause::default();
        let pauses: Vec<u128> = (0..10).map(|_| pause.after_error(now).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(pause.until, Some(now + LONGEST_PAUSE));
        assert_eq!(Pause::default().after_error(now), FIRST_PAUSE);
    }

    #[test]
    fn the_commonest_reasons_say_what_to_do() {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let text = |kind: io::ErrorKind| ListenError::new(address, kind.into()).to_string();
        assert!(text(io::ErrorKind::AddrInUse).contains("choose another port"));
        assert!(text(io::ErrorKind::PermissionDenied).contains("1024"));
        assert!(text(io::ErrorKind::AddrNotAvailable).contains("0.0.0.0"));
        assert!(text(io::ErrorKind::Other).contains("127.0.0.1:80"));
    }
}
