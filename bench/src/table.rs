//! What many runs say together: medians and ranges of the lines of JSON, beside what is to be held. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::Fallible;
use crate::report::shown;

/// A number to hold.
struct Goal {
    what: &'static str,
    scenario: &'static str,
    figure: &'static str,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Another figure of the same scenario, and by how much it may be exceeded.
    Times(&'static str, f64),
}

const BURST: &str = "burst, 1000 members, 100 bytes";
const PACED: &str = "paced, 1000 members, 20 messages/s";
const TRACKER: &str = "tracker, 10000 peers, 10000 channels";

const FILE: &str = "a file of 1024 MiB";

const fn goal(what: &'static str, scenario: &'static str, figure: &'static str, bound: Bound) -> Goal {
    Goal { what, scenario, figure, bound }
}

const GOALS: &[Goal] = &[
    goal(
        "burst, 1,000 members: host CPU per delivered",
        BURST,
        "host_CPU_per_delivery_µs",
        Bound::AtMost(0.35),
    ),
    goal("the same: delivered/s", BURST, "delivered__s", Bound::AtLeast(3_500_000.0)),
    goal(
        "20 messages/s, 1,000 members: host CPU per delivered",
        PACED,
        "host_CPU_per_delivery_µs",
        Bound::AtMost(11.0),
    ),
    goal("the same: delivery p99, ms", PACED, "latency_p99_ms", Bound::AtMost(20.0)),
    goal("joins/s into one channel, 1,000 members", BURST, "joined__s", Bound::AtLeast(2500.0)),
    goal("memory per connected member, KiB", BURST, "memory_per_member_KiB", Bound::AtMost(20.0)),
    goal("the same after a burst", BURST, "memory_per_member_at_the_end_KiB", Bound::AtMost(20.0)),
    goal(
        "5,000 members at 4 messages/s: % of a core",
        "paced, 5000 members, 4 messages/s",
        "host_CPU_%",
        Bound::AtMost(50.0),
    ),
    goal(
        "stored/s, 256 senders over 64 channels",
        "256 senders over 64 channels, 64 unanswered",
        "stored__s",
        Bound::AtLeast(20_000.0),
    ),
    goal(
        "one sender, waiting for nothing: stored/s",
        "1 senders over 1 channels, 64 unanswered",
        "stored__s",
        Bound::AtLeast(10_000.0),
    ),
    goal(
        "a join with 1,000,000 messages: first page p99, ms",
        "join with 1000000 messages of history",
        "first_page_p99_ms",
        Bound::AtMost(50.0),
    ),
    goal(
        "tracker, 10,000 peers: LIST of 10,000 channels, ms",
        TRACKER,
        "LIST_whole_p50_ms",
        Bound::AtMost(100.0),
    ),
    goal(
        "5,000 peers of whom 1 % come and go each minute: tracker, % of a core",
        "presence, 5000 peers, 1 % a minute",
        "tracker_CPU_%",
        Bound::AtMost(10.0),
    ),
    goal("a file of 1 GiB: MB/s", FILE, "rate_MB_s", Bound::AtLeast(500.0)),
    goal("the same: CPU of both ends for a GiB, s", FILE, "CPU_of_both_for_a_GiB_s", Bound::AtMost(3.5)),
    goal("the same: memory of the sender, MiB", FILE, "memory_of_the_sender_MiB", Bound::AtMost(64.0)),
    goal("the same: memory of the receiver, MiB", FILE, "memory_of_the_receiver_MiB", Bound::AtMost(64.0)),
    goal("10,000 small files: files/s", "10000 files of 1 KiB", "files__s", Bound::AtLeast(2000.0)),
    goal(
        "one member stops reading: latency p99 of the others, ms",
        "one of 301 members stops reading",
        "latency_while_stalled_p99_ms",
        Bound::Times("latency_before_p99_ms", 1.5),
    ),
];

/// All that was measured, by server and scenario.
type Figures = BTreeMap<(String, String), BTreeMap<String, Vec<f64>>>;

/// Puts lines of JSON, as they are printed by each run, together as tables in Markdown.
///
/// # Errors
/// When a line is none of ours.
pub fn tables(lines: &str) -> Fallible<String> {
    let figures = gather(lines)?;
    let mut out = String::from("| what | goal | measured | met |\n| --- | --- | --- | --- |\n");
    for goal in GOALS {
        let key = ("natter".to_owned(), goal.scenario.to_owned());
        let found = figures.get(&key).and_then(|of| Some((of, of.get(goal.figure)?)));
        // Writing into memory does not fail.
        let _ = match found {
            Some((of, values)) => writeln!(out, "| {} | {} |", goal.what, judge(goal, of, values)),
            None => writeln!(out, "| {} | | not measured | |", goal.what),
        };
    }
    let _ =
        writeln!(out, "\n| scenario | server | figure | median | range |\n| --- | --- | --- | --- | --- |");
    for ((server, scenario), of) in &figures {
        for (name, values) in of {
            let (low, middle, high) = spread(values);
            let (low, middle, high) = (shown(low), shown(middle), shown(high));
            let name = name.replace('_', " ");
            let _ = writeln!(out, "| {scenario} | {server} | {name} | {middle} | {low} to {high} |");
        }
    }
    Ok(out)
}

fn gather(lines: &str) -> Fallible<Figures> {
    let mut figures = Figures::new();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line)?;
        let word = |name: &str| line[name].as_str().map(str::to_owned).ok_or("a line is none of bench's");
        let of = figures.entry((word("server")?, word("scenario")?)).or_default();
        for (name, value) in line.as_object().into_iter().flatten() {
            if let Some(value) = value.as_f64() {
                of.entry(name.clone()).or_default().push(value);
            }
        }
    }
    Ok(figures)
}

