use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Now {
    Now { at: Timestamp::from_millis(1_000_000 + seconds * 1000), random: 1.0 }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn started() -> Reconnect {
    let mut reconnect = Reconnect::new(None, at(0).at);
    assert_eq!(reconnect.start(at(0)), (vec![Effect::Dial], None));
    reconnect
}

fn alarm(effects: &[Effect]) -> u64 {
    effects
        .iter()
        .find_map(|effect| if let Effect::Wake { alarm, .. } = effect { Some(*alarm) } else { None })
        .unwrap()
}

fn delay(reconnect: &mut Reconnect, code: Code, now: u64) -> u64 {
    reconnect.failed(&code.into(), at(now)).1.unwrap().as_secs()
}

#[test]
fn only_a_connection_that_has_held_makes_the_next_failure_the_first_again() {
    let mut reconnect = started();
    let delays: Vec<u64> = (0..7).map(|_| delay(&mut reconnect, Code::HostAway, 0)).collect();
    assert_eq!(delays, [2, 4, 8, 16, 32, 60, 60]);
    reconnect.again(at(100));
    let held = alarm(&reconnect.connected());
    assert_eq!(delay(&mut reconnect, Code::ConnectionLost, 129), 60, "it did not hold");
    assert_eq!(reconnect.woke(held, at(130)), [], "and its alarm counts no more");

    reconnect.again(at(200));
    let held = alarm(&reconnect.connected());
    assert_eq!(reconnect.woke(held, at(230)), [Effect::Keep(None)]);
    assert_eq!(delay(&mut reconnect, Code::ConnectionLost, 231), 2);
}

#[test]
fn an_attempt_follows_when_the_time_has_come_and_only_then() {
    let mut reconnect = started();
    let (effects, _) = reconnect.failed(&Code::HostAway.into(), at(0));
    let first = alarm(&effects);
    let (effects, _) = reconnect.failed(&Code::HostAway.into(), at(1));
    assert_eq!(reconnect.woke(first, at(2)), [], "a later wait has taken its place");
    let generation = reconnect.generation();
    assert_eq!(reconnect.woke(alarm(&effects), at(5)), [Effect::Dial]);
    assert_ne!(reconnect.generation(), generation);
    assert_eq!(reconnect.woke(alarm(&effects), at(6)), [], "only once");
}

#[test]
fn who_was_replaced_or_is_not_wanted_waits_the_longest() {
    for code in [Code::Superseded, Code::NotAllowed, Code::HostKeyChanged, Code::BadPass] {
        let mut reconnect = started();
        assert_eq!(delay(&mut reconnect, code.clone(), 0), 60, "{code}");
    }
    let mut reconnect = started();
    let delays: Vec<u64> = (0..3).map(|_| delay(&mut reconnect, Code::NoSuchChannel, 0)).collect();
    assert_eq!(delays, [3600; 3], "gone, closed, or not for this peer");
}

#[test]
fn two_with_one_identity_take_turns_no_faster_than_the_longest_wait() {
    let mut both = [started(), started()];
    let (mut now, mut turns) = (0, Vec::new());
    for turn in 0..10 {
        both[turn % 2].connected();
        let wait = delay(&mut both[(turn + 1) % 2], Code::Superseded, now);
        turns.push(wait);
        now += wait;
        both[(turn + 1) % 2].again(at(now));
    }
    assert_eq!(turns, [60; 10]);
}

#[test]
fn the_other_side_may_say_how_long_it_wants_to_be_left_alone() {
    let mut reconnect = started();
    let asked = |millis| Refusal { retry_after_ms: Some(millis), ..Code::TooManyConnections.into() };
    assert_eq!(reconnect.failed(&asked(17_000), at(0)).1, Some(secs(17)));
    assert_eq!(reconnect.failed(&asked(u64::MAX), at(0)).1, Some(secs(60)));
    assert_eq!(reconnect.failed(&asked(1), at(0)).1, Some(secs(8)));
}

#[test]
fn the_rest_of_a_pause_is_waited_out_unless_something_speaks_against_it() {
    let mut before = started();
    let (effects, _) = before.failed(&Code::HostAway.into(), Now { random: 0.5, ..at(0) });
    let Effect::Keep(Some(kept)) = &effects[0] else { panic!("{effects:?}") };
    let restarted = || Reconnect::new(Some(kept.clone()), at(1).at);
    for (nudge, dials) in [(Nudge::Session, false), (Nudge::Command, true), (Nudge::Seen, true)] {
        let mut reconnect = restarted();
        let (effects, rest) = reconnect.start(at(1));
        assert_eq!(effects, [Effect::Wake { after: Duration::from_millis(500), alarm: 1 }]);
        assert_eq!(rest.unwrap().why, Code::HostAway.into());
        assert_eq!(reconnect.nudge(nudge, at(1)) == [Effect::Dial], dials, "{nudge:?}");
    }
    let mut reconnect = restarted();
    let (effects, _) = reconnect.start(at(1));
    assert_eq!(reconnect.woke(alarm(&effects), at(2)), [Effect::Dial]);
    assert_eq!(delay(&mut reconnect, Code::HostAway, 2), 4, "it is the second failure in a row");
}

#[test]
fn a_restart_may_mend_what_lasts_otherwise() {
    let mut reconnect = started();
    let (effects, after) = reconnect.failed(&Code::TrackerKeyChanged.into(), at(0));
    let Effect::Keep(Some(kept)) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((after, kept.next_at), (Some(secs(60)), at(2).at));
}

#[test]
fn a_new_session_ends_a_wait_that_it_may_help_and_no_other() {
    for (code, dials) in [
        (Code::HostAway, true),
        (Code::NotSignedIn, true),
        (Code::BadPass, true),
        (Code::Superseded, false),
        (Code::HostKeyChanged, false),
        (Code::NoSuchChannel, false),
    ] {
        let mut reconnect = started();
        reconnect.failed(&code.clone().into(), at(0));
        assert_eq!(reconnect.nudge(Nudge::Session, at(9)) == [Effect::Dial], dials, "{code}");
    }
    let mut reconnect = started();
    let (effects, after) = reconnect.failed(&Code::NotSignedIn.into(), at(0));
    assert_eq!((effects.len(), after), (1, Some(secs(60))), "nobody was asked: nothing is counted or kept");
}

#[test]
fn news_of_the_other_side_lead_to_one_attempt_a_second_at_most() {
    let mut reconnect = started();
    reconnect.failed(&Code::HostAway.into(), at(0));
    let early = Now { at: at(0).at.plus(Duration::from_millis(300)), random: 1.0 };
    let effects = reconnect.nudge(Nudge::Seen, early);
    let Effect::Wake { after, alarm } = effects[0] else { panic!("{effects:?}") };
    assert_eq!(after, Duration::from_millis(700));
    assert_eq!(reconnect.woke(alarm, at(1)), [Effect::Dial]);
    assert_eq!(reconnect.nudge(Nudge::Seen, at(1)), [], "it is being tried");
    assert_eq!(reconnect.failed(&Code::HostAway.into(), at(2)).1, Some(secs(1)), "but perhaps too early");
    assert_eq!(reconnect.nudge(Nudge::Seen, at(9)), [Effect::Dial]);
}

#[test]
fn a_first_attempt_is_made_once_and_an_unwanted_connection_not_again() {
    let mut reconnect = Reconnect::new(None, at(0).at);
    assert_eq!(reconnect.try_once(at(0)), [Effect::Dial]);
    assert_eq!(reconnect.try_once(at(0)), [], "it is under way");
    assert_eq!(reconnect.failed(&Code::HostAway.into(), at(0)), (vec![], None));
    assert_eq!(reconnect.nudge(Nudge::Command, at(1)), []);
    reconnect.try_once(at(2));
    reconnect.connected();
    assert!(reconnect.is_lasting());
    reconnect.failed(&Code::ConnectionLost.into(), at(3));
    assert_eq!(reconnect.try_once(at(3)), [Effect::Dial], "the user need not wait");
    let generation = reconnect.generation();
    reconnect.stop();
    assert_ne!(reconnect.generation(), generation);
    assert_eq!(reconnect.connected(), [], "it comes too late");
    for nudge in [Nudge::Command, Nudge::Seen, Nudge::Session] {
        assert_eq!(reconnect.nudge(nudge, at(100)), []);
    }
    assert_eq!(reconnect.again(at(100)), []);
}

#[derive(Clone, Debug)]
enum Step {
    Connected,
    Failed(usize),
    Nudge(Nudge),
    Wake,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Connected),
        1 => (0..Code::ALL.len()).prop_map(Step::Failed),
        1 => prop_oneof![Just(Nudge::Seen), Just(Nudge::Session)].prop_map(Step::Nudge),
        3 => Just(Step::Wake),
        1 => (0..40_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens, there is an attempt, a connection or an alarm, and no wait is shorter than it may be.
    #[test]
    fn there_is_always_something_that_goes_on_and_never_at_once(steps in prop::collection::vec(step(), 1..200)) {
        let mut reconnect = started();
        let (mut now, mut set) = (0, None);
        for step in steps {
            let was_up = matches!(reconnect.phase, Phase::Up { .. });
            let effects = match step {
                Step::Connected => reconnect.connected(),
                Step::Failed(code) if reconnect.is_dialling() || was_up => {
                    let (effects, after) = reconnect.failed(&Code::ALL[code].clone().into(), at(now));
                    prop_assert!(after.is_some_and(|after| after >= BETWEEN_ATTEMPTS && after <= BETWEEN_FOR_NOTHING));
                    effects
                }
                Step::Failed(_) => continue,
                Step::Nudge(nudge) => reconnect.nudge(nudge, at(now)),
                Step::Wake => match set {
                    Some((alarm, when)) => { now = when; reconnect.woke(alarm, at(now)) }
                    None => Vec::new(),
                },
                Step::Pass(seconds) => { now += seconds; continue }
            };
            for effect in effects {
                if let Effect::Wake { after, alarm } = effect { set = Some((alarm, now + after.as_secs() + 1)); }
            }
            match reconnect.phase {
                Phase::Off => prop_assert!(false, "it is wanted"),
                Phase::Waiting(_) => prop_assert_eq!(set.map(|(alarm, _)| alarm), Some(reconnect.alarm)),
                Phase::Dialling { .. } | Phase::Up { .. } => {}
            }
        }
    }
}
