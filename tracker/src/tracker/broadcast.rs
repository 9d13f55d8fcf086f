//! What is said to all who are there.

use common::entry::check_text;
use common::id::IdentityKind;
use common::proto::directory::SayToAll;
use common::proto::event::Broadcast;
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MESSAGE_ENVELOPE_BYTES};
use common::proto::presence::User;
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::messages::TellAll;
use super::sessions::{Caller, Identity};
use crate::config::MayBroadcast;
use crate::error::Failure;

impl MayBroadcast {
    /// Whether such a user may.
    ///
    /// # Errors
    /// `not_allowed`.
    fn admits(self, kind: IdentityKind) -> Result<(), Refusal> {
        let reason = match (self, kind) {
            (Self::Everyone, _) | (Self::Registered, IdentityKind::Account) => return Ok(()),
            (Self::Registered, IdentityKind::Guest) => {
                "only registered users may broadcast at this tracker; type: signup"
            }
            (Self::Off, _) => "nobody but its operator may broadcast at this tracker",
        };
        Err(Refusal::new(Code::NotAllowed, reason))
    }
}

impl TrackerHandle {
    /// A user says something to all others who are there.
    ///
    /// # Errors
    /// `not_allowed`, `too_many_requests`, `text_empty`, `text_too_long`.
    pub async fn say_to_all(&self, caller: Caller, who: &Identity, said: SayToAll) -> Result<(), Failure> {
        self.may_broadcast.admits(who.subject.kind())?;
        check(&said.text)?;
        self.quotas.broadcast(who.subject, caller.origin)?;
        let from = User { subject: who.subject, name: who.name.clone(), kind: who.subject.kind() };
        let event = Broadcast { from: Some(from), text: said.text, sent_at: self.now() };
        tracing::info!(conn = caller.conn.0, subject = %who.subject, "broadcast");
        self.actor.send(TellAll { event, spared: Some(caller.conn) }).await?;
        Ok(())
    }
}

/// Whether a text can be told: escapes may make it longer than a frame.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    check_text(text)?;
    let written = serde_json::to_string(text).map_or(usize::MAX, |written| written.len());
    if written.saturating_add(MESSAGE_ENVELOPE_BYTES) > MAX_MESSAGE_FRAME_BYTES {
        return Err(Code::TextTooLong.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_broadcast_is_as_the_operator_wants_it() {
        let kinds = [IdentityKind::Account, IdentityKind::Guest];
        for (switch, expected) in [
            (MayBroadcast::Off, [false, false]),
            (MayBroadcast::Registered, [true, false]),
            (MayBroadcast::Everyone, [true, true]),
        ] {
            assert_eq!(kinds.map(|kind| switch.admits(kind).is_ok()), expected, "{switch:?}");
        }
    }

    #[test]
    fn a_text_that_escapes_make_too_long_for_a_frame_is_refused() {
        assert!(check("hello").is_ok() && check(&"x".repeat(16 * 1024)).is_ok());
        assert_eq!(check(&"\u{1}".repeat(16 * 1024)).unwrap_err().code, Code::TextTooLong);
        assert_eq!(check("").unwrap_err().code, Code::TextEmpty);
    }
}
