//! The program `bench`: drives a tracker and a host with thousands of members over the real wire, and measures.
//!
//! In reading order: what is measured ([`process`], [`bare`]), the wire ([`tls`], [`wire`]), those who are on it
//! ([`crew`], [`text`], [`dialect`], [`order`]), both together ([`world`]), what is done with them ([`scenario`]), what files are compared with ([`stream`]) and what comes out
//! ([`report`], [`table`]).

mod bare;
mod crew;
mod dialect;
mod order;
mod process;
mod report;
mod scenario;
mod stream;
mod table;
mod text;
mod tls;
mod wire;
mod world;

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use common::process::raise_open_file_limit;

use crate::dialect::Dialect;
use crate::report::Report;
use crate::scenario::{
    directory, fanout, files, growth, history, paced, presence, search, stalled, stored, storm,
};
use crate::world::Target;

/// What can go wrong is told to whoever started the program, and ends it.
type Fallible<T = ()> = Result<T, Box<dyn Error>>;

const EXAMPLES: &str = "\
Examples:
  cargo build --release -p tracker -p peer -p bench         everything, once
  bench fanout --members 1000                               a burst: starts a tracker and a host, and ends them
  bench fanout --members 1000 --bare                        the same against the bare limit
  bench paced --members 5000 --rate 4 --seconds 30
  bench stored --senders 1 --channels 1 --window 1          one sender that waits for each answer
  bench fanout --tracker 127.0.0.1:22236 --host-pid 4711    what runs already, with the channel `bench`

Each run prints one line of JSON and then a table. It ends with 0 only if every member got every message once and in
order. CPU time is user and system time of the host's process, from /proc: bench runs on Linux.";

/// Drives a tracker and a host with thousands of members over the real wire, and measures.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// Measure the bare limit instead: one thread that writes the same bytes to everybody
    #[arg(long, global = true)]
    bare: bool,
    /// Measure a tracker that runs already; give --host-pid too, and host the channel `bench` there
    #[arg(long, global = true, requires = "host_pid")]
    tracker: Option<SocketAddr>,
    /// Measure another chat server that runs already, with --speaks and --host-pid; `fanout` and `paced` only
    #[arg(long, global = true, value_name = "ADDRESS", requires_all = ["speaks", "host_pid"])]
    other: Option<SocketAddr>,
    /// What the other server speaks, over TLS
    #[arg(long, global = true, requires = "other")]
    speaks: Option<Dialect>,
    /// The process of the host, or of the other server, that runs already
    #[arg(long, global = true)]
    host_pid: Option<u32>,
    /// How many connect to the other server at a time
    #[arg(long, global = true, default_value_t = 128)]
    joining: usize,
    /// What the measured server is called in the results
    #[arg(long, global = true)]
    label: Option<String>,
    /// The folder in which started programs keep their state for the time of the run
    #[arg(long, global = true, default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
}

#[derive(Subcommand)]
enum Scenario {
    /// As many messages as go through
    Fanout(fanout::Fanout),
    /// Messages at a steady pace
    Paced(paced::Paced),
    /// Many senders over many channels
    Stored(stored::Stored),
    /// Joining a channel with a long history
    History(history::History),
    /// All members come back at once
    Storm(storm::Storm),
    /// One member stops reading
    Stalled(stalled::Stalled),
    /// A tracker with many peers and channels
    Tracker(directory::Tracker),
    /// A tracker at which people come and go, and others watch them
    Presence(presence::Presence),
    /// A file, or many small ones, from one peer to another
    Files(files::Files),
    /// Words in a channel with a long history
    Search(search::Search),
    /// How costs grow: tables of four points
    Growth,
    /// Puts lines of JSON of many runs together, as medians beside what is to be held
    Table {
        /// The file with the lines
        results: PathBuf,
    },
    /// The bare limit itself; started by --bare
    #[command(hide = true)]
    BareServer,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = run(&arguments);
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to tell it to when even this fails.
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be measured.
fn target(arguments: &Arguments) -> Target {
    let Arguments { bare, tracker, other, speaks, host_pid, joining, .. } = arguments;
    match (bare, tracker, other.zip(*speaks), host_pid) {
        (true, ..) => Target::Bare,
        (false, Some(tracker), _, Some(id)) => Target::Running { tracker: *tracker, host_id: *id },
        (false, None, Some((address, dialect)), Some(id)) => {
            Target::Other { dialect, address, host_id: *id, joining: *joining }
        }
        _ => Target::Natter { data: arguments.data.clone() },
    }
}

/// Whether nothing was lost.
fn run(arguments: &Arguments) -> Fallible<bool> {
    raise_open_file_limit()?;
    if !matches!(arguments.scenario, Scenario::BareServer) {
        process::end_with_signal()?;
    }
    let target = target(arguments);
    let mut reports: Vec<Report> = match &arguments.scenario {
        Scenario::Fanout(options) => vec![fanout::run(&target, options)?],
        Scenario::Paced(options) => vec![paced::run(&target, options)?],
        Scenario::Stored(options) => vec![stored::run(&target, options)?],
        Scenario::History(options) => vec![history::run(&target, options)?],
        Scenario::Storm(options) => vec![storm::run(&target, options)?],
        Scenario::Stalled(options) => vec![stalled::run(&target, options)?],
        Scenario::Tracker(options) => vec![directory::run(&target, options)?],
        Scenario::Presence(options) => vec![presence::run(&target, options)?],
        Scenario::Files(options) => vec![files::run(&target, options)?],
        Scenario::Search(options) => vec![search::run(&target, options)?],
        Scenario::Growth => growth::run(&target)?,
        Scenario::Table { results } => {
            write!(std::io::stdout(), "{}", table::tables(&std::fs::read_to_string(results)?)?)?;
            Vec::new()
        }
        Scenario::BareServer => {
            bare::serve()?;
            Vec::new()
        }
    };
    for report in &mut reports {
        if report.server.is_empty() {
            report.server = target.name().to_owned();
        }
        if let Some(label) = &arguments.label {
            report.server.clone_from(label);
        }
        report.print()?;
    }
    Ok(reports.iter().all(Report::is_clean))
}
