//! The keys of an account: shown, and unbound by another one of them.

use common::identity::PeerKey;
use common::pass::REVOKED_FOR;
use common::proto::device::{Device, DeviceList, Revoke, Revoked};
use common::proto::directory::Missed;
use common::proto::limits::MAX_REVOKED_KEYS;
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::messages::{EndSessions, WhoIsThere};
use super::sessions::{Caller, ConnId, Identity};
use crate::error::Failure;
use crate::limits::{MAX_REVOCATIONS, SEEN_EVERY, SWEEP_EVERY};
use crate::signer::Hold;
use crate::store::directory::{Change, Committed, Tries};
use crate::store::schema::{ACCOUNTS, KEYS, KeyRow, REVOCATIONS, RevocationRow, Was};

impl TrackerHandle {
    /// The devices of the account that the caller's key is bound to, and those that left it and may have a pass.
    ///
    /// # Errors
    /// `not_signed_in`.
    pub async fn devices(&self, caller: Caller) -> Result<DeviceList, Failure> {
        let account = self.bound_account(caller.key).await?.ok_or(Code::NotSignedIn)?.value;
        let there =
            self.actor.send(WhoIsThere(account.keys.iter().map(|bound| bound.key).collect())).await?.0;
        let mut devices = Vec::with_capacity(account.keys.len());
        for (bound, online) in account.keys.into_iter().zip(there) {
            let row = self.directory.get(KEYS, bound.key.as_bytes()).await?;
            let seen = if online { Some(self.now()) } else { row.and_then(|row| row.value.seen) };
            devices.push(Device { key: bound.key, since: bound.since, seen, online, pass_until: None });
        }
        let now = self.now();
        devices.extend(account.left.iter().filter(|left| now < left.pass_until()).map(|left| Device {
            key: left.key,
            since: left.since,
            seen: Some(left.since),
            online: false,
            pass_until: Some(left.pass_until()),
        }));
        Ok(DeviceList { devices })
    }

