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
        Effect::Introduce(conn, _) => format!("introduce {conn:?}"),
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
fn who_enters_as_an_account_inherits_from_the_guest() {
    let (mut state, first) = scene();
    let account = Identity { subject: Subject::Account(common::id::AccountId::new()), ..guest(1) };
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
            let account = Subject::Account(common::id::AccountId::new());
            state.enter(ConnId(1), Identity { subject: account, ..guest(1) }).unwrap();
        },
    ] {
        let (mut state, _) = scene();
        state.meet(ConnId(1), wish(2), &[]).unwrap();
        assert!(!state.introductions.is_empty());
        end(&mut state);
        assert!(state.introductions.is_empty());
        state.effects.clear();
        state.meet(ConnId(2), wish(1), &[]).unwrap();
        assert_eq!(told(&mut state), [""; 0]);
    }
}
