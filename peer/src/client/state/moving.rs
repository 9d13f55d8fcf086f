//! The channel has moved to another host, or is said to have.

use common::proto::directory::ChannelRecord;
use common::proto::status::{Code, Refusal};

use super::{ClientState, Effect};
use crate::client::archive::{Keeper, PutAside};
use crate::client::connect::follow;
use crate::reconnect::Nudge;
use crate::store::Cut;

impl ClientState {
    /// From now on the channel is where `fresh` says. The host that was known is told, in case it has not heard of it.
    pub(super) fn adopt(&mut self, fresh: ChannelRecord) {
        let cut = self.channel.cut;
        let known = self.channel.adopt(fresh);
        if known.is_some() || self.channel.cut != cut {
            self.put(Effect::KeepChannel);
        }
        if let Some(known) = known {
            self.tell_host(known);
        }
    }

    /// Tells a host that it is none any more, with what the tracker has signed.
    fn tell_host(&mut self, known: ChannelRecord) {
        if let Some(moved) = &self.channel.record.moved
            && self.channel.record.host_key != known.host_key
        {
            let proof = moved.proof.clone();
            self.put(Effect::TellMoved(Box::new(known), proof));
        }
    }

    /// The tracker says where the channel is while this client is in it: only a move matters then.
    pub(super) fn seen_elsewhere(&mut self, fresh: ChannelRecord) {
        let known = &self.channel.record;
        if fresh.host_key == known.host_key || fresh.term <= known.term {
            return;
        }
        match (follow(known, fresh.clone()), fresh.moved) {
            (Ok(fresh), _) => {
                self.adopt(fresh);
                self.connect_again();
            }
            // It stops when that holds; then the user is asked.
            (Err(_), Some(moved)) => {
                let known = Box::new(known.clone());
                self.put(Effect::TellMoved(known, moved.proof));
            }
            (Err(_), None) => {}
        }
    }

    /// An attempt to enter the channel has found that it is hosted elsewhere, and may be followed there.
    pub fn found_elsewhere(&mut self, generation: u64, fresh: ChannelRecord) {
        if generation == self.generation() && !self.stopping {
            self.adopt(fresh);
            self.dial();
        }
    }

    /// This very peer hosts the channel from now on.
    pub fn moved_here(&mut self, fresh: ChannelRecord) {
        self.adopt(fresh);
        if self.standing.is_some() {
            return self.connect_again();
        }
        if self.channel.joined {
            self.nudge(Nudge::Command);
        }
    }

    /// This peer hosts the channel no more: what its log had behind a place is put aside, and leaves the archive too.
    pub fn cut_at_home(&mut self, cut: Cut) {
        self.channel.cut = self.channel.cut.or(Some(cut));
    }

    /// What was received behind the place from which the new host went on has been put aside, or not.
    pub fn put_aside(&mut self, aside: Result<PutAside, Refusal>) {
        let PutAside { loaded, count, mine } = match aside {
            Ok(aside) => aside,
            Err(refusal) => return self.failed(refusal),
        };
        self.channel.cut = None;
        self.put(Effect::KeepChannel);
        if let Some(loaded) = loaded {
            self.writing.keeper = Keeper::new(Some(loaded));
        }
        // Of its own log the host itself tells.
        if count > 0 && !self.writing.at_home {
            self.tell_aside(count, &mine);
        }
        self.dial();
    }

    fn tell_aside(&mut self, count: u64, mine: &[u64]) {
        let channel = self.channel.name().clone();
        let yours = match mine.len() {
            0 => String::new(),
            _ => {
                let numbers = mine.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                format!(". You wrote number {numbers} of them; nothing is sent again by itself")
            }
        };
        let reason = format!(
            "{channel} has moved to another machine. {count} messages that the former host stored after that are not in \
             it any more; they are kept here: type: history {channel} --branch{yours}"
        );
        self.warn(Code::Superseded, reason);
    }
}
