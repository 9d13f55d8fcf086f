//! A channel moves to another machine of its owner: with its log, with what the owner has received, or without.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use common::id::MessageId;
use common::proto::channel::Role;
use common::proto::directory::{Grant, View};
use common::proto::status::Code;
use peer::api::{ChatMessage, Command, Event, Hosting, LinkState, LogFrom, ModerationCommand, Reply, WhoIs};
use support::{Person, Relay, World, named, refused, stored, until};

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

fn moderate(order: ModerationCommand) -> Command {
    Command::Moderate { channel: named("first"), order }
}

/// Who wrote what, under which number and id.
fn said(messages: &[ChatMessage]) -> Vec<(u64, MessageId, String)> {
    messages.iter().map(|it| (it.seq, it.id, it.text.clone().unwrap_or_default())).collect()
}

async fn role(person: &Person) -> Role {
    let Reply::Info(info) = person.done(Command::Info { channel: named("first") }).await else {
        unreachable!()
    };
    info.role
}

/// What was put aside when the channel moved.
async fn aside(person: &Person) -> Vec<String> {
    let Reply::Branch(branch) = person.done(Command::Branch { channel: named("first"), count: 50 }).await
    else {
        unreachable!()
    };
    branch.messages.into_iter().filter_map(|message| message.text).collect()
}

/// Whether the tracker lists the channel for somebody.
async fn sees(person: &Person) -> bool {
    let Reply::Channels(list) = person.done(Command::List { pattern: None, after: None }).await else {
        unreachable!()
    };
    !list.channels.is_empty()
}

/// Waits for the next warning with this code; returns its words.
async fn warned(person: &mut Person, wanted: Code) -> String {
    let what = format!("warning {wanted}");
    person
        .expect(&what, |event| match event {
            Event::Warning { code, reason, .. } if *code == wanted => Some(reason.clone()),
            _ => None,
        })
        .await
}

/// Waits until there is no connection to the channel for this reason.
async fn out_because(person: &mut Person, words: &str) {
    let what = format!("no connection, because {words}");
    person
        .expect(&what, |event| match event {
            Event::Connection { to, state: LinkState::Retrying, reason, .. } if to == "first" => {
                reason.as_ref().is_some_and(|reason| reason.contains(words)).then_some(())
            }
            _ => None,
        })
        .await;
}

