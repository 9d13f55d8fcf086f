//! The checker checked: what is as promised passes, and each planted fault is found for what it is.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What a valid history is made from.
#[derive(Clone, Debug)]
struct Recipe {
    /// Who sends next, and what it was told.
    sent: Vec<(usize, Told)>,
    /// For each text that may or may not have arrived, whether it did.
    arrives: Vec<bool>,
    /// In how many lives each peer sees it: how much it shows in each, how much of that again, and how it ends.
    views: Vec<Vec<(Index, usize, End)>>,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let told = prop_oneof![8 => Just(Told::Queued), 1 => Just(Told::Nothing), 1 => Just(Told::Refused)];
    let sent = prop::collection::vec((0..4_usize, told), 12..60);
    let end = prop_oneof![Just(End::Killed), Just(End::Orderly)];
    let life = (any::<Index>(), 0..4_usize, end);
    let views = prop::collection::vec(prop::collection::vec(life, 0..5), 2..5);
    (sent, prop::collection::vec(any::<bool>(), 60), views).prop_map(|(sent, arrives, views)| Recipe {
        sent,
        arrives,
        views,
    })
}

fn history_of(recipe: &Recipe) -> History {
    let mut numbers: HashMap<usize, u64> = HashMap::new();
    let mut history = History::default();
    let mut log = Vec::new();
    for ((sender, told), arrives) in recipe.sent.iter().zip(&recipe.arrives) {
        let number = numbers.entry(*sender).or_insert(0);
        *number += 1;
        let text = Text { sender: *sender, number: *number };
        history.sent.push(Sent { text, told: *told });
        if *told == Told::Queued || (*told == Told::Nothing && *arrives) {
            let seq = log.len() as u64 + 1;
            let id = format!("id of {text:?}");
            if *arrives {
                history.stored.push(Stored { id: id.clone(), seq });
            }
            log.push(Entry { seq, id, text });
        }
    }
    history.views = recipe.views.iter().map(|lives| view_of(lives, &log)).collect();
    history
}

fn view_of(lives: &[(Index, usize, End)], log: &[Entry]) -> View {
    let mut view = View { lives: Vec::new(), log: log.to_vec() };
    let (mut shown, mut may_repeat) = (0, false);
    for (much, again, end) in lives {
        let from = if may_repeat { shown - (*again).min(shown) } else { shown };
        let upto = shown + much.index(log.len() - shown + 1);
        view.lives.push(Life { shown: log[from..upto].to_vec(), end: *end });
        if from < upto {
            may_repeat = *end == End::Killed;
        }
        shown = upto;
    }
    view.lives.push(Life { shown: log[shown..].to_vec(), end: End::Killed });
    view
}

/// Rows of the log are renumbered, so that nothing else is wrong.
fn renumber(log: &mut [Entry]) {
    for (at, entry) in log.iter_mut().enumerate() {
        entry.seq = at as u64 + 1;
    }
}

/// All see this log, in one life.
fn see(history: &mut History, log: &[Entry]) {
    let shown = vec![Life { shown: log.to_vec(), end: End::Orderly }];
    history.views.iter_mut().for_each(|view| *view = View { lives: shown.clone(), log: log.to_vec() });
}

