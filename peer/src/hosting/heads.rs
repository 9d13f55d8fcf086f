//! Telling the tracker, between two announcements, how far the logs are that are hosted here.

use std::collections::HashMap;

use common::id::ChannelId;
use common::proto::directory::{ChannelHead, Heads, HeadsKnown};
use common::proto::limits::MAX_HEADS;
use common::proto::status::Refusal;

use super::announce::Stage;
use super::{Hosting, announce};
use crate::host::{HostHandle, Reach};

/// What the tracker was told of each channel last. Pure.
#[derive(Debug, Default)]
pub(super) struct Telling {
    told: HashMap<ChannelId, Reach>,
    /// The last one of the PING before.
    last: Option<ChannelId>,
    /// Whether a PING is unanswered.
    is_under_way: bool,
}

impl Telling {
    /// What the next PING says: of those channels whose log has grown since, or that have more or fewer members, so many
    /// as one PING takes; the next begins behind them. Nothing while one is unanswered.
    fn next(&mut self, mut hosted: Vec<(ChannelId, Reach)>) -> Vec<ChannelHead> {
        hosted.sort_unstable_by_key(|(id, _)| *id);
        self.told.retain(|id, _| hosted.binary_search_by_key(id, |(id, _)| *id).is_ok());
        if self.is_under_way {
            return Vec::new();
        }
        let is_news = |(id, reach): &&(ChannelId, Reach)| self.told.get(id) != Some(reach);
        let first = hosted.partition_point(|(id, _)| self.last.is_some_and(|last| *id <= last));
        let around = hosted[first..].iter().chain(&hosted[..first]);
        let heads = around.filter(is_news).take(MAX_HEADS);
        let heads: Vec<ChannelHead> = heads
            .map(|(id, Reach { head, members })| ChannelHead {
                id: *id,
                head: *head,
                members: Some(*members),
            })
            .collect();
        self.last = heads.last().map(|head| head.id);
        self.is_under_way = !heads.is_empty();
        heads
    }

    /// The PING was answered. Returns the channels that the tracker has seen further.
    fn answered(&mut self, heads: Vec<ChannelHead>, answer: Result<HeadsKnown, Refusal>) -> Vec<ChannelId> {
        self.is_under_way = false;
        // Without an answer it is said once more.
        let Ok(HeadsKnown { log_behind }) = answer else { return Vec::new() };
        for ChannelHead { id, head, members } in heads {
            self.told.insert(id, Reach { head, members: members.unwrap_or_default() });
        }
        log_behind
    }
}

impl Hosting {
    /// Says PING with what is new. A channel that is being announced is left out: its announcement may have been made
    /// before its log grew, and would look as if entries had been lost.
    pub(super) fn tell_heads(&mut self) {
        if !self.session.borrow().entered {
            return;
        }
        let is_told =
            |host: &HostHandle| host.why_behind().is_none() && !self.announcing.is_under_way(host.id());
        let hosts = self.config.hosts.all();
        let hosted =
            hosts.iter().filter(|host| is_told(host)).map(|host| (host.id(), host.reach())).collect();
        let heads = self.telling.next(hosted);
        if heads.is_empty() {
            return;
        }
        let tracker = self.config.tracker.clone();
        self.announcing.spawn_outcome(async move {
            let answer = tracker.request(&Heads { heads: heads.clone() }).await;
            announce::Outcome::Told(heads, answer)
        });
    }

    /// What the tracker says to it. Of a log that it has seen further the announcement says more.
    pub(super) fn told_heads(&mut self, heads: Vec<ChannelHead>, answer: Result<HeadsKnown, Refusal>) {
        for id in self.telling.answered(heads, answer) {
            if let Some(host) = self.config.hosts.get(id) {
                self.announce(&host, Stage::Running, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use common::entry::Position;
    use common::id::Epoch;
    use common::proto::status::Code;

    use super::*;

    fn channels(count: usize) -> Vec<(ChannelId, Reach)> {
        let one = || {
            let id = ChannelId::new();
            (id, Reach { head: Position::start(id, Epoch::new()), members: 1 })
        };
        let mut channels: Vec<_> = (0..count).map(|_| one()).collect();
        channels.sort_unstable_by_key(|(id, _)| *id);
        channels
    }

    fn grow((_, reach): &mut (ChannelId, Reach)) {
        reach.head.seq += 1;
    }

    fn ids(heads: &[ChannelHead]) -> Vec<ChannelId> {
        heads.iter().map(|head| head.id).collect()
    }

    #[test]
    fn what_has_changed_is_said_until_it_is_answered() {
        let (mut telling, mut hosted) = (Telling::default(), channels(2));
        let first = telling.next(hosted.clone());
        assert_eq!(first.len(), 2);
        assert_eq!(telling.next(hosted.clone()), [], "one at a time");
        assert_eq!(telling.answered(first, Err(Code::TrackerAway.into())), []);
        let again = telling.next(hosted.clone());
        assert_eq!(again.len(), 2, "nobody knows whether it was heard");
        let known = HeadsKnown { log_behind: vec![hosted[1].0] };
        assert_eq!(telling.answered(again, Ok(known)), [hosted[1].0]);
        assert_eq!(telling.next(hosted.clone()), []);
        grow(&mut hosted[0]);
        let news = telling.next(hosted.clone());
        assert_eq!(ids(&news), [hosted[0].0]);
        telling.answered(news, Ok(HeadsKnown::default()));
        hosted[1].1.members = 2;
        assert_eq!(telling.next(hosted.clone())[0].members, Some(2));
    }

    #[test]
    fn the_rest_of_many_comes_with_the_next_and_nobody_is_passed_over_for_good() {
        let (mut telling, mut hosted) = (Telling::default(), channels(MAX_HEADS + 1));
        let mut said = Vec::new();
        for _ in 0..3 {
            let heads = telling.next(hosted.clone());
            said.push(ids(&heads));
            telling.answered(heads, Ok(HeadsKnown::default()));
            hosted.iter_mut().for_each(grow);
        }
        assert!(said.iter().all(|ids| ids.len() == MAX_HEADS));
        assert_eq!(said[1][0], hosted[MAX_HEADS].0);
        assert_eq!(said[2][0], hosted[MAX_HEADS - 1].0);
        hosted.truncate(1);
        telling.next(hosted);
        assert!(telling.told.len() <= 1, "who is hosted no more is forgotten");
    }
}
