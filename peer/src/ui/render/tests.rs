use std::path::Path;

use common::entry::Position;
use common::id::Subject;
use common::proto::channel::{Info, LogBefore, Member, Role};
use common::proto::directory::{Listed, Owner, Post, Switches, View};

use super::*;
use crate::api::*;
use crate::ui::fake::{channel_id, epoch, identity, key, message, message_id};

fn plain() -> Renderer {
    Renderer { style: Style::default(), zone: TimeZone::fixed(jiff::tz::offset(1)) }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn event(event: &Event) -> String {
    plain().event(event, now()).unwrap()
}

fn reply(reply: &Reply) -> String {
    plain().reply(reply, now()).unwrap()
}

fn owner() -> Owner {
    Owner { subject: Subject::Guest(key()), name: "ken".parse().unwrap(), kind: IdentityKind::Account }
}

fn first() -> ChannelStatus {
    ChannelStatus {
        id: channel_id(),
        channel: "first".parse().unwrap(),
        hosted: true,
        joined: true,
        state: LinkState::Up,
        reason: None,
        seq: 12,
        queued: 0,
        behind: None,
    }
}

#[test]
fn a_message_says_when_where_and_who() {
    assert_eq!(event(&Event::Message(message(1, "hi"))), "23:13 #first charlie (guest): hi");
    let mut other = message(2, "hi");
    other.author_kind = IdentityKind::Account;
    other.sent_at = Timestamp::from_millis(0);
    assert_eq!(event(&Event::Message(other.clone())), "1970-01-01 01:00 #first charlie: hi");
    other.sent_at = Timestamp::from_millis(u64::MAX);
    assert!(event(&Event::Message(other)).starts_with("9999-12-3"));
}

#[test]
fn a_message_cannot_pass_for_another_or_command_the_terminal() {
    let hostile = message(1, "one\n23:14 #first ken: two\x1b[2J");
    assert_eq!(
        event(&Event::Message(hostile)),
        "23:13 #first charlie (guest): one\n        23:14 #first ken: two␛[2J"
    );
    let mut hostile = message(1, "hi");
    hostile.from = "ken\n\x1b]0;x\x07".into();
    assert_eq!(event(&Event::Message(hostile)), "23:13 #first ken␤␛]0;x␇ (guest): hi");
}

#[test]
fn other_types_and_erased_texts_are_one_line() {
    let mut other = message(1, "x");
    other.kind = "poll\n".into();
    assert_eq!(
        event(&Event::Message(other)),
        "23:13 #first charlie (guest): (poll␤: a newer version of this program shows it)"
    );
    let mut erased = message(1, "x");
    erased.text = None;
    erased.erased = Some(Box::default());
    assert_eq!(event(&Event::Message(erased.clone())), "23:13 #first charlie (guest): (erased)");
    let mut by = message(9, "x");
    (by.kind, by.text) = ("erase".into(), None);
    by.erases = Some(Box::new(Erases { seq: 1, id: erased.id, why: Some("a slip\n".into()) }));
    assert_eq!(
        event(&Event::Message(by.clone())),
        "23:13 #first charlie (guest): (erased message 1: a slip␤)"
    );
    let known = erased.without_text(Erased::by(&by));
    assert_eq!(
        event(&Event::Message(known)),
        "23:13 #first charlie (guest): (erased by charlie at 23:13: a slip␤)"
    );
}

#[test]
fn naughty_strings_stay_within_their_message() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/naughty-strings.txt");
    let list = std::fs::read_to_string(path).unwrap();
    for text in list.lines().chain([list.as_str()]) {
        let mut message = message(1, text);
        message.from = text.into();
        let shown = event(&Event::Message(message));
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(shown.split('\n').skip(1).all(|line| line.starts_with("        ")), "{text:?}");
    }
}

