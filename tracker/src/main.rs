//! The program `tracker`: arguments, log, signals and exit code around the library.

use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use common::admission::parse_trusted;
use common::meter::Rate;
use common::process::raise_open_file_limit;
use common::proto::limits::{MAX_CONNECTIONS, MAX_CONNECTIONS_OF_ORIGIN};
use common::shutdown::{Shutdown, termination};
use common::telemetry;
use etcetera::BaseStrategy;
use ipnet::IpNet;
use serde_json::json;
use tracker::admin::command::{Command, Typed};
use tracker::admin::report::Report;
use tracker::admin::{console, socket};
use tracker::config::{Limits, MayBroadcast};
use tracker::limits::{GUESTS, SIGNUPS};
use tracker::{Config, Ready};

const EXAMPLES: &str = "\
Examples:
  tracker                                        on port 22236 of every address
  tracker --listen 127.0.0.1:0 --data /tmp/t     on a free port of this machine only
  tracker --trusted-prefix 192.0.2.0/24          the class room, from one address, is not limited
  NATTER_LOG=debug tracker                       with each request in the log
  tracker doctor                                 looks at all that a tracker keeps, while it does not run
  tracker admin suspend ken spam                 asks the tracker that runs on this machine to do something

Peers take it with --tracker HOST:PORT#KEY, the form that is printed at the start.";

/// The tracker of Natter: keeps accounts and the list of channels, and introduces peers. It never sees a message.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// The address and port to listen on; port 0 is a free one.
    #[arg(long, value_name = "IP:PORT", env = "NATTER_TRACKER_LISTEN", default_value_t = Config::default_listen())]
    listen: SocketAddr,

    /// The folder that keeps keys, accounts and channels [default: natter/tracker in your data folder].
    #[arg(long, value_name = "DIR", env = "NATTER_TRACKER_DATA", global = true)]
    data: Option<PathBuf>,

    /// Who may say something to all who are there, beside you: off (nobody), registered or everyone.
    #[arg(long, value_name = "WHO", env = "NATTER_BROADCAST", value_enum, default_value_t)]
    broadcast: MayBroadcast,

    #[command(flatten)]
    limits: LimitArguments,

    #[command(subcommand)]
    task: Option<Task>,
}

/// What else the program does than being a tracker.
#[derive(Subcommand)]
enum Task {
    /// Asks the tracker that runs with this data folder to do something; without a command, shows them all.
    Admin {
        /// Show the answer as JSON.
        #[arg(long)]
        json: bool,

        /// The operator's command, as at the tracker's own console.
        #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Looks at everything in the data folder while its tracker does not run, and says what is wrong with it.
    Doctor {
        /// Show what was found as JSON.
        #[arg(long)]
        json: bool,

        /// Mend what can be mended, after a copy was made.
        #[arg(long)]
        repair: bool,
    },
}

/// The exit code for a command that is not typed as it should be; clap has the same.
const USAGE: u8 = 2;

/// What of the limits an operator may change. This machine's own programs are exempt from those of one address.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// A network whose addresses are not counted, such as 192.0.2.0/24; may be given several times.
    #[arg(long, value_name = "NET", env = "NATTER_TRUSTED_PREFIX", value_delimiter = ',', value_parser = parse_trusted)]
    trusted_prefix: Vec<IpNet>,

    /// Connections in all.
    #[arg(long, value_name = "N", env = "NATTER_MAX_CONNECTIONS", default_value_t = MAX_CONNECTIONS)]
    max_connections: usize,

    /// Connections from one address (of IPv6: from one /64).
    #[arg(long, value_name = "N", env = "NATTER_CONNECTIONS_PER_PREFIX", default_value_t = MAX_CONNECTIONS_OF_ORIGIN)]
    connections_per_prefix: usize,

    /// Guests that may enter from one address in a minute.
    #[arg(long, value_name = "N", env = "NATTER_GUESTS_PER_MINUTE", default_value_t = GUESTS.per_minute)]
    guests_per_minute: NonZeroU32,

