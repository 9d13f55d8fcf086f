//! A machine that has little or nothing of a channel goes on with it all the same: what is missing comes from members.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use common::storage::{Abort, Direction, KeyRange, Store, Table};
use peer::api::{Command, Event, LinkState, LogFrom, OutgoingState, Recovered, Reply};
use peer::client::CatchUp;
use peer::{Config, SCHEMA};
use support::{Person, World, named, stored, until};

const PASSWORD: &str = "correct horse battery";
/// What a log consists of on the disk.
const LOG: [&str; 5] = ["log", "log_ids", "log_checkpoints", "log_erased", "log_forgotten"];

fn host() -> Command {
    Command::Host { channel: named("first") }
}

fn take_over() -> Command {
    Command::TakeOver { channel: named("first"), log: LogFrom::Received }
}

async fn recover(person: &Person) -> Recovered {
    let command = Command::Recover { channel: named("first"), fork: false };
    let Reply::Recovered(recovered) = person.done(command).await else { unreachable!() };
    *recovered
}

async fn why_refused(person: &Person, command: Command) -> String {
    person.perform(command).await.unwrap_err().reason
}

/// Waits for the warning that the log is not whole.
async fn told_to_recover(person: &mut Person) -> String {
    person
        .expect("what to do", |event| match event {
            Event::Warning { code: Code::LogBehind, reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await
}

/// Waits until there is no connection because another key hosts the channel, and agrees to it.
async fn agrees(person: &mut Person) {
    let asked = |event: &Event| match event {
        Event::Connection { to, state: LinkState::Retrying, reason: Some(reason), .. } if to == "first" => {
            reason.contains("type: leave first, then join first").then_some(())
        }
        _ => None,
    };
    person.expect("another key", asked).await;
    person.leave("first").await;
    person.join("first").await;
}

/// Sends so many, and waits until all are stored.
async fn say(person: &mut Person, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        person.send("first", &number.to_string()).await;
        assert_eq!(person.expect("stored", stored).await, number);
    }
}

async fn texts(person: &Person) -> Vec<String> {
    person.history("first").await.into_iter().filter_map(|message| message.text).collect()
}

fn numbers(upto: u64) -> Vec<String> {
    (1..=upto).map(|number| number.to_string()).collect()
}

async fn is_sound(person: &Person) -> bool {
    let Reply::Verified(verified) = person.done(Command::Verify { channel: named("first") }).await else {
        unreachable!()
    };
    verified.sound && verified.logs.len() == 1
}

async fn owner(world: &World) -> Person {
    let ken = world.guest("ken").await;
    ken.signup(PASSWORD).await;
    ken.host("first").await;
    ken
}

/// Takes the newest few, and none of those before.
async fn latecomer(world: &World) -> Person {
    let catch_up = CatchUp { tail: 2, ..CatchUp::default() };
    let late = world.person(Config { catch_up, ..world.config("late") }).await;
    late.entered().await;
    late.join("first").await;
    late
}

#[actix::test]
async fn two_members_who_each_have_half_give_all_to_a_new_machine() {
    let world = World::new().await;
    let mut ken = owner(&world).await;
    let mut early = world.guest("early").await;
    early.join("first").await;
    say(&mut early, 1..=20).await;
    early.reads("first", 20).await;
    early.stop().await;
    let mut late = latecomer(&world).await;
    say(&mut late, 21..=40).await;
    late.reads("first", 40).await;
    ken.stop().await;

    std::fs::remove_dir_all(&ken.config.data).unwrap();
    ken.start().await;
    ken.settled().await;
    ken.signin("ken", PASSWORD).await.unwrap();
    let why = why_refused(&ken, host()).await;
    assert!(why.contains("first is yours") && why.contains("type: host first --takeover"), "{why}");
    ken.done(take_over()).await;
    let why = told_to_recover(&mut ken).await;
    assert!(why.contains("leave first, then join first") && why.contains("type: recover first"), "{why}");
    // Nobody is there yet, and nothing may be written.
    assert!(!recover(&ken).await.whole);
    ken.send("first", "41").await;
    agrees(&mut late).await;
    let half = recover(&ken).await;
    assert!(!half.whole && half.entries == 0, "{half:?}");
    early.start().await;
    agrees(&mut early).await;
    let all = recover(&ken).await;
    assert!(all.whole && all.entries == 40 && all.rejected.is_empty(), "{all:?}");
    assert_eq!(all.from, ["early", "late"]);
    // The talk goes on by itself, with all of it everywhere.
    for person in [&mut ken, &mut early, &mut late] {
        person.join_soon("first").await;
    }
    assert_eq!(ken.expect("stored", stored).await, 41);
    for person in [&ken, &early] {
        person.reads("first", 41).await;
        assert_eq!(texts(person).await, numbers(41));
        assert!(is_sound(person).await);
    }
    say(&mut late, 42..=42).await;
    // The hosting can move on from there.
    ken.restart().await;
    early.join_soon("first").await;
    say(&mut early, 43..=43).await;
    assert!(early.events().iter().all(|event| !is_put_aside(event)), "nothing was left aside");
}

fn is_put_aside(event: &Event) -> bool {
    matches!(event, Event::Warning { code: Code::Superseded, .. })
        || matches!(event, Event::Outgoing { state: OutgoingState::Refused, .. })
}

#[actix::test]
async fn an_old_host_that_comes_back_is_a_member_like_others_and_gives_what_it_has() {
    let world = World::new().await;
    let mut desk = owner(&world).await;
    desk.send("first", "1").await;
    assert_eq!(desk.expect("stored", stored).await, 1);
    desk.stop().await;
    let mut pocket = world.guest("pocket").await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    pocket.done(take_over()).await;
    assert!(!recover(&pocket).await.whole);
    desk.start().await;
    desk.expect("superseded", |event| match event {
        Event::Warning { code: Code::Superseded, reason, .. } => Some(reason.contains("type: host first")),
        _ => None,
    })
    .await;
    desk.leave("first").await;
    desk.join_soon("first").await;
    let all = recover(&pocket).await;
    assert!(all.whole && all.entries == 1, "{all:?}");
    pocket.join_soon("first").await;
    desk.join_soon("first").await;
    pocket.send("first", "2").await;
    desk.reads("first", 2).await;
    assert_eq!(texts(&desk).await, numbers(2));
    assert_eq!(texts(&pocket).await, numbers(2));
}

#[actix::test]
async fn what_this_machine_has_received_itself_counts_as_what_others_have() {
    let world = World::new().await;
    let mut desk = owner(&world).await;
    let mut early = world.guest("early").await;
    early.join("first").await;
    say(&mut early, 1..=20).await;
    early.reads("first", 20).await;
    early.stop().await;
    // The other machine has the second half alone.
    let catch_up = CatchUp { tail: 2, ..CatchUp::default() };
    let mut pocket = world.person(Config { catch_up, ..world.config("pocket") }).await;
    pocket.entered().await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    pocket.join("first").await;
    say(&mut desk, 21..=40).await;
    pocket.reads("first", 40).await;
    // As long as the host is there, it is better asked itself.
    let why = why_refused(&pocket, take_over()).await;
    assert!(why.contains("export first FILE --to KEY"), "{why}");
    desk.stop().await;
    until("the tracker has noticed", async || {
        pocket.channel("first").await.state != LinkState::Up && pocket.perform(take_over()).await.is_ok()
    })
    .await;
    assert!(!recover(&pocket).await.whole);
    early.start().await;
    agrees(&mut early).await;
    let all = recover(&pocket).await;
    assert!(all.whole, "{all:?}");
    assert_eq!(all.from, ["early", "ken"]);
    pocket.join_soon("first").await;
    assert_eq!(texts(&pocket).await, numbers(40));
    say(&mut pocket, 41..=41).await;
    early.reads("first", 41).await;
}

#[actix::test]
async fn a_host_that_has_lost_its_logs_and_not_its_key_asks_nobody_to_trust_it_anew() {
    let world = World::new().await;
    let mut ken = owner(&world).await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    say(&mut charlie, 1..=5).await;
    charlie.reads("first", 5).await;
    ken.reads("first", 5).await;
    // With what says that the channel is hosted here, and without.
    for (lost, last) in [(&LOG[..], 5), (&[&LOG[..], &["hosted"]].concat(), 6)] {
        ken.stop().await;
        drop_tables(&ken, lost).await;
        ken.start().await;
        ken.entered().await;
        if lost.contains(&"hosted") {
            let why = why_refused(&ken, host()).await;
            assert!(why.contains("by this peer") && why.contains("type: host first --takeover"), "{why}");
            ken.done(take_over()).await;
        }
        let why = told_to_recover(&mut ken).await;
        assert!(why.contains("type: recover first") && !why.contains("leave first"), "{why}");
        charlie.join_soon("first").await;
        let all = recover(&ken).await;
        assert!(all.whole && all.entries == last, "{all:?}");
        assert_eq!(all.from, ["charlie"]);
        charlie.join_soon("first").await;
        ken.join_soon("first").await;
        say(&mut charlie, last + 1..=last + 1).await;
        ken.reads("first", last + 1).await;
        assert_eq!(texts(&ken).await, numbers(last + 1));
        assert!(is_sound(&ken).await && is_sound(&charlie).await);
    }
}

/// Deletes tables of somebody whose peer has stopped.
async fn drop_tables(person: &Person, tables: &[&'static str]) {
    let store = Store::open(&person.config.data, SCHEMA).unwrap();
    for table in tables.iter().map(|table| Table::new(table)) {
        let dropped = store.write(move |transaction| {
            for (key, _) in transaction.scan(table, KeyRange::ALL, usize::MAX, Direction::Forward)? {
                transaction.delete(table, key);
            }
            Ok::<_, Abort>(())
        });
        dropped.await.unwrap();
    }
    store.close().await;
}
