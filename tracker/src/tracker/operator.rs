//! What the operator does: each act and its row of the audit log are one change.

use common::clock::Timestamp;
use common::id::{AccountId, ChannelId};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::proto::event::Broadcast;
use common::proto::status::{Code, Refusal};
use common::secret::Secret;

use super::TrackerHandle;
use super::messages::{Evict, TellAll};
use crate::error::Failure;
use crate::store::audit::{self, AuditRow};
use crate::store::directory::{Change, Committed, Tries};
use crate::store::names::{account_of_name, retire_channel};
use crate::store::schema::{ACCOUNTS, Account, CHANNEL_NAMES, CHANNELS, REMOVED, RemovedRow, Suspension};

/// Letters of generated passwords: none that is taken for another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// How many groups of four letters a generated password has: 80 bits.
const GROUPS: usize = 4;

/// Who acts, and why.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who, as far as it is known.
    pub by: String,
    /// Why, in their words.
    pub why: Option<String>,
}

impl Act {
    fn row(&self, at: Timestamp, action: &str, target: Option<String>) -> AuditRow {
        AuditRow { at, by: self.by.clone(), action: action.to_owned(), target, why: self.why.clone() }
    }
}

impl TrackerHandle {
    /// Says something to all who have entered. Returns how many they are.
    ///
    /// # Errors
    /// `text_empty`, `text_too_long`.
    pub async fn broadcast(&self, by: &str, text: String) -> Result<usize, Failure> {
        super::broadcast::check(&text)?;
        let (act, mut tries) = (Act { by: by.to_owned(), why: Some(text.clone()) }, Tries::default());
        loop {
            let mut change = self.directory.change();
            audit::note(&mut change, act.row(self.now(), "broadcast", None)).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                let event = Broadcast { from: None, text, sent_at: self.now() };
                return Ok(self.actor.send(TellAll { event, spared: None }).await?);
            }
        }
    }

    /// Lets nobody in as an account, and puts out who is in, here and at all hosts.
    ///
    /// # Errors
    /// When there is no such account, or it is suspended already.
    pub async fn suspend(&self, act: &Act, name: &UserName) -> Result<(), Failure> {
        let id = self.account_named(name).await?;
        let mut tries = Tries::default();
        loop {
            let hold = self.signer.hold().await;
            let mut change = self.directory.change();
            let mut account = read(&mut change, id).await?;
            if account.suspended.is_some() {
                return Err(refused(format!("{name} is suspended already")));
            }
            account.suspended = Some(Suspension { since: self.now(), reason: act.why.clone() });
            let all = account.keys_with_passes();
            account.left.clear();
            change.put(ACCOUNTS, id.0.as_bytes(), &account)?;
            let ending = self.revoke_passes(&mut change, hold, all).await?;
            let target = Some(account.name.to_string());
            audit::note(&mut change, act.row(self.now(), "suspend", target)).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                let why = account.check_active().err().unwrap_or_else(|| Code::Suspended.into());
                return self.end_passes(ending, why, None).await;
            }
        }
    }

    /// Lets an account in again.
    ///
    /// # Errors
    /// When there is no such account, or it is not suspended.
    pub async fn unsuspend(&self, act: &Act, name: &UserName) -> Result<(), Failure> {
        let id = self.account_named(name).await?;
        let mut tries = Tries::default();
        loop {
            let mut change = self.directory.change();
            let mut account = read(&mut change, id).await?;
            if account.suspended.take().is_none() {
                return Err(refused(format!("{name} is not suspended")));
            }
            change.put(ACCOUNTS, id.0.as_bytes(), &account)?;
            let target = Some(account.name.to_string());
            audit::note(&mut change, act.row(self.now(), "unsuspend", target)).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(());
            }
        }
    }

    /// Gives an account a new password, which is made here, and signs it out on all devices.
    ///
    /// # Errors
    /// When there is no such account, or too many passwords wait to be hashed.
    pub async fn reset_password(&self, act: &Act, name: &UserName) -> Result<Secret, Failure> {
        let id = self.account_named(name).await?;
        let password = generated()?;
        let hash = self.passwords.hash(password.clone()).await?;
        let mut tries = Tries::default();
        loop {
            let hold = self.signer.hold().await;
            let mut change = self.directory.change();
            let mut account = read(&mut change, id).await?;
            account.password.clone_from(&hash);
            let all = account.keys_with_passes();
            account.left.clear();
            let bound: Vec<PeerKey> = account.keys.drain(..).map(|bound| bound.key).collect();
            change.put(ACCOUNTS, id.0.as_bytes(), &account)?;
            self.unbind(&mut change, &bound).await?;
            let ending = self.revoke_passes(&mut change, hold, all).await?;
            let target = Some(account.name.to_string());
            audit::note(&mut change, act.row(self.now(), "reset-password", target)).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                self.end_passes(ending, Code::Revoked.into(), None).await?;
                return Ok(password);
            }
        }
    }

    /// Takes a channel out of the list, and lets nobody announce it again.
    ///
    /// # Errors
    /// When there is no such channel.
    pub async fn remove_channel(&self, act: &Act, name: &ChannelName) -> Result<ChannelId, Failure> {
        let mut tries = Tries::default();
        loop {
            let now = self.now();
            let mut change = self.directory.change();
            let no_such = || refused(format!("there is no channel {name}"));
            let id = change.get(CHANNEL_NAMES, name.skeleton().as_bytes()).await?.ok_or_else(no_such)?;
            let row = change.get(CHANNELS, id.0.as_bytes()).await?;
            let row = row.filter(|row| row.name == *name).ok_or_else(no_such)?;
            retire_channel(&mut change, &row, now)?;
            let removed = RemovedRow { name: row.name.clone(), owner: row.owner.clone(), at: now };
            change.put(REMOVED, id.0.as_bytes(), &removed)?;
            let target = Some(format!("{} ({id})", row.name));
            audit::note(&mut change, act.row(now, "remove-channel", target)).await?;
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                self.actor.send(Evict { id, revision }).await?;
                return Ok(id);
            }
        }
    }

    /// Lets a removed channel be announced again.
    ///
    /// # Errors
    /// When it was not removed.
    pub async fn restore_channel(&self, act: &Act, id: ChannelId) -> Result<ChannelName, Failure> {
        let mut tries = Tries::default();
        loop {
            let mut change = self.directory.change();
            let row = change.get(REMOVED, id.0.as_bytes()).await?;
            let row = row.ok_or_else(|| refused(format!("the channel {id} was not removed")))?;
            change.delete(REMOVED, id.0.as_bytes());
            let target = Some(format!("{} ({id})", row.name));
            audit::note(&mut change, act.row(self.now(), "restore-channel", target)).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(row.name);
            }
        }
    }

    async fn account_named(&self, name: &UserName) -> Result<AccountId, Failure> {
        let found = account_of_name(&self.directory, name).await?;
        found.ok_or_else(|| refused(format!("there is no account {name}")))
    }
}

async fn read(change: &mut Change, id: AccountId) -> Result<Account, Failure> {
    change.get(ACCOUNTS, id.0.as_bytes()).await?.ok_or(Failure::Missing("an account"))
}

fn refused(reason: String) -> Failure {
    Refusal::new(Code::BadRequest, reason).into()
}

/// A password that nobody has thought of.
fn generated() -> Result<Secret, Failure> {
    let mut bytes = [0; GROUPS * 4];
    getrandom::fill(&mut bytes).map_err(crate::password::PasswordError::from)?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let groups = bytes.chunks(4).map(|group| group.iter().map(letter).collect::<String>());
    Ok(Secret::new(groups.collect::<Vec<_>>().join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_differ_and_are_long_enough() {
        let passwords: Vec<Secret> = (0..50).map(|_| generated().unwrap()).collect();
        for (n, password) in passwords.iter().enumerate() {
            assert_eq!(password.expose().len(), 19);
            password.check_password_length().unwrap();
            assert!(passwords[..n].iter().all(|other| other.expose() != password.expose()));
        }
        assert_eq!(LETTERS.iter().collect::<std::collections::HashSet<_>>().len(), 32);
    }
}
