//! Who somebody is: accounts, devices, guests, passes, and the tracker's own key.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use common::clock::Timestamp;
use common::id::IdentityKind;
use common::identity::PeerKey;
use common::link::CloseReason;
use common::pass::{CLOCK_SKEW, PASS_LIFETIME};
use common::proto::channel::Role;
use common::proto::status::Code;
use common::secret::Secret;
use peer::api::{Command, Event, LinkState, Reply, SessionState, Trust};
use support::{Person, Raw, World, named, slow_clock, stored, until};

const PASSWORD: &str = "correct horse";

fn signup() -> Command {
    Command::Signup { name: None, password: Secret::new(PASSWORD) }
}

fn passwd(old: &str, new: &str) -> Command {
    Command::Passwd { old: Secret::new(old), new: Secret::new(new) }
}

fn guest(name: &str) -> Command {
    Command::Guest { name: Some(name.parse().unwrap()) }
}

fn host(channel: &str) -> Command {
    Command::Host { channel: named(channel) }
}

/// One more peer of somebody with an account.
async fn device(world: &World, name: &str) -> Person {
    let person = world.guest(&format!("{name}-to-be")).await;
    person.signin(name, PASSWORD).await.unwrap();
    person
}

async fn info(person: &Person, channel: &str) -> common::proto::channel::Info {
    let Reply::Info(info) = person.done(Command::Info { channel: named(channel) }).await else {
        unreachable!()
    };
    *info
}

async fn trust(person: &Person) -> Trust {
    let Reply::Trust(trust) = person.done(Command::TrackerTrust).await else { unreachable!() };
    trust
}

#[actix::test]
async fn an_account_is_entered_silently_at_the_next_start() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    let as_guest = ken.entered().await;
    ken.done(signup()).await;
    let identity = ken.whoami().await;
    assert_eq!((identity.state, identity.username.as_str()), (SessionState::Account, "ken"));
    assert_ne!(identity.subject, as_guest.subject);
    for _ in 0..2 {
        ken.restart().await;
        let again = ken.entered().await;
        assert_eq!((again.state, again.subject, again.key), (identity.state, identity.subject, identity.key));
    }
}

#[actix::test]
async fn two_devices_of_an_account_are_one_member() {
    let world = World::new().await;
    let desk = world.guest("ken").await;
    desk.done(signup()).await;
    desk.host("first").await;
    let pocket = device(&world, "ken").await;
    let (one, other) = (desk.whoami().await, pocket.whoami().await);
    assert_eq!((one.subject, one.username.as_str()), (other.subject, other.username.as_str()));
    assert_ne!(one.key, other.key);

    assert_eq!(pocket.join("first").await.role, Role::Owner);
    let Reply::Members(list) =
        pocket.done(Command::Members { channel: named("first"), granted: false }).await
    else {
        unreachable!()
    };
    assert_eq!((list.total, list.members[0].name.as_str()), (1, "ken"));
    for (person, seq) in [(&desk, 1), (&pocket, 2)] {
        person.send("first", "from here").await;
        desk.reads("first", seq).await;
    }
    for message in desk.messages("first") {
        assert_eq!((Some(message.subject), message.author_kind), (one.subject, IdentityKind::Account));
    }
}

#[actix::test]
async fn an_unknown_name_is_refused_like_a_wrong_password() {
    let world = World::new().await;
    world.guest("ken").await.done(signup()).await;
    let charlie = world.guest("charlie").await;
    let wrong = charlie.signin("ken", "wrong horse").await.unwrap_err();
    let unknown = charlie.signin("nobody", PASSWORD).await.unwrap_err();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.code, Code::BadPassword);
    assert_eq!(charlie.whoami().await.state, SessionState::Guest, "nothing has changed");
}

