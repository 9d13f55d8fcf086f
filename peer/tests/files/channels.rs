//! What is offered in a channel, to all who are in it.

use std::fs;

use common::id::FileId;
use common::proto::limits::MAX_FILES_SERVED_EACH;
use common::proto::status::Code;
use peer::api::{Command, FileChange, FileCommand, FileState, FileTo, Reply};

use crate::scene::{bytes, change, expect, files};
use crate::support::{Person, Raw, World, until};

/// One hosts a channel, two more are in it.
async fn scene() -> (World, Person, Person, Person) {
    let world = World::new().await;
    let (ken, charlie, ada) =
        (world.guest("ken").await, world.guest("charlie").await, world.guest("ada").await);
    ken.host("first").await;
    charlie.join("first").await;
    ada.join("first").await;
    (world, ken, charlie, ada)
}

async fn offer(person: &Person, to: FileTo, name: &str, content: &[u8]) -> FileId {
    let path = person.config.data.join(name);
    fs::write(&path, content).unwrap();
    let send = FileCommand::Send { to, paths: vec![path] };
    let Reply::Files(list) = person.done(Command::Files(send)).await else { unreachable!() };
    list.files[0].id
}

fn first() -> FileTo {
    FileTo::Channel("first".parse().unwrap())
}

#[actix::test]
async fn a_file_is_offered_to_all_in_a_channel_and_fetched_by_each_who_accepts() {
    let (_world, mut ken, charlie, mut ada) = scene().await;
    let sent = bytes(700_000);
    // Not from the host: straight from whoever offers it.
    let id = offer(&charlie, FileTo::Named("first".to_owned()), "notes.txt", &sent).await;
    for person in [&mut ken, &mut ada] {
        let row = expect(person, id, FileState::Offered).await;
        assert_eq!((row.user.as_deref(), row.channel.unwrap().as_str()), (Some("charlie"), "first"));
        assert!(!person.config.downloads.exists(), "nothing is written before it is accepted");
        change(person, id, FileChange::Accept).await;
        let row = expect(person, id, FileState::Done).await;
        assert_eq!(fs::read(row.path.unwrap()).unwrap(), sent);
    }
    assert_eq!(files(&charlie).await[0].state, FileState::Offered, "others may come");
    let message = ada.messages("first").pop().unwrap();
    assert_eq!((message.kind.as_str(), message.file.unwrap().name.as_str()), ("file", "notes.txt"));
}

#[actix::test]
async fn who_is_not_in_the_channel_finds_no_such_file() {
    let (world, _ken, charlie, mut ada) = scene().await;
    let id = offer(&charlie, first(), "secret", b"for those in here").await;
    expect(&mut ada, id, FileState::Offered).await;
    let eve = Raw::guest(&world, "eve").await;
    let refused = eve.refused_file(&eve.pass, &charlie, id).await;
    assert_eq!(refused.code, Code::NoSuchFile);
    assert_eq!(refused, eve.refused_file(&eve.pass, &charlie, FileId::new()).await);
    // Who has left is not in it any more.
    ada.leave("first").await;
    change(&ada, id, FileChange::Accept).await;
    assert_eq!(expect(&mut ada, id, FileState::Failed).await.code, Some(Code::NoSuchFile));
    ada.join("first").await;
    change(&ada, id, FileChange::Resume).await;
    expect(&mut ada, id, FileState::Done).await;
}

#[actix::test]
async fn nobody_takes_the_places_of_all_who_fetch() {
    let (world, _ken, charlie, mut ada) = scene().await;
    let id = offer(&charlie, first(), "wanted", b"by many").await;
    expect(&mut ada, id, FileState::Offered).await;
    let eve = Raw::guest(&world, "eve").await;
    let _seat = eve.enter(&eve.locate("first").await, None).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..MAX_FILES_SERVED_EACH {
        held.push(eve.fetch(&eve.pass, &charlie, id).await.unwrap());
    }
    let refused = eve.refused_file(&eve.pass, &charlie, id).await;
    assert_eq!(refused.code, Code::TooManyRequests);
    assert!(refused.retry_after_ms.is_some());
    change(&ada, id, FileChange::Accept).await;
    expect(&mut ada, id, FileState::Done).await;
    // Whoever hangs up may come again.
    held.clear();
    until("there is a place again", async || eve.fetch(&eve.pass, &charlie, id).await.is_ok()).await;
}

#[actix::test]
async fn what_is_taken_back_in_a_channel_can_not_be_fetched() {
    let (_world, _ken, charlie, mut ada) = scene().await;
    let id = offer(&charlie, first(), "oops", b"oops").await;
    expect(&mut ada, id, FileState::Offered).await;
    change(&charlie, id, FileChange::Cancel).await;
    change(&ada, id, FileChange::Accept).await;
    assert_eq!(expect(&mut ada, id, FileState::Failed).await.code, Some(Code::NoSuchFile));
}

#[actix::test]
async fn an_offer_that_is_erased_is_no_offer_any_more_for_anybody() {
    let (_world, mut ken, mut charlie, mut ada) = scene().await;
    let id = offer(&charlie, first(), "oops", b"oops").await;
    expect(&mut ken, id, FileState::Offered).await;
    expect(&mut ada, id, FileState::Offered).await;
    ada.stop().await;
    charlie.reads("first", 1).await;
    ken.done(Command::Erase { channel: "first".parse().unwrap(), seq: 1, why: None }).await;
    for person in [&mut ken, &mut charlie] {
        expect(person, id, FileState::Cancelled).await;
    }
    ada.start().await;
    expect(&mut ada, id, FileState::Cancelled).await;
    let message = ada.history("first").await.remove(0);
    assert_eq!((message.file, message.erased.unwrap().by.as_deref()), (None, Some("ken")));
}

#[actix::test]
async fn nothing_is_offered_where_one_is_not() {
    let (_world, ken, _charlie, _ada) = scene().await;
    let path = ken.config.data.join("x");
    fs::write(&path, "x").unwrap();
    for (to, code) in [
        (FileTo::Channel("nowhere".parse().unwrap()), Code::NotJoined),
        (FileTo::Named("nowhere".to_owned()), Code::NotContact),
    ] {
        let send = FileCommand::Send { to, paths: vec![path.clone()] };
        assert_eq!(ken.refused(Command::Files(send)).await, code);
    }
}
