//! Which key a tracker is known by: pinned at first contact, refused when it changes. Pure.
//!
//! Kept as the lines of a file, one a tracker: `HOST:PORT KEY`, and `unconfirmed` behind it until the user has compared
//! the key. A user may edit it, as with the known hosts of a secure shell.

use std::fmt;

use common::identity::PeerKey;

/// The trackers known by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTrackers {
    rows: Vec<KnownTracker>,
}

/// A tracker known by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTracker {
    /// Where it is, as typed: `HOST:PORT`.
    pub address: String,
    /// Its key.
    pub key: PeerKey,
    /// Whether the user has compared the key, so that a password may be sent.
    pub confirmed: bool,
}

/// A line that says no tracker and its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of the form HOST:PORT KEY: mend or remove it")]
pub struct BadLine {
    /// Which, from 1.
    pub line: usize,
}

impl KnownTrackers {
    /// Reads the lines of the file. Empty ones and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// Which line cannot be read.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let rows =
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let rows = rows.map(|(number, line)| parse_line(line).ok_or(BadLine { line: number + 1 }));
        Ok(Self { rows: rows.collect::<Result<_, _>>()? })
    }

    /// The tracker at this address, if it is known.
    pub fn find(&self, address: &str) -> Option<&KnownTracker> {
        self.rows.iter().find(|row| row.address == address)
    }

    /// Pins the key of the tracker at this address; what was known of it before no longer counts.
    pub fn pin(&mut self, address: &str, key: PeerKey, confirmed: bool) {
        self.rows.retain(|row| row.address != address);
        self.rows.push(KnownTracker { address: address.to_owned(), key, confirmed });
    }
}

fn parse_line(line: &str) -> Option<KnownTracker> {
    let mut words = line.split_whitespace();
    let address = words.next()?.to_owned();
    let key = words.next()?.parse().ok()?;
    let confirmed = match words.next() {
        None => true,
        Some("unconfirmed") => false,
        Some(_) => return None,
    };
    words.next().is_none().then_some(KnownTracker { address, key, confirmed })
}

impl fmt::Display for KnownTrackers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let mark = if row.confirmed { "" } else { " unconfirmed" };
            writeln!(f, "{} {}{mark}", row.address, row.key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_comes_back_from_the_file() {
        let mut known = KnownTrackers::default();
        known.pin("a.example:22236", PeerKey::from_bytes([1; 32]), false);
        known.pin("127.0.0.1:1", PeerKey::from_bytes([2; 32]), true);
        known.pin("a.example:22236", PeerKey::from_bytes([3; 32]), true);
        let text = format!("# trackers\n\n{known}");
        assert_eq!(KnownTrackers::parse(&text), Ok(known.clone()));
        assert_eq!(known.find("a.example:22236").map(|row| row.key), Some(PeerKey::from_bytes([3; 32])));
        assert_eq!(known.find("b.example:22236"), None);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let key = PeerKey::from_bytes([1; 32]);
        for line in ["a", "a b", &format!("a {key} maybe"), &format!("a {key} unconfirmed x")] {
            assert_eq!(KnownTrackers::parse(&format!("\n{line}")), Err(BadLine { line: 2 }), "{line}");
        }
    }
}
