//! Accounts: made, bound to the keys that enter as them, and protected by a password.

use common::clock::Timestamp;
use common::crash::{self, Point};
use common::id::{AccountId, Subject};
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::directory::{Entered, Password, Resolved, Signin, Signup};
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::messages::SignOut;
use super::sessions::{Caller, Identity};
use crate::error::Failure;
use crate::limits::MAX_KEYS_PER_ACCOUNT;
use crate::password::Verdict;
use crate::store::directory::{Committed, Row, Tries};
use crate::store::names::{account_of_name, claim_user_name, holder_of_name};
use crate::store::schema::{ACCOUNTS, Account, BoundKey, KEYS, KeyRow};

impl TrackerHandle {
    /// Makes an account and binds `key` to it.
    ///
    /// # Errors
    /// `password_length`, `name_taken`, `already_signed_in`, `too_many_requests`.
    pub async fn signup(&self, caller: Caller, signup: Signup) -> Result<(Identity, Entered), Failure> {
        let Caller { conn, key, origin, .. } = caller;
        signup.password.check_password_length().map_err(Refusal::from)?;
        self.quotas.signup(origin)?;
        // Tried with no hash first: a name that is taken is not worth the time of one.
        self.try_signup(key, &signup.name, None).await?;
        let hash = self.passwords.hash(signup.password).await?;
        let identity = self.try_signup(key, &signup.name, Some(hash)).await?;
        crash::here(Point::TrackerSignedUp);
        tracing::info!(conn = conn.0, account = %identity.subject, "account made");
        self.admit(conn, identity).await
    }

