//! Where somebody may be reached.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 256;

const TCP: &str = "tcp";

/// Where somebody may be reached: `carrier:rest`, such as `tcp:192.0.2.1:40123` or `tcp:tracker.example:22236`.
///
/// Opaque but for the carrier: one that this program does not know is kept, passed on and not dialled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// The address of a TCP socket.
    pub fn tcp(address: SocketAddr) -> Self {
        Self(format!("{TCP}:{address}"))
    }

    /// The carrier's name, such as `tcp`.
    pub fn carrier(&self) -> &str {
        self.0.split_once(':').map_or("", |(carrier, _)| carrier)
    }

    /// The `host:port` of a TCP address, whose host may be a name; nothing for another carrier.
    pub fn tcp_addr(&self) -> Option<&str> {
        let (carrier, rest) = self.0.split_once(':')?;
        (carrier == TCP).then_some(rest)
    }

    /// The address as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is not an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address is a carrier, a colon and a place, such as tcp:192.0.2.1:22236, \
     without spaces and of at most {MAX_ADDRESS_BYTES} bytes"
)]
pub struct NotAnAddress;

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (carrier, rest) = text.split_once(':').ok_or(NotAnAddress)?;
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let named = !carrier.is_empty() && carrier.bytes().all(is_word);
        let printable = !rest.is_empty() && !rest.chars().any(|c| c.is_control() || c.is_whitespace());
        if text.len() > MAX_ADDRESS_BYTES || !named || !printable {
            return Err(NotAnAddress);
        }
        Ok(Self(text))
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_names_and_strange_carriers_are_addresses() {
        let table = [
            ("tcp:192.0.2.1:22236", Some("192.0.2.1:22236")),
            ("tcp:[2001:db8::1]:22236", Some("[2001:db8::1]:22236")),
            ("tcp:tracker.example:22236", Some("tracker.example:22236")),
            ("iroh:k51qzi5uqu5d", None),
        ];
        for (text, tcp) in table {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.tcp_addr(), tcp);
            assert_eq!(serde_json::to_string(&address).unwrap(), format!("\"{text}\""));
        }
        let socket: SocketAddr = "[2001:db8::1]:22236".parse().unwrap();
        assert_eq!(Address::tcp(socket).as_str(), "tcp:[2001:db8::1]:22236");
        assert_eq!(Address::tcp(socket).carrier(), "tcp");
    }

    #[test]
    fn what_cannot_be_shown_or_kept_is_refused() {
        let long = format!("tcp:{}", "a".repeat(MAX_ADDRESS_BYTES));
        for text in ["", "tcp", "tcp:", ":1", "TCP:a:1", "t p:a:1", "tcp:a b:1", "tcp:\u{1b}[2J:1", &long] {
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<Address>(&json).is_err());
        }
    }
}
