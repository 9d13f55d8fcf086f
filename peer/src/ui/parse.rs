//! From a typed line to what it asks for. Pure; never panics, whatever is typed.

pub(in crate::ui) mod search;

use std::path::PathBuf;

use common::clock::Timestamp;
use common::id::Subject;
use common::name::{ChannelName, MAX_NAME_CHARS, UserName};
use common::proto::limits::{MAX_FRAME_BYTES, MAX_PAGE_ROWS, MAX_RETENTION_DAYS};
use common::proto::status::{Code, Refusal};
use common::secret::Secret;
use jiff::tz::TimeZone;

use super::command::{self, Action, Args, Flag, Kind, Spec, shown, specs};
use crate::api::{FileTo, SearchCommand, WhoIs};

/// The longest line that is looked at.
pub const MAX_LINE_BYTES: usize = MAX_FRAME_BYTES;
/// The longest tag of a line.
const MAX_TAG_BYTES: usize = 128;
/// A longer word is not compared with the commands: it is none of them mistyped.
const MAX_TYPO_BYTES: usize = 24;
/// An id with its hyphens is so long.
const MAX_ID_DIGITS: usize = 36;
/// How many slips a mistyped command may have.
const MAX_SLIPS: usize = 3;

/// A line of a known command, all in order but for its passwords.
#[derive(Debug)]
pub struct Parsed {
    /// The command.
    pub spec: &'static Spec,
    /// The word that was typed for it, as the table has it.
    pub word: &'static str,
    args: Args,
}

impl Parsed {
    /// What the line asks for, with the passwords that [`Spec::secrets`] lists.
    ///
    /// # Errors
    /// `usage`, when not all passwords are there.
    pub fn into_action(mut self, secrets: Vec<Secret>) -> Result<Action, Refusal> {
        self.args.secrets = secrets;
        self.spec
            .build(self.args)
            .ok_or_else(|| usage(self.spec, "something is missing, or does not go together"))
    }
}

/// A line that asks for nothing known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotParsed {
    /// The command's word as typed; `None` when there is none.
    pub word: Option<String>,
    /// What is wrong, and how it is typed.
    pub refusal: Refusal,
}

/// Takes a tag, `#tag `, off the beginning of a line.
///
/// # Errors
/// `usage`, when it is empty or too long.
pub fn split_tag(line: &str) -> Result<(Option<&str>, &str), Refusal> {
    let Some(tagged) = line.trim_start().strip_prefix('#') else {
        return Ok((None, line));
    };
    let (tag, rest) = tagged.split_once(char::is_whitespace).unwrap_or((tagged, ""));
    match tag.len() {
        1..=MAX_TAG_BYTES => Ok((Some(tag), rest)),
        _ => Err(Refusal::new(
            Code::Usage,
            format!("a tag is typed #tag, with 1 to {MAX_TAG_BYTES} bytes after the #, before the command"),
        )),
    }
}

/// Reads a line. An empty one asks for nothing: `None`.
///
/// # Errors
/// When there is no such command, or it is typed otherwise.
pub fn parse(line: &str) -> Result<Option<Parsed>, NotParsed> {
    if line.len() > MAX_LINE_BYTES {
        let refusal = Refusal::new(Code::Usage, format!("a line has at most {MAX_LINE_BYTES} bytes"));
        return Err(NotParsed { word: None, refusal });
    }
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.trim().is_empty() {
        return Ok(None);
    }
    let (typed, rest) = split_word(line);
    let Some((spec, word, rest)) = find_row(typed, rest) else {
        let word = (!typed.is_empty()).then(|| typed.to_owned());
        return Err(NotParsed { word, refusal: unknown(typed) });
    };
    match read_args(spec, rest) {
        Ok(args) => Ok(Some(Parsed { spec, word, args })),
        Err(refusal) => Err(NotParsed { word: Some(word.to_owned()), refusal }),
    }
}

/// Whether a line may have a password on it by mistake, and should be forgotten.
pub fn may_hold_password(line: &str) -> bool {
    let (typed, rest) = split_word(line);
    let spec = command::find(typed).map(|(spec, _)| spec).or_else(|| nearest(typed));
    let takes_secrets = spec.is_some_and(|spec| !spec.secrets.is_empty());
    takes_secrets && (!rest.trim().is_empty()) && !matches!(parse(line), Ok(Some(_)))
}

/// The command's word, without the `/` it may begin with, and what follows.
pub(super) fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let line = line.strip_prefix('/').unwrap_or(line);
    let end = line.find(char::is_whitespace).unwrap_or(line.len());
    line.split_at(end)
}

