//! The TLS end of one driven connection, without buffers of its own: bytes in, lines' bytes out.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, Error};

use crate::Fallible;

/// Enough for any flight of a handshake, and the first guess for what a line takes.
const ROOM: usize = 4096;

/// The client's end of one TLS session.
pub struct Tls {
    session: UnbufferedClientConnection,
    is_open: bool,
}

/// What became of a piece of input.
pub struct Fed {
    /// How many of its bytes are done with.
    pub used: usize,
    /// Whether the handshake ended with it.
    pub opened: bool,
    /// Whether the other side has said that nothing more will come.
    pub ended: bool,
}

impl Tls {
    pub fn new(config: Arc<ClientConfig>) -> Result<Self, Error> {
        let name = ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]));
        Ok(Self { session: UnbufferedClientConnection::new(config, name)?, is_open: false })
    }

    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes what came in, hands out what it says, and appends to `out` what TLS itself has to answer.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
        mut plain: impl FnMut(&[u8]),
    ) -> Fallible<Fed> {
        let was_open = self.is_open;
        let (mut used, mut ended) = (0, false);
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut input[used..]);
            let goes_on = match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let AppDataRecord { discard: done, payload, .. } = record?;
                        discard += done;
                        plain(payload);
                    }
                    true
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(out, |room| match data.encode(room) {
                        Ok(length) => Ok(Ok(length)),
                        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                            Ok(Err(required_size))
                        }
                        Err(error) => Err(error.into()),
                    })?;
                    true
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    true
                }
                ConnectionState::WriteTraffic(_) => {
                    self.is_open = true;
                    false
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    ended = true;
                    false
                }
                _ => false,
            };
            used += discard;
            if !goes_on {
                return Ok(Fed { used, opened: self.is_open && !was_open, ended });
            }
        }
    }

    /// Appends the records of `plain` to `out`. Only once the session is open.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Fallible {
        let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut []);
        let ConnectionState::WriteTraffic(mut traffic) = state? else {
            return Err("the session takes no data".into());
        };
        append(out, |room| match traffic.encrypt(plain, room) {
            Ok(length) => Ok(Ok(length)),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                Ok(Err(required_size))
            }
            Err(error) => Err(error.into()),
        })
    }
}

/// Lets `write` write behind the end of `out`; it answers how much it wrote, or how much room it needs.
fn append(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Fallible<Result<usize, usize>>) -> Fallible {
    let (begin, mut room) = (out.len(), ROOM);
    for _ in 0..2 {
        out.resize(begin + room, 0);
        match write(&mut out[begin..])? {
            Ok(length) => {
                out.truncate(begin + length);
                return Ok(());
            }
            Err(needed) => room = needed,
        }
    }
    Err("TLS does not say how much room it needs".into())
}
