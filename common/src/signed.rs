//! A value signed as the exact bytes that are sent: `<hex of its JSON>.<hex of the signature>`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::identity::{Identity, PeerKey, Signature};

/// A signed value longer than this is not even looked at.
const MAX_SIGNED_BYTES: usize = 4096;

/// A kind of value that is signed. The purpose keeps a signature made for one kind from counting for another.
pub trait Signable: Serialize + DeserializeOwned {
    /// What is signed is this, a zero byte, and the value's bytes.
    const PURPOSE: &'static str;
}

/// A signed value as it is sent and kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signed<T> {
    text: String,
    #[serde(skip)]
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signed(..)")
    }
}

/// Why a signed value does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Not the text of a signed value.
    #[error("it is not of the form of a signed value")]
    Form,
    /// Signed by another key, or changed since.
    #[error("its signature is not that of the expected key")]
    Signature,
}

impl<T: Signable> Signed<T> {
    /// Signs a value.
    pub fn sign(value: &T, identity: &Identity) -> Self {
        // The values that are signed are plain structs, which always have a JSON form.
        let payload = serde_json::to_vec(value).unwrap_or_default();
        let signature = identity.sign(&signed_bytes::<T>(&payload));
        Self { text: format!("{}.{signature}", hex::encode(payload)), value: PhantomData }
    }

    /// The value, once the signature is found to be by `key`.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self, key: &PeerKey) -> Result<T, BadSignature> {
        let (payload, signature) = self.parts()?;
        if !key.verify(&signed_bytes::<T>(&payload), &signature) {
            return Err(BadSignature::Signature);
        }
        serde_json::from_slice(&payload).map_err(|_| BadSignature::Form)
    }

    /// The value as it claims to be, its signature not looked at: to learn which key should have signed it.
    ///
    /// # Errors
    /// When it is not of the form.
    pub fn unverified(&self) -> Result<T, BadSignature> {
        let (payload, _) = self.parts()?;
        serde_json::from_slice(&payload).map_err(|_| BadSignature::Form)
    }

    fn parts(&self) -> Result<(Vec<u8>, Signature), BadSignature> {
        if self.text.len() > MAX_SIGNED_BYTES {
            return Err(BadSignature::Form);
        }
        let (payload, signature) = self.text.split_once('.').ok_or(BadSignature::Form)?;
        let payload = hex::decode(payload).map_err(|_| BadSignature::Form)?;
        Ok((payload, signature.parse().map_err(|_| BadSignature::Form)?))
    }
}

fn signed_bytes<T: Signable>(payload: &[u8]) -> Vec<u8> {
    [T::PURPOSE.as_bytes(), b"\0", payload].concat()
}

impl Signable for crate::entry::Checkpoint {
    const PURPOSE: &'static str = "natter-checkpoint-v1";
}
