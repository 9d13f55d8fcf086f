//! How far channels are, as their hosts say between two announcements: known at once, and on disk a little later, many
//! with one write.

use common::entry::Position;
use common::id::ChannelId;
use common::identity::PeerKey;
use common::proto::directory::{ChannelHead, Heads, HeadsKnown};
use common::proto::limits::MAX_HEADS;
use common::proto::status::{Code, Refusal};

use super::TrackerHandle;
use super::messages::{Hear, KeptHeads, Unkept};
use super::sessions::ConnId;
use crate::error::Failure;
use crate::limits::{HEADS_IN_WRITE, HEADS_KEPT_EVERY};
use crate::store::directory::{Committed, Row, Tries};
use crate::store::schema::{CHANNELS, ChannelRow};

/// What a host has said of its channel since that was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    host_key: PeerKey,
    head: Position,
    members: Option<u64>,
}

/// The log was further once, or had another entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasFurther;

impl Heard {
    /// What is news in what the host of a channel says of it, if anything is. Of another log than the announced one it
    /// says nothing: that is for an announcement.
    ///
    /// # Errors
    /// When the log has lost entries.
    pub fn news(row: &ChannelRow, told: &ChannelHead) -> Result<Option<Self>, WasFurther> {
        if told.head.epoch != row.head.epoch {
            return Ok(None);
        }
        if told.head.seq < row.head.seq || (told.head.seq == row.head.seq && told.head != row.head) {
            return Err(WasFurther);
        }
        let heard = Self { host_key: row.host_key, head: told.head, members: told.members.or(row.members) };
        Ok(Some(heard).filter(|heard| heard.head != row.head || heard.members != row.members))
    }

    /// Puts it into the row, of which something else may have changed since. Whether that makes it another one.
    pub fn put_into(&self, row: &mut ChannelRow) -> bool {
        if !self.is_of(row) {
            return false;
        }
        let is_further = self.head.seq > row.head.seq;
        let is_news = is_further || self.members != row.members;
        if is_further {
            row.head = self.head;
        }
        row.members = self.members;
        is_news
    }

    /// Whether the channel is still hosted by who said it, with the same log.
    pub fn is_of(&self, row: &ChannelRow) -> bool {
        row.host_key == self.host_key && row.head.epoch == self.head.epoch
    }
}

impl TrackerHandle {
    /// Takes in how far channels are that are announced over `conn`.
    ///
    /// # Errors
    /// `bad_request` for too many of them.
    pub async fn hear_heads(&self, conn: ConnId, asked: Heads) -> Result<HeadsKnown, Failure> {
        let Heads { heads } = asked;
        if heads.is_empty() {
            return Ok(HeadsKnown::default());
        }
        if heads.len() > MAX_HEADS {
            let reason = format!("PING takes at most {MAX_HEADS} heads");
            return Err(Refusal::new(Code::BadRequest, reason).into());
        }
        Ok(HeadsKnown { log_behind: self.actor.send(Hear { conn, heads }).await? })
    }

    /// Writes what was heard now and then, for ever.
    pub async fn keep_heads_now_and_then(self) {
        loop {
            tokio::time::sleep(HEADS_KEPT_EVERY).await;
            self.keep_all_heads().await;
        }
    }

    /// Writes what was heard. What was not written is written the next time, or said again by whoever hosts.
    pub async fn keep_all_heads(&self) {
        if let Err(failure) = self.keep_heads(None).await {
            tracing::warn!(err = ?failure.to_string(), "how far channels are was not written");
        }
    }

    /// Writes what was heard: of one channel, or of all.
    ///
    /// # Errors
    /// When the directory cannot be read or written; what was not written is written the next time.
    pub async fn keep_heads(&self, of: Option<ChannelId>) -> Result<(), Failure> {
        let heard = self.actor.send(Unkept(of)).await?;
        for some in heard.chunks(HEADS_IN_WRITE) {
            self.write_heads(some).await?;
        }
        Ok(())
    }

    async fn write_heads(&self, heard: &[(ChannelId, Heard)]) -> Result<(), Failure> {
        let mut tries = Tries::default();
        loop {
            let (mut change, mut rows) = (self.directory.change(), Vec::new());
            for (id, heard) in heard {
                let Some(mut row) = change.get(CHANNELS, id.0.as_bytes()).await? else { continue };
                if heard.put_into(&mut row) {
                    change.put(CHANNELS, id.0.as_bytes(), &row)?;
                    rows.push(row);
                }
            }
            if let Committed::Done(revision) = change.commit(&mut tries).await? {
                let rows = rows.into_iter().map(|value| Row { value, revision }).collect();
                return Ok(self.actor.send(KeptHeads { heard: heard.to_vec(), rows }).await?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use common::entry::Hash;
    use common::id::Epoch;

    use super::*;
    use crate::tracker::testing::{guest, key, row};

    fn at(head: Position, seq: u64) -> Position {
        Position { seq, hash: Hash::of(&seq.to_be_bytes()), ..head }
    }

    #[test]
    fn the_highest_counts_and_what_was_lost_is_told() {
        let mut first = row("first", &guest(1));
        first.head = at(first.head, 7);
        let told = |head, members| ChannelHead { id: first.id, head, members };
        let news = |row: &ChannelRow, told: ChannelHead| Heard::news(row, &told);
        let further = news(&first, told(at(first.head, 9), Some(3))).unwrap().unwrap();
        let mut after = first.clone();
        assert!(further.put_into(&mut after) && !further.put_into(&mut after));
        assert_eq!((after.head.seq, after.members), (9, Some(3)));
        assert_eq!(news(&after, told(at(first.head, 9), None)), Ok(None), "an older host counts nobody");
        assert!(news(&after, told(at(first.head, 9), Some(4))).unwrap().is_some());
        assert_eq!(news(&after, told(at(first.head, 8), Some(4))), Err(WasFurther));
        let another = Position { hash: Hash::of(b"x"), ..after.head };
        assert_eq!(news(&after, told(another, None)), Err(WasFurther));
        let other_log = Position { epoch: Epoch::new(), ..at(first.head, 2) };
        assert_eq!(news(&after, told(other_log, Some(9))), Ok(None), "that is for an announcement");
    }

    #[test]
    fn what_was_heard_of_a_host_of_before_or_of_an_older_log_is_not_put_into_the_row() {
        let mut first = row("first", &guest(1));
        let told = ChannelHead { id: first.id, head: at(first.head, 5), members: Some(2) };
        let heard = Heard::news(&first, &told).unwrap().unwrap();
        let mut moved = first.clone();
        moved.host_key = key(2);
        assert!(!heard.put_into(&mut moved) && moved.members.is_none());
        let mut forked = first.clone();
        forked.head.epoch = Epoch::new();
        assert!(!heard.put_into(&mut forked));
        // What an announcement has said since is not taken back.
        first.head = at(first.head, 6);
        assert!(heard.put_into(&mut first));
        assert_eq!((first.head.seq, first.members), (6, Some(2)));
    }
}
