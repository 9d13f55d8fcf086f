//! The program `peer`: reads its command line and runs the library.

use std::io::{IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use common::files::create_private_folder;
use common::identity::PeerKey;
use common::process::raise_open_file_limit;
use common::shutdown::{Shutdown, termination};
use common::telemetry;
use peer::api::Reply;
use peer::ui::{self, Exit};
use peer::{Args, Config, RunError, Tool, history};

fn main() -> ExitCode {
    let args = Args::parse();
    let json = args.json;
    match args.tool.clone() {
        Some(Tool::VerifyExport { file, host_key }) => return verify_export(&file, host_key, json),
        Some(Tool::Doctor { repair }) => return examine(args, repair),
        None => {}
    }
    let has_terminal = !json && std::io::stdin().is_terminal();
    let outcome = Config::from_args(args)
        .map_err(|error| error.to_string())
        .and_then(|config| start_log(&config, has_terminal).map(|()| config))
        .and_then(|config| serve(config, json).map_err(|error| error.to_string()));
    let exit = outcome.unwrap_or_else(|reason| {
        // Nothing is left to tell it to when even this fails.
        let _ = writeln!(std::io::stderr(), "peer: {reason}");
        Exit::Failed
    });
    // A thread may still wait for a key or a line of input; nothing more would be done with it.
    std::process::exit(if exit == Exit::Done { 0 } else { 1 });
}

/// Prints what a doctor finds: as JSON, one object, if that is wanted.
fn examine(args: Args, repair: bool) -> ExitCode {
    let json = args.json;
    let examined = Config::from_args(args).map_err(|error| error.to_string()).and_then(|config| {
        let examined = runtime().block_on(peer::doctor::examine(&config.data, repair));
        examined.map_err(|error| error.to_string())
    });
    // Nobody is left to be told when even this fails.
    match examined {
        Ok(report) => {
            let text = if json { serde_json::to_string(&report).unwrap_or_default() } else { report.text() };
            let _ = writeln!(std::io::stdout(), "{text}");
            if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "peer: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what an export is: as JSON, one object, if that is wanted.
fn verify_export(file: &Path, host_key: Option<PeerKey>, json: bool) -> ExitCode {
    let outcome = history::verify_export(file, host_key).map(|checked| Reply::Checked(Box::new(checked)));
    // Nobody is left to be told when even this fails.
    let _ = writeln!(std::io::stdout(), "{}", ui::outcome("verify-export", &outcome, json));
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On a terminal, lines of the log would tear what is being typed: there it is a file.
fn start_log(config: &Config, has_terminal: bool) -> Result<(), String> {
    if !has_terminal || !std::io::stderr().is_terminal() {
        return telemetry::init("NATTER_LOG", "warn").map_err(|error| error.to_string());
    }
    create_private_folder(&config.data)
        .map_err(|error| format!("{}: {error}; give --data another folder", config.data.display()))?;
    let file = config.data.join("peer.log");
    telemetry::init_file(&file, "NATTER_LOG", "warn").map_err(|error| error.to_string())
}

fn serve(config: Config, json: bool) -> Result<Exit, RunError> {
    if let Err(error) = raise_open_file_limit() {
        tracing::warn!(err = %error, "the limit of open files could not be raised; fewer members fit");
    }
    // Actors live on this thread; members' and trackers' connections spread over the others.
    // Never dropped, since that waits for a thread that writes to a reader who does not read; the process ends anyway.
    let system = ManuallyDrop::new(actix_rt::System::with_tokio_rt(runtime));
    system.block_on(async move {
        let (trigger, shutdown) = Shutdown::new();
        tokio::spawn(async move {
            if let Err(error) = termination().await {
                // The end of the input, or `quit`, still ends the peer.
                tracing::error!(err = %error, "signals to stop are not heard");
                std::future::pending::<()>().await;
            }
            trigger.request();
        });
        peer::run(config, json, shutdown).await
    })
}

#[expect(
    clippy::expect_used,
    reason = "without a runtime there is no program, and nobody to tell but the panic"
)]
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the operating system gives threads")
}
