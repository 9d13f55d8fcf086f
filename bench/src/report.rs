//! What was found: one JSON line for programs, one table for people.

use std::io::{Write, stdout};

use serde_json::{Map, Value, json};

use crate::Fallible;
use crate::crew::Crew;

/// The figures of one scenario.
#[derive(Default)]
pub struct Report {
    name: String,
    /// What was measured.
    pub server: String,
    rows: Vec<(String, f64, &'static str)>,
    /// What went wrong; the run has failed when there is any.
    pub faults: Vec<String>,
    /// Messages that a member did not get, or got again.
    losses: u64,
}

impl Report {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a figure.
    pub fn add(&mut self, what: &str, value: f64, unit: &'static str) {
        self.rows.push((what.to_owned(), value, unit));
    }

    /// Adds the middle, the 99th of a hundred and the longest of some times.
    pub fn add_times(&mut self, what: &str, nanos: &mut [u64]) {
        if nanos.is_empty() {
            return;
        }
        nanos.sort_unstable();
        for (name, part) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            self.add(&format!("{what} {name}"), quantile(nanos, part) as f64 / 1e6, "ms");
        }
    }

    /// Takes over what went wrong: the last word of a scenario.
    pub fn close(&mut self, crew: &mut Crew) {
        self.losses = crew.losses();
        self.faults.append(&mut crew.faults);
    }

    /// Whether everything arrived and nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.losses == 0 && self.faults.is_empty()
    }

    pub fn get(&self, what: &str) -> Option<f64> {
        self.rows.iter().find(|(name, ..)| name == what).map(|(_, value, _)| *value)
    }

    /// Writes it out.
    pub fn print(&self) -> Fallible {
        let mut line = Map::new();
        line.insert("scenario".into(), json!(self.name));
        line.insert("server".into(), json!(self.server));
        for (name, value, unit) in &self.rows {
            let key = format!("{name} {unit}").trim().replace([' ', '/'], "_");
            line.insert(key, json!((value * 1000.0).round() / 1000.0));
        }
        line.insert("losses".into(), json!(self.losses));
        line.insert("faults".into(), json!(self.faults.len()));
        let mut out = stdout().lock();
        writeln!(out, "{}", Value::Object(line))?;
        writeln!(out, "  {}: {}", self.server, self.name)?;
        for (name, value, unit) in &self.rows {
            writeln!(out, "    {name:<36} {:>14} {unit}", shown(*value))?;
        }
        writeln!(out, "    {:<36} {:>14}", "losses", self.losses)?;
        for fault in self.faults.iter().take(5) {
            writeln!(out, "    FAULT {fault}")?;
        }
        Ok(out.flush()?)
    }
}

/// A figure with as many digits as say something.
pub fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The smallest of `sorted` values that at least this part of all does not exceed; 0 of none.
fn quantile(sorted: &[u64], part: f64) -> u64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(&hundred, part)), [1, 50, 99, 100]);
        assert_eq!([0.5, 0.99, 1.0].map(|part| quantile(&[7], part)), [7, 7, 7]);
        assert_eq!([0.5, 0.51].map(|part| quantile(&[1, 2], part)), [1, 2]);
        assert_eq!(quantile(&[], 0.5), 0);
    }

    #[test]
    fn times_are_sorted_and_told_in_milliseconds() {
        let mut report = Report::new("test");
        report.add_times("took", &mut [3_000_000, 1_000_000, 2_500_000]);
        report.add_times("nothing", &mut []);
        assert_eq!((report.get("took p50"), report.get("took max")), (Some(2.5), Some(3.0)));
        assert_eq!(report.get("nothing p50"), None);
    }

    #[test]
    fn figures_have_as_many_digits_as_say_something() {
        assert_eq!([0.35149, 12.345, 3_512_345.6, 7.0].map(shown), ["0.351", "12.3", "3512346", "7"]);
    }
}
