use common::entry::Hash;
use common::id::{AccountId, Epoch};
use common::proto::directory::Policy;
use common::proto::moving::TakeOver;

use super::*;
use crate::tracker::testing::{guest, row};

const NOW: Timestamp = Timestamp::from_millis(5_000);

fn host(name: &str, id: ChannelId) -> Host {
    Host {
        id,
        name: name.parse().unwrap(),
        head: Position::start(id, Epoch::new()),
        term: 1,
        policy: Policy::default(),
        port: None,
        addresses: Vec::new(),
        behind: false,
        takeover: None,
        members: None,
        forks: Vec::new(),
    }
}

#[test]
fn who_may_announce_what() {
    let (ken, eve) = (guest(1), guest(2));
    let known = row("first", &ken);
    let account = Identity { subject: Subject::Account(AccountId::new()), ..ken.clone() };
    let other_device = Identity { key: eve.key, ..account.clone() };
    let mut of_account = known.clone();
    of_account.owner = account.owner();
    let table = [
        (None, &ken, "first", None),
        (Some(&known), &ken, "first", None),
        (Some(&known), &ken, "FIRST", None),
        (Some(&known), &ken, "second", Some(Code::BadRequest)),
        (Some(&known), &eve, "first", Some(Code::NotOwner)),
        (Some(&known), &account, "first", None),
        (Some(&of_account), &account, "first", None),
        (Some(&of_account), &ken, "first", Some(Code::NotOwner)),
        (Some(&of_account), &other_device, "first", Some(Code::HostedElsewhere)),
    ];
    for (known, who, name, refused) in table {
        let id = known.map_or_else(ChannelId::new, |known| known.id);
        let decided = decide(known, who, &host(name, id), None, NOW);
        assert_eq!(
            decided.as_ref().err().map(|refusal| refusal.code.clone()),
            refused,
            "{known:?} {who:?} {name}"
        );
        if let Ok(Decided { row, step }) = decided {
            assert!(step.is_none());
            assert_eq!((row.owner, row.host_key, row.seen), (who.owner(), who.key, NOW));
            assert_eq!(row.created, known.map_or(NOW, |known| known.created));
        }
    }
}

#[test]
fn a_log_that_has_lost_entries_is_not_announced() {
    let ken = guest(1);
    let position = |epoch, seq, hash: &[u8]| Position { epoch, seq, hash: Hash::of(hash) };
    let epoch = Epoch::new();
    let known = ChannelRow { head: position(epoch, 12, b"12"), ..row("first", &ken) };
    let table = [
        (position(epoch, 12, b"12"), true),
        (position(epoch, 13, b"13"), true),
        (position(epoch, 11, b"11"), false),
        (position(epoch, 0, b""), false),
        (position(epoch, 12, b"another"), false),
        (position(Epoch::new(), 0, b""), false),
    ];
    for (head, is_taken) in table {
        let decided = decide(Some(&known), &ken, &Host { head, ..host("first", known.id) }, None, NOW);
        match decided {
            Ok(decided) => assert!(is_taken && decided.row.head == head, "{head:?}"),
            Err(refusal) => {
                assert!(!is_taken && refusal.code == Code::LogBehind, "{head:?}: {refusal}");
                assert!(refusal.reason.contains("put the newer copy back"), "{refusal}");
            }
        }
        // Who knows it is found by members all the same, and what is known of the log is not overwritten.
        let behind = Host { head, behind: true, ..host("first", known.id) };
        assert_eq!(decide(Some(&known), &ken, &behind, None, NOW).unwrap().row.head, known.head);
    }
}

#[test]
fn the_term_never_falls() {
    let ken = guest(1);
    let known = ChannelRow { term: 3, ..row("first", &ken) };
    for (known, asked, expected) in [(None, 0, 1), (None, 4, 4), (Some(&known), 1, 3), (Some(&known), 5, 5)] {
        let id = known.map_or_else(ChannelId::new, |known| known.id);
        let host = Host { term: asked, ..host("first", id) };
        assert_eq!(decide(known, &ken, &host, None, NOW).unwrap().row.term, expected);
    }
}

#[test]
fn addresses_are_few_and_different_the_one_seen_first() {
    let listed = |count: usize| (0..count).map(|i| format!("tcp:192.0.2.1:{}", i + 1).parse().unwrap());
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    let text = |host: &Host, remote| -> Vec<String> {
        addresses(host.port, &host.addresses, remote)
            .iter()
            .map(|address| address.as_str().to_owned())
            .collect()
    };
    let mut host = host("first", ChannelId::new());
    host.addresses = listed(2).chain(listed(2)).collect();
    assert_eq!(text(&host, Some(ip)), ["tcp:192.0.2.1:1", "tcp:192.0.2.1:2"]);
    host.port = Some(2);
    assert_eq!(text(&host, Some(ip)), ["tcp:192.0.2.1:2", "tcp:192.0.2.1:1"]);
    assert_eq!(text(&host, None).len(), 2);
    host.port = Some(4000);
    host.addresses = listed(100).collect();
    let many = text(&host, Some(ip));
    assert_eq!((many.len(), many[0].as_str()), (MAX_ADDRESSES, "tcp:192.0.2.1:4000"));
    host.addresses.clear();
    assert_eq!(text(&host, Some("2001:db8::1".parse().unwrap())), ["tcp:[2001:db8::1]:4000"]);
}

#[test]
fn of_too_many_channels_that_are_no_more_those_that_went_first_are_forgotten() {
    let row = |at: u64, key: u8| (Timestamp::from_millis(at), vec![key]);
    let rows = vec![row(3, 1), row(1, 2), row(2, 3)];
    assert_eq!(oldest(rows.clone(), 3), Vec::<Vec<u8>>::new());
    assert_eq!(oldest(rows.clone(), 1), [vec![2], vec![3]]);
    assert_eq!(oldest(rows, 0).len(), 3);
}

#[test]
fn another_log_is_taken_from_its_host_only_when_the_known_one_leads_to_it() {
    let (ken, id) = (guest(1), ChannelId::new());
    let at = |seq| Position { seq, ..Position::start(id, Epoch::new()) };
    let known = decide(None, &ken, &Host { head: at(900), ..host("first", id) }, None, NOW).unwrap().row;
    let older = Host { head: at(450), ..host("first", id) };
    let code =
        |host: &Host| decide(Some(&known), &ken, host, None, NOW).map(drop).map_err(|refusal| refusal.code);
    assert_eq!(code(&older), Err(Code::LogBehind));
    assert_eq!(
        code(&Host { forks: vec![at(900)], ..older.clone() }),
        Err(Code::LogBehind),
        "yet another one"
    );
    assert_eq!(code(&Host { forks: vec![known.head], ..older.clone() }), Ok(()));
    assert_eq!(code(&Host { behind: true, ..older.clone() }), Ok(()));
    let begun_anew = TakeOver { new_log: true, hand_over: None };
    assert_eq!(code(&Host { takeover: Some(begun_anew), ..older }), Ok(()));
}
