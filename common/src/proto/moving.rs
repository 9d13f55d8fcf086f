//! How the hosting of a channel moves to another key: what the old host signs, what the tracker signs, and whether one
//! leads to the other. Pure.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::directory::ChannelRecord;
use crate::clock::Timestamp;
use crate::entry::Position;
use crate::id::{ChannelId, DirectoryId, Subject};
use crate::identity::PeerKey;
use crate::signed::{Signable, Signed};

/// A hand-over counts for so long after it was signed.
pub const HAND_OVER_COUNTS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How many moves of a channel are remembered and told.
pub const MAX_MOVES: usize = 8;

/// A channel moves less often. A higher number is refused wherever it is read: nobody could host the channel under the
/// one after it.
pub const MAX_TERM: u64 = 1 << 40;

/// Reads the number of a hosting.
///
/// # Errors
/// For one above [`MAX_TERM`].
pub fn read_term<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match u64::deserialize(from)? {
        term if term <= MAX_TERM => Ok(term),
        term => Err(D::Error::custom(format_args!("the number of a hosting is {term}, above {MAX_TERM}"))),
    }
}

/// What a host signs when it hands its channel over to another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The channel.
    pub channel: ChannelId,
    /// The number of the hosting that ends by it: it counts for no other, so it cannot be used a second time.
    #[serde(deserialize_with = "read_term")]
    pub term: u64,
    /// By which key the channel is hosted from then on.
    pub to: PeerKey,
    /// Whose it is from then on.
    pub owner: Subject,
    /// Where the log ends that is handed over.
    pub head: Position,
    /// When.
    pub time: Timestamp,
}

impl Signable for HandOver {
    const PURPOSE: &'static str = "natter-handover-v1";
}

/// What the tracker signs when a hosting has moved: the former host, which may not reach the tracker, stops when
/// somebody shows it this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosting {
    /// By which tracker.
    pub directory: DirectoryId,
    /// The channel.
    pub channel: ChannelId,
    /// Who hosts it now.
    pub host_key: PeerKey,
    /// The hosting's number now.
    #[serde(deserialize_with = "read_term")]
    pub term: u64,
    /// Up to here the log before was taken along.
    pub from: Position,
    /// Whether more of it is still being gathered: nothing is left aside then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// When it moved.
    pub time: Timestamp,
}

impl Signable for Hosting {
    const PURPOSE: &'static str = "natter-hosting-v1";
}

/// One move of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The number of the hosting that began by it.
    #[serde(deserialize_with = "read_term")]
    pub term: u64,
    /// Up to here the log before was taken along. What was stored behind that is in a side branch.
    pub from: Position,
    /// Whether more of it is still being gathered, from whoever has received it: nothing is left aside then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// What the host before has signed, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<Signed<HandOver>>,
}

/// How a channel came to where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The last move, signed by the tracker.
    pub proof: Signed<Hosting>,
    /// The last moves, in order.
    pub moves: Vec<Move>,
}

/// What HOST says of a channel that another key has hosted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOver {
    /// Whether the log begins anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_log: bool,
    /// What the host before has signed, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<Signed<HandOver>>,
}

impl Moved {
    /// The last move.
    pub fn last(&self) -> Option<&Move> {
        self.moves.last()
    }

    /// Notes one more move, or what has become of the last; of too many the oldest are forgotten.
    #[must_use]
    pub fn then(before: Option<&Self>, proof: Signed<Hosting>, step: Move) -> Self {
        let mut moves = before.map(|before| before.moves.clone()).unwrap_or_default();
        moves.retain(|known: &Move| known.term != step.term);
        moves.push(step);
        moves.drain(..moves.len().saturating_sub(MAX_MOVES));
        Self { proof, moves }
    }
}

/// Whether the hosts between have handed the channel over, one to the next: from the one that is known to the one that
/// the tracker names.
pub fn was_handed_over(known: &ChannelRecord, fresh: &ChannelRecord) -> bool {
    let (mut key, mut term, mut owner) = (known.host_key, known.term, None);
    let moves = fresh.moved.iter().flat_map(|moved| &moved.moves);
    for signed in moves.filter_map(|step| step.hand_over.as_ref()) {
        let Ok(hand_over) = signed.verify(&key) else { continue };
        if hand_over.channel == known.id && hand_over.term >= term {
            (key, term, owner) = (hand_over.to, hand_over.term + 1, Some(hand_over.owner));
        }
    }
    owner == Some(fresh.owner.subject) && key == fresh.host_key && fresh.term >= term
}

