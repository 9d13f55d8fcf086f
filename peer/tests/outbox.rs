//! What is written while the host is away, or while it does not take everything: kept, and stored once, in order.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::clock::Timestamp;
use common::id::IdentityKind;
use common::meter::Rate;
use common::proto::status::{Code, Refusal};
use futures_util::future::{join, join_all};
use peer::api::{Command, Event, LinkState};
use support::{Fate, MadeHost, Person, World, free_port, named, refused, stored};

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| number.to_string()).collect()
}

/// A world with a channel, its host, and a member of it.
async fn scene() -> (World, Person, Person) {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    (world, host, charlie)
}

/// Starts a host again at another port.
async fn move_to_another_port(host: &mut Person) {
    let port = free_port();
    host.config.listen.port = port;
    host.start().await;
    host.expect_connection("first", LinkState::Up).await;
    assert_eq!(host.status().await.listen.unwrap().port(), port);
}

#[actix::test]
async fn what_is_written_while_the_host_is_away_goes_out_when_it_is_back_elsewhere() {
    let (_world, mut host, mut charlie) = scene().await;
    host.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    let before = Timestamp::now();
    for text in ["one", "two"] {
        charlie.send("first", text).await;
    }
    charlie.restart().await;
    assert_eq!(charlie.channel("first").await.queued, 2, "it is on disk");
    charlie.entered().await;
    charlie.send("first", "three").await;
    let after = Timestamp::now();

    move_to_another_port(&mut host).await;
    for seq in 1..=3 {
        assert_eq!(charlie.expect("stored message", stored).await, seq);
    }
    for person in [&host, &charlie] {
        person.reads("first", 3).await;
        person.barrier("first").await;
        assert_eq!(person.texts("first"), ["one", "two", "three"]);
    }
    for message in host.messages("first") {
        assert!((before..=after).contains(&message.sent_at), "the time of writing is kept");
        assert!(message.stored_at >= after, "the time of storing is another");
    }
    assert_eq!(charlie.channel("first").await.queued, 0);
    charlie.restart().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.send("first", "four").await;
    host.reads("first", 4).await;
    assert_eq!(host.texts("first"), ["one", "two", "three", "four"], "nothing goes out twice");
}

#[actix::test]
async fn what_is_written_where_the_first_join_came_to_nothing_is_kept_over_a_restart() {
    let world = World::new().await;
    let mut host = world.guest("ken").await;
    host.host("first").await;
    host.stop().await;
    let mut charlie = world.guest("charlie").await;
    assert_eq!(charlie.refused(Command::Join { channel: named("first") }).await, Code::HostAway);
    charlie.send("first", "hello").await;
    charlie.restart().await;
    charlie.entered().await;
    assert_eq!(charlie.outbox().await.len(), 1);

    move_to_another_port(&mut host).await;
    charlie.join_soon("first").await;
    assert_eq!(charlie.expect("stored message", stored).await, 1);
    host.reads("first", 1).await;
    assert_eq!(host.texts("first"), ["hello"]);
}

