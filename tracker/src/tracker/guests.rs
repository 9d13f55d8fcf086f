//! Entering without an account: a name that nobody else has, which then stays with the key for a while.

use common::clock::Timestamp;
use common::crash::{self, Point};
use common::id::Subject;
use common::identity::PeerKey;
use common::name::UserName;
use common::pass::PASS_LIFETIME;
use common::proto::directory::Entered;
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::sessions::{Caller, Identity};
use crate::error::Failure;
use crate::limits::{GUEST_NAME_HOLD, MAX_NAMES_PER_GUEST};
use crate::store::directory::{Change, Committed, Tries};
use crate::store::names::{Clash, claim_user_name, release_guest_name};
use crate::store::schema::{HeldName, KEYS, KeyRow};

impl TrackerHandle {
    /// Enters as a guest.
    ///
    /// # Errors
    /// `name_registered`, `name_taken`, `already_signed_in`, `too_many_requests`; nobody who has the name notices.
    pub async fn guest(&self, caller: Caller, name: UserName) -> Result<(Identity, Entered), Failure> {
        self.quotas.guest(caller.origin)?;
        self.enter_guest(caller, name).await
    }

    async fn enter_guest(&self, caller: Caller, name: UserName) -> Result<(Identity, Entered), Failure> {
        let Caller { conn, key, .. } = caller;
        let mut tries = Tries::default();
        loop {
            let mut change = self.directory.change();
            let row = change.get(KEYS, key.as_bytes()).await?.unwrap_or_default();
            if row.account.is_some() {
                return Err(Code::AlreadySignedIn.into());
            }
            hold(&mut change, row, key, &name, self.now()).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                crash::here(Point::TrackerHeld);
                let identity = Identity { subject: Subject::Guest(key), name, key };
                return self.admit(conn, identity).await;
            }
        }
    }

    /// Enters as whoever the key is known to be.
    ///
    /// # Errors
    /// `not_signed_in` when it is not known, or the name it had as a guest is not its own any more; `revoked` when it was
    /// signed out from elsewhere; `suspended`, `too_many_requests`.
    pub async fn renew(&self, caller: Caller) -> Result<(Identity, Entered), Failure> {
        let Caller { conn, key, .. } = caller;
        self.quotas.renewal(key)?;
        let row = self.directory.get(KEYS, key.as_bytes()).await?.map(|row| row.value).unwrap_or_default();
        if let Some(id) = row.account {
            let account = self.account(id).await?.value;
            account.check_active()?;
            let identity = Identity { subject: Subject::Account(id), name: account.name, key };
            return self.admit(conn, identity).await;
        }
        if row.is_signed_out {
            return Err(Code::Revoked.into());
        }
        let now = self.now();
        match row.held.into_iter().next_back().filter(|held| now < held.until) {
            Some(held) => self.enter_guest(caller, held.name).await,
            None => Err(Code::NotSignedIn.into()),
        }
    }
}

/// Lets `key` hold `name` until its next pass has ended and for a while after.
async fn hold(
    change: &mut Change,
    mut row: KeyRow,
    key: PeerKey,
    name: &UserName,
    now: Timestamp,
) -> Result<(), Failure> {
    // Before the new claim, since the last write to a row counts.
    for lapsed in row.held.extract_if(.., |held| held.until <= now) {
        release_guest_name(change, &lapsed.name, key).await?;
    }
    row.held.retain(|held| held.name != *name);
    if row.held.len() >= MAX_NAMES_PER_GUEST {
        let reason = format!("this peer holds {MAX_NAMES_PER_GUEST} names already; use one of them");
        return Err(Refusal::new(Code::NotAllowed, reason).into());
    }
    let until = now.plus(PASS_LIFETIME).plus(GUEST_NAME_HOLD);
    let claimed = claim_user_name(change, name, Subject::Guest(key), key, Some(until), now).await?;
    claimed.map_err(|clash| match clash {
        Clash::Registered => {
            Refusal::new(Code::NameRegistered, format!("the name belongs to an account; type: signin {name}"))
        }
        Clash::Taken => Code::NameTaken.into(),
    })?;
    row.is_signed_out = false;
    row.held.push(HeldName { name: name.clone(), until });
    change.put(KEYS, key.as_bytes(), &row)?;
    Ok(())
}
