use common::proto::limits::PRESENCE_EVERY;
use common::proto::policy::View;

use super::*;
use crate::tracker::sessions::ConnId;
use crate::tracker::testing::{at, guest, row};

/// A host at connection 1 and somebody who waits at connection 2.
fn scene() -> (State, ChannelRow) {
    let mut state = State::default();
    for number in [1, 2] {
        state.sessions.connect(ConnId(number.into()));
        state.enter(ConnId(number.into()), guest(number)).unwrap();
    }
    let first = row("first", &guest(1));
    state.announce(ConnId(1), at(1, first.clone())).unwrap();
    assert!(state.effects.is_empty(), "nobody waits yet");
    let found = state.locate(ConnId(2), guest(2).holder(), &Locate::Id(first.id)).unwrap();
    assert!(found.online);
    (state, first)
}

fn told(state: &mut State) -> Vec<String> {
    let shown = |effect| match effect {
        Effect::Up(conns, _) => format!("up {conns:?}"),
        Effect::Down(conns, _) => format!("down {conns:?}"),
        Effect::Knocked(conns, _) => format!("knocked {conns:?}"),
        Effect::CameOnline(conn, event) => format!("came {conn:?} {}", event.users.len()),
        Effect::WentOffline(conn, event) => format!("left {conn:?} {}", event.users.len()),
        Effect::Invisible(conns, event) => format!("invisible {conns:?} {}", event.on),
        Effect::Introduce(conn, _) => format!("introduce {conn:?}"),
        Effect::Moved(conn, event) => format!("moved {} of {}", event.channel.name, conn.0),
        Effect::Supersede(conn) => format!("supersede {conn:?}"),
    };
    std::mem::take(&mut state.effects).into_iter().map(shown).collect()
}

#[test]
fn those_who_wait_hear_of_every_way_to_come_and_go() {
    let (mut state, first) = scene();
    assert_eq!(state.disconnect(ConnId(1)), [first.id]);
    assert_eq!(told(&mut state), ["down [ConnId(2)]"]);
    state.sessions.connect(ConnId(3));
    assert!(state.announce(ConnId(3), at(2, first.clone())).is_err(), "not entered");
    state.enter(ConnId(3), guest(1)).unwrap();
    state.announce(ConnId(3), at(3, first.clone())).unwrap();
    assert_eq!(told(&mut state), ["up [ConnId(2)]"]);
    state.announce(ConnId(3), at(4, first.clone())).unwrap();
    assert_eq!(told(&mut state), [""; 0], "nothing has changed");
    state.withdraw(first.id);
    state.withdraw(first.id);
    assert_eq!(told(&mut state), ["down [ConnId(2)]"]);
    state.announce(ConnId(3), at(5, first.clone())).unwrap();
    state.sign_out(guest(1).key);
    assert_eq!(told(&mut state), ["up [ConnId(2)]", "down [ConnId(2)]"]);
}

#[test]
fn a_newer_session_of_the_host_supersedes_the_older() {
    let (mut state, first) = scene();
    state.sessions.connect(ConnId(3));
    state.enter(ConnId(3), guest(1)).unwrap();
    assert_eq!(told(&mut state), ["supersede ConnId(1)", "down [ConnId(2)]"]);
    state.announce(ConnId(3), at(2, first)).unwrap();
    assert_eq!(state.disconnect(ConnId(1)), []);
    assert_eq!(told(&mut state), ["up [ConnId(2)]"]);
}

#[test]
fn a_removal_that_comes_late_removes_nothing_newer() {
    let (mut state, first) = scene();
    state.announce(ConnId(1), at(5, first.clone())).unwrap();
    state.remove(first.id, Revision::new(4));
    assert!(state.sessions.is_online(first.id) && told(&mut state).is_empty());
    state.remove(first.id, Revision::new(6));
    assert_eq!(told(&mut state), ["down [ConnId(2)]"]);
    assert!(state.locate(ConnId(2), guest(2).holder(), &Locate::Name(first.name)).is_none());
}

#[test]
fn who_asks_by_an_id_waits_alike_for_what_is_not_there_and_for_what_they_may_not_know_of() {
    let (mut state, _) = scene();
    let (mut hidden, there_is_none) = (row("hidden", &guest(1)), row("late", &guest(1)));
    hidden.policy.view = View::Restricted;
    state.announce(ConnId(1), at(2, hidden.clone())).unwrap();
    for id in [hidden.id, there_is_none.id] {
        assert!(state.locate(ConnId(2), guest(2).holder(), &Locate::Id(id)).is_none());
    }
    for name in [&hidden.name, &there_is_none.name] {
        assert!(state.locate(ConnId(2), guest(2).holder(), &Locate::Name(name.clone())).is_none());
    }
    assert_eq!(told(&mut state), [""; 0]);
    hidden.policy.view = View::Public;
    state.announce(ConnId(1), at(3, hidden)).unwrap();
    state.announce(ConnId(1), at(4, there_is_none)).unwrap();
    assert_eq!(told(&mut state), ["up [ConnId(2)]", "up [ConnId(2)]"]);
}

