//! Faults of coming into a channel, and of finding one.

use common::proto::channel::Role;
use common::proto::event::Person as Named;
use common::proto::limits::FIRST_TAIL;
use common::proto::status::Code;
use futures_util::future::join_all;
use peer::api::{ChatMessage, Command, Event, LinkState, Reply};

use crate::support::{Person, World, join, named, send, stored};

/// Writes messages and waits until all are stored.
async fn say(person: &mut Person, channel: &str, texts: impl IntoIterator<Item = String>) {
    let mut last = None;
    for text in texts {
        last = Some(person.send(channel, &text).await);
    }
    let mut count = 0;
    let Some(last) = last else { return };
    person
        .expect("the last message stored", |event| {
            count += usize::from(stored(event).is_some());
            matches!(event, Event::Outgoing { id, .. } if *id == last && stored(event).is_some())
                .then_some(())
        })
        .await;
}

fn seqs(messages: &[ChatMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("message {number}")).collect()
}

/// Joins a channel with this history, and sees its end at once and all of it on demand.
async fn joins_and_reads(history: Vec<String>) {
    let world = World::new().await;
    let mut host = world.guest("ken").await;
    host.host("first").await;
    say(&mut host, "first", history.clone()).await;
    let guest = world.guest("charlie").await;
    let joined = guest.join("first").await;
    let count = history.len() as u64;
    assert_eq!(joined.head.seq, count);
    guest.reads("first", count).await;
    let tail = history.len().saturating_sub(FIRST_TAIL as usize);
    assert_eq!(guest.texts("first"), history[tail..]);
    let all = guest.history("first").await;
    assert_eq!(seqs(&all), (1..=count).collect::<Vec<_>>());
    assert!(all.iter().map(|message| message.text.as_deref().unwrap()).eq(&history));
}

#[actix::test]
async fn joining_works_with_more_than_13_messages_in_the_history() {
    joins_and_reads(numbered(14)).await;
}

#[actix::test]
async fn joining_works_with_2000_messages_in_the_history() {
    joins_and_reads(numbered(2000)).await;
}

#[actix::test]
async fn joining_works_with_messages_as_long_as_can_be() {
    let long = |number: usize| {
        let number = number.to_string();
        // Quotes take twice as much in a frame.
        let filling = if number.ends_with('7') { "\"" } else { "x" };
        let filling = filling.repeat(16 * 1024 - number.len());
        number + &filling
    };
    joins_and_reads((0..80).map(long).collect()).await;
}

