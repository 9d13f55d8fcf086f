//! Who is at the tracker: shown, and told to those who watch them.

use common::proto::limits::{MAX_USERS_IN_FRAME, MAX_WATCHED};
use common::proto::presence::{Invisible, Unwatch, UserPage, Users, Watch, Watched};
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::messages;
use super::people::People;
use super::sessions::{Caller, ConnId};
use crate::error::Failure;
use crate::limits::SCAN_ROWS;
use crate::store::directory::{Committed, Directory, DirectoryError, Tries};
use crate::store::schema::{INVISIBLE, InvisibleRow};

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

    /// Shows the account of the caller's key as away, or not any more.
    ///
    /// # Errors
    /// `not_registered`, `too_many_requests`.
    pub async fn set_invisible(&self, caller: Caller, Invisible { on }: Invisible) -> Result<(), Failure> {
        let only_accounts = || {
            let reason = "only a registered account can be invisible; make one with signup";
            Refusal::new(Code::NotRegistered, reason)
        };
        let account = self.bound_account(caller.key).await?.ok_or_else(only_accounts)?.value;
        let (mut tries, mut is_counted) = (Tries::default(), false);
        let revision = loop {
            let mut change = self.directory.change();
            let is_on = change.get(INVISIBLE, account.id.0.as_bytes()).await?.is_some();
            if is_on == on {
                return Ok(());
            }
            if !std::mem::replace(&mut is_counted, true) {
                self.quotas.turn_invisible(account.id)?;
            }
            if on {
                change.put(INVISIBLE, account.id.0.as_bytes(), &InvisibleRow { account: account.id })?;
            } else {
                change.delete(INVISIBLE, account.id.0.as_bytes());
            }
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                break revision;
            }
        };
        let keys = account.keys.iter().map(|bound| bound.key).filter(|key| *key != caller.key).collect();
        let (conn, account) = (caller.conn, account.id);
        Ok(self.actor.send(messages::Hide { conn, account, revision, on, keys }).await?)
    }

    /// Which accounts are invisible, as it was kept.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) async fn load_invisible(
        directory: &Directory,
        people: &mut People,
    ) -> Result<(), DirectoryError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = directory.scan(INVISIBLE, after.as_deref(), SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (_, row) in page {
                people.hide(row.value.account, row.revision, true);
            }
        }
    }

    /// The session does not hear of these any more.
    ///
    /// # Errors
    /// When the actor has ended.
    pub async fn unwatch(&self, conn: ConnId, Unwatch { subjects }: Unwatch) -> Result<(), Failure> {
        Ok(self.actor.send(messages::Unwatch { conn, subjects }).await?)
    }
}