/// The row of a command's word and what follows it: that of two words where there is one.
pub(super) fn find_row<'a>(word: &str, rest: &'a str) -> Option<(&'static Spec, &'static str, &'a str)> {
    let next = rest.trim_start();
    let (second, after) = next.split_at(next.find(char::is_whitespace).unwrap_or(next.len()));
    let of_two = command::find(&format!("{word} {second}")).filter(|_| !second.is_empty());
    of_two
        .map(|(spec, word)| (spec, word, after))
        .or_else(|| command::find(word).map(|(spec, word)| (spec, word, rest)))
}

fn read_args(spec: &'static Spec, rest: &str) -> Result<Args, Refusal> {
    let mut args = Args::default();
    let mut given = Vec::new();
    let mut wanted = spec.args.iter();
    let mut words = Words { rest };
    loop {
        if let Some(arg) = wanted.as_slice().first().filter(|arg| arg.kind == Kind::Text) {
            if arg.required || !words.rest.trim().is_empty() {
                args.text = Some(verbatim(spec, words.rest)?);
            }
            return Ok(args);
        }
        if wanted.as_slice().first().is_some_and(|arg| arg.kind == Kind::Query) {
            args.search = Some(query(spec, words.rest)?);
            return Ok(args);
        }
        let Some(word) = words.next().map_err(|wrong| usage(spec, wrong))? else { break };
        if let Some(flag) = word.flag() {
            let flag = spec.flags.iter().copied().find(|known| known.word() == flag);
            let flag = flag.ok_or_else(|| usage(spec, &format!("there is no {} here", word.text)))?;
            if given.contains(&flag) {
                return Err(usage(spec, &format!("{} stands there twice", flag.word())));
            }
            given.push(flag);
            read_flag(spec, flag, &mut words, &mut args)?;
        } else if let Some(arg) = wanted.as_slice().first().filter(|arg| is_many(arg.kind)) {
            read_arg(spec, arg.kind, word.text, &mut args)?;
        } else if let Some(arg) = wanted.next() {
            read_arg(spec, arg.kind, word.text, &mut args)?;
        } else {
            return Err(too_much(spec));
        }
    }
    match wanted.next() {
        Some(arg) if is_many(arg.kind) && !(args.users.is_empty() && args.paths.is_empty()) => Ok(args),
        Some(arg) if arg.required => Err(usage(spec, "something is missing")),
        _ => Ok(args),
    }
}

/// Whether as many of a kind may follow each other as there are.
fn is_many(kind: Kind) -> bool {
    matches!(kind, Kind::Users | Kind::Paths)
}

fn read_arg(spec: &Spec, kind: Kind, text: &str, args: &mut Args) -> Result<(), Refusal> {
    match kind {
        Kind::User => args.user = Some(user(text)?),
        Kind::Users => args.users.push(user(text)?),
        Kind::Who => args.who = Some(who(text)?),
        Kind::Choice(choices) => {
            let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            let wrong = || format!("{text:?} is none of {}", shown(choices).collect::<Vec<_>>().join(", "));
            args.choice = Some(found.ok_or_else(|| usage(spec, &wrong()))?.1);
        }
        Kind::Contact => args.user = Some(user(text)?),
        Kind::Channel => args.channel = Some(channel(text)?),
        Kind::Place => match text.strip_prefix('@') {
            Some(name) => args.user = Some(user(name)?),
            None => args.channel = Some(channel(text)?),
        },
        Kind::Pattern => args.pattern = Some(text.to_owned()),
        Kind::Word => {
            let word = text.strip_prefix('/').unwrap_or(text);
            args.word = Some(command::find(word).ok_or_else(|| unknown(word))?.0);
        }
        Kind::Entry => args.seq = Some(seq(spec, text)?),
        Kind::Days => args.days = Some(days(spec, text)?),
        Kind::Count => {
            let count = text.parse().ok().filter(|count| (1..=MAX_PAGE_ROWS).contains(count));
            let wrong = || usage(spec, &format!("n is a number from 1 to {MAX_PAGE_ROWS}"));
            args.count = Some(count.ok_or_else(wrong)?);
        }
        Kind::Message => args.id = Some(id_ending(text).ok_or_else(|| usage(spec, NO_ID))?),
        Kind::File => args.id = Some(id_ending(text).ok_or_else(|| usage(spec, NO_FILE))?),
        Kind::Paths => args.paths.push(path(text)),
        Kind::Recipient => args.to = Some(recipient(text)?),
        Kind::Queue => args.id = Some(queue(spec, text)?),
        Kind::Key => args.key = Some(key_beginning(text).ok_or_else(|| usage(spec, NO_KEY))?),
        Kind::Path | Kind::Folder => args.path = Some(text.into()),
        Kind::Query => args.search = Some(query(spec, text)?),
        // Taken verbatim before words are split.
        Kind::Text => args.text = Some(text.to_owned()),
    }
    Ok(())
}

