//! What is typed after `search`. Pure, but for the time zone, which is given.

use common::clock::Timestamp;
use common::name::MAX_NAME_CHARS;
use common::proto::status::Refusal;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Moment};

use super::{channel, user};
use crate::api::{DEFAULT_FOUND, Look, MAX_CONTEXT, MAX_FOUND, Place, SearchCommand};

const NO_DATE: &str =
    "DATE is a year, month or day like 2026-11-05, a time like 2026-11-05T14:30, today, or yesterday";

/// A part of what is typed.
struct Part<'a> {
    /// With its quotes.
    raw: &'a str,
    /// Without them.
    text: &'a str,
    is_quoted: bool,
}

/// Why it cannot be looked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// How it is typed, which the usage shows.
    Usage(String),
    /// A name.
    Name(Refusal),
}

fn wrong(why: impl Into<String>) -> Wrong {
    Wrong::Usage(why.into())
}

/// Reads what is typed: words, and behind them `in CH`, `from NAME`, `before DATE`, `after DATE` and `has:link`; or these
/// anywhere, with a colon.
///
/// # Errors
/// What is wrong.
pub fn read(rest: &str, now: Timestamp, zone: &TimeZone) -> Result<SearchCommand, Wrong> {
    let mut parts = split(rest);
    let mut look = Look { limit: DEFAULT_FOUND, ..Look::default() };
    if take_flags(&mut parts, &mut look)? {
        return match parts.is_empty() {
            true => Ok(SearchCommand::Rebuild),
            false => Err(wrong("--rebuild stands alone")),
        };
    }
    let today = |word: &str| date(word, now, zone);
    let mut words = Vec::new();
    for part in parts {
        let option = part.text.split_once(':').filter(|(_, value)| !part.is_quoted && !value.is_empty());
        let is_read = option.map(|(option, value)| set(&mut look, option, value, &today)).transpose()?;
        if is_read != Some(true) {
            words.push(part);
        }
    }
    while let [.., option, value] = words.as_slice()
        && !option.is_quoted
        && set(&mut look, option.text, value.text, &today)?
    {
        words.truncate(words.len() - 2);
    }
    look.words = words.iter().map(|part| part.raw).collect::<Vec<_>>().join(" ");
    if look.words.is_empty() && look.from.is_none() && !look.link {
        return Err(wrong("there is no word to look for"));
    }
    if look.at_host && !matches!(look.place, Some(Place::Channel(_))) {
        return Err(wrong("--host asks the host of a channel: say which, with in CH"));
    }
    Ok(SearchCommand::Find(Box::new(look)))
}

/// Takes out what begins with two hyphens; true when the index is to be made anew.
fn take_flags(parts: &mut Vec<Part<'_>>, look: &mut Look) -> Result<bool, Wrong> {
    let mut is_rebuild = false;
    while let Some(at) = parts.iter().position(|part| !part.is_quoted && part.text.starts_with("--")) {
        let flag = parts.remove(at).text;
        if flag == "--rebuild" {
            is_rebuild = true;
            continue;
        }
        if flag == "--host" {
            look.at_host = true;
            continue;
        }
        let value = if at < parts.len() { parts.remove(at).text } else { "" };
        let number = |max: u32| {
            let number = value.parse().ok().filter(|number| (1..=max).contains(number));
            number.ok_or_else(|| wrong(format!("{flag} needs a number from 1 to {max} after it")))
        };
        match flag {
            "--context" => look.context = number(MAX_CONTEXT)?,
            "--limit" => look.limit = number(MAX_FOUND)?,
            "--older" => {
                let older =
                    value.parse().map_err(|()| wrong("--older needs what the last answer said after it"));
                look.older = Some(older?);
            }
            _ => {
                return Err(wrong(format!(
                    "there is no {flag} here; a word that begins so goes in double quotes"
                )));
            }
        }
    }
    Ok(is_rebuild)
}

