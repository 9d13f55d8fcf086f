//! Very much is written at once, with many members: nobody is disconnected, and nobody is told that somebody was.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use futures_util::future::join_all;
use peer::api::{Event, LinkState};
use support::{Raw, World, text_message};

const MEMBERS: usize = 12;
const WRITTEN: usize = 10_000;

#[actix::test]
async fn a_burst_to_many_members_disconnects_nobody() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    ken.host("first").await;
    charlie.join("first").await;
    for person in [&mut ken, &mut charlie] {
        person.expect_connection("first", LinkState::Up).await;
    }
    let mut readers = Vec::new();
    for number in 0..=MEMBERS {
        let raw = Raw::guest(&world, &format!("member-{number}")).await;
        let record = raw.locate("first").await;
        let seat = raw.enter(&record, None).await.unwrap();
        seat.link.keep_alive();
        readers.push((seat.read(), raw));
    }
    let writing = async |link: &common::link::Link| {
        for begin in (0..WRITTEN).step_by(MAX_UNANSWERED_MESSAGES) {
            let end = WRITTEN.min(begin + MAX_UNANSWERED_MESSAGES);
            let sent = (begin..end).map(|number| link.send(&text_message(&number.to_string())).unwrap());
            for stored in join_all(sent.collect::<Vec<_>>()).await {
                stored.unwrap();
            }
        }
    };
    let link = readers[MEMBERS].0.link.clone();
    let reading = join_all(readers.iter_mut().map(async |(reader, _)| {
        for seq in 1..=WRITTEN as u64 {
            let entry = reader.next().await.unwrap_or_else(|reason| panic!("before {seq}: {reason}"));
            assert_eq!(entry.open().unwrap().seq, seq);
        }
    }));
    futures_util::future::join(writing(&link), reading).await;
    for person in [&ken, &charlie] {
        person.reads("first", WRITTEN as u64).await;
        for event in person.events() {
            let is_lost = matches!(&event, Event::Connection { state, .. } if *state != LinkState::Up);
            assert!(!is_lost && !matches!(event, Event::Left { .. }), "{event:?}");
        }
    }
}
