//! A channel moves to another machine of its owner and back again. What the first machine stored meanwhile is in a side
//! branch, at the members who received it too: nothing was lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use common::proto::status::Code;
use peer::api::{Command, Event, Hosting, LinkState, LogFrom, Reply};
use support::{Person, Relay, World, named, stored, until};

const PASSWORD: &str = "correct horse battery";

fn take(log: LogFrom) -> Command {
    Command::TakeOver { channel: named("first"), log }
}

async fn takes_over(person: &Person, log: LogFrom) -> Hosting {
    let Reply::Hosting(hosting) = person.done(take(log)).await else { unreachable!() };
    hosting
}

async fn export(person: &Person, path: &Path) {
    person.done(Command::Export { channel: named("first"), path: path.to_owned() }).await;
}

/// What was put aside when the channel moved.
async fn aside(person: &Person) -> Vec<String> {
    let branch = Command::Branch { channel: named("first"), count: 50 };
    let Reply::Branch(branch) = person.done(branch).await else { unreachable!() };
    branch.messages.into_iter().filter_map(|message| message.text).collect()
}

async fn texts(person: &Person) -> Vec<String> {
    person.history("first").await.into_iter().filter_map(|message| message.text).collect()
}

async fn is_behind(person: &Person) -> bool {
    let Reply::Info(info) = person.done(Command::Info { channel: named("first") }).await else {
        unreachable!()
    };
    info.behind
}

async fn warned(person: &mut Person, wanted: Code) -> String {
    let what = format!("warning {wanted}");
    person
        .expect(&what, |event| match event {
            Event::Warning { code, reason, .. } if *code == wanted => Some(reason.clone()),
            _ => None,
        })
        .await
}

/// Ken's desk, which hosts, and his pocket; charlie. All have four messages, and charlie has a fifth, which the desk has
/// stored while nobody else knew of it. Then the pocket has taken over, and there are other messages there.
struct Scene {
    world: World,
    relay: Relay,
    desk: Person,
    pocket: Person,
    charlie: Person,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let mut relay = Relay::new().await;
        let mut config = world.config("ken");
        config.tracker.address = relay.address().as_str().trim_start_matches("tcp:").to_owned();
        relay.lead_to(world.address);
        let desk = world.person(config).await;
        desk.entered().await;
        desk.signup(PASSWORD).await;
        desk.host("first").await;
        let pocket = world.guest("ken-to-be").await;
        pocket.signin("ken", PASSWORD).await.unwrap();
        pocket.join("first").await;
        let charlie = world.guest("charlie").await;
        charlie.signup(PASSWORD).await;
        charlie.join("first").await;
        let mut scene = Self { world, relay, desk, pocket, charlie };
        for seq in 1..=4 {
            scene.desk.send("first", &format!("message {seq}")).await;
            for who in [&scene.desk, &scene.pocket, &scene.charlie] {
                who.reads("first", seq).await;
            }
        }
        scene.parted().await;
        scene
    }

    async fn parted(&mut self) {
        self.pocket.leave("first").await;
        self.relay.cut();
        self.desk.expect_connection("tracker", LinkState::Retrying).await;
        self.charlie.send("first", "behind the back").await;
        self.charlie.expect("stored", stored).await;
        self.charlie.reads("first", 5).await;
        self.charlie.stop().await;
        self.desk.stop().await;
        takes_over(&self.pocket, LogFrom::Received).await;
        for seq in 5..=7 {
            self.pocket.send("first", &format!("at the pocket {seq}")).await;
            self.pocket.reads("first", seq).await;
        }
        self.relay.mend();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    /// The desk finds that it does not host any more.
    async fn desk_gives_way(&mut self) {
        self.desk.start().await;
        assert!(warned(&mut self.desk, Code::Superseded).await.contains("1 messages"));
        assert_eq!(aside(&self.desk).await, ["behind the back"]);
    }

    async fn desk_takes_back(&mut self) {
        self.desk_gives_way().await;
        let path = self.path("pocket.jsonl");
        export(&self.pocket, &path).await;
        self.pocket.stop().await;
        assert_eq!(takes_over(&self.desk, LogFrom::File(path)).await.head.seq, 7);
    }
}

#[actix::test]
async fn members_follow_a_host_that_takes_its_channel_back_and_put_aside_what_is_not_in_it() {
    let mut scene = Scene::new().await;
    scene.desk_takes_back().await;
    // Charlie trusts the desk, and has heard of nothing.
    scene.charlie.start().await;
    assert!(warned(&mut scene.charlie, Code::Superseded).await.contains("You wrote number 5"));
    for who in [&scene.desk, &scene.charlie] {
        who.reads("first", 7).await;
        assert_eq!(aside(who).await, ["behind the back"]);
    }
    scene.charlie.send("first", "all is well").await;
    scene.desk.reads("first", 8).await;
    assert!(!is_behind(&scene.desk).await);
    let there = texts(&scene.desk).await;
    assert_eq!(
        there[3..],
        ["message 4", "at the pocket 5", "at the pocket 6", "at the pocket 7", "all is well"]
    );
    until("charlie has all of it", async || texts(&scene.charlie).await == there).await;
}

#[actix::test]
async fn who_comes_with_a_side_branch_and_cannot_ask_the_tracker_stops_nobody() {
    let mut scene = Scene::new().await;
    scene.desk_takes_back().await;
    scene.world.stop_tracker().await;
    scene.charlie.start().await;
    scene.charlie.expect_connection("first", LinkState::Retrying).await;
    let charlie = scene.charlie.channel("first").await;
    assert!(charlie.reason.is_some_and(|reason| reason.contains("side branch")));
    assert!(!is_behind(&scene.desk).await);
    scene.desk.send("first", "all is well").await;
    scene.desk.reads("first", 8).await;
}

#[actix::test]
async fn a_takeover_that_fails_leaves_the_log_and_what_was_put_aside_as_they_were() {
    let mut scene = Scene::new().await;
    scene.desk_gives_way().await;
    let path = scene.path("pocket.jsonl");
    export(&scene.pocket, &path).await;
    scene.relay.cut();
    scene.desk.expect_connection("tracker", LinkState::Retrying).await;
    scene.desk.refused(take(LogFrom::File(path.clone()))).await;
    scene.relay.mend();
    scene.desk.restart().await;
    scene.desk.entered().await;
    assert_eq!(aside(&scene.desk).await, ["behind the back"]);
    // At its start the client takes out of its archive what is not in the log any more.
    let history = Command::History { channel: named("first"), count: 1, before: None };
    until("the archive to be cut", async || scene.desk.perform(history.clone()).await.is_ok()).await;
    assert_eq!(texts(&scene.desk).await.len(), 4);
    scene.pocket.stop().await;
    assert_eq!(takes_over(&scene.desk, LogFrom::File(path)).await.head.seq, 7);
    scene.desk.reads("first", 7).await;
    scene.desk.restart().await;
    assert_eq!(aside(&scene.desk).await, ["behind the back"]);
    assert_eq!(texts(&scene.desk).await.len(), 7);
}
