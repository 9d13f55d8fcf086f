//! What may follow what has been typed: completion and hints, from the command table and the names seen. Pure.

use super::command::{self, Arg, Kind, Spec, specs};
use super::known::Known;
use super::parse::{find_row, quoted, split_word};

/// Where the word under completion begins in the line, and what may stand there.
pub fn complete(typed: &str, known: &Known) -> (usize, Vec<String>) {
    if is_message(typed, known) {
        return (typed.len(), Vec::new());
    }
    let (word, rest) = split_word(typed);
    if rest.is_empty() {
        let words = specs().map(|spec| spec.word).filter(|word| !word.contains(' '));
        return (typed.len() - word.len(), begun_with(word, words));
    }
    let Some((spec, rest)) = row(word, rest) else {
        return (typed.len(), Vec::new());
    };
    let parts = Parts::of(rest);
    let last = parts.last;
    let start = typed.len() - last.len();
    if last.starts_with('-') {
        return (start, begun_with(last, spec.flags.iter().map(|flag| flag.word())));
    }
    let seconds = spec.followed().filter_map(|row| row.word.split_once(' ')).map(|(_, second)| second);
    let mut candidates = if parts.whole == 0 { begun_with(last, seconds) } else { Vec::new() };
    let last_arg = spec.args.last().filter(|arg| arg.kind == Kind::Users);
    candidates.extend(match spec.args.get(parts.whole).or(last_arg).map(|arg| arg.kind) {
        Some(Kind::Channel) => channels(last, known),
        Some(Kind::Who | Kind::Contact | Kind::Users) => begun_with(last, known.people()),
        Some(Kind::Choice(choices)) => begun_with(last, command::shown(choices)),
        Some(Kind::Place) => places(last, known),
        Some(Kind::Word) => begun_with(last, specs().map(|spec| spec.word)),
        Some(Kind::Message) => begun_with(last, known.outgoing()),
        Some(Kind::Queue) => [begun_with(last, known.outgoing()), channels(last, known)].concat(),
        _ => Vec::new(),
    });
    (start, candidates)
}

/// How the command that is being typed goes on.
pub fn hint(typed: &str, known: &Known) -> Option<String> {
    if is_message(typed, known) {
        return None;
    }
    let (word, rest) = split_word(typed);
    let (spec, rest) = row(word, rest)?;
    if rest.is_empty() {
        return (!spec.usage.is_empty()).then(|| format!(" {}", spec.usage));
    }
    let parts = Parts::of(rest);
    // Within a word there is nothing to add; within a text neither.
    let is_between = parts.last.is_empty() && !parts.has_flag && !is_text(spec, parts.whole.wrapping_sub(1));
    let left = spec.usage.splitn(parts.whole + 1, ' ').nth(parts.whole)?;
    (is_between && !left.is_empty()).then(|| left.to_owned())
}

/// The row of what is typed. A second word still being typed may become another one.
fn row<'a>(word: &str, rest: &'a str) -> Option<(&'static Spec, &'a str)> {
    find_row(word, rest)
        .filter(|(spec, _, after)| !spec.word.contains(' ') || !after.is_empty())
        .map(|(spec, _, after)| (spec, after))
        .or_else(|| command::find(word).map(|(spec, _)| (spec, rest)))
}

fn is_message(typed: &str, known: &Known) -> bool {
    known.talk.is_some() && !typed.trim_start().starts_with('/')
}

fn is_text(spec: &Spec, index: usize) -> bool {
    spec.args.get(index).is_some_and(|Arg { kind, .. }| *kind == Kind::Text)
}

fn begun_with<'a>(begun: &str, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let begun = begun.to_lowercase();
    words.filter(|word| word.to_lowercase().starts_with(&begun)).map(|word| format!("{word} ")).collect()
}

fn channels(begun: &str, known: &Known) -> Vec<String> {
    let begun = begun.strip_prefix('"').unwrap_or(begun).to_lowercase();
    let fitting = known.channels().filter(|channel| channel.folded().starts_with(&begun));
    fitting.map(|channel| format!("{} ", quoted(channel.as_str()))).collect()
}

fn places(begun: &str, known: &Known) -> Vec<String> {
    match begun.strip_prefix('@') {
        Some(begun) => {
            begun_with(begun, known.people()).into_iter().map(|found| format!("@{found}")).collect()
        }
        None => channels(begun, known),
    }
}

