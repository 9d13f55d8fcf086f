//! Logs of IRC as entries: files of one day each, whose names begin with that day (`2007-02-15.log`), with lines of the form
//! `[20:41] <nick> text`. What is no message (`=== nick has joined …`) is passed over.
//!
//! Who wrote such a line nobody has proven: each entry says that it was imported, and its author is a guest whose key
//! nobody has, made of the nick.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use common::clock::Timestamp;
use common::entry::{Author, Hash, Header, RawEntry, TEXT, TextBody, check_text};
use common::id::{IdentityKind, MessageId, Subject};
use common::identity::PeerKey;
use common::proto::status::{Code, Refusal};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::value::to_raw_value;

use super::file::{file_failed, read_line};

/// What an entry says that it was imported from.
pub const IRC: &str = "irc";
/// The longest line that is looked at.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// The longest nick that is taken for one.
const MAX_NICK_CHARS: usize = 64;
/// How many characters the day at the beginning of a file's name has.
const DAY_CHARS: usize = 10;
/// A clock that goes back by more has passed midnight.
const HALF_A_DAY: i32 = 12 * 60;

/// A line that somebody wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// When, by the log's clock.
    pub at: Time,
    /// Who.
    pub nick: &'a str,
    /// What.
    pub text: String,
}

/// Whether this looks like logs of IRC: a folder, or a file whose name begins with a day.
pub fn is_log(path: &Path) -> bool {
    path.is_dir() || day_of(path).is_some()
}

fn day_of(path: &Path) -> Option<Date> {
    let name = path.file_name()?.to_str()?;
    let has_ending = Path::new(name).extension().is_some_and(|ending| ending == "log" || ending == "txt");
    name.get(..DAY_CHARS).filter(|_| has_ending)?.parse().ok()
}

/// What a line says, if somebody wrote it.
pub fn said(line: &str) -> Option<Said<'_>> {
    let (clock, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let mut parts = clock.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let at = Time::new(hour, minute, second, 0).ok()?;
    let (nick, text) = match rest.strip_prefix('<') {
        Some(rest) => {
            let (nick, text) = rest.split_once('>')?;
            (nick, text.strip_prefix(' ').unwrap_or(text).to_owned())
        }
        None => {
            let action = rest.trim_start().strip_prefix("* ")?;
            let nick = action.split_once(' ')?.0;
            (nick, format!("* {action}"))
        }
    };
    let nick = nick.trim();
    let is_nick = !nick.is_empty() && nick.chars().count() <= MAX_NICK_CHARS;
    (is_nick && !nick.contains(char::is_whitespace) && check_text(&text).is_ok()).then_some(Said {
        at,
        nick,
        text,
    })
}

/// Reads a log, or all of a folder in the order of their days, and hands out what was said as entries from number 1 on.
///
/// # Errors
/// `file_failed`, `bad_export` when nothing was said in it, or what `take` says.
pub fn read(
    path: &Path,
    mut take: impl FnMut(Header, RawEntry) -> Result<(), Refusal>,
) -> Result<u64, Refusal> {
    let (mut seq, mut line) = (0, Vec::new());
    for (day, file) in files(path)? {
        let mut reader = BufReader::new(File::open(&file).map_err(|error| file_failed(&file, error))?);
        let mut clock = Clock { day, last: Time::midnight() };
        while read_line(&mut reader, MAX_LINE_BYTES, &mut line).map_err(|error| file_failed(&file, error))? {
            let text = String::from_utf8_lossy(&line);
            let Some(said) = said(text.trim_end_matches('\r')) else { continue };
            seq += 1;
            let (header, entry) = entry(seq, clock.moment(said.at), said)?;
            take(header, entry)?;
        }
    }
    if seq == 0 {
        let reason = format!(
            "{}: nobody says anything in it: lines such as [20:41] <nick> text are meant",
            path.display()
        );
        return Err(Refusal::new(Code::BadExport, reason));
    }
    Ok(seq)
}

fn files(path: &Path) -> Result<Vec<(Date, PathBuf)>, Refusal> {
    if !path.is_dir() {
        return Ok(day_of(path).map(|day| (day, path.to_owned())).into_iter().collect());
    }
    let listed = std::fs::read_dir(path).map_err(|error| file_failed(path, error))?;
    let paths = listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let paths = paths.map_err(|error| file_failed(path, error))?;
    let mut files: Vec<_> = paths.into_iter().filter_map(|path| Some((day_of(&path)?, path))).collect();
    files.sort();
    if files.is_empty() {
        return Err(file_failed(path, "no file in it has a name like 2007-02-15.log"));
    }
    Ok(files)
}

/// The clock of a log, which says no days.
struct Clock {
    day: Date,
    last: Time,
}

impl Clock {
    fn moment(&mut self, at: Time) -> Timestamp {
        let minutes = |time: Time| i32::from(time.hour()) * 60 + i32::from(time.minute());
        if minutes(self.last) - minutes(at) > HALF_A_DAY {
            self.day = self.day.tomorrow().unwrap_or(self.day);
        }
        self.last = at;
        let moment = TimeZone::UTC.to_timestamp(self.day.to_datetime(at));
        let millis = moment.map_or(0, jiff::Timestamp::as_millisecond);
        Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// The author of all lines of a nick.
pub fn author(nick: &str) -> Author {
    let key = PeerKey::from_bytes(*Hash::of(format!("natter-irc-v1\0{nick}").as_bytes()).as_bytes());
    Author::new(Subject::Guest(key), nick.to_owned(), IdentityKind::Guest, key)
}

fn entry(seq: u64, at: Timestamp, said: Said<'_>) -> Result<(Header, RawEntry), Refusal> {
    let internal = |error: &dyn std::fmt::Display| Refusal::new(Code::Internal, error.to_string());
    let body = to_raw_value(&TextBody { text: said.text }).map_err(|error| internal(&error))?;
    let header = Header {
        seq,
        id: MessageId::new(),
        kind: TEXT.to_owned(),
        from: author(said.nick),
        sent_at: at,
        stored_at: at,
        about: None,
        imported: Some(IRC.to_owned()),
        body_hash: Hash::of(body.get().as_bytes()),
    };
    let entry = RawEntry::sealed(&header, body).map_err(|error| internal(&error))?;
    Ok((header, entry))
}

#[cfg(test)]
mod tests;