#[test]
fn events_are_told_in_words() {
    let name = || "ken".parse().unwrap();
    let channel: common::name::ChannelName = "first".parse().unwrap();
    let person = |name: &str| Person { name: name.into(), kind: IdentityKind::Guest };
    let connection = |to: &str, state, reason: Option<&str>| Event::Connection {
        to: to.into(),
        state,
        reason: reason.map(Into::into),
        since: None,
    };
    let session = |state, code| Event::Session { state, username: name(), code, reason: None };
    let table = [
        (
            Event::Ready { username: name(), key: key(), listen: None },
            "You are ken. Type help for the commands, quit to leave.",
        ),
        (session(SessionState::Guest, None), "* entered as the guest ken"),
        (session(SessionState::Account, None), "* signed in as ken"),
        (
            session(SessionState::None, Some(Code::NameRegistered)),
            "! not signed in: the name belongs to an account; sign in to use it (name_registered)",
        ),
        (connection("tracker", LinkState::Up, None), "* connected to the tracker"),
        (
            connection("first", LinkState::Retrying, Some("host\naway")),
            "* no connection to #first, trying again by itself: host␤away",
        ),
        (
            Event::Joined { channel: channel.clone(), members: vec![person("a"), person("b")], count: 2 },
            "* #first: a (guest), b (guest) joined",
        ),
        (Event::Left { channel: channel.clone(), members: vec![], count: 800 }, "* #first: 800 left"),
        (
            Event::Warning {
                code: Code::StorageFull,
                reason: "make room".into(),
                channel: Some(channel.clone()),
            },
            "! #first: make room (storage_full)",
        ),
        (
            Event::Outgoing {
                id: message_id(),
                channel: channel.clone(),
                state: OutgoingState::Refused,
                seq: None,
                code: Some(Code::TextTooLong),
                reason: None,
                becomes: None,
            },
            "* the message 00000001 to #first was refused: a message has at most 16384 bytes of text; split it \
             (text_too_long); type: outbox retry 00000001, outbox edit 00000001 text…, or outbox cancel 00000001",
        ),
    ];
    for (told, expected) in table {
        assert_eq!(event(&told), expected);
    }
    for (told, expected) in moderation() {
        assert_eq!(event(&told), expected);
    }
    let many = (0..12).map(|n| person(&n.to_string())).collect::<Vec<_>>();
    assert!(event(&Event::Joined { channel, members: many, count: 12 }).ends_with("and 4 more joined"));
}