#[actix::test]
async fn signing_out_and_in_again_and_a_new_password() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.done(signup()).await;
    let account = ken.whoami().await.subject;
    assert_eq!(ken.refused(passwd("wrong horse", "new password")).await, Code::BadPassword);
    assert_eq!(ken.refused(passwd(PASSWORD, "short")).await, Code::PasswordLength);
    ken.done(passwd(PASSWORD, "new password")).await;
    ken.done(Command::Signout).await;
    assert_eq!(ken.whoami().await.state, SessionState::None);
    assert_eq!(ken.refused(Command::Signout).await, Code::NotSignedIn);
    assert_eq!(ken.refused(guest("ken")).await, Code::NameRegistered);
    ken.done(guest("somebody")).await;
    let identity = ken.whoami().await;
    assert_eq!((identity.state, identity.username.as_str()), (SessionState::Guest, "somebody"));
    // A start under the account's name is no way into it.
    ken.restart().await;
    ken.settled().await;
    assert_eq!(ken.whoami().await.state, SessionState::None, "signing out lasts");
    ken.config.name_was_given = false;
    ken.restart().await;
    assert_eq!(ken.entered().await.username.as_str(), "somebody");

    assert_eq!(ken.signin("ken", PASSWORD).await.unwrap_err().code, Code::BadPassword);
    ken.signin("ken", "new password").await.unwrap();
    let identity = ken.whoami().await;
    assert_eq!((identity.subject, identity.username.as_str()), (account, "ken"));
}

#[actix::test]
async fn a_guest_takes_its_channel_along_into_its_account() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    ken.send("first", "as a guest").await;
    charlie.reads("first", 1).await;
    ken.done(signup()).await;
    let account = ken.whoami().await.subject.unwrap();
    ken.expect_connection("first", LinkState::Up).await;
    ken.send("first", "as an account").await;
    charlie.reads("first", 2).await;
    for restarted in [false, true] {
        if restarted {
            ken.restart().await;
            ken.expect_connection("first", LinkState::Up).await;
            charlie.expect_connection("first", LinkState::Retrying).await;
            charlie.expect_connection("first", LinkState::Up).await;
        }
        // The tracker says so first, the host notes it a moment later.
        until("the account is the owner", async || info(&charlie, "first").await.owner.subject == account)
            .await;
        assert_eq!(
            (info(&ken, "first").await.role, info(&charlie, "first").await.role),
            (Role::Owner, Role::Guest)
        );
    }
    let kinds: Vec<_> = charlie.messages("first").iter().map(|message| message.author_kind).collect();
    assert_eq!(kinds, [IdentityKind::Guest, IdentityKind::Account]);
}

#[actix::test]
async fn an_owner_does_not_host_from_a_second_device_by_mistake() {
    let world = World::new().await;
    let mut desk = world.guest("ken").await;
    desk.done(signup()).await;
    desk.host("first").await;
    let pocket = device(&world, "ken").await;
    assert_eq!(pocket.refused(host("first")).await, Code::HostedElsewhere);
    desk.stop().await;
    assert_eq!(pocket.refused(host("first")).await, Code::HostedElsewhere);
    desk.start().await;
    desk.entered().await;
    desk.host("first").await;
    pocket.join("first").await;
}

#[actix::test]
async fn a_tracker_with_another_key_is_refused_with_the_way_out() {
    let mut world = World::new().await;
    let mut config = world.config("ken");
    config.tracker.key = None;
    let mut ken = world.person(config).await;
    ken.entered().await;
    let known = world.key;
    world.stop_tracker().await;
    std::fs::remove_dir_all(world.tracker_data()).unwrap();
    world.start_tracker().await;
    assert_ne!(world.key, known);
    ken.restart().await;
    ken.settled().await;
    let list = Command::List { pattern: None, after: None };
    let refused = ken.perform(list).await.unwrap_err();
    assert_eq!(refused.code, Code::TrackerKeyChanged);
    let reason = ken.status().await.tracker.reason.unwrap();
    for told in [&refused.reason, &reason] {
        assert!(told.contains(&format!("--tracker {}#{}", world.address, world.key)), "{told}");
        assert!(told.contains("known_trackers"), "{told}");
    }
    ken.stop().await;
    ken.config.tracker.key = Some(world.key);
    ken.start().await;
    ken.entered().await;
    // What was given once is known from then on.
    ken.stop().await;
    ken.config.tracker.key = None;
    ken.start().await;
    ken.entered().await;
}

