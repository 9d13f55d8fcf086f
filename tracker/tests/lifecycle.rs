//! What lasts over a restart and what does not; a full disk; the order of the end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::clock::Timestamp;
use common::identity::Identity;
use common::link::{CloseReason, Link, RequestError};
use common::pass::PASS_LIFETIME;
use common::proto::directory::{ChannelRecord, Guest, List};
use common::proto::status::Code;
use common::storage::{Faults, Store};
use support::{PASSWORD, channel, config, start, within};
use tracker::limits::{GUEST_CHANNEL_HOLD, GUEST_NAME_HOLD};
use tracker::store::schema::SCHEMA;
use tracker::{Config, RunError, StartError};

#[actix_rt::test]
async fn a_restart_keeps_everything_but_leases() {
    let folder = tempfile::tempdir().unwrap();
    let (ken_key, guest_key) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let tracker = start(config(folder.path())).await;
    let (key, directory) = (tracker.ready.key, tracker.stranger().await.directory);
    let ken = tracker.client(&ken_key).await;
    let before = ken.signup("ken", PASSWORD).await.unwrap();
    let first = channel("first");
    let hosted = ken.host(&first).await.unwrap();
    tracker.client(&guest_key).await.guest("charlie").await.unwrap();
    tracker.stop().await;

    let tracker = start(config(folder.path())).await;
    assert_eq!(tracker.ready.key, key);
    let ken = tracker.client(&ken_key).await;
    assert_eq!(ken.directory, directory);
    let after = ken.renew().await.unwrap();
    assert_eq!((after.subject, after.name.as_str()), (before.subject, "ken"));
    assert!(after.serial > before.serial);
    let found = ken.locate("first").await.unwrap();
    assert!(!found.online);
    assert_eq!(ChannelRecord { online: true, ..found }, hosted);

    let other = tracker.stranger().await;
    assert_eq!(other.guest("ken").await.unwrap_err(), Code::NameRegistered);
    assert_eq!(other.guest("charlie").await.unwrap_err(), Code::NameTaken);
    assert_eq!(other.signup("charlie", PASSWORD).await.unwrap_err(), Code::NameTaken);
    other.guest("other").await.unwrap();
    assert_eq!(other.host(&channel("first")).await.unwrap_err(), Code::NameTaken);
    let charlie = tracker.client(&guest_key).await;
    assert_eq!(charlie.renew().await.unwrap().name, "charlie");
    other.signin("ken", PASSWORD).await.unwrap();
    tracker.stop().await;
}

