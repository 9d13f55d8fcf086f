//! A user who is invisible: to others away, and there for all that is theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::proto::directory::ChannelRecord;
use common::proto::session::Purpose;
use common::proto::status::{Code, Refusal};
use peer::api::{Command, DirectCommand, Event, LinkState, Reply, Visibility, WatchCommand};
use support::{Person, Raw, World, named, until};

const PASSWORD: &str = "correct horse battery";

async fn set_invisible(person: &Person, on: bool) -> Visibility {
    let Reply::Visibility(state) = person.done(Command::Invisible { on }).await else { unreachable!() };
    assert_eq!(state.invisible, on);
    state
}

async fn members(person: &Person, channel: &str) -> Vec<String> {
    let command = Command::Members { channel: named(channel), granted: false };
    let Reply::Members(list) = person.done(command).await else { unreachable!() };
    assert_eq!(list.total, list.members.len());
    list.members.into_iter().map(|member| member.name).collect()
}

async fn users(person: &Person) -> Vec<String> {
    let Reply::Users(list) = person.done(Command::Users).await else { unreachable!() };
    list.users.into_iter().filter(|row| row.online).map(|row| row.name.to_string()).collect()
}

async fn expect_left(person: &mut Person, channel: &str, name: &str) {
    let wanted = |event: &Event| match event {
        Event::Left { channel: of, members, .. } => {
            (of.as_str() == channel && members.iter().any(|member| member.name == name)).then_some(())
        }
        _ => None,
    };
    person.expect("leaving", wanted).await;
}

async fn counted(person: &Person, channel: &str) -> Option<u64> {
    let command = Command::List { pattern: None, after: None };
    let Reply::Channels(page) = person.done(command).await else { unreachable!() };
    page.channels.into_iter().find(|row| row.name.as_str() == channel).and_then(|row| row.members)
}

#[actix::test]
async fn the_number_of_members_in_the_list_shows_nobody_who_is_invisible() {
    let world = World::new().await;
    let (mut ken, ada, mut zoe) =
        (world.guest("ken").await, world.guest("ada").await, world.guest("zoe").await);
    ada.signup(PASSWORD).await;
    zoe.signup(PASSWORD).await;
    ken.host("first").await;
    ada.join("first").await;
    until("a PING has told of ken and ada", async || counted(&zoe, "first").await == Some(2)).await;
    // Who comes, goes, comes back and leaves for good unseen changes nothing; who is to be seen, and comes after, does.
    set_invisible(&ada, true).await;
    set_invisible(&zoe, true).await;
    zoe.join("first").await;
    ada.leave("first").await;
    let gus = world.guest("gus").await;
    gus.join("first").await;
    let mut seen = Vec::new();
    until("a PING has told of gus", async || {
        seen.push(counted(&gus, "first").await);
        seen.last() != Some(&Some(2))
    })
    .await;
    assert_eq!(seen.last(), Some(&Some(3)));
    // The opposite: who leaves for good and is seen is counted no more, also after a restart; who only goes is.
    gus.leave("first").await;
    zoe.stop().await;
    ken.restart().await;
    ken.entered().await;
    until("it is announced again", async || counted(&ada, "first").await == Some(2)).await;
}