#[actix::test]
async fn no_password_goes_to_a_tracker_whose_key_is_not_confirmed() {
    let world = World::new().await;
    let mut config = world.config("ken");
    config.tracker.key = None;
    let mut ken = world.person(config).await;
    let shown = ken.expect("the tracker's key", |event| match event {
        Event::TrackerKey { key, confirmed: false, .. } => Some(*key),
        _ => None,
    });
    assert_eq!(shown.await, world.key);
    assert_eq!(ken.entered().await.state, SessionState::Guest, "a guest needs no password");
    assert_eq!(ken.refused(signup()).await, Code::TrackerUnconfirmed);
    assert_eq!(ken.refused(passwd(PASSWORD, PASSWORD)).await, Code::TrackerUnconfirmed);
    assert_eq!(ken.signin("ken", PASSWORD).await.unwrap_err().code, Code::TrackerUnconfirmed);
    ken.restart().await;
    ken.entered().await;
    assert_eq!(ken.refused(signup()).await, Code::TrackerUnconfirmed, "the second contact confirms nothing");

    let other = PeerKey::from_bytes([9; 32]);
    assert_eq!(ken.refused(Command::ConfirmTracker { key: other }).await, Code::TrackerKeyChanged);
    assert!(!trust(&ken).await.confirmed);
    ken.done(Command::ConfirmTracker { key: world.key }).await;
    ken.restart().await;
    ken.entered().await;
    assert!(trust(&ken).await.confirmed, "it stays confirmed");
    ken.done(signup()).await;
}

#[actix::test]
async fn a_pass_is_renewed_within_the_session_and_an_ended_one_ends_it() {
    const LEFT: Duration = Duration::from_secs(8);
    // Its passes are old when it gives them: they end soon.
    let behind = PASS_LIFETIME + CLOCK_SKEW - LEFT;
    let mut world = World::with(|config| config.clock = slow_clock(behind)).await;
    let mut host = world.guest("ken").await;
    host.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let forgetful = Raw::guest(&world, "forgetful").await;
    let record = forgetful.locate("first").await;
    let mut reader = forgetful.enter(&record, None).await.unwrap().read();
    let entered = Timestamp::now();

    world.stop_tracker().await;
    world.start_tracker().await;
    for person in [&mut host, &mut charlie] {
        person.expect_connection("tracker", LinkState::Retrying).await;
        person.expect_connection("tracker", LinkState::Up).await;
    }
    let reason = reader.next().await.unwrap_err();
    assert!(matches!(&reason, CloseReason::Told(refusal) if refusal.code == Code::PassExpired), "{reason}");
    assert!(Timestamp::now().since(entered) >= LEFT / 2, "not before its time");
    for (person, seq) in [(&mut charlie, 1), (&mut host, 2)] {
        person.send("first", "still here").await;
        assert_eq!(person.expect("stored message", stored).await, seq);
        let lost = |event: &Event| matches!(event, Event::Connection { to, state, .. } if to == "first" && *state != LinkState::Up);
        assert!(!person.events().iter().any(lost), "{} was cut off", person.name());
    }
    let refused = forgetful.enter(&record, None).await.err().unwrap().into_refusal();
    assert_eq!(refused.code, Code::PassExpired);
}

#[actix::test]
async fn a_conversation_goes_on_without_its_tracker() {
    let mut world = World::new().await;
    let mut host = world.guest("ken").await;
    host.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    world.stop_tracker().await;
    for person in [&mut host, &mut charlie] {
        person.expect_connection("tracker", LinkState::Retrying).await;
    }
    charlie.send("first", "is anybody there?").await;
    host.reads("first", 1).await;
    let list = || Command::List { pattern: None, after: None };
    assert_eq!(charlie.refused(list()).await, Code::TrackerAway);

    // Both start again with what they know.
    host.stop().await;
    charlie.stop().await;
    host.start().await;
    charlie.start().await;
    for person in [&mut host, &mut charlie] {
        person.expect_connection("first", LinkState::Up).await;
    }
    host.send("first", "still").await;
    charlie.reads("first", 2).await;

    world.start_tracker().await;
    for person in [&mut host, &mut charlie] {
        person.expect_connection("tracker", LinkState::Up).await;
        person.entered().await;
    }
    let ada = world.guest("ada").await;
    ada.join("first").await;
    ada.reads("first", 2).await;
    assert_eq!(ada.texts("first"), ["is anybody there?", "still"]);
}
