//! What people have really written, and what nobody should, through a real tracker and a real host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use common::clock::Timestamp;
use common::name::UserName;
use jiff::tz::TimeZone;
use peer::api::Event;
use peer::ui::render::{Renderer, Style};
use support::{Person, World};

/// A line of a log: who, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    nick: String,
    text: String,
}

/// How many are let in at once.
const AT_ONCE: usize = 8;

fn data(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    std::fs::read_to_string(path).unwrap()
}

/// The `<nick>` lines that have a text.
fn lines_of(log: &str) -> Vec<Line> {
    let lines = log.split('\n').filter_map(|line| {
        let (nick, text) = line.split_once("] <")?.1.split_once("> ")?;
        Some(Line { nick: nick.to_owned(), text: text.to_owned() })
    });
    lines.filter(|line| !line.text.is_empty()).collect()
}

/// The name that each nick goes by here: the first spelling of it, and another one where that looks like somebody
/// else's, or is no name. The second is how often that was needed.
fn names_of(lines: &[Line]) -> (BTreeMap<String, UserName>, usize) {
    let (mut names, mut looks, mut changed) = (BTreeMap::new(), Vec::new(), 0);
    for Line { nick, .. } in lines {
        let folded = common::name::fold(nick);
        if names.contains_key(&folded) {
            continue;
        }
        let as_it_is = nick.parse::<UserName>().ok();
        let as_it_is = as_it_is.filter(|name| !name.skeletons().iter().any(|look| looks.contains(look)));
        let name = as_it_is.unwrap_or_else(|| {
            changed += 1;
            format!("speaker-{}", names.len()).parse().unwrap()
        });
        looks.extend(name.skeletons());
        names.insert(folded, name);
    }
    (names, changed)
}

fn peak_memory_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or_default() / 1024
}

/// Lets everybody into the channel, a few at a time.
async fn gather(world: &World, names: &BTreeMap<String, UserName>) -> BTreeMap<String, Person> {
    let mut people = BTreeMap::new();
    let names: Vec<_> = names.iter().collect();
    for few in names.chunks(AT_ONCE) {
        let coming = few.iter().map(|(folded, name)| async move {
            let person = world.guest(name.as_str()).await;
            person.join("ubuntu").await;
            ((*folded).clone(), person)
        });
        people.extend(futures_util::future::join_all(coming).await);
    }
    people
}

/// What somebody was shown of the channel; its numbers have to be without gap or repeat.
fn view(person: &Person) -> Vec<Line> {
    let messages = person.messages("ubuntu");
    let in_order = messages.iter().zip(1..).all(|(message, seq)| message.seq == seq);
    assert!(in_order, "{}: gap or repeat", person.name());
    let line = |message: peer::api::ChatMessage| Line { nick: message.from, text: message.text.unwrap() };
    messages.into_iter().map(line).collect()
}

#[actix::test]
async fn a_real_conversation_is_the_same_to_everybody() {
    let lines = lines_of(&data("ubuntu-irc-2015-10-19.log"));
    let (names, changed) = names_of(&lines);
    assert_eq!((lines.len(), names.len(), changed), (1047, 114, 0), "the log is another one");

    let begun = Instant::now();
    let world = World::new().await;
    let host = world.guest("the-host").await;
    host.host("ubuntu").await;
    let mut people = gather(&world, &names).await;
    let gathered = begun.elapsed();

    for (line, seq) in lines.iter().zip(1..) {
        let speaker = people.get_mut(&common::name::fold(&line.nick)).unwrap();
        speaker.send("ubuntu", &line.text).await;
        // The next one speaks when this is stored.
        assert_eq!(speaker.expect("stored message", support::stored).await, seq);
    }
    let said = begun.elapsed() - gathered;

    let said_by = |line: &Line| names[&common::name::fold(&line.nick)].as_str().to_owned();
    let expected: Vec<_> =
        lines.iter().map(|line| Line { nick: said_by(line), text: line.text.clone() }).collect();
    for person in people.values().chain([&host]) {
        person.reads("ubuntu", lines.len() as u64).await;
        assert!(view(person) == expected, "{} was shown something else", person.name());
    }
    println!(
        "{} lines, {} people: {gathered:.1?} to gather, {said:.1?} to talk, {} MiB at most",
        lines.len(),
        people.len() + 1,
        peak_memory_mib()
    );
}

#[actix::test]
async fn naughty_strings_arrive_byte_for_byte_and_are_shown_harmlessly() {
    let list = data("naughty-strings.txt");
    let strings: Vec<&str> = list.split('\n').filter(|line| !line.is_empty()).collect();
    assert!(strings.len() > 500);
    let world = World::new().await;
    let (host, mut sender) = (world.guest("ken").await, world.guest("charlie").await);
    host.host("first").await;
    sender.join("first").await;
    let reader = world.guest("ada").await;
    reader.join("first").await;
    for (string, seq) in strings.iter().zip(1..) {
        sender.send("first", string).await;
        assert_eq!(sender.expect("stored message", support::stored).await, seq, "{string:?}");
    }
    for person in [&host, &sender, &reader] {
        person.reads("first", strings.len() as u64).await;
        assert_eq!(person.texts("first"), strings);
    }
    let renderer = Renderer { style: Style::default(), zone: TimeZone::UTC };
    for message in reader.messages("first") {
        let shown = renderer.event(&Event::Message(message.clone()), Timestamp::now()).unwrap();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", message.text);
        assert!(shown.split('\n').skip(1).all(|line| line.starts_with("        ")), "{:?}", message.text);
    }
}
