//! A file, or many small ones, from one peer to another.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::Fallible;
use crate::process::{Program, Scratch, Usage, programs, start_tracker, usage};
use crate::report::Report;
use crate::stream::{self, Took};
use crate::world::Target;

const MIB: f64 = 1024.0 * 1024.0;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is sent.
#[derive(Args, Clone, Debug)]
pub struct Files {
    /// How large the file is
    #[arg(long, default_value_t = 1024)]
    pub mib: usize,
    /// So many small files in one folder instead
    #[arg(long)]
    pub small: Option<usize>,
    /// Fetch with rsync over loopback instead, to compare
    #[arg(long)]
    pub rsync: bool,
}

/// What is sent, in the folder of the run.
const SENT: &str = "sent";
/// The size of a small file.
const SMALL_BYTES: usize = 1024;

impl Files {
    fn bytes(&self) -> f64 {
        self.small.map_or(self.mib as f64 * MIB, |files| (files * SMALL_BYTES) as f64)
    }

    fn name(&self) -> String {
        match self.small {
            Some(files) => format!("{files} files of 1 KiB"),
            None => format!("a file of {} MiB", self.mib),
        }
    }

    /// Makes what is to be sent.
    fn make(&self, path: &Path) -> Fallible {
        let mut piece = vec![0; MIB as usize];
        let mut number = 0u64;
        let mut next = |piece: &mut [u8]| {
            for chunk in piece.chunks_mut(8) {
                number += 1;
                chunk.copy_from_slice(
                    &number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[..chunk.len()],
                );
            }
        };
        let Some(files) = self.small else {
            let mut file = fs::File::create(path)?;
            for _ in 0..self.mib {
                next(&mut piece);
                file.write_all(&piece)?;
            }
            return Ok(());
        };
        for file in 0..files {
            let folder = path.join((file / 100).to_string());
            fs::create_dir_all(&folder)?;
            next(&mut piece[..SMALL_BYTES]);
            fs::write(folder.join(format!("{file}.txt")), &piece[..SMALL_BYTES])?;
        }
        Ok(())
    }
}

/// Runs it.
pub fn run(target: &Target, options: &Files) -> Fallible<Report> {
    let mut report = Report::new(options.name());
    let data = match target {
        Target::Natter { data } => data,
        Target::Bare => {
            let Took { seconds, cpu } = stream::bare(options.bytes() as u64)?;
            figures(options, seconds, &mut report);
            report.add("CPU of both for a GiB", cpu / (options.bytes() / MIB / 1024.0), "s");
            return Ok(report);
        }
        _ => return Err("files go between peers that this program starts".into()),
    };
    let scratch = Scratch::new(data)?;
    options.make(&scratch.0.join(SENT))?;
    if options.rsync {
        figures(options, stream::rsync(&scratch.0, SENT)?, &mut report);
        "rsync".clone_into(&mut report.server);
    } else {
        natter(&scratch.0, options, &mut report)?;
    }
    Ok(report)
}

fn figures(options: &Files, seconds: f64, report: &mut Report) {
    report.add("rate", options.bytes() / 1e6 / seconds, "MB/s");
    if let Some(files) = options.small {
        report.add("files", files as f64 / seconds, "/s");
    }
}

/// One of the two.
struct End {
    program: Program,
    name: &'static str,
}

impl End {
    fn start(name: &'static str, folder: &Path, tracker: &str) -> Fallible<Self> {
        let data = folder.join(name);
        let arguments = [
            "--json",
            "--peer-host-ip",
            "127.0.0.1",
            "--username",
            name,
            "--accept",
            "everyone",
            "--tracker",
        ];
        let mut arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        arguments.extend([tracker.to_owned(), "--data".to_owned(), data.display().to_string()]);
        let program = Program::start(&programs()?.join("peer"), &arguments)?;
        let end = Self { program, name };
        end.wait(|event| event["event"] == "session" && event["state"] != "none")?;
        Ok(end)
    }

    fn wait(&self, is_it: impl Fn(&Value) -> bool) -> Fallible<Value> {
        self.program.expect(|line| serde_json::from_str(line).ok().filter(&is_it))
    }

    fn usage(&self) -> Fallible<Usage> {
        usage(self.program.id())
    }
}

fn natter(folder: &Path, options: &Files, report: &mut Report) -> Fallible {
    let (_tracker, address) = start_tracker(&folder.join("tracker"))?;
    let (mut ken, mut charlie) =
        (End::start("ken", folder, &address)?, End::start("charlie", folder, &address)?);
    ken.program.say("start charlie")?;
    for (end, other) in [(&ken, "@charlie"), (&charlie, "@ken")] {
        end.wait(|event| event["event"] == "connection" && event["to"] == other && event["state"] == "up")?;
    }
    let begun = Instant::now();
    ken.program.say(&format!("sendfile charlie {}", folder.join(SENT).display()))?;
    let offered = charlie.wait(|event| event["event"] == "file" && event["state"] == "offered")?;
    report.add("offered after", begun.elapsed().as_secs_f64(), "s");
    let id = offered["id"].as_str().unwrap_or_default().to_owned();
    let (before, begun) = ([ken.usage()?, charlie.usage()?], Instant::now());
    charlie.program.say(&format!("files accept {id}"))?;
    let most = watch_until_done(&[&ken, &charlie], &charlie)?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = [ken.usage()?, charlie.usage()?];
    figures(options, seconds, report);
    let cpu: f64 = after.iter().zip(&before).map(|(after, before)| after.cpu - before.cpu).sum();
    report.add("CPU of both for a GiB", cpu / (options.bytes() / MIB / 1024.0), "s");
    for (end, most) in [&ken, &charlie].into_iter().zip(most) {
        report.add(
            &format!("memory of {}", if end.name == "ken" { "the sender" } else { "the receiver" }),
            most as f64 / MIB,
            "MiB",
        );
    }
    Ok(())
}

/// The most memory that each has, until it is there.
fn watch_until_done(ends: &[&End; 2], fetches: &End) -> Fallible<[u64; 2]> {
    let mut most = [0; 2];
    loop {
        for (most, end) in most.iter_mut().zip(ends) {
            *most = end.usage()?.rss.max(*most);
        }
        let found = fetches.program.look(LOOK_EVERY, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["event"] == "file").then(|| event["state"].as_str().unwrap_or_default().to_owned())
        });
        match found.as_deref() {
            Some("done") => return Ok(most),
            Some("failed") => return Err("the file did not arrive".into()),
            _ => {}
        }
    }
}
