//! What owners and moderators of a channel may do.

use common::name::ChannelName;
use common::proto::directory::{Grant, Post, View};
use common::proto::limits::FIRST_TAIL;

use super::{ROW, may, need};
use crate::api::{Command, ModerationCommand, TransferCommand};
use crate::ui::command::{Action, Args, Choices, Flag, Group, Kind, Spec};

const VIEWS: Choices =
    &[("public", "public"), ("restricted", "restricted"), ("1", "public"), ("0", "restricted")];
const POSTS: Choices = &[("everyone", "everyone"), ("authorized", "authorized")];
const GRANTS: Choices = &[("moderator", "moderator")];
const SWITCH: Choices = &[("1", "1"), ("0", "0")];

fn moderate(channel: ChannelName, order: ModerationCommand) -> Option<Action> {
    Some(Action::Perform(Command::Moderate { channel, order }))
}

/// Only what makes sense together.
fn transfer(args: Args) -> Option<Action> {
    let Args { channel, user, path, to_key, .. } = args;
    let command = match (channel, user, path, to_key, [args.accept, args.decline, args.withdraw]) {
        (None, None, None, None, [false, false, false]) => TransferCommand::List,
        (Some(channel), Some(user), None, None, [false, false, false]) => {
            TransferCommand::Offer { channel, user }
        }
        (Some(channel), None, None, None, [true, false, false]) => TransferCommand::Accept { channel },
        (Some(channel), None, None, None, [false, true, false]) => TransferCommand::Decline { channel },
        (Some(channel), None, None, None, [false, false, true]) => TransferCommand::Withdraw { channel },
        (Some(channel), Some(heir), Some(path), Some(to), [false, false, false]) => {
            return Some(Action::Perform(Command::HandOver { channel, heir: Some(heir), path, to }));
        }
        _ => return None,
    };
    Some(Action::Perform(Command::Transfer(command)))
}

pub(super) const ROWS: &[Spec] = &[
    Spec {
        word: "transfer",
        group: Group::Owner,
        usage: "[CH] [name] [FILE] [--to KEY|--accept|--decline|--withdraw]",
        help: "give a channel to an account, which accepts it",
        args: &[may(Kind::Channel), may(Kind::User), may(Kind::Path)],
        flags: &[Flag::To, Flag::Accept, Flag::Decline, Flag::Withdraw],
        build: transfer,
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
        word: "retention",
        group: Group::Owner,
        usage: "CH DAYSd|forever",
        help: "how long the host keeps texts, such as 90d; older ones are erased there for good",
        args: &[need(Kind::Channel), need(Kind::Days)],
        build: |args| moderate(args.channel?, ModerationCommand::Retention(args.days?)),
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
        word: "recover",
        group: Group::Owner,
        usage: "CH [--fork]",
        help: "have members give back what a log has lost; or go on without, in a new log",
        args: &[need(Kind::Channel)],
        flags: &[Flag::Fork],
        build: |args| Some(Action::Perform(Command::Recover { channel: args.channel?, fork: args.fork })),
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
];
