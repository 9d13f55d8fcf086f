//! The rows.

use common::proto::limits::FIRST_TAIL;

use super::{Action, Arg, Ask, Flag, Group, Kind, Spec};
use crate::api::{Command, OutboxCommand};

const fn need(kind: Kind) -> Arg {
    Arg { kind, required: true }
}

const fn may(kind: Kind) -> Arg {
    Arg { kind, required: false }
}

/// What most rows have.
const ROW: Spec = Spec {
    word: "",
    aliases: &[],
    group: Group::Look,
    usage: "",
    help: "",
    args: &[],
    flags: &[],
    secrets: &[],
    build: |_| None,
};

const PASSWORD: Ask = Ask { prompt: "password: ", twice: false };
const OLD_PASSWORD: Ask = Ask { prompt: "present password: ", twice: false };
const NEW_PASSWORD: Ask = Ask { prompt: "new password: ", twice: true };

/// Every command there is, in the order of the help.
pub static TABLE: &[Spec] = &[
    Spec {
        word: "signup",
        group: Group::Account,
        usage: "[name]",
        help: "make an account; the password is asked for",
        args: &[may(Kind::User)],
        secrets: &[NEW_PASSWORD],
        build: |mut args| {
            Some(Action::Perform(Command::Signup { name: args.user, password: args.secrets.pop()? }))
        },
        ..ROW
    },
    Spec {
        word: "signin",
        group: Group::Account,
        usage: "[name]",
        help: "bind this peer to an account; the password is asked for",
        args: &[may(Kind::User)],
        secrets: &[PASSWORD],
        build: |mut args| {
            Some(Action::Perform(Command::Signin { name: args.user, password: args.secrets.pop()? }))
        },
        ..ROW
    },
    Spec {
        word: "signout",
        group: Group::Account,
        help: "unbind this peer from its account",
        build: |_| Some(Action::Perform(Command::Signout)),
        ..ROW
    },
    Spec {
        word: "guest",
        group: Group::Account,
        usage: "[name]",
        help: "enter without an account",
        args: &[may(Kind::User)],
        build: |args| Some(Action::Perform(Command::Guest { name: args.user })),
        ..ROW
    },
    Spec {
        word: "passwd",
        group: Group::Account,
        help: "change the account's password; both are asked for",
        secrets: &[OLD_PASSWORD, NEW_PASSWORD],
        build: |mut args| {
            let (new, old) = (args.secrets.pop()?, args.secrets.pop()?);
            Some(Action::Perform(Command::Passwd { old, new }))
        },
        ..ROW
    },
    Spec {
        word: "whoami",
        group: Group::Account,
        help: "who this peer is",
        build: |_| Some(Action::Perform(Command::Whoami)),
        ..ROW
    },
    Spec {
        word: "list",
        usage: "[pattern] [--after NAME]",
        help: "the tracker's channels: all, or those whose name contains the pattern (* stands for anything)",
        args: &[may(Kind::Pattern)],
        flags: &[Flag::After],
        build: |args| Some(Action::Perform(Command::List { pattern: args.pattern, after: args.after })),
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
        usage: "CH",
        help: "who is in a channel",
        args: &[need(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Members { channel: args.channel? })),
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
        usage: "CH",
        help: "host a channel on this machine, a new one or one of yours",
        args: &[need(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Host { channel: args.channel? })),
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
        usage: "CH [n] [--before SEQ]",
        help: "the newest n messages of a channel (50 when not given), or those before one of them",
        args: &[need(Kind::Channel), may(Kind::Count)],
        flags: &[Flag::Before],
        build: |args| {
            let count = args.count.unwrap_or(FIRST_TAIL);
            Some(Action::Perform(Command::History { channel: args.channel?, count, before: args.before }))
        },
        ..ROW
    },
    Spec {
        word: "talk",
        group: Group::Channel,
        usage: "[CH]",
        help: "make each line a message to the channel, commands begin with / then; /talk alone ends it",
        args: &[may(Kind::Channel)],
        build: |args| Some(Action::Talk(args.channel)),
        ..ROW
    },
    Spec {
        word: "outbox",
        group: Group::Outbox,
        usage: "[CH]",
        help: "what is still to be sent, and what it waits for",
        args: &[may(Kind::Channel)],
        build: |args| Some(Action::Perform(Command::Outbox(OutboxCommand::List { channel: args.channel }))),
        ..ROW
    },
    Spec {
        word: "outbox retry",
        group: Group::Outbox,
        usage: "ID|CH",
        help: "send a refused message again, or all of a channel; the end of an id will do",
        args: &[need(Kind::Queue)],
        build: |args| Some(Action::Perform(Command::Outbox(OutboxCommand::Retry { which: args.id? }))),
        ..ROW
    },
    Spec {
        word: "outbox cancel",
        group: Group::Outbox,
        usage: "ID",
        help: "do not send a message, unless the host has it already",
        args: &[need(Kind::Message)],
        build: |args| Some(Action::Perform(Command::Outbox(OutboxCommand::Cancel { id: args.id? }))),
        ..ROW
    },
    Spec {
        word: "outbox edit",
        group: Group::Outbox,
        usage: "ID text…",
        help: "send another text in a message's place, unless the host has it already",
        args: &[need(Kind::Message), need(Kind::Text)],
        build: |args| {
            Some(Action::Perform(Command::Outbox(OutboxCommand::Edit { id: args.id?, text: args.text? })))
        },
        ..ROW
    },
    Spec {
        word: "quit",
        aliases: &["exit"],
        group: Group::Leave,
        help: "leave; what is still to be sent is sent next time",
        build: |_| Some(Action::Quit),
        ..ROW
    },
];
