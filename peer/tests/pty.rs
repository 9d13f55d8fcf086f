//! The real program on a terminal: what is typed, what is seen, and that passwords and hostile text never get there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![cfg(unix)]

mod process_support;

use std::path::Path;

use process_support::PASSWORD;
use process_support::peer::Peer;
use process_support::terminal::{Kind, Terminal, XTERM};
use process_support::tracker::Tracker;
use rustix::process::Signal;

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const UP: &str = "\x1b[A";

fn start_tracker(folder: &Path) -> Tracker {
    Tracker::start(&folder.join("tracker"))
}

#[test]
fn a_half_typed_line_is_whole_below_an_arriving_message() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    for no_color in [false, true] {
        let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), Kind { no_color, ..XTERM });
        charlie.type_line("join first");
        charlie.see("joined #first");
        charlie.see_line("charlie> ");
        charlie.type_keys("send first half a li");
        charlie.see_line("charlie> send first half a li");
        let text = format!("a message in between, {no_color}");
        ken.send("first", &text);
        charlie.wait(&text, |terminal| {
            let shown = terminal.shown();
            let lines = shown.lines().collect::<Vec<_>>();
            // Each stands in a row of its own, the message above.
            let is_above = lines.iter().rev().nth(1).is_some_and(|line| line.ends_with(&text));
            is_above && terminal.last_row().0 == "charlie> send first half a li"
        });
        charlie.see_line("charlie> send first half a li");
        charlie.type_line("ne");
        ken.wait_message("half a line");
        charlie.see("charlie (guest): half a line");
        charlie.type_line("leave first");
        charlie.see("done");
        charlie.type_line("quit");
        charlie.see_end();
    }
}

#[test]
fn commands_and_channels_are_completed_and_slips_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    ken.done("host \"second floor\"");
    let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), Kind { no_color: true, ..XTERM });
    charlie.type_keys("who\t");
    charlie.see_line("charlie> whoami ");
    charlie.type_keys(CTRL_C);
    charlie.see_line("charlie> ");
    charlie.type_line("list");
    charlie.see("second floor");
    charlie.see_line("charlie> ");
    charlie.type_keys("join fi\t");
    charlie.see_line("charlie> join first ");
    charlie.type_line("");
    charlie.see("joined #first");
    charlie.type_keys("/join se\t");
    charlie.see_line("charlie> /join \"second floor\" ");
    charlie.type_line("");
    charlie.see("joined #second floor");
    charlie.type_line("sned first hello");
    charlie.see("did you mean send?");
    charlie.type_line("talk \"second floor\"");
    charlie.see_line("charlie #second floor> ");
    charlie.type_line("list is no command here");
    ken.wait_message("list is no command here");
    charlie.type_line("/talk");
    charlie.see_line("charlie> ");
    charlie.type_line("exit");
    charlie.see_end();
}

/// Waits for the prompts of `signin`. On a plain terminal the one for commands may stand before it in its row.
fn see_password_prompts(terminal: &mut Terminal, count: usize) {
    let is_prompt = |row: &&str| row.trim_end().ends_with("password:") && !row.contains("new password");
    terminal.wait("the password's prompt", |terminal| {
        terminal.shown().lines().filter(is_prompt).count() == count
    });
}

