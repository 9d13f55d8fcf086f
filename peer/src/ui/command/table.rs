//! The rows, by what they are about.

mod account;
mod channels;
mod outbox;
mod owner;
mod people;

use super::{Action, Arg, Group, Kind, Spec};

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

/// Leaving is not about anything.
const QUIT: &[Spec] = &[Spec {
    word: "quit",
    aliases: &["exit"],
    group: Group::Leave,
    help: "leave; what is still to be sent is sent next time",
    build: |_| Some(Action::Quit),
    ..ROW
}];

/// Every command there is.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    let all = [account::ROWS, channels::ROWS, people::ROWS, owner::ROWS, outbox::ROWS, QUIT];
    all.into_iter().flatten()
}
