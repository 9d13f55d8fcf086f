//! A channel is offered to somebody over the network, and taken.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::proto::channel::Role;
use common::proto::directory::{Policy, Signin, View};
use common::proto::policy::Grant;
use common::proto::status::{Code, Refusal};
use common::proto::transfer::{Take, Taken};
use common::secret::Secret;
use peer::api::{
    Command, Event, Hosting, LinkState, ModerationCommand, OfferRow, Reply, TransferCommand, WhoIs,
};
use support::{Person, Raw, Relay, World, named, stored, until};

const PASSWORD: &str = "correct horse battery";

fn transfer(asked: TransferCommand) -> Command {
    Command::Transfer(asked)
}

fn offer(user: &str) -> Command {
    transfer(TransferCommand::Offer { channel: named("first"), user: user.parse().unwrap() })
}

fn accept() -> Command {
    transfer(TransferCommand::Accept { channel: named("first") })
}

fn withdraw() -> Command {
    transfer(TransferCommand::Withdraw { channel: named("first") })
}

fn moderate(order: ModerationCommand) -> Command {
    Command::Moderate { channel: named("first"), order }
}

async fn offers(person: &Person) -> Vec<OfferRow> {
    let Reply::Offers(list) = person.done(transfer(TransferCommand::List)).await else { unreachable!() };
    list.offers
}

async fn offered(person: &mut Person, is_over: bool) -> OfferRow {
    let what = if is_over { "the end of an offer" } else { "an offer" };
    let wanted = |event: &Event| match event {
        Event::Offered { offer, ended } if *ended == is_over => Some(offer.clone()),
        _ => None,
    };
    person.expect(what, wanted).await
}

async fn takes(person: &Person) -> Hosting {
    let Reply::Hosting(hosting) = person.done(accept()).await else { unreachable!() };
    hosting
}

async fn refusal(person: &Person, command: Command) -> Refusal {
    person.perform(command).await.unwrap_err()
}

async fn warned(person: &mut Person, wanted: Code) -> String {
    let of_it = |event: &Event| match event {
        Event::Warning { code, reason, .. } if *code == wanted => Some(reason.clone()),
        _ => None,
    };
    person.expect("a warning", of_it).await
}

async fn policy_of(person: &Person) -> (Role, View) {
    let Reply::Info(info) = person.done(Command::Info { channel: named("first") }).await else {
        unreachable!()
    };
    (info.role, info.policy.view)
}

/// Ken, who hosts, and whose way to the tracker can be cut; ada, who is a member; charlie, who never was.
struct Scene {
    world: World,
    relay: Relay,
    ken: Person,
    ada: Person,
    charlie: Person,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let mut relay = Relay::new().await;
        let mut config = world.config("ken");
        config.tracker.address = relay.address().as_str().trim_start_matches("tcp:").to_owned();
        relay.lead_to(world.address);
        let ken = world.person(config).await;
        ken.entered().await;
        let (ada, charlie) = (world.guest("ada").await, world.guest("charlie").await);
        for person in [&ken, &ada, &charlie] {
            person.signup(PASSWORD).await;
        }
        ken.host("first").await;
        ada.join("first").await;
        for seq in 1..=60 {
            ken.send("first", &format!("message {seq}")).await;
        }
        ada.reads("first", 60).await;
        Self { world, relay, ken, ada, charlie }
    }

    /// Another device of charlie's account takes the channel, and does not tell the tracker.
    async fn is_taken_by_another_device(&self, name: &str) -> Taken {
        let mut raw = Raw::guest(&self.world, name).await;
        let signin = Signin { name: "charlie".parse().unwrap(), password: Secret::new(PASSWORD) };
        raw.pass = raw.control.request(&signin).await.unwrap().pass;
        let seat = raw.enter(&raw.locate("first").await, None).await.unwrap().read();
        seat.ask(&Take {}).await.unwrap()
    }

    /// Everybody is in one log, which goes on at charlie's, and nobody was asked whether to trust it.
    async fn is_charlies(&mut self) {
        self.ada.send("first", "to whoever hosts").await;
        let last = self.ada.expect("stored", stored).await;
        for who in [&self.ken, &self.ada, &self.charlie] {
            who.reads("first", last).await;
        }
        assert_eq!(policy_of(&self.charlie).await.0, Role::Owner);
        assert_ne!(policy_of(&self.ken).await.0, Role::Owner);
        assert_eq!(self.ken.refused(Command::Host { channel: named("first") }).await, Code::Superseded);
        assert!(offers(&self.ken).await.is_empty() && offers(&self.charlie).await.is_empty());
    }

    /// Ken hosts, takes what is written, and the offer can be taken again.
    async fn is_kens(&mut self, seq: u64) {
        self.ada.send("first", "to whoever hosts").await;
        assert_eq!(self.ada.expect("stored", stored).await, seq);
        self.ken.reads("first", seq).await;
        assert_eq!(policy_of(&self.ken).await.0, Role::Owner);
    }
}

