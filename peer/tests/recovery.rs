//! A host that went back in time gets back from its members what it has lost, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use common::entry::{Hash, Position, RawEntry};
use common::link::{Inbound, RequestError};
use common::proto::channel::{Connect, RetInfo};
use common::proto::event::HostEvent;
use common::proto::recovery::{Fetched, MemberRequest, Proven};
use common::proto::status::Code;
use peer::Config;
use peer::api::{Command, Event, LinkState, OutboxItem, OutgoingState, Recovered, Reply, Verified};
use peer::client::CatchUp;
use support::{Person, Raw, World, named, put_back, stored, text_message, until, within};

fn recover() -> Command {
    Command::Recover { channel: named("first"), fork: false }
}

async fn recovered(person: &Person) -> Recovered {
    let Reply::Recovered(recovered) = person.done(recover()).await else { unreachable!() };
    *recovered
}

async fn warned_behind(person: &mut Person) -> String {
    let of_the_log = |event: &Event| match event {
        Event::Warning { code: Code::LogBehind, reason, .. } => Some(reason.clone()),
        _ => None,
    };
    person.expect("a warning of the log", of_the_log).await
}

/// Sends so many, and waits until all are stored.
async fn say(person: &mut Person, texts: std::ops::RangeInclusive<u64>) {
    for number in texts {
        person.send("first", &number.to_string()).await;
        assert_eq!(person.expect("stored", stored).await, number);
    }
}

/// Ken hosts a channel.
async fn scene() -> (World, Person) {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    (world, ken)
}

/// A copy of somebody's data as it is now.
async fn copied(world: &World, person: &mut Person) -> PathBuf {
    let copy = world.folder().join("older");
    person.stop().await;
    put_back(&person.config.data, &copy);
    person.start().await;
    copy
}

/// Somebody is as they were when the copy was made.
async fn goes_back(person: &mut Person, copy: &Path) {
    person.stop().await;
    put_back(copy, &person.config.data);
    person.start().await;
}

fn numbers(upto: u64) -> Vec<String> {
    (1..=upto).map(|number| number.to_string()).collect()
}

async fn texts(person: &Person) -> Vec<String> {
    person.history("first").await.into_iter().filter_map(|message| message.text).collect()
}

#[actix::test]
async fn what_an_older_copy_lacks_comes_back_from_two_members_who_each_have_half() {
    let (world, mut ken) = scene().await;
    let older = copied(&world, &mut ken).await;
    let mut early = world.guest("early").await;
    early.join_soon("first").await;
    say(&mut early, 1..=20).await;
    early.reads("first", 20).await;
    early.stop().await;
    // Takes the newest few, and none of those before.
    let catch_up = CatchUp { tail: 2, ..CatchUp::default() };
    let mut late = world.person(Config { catch_up, ..world.config("late") }).await;
    late.entered().await;
    late.join("first").await;
    say(&mut late, 21..=40).await;
    late.reads("first", 40).await;
    ken.stop().await;
    put_back(&older, &ken.config.data);

    ken.start().await;
    late.expect_connection("first", LinkState::Up).await;
    let told = warned_behind(&mut ken).await;
    assert!(told.contains("type: recover first"), "{told}");
    assert!(warned_behind(&mut late).await.contains("stay connected"));
    late.send("first", "41").await;
    assert_eq!(ken.history("first").await.len(), 0);
    assert!(ken.channel("first").await.behind.unwrap().contains("entry 40"));
    assert!(late.channel("first").await.behind.is_some());
    // One half alone does not fit.
    let first = recovered(&ken).await;
    assert!(!first.whole && first.entries == 0 && first.missing.is_some(), "{first:?}");
    early.start().await;
    early.expect_connection("first", LinkState::Up).await;
    let second = recovered(&ken).await;
    assert!(second.whole, "{second:?}");
    assert_eq!((second.entries, second.from), (40, vec!["early".to_owned(), "late".to_owned()]));
    // The talk goes on, by itself.
    assert_eq!(late.expect("stored", stored).await, 41);
    ken.join_soon("first").await;
    assert_eq!(texts(&ken).await, numbers(41));
    assert_eq!(ken.channel("first").await.behind, None);
    assert_eq!(ken.refused(recover()).await, Code::NotBehind);
    early.reads("first", 41).await;
    let Reply::Verified(verified) = early.done(Command::Verify { channel: named("first") }).await else {
        unreachable!()
    };
    assert!(verified.sound, "{verified:?}");
}

