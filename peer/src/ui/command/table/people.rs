//! Other people: alone with one, files, a word to all, and who is there.

use super::{ROW, may, need};
use crate::api::{Command, DirectCommand, FileChange, FileCommand, WatchCommand};
use crate::ui::command::{Action, Args, Choices, Group, Kind, Spec};

const ON_OFF: Choices = &[("on", "on"), ("off", "off"), ("1", "on"), ("0", "off")];

const fn direct(command: DirectCommand) -> Option<Action> {
    Some(Action::Perform(Command::Direct(command)))
}

fn change_file(args: Args, change: FileChange) -> Option<Action> {
    Some(Action::Perform(Command::Files(FileCommand::Change { id: args.id?, change })))
}

pub(super) const ROWS: &[Spec] = &[
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
        help: "agree to somebody's request; KEY: the beginning of its key, where there are several",
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
];