#[actix::test]
async fn both_agree_and_members_follow_with_all_that_was_said() {
    let mut scene = Scene::new().await;
    scene.ken.done(moderate(ModerationCommand::View(View::Restricted))).await;
    let ada = WhoIs::Name("ada".parse().unwrap());
    scene.ken.done(moderate(ModerationCommand::Authorize { who: ada, role: Grant::Moderator })).await;
    assert_eq!(refusal(&scene.charlie, accept()).await.code, Code::NoSuchChannel);
    assert_eq!(scene.charlie.refused(support::join("first")).await, Code::NoSuchChannel);
    // Nobody but the owner offers it, and to nobody but an account.
    assert_eq!(scene.ada.refused(offer("charlie")).await, Code::NotHosted);
    let _gus = scene.world.guest("gus").await;
    assert_eq!(scene.ken.refused(offer("gus")).await, Code::NotRegistered);
    assert_eq!(scene.ken.refused(offer("ken")).await, Code::Usage);
    assert_eq!(scene.ken.refused(withdraw()).await, Code::NotAllowed);
    let Reply::Offers(made) = scene.ken.done(offer("charlie")).await else { unreachable!() };
    assert!(made.offers.len() == 1 && made.offers[0].yours, "{made:?}");
    let told = offered(&mut scene.charlie, false).await;
    assert_eq!((told.from.as_str(), told.channel.as_str(), told.yours), ("ken", "first", false));
    assert!(offers(&scene.ada).await.is_empty(), "it is nobody else's business");
    assert_eq!(scene.ada.refused(accept()).await, Code::NoSuchChannel);

    assert_eq!(takes(&scene.charlie).await.head.seq, 60);
    let told = warned(&mut scene.ken, Code::Superseded).await;
    assert!(told.contains("charlie's now"), "{told}");
    scene.is_charlies().await;
    assert_eq!(policy_of(&scene.charlie).await.1, View::Restricted, "nobody gets in by it");
    assert_eq!(policy_of(&scene.ada).await.0, Role::Moderator);
    let all =
        scene.charlie.perform(Command::History { channel: named("first"), count: 100, before: None }).await;
    let Ok(Reply::History(all)) = all else { unreachable!() };
    assert_eq!(all.messages.len(), 61);
    let Ok(Reply::Verified(verified)) = scene.ada.perform(Command::Verify { channel: named("first") }).await
    else {
        unreachable!()
    };
    assert!(verified.sound, "{verified:?}");
}

