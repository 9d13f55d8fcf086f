//! A device that is signed out from another one is out everywhere, and knows why.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::link::RequestError;
use common::proto::directory::{ChannelRecord, Entered, Signup};
use common::proto::status::Code;
use common::secret::Secret;
use peer::api::{Command, DeviceRow, DevicesCommand, Event, LinkState, Reply, SessionState};
use support::{Person, Raw, World, stored, until, within};

const PASSWORD: &str = "correct horse";

async fn devices(person: &Person) -> Vec<DeviceRow> {
    let Reply::Devices(devices) = person.done(Command::Devices(DevicesCommand::List)).await else {
        unreachable!()
    };
    devices.devices
}

fn revoke(digits: &str) -> Command {
    Command::Devices(DevicesCommand::Revoke { key: digits.to_owned() })
}

/// ken at the desk, and ken with another device.
async fn ken(world: &World) -> (Person, Person) {
    let desk = world.guest("ken").await;
    desk.signup(PASSWORD).await;
    let pocket = world.guest("ken-to-be").await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    (desk, pocket)
}

async fn expect_why(person: &mut Person, to: &str) {
    let what = format!("why there is no connection to {to}");
    let reason = person
        .expect(&what, |event| match event {
            Event::Connection { to: of, state: LinkState::Retrying, reason, .. } if of == to => {
                reason.clone()
            }
            _ => None,
        })
        .await;
    assert!(reason.contains("signed out"), "{reason}");
}

#[actix::test]
async fn a_device_that_is_signed_out_is_put_out_by_hosts_and_comes_back_with_the_password() {
    let world = World::new().await;
    let (desk, mut pocket) = ken(&world).await;
    let ada = world.guest("ada").await;
    ada.host("first").await;
    pocket.join("first").await;
    desk.join("first").await;
    let rows = devices(&desk).await;
    assert_eq!(rows.iter().map(|row| row.this).collect::<Vec<_>>(), [true, false]);
    let key = pocket.whoami().await.key.to_string();
    assert_eq!(desk.refused(revoke("ffff0000ffff")).await, Code::NoSuchDevice);

    let Reply::SignedOut(row) = desk.done(revoke(&key[..8].to_uppercase())).await else { unreachable!() };
    assert_eq!(row.key.to_string(), key);
    let mut told = Vec::new();
    for _ in 0..2 {
        // The tracker and the host, whichever comes first.
        let (to, reason) = pocket
            .expect("the loss of a connection", |event| match event {
                Event::Connection { to, state: LinkState::Retrying, reason, .. } => {
                    Some((to.clone(), reason.clone().unwrap_or_default()))
                }
                _ => None,
            })
            .await;
        assert!(reason.contains("signed out"), "{to}: {reason}");
        told.push(to);
    }
    told.sort();
    assert_eq!(told, ["first", "tracker"]);
    pocket
        .expect("the session's end", |event| {
            matches!(event, Event::Session { state: SessionState::None, code: Some(Code::Revoked), .. })
                .then_some(())
        })
        .await;
    assert_eq!(ada.channel("first").await.state, LinkState::Up);
    until("one device is left", async || devices(&desk).await.len() == 1).await;

    // At the next start it is the guest that its command line names.
    pocket.restart().await;
    assert_eq!(pocket.entered().await.state, SessionState::Guest);
    pocket.signin("ken", PASSWORD).await.unwrap();
    pocket.expect_connection("first", LinkState::Up).await;
    pocket.send("first", "here again").await;
    assert_eq!(pocket.expect("stored", stored).await, 1);
    assert_eq!(devices(&desk).await.len(), 2);
}

#[actix::test]
async fn what_was_revoked_while_a_host_was_away_or_long_ago_counts() {
    let mut world = World::new().await;
    let mut ada = world.guest("ada").await;
    ada.host("first").await;
    // A device whose pass somebody else has got hold of, and its key with it.
    let mut stolen = Raw::guest(&world, "ken-to-be").await;
    let signup = Signup { name: "ken".parse().unwrap(), password: Secret::new(PASSWORD) };
    let Entered { pass, .. } = within(stolen.control.request(&signup)).await.unwrap();
    stolen.pass = pass;
    let record = stolen.locate("first").await;
    let seat = stolen.enter(&record, None).await.unwrap();
    let mut desk = world.guest("desk").await;
    desk.signin("ken", PASSWORD).await.unwrap();
    drop(seat);

    ada.stop().await;
    desk.done(revoke(&stolen.identity.key().to_string())).await;
    ada.start().await;
    ada.entered().await;
    until("the announcement is answered", async || refused(&stolen, &record).await == Some(Code::Revoked))
        .await;
    // With the tracker away, by what is kept.
    ada.stop().await;
    world.stop_tracker().await;
    ada.start().await;
    assert_eq!(refused(&stolen, &record).await, Some(Code::Revoked));
    desk.stop().await;
}

/// Why the host does not let somebody in, if it does not.
async fn refused(visitor: &Raw, record: &ChannelRecord) -> Option<Code> {
    match visitor.enter(record, None).await {
        Ok(_) => None,
        Err(RequestError::Refused(refusal)) => Some(refusal.code),
        Err(error) => panic!("{error}"),
    }
}

#[actix::test]
async fn own_device_can_be_signed_out_too() {
    let world = World::new().await;
    let (mut desk, pocket) = ken(&world).await;
    let key = desk.whoami().await.key.to_string();
    desk.done(revoke(&key)).await;
    expect_why(&mut desk, "tracker").await;
    until("the other device is alone", async || devices(&pocket).await.len() == 1).await;
}
