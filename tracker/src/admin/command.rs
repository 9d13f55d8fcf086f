//! The operator's commands as a table: parsing, usage and help come from it. Pure.

use common::id::ChannelId;
use common::name::{ChannelName, UserName};

/// How many actions `audit` shows when no number is typed.
const AUDIT_ROWS: usize = 20;

/// Something an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say something to all who are connected.
    Broadcast(String),
    /// The accounts.
    Accounts(Option<String>),
    /// Let nobody in as this account.
    Suspend(UserName, Option<String>),
    /// Let them in again.
    Unsuspend(UserName, Option<String>),
    /// Give an account a new password, and sign it out everywhere.
    ResetPassword(UserName, Option<String>),
    /// The channels, restricted ones too.
    Channels(Option<String>),
    /// Take a channel out of the list.
    RemoveChannel(ChannelName, Option<String>),
    /// Let a removed channel be announced again.
    RestoreChannel(ChannelId, Option<String>),
    /// How much there is of everything.
    Stats,
    /// The last actions.
    Audit(usize),
    /// The commands, or one of them.
    Help(Option<&'static str>),
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The word that is typed.
    pub word: &'static str,
    /// What is typed after it.
    pub usage: &'static str,
    /// What it does.
    pub help: &'static str,
    build: fn(&mut Typed<'_>) -> Result<Command, String>,
}

/// All commands.
pub const TABLE: &[Row] = &[
    Row {
        word: "broadcast",
        usage: "text…",
        help: "say something to all who are connected",
        build: |typed| Ok(Command::Broadcast(typed.rest().ok_or("type a text")?)),
    },
    Row {
        word: "accounts",
        usage: "[pattern]",
        help: "the accounts: all, or those whose name contains the pattern (* stands for anything)",
        build: |typed| Ok(Command::Accounts(typed.next()?)),
    },
    Row {
        word: "suspend",
        usage: "NAME [reason…]",
        help: "end an account's sessions, here and at all hosts, and let nobody in as it; its user is told the reason",
        build: |typed| Ok(Command::Suspend(typed.name()?, typed.rest())),
    },
    Row {
        word: "unsuspend",
        usage: "NAME [reason…]",
        help: "let an account in again; its devices are still signed in",
        build: |typed| Ok(Command::Unsuspend(typed.name()?, typed.rest())),
    },
    Row {
        word: "reset-password",
        usage: "NAME [reason…]",
        help: "give an account a new password, which is shown once, and sign it out on all devices",
        build: |typed| Ok(Command::ResetPassword(typed.name()?, typed.rest())),
    },
    Row {
        word: "channels",
        usage: "[pattern]",
        help: "the channels, restricted ones too",
        build: |typed| Ok(Command::Channels(typed.next()?)),
    },
    Row {
        word: "remove-channel",
        usage: "NAME [reason…]",
        help: "take a channel out of the list; its host cannot announce it again, and its name is free",
        build: |typed| Ok(Command::RemoveChannel(typed.name()?, typed.rest())),
    },
    Row {
        word: "restore-channel",
        usage: "ID [reason…]",
        help: "let a removed channel be announced again; audit shows its id",
        build: |typed| Ok(Command::RestoreChannel(typed.name()?, typed.rest())),
    },
    Row { word: "stats", usage: "", help: "how much there is of everything", build: |_| Ok(Command::Stats) },
    Row {
        word: "audit",
        usage: "[n]",
        help: "the last n actions of operators (20 when not given): who, what, when, why",
        build: |typed| {
            let count = typed.next()?.map(|text| text.parse().map_err(|_| "n is a number")).transpose()?;
            Ok(Command::Audit(count.unwrap_or(AUDIT_ROWS)))
        },
    },
    Row {
        word: "help",
        usage: "[command]",
        help: "the commands, or one of them",
        build: |typed| match typed.next()? {
            Some(word) => Ok(Command::Help(Some(find(&word)?.word))),
            None => Ok(Command::Help(None)),
        },
    },
];

impl Row {
    /// How it is typed.
    pub fn synopsis(&self) -> String {
        [self.word, self.usage].join(" ").trim_end().to_owned()
    }
}

fn find(word: &str) -> Result<&'static Row, String> {
    let found = TABLE.iter().find(|row| row.word.eq_ignore_ascii_case(word));
    found.ok_or_else(|| format!("there is no command {word:?}; type: help"))
}

