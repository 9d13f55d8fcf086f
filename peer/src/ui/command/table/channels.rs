//! What there is, and the channels one is in.

use common::proto::limits::FIRST_TAIL;

use super::{ROW, may, need};
use crate::api::{Command, DirectCommand, LogFrom};
use crate::ui::command::{Action, Args, Flag, Group, Kind, Spec, TalkTo};

fn history(args: Args) -> Option<Action> {
    let count = args.count.unwrap_or(FIRST_TAIL);
    // Half of them stand behind the one that is meant.
    let around = args.around.map(|seq| seq.saturating_add(u64::from(count / 2) + 1));
    let before = args.before.or(around);
    if args.branch {
        return Some(Action::Perform(Command::Branch { channel: args.channel?, count }));
    }
    if let Some(user) = args.user {
        let asked = DirectCommand::History { user, count, before };
        return Some(Action::Perform(Command::Direct(asked)));
    }
    Some(Action::Perform(Command::History { channel: args.channel?, count, before }))
}

/// Nothing but a channel that is taken over has a log that comes from elsewhere.
fn host(args: Args) -> Option<Action> {
    let channel = args.channel?;
    let command = match (args.takeover, args.path, args.new_log) {
        (false, None, false) => Command::Host { channel },
        (true, Some(path), false) => Command::TakeOver { channel, log: LogFrom::File(path) },
        (true, None, false) => Command::TakeOver { channel, log: LogFrom::Received },
        (true, None, true) => Command::TakeOver { channel, log: LogFrom::Nothing },
        _ => return None,
    };
    Some(Action::Perform(command))
}

fn export(args: Args) -> Option<Action> {
    let (channel, path) = (args.channel?, args.path?);
    Some(Action::Perform(match args.to_key {
        Some(to) => Command::HandOver { channel, heir: None, path, to },
        None => Command::Export { channel, path },
    }))
}

