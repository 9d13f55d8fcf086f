//! Who has a name: one row for each of its looks, so that two names that look alike cannot both be had.

use common::clock::Timestamp;
use common::id::{AccountId, ChannelId, Subject};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};

use super::directory::{Change, Directory, DirectoryError};
use super::schema::{CHANNEL_NAMES, CHANNELS, ChannelRow, NameClaim, RETIRED, RetiredRow, USER_NAMES};

/// Why somebody does not get a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// It is the name of an account.
    Registered,
    /// Another guest has it, or it looks like somebody's name.
    Taken,
}

/// Gives `name` to `holder`, who asks with `key`: what the key holds as a guest is no hindrance.
///
/// # Errors
/// When the directory cannot be read.
pub async fn claim_user_name(
    change: &mut Change,
    name: &UserName,
    holder: Subject,
    key: PeerKey,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Result<(), Clash>, DirectoryError> {
    for look in name.skeletons() {
        if let Some(claim) = change.get(USER_NAMES, look.as_bytes()).await?
            && claim.is_alive(now)
            && claim.holder != holder
            && claim.holder != Subject::Guest(key)
        {
            let registered = matches!(claim.holder, Subject::Account(_)) && claim.name == *name;
            return Ok(Err(if registered { Clash::Registered } else { Clash::Taken }));
        }
        let claim = NameClaim { name: name.clone(), holder, until };
        change.put(USER_NAMES, look.as_bytes(), &claim)?;
    }
    Ok(Ok(()))
}

/// Gives up a guest's name; whoever else has one of its looks by now keeps it.
///
/// # Errors
/// When the directory cannot be read.
pub async fn release_guest_name(
    change: &mut Change,
    name: &UserName,
    key: PeerKey,
) -> Result<(), DirectoryError> {
    for look in name.skeletons() {
        let claim = change.get(USER_NAMES, look.as_bytes()).await?;
        if claim.is_some_and(|claim| claim.holder == Subject::Guest(key) && claim.name == *name) {
            change.delete(USER_NAMES, look.as_bytes());
        }
    }
    Ok(())
}

/// The account with this name, if there is one.
///
/// # Errors
/// When the directory cannot be read.
pub async fn account_of_name(
    directory: &Directory,
    name: &UserName,
) -> Result<Option<AccountId>, DirectoryError> {
    // An account's claim has no end.
    let claim = holder_of_name(directory, name, Timestamp::default()).await?;
    Ok(claim.and_then(|claim| match claim.holder {
        Subject::Account(id) => Some(id),
        Subject::Guest(_) => None,
    }))
}

/// Whoever has this very name now, an account or a guest.
///
/// # Errors
/// When the directory cannot be read.
pub async fn holder_of_name(
    directory: &Directory,
    name: &UserName,
    now: Timestamp,
) -> Result<Option<NameClaim>, DirectoryError> {
    let claim = directory.get(USER_NAMES, name.skeleton().as_bytes()).await?.map(|row| row.value);
    Ok(claim.filter(|claim| claim.name == *name && claim.is_alive(now)))
}

/// What became of the wish for a channel's name.
#[derive(Clone, Debug)]
pub enum ChannelNameClaim {
    /// It is the channel's now; these had it before and have lapsed.
    Given {
        /// Channels that are no more.
        lapsed: Vec<ChannelId>,
    },
    /// This other channel has it, or a name that looks like it.
    Taken(Box<ChannelRow>),
}

/// Gives `name` to the channel `id`.
///
/// # Errors
/// When the directory cannot be read.
pub async fn claim_channel_name(
    change: &mut Change,
    name: &ChannelName,
    id: ChannelId,
    now: Timestamp,
) -> Result<ChannelNameClaim, DirectoryError> {
    let mut lapsed = Vec::new();
    for look in name.skeletons() {
        match change.get(CHANNEL_NAMES, look.as_bytes()).await? {
            Some(holder) if holder != id && !lapsed.contains(&holder) => {
                let row = change.get(CHANNELS, holder.0.as_bytes()).await?;
                match row {
                    Some(row) if !row.has_lapsed(now) => return Ok(ChannelNameClaim::Taken(Box::new(row))),
                    Some(row) => retire_channel(change, &row, now)?,
                    None => {}
                }
                lapsed.push(holder);
            }
            _ => {}
        }
    }
    // After the removals, since the last write to a row counts.
    for look in name.skeletons() {
        change.put(CHANNEL_NAMES, look.as_bytes(), &id)?;
    }
    Ok(ChannelNameClaim::Given { lapsed })
}

/// Removes a channel for good, with the claim to its name; its id stays with whoever had it.
///
/// # Errors
/// When the row cannot be written.
pub fn retire_channel(change: &mut Change, row: &ChannelRow, now: Timestamp) -> Result<(), DirectoryError> {
    remove_channel(change, row);
    let retired = RetiredRow { owner: row.owner.subject, host_key: row.host_key, at: now };
    change.put(RETIRED, row.id.0.as_bytes(), &retired)
}

/// Removes a channel, and with it the claim to its name.
pub fn remove_channel(change: &mut Change, row: &ChannelRow) {
    change.delete(CHANNELS, row.id.0.as_bytes());
    for look in row.name.skeletons() {
        change.delete(CHANNEL_NAMES, look.as_bytes());
    }
}
