//! The user itself: account, devices, and all that is kept.

use super::{ROW, may, need};
use crate::api::{Command, DevicesCommand};
use crate::ui::command::{Action, Ask, Group, Kind, Spec};

const PASSWORD: Ask = Ask { prompt: "password: ", twice: false };
const OLD_PASSWORD: Ask = Ask { prompt: "present password: ", twice: false };
const NEW_PASSWORD: Ask = Ask { prompt: "new password: ", twice: true };

pub(super) const ROWS: &[Spec] = &[
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
        word: "backup",
        group: Group::Account,
        usage: "DIR",
        help: "copy all that this peer keeps, its key too, into a new folder, while it runs",
        args: &[need(Kind::Folder)],
        build: |args| Some(Action::Perform(Command::Backup { folder: args.path? })),
        ..ROW
    },
];