#[actix::test]
async fn who_is_invisible_leaves_all_lists_reads_on_and_is_so_after_a_restart() {
    let mut world = World::new().await;
    let (mut ken, mut ada) = (world.guest("ken").await, world.guest("ada").await);
    ada.signup(PASSWORD).await;
    ken.host("first").await;
    ada.join("first").await;
    ken.done(Command::Watch(WatchCommand::Watch { names: vec!["ada".parse().unwrap()] })).await;
    let is_ada = |one: &common::proto::event::Person| one.name == "ada";
    let is_joined =
        |event: &Event| matches!(event, Event::Joined { members, .. } if members.iter().any(is_ada));
    ken.expect("joining", |event| is_joined(event).then_some(())).await;
    assert_eq!(members(&ken, "first").await, ["ada", "ken"]);
    assert!(set_invisible(&ada, true).await.hosted.is_empty());
    expect_left(&mut ken, "first", "ada").await;
    assert_eq!((members(&ken, "first").await, users(&ken).await), (vec!["ken".into()], vec!["ken".into()]));
    ken.send("first", "are you there?").await;
    ada.reads("first", 1).await;
    assert!(ada.whoami().await.invisible);
    // The tracker is away at the next start: then the peer knows by itself, and the host says nothing either.
    world.stop_tracker().await;
    ada.restart().await;
    ada.expect_connection("first", LinkState::Up).await;
    assert_eq!(members(&ken, "first").await, ["ken"]);
    world.start_tracker().await;
    while ken.perform(Command::Users).await.is_err() || ada.perform(Command::Users).await.is_err() {}
    assert_eq!(users(&ken).await, ["ken"]);
    ada.send("first", "here").await;
    ken.reads("first", 2).await;
    assert_eq!(members(&ken, "first").await, ["ken"]);
    set_invisible(&ada, false).await;
    ken.expect("joining", |event| is_joined(event).then_some(())).await;
    assert_eq!(users(&ken).await, ["ada", "ken"]);
    ken.stop_quietly().await;
    ada.stop_quietly().await;
    world.stop_tracker().await;
}

#[actix::test]
async fn a_host_is_warned_a_guest_refused_and_signing_out_ends_it() {
    let mut world = World::new().await;
    let (ken, gus) = (world.guest("ken").await, world.guest("gus").await);
    assert_eq!(gus.refused(Command::Invisible { on: true }).await, Code::NotRegistered);
    ken.signup(PASSWORD).await;
    ken.host("first").await;
    assert_eq!(
        set_invisible(&ken, true).await.hosted,
        [named("first")],
        "who hosts shows that the machine is up"
    );
    ken.done(Command::Signout).await;
    assert!(!ken.whoami().await.invisible);
    ken.done(Command::Guest { name: Some("kent".parse().unwrap()) }).await;
    assert_eq!(users(&gus).await, ["gus", "kent"]);
    ken.stop_quietly().await;
    gus.stop_quietly().await;
    world.stop_tracker().await;
}

fn direct(command: DirectCommand) -> Command {
    Command::Direct(command)
}

fn msg(user: &str, text: &str) -> Command {
    direct(DirectCommand::Msg { user: user.parse().unwrap(), text: text.to_owned() })
}

#[actix::test]
async fn to_a_contact_who_is_invisible_is_away_until_they_write() {
    let (mut world, mut ken, mut ada) = contacts().await;
    set_invisible(&ada, true).await;
    // A contact is watched without a word, and hears what all do.
    let is_away =
        |event: &Event| matches!(event, Event::Offline { users } if users[0].name.as_str() == "ada");
    ken.expect("going away", |event| is_away(event).then_some(())).await;
    while ada.status().await.listen.is_some() {}
    ken.done(msg("ada", "there?")).await;
    ken.barrier_of_tracker().await;
    assert!(ada.events().iter().all(|event| !matches!(event, Event::ChatMessage(_))));
    // Also after a restart nobody is told, and nothing listens.
    ada.restart().await;
    ada.entered().await;
    ada.barrier_of_tracker().await;
    assert!(ada.status().await.listen.is_none());
    assert_eq!(ada.refused(msg("ken", "here")).await, Code::Invisible, "a warning first");
    ada.done(msg("ken", "here")).await;
    ken.reads_alone("here").await;
    ada.reads_alone("there?").await;
    assert_eq!(users(&ken).await, ["ken"], "to everybody else they are away all the same");
    set_invisible(&ada, false).await;
    let is_there =
        |event: &Event| matches!(event, Event::Online { users } if users[0].name.as_str() == "ada");
    ken.expect("coming", |event| is_there(event).then_some(())).await;
    ken.stop_quietly().await;
    ada.stop_quietly().await;
    world.stop_tracker().await;
}