fn read_flag(spec: &Spec, flag: Flag, words: &mut Words<'_>, args: &mut Args) -> Result<(), Refusal> {
    let mut value = || match words.next() {
        Ok(Some(word)) => Ok(word.text),
        Ok(None) => Err(usage(spec, &format!("{} needs something after it", flag.word()))),
        Err(wrong) => Err(usage(spec, wrong)),
    };
    match flag {
        Flag::After => args.after = Some(value()?.to_owned()),
        Flag::Before => args.before = Some(seq(spec, value()?)?),
        Flag::Around => args.around = Some(seq(spec, value()?)?),
        Flag::Key => {
            args.host_key = Some(value()?.parse().map_err(|_| usage(spec, WHOLE_KEY))?);
        }
        Flag::Authorized => args.authorized = true,
        Flag::Fork => args.fork = true,
        Flag::Release => args.release = true,
        Flag::Takeover => args.takeover = true,
        Flag::NewLog => args.new_log = true,
        Flag::To => args.to_key = Some(value()?.parse().map_err(|_| usage(spec, WHOLE_KEY))?),
        Flag::Branch => args.branch = true,
        Flag::Accept => args.accept = true,
        Flag::Decline => args.decline = true,
        Flag::Withdraw => args.withdraw = true,
    }
    Ok(())
}

fn days(spec: &Spec, text: &str) -> Result<Option<u32>, Refusal> {
    if text.eq_ignore_ascii_case("forever") {
        return Ok(None);
    }
    let days = text.strip_suffix(['d', 'D']).and_then(|days| days.parse().ok());
    let is_possible = |days: &u32| (1..=MAX_RETENTION_DAYS).contains(days);
    let wrong = || usage(spec, &format!("it is forever, or 1d to {MAX_RETENTION_DAYS}d"));
    days.filter(is_possible).map(Some).ok_or_else(wrong)
}

fn seq(spec: &Spec, text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| usage(spec, "SEQ is the number of a message; history shows them"))
}

/// The rest of the line after exactly one space, as it is.
fn verbatim(spec: &Spec, rest: &str) -> Result<String, Refusal> {
    let mut chars = rest.chars();
    match chars.next() {
        Some(space) if space.is_whitespace() && !chars.as_str().is_empty() => Ok(chars.as_str().to_owned()),
        _ => Err(usage(spec, "the text is missing")),
    }
}

/// What is looked for; days are those of the machine's time zone.
fn query(spec: &Spec, rest: &str) -> Result<SearchCommand, Refusal> {
    search::read(rest, Timestamp::now(), &TimeZone::system()).map_err(|wrong| match wrong {
        search::Wrong::Usage(why) => usage(spec, &why),
        search::Wrong::Name(refusal) => refusal,
    })
}

fn channel(text: &str) -> Result<ChannelName, Refusal> {
    if let Some(bare) = text.strip_prefix('#').filter(|bare| bare.parse::<ChannelName>().is_ok()) {
        let reason = format!("# is never part of a name; type {}", quoted(bare));
        return Err(Refusal::new(Code::BadName, reason));
    }
    text.parse()
        .map_err(|error| Refusal::new(Code::BadName, format!("{text:?} is no channel's name: {error}")))
}

const WHOLE_KEY: &str = "KEY is a whole key of 64 digits";
const NO_KEY: &str =
    "KEY is the key of a device, as devices and contacts show it, or at least its first 4 digits";
const NO_FILE: &str = "ID is the end of a file's id, as files shows it";
const NO_ID: &str = "ID is the end of a message's id, as outbox shows it";

/// Digits that a key may begin with, as they are typed: `devices` shows them in groups.
fn key_beginning(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let is_key = (4..=64).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_key.then(|| digits.to_ascii_lowercase())
}

fn recipient(text: &str) -> Result<FileTo, Refusal> {
    match (text.strip_prefix('@'), text.strip_prefix('#')) {
        (Some(name), _) => user(name).map(FileTo::User),
        (_, Some(name)) => channel(name).map(FileTo::Channel),
        (None, None) => channel(text).map(|name| FileTo::Named(name.to_string())),
    }
}

/// A path as a shell would take it: from the user's home folder where it begins with `~/`.
fn path(text: &str) -> PathBuf {
    let home = text.strip_prefix("~/").and_then(|rest| Some((etcetera::home_dir().ok()?, rest)));
    home.map_or_else(|| PathBuf::from(text), |(home, rest)| home.join(rest))
}

fn id_ending(text: &str) -> Option<String> {
    let is_ending =
        (1..=MAX_ID_DIGITS).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    is_ending.then(|| text.to_lowercase())
}

