//! The pass: what the tracker signs after somebody entered, and how a host checks it without asking.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{DirectoryId, IdentityKind, Subject};
use crate::identity::{Identity, PeerKey};
use crate::signed::{BadSignature, Signable, Signed};

/// The form of pass that this program makes and understands.
pub const PASS_VERSION: u32 = 1;
/// How long a tracker lets a pass last.
pub const PASS_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How far past its end a host accepts a pass while its own link to the tracker is down.
pub const PASS_GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long that link has to be down first.
pub const PASS_GRACE_AFTER: Duration = Duration::from_secs(10 * 60);
/// How long a revocation has to be remembered: as long as a pass that was given out just before could count somewhere.
pub const REVOKED_FOR: Duration =
    PASS_LIFETIME.saturating_add(PASS_GRACE).saturating_add(CLOCK_SKEW.saturating_mul(2));
/// How far two clocks may differ, either way.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// What the tracker vouches for: this peer key is this subject, under this name, until this time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The form, [`PASS_VERSION`].
    pub version: u32,
    /// The key that it is signed with; not the key of the tracker's TLS sessions.
    pub signing_key: PeerKey,
    /// The directory it counts in.
    pub directory: DirectoryId,
    /// Who the holder is.
    pub subject: Subject,
    /// The holder's name, for reading.
    pub name: String,
    /// How the holder came by the name.
    pub kind: IdentityKind,
    /// The key whose TLS sessions it counts in.
    pub peer_key: PeerKey,
    /// The tracker's running number of the pass.
    pub serial: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl Pass {
    /// When its holder ought to fetch the next one: at half of its life.
    pub fn renew_at(&self) -> Timestamp {
        self.issued.plus(self.expires.since(self.issued) / 2)
    }

    fn is_consistent(&self) -> bool {
        let same_key = match self.subject {
            Subject::Account(_) => true,
            Subject::Guest(key) => key == self.peer_key,
        };
        same_key && self.subject.kind() == self.kind && self.issued <= self.expires
    }
}

/// What decides whether a pass counts here and now.
#[derive(Clone, Copy, Debug)]
pub struct PassRules<'a> {
    /// The signing keys of the tracker, as learnt in a session with its pinned key.
    pub trusted: &'a [PeerKey],
    /// The directory of that tracker.
    pub directory: DirectoryId,
    /// The other side's key in the TLS session in which the pass was shown.
    pub holder: PeerKey,
    /// The time, by this machine's clock.
    pub now: Timestamp,
    /// How far past its end it is accepted: zero, or [`PASS_GRACE`] while the link to the tracker is down.
    pub grace: Duration,
}

/// Why a pass does not count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// It has not the form of a pass, or is longer than [`MAX_SIGNED_BYTES`](crate::signed::MAX_SIGNED_BYTES).
    #[error("this is not a pass: get a new one from the tracker")]
    Malformed,
    /// It is of a form that this program does not know.
    #[error(
        "the pass has form {version}, which this program does not know: update the older of the two programs"
    )]
    OtherVersion {
        /// The form of the pass.
        version: u32,
    },
    /// It is signed with a key that is not the tracker's.
    #[error("the pass is signed with {key}, which is no key of this tracker: get a new one from it")]
    UnknownSigningKey {
        /// The key that the pass names.
        key: PeerKey,
    },
    /// Its signature does not fit: somebody changed or made it up.
    #[error("the signature of the pass does not fit: get a new one from the tracker")]
    BadSignature,
    /// Its parts contradict each other, such as a guest who is another key.
    #[error("the pass contradicts itself: get a new one from the tracker")]
    Inconsistent,
    /// It is of another tracker's directory.
    #[error("the pass is of another directory, {found}: enter at the tracker of this channel")]
    OtherDirectory {
        /// The directory of the pass.
        found: DirectoryId,
    },
    /// It was given to another peer.
    #[error("the pass belongs to another peer, {found}: get one for this peer from the tracker")]
    OtherPeer {
        /// The key that it was given to.
        found: PeerKey,
    },
    /// It has ended.
    #[error("the pass has expired: get a new one from the tracker")]
    Expired {
        /// When it ended.
        at: Timestamp,
    },
    /// It starts later than now.
    #[error("the pass is not valid yet: set the clocks of both machines")]
    NotYetValid {
        /// When it was signed, by the tracker's clock.
        from: Timestamp,
    },
}

/// A pass with the tracker's signature, as it is sent and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedPass(Signed<Pass>);

impl Signable for Pass {
    const PURPOSE: &'static str = "natter-pass-v1";
}

/// The part that has to be read before there is a signature to trust.
#[derive(Deserialize)]
struct Head {
    version: u32,
    signing_key: PeerKey,
}

impl SignedPass {
    /// Signs `pass` with the tracker's signing key.
    ///
    /// # Errors
    /// [`PassError::UnknownSigningKey`] when the pass names another key, [`PassError::Inconsistent`] when no host
    /// would accept it, [`PassError::Malformed`] when it would be too long.
    pub fn sign(pass: &Pass, signer: &Identity) -> Result<Self, PassError> {
        if pass.signing_key != signer.key() {
            return Err(PassError::UnknownSigningKey { key: pass.signing_key });
        }
        if pass.version != PASS_VERSION {
            return Err(PassError::OtherVersion { version: pass.version });
        }
        if !pass.is_consistent() {
            return Err(PassError::Inconsistent);
        }
        Ok(Self(Signed::sign(pass, signer)?))
    }

    /// What the pass says, if it counts under `rules`.
    ///
    /// # Errors
    /// The first rule that it breaks; nothing of a pass is believed before its signature.
    pub fn verify(&self, rules: &PassRules<'_>) -> Result<Pass, PassError> {
        let pass = self.authentic(rules.trusted)?;
        if !pass.is_consistent() {
            return Err(PassError::Inconsistent);
        }
        if pass.directory != rules.directory {
            return Err(PassError::OtherDirectory { found: pass.directory });
        }
        if pass.peer_key != rules.holder {
            return Err(PassError::OtherPeer { found: pass.peer_key });
        }
        if rules.now > pass.expires.plus(CLOCK_SKEW).plus(rules.grace) {
            return Err(PassError::Expired { at: pass.expires });
        }
        if rules.now.plus(CLOCK_SKEW) < pass.issued {
            return Err(PassError::NotYetValid { from: pass.issued });
        }
        Ok(pass)
    }

    /// The text that is sent and kept.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What the pass says, once one of the `trusted` keys is known to have signed it.
    fn authentic(&self, trusted: &[PeerKey]) -> Result<Pass, PassError> {
        let head: Head = self.0.claims()?;
        if head.version != PASS_VERSION {
            return Err(PassError::OtherVersion { version: head.version });
        }
        if !trusted.contains(&head.signing_key) {
            return Err(PassError::UnknownSigningKey { key: head.signing_key });
        }
        Ok(self.0.verify(&head.signing_key)?)
    }
}

impl From<BadSignature> for PassError {
    fn from(error: BadSignature) -> Self {
        match error {
            BadSignature::Malformed => Self::Malformed,
            BadSignature::OtherKey => Self::BadSignature,
        }
    }
}

impl TryFrom<String> for SignedPass {
    type Error = PassError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(text.try_into()?))
    }
}

impl From<SignedPass> for String {
    fn from(pass: SignedPass) -> Self {
        pass.0.into()
    }
}

#[cfg(test)]
mod tests;
