//! TLS 1.3 between two Ed25519 keys, without certificates (RFC 7250).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, ServerConfig, SignatureAlgorithm, SignatureScheme,
};

use super::Expected;
use crate::identity::{Identity, PeerKey};

/// What DER puts in front of the 32 bytes of an Ed25519 key to make a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why TLS cannot be set up at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS 1.3")]
pub struct TlsError(#[source] Error);

/// Why a stream did not become a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The other side did not finish TLS in time.
    #[error("the other side did not finish the TLS handshake within {limit:?}")]
    TimedOut {
        /// How long it had.
        limit: Duration,
    },
    /// The other side proved to hold another key than the expected one. Nothing was sent to it.
    #[error("the other side is {found}")]
    WrongKey {
        /// The key that it holds.
        found: PeerKey,
    },
    /// The other side speaks no TLS, another TLS, or TLS without a key of its own; or the line broke.
    #[error("the TLS handshake failed: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match wrong_key(&error) {
            Some(found) => Self::WrongKey { found },
            None => Self::Failed(error),
        }
    }
}

/// The configurations for dialling (anybody) and for listening, in the name of `identity`.
pub(super) fn configs(identity: Identity) -> Result<(ClientConfig, ServerConfig), TlsError> {
    // Explicit, since with a second provider in the program the default one is a panic at run time.
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(KeyVerifier { expected: Expected::Any, provider: provider.clone() });
    let spki = [SPKI_PREFIX.as_slice(), identity.key().as_bytes()].concat();
    let own_key = Arc::new(CertifiedKey::new(vec![spki.into()], Arc::new(IdentityKey(identity))));

    let mut client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own_key.clone())));
    // A resumed session would skip the proof of the key.
    client.resumption = Resumption::disabled();
    client.enable_sni = false;

    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own_key)));
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok((client, server))
}

/// The configuration for dialling `expected` and nobody else.
pub(super) fn config_for(expected: Expected, any: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    if expected == Expected::Any {
        return any.clone();
    }
    let verifier = KeyVerifier { expected, provider: any.crypto_provider().clone() };
    let mut config = ClientConfig::clone(any);
    config.dangerous().set_certificate_verifier(Arc::new(verifier));
    Arc::new(config)
}

/// The server name that TLS asks for; it is neither sent nor checked, since keys have no names.
pub(super) fn no_name() -> ServerName<'static> {
    ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]))
}

/// The key that the other side of a finished handshake proved to hold.
pub(super) fn peer_key(session: &CommonState) -> Result<PeerKey, HandshakeError> {
    let presented = session.peer_certificates().unwrap_or_default();
    let key = match presented {
        [spki] => parse_spki(spki),
        _ => Err(Error::NoCertificatesPresented),
    };
    key.map_err(|error| HandshakeError::Failed(io::Error::new(io::ErrorKind::InvalidData, error)))
}

fn parse_spki(spki: &[u8]) -> Result<PeerKey, Error> {
    spki.strip_prefix(&SPKI_PREFIX)
        .and_then(|key| key.try_into().ok())
        .map(PeerKey::from_bytes)
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// Carries the key that was found through rustls' own error type, which has no place for it.
#[derive(Debug, thiserror::Error)]
#[error("the other side holds another key than the expected one")]
struct WrongKey(PeerKey);

fn wrong_key(error: &io::Error) -> Option<PeerKey> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            inner.downcast_ref::<WrongKey>().map(|wrong| wrong.0)
        }
        _ => None,
    }
}

/// Accepts Ed25519 raw public keys, on either side.
#[derive(Debug)]
struct KeyVerifier {
    expected: Expected,
    provider: Arc<CryptoProvider>,
}

impl KeyVerifier {
    /// Checks the proof first and the key afterwards, so that a wrong key that is reported is one that somebody
    /// really holds. Either happens before anything of ours is sent.
    fn verify(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        let found = parse_spki(spki)?;
        let valid = verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(spki.as_ref()),
            signature,
            &self.provider.signature_verification_algorithms,
        )?;
        match self.expected {
            Expected::Key(expected) if expected != found => {
                let error = OtherError(Arc::new(WrongKey(found)));
                Err(Error::InvalidCertificate(CertificateError::Other(error)))
            }
            _ => Ok(valid),
        }
    }
}

/// A raw public key comes alone and without anything to chain it to.
fn check_form(spki: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
    if !chain.is_empty() {
        return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
    }
    parse_spki(spki).map(drop)
}

fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_form(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for KeyVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_form(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Lets rustls sign with an identity without a second copy of its secret.
#[derive(Clone, Debug)]
struct IdentityKey(Identity);

impl SigningKey for IdentityKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for IdentityKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
