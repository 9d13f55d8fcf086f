//! Requests for conversations: kept for whom they are meant for, and told; and who meets whom.
//!
//! A KNOCK does the same work whether there is such a user or not, so that neither its answer nor the time it takes
//! says which.

mod kept;

use std::net::IpAddr;

use common::id::Subject;
use common::identity::PeerKey;
use common::name::UserName;
use common::proto::knock::{Introduce, Introduction, Knock, Knocked, Sent};
use common::proto::limits::MAX_DEVICES_OF_CONTACT;
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::hosting::addresses;
use super::introductions::Wish;
use super::messages::{Deliver, Met, Ring};
use super::sessions::{Caller, ConnId, Identity};
use super::state::Unseen;
use crate::error::Failure;
use crate::limits::SCAN_ROWS;
use crate::store::directory::{Change, Committed, Tries};
use crate::store::names::holder_of_name;
use crate::store::schema::{INVISIBLE, KNOCKS, KnockRow, KnocksRow};
pub use kept::Kept;

/// Where the knocks for somebody are kept.
fn row_of(subject: Subject) -> Vec<u8> {
    subject.to_string().into_bytes()
}

/// Nobody is shown to others by what one of their devices says that has not heard yet that they are invisible.
async fn check_seen(change: &mut Change, who: &Identity) -> Result<(), Failure> {
    let Subject::Account(account) = who.subject else { return Ok(()) };
    match change.get(INVISIBLE, account.0.as_bytes()).await? {
        Some(_) => Err(Code::Invisible.into()),
        None => Ok(()),
    }
}

/// Where the knocks of a peer are kept that are for nobody.
fn row_of_nobody(from: PeerKey) -> Vec<u8> {
    format!("nobody {from}").into_bytes()
}