#[actix::test]
async fn a_list_of_200_channels_is_whole() {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.signup("correct horse battery").await;
    let mut expected: Vec<_> = (0..200).map(|number| format!("channel {number:03} of a long list")).collect();
    for name in &expected {
        host.host(name).await;
    }
    let guest = world.guest("charlie").await;
    for (pattern, count) in [(None, 200), (Some("channel 0*"), 100), (Some("03"), 12)] {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let list = Command::List { pattern: pattern.map(str::to_owned), after };
            let Reply::Channels(page) = guest.done(list).await else { unreachable!() };
            assert!(page.channels.iter().all(|channel| channel.online));
            names.extend(page.channels.into_iter().map(|channel| channel.name.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        expected.retain(|name| pattern.is_none() || names.contains(name));
        assert_eq!(names.len(), count, "{pattern:?}");
        if pattern.is_none() {
            assert_eq!(names, expected);
        }
    }
    guest.join("channel 199 of a long list").await;
}

#[actix::test]
async fn more_than_10_members_talk() {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let mut members = Vec::new();
    for number in 0..40 {
        let member = world.guest(&format!("member-{number}")).await;
        member.join("first").await;
        members.push(member);
    }
    for member in &members {
        member.send("first", member.name()).await;
    }
    for member in &members {
        member.reads("first", 40).await;
        assert_eq!(seqs(&member.messages("first")), (1..=40).collect::<Vec<_>>());
        assert_eq!(member.texts("first"), host.texts("first"));
    }
    let Reply::Members(list) =
        members[7].done(Command::Members { channel: named("first"), granted: false }).await
    else {
        unreachable!()
    };
    assert_eq!((list.total, list.members.len()), (41, 41));
}

/// Joins when the log is so far, and sees all from a certain place on to the end.
async fn joins_at(guest: &Person, host: &Person, seq: u64, last: u64) {
    host.reads("first", seq).await;
    let joined = guest.join("first").await;
    guest.reads("first", last).await;
    guest.barrier("first").await;
    let first = joined.head.seq.saturating_sub(FIRST_TAIL.into()) + 1;
    assert_eq!(seqs(&guest.messages("first")), (first..=last).collect::<Vec<_>>(), "{}", guest.name());
}

#[actix::test]
async fn nothing_is_missed_by_those_who_join_while_others_talk() {
    const LAST: u64 = 600;
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let talker = world.guest("talker").await;
    talker.join("first").await;
    let mut guests = Vec::new();
    for number in 0..12 {
        guests.push(world.guest(&format!("guest-{number}")).await);
    }
    let talk = async {
        for number in 1..=LAST {
            talker.send("first", &number.to_string()).await;
        }
    };
    let joins = guests.iter().zip(0..).map(|(guest, number)| joins_at(guest, &host, 1 + number * 40, LAST));
    futures_util::future::join(talk, join_all(joins)).await;
}

#[actix::test]
async fn whoever_comes_and_goes_while_others_talk_sees_all_once() {
    const LAST: u64 = 300;
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let restless = world.guest("restless").await;
    restless.join("first").await;
    let talk = async {
        for number in 1..=LAST {
            host.send("first", &number.to_string()).await;
        }
    };
    let wander = async {
        for number in 1..=20 {
            host.reads("first", number * 14).await;
            restless.leave("first").await;
            restless.join("first").await;
        }
        restless.reads("first", LAST).await;
    };
    futures_util::future::join(talk, wander).await;
    assert_eq!(seqs(&restless.messages("first")), (1..=LAST).collect::<Vec<_>>());
}

#[actix::test]
async fn whoever_leaves_and_rejoins_at_once_is_who_they_are_now() {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let mut charlie = world.guest("charlie").await;
    assert_eq!(charlie.join("first").await.role, Role::Guest);
    charlie.signup("correct horse").await;
    for seq in 1..=10 {
        charlie.leave("first").await;
        assert_eq!(charlie.join("first").await.role, Role::Registered);
        charlie.send("first", "here again").await;
        assert_eq!(charlie.expect("stored message", stored).await, seq);
    }
    let Reply::Members(list) = host.done(Command::Members { channel: named("first"), granted: false }).await
    else {
        unreachable!()
    };
    let names: Vec<_> = list.members.iter().map(|member| (member.name.as_str(), member.role)).collect();
    assert_eq!(names, [("charlie", Role::Registered), ("ken", Role::Owner)]);
}

#[actix::test]
async fn coming_and_going_is_told() {
    let world = World::new().await;
    let mut host = world.guest("ken").await;
    host.host("first").await;
    let mut charlie = world.guest("charlie").await;
    let is_charlie = |people: &[Named]| people.iter().any(|person| person.name == "charlie");
    charlie.join("first").await;
    host.expect("charlie's coming", |event| match event {
        Event::Joined { members, .. } => is_charlie(members).then_some(()),
        _ => None,
    })
    .await;
    charlie.stop().await;
    host.expect("charlie's going", |event| match event {
        Event::Left { members, .. } => is_charlie(members).then_some(()),
        _ => None,
    })
    .await;
    charlie.start().await;
    host.expect("charlie's coming back", |event| match event {
        Event::Joined { members, .. } => is_charlie(members).then_some(()),
        _ => None,
    })
    .await;
}

#[actix::test]
async fn what_is_queued_outlives_a_join_that_fails() {
    let world = World::new().await;
    let mut host = world.guest("ken").await;
    for channel in ["first", "second"] {
        host.host(channel).await;
    }
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    charlie.leave("first").await;
    host.stop().await;
    charlie.send("first", "one").await;
    assert_eq!(charlie.refused(join("first")).await, Code::HostAway);
    charlie.send("first", "two").await;
    // One that was never joined is known by the attempt alone.
    assert_eq!(charlie.refused(send("second", "too early")).await, Code::NotJoined);
    assert_eq!(charlie.refused(join("second")).await, Code::HostAway);
    charlie.send("second", "three").await;
    assert_eq!(charlie.channel("first").await.queued, 2);

    host.start().await;
    host.entered().await;
    host.expect_connection("first", LinkState::Up).await;
    for channel in ["first", "second"] {
        charlie.join(channel).await;
    }
    for _ in 0..3 {
        charlie.expect("stored message", stored).await;
    }
    assert_eq!(texts_of(&charlie.history("first").await), ["one", "two"]);
    assert_eq!(texts_of(&charlie.history("second").await), ["three"]);
    assert_eq!(charlie.channel("first").await.queued, 0);
}

fn texts_of(messages: &[ChatMessage]) -> Vec<&str> {
    messages.iter().filter_map(|message| message.text.as_deref()).collect()
}
