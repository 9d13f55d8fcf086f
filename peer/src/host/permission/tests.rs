use common::proto::directory::{Post, View};

use super::*;

/// What each verb answers to owner, moderator, authorised, registered and guest, and to the last four when they are
/// banned, under: public and open, public with sending restricted, restricted and open, restricted with sending
/// restricted. `.` yes, `0` no such channel, `a` not allowed, `m` not moderator, `o` not owner.
const TABLE: &[(&str, Verb, [&str; 4])] = &[
    ("HELLO", Verb::Hello, ANYBODY),
    ("PING", Verb::Ping, ANYBODY),
    ("CONNECT", Verb::Connect, READERS),
    ("PASS", Verb::Pass, ANYBODY),
    ("DISCONNECT", Verb::Disconnect, ANYBODY),
    ("MESSAGE", Verb::Message, [".....0000", "...aa0000", "...000000", "...000000"]),
    ("STATUS_OF", Verb::StatusOf, READERS),
    ("HISTORY", Verb::History, READERS),
    ("SEARCH", Verb::Search, READERS),
    ("VERIFY", Verb::Verify, READERS),
    ("ERASE", Verb::Erase, ["..aaa0000", "..aaa0000", "..a000000", "..a000000"]),
    ("MEMBERS", Verb::Members, READERS),
    ("RET_INFO", Verb::RetInfo, READERS),
    ("VIEW", Verb::View, MODERATORS),
    ("POST", Verb::Post, MODERATORS),
    ("RETENTION", Verb::Retention, OWNER),
    ("AUTHORIZE", Verb::Authorize, MODERATORS),
    ("AUTHORIZE", Verb::Appoint, OWNER),
    ("DEAUTHORIZE", Verb::Deauthorize, MODERATORS),
    ("KICK", Verb::Kick, MODERATORS),
    ("BAN", Verb::Ban, MODERATORS),
    ("UNBAN", Verb::Unban, MODERATORS),
    ("BANS", Verb::Bans, MODERATORS),
    ("AUDIT", Verb::Audit, MODERATORS),
    ("DEBUG", Verb::Debug, OWNER),
    ("TAKE", Verb::Take, READERS),
    (OWN_USER, Verb::Export, OWNER),
    (OWN_USER, Verb::Recover, OWNER),
];

/// No word of the protocol: the user of the peer that hosts the channel asks.
const OWN_USER: &str = "own user";

const ANYBODY: [&str; 4] = [".........", ".........", ".........", "........."];
const READERS: [&str; 4] = [".....0000", ".....0000", "...000000", "...000000"];
const MODERATORS: [&str; 4] = ["..mmm0000", "..mmm0000", "..m000000", "..m000000"];
const OWNER: [&str; 4] = [".oooo0000", ".oooo0000", ".oo000000", ".oo000000"];

const ROLES: [Role; 5] = [Role::Owner, Role::Moderator, Role::Authorized, Role::Registered, Role::Guest];

fn everybody() -> Vec<Standing> {
    let stands = |is_banned| move |role| Standing { role, is_banned };
    let banned = ROLES[1..].iter().copied().map(stands(true));
    ROLES.into_iter().map(stands(false)).chain(banned).collect()
}

fn all_switches() -> [Switches; 4] {
    let switches = |view, post| Switches { rev: 1, view, post };
    [
        switches(View::Public, Post::Everyone),
        switches(View::Public, Post::Authorized),
        switches(View::Restricted, Post::Everyone),
        switches(View::Restricted, Post::Authorized),
    ]
}

fn mark(outcome: Result<(), Refusal>) -> char {
    match outcome.map_err(|refusal| refusal.code) {
        Ok(()) => '.',
        Err(Code::NoSuchChannel) => '0',
        Err(Code::NotAllowed) => 'a',
        Err(Code::NotModerator) => 'm',
        Err(Code::NotOwner) => 'o',
        Err(other) => panic!("{other} is not in the table"),
    }
}

#[test]
fn every_verb_has_a_row_and_every_cell_is_as_written() {
    let mut rows: Vec<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
    rows.retain(|name| *name != OWN_USER);
    rows.dedup();
    assert_eq!(rows, HostRequest::NAMES, "a word of the protocol has no row, or a row no word");
    let verbs: Vec<Verb> = TABLE.iter().map(|(_, verb, _)| *verb).collect();
    assert_eq!(verbs, Verb::ALL, "a verb has no row, or two");
    for (name, verb, expected) in TABLE {
        for (switches, expected) in all_switches().into_iter().zip(expected) {
            let decided = everybody().into_iter().map(|who| mark(decide(who, *verb, None, switches)));
            assert_eq!(&decided.collect::<String>(), expected, "{name} ({verb:?}) under {switches:?}");
        }
    }
}

/// What each verb that is about somebody answers to owner and moderator when that is: oneself, the owner, a moderator,
/// somebody authorised, registered, a guest.
const TARGETS: &[(Verb, [&str; 2])] = &[
    (Verb::Authorize, ["aa....", "aaa..."]),
    (Verb::Appoint, ["aa....", "oooooo"]),
    (Verb::Deauthorize, ["aa....", ".aa..."]),
    (Verb::Kick, ["aa....", "aaa..."]),
    (Verb::Ban, ["aa....", "aaa..."]),
    (Verb::Unban, ["......", "......"]),
];

#[test]
fn nobody_touches_the_owner_and_no_moderator_another() {
    let targets = || [Target::Oneself].into_iter().chain(ROLES.into_iter().map(Target::Other));
    for (verb, expected) in TARGETS {
        for (role, expected) in [Role::Owner, Role::Moderator].into_iter().zip(expected) {
            let who = Standing { role, is_banned: false };
            for switches in all_switches() {
                let decided = targets().map(|target| mark(decide(who, *verb, Some(target), switches)));
                assert_eq!(&decided.collect::<String>(), expected, "{verb:?} of {role:?}");
            }
        }
    }
}

#[test]
fn what_one_has_written_one_may_erase_and_of_others_only_those_in_charge() {
    for (who, switches) in everybody().into_iter().flat_map(|who| all_switches().map(|all| (who, all))) {
        let may_read = decide(who, Verb::History, None, switches);
        let own = decide(who, Verb::Erase, Some(Target::Oneself), switches);
        assert_eq!(own, may_read, "{who:?} under {switches:?}");
        for author in ROLES.map(Target::Other) {
            let may = decide(who, Verb::Erase, Some(author), switches);
            assert_eq!(may.is_ok(), may_read.is_ok() && who.role.is_in_charge(), "{who:?}, of {author:?}");
        }
    }
}

#[test]
fn whom_it_is_about_makes_nothing_possible_that_is_not() {
    for (verb, _) in TARGETS {
        for (who, switches) in everybody().into_iter().flat_map(|who| all_switches().map(|all| (who, all))) {
            let without = decide(who, *verb, None, switches);
            for target in ROLES.into_iter().map(Target::Other).chain([Target::Oneself]) {
                let with = decide(who, *verb, Some(target), switches);
                assert!(without.is_ok() || with == without, "{verb:?} {who:?} {target:?}");
            }
        }
    }
}
