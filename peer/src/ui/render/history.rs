//! What is told of a channel's history as a whole.

use common::clock::Timestamp;
use common::text::one_line;

use super::Renderer;
use crate::api::{Run, Verified, VerifiedLog};

/// How many runs of entries are named.
const MAX_RUNS: usize = 5;

impl Renderer {
    pub(super) fn verified(&self, verified: &Verified, now: Timestamp) -> String {
        let channel = &verified.channel;
        let mut lines = Vec::new();
        for log in &verified.logs {
            lines.push(self.notice(&format!("#{channel}{}", which(log))));
            self.log_lines(log, now, &mut lines);
        }
        if verified.logs.is_empty() {
            lines.push(self.notice(&format!("#{channel}: nothing was received yet")));
        }
        if let Some(not_asked) = &verified.not_asked {
            let reason = one_line(&not_asked.reason);
            lines.push(self.notice(&format!(
                "checked by the signatures that are kept here; the host was not asked: {reason}"
            )));
        }
        lines.push(self.notice(match (verified.logs.is_empty(), verified.sound) {
            (true, _) => "there is nothing to check",
            (false, true) => "nothing is wrong",
            (false, false) => "SOMETHING IS WRONG, see above",
        }));
        lines.join("\n")
    }

    fn log_lines(&self, log: &VerifiedLog, now: Timestamp, lines: &mut Vec<String>) {
        let mut say = |text: String| lines.push(self.notice(&format!("  {text}")));
        match &log.signed {
            Some(signed) => {
                let at = self.time(signed.at, now);
                say(format!("as the host has signed it up to entry {} ({at})", signed.seq));
                if signed.seq < log.last {
                    say(format!("in order up to entry {}, not signed yet", log.last));
                }
            }
            None if log.entries > 0 => say("of what is here nothing is signed yet".into()),
            None => {}
        }
        if !log.unproven.is_empty() {
            say(format!("not provable before what is missing below has come: {}", runs(&log.unproven)));
        }
        if !log.missing.is_empty() {
            say(format!("not here: {}", runs(&log.missing)));
        }
        for fault in &log.faults {
            say(format!("entry {}: {}", fault.seq, fault.reason));
        }
        if log.more_faults > 0 {
            say(format!("and {} more", log.more_faults));
        }
    }
}

fn which(log: &VerifiedLog) -> String {
    let entries = match log.entries {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    if log.newest { format!(": {entries}") } else { format!(", a log of before ({}): {entries}", log.epoch) }
}

fn runs(runs: &[Run]) -> String {
    let one = |run: &Run| match run.to - run.from {
        0 => run.from.to_string(),
        _ => format!("{} to {}", run.from, run.to),
    };
    let mut text = runs.iter().take(MAX_RUNS).map(one).collect::<Vec<_>>().join(", ");
    if runs.len() > MAX_RUNS {
        text.push_str(&format!(", and {} more", runs.len() - MAX_RUNS));
    }
    text
}