/// A configuration whose clock is set by the test.
fn with_clock(data: &Path) -> (Config, Arc<AtomicU64>) {
    let offset = Arc::new(AtomicU64::new(0));
    let mut config = config(data);
    let read = offset.clone();
    config.clock =
        Arc::new(move || Timestamp::now().plus(Duration::from_millis(read.load(Ordering::SeqCst))));
    (config, offset)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

#[actix_rt::test]
async fn what_guests_leave_behind_is_free_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (config, offset) = with_clock(folder.path());
    let tracker = start(config).await;
    let charlie = tracker.guest("charlie").await;
    let (first, second) = (channel("first"), channel("second"));
    charlie.host(&first).await.unwrap();
    charlie.host(&second).await.unwrap();
    let other = tracker.guest("other").await;
    // A host that stays is seen all the time.
    let hold = millis(GUEST_CHANNEL_HOLD);
    offset.store(hold - 60_000, Ordering::SeqCst);
    tracker.ready.tracker.sweep().await.unwrap();
    offset.store(hold + 60_000, Ordering::SeqCst);
    assert_eq!(other.host(&channel("first")).await.unwrap_err(), Code::NameTaken);
    charlie.hang_up().await;
    let gone = async { while other.locate("first").await.unwrap().online {} };
    within(gone).await;
    // That its host was seen until now is noted by the time the tracker has stopped.
    tracker.stop().await;
    let (config, offset) = with_clock(folder.path());
    let tracker = start(config).await;
    let other = tracker.guest("another").await;
    offset.store(2 * hold - 60_000, Ordering::SeqCst);
    assert_eq!(other.host(&channel("first")).await.unwrap_err(), Code::NameTaken);
    offset.store(2 * hold + 120_000, Ordering::SeqCst);
    let taken = channel("first");
    other.host(&taken).await.unwrap();
    assert_eq!(other.locate("first").await.unwrap().id, taken.id);
    tracker.ready.tracker.sweep().await.unwrap();
    let left = other.ask(&List::default()).await.unwrap().channels;
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [taken.id]);

    // The name of the guest, too, whose pass has ended by then, and with it the hold.
    assert!(GUEST_NAME_HOLD + PASS_LIFETIME < 2 * GUEST_CHANNEL_HOLD);
    let heir = tracker.stranger().await;
    let guest = Guest { name: "charlie".parse().unwrap() };
    assert_eq!(heir.ask(&guest).await.map(drop), Ok(()));
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_full_disk_is_told_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let mut config = config(folder.path());
    let given = faults.clone();
    config.open_store = Arc::new(move |data| Store::open_with_faults(data, SCHEMA, given.clone()));
    let tracker = start(config).await;
    let ken = tracker.account("ken").await;
    let other = tracker.stranger().await;
    faults.set_free_bytes(Some(0));
    assert_eq!(other.signup("charlie", PASSWORD).await.unwrap_err(), Code::StorageFull);
    assert_eq!(other.guest("charlie").await.unwrap_err(), Code::StorageFull);
    assert_eq!(ken.host(&channel("first")).await.unwrap_err(), Code::StorageFull);
    // What is there still serves.
    ken.renew().await.unwrap();
    assert!(ken.ask(&List::default()).await.unwrap().channels.is_empty());
    faults.set_free_bytes(None);
    other.signup("charlie", PASSWORD).await.unwrap();
    faults.fail_next_flush();
    assert_eq!(ken.host(&channel("first")).await.unwrap_err(), Code::StorageFailed);
    within(async { while ken.host(&channel("second")).await.is_err() {} }).await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn at_the_end_all_are_told_and_nobody_is_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let clients = [tracker.guest("ken").await, tracker.account("charlie").await, tracker.stranger().await];
    let address = tracker.ready.address;
    // Neither who has shown no key nor who has said no HELLO holds it up.
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mute, _inbox) = Link::open(tracker.dial(&Identity::generate().unwrap()).await);
    tracker.stop().await;
    drop(mute);
    for client in clients {
        let reason = within(client.link.closed()).await;
        assert!(matches!(&reason, CloseReason::Told(refusal) if refusal.code == Code::GoingAway), "{reason}");
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    // The folder is free again at once.
    start(config(folder.path())).await.stop().await;
}

#[actix_rt::test]
async fn a_start_that_fails_says_why_and_leaves_nothing_locked() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(config(folder.path())).await;
    let fails = |config: Config| async {
        let (_trigger, shutdown) = common::shutdown::Shutdown::new();
        match within(tracker::run(config, shutdown, |_| panic!("it starts"))).await {
            Err(RunError::Start(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = fails(config(folder.path())).await;
    assert!(matches!(error, StartError::Store(_)) && error.to_string().contains("--data"), "{error}");
    let other = tempfile::tempdir().unwrap();
    let error = fails(Config { listen: tracker.ready.address, ..config(other.path()) }).await;
    assert!(matches!(error, StartError::Listen(_)) && error.to_string().contains("port"), "{error}");
    start(config(other.path())).await.stop().await;
    tracker.stop().await;
}

#[actix_rt::test]
async fn a_session_that_panics_takes_its_channels_offline() {
    let folder = tempfile::tempdir().unwrap();
    let panics = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&panics);
    let mut config = config(folder.path());
    config.clock = Arc::new(move || {
        assert!(!asked.swap(false, Ordering::SeqCst), "the clock breaks once, for a test");
        Timestamp::now()
    });
    let tracker = start(config).await;
    let (ken, mut charlie) = (tracker.guest("ken").await, tracker.guest("charlie").await);
    let first = channel("first");
    ken.host(&first).await.unwrap();
    assert!(charlie.locate("first").await.unwrap().online);
    panics.store(true, Ordering::SeqCst);
    assert!(matches!(within(ken.link.request(&first)).await, Err(RequestError::Lost(_))));
    assert_eq!(charlie.expect_down().await, first.id);
    assert!(!charlie.locate("first").await.unwrap().online);
    tracker.stop().await;
}
