//! The commands as a table: help, completion, hints, parsing and usage errors all come from it.

mod table;

use std::fmt;
use std::path::PathBuf;

use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::secret::Secret;

use crate::api::{Command, FileTo, SearchCommand, WhoIs};
pub use table::specs;

/// What a typed line asks for.
#[derive(Clone, Debug)]
pub enum Action {
    /// Something that the node does.
    Perform(Command),
    /// Help about all commands, or about one of them.
    Help(Option<&'static Spec>),
    /// Each line is a message there from now on; none ends that.
    Talk(Option<TalkTo>),
    /// The end.
    Quit,
}

/// Where the lines of talk mode go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkTo {
    /// To a channel.
    Channel(ChannelName),
    /// To one user.
    User(UserName),
}

impl fmt::Display for TalkTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(channel) => write!(f, "#{channel}"),
            Self::User(user) => write!(f, "@{user}"),
        }
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Spec {
    /// The word that is typed, or two with a space between.
    pub word: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// Under which heading the help shows it.
    pub group: Group,
    /// How it is typed, without the word.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What is typed after the word, in order.
    pub args: &'static [Arg],
    /// What may stand anywhere after the word, each at most once.
    pub flags: &'static [Flag],
    /// The passwords it takes, which are never part of the line.
    pub secrets: &'static [Ask],
    /// Makes the action; `None` when something needed is missing.
    build: fn(Args) -> Option<Action>,
}

/// The headings of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Who you are.
    Account,
    /// What there is.
    Look,
    /// What you do in channels.
    Channel,
    /// What you do as the owner of a channel, or a moderator.
    Owner,
    /// What you do with one other user.
    Direct,
    /// Who is there.
    Presence,
    /// What is still to be sent.
    Outbox,
    /// The end.
    Leave,
}

impl Group {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 8] = [
        Self::Account,
        Self::Look,
        Self::Channel,
        Self::Owner,
        Self::Direct,
        Self::Presence,
        Self::Outbox,
        Self::Leave,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Look => "look",
            Self::Channel => "channel",
            Self::Owner => "owner",
            Self::Direct => "direct",
            Self::Presence => "presence",
            Self::Outbox => "outbox",
            Self::Leave => "leave",
        }
    }
}

/// A part of a line, after the command's word.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// What it is.
    pub kind: Kind,
    /// Whether the command makes sense without it.
    pub required: bool,
}

/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The name of a user.
    User,
    /// The names of users, as many as there are.
    Users,
    /// The name of a user, an account's id or a guest's key.
    Who,
    /// The number of a message in its channel.
    Entry,
    /// A number of days, or for ever.
    Days,
    /// The name of somebody else.
    Contact,
    /// The name of a channel.
    Channel,
    /// The name of a channel, or with `@` before it that of a user.
    Place,
    /// The first digits of a device's key.
    Key,
    /// Part of a name, or with `*` in it a form of names.
    Pattern,
    /// The word of a command.
    Word,
    /// A number of entries.
    Count,
    /// The name of a file.
    Path,
    /// The name of a folder.
    Folder,
    /// The end of a message's id.
    Message,
    /// The name of a channel, or the end of a message's id.
    Queue,
    /// The end of a file's id.
    File,
    /// Files or folders of this machine, as many as there are.
    Paths,
    /// The name of a contact or a channel, perhaps with `@` or `#` before it.
    Recipient,
    /// One of these words, and what each means.
    Choice(Choices),
    /// The rest of the line, as it is.
    Text,
    /// The rest of the line: what is looked for, and where.
    Query,
}

/// Words that may be typed, each with the word that it means: its own, unless it is an older spelling.
pub type Choices = &'static [(&'static str, &'static str)];

/// The words that are their own meaning, as the usage shows them.
pub fn shown(choices: Choices) -> impl Iterator<Item = &'static str> {
    choices.iter().filter(|(word, means)| word == means).map(|(word, _)| *word)
}