/// What is told of who may do what.
fn moderation() -> [(Event, &'static str); 7] {
    let channel = || "first".parse().unwrap();
    let by = || "ken\n".to_owned();
    let role = |role, you| Event::RoleChanged {
        channel: channel(),
        subject: Subject::Guest(key()),
        name: Some("ada".into()),
        role,
        you,
        by: by(),
    };
    let kicked = |why: Option<&str>, retry_after_ms: Option<u64>| Event::Kicked {
        channel: channel(),
        by: by(),
        why: why.map(Into::into),
        banned: retry_after_ms.is_none(),
        retry_after_ms,
    };
    [
        (
            Event::ViewChanged { channel: channel(), view: View::Restricted, by: by() },
            "* #first: ken␤ made it restricted: only those whom the owner or a moderator has authorized may join and read",
        ),
        (
            Event::PostChanged { channel: channel(), post: Post::Everyone, by: by() },
            "* #first: everyone who is here may send now (ken␤)",
        ),
        (role(Role::Moderator, false), "* #first: ken␤ has made ada a moderator"),
        (role(Role::Authorized, true), "* #first: ken␤ has authorized you"),
        (role(Role::Registered, false), "* #first: ken␤ has taken back ada's role"),
        (
            kicked(Some("a\x1b[2Jb."), Some(59_001)),
            "! #first: ken␤ has put you out. Why: a␛[2Jb. You can come back in 60 s: join first",
        ),
        (
            kicked(None, None),
            "! #first: ken␤ has banned you. What is here of the channel stays: history first",
        ),
    ]
}

#[test]
fn what_an_order_came_to_is_said_to_who_gave_it() {
    let moderated = |done, changed| {
        Reply::Moderated(Moderated { channel: "first".parse().unwrap(), changed, rev: 1, done })
    };
    let ada = || Who { subject: Subject::Guest(key()), name: Some("ada".into()) };
    let door = |state, changed| moderated(Done::Door { who: ada(), state }, changed);
    let now = Timestamp::from_millis(0);
    let table = [
        (moderated(Done::View { view: View::Public }, true), None),
        (moderated(Done::View { view: View::Public }, false), Some("* #first: it is public already")),
        (
            moderated(Done::Post { post: Post::Authorized }, false),
            Some("* #first: post is authorized already"),
        ),
        (
            moderated(Done::Role { who: ada(), role: Role::Moderator }, false),
            Some("* #first: ada is moderator already"),
        ),
        (
            moderated(Done::Role { who: ada(), role: Role::Registered }, false),
            Some("* #first: ada was given nothing, so there is nothing to take back"),
        ),
        (door(DoorState::Kicked, true), Some("* #first: ada was put out, and is refused for a minute")),
        (door(DoorState::Kicked, false), Some("* #first: ada was not there, and is refused for a minute")),
        (door(DoorState::Banned, true), Some("* #first: ada is banned")),
        (door(DoorState::Unbanned, false), Some("* #first: ada is not banned")),
    ];
    for (reply, expected) in table {
        assert_eq!(plain().reply(&reply, now).as_deref(), expected);
    }
}

#[test]
fn a_refusal_says_what_to_do_and_its_code() {
    let mut refusal = Refusal::from(Code::TooManyRequests);
    assert_eq!(plain().refusal(&refusal), "! too many at once; wait a little (too_many_requests)");
    refusal.retry_after_ms = Some(1500);
    refusal.reason = "slow\x1b[1m".into();
    assert_eq!(plain().refusal(&refusal), "! slow␛[1m (too_many_requests) Again in 2 s.");
}

#[test]
fn lists_are_tables() {
    let listed = |name: &str, online, members| Listed {
        id: channel_id(),
        name: name.parse().unwrap(),
        owner: owner(),
        view: View::Public,
        online,
        members,
    };
    let channels = vec![listed("first", true, Some(12)), listed("日本 語", false, None)];
    assert_eq!(
        reply(&Reply::Channels(Channels { channels, next: Some("日本 語".into()) })),
        "channel  owner  view    host  members\n\
         first    ken    public  up    12\n\
         日本 語  ken    public  away\n\
         * there are more: list --after \"日本 語\""
    );
    assert_eq!(reply(&Reply::Channels(Channels { channels: vec![], next: None })), "* no channels");
    let member =
        |name: &str, kind, role| Member { subject: Subject::Guest(key()), name: name.into(), kind, role };
    let members = vec![
        member("ken", IdentityKind::Account, Role::Owner),
        member("charlie\n", IdentityKind::Guest, Role::Guest),
    ];
    assert_eq!(
        reply(&Reply::Members(MembersOf { channel: "first".parse().unwrap(), members, total: 2 })),
        "member            role\n\
         ken               owner\n\
         charlie␤ (guest)  guest\n\
         * #first: 2 in all"
    );
}

#[test]
fn status_says_what_is_connected_and_why_not() {
    let away = ChannelStatus {
        hosted: false,
        state: LinkState::Retrying,
        reason: Some("host away".into()),
        queued: 3,
        channel: "second".parse().unwrap(),
        ..first()
    };
    let tracker = TrackerStatus {
        address: "localhost:22236".into(),
        state: LinkState::Retrying,
        reason: Some("no route".into()),
        since: Some(Timestamp::from_millis(1_700_000_000_000 - 60_000)),
        key: None,
    };
    let status = StatusReport { identity: identity(), tracker, listen: None, channels: vec![first(), away] };
    let group = ["abab"; 16].join(" ");
    assert_eq!(
        reply(&Reply::Status(Box::new(status))),
        format!(
            "name       ken\n\
             as         guest\n\
             key        {group}\n\
             tracker    localhost:22236, away since 23:12, tried again by itself (no route)\n\
             listening  no (nothing is hosted)\n\
             channel  as            connection  seq  to send\n\
             first    host, member  up          12   0\n\
             second   member        retrying    12   3\n\
             * #second: host away"
        )
    );
}

#[test]
fn without_the_tracker_one_is_still_somebody() {
    let known = Identity { state: SessionState::None, ..identity() };
    let nobody = Identity { subject: None, ..known.clone() };
    assert!(reply(&Reply::Identity(known)).contains("not let in by the tracker now; hosts still know you"));
    assert!(reply(&Reply::Identity(nobody)).contains("not signed in"));
}

#[test]
fn info_and_history_are_complete() {
    let head = Position { seq: 7, ..Position::start(channel_id(), epoch()) };
    let info = Info {
        id: channel_id(),
        name: "first".parse().unwrap(),
        owner: owner(),
        created: now(),
        head,
        term: 1,
        policy: Switches::default(),
        retention_days: Some(90),
        members: 2,
        role: Role::Owner,
        behind: false,
        before: None,
    };
    let anew = Info { before: Some(LogBefore { end: head, anew: true }), ..info.clone() };
    let anew = reply(&Reply::Info(Box::new(anew)));
    assert!(anew.contains("it was begun anew after entry 7 of an earlier one ("), "{anew}");
    assert_eq!(
        reply(&Reply::Info(Box::new(info))),
        "channel         #first\n\
         owner           ken\n\
         created         23:13\n\
         messages        7\n\
         members         2\n\
         who may         join: public, send: everyone inside\n\
         texts are kept  for 90 days, at the host\n\
         you are         owner\n\
         id              01900000-0000-7000-8000-000000000002"
    );
    let history = HistoryOf {
        channel: "first".parse().unwrap(),
        messages: vec![message(6, "a"), message(7, "b")],
        head,
        missing: None,
        earlier: Vec::new(),
    };
    let former = EarlierLog { epoch: epoch(), kept: 0, messages: vec![message(12, "old")] };
    let led = HistoryOf { earlier: vec![former], ..history.clone() };
    assert_eq!(
        reply(&Reply::History(led)),
        "12 23:13 #first charlie (guest): old\n\
         * up to here an earlier log, as it was received; then the channel's log was begun anew\n \
         6 23:13 #first charlie (guest): a\n \
         7 23:13 #first charlie (guest): b"
    );
    assert_eq!(
        reply(&Reply::History(history)),
        "6 23:13 #first charlie (guest): a\n\
         7 23:13 #first charlie (guest): b\n\
         * older ones: history first --before 6"
    );
}

#[test]
fn help_has_every_command_and_its_words() {
    let help = plain().help(None);
    for spec in specs() {
        assert!(
            help.contains(&format!("  {}", spec.synopsis())) && help.contains(spec.help),
            "{}",
            spec.word
        );
    }
    assert!(help.lines().all(|line| line.chars().count() <= 132));
    let one = plain().help(specs().find(|spec| spec.word == "info"));
    assert_eq!(one, "info CH\n  what a channel is: owner, age, size, who may do what\n  also: retrieve");
}

#[test]
fn colours_are_only_there_when_wanted() {
    let mut renderer = plain();
    renderer.style.colour = true;
    let shown = renderer.event(&Event::Message(message(1, "hi")), now()).unwrap();
    assert_eq!(shown, "\x1b[2m23:13\x1b[0m \x1b[2m#first\x1b[0m \x1b[1mcharlie\x1b[0m (guest): hi");
    assert!(!plain().help(None).contains('\x1b'));
}

fn waiting(state: OutgoingState, text: &str) -> OutboxItem {
    OutboxItem {
        id: message_id(),
        channel: "first".parse().unwrap(),
        state,
        text: text.into(),
        sent_at: now(),
        expires: None,
        code: None,
        reason: None,
        wish: None,
    }
}

#[test]
fn the_outbox_is_a_table_that_says_what_to_type() {
    let refused = OutboxItem {
        code: Some(Code::NotAllowed),
        reason: Some("you may not do this here".into()),
        ..waiting(OutgoingState::Refused, "one\ntwo\x1b[2J")
    };
    let behind = OutboxItem {
        reason: Some("behind 00000001".into()),
        wish: Some(WishedChange::Cancel),
        ..waiting(OutgoingState::Queued, &"x".repeat(40))
    };
    let mut messages = vec![refused];
    messages.extend(vec![behind; 5]);
    let shown = reply(&Reply::Outbox(OutboxList { messages, total: 9 }));
    let lines = shown.lines().collect::<Vec<_>>();
    assert_eq!(lines.len(), 12, "{shown}");
    assert!(lines[1].starts_with("00000001  #first   23:13    refused                  one␤two"), "{shown}");
    assert!(!shown.contains('\x1b'));
    assert!(lines[2].contains("queued, to be cancelled  x") && lines[2].ends_with("x…"), "{shown}");
    assert_eq!(lines[7], "* 00000001: you may not do this here (not_allowed)");
    assert_eq!(lines[8], "* 00000001, 00000001, 00000001 and 2 more: behind 00000001");
    assert_eq!(lines[9], "* and 3 more");
    assert_eq!(lines[10], "* all of a channel again: outbox retry first");
    assert!(lines[11].contains("outbox edit 00000001 text…"), "{shown}");
    let none = OutboxList { messages: vec![], total: 0 };
    assert_eq!(reply(&Reply::Outbox(none)), "* nothing waits to be sent");
}

#[test]
fn what_becomes_of_ones_own_messages_is_told() {
    let channel: common::name::ChannelName = "first".parse().unwrap();
    let moved_on =
        |messages, between| Event::MovedOn { channel: channel.clone(), messages, between, oldest: now() };
    assert_eq!(
        event(&moved_on(1, 37)),
        "* #first: 37 messages came in before your message of 23:13 goes out now"
    );
    assert_eq!(
        event(&moved_on(2, 1)),
        "* #first: 1 message came in before 2 messages of yours, the oldest of 23:13, go out now"
    );
    let outgoing = |state, reason: Option<&str>| Event::Outgoing {
        id: message_id(),
        channel: channel.clone(),
        state,
        seq: None,
        code: None,
        reason: reason.map(str::to_owned),
        becomes: None,
    };
    for (state, reason, expected) in [
        (OutgoingState::Cancelled, None, Some("* the message 00000001 to #first is cancelled")),
        (OutgoingState::Queued, Some("it waits"), Some("* the message 00000001 to #first is kept: it waits")),
        (OutgoingState::Queued, None, None),
        (OutgoingState::Sending, None, None),
        (OutgoingState::Stored, None, None),
    ] {
        assert_eq!(plain().event(&outgoing(state, reason), now()).as_deref(), expected);
    }
    let change = |done| OutboxChange {
        id: message_id(),
        channel: channel.clone(),
        wish: WishedChange::Edit,
        done,
        becomes: None,
    };
    assert_eq!(plain().reply(&Reply::Changed(change(true)), now()), None);
    assert!(reply(&Reply::Changed(change(false))).contains("not known yet whether 00000001 was stored"));
    let retried = Retried { channel: channel.clone(), messages: 2, reason: Some("host away".into()) };
    assert_eq!(reply(&Reply::Retried(retried)), "* #first: 2 messages go out again (host away)");
}
