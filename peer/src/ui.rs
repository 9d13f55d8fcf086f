//! What people and programs drive a peer with: a line editor on a terminal, JSON lines elsewhere.
//!
//! Both take the commands of one table ([`command`]), read by one parser ([`parse`]), and show what [`crate::api`] says:
//! as text ([`render`]) or as JSON ([`json`]). The terminal's side is [`repl`], with its line editor on a thread of its
//! own.

pub mod command;
pub mod complete;
mod editor;
#[cfg(test)]
mod fake;
pub mod json;
pub mod known;
pub mod parse;
pub mod render;
pub mod repl;
mod screen;
pub mod terminal;
pub mod web;

use std::future::Future;
use std::time::Duration;

use crate::api::{Command, Outcome};
pub use json::{JsonConfig, run_json, stdin};
pub use repl::{ReplConfig, run_repl};

/// What is printed of something that was done without a node: as a result of JSON, or as text.
pub fn outcome(command: &'static str, outcome: &Outcome, as_json: bool) -> String {
    if as_json {
        return json::result_line(command, outcome);
    }
    let render = render::Renderer { style: render::Style::default(), zone: jiff::tz::TimeZone::system() };
    match outcome {
        Ok(reply) => render.reply(reply, common::clock::Timestamp::now()).unwrap_or_default(),
        Err(refusal) => render.refusal(refusal),
    }
}

/// What a user interface drives: the node, or what a test has in its place.
pub trait Node: Clone + Send + 'static {
    /// Does what a command asks.
    fn perform(&self, command: Command) -> impl Future<Output = Outcome> + Send;

    /// Lets what is under way finish, for so long at most, and receives nothing more from then on: all that there is
    /// to be shown has been told when this returns.
    fn finish(&self, limit: Duration) -> impl Future<Output = ()> + Send;
}

/// How a user interface ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its user, the end of its input or a signal ended it.
    Done,
    /// The node is gone, or the terminal cannot be used.
    Failed,
}
