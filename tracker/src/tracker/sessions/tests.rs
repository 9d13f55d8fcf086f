use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn key(number: u8) -> PeerKey {
    PeerKey::from_bytes([number; 32])
}

fn identity(number: u8) -> Identity {
    let key = key(number);
    Identity { subject: Subject::Guest(key), name: format!("n{number}").parse().unwrap(), key }
}

fn entered(sessions: &mut Sessions, conn: u64, number: u8) -> ConnId {
    sessions.connect(ConnId(conn));
    sessions.enter(ConnId(conn), identity(number)).unwrap();
    ConnId(conn)
}

#[test]
fn who_has_not_entered_hosts_nothing() {
    let mut sessions = Sessions::default();
    let (conn, channel) = (ConnId(1), ChannelId::new());
    assert_eq!(sessions.lease(conn, channel), None);
    sessions.connect(conn);
    assert_eq!(sessions.lease(conn, channel), None);
    assert!(!sessions.is_online(channel));
    assert_eq!(sessions.enter(ConnId(9), identity(1)), None);
}

#[test]
fn the_same_key_enters_over_its_older_session() {
    let mut sessions = Sessions::default();
    let older = entered(&mut sessions, 1, 7);
    let channel = ChannelId::new();
    assert_eq!(sessions.lease(older, channel), Some(false));
    sessions.connect(ConnId(2));
    let superseded = sessions.enter(ConnId(2), identity(7)).unwrap();
    assert_eq!(superseded, Superseded { session: Some(older), channels: vec![channel] });
    assert!(!sessions.is_online(channel) && sessions.identity(older).is_none());
    assert_eq!(sessions.lease(older, channel), None);
    // Entering once more supersedes nobody, and keeps what it hosts.
    assert_eq!(sessions.lease(ConnId(2), channel), Some(false));
    assert_eq!(sessions.enter(ConnId(2), identity(7)).unwrap(), Superseded::default());
    assert!(sessions.is_online(channel));
    assert_eq!(sessions.disconnect(older), []);
    assert!(sessions.is_online(channel));
}

#[test]
fn a_lease_has_one_holder() {
    let mut sessions = Sessions::default();
    let (one, two) = (entered(&mut sessions, 1, 1), entered(&mut sessions, 2, 2));
    let channel = ChannelId::new();
    sessions.lease(one, channel);
    assert_eq!(sessions.lease(two, channel), Some(true));
    assert_eq!(sessions.disconnect(one), []);
    assert!(sessions.is_online(channel));
    assert_eq!(sessions.sign_out(key(2)), [channel]);
    assert!(!sessions.is_online(channel) && !sessions.end_lease(channel));
}

#[test]
fn of_too_many_interests_the_oldest_is_forgotten() {
    let mut sessions = Sessions::default();
    let conn = entered(&mut sessions, 1, 1);
    let channels: Vec<ChannelId> = (0..=MAX_INTERESTS_PER_SESSION).map(|_| ChannelId::new()).collect();
    for channel in &channels[..MAX_INTERESTS_PER_SESSION] {
        sessions.wait_for(conn, *channel);
    }
    // Asked for again, the first is not the oldest any more.
    sessions.wait_for(conn, channels[0]);
    sessions.wait_for(conn, channels[MAX_INTERESTS_PER_SESSION]);
    let waits = |channel: usize| !sessions.waiting(channels[channel], |_| true).is_empty();
    assert!(waits(0) && !waits(1) && waits(2) && waits(MAX_INTERESTS_PER_SESSION));
    assert!(sessions.waiting(channels[0], |_| false).is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Connect(u64),
    Enter(u64),
    SignOut(u8),
    Disconnect(u64),
    Lease(u64, usize),
    EndLease(usize),
    WaitFor(u64, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (conn, number, channel) = (0..5_u64, 0..3_u8, 0..4_usize);
    prop_oneof![
        conn.clone().prop_map(Step::Connect),
        conn.clone().prop_map(Step::Enter),
        number.prop_map(Step::SignOut),
        conn.clone().prop_map(Step::Disconnect),
        (conn.clone(), channel.clone()).prop_map(|(conn, channel)| Step::Lease(conn, channel)),
        channel.clone().prop_map(Step::EndLease),
        (conn, channel).prop_map(|(conn, channel)| Step::WaitFor(conn, channel)),
    ]
}

fn assert_whole(sessions: &Sessions) {
    let keys: HashSet<PeerKey> =
        sessions.sessions.values().flat_map(|s| &s.identity).map(|i| i.key).collect();
    assert_eq!(keys, sessions.entered.keys().copied().collect(), "one session for each key that is in");
    let hosting: usize = sessions.sessions.values().map(|session| session.hosting.len()).sum();
    assert_eq!(hosting, sessions.hosts.len());
    for (channel, conn) in &sessions.hosts {
        assert!(sessions.sessions[conn].hosting.contains(channel));
    }
    for (channel, conns) in &sessions.waiting {
        assert!(!conns.is_empty());
        for conn in conns {
            assert!(sessions.sessions[conn].waiting_for.contains(channel));
        }
    }
    for session in sessions.sessions.values().filter(|session| session.identity.is_none()) {
        assert!(session.hosting.is_empty());
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_holds_together_and_nothing_is_left(steps in prop::collection::vec(any_step(), 0..80)) {
        let channels: Vec<ChannelId> = (0..4).map(|_| ChannelId::new()).collect();
        let mut sessions = Sessions::default();
        for step in steps {
            match step {
                // A number is given to one connection only.
                Step::Connect(conn) if !sessions.sessions.contains_key(&ConnId(conn)) => sessions.connect(ConnId(conn)),
                Step::Connect(_) => {}
                // A connection has the one key that it has proven.
                Step::Enter(conn) => drop(sessions.enter(ConnId(conn), identity((conn % 3) as u8))),
                Step::SignOut(number) => drop(sessions.sign_out(key(number))),
                Step::Disconnect(conn) => drop(sessions.disconnect(ConnId(conn))),
                Step::Lease(conn, channel) => drop(sessions.lease(ConnId(conn), channels[channel])),
                Step::EndLease(channel) => drop(sessions.end_lease(channels[channel])),
                Step::WaitFor(conn, channel) => sessions.wait_for(ConnId(conn), channels[channel]),
            }
            assert_whole(&sessions);
        }
        for conn in 0..5 {
            sessions.disconnect(ConnId(conn));
        }
        assert_eq!(sessions.counts(), [0; 4]);
    }
}