#[actix::test]
async fn a_loss_is_remembered_and_only_the_owner_may_recover() {
    let (world, mut ken) = scene().await;
    let older = copied(&world, &mut ken).await;
    let mut charlie = world.guest("charlie").await;
    charlie.join_soon("first").await;
    say(&mut charlie, 1..=3).await;
    charlie.reads("first", 3).await;
    goes_back(&mut ken, &older).await;
    warned_behind(&mut ken).await;
    assert_eq!(charlie.refused(recover()).await, Code::NotHosted);
    charlie.stop().await;
    // With nobody there who could say so again.
    ken.restart().await;
    warned_behind(&mut ken).await;
    assert!(!recovered(&ken).await.whole);
    charlie.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    assert!(recovered(&ken).await.whole);
    charlie.expect_connection("first", LinkState::Up).await;
    say(&mut charlie, 4..=5).await;
}

#[actix::test]
async fn nobody_stops_a_host_by_saying_that_it_lacks_something() {
    let (world, mut ken) = scene().await;
    let liar = Raw::guest(&world, "liar").await;
    let record = liar.locate("first").await;
    let far = Position { seq: 900, hash: Hash::of(b"far"), ..record.head };
    let refused = liar.enter(&record, Some(far)).await.err().unwrap();
    assert_eq!(refused.into_refusal().code, Code::LogBehind);
    // Nor with what another host has signed.
    let mut other = world.guest("other").await;
    other.host("second").await;
    say_in(&mut other, "second").await;
    let seat = liar.enter(&liar.locate("second").await, None).await.unwrap();
    let (link, mut inbox) = liar.reach(&record).await;
    let connect = Connect {
        channel: record.id,
        pass: liar.pass.clone(),
        have: Some(far),
        tail: 0,
        invisible: false,
        proof: Some(seat.connected.checkpoint.clone()),
        moved: None,
    };
    let refused: RequestError = within(inbox.ask(&link, &connect)).await.err().unwrap();
    assert_eq!(refused.into_refusal().code, Code::LogBehind);
    assert_eq!(ken.channel("first").await.behind, None);
    say(&mut ken, 1..=1).await;
}

async fn say_in(person: &mut Person, channel: &str) {
    person.send(channel, "hi").await;
    person.expect("stored", stored).await;
}