/// Ken, who hosts on one machine and has another one, and charlie; all are in the channel and have talked.
struct Scene {
    world: World,
    /// Between the machine that hosts and the tracker.
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
        scene.talk(1).await;
        scene
    }

    /// Four messages, which all have read.
    async fn talk(&mut self, from: u64) {
        for seq in from..from + 4 {
            let writer = if seq % 2 == 0 { &self.charlie } else { &self.desk };
            writer.send("first", &format!("message {seq}")).await;
            for who in [&self.desk, &self.pocket, &self.charlie] {
                who.reads("first", seq).await;
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    /// The machine that hosts goes on without the tracker, and without the owner's other one.
    async fn desk_is_cut_off(&mut self) {
        self.pocket.leave("first").await;
        self.relay.cut();
        self.desk.expect_connection("tracker", LinkState::Retrying).await;
        self.charlie.send("first", "written behind the back").await;
        self.charlie.reads("first", 5).await;
        self.desk.reads("first", 5).await;
        self.charlie.expect("stored", stored).await;
    }
}

#[actix::test]
async fn a_channel_that_is_handed_over_goes_on_elsewhere_and_nobody_is_asked() {
    let mut scene = Scene::new().await;
    scene.desk.done(moderate(ModerationCommand::View(View::Restricted))).await;
    let charlie = WhoIs::Name("charlie".parse().unwrap());
    let authorize = ModerationCommand::Authorize { who: charlie, role: Grant::Moderator };
    scene.desk.done(moderate(authorize)).await;
    let before = said(&scene.desk.history("first").await);
    let path = scene.path("first.jsonl");
    let to = scene.pocket.whoami().await.key;
    let own = scene.desk.whoami().await.key;
    let hand_over = |to| Command::HandOver { channel: named("first"), heir: None, path: path.clone(), to };
    assert_eq!(scene.desk.refused(hand_over(own)).await, Code::Usage);
    assert_eq!(scene.pocket.refused(hand_over(to)).await, Code::NotHosted);
    scene.desk.done(hand_over(to)).await;

    // What is written meanwhile waits, and goes to whoever hosts then, once.
    scene.charlie.expect_connection("first", LinkState::Retrying).await;
    scene.charlie.send("first", "on the way").await;
    let hosting = takes_over(&scene.pocket, LogFrom::File(path.clone())).await;
    assert_eq!(hosting.head.seq, 4);
    assert_eq!(scene.charlie.expect("stored", stored).await, 5);
    for who in [&scene.desk, &scene.pocket, &scene.charlie] {
        who.reads("first", 5).await;
    }
    let after = said(&scene.charlie.history("first").await);
    assert_eq!((after.len(), &after[..4]), (5, &before[..]));
    // What both hosts have signed is one log, and who may do what is as it was.
    let Reply::Verified(verified) = scene.charlie.done(Command::Verify { channel: named("first") }).await
    else {
        unreachable!()
    };
    assert!(verified.sound && verified.logs.len() == 1, "{verified:?}");
    assert_eq!(verified.logs[0].signed.unwrap().seq, 5);
    assert_eq!(role(&scene.charlie).await, Role::Moderator);
    let stranger = scene.world.guest("eve").await;
    assert_eq!(stranger.refused(support::join("first")).await, Code::NoSuchChannel);
    // The file is used up, and the old machine does not host by itself.
    assert_eq!(scene.desk.refused(Command::Host { channel: named("first") }).await, Code::Superseded);
    assert_eq!(scene.desk.refused(take(LogFrom::File(path))).await, Code::ForeignExport);
    // It can take it back, and then members have to agree, for nobody has handed it over.
    let back = takes_over(&scene.desk, LogFrom::Received).await;
    assert_eq!(back.head.seq, 5);
    assert!(warned(&mut scene.pocket, Code::Superseded).await.contains("has moved"));
    out_because(&mut scene.charlie, "leave first, then join first").await;
    scene.charlie.leave("first").await;
    scene.charlie.join("first").await;
    scene.charlie.send("first", "back at the desk").await;
    scene.desk.reads("first", 6).await;
}

#[actix::test]
async fn a_host_that_is_cut_off_from_the_tracker_stops_when_a_member_knows_better() {
    let mut scene = Scene::new().await;
    scene.desk_is_cut_off().await;
    let hosting = takes_over(&scene.pocket, LogFrom::Received).await;
    assert_eq!(hosting.head.seq, 4);
    // The host knows nothing of it but by what charlie shows it, and that is signed.
    let why = warned(&mut scene.desk, Code::Superseded).await;
    assert!(why.contains("1 messages") && why.contains("history first --branch"), "{why}");
    assert_eq!(aside(&scene.desk).await, ["written behind the back"]);
    out_because(&mut scene.charlie, "leave first, then join first").await;
    // What charlie writes now goes to nobody before charlie agrees.
    scene.charlie.send("first", "to the new host").await;
    assert_eq!(scene.charlie.outbox().await.len(), 1);
    scene.charlie.leave("first").await;
    scene.charlie.join("first").await;
    let why = warned(&mut scene.charlie, Code::Superseded).await;
    assert!(why.contains("You wrote number 5"), "{why}");
    assert_eq!(scene.charlie.expect("stored", stored).await, 5);
    scene.pocket.reads("first", 5).await;
    assert_eq!(aside(&scene.charlie).await, ["written behind the back"]);
    let texts = scene.charlie.history("first").await;
    assert_eq!(texts[4].text.as_deref(), Some("to the new host"));
    assert_eq!(said(&texts), said(&scene.pocket.history("first").await));

    // After a restart charlie goes to the new host alone, and the old one does not begin again; with no tracker at all.
    scene.world.stop_tracker().await;
    scene.desk.restart().await;
    scene.charlie.restart().await;
    scene.charlie.expect_connection("first", LinkState::Up).await;
    scene.charlie.send("first", "still here").await;
    scene.pocket.reads("first", 6).await;
    assert_eq!(scene.desk.refused(Command::Host { channel: named("first") }).await, Code::Superseded);
}

#[actix::test]
async fn a_host_that_comes_back_to_the_tracker_learns_that_its_channel_has_moved() {
    let mut scene = Scene::new().await;
    scene.charlie.stop().await;
    scene.pocket.leave("first").await;
    scene.relay.cut();
    scene.desk.expect_connection("tracker", LinkState::Retrying).await;
    scene.desk.send("first", "said to nobody").await;
    scene.desk.reads("first", 5).await;
    takes_over(&scene.pocket, LogFrom::Received).await;
    scene.relay.mend();
    let why = warned(&mut scene.desk, Code::Superseded).await;
    assert!(why.contains("1 messages"), "{why}");
    assert_eq!(aside(&scene.desk).await, ["said to nobody"]);
    scene.pocket.send("first", "said to all").await;
    scene.pocket.reads("first", 5).await;
    // The desk is a member like any other then, once its user agrees.
    scene.desk.leave("first").await;
    scene.desk.join_soon("first").await;
    scene.desk.reads("first", 5).await;
    assert_eq!(said(&scene.desk.history("first").await), said(&scene.pocket.history("first").await));
}

#[actix::test]
async fn a_channel_whose_log_is_lost_begins_anew_and_keeps_who_may_do_what() {
    let mut scene = Scene::new().await;
    scene.desk.done(moderate(ModerationCommand::View(View::Restricted))).await;
    let charlie = WhoIs::Name("charlie".parse().unwrap());
    scene.desk.done(moderate(ModerationCommand::Authorize { who: charlie, role: Grant::Authorized })).await;
    let stranger = scene.world.guest("eve").await;
    until("the tracker knows who may enter", async || sees(&scene.charlie).await && !sees(&stranger).await)
        .await;
    scene.desk.stop().await;
    let hosting = takes_over(&scene.pocket, LogFrom::Nothing).await;
    assert_eq!(hosting.head.seq, 0);
    scene.charlie.leave("first").await;
    scene.charlie.join("first").await;
    warned(&mut scene.charlie, Code::NewLog).await;
    scene.charlie.send("first", "we begin anew").await;
    scene.pocket.reads("first", 1).await;
    assert_eq!(stranger.refused(support::join("first")).await, Code::NoSuchChannel);
}

#[actix::test]
async fn a_log_that_is_not_whole_or_not_proven_is_not_enough() {
    let mut scene = Scene::new().await;
    let (short, foreign) = (scene.path("short.jsonl"), scene.path("foreign.jsonl"));
    export(&scene.desk, &short).await;
    scene.talk(5).await;
    // A restart tells the tracker how far the log is.
    scene.desk.restart().await;
    scene.desk.expect_connection("first", LinkState::Up).await;
    let located = async || scene.pocket.channel("first").await.state == LinkState::Up;
    until("the host is back", located).await;
    assert_eq!(scene.pocket.refused(take(LogFrom::File(short.clone()))).await, Code::LogBehind);
    let forged = std::fs::read_to_string(&short).unwrap().replacen("message 3", "message 9", 1);
    std::fs::write(&foreign, forged).unwrap();
    assert_eq!(scene.pocket.refused(take(LogFrom::File(foreign))).await, Code::BadExport);
    let newcomer = scene.world.guest("ken-too").await;
    newcomer.signin("ken", PASSWORD).await.unwrap();
    assert_eq!(newcomer.refused(take(LogFrom::Received)).await, Code::NotJoined);
    // Nothing of all that has moved anything; a member's file is as good as the host's.
    scene.charlie.send("first", "all is as it was").await;
    scene.desk.reads("first", 9).await;
    scene.charlie.reads("first", 9).await;
    let whole = scene.path("whole.jsonl");
    export(&scene.charlie, &whole).await;
    assert_eq!(takes_over(&newcomer, LogFrom::File(whole)).await.head.seq, 9);
}

#[actix::test]
async fn a_channel_is_given_to_another_account_and_members_need_not_be_asked() {
    let mut scene = Scene::new().await;
    let path = scene.path("first.jsonl");
    let (to, visitor) = (scene.charlie.whoami().await.key, scene.world.guest("visitor").await);
    let folder = scene.world.folder().to_owned();
    let give = |heir: &str, name: &str| Command::HandOver {
        channel: named("first"),
        heir: Some(heir.parse().unwrap()),
        path: folder.join(name),
        to,
    };
    assert_eq!(scene.desk.refused(give("nobody-at-all", "no")).await, Code::NoSuchUser);
    assert_eq!(scene.desk.refused(give("visitor", "no")).await, Code::NotRegistered);
    assert_eq!(scene.desk.refused(give("ken", "no")).await, Code::Usage);
    // It can be taken back as long as it was not taken; what was signed before counts for nothing then.
    let old = scene.path("old.jsonl");
    scene.desk.done(give("charlie", "old.jsonl")).await;
    takes_over(&scene.desk, LogFrom::Received).await;
    scene.charlie.expect_connection("first", LinkState::Up).await;
    assert_eq!(scene.charlie.refused(take(LogFrom::File(old))).await, Code::BadRequest);
    scene.desk.done(give("charlie", "first.jsonl")).await;
    // Both agree, or nothing happens; and nobody else can.
    assert_eq!(visitor.refused(take(LogFrom::File(path.clone()))).await, Code::NotOwner);
    assert_eq!(scene.pocket.refused(take(LogFrom::File(path.clone()))).await, Code::BadRequest);
    takes_over(&scene.charlie, LogFrom::File(path)).await;
    scene.pocket.expect_connection("first", LinkState::Retrying).await;
    scene.pocket.expect_connection("first", LinkState::Up).await;
    scene.pocket.send("first", "it is yours now").await;
    scene.charlie.reads("first", 5).await;
    let Reply::Info(info) = scene.pocket.done(Command::Info { channel: named("first") }).await else {
        unreachable!()
    };
    assert_eq!((info.owner.name.as_str(), info.term), ("charlie", 3));
    assert_eq!(role(&scene.charlie).await, Role::Owner);
    assert_eq!(scene.desk.refused(Command::Host { channel: named("first") }).await, Code::Superseded);
    assert_eq!(scene.pocket.refused(take(LogFrom::Received)).await, Code::NotOwner);
}

#[actix::test]
async fn nobody_but_the_owner_takes_a_channel_over() {
    let scene = Scene::new().await;
    let charlie = WhoIs::Name("charlie".parse().unwrap());
    scene.desk.done(moderate(ModerationCommand::Authorize { who: charlie, role: Grant::Moderator })).await;
    let path = scene.path("first.jsonl");
    export(&scene.desk, &path).await;
    let eve = scene.world.guest("eve").await;
    for log in [LogFrom::File(path), LogFrom::Received, LogFrom::Nothing] {
        assert_eq!(scene.charlie.refused(take(log.clone())).await, Code::NotOwner);
        assert_eq!(eve.refused(take(log)).await, Code::NotOwner);
    }
    scene.charlie.send("first", "all is as it was").await;
    scene.desk.reads("first", 5).await;
    assert!(scene.charlie.events().iter().find_map(refused).is_none());
}