/// A channel's name, or the end of an id: which of them, is known only where the channels are known.
fn queue(spec: &Spec, text: &str) -> Result<String, Refusal> {
    if id_ending(text).is_some() {
        return Ok(text.to_owned());
    }
    channel(text).map(|channel| channel.to_string()).map_err(|refusal| {
        Refusal::new(refusal.code, format!("{}; usage: {}", refusal.reason, spec.synopsis()))
    })
}

fn user(text: &str) -> Result<UserName, Refusal> {
    if let Some(bare) = text.strip_prefix('@').filter(|bare| bare.parse::<UserName>().is_ok()) {
        return Err(Refusal::new(Code::BadName, format!("@ is never part of a name; type {bare}")));
    }
    text.parse().map_err(|error| Refusal::new(Code::BadName, format!("{text:?} is no user's name: {error}")))
}

/// A user's name, or what is longer than any name: an account's id or a guest's key.
pub(in crate::ui) fn who(text: &str) -> Result<WhoIs, Refusal> {
    let by_key = text.parse().map(Subject::Guest).ok();
    let subject = by_key.or_else(|| text.parse().map(Subject::Account).ok());
    match subject.filter(|_| text.len() > MAX_NAME_CHARS) {
        Some(subject) => Ok(WhoIs::Subject(subject)),
        None => user(text).map(WhoIs::Name),
    }
}

/// A name as it is typed: in quotes when it has spaces.
pub fn quoted(name: &str) -> String {
    if name.contains(char::is_whitespace) { format!("\"{name}\"") } else { name.to_owned() }
}

fn usage(spec: &Spec, wrong: &str) -> Refusal {
    Refusal::new(Code::Usage, format!("{wrong}; usage: {}", spec.synopsis()))
}

fn too_much(spec: &Spec) -> Refusal {
    if !spec.secrets.is_empty() {
        let wrong =
            "a password is never typed on the line: it is asked for afterwards, and this line is not kept";
        return usage(spec, wrong);
    }
    if spec.args.iter().any(|arg| matches!(arg.kind, Kind::Channel | Kind::Place)) {
        return usage(spec, "there is too much on the line (a name with spaces goes in double quotes)");
    }
    usage(spec, "there is too much on the line")
}

fn unknown(typed: &str) -> Refusal {
    let mut shown = typed.chars().take(MAX_TYPO_BYTES).collect::<String>();
    if shown.len() < typed.len() {
        shown.push('…');
    }
    let reason = match nearest(typed) {
        Some(spec) => {
            format!("there is no command {shown:?}; did you mean {}? usage: {}", spec.word, spec.synopsis())
        }
        None => format!("there is no command {shown:?}; help shows all of them"),
    };
    Refusal::new(Code::Usage, reason)
}

/// The command that a word is most likely meant to be.
fn nearest(typed: &str) -> Option<&'static Spec> {
    if typed.len() > MAX_TYPO_BYTES {
        return None;
    }
    let typed = typed.to_lowercase();
    let words = specs().flat_map(|spec| spec.words().map(move |word| (spec, word)));
    let slips = words.map(|(spec, word)| {
        // The beginning of a word is the word.
        let begun = typed.len() >= 2 && word.starts_with(&typed);
        (if begun { 0 } else { strsim::damerau_levenshtein(&typed, word) }, word.len(), spec)
    });
    let (slips, length, spec) = slips.min_by_key(|(slips, ..)| *slips)?;
    (slips <= MAX_SLIPS.min(length / 2)).then_some(spec)
}

/// A word of a line.
struct Word<'a> {
    text: &'a str,
    quoted: bool,
}

impl<'a> Word<'a> {
    fn flag(&self) -> Option<&'a str> {
        (!self.quoted && self.text.starts_with("--")).then_some(self.text)
    }
}

/// The words of a line: apart by whitespace, or in double quotes.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<Option<Word<'a>>, &'static str> {
        let line = self.rest.trim_start();
        if line.is_empty() {
            self.rest = line;
            return Ok(None);
        }
        let (text, rest, quoted) = match line.strip_prefix('"') {
            Some(inner) => {
                let (text, rest) = inner.split_once('"').ok_or("a quote is not closed")?;
                (text, rest, true)
            }
            None => {
                let (text, rest) = line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()));
                (text, rest, false)
            }
        };
        if quoted && rest.chars().next().is_some_and(|c| !c.is_whitespace()) {
            return Err("after a closed quote comes a space");
        }
        if !quoted && text.contains('"') {
            return Err("a quote stands at the beginning and at the end of a name, not inside");
        }
        self.rest = rest;
        Ok(Some(Word { text, quoted }))
    }
}

#[cfg(test)]
mod tests;
