//! Who wants to talk to whom, as long as they are connected, and who is therefore told of whom. Pure.

use std::collections::{HashMap, VecDeque};

use common::id::Subject;
use common::identity::PeerKey;
use common::proto::knock::Introduction;
use common::transport::Address;

use super::sessions::{ConnId, Identity, Sessions};
use crate::limits::MAX_WISHES_PER_SESSION;

/// What a session has said by INTRODUCE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// With whom it wants to talk.
    pub subject: Subject,
    /// On which of their devices.
    pub keys: Vec<PeerKey>,
    /// Where it can be reached itself.
    pub addresses: Vec<Address>,
}

impl Wish {
    /// A guest who has become an account is still whom it was meant for: the key is the same.
    fn is_for(&self, other: &Identity) -> bool {
        let is_subject = self.subject == other.subject || self.subject == Subject::Guest(other.key);
        is_subject && self.keys.contains(&other.key)
    }
}

/// All wishes of all sessions.
#[derive(Debug, Default)]
pub struct Introductions {
    /// The oldest first.
    wishes: HashMap<ConnId, VecDeque<Wish>>,
}

/// Who is to be told of whom.
pub type Introduced = Vec<(ConnId, Introduction)>;

impl Introductions {
    /// A session wants to talk to somebody, or not any more. Of those devices in `knocked` it is known that they want
    /// to talk to any device of this session's user.
    pub fn wish(
        &mut self,
        sessions: &Sessions,
        conn: ConnId,
        wish: Wish,
        knocked: &[PeerKey],
    ) -> Option<Introduced> {
        let me = sessions.identity(conn)?;
        let mut introduced = Vec::new();
        for (other_conn, other) in wish.keys.iter().filter_map(|key| sessions.entered_with(key)) {
            if !wish.is_for(other) || other_conn == conn {
                continue;
            }
            let mutual = self.find(other_conn, me);
            if let Some(theirs) = mutual {
                introduced.push((conn, introduction(other, &theirs.addresses)));
            }
            if mutual.is_some() || knocked.contains(&other.key) {
                introduced.push((other_conn, introduction(me, &wish.addresses)));
            }
        }
        self.keep(conn, wish);
        Some(introduced)
    }

    fn keep(&mut self, conn: ConnId, wish: Wish) {
        let wishes = self.wishes.entry(conn).or_default();
        wishes.retain(|known| known.subject != wish.subject);
        if !wish.keys.is_empty() {
            wishes.push_back(wish);
        }
        if wishes.len() > MAX_WISHES_PER_SESSION {
            wishes.pop_front();
        }
        if wishes.is_empty() {
            self.wishes.remove(&conn);
        }
    }

    /// The wish of a session to talk to somebody.
    pub fn find(&self, conn: ConnId, with: &Identity) -> Option<&Wish> {
        self.wishes.get(&conn)?.iter().find(|wish| wish.is_for(with))
    }

    /// A session has ended, or is somebody else's now.
    pub fn forget(&mut self, conn: ConnId) {
        self.wishes.remove(&conn);
    }

    /// The sessions that want to talk to somebody.
    pub fn wishing(&self) -> impl Iterator<Item = ConnId> {
        self.wishes.keys().copied()
    }

    /// How many wishes there are.
    pub fn count(&self) -> usize {
        self.wishes.values().map(VecDeque::len).sum()
    }

    /// Whether no session has any wishes.
    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }
}