    /// Accounts that may be made from one address at once; two a minute after that.
    #[arg(long, value_name = "N", env = "NATTER_SIGNUPS_PER_PREFIX", default_value_t = SIGNUPS.burst)]
    signups_per_prefix: NonZeroU32,
}

impl LimitArguments {
    fn apply(self, limits: &mut Limits) {
        limits.admission.trusted = self.trusted_prefix;
        limits.admission.connections = self.max_connections;
        limits.admission.connections_of_origin = self.connections_per_prefix;
        limits.rates.guests = Rate { burst: self.guests_per_minute, per_minute: self.guests_per_minute };
        limits.rates.signups.burst = self.signups_per_prefix;
    }
}

fn main() -> ExitCode {
    // clap ends the program with 2 by itself for wrong usage.
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::init("NATTER_LOG", "info") {
        return fail(&error);
    }
    let done = match data_folder(arguments.data) {
        Ok(data) => match arguments.task {
            Some(Task::Admin { json, words }) => administer(&data, json, words),
            Some(Task::Doctor { json, repair }) => examine(&data, json, repair),
            None => {
                let mut config = Config::new(arguments.listen, data);
                config.may_broadcast = arguments.broadcast;
                arguments.limits.apply(&mut config.limits);
                start(config).map(|()| ExitCode::SUCCESS)
            }
        },
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| fail(&*error))
}

fn data_folder(given: Option<PathBuf>) -> Result<PathBuf, Box<dyn Error>> {
    Ok(match given {
        Some(data) => data,
        None => etcetera::choose_base_strategy()?.data_dir().join("natter").join("tracker"),
    })
}

/// Prints what a doctor finds; the program fails when something is wrong.
fn examine(data: &Path, json: bool, repair: bool) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(tracker::doctor::examine(data, repair))?;
    let text = if json { serde_json::to_string(&report)? } else { report.text() };
    writeln!(io::stdout(), "{text}")?;
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is typed wrongly is said, and help is given, without a tracker.
fn administer(data: &Path, json: bool, words: Vec<String>) -> Result<ExitCode, Box<dyn Error>> {
    match Command::parse(Typed::Words(&words)) {
        Err(why) => {
            writeln!(io::stderr(), "tracker: {why}")?;
            return Ok(ExitCode::from(USAGE));
        }
        Ok(Command::Help(about)) if !json => {
            io::stdout().write_all(Report::help(about).text().as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(_) => {}
    }
    let answer = socket::ask(data, words)?;
    if json {
        writeln!(io::stdout(), "{}", json!({"ok": answer.ok, "body": answer.body}))?;
    } else if answer.ok {
        io::stdout().write_all(answer.text.as_bytes())?;
    } else {
        write!(io::stderr(), "tracker: {}", answer.text)?;
    }
    Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start(config: Config) -> Result<(), Box<dyn Error>> {
    if let Err(error) = raise_open_file_limit() {
        tracing::warn!(err = %error, "the limit of open files could not be raised; fewer peers fit");
    }
    // Connections are served on all cores; the actor stays on this thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let system = actix_rt::System::with_tokio_rt(|| runtime);
    Ok(system.block_on(serve(config))?)
}

async fn serve(config: Config) -> Result<(), tracker::RunError> {
    let (trigger, shutdown) = Shutdown::new();
    tokio::spawn(async move {
        if let Err(error) = termination().await {
            tracing::error!(err = %error, "signals to stop are not heard");
            std::future::pending::<()>().await;
        }
        trigger.request();
    });
    let on_ready = |ready: Ready| {
        say_ready(&ready);
        console::start(ready.tracker);
    };
    tracker::run(config, shutdown, on_ready).await
}

/// The first line is for programs, the second for people. Nobody need listen to either.
fn say_ready(ready: &Ready) {
    let Ready { address, key, .. } = ready;
    let _ = writeln!(io::stdout(), "tracker ready listen={address} key={key}");
    let host = if address.ip().is_unspecified() { "HOST".to_owned() } else { host(address.ip()) };
    let _ = writeln!(io::stderr(), "peers reach it with --tracker {host}:{}#{key}", address.port());
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "tracker: {error}");
    ExitCode::FAILURE
}
