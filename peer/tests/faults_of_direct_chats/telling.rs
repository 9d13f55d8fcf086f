//! What went wrong when something was said to everybody.

use common::proto::directory::SayToAll;
use common::proto::event::Person;
use common::proto::status::Code;
use peer::api::{Command, DirectCommand, Event};

use crate::support::{Person as Somebody, Raw, World, within};

const PASSWORD: &str = "correct horse";

fn broadcast(text: &str) -> Command {
    Command::Broadcast { text: text.to_owned() }
}

async fn hears(person: &mut Somebody) -> (Option<Person>, String) {
    person
        .expect("a broadcast", |event| match event {
            Event::Broadcast { from, text, .. } => Some((from.clone(), text.clone())),
            _ => None,
        })
        .await
}

/// Whoever broadcast something got it back as if somebody else had said it, and saw it twice.
#[actix::test]
async fn a_broadcast_that_comes_back() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    for person in [&ken, &charlie] {
        person.signup(PASSWORD).await;
    }
    ken.done(broadcast("tea is ready")).await;
    charlie.done(broadcast("coming")).await;
    let (from, text) = hears(&mut charlie).await;
    assert_eq!((from.unwrap().name.as_str(), text.as_str()), ("ken", "tea is ready"));
    // What ken hears first is not his own.
    let (from, text) = hears(&mut ken).await;
    assert_eq!((from.unwrap().name.as_str(), text.as_str()), ("charlie", "coming"));
}

/// Anybody could broadcast, under any name.
#[actix::test]
async fn a_broadcast_under_any_name() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.signup(PASSWORD).await;
    let eve = Raw::guest(&world, "eve").await;
    let said = SayToAll { text: "I am ken".to_owned() };
    let refused = within(eve.control.request(&said)).await.unwrap_err();
    assert_eq!(
        refused.into_refusal().code,
        Code::NotAllowed,
        "guests may not, unless the operator lets them"
    );
    let mut open = World::with(|config| config.may_broadcast = tracker::config::MayBroadcast::Everyone).await;
    let mut ken = open.guest("ken").await;
    let eve = Raw::guest(&open, "eve").await;
    within(eve.control.request(&said)).await.unwrap();
    let (from, _) = hears(&mut ken).await;
    assert_eq!(from.unwrap().name, "eve");
    open.stop_tracker().await;
}

/// Nobody could be kept from broadcasting to those who did not want to hear it.
#[actix::test]
async fn a_broadcast_of_somebody_one_has_blocked() {
    let world = World::new().await;
    let (ken, mut ada, mut eve) =
        (world.guest("ken").await, world.guest("ada").await, world.guest("eve").await);
    for person in [&ken, &ada, &eve] {
        person.signup(PASSWORD).await;
    }
    // Nothing was ever said between the two: the tracker knows who it is.
    let block = |user: &str| Command::Direct(DirectCommand::Block { user: user.parse().unwrap() });
    ada.done(block("ken")).await;
    assert_eq!(ada.refused(block("ada")).await, Code::BadName);
    assert_eq!(ada.refused(block("nobody")).await, Code::NoSuchUser);
    ken.done(broadcast("from ken")).await;
    assert_eq!(hears(&mut eve).await.1, "from ken");
    eve.done(broadcast("from eve")).await;
    assert_eq!(hears(&mut ada).await.1, "from eve", "the first that is shown");
    ada.done(Command::Direct(DirectCommand::Unblock { user: "ken".parse().unwrap() })).await;
    ken.done(broadcast("again")).await;
    assert_eq!(hears(&mut ada).await.1, "again");
}
