use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::api::Command;

fn command(line: &str) -> Command {
    let parsed = parse(line).unwrap_or_else(|error| panic!("{line:?}: {error:?}")).unwrap();
    let secrets = parsed.spec.secrets.iter().map(|_| Secret::new("password")).collect();
    match parsed.into_action(secrets).unwrap() {
        Action::Perform(command) => command,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn reason(line: &str) -> String {
    let refusal = parse(line).unwrap_err().refusal;
    assert!(matches!(refusal.code, Code::Usage | Code::BadName), "{line:?}: {refusal:?}");
    refusal.reason
}

#[test]
fn commands_are_read_bare_or_with_a_slash() {
    let table = [
        ("join first", "Join { channel: ChannelName(\"first\") }"),
        ("/join first", "Join { channel: ChannelName(\"first\") }"),
        ("  JOIN\tfirst \r\n", "Join { channel: ChannelName(\"first\") }"),
        ("join \"the first\"", "Join { channel: ChannelName(\"the first\") }"),
        ("disconnect first", "Leave { channel: ChannelName(\"first\") }"),
        ("retrieve first", "Info { channel: ChannelName(\"first\") }"),
        ("guest", "Guest { name: None }"),
        ("guest ken", "Guest { name: Some(UserName(\"ken\")) }"),
        ("signin ken", "Signin { name: Some(UserName(\"ken\")), password: Secret(hidden) }"),
        ("list", "List { pattern: None, after: None }"),
        ("list f*t --after fi", "List { pattern: Some(\"f*t\"), after: Some(\"fi\") }"),
        ("list --after \"a b\" x", "List { pattern: Some(\"x\"), after: Some(\"a b\") }"),
        ("list \"--after\"", "List { pattern: Some(\"--after\"), after: None }"),
        ("outbox", "Outbox(List { channel: None })"),
        ("/OUTBOX first", "Outbox(List { channel: Some(ChannelName(\"first\")) })"),
        ("outbox \"retry\"", "Outbox(List { channel: Some(ChannelName(\"retry\")) })"),
        ("outbox  Retry  first", "Outbox(Retry { which: \"first\" })"),
        ("outbox retry \"Fine Arts\"", "Outbox(Retry { which: \"Fine Arts\" })"),
        ("outbox retry 235553B7", "Outbox(Retry { which: \"235553B7\" })"),
        ("outbox cancel 235553B7", "Outbox(Cancel { id: \"235553b7\" })"),
        ("outbox edit b7  as it is ", "Outbox(Edit { id: \"b7\", text: \" as it is \" })"),
        ("view first 0", "Moderate { channel: ChannelName(\"first\"), order: View(Restricted) }"),
        ("view first PUBLIC", "Moderate { channel: ChannelName(\"first\"), order: View(Public) }"),
        ("post first authorized", "Moderate { channel: ChannelName(\"first\"), order: Post(Authorized) }"),
        (
            "authorize first ada moderator",
            "Moderate { channel: ChannelName(\"first\"), order: Authorize { who: Name(UserName(\"ada\")), role: Moderator } }",
        ),
        (
            "author \"Fine Arts\" ada 1",
            "Moderate { channel: ChannelName(\"Fine Arts\"), order: Authorize { who: Name(UserName(\"ada\")), role: Authorized } }",
        ),
        (
            "author first ada 0",
            "Moderate { channel: ChannelName(\"first\"), order: Deauthorize { who: Name(UserName(\"ada\")) } }",
        ),
        (
            "kick first ada  two  spaces ",
            "Moderate { channel: ChannelName(\"first\"), order: Kick { who: Name(UserName(\"ada\")), why: Some(\" two  spaces \") } }",
        ),
        (
            "kick first ada ",
            "Moderate { channel: ChannelName(\"first\"), order: Kick { who: Name(UserName(\"ada\")), why: None } }",
        ),
        (
            "unban first 01a0bf2a-1000-7a25-8cbb-00727b95fa95",
            "Moderate { channel: ChannelName(\"first\"), order: Unban { who: Subject(Account(AccountId(01a0bf2a-1000-7a25-8cbb-00727b95fa95))) } }",
        ),
        ("audit first 7", "Moderate { channel: ChannelName(\"first\"), order: Audit { count: 7 } }"),
        ("members first --authorized", "Members { channel: ChannelName(\"first\"), granted: true }"),
        ("unhost first", "Unhost { channel: ChannelName(\"first\"), release: false }"),
        ("unhost --release first", "Unhost { channel: ChannelName(\"first\"), release: true }"),
        ("history first", "History { channel: ChannelName(\"first\"), count: 50, before: None }"),
        (
            "refresh first 7 --before 9",
            "History { channel: ChannelName(\"first\"), count: 7, before: Some(9) }",
        ),
    ];
    for (line, expected) in table {
        assert_eq!(format!("{:?}", command(line)), expected, "{line:?}");
    }
}

#[test]
fn a_text_is_the_rest_of_the_line_as_it_is() {
    let table = [
        ("send first hi", "hi"),
        ("send first  two spaces  ", " two spaces  "),
        ("send first \"quoted\" --release #x", "\"quoted\" --release #x"),
        ("send \"first\"\t/join x\r\n", "/join x"),
        ("send first one\ntwo", "one\ntwo"),
        ("send first   ", "  "),
    ];
    for (line, expected) in table {
        match command(line) {
            Command::Send { text, .. } => assert_eq!(text, expected, "{line:?}"),
            other => panic!("{other:?}"),
        }
    }
    for line in ["send", "send first", "send first ", "send \"first\"hi"] {
        assert!(reason(line).contains("usage: send CH text…"), "{line:?}");
    }
}

#[test]
fn a_wrong_line_says_how_it_is_typed() {
    let table = [
        ("join", "usage: join CH"),
        ("join a b", "double quotes"),
        ("join \"a b", "not closed"),
        ("join \"a\"b", "comes a space"),
        ("join a\"b\"", "not inside"),
        ("join first --release", "there is no --release"),
        ("unhost a --release --release", "twice"),
        ("history first 0", "from 1 to 500"),
        ("history first 501", "from 1 to 500"),
        ("history first --before", "needs something"),
        ("history first --before x", "number of a message"),
        ("outbox cancel", "usage: outbox cancel ID"),
        ("outbox cancel first", "end of a message's id"),
        ("outbox edit b7", "usage: outbox edit ID text…"),
        ("outbox retry #first", "usage: outbox retry ID|CH"),
        ("outbx", "did you mean outbox?"),
        ("jion first", "did you mean join?"),
        ("disconect first", "did you mean leave?"),
        ("memb", "did you mean members?"),
        ("zzzzzzzz", "help shows all"),
        ("/", "help shows all"),
        ("help jion", "did you mean join?"),
        ("join #first", "type first"),
        ("join \"#a b\"", "type \"a b\""),
        ("guest @ken", "type ken"),
        ("join a/b", "is no channel's name"),
        ("quit now", "usage: quit"),
    ];
    for (line, expected) in table {
        let reason = reason(line);
        assert!(reason.contains(expected), "{line:?}: {reason}");
    }
    assert_eq!(parse("frob x").unwrap_err().word.as_deref(), Some("frob"));
    assert_eq!(parse("retrieve").unwrap_err().word.as_deref(), Some("retrieve"));
    assert_eq!(parse("/ x").unwrap_err().word, None);
}

#[test]
fn a_password_is_never_an_argument() {
    for line in ["signin ken secret", "signup ken secret", "passwd secret"] {
        let reason = reason(line);
        assert!(reason.contains("asked for afterwards") && reason.contains("not kept"), "{reason}");
        assert!(!reason.contains("secret"));
    }
    for line in
        ["signin ken secret", "/signin ken secret", "sigin ken secret", "passwd secret", "passwrd a b"]
    {
        assert!(may_hold_password(line), "{line}");
    }
    for line in ["signin ken", "signin", "passwd", "send first secret", "", "join first x"] {
        assert!(!may_hold_password(line), "{line}");
    }
}

#[test]
fn nothing_typed_asks_for_nothing() {
    for line in ["", " ", "\r\n", "\t \n"] {
        assert!(parse(line).unwrap().is_none(), "{line:?}");
    }
    assert!(parse(&"x".repeat(MAX_LINE_BYTES + 1)).unwrap_err().refusal.reason.contains("65536"));
}

#[test]
fn a_tag_stands_before_the_command() {
    assert_eq!(split_tag("#7 join first").unwrap(), (Some("7"), "join first"));
    assert_eq!(split_tag(" #é\tx").unwrap(), (Some("é"), "x"));
    assert_eq!(split_tag("#7").unwrap(), (Some("7"), ""));
    assert_eq!(split_tag("join #first").unwrap(), (None, "join #first"));
    assert!(split_tag("# join first").is_err());
    assert!(split_tag(&format!("#{} x", "a".repeat(129))).is_err());
}

#[test]
fn the_big_list_of_naughty_strings_is_read_or_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/naughty-strings.txt");
    let list = std::fs::read_to_string(path).unwrap();
    assert!(list.lines().count() > 500);
    for line in list.lines() {
        check(line);
        for word in specs().flat_map(Spec::words) {
            check(&format!("{word} {line}"));
        }
        if !line.is_empty() {
            match command(&format!("send first {line}")) {
                Command::Send { text, .. } => assert_eq!(text, line),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Whatever the line is, nothing panics, and a refusal says something.
fn check(line: &str) {
    let _ = (split_tag(line), may_hold_password(line));
    match parse(line) {
        Ok(Some(parsed)) => {
            let secrets = parsed.spec.secrets.iter().map(|_| Secret::new("x")).collect();
            if let Err(refusal) = parsed.into_action(secrets) {
                assert!(!refusal.reason.is_empty());
            }
        }
        Ok(None) => assert!(line.trim().is_empty()),
        Err(error) => assert!(!error.refusal.reason.is_empty()),
    }
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in any::<String>()) {
        check(&line);
    }

    #[test]
    fn lines_like_commands_are_read_or_refused(
        word in prop::sample::select(specs().flat_map(Spec::words).collect::<Vec<_>>()),
        rest in "([ \"#/-]|--after|--before|--release|[a-z0-9é]){0,12}",
    ) {
        check(&format!("{word} {rest}"));
        check(&format!("/{word}{rest}"));
    }
}
