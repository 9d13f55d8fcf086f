//! How many instructions the hot paths take, counted by callgrind: `cargo bench -p bench --bench instructions`.
//!
//! A count does not depend on what else the machine does, so it can be held against `instructions.txt`. It does depend on
//! the processor and the compiler; `--update` writes the file anew. Each path is run under callgrind twice, with more
//! rounds the second time: what the program does apart from it falls out of the difference.

mod workloads;

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use bytes::{Bytes, BytesMut};
use common::codec::LineCodec;
use common::link::Outgoing;
use workloads::LogAppend;

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error>>;

struct HotPath {
    name: &'static str,
    /// How often it is run the first time, and how often more the second time.
    rounds: u64,
    /// By how many parts in a hundred the count may grow. How many writes share a flush varies.
    tolerance: u64,
    run: fn(u64),
}

const PATHS: &[HotPath] = &[
    HotPath { name: "decode", rounds: 2000, tolerance: 10, run: decode },
    HotPath { name: "encode", rounds: 2000, tolerance: 10, run: encode },
    HotPath { name: "permission", rounds: 2000, tolerance: 10, run: permission },
    HotPath { name: "outgoing", rounds: 2000, tolerance: 10, run: outgoing },
    HotPath { name: "log_append", rounds: 20, tolerance: 20, run: log_append },
];

fn decode(rounds: u64) {
    let (line, mut codec, mut buffer) = (workloads::message_line(), LineCodec::default(), BytesMut::new());
    (0..rounds).for_each(|_| workloads::decode(&line, &mut codec, &mut buffer));
}

fn encode(rounds: u64) {
    let (mut head, mut lines) = (workloads::start_of_log(), BytesMut::new());
    (0..rounds).for_each(|_| workloads::encode(&mut head, &mut lines));
}

fn permission(rounds: u64) {
    (0..rounds).for_each(|_| workloads::permission());
}

fn outgoing(rounds: u64) {
    let (queue, line) = (Outgoing::default(), Bytes::from(workloads::message_line()));
    (0..rounds).for_each(|_| workloads::outgoing(&queue, &line));
}

fn log_append(rounds: u64) {
    let mut log = LogAppend::new();
    (0..rounds).for_each(|_| log.append());
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--run", name, rounds] => run(name, rounds),
        [] => check(),
        ["--update"] => update(),
        _ => Err("say nothing, or --update".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(stderr(), "instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, rounds: &str) -> Fallible<bool> {
    let path = PATHS.iter().find(|path| path.name == name).ok_or("there is no such path")?;
    (path.run)(rounds.parse()?);
    Ok(true)
}

/// Counts, and holds what was counted against the file.
fn check() -> Fallible<bool> {
    if !cfg!(target_arch = "x86_64") {
        writeln!(stdout(), "the known counts are of x86-64: nothing to hold these against")?;
        return Ok(true);
    }
    let (known, mut out, mut is_well) = (known()?, stdout().lock(), true);
    writeln!(out, "{:<12} {:>12} {:>12} {:>8}", "path", "known", "counted", "change")?;
    for path in PATHS {
        let counted = count(path)?;
        let known = *known.get(path.name).ok_or_else(|| format!("{} is not in the file", path.name))?;
        let change = (counted as f64 / known as f64 - 1.0) * 100.0;
        let word = match change {
            grown if grown > path.tolerance as f64 => "TOO MANY",
            shrunk if shrunk < -(path.tolerance as f64) => "fewer: --update keeps it so",
            _ => "",
        };
        is_well &= word != "TOO MANY";
        writeln!(out, "{:<12} {known:>12} {counted:>12} {change:>+7.1}% {word}", path.name)?;
    }
    Ok(is_well)
}

fn update() -> Fallible<bool> {
    let mut text = String::new();
    for path in PATHS {
        text.push_str(&format!("{} {}\n", path.name, count(path)?));
    }
    std::fs::write(file(), &text)?;
    write!(stdout(), "{text}")?;
    Ok(true)
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

fn known() -> Fallible<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(file())?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, count)| Ok((name.to_owned(), count.trim().parse()?))).collect()
}

/// The instructions of one round.
fn count(path: &HotPath) -> Fallible<u64> {
    let (few, many) = (total(path, path.rounds)?, total(path, 2 * path.rounds)?);
    Ok(many.saturating_sub(few) / path.rounds)
}

/// The instructions of the whole program with so many rounds, without the threads of libraries.
fn total(path: &HotPath, rounds: u64) -> Fallible<u64> {
    let folder = tempfile::tempdir()?;
    let result = folder.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", result.display()))
        .arg(std::env::current_exe()?)
        .args(["--run", path.name, &rounds.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind cannot be started ({error}): install it"))?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", path.name, String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut sum = 0;
    for thread in std::fs::read_dir(folder.path())? {
        sum += instructions_of_our_own(&std::fs::read_to_string(thread?.path())?)?;
    }
    if sum == 0 { Err("callgrind counted nothing in this program's own threads".into()) } else { Ok(sum) }
}

/// What a thread counted if it runs code of this project, else 0: the store's library has threads that spin while they
/// wait, and how long they do is the disk's and the scheduler's matter.
fn instructions_of_our_own(profile: &str) -> Fallible<u64> {
    if !profile.contains("common::") && !profile.contains("instructions::") {
        return Ok(0);
    }
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("callgrind says no total")?.trim().parse()?)
}