/// Makes an account, leaves it and comes back, all by passwords; looks for them in everything that was written.
fn type_passwords(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    let mut ken = Terminal::start(&tracker, "ken", folder.path(), kind);
    let fingerprint = tracker.key.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part).into_owned());
    let fingerprint = fingerprint.collect::<Vec<_>>();
    ken.type_line("signup");
    ken.see("yes/no: ");
    // The same as the tracker's operator sees, in groups.
    let shown = ken.shown();
    assert!(fingerprint.iter().all(|part| shown.contains(part)), "{fingerprint:?} in {shown}");
    ken.type_line("no");
    ken.see("no password was sent");
    ken.type_line("signup");
    ken.wait("the question again", |terminal| terminal.shown().matches("yes/no: ").count() == 2);
    ken.type_line("yes");
    ken.see("new password: ");
    // Both at once, as out of a password manager.
    ken.type_keys(&format!("{PASSWORD}\r{PASSWORD}\r"));
    ken.see("once more: ");
    ken.see("signed in as ken");
    ken.type_line("signout");
    ken.see("not signed in");
    ken.type_line("signin ken");
    see_password_prompts(&mut ken, 1);
    ken.type_line("wrong horse battery");
    ken.see("bad_password");
    ken.type_line("signin ken");
    see_password_prompts(&mut ken, 2);
    ken.type_line(PASSWORD);
    ken.wait("the account", |terminal| terminal.shown().matches("signed in as ken").count() == 2);
    ken.type_line("quit");
    ken.see_end();
    for secret in ["horse", "correct", "battery", "***"] {
        assert!(!ken.has_written(secret.as_bytes()), "{secret}:\n{}", ken.shown());
    }
    let typed = std::fs::read_to_string(folder.path().join("ken/typed")).unwrap();
    assert!(typed.contains("signin ken") && !typed.contains("horse"), "{typed}");
}

#[test]
fn passwords_are_never_shown_on_a_colourful_terminal() {
    type_passwords(XTERM);
}

#[test]
fn passwords_are_never_shown_without_colours() {
    type_passwords(Kind { no_color: true, ..XTERM });
}

#[test]
fn passwords_are_never_shown_on_a_dumb_terminal() {
    for no_color in [false, true] {
        type_passwords(Kind { term: "dumb", no_color });
    }
}

#[test]
fn passwords_are_never_shown_on_a_vt100() {
    for no_color in [false, true] {
        type_passwords(Kind { term: "vt100", no_color });
    }
}

#[test]
fn passwords_are_never_shown_on_a_console() {
    for no_color in [false, true] {
        type_passwords(Kind { term: "linux", no_color });
    }
}

#[test]
fn signals_leave_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    for (signal, keys, seen) in [
        (Signal::TERM, "", "charlie> "),
        (Signal::TERM, "send first half a li", "charlie> send first half a li"),
        (Signal::HUP, "who", "charlie> who"),
        (Signal::TERM, "signup\r", "Is it the same? yes/no: "),
    ] {
        let mut charlie =
            Terminal::start(&tracker, "charlie", folder.path(), Kind { no_color: true, ..XTERM });
        charlie.type_keys(keys);
        charlie.see_line(seen);
        charlie.signal(signal);
        charlie.see_end();
    }
    let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), XTERM);
    charlie.type_line("signup");
    charlie.see("yes/no: ");
    charlie.type_line("yes");
    charlie.see("new password: ");
    // What is typed is on its way for a moment. The first question is answered, so its keys have been read: those of a
    // half-typed line might come when the terminal is as it was, and then it shows them itself.
    charlie.type_line("corr");
    charlie.see("once more: ");
    charlie.signal(Signal::TERM);
    charlie.see_end();
    assert!(!charlie.has_written(b"corr"), "{}", charlie.shown());
}

/// The line editor comes back to the terminal when a line is done, and that may be while the peer ends.
#[test]
fn lines_typed_while_the_peer_ends_leave_the_terminal_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    for lines_before in [0, 1, 5, 20] {
        let mut charlie =
            Terminal::start(&tracker, "charlie", folder.path(), Kind { no_color: true, ..XTERM });
        charlie.see_line("charlie> ");
        charlie.type_keys(&"whoami\r".repeat(lines_before));
        charlie.signal(Signal::TERM);
        charlie.type_until_the_end("\r");
        charlie.see_end();
    }
}