/// A part of a line that is known by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--after NAME`
    After,
    /// `--around N`
    Around,
    /// `--authorized`
    Authorized,
    /// `--before N`
    Before,
    /// `--fork`
    Fork,
    /// `--key KEY`
    Key,
    /// `--release`
    Release,
    /// `--takeover`
    Takeover,
    /// `--new-log`
    NewLog,
    /// `--to KEY`
    To,
    /// `--branch`
    Branch,
    /// `--accept`
    Accept,
    /// `--decline`
    Decline,
    /// `--withdraw`
    Withdraw,
}

impl Flag {
    /// How it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::After => "--after",
            Self::Around => "--around",
            Self::Authorized => "--authorized",
            Self::Before => "--before",
            Self::Fork => "--fork",
            Self::Key => "--key",
            Self::Release => "--release",
            Self::Takeover => "--takeover",
            Self::NewLog => "--new-log",
            Self::To => "--to",
            Self::Branch => "--branch",
            Self::Accept => "--accept",
            Self::Decline => "--decline",
            Self::Withdraw => "--withdraw",
        }
    }
}

/// A password that a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What the terminal asks.
    pub prompt: &'static str,
    /// Whether the terminal asks twice, since a slip would lock its user out.
    pub twice: bool,
}

/// The parts of a line, as far as they were typed.
#[derive(Debug, Default)]
pub struct Args {
    /// A [`Kind::User`], a [`Kind::Contact`], or a [`Kind::Place`] with `@`.
    pub user: Option<UserName>,
    /// A [`Kind::Users`].
    pub users: Vec<UserName>,
    /// A [`Kind::Who`].
    pub who: Option<WhoIs>,
    /// A [`Kind::Channel`], or a [`Kind::Place`].
    pub channel: Option<ChannelName>,
    /// A [`Kind::Pattern`].
    pub pattern: Option<String>,
    /// A [`Kind::Word`].
    pub word: Option<&'static Spec>,
    /// A [`Kind::Count`].
    pub count: Option<u32>,
    /// A [`Kind::Message`], a [`Kind::Queue`] or a [`Kind::File`].
    pub id: Option<String>,
    /// A [`Kind::Recipient`].
    pub to: Option<FileTo>,
    /// A [`Kind::Paths`].
    pub paths: Vec<PathBuf>,
    /// What a [`Kind::Choice`] means.
    pub choice: Option<&'static str>,
    /// A [`Kind::Key`].
    pub key: Option<String>,
    /// A [`Kind::Path`] or a [`Kind::Folder`].
    pub path: Option<PathBuf>,
    /// [`Flag::Key`].
    pub host_key: Option<PeerKey>,
    /// A [`Kind::Text`].
    pub text: Option<String>,
    /// [`Flag::After`].
    pub after: Option<String>,
    /// [`Flag::Around`].
    pub around: Option<u64>,
    /// A [`Kind::Query`].
    pub search: Option<SearchCommand>,
    /// [`Flag::Authorized`].
    pub authorized: bool,
    /// [`Flag::Before`].
    pub before: Option<u64>,
    /// A [`Kind::Entry`].
    pub seq: Option<u64>,
    /// A [`Kind::Days`]; none of them is for ever.
    pub days: Option<Option<u32>>,
    /// [`Flag::Fork`].
    pub fork: bool,
    /// [`Flag::Release`].
    pub release: bool,
    /// [`Flag::Takeover`].
    pub takeover: bool,
    /// [`Flag::NewLog`].
    pub new_log: bool,
    /// [`Flag::To`].
    pub to_key: Option<PeerKey>,
    /// [`Flag::Branch`].
    pub branch: bool,
    /// [`Flag::Accept`].
    pub accept: bool,
    /// [`Flag::Decline`].
    pub decline: bool,
    /// [`Flag::Withdraw`].
    pub withdraw: bool,
    /// One for each of [`Spec::secrets`].
    pub secrets: Vec<Secret>,
}

