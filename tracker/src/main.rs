//! The program `tracker`: arguments, log, signals and exit code around the library.

use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::process::raise_open_file_limit;
use common::shutdown::{Shutdown, termination};
use common::telemetry;
use etcetera::BaseStrategy;
use tracker::{Config, Ready};

const EXAMPLES: &str = "\
Examples:
  tracker                                        on port 22236 of every address
  tracker --listen 127.0.0.1:0 --data /tmp/t     on a free port of this machine only
  NATTER_LOG=debug tracker                       with each request in the log

Peers take it with --tracker HOST:PORT#KEY, the form that is printed at the start.";

/// The tracker of Natter: keeps accounts and the list of channels, and introduces peers. It never sees a message.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// The address and port to listen on; port 0 is a free one.
    #[arg(long, value_name = "IP:PORT", env = "NATTER_TRACKER_LISTEN", default_value_t = Config::default_listen())]
    listen: SocketAddr,

    /// The folder that keeps keys, accounts and channels [default: natter/tracker in your data folder].
    #[arg(long, value_name = "DIR", env = "NATTER_TRACKER_DATA")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    // clap ends the program with 2 by itself for wrong usage.
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::init("NATTER_LOG", "info") {
        return fail(&error);
    }
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn start(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if let Err(error) = raise_open_file_limit() {
        tracing::warn!(err = %error, "the limit of open files could not be raised; fewer peers fit");
    }
    let data = match arguments.data {
        Some(data) => data,
        None => etcetera::choose_base_strategy()?.data_dir().join("natter").join("tracker"),
    };
    // Connections are served on all cores; the actor stays on this thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let system = actix_rt::System::with_tokio_rt(|| runtime);
    Ok(system.block_on(serve(Config::new(arguments.listen, data)))?)
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
    tracker::run(config, shutdown, |ready| say_ready(&ready)).await
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