/// The parts of a line after its word: how many are whole, and the last one, which may be empty.
struct Parts<'a> {
    whole: usize,
    last: &'a str,
    has_flag: bool,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Self {
        let mut parts = Self { whole: 0, last: rest.trim_start(), has_flag: false };
        loop {
            let end = match parts.last.strip_prefix('"') {
                Some(inner) => inner.find('"').map(|end| end + 2),
                None => parts.last.find(char::is_whitespace),
            };
            let Some((part, after)) = end.and_then(|end| parts.last.split_at_checked(end)) else {
                return parts;
            };
            if after.is_empty() {
                // A closed quote, and no space behind it yet.
                return parts;
            }
            parts.has_flag |= part.starts_with("--");
            parts.whole += 1;
            parts.last = after.trim_start();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::{Event, LinkState, OutgoingState};
    use crate::ui::fake::message_id;

    fn known() -> Known {
        let mut known = Known::default();
        for to in ["first", "Fine Arts", "second", "tracker"] {
            known.see_event(&Event::Connection {
                to: to.into(),
                state: LinkState::Up,
                reason: None,
                since: None,
            });
        }
        known.see_event(&Event::Chat {
            user: "Charlie".parse().unwrap(),
            state: crate::api::ChatState::Accepted,
            key: None,
        });
        known.see_event(&Event::Outgoing {
            id: message_id(),
            channel: "first".parse().unwrap(),
            state: OutgoingState::Queued,
            seq: None,
            code: None,
            reason: None,
            becomes: None,
        });
        known
    }

    #[test]
    fn words_channels_and_flags_are_completed() {
        let table: [(&str, usize, &[&str]); 23] = [
            ("msg ch", 4, &["Charlie "]),
            ("talk @", 5, &["@Charlie "]),
            ("talk s", 5, &["second "]),
            ("jo", 0, &["join "]),
            ("/JO", 1, &["join "]),
            ("sign", 0, &["signup ", "signin ", "signout "]),
            ("join f", 5, &["\"Fine Arts\" ", "first "]),
            ("join \"fi", 5, &["\"Fine Arts\" ", "first "]),
            ("join ", 5, &["\"Fine Arts\" ", "first ", "second "]),
            ("send sec", 5, &["second "]),
            ("send second fi", 12, &[]),
            ("unhost first --r", 13, &["--release "]),
            ("help whoa", 5, &["whoami "]),
            ("out", 0, &["outbox "]),
            ("outbox ", 7, &["retry ", "cancel ", "edit ", "\"Fine Arts\" ", "first ", "second "]),
            ("outbox re", 7, &["retry "]),
            ("outbox retry", 7, &["retry "]),
            ("outbox retry fi", 13, &["\"Fine Arts\" ", "first "]),
            ("outbox cancel ", 14, &["00000001 "]),
            ("outbox edit 00000001 fi", 21, &[]),
            ("join x first", 7, &[]),
            ("frob f", 6, &[]),
            ("history \"Fine Arts\" --", 20, &["--before ", "--around ", "--branch "]),
        ];
        for (typed, start, expected) in table {
            let (at, candidates) = complete(typed, &known());
            assert_eq!(
                (at, candidates),
                (start, expected.iter().map(|word| (*word).to_owned()).collect()),
                "{typed}"
            );
        }
    }

    #[test]
    fn the_usage_of_the_command_being_typed_is_hinted() {
        let table = [
            ("join", Some(" CH")),
            ("join ", Some("CH")),
            ("join f", None),
            ("send first ", Some("text…")),
            ("send first hi ", None),
            ("history first ", Some("[n] [--before|--around N] [--branch]")),
            ("msg ", Some("USER text…")),
            ("history first 7 ", Some("[--before|--around N] [--branch]")),
            ("history first --before ", None),
            ("outbox", Some(" [CH]")),
            ("outbox cancel ", Some("ID")),
            ("outbox edit b7 ", Some("text…")),
            ("outbox edit b7 hi ", None),
            ("whoami", None),
            ("whoami ", None),
            ("joi", None),
            ("", None),
        ];
        for (typed, expected) in table {
            assert_eq!(hint(typed, &known()).as_deref(), expected, "{typed}");
        }
    }

    #[test]
    fn a_message_is_not_completed() {
        let mut known = known();
        known.talk = Some(command::TalkTo::Channel("first".parse().unwrap()));
        assert_eq!(complete("jo", &known), (2, Vec::new()));
        assert_eq!(hint("join", &known), None);
        assert_eq!(complete("/jo", &known).1, ["join "]);
        assert_eq!(known.prompt(), "natter #first> ");
    }

    proptest! {
        #[test]
        fn any_line_can_be_completed(word in "(/?(join|send|history|unhost|list) )?", rest in any::<String>()) {
            let typed = word + &rest;
            let (start, _) = complete(&typed, &known());
            prop_assert!(typed.is_char_boundary(start));
            let _ = hint(&typed, &known());
        }
    }
}
