//! What a peer keeps of a channel: nothing is missed and nothing shown twice, whatever is restarted, and history can be
//! read with nobody there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures of a long run")]

mod support;

use common::proto::status::Code;
use peer::Config;
use peer::api::{ChatMessage, Command, Event, HistoryOf, LinkState, Reply, Run};
use peer::client::{CatchUp, Fill};
use support::{Person, World, Writer, named, until};

/// A world with a channel, its host, and somebody who writes there.
async fn scene() -> (World, Person, Writer) {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let writer = Writer::new(&world).await;
    (world, host, writer)
}

/// Somebody for whom a little is very much.
fn impatient(world: &World) -> Config {
    Config {
        catch_up: CatchUp { far_behind: 100, tail: 10, ..CatchUp::default() },
        ..world.config("charlie")
    }
}

fn seqs(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

fn filled(event: &Event) -> Option<(u64, u64)> {
    match event {
        Event::Filled { from, to, .. } => Some((*from, *to)),
        _ => None,
    }
}

async fn history(person: &Person, count: u32, before: Option<u64>) -> HistoryOf {
    let command = Command::History { channel: named("first"), count, before };
    let Reply::History(history) = person.done(command).await else { unreachable!() };
    history
}

/// All that was shown is in order, without gap or repeat, but for what was left out.
fn check_shown(person: &Person, ranges: &[std::ops::RangeInclusive<u64>]) {
    let wanted: Vec<u64> = ranges.iter().cloned().flatten().collect();
    assert_eq!(seqs(&person.messages("first")), wanted);
    for message in person.messages("first") {
        assert_eq!(message.text, Some(message.seq.to_string()));
    }
}

/// How much is missed by whoever is far behind. `NATTER_MISSED=200000` makes a long run of it.
fn missed() -> u64 {
    std::env::var("NATTER_MISSED").map_or(3000, |count| count.parse().unwrap())
}

#[actix::test]
async fn who_is_far_behind_gets_the_newest_first_and_the_rest_behind_them_while_live_lines_flow() {
    let (world, mut host, mut writer) = scene().await;
    let mut charlie = world.person(impatient(&world)).await;
    charlie.entered().await;
    charlie.join("first").await;
    writer.write(5).await;
    charlie.reads("first", 5).await;
    charlie.stop().await;
    writer.write(missed()).await;
    let before = writer.written;

    let back = std::time::Instant::now();
    charlie.start().await;
    charlie.reads("first", before).await;
    let newest = back.elapsed();
    assert_eq!(charlie.messages("first").len(), 15, "the newest come before those that were missed");
    // Live lines come through all the while.
    let is_filled = |charlie: &Person| charlie.events().iter().any(|event| filled(event).is_some());
    while !is_filled(&charlie) || writer.written < before + 20 {
        writer.write(1).await;
        charlie.reads("first", writer.written).await;
        assert!(writer.written < 2 * before, "it takes too long");
    }
    assert_eq!(charlie.expect("end of the filling", filled).await, (6, before - 10));
    let all = back.elapsed();
    println!(
        "{} missed, the newest shown {newest:.1?} after the start, the rest filled in after {all:.1?}",
        missed()
    );
    let last = writer.written;
    let (shown, whole) = ([1..=5, before - 9..=last], (1..=last).collect::<Vec<_>>());
    check_shown(&charlie, &shown);
    assert_eq!(seqs(&charlie.history("first").await), whole);

    // All that with nobody there, and after a restart.
    host.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    charlie.restart().await;
    let all = history(&charlie, u32::MAX, None).await;
    assert_eq!(seqs(&all.messages), whole);
    assert_eq!((all.head.seq, all.missing.is_none()), (last, true));
    assert_eq!(seqs(&history(&charlie, 3, Some(2000)).await.messages), [1997, 1998, 1999]);
    check_shown(&charlie, &shown);
}

#[actix::test]
async fn filling_goes_on_where_it_was_after_restarts_of_both() {
    let (world, mut host, mut writer) = scene().await;
    host.config.listen.port = host.status().await.listen.unwrap().port();
    let mut charlie = world.person(impatient(&world)).await;
    charlie.entered().await;
    charlie.join("first").await;
    writer.write(1).await;
    charlie.reads("first", 1).await;
    charlie.stop().await;
    writer.write(4000).await;
    charlie.start().await;
    charlie.reads("first", 4001).await;
    charlie.restart().await;
    charlie.entered().await;
    host.restart().await;
    let mut writer = Writer { written: writer.written, ..Writer::named(&world, "another").await };
    writer.write(500).await;
    charlie.reads("first", 4501).await;
    let mut ranges = Vec::new();
    while ranges.last().is_none_or(|(from, _)| *from != 2) {
        ranges.push(charlie.expect("end of a filling", filled).await);
    }
    assert_eq!(seqs(&charlie.history("first").await), (1..=4501).collect::<Vec<_>>());
    let shown = seqs(&charlie.messages("first"));
    assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "in order, and nothing twice: {shown:?}");
}

