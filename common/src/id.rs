//! The identifiers of Natter: what is kept and compared, as opposed to names, which are for typing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::PeerKey;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $make:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one, never made before.
            #[allow(clippy::new_without_default, reason = "an id is never a default value")]
            pub fn new() -> Self {
                Self(Uuid::$make())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A registered account.
    AccountId, now_v7
);
uuid_id!(
    /// A channel, whatever its name; made by its first host.
    ChannelId, now_v7
);
uuid_id!(
    /// A message; made once by its sender and never changed by a retry.
    MessageId, now_v7
);
uuid_id!(
    /// Something that is offered: a file, or a folder; made once by whoever offers it.
    FileId, now_v7
);
uuid_id!(
    /// A request; its response carries the same.
    RequestId, new_v4
);
uuid_id!(
    /// A tracker's directory; a pass counts only in the directory that issued it.
    DirectoryId, new_v4
);
uuid_id!(
    /// One life of a channel's log: a new random value when the log is created or forked.
    Epoch, new_v4
);

/// Who somebody is, whatever the name: permissions, bans and archives go by it.
///
/// Written as the account's UUID, or as the guest's peer key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subject {
    /// A registered account.
    Account(AccountId),
    /// Somebody without an account, known by the key of their peer.
    Guest(PeerKey),
}

impl Subject {
    /// Whether this is an account or a guest.
    pub const fn kind(&self) -> IdentityKind {
        match self {
            Self::Account(_) => IdentityKind::Account,
            Self::Guest(_) => IdentityKind::Guest,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => id.fmt(f),
            Self::Guest(key) => key.fmt(f),
        }
    }
}

/// How somebody came by their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    /// Registered, with a password.
    Account,
    /// Used without an account, for as long as nobody else has it.
    Guest,
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Guest => "guest",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_told_by_its_form() {
        let account = Subject::Account(AccountId::new());
        let guest = Subject::Guest(PeerKey::from_bytes([7; 32]));
        for subject in [account, guest] {
            let json = serde_json::to_string(&subject).unwrap();
            assert_eq!(json, format!("\"{subject}\""));
            assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
            assert_eq!(serde_json::to_string(&subject.kind()).unwrap(), format!("\"{}\"", subject.kind()));
        }
    }
}