impl Command {
    /// Reads what was typed.
    ///
    /// # Errors
    /// What is wrong, and how it is typed.
    pub fn parse(mut typed: Typed<'_>) -> Result<Self, String> {
        let row = match typed.next()? {
            Some(word) => find(&word)?,
            None => return Ok(Self::Help(None)),
        };
        let usage = |why: String| format!("{why}; usage: {}", row.synopsis());
        let command = (row.build)(&mut typed).map_err(usage)?;
        if typed.rest().is_some() {
            return Err(usage("that is too much".to_owned()));
        }
        Ok(command)
    }
}

/// What was typed: a line, or words that a shell has split already.
#[derive(Clone, Debug)]
pub enum Typed<'a> {
    /// A line of the console. Names with spaces stand in double quotes.
    Line(&'a str),
    /// The arguments of `tracker admin`.
    Words(&'a [String]),
}

impl Typed<'_> {
    /// The next word.
    fn next(&mut self) -> Result<Option<String>, String> {
        match self {
            Self::Words([word, rest @ ..]) => {
                *self = Self::Words(rest);
                Ok(Some(word.clone()))
            }
            Self::Words([]) => Ok(None),
            Self::Line(line) => {
                let begun = line.trim_start();
                if begun.is_empty() {
                    *line = begun;
                    return Ok(None);
                }
                let (word, rest) = match begun.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').ok_or("a double quote is not closed")?,
                    None => begun.split_once(char::is_whitespace).unwrap_or((begun, "")),
                };
                *line = rest;
                Ok(Some(word.to_owned()))
            }
        }
    }

    fn name<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T, String> {
        let word = self.next()?.ok_or("something is missing")?;
        word.parse().map_err(|error: T::Err| error.to_string())
    }

    /// All that is left, if there is anything.
    fn rest(&mut self) -> Option<String> {
        let rest = match self {
            Self::Words(words) => words.join(" "),
            Self::Line(line) => (*line).to_owned(),
        };
        *self = Self::Line("");
        Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> Result<Command, String> {
        Command::parse(Typed::Line(line))
    }

    #[test]
    fn lines_and_words_mean_the_same() {
        let ken: UserName = "ken".parse().unwrap();
        let room: ChannelName = "my room".parse().unwrap();
        let why = || Some("spam  and \"more\"".to_owned());
        let table: [(&str, &[&str], Command); 7] = [
            (
                "suspend ken spam  and \"more\"",
                &["suspend", "ken", "spam  and \"more\""],
                Command::Suspend(ken.clone(), why()),
            ),
            ("  UNSUSPEND  ken ", &["unsuspend", "ken"], Command::Unsuspend(ken, None)),
            (
                "remove-channel \"my room\"",
                &["remove-channel", "my room"],
                Command::RemoveChannel(room, None),
            ),
            (
                "broadcast  hello there ",
                &["broadcast", "hello", "there"],
                Command::Broadcast("hello there".into()),
            ),
            ("audit 7", &["audit", "7"], Command::Audit(7)),
            ("accounts k*", &["accounts", "k*"], Command::Accounts(Some("k*".into()))),
            ("", &[], Command::Help(None)),
        ];
        for (typed, words, expected) in table {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(line(typed), Ok(expected.clone()), "{typed}");
            assert_eq!(Command::parse(Typed::Words(&words)), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_usage() {
        for (typed, why) in [
            ("fly", "there is no command"),
            ("suspend", "usage: suspend NAME [reason…]"),
            ("suspend a/b", "usage: suspend"),
            ("broadcast  ", "type a text"),
            ("audit many", "usage: audit [n]"),
            ("stats now", "that is too much; usage: stats"),
            ("accounts a b", "that is too much"),
            ("remove-channel \"my room", "not closed"),
            ("restore-channel first", "usage: restore-channel ID"),
            ("help fly", "there is no command"),
        ] {
            let found = line(typed).unwrap_err();
            assert!(found.contains(why), "{typed}: {found}");
        }
    }

    #[test]
    fn every_row_is_found_once() {
        for row in TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.word == row.word).count(), 1);
            assert_eq!(line(&format!("help {}", row.word)), Ok(Command::Help(Some(row.word))));
            assert!(!row.help.ends_with('.'));
        }
    }
}