fn judge(goal: &Goal, of: &BTreeMap<String, Vec<f64>>, values: &[f64]) -> String {
    let (low, middle, high) = spread(values);
    let (bound, is_met) = match goal.bound {
        Bound::AtMost(most) => (format!("at most {}", shown(most)), middle <= most),
        Bound::AtLeast(least) => (format!("at least {}", shown(least)), middle >= least),
        Bound::Times(other, times) => {
            let other = of.get(other).map_or(0.0, |values| spread(values).1);
            (format!("at most {times} × {} before", shown(other)), middle <= other * times)
        }
    };
    let measured = match values.len() {
        1 => shown(middle),
        runs => format!("{} ({} to {}, {runs} runs)", shown(middle), shown(low), shown(high)),
    };
    format!("{bound} | {measured} | {}", if is_met { "yes" } else { "no" })
}

/// The smallest, the middle and the largest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    let middle =
        if sorted.len().is_multiple_of(2) && half > 0 { (at(half - 1) + at(half)) / 2.0 } else { at(half) };
    (at(0), middle, at(sorted.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0]), (1.0, 2.5, 4.0));
        assert_eq!(spread(&[7.0]), (7.0, 7.0, 7.0));
    }

    #[test]
    fn goals_are_held_against_the_medians_of_this_program_alone() {
        let line = |server: &str, cpu: f64, rate: f64| {
            let line = serde_json::json!({ "server": server, "scenario": BURST,
                "host_CPU_per_delivery_µs": cpu, "delivered__s": rate });
            line.to_string()
        };
        let lines = [line("natter", 0.3, 1e6), "a table".to_owned(), line("natter", 0.4, 9e6)];
        let lines = [lines.join("\n"), line("natter", 0.34, 2e6), line("bare", 0.9, 1.0)].join("\n");
        let out = tables(&lines).unwrap();
        assert!(
            out.contains("per delivered | at most 0.350 | 0.340 (0.300 to 0.400, 3 runs) | yes |"),
            "{out}"
        );
        assert!(out.contains("delivered/s | at least 3500000 | 2000000 (1000000 to 9000000, 3 runs) | no |"));
        assert!(out.contains("| bare | delivered  s | 1 | 1 to 1 |"), "{out}");
        assert!(out.contains("LIST of 10,000 channels, ms | | not measured | |"));
    }

    #[test]
    fn a_stalled_member_is_held_against_the_time_before() {
        let scenario = "one of 301 members stops reading";
        let line = serde_json::json!({ "server": "natter", "scenario": scenario,
            "latency_before_p99_ms": 10.0, "latency_while_stalled_p99_ms": 14.0 });
        assert!(tables(&line.to_string()).unwrap().contains("at most 1.5 × 10 before | 14 | yes |"));
    }

    #[test]
    fn what_is_no_line_of_a_run_is_an_error() {
        assert!(tables("{\"a\":1}").is_err());
        assert!(tables("{torn").is_err());
    }
}