impl TrackerHandle {
    /// Asks for a conversation with whoever has a name.
    ///
    /// # Errors
    /// `too_many_requests`, `invisible`, or when the directory does not answer; never for who it is that is asked.
    pub async fn knock(&self, caller: Caller, who: &Identity, knock: Knock) -> Result<Sent, Failure> {
        self.quotas.knock(who.subject, caller.origin)?;
        let (row, keys) = self.whom(who, &knock.name).await?;
        let mut tries = Tries::default();
        loop {
            let now = self.now();
            let mut change = self.directory.change();
            if !knock.invisible {
                check_seen(&mut change, who).await?;
            }
            let mut knocks = change.get(KNOCKS, &row).await?.unwrap_or_default();
            let asked = KnockRow { from: who.owner(), key: who.key, at: now, rejected_by: None };
            let kept = knocks.add(asked, now);
            change.put(KNOCKS, &row, &knocks)?;
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                self.actor.send(Ring { conn: caller.conn, keys, kept }).await?;
                return Ok(Sent::default());
            }
        }
    }

    /// Where a knock for a name is kept, and the devices of whoever has it.
    async fn whom(&self, who: &Identity, name: &UserName) -> Result<(Vec<u8>, Vec<PeerKey>), Failure> {
        let claim = holder_of_name(&self.directory, name, self.now()).await?;
        let holder = claim.map(|claim| claim.holder);
        Ok(match holder.filter(|holder| *holder != who.subject) {
            Some(Subject::Account(id)) => {
                let account = self.account(id).await?.value;
                (row_of(Subject::Account(id)), account.keys.iter().map(|bound| bound.key).collect())
            }
            Some(Subject::Guest(key)) => (row_of(Subject::Guest(key)), vec![key]),
            None => (row_of_nobody(who.key), Vec::new()),
        })
    }

    /// Takes in with whom somebody wants to talk, or whose knock is turned down.
    ///
    /// # Errors
    /// `bad_request` for too many devices, `invisible`.
    pub async fn introduce(
        &self,
        conn: ConnId,
        who: &Identity,
        remote: Option<IpAddr>,
        asked: Introduce,
    ) -> Result<(), Failure> {
        if asked.keys.len() > MAX_DEVICES_OF_CONTACT {
            let reason = format!("INTRODUCE takes at most {MAX_DEVICES_OF_CONTACT} keys");
            return Err(Refusal::new(Code::BadRequest, reason).into());
        }
        let knocked = self.answer_knocks(who, &asked).await?;
        if asked.reject {
            let rejection =
                Introduction { who: who.owner(), key: who.key, addresses: Vec::new(), rejected: true };
            return Ok(self.actor.send(Deliver { keys: knocked, of: asked.subject, rejection }).await?);
        }
        let addresses = addresses(asked.port, &asked.addresses, remote);
        let wish = Wish { subject: asked.subject, keys: asked.keys, addresses };
        let met = self.actor.send(Met { conn, wish, knocked, invisible: asked.invisible }).await??;
        Ok(met.map_err(|Unseen| Code::Invisible)?)
    }

    /// Which of the devices have knocked here, by what is kept; a rejection is noted. What this peer itself had asked
    /// of the other is answered by that.
    async fn answer_knocks(&self, who: &Identity, asked: &Introduce) -> Result<Vec<PeerKey>, Failure> {
        let (mine, theirs) = (row_of(who.subject), row_of(asked.subject));
        let mut tries = Tries::default();
        loop {
            let now = self.now();
            let mut change = self.directory.change();
            if !asked.reject && !asked.keys.is_empty() && !asked.invisible {
                check_seen(&mut change, who).await?;
            }
            let mut knocks = change.get(KNOCKS, &mine).await?.unwrap_or_default();
            let before = knocks.clone();
            let knocked = knocks.answer(asked.subject, &asked.keys, asked.reject.then(|| who.owner()), now);
            if knocks != before {
                change.put(KNOCKS, &mine, &knocks)?;
            }
            let answered = !asked.reject && !asked.keys.is_empty();
            let their_knocks = if answered { change.get(KNOCKS, &theirs).await? } else { None };
            if let Some(mut knocks) = their_knocks
                && knocks.forget(who.subject, who.key)
            {
                if knocks.rows.is_empty() {
                    change.delete(KNOCKS, &theirs);
                } else {
                    change.put(KNOCKS, &theirs, &knocks)?;
                }
            } else if knocks == before {
                return Ok(knocked);
            }
            if let Committed::Done(_) = change.commit(&mut tries).await? {
                return Ok(knocked);
            }
        }
    }

    /// Tells somebody who has just entered who has asked for a conversation meanwhile.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn knocks_for(&self, who: &Identity) -> Result<Vec<Knocked>, Failure> {
        let now = self.now();
        let mut knocked = Vec::new();
        // What was meant for the guest that the account was before counts too.
        let mut subjects = vec![who.subject];
        if let Subject::Account(_) = who.subject {
            subjects.push(Subject::Guest(who.key));
        }
        for subject in subjects {
            let row = self.directory.get(KNOCKS, &row_of(subject)).await?;
            knocked.extend(row.map(|row| row.value.waiting(now)).unwrap_or_default());
        }
        Ok(knocked)
    }

    /// Removes what nobody waits for any more.
    pub(super) async fn sweep_knocks(&self) -> Result<(), Failure> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.directory.scan(KNOCKS, after.as_deref(), SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in page {
                if row.value.is_stale(self.now()) {
                    self.drop_stale_knocks(&key).await?;
                }
            }
        }
    }

    /// Whoever was faster has swept, or knocked, which needs no second try.
    async fn drop_stale_knocks(&self, key: &[u8]) -> Result<(), Failure> {
        let mut change = self.directory.change();
        let Some(mut knocks) = change.get(KNOCKS, key).await? else { return Ok(()) };
        knocks.drop_stale(self.now());
        if knocks.rows.is_empty() {
            change.delete(KNOCKS, key);
        } else {
            change.put(KNOCKS, key, &knocks)?;
        }
        change.commit(&mut Tries::default()).await?;
        Ok(())
    }
}

impl KnocksRow {
    fn waiting(self, now: common::clock::Timestamp) -> Vec<Knocked> {
        let waiting = self.rows.into_iter().filter(|row| row.rejected_by.is_none() && !row.is_stale(now));
        waiting.map(KnockRow::told).collect()
    }
}
