//! Faults of messages on their way.

use common::entry::Position;
use common::link::CloseReason;
use common::proto::session::Ping;
use common::proto::status::Code;
use futures_util::future::join_all;
use peer::api::{Command, Event, LinkState, OutgoingState, Reply};
use peer::client::resume::{Progress, Received};

use crate::support::{Person, Raw, Reader, Relay, World, free_port, named, stored, text_message};

/// Whether the host has somebody of this name in the channel.
async fn has(host: &Person, name: &str) -> bool {
    let Reply::Debug(report) = host.done(Command::Debug { channel: Some(named("first")) }).await else {
        unreachable!()
    };
    report.connections.iter().any(|connection| connection.name == name)
}

/// Reads until the connection ends; each entry has to continue the one before.
async fn read_to_the_end(reader: &mut Reader, progress: &mut Progress) -> CloseReason {
    loop {
        match reader.next().await {
            Ok(entry) => assert!(matches!(progress.receive(&entry), Received::Next(_)), "gap or repeat"),
            Err(reason) => return reason,
        }
    }
}

/// Reads as far as this entry.
async fn read_as_far_as(reader: &mut Reader, progress: &mut Progress, seq: u64) {
    while progress.position().is_none_or(|at| at.seq < seq) {
        let entry = reader.next().await.unwrap();
        assert!(matches!(progress.receive(&entry), Received::Next(_)), "gap or repeat");
    }
}

/// Writes long messages until the host has cut the slow one off; the other one has to get them meanwhile. Says how
/// many there were.
async fn talk_until_cut_off(
    talker: &mut Person,
    other: &Person,
    host: &Person,
    slow: &common::link::Link,
) -> u64 {
    const AT_ONCE: u64 = 32;
    let long = "x".repeat(16 * 1024);
    let mut seq = 0;
    while has(host, "slow").await {
        assert!(seq < 4000, "whoever does not read is not cut off");
        // It lives, it only does not read.
        let _ = slow.send(&Ping {});
        for _ in 0..AT_ONCE {
            talker.send("first", &long).await;
        }
        seq += AT_ONCE;
        while talker.expect("stored message", stored).await < seq {}
        other.reads("first", seq).await;
    }
    seq
}

#[actix::test]
async fn a_reader_that_stops_stops_nobody_else_and_resumes() {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let (mut talker, other) = (world.guest("talker").await, world.guest("other").await);
    for person in [&talker, &other] {
        person.join("first").await;
    }
    let slow = Raw::guest(&world, "slow").await;
    let record = slow.locate("first").await;
    let seat = slow.enter(&record, None).await.unwrap();
    let mut progress = Progress::at(seat.connected.after);

    let last = talk_until_cut_off(&mut talker, &other, &host, &seat.link).await;
    assert_eq!(other.messages("first").len() as u64, last);
    let mut reader = seat.read();
    let reason = read_to_the_end(&mut reader, &mut progress).await;
    assert!(matches!(&reason, CloseReason::Told(refusal) if refusal.code == Code::SlowReader), "{reason}");
    let have: Option<Position> = progress.position();
    assert!(have.unwrap().seq < last);

    let seat = slow.enter(&record, have).await.unwrap();
    assert_eq!(Some(seat.connected.after), have);
    talker.send("first", "the last").await;
    read_as_far_as(&mut seat.read(), &mut progress, last + 1).await;
}

#[actix::test]
async fn a_message_whose_answer_is_lost_is_stored_once() {
    let world = World::new().await;
    let mut relay = Relay::new().await;
    let mut config = world.config("ken");
    config.listen.advertise = vec![relay.address()];
    let host = world.person(config).await;
    host.entered().await;
    relay.lead_to(host.host("first").await.listen);

    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    relay.swallow_answers();
    for text in ["one", "two", "three"] {
        charlie.send("first", text).await;
    }
    host.reads("first", 3).await;
    assert_eq!(charlie.channel("first").await.queued, 3, "no answer can have come");
    relay.cut();
    for seq in 1..=3 {
        assert_eq!(charlie.expect("stored message", stored).await, seq);
    }
    charlie.send("first", "four").await;
    charlie.reads("first", 4).await;
    for person in [&host, &charlie] {
        person.reads("first", 4).await;
        assert_eq!(person.texts("first"), ["one", "two", "three", "four"]);
    }
}

