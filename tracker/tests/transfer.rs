//! Channels are offered to accounts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use common::id::{AccountId, ChannelId, Subject};
use common::identity::Identity;
use common::proto::directory::{Host, Policy, Unhost, View};
use common::proto::event::TrackerEvent;
use common::proto::status::Code;
use common::proto::transfer::{Offered, Offers, Transfer};
use support::{Client, PASSWORD, Running, channel, config, start};
use tempfile::TempDir;

struct Scene {
    _folder: TempDir,
    tracker: Running,
    ken: Client,
    ada: Client,
    ada_key: Identity,
    ada_id: AccountId,
    eve: Client,
    secret: Host,
}

fn id_of(subject: Subject) -> AccountId {
    match subject {
        Subject::Account(id) => id,
        Subject::Guest(_) => panic!("a guest"),
    }
}

async fn offers(client: &Client) -> Vec<ChannelId> {
    let Offers { offers } = client.ask(&Transfer::default()).await.unwrap();
    offers.into_iter().map(|offer| offer.id).collect()
}

async fn told(client: &mut Client) -> Offered {
    match client.event().await {
        TrackerEvent::Offered(told) => told,
        other => panic!("{other:?}"),
    }
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tracker = start(config(folder.path())).await;
        let (ken, eve, ada_key) =
            (tracker.account("ken").await, tracker.account("eve").await, Identity::generate().unwrap());
        let ada = tracker.client(&ada_key).await;
        let ada_id = id_of(ada.signup("ada", PASSWORD).await.unwrap().subject);
        let policy = Policy { rev: 1, view: View::Restricted, ..Policy::default() };
        let secret = Host { policy, ..channel("secret") };
        ken.host(&secret).await.unwrap();
        Self { _folder: folder, tracker, ken, ada, ada_key, ada_id, eve, secret }
    }

    fn to_ada(&self) -> Transfer {
        Transfer { id: Some(self.secret.id), to: Some(self.ada_id), end: false }
    }

    fn end(&self) -> Transfer {
        Transfer { id: Some(self.secret.id), to: None, end: true }
    }
}

#[actix_rt::test]
async fn an_offer_is_told_now_and_to_who_comes_later_and_ends_by_either_side() {
    let mut scene = Scene::new().await;
    let made = scene.ken.ask(&scene.to_ada()).await.unwrap();
    assert_eq!(made.offers.len(), 1);
    let first = told(&mut scene.ada).await;
    assert!(!first.ended && first.offer == made.offers[0], "{first:?}");
    assert_eq!((first.offer.from.name.as_str(), first.offer.name.as_str()), ("ken", "secret"));
    assert_eq!(offers(&scene.ada).await, [scene.secret.id]);
    scene.ada.hang_up().await;
    scene.ada = scene.tracker.client(&scene.ada_key).await;
    scene.ada.renew().await.unwrap();
    assert_eq!(told(&mut scene.ada).await, first);
    // Whoever renews the pass has been told.
    scene.ada.renew().await.unwrap();
    scene.ada.expect_nothing().await;
    assert!(scene.ada.ask(&scene.end()).await.unwrap().offers.is_empty());
    for client in [&mut scene.ken, &mut scene.ada] {
        assert!(told(client).await.ended);
    }
    assert_eq!(scene.ken.ask(&scene.end()).await.unwrap_err(), Code::NoSuchChannel, "there is none any more");
    scene.ken.ask(&scene.to_ada()).await.unwrap();
    scene.ken.ask(&scene.end()).await.unwrap();
    let (open, ended) = (told(&mut scene.ada).await, told(&mut scene.ada).await);
    assert!(!open.ended && ended.ended);
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn nobody_else_makes_learns_of_or_ends_an_offer() {
    let mut scene = Scene::new().await;
    let to_eve = |id| Transfer { id: Some(id), to: Some(scene.ada_id), end: false };
    assert_eq!(scene.eve.ask(&to_eve(scene.secret.id)).await.unwrap_err(), Code::NoSuchChannel);
    assert_eq!(scene.eve.ask(&to_eve(ChannelId::new())).await.unwrap_err(), Code::NoSuchChannel);
    let pocket = scene.tracker.stranger().await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    assert_eq!(pocket.ask(&scene.to_ada()).await.unwrap_err(), Code::HostedElsewhere);
    let nobody = Transfer { to: Some(AccountId::new()), ..scene.to_ada() };
    assert_eq!(scene.ken.ask(&nobody).await.unwrap_err(), Code::NoSuchUser);
    for odd in [
        Transfer { id: None, ..scene.to_ada() },
        Transfer { end: true, ..scene.to_ada() },
        Transfer { to: None, ..scene.to_ada() },
    ] {
        assert_eq!(scene.ken.ask(&odd).await.unwrap_err(), Code::BadRequest);
    }
    scene.ken.ask(&scene.to_ada()).await.unwrap();
    assert_eq!(scene.eve.ask(&scene.end()).await.unwrap_err(), Code::NoSuchChannel);
    assert!(offers(&scene.eve).await.is_empty());
    scene.eve.expect_nothing().await;
    // Given up, it is offered to nobody.
    scene.ken.ask(&Unhost { id: scene.secret.id, release: true }).await.unwrap();
    assert!(offers(&scene.ada).await.is_empty() && offers(&scene.ken).await.is_empty());
    scene.tracker.stop().await;
}

#[actix_rt::test]
async fn of_too_many_offers_to_one_user_the_first_go_and_who_asks_too_often_waits() {
    let scene = Scene::new().await;
    let mut made = Vec::new();
    for n in 0..34 {
        let one = channel(&format!("room {n}"));
        scene.ken.host(&one).await.unwrap();
        scene.ken.ask(&Transfer { id: Some(one.id), ..scene.to_ada() }).await.unwrap();
        made.push(one.id);
    }
    let mut got = offers(&scene.ada).await;
    got.sort_unstable();
    made.drain(..2);
    made.sort_unstable();
    assert_eq!(got, made);
    let mut last = Ok(Offers::default());
    for _ in 0..61 {
        last = scene.eve.ask(&Transfer::default()).await;
    }
    assert_eq!(last.unwrap_err(), Code::TooManyRequests);
    scene.tracker.stop().await;
}
