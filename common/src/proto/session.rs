//! What is said on every connection.

use serde::{Deserialize, Serialize};

use super::limits::{
    MAX_DEPTH, MAX_FRAME_BYTES, MAX_PAGE_BYTES, MAX_PAGE_ROWS, MAX_TEXT_BYTES, MAX_UNANSWERED_MESSAGES,
    MESSAGES_AHEAD, PROTOCOL_VERSION,
};
use super::status::{Code, Refusal};
use super::{Command, Empty, Request, commands};
use crate::id::DirectoryId;
use crate::identity::PeerKey;
use crate::meter::Rate;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A peer's connection to its tracker.
    Control,
    /// A member's connection to a channel's host.
    Channel,
    /// A conversation of two peers.
    Direct,
    /// The way of one file from one peer to another.
    File,
    /// A purpose this program does not serve.
    #[serde(other)]
    Other,
}

/// The bounds that a side holds the other to. What is absent of the last six is not bounded for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The longest frame, in bytes.
    pub frame_bytes: usize,
    /// The longest text of a message, in bytes.
    pub text_bytes: usize,
    /// How many messages may be unanswered.
    pub unanswered: usize,
    /// The most rows in a page.
    pub page_rows: u32,
    /// The most bytes in a page.
    pub page_bytes: usize,
    /// How deep objects and lists may stand within each other in a frame.
    pub depth: usize,
    /// How many connections may come from one origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// How many messages of a member a host takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Rate>,
    /// How many it takes besides of those that were written before the member came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<Rate>,
    /// How many guests a tracker lets in from one origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests: Option<Rate>,
    /// How many accounts may be made from one origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signups: Option<Rate>,
    /// How many new names of channels may be taken from one origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: MAX_FRAME_BYTES,
            text_bytes: MAX_TEXT_BYTES,
            unanswered: MAX_UNANSWERED_MESSAGES,
            page_rows: MAX_PAGE_ROWS,
            page_bytes: MAX_PAGE_BYTES,
            depth: MAX_DEPTH,
            connections: None,
            messages: None,
            catch_up: None,
            guests: None,
            signups: None,
            names: None,
        }
    }
}

impl Limits {
    /// How many messages a sender has unanswered who keeps to these bounds and wants no answer to be late.
    pub fn window(&self) -> usize {
        let most = self.unanswered.clamp(1, MAX_UNANSWERED_MESSAGES);
        self.messages.map_or(most, |rate| most.min(rate.within(MESSAGES_AHEAD)))
    }
}

/// The first request on every connection, by the side that dialled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the asking side.
    pub protocol: u32,
    /// Name and version of the asking program, for people.
    pub program: String,
    /// What the connection is for.
    pub purpose: Purpose,
    /// What the asking side can take.
    #[serde(default)]
    pub limits: Limits,
    /// To a tracker, by a peer that hosts: the last revocation it knows. Those after it come with the answers that let
    /// it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_after: Option<u64>,
}

impl Hello {
    /// Whether a request is a HELLO of this version of the protocol, or no HELLO at all. What else is in the body of
    /// another version, nobody here can know: it is looked at before the body is read.
    ///
    /// # Errors
    /// `unsupported_version`, with which side to update.
    pub fn check_version(request: &Request) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        struct Version {
            protocol: u64,
        }
        if request.command != Self::NAME {
            return Ok(());
        }
        let (theirs, ours) = match serde_json::from_str(request.body.get()) {
            Ok(Version { protocol }) => (protocol, u64::from(PROTOCOL_VERSION)),
            // Without a number it is of no version, and will be told what is missing.
            Err(_) => return Ok(()),
        };
        if theirs == ours {
            return Ok(());
        }
        let older = if theirs < ours { "connects" } else { "was called" };
        let reason = format!(
            "this program speaks version {ours} of the protocol and not {theirs}: update the one that {older}"
        );
        Err(Refusal::new(Code::UnsupportedVersion, reason))
    }
}

/// The answer to HELLO.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol's version on the answering side.
    pub protocol: u32,
    /// Name and version of the answering program, for people.
    pub program: String,
    /// What the answering side can take.
    #[serde(default)]
    pub limits: Limits,
    /// A tracker's directory; absent from hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
}

/// What a tracker says of its directory: with it, a host checks passes offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The directory that passes have to be of.
    pub id: DirectoryId,
    /// The keys whose signature on a pass counts, the one in use first.
    pub signing_keys: Vec<PeerKey>,
}

/// Proves that the connection lives. Either side may ask.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Ping {}

commands! {
    "HELLO" Hello => Welcome;
    "PING" Ping => Empty;
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::id::RequestId;

    #[test]
    fn a_sender_is_no_further_ahead_than_the_answers_come() {
        let window = |unanswered, messages| Limits { unanswered, messages, ..Limits::default() }.window();
        assert_eq!(window(64, None), 64);
        assert_eq!(window(64, Some(Rate::new(10, 300))), 35);
        assert_eq!(window(20, Some(Rate::new(10, 300))), 20);
        assert_eq!(window(64, Some(Rate::new(1, 1))), 1);
        assert_eq!(window(64, Some(Rate::new(u32::MAX, u32::MAX))), 64);
        assert_eq!((window(0, None), window(usize::MAX, None)), (1, 64));
    }

    fn checked(command: &str, body: &str) -> Option<Refusal> {
        let body = RawValue::from_string(body.to_owned()).unwrap();
        Hello::check_version(&Request { id: RequestId::new(), command: command.to_owned(), body }).err()
    }

    #[test]
    fn another_version_is_told_whatever_else_its_hello_has_or_lacks() {
        for (body, older) in [
            (r#"{"protocol":0}"#, "the one that connects"),
            (r#"{"protocol":2,"purpose":7}"#, "the one that was called"),
            (r#"{"protocol":18446744073709551615,"program":"x"}"#, "the one that was called"),
        ] {
            let refusal = checked("HELLO", body).unwrap();
            assert_eq!(refusal.code, Code::UnsupportedVersion);
            assert!(refusal.reason.ends_with(older), "{refusal}");
        }
        for (command, body) in [("HELLO", r#"{"protocol":1}"#), ("HELLO", "{}"), ("HELLO", "7")] {
            assert_eq!(checked(command, body), None, "{command} {body}");
        }
        assert_eq!(checked("PING", r#"{"protocol":2}"#), None);
    }
}
