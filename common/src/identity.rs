//! The Ed25519 key pair that a program makes at its first start, and what it signs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

mod file;

pub use file::IdentityError;

use crate::hex_bytes::hex_bytes;

/// The public half of a peer's Ed25519 key, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey([u8; 32]);

/// Text that is not a peer key.
#[derive(Debug, thiserror::Error)]
#[error("a key is 64 lower-case hex digits")]
pub struct NotAKey;

hex_bytes!(PeerKey, 32, NotAKey);

impl PeerKey {
    /// The key with these bytes, whether or not they are a point of the curve.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the holder of this key signed `message`.
    ///
    /// Strict: a key under which one signature fits several messages never verifies anything.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }

    /// The key as a person compares it: its 64 digits in groups of four, separated by spaces.
    pub fn fingerprint(&self) -> String {
        let groups: Vec<String> = self.0.chunks(2).map(hex::encode).collect();
        groups.join(" ")
    }
}

/// An Ed25519 signature, written as 128 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

/// Text that is not a signature.
#[derive(Debug, thiserror::Error)]
#[error("a signature is 128 lower-case hex digits")]
pub struct NotASignature;

hex_bytes!(Signature, 64, NotASignature);

impl Signature {
    /// The signature with these bytes, whether or not anything verifies under it.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes of the signature.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// A secret Ed25519 key: who a program is to all others.
///
/// Clones share the one copy of the secret, which is wiped from memory when the last is dropped.
#[derive(Clone)]
pub struct Identity(Arc<SigningKey>);

impl Identity {
    /// A new identity, kept nowhere yet.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(IdentityError::NoRandomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The identity kept in the file `path`; made there first, readable by its owner only, when there is none.
    ///
    /// A new key is on disk before this returns. It blocks, and it expects to be the only one at work in that
    /// folder: call it at the start, with the data folder locked.
    ///
    /// # Errors
    /// When the file is damaged (it is left alone), or cannot be read or made.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match file::load(path)? {
            Some(identity) => Ok(identity),
            None => {
                let identity = Self::generate()?;
                file::create(path, &identity)?;
                Ok(identity)
            }
        }
    }

    /// The identity in a file; nothing when there is no file.
    ///
    /// # Errors
    /// When the file is damaged, or cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        file::load(path)
    }

    /// The public half.
    pub fn key(&self) -> PeerKey {
        PeerKey(self.0.verifying_key().to_bytes())
    }

    /// This identity's signature over `message`.
    ///
    /// Say in the first bytes of `message` what it is, so that it means nothing anywhere else.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Arc::new(SigningKey::from_bytes(seed)))
    }

    fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signed_message_verifies_and_only_under_its_key() {
        let (ours, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let signature = ours.sign(b"message");
        assert!(ours.key().verify(b"message", &signature));
        assert!(!ours.key().verify(b"massage", &signature));
        assert!(!other.key().verify(b"message", &signature));
        assert!(!ours.key().verify(b"message", &Signature::from_bytes([0; 64])));
    }

    #[test]
    fn a_weak_key_verifies_nothing() {
        // The neutral element: under it, the signature (R = neutral, s = 0) fits every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!PeerKey::from_bytes(neutral).verify(b"anything", &Signature::from_bytes(signature)));
    }

    #[test]
    fn keys_and_signatures_are_lower_case_hex_of_the_right_length() {
        let identity = Identity::generate().unwrap();
        let signature = identity.sign(b"");
        assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
        assert_eq!(identity.key().to_string().parse::<PeerKey>().unwrap(), identity.key());
        let json = serde_json::to_string(&signature).unwrap();
        assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), signature);
        for bad in ["", "00", &"AB".repeat(32), &"ab".repeat(31), &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(bad.parse::<PeerKey>().is_err(), "{bad}");
            assert!(bad.parse::<Signature>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_key_in_sixteen_groups() {
        let key = PeerKey::from_bytes([0xab; 32]);
        assert_eq!(key.fingerprint(), vec!["abab"; 16].join(" "));
    }

    #[test]
    fn debug_shows_the_public_key_only() {
        let identity = Identity::generate().unwrap();
        let shown = format!("{identity:?}");
        assert!(shown.contains(&identity.key().to_string()));
        assert!(!shown.contains(&hex::encode(identity.seed())));
    }
}
