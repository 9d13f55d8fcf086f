//! How costs grow with the number of members, the length of a message, and the length of the history.

use super::fanout::{self, Fanout};
use super::history::{self, History};
use super::paced::{self, Paced};
use crate::Fallible;
use crate::report::Report;
use crate::world::Target;

/// Deliveries of a point of the burst, so that all points take about as long.
const DELIVERIES: usize = 4_000_000;
const TEXT: usize = 100;

/// Runs all points.
pub fn run(target: &Target) -> Fallible<Vec<Report>> {
    let mut reports = Vec::new();
    for members in [50, 200, 800, 3200] {
        let messages = DELIVERIES / members;
        reports.push(fanout::run(target, &Fanout { members, senders: 8, messages, text: TEXT })?);
    }
    for members in [50, 200, 800, 3200] {
        reports.push(paced::run(target, &Paced { members, rate: 10.0, seconds: 5, text: TEXT })?);
    }
    for text in [32, 256, 2048, 16_000] {
        let messages = DELIVERIES / 800 * TEXT / (TEXT + text);
        reports.push(fanout::run(target, &Fanout { members: 400, senders: 2, messages, text })?);
    }
    for entries in [1_000, 10_000, 100_000, 400_000] {
        reports.push(history::run(target, &History { entries, joins: 20 })?);
    }
    Ok(reports)
}