/// What is told of somebody who can be reached there.
pub fn introduction(of: &Identity, addresses: &[Address]) -> Introduction {
    Introduction { who: of.owner(), key: of.key, addresses: addresses.to_vec(), rejected: false }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{guest, key};
    use super::*;

    fn entered(numbers: &[u8]) -> Sessions {
        let mut sessions = Sessions::default();
        for number in numbers {
            let conn = ConnId(u64::from(*number));
            sessions.connect(conn);
            sessions.enter(conn, guest(*number)).unwrap();
        }
        sessions
    }

    fn wish(with: u8, by: u8) -> Wish {
        let addresses = vec![format!("tcp:192.0.2.{by}:1").parse().unwrap()];
        Wish { subject: Subject::Guest(key(with)), keys: vec![key(with)], addresses }
    }

    fn told(introduced: Option<Introduced>) -> Vec<(u64, PeerKey, Address)> {
        let introduced = introduced.unwrap().into_iter();
        introduced.map(|(conn, one)| (conn.0, one.key, one.addresses[0].clone())).collect()
    }

    #[test]
    fn nobody_is_told_of_anybody_before_both_want_it() {
        let (sessions, mut introductions) = (entered(&[1, 2, 3]), Introductions::default());
        let one = wish(2, 1).addresses.remove(0);
        let two = wish(1, 2).addresses.remove(0);
        assert_eq!(told(introductions.wish(&sessions, ConnId(1), wish(2, 1), &[])), []);
        assert_eq!(told(introductions.wish(&sessions, ConnId(3), wish(1, 3), &[])), []);
        let both = told(introductions.wish(&sessions, ConnId(2), wish(1, 2), &[]));
        assert_eq!(both, [(2, key(1), one), (1, key(2), two)]);
        let taken_back = Wish { keys: Vec::new(), ..wish(2, 1) };
        assert_eq!(told(introductions.wish(&sessions, ConnId(1), taken_back, &[])), []);
        assert_eq!(told(introductions.wish(&sessions, ConnId(2), wish(1, 2), &[])), []);
    }

    #[test]
    fn another_device_than_the_one_agreed_to_is_not_introduced() {
        let (sessions, mut introductions) = (entered(&[1, 2]), Introductions::default());
        introductions.wish(&sessions, ConnId(1), Wish { keys: vec![key(9)], ..wish(2, 1) }, &[]);
        assert_eq!(told(introductions.wish(&sessions, ConnId(2), wish(1, 2), &[])), []);
        // Nor one that belongs to somebody else than the one meant.
        let other = Wish { subject: Subject::Guest(key(9)), ..wish(2, 1) };
        introductions.wish(&sessions, ConnId(1), other, &[]);
        assert_eq!(told(introductions.wish(&sessions, ConnId(2), wish(1, 2), &[])), []);
    }

    #[test]
    fn a_guest_who_has_become_an_account_is_met_by_the_same_key() {
        let (mut sessions, mut introductions) = (entered(&[1, 2]), Introductions::default());
        introductions.wish(&sessions, ConnId(1), wish(2, 1), &[]);
        let account = Subject::Account(common::id::AccountId::new());
        sessions.enter(ConnId(2), Identity { subject: account, ..guest(2) }).unwrap();
        assert_eq!(told(introductions.wish(&sessions, ConnId(2), wish(1, 2), &[])).len(), 2);
    }

    #[test]
    fn who_has_knocked_hears_of_whoever_accepts_and_not_the_other_way_round() {
        let (sessions, mut introductions) = (entered(&[1, 2]), Introductions::default());
        let accepted = told(introductions.wish(&sessions, ConnId(2), wish(1, 2), &[key(1)]));
        assert_eq!(accepted.iter().map(|(conn, key, _)| (*conn, *key)).collect::<Vec<_>>(), [(1, key(2))]);
        let answered = told(introductions.wish(&sessions, ConnId(1), wish(2, 1), &[]));
        assert_eq!(answered.len(), 2, "now each has the other's address");
    }

    #[test]
    fn of_too_many_wishes_the_oldest_is_forgotten_and_the_end_forgets_all() {
        let (sessions, mut introductions) = (entered(&[1]), Introductions::default());
        for number in 0..=u64::try_from(MAX_WISHES_PER_SESSION).unwrap() {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            let key = PeerKey::from_bytes(bytes);
            let wish = Wish { subject: Subject::Guest(key), keys: vec![key], addresses: Vec::new() };
            introductions.wish(&sessions, ConnId(1), wish, &[]);
        }
        assert_eq!(introductions.wishes[&ConnId(1)].len(), MAX_WISHES_PER_SESSION);
        introductions.forget(ConnId(1));
        assert!(introductions.is_empty());
        assert_eq!(
            introductions.wish(&sessions, ConnId(9), wish(1, 9), &[]),
            None,
            "who is not in wants nothing"
        );
    }
}