/// Ken and ada, who has an account and is a contact of ken's.
async fn contacts() -> (World, Person, Person) {
    let world = World::new().await;
    let (mut ken, mut ada) = (world.guest("ken").await, world.guest("ada").await);
    ada.signup(PASSWORD).await;
    ken.done(direct(DirectCommand::Start { user: "ada".parse().unwrap() })).await;
    ada.expect("a request", |event| matches!(event, Event::ChatRequest(_)).then_some(())).await;
    ada.done(direct(DirectCommand::Accept { user: "ken".parse().unwrap(), key: None })).await;
    ken.expect_connection("@ada", LinkState::Up).await;
    ada.expect_connection("@ken", LinkState::Up).await;
    (world, ken, ada)
}

fn warning(event: &Event) -> Option<String> {
    match event {
        Event::Warning { code: Code::Invisible, reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

#[actix::test]
async fn a_contact_who_asks_for_a_user_who_is_invisible_is_told_to_the_user_alone() {
    let (_world, mut ken, mut ada) = contacts().await;
    set_invisible(&ada, true).await;
    while ada.status().await.listen.is_some() {}
    ken.expect_connection("@ada", LinkState::Retrying).await;
    let start = || direct(DirectCommand::Start { user: "ada".parse().unwrap() });
    ken.done(start()).await;
    let reason = ada.expect("who asks", warning).await;
    assert!(reason.contains("ken wants to talk") && reason.contains("type: start ken"), "{reason}");
    // Once is enough, and ken has learnt nothing.
    ken.done(start()).await;
    ken.barrier_of_tracker().await;
    ada.barrier_of_tracker().await;
    assert_eq!(ada.events().iter().filter_map(warning).count(), 1);
    assert_eq!(users(&ken).await, ["ken"]);
    assert!(ada.status().await.listen.is_none());
    // The user answers, after a warning; to that one they are there.
    let answer = || direct(DirectCommand::Start { user: "ken".parse().unwrap() });
    assert_eq!(ada.refused(answer()).await, Code::Invisible);
    ada.done(answer()).await;
    ken.expect_connection("@ada", LinkState::Up).await;
    ken.done(msg("ada", "there?")).await;
    ada.reads_alone("there?").await;
}

#[actix::test]
async fn a_word_to_all_shows_who_is_invisible_and_is_warned_of_first() {
    let world = World::new().await;
    let (mut ken, ada) = (world.guest("ken").await, world.guest("ada").await);
    ada.signup(PASSWORD).await;
    set_invisible(&ada, true).await;
    let say = || Command::Broadcast { text: "hello".to_owned() };
    assert_eq!(ada.refused(say()).await, Code::Invisible);
    ken.barrier_of_tracker().await;
    let is_heard = |event: &Event| matches!(event, Event::Broadcast { .. }).then_some(());
    assert_eq!(ken.events().iter().find_map(is_heard), None);
    ada.done(say()).await;
    ken.expect("the word", is_heard).await;
    assert_eq!(users(&ken).await, ["ken"], "to the list they are away all the same");
}

/// What a host says to somebody who comes for this.
async fn greeted(raw: &Raw, host: &ChannelRecord, purpose: Purpose) -> Result<(), Refusal> {
    raw.greet(host.host_key, &host.addresses, purpose).await.map(drop)
}

#[actix::test]
async fn who_is_invisible_hosts_and_is_asked_for_files_as_in_vain_as_for_a_talk() {
    let world = World::new().await;
    let (ada, bob) = (world.guest("ada").await, Raw::guest(&world, "bob").await);
    ada.signup(PASSWORD).await;
    ada.host("garden").await;
    let host = bob.locate("garden").await;
    for purpose in [Purpose::Direct, Purpose::File] {
        greeted(&bob, &host, purpose).await.unwrap();
    }
    set_invisible(&ada, true).await;
    let talk = greeted(&bob, &host, Purpose::Direct).await.unwrap_err();
    let file = greeted(&bob, &host, Purpose::File).await.unwrap_err();
    // As what no host serves, whoever it is.
    let neither = greeted(&bob, &host, Purpose::Control).await.unwrap_err();
    assert_eq!((&talk, &file), (&neither, &neither));
    greeted(&bob, &host, Purpose::Channel).await.unwrap();
}