#[actix::test]
async fn a_message_that_is_sent_again_gets_the_first_answer() {
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let raw = Raw::guest(&world, "charlie").await;
    let record = raw.locate("first").await;
    let message = text_message("one");

    let seat = raw.enter(&record, None).await.unwrap();
    drop(seat.link.send(&message).unwrap());
    // The answer is never looked at: the connection is gone before.
    seat.link.close();
    drop(seat.inbox);
    host.reads("first", 1).await;

    let mut reader = raw.enter(&record, None).await.unwrap().read();
    let first = reader.post(&message).await.unwrap();
    assert_eq!(first.seq, 1);
    assert_eq!(reader.post(&message).await.unwrap(), first);
    let mut other = text_message("another");
    other.id = message.id;
    assert_eq!(reader.post(&other).await.unwrap_err().code, Code::IdReused);
    other.restart = true;
    other.id = text_message("").id;
    assert_eq!(reader.post(&other).await.unwrap().seq, 2);
    for text in ["one", "another"] {
        assert_eq!(reader.next().await.unwrap().text().as_deref(), Some(text));
    }
}

#[actix::test]
async fn a_lost_connection_comes_back_by_itself() {
    let world = World::new().await;
    let mut relay = Relay::new().await;
    let port = free_port();
    let mut config = world.config("ken");
    (config.listen.port, config.listen.advertise) = (port, vec![relay.address()]);
    let host = world.person(config).await;
    host.entered().await;
    relay.lead_to(host.host("first").await.listen);
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    for seq in 1..=3 {
        relay.cut();
        host.send("first", "meanwhile").await;
        relay.mend();
        charlie.reads("first", seq).await;
        charlie.expect_connection("first", LinkState::Up).await;
    }
    assert_eq!(charlie.texts("first"), ["meanwhile"; 3]);
}

async fn is_listed_online(person: &Person) -> bool {
    let Reply::Channels(list) = person.done(Command::List { pattern: None, after: None }).await else {
        unreachable!()
    };
    list.channels[0].online
}

#[actix::test]
async fn the_exit_of_a_host_is_noticed_and_so_is_its_return() {
    let world = World::new().await;
    let mut host = world.guest("ken").await;
    let place = host.host("first").await.listen;
    let (mut charlie, mut ada) = (world.guest("charlie").await, world.guest("ada").await);
    for person in [&charlie, &ada] {
        person.join("first").await;
        person.send("first", person.name()).await;
    }
    for person in [&host, &charlie, &ada] {
        person.reads("first", 2).await;
    }
    host.stop().await;
    for person in [&mut charlie, &mut ada] {
        person.expect_connection("first", LinkState::Retrying).await;
    }
    assert!(!is_listed_online(&ada).await);
    host.start().await;
    for person in [&mut charlie, &mut ada, &mut host] {
        person.expect_connection("first", LinkState::Up).await;
    }
    assert_eq!(host.host("first").await.listen, place, "the port is kept");
    assert!(is_listed_online(&ada).await);
    charlie.send("first", "again").await;
    for person in [&host, &charlie, &ada] {
        person.reads("first", 3).await;
        assert_eq!(person.messages("first").len(), 3);
    }
    assert_eq!(ada.history("first").await.len(), 3);
}

#[actix::test]
async fn a_sender_does_not_wait_for_each_answer() {
    const COUNT: u64 = 500;
    let world = World::new().await;
    let host = world.guest("ken").await;
    host.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let texts: Vec<String> = (1..=COUNT).map(|number| number.to_string()).collect();
    join_all(texts.iter().map(|text| charlie.send("first", text))).await;
    while charlie.expect("stored message", stored).await < COUNT {}
    // The earlier system had one under way, and waited 21 ms for each.
    let (mut under_way, mut most): (i64, i64) = (0, 0);
    for event in charlie.events() {
        match event {
            Event::Outgoing { state: OutgoingState::Sending, .. } => under_way += 1,
            Event::Outgoing { state: OutgoingState::Stored, .. } => under_way -= 1,
            _ => {}
        }
        most = most.max(under_way);
    }
    assert!(most > 1, "no more than one was under way");
}
