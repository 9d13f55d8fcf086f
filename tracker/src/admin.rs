//! What the tracker's operator can do, at its console and over a socket in its data folder.
//!
//! Both take the same commands, out of one table ([`command`]), have them done ([`perform`]), and show what came of it
//! ([`report`]). What changes something is kept in the audit log, with who did it and why.

pub mod command;
pub mod console;
pub mod perform;
pub mod report;
pub mod socket;

use common::proto::status::{Code, Refusal};

use crate::tracker::TrackerHandle;
use command::{Command, Typed};
use report::Report;

/// Does what was typed, by whoever `by` says.
///
/// # Errors
/// What was typed wrongly, or why it was not done.
pub async fn run(tracker: &TrackerHandle, by: &str, typed: Typed<'_>) -> Result<Report, Refusal> {
    let command = Command::parse(typed).map_err(|why| Refusal::new(Code::Usage, why))?;
    perform::perform(tracker, by, command).await.map_err(crate::error::Failure::into_refusal)
}