/// Up to where the log that is known was taken along by whoever took over first since then, and knows it.
pub fn taken_along(known_term: u64, fresh: &ChannelRecord) -> Option<Position> {
    let moves = fresh.moved.iter().flat_map(|moved| &moved.moves);
    moves.filter(|step| step.term > known_term && !step.open).map(|step| step.from).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AccountId, Epoch, IdentityKind};
    use crate::identity::Identity;
    use crate::proto::directory::Owner;

    struct Scene {
        hosts: Vec<Identity>,
        owner: Owner,
        id: ChannelId,
        head: Position,
    }

    impl Scene {
        fn new() -> Self {
            let subject = Subject::Account(AccountId::new());
            let owner = Owner { subject, name: "ken".parse().unwrap(), kind: IdentityKind::Account };
            let id = ChannelId::new();
            let hosts = (0..4).map(|_| Identity::generate().unwrap()).collect();
            Self { hosts, owner, id, head: Position::start(id, Epoch::new()) }
        }

        fn record(&self, host: usize, term: u64, moves: Vec<Move>) -> ChannelRecord {
            let proof = Hosting {
                directory: DirectoryId::new(),
                channel: self.id,
                host_key: self.hosts[host].key(),
                term,
                from: self.head,
                open: false,
                time: Timestamp::from_millis(1),
            };
            let proof = Signed::sign(&proof, &self.hosts[0]).unwrap();
            ChannelRecord {
                id: self.id,
                name: "first".parse().unwrap(),
                owner: self.owner.clone(),
                host_key: self.hosts[host].key(),
                addresses: Vec::new(),
                head: self.head,
                term,
                online: true,
                moved: (!moves.is_empty()).then(|| Box::new(Moved { proof, moves })),
            }
        }

        /// The host `by` hands over to the host `to`, and so ends the hosting with this number.
        fn step(&self, by: usize, to: usize, term: u64) -> Move {
            self.signed(by, term, |hand_over| hand_over.to = self.hosts[to].key())
        }

        fn signed(&self, by: usize, term: u64, change: impl FnOnce(&mut HandOver)) -> Move {
            let mut hand_over = HandOver {
                channel: self.id,
                term,
                to: self.hosts[by].key(),
                owner: self.owner.subject,
                head: self.head,
                time: Timestamp::from_millis(1),
            };
            change(&mut hand_over);
            let signed = Signed::sign(&hand_over, &self.hosts[by]).unwrap();
            Move { term: term + 1, from: self.head, open: false, hand_over: Some(signed) }
        }
    }

    #[test]
    fn who_knows_any_of_the_hosts_is_led_to_the_last_one() {
        let scene = Scene::new();
        let moves = vec![scene.step(0, 1, 1), scene.step(1, 2, 2), scene.step(2, 0, 3), scene.step(0, 3, 4)];
        let fresh = scene.record(3, 5, moves);
        for (host, term) in [(0, 1), (1, 2), (2, 3), (0, 4)] {
            assert!(was_handed_over(&scene.record(host, term, Vec::new()), &fresh), "{host} {term}");
        }
        assert!(!was_handed_over(&scene.record(1, 4, Vec::new()), &fresh), "it was over by then");
    }

    #[test]
    fn a_hand_over_counts_only_for_the_hosting_that_it_ends() {
        let scene = Scene::new();
        let old = scene.step(0, 1, 1);
        let again = scene.record(1, 6, vec![old]);
        assert!(was_handed_over(&scene.record(0, 1, Vec::new()), &again));
        assert!(!was_handed_over(&scene.record(0, 5, Vec::new()), &again), "it was used before");
        let known = scene.record(0, 1, Vec::new());
        assert!(
            !was_handed_over(&known, &scene.record(1, 1, vec![scene.step(0, 1, 1)])),
            "the term is older"
        );
    }

    #[test]
    fn what_others_have_signed_or_for_something_else_leads_nowhere() {
        let scene = Scene::new();
        let known = scene.record(0, 1, Vec::new());
        let to = scene.hosts[1].key();
        let stranger = Subject::Account(AccountId::new());
        let cases = [
            scene.step(1, 1, 1),
            scene.step(0, 2, 1),
            scene.signed(0, 1, |it| (it.to, it.channel) = (to, ChannelId::new())),
            scene.signed(0, 1, |it| (it.to, it.owner) = (to, stranger)),
            Move { hand_over: None, ..scene.step(0, 1, 1) },
        ];
        for step in cases {
            assert!(!was_handed_over(&known, &scene.record(1, 2, vec![step.clone()])), "{step:?}");
        }
        assert!(!was_handed_over(&known, &scene.record(1, 2, Vec::new())));
    }

    #[test]
    fn the_first_move_since_says_what_was_taken_along_and_only_the_last_ones_are_kept() {
        let scene = Scene::new();
        let mut moved = None;
        for term in 2..20 {
            let from = Position { seq: term * 10, ..scene.head };
            let proof = scene.record(0, term, vec![scene.step(0, 1, 1)]).moved.unwrap().proof;
            moved =
                Some(Moved::then(moved.as_ref(), proof, Move { term, from, open: false, hand_over: None }));
        }
        let fresh = ChannelRecord { moved: moved.map(Box::new), ..scene.record(1, 19, Vec::new()) };
        assert_eq!(fresh.moved.as_ref().unwrap().moves.len(), MAX_MOVES);
        assert_eq!(taken_along(17, &fresh).map(|from| from.seq), Some(180));
        assert_eq!(taken_along(19, &fresh), None);
        let open = |is_open: bool| {
            let moved = fresh.moved.as_deref().unwrap();
            let step = Move { open: is_open, ..moved.last().unwrap().clone() };
            let moved = Moved::then(Some(moved), moved.proof.clone(), step);
            assert_eq!(moved.moves.len(), MAX_MOVES, "what is known of a move takes the place of what was");
            ChannelRecord { moved: Some(Box::new(moved)), ..fresh.clone() }
        };
        assert_eq!(taken_along(18, &open(true)), None, "what may still be gathered is not left aside");
        assert_eq!(taken_along(18, &open(false)).map(|from| from.seq), Some(190));
    }
}
