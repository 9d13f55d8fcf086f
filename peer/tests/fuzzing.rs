//! What the fuzz targets of `fuzz/` run, over their corpus and over what a seed makes of it: for where there is no fuzzer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]
#![allow(clippy::print_stdout, reason = "figures are for whoever runs it")]

#[path = "crashes/dice.rs"]
mod dice;
#[path = "../../fuzz/entries.rs"]
mod entries;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dice::Dice;
use entries::{ENTRIES, Entry};

/// How many inputs are made for each entry, unless a time is given.
const INPUTS: u64 = 1500;
/// How many things are done to an input at most.
const CHANGES: u64 = 6;
/// No input is longer.
const MAX_BYTES: usize = 200 * 1024;
/// What means something somewhere.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\0",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3",
    b"\xe2\x80\xae",
    "\u{301}".as_bytes(),
    "\u{200d}".as_bytes(),
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\"id\":",
    b"\"body\":",
    b"#",
    b"/",
    b"--",
    b" ",
    b"\t",
    b"..",
    b"tcp:",
    b"[::1]:0",
    b"00000000-0000-7000-8000-000000000000",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// What an entry begins with: its files and, where lines are read, those of the protocol's document.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder().join("corpus").join(name))
        .unwrap_or_else(|error| panic!("{name} has no corpus: {error}"))
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    let mut inputs: Vec<Vec<u8>> = paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!inputs.is_empty(), "{name} has no corpus");
    if name == "frames" {
        let lines = include_str!("../../docs/PROTOCOL.md").lines().filter(|line| line.starts_with('{'));
        inputs.extend(lines.map(|line| line.as_bytes().to_vec()));
    }
    inputs
}

/// A part of it.
fn part(dice: &mut Dice, bytes: &[u8]) -> std::ops::Range<usize> {
    let begin = dice.roll(bytes.len() as u64 + 1) as usize;
    let longest = [2, 16, bytes.len() as u64 + 1];
    let length = dice.one_of(&longest);
    begin..(begin + dice.roll(length) as usize).min(bytes.len())
}

fn mutate(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let pick = |dice: &mut Dice| corpus[dice.roll(corpus.len() as u64) as usize].clone();
    let mut bytes = pick(dice);
    for _ in 0..=dice.roll(CHANGES) {
        let range = part(dice, &bytes);
        match dice.roll(7) {
            0 => drop(bytes.drain(range)),
            1 => {
                let copy = bytes[range.clone()].repeat(dice.one_of(&[1, 2, 100]));
                drop(bytes.splice(range.start..range.start, copy));
            }
            2 => {
                let other = pick(dice);
                let from = part(dice, &other);
                drop(bytes.splice(range, other[from].to_vec()));
            }
            3 => bytes[range].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8),
            _ => {
                let token = dice.one_of(TOKENS).to_vec();
                drop(bytes.splice(range, token));
            }
        }
        bytes.truncate(MAX_BYTES);
    }
    bytes
}

fn try_out(name: &str, entry: Entry, input: &[u8]) {
    if std::panic::catch_unwind(|| entry(input)).is_err() {
        let path = std::env::temp_dir().join(format!("natter-{name}.input"));
        std::fs::write(&path, input).unwrap();
        panic!("{name} does not stand {:?}; it is in {}", String::from_utf8_lossy(input), path.display());
    }
}

fn number(name: &str) -> Option<f64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_bytes_come_nothing_panics() {
    let first = number("NATTER_SEED").unwrap_or(1.0) as u64;
    let limit = number("NATTER_MINUTES")
        .map(|minutes| Duration::from_secs_f64(60.0 * minutes / ENTRIES.len() as f64));
    let mut inputs = 0;
    for (name, entry) in ENTRIES {
        let (corpus, started) = (corpus(name), Instant::now());
        corpus.iter().for_each(|input| try_out(name, *entry, input));
        let is_enough = |made| limit.map_or(made >= INPUTS, |limit| started.elapsed() >= limit);
        let mut made = 0;
        while !is_enough(made) {
            // Each input has a seed of its own: what fails is found again without those before it.
            try_out(name, *entry, &mutate(&mut Dice::new(first.wrapping_add(made)), &corpus));
            made += 1;
        }
        inputs += made;
    }
    println!("{inputs} fuzzed inputs, from seed {first} for each of {} entries", ENTRIES.len());
}

#[test]
fn every_entry_has_its_target() {
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for (name, _) in ENTRIES {
        let target = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&target), "{name} is not in fuzz/Cargo.toml");
        let file = std::fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(file.contains(&format!("entries::{name}(bytes)")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), ENTRIES.len());
}
