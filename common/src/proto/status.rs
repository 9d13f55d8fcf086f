//! How a request ends when it does not end well: a stable code for programs, a sentence for people.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It was done.
    Ok,
    /// The request cannot be served as it is.
    RequestError,
    /// Whoever asks may not do this, or not yet.
    Unauthorized,
    /// The other side could not do it; asking again later may help.
    ServerError,
}

macro_rules! codes {
    ($($variant:ident $text:literal $status:ident $lasting:ident $sentence:literal;)*) => {
        /// Why a request was refused. The texts are stable; new ones may come.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $sentence] $variant,)*
            /// A code this program does not know.
            Other(String),
        }

        impl Code {
            /// Every code this program knows.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable text that stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The status that goes with it.
            pub fn status(&self) -> Status {
                match self {
                    $(Self::$variant => Status::$status,)*
                    Self::Other(_) => Status::RequestError,
                }
            }

            /// The sentence for people, where nothing more exact is known.
            pub fn sentence(&self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                    Self::Other(_) => "refused, for a reason this version does not know; a newer version may",
                }
            }

            /// Whether the same request may succeed later without anybody changing anything.
            pub fn is_passing(&self) -> bool {
                match self {
                    $(Self::$variant => codes!(@passing $lasting),)*
                    Self::Other(_) => false,
                }
            }
        }

        impl From<String> for Code {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }
    };
    (@passing passing) => { true };
    (@passing lasting) => { false };
}

