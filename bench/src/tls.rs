//! The TLS end of one driven connection, without buffers of its own: bytes in, lines' bytes out.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::Fallible;

/// Enough for any flight of a handshake, and the first guess for what a line takes.
const ROOM: usize = 4096;

/// What other servers are dialled with: whatever certificate they show, since what is measured is no secret.
pub fn any_server() -> Fallible<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anybody(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

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
