//! Keys, hashes and signatures are written alike: a fixed number of bytes as lower-case hex digits.

/// Text, serde and byte access of a fixed number of bytes that is written as lower-case hex digits.
macro_rules! hex_bytes {
    ($name:ident, $len:literal, $error:ident) => {
        impl $name {
            /// Calls `with` with its digits. On the stack, since an entry of a log has four of these.
            fn with_digits<R>(&self, with: impl FnOnce(&str) -> R) -> Option<R> {
                let mut digits = [0; 2 * $len];
                hex::encode_to_slice(self.0, &mut digits).ok()?;
                std::str::from_utf8(&digits).ok().map(with)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.with_digits(|digits| f.write_str(digits)).unwrap_or(Err(std::fmt::Error))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err($error);
                }
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| $error)?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let wrong = || Err(serde::ser::Error::custom("it has no digits"));
                self.with_digits(|digits| serializer.serialize_str(digits)).unwrap_or_else(wrong)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use hex_bytes;