#[actix::test]
async fn who_waits_for_a_host_that_takes_nothing_is_told_why_once() {
    let for_longer = || Fate::Refuse(Refusal { retry_after_ms: Some(3500), ..Code::StorageFull.into() });
    let (_world, _host, mut charlie) = write_to(vec![for_longer(), disk_is_full(), for_longer()], 2).await;
    let held = |event: &Event| match event {
        Event::Warning { code: Code::StorageFull, reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let reason = charlie.expect("why nothing goes out", held).await;
    assert!(reason.contains("2 to be sent to made"), "{reason}");
    assert_eq!(charlie.expect("stored message", stored).await, 1);
    assert_eq!(charlie.events().iter().filter_map(held).count(), 1);
}

#[actix::test]
async fn more_than_a_window_of_queued_messages_keep_their_order() {
    let (_world, mut host, mut charlie) = scene().await;
    host.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    let texts = numbered(200);
    for text in &texts {
        charlie.send("first", text).await;
    }
    host.start().await;
    for seq in 1..=200 {
        assert_eq!(charlie.expect("stored message", stored).await, seq);
    }
    host.reads("first", 200).await;
    assert_eq!(host.texts("first"), texts);
}

#[actix::test]
async fn messages_written_at_once_are_stored_in_the_order_of_writing() {
    let (_world, host, mut charlie) = scene().await;
    let texts = numbered(60);
    join_all(texts.iter().map(|text| charlie.send("first", text))).await;
    host.reads("first", 60).await;
    assert_eq!(host.texts("first"), texts);
    for seq in 1..=60 {
        assert_eq!(charlie.expect("stored message", stored).await, seq);
    }
}

/// Writes to a host that treats messages like this, and is answered when it has got them all.
async fn write_to(fates: Vec<Fate>, count: usize) -> (World, MadeHost, Person) {
    let world = World::new().await;
    let host = MadeHost::start(&world, "made", fates, count).await;
    let charlie = world.guest("charlie").await;
    charlie.join("made").await;
    for text in numbered(count) {
        charlie.send("made", &text).await;
    }
    (world, host, charlie)
}

fn disk_is_full() -> Fate {
    Fate::Refuse(Refusal { retry_after_ms: Some(20), ..Code::StorageFull.into() })
}

#[actix::test]
async fn nothing_overtakes_a_message_that_is_refused_for_a_while() {
    let fates = vec![Fate::Store, disk_is_full(), disk_is_full(), Fate::Store, disk_is_full()];
    let (_world, host, mut charlie) = write_to(fates, 8).await;
    for seq in 1..=8 {
        assert_eq!(charlie.expect("stored message", stored).await, seq);
    }
    assert_eq!(host.stored(), numbered(8));
}

#[actix::test]
async fn nothing_overtakes_a_message_that_is_refused_until_the_user_says_so() {
    let not_allowed = Fate::Refuse(Code::NotAllowed.into());
    let (_world, host, mut charlie) = write_to(vec![Fate::Store, not_allowed], 8).await;
    assert_eq!(charlie.expect("refusal", refused).await, Code::NotAllowed);
    charlie.send("made", "9").await;
    charlie.barrier_of_tracker().await;
    assert_eq!(host.stored(), ["1"]);
    assert_eq!(charlie.channel("made").await.queued, 8);
    charlie.retry("made").await;
    while charlie.expect("stored message", stored).await < 9 {}
    assert_eq!(host.stored(), numbered(9));
}

#[actix::test]
async fn connections_that_break_lose_and_repeat_nothing() {
    let mut fates = vec![Fate::Store; 100];
    (fates[3], fates[40], fates[41]) = (Fate::StoreAndBreak, disk_is_full(), Fate::StoreAndBreak);
    let (_world, host, mut charlie) = write_to(fates, 0).await;
    let texts = numbered(150);
    for text in &texts {
        charlie.send("made", text).await;
    }
    while charlie.expect("stored message", stored).await < 150 {}
    assert_eq!(host.stored(), texts);
    assert_eq!(charlie.channel("made").await.queued, 0);
}

/// Types lines, each when the one before is on disk here.
async fn type_lines(person: &Person, count: usize) {
    for number in 1..=count {
        person.send("first", &format!("{} {number}", person.name())).await;
    }
}

#[actix::test]
async fn restarts_of_the_host_while_two_type_lose_and_repeat_nothing() {
    const EACH: usize = 150;
    let (world, mut host, charlie) = scene().await;
    let ada = world.guest("ada").await;
    ada.join("first").await;
    let typing = join(type_lines(&charlie, EACH), type_lines(&ada, EACH));
    let restarting = async {
        for number in 1..=4 {
            host.reads("first", number * 20).await;
            host.restart().await;
        }
    };
    Box::pin(join(typing, restarting)).await;
    let last = 2 * EACH as u64;
    for person in [&charlie, &ada] {
        person.reads("first", last).await;
    }
    let texts = charlie.texts("first");
    assert_eq!(texts, ada.texts("first"), "one order");
    for person in [&charlie, &ada] {
        let seqs: Vec<_> = person.messages("first").iter().map(|message| message.seq).collect();
        assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
        let mine = texts.iter().filter_map(|text| text.strip_prefix(person.name()));
        assert!(mine.map(str::trim).eq(numbered(EACH)), "each line once, in the order of typing");
    }
}

#[actix::test]
async fn what_is_queued_never_goes_to_another_channel_that_took_the_name() {
    let (world, mut ken, mut charlie) = scene().await;
    charlie.leave("first").await;
    charlie.send("first", "for ken").await;
    ken.done(Command::Unhost { channel: named("first"), release: true }).await;
    ken.stop().await;
    let mallory = world.guest("mallory").await;
    let taken = mallory.host("first").await;
    assert_eq!(charlie.join("first").await.id, taken.id);
    charlie.send("first", "for mallory").await;
    assert_eq!(charlie.expect("stored message", stored).await, 1);
    charlie.barrier("first").await;
    mallory.reads("first", 1).await;
    assert_eq!(mallory.texts("first"), ["for mallory"]);
    let queued: Vec<_> =
        charlie.status().await.channels.iter().map(|row| (row.id == taken.id, row.queued)).collect();
    assert_eq!(queued, [(false, 1), (true, 0)]);
}

#[actix::test]
async fn what_is_queued_goes_out_only_as_who_wrote_it() {
    let (_world, mut host, mut charlie) = scene().await;
    host.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    charlie.send("first", "as a guest").await;
    charlie.signup("correct horse").await;
    charlie.send("first", "as an account").await;
    host.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    charlie.barrier("first").await;
    assert_eq!(charlie.channel("first").await.queued, 2);
    charlie.done(Command::Signout).await;
    charlie.done(Command::Guest { name: Some("charles".parse().unwrap()) }).await;
    assert_eq!(charlie.expect("stored message", stored).await, 1);
    charlie.signin("charlie", "correct horse").await.unwrap();
    assert_eq!(charlie.expect("stored message", stored).await, 2);
    host.reads("first", 2).await;
    let wrote: Vec<_> = host
        .messages("first")
        .into_iter()
        .map(|message| (message.text.unwrap(), message.author_kind))
        .collect();
    assert_eq!(wrote[0], ("as a guest".to_owned(), IdentityKind::Guest));
    assert_eq!(wrote[1], ("as an account".to_owned(), IdentityKind::Account));
}

#[actix::test]
async fn who_writes_may_change_in_the_middle() {
    const EACH: usize = 40;
    let (_world, host, mut charlie) = scene().await;
    let texts = numbered(2 * EACH);
    for text in &texts[..EACH] {
        charlie.send("first", text).await;
    }
    charlie.signup("correct horse").await;
    for text in &texts[EACH..] {
        charlie.send("first", text).await;
    }
    while charlie.expect("stored message", stored).await < 2 * EACH as u64 {}
    host.reads("first", 2 * EACH as u64).await;
    assert_eq!(host.texts("first"), texts);
    let kinds: Vec<_> = host.messages("first").iter().map(|message| message.author_kind).collect();
    assert_eq!(kinds, [[IdentityKind::Guest; EACH], [IdentityKind::Account; EACH]].concat());
    assert_eq!(charlie.channel("first").await.queued, 0);
}

#[actix::test]
async fn whoever_writes_faster_than_the_host_takes_it_loses_nothing() {
    let world = World::new().await;
    let mut config = world.config("ken");
    config.limits.admission.counts_loopback = true;
    config.limits.messages = Rate::new(4, 240);
    config.limits.catch_up = Rate::new(1, 1);
    let host = world.person(config).await;
    host.entered().await;
    host.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let texts = numbered(12);
    for text in &texts {
        charlie.send("first", text).await;
    }
    // The owner's own client is in the same process, and writes meanwhile.
    host.send("first", "hello").await;
    for _ in &texts {
        charlie.expect("stored message", stored).await;
    }
    host.reads("first", 13).await;
    let (own, others): (Vec<_>, Vec<_>) = host.texts("first").into_iter().partition(|text| text == "hello");
    assert_eq!((own.len(), others), (1, texts));
}