#[actix::test]
async fn a_host_that_is_restarted_in_the_middle_of_a_catch_up_leaves_neither_gap_nor_repeat() {
    let (world, mut host, mut writer) = scene().await;
    host.config.listen.port = host.status().await.listen.unwrap().port();
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    writer.write(1).await;
    charlie.reads("first", 1).await;
    charlie.stop().await;
    writer.write(1900).await;
    charlie.start().await;
    charlie.reads("first", 200).await;
    host.restart().await;
    let mut writer = Writer { written: writer.written, ..Writer::named(&world, "another").await };
    writer.write(100).await;
    charlie.reads("first", 2001).await;
    check_shown(&charlie, &[1..=2001]);
    assert_eq!(seqs(&charlie.history("first").await), (1..=2001).collect::<Vec<_>>());
}

#[actix::test]
async fn history_is_read_from_the_host_once_and_from_the_archive_afterwards() {
    let (world, mut host, mut writer) = scene().await;
    writer.write(200).await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    charlie.reads("first", 200).await;
    check_shown(&charlie, &[151..=200]);
    assert_eq!(seqs(&history(&charlie, 80, None).await.messages), (121..=200).collect::<Vec<_>>());
    host.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    // What was read is written when the disk has time.
    until("it is kept", async || history(&charlie, 100, None).await.messages.len() > 50).await;
    let page = history(&charlie, 100, None).await;
    assert_eq!(seqs(&page.messages), (121..=200).collect::<Vec<_>>());
    assert_eq!(page.missing.map(|missing| missing.upto), Some(120));
    // What is older is known to nobody here.
    let command = Command::History { channel: named("first"), count: 5, before: Some(50) };
    assert!(charlie.refused(command).await.is_passing());
}

#[actix::test]
async fn nothing_is_shown_again_after_an_orderly_end() {
    let (world, host, mut writer) = scene().await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    for _ in 0..5 {
        writer.write(7).await;
        charlie.reads("first", writer.written).await;
        charlie.restart().await;
        charlie.entered().await;
    }
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.barrier("first").await;
    check_shown(&charlie, &[1..=35]);
    // The host's own peer reads its own log.
    let mut host = host;
    host.restart().await;
    host.entered().await;
    host.expect_connection("first", LinkState::Up).await;
    host.barrier("first").await;
    check_shown(&host, &[1..=35]);
    assert_eq!(seqs(&host.history("first").await), (1..=35).collect::<Vec<_>>());
}

#[actix::test]
async fn the_history_of_a_channel_that_was_left_is_still_here() {
    let (world, _host, mut writer) = scene().await;
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    writer.write(10).await;
    charlie.reads("first", 10).await;
    charlie.leave("first").await;
    assert_eq!(seqs(&charlie.history("first").await), (1..=10).collect::<Vec<_>>());
    let command = Command::Members { channel: named("first"), granted: false };
    assert_eq!(charlie.refused(command).await, Code::NotJoined);
}

#[actix::test]
async fn with_fill_all_what_was_said_before_comes_by_itself_and_goes_on_after_a_break() {
    const SAID: u64 = 700;
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    for number in 1..=SAID {
        ken.send("first", &number.to_string()).await;
    }
    ken.reads("first", SAID).await;
    let missing = async |person: &Person| {
        let Reply::Verified(verified) = person.done(Command::Verify { channel: named("first") }).await else {
            unreachable!()
        };
        assert!(verified.sound, "{verified:?}");
        let log = &verified.logs[0];
        (log.missing.clone(), log.unproven.is_empty())
    };
    let catch_up = CatchUp { tail: 10, fill: Fill::All, ..CatchUp::default() };
    let mut charlie = world.person(Config { catch_up, ..world.config("charlie") }).await;
    charlie.entered().await;
    charlie.join("first").await;
    until("a part of it has come", async || missing(&charlie).await.0 != [Run { from: 1, to: SAID - 10 }])
        .await;
    charlie.restart().await;
    charlie.expect_connection("first", LinkState::Up).await;
    until("all of it has come, and is proven", async || missing(&charlie).await == (Vec::new(), true)).await;
    assert_eq!(charlie.texts("first").len(), 10, "what is older is not shown as if it were new");
    // Whoever does not want it asks for what they want.
    let dora = world
        .person(Config { catch_up: CatchUp { tail: 10, ..CatchUp::default() }, ..world.config("dora") })
        .await;
    dora.entered().await;
    dora.join("first").await;
    dora.reads("first", SAID).await;
    assert_eq!(missing(&dora).await.0, [Run { from: 1, to: SAID - 10 }]);
}
