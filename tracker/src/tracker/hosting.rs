//! Channels: announced, found free or taken, given up.

use std::net::{IpAddr, SocketAddr};

use common::clock::Timestamp;
use common::crash::{self, Point};
use common::entry::Position;
use common::id::{ChannelId, Subject};
use common::proto::directory::{ChannelRecord, Host, Policy, SetPolicy, Unhost};
use common::proto::limits::MAX_POLICY_BYTES;
use common::proto::status::{Code, Refusal};
use common::transport::Address;

use super::TrackerHandle;
use super::messages::{Announce, CountOwned, PolicyChanged, Refresh, Remove, Withdraw};
use super::sessions::{Caller, Identity};
use crate::error::Failure;
use crate::limits::{MAX_ADDRESSES, MAX_CHANNELS_PER_GUEST, MAX_CHANNELS_PER_OWNER, MAX_RETIRED, SCAN_ROWS};
use crate::store::directory::{Change, Committed, Row, Tries};
use crate::store::names::{ChannelNameClaim, claim_channel_name, remove_channel, retire_channel};
use crate::store::schema::{CHANNELS, ChannelRow, REMOVED, RETIRED};

impl TrackerHandle {
    /// Announces a channel that `who` hosts from now on.
    ///
    /// # Errors
    /// `name_taken`, `not_owner`, `hosted_elsewhere`, `bad_request` for another name than the channel has, `log_behind`
    /// for a log that has lost entries, `not_allowed` for too many channels, `too_many_requests` for too many new names
    /// or announcements, `channel_removed`.
    pub async fn host(&self, caller: Caller, who: &Identity, host: Host) -> Result<ChannelRecord, Failure> {
        let Caller { conn, origin, remote, .. } = caller;
        let owned = self.actor.send(CountOwned { owner: who.subject }).await?;
        let most = match who.subject {
            Subject::Account(_) => MAX_CHANNELS_PER_OWNER,
            Subject::Guest(_) => MAX_CHANNELS_PER_GUEST,
        };
        let (mut tries, mut is_counted) = (Tries::default(), false);
        loop {
            let now = self.now();
            let mut change = self.directory.change();
            if change.get(REMOVED, host.id.0.as_bytes()).await?.is_some() {
                return Err(Code::ChannelRemoved.into());
            }
            let known = change.get(CHANNELS, host.id.0.as_bytes()).await?;
            if let Some(retired) = change.get(RETIRED, host.id.0.as_bytes()).await? {
                if !retired.is_of(who.holder()) {
                    // As if it were there and not to be known of.
                    return Err(Code::NameTaken.into());
                }
                change.delete(RETIRED, host.id.0.as_bytes());
            }
            if known.is_none() && owned >= most {
                let reason = format!("you own {owned} channels already; give one up with unhost --release");
                return Err(Refusal::new(Code::NotAllowed, reason).into());
            }
            let is_first_try = !std::mem::replace(&mut is_counted, true);
            if known.is_none() && is_first_try {
                self.quotas.name(origin)?;
            }
            let row = decide(known.as_ref(), who, &host, remote, now)?;
            if known.is_some() && is_first_try {
                self.quotas.announcement(host.id)?;
            }
            let lapsed = claim(&mut change, who, known.as_ref(), &row, now).await?;
            change.put(CHANNELS, row.id.0.as_bytes(), &row)?;
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                crash::here(Point::TrackerListed);
                let row = Row { value: row, revision };
                let announced = self.actor.send(Announce { conn, row, lapsed }).await??;
                crash::here(Point::TrackerLeased);
                return Ok(announced);
            }
        }
    }

    /// Ends the announcement of a channel, and gives it up altogether when asked to.
    ///
    /// # Errors
    /// `no_such_channel`, `not_owner`, `hosted_elsewhere`, `too_many_requests`.
    pub async fn unhost(&self, who: &Identity, unhost: Unhost) -> Result<(), Failure> {
        let (mut tries, mut is_counted) = (Tries::default(), false);
        loop {
            let mut change = self.directory.change();
            let mut row = change.get(CHANNELS, unhost.id.0.as_bytes()).await?.ok_or(Code::NoSuchChannel)?;
            check_host(&row, who)?;
            if !std::mem::replace(&mut is_counted, true) {
                self.quotas.announcement(unhost.id)?;
            }
            row.seen = self.now();
            if unhost.release {
                retire_channel(&mut change, &row, row.seen)?;
            } else {
                change.put(CHANNELS, row.id.0.as_bytes(), &row)?;
            }
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                let told = if unhost.release {
                    self.actor.send(Remove { ids: vec![unhost.id], revision }).await
                } else {
                    self.actor.send(Withdraw { row: Row { value: row, revision } }).await
                };
                return Ok(told?);
            }
        }
    }

    /// Notes who may do what in a channel that `who` hosts.
    ///
    /// # Errors
    /// `bad_request` for a policy that is too long, `no_such_channel`, `not_owner`, `hosted_elsewhere`, `too_many_requests`.
    pub async fn set_policy(&self, who: &Identity, asked: SetPolicy) -> Result<(), Failure> {
        check_policy(&asked.policy)?;
        let (mut tries, mut is_counted) = (Tries::default(), false);
        loop {
            let mut change = self.directory.change();
            let mut row = change.get(CHANNELS, asked.id.0.as_bytes()).await?.ok_or(Code::NoSuchChannel)?;
            check_host(&row, who)?;
            if asked.policy.rev < row.policy.rev || asked.policy == row.policy {
                return Ok(());
            }
            if !std::mem::replace(&mut is_counted, true) {
                self.quotas.announcement(asked.id)?;
            }
            row.policy = asked.policy.clone();
            change.put(CHANNELS, row.id.0.as_bytes(), &row)?;
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                return Ok(self.actor.send(PolicyChanged { row: Row { value: row, revision } }).await?);
            }
        }
    }

    /// Gives channels that a key owned as a guest to the account it has entered as.
    pub(super) async fn inherit(&self, who: &Identity, ids: Vec<ChannelId>) -> Result<(), Failure> {
        self.amend(ids, |row| {
            row.owner.subject == Subject::Guest(who.key) && {
                row.owner = who.owner();
                true
            }
        })
        .await
    }

    /// Notes that the hosts of these channels were there until `now`.
    pub(super) async fn note_seen(&self, ids: Vec<ChannelId>, now: Timestamp) -> Result<(), Failure> {
        self.amend(ids, |row| {
            row.seen = now;
            true
        })
        .await?;
        crash::here(Point::TrackerSeen);
        Ok(())
    }

    /// Changes rows that are still there, one by one.
    async fn amend(
        &self,
        ids: Vec<ChannelId>,
        mut amend: impl FnMut(&mut ChannelRow) -> bool,
    ) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for id in ids {
            let mut tries = Tries::default();
            loop {
                let mut change = self.directory.change();
                let Some(mut row) = change.get(CHANNELS, id.0.as_bytes()).await? else { break };
                if !amend(&mut row) {
                    break;
                }
                change.put(CHANNELS, id.0.as_bytes(), &row)?;
                if let Committed::Done(revision) = change.commit(&mut tries).await? {
                    rows.push(Row { value: row, revision });
                    break;
                }
            }
        }
        if !rows.is_empty() {
            self.actor.send(Refresh { rows }).await?;
        }
        Ok(())
    }

    /// Forgets of too many channels that are no more those that went first.
    pub(super) async fn sweep_retired(&self) -> Result<(), Failure> {
        let (mut after, mut found) = (None::<Vec<u8>>, Vec::new());
        loop {
            let page = self.directory.scan(RETIRED, after.as_deref(), SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            found.extend(page.into_iter().map(|(key, row)| (row.value.at, key)));
        }
        for key in oldest(found, MAX_RETIRED) {
            let mut change = self.directory.change();
            if change.get(RETIRED, &key).await?.is_none() {
                continue;
            }
            change.delete(RETIRED, &key);
            // Whoever was faster has made something of it.
            change.commit(&mut Tries::default()).await?;
        }
        Ok(())
    }

    /// Removes those of these channels that have lapsed.
    pub(super) async fn remove_lapsed(&self, ids: Vec<ChannelId>) -> Result<(), Failure> {
        for id in ids {
            let mut change = self.directory.change();
            let row = change.get(CHANNELS, id.0.as_bytes()).await?;
            let Some(row) = row.filter(|row| row.has_lapsed(self.now())) else { continue };
            retire_channel(&mut change, &row, self.now())?;
            // Whoever was faster has made something of the channel: then it is not to be removed.
            if let Committed::Done(revision) = change.commit(&mut Tries::default()).await? {
                self.actor.send(Remove { ids: vec![id], revision }).await?;
            }
        }
        Ok(())
    }
}

