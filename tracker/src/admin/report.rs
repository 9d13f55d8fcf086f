//! What answers an operator: as JSON for programs, as text for people. Pure.

use common::clock::Timestamp;
use common::id::{ChannelId, Subject};
use common::name::{ChannelName, UserName};
use common::proto::directory::View;
use common::secret::Secret;
use common::text::one_line;
use serde::Serialize;

use super::command::{Row, TABLE};
use crate::store::audit::AuditRow;

/// What came of a command.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Report {
    /// It was done.
    Done {
        /// What, in a sentence.
        done: String,
    },
    /// Accounts.
    Accounts(Rows<AccountRow>),
    /// Channels.
    Channels(Rows<ChannelRow>),
    /// An account has a new password, which nobody is shown again.
    Password {
        /// The account.
        name: UserName,
        /// The password.
        password: Secret,
    },
    /// How much there is of everything.
    Stats(Stats),
    /// The last actions, the newest at the end.
    Audit {
        /// What was done.
        actions: Vec<AuditEntry>,
    },
    /// The commands.
    Help {
        /// One row for each.
        commands: Vec<HelpRow>,
    },
}

/// Rows of a table, of very many only the first.
#[derive(Clone, Debug, Serialize)]
pub struct Rows<T> {
    /// In the order of their names.
    pub rows: Vec<T>,
    /// How many there are in all.
    pub total: usize,
}

/// An account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountRow {
    /// Its name.
    pub name: UserName,
    /// Who.
    pub id: Subject,
    /// When it was made.
    pub created: Timestamp,
    /// How many devices are signed in.
    pub devices: usize,
    /// How many of them are there now.
    pub online: usize,
    /// Whether nobody may enter as it.
    pub suspended: bool,
    /// What the operator said to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelRow {
    /// Its name.
    pub name: ChannelName,
    /// Its id.
    pub id: ChannelId,
    /// Its owner's name.
    pub owner: UserName,
    /// Who may join.
    pub view: View,
    /// Whether its host is there now.
    pub online: bool,
    /// When its host was last there.
    pub seen: Timestamp,
}

/// How much there is of everything.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The program.
    pub version: &'static str,
    /// For how long it has run, in seconds.
    pub up_seconds: u64,
    /// Connections that have said HELLO.
    pub connections: usize,
    /// Of these, those that have entered.
    pub entered: usize,
    /// Accounts.
    pub accounts: usize,
    /// Of these, those that are suspended.
    pub suspended: usize,
    /// Channels.
    pub channels: usize,
    /// Of these, those whose hosts are there.
    pub hosted: usize,
    /// Passes that were revoked in the last 8 days, by act.
    pub revocations: usize,
    /// How often a password was hashed or checked since the start.
    pub password_checks: u64,
}

/// A row of the audit log with its number.
#[derive(Clone, Debug, Serialize)]
pub struct AuditEntry {
    /// Its number.
    pub number: u64,
    /// What was done.
    #[serde(flatten)]
    pub action: AuditRow,
}

/// A row of the table of commands.
#[derive(Clone, Debug, Serialize)]
pub struct HelpRow {
    /// How it is typed.
    pub usage: String,
    /// What it does.
    pub help: &'static str,
}

impl Report {
    /// All commands, or one of them.
    pub fn help(about: Option<&str>) -> Self {
        let rows = TABLE.iter().filter(|row| about.is_none_or(|about| about == row.word));
        let row = |row: &'static Row| HelpRow { usage: row.synopsis(), help: row.help };
        Self::Help { commands: rows.map(row).collect() }
    }

    /// As it is shown to people, with a line end.
    pub fn text(&self) -> String {
        match self {
            Self::Done { done } => format!("{}\n", one_line(done)),
            Self::Accounts(accounts) => accounts.text(["account", "devices", "online", "made", ""], account),
            Self::Channels(channels) => {
                channels.text(["channel", "owner", "view", "host", "last there"], channel)
            }
            Self::Password { name, password } => format!(
                "The new password of {name} is {}\nIt is not shown again. All devices of {name} are signed out.\n",
                password.expose()
            ),
            Self::Stats(stats) => stats.text(),
            Self::Audit { actions } if actions.is_empty() => "nothing was done yet\n".to_owned(),
            Self::Audit { actions } => {
                let rows = actions.iter().map(audited).collect::<Vec<_>>();
                table(["number", "when", "who", "what", "why"], &rows)
            }
            Self::Help { commands } => {
                let width = commands.iter().map(|row| row.usage.chars().count()).max().unwrap_or_default();
                commands.iter().map(|row| format!("{:width$}  {}\n", row.usage, row.help)).collect()
            }
        }
    }
}

