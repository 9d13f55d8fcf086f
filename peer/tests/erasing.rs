//! What is erased is gone at the host and at everybody who had it, whoever was away, and the chain holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::proto::status::Code;
use common::storage::{Direction, KeyRange, Store, Table};
use peer::SCHEMA;
use peer::api::{ChatMessage, Command, Erased, ErasedEntry, ModerationCommand, Reply, Verified};
use support::{Person, World, named};

const WHY: &str = "said in the wrong room";

fn erase(seq: u64) -> Command {
    Command::Erase { channel: named("first"), seq, why: Some(WHY.to_owned()) }
}

async fn erased(person: &Person, seq: u64) -> ErasedEntry {
    let Reply::Erased(done) = person.done(erase(seq)).await else { unreachable!() };
    done
}

/// Ken hosts; he, charlie and ada each have written something, in this order.
async fn scene() -> (World, Person, Person, Person) {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    let (charlie, ada) = (world.guest("charlie").await, world.guest("ada").await);
    for (number, person) in [&ken, &charlie, &ada].into_iter().enumerate() {
        if person.name() != "ken" {
            person.join("first").await;
        }
        person.send("first", &format!("{} says the secret", person.name())).await;
        person.reads("first", number as u64 + 1).await;
    }
    charlie.reads("first", 3).await;
    ada.reads("first", 3).await;
    (world, ken, charlie, ada)
}

fn texts(messages: &[ChatMessage]) -> Vec<Option<&str>> {
    messages.iter().map(|message| message.text.as_deref()).collect()
}

fn check(messages: &[ChatMessage], by: &ErasedEntry) {
    let ken = "ken says the secret";
    assert_eq!(texts(messages)[..3], [Some(ken), None, Some("ada says the secret")]);
    let told = Erased {
        seq: Some(by.by),
        by: Some("charlie".to_owned()),
        at: Some(by.at),
        why: Some(WHY.to_owned()),
    };
    assert_eq!(messages[1].erased.as_deref(), Some(&told));
    let erases = messages.iter().find_map(|message| message.erases.clone()).unwrap();
    assert_eq!((erases.seq, erases.why.as_deref()), (2, Some(WHY)));
}

/// What is in the rows of a table, as text.
async fn rows(person: &Person, table: Table) -> String {
    let store = Store::open(&person.config.data, SCHEMA).unwrap();
    let rows = store.reader().scan(table, KeyRange::ALL, usize::MAX, Direction::Forward).unwrap();
    store.close().await;
    rows.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

async fn verify(person: &Person) -> Verified {
    let Reply::Verified(verified) = person.done(Command::Verify { channel: named("first") }).await else {
        unreachable!()
    };
    verified
}

#[actix::test]
async fn what_is_erased_is_gone_at_all_who_are_there_who_were_away_and_who_come_later() {
    let (world, mut ken, mut charlie, mut ada) = scene().await;
    ada.stop().await;
    let done = erased(&charlie, 2).await;
    assert_eq!((done.seq, done.by), (2, 4));
    assert_eq!(erased(&ken, 2).await.by, 4, "twice is as once, whoever asks");
    charlie.reads("first", 4).await;
    ken.reads("first", 4).await;
    ada.start().await;
    ada.reads("first", 4).await;
    let bob = world.guest("bob").await;
    bob.join("first").await;
    bob.reads("first", 4).await;
    for person in [&ken, &charlie, &ada, &bob] {
        check(&person.history("first").await, &done);
        assert!(verify(person).await.sound, "{}: the chain holds", person.name());
    }
    let told = ada.messages("first");
    assert_eq!(told.last().unwrap().erases.as_ref().unwrap().seq, 2);

    // Whoever has nobody to ask says the same.
    ken.stop().await;
    charlie.restart().await;
    check(&charlie.history("first").await, &done);
    charlie.stop().await;
    ada.stop().await;
    const LOG: Table = Table::new("log");
    const ARCHIVE: Table = Table::new("archive");
    for (person, table) in [(&ken, LOG), (&charlie, ARCHIVE), (&ada, ARCHIVE)] {
        let rows = rows(person, table).await;
        assert!(rows.contains("ken says the secret"), "the others are there");
        assert!(!rows.contains("charlie says the secret"), "{} has it still", person.name());
    }
}

#[actix::test]
async fn one_erases_what_is_ones_own_and_the_owner_what_is_anybodys() {
    let (_world, ken, charlie, ada) = scene().await;
    assert_eq!(charlie.refused(erase(1)).await, Code::NotAllowed);
    assert_eq!(charlie.refused(erase(3)).await, Code::NotAllowed);
    for (seq, code) in [(0, Code::NoSuchEntry), (4, Code::NoSuchEntry), (u64::MAX, Code::NoSuchEntry)] {
        assert_eq!(ken.refused(erase(seq)).await, code, "{seq}");
    }
    assert_eq!(erased(&ken, 3).await.by, 4);
    assert_eq!(erased(&charlie, 2).await.by, 5);
    assert_eq!(ken.refused(erase(4)).await, Code::BadRequest, "what erases stays");
    assert_eq!(charlie.refused(erase(5)).await, Code::BadRequest);
    let long = Command::Erase { channel: named("first"), seq: 1, why: Some("x".repeat(513)) };
    assert_eq!(ken.refused(long).await, Code::BadRequest);
    assert_eq!(texts(&ada.history("first").await).iter().flatten().count(), 1);
}

#[actix::test]
async fn an_export_has_no_erased_body_is_sound_and_says_the_same_where_it_is_imported() {
    let (world, ken, charlie, _ada) = scene().await;
    let done = erased(&charlie, 2).await;
    let file = world.folder().join("first.jsonl");
    ken.done(Command::Export { channel: named("first"), path: file.clone() }).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("ken says the secret") && !text.contains("charlie says the secret"));
    peer::history::verify_export(&file, None).unwrap();
    let import = Command::Import { path: file, channel: Some(named("again")), key: None };
    ken.done(import).await;
    check(&ken.history("again").await, &done);
}

