use common::entry::Hash;
use common::id::{AccountId, ChannelId, Epoch};
use common::identity::Identity as Key;
use common::proto::moving::Moved;
use common::signed::Signed;

use super::*;
use crate::tracker::testing::{guest, key, row};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

struct Scene {
    old: Key,
    ken: Identity,
    known: ChannelRow,
}

impl Scene {
    /// A channel whose log has reached entry 12, and another device of its owner.
    fn new() -> Self {
        let old = Key::generate().unwrap();
        let ken = Identity { subject: Subject::Account(AccountId::new()), ..guest(2) };
        let mut known = row("first", &ken);
        (known.host_key, known.term) = (old.key(), 3);
        known.head = Position { seq: 12, hash: Hash::of(b"12"), ..known.head };
        Self { old, ken, known }
    }

    fn host(&self, head: Position) -> Host {
        Host {
            id: self.known.id,
            name: self.known.name.clone(),
            head,
            term: 0,
            policy: self.known.policy.clone(),
            port: None,
            addresses: Vec::new(),
            behind: false,
            takeover: None,
            members: None,
            forks: Vec::new(),
        }
    }

    fn handed_over(&self, change: impl FnOnce(&mut HandOver)) -> TakeOver {
        let mut hand_over = HandOver {
            channel: self.known.id,
            term: 3,
            to: self.ken.key,
            owner: self.ken.subject,
            head: self.known.head,
            time: NOW,
        };
        change(&mut hand_over);
        TakeOver { new_log: false, hand_over: Some(Signed::sign(&hand_over, &self.old).unwrap()) }
    }

    fn take(&self, takeover: &TakeOver, head: Position) -> Result<Move, Code> {
        let hand_over = check_hand_over(&self.known, &self.ken, takeover, NOW);
        let taken = hand_over
            .and_then(|hand_over| take_over(&self.known, &self.ken, &self.host(head), takeover, hand_over));
        taken.map_err(|refusal| refusal.code)
    }
}

#[test]
fn a_log_that_does_not_reach_what_is_known_is_not_enough_unless_it_begins_anew() {
    let scene = Scene::new();
    let known = scene.known.head;
    let (new_log, brought) = (TakeOver { new_log: true, hand_over: None }, TakeOver::default());
    let longer = Position { seq: 13, hash: Hash::of(b"13"), ..known };
    let new = Position::start(scene.known.id, Epoch::new());
    let table = [
        (&brought, known, Ok(known)),
        (&brought, longer, Ok(longer)),
        (&brought, Position { seq: 11, ..known }, Err(Code::LogBehind)),
        (&brought, Position { hash: Hash::of(b"another"), ..known }, Err(Code::LogBehind)),
        (&brought, new, Err(Code::LogBehind)),
        (&new_log, new, Ok(known)),
        (&new_log, longer, Err(Code::BadRequest)),
    ];
    for (takeover, head, expected) in table {
        let taken = scene.take(takeover, head);
        assert_eq!(
            taken.as_ref().map(|step| step.from).map_err(Clone::clone),
            expected,
            "{takeover:?} {head:?}"
        );
        assert!(taken.is_ok_and(|step| step.term == 4) == expected.is_ok());
    }
}

#[test]
fn what_is_still_gathered_is_taken_along_up_to_where_it_is_known_to_be_once_it_is_there() {
    let scene = Scene::new();
    let known = scene.known.head;
    let gathering = |head| {
        let host = Host { behind: true, ..scene.host(head) };
        take_over(&scene.known, &scene.ken, &host, &TakeOver::default(), None).map_err(|refusal| refusal.code)
    };
    assert_eq!(gathering(Position::start(scene.known.id, Epoch::new())), Err(Code::LogBehind));
    let step = gathering(Position { seq: 2, hash: Hash::of(b"2"), ..known }).unwrap();
    assert_eq!((step.from, step.open, step.term), (known, true, 4));
    let mut row = ChannelRow { term: 4, ..scene.known.clone() };
    let proof = |step: &Move| Signed::sign(&proof(&row, step, DirectoryId::new(), NOW), &scene.old).unwrap();
    let moved = Moved::then(None, proof(&step), step.clone());
    row.moved = Some(Box::new(moved));
    let end = Position { seq: 15, hash: Hash::of(b"15"), ..known };
    let announced = scene.host(end);
    let settled = settled(&row, &announced).unwrap();
    assert_eq!((settled.from, settled.open, settled.term), (end, false, 4));
    for (row, host) in [
        (row.clone(), Host { behind: true, ..announced.clone() }),
        (row.clone(), scene.host(Position::start(scene.known.id, Epoch::new()))),
        (ChannelRow { term: 5, ..row.clone() }, announced.clone()),
        (scene.known.clone(), announced),
    ] {
        assert_eq!(super::settled(&row, &host), None, "{row:?} {host:?}");
    }
}

#[test]
fn a_hand_over_says_how_far_the_log_was() {
    let scene = Scene::new();
    let end = Position { seq: 20, hash: Hash::of(b"20"), ..scene.known.head };
    let takeover = scene.handed_over(|it| it.head = end);
    assert_eq!(scene.take(&takeover, scene.known.head), Err(Code::LogBehind));
    assert_eq!(scene.take(&takeover, end).unwrap().from, end);
}

#[test]
fn a_hand_over_counts_once_for_whom_it_is_meant() {
    let scene = Scene::new();
    let head = scene.known.head;
    assert!(scene.take(&scene.handed_over(|_| {}), head).is_ok());
    let subject = Subject::Account(AccountId::new());
    for takeover in [
        scene.handed_over(|it| it.term = 2),
        scene.handed_over(|it| it.term = 4),
        scene.handed_over(|it| it.to = key(9)),
        scene.handed_over(|it| it.owner = subject),
        scene.handed_over(|it| it.channel = ChannelId::new()),
        scene.handed_over(|it| it.time = Timestamp::from_millis(0)),
        Scene { old: Key::generate().unwrap(), ken: scene.ken.clone(), known: scene.known.clone() }
            .handed_over(|_| {}),
    ] {
        assert_eq!(scene.take(&takeover, head), Err(Code::BadRequest), "{takeover:?}");
    }
}

#[test]
fn a_guest_takes_nothing_over() {
    let scene = Scene { ken: guest(2), ..Scene::new() };
    assert_eq!(scene.take(&TakeOver::default(), scene.known.head), Err(Code::NotAllowed));
}

#[test]
fn former_hosts_are_remembered_and_no_more_when_they_host_again() {
    let mut known = row("first", &guest(1));
    for number in 2..30 {
        let mut row = ChannelRow { host_key: key(number), ..known.clone() };
        note_former(&mut row, &known);
        known = row;
    }
    assert_eq!(known.former.len(), MAX_FORMER);
    assert_eq!(known.former.last(), Some(&key(28)));
    let mut back = ChannelRow { host_key: key(28), ..known.clone() };
    note_former(&mut back, &known);
    assert!(!back.former.contains(&key(28)) && back.former.last() == Some(&key(29)));
}