    async fn try_signup(
        &self,
        key: PeerKey,
        name: &UserName,
        hash: Option<String>,
    ) -> Result<Identity, Failure> {
        let id = AccountId::new();
        let identity = Identity { subject: Subject::Account(id), name: name.clone(), key };
        let mut tries = Tries::default();
        loop {
            let now = self.now();
            let mut change = self.directory.change();
            let mut row = change.get(KEYS, key.as_bytes()).await?.unwrap_or_default();
            if row.account.is_some() {
                return Err(Code::AlreadySignedIn.into());
            }
            let claimed = claim_user_name(&mut change, name, identity.subject, key, None, now).await?;
            claimed.map_err(|_| Code::NameTaken)?;
            let Some(password) = hash.clone() else { return Ok(identity) };
            row.account = Some(id);
            row.held.retain(|held| held.name != *name);
            row.is_signed_out = false;
            change.put(KEYS, key.as_bytes(), &row)?;
            let keys = vec![BoundKey { key, since: now }];
            let name = name.clone();
            let account =
                Account { id, name, password, created: now, keys, left: Vec::new(), suspended: None };
            change.put(ACCOUNTS, id.0.as_bytes(), &account)?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(identity);
            }
        }
    }

    /// Who has a name, online or not.
    ///
    /// # Errors
    /// `no_such_user`.
    pub async fn resolve(&self, name: &UserName) -> Result<Resolved, Failure> {
        let claim = holder_of_name(&self.directory, name, self.now()).await?;
        let claim = claim.ok_or(Code::NoSuchUser)?;
        Ok(Resolved { subject: claim.holder, name: claim.name, kind: claim.holder.kind() })
    }

    /// Binds `key` to an account.
    ///
    /// # Errors
    /// `bad_password`, alike for a name that nobody has; `already_signed_in`, `suspended`, `too_many_requests`.
    pub async fn signin(&self, caller: Caller, signin: Signin) -> Result<(Identity, Entered), Failure> {
        let Caller { conn, key, origin, .. } = caller;
        let bound = self.bound_account(key).await?;
        if bound.is_some_and(|account| account.value.name != signin.name) {
            return Err(Code::AlreadySignedIn.into());
        }
        let account = match account_of_name(&self.directory, &signin.name).await? {
            Some(id) => Some(self.account(id).await?.value),
            None => None,
        };
        let hash = account.as_ref().map(|account| account.password.clone());
        let attempt = self.quotas.attempt(&signin.name, origin, self.now())?;
        let verdict = self.passwords.verify(signin.password, hash).await?;
        attempt.end(verdict != Verdict::Wrong, self.now());
        let (Some(account), Verdict::Right | Verdict::Rehashed(_)) = (account, &verdict) else {
            return Err(Code::BadPassword.into());
        };
        // Not before: only whoever has the password learns of it.
        account.check_active()?;
        let rehashed = if let Verdict::Rehashed(hash) = verdict { Some(hash) } else { None };
        self.bind(key, &account, rehashed).await?;
        let identity = Identity { subject: Subject::Account(account.id), name: account.name, key };
        self.admit(conn, identity).await
    }

    /// Binds `key` to the account whose password was found to be right.
    async fn bind(&self, key: PeerKey, checked: &Account, rehashed: Option<String>) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            let now = self.now();
            let mut change = self.directory.change();
            let mut row = change.get(KEYS, key.as_bytes()).await?.unwrap_or_default();
            if row.account.is_some_and(|bound| bound != checked.id) {
                return Err(Code::AlreadySignedIn.into());
            }
            let account = change.get(ACCOUNTS, checked.id.0.as_bytes()).await?;
            let mut account = account.ok_or(Failure::Missing("an account"))?;
            if account.password != checked.password {
                // Changed while the old one was checked.
                return Err(Code::BadPassword.into());
            }
            add_key(&mut account, key, now)?;
            if let Some(hash) = &rehashed {
                account.password.clone_from(hash);
            }
            row.account = Some(account.id);
            row.is_signed_out = false;
            change.put(KEYS, key.as_bytes(), &row)?;
            change.put(ACCOUNTS, account.id.0.as_bytes(), &account)?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(());
            }
        }
    }

    /// Unbinds `key` from its account, and ends what hangs on that.
    ///
    /// # Errors
    /// `not_signed_in` when it is bound to none; `too_many_requests` when more sign out than can be remembered or revoked.
    pub async fn signout(&self, key: PeerKey) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            let mut ending = None;
            let mut change = self.directory.change();
            let row = change.get(KEYS, key.as_bytes()).await?.unwrap_or_default();
            let id = row.account.ok_or(Code::NotSignedIn)?;
            if let Some(mut account) = change.get(ACCOUNTS, id.0.as_bytes()).await? {
                if let Some(oldest) = account.sign_out(key, self.now()) {
                    self.quotas.revocation(id)?;
                    let hold = self.signer.hold().await;
                    ending = Some(self.revoke_passes(&mut change, hold, vec![oldest]).await?);
                }
                change.put(ACCOUNTS, id.0.as_bytes(), &account)?;
            }
            let row = KeyRow { account: None, ..row };
            if row.held.is_empty() {
                change.delete(KEYS, key.as_bytes());
            } else {
                change.put(KEYS, key.as_bytes(), &row)?;
            }
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                if let Some(ending) = ending {
                    self.end_passes(ending, Code::Revoked.into(), None).await?;
                }
                return Ok(self.actor.send(SignOut { key }).await?);
            }
        }
    }

    /// Changes the password of the account that `key` is bound to.
    ///
    /// # Errors
    /// `not_signed_in`, `bad_password`, `password_length`, `too_many_requests`.
    pub async fn change_password(&self, caller: Caller, change: Password) -> Result<(), Failure> {
        let Caller { key, origin, .. } = caller;
        change.new.check_password_length().map_err(Refusal::from)?;
        let account = self.bound_account(key).await?.ok_or(Code::NotSignedIn)?.value;
        let attempt = self.quotas.attempt(&account.name, origin, self.now())?;
        let verdict = self.passwords.verify(change.old, Some(account.password.clone())).await?;
        attempt.end(verdict != Verdict::Wrong, self.now());
        if verdict == Verdict::Wrong {
            let reason = "the password in force is another one";
            return Err(Refusal::new(Code::BadPassword, reason).into());
        }
        let hash = self.passwords.hash(change.new).await?;
        let mut tries = Tries::default();
        loop {
            let mut change = self.directory.change();
            let now = change.get(ACCOUNTS, account.id.0.as_bytes()).await?;
            let mut now = now.ok_or(Failure::Missing("an account"))?;
            if now.password != account.password {
                return Err(Code::BadPassword.into());
            }
            now.password.clone_from(&hash);
            change.put(ACCOUNTS, account.id.0.as_bytes(), &now)?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(());
            }
        }
    }

    /// The account that a key is bound to.
    pub(super) async fn bound_account(&self, key: PeerKey) -> Result<Option<Row<Account>>, Failure> {
        let row = self.directory.get(KEYS, key.as_bytes()).await?;
        match row.and_then(|row| row.value.account) {
            Some(id) => self.account(id).await.map(Some),
            None => Ok(None),
        }
    }

    /// The account with an id that another row names.
    pub(super) async fn account(&self, id: AccountId) -> Result<Row<Account>, Failure> {
        self.directory.get(ACCOUNTS, id.0.as_bytes()).await?.ok_or(Failure::Missing("an account"))
    }
}

fn add_key(account: &mut Account, key: PeerKey, now: Timestamp) -> Result<(), Refusal> {
    if account.keys.iter().any(|bound| bound.key == key) {
        return Ok(());
    }
    if account.keys.len() >= MAX_KEYS_PER_ACCOUNT {
        let reason =
            format!("the account is signed in on {MAX_KEYS_PER_ACCOUNT} devices; sign out on one of them");
        return Err(Refusal::new(Code::NotAllowed, reason));
    }
    account.left.retain(|left| left.key != key);
    account.keys.push(BoundKey { key, since: now });
    Ok(())
}
