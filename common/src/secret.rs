//! Passwords and other text that nobody is shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::proto::limits::{MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES};
use crate::proto::status::{Code, Refusal};

/// Text that is never printed or logged, and is wiped from memory when dropped.
///
/// It is a plain string on the wire. It has no equality: passwords are compared by their hashes.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over. The buffer of a `String` is wiped with the secret; a `&str` is copied, and the
    /// original is for the caller to wipe.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself: for hashing and for the wire, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this may become a password: from [`MIN_PASSWORD_BYTES`] to [`MAX_PASSWORD_BYTES`].
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn check_password_length(&self) -> Result<(), PasswordError> {
        match self.0.len() {
            ..MIN_PASSWORD_BYTES => Err(PasswordError::TooShort),
            MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES => Ok(()),
            _ => Err(PasswordError::TooLong),
        }
    }
}

/// Why a text cannot become a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Fewer than [`MIN_PASSWORD_BYTES`].
    #[error("a password has at least {MIN_PASSWORD_BYTES} bytes: take a longer one")]
    TooShort,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("a password has at most {MAX_PASSWORD_BYTES} bytes: take a shorter one")]
    TooLong,
}

impl From<PasswordError> for Refusal {
    fn from(error: PasswordError) -> Self {
        Self::new(Code::PasswordLength, error.to_string())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_is_printed_not_even_its_length() {
        let printed = |text: &str| {
            let secret = Secret::new(text);
            format!("{secret} {secret:?} {secret:#?} {:?}", Some(&secret))
        };
        assert!(!printed("correct horse").contains("horse"));
        assert_eq!(printed("correct horse"), printed(""));
    }

    #[test]
    fn it_is_a_plain_string_on_the_wire() {
        let json = serde_json::to_string(&Secret::new("a \"b\"")).unwrap();
        assert_eq!(json, r#""a \"b\"""#);
        assert_eq!(serde_json::from_str::<Secret>(&json).unwrap().expose(), "a \"b\"");
    }

    #[test]
    fn a_password_has_8_to_256_bytes() {
        let check = |text: String| Secret::new(text).check_password_length();
        assert_eq!(check("a".repeat(7)), Err(PasswordError::TooShort));
        assert_eq!(check("a".repeat(8)), Ok(()));
        assert_eq!(check("é".repeat(4)), Ok(()));
        assert_eq!(check("a".repeat(256)), Ok(()));
        assert_eq!(check("a".repeat(257)), Err(PasswordError::TooLong));
    }
}