/// The rows beyond so many, those that went first. Pure.
fn oldest(mut rows: Vec<(Timestamp, Vec<u8>)>, most: usize) -> Vec<Vec<u8>> {
    rows.sort_unstable();
    let more = rows.len().saturating_sub(most);
    rows.into_iter().take(more).map(|(_, key)| key).collect()
}

/// The account also owns what its key owned as a guest, until that is noted.
fn is_owner(row: &ChannelRow, who: &Identity) -> bool {
    row.owner.subject == who.subject || row.owner.subject == Subject::Guest(who.key)
}

/// Whether a channel that is there is hosted by who asks.
fn check_host(row: &ChannelRow, who: &Identity) -> Result<(), Code> {
    if !is_owner(row, who) {
        return Err(if row.is_visible_to(who.holder()) { Code::NotOwner } else { Code::NoSuchChannel });
    }
    if row.host_key != who.key {
        return Err(Code::HostedElsewhere);
    }
    Ok(())
}

/// The row as it is to be, or why not. Pure.
fn decide(
    known: Option<&ChannelRow>,
    who: &Identity,
    host: &Host,
    remote: Option<IpAddr>,
    now: Timestamp,
) -> Result<ChannelRow, Refusal> {
    check_policy(&host.policy)?;
    if let Some(known) = known {
        if !is_owner(known, who) {
            // What may not be known of is taken, as any name is; more is not said.
            let may_know = known.is_visible_to(who.holder());
            return Err(if may_know { Code::NotOwner } else { Code::NameTaken }.into());
        }
        if known.host_key != who.key {
            return Err(Code::HostedElsewhere.into());
        }
        if known.name != host.name {
            let reason = format!("the channel's name is {}; a channel keeps its name", known.name);
            return Err(Refusal::new(Code::BadRequest, reason));
        }
        if !host.behind {
            check_head(known.head, host.head)?;
        }
    }
    Ok(ChannelRow {
        id: host.id,
        name: host.name.clone(),
        owner: who.owner(),
        host_key: who.key,
        addresses: addresses(host.port, &host.addresses, remote),
        // How far a log once was is not forgotten for one that has lost entries.
        head: known.map(|known| known.head).filter(|_| host.behind).unwrap_or(host.head),
        // A tracker put back from an older copy learns the number from the host: members refuse a lower one.
        term: known.map_or(1, |known| known.term).max(host.term),
        policy: host.policy.clone(),
        created: known.map_or(now, |known| known.created),
        seen: now,
    })
}

