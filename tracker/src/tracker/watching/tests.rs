use std::time::Duration;

use proptest::prelude::*;

use super::super::testing::guest;
use super::*;

const LONG: Duration = Duration::from_millis(1);

/// A machine with a clock of its own.
struct World {
    watching: Watching,
    now: Instant,
}

fn world() -> World {
    World { watching: Watching::default(), now: Instant::now() }
}

impl World {
    fn is(&mut self, number: u8, there: bool) {
        self.watching.is_now(guest(number).subject, there.then(|| guest(number).user()));
        self.watching.plan(self.now);
    }

    fn watch(&mut self, conn: u64, number: u8, there: bool) -> bool {
        let now = there.then(|| guest(number).user());
        let there = self.watching.watch(ConnId(conn), vec![(guest(number).subject, now)]).unwrap();
        !there.is_empty()
    }

    /// What connection 1 is told after so long: who came, who left.
    fn after(&mut self, time: Duration) -> [Vec<String>; 2] {
        self.now += time;
        let mut news = self.watching.gather(self.now);
        let News { came, left } = news.remove(&ConnId(1)).unwrap_or_default();
        assert!(news.is_empty(), "nobody else watches: {news:?}");
        [came, left].map(|users| users.into_iter().map(|user| user.name.to_string()).collect())
    }
}

fn told(came: &[&str], left: &[&str]) -> [Vec<String>; 2] {
    [came, left].map(|names| names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn what_happens_within_a_second_is_told_as_one() {
    let mut world = world();
    assert!(!world.watch(1, 1, false) && world.watch(1, 2, true) && !world.watch(1, 3, false));
    world.is(1, true);
    assert_eq!(world.after(PRESENCE_EVERY - LONG), told(&[], &[]), "not yet");
    world.is(2, false);
    world.is(3, true);
    world.is(4, true);
    assert_eq!(world.after(LONG), told(&["n1", "n3"], &["n2"]), "a second after the first");
    assert_eq!(world.after(PRESENCE_EVERY), told(&[], &[]), "once");
}

#[test]
fn who_is_back_in_time_was_never_away() {
    let mut world = world();
    world.watch(1, 1, true);
    for _ in 0..100 {
        world.is(1, false);
        world.is(1, true);
    }
    assert_eq!(world.after(PRESENCE_EVERY), told(&[], &[]));
    world.is(1, false);
    assert_eq!(world.after(PRESENCE_EVERY), told(&[], &["n1"]));
    world.is(1, true);
    world.is(1, false);
    assert_eq!(world.after(PRESENCE_EVERY), told(&[], &[]));
}

#[test]
fn whoever_begins_to_watch_is_told_what_the_others_know_and_the_change_with_them() {
    let mut world = world();
    world.watch(1, 1, true);
    world.is(1, false);
    let there = world.watching.watch(ConnId(2), vec![(guest(1).subject, None)]).unwrap();
    assert_eq!(there, [guest(1).user()], "as told last");
    world.now += PRESENCE_EVERY;
    let news = world.watching.gather(world.now);
    assert_eq!(news.len(), 2);
    assert!(news.values().all(|news| news.left == [guest(1).user()] && news.came.is_empty()));
}

#[test]
fn nobody_hears_of_those_they_do_not_watch_and_nothing_is_left_of_who_has_gone() {
    let mut world = world();
    world.is(1, true);
    assert_eq!(world.watching.plan(world.now), None, "who is not watched plans nothing");
    world.watch(1, 1, true);
    world.watch(1, 2, true);
    world.watching.unwatch(ConnId(1), &[guest(1).subject, guest(9).subject]);
    world.is(1, false);
    world.is(2, false);
    assert_eq!(world.after(PRESENCE_EVERY), told(&[], &["n2"]));
    world.watching.forget(ConnId(1));
    world.watch(3, 1, true);
    world.watching.unwatch(ConnId(3), &[guest(1).subject]);
    assert_eq!(world.watching.counts(), (0, 0));
    world.is(2, true);
    assert_eq!(world.after(PRESENCE_EVERY), told(&[], &[]));
}

#[test]
fn too_many_are_refused_and_none_of_them_is_watched() {
    let mut world = world();
    let many = |from: usize, upto: usize| {
        let subject = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            (Subject::Guest(common::identity::PeerKey::from_bytes(bytes)), None)
        };
        (from..upto).map(subject).collect::<Vec<_>>()
    };
    let most = many(0, MAX_WATCHED);
    assert_eq!(world.watching.watch(ConnId(1), most.clone()), Ok(Vec::new()));
    assert_eq!(world.watching.watch(ConnId(1), most), Ok(Vec::new()), "the same again");
    let more = many(MAX_WATCHED - 1, MAX_WATCHED + 1);
    assert_eq!(world.watching.watch(ConnId(1), more), Err(TooMany));
    assert_eq!(world.watching.counts().0, MAX_WATCHED);
}

proptest! {
    /// However they come and go and the clock runs: what a watcher was told in all is how it is, once it is quiet.
    #[test]
    fn told_is_what_is(steps in prop::collection::vec((0_u8..4, any::<bool>(), 0_u64..700), 0..200)) {
        let mut world = world();
        let mut known: HashMap<String, bool> = HashMap::new();
        let mut actual = [false; 4];
        for number in 0..4 {
            world.watch(1, number, false);
        }
        let quiet = (0, true, 2000);
        for (number, there, millis) in steps.into_iter().chain([quiet]) {
            world.is(number, there);
            actual[usize::from(number)] = there;
            let [came, left] = world.after(Duration::from_millis(millis));
            for (names, there) in [(came, true), (left, false)] {
                for name in names {
                    prop_assert_ne!(known.insert(name, there).unwrap_or(false), there, "told twice");
                }
            }
        }
        for number in 0..4_u8 {
            let told = known.get(guest(number).name.as_str()).copied().unwrap_or(false);
            prop_assert_eq!(told, actual[usize::from(number)]);
        }
    }
}