impl Spec {
    /// Makes the action; `None` when something needed is missing.
    pub fn build(&self, args: Args) -> Option<Action> {
        (self.build)(args)
    }

    /// How it is typed, the word included.
    pub fn synopsis(&self) -> String {
        [self.word, self.usage].join(" ").trim_end().to_owned()
    }

    /// The rows whose words begin with this one's.
    pub fn followed(&self) -> impl Iterator<Item = &'static Self> {
        let word = self.word;
        let begins =
            move |spec: &&Self| spec.word.strip_prefix(word).is_some_and(|rest| rest.starts_with(' '));
        specs().filter(begins)
    }

    /// Every word for it.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        [self.word].into_iter().chain(self.aliases.iter().copied())
    }
}

/// The row of a word or of one of its aliases, in letters of any case, and the word as the table has it.
pub fn find(word: &str) -> Option<(&'static Spec, &'static str)> {
    let words = specs().flat_map(|spec| spec.words().map(move |known| (spec, known)));
    words.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_word_is_there_once_and_is_found() {
        let mut seen = HashSet::new();
        for spec in specs() {
            for word in spec.words() {
                assert!(seen.insert(word), "{word}");
                let (found, known) = find(&word.to_uppercase()).unwrap();
                assert_eq!((found.word, known), (spec.word, word));
            }
            assert!(!spec.help.is_empty() && !spec.help.ends_with('.'), "{}", spec.word);
            assert!(Group::ALL.contains(&spec.group));
        }
        assert_eq!(specs().count(), 67);
        assert!(find("").is_none() && find("frob").is_none());
    }

    fn arg_is_reason(spec: &Spec) -> bool {
        spec.group == Group::Owner || spec.word == "erase"
    }

    #[test]
    fn the_usage_names_what_the_row_takes() {
        for spec in specs() {
            for flag in spec.flags {
                assert!(spec.usage.contains(flag.word()), "{}", spec.word);
            }
            let named = |kind: Kind| match kind {
                Kind::User => "name".to_owned(),
                Kind::Users => "name…".to_owned(),
                Kind::Who => "user".to_owned(),
                Kind::Entry => "SEQ".to_owned(),
                Kind::Days => "DAYSd|forever".to_owned(),
                Kind::Contact => "USER".to_owned(),
                Kind::Channel => "CH".to_owned(),
                Kind::Place => "CH|@USER".to_owned(),
                Kind::Pattern => "pattern".to_owned(),
                Kind::Word => "cmd".to_owned(),
                Kind::Count => "n".to_owned(),
                Kind::Message => "ID".to_owned(),
                Kind::Queue => "ID|CH".to_owned(),
                Kind::File => "ID".to_owned(),
                Kind::Paths => "path…".to_owned(),
                Kind::Recipient => "USER|CH".to_owned(),
                Kind::Key => "KEY".to_owned(),
                Kind::Path => "FILE".to_owned(),
                Kind::Folder => "DIR".to_owned(),
                Kind::Choice(choices) => shown(choices).collect::<Vec<_>>().join("|"),
                Kind::Text if arg_is_reason(spec) => "why…".to_owned(),
                Kind::Text => "text…".to_owned(),
                Kind::Query => "WORDS".to_owned(),
            };
            for arg in spec.args {
                let name = named(arg.kind);
                let shown = if arg.required { name } else { format!("[{name}]") };
                assert!(spec.usage.contains(&shown), "{}: {shown}", spec.word);
            }
            // Nothing optional may stand before something needed, and a text is the last.
            let needs = spec.args.iter().map(|arg| arg.required).collect::<Vec<_>>();
            assert!(needs.is_sorted_by(|a, b| a >= b), "{}", spec.word);
            let texts = spec.args.iter().rev().skip(1).filter(|arg| arg.kind == Kind::Text);
            assert_eq!(texts.count(), 0);
        }
    }
}