#[actix::test]
async fn pages_that_were_fetched_from_the_host_lose_what_was_erased_meanwhile() {
    let (world, ken, charlie, _ada) = scene().await;
    let done = erased(&charlie, 2).await;
    let mut config = world.config("bob");
    config.catch_up = peer::client::CatchUp { far_behind: 100, tail: 1, ..Default::default() };
    let bob = world.person(config).await;
    bob.join("first").await;
    bob.reads("first", 4).await;
    check(&bob.history("first").await, &done);
    let done = erased(&ken, 1).await;
    bob.reads("first", done.by).await;
    let history = bob.history("first").await;
    assert_eq!(texts(&history)[..2], [None, None]);
    assert_eq!(history[0].erased.as_ref().unwrap().seq, Some(done.by));
}

/// What is older than the owner wants it kept is gone at the host, and at nobody else.
#[actix::test]
async fn the_host_forgets_what_is_too_old_and_members_keep_what_they_have_received() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    let log = world.folder().join("2007-02-15.log");
    std::fs::write(&log, "[20:41] <ben> an old secret\n[20:42] <eve> and another\n").unwrap();
    let channel = Some(named("first"));
    ken.done(Command::Import { path: log, channel, key: None }).await;
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    charlie.reads("first", 2).await;
    charlie.send("first", "a new one").await;
    charlie.reads("first", 3).await;
    let retention =
        |days| Command::Moderate { channel: named("first"), order: ModerationCommand::Retention(days) };
    assert_eq!(charlie.refused(retention(Some(30))).await, Code::NotOwner);
    assert_eq!(ken.refused(retention(Some(0))).await, Code::BadRequest);
    ken.done(retention(Some(30))).await;
    let is_gone = async || texts(&ken.history("first").await) == [None, None, Some("a new one")];
    support::until("the old texts to be forgotten", is_gone).await;
    let kept = charlie.history("first").await;
    assert_eq!(texts(&kept), [Some("an old secret"), Some("and another"), Some("a new one")]);
    let bob = world.guest("bob").await;
    bob.join("first").await;
    bob.reads("first", 3).await;
    let history = bob.history("first").await;
    assert_eq!(texts(&history), [None, None, Some("a new one")]);
    assert_eq!(history[0].erased.as_deref(), Some(&Erased::default()));
    for person in [&ken, &charlie, &bob] {
        assert!(verify(person).await.sound, "{}: the chain holds", person.name());
    }
    let Reply::Info(info) = bob.done(Command::Info { channel: named("first") }).await else { unreachable!() };
    assert_eq!(info.retention_days, Some(30));
    // What was forgotten can still be erased where it is kept.
    assert_eq!(erased(&ken, 1).await.by, 4);
    charlie.reads("first", 4).await;
    assert_eq!(texts(&charlie.history("first").await)[..2], [None, Some("and another")]);
    ken.done(retention(None)).await;
}
