//! What is told of a channel's history as a whole.

use common::clock::Timestamp;
use common::text::one_line;

use super::Renderer;
use super::table::facts;
use crate::api::{
    BackedUp, BranchOf, Checked, Erased, ErasedEntry, Erases, Exported, Imported, ImportedFrom, Recovered,
    Rejected, Run, Verified, VerifiedLog, format_utc,
};

/// What an entry of type `erase` says.
pub(super) fn erases_what(erases: &Erases) -> String {
    format!("(erased message {}{})", erases.seq, reason(erases.why.as_deref()))
}

fn reason(why: Option<&str>) -> String {
    why.map_or(String::new(), |why| format!(": {}", one_line(why)))
}

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

    /// What is said in place of a text that is gone.
    pub(super) fn erased(&self, erased: &Erased, now: Timestamp) -> String {
        let Erased { by, at, why, .. } = erased;
        let by = by.as_ref().map_or(String::new(), |by| format!(" by {}", one_line(by)));
        let at = at.map_or(String::new(), |at| format!(" at {}", self.time(at, now)));
        format!("erased{by}{at}{}", reason(why.as_deref()))
    }

    /// That a message is erased from now on.
    pub(super) fn erased_entry(&self, done: &ErasedEntry) -> String {
        let ErasedEntry { channel, seq, .. } = done;
        let whose = "its host has erased it, and so does everybody who comes by";
        self.notice(&format!("#{channel}: message {seq} is erased; {whose}"))
    }

    pub(super) fn branch(&self, branch: &BranchOf, now: Timestamp) -> String {
        let channel = &branch.channel;
        if branch.messages.is_empty() {
            return self.notice(&format!("#{channel}: nothing was put aside"));
        }
        let mut lines = branch.messages.iter().map(|message| self.message(message, now)).collect::<Vec<_>>();
        lines.push(self.notice(&format!(
            "these are not in #{channel}: a host stored them after the channel had moved to another one"
        )));
        lines.join("\n")
    }

    pub(super) fn exported(&self, exported: &Exported) -> String {
        let Exported { channel, file, entries, missing, by_host, .. } = exported;
        let mut text = self.notice(&format!("#{channel}: {} in {}", count(*entries), one_line(file)));
        let what = match (missing.as_slice(), by_host) {
            ([], true) => {
                "all of it, and who may do what; others can check it with: peer verify-export FILE".to_owned()
            }
            ([], false) => "all of it; others can check it with: peer verify-export FILE".to_owned(),
            (missing, _) => format!("not in it, since you have not received them: {}", runs(missing)),
        };
        text.push('\n');
        text.push_str(&self.notice(&what));
        text
    }

    pub(super) fn backed_up(&self, done: &BackedUp) -> String {
        let folder = one_line(&done.folder);
        let whole =
            self.notice(&format!("{} bytes in {folder}; to start it: peer --data {folder}", done.bytes));
        format!("{whole}\n{}", self.notice("it has your secret key: whoever has the folder is you"))
    }

    pub(super) fn recovered(&self, recovered: &Recovered) -> String {
        let Recovered { channel, entries, from, head, .. } = recovered;
        let from = from.iter().map(|name| one_line(name).into_owned()).collect::<Vec<_>>().join(", ");
        let back = match entries {
            0 => "nothing is back".to_owned(),
            _ => format!("{} back, from {from}; the last is {}", count(*entries), head.seq),
        };
        if let Some(parent) = recovered.forked {
            let text = format!(
                "#{channel}: it goes on in a new log, with the entries up to {}; those whose messages are not in it are asked",
                parent.seq
            );
            return self.notice(&text);
        }
        let mut lines = vec![self.notice(&format!("#{channel}: {back}"))];
        lines.push(self.notice(&what_then(recovered)));
        if !recovered.whole {
            let fork = format!("to go on without what is missing, in a new log: recover {channel} --fork");
            lines.push(self.notice(&fork));
        }
        for Rejected { name, reason } in &recovered.rejected {
            lines.push(self.notice(&format!(
                "what {} gave was not taken: {}",
                one_line(name),
                one_line(reason)
            )));
        }
        lines.join("\n")
    }

    pub(super) fn imported(&self, imported: &Imported) -> String {
        let Imported { channel, entries, from, .. } = imported;
        let from = match from {
            ImportedFrom::Export => "nothing was wrong with it",
            ImportedFrom::Irc => "marked as imported, since nobody has proven who wrote them",
        };
        self.notice(&format!("#{channel} is hosted with {}: {from}", count(*entries)))
    }

    /// What an export is that was checked on its own.
    pub(super) fn checked(&self, checked: &Checked) -> String {
        let signed = match &checked.signed {
            Some(signed) if signed.seq == checked.last => format!("all, at {}", format_utc(signed.at)),
            Some(signed) => format!("up to entry {}, at {}", signed.seq, format_utc(signed.at)),
            None if checked.entries == 0 => "there is nothing in it".to_owned(),
            None => "nothing of it".to_owned(),
        };
        let by = if checked.by_host { "its host" } else { "a member" };
        let mut rows = vec![
            ("channel", format!("#{} of {}", checked.channel, one_line(checked.owner.name.as_str()))),
            ("id", checked.id.to_string()),
            ("host's key", checked.host_key.to_string()),
            ("exported by", by.to_owned()),
            ("entries", format!("{}, the last is {}", checked.entries, checked.last)),
            ("signed", signed),
        ];
        if !checked.missing.is_empty() {
            rows.push(("not in it", runs(&checked.missing)));
        }
        if !checked.unproven.is_empty() {
            rows.push(("not provable", runs(&checked.unproven)));
        }
        let end = "nothing is wrong with it, if that key is the one of the channel's host";
        format!("{}\n{}", facts(self.style, &rows), self.notice(end))
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
        if log.without_text > 0 {
            let texts = count(log.without_text);
            say(format!(
                "{texts} without a text that nobody has erased: the host had dropped it for its age, or did not give it"
            ));
        }
        for fault in &log.faults {
            say(format!("entry {}: {}", fault.seq, fault.reason));
        }
        if log.more_faults > 0 {
            say(format!("and {} more", log.more_faults));
        }
    }
}

/// What it means for the owner.
fn what_then(recovered: &Recovered) -> String {
    let Recovered { whole, missing, unproven, diverged, .. } = recovered;
    match missing {
        _ if *whole => "it takes messages again".to_owned(),
        _ if *diverged => {
            "it has gone on from an older copy since, so what was lost does not fit behind it; it takes no messages".to_owned()
        }
        Some(run) => format!(
            "missing still: {}, which nobody who is here can give; type it again when others have come",
            runs(std::slice::from_ref(run))
        ),
        None if *unproven > 0 => format!(
            "all that this host has signed is back, and somebody says to have {} more at least, which nobody can prove; it \
             takes no messages, since those numbers may have been given out",
            count(*unproven)
        ),
        None => "how much is missing is not known: nobody who is here has more, and the tracker cannot be asked".to_owned(),
    }
}

fn which(log: &VerifiedLog) -> String {
    let entries = count(log.entries);
    if log.newest { format!(": {entries}") } else { format!(", a log of before ({}): {entries}", log.epoch) }
}

fn count(entries: u64) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
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