#[test]
fn who_enters_as_an_account_inherits_from_the_guest() {
    let (mut state, first) = scene();
    let account = Identity { subject: Subject::Account(AccountId::new()), ..guest(1) };
    assert_eq!(state.enter(ConnId(1), account), Ok(vec![first.id]));
    assert!(state.sessions.is_online(first.id), "the same session goes on");
    assert!(told(&mut state).is_empty());
    assert_eq!(state.enter(ConnId(9), guest(9)), Err(SessionGone));
}

#[test]
fn a_session_that_ends_or_is_somebody_else_now_wants_to_talk_to_nobody() {
    let wish =
        |with: u8| Wish { subject: guest(with).subject, keys: vec![guest(with).key], addresses: Vec::new() };
    for end in [
        |state: &mut State| drop(state.disconnect(ConnId(1))),
        |state: &mut State| state.sign_out(guest(1).key),
        |state: &mut State| {
            state.sessions.connect(ConnId(3));
            state.enter(ConnId(3), guest(1)).unwrap();
        },
        |state: &mut State| {
            let account = Subject::Account(AccountId::new());
            state.enter(ConnId(1), Identity { subject: account, ..guest(1) }).unwrap();
        },
    ] {
        let (mut state, _) = scene();
        state.meet(ConnId(1), wish(2), &[], false).unwrap().unwrap();
        assert!(!state.introductions.is_empty());
        end(&mut state);
        assert!(state.introductions.is_empty());
        state.effects.clear();
        state.meet(ConnId(2), wish(1), &[], false).unwrap().unwrap();
        assert_eq!(told(&mut state), [""; 0]);
    }
}

#[test]
fn what_presence_costs_follows_the_watchers_and_not_the_members() {
    const MEMBERS: u16 = 5000;
    let member = |number: u16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let key = PeerKey::from_bytes(bytes);
        Identity { subject: Subject::Guest(key), name: format!("n{number}").parse().unwrap(), key }
    };
    let mut state = State::default();
    for number in 0..MEMBERS {
        state.sessions.connect(ConnId(number.into()));
        state.enter(ConnId(number.into()), member(number)).unwrap();
    }
    let mut clock = Instant::now();
    // One in a hundred leaves and comes back, a second and more apart.
    let mut minute = |state: &mut State| {
        let (mut events, mut names) = (0, 0);
        for number in (0..MEMBERS).step_by(100) {
            for is_back in [false, true] {
                let conn = ConnId(number.into());
                if is_back {
                    state.sessions.connect(conn);
                    state.enter(conn, member(number)).unwrap();
                } else {
                    state.disconnect(conn);
                }
                let due = state.watching.plan(clock);
                clock += PRESENCE_EVERY;
                if due.is_some() {
                    state.gather(clock);
                }
                for effect in std::mem::take(&mut state.effects) {
                    events += 1;
                    names += match effect {
                        Effect::CameOnline(_, CameOnline { users }) => users.len(),
                        Effect::WentOffline(_, WentOffline { users }) => users.len(),
                        other => panic!("{other:?}"),
                    };
                }
            }
        }
        (events, names)
    };
    assert_eq!(minute(&mut state), (0, 0), "nobody watches, nobody is told");
    // Three watch one of those who move and one who does not; five hundred watch somebody who does not.
    for watcher in 1..=3 {
        let watched = vec![member(0).subject, member(1).subject];
        assert_eq!(state.watch(ConnId(watcher), watched).unwrap().unwrap().len(), 2);
    }
    for watcher in 1001..1501 {
        state.watch(ConnId(watcher), vec![member(1).subject]).unwrap().unwrap();
    }
    assert_eq!(minute(&mut state), (6, 6), "three watchers, one who leaves and comes");
    for watcher in 1..=3 {
        state.watching.unwatch(ConnId(watcher), &[member(0).subject]);
    }
    assert_eq!(minute(&mut state), (0, 0));
}

#[test]
fn a_hundred_who_come_at_once_are_one_event_to_each_who_watches_them() {
    let mut state = State::default();
    for conn in 0..=100_u8 {
        state.sessions.connect(ConnId(conn.into()));
    }
    state.enter(ConnId(0), guest(0)).unwrap();
    state.watch(ConnId(0), (1..=100).map(|number| guest(number).subject).collect()).unwrap().unwrap();
    let now = Instant::now();
    let due = (1..=100_u8).filter_map(|number| {
        state.enter(ConnId(number.into()), guest(number)).unwrap();
        state.watching.plan(now)
    });
    assert_eq!(due.collect::<Vec<_>>(), [now + PRESENCE_EVERY], "planned once");
    state.gather(now + PRESENCE_EVERY);
    assert_eq!(told(&mut state), ["came ConnId(0) 100"]);
}
