//! Whom a peer's user watches, and what they are told of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::name::UserName;
use common::proto::presence::User;
use common::proto::status::Code;
use peer::api::{Command, Event, LinkState, Reply, UserRow, WatchCommand, WatchedUser};
use support::{Person, World};

const PASSWORD: &str = "correct horse battery";

fn names(names: &[&str]) -> Vec<UserName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn watched(person: &Person, asked: WatchCommand) -> Vec<WatchedUser> {
    let Reply::Watched(list) = person.done(Command::Watch(asked)).await else { unreachable!() };
    list.watched
}

async fn watch(person: &Person, whom: &[&str]) -> Vec<(String, Option<bool>)> {
    let list = watched(person, WatchCommand::Watch { names: names(whom) }).await;
    list.into_iter().map(|user| (user.name.to_string(), user.online)).collect()
}

async fn users(person: &Person) -> Vec<UserRow> {
    let Reply::Users(list) = person.done(Command::Users).await else { unreachable!() };
    list.users
}

async fn expect_presence(person: &mut Person, is_online: bool, name: &str) {
    let is_it = |users: &[User]| users.len() == 1 && users[0].name.as_str() == name;
    let wanted = |event: &Event| match event {
        Event::Online { users } if is_online && is_it(users) => Some(()),
        Event::Offline { users } if !is_online && is_it(users) => Some(()),
        _ => None,
    };
    person.expect(&format!("{name} online: {is_online}"), wanted).await;
}

#[actix::test]
async fn who_is_watched_is_told_of_also_after_a_restart_and_once() {
    let mut world = World::new().await;
    let (mut ken, mut ada) = (world.guest("ken").await, world.guest("ada").await);
    ada.signup(PASSWORD).await;
    let charlie = world.guest("charlie").await;
    assert_eq!(watch(&ken, &["ada"]).await, [("ada".to_owned(), Some(true))]);
    expect_presence(&mut ken, true, "ada").await;
    ada.stop().await;
    expect_presence(&mut ken, false, "ada").await;
    let row = users(&ken).await.into_iter().find(|row| row.name.as_str() == "ada").unwrap();
    assert!(row.watched && !row.online, "{row:?}");
    ken.restart().await;
    ken.entered().await;
    ada.start().await;
    expect_presence(&mut ken, true, "ada").await;
    world.stop_tracker().await;
    ken.expect_connection("tracker", LinkState::Retrying).await;
    assert_eq!(watched(&ken, WatchCommand::List).await[0].online, None, "not known now");
    world.start_tracker().await;
    for person in [&ken, &ada, &charlie] {
        while !users_are_there(person).await {}
    }
    assert_eq!(watch(&ken, &["charlie"]).await.len(), 2);
    expect_presence(&mut ken, true, "charlie").await;
    let left = watched(&ken, WatchCommand::Unwatch { names: names(&["ada", "charlie"]) }).await;
    assert_eq!(left, []);
    assert_eq!(
        ken.refused(Command::Watch(WatchCommand::Unwatch { names: names(&["ada"]) })).await,
        Code::NoSuchUser
    );
    assert_eq!(
        ken.refused(Command::Watch(WatchCommand::Watch { names: names(&["nobody"]) })).await,
        Code::NoSuchUser
    );
    for person in [ken, ada, charlie] {
        person.stop_quietly().await;
    }
    world.stop_tracker().await;
}

/// Whether the tracker has let somebody in again; asks it to.
async fn users_are_there(person: &Person) -> bool {
    person.perform(Command::Users).await.is_ok()
}

#[actix::test]
async fn users_shows_who_is_there_and_no_channels() {
    let mut world = World::new().await;
    let (ken, ada) = (world.guest("ken").await, world.guest("ada").await);
    ken.host("secret").await;
    ada.join("secret").await;
    let rows = users(&ada).await;
    let shown = serde_json::to_string(&rows).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(!shown.contains("secret") && rows.iter().all(|row| row.online && !row.watched), "{shown}");
    ken.stop_quietly().await;
    ada.stop_quietly().await;
    world.stop_tracker().await;
}