    /// Unbinds a key from the account that the caller's key is bound to, and ends what it may do, everywhere. When it is
    /// the caller's own, its connection is to be closed after the answer.
    ///
    /// # Errors
    /// `not_signed_in`, `no_such_device`, `too_many_requests`.
    pub async fn revoke(&self, caller: Caller, Revoke { key }: Revoke) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            let hold = self.signer.hold().await;
            let mut change = self.directory.change();
            let row = change.get(KEYS, caller.key.as_bytes()).await?.unwrap_or_default();
            let id = row.account.ok_or(Code::NotSignedIn)?;
            let account = change.get(ACCOUNTS, id.0.as_bytes()).await?;
            let mut account = account.ok_or(Failure::Missing("an account"))?;
            let was = account.revoke(key).ok_or(Code::NoSuchDevice)?;
            self.quotas.revocation(id)?;
            change.put(ACCOUNTS, id.0.as_bytes(), &account)?;
            // Who has signed out by themselves may be somebody else by now, and stays that.
            if was == Was::Bound {
                self.unbind(&mut change, &[key]).await?;
            }
            let revoked = self.revoke_passes(&mut change, hold, vec![key]).await?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                tracing::info!(account = %id, %key, "device signed out");
                return self.end_passes(revoked, Code::Revoked.into(), Some(caller.conn)).await;
            }
        }
    }

    /// Has the keys enter as nobody's any more; their passes are to be [revoked](Self::revoke_passes) with this.
    pub(super) async fn unbind(&self, change: &mut Change, keys: &[PeerKey]) -> Result<(), Failure> {
        for key in keys {
            let row = change.get(KEYS, key.as_bytes()).await?.unwrap_or_default();
            change.put(KEYS, key.as_bytes(), &KeyRow { account: None, is_signed_out: true, ..row })?;
        }
        Ok(())
    }

    /// Ends the passes of these keys, and leaves the keys where they are bound. The change is to be committed, and then to
    /// be told by [`Self::end_passes`].
    pub(super) async fn revoke_passes(
        &self,
        change: &mut Change,
        mut hold: Hold,
        keys: Vec<PeerKey>,
    ) -> Result<Ending, Failure> {
        if self.revocations.count() >= MAX_REVOCATIONS {
            let reason = "too many devices were signed out in the last days; try again later";
            return Err(Refusal::new(Code::TooManyRequests, reason).after(SWEEP_EVERY).into());
        }
        let rev = hold.take().await?;
        let until = self.now().plus(REVOKED_FOR);
        change.put(REVOCATIONS, &rev.to_be_bytes(), &RevocationRow { keys: keys.clone(), until })?;
        Ok(Ending { revoked: Revoked { rev, keys, until }, hold })
    }

    /// The passes are revoked on disk: whoever uses them is put out, and hosts are told.
    pub(super) async fn end_passes(
        &self,
        ending: Ending,
        why: Refusal,
        spared: Option<ConnId>,
    ) -> Result<(), Failure> {
        let Ending { revoked, hold } = ending;
        self.revocations.added(revoked.rev);
        drop(hold);
        Ok(self.actor.send(EndSessions { revoked, why, spared }).await?)
    }

    /// The revocations after `told`, as many as an answer has room for, and how far one is told with them.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn missed(&self, told: u64) -> Result<(Missed, u64), Failure> {
        let latest = self.revocations.latest();
        if told == latest {
            return Ok((Missed::default(), told));
        }
        // Told more than there is: by this tracker before it was put back to an older copy.
        let mut told = if told > latest { 0 } else { told };
        let (mut missed, mut keys, now) = (Missed::default(), 0, self.now());
        let page = self.directory.scan(REVOCATIONS, Some(&told.to_be_bytes()), MAX_REVOKED_KEYS).await?;
        missed.more_revoked = page.len() == MAX_REVOKED_KEYS;
        for (rev, row) in page {
            if keys >= MAX_REVOKED_KEYS {
                missed.more_revoked = true;
                break;
            }
            let RevocationRow { keys: of_row, until } = row.value;
            told = rev.as_slice().try_into().map_or(told, u64::from_be_bytes);
            keys += of_row.len();
            if now < until {
                missed.revoked.push(Revoked { rev: told, keys: of_row, until });
            }
        }
        // Those up to the latest that are not on disk any more are dead.
        let told = if missed.more_revoked { told } else { told.max(latest) };
        Ok((missed, told))
    }

    /// Whether the key may still enter as this account: what was so before the pass was signed. Notes that it was there.
    pub(super) async fn check_bound(&self, identity: &Identity) -> Result<(), Failure> {
        let common::id::Subject::Account(id) = identity.subject else { return Ok(()) };
        let mut change = self.directory.change();
        let row = change.get(KEYS, identity.key.as_bytes()).await?.unwrap_or_default();
        if row.account != Some(id) {
            return Err(Code::Revoked.into());
        }
        self.account(id).await?.value.check_active()?;
        let now = self.now();
        if row.seen.is_none_or(|seen| now.since(seen) >= SEEN_EVERY) {
            change.put(KEYS, identity.key.as_bytes(), &KeyRow { seen: Some(now), ..row })?;
            // Whoever was faster has written the row anew, and it is no matter of minutes.
            change.commit(&mut Tries::default()).await?;
        }
        Ok(())
    }

    /// The connection of a key that is bound to an account has ended.
    ///
    /// # Errors
    /// When the directory cannot be written: then the device was last seen a little earlier.
    pub async fn note_device_seen(&self, key: PeerKey) -> Result<(), Failure> {
        let now = self.now();
        let mut change = self.directory.change();
        let Some(row) = change.get(KEYS, key.as_bytes()).await? else { return Ok(()) };
        if row.account.is_some() && row.seen.is_none_or(|seen| now.since(seen) >= SEEN_EVERY) {
            change.put(KEYS, key.as_bytes(), &KeyRow { seen: Some(now), ..row })?;
            change.commit(&mut Tries::default()).await?;
        }
        Ok(())
    }

    /// Forgets the revocations of passes that are dead.
    pub(super) async fn sweep_revocations(&self) -> Result<(), Failure> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.directory.scan(REVOCATIONS, after.as_deref(), crate::limits::SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (rev, row) in page {
                // Their numbers grow with time, so what comes behind is younger.
                if self.now() < row.value.until {
                    return Ok(());
                }
                let mut change = self.directory.change();
                change.delete(REVOCATIONS, &rev);
                for key in row.value.keys {
                    let Some(row) = change.get(KEYS, key.as_bytes()).await? else { continue };
                    if row.account.is_none() && row.held.is_empty() {
                        change.delete(KEYS, key.as_bytes());
                    }
                }
                if let Committed::Done(_) = change.commit(&mut Tries::default()).await? {
                    self.revocations.forgotten();
                }
            }
        }
    }
}

/// Passes that are about to be revoked. No pass is signed meanwhile.
pub(super) struct Ending {
    revoked: Revoked,
    hold: Hold,
}
