//! Reaching somebody at one of several addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::race::staggered;
use super::tls::{self, HandshakeError};
use super::{Address, Connection, Expected, Transport, send_at_once, tcp_connection};
use crate::identity::PeerKey;

/// How many of the given addresses, and of the places that one name stands for, are tried.
pub const MAX_DIAL_ADDRESSES: usize = 16;
/// How long one address is tried alone before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(200);

/// Why nobody was reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// None of the addresses is of a carrier that this program knows.
    #[error("there is no address that this program can dial: update it, or ask for a tcp: address")]
    NoUsableAddress,
    /// Every address was tried, in vain.
    #[error("nobody could be reached at {}", listed(.tried))]
    Unreachable {
        /// The addresses with what became of each.
        tried: Vec<Attempt>,
    },
    /// Somebody answered who is not the expected one, and the expected one did not. Nothing was sent.
    #[error(
        "at {address} is {found} instead of the expected {expected}: find out which is right before going on"
    )]
    WrongKey {
        /// The key that was asked for.
        expected: PeerKey,
        /// The key that whoever answered proved to hold.
        found: PeerKey,
        /// Where.
        address: Address,
    },
    /// Time ran out; some addresses may have failed before.
    #[error("nobody answered within {limit:?}{}", failed_before(.tried))]
    TimedOut {
        /// How long all of it may take.
        limit: Duration,
        /// The addresses that had failed already, with what became of each.
        tried: Vec<Attempt>,
    },
}

/// A failed attempt at one address.
#[derive(Debug)]
pub struct Attempt {
    /// The address; where a name stands for several places, one of these.
    pub address: Address,
    /// What became of it.
    pub error: AttemptError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.error)
    }
}

/// Why one address did not work.
///
/// Its text holds all of the reason, since it is read in a list and not as a chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The name in it stands for no place.
    #[error("its name is not known: {0}")]
    Resolve(io::Error),
    /// Nothing listens there, or there is no way there.
    #[error("{0}")]
    Connect(io::Error),
    /// Something listens there that is not one of us, or not the expected one.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

fn listed(tried: &[Attempt]) -> String {
    let lines: Vec<String> = tried.iter().map(Attempt::to_string).collect();
    lines.join(", ")
}

fn failed_before(tried: &[Attempt]) -> String {
    if tried.is_empty() { String::new() } else { format!("; failed before that: {}", listed(tried)) }
}

impl Transport {
    /// Connects to `expected` at whichever of `addresses` gets through first.
    ///
    /// They are tried in the given order, a little after each other; addresses of unknown carriers are skipped, and
    /// so are those after the first [`MAX_DIAL_ADDRESSES`]. Dropping the future ends all attempts.
    ///
    /// # Errors
    /// When none gets through within the handshake limit. [`DialError::WrongKey`] goes before the other reasons.
    pub async fn dial(&self, expected: Expected, addresses: &[Address]) -> Result<Connection, DialError> {
        let usable = addresses.iter().filter_map(|address| Some((address, address.tcp_addr()?)));
        let usable: Vec<_> = usable.take(MAX_DIAL_ADDRESSES).collect();
        if usable.is_empty() {
            return Err(DialError::NoUsableAddress);
        }
        let connector = TlsConnector::from(tls::config_for(expected, &self.client));
        let dialling = Dialling { connector, failed: Mutex::default() };
        let race = staggered(usable, STAGGER, |(address, place)| Box::pin(dialling.reach(address, place)));
        let outcome = tokio::time::timeout(self.handshake_limit, race).await;
        match outcome {
            Ok(Some(connection)) => Ok(connection),
            Ok(None) => Err(dialling.into_error(expected, |tried| DialError::Unreachable { tried })),
            Err(_) => {
                let limit = self.handshake_limit;
                Err(dialling.into_error(expected, |tried| DialError::TimedOut { limit, tried }))
            }
        }
    }
}

/// One call of [`Transport::dial`].
struct Dialling {
    connector: TlsConnector,
    /// Outlives the race, so that what failed can be told when time runs out.
    failed: Mutex<Vec<Attempt>>,
}

impl Dialling {
    /// Tries every place that `place`, a `host:port`, stands for.
    async fn reach(&self, address: &Address, place: &str) -> Option<Connection> {
        let places = match tokio::net::lookup_host(place).await {
            Ok(places) => places.take(MAX_DIAL_ADDRESSES),
            Err(error) => return self.note(address.clone(), AttemptError::Resolve(error)),
        };
        let places: Vec<SocketAddr> = places.collect();
        staggered(places, STAGGER, |place| Box::pin(self.reach_place(place))).await
    }

    async fn reach_place(&self, place: SocketAddr) -> Option<Connection> {
        match self.connect(place).await {
            Ok(connection) => Some(connection),
            Err(error) => self.note(Address::tcp(place), error),
        }
    }

    async fn connect(&self, place: SocketAddr) -> Result<Connection, AttemptError> {
        let stream = TcpStream::connect(place).await.map_err(AttemptError::Connect)?;
        send_at_once(&stream).map_err(AttemptError::Connect)?;
        let stream = self.connector.connect(tls::no_name(), stream).await.map_err(HandshakeError::from)?;
        let peer_key = tls::peer_key(stream.get_ref().1)?;
        Ok(tcp_connection(stream, peer_key, place))
    }

    fn note(&self, address: Address, error: AttemptError) -> Option<Connection> {
        tracing::debug!(address = ?address.as_str(), err = ?error.to_string(), "an address did not work");
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.push(Attempt { address, error });
        None
    }

    fn into_error(self, expected: Expected, other: impl FnOnce(Vec<Attempt>) -> DialError) -> DialError {
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let wrong = failed.iter().find_map(|attempt| match (expected, &attempt.error) {
            (Expected::Key(expected), AttemptError::Handshake(HandshakeError::WrongKey { found })) => {
                Some(DialError::WrongKey { expected, found: *found, address: attempt.address.clone() })
            }
            _ => None,
        });
        wrong.unwrap_or_else(|| other(failed))
    }
}
