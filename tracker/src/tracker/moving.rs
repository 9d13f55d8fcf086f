//! Whether a channel may move to another host. Pure.

use common::clock::Timestamp;
use common::entry::Position;
use common::id::{DirectoryId, Subject};
use common::proto::directory::Host;
use common::proto::moving::{HAND_OVER_COUNTS, HandOver, Hosting, Move, TakeOver};
use common::proto::status::{Code, Refusal};

use super::sessions::Identity;
use crate::store::schema::ChannelRow;

/// How many keys that hosted a channel before are remembered.
const MAX_FORMER: usize = 16;
const ANOTHER_LOG: &str = "this is another log than the one that is hosted";

/// What the host before has signed, if it counts for who shows it now.
///
/// # Errors
/// `bad_request`, and why it does not.
pub(super) fn check_hand_over(
    known: &ChannelRow,
    who: &Identity,
    takeover: &TakeOver,
    now: Timestamp,
) -> Result<Option<HandOver>, Refusal> {
    let Some(signed) = &takeover.hand_over else { return Ok(None) };
    let refuse = |why: &str| Refusal::new(Code::BadRequest, format!("the hand-over does not count: {why}"));
    let hand_over = signed.verify(&known.host_key);
    let hand_over = hand_over.map_err(|_| refuse("it is not signed by the key that hosts the channel"))?;
    if hand_over.channel != known.id {
        return Err(refuse("it is of another channel"));
    }
    if (hand_over.to, hand_over.owner) != (who.key, who.subject) {
        return Err(refuse("it is for another key, or somebody else"));
    }
    if hand_over.term != known.term {
        return Err(refuse("the channel has moved since, or was taken back"));
    }
    if now > hand_over.time.plus(HAND_OVER_COUNTS) {
        return Err(refuse("it was signed more than 7 days ago"));
    }
    Ok(Some(hand_over))
}

/// The move of a channel to `who`, who brings a log along or begins a new one.
///
/// # Errors
/// `not_allowed` for a guest, `log_behind` for a log that is not the whole one.
pub(super) fn take_over(
    known: &ChannelRow,
    who: &Identity,
    host: &Host,
    takeover: &TakeOver,
    hand_over: Option<HandOver>,
) -> Result<Move, Refusal> {
    if matches!(who.subject, Subject::Guest(_)) {
        let reason = "a guest's channel stays with the guest's key; only accounts can move channels";
        return Err(Refusal::new(Code::NotAllowed, reason));
    }
    let last = last_known(known, hand_over);
    let open = host.behind && !takeover.new_log;
    let from = if takeover.new_log {
        check_new(known, host)?;
        last
    } else if open {
        check_same(last, host.head)?;
        last
    } else {
        check_log(last, host.head)?;
        host.head
    };
    Ok(Move { term: known.term.max(host.term) + 1, from, open, hand_over: takeover.hand_over.clone() })
}

/// What is known of the last move once its host has gathered what there was of the log before.
pub(super) fn settled(row: &ChannelRow, host: &Host) -> Option<Move> {
    let last = row.moved.as_deref()?.last()?;
    let is_whole = last.open && !host.behind && last.term == row.term && last.from.epoch == host.head.epoch;
    is_whole.then(|| Move { from: host.head, open: false, ..last.clone() })
}

/// How far the log is known to be.
fn last_known(known: &ChannelRow, hand_over: Option<HandOver>) -> Position {
    let later = hand_over.map(|hand_over| hand_over.head);
    later.filter(|head| head.epoch == known.head.epoch && head.seq > known.head.seq).unwrap_or(known.head)
}

fn check_new(known: &ChannelRow, host: &Host) -> Result<(), Refusal> {
    if host.head.epoch == known.head.epoch {
        return Err(Refusal::new(Code::BadRequest, "a new log has an epoch of its own"));
    }
    Ok(())
}

/// A log that is still to be gathered has to be the one that is known.
fn check_same(last: Position, brought: Position) -> Result<(), Refusal> {
    if brought.epoch == last.epoch {
        return Ok(());
    }
    Err(Refusal::new(Code::LogBehind, ANOTHER_LOG))
}

fn check_log(last: Position, brought: Position) -> Result<(), Refusal> {
    let why = if brought.epoch != last.epoch {
        ANOTHER_LOG.to_owned()
    } else if brought.seq < last.seq {
        format!(
            "this log ends at entry {}, and the tracker has seen it reach entry {}",
            brought.seq, last.seq
        )
    } else if brought.seq == last.seq && brought != last {
        format!("entry {} of this log is not the one that the tracker has seen there", last.seq)
    } else {
        return Ok(());
    };
    let reason = format!("{why}: bring a newer copy along, or begin a new log with --new-log");
    Err(Refusal::new(Code::LogBehind, reason))
}

/// Whoever hosted the channel before is remembered.
pub(super) fn note_former(row: &mut ChannelRow, known: &ChannelRow) {
    row.former = known.former.clone();
    row.former.retain(|key| *key != row.host_key && *key != known.host_key);
    if known.host_key != row.host_key {
        row.former.push(known.host_key);
    }
    row.former.drain(..row.former.len().saturating_sub(MAX_FORMER));
}

/// What the tracker signs of a move.
pub(super) fn proof(row: &ChannelRow, step: &Move, directory: DirectoryId, time: Timestamp) -> Hosting {
    let Move { term, from, open, .. } = *step;
    Hosting { directory, channel: row.id, host_key: row.host_key, term, from, open, time }
}

#[cfg(test)]
mod tests;