/// Reads an option; false when it is none, or stood there before.
fn set(
    look: &mut Look,
    option: &str,
    value: &str,
    date: &impl Fn(&str) -> Option<(Timestamp, Timestamp)>,
) -> Result<bool, Wrong> {
    let no_date = || wrong(format!("{value:?} is no date: {NO_DATE}"));
    match option.to_ascii_lowercase().as_str() {
        "in" if look.place.is_none() => {
            let place = match value.strip_prefix('@') {
                Some(name) => user(name).map(Place::User),
                None => channel(value).map(Place::Channel),
            };
            look.place = Some(place.map_err(Wrong::Name)?);
        }
        "from" if look.from.is_none() => {
            if value.chars().count() > MAX_NAME_CHARS {
                return Err(wrong(format!("NAME has at most {MAX_NAME_CHARS} characters")));
            }
            look.from = Some(value.to_owned());
        }
        "before" if look.before.is_none() => look.before = Some(date(value).ok_or_else(no_date)?.0),
        "after" if look.since.is_none() => look.since = Some(date(value).ok_or_else(no_date)?.1),
        "has" if value.eq_ignore_ascii_case("link") && !look.link => look.link = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// When what is named begins, and when it is over: a year, a month, a day, or a moment.
pub fn date(text: &str, now: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let today = || Some(moment(now)?.to_zoned(zone.clone()).date());
    let day = |day: Date| Some((day, day.checked_add(Span::new().days(1)).ok()?));
    let days = match text.to_ascii_lowercase().as_str() {
        "today" => day(today()?),
        "yesterday" => day(today()?.yesterday().ok()?),
        text => of_calendar(text),
    };
    if let Some((from, to)) = days {
        let begin = |date: Date| date.to_zoned(zone.clone()).ok().and_then(|at| timestamp(at.timestamp()));
        return Some((begin(from)?, begin(to)?));
    }
    let exact = text.parse::<Moment>().ok();
    let at = match exact {
        Some(at) => at,
        None => text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp(),
    };
    let at = timestamp(at)?;
    Some((at, Timestamp::from_millis(at.as_millis().saturating_add(1))))
}

fn of_calendar(text: &str) -> Option<(Date, Date)> {
    let is_plain = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let numbers = text.split('-').map(|number| number.parse::<i16>().ok()).collect::<Option<Vec<_>>>()?;
    let date =
        |year, month: i16, day: i16| Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok();
    let (from, span) = match numbers.as_slice() {
        _ if !is_plain => return None,
        [year] if text.len() == 4 => (date(*year, 1, 1)?, Span::new().years(1)),
        [year, month] => (date(*year, *month, 1)?, Span::new().months(1)),
        [year, month, day] => (date(*year, *month, *day)?, Span::new().days(1)),
        _ => return None,
    };
    Some((from, from.checked_add(span).ok()?))
}

fn moment(at: Timestamp) -> Option<Moment> {
    Moment::from_millisecond(i64::try_from(at.as_millis()).ok()?).ok()
}

/// What was before 1970 is as good as then.
fn timestamp(at: Moment) -> Option<Timestamp> {
    u64::try_from(at.as_millisecond().max(0)).ok().map(Timestamp::from_millis)
}

/// The parts of what is typed: apart by whitespace, or in double quotes. A quote that is not closed goes to the end.
fn split(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let quote = rest.strip_prefix('-').unwrap_or(rest).strip_prefix('"');
        let end = match quote {
            Some(inner) => inner.find('"').map_or(rest.len(), |end| rest.len() - inner.len() + end + 1),
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let (raw, after) = rest.split_at(end);
        let inner = quote.map_or(raw, |inner| &inner[..inner.find('"').unwrap_or(inner.len())]);
        parts.push(Part { raw, text: inner, is_quoted: quote.is_some() });
        rest = after.trim_start();
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        date("2026-11-05T14:30Z", Timestamp::from_millis(0), &TimeZone::UTC).unwrap().0
    }

    fn looked(text: &str) -> Look {
        match read(text, now(), &TimeZone::UTC) {
            Ok(SearchCommand::Find(look)) => *look,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn shown(text: &str) -> String {
        let Look { words, place, from, since, before, link, limit, context, older, at_host } = looked(text);
        let mut shown = format!("[{words}]");
        let mut add = |name: &str, value: Option<String>| {
            shown.extend(value.map(|value| format!(" {name}={value}")));
        };
        add(
            "in",
            place.map(|place| match place {
                Place::Channel(channel) => channel.to_string(),
                Place::User(user) => format!("@{user}"),
            }),
        );
        add("from", from);
        add("since", since.map(crate::api::format_utc));
        add("before", before.map(crate::api::format_utc));
        add("link", link.then(String::new));
        add("limit", (limit != DEFAULT_FOUND).then(|| limit.to_string()));
        add("context", (context > 0).then(|| context.to_string()));
        add("host", at_host.then(String::new));
        add("older", older.map(|older| older.to_string()));
        shown
    }

    #[test]
    fn options_stand_behind_the_words_or_have_a_colon() {
        let table = [
            ("kernel", "[kernel]"),
            ("  kernel   panic ", "[kernel panic]"),
            ("kernel in first", "[kernel] in=first"),
            ("kernel in \"Fine Arts\" from Ken", "[kernel] in=Fine Arts from=Ken"),
            ("kernel from ken in @ada", "[kernel] in=@ada from=ken"),
            ("in the house", "[in the house]"),
            ("lost in \"translation now\"", "[lost] in=translation now"),
            ("\"lost in translation\"", "[\"lost in translation\"]"),
            ("from:ken kernel in:first", "[kernel] in=first from=ken"),
            ("\"from:ken\" http://x.org/a", "[\"from:ken\" http://x.org/a]"),
            ("x has:link", "[x] link="),
            ("HAS:LINK", "[] link="),
            ("from ken", "[] from=ken"),
            ("x from a from b", "[x from a] from=b"),
            ("x before 2007", "[x] before=2007-01-01T00:00:00.000Z"),
            ("x after 2007", "[x] since=2008-01-01T00:00:00.000Z"),
            (
                "x after 2007-02 before 2007-02-15",
                "[x] since=2007-03-01T00:00:00.000Z before=2007-02-15T00:00:00.000Z",
            ),
            ("x before 2007-02-15T20:41", "[x] before=2007-02-15T20:41:00.000Z"),
            ("x after 2007-02-15T20:41:07+02:00", "[x] since=2007-02-15T18:41:07.001Z"),
            ("x before today", "[x] before=2026-11-05T00:00:00.000Z"),
            ("x after yesterday", "[x] since=2026-11-05T00:00:00.000Z"),
            ("x before 1950", "[x] before=1970-01-01T00:00:00.000Z"),
            ("x --limit 5 y --context 2", "[x y] limit=5 context=2"),
            ("x --older 17.4", "[x] older=17.4"),
            ("x --host in first", "[x] in=first host="),
            ("-\"a b\" -c d*", "[-\"a b\" -c d*]"),
            ("\"not closed in first", "[\"not closed in first]"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
        let rebuild = read(" --rebuild", now(), &TimeZone::UTC);
        assert!(matches!(rebuild, Ok(SearchCommand::Rebuild)), "{rebuild:?}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let table = [
            ("", "no word"),
            ("in first", "no word"),
            ("before 2007", "no word"),
            ("x before noon", "\"noon\" is no date"),
            ("x after 2007-13", "is no date"),
            ("x after 2007-02-30", "is no date"),
            ("x before:", "[x before:]"),
            ("x --limit", "from 1 to 100"),
            ("x --limit 0", "from 1 to 100"),
            ("x --context 99", "from 1 to 10"),
            ("x --older 5", "--older needs"),
            ("x --frob", "there is no --frob"),
            ("x --rebuild", "stands alone"),
            ("x --host", "say which"),
            ("x --host in @ken", "say which"),
            ("x in #first", "# is never part"),
            ("x in \"\u{7}\"", "no channel's name"),
            ("x from aaaaaaaaaabbbbbbbbbbccccccccccddd", "at most 32"),
        ];
        for (text, expected) in table {
            let said = match read(text, now(), &TimeZone::UTC) {
                Err(Wrong::Usage(why)) => why,
                Err(Wrong::Name(refusal)) => refusal.reason,
                Ok(_) => shown(text),
            };
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn days_are_those_of_the_user() {
        let zone = TimeZone::fixed(jiff::tz::offset(9));
        let (from, to) = date("2026-11-05", now(), &zone).unwrap();
        assert_eq!(crate::api::format_utc(from), "2026-11-04T15:00:00.000Z");
        assert_eq!(crate::api::format_utc(to), "2026-11-05T15:00:00.000Z");
    }

    #[test]
    fn the_naughty_strings_are_read_or_refused() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/naughty-strings.txt");
        for text in std::fs::read_to_string(path).unwrap().lines() {
            let _ = read(text, now(), &TimeZone::UTC);
            let _ = read(&format!("x before {text} in {text}"), now(), &TimeZone::UTC);
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in any::<String>(), option in "(in|from|before|after|has|--limit|)[: ]") {
            let _ = read(&format!("{text} {option}{text}"), now(), &TimeZone::UTC);
        }
    }
}
