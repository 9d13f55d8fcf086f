//! Channels: announced, found free or taken, given up.

use std::net::{IpAddr, SocketAddr};

use common::clock::Timestamp;
use common::crash::{self, Point};
use common::entry::Position;
use common::id::{ChannelId, Subject};
use common::proto::directory::{ChannelRecord, Host, Policy, SetPolicy, Unhost};
use common::proto::limits::MAX_POLICY_BYTES;
use common::proto::moving::{Move, Moved};
use common::proto::status::{Code, Refusal};
use common::transport::Address;

use super::TrackerHandle;
use super::messages::{Announce, CountOwned, PolicyChanged, Refresh, Remove, Withdraw};
use super::moving;
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
    /// `name_taken`, `not_owner`, `hosted_elsewhere`, `superseded`, `bad_request` for another name than the channel has
    /// or a hand-over that does not count, `log_behind` for a log that has lost entries, `not_allowed` for too many
    /// channels, `too_many_requests` for too many new names or announcements, `channel_removed`.
    pub async fn host(&self, caller: Caller, who: &Identity, host: Host) -> Result<Announced, Failure> {
        let Caller { conn, origin, remote, .. } = caller;
        let owned = self.actor.send(CountOwned { owner: who.subject }).await?;
        let most = match who.subject {
            Subject::Account(_) => MAX_CHANNELS_PER_OWNER,
            Subject::Guest(_) => MAX_CHANNELS_PER_GUEST,
        };
        // What is decided from is on disk.
        self.keep_heads(Some(host.id)).await?;
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
            if known.is_some() && is_first_try {
                self.quotas.announcement(host.id)?;
            }
            let Decided { mut row, step } = decide(known.as_ref(), who, &host, remote, now)?;
            if let Some(step) = step.or_else(|| moving::settled(&row, &host)) {
                let proof =
                    self.signer.sign_hosting(|directory| moving::proof(&row, &step, directory, now))?;
                row.moved = Some(Box::new(Moved::then(row.moved.as_deref(), proof, step)));
            }
            let lapsed = claim(&mut change, who, known.as_ref(), &row, now).await?;
            change.put(CHANNELS, row.id.0.as_bytes(), &row)?;
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                crash::here(Point::TrackerListed);
                let policy = (row.policy.rev > host.policy.rev).then(|| row.policy.clone());
                let row = Row { value: row, revision };
                let channel = self.actor.send(Announce { conn, row, lapsed }).await??;
                crash::here(Point::TrackerLeased);
                return Ok(Announced { channel, policy });
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

/// A channel that was announced.
pub struct Announced {
    /// As the directory has it now.
    pub channel: ChannelRecord,
    /// Its policy, when that is newer than the one that was announced.
    pub policy: Option<Policy>,
}

/// What becomes of a channel that is announced.
#[derive(Debug)]
struct Decided {
    row: ChannelRow,
    /// How it moves, if it does.
    step: Option<Move>,
}

/// The account also owns what its key owned as a guest, until that is noted.
fn is_owner(row: &ChannelRow, who: &Identity) -> bool {
    row.owner.subject == who.subject || row.owner.subject == Subject::Guest(who.key)
}

/// Whether a channel that is there is hosted by who asks.
pub(super) fn check_host(row: &ChannelRow, who: &Identity) -> Result<(), Code> {
    if !is_owner(row, who) {
        return Err(if row.is_visible_to(who.holder()) { Code::NotOwner } else { Code::NoSuchChannel });
    }
    if row.host_key != who.key {
        return Err(Code::HostedElsewhere);
    }
    Ok(())
}

/// A host may know of so many moves more than the tracker does, whose store was put back from an older copy.
const MAX_TERMS_AHEAD: u64 = 1000;

/// The row as it is to be, or why not. Pure.
fn decide(
    known: Option<&ChannelRow>,
    who: &Identity,
    host: &Host,
    remote: Option<IpAddr>,
    now: Timestamp,
) -> Result<Decided, Refusal> {
    check_policy(&host.policy)?;
    if host.term > known.map_or(0, |known| known.term) + MAX_TERMS_AHEAD {
        let reason = format!("a channel has not moved {} times", host.term);
        return Err(Refusal::new(Code::BadRequest, reason));
    }
    let decided = known.map(|known| decide_known(known, who, host, now)).transpose()?;
    let step = decided.flatten();
    // Nobody's rights are lost with the machine that knew of them.
    let newer = known.filter(|known| host.takeover.is_some() && known.policy.rev > host.policy.rev);
    let mut row = ChannelRow {
        id: host.id,
        name: host.name.clone(),
        owner: who.owner(),
        host_key: who.key,
        addresses: addresses(host.port, &host.addresses, remote),
        // How far a log once was is not forgotten for one that has lost entries.
        head: known.map(|known| known.head).filter(|_| host.behind).unwrap_or(host.head),
        // A tracker put back from an older copy learns the number from the host: members refuse a lower one.
        term: known.map_or(1, |known| known.term).max(host.term),
        policy: newer.map_or(&host.policy, |known| &known.policy).clone(),
        created: known.map_or(now, |known| known.created),
        seen: now,
        moved: known.and_then(|known| known.moved.clone()),
        former: Vec::new(),
        members: host.members,
        // What was offered is another's when it has moved.
        offer: known.filter(|_| step.is_none()).and_then(|known| known.offer.clone()),
    };
    if let Some(known) = known {
        moving::note_former(&mut row, known);
    }
    // Who takes a channel that is its own takes back what it has handed over: that counts for the term before.
    let is_taken_back = step.is_none() && host.takeover.is_some();
    row.term = step.as_ref().map_or(row.term + u64::from(is_taken_back), |step| step.term);
    Ok(Decided { row, step })
}

/// Whether a channel that is there may be announced by who asks, and whether it moves by that.
fn decide_known(
    known: &ChannelRow,
    who: &Identity,
    host: &Host,
    now: Timestamp,
) -> Result<Option<Move>, Refusal> {
    let hand_over = match &host.takeover {
        Some(takeover) if known.host_key != who.key => moving::check_hand_over(known, who, takeover, now),
        _ => Ok(None),
    };
    let is_handed_over = matches!(hand_over, Ok(Some(_)));
    if !is_owner(known, who) && !is_handed_over {
        if known.former.contains(&who.key) {
            return Err(superseded(known));
        }
        // What may not be known of is taken, as any name is; more is not said.
        if !known.is_visible_to(who.holder()) {
            return Err(Code::NameTaken.into());
        }
        return Err(hand_over.err().unwrap_or_else(|| Code::NotOwner.into()));
    }
    if known.name != host.name {
        let reason = format!("the channel's name is {}; a channel keeps its name", known.name);
        return Err(Refusal::new(Code::BadRequest, reason));
    }
    match &host.takeover {
        _ if known.host_key == who.key && host.behind => Ok(None),
        _ if known.host_key == who.key => check_head(known.head, host).map(|()| None),
        Some(takeover) => moving::take_over(known, who, host, takeover, hand_over?).map(Some),
        None if known.former.contains(&who.key) => Err(superseded(known)),
        None => Err(Code::HostedElsewhere.into()),
    }
}

fn superseded(known: &ChannelRow) -> Refusal {
    let reason = format!("the channel has moved: it is hosted by the key {} now", known.host_key);
    Refusal::new(Code::Superseded, reason)
}

fn check_policy(policy: &Policy) -> Result<(), Refusal> {
    if policy.fits() {
        return Ok(());
    }
    Err(Refusal::new(Code::BadRequest, format!("a policy has at most {MAX_POLICY_BYTES} bytes")))
}

/// A host announces only what is on its disk: a log that is behind what it has announced before, or another one up to
/// there, has lost entries, and so has one that the known one does not lead to. What is known of it is not overwritten then.
fn check_head(known: Position, host: &Host) -> Result<(), Refusal> {
    let announced = host.head;
    let is_of_it = announced.epoch == known.epoch;
    let goes_on = known.seq == 0
        || host.takeover.as_ref().is_some_and(|takeover| takeover.new_log)
        || host.forks.iter().any(|fork| fork.epoch == known.epoch);
    if (is_of_it && (announced.seq > known.seq || announced == known)) || (!is_of_it && goes_on) {
        return Ok(());
    }
    let (here, there) = (announced.seq, known.seq);
    let found = if !is_of_it {
        format!("this log does not go on from the one that the tracker has seen reach entry {there}")
    } else if here < there {
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