fn check_policy(policy: &Policy) -> Result<(), Refusal> {
    if policy.fits() {
        return Ok(());
    }
    Err(Refusal::new(Code::BadRequest, format!("a policy has at most {MAX_POLICY_BYTES} bytes")))
}

/// A host announces only what is on its disk: a log that is behind what it has announced before, or another one up to
/// there, has lost entries. What is known of it is not overwritten then.
fn check_head(known: Position, announced: Position) -> Result<(), Refusal> {
    if announced.epoch != known.epoch || announced.seq > known.seq || announced == known {
        return Ok(());
    }
    let (here, there) = (announced.seq, known.seq);
    let found = if here < there {
        format!("this log ends at entry {here}, and the tracker has seen it reach entry {there}")
    } else {
        format!("entry {here} of this log is not the one that the tracker has seen there")
    };
    let reason =
        format!("{found}: an older copy was put back, or the disk has lost entries; put the newer copy back");
    Err(Refusal::new(Code::LogBehind, reason))
}

/// Where a peer can be reached: at the address it is seen at first, then at those it knows of itself.
pub(super) fn addresses(port: Option<u16>, known: &[Address], remote: Option<IpAddr>) -> Vec<Address> {
    let seen = remote.zip(port).map(|(ip, port)| Address::tcp(SocketAddr::new(ip, port)));
    let mut addresses: Vec<Address> = Vec::new();
    for address in seen.into_iter().chain(known.iter().cloned()) {
        if addresses.len() == MAX_ADDRESSES {
            break;
        }
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Sees to it that the name is the channel's. Returns the lapsed channels that had it before.
async fn claim(
    change: &mut Change,
    who: &Identity,
    known: Option<&ChannelRow>,
    row: &ChannelRow,
    now: Timestamp,
) -> Result<Vec<ChannelId>, Failure> {
    // Written in other letters, the same name has other looks too.
    if let Some(known) = known {
        if known.name.as_str() == row.name.as_str() {
            return Ok(Vec::new());
        }
        remove_channel(change, known);
    }
    match claim_channel_name(change, &row.name, row.id, now).await? {
        ChannelNameClaim::Given { lapsed } => Ok(lapsed),
        // A second device of its owner knows the channel by its name only.
        ChannelNameClaim::Taken(other)
            if other.name == row.name && is_owner(&other, who) && other.host_key != who.key =>
        {
            Err(Code::HostedElsewhere.into())
        }
        ChannelNameClaim::Taken(_) => Err(Code::NameTaken.into()),
    }
}

#[cfg(test)]
mod tests;