impl<T> Rows<T> {
    fn text(&self, titles: [&str; 5], row: impl Fn(&T) -> [String; 5]) -> String {
        if self.rows.is_empty() {
            return format!("no {}s\n", titles[0]);
        }
        let mut text = table(titles, &self.rows.iter().map(row).collect::<Vec<_>>());
        if self.rows.len() < self.total {
            text.push_str(&format!("the first {} of {}; give a pattern\n", self.rows.len(), self.total));
        }
        text
    }
}

impl Stats {
    fn text(&self) -> String {
        let Self { version, up_seconds, connections, entered, accounts, suspended, channels, hosted, .. } =
            self;
        let (hours, minutes) = (up_seconds / 3600, up_seconds / 60 % 60);
        format!(
            "version          {version}, for {hours} h {minutes} min\nconnections      {connections}, {entered} entered\n\
             accounts         {accounts}, {suspended} suspended\nchannels         {channels}, {hosted} hosted now\n\
             revocations      {}\npassword checks  {}\n",
            self.revocations, self.password_checks
        )
    }
}

fn account(row: &AccountRow) -> [String; 5] {
    let suspended = match (&row.suspended, &row.reason) {
        (false, _) => String::new(),
        (true, None) => "suspended".to_owned(),
        (true, Some(reason)) => format!("suspended: {}", one_line(reason)),
    };
    [row.name.to_string(), row.devices.to_string(), row.online.to_string(), time(row.created), suspended]
}

fn channel(row: &ChannelRow) -> [String; 5] {
    let view = if row.view == View::Public { "public" } else { "restricted" };
    let host = if row.online { "up" } else { "away" };
    [row.name.to_string(), row.owner.to_string(), view.to_owned(), host.to_owned(), time(row.seen)]
}

fn audited(entry: &AuditEntry) -> [String; 5] {
    let AuditRow { at, by, action, target, why } = &entry.action;
    let what = [Some(action), target.as_ref()].into_iter().flatten().map(|text| one_line(text));
    let what = what.collect::<Vec<_>>().join(" ");
    let why = why.as_deref().map(|why| one_line(why).into_owned()).unwrap_or_default();
    [entry.number.to_string(), time(*at), one_line(by).into_owned(), what, why]
}

/// A time in UTC, to the second.
fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.0}")
}

fn table(titles: [&str; 5], rows: &[[String; 5]]) -> String {
    let titles = titles.map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&titles]).map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    [&titles].into_iter().chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_hide_nothing_that_moves_the_cursor() {
        let action = AuditRow {
            at: Timestamp::from_millis(1_790_000_000_000),
            by: "console".into(),
            action: "suspend".into(),
            target: Some("ken".into()),
            why: Some("spam\x1b[2J\nsuspend ada".into()),
        };
        let text = Report::Audit { actions: vec![AuditEntry { number: 7, action }] }.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("number  when                  who      what         why"), "{text}");
        assert!(lines[1].starts_with("7       2026-09-21T14:13:20Z  console  suspend ken  spam"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_password_is_shown_in_text_and_json_and_nowhere_else() {
        let report =
            Report::Password { name: "ken".parse().unwrap(), password: Secret::new("correct-horse") };
        assert!(report.text().contains("correct-horse"));
        assert!(serde_json::to_string(&report).unwrap().contains("correct-horse"));
        assert!(!format!("{report:?}").contains("correct-horse"));
    }

    #[test]
    fn help_is_the_table() {
        let text = Report::help(None).text();
        for row in TABLE {
            assert!(text.contains(&row.synopsis()) && text.contains(row.help), "{}", row.word);
        }
    }
}
