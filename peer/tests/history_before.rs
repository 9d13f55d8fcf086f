//! A log that another one has taken the place of: it can be read still, where the new one leads to it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::channel::Info;
use common::proto::status::Code;
use peer::Config;
use peer::api::{ChatMessage, Command, Event, HistoryOf, LinkState, LogFrom, Reply};
use peer::client::CatchUp;
use support::{Person, World, named, stored, until};

const PASSWORD: &str = "correct horse battery";

async fn history(person: &Person, count: u32) -> HistoryOf {
    let command = Command::History { channel: named("first"), count, before: None };
    let Reply::History(history) = person.done(command).await else { unreachable!() };
    history
}

async fn info(person: &Person) -> Info {
    let Reply::Info(info) = person.done(Command::Info { channel: named("first") }).await else {
        unreachable!()
    };
    *info
}

fn numbers(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

/// Sends so many, and waits until all are stored.
async fn say(person: &mut Person, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        person.send("first", &number.to_string()).await;
        assert_eq!(person.expect("stored", stored).await, number);
    }
}

/// Somebody who takes the newest two at once.
async fn charlie(world: &World) -> Person {
    let catch_up = CatchUp { tail: 2, ..CatchUp::default() };
    let charlie = world.person(Config { catch_up, ..world.config("charlie") }).await;
    charlie.entered().await;
    charlie
}

#[actix::test]
async fn a_new_log_leads_to_the_one_before_with_and_without_its_host() {
    let world = World::new().await;
    let mut desk = world.guest("ken").await;
    desk.signup(PASSWORD).await;
    desk.host("first").await;
    assert_eq!(info(&desk).await.before, None);
    let mut charlie = charlie(&world).await;
    charlie.join("first").await;
    say(&mut charlie, 1..=5).await;
    charlie.reads("first", 5).await;
    // A restart tells the tracker how far the log is.
    desk.restart().await;
    charlie.join_soon("first").await;
    desk.stop().await;
    let mut pocket = world.guest("pocket").await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    pocket.done(Command::TakeOver { channel: named("first"), log: LogFrom::Nothing }).await;
    charlie.leave("first").await;
    charlie.join("first").await;
    say(&mut charlie, 1..=2).await;
    // What is shown is on the disk.
    until("both are here", async || charlie.messages("first").last().is_some_and(|last| last.seq == 2)).await;
    charlie.barrier("first").await;
    let before = info(&charlie).await.before.unwrap();
    assert_eq!((before.end.seq, before.anew), (5, true));
    for is_host_there in [true, false] {
        if !is_host_there {
            pocket.stop().await;
            charlie.expect_connection("first", LinkState::Retrying).await;
        }
        let all = history(&charlie, 50).await;
        assert_eq!(numbers(&all.messages), [1, 2]);
        assert_eq!(all.earlier.len(), 1);
        assert_eq!((all.earlier[0].kept, numbers(&all.earlier[0].messages)), (0, vec![1, 2, 3, 4, 5]));
        assert_ne!(all.earlier[0].epoch, all.head.epoch);
        // As many as are asked for.
        let some = history(&charlie, 4).await;
        assert_eq!((numbers(&some.messages), numbers(&some.earlier[0].messages)), (vec![1, 2], vec![4, 5]));
        assert!(history(&charlie, 2).await.earlier.is_empty());
    }
}

#[actix::test]
async fn behind_a_fork_the_older_log_has_what_the_new_one_was_not_fetched_of() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = charlie(&world).await;
    charlie.join("first").await;
    say(&mut charlie, 1..=5).await;
    charlie.reads("first", 5).await;
    ken.reads("first", 5).await;
    let forked = Command::Recover { channel: named("first"), fork: true };
    let Reply::Recovered(forked) = ken.done(forked).await else { unreachable!() };
    // The owner knows what they have wanted.
    let warned = |event: &Event| matches!(event, Event::Warning { code: Code::LogBehind, .. });
    assert!(!ken.events().iter().any(warned), "{:?}", ken.events());
    charlie.join_soon("first").await;
    say(&mut charlie, 6..=6).await;
    charlie.reads("first", 6).await;
    let before = info(&charlie).await.before.unwrap();
    assert_eq!((Some(before.end), before.anew), (forked.forked, false));
    ken.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    let all = history(&charlie, 50).await;
    assert_eq!(numbers(&all.messages), [6]);
    assert_eq!((all.earlier[0].kept, numbers(&all.earlier[0].messages)), (5, vec![1, 2, 3, 4, 5]));
    // With its host there it has all of it.
    ken.start().await;
    charlie.join_soon("first").await;
    until("all comes from the host", async || numbers(&history(&charlie, 50).await.messages).len() == 6)
        .await;
    assert!(history(&charlie, 50).await.earlier.is_empty());
}
