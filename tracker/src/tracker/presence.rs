//! Who is at the tracker: shown, and told to those who watch them.

use common::proto::limits::{MAX_USERS_IN_FRAME, MAX_WATCHED};
use common::proto::presence::{Unwatch, UserPage, Users, Watch, Watched};
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::messages;
use super::sessions::ConnId;
use crate::error::Failure;

impl TrackerHandle {
    /// A page of all who are there for others to see.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn users(&self, asked: Users) -> Result<UserPage, Failure> {
        Ok(self.actor.send(messages::ListUsers(asked)).await?.0)
    }

    /// The session hears of these from now on; answered with those who are there.
    ///
    /// # Errors
    /// `bad_request` for too many at once, `not_allowed` for too many in all.
    pub async fn watch(&self, conn: ConnId, Watch { subjects }: Watch) -> Result<Watched, Failure> {
        if subjects.len() > MAX_USERS_IN_FRAME {
            let reason = format!("WATCH takes at most {MAX_USERS_IN_FRAME} subjects");
            return Err(Refusal::new(Code::BadRequest, reason).into());
        }
        let users = self.actor.send(messages::Watch { conn, subjects }).await??;
        let too_many = || {
            let reason = format!("a session watches at most {MAX_WATCHED} users; unwatch some first");
            Refusal::new(Code::NotAllowed, reason)
        };
        Ok(Watched { users: users.ok_or_else(too_many)? })
    }

    /// The session does not hear of these any more.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn unwatch(&self, conn: ConnId, Unwatch { subjects }: Unwatch) -> Result<(), Failure> {
        Ok(self.actor.send(messages::Unwatch { conn, subjects }).await?)
    }
}
