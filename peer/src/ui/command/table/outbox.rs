//! What has not gone out yet.

use super::{ROW, may, need};
use crate::api::{Command, OutboxCommand};
use crate::ui::command::{Action, Group, Kind, Spec};

pub(super) const ROWS: &[Spec] = &[
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
];