codes! {
    // What was asked.
    BadRequest "bad_request" RequestError lasting "the request is not of the form this command takes";
    BadFrame "bad_frame" RequestError lasting "the line is not a frame: one JSON object a line is expected";
    FrameTooLong "frame_too_long" RequestError lasting "a frame has at most 65536 bytes";
    UnknownCommand "unknown_command" RequestError lasting "this command is not known here";
    WrongPhase "wrong_phase" RequestError lasting "this command cannot be used at this point of the session";
    UnsupportedVersion "unsupported_version" RequestError lasting "the other side speaks another version of the protocol; update the older program";
    TextEmpty "text_empty" RequestError lasting "a message has at least one byte of text";
    TextTooLong "text_too_long" RequestError lasting "a message has at most 16384 bytes of text; split it";
    UnknownType "unknown_type" RequestError lasting "this host takes entries of the types text and file";
    // Who asks.
    BadName "bad_name" RequestError lasting "the name is not allowed";
    NameTaken "name_taken" RequestError lasting "the name is taken; choose another one";
    NameRegistered "name_registered" Unauthorized lasting "the name belongs to an account; sign in to use it";
    PasswordLength "password_length" RequestError lasting "a password has 8 to 256 bytes";
    BadPassword "bad_password" Unauthorized lasting "unknown name or wrong password";
    NotSignedIn "not_signed_in" Unauthorized lasting "sign in first";
    AlreadySignedIn "already_signed_in" RequestError lasting "sign out first";
    BadPass "bad_pass" Unauthorized lasting "the pass does not count here";
    Revoked "revoked" Unauthorized lasting "this device was signed out from elsewhere; sign in again with the password";
    Suspended "suspended" Unauthorized lasting "the account is suspended; ask whoever runs the tracker";
    NoSuchDevice "no_such_device" RequestError lasting "the account has no such device; type: devices";
    PassExpired "pass_expired" Unauthorized passing "the pass has ended; renew it at the tracker";
    // Channels.
    NoSuchChannel "no_such_channel" RequestError lasting "there is no such channel, or it is not for you";
    NotOwner "not_owner" Unauthorized lasting "only the owner of the channel may do this";
    NotModerator "not_moderator" Unauthorized lasting "only the owner and the moderators of the channel may do this";
    NotAllowed "not_allowed" Unauthorized lasting "you may not do this here";
    NotAdmitted "not_admitted" Unauthorized lasting "the channel is open only to those who were authorized";
    Kicked "kicked" Unauthorized lasting "you were put out of the channel; you can join it again after a minute";
    Banned "banned" Unauthorized lasting "you were banned from the channel";
    NoSuchUser "no_such_user" RequestError lasting "nobody has this name";
    Invisible "invisible" RequestError lasting "you are invisible, and this would show somebody that you are there";
    NotRegistered "not_registered" RequestError lasting "only a registered account can be authorized";
    PolicyFull "policy_full" RequestError lasting "the channel has too many authorized accounts and bans; take some back first";
    ChannelRemoved "channel_removed" Unauthorized lasting "whoever runs the tracker has removed this channel; ask them";
    HostedElsewhere "hosted_elsewhere" RequestError lasting "the channel is hosted by another of its owner's keys; to move it here, type: host CH --takeover";
    HostAway "host_away" ServerError passing "the channel's host is away";
    LogBehind "log_behind" ServerError passing "the host has lost part of its log and takes nothing until its owner has recovered it";
    NotBehind "not_behind" RequestError lasting "nothing of the channel's log is known to be lost";
    IdReused "id_reused" RequestError lasting "another message with this id was stored already";
    AfterRefused "after_refused" RequestError passing "a message before this one was refused";
    NoSuchEntry "no_such_entry" RequestError lasting "the channel has no message with this number";
    // Conversations.
    NotContact "not_contact" RequestError lasting "there is no such contact; type: start USER";
    NoRequest "no_request" RequestError lasting "no such request waits; type: contacts";
    PeerKeyChanged "peer_key_changed" Unauthorized lasting "a contact shows another key than the one that was agreed to";
    // Files.
    NoSuchFile "no_such_file" RequestError lasting "there is no such file, or it is not for you";
    BadFileName "bad_file_name" RequestError lasting "a file's name is not allowed; ask for it under another one";
    FileChanged "file_changed" RequestError lasting "the file is not any more what was offered; ask for it to be offered again";
    FilePaused "file_paused" RequestError passing "whoever offers the file has paused it";
    // Limits.
    TooManyRequests "too_many_requests" RequestError passing "too many at once; wait a little";
    TooManyUnanswered "too_many_unanswered" RequestError passing "too many messages are unanswered; wait for their answers";
    TooManyConnections "too_many_connections" ServerError passing "too many connections; try again later";
    SlowReader "slow_reader" ServerError passing "messages were not read fast enough; connect again and resume";
    Superseded "superseded" ServerError passing "a newer connection of the same key has taken over";
    // The state of things.
    StorageFull "storage_full" ServerError passing "the disk is nearly full (less than 64 MiB free); make room there";
    StorageFailed "storage_failed" ServerError passing "the disk failed; whether it was written is unknown";
    GoingAway "going_away" ServerError passing "the program is stopping";
    TimedOut "timed_out" ServerError passing "no answer came in time";
    ConnectionLost "connection_lost" ServerError passing "the connection was lost before the answer came";
    // Said by a peer to its own user.
    Usage "usage" RequestError lasting "the command is not typed as it should be; see help";
    TrackerAway "tracker_away" ServerError passing "the tracker cannot be reached now; trying again by itself";
    TrackerUnconfirmed "tracker_unconfirmed" Unauthorized lasting "the tracker's key is not confirmed yet: compare its fingerprint and confirm it, give --tracker-key KEY, or --trust-first";
    TrackerKeyChanged "tracker_key_changed" Unauthorized lasting "the tracker shows another key than the one known for its address";
    HostKeyChanged "host_key_changed" Unauthorized lasting "the channel is now hosted by another key than the one known";
    NotJoined "not_joined" RequestError lasting "join the channel first";
    NotHosted "not_hosted" RequestError lasting "this peer does not host the channel";
    Expired "expired" RequestError lasting "the message could not be sent in time; it is kept until you retry, edit or cancel it";
    NotInFork "not_in_fork" RequestError lasting "the message was stored, and is not in the log that the host went on with";
    TooLate "too_late" RequestError lasting "the message was stored before it could be changed";
    NoSuchMessage "no_such_message" RequestError lasting "there is no such message in the outbox; type: outbox";
    OutboxFull "outbox_full" RequestError lasting "too many messages wait for this channel already; see outbox";
    NewLog "new_log" RequestError lasting "the channel's log was begun anew";
    BadExport "bad_export" RequestError lasting "the file is no export that can be trusted";
    ForeignExport "foreign_export" Unauthorized lasting "the file is signed by a key that does not count here";
    FileFailed "file_failed" RequestError lasting "the file cannot be read or written";
    CannotListen "cannot_listen" RequestError lasting "the port cannot be listened on; choose another with --peer-host-port";
    Internal "internal" ServerError passing "something went wrong inside the program; its log says more";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// What the other side sees of a request that was not done: the body of its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct Refusal {
    /// Stable, for programs.
    pub code: Code,
    /// A sentence for people, which says what to do.
    pub reason: String,
    /// When asking again makes sense, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal in words of its own.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), retry_after_ms: None }
    }

    /// The same, which may succeed after so long. Rounded up: who comes back then does not come too early.
    pub fn after(self, wait: Duration) -> Self {
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self { retry_after_ms: Some(millis), ..self }
    }

    /// The status of the response that carries it.
    pub fn status(&self) -> Status {
        self.code.status()
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        let reason = code.sentence();
        Self::new(code, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_from_its_text_and_says_what_is_the_matter() {
        for code in Code::ALL {
            assert_eq!(&Code::from(code.as_str().to_owned()), code);
            assert_ne!(code.status(), Status::Ok);
            assert!(!code.sentence().ends_with('.'));
        }
    }

    #[test]
    fn a_code_of_a_later_version_is_kept() {
        let refusal: Refusal =
            serde_json::from_str(r#"{"code":"not_yet_made","reason":"x","more":1}"#).unwrap();
        assert_eq!(refusal.code, Code::Other("not_yet_made".into()));
        assert!(!refusal.code.is_passing());
    }
}
