//! A value signed as the exact bytes that are sent: `<hex of its JSON>.<hex of the signature>`.
//!
//! The signature is over the bytes as the signer wrote them, so that no two programs have to agree on how JSON is
//! written.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::identity::{Identity, PeerKey, Signature};

/// The longest signed value that is looked at, in bytes of its text.
pub const MAX_SIGNED_BYTES: usize = 4096;

/// A kind of value that is signed.
pub trait Signable: Serialize + DeserializeOwned {
    /// What is signed is this, a zero byte, and the value's bytes: a signature made for one kind of value does not count
    /// for another.
    const PURPOSE: &'static str;
}

/// A signed value as it is sent and kept.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "")]
pub struct Signed<T> {
    text: String,
    value: PhantomData<fn() -> T>,
}

/// Why a signed value does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Not the text of a signed value, or longer than [`MAX_SIGNED_BYTES`].
    #[error("this is not a signed value")]
    Malformed,
    /// Signed by another key, or changed since.
    #[error("the signature is not that of the expected key")]
    OtherKey,
}

impl<T: Signable> Signed<T> {
    /// Signs a value.
    ///
    /// # Errors
    /// When it would be longer than [`MAX_SIGNED_BYTES`].
    pub fn sign(value: &T, identity: &Identity) -> Result<Self, BadSignature> {
        let payload = serde_json::to_vec(value).map_err(|_| BadSignature::Malformed)?;
        Self::sign_payload(&payload, identity)
    }

    pub(crate) fn sign_payload(payload: &[u8], identity: &Identity) -> Result<Self, BadSignature> {
        let signature = identity.sign(&signed_bytes::<T>(payload));
        format!("{}.{signature}", hex::encode(payload)).try_into()
    }

    /// The text that is sent and kept.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value, once `key` is known to have signed it.
    ///
    /// # Errors
    /// When it has not.
    pub fn verify(&self, key: &PeerKey) -> Result<T, BadSignature> {
        let (payload, signature) = self.parts()?;
        if !key.verify(&signed_bytes::<T>(&payload), &signature) {
            return Err(BadSignature::OtherKey);
        }
        serde_json::from_slice(&payload).map_err(|_| BadSignature::Malformed)
    }

    /// The value, whoever has signed it: nothing is to be believed of it.
    ///
    /// # Errors
    /// When it is none.
    pub fn claimed(&self) -> Result<T, BadSignature> {
        self.claims()
    }

    /// Reads the payload before its signature is looked at: only to learn what that has to be.
    pub(crate) fn claims<C: DeserializeOwned>(&self) -> Result<C, BadSignature> {
        let (payload, _) = self.parts()?;
        serde_json::from_slice(&payload).map_err(|_| BadSignature::Malformed)
    }

    fn parts(&self) -> Result<(Vec<u8>, Signature), BadSignature> {
        let (payload, signature) = self.text.split_once('.').ok_or(BadSignature::Malformed)?;
        let payload = hex::decode(payload).map_err(|_| BadSignature::Malformed)?;
        Ok((payload, signature.parse().map_err(|_| BadSignature::Malformed)?))
    }
}

fn signed_bytes<T: Signable>(payload: &[u8]) -> Vec<u8> {
    [T::PURPOSE.as_bytes(), b"\0", payload].concat()
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), value: PhantomData }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Signed<T> {}

impl<T> TryFrom<String> for Signed<T> {
    type Error = BadSignature;

    /// Takes any text of lower-case digits and dots that is short enough; whether it counts is for [`Signed::verify`].
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plausible = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'.');
        if text.len() > MAX_SIGNED_BYTES || !text.bytes().all(plausible) {
            return Err(BadSignature::Malformed);
        }
        Ok(Self { text, value: PhantomData })
    }
}

impl<T> From<Signed<T>> for String {
    fn from(signed: Signed<T>) -> Self {
        signed.text
    }
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes)", self.text.len())
    }
}

impl Signable for crate::entry::Checkpoint {
    const PURPOSE: &'static str = "natter-checkpoint-v1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::entry::{Checkpoint, Position};
    use crate::id::{ChannelId, Epoch};

    /// Looks like a checkpoint, but is signed for something else.
    #[derive(Serialize, Deserialize)]
    struct Lookalike(Checkpoint);

    impl Signable for Lookalike {
        const PURPOSE: &'static str = "natter-lookalike-v1";
    }

    #[test]
    fn a_value_counts_when_signed_by_the_key_for_the_purpose_and_not_otherwise() {
        let (host, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let channel = ChannelId::new();
        let position = Position::start(channel, Epoch::new());
        let checkpoint = Checkpoint { channel, position, time: Timestamp::from_millis(7) };
        let signed = Signed::sign(&checkpoint, &host).unwrap();
        assert_eq!(signed.verify(&host.key()), Ok(checkpoint));
        assert_eq!(signed.verify(&other.key()), Err(BadSignature::OtherKey));
        let lookalike = String::from(Signed::sign(&Lookalike(checkpoint), &host).unwrap());
        let taken: Signed<Checkpoint> = lookalike.try_into().unwrap();
        assert_eq!(taken.verify(&host.key()), Err(BadSignature::OtherKey));
    }

    #[test]
    fn what_is_not_a_signed_value_is_malformed() {
        for text in ["", ".", "00", "zz.00", "7b7d.00"] {
            let verified = Signed::<Checkpoint>::try_from(text.to_owned())
                .and_then(|signed| signed.verify(&PeerKey::from_bytes([1; 32])));
            assert_eq!(verified, Err(BadSignature::Malformed), "{text}");
        }
        assert!(Signed::<Checkpoint>::try_from("0".repeat(MAX_SIGNED_BYTES + 1)).is_err());
    }
}
