//! How soon something is found in a channel with a long history of what people really wrote.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Span;
use jiff::civil::{Date, date};
use serde_json::Value;

use crate::Fallible;
use crate::process::{Program, Scratch, programs, start_tracker, usage};
use crate::report::Report;
use crate::world::Target;

/// What is looked for, and in what.
#[derive(Args, Clone, Debug)]
pub struct Search {
    /// A folder with logs of IRC, files like 2007-02-15.log; repeated under other names until there are enough lines
    #[arg(long)]
    pub logs: PathBuf,
    /// How many lines
    #[arg(long, default_value_t = 1_000_000)]
    pub lines: usize,
    /// How often each query is asked
    #[arg(long, default_value_t = 40)]
    pub rounds: usize,
}

/// Rare words and frequent ones, several, some in their order, a beginning, one that is excluded, and options.
const QUERIES: &[&str] = &[
    "captive",
    "the",
    "ubuntu install",
    "\"sudo apt-get install\"",
    "kern*",
    "wireless -driver",
    "nvidia driver problem",
    "has:link ubuntu",
    "help in bench before 2001",
    "nosuchwordatall",
];
/// The days of the files made begin there.
const FIRST_DAY: Date = date(2000, 1, 1);
const MIB: f64 = 1024.0 * 1024.0;
/// An import of millions of lines takes minutes.
const LONGEST: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs it.
pub fn run(target: &Target, options: &Search) -> Fallible<Report> {
    let Target::Natter { data } = target else { return Err("it is a peer that is asked".into()) };
    let scratch = Scratch::new(data)?;
    let (logs, lines) = (scratch.0.join("logs"), options.lines);
    let bytes = make(&options.logs, &logs, lines)?;
    let (_tracker, address) = start_tracker(&scratch.0.join("tracker"))?;
    let folder = scratch.0.join("peer");
    let mut peer = Asked::start(&folder, &address)?;
    let mut report = Report::new(format!("search in {lines} lines"));
    report.add("text", bytes as f64 / MIB, "MiB");
    index(&mut peer, &logs, lines, &mut report)?;
    report.add("index on disk", length(&folder.join("search"))? as f64 / MIB, "MiB");
    report.add("memory", usage(peer.program.id())?.rss as f64 / MIB, "MiB");
    ask(&mut peer, options.rounds, &mut report)?;
    Ok(report)
}

/// Imports the logs, and waits until all can be found.
fn index(peer: &mut Asked, logs: &Path, lines: usize, report: &mut Report) -> Fallible {
    let begun = Instant::now();
    let imported = peer.done(&format!("import {} bench", logs.display()))?;
    if imported["entries"].as_u64() != Some(lines as u64) {
        return Err(format!("not all was imported: {imported}").into());
    }
    report.add("imported", lines as f64 / begun.elapsed().as_secs_f64(), "/s");
    peer.done("search --rebuild")?;
    let (before, begun) = (usage(peer.program.id())?, Instant::now());
    while peer.done("search nosuchwordatall")?["missing"].as_u64() != Some(0) {
        // Nobody tells that it is done.
        let _: Option<()> = peer.program.look(LOOK_EVERY, |_| None);
    }
    let after = usage(peer.program.id())?;
    report.add("indexed", lines as f64 / begun.elapsed().as_secs_f64(), "/s");
    report.add("indexing", begun.elapsed().as_secs_f64(), "s");
    report.add("CPU per indexed", (after.cpu - before.cpu) * 1e6 / lines as f64, "µs");
    Ok(())
}

fn ask(peer: &mut Asked, rounds: usize, report: &mut Report) -> Fallible {
    let mut all = Vec::new();
    for query in QUERIES {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let begun = Instant::now();
            peer.done(&format!("search {query}"))?;
            times.push(begun.elapsed().as_nanos() as u64);
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default() as f64 / 1e6;
        report.add(&format!("median of: {query}"), median, "ms");
        all.extend(times);
    }
    report.add_times("first hits", &mut all);
    Ok(())
}

/// A peer that is asked one thing after the other.
struct Asked {
    program: Program,
    asked: u64,
}

impl Asked {
    fn start(data: &Path, tracker: &str) -> Fallible<Self> {
        let arguments =
            ["--json", "--peer-host-ip", "127.0.0.1", "--username", "bench", "--tracker", tracker, "--data"];
        let mut arguments = arguments.map(str::to_owned).to_vec();
        arguments.push(data.display().to_string());
        let program = Program::start(&programs()?.join("peer"), &arguments)?;
        let is_in = |event: &Value| event["event"] == "session" && event["state"] != "none";
        program.expect(|line| serde_json::from_str(line).ok().filter(is_in))?;
        Ok(Self { program, asked: 0 })
    }

    fn done(&mut self, line: &str) -> Fallible<Value> {
        self.asked += 1;
        let tag = self.asked.to_string();
        self.program.say(&format!("#{tag} {line}"))?;
        let is_it = |event: &Value| event["event"] == "result" && event["tag"] == *tag;
        let result = self.program.look(LONGEST, |line| serde_json::from_str(line).ok().filter(is_it));
        let result: Value = result.ok_or("a command did not end")?;
        match result["ok"].as_bool() {
            Some(true) => Ok(result["body"].clone()),
            _ => Err(format!("{line}: {result}").into()),
        }
    }
}

/// Writes logs of so many lines: those that there are, again and again, each time with other names and on other days.
/// Returns how many bytes of text that is.
fn make(from: &Path, to: &Path, lines: usize) -> Fallible<u64> {
    let mut paths =
        fs::read_dir(from)?.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
    paths.sort();
    let sources = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let sources = sources.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect::<Vec<_>>();
    let said = |line: &str| {
        let (at, rest) = line.strip_prefix('[')?.split_once("] <")?;
        let (nick, text) =
            rest.split_once("> ").filter(|(nick, text)| !nick.contains(' ') && !text.is_empty())?;
        Some((at.to_owned(), nick.to_owned(), text.to_owned()))
    };
    let sources =
        sources.iter().map(|text| text.lines().filter_map(said).collect::<Vec<_>>()).collect::<Vec<_>>();
    if sources.iter().all(Vec::is_empty) {
        return Err(format!("{}: nobody says anything in it", from.display()).into());
    }
    fs::create_dir(to)?;
    let (mut written, mut bytes) = (0, 0);
    for (day, source) in sources.iter().cycle().enumerate() {
        if written >= lines {
            break;
        }
        let date = FIRST_DAY.checked_add(Span::new().try_days(day as i64)?)?;
        let mut file = BufWriter::new(fs::File::create(to.join(format!("{date}.log")))?);
        let round = day / sources.len();
        for (at, nick, text) in source.iter().take(lines - written) {
            writeln!(file, "[{at}] <{nick}{round}> {text}")?;
            written += 1;
            bytes += text.len() as u64;
        }
        file.flush()?;
    }
    Ok(bytes)
}

fn length(folder: &Path) -> Fallible<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_repeated_under_other_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.log"), "=== x joined\n[20:41] <ben> hi\n[20:42] <ada> ho ho\n")
            .unwrap();
        let made = folder.path().join("made");
        assert_eq!(make(folder.path(), &made, 3).unwrap(), 2 + 5 + 2);
        let read = |day: &str| fs::read_to_string(made.join(format!("{day}.log"))).unwrap();
        assert_eq!(read("2000-01-01"), "[20:41] <ben0> hi\n[20:42] <ada0> ho ho\n");
        assert_eq!(read("2000-01-02"), "[20:41] <ben1> hi\n");
    }
}