fn log_of(history: &History) -> Vec<Entry> {
    history.views[0].log.clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_as_promised_passes(recipe in recipe()) {
        prop_assert_eq!(check(&history_of(&recipe)), []);
    }

    #[test]
    fn a_loss_is_found(recipe in recipe(), at: Index) {
        let mut history = history_of(&recipe);
        let mut log = log_of(&history);
        let queued: Vec<Text> =
            history.sent.iter().filter(|sent| sent.told == Told::Queued).map(|sent| sent.text).collect();
        prop_assume!(!queued.is_empty());
        let lost = *at.get(&queued);
        log.retain(|entry| entry.text != lost);
        renumber(&mut log);
        history.stored.clear();
        see(&mut history, &log);
        prop_assert_eq!(check(&history), [Violation::Lost(lost)]);
    }

    #[test]
    fn a_lost_end_is_found_by_what_was_said_to_be_stored(recipe in recipe()) {
        let mut history = history_of(&recipe);
        let mut log = log_of(&history);
        prop_assume!(!log.is_empty());
        let last = log.pop().unwrap();
        history.sent.iter_mut().for_each(|sent| sent.told = Told::Nothing);
        history.stored = vec![Stored { id: last.id, seq: last.seq }];
        see(&mut history, &log);
        prop_assert_eq!(check(&history), [Violation::StoredLost { seq: last.seq }]);
    }

    #[test]
    fn a_duplicate_is_found(recipe in recipe(), at: Index, has_new_id: bool) {
        let mut history = history_of(&recipe);
        let mut log = log_of(&history);
        prop_assume!(!log.is_empty());
        let mut again = at.get(&log).clone();
        if has_new_id {
            again.id.push('\'');
        }
        let place = log.iter().rposition(|entry| entry.text.sender == again.text.sender).unwrap() + 1;
        let is_last_of_sender = log[place - 1].text == again.text;
        log.insert(place, again);
        renumber(&mut log);
        history.stored.clear();
        see(&mut history, &log);
        let found = check(&history);
        prop_assert!(found.contains(&Violation::Twice { seq: place as u64 + 1 }), "{found:?}");
        prop_assert_eq!(found.len(), if is_last_of_sender { 1 } else { 2 }, "{:?}", found);
    }

    #[test]
    fn a_sender_whose_messages_changed_places_is_found(recipe in recipe()) {
        let mut history = history_of(&recipe);
        let mut log = log_of(&history);
        let pair = (1..log.len()).find_map(|later| {
            let earlier = log[..later].iter().rposition(|entry| entry.text.sender == log[later].text.sender)?;
            Some((earlier, later))
        });
        prop_assume!(pair.is_some());
        let (earlier, later) = pair.unwrap();
        let late = log[earlier].text;
        log.swap(earlier, later);
        renumber(&mut log);
        history.stored.clear();
        see(&mut history, &log);
        prop_assert_eq!(check(&history), [Violation::SenderOrder(late)]);
    }

    #[test]
    fn another_order_at_one_member_is_found(recipe in recipe(), at: Index) {
        let mut history = history_of(&recipe);
        let log = log_of(&history);
        prop_assume!(log.len() > 1);
        see(&mut history, &log);
        let at = at.index(log.len() - 1);
        let view = &mut history.views[1];
        view.log.swap(at, at + 1);
        renumber(&mut view.log);
        let seq = at as u64 + 1;
        let differs = [Violation::Differs { view: 1, seq }, Violation::Differs { view: 1, seq: seq + 1 }];
        prop_assert_eq!(check(&history), differs);
    }

    #[test]
    fn a_gap_in_the_numbers_is_found(recipe in recipe(), at: Index) {
        let mut history = history_of(&recipe);
        let mut log = log_of(&history);
        prop_assume!(!log.is_empty());
        let at = at.index(log.len());
        log[at..].iter_mut().for_each(|entry| entry.seq += 1);
        history.stored.clear();
        see(&mut history, &log);
        let found = check(&history);
        let seq = at as u64 + 2;
        prop_assert!((0..history.views.len()).all(|view| found.contains(&Violation::Gap { view, seq })), "{found:?}");
    }

    #[test]
    fn a_gap_at_one_member_is_found(recipe in recipe(), at: Index, is_shown: bool) {
        let mut history = history_of(&recipe);
        let log = log_of(&history);
        prop_assume!(!log.is_empty());
        see(&mut history, &log);
        let at = at.index(log.len());
        let missing = at as u64 + 1;
        let is_last = at + 1 == log.len();
        let expected = if is_shown {
            history.views[1].lives[0].shown.remove(at);
            Violation::NotShown { view: 1, seq: missing }
        } else {
            history.views[1].log.remove(at);
            Violation::Gap { view: 1, seq: missing + 1 }
        };
        prop_assert_eq!(check(&history), [expected], "last: {}", is_last);
    }

    #[test]
    fn a_repeat_without_a_crash_is_found(recipe in recipe(), at: Index, is_same_life: bool) {
        let mut history = history_of(&recipe);
        let log = log_of(&history);
        prop_assume!(!log.is_empty());
        see(&mut history, &log);
        let again = at.get(&log).clone();
        let seq = again.seq;
        let lives = &mut history.views[1].lives;
        if is_same_life {
            lives[0].shown.push(again);
        } else {
            lives.push(Life { shown: vec![again], end: End::Killed });
        }
        prop_assert_eq!(check(&history), [Violation::ShownAgain { view: 1, seq }]);
    }

    #[test]
    fn what_nobody_sent_or_was_refused_is_found(recipe in recipe(), is_refused: bool) {
        let mut history = history_of(&recipe);
        let log = log_of(&history);
        prop_assume!(!log.is_empty());
        see(&mut history, &log);
        let text = log[0].text;
        if is_refused {
            history.sent.iter_mut().filter(|sent| sent.text == text).for_each(|sent| sent.told = Told::Refused);
        } else {
            history.sent.retain(|sent| sent.text != text);
        }
        prop_assert_eq!(check(&history), [Violation::Invented { seq: 1 }]);
    }
}
