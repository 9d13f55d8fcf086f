//! A full disk: `storage_full` on the side whose disk it is, and nothing is lost when there is room again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use common::proto::status::Code;
use common::shutdown::{Shutdown, ShutdownTrigger};
use common::storage::{Faults, Store};
use peer::api::{Command, Event, OutgoingState, Reply};
use peer::ui::Node;
use peer::{Args, Config, Peer, SCHEMA};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracker::Ready;

const LIMIT: Duration = Duration::from_secs(20);

async fn within<F: Future>(future: F) -> F::Output {
    timeout(LIMIT, future).await.expect("it takes too long")
}

async fn start_tracker(folder: &Path) -> (Ready, ShutdownTrigger) {
    let (trigger, shutdown) = Shutdown::new();
    let (tell, told) = oneshot::channel();
    let config = tracker::Config::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), folder.join("tracker"));
    actix_rt::spawn(tracker::run(config, shutdown, |ready| drop(tell.send(ready))));
    (within(told).await.unwrap(), trigger)
}

/// A peer whose disk can be made full.
struct Somebody {
    peer: Peer,
    faults: Arc<Faults>,
}

impl Somebody {
    async fn start(tracker: &Ready, folder: &Path, name: &str) -> Self {
        let data = folder.join(name);
        std::fs::create_dir(&data).unwrap();
        let tracker = format!("{}#{}", tracker.address, tracker.key);
        let flags =
            ["peer", "--tracker", &tracker, "--username", name, "--peer-host-ip", "127.0.0.1", "--data"];
        let args = flags.into_iter().chain(data.to_str());
        let config = Config::from_args(Args::parse_from(args)).unwrap();
        let faults = Arc::new(Faults::default());
        let store = Store::open_with_faults(&data, SCHEMA, Arc::clone(&faults)).unwrap();
        Self { peer: peer::start_on(store, config).await.unwrap(), faults }
    }

    fn fill_disk(&self) {
        self.faults.set_free_bytes(Some(0));
    }

    fn make_room(&self) {
        self.faults.set_free_bytes(None);
    }

    async fn ask(&self, command: Command) -> Result<Reply, Code> {
        within(self.peer.node.perform(command)).await.map_err(|refusal| {
            assert!(!refusal.reason.is_empty());
            refusal.code
        })
    }

    async fn send(&self, text: &str) -> Result<Reply, Code> {
        self.ask(Command::Send { channel: first(), text: text.to_owned() }).await
    }

    async fn wait<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        within(async {
            loop {
                let event = self.peer.events.recv().await.expect("the peer has ended");
                if let Some(picked) = pick(&event) {
                    return picked;
                }
            }
        })
        .await
    }

    /// What becomes of a message next, and its text's number if it is stored.
    async fn wait_stored(&mut self) -> u64 {
        self.wait(|event| match event {
            Event::Outgoing { state: OutgoingState::Stored, seq, .. } => *seq,
            Event::Outgoing { state: OutgoingState::Refused, reason, .. } => panic!("{reason:?}"),
            _ => None,
        })
        .await
    }

    async fn wait_texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(
                self.wait(|event| if let Event::Message(one) = event { one.text.clone() } else { None })
                    .await,
            );
        }
        texts
    }
}

fn first() -> common::name::ChannelName {
    "first".parse().unwrap()
}

#[actix_rt::test]
async fn a_sender_with_a_full_disk_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, _trigger) = start_tracker(folder.path()).await;
    let mut ken = Somebody::start(&tracker, folder.path(), "ken").await;
    let mut charlie = Somebody::start(&tracker, folder.path(), "charlie").await;
    ken.ask(Command::Host { channel: first() }).await.unwrap();
    charlie.ask(Command::Join { channel: first() }).await.unwrap();
    charlie.send("one").await.unwrap();
    assert_eq!(charlie.wait_texts(1).await, ["one"]);
    charlie.fill_disk();
    assert_eq!(charlie.send("never queued").await.unwrap_err(), Code::StorageFull);
    // What others write cannot be kept, so it is not shown yet, which is said once; what needs no disk still works.
    for text in ["two", "and a half"] {
        ken.send(text).await.unwrap();
    }
    let warned = |event: &Event| match event {
        Event::Warning { code, .. } => Some(code.clone()),
        Event::Message(message) => panic!("{:?} is shown before it is kept", message.text),
        _ => None,
    };
    assert_eq!(charlie.wait(warned).await, Code::StorageFull);
    charlie.ask(Command::Members { channel: first(), granted: false }).await.unwrap();
    charlie.make_room();
    assert_eq!(charlie.wait_texts(2).await, ["two", "and a half"]);
    charlie.send("three").await.unwrap();
    assert_eq!(ken.wait_texts(4).await, ["one", "two", "and a half", "three"]);
    charlie.peer.shut_down().await.unwrap();
    ken.peer.shut_down().await.unwrap();
}

#[actix_rt::test]
async fn a_host_with_a_full_disk_takes_everything_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (tracker, _trigger) = start_tracker(folder.path()).await;
    let mut ken = Somebody::start(&tracker, folder.path(), "ken").await;
    let mut charlie = Somebody::start(&tracker, folder.path(), "charlie").await;
    ken.ask(Command::Host { channel: first() }).await.unwrap();
    charlie.ask(Command::Join { channel: first() }).await.unwrap();
    charlie.send("one").await.unwrap();
    assert_eq!(charlie.wait_stored().await, 1);
    ken.fill_disk();
    assert_eq!(
        ken.ask(Command::Host { channel: "second".parse().unwrap() }).await.unwrap_err(),
        Code::StorageFull
    );
    // Kept here until the host has room: a passing failure is none of the user's business.
    for text in ["two", "three", "four"] {
        charlie.send(text).await.unwrap();
    }
    // A barrier: the host has refused the first of them by now, on the same connection.
    charlie.ask(Command::Members { channel: first(), granted: false }).await.unwrap();
    let Reply::Connected(connected) = charlie.ask(Command::Connected).await.unwrap() else { panic!() };
    assert_eq!(connected.channels[0].queued, 3);
    ken.make_room();
    let mut stored = [charlie.wait_stored().await, charlie.wait_stored().await, charlie.wait_stored().await];
    // Answers to several at once are told as they are taken up.
    stored.sort_unstable();
    assert_eq!(stored, [2, 3, 4]);
    assert_eq!(ken.wait_texts(4).await, ["one", "two", "three", "four"]);
    charlie.peer.shut_down().await.unwrap();
    ken.peer.shut_down().await.unwrap();
}
