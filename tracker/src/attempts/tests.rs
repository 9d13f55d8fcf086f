use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + seconds * 1000)
}

fn origin(n: u8) -> Option<Origin> {
    Some(Origin::of(format!("192.0.2.{n}").parse().unwrap()))
}

/// One attempt from its begin to its end; how long it would have to wait instead.
fn attempt(
    attempts: &mut Attempts,
    name: &str,
    origin: Option<Origin>,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), Duration> {
    attempts.begin(name, origin, now)?;
    attempts.end(name, origin, verdict, now);
    Ok(())
}

#[test]
fn a_name_is_guessed_at_ever_more_slowly_from_wherever() {
    use Verdict::{Right, Wrong};
    let mut attempts = Attempts::new(Limits::default());
    // (second, place, verdict, how long to wait instead)
    let table = [
        (0, 1, Wrong, 0),
        (0, 2, Wrong, 0),
        (0, 3, Wrong, 0),
        (0, 4, Wrong, 0),
        (0, 5, Wrong, 1),
        (1, 5, Wrong, 0),
        (1, 6, Right, 2),
        (3, 6, Wrong, 0),
        (3, 6, Wrong, 4),
        (7, 6, Wrong, 0),
        (15, 6, Wrong, 0),
        (31, 6, Wrong, 0),
        (31, 6, Wrong, 32),
        (63, 6, Wrong, 0),
        (63, 6, Wrong, 60),
        (123, 6, Right, 0),
        (123, 6, Wrong, 0),
        (123, 6, Wrong, 0),
        (123, 6, Wrong, 0),
        (123, 6, Wrong, 0),
        (123, 6, Wrong, 1),
    ];
    for (step, (second, place, verdict, wait)) in table.into_iter().enumerate() {
        let found =
            attempt(&mut attempts, "ken", origin(place), verdict, at(second)).err().unwrap_or_default();
        assert_eq!(found, Duration::from_secs(wait), "step {step}");
    }
    assert_eq!(attempt(&mut attempts, "ada", origin(9), Wrong, at(123)), Ok(()), "another name is free");
}

#[test]
fn a_place_that_tries_many_names_waits_and_others_do_not() {
    let mut attempts = Attempts::new(Limits::default());
    for n in 0..21 {
        assert_eq!(attempt(&mut attempts, &format!("n{n}"), origin(1), Verdict::Wrong, at(0)), Ok(()), "{n}");
    }
    let waits = attempt(&mut attempts, "ada", origin(1), Verdict::Right, at(0));
    assert_eq!(waits, Err(Duration::from_secs(1)));
    assert_eq!(attempt(&mut attempts, "ada", origin(2), Verdict::Wrong, at(0)), Ok(()));
    assert_eq!(attempt(&mut attempts, "ada", None, Verdict::Wrong, at(0)), Ok(()), "an exempt place");
    // Half a minute forgives one, and the wait after the next is as it was.
    assert_eq!(attempt(&mut attempts, "eve", origin(1), Verdict::Wrong, at(31)), Ok(()));
    assert_eq!(attempt(&mut attempts, "eve", origin(1), Verdict::Wrong, at(31)), Err(Duration::from_secs(1)));
}

#[test]
fn a_class_behind_one_address_signs_in_at_once() {
    let mut attempts = Attempts::new(Limits::default());
    for n in 0..300 {
        assert_eq!(attempt(&mut attempts, &format!("n{n}"), origin(1), Verdict::Right, at(0)), Ok(()), "{n}");
    }
    assert!(attempts.is_empty());
}

#[test]
fn guesses_that_are_under_way_count_too() {
    let mut attempts = Attempts::new(Limits::default());
    for _ in 0..4 {
        assert_eq!(attempts.begin("ken", origin(1), at(0)), Ok(()));
    }
    assert_eq!(attempts.begin("ken", origin(2), at(0)), Err(Duration::from_secs(1)));
    attempts.end("ken", origin(1), Verdict::Unknown, at(0));
    assert_eq!(attempts.begin("ken", origin(2), at(0)), Ok(()));
}

#[test]
fn time_forgives_and_nothing_is_kept_then() {
    let mut attempts = Attempts::new(Limits::default());
    for _ in 0..4 {
        attempt(&mut attempts, "ken", origin(1), Verdict::Wrong, at(0)).unwrap();
    }
    assert_eq!(attempts.len(), 2);
    attempt(&mut attempts, "ken", origin(1), Verdict::Unknown, at(60 * 60)).unwrap();
    assert!(attempts.is_empty());
}

#[test]
fn names_that_are_made_up_do_not_clear_the_one_that_is_guessed_at() {
    let mut attempts = Attempts::new(Limits::default());
    for second in [0, 0, 0, 0, 1, 3, 7] {
        attempt(&mut attempts, "ken", None, Verdict::Wrong, at(second)).unwrap();
    }
    for n in 0..MAX_GUESSERS + 100 {
        attempt(&mut attempts, &format!("n{n}"), None, Verdict::Wrong, at(8)).unwrap();
        assert!(attempts.len() <= MAX_GUESSERS);
    }
    assert!(attempts.begin("ken", None, at(8)).is_err());
}

proptest! {
    #[test]
    fn no_more_guesses_than_patience_allows(steps in prop::collection::vec((0..90_000_u64, any::<bool>()), 1..300)) {
        let (mut attempts, mut now, mut tried) = (Attempts::new(Limits::default()), at(0), 0_u64);
        let begin = now;
        for (later, is_wrong) in steps {
            now = now.plus(Duration::from_millis(later));
            let verdict = if is_wrong { Verdict::Wrong } else { Verdict::Unknown };
            if attempt(&mut attempts, "ken", None, verdict, now).is_ok() && is_wrong {
                tried += 1;
            }
        }
        // What is free, what is forgiven, and the doublings up to a minute; then one a minute.
        let minutes = now.since(begin).as_secs() / 60;
        prop_assert!(tried <= 3 + 7 + 2 * minutes + 1, "{tried} in {minutes} minutes");
    }
}