#[actix::test]
async fn an_offer_waits_for_whoever_is_away_and_is_turned_down_or_taken_back() {
    let mut scene = Scene::new().await;
    scene.charlie.stop().await;
    scene.ken.done(offer("charlie")).await;
    scene.charlie.start().await;
    offered(&mut scene.charlie, false).await;
    scene.charlie.done(transfer(TransferCommand::Decline { channel: named("first") })).await;
    assert!(offered(&mut scene.ken, true).await.yours);
    assert_eq!(scene.charlie.refused(accept()).await, Code::NoSuchChannel);
    assert_eq!(scene.ken.refused(withdraw()).await, Code::NotAllowed, "the host knows it too");

    scene.ken.done(offer("charlie")).await;
    offered(&mut scene.charlie, false).await;
    scene.ken.done(withdraw()).await;
    offered(&mut scene.charlie, true).await;
    assert_eq!(scene.charlie.refused(accept()).await, Code::NoSuchChannel);
    // Another one takes its place, and whoever had it is told.
    scene.ken.done(offer("charlie")).await;
    offered(&mut scene.charlie, false).await;
    scene.ken.done(offer("ada")).await;
    offered(&mut scene.charlie, true).await;
    assert_eq!(scene.charlie.refused(accept()).await, Code::NoSuchChannel);
    assert_eq!(offers(&scene.ken).await[0].to.as_str(), "ada");
    scene.is_kens(61).await;
}

#[actix::test]
async fn while_the_host_is_away_nothing_is_taken_and_the_offer_stays() {
    let mut scene = Scene::new().await;
    scene.ken.done(offer("charlie")).await;
    scene.ken.stop().await;
    let why = refusal(&scene.charlie, accept()).await;
    assert!(why.reason.contains("still ken's") && why.reason.contains("transfer first --accept"), "{why}");
    scene.ken.start().await;
    scene.ken.entered().await;
    until("it is taken", async || scene.charlie.perform(accept()).await.is_ok()).await;
    scene.is_charlies().await;
}

#[actix::test]
async fn what_was_signed_and_not_used_is_taken_back_by_its_host() {
    let mut scene = Scene::new().await;
    scene.ken.done(offer("charlie")).await;
    // Charlie's peer has what ken's has signed, and dies before it tells the tracker.
    let taken = scene.is_taken_by_another_device("another").await;
    assert_eq!(taken.policy, Policy::default());
    scene.ada.send("first", "to whoever hosts").await;
    until("it waits", async || scene.ada.outbox().await.iter().any(|item| item.reason.is_some())).await;
    let waiting = scene.ada.outbox().await[0].reason.clone().unwrap();
    assert!(waiting.contains("handed over"), "{waiting}");
    scene.ken.done(withdraw()).await;
    assert_eq!(scene.ada.expect("stored", stored).await, 61);
    assert_eq!(scene.charlie.refused(accept()).await, Code::NoSuchChannel);
    scene.is_kens(62).await;
}

#[actix::test]
async fn a_host_that_was_killed_after_it_has_signed_takes_the_channel_back_or_learns_that_it_is_gone() {
    let mut scene = Scene::new().await;
    scene.ken.done(offer("charlie")).await;
    scene.is_taken_by_another_device("yet-another").await;
    scene.ken.restart().await;
    scene.ken.entered().await;
    scene.is_kens(61).await;
    // The offer holds still; this time it goes through, while ken's peer is away.
    scene.is_taken_by_another_device("third").await;
    scene.relay.cut();
    scene.ken.expect_connection("tracker", LinkState::Retrying).await;
    let hosting = takes(&scene.charlie).await;
    assert_eq!(hosting.head.seq, 61);
    scene.relay.mend();
    let told = warned(&mut scene.ken, Code::Superseded).await;
    assert!(told.contains("charlie's now"), "{told}");
    scene.ada.send("first", "to charlie").await;
    assert_eq!(scene.ada.expect("stored", stored).await, 62);
    scene.ken.reads("first", 62).await;
}

#[actix::test]
async fn without_the_tracker_nothing_changes_hands() {
    let mut scene = Scene::new().await;
    scene.ken.done(offer("charlie")).await;
    scene.is_taken_by_another_device("fourth").await;
    scene.world.stop_tracker().await;
    assert!(scene.charlie.perform(accept()).await.is_err());
    // Nobody can know by now who hosts it, so nobody takes anything.
    scene.ken.send("first", "from its owner").await;
    until("it waits", async || scene.ken.outbox().await.iter().any(|item| item.reason.is_some())).await;
    scene.world.start_tracker().await;
    until("it is taken", async || scene.charlie.perform(accept()).await.is_ok()).await;
    scene.is_charlies().await;
}
