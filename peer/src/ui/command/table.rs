//! The rows.

use common::name::ChannelName;
use common::proto::directory::{Grant, Post, View};
use common::proto::limits::FIRST_TAIL;

use super::{Action, Arg, Args, Ask, Choices, Flag, Group, Kind, Spec, TalkTo};
use crate::api::{
    Command, DevicesCommand, DirectCommand, FileChange, FileCommand, ModerationCommand, OutboxCommand,
    WatchCommand,
};

const fn need(kind: Kind) -> Arg {
    Arg { kind, required: true }
}

const fn may(kind: Kind) -> Arg {
    Arg { kind, required: false }
}

const VIEWS: Choices =
    &[("public", "public"), ("restricted", "restricted"), ("1", "public"), ("0", "restricted")];
const POSTS: Choices = &[("everyone", "everyone"), ("authorized", "authorized")];
const GRANTS: Choices = &[("moderator", "moderator")];
const SWITCH: Choices = &[("1", "1"), ("0", "0")];
const ON_OFF: Choices = &[("on", "on"), ("off", "off"), ("1", "on"), ("0", "off")];

fn moderate(channel: ChannelName, order: ModerationCommand) -> Option<Action> {
    Some(Action::Perform(Command::Moderate { channel, order }))
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

const fn direct(command: DirectCommand) -> Option<Action> {
    Some(Action::Perform(Command::Direct(command)))
}

fn change_file(args: Args, change: FileChange) -> Option<Action> {
    Some(Action::Perform(Command::Files(FileCommand::Change { id: args.id?, change })))
}

fn history(args: Args) -> Option<Action> {
    let (count, before) = (args.count.unwrap_or(FIRST_TAIL), args.before);
    if let Some(user) = args.user {
        return direct(DirectCommand::History { user, count, before });
    }
    Some(Action::Perform(Command::History { channel: args.channel?, count, before }))
}

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
        word: "devices",
        group: Group::Account,
        help: "the devices that are signed in to this account",
        build: |_| Some(Action::Perform(Command::Devices(DevicesCommand::List))),
        ..ROW
    },
    Spec {
        word: "devices revoke",
        group: Group::Account,
        usage: "KEY",
        help: "sign out a device, everywhere and at once; the first digits of its key will do",
        args: &[need(Kind::Key)],
        build: |args| Some(Action::Perform(Command::Devices(DevicesCommand::Revoke { key: args.key? }))),
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
        usage: "CH|@USER [n] [--before SEQ]",
        help: "the newest n messages (50 when not given), or those before one of them",
        args: &[need(Kind::Place), may(Kind::Count)],
        flags: &[Flag::Before],
        build: history,
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
        usage: "CH FILE",
        help: "write a channel, or what you have of it, into a file that can be checked and imported",
        args: &[need(Kind::Channel), need(Kind::Path)],
        build: |args| Some(Action::Perform(Command::Export { channel: args.channel?, path: args.path? })),
        ..ROW
    },
    Spec {
        word: "import",
        group: Group::Channel,
        usage: "FILE [CH] [--key KEY]",
        help: "make a channel of an export, or of logs of IRC, and host it; KEY is that of its old host",
        args: &[need(Kind::Path), may(Kind::Channel)],
        flags: &[Flag::Key],
        build: |args| {
            let (path, key) = (args.path?, args.host_key);
            Some(Action::Perform(Command::Import { path, channel: args.channel, key }))
        },
        ..ROW
    },
    Spec {
        word: "backup",
        group: Group::Account,
        usage: "DIR",
        help: "copy all that this peer keeps, its key too, into a new folder, while it runs",
        args: &[need(Kind::Folder)],
        build: |args| Some(Action::Perform(Command::Backup { folder: args.path? })),
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
    Spec {
        word: "start",
        group: Group::Direct,
        usage: "USER",
        help: "ask somebody for a private conversation",
        args: &[need(Kind::Contact)],
        build: |args| direct(DirectCommand::Start { user: args.user? }),
        ..ROW
    },
    Spec {
        word: "accept",
        group: Group::Direct,
        usage: "USER [KEY]",
        help: "agree to somebody's request; KEY is the beginning of its key, where there are several",
        args: &[need(Kind::Contact), may(Kind::Key)],
        build: |args| direct(DirectCommand::Accept { user: args.user?, key: args.key }),
        ..ROW
    },
    Spec {
        word: "reject",
        group: Group::Direct,
        usage: "USER [KEY]",
        help: "turn somebody's request down",
        args: &[need(Kind::Contact), may(Kind::Key)],
        build: |args| direct(DirectCommand::Reject { user: args.user?, key: args.key }),
        ..ROW
    },
    Spec {
        word: "msg",
        aliases: &["chat"],
        group: Group::Direct,
        usage: "USER text…",
        help: "write to a contact: the rest of the line, as it is",
        args: &[need(Kind::Contact), need(Kind::Text)],
        build: |args| direct(DirectCommand::Msg { user: args.user?, text: args.text? }),
        ..ROW
    },
    Spec {
        word: "close",
        group: Group::Direct,
        usage: "USER",
        help: "end a private conversation for now; writing opens it again",
        args: &[need(Kind::Contact)],
        build: |args| direct(DirectCommand::Close { user: args.user? }),
        ..ROW
    },
    Spec {
        word: "block",
        group: Group::Direct,
        usage: "USER",
        help: "let no request and no message of somebody through; they are not told",
        args: &[need(Kind::Contact)],
        build: |args| direct(DirectCommand::Block { user: args.user? }),
        ..ROW
    },
    Spec {
        word: "unblock",
        group: Group::Direct,
        usage: "USER",
        help: "take a block back",
        args: &[need(Kind::Contact)],
        build: |args| direct(DirectCommand::Unblock { user: args.user? }),
        ..ROW
    },
    Spec {
        word: "sendfile",
        group: Group::Direct,
        usage: "USER|CH path…",
        help: "offer files or folders to a contact, or to all in a channel; quote paths with spaces",
        args: &[need(Kind::Recipient), need(Kind::Paths)],
        build: |args| {
            Some(Action::Perform(Command::Files(FileCommand::Send { to: args.to?, paths: args.paths })))
        },
        ..ROW
    },
    Spec {
        word: "files",
        group: Group::Direct,
        help: "the files that are offered, either way, and how far they are",
        build: |_| Some(Action::Perform(Command::Files(FileCommand::List))),
        ..ROW
    },
    Spec {
        word: "files accept",
        group: Group::Direct,
        usage: "ID",
        help: "fetch what somebody offers; the end of an id will do",
        args: &[need(Kind::File)],
        build: |args| change_file(args, FileChange::Accept),
        ..ROW
    },
    Spec {
        word: "files reject",
        group: Group::Direct,
        usage: "ID",
        help: "do not want what somebody offers",
        args: &[need(Kind::File)],
        build: |args| change_file(args, FileChange::Reject),
        ..ROW
    },
    Spec {
        word: "files pause",
        group: Group::Direct,
        usage: "ID",
        help: "stop a file for now, on either side",
        args: &[need(Kind::File)],
        build: |args| change_file(args, FileChange::Pause),
        ..ROW
    },
    Spec {
        word: "files resume",
        group: Group::Direct,
        usage: "ID",
        help: "go on with a file, also after it has failed",
        args: &[need(Kind::File)],
        build: |args| change_file(args, FileChange::Resume),
        ..ROW
    },
    Spec {
        word: "files cancel",
        group: Group::Direct,
        usage: "ID",
        help: "stop a file for good, or do not offer it any more",
        args: &[need(Kind::File)],
        build: |args| change_file(args, FileChange::Cancel),
        ..ROW
    },
    Spec {
        word: "broadcast",
        group: Group::Direct,
        usage: "text…",
        help: "say something to all who are at the tracker: the rest of the line, as it is",
        args: &[need(Kind::Text)],
        build: |args| Some(Action::Perform(Command::Broadcast { text: args.text? })),
        ..ROW
    },
    Spec {
        word: "contacts",
        group: Group::Direct,
        help: "whom you talk to, who asks, whom you have asked, who is blocked",
        build: |_| direct(DirectCommand::Contacts),
        ..ROW
    },
    Spec {
        word: "view",
        group: Group::Owner,
        usage: "CH public|restricted",
        help: "who may join and read: everybody, or those whom you authorize (1 and 0 will do)",
        args: &[need(Kind::Channel), need(Kind::Choice(VIEWS))],
        build: |args| {
            let view = if args.choice? == "public" { View::Public } else { View::Restricted };
            moderate(args.channel?, ModerationCommand::View(view))
        },
        ..ROW
    },
    Spec {
        word: "post",
        group: Group::Owner,
        usage: "CH everyone|authorized",
        help: "who may send, of those who may join",
        args: &[need(Kind::Channel), need(Kind::Choice(POSTS))],
        build: |args| {
            let post = if args.choice? == "everyone" { Post::Everyone } else { Post::Authorized };
            moderate(args.channel?, ModerationCommand::Post(post))
        },
        ..ROW
    },
    Spec {
        word: "authorize",
        group: Group::Owner,
        usage: "CH user [moderator]",
        help: "let an account in, and let it send; or make it a moderator",
        args: &[need(Kind::Channel), need(Kind::Who), may(Kind::Choice(GRANTS))],
        build: |args| {
            let role = if args.choice.is_some() { Grant::Moderator } else { Grant::Authorized };
            moderate(args.channel?, ModerationCommand::Authorize { who: args.who?, role })
        },
        ..ROW
    },
    Spec {
        word: "deauthorize",
        group: Group::Owner,
        usage: "CH user",
        help: "take back what an account was given",
        args: &[need(Kind::Channel), need(Kind::Who)],
        build: |args| moderate(args.channel?, ModerationCommand::Deauthorize { who: args.who? }),
        ..ROW
    },
    Spec {
        word: "author",
        group: Group::Owner,
        usage: "CH user 1|0",
        help: "authorize (1) or deauthorize (0) an account, as it used to be typed",
        args: &[need(Kind::Channel), need(Kind::Who), need(Kind::Choice(SWITCH))],
        build: |args| {
            let (channel, who) = (args.channel?, args.who?);
            let order = match args.choice? {
                "1" => ModerationCommand::Authorize { who, role: Grant::Authorized },
                _ => ModerationCommand::Deauthorize { who },
            };
            moderate(channel, order)
        },
        ..ROW
    },
    Spec {
        word: "kick",
        group: Group::Owner,
        usage: "CH user [why…]",
        help: "put somebody out for a minute",
        args: &[need(Kind::Channel), need(Kind::Who), may(Kind::Text)],
        build: |args| moderate(args.channel?, ModerationCommand::Kick { who: args.who?, why: args.text }),
        ..ROW
    },
    Spec {
        word: "ban",
        group: Group::Owner,
        usage: "CH user [why…]",
        help: "put somebody out for good: an account, or a guest by the key of the peer",
        args: &[need(Kind::Channel), need(Kind::Who), may(Kind::Text)],
        build: |args| moderate(args.channel?, ModerationCommand::Ban { who: args.who?, why: args.text }),
        ..ROW
    },
    Spec {
        word: "unban",
        group: Group::Owner,
        usage: "CH user",
        help: "let somebody come again",
        args: &[need(Kind::Channel), need(Kind::Who)],
        build: |args| moderate(args.channel?, ModerationCommand::Unban { who: args.who? }),
        ..ROW
    },
    Spec {
        word: "bans",
        group: Group::Owner,
        usage: "CH",
        help: "who is banned, by whom and why",
        args: &[need(Kind::Channel)],
        build: |args| moderate(args.channel?, ModerationCommand::Bans),
        ..ROW
    },
    Spec {
        word: "audit",
        group: Group::Owner,
        usage: "CH [n]",
        help: "what owner and moderators have done: the newest n acts (50 when not given)",
        args: &[need(Kind::Channel), may(Kind::Count)],
        build: |args| {
            let count = args.count.unwrap_or(FIRST_TAIL);
            moderate(args.channel?, ModerationCommand::Audit { count })
        },
        ..ROW
    },
    Spec {
        word: "watch",
        group: Group::Presence,
        usage: "[name…]",
        help: "be told when these come and go, also after a restart; or who it is that you watch",
        args: &[may(Kind::Users)],
        build: |args| {
            let names = args.users;
            let asked = if names.is_empty() { WatchCommand::List } else { WatchCommand::Watch { names } };
            Some(Action::Perform(Command::Watch(asked)))
        },
        ..ROW
    },
    Spec {
        word: "unwatch",
        group: Group::Presence,
        usage: "name…",
        help: "do not be told of these any more",
        args: &[need(Kind::Users)],
        build: |args| Some(Action::Perform(Command::Watch(WatchCommand::Unwatch { names: args.users }))),
        ..ROW
    },
    Spec {
        word: "invisible",
        group: Group::Presence,
        usage: "on|off",
        help: "be seen as away by everybody, on all your devices, until you say otherwise",
        args: &[need(Kind::Choice(ON_OFF))],
        build: |args| Some(Action::Perform(Command::Invisible { on: args.choice? == "on" })),
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