#[actix::test]
async fn what_a_liar_gives_is_not_taken_and_a_repeat_is_answered_as_the_first_time() {
    let (world, mut ken) = scene().await;
    let older = copied(&world, &mut ken).await;
    ken.entered().await;
    let liar = Raw::guest(&world, "liar").await;
    let record = liar.locate("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join_soon("first").await;
    let mut reader = liar.enter(&record, None).await.unwrap().read();
    let sent = text_message("1");
    let first = within(reader.link.request(&sent)).await.unwrap();
    let mut entries: Vec<RawEntry> = vec![reader.next().await.unwrap()];
    say(&mut charlie, 2..=6).await;
    for _ in 2..=6 {
        entries.push(reader.next().await.unwrap());
    }
    reader.link.close();
    charlie.reads("first", 6).await;
    ken.stop().await;
    charlie.stop().await;
    put_back(&older, &ken.config.data);
    ken.start().await;
    ken.entered().await;
    // Another's words under a message, and its hash with it.
    charlie.start().await;
    charlie.expect_connection("first", LinkState::Up).await;
    warned_behind(&mut ken).await;
    let forged = entries[2].header.get().replace("charlie", "liar");
    entries[2].header = serde_json::value::RawValue::from_string(forged).unwrap();
    let far = Position { seq: 6, hash: Hash::of(b"liar"), ..record.head };
    let seat = liar.enter(&liar.locate("first").await, Some(far)).await.unwrap();
    assert!(seat.connected.behind);
    let (link, mut inbox) = (seat.link, seat.inbox);
    let giving = link.clone();
    actix::spawn(async move {
        while let Ok(inbound) = inbox.next().await {
            let Inbound::Request(request) = inbound else { continue };
            let _ = match MemberRequest::parse(&request.command, &request.body).unwrap() {
                MemberRequest::Fetch(asked) => {
                    let entries = entries.iter().skip(asked.after as usize).cloned().collect();
                    giving.answer(request.id, &Ok(Fetched { entries }))
                }
                MemberRequest::Proofs(_) => giving.answer(request.id, &Ok(Proven::default())),
                MemberRequest::Ping(_) => Ok(()),
            };
        }
    });
    assert!(within(link.request(&RetInfo {})).await.unwrap().behind);
    let done = recovered(&ken).await;
    assert_eq!(
        (done.whole, done.entries, done.from),
        (true, 6, vec!["charlie".to_owned()]),
        "{:?}",
        done.rejected
    );
    charlie.expect_connection("first", LinkState::Up).await;
    ken.join_soon("first").await;
    assert_eq!(texts(&ken).await, numbers(6));
    let again = liar.enter(&record, None).await.unwrap().read();
    assert_eq!(within(again.link.request(&sent)).await.unwrap(), first);
}

#[actix::test]
async fn what_was_said_is_signed_as_soon_as_the_talk_pauses() {
    let (world, mut ken) = scene().await;
    let eve = Raw::guest(&world, "eve").await;
    let mut seat = eve.enter(&eve.locate("first").await, None).await.unwrap();
    say(&mut ken, 1..=3).await;
    let signed = loop {
        if let Inbound::Event(event) = within(seat.inbox.next()).await.unwrap()
            && let Ok(HostEvent::SignedHead(signed)) = HostEvent::parse(&event.name, &event.body)
        {
            break signed.checkpoint.verify(&ken.whoami().await.key).unwrap();
        }
    };
    assert_eq!(signed.position.seq, 3);
}

#[actix::test]
async fn who_says_to_have_more_and_cannot_prove_it_stops_nobody_and_the_owner_hears_of_it() {
    let (world, mut ken) = scene().await;
    say(&mut ken, 1..=2).await;
    let eve = Raw::guest(&world, "eve").await;
    let record = eve.locate("first").await;
    let have = Position { seq: 9, hash: Hash::of(b"made up"), ..record.head };
    let refused = eve.enter(&record, Some(have)).await.map(drop).unwrap_err();
    assert_eq!(refused.into_refusal().code, Code::LogBehind);
    assert!(warned_behind(&mut ken).await.contains("eve says to have 7 entries"));
    say(&mut ken, 3..=3).await;
}

async fn fork(person: &Person) -> Recovered {
    let fork = Command::Recover { channel: named("first"), fork: true };
    let Reply::Recovered(recovered) = person.done(fork).await else { unreachable!() };
    *recovered
}

async fn verified(person: &Person) -> Verified {
    let Reply::Verified(verified) = person.done(Command::Verify { channel: named("first") }).await else {
        unreachable!()
    };
    verified
}

/// Waits until so many messages of somebody's own were refused since they are not in the log any more.
async fn asked_for(person: &mut Person, count: usize) -> Vec<OutboxItem> {
    for _ in 0..count {
        let asked = |event: &Event| match event {
            Event::Outgoing {
                state: OutgoingState::Refused, code: Some(Code::NotInFork), reason, ..
            } => reason.clone(),
            _ => None,
        };
        let reason = person.expect("a question", asked).await;
        assert!(reason.contains("Send it again? outbox retry"), "{reason}");
    }
    let waiting = person.outbox().await;
    assert_eq!(waiting.len(), count, "{waiting:?}");
    waiting
}

#[actix::test]
async fn who_wrote_what_is_not_in_the_fork_is_asked_and_nothing_is_sent_again_by_itself() {
    let (world, mut ken) = scene().await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    say(&mut charlie, 1..=3).await;
    let older = copied(&world, &mut ken).await;
    charlie.expect_connection("first", LinkState::Up).await;
    say(&mut charlie, 4..=5).await;
    let mut dora = world.guest("dora").await;
    dora.join_soon("first").await;
    say(&mut dora, 6..=7).await;
    for member in [&charlie, &dora] {
        member.reads("first", 7).await;
    }
    ken.stop().await;
    dora.stop().await;
    put_back(&older, &ken.config.data);
    ken.start().await;
    warned_behind(&mut ken).await;
    assert_eq!(
        charlie.refused(Command::Recover { channel: named("first"), fork: true }).await,
        Code::NotHosted
    );
    let forked = fork(&ken).await;
    assert_eq!((forked.whole, forked.head.seq, forked.forked.map(|parent| parent.seq)), (true, 3, Some(3)));
    let asked = asked_for(&mut charlie, 2).await;
    assert_eq!(asked.iter().map(|item| item.text.as_str()).collect::<Vec<_>>(), ["4", "5"]);
    // A restart asks no second time, and sends nothing.
    charlie.restart().await;
    charlie.expect_connection("first", LinkState::Up).await;
    assert_eq!(charlie.outbox().await.len(), 2);
    ken.join_soon("first").await;
    assert_eq!(texts(&ken).await, numbers(3));
    // One is sent again, under its id, and the numbers go on.
    charlie.retry(&asked[0].id.to_string()).await;
    assert_eq!(charlie.expect("stored", stored).await, 4);
    charlie.change(asked[1].id, None).await;
    assert_eq!(charlie.outbox().await.len(), 0);
    // Whoever was away is asked when they come.
    dora.start().await;
    asked_for(&mut dora, 2).await;
    for item in dora.outbox().await {
        dora.change(item.id, None).await;
    }
    dora.send("first", "5").await;
    assert_eq!(dora.expect("stored", stored).await, 5);
    until("it has come, in the new log", async || charlie.channel("first").await.seq == 5).await;
    // Both logs are kept, and both are as the host has signed them.
    let verified = verified(&charlie).await;
    assert!(verified.sound && verified.logs.len() == 2, "{verified:?}");
    let (old, new) = (&verified.logs[0], &verified.logs[1]);
    assert!(!old.newest && new.newest && (old.last, new.last) == (7, 5), "{verified:?}");
    assert_eq!(texts(&charlie).await, numbers(5));
    let fresh = world.guest("fresh").await;
    fresh.join("first").await;
    assert_eq!(texts(&fresh).await, numbers(5));
}

#[actix::test]
async fn a_host_that_went_on_from_an_older_copy_can_only_go_on_in_a_new_log() {
    let (world, mut ken) = scene().await;
    let older = copied(&world, &mut ken).await;
    let mut charlie = world.guest("charlie").await;
    charlie.join_soon("first").await;
    say(&mut charlie, 1..=4).await;
    charlie.reads("first", 4).await;
    ken.stop().await;
    charlie.stop().await;
    put_back(&older, &ken.config.data);
    ken.start().await;
    // Nobody is there who knows better.
    let mut dora = world.guest("dora").await;
    dora.join_soon("first").await;
    dora.send("first", "other").await;
    assert_eq!(dora.expect("stored", stored).await, 1);
    charlie.start().await;
    warned_behind(&mut ken).await;
    let refused = recovered(&ken).await;
    assert!(!refused.whole, "{refused:?}");
    fork(&ken).await;
    dora.expect_connection("first", LinkState::Up).await;
    let asked = asked_for(&mut charlie, 4).await;
    charlie.retry(&asked[0].id.to_string()).await;
    assert_eq!(charlie.expect("stored", stored).await, 2);
    dora.reads("first", 2).await;
    assert!(dora.outbox().await.is_empty());
    assert_eq!(texts(&dora).await, ["other", "1"]);
}