pub(super) const ROWS: &[Spec] = &[
    Spec {
        word: "list",
        usage: "[pattern] [--after NAME]",
        help: "the tracker's channels: all, or those whose name has the pattern (* is anything)",
        args: &[may(Kind::Pattern)],
        flags: &[Flag::After],
        build: |args| Some(Action::Perform(Command::List { pattern: args.pattern, after: args.after })),
        ..ROW
    },
    Spec {
        word: "users",
        help: "who is at the tracker, and who of those you watch is not",
        build: |_| Some(Action::Perform(Command::Users)),
        ..ROW
    },
    Spec {
        word: "connected",
        help: "the channels this peer has joined or hosts",
        build: |_| Some(Action::Perform(Command::Connected)),
        ..ROW
    },
    Spec {
        word: "members",
        usage: "CH [--authorized]",
        help: "who is in a channel; or who was given something in it, here or not",
        args: &[need(Kind::Channel)],
        flags: &[Flag::Authorized],
        build: |args| {
            let granted = args.authorized;
            Some(Action::Perform(Command::Members { channel: args.channel?, granted }))
        },
        ..ROW
    },
    Spec {
        word: "info",
        aliases: &["retrieve"],
        usage: "CH",
        help: "what a channel is: owner, age, size, who may do what",
        args: &[need(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Info { channel: args.channel? })),
        ..ROW
    },
    Spec {
        word: "status",
        help: "what is connected and what is not, and why",
        build: |_| Some(Action::Perform(Command::Status)),
        ..ROW
    },
    Spec {
        word: "debug",
        usage: "[CH]",
        help: "the inside of this peer, or of a channel it hosts",
        args: &[may(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Debug { channel: args.channel })),
        ..ROW
    },
    Spec {
        word: "client",
        help: "this peer itself: who, where, which channels, what waits to be sent",
        build: |_| Some(Action::Perform(Command::Client)),
        ..ROW
    },
    Spec {
        word: "help",
        usage: "[cmd]",
        help: "all commands, or one of them",
        args: &[may(Kind::Word)],
        build: |args| Some(Action::Help(args.word)),
        ..ROW
    },
    Spec {
        word: "host",
        group: Group::Channel,
        usage: "CH [--takeover [FILE] [--new-log]]",
        help: "host a channel here, a new one or one of yours; --takeover: from another machine",
        args: &[need(Kind::Channel), may(Kind::Path)],
        flags: &[Flag::Takeover, Flag::NewLog],
        build: host,
        ..ROW
    },
    Spec {
        word: "unhost",
        group: Group::Channel,
        usage: "CH [--release]",
        help: "stop hosting a channel; its name stays yours unless you release it",
        args: &[need(Kind::Channel)],
        flags: &[Flag::Release],
        build: |args| {
            Some(Action::Perform(Command::Unhost { channel: args.channel?, release: args.release }))
        },
        ..ROW
    },
    Spec {
        word: "join",
        group: Group::Channel,
        usage: "CH",
        help: "join a channel",
        args: &[need(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Join { channel: args.channel? })),
        ..ROW
    },
    Spec {
        word: "leave",
        aliases: &["disconnect"],
        group: Group::Channel,
        usage: "CH",
        help: "leave a channel",
        args: &[need(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Leave { channel: args.channel? })),
        ..ROW
    },
    Spec {
        word: "send",
        group: Group::Channel,
        usage: "CH text…",
        help: "write a message: the rest of the line, as it is",
        args: &[need(Kind::Channel), need(Kind::Text)],
        build: |args| Some(Action::Perform(Command::Send { channel: args.channel?, text: args.text? })),
        ..ROW
    },
    Spec {
        word: "history",
        aliases: &["refresh"],
        group: Group::Channel,
        usage: "CH|@USER [n] [--before|--around N] [--branch]",
        help: "the newest 50, or n; those before or around one; what a move left aside",
        args: &[need(Kind::Place), may(Kind::Count)],
        flags: &[Flag::Before, Flag::Around, Flag::Branch],
        build: history,
        ..ROW
    },
    Spec {
        word: "search",
        group: Group::Channel,
        usage: "WORDS [in CH|@USER] [from NAME] …",
        help: "find what was said; also before DATE, after DATE, has:link, --context N, --host",
        args: &[need(Kind::Query)],
        build: |args| Some(Action::Perform(Command::Search(args.search?))),
        ..ROW
    },
    Spec {
        word: "erase",
        group: Group::Channel,
        usage: "CH SEQ [why…]",
        help: "erase a message of yours for everybody; moderators and the owner, any",
        args: &[need(Kind::Channel), need(Kind::Entry), may(Kind::Text)],
        build: |args| {
            let (channel, seq) = (args.channel?, args.seq?);
            Some(Action::Perform(Command::Erase { channel, seq, why: args.text }))
        },
        ..ROW
    },
    Spec {
        word: "verify",
        group: Group::Channel,
        usage: "CH",
        help: "check what is kept of a channel against what its host has signed",
        args: &[need(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Verify { channel: args.channel? })),
        ..ROW
    },
    Spec {
        word: "export",
        group: Group::Channel,
        usage: "CH FILE [--to KEY]",
        help: "write a channel, or what you have of it, into a file; --to hands it over",
        args: &[need(Kind::Channel), need(Kind::Path)],
        flags: &[Flag::To],
        build: export,
        ..ROW
    },
    Spec {
        word: "import",
        group: Group::Channel,
        usage: "FILE [CH] [--key KEY]",
        help: "host a channel made of an export, or of logs of IRC; KEY: that of its old host",
        args: &[need(Kind::Path), may(Kind::Channel)],
        flags: &[Flag::Key],
        build: |args| {
            let (path, key) = (args.path?, args.host_key);
            Some(Action::Perform(Command::Import { path, channel: args.channel, key }))
        },
        ..ROW
    },
    Spec {
        word: "talk",
        group: Group::Channel,
        usage: "[CH|@USER]",
        help: "make each line a message there, commands begin with / then; /talk alone ends it",
        args: &[may(Kind::Place)],
        build: |args| {
            let user = args.user.map(TalkTo::User);
            Some(Action::Talk(user.or(args.channel.map(TalkTo::Channel))))
        },
        ..ROW
    },
];