#[test]
fn the_end_of_the_input_leaves_and_ctrl_c_clears_first() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    for kind in [XTERM, Kind { term: "dumb", no_color: true }] {
        let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), kind);
        charlie.type_keys(CTRL_D);
        charlie.see_end();
    }
    let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), Kind { no_color: true, ..XTERM });
    charlie.type_keys("never mind");
    charlie.see_line("charlie> never mind");
    charlie.type_keys(CTRL_C);
    charlie.see_line("charlie> ");
    charlie.type_keys(CTRL_C);
    charlie.see("press Ctrl-C once more");
    charlie.type_keys(CTRL_C);
    charlie.see_end();
}

#[test]
fn typed_lines_are_there_at_the_next_start_and_passwords_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    let kind = Kind { no_color: true, ..XTERM };
    let mut ken = Terminal::start(&tracker, "ken", folder.path(), kind);
    ken.type_line("members nowhere");
    ken.see("not_joined");
    // By mistake on the line: it is refused, and forgotten.
    ken.type_line("signup ken hunter22!");
    ken.see("asked for afterwards");
    ken.see_line("ken> ");
    ken.type_line("signup ken");
    ken.see("yes/no: ");
    ken.type_line("yes");
    ken.see("new password: ");
    ken.type_line("hunter22!");
    ken.see("once more: ");
    ken.type_line("hunter22!");
    ken.see("signed in as ken");
    ken.see_line("ken> ");
    ken.signal(Signal::KILL);
    drop(ken);

    let mut ken = Terminal::again(&tracker, "ken", folder.path(), kind);
    ken.see("signed in as ken");
    ken.see_line("ken> ");
    for expected in ["signup ken", "members nowhere"] {
        ken.type_keys(UP);
        ken.see_line(&format!("ken> {expected}"));
    }
    ken.type_keys(CTRL_C);
    ken.type_keys(CTRL_D);
    ken.see_end();
    let kept = std::fs::read_to_string(folder.path().join("ken/typed")).unwrap();
    assert!(!kept.contains("hunter") && !kept.contains("yes"), "{kept}");
}

#[test]
fn hostile_text_of_another_member_arrives_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_tracker(folder.path());
    let mut ken = Peer::host(&tracker, "ken", folder.path(), "first");
    let mut charlie = Terminal::start(&tracker, "charlie", folder.path(), XTERM);
    charlie.type_line("join first");
    charlie.see("joined #first");
    let hostile = [
        "\x1b[2J\x1b[H cleared?",
        "\x1b]0;a title\x07 titled?",
        "\x1b]52;c;aGVsbG8=\x1b\\ copied?",
        "\x1b[?1049h another screen?",
        "\x1b[8m hidden?",
        "\x1bc reset?",
        "\u{9b}2J with one character?",
        "\x08\x08\x08\x08\x08\x08 backwards?",
        "good\rcharlie (guest): what I never said?",
        "\u{202e}sdrawkcab? or not?",
        "\x1bP+q544e\x1b\\ asked?",
        "\x0e shifted?",
    ];
    for text in hostile {
        ken.send("first", text);
        let end = text.rsplit(' ').next().unwrap();
        charlie.see(end);
    }
    ken.send("first", "the last one");
    charlie.see("the last one");
    let bad: [&[u8]; 12] = [
        b"\x1b[2J",
        b"\x1b]",
        b"\x07",
        b"\x1b[?1049h",
        b"\x1b[8m",
        b"\x1bc",
        b"\xc2\x9b",
        b"\x08\x08\x08",
        b"\rcharlie (guest): what",
        b"\xe2\x80\xae",
        b"\x1bP",
        b"\x0e",
    ];
    for bytes in bad {
        assert!(!charlie.has_written(bytes), "{:?}:\n{}", String::from_utf8_lossy(bytes), charlie.shown());
    }
    let shown = charlie.shown();
    assert!(
        shown.contains("joined #first") && !shown.lines().any(|line| line.starts_with("charlie (guest)")),
        "{shown}"
    );
    charlie.see_line("charlie> ");
    charlie.type_line("quit");
    charlie.see_end();
}
