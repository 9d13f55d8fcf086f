//! Faults of who may do what.

use std::collections::BTreeMap;

use common::id::{AccountId, RequestId, Subject};
use common::identity::Identity;
use common::link::{CloseReason, Inbound, Inbox, Link, RequestError};
use common::proto::Command as Request;
use common::proto::channel::{Connect, Debug, History, Members, RetInfo, Role, SetPost, SetView};
use common::proto::directory::{Grant, Policy, Post, SetPolicy, View};
use common::proto::session::Ping;
use common::proto::status::{Code, Refusal};
use peer::api::{
    Command, Done, Event, LinkState, Moderated, ModerationCommand as Order, OutgoingState, Reply, WhoIs,
};
use serde_json::json;

use crate::support::{Person, Raw, World, join, named, refused, stored, text_message, until, within};

const PASSWORD: &str = "correct horse battery";

fn who(name: &str) -> WhoIs {
    WhoIs::Name(name.parse().unwrap())
}

fn order(order: Order) -> Command {
    Command::Moderate { channel: named("first"), order }
}

async fn does(person: &Person, asked: Order) -> Moderated {
    let Reply::Moderated(moderated) = person.done(order(asked)).await else { unreachable!() };
    moderated
}

fn authorize(name: &str) -> Order {
    Order::Authorize { who: who(name), role: Grant::Authorized }
}

/// Somebody with an account.
async fn account(world: &World, name: &str) -> Person {
    let person = world.guest(name).await;
    person.signup(PASSWORD).await;
    person
}

/// A world in which ken, who has an account, hosts a channel.
async fn scene() -> (World, Person) {
    let world = World::new().await;
    let ken = account(&world, "ken").await;
    ken.host("first").await;
    (world, ken)
}

#[actix::test]
async fn nobody_becomes_somebody_by_saying_so() {
    let (world, ken) = scene().await;
    let mallory = Raw::guest(&world, "mallory").await;
    let record = mallory.locate("first").await;
    let seat = mallory.enter(&record, None).await.unwrap().read();
    assert_eq!(seat.connected.role, Role::Guest);
    let the_owner = ken.whoami().await.subject.unwrap();
    // Owner, account and role are claimed in every place there is; only what TLS and the pass have proved counts.
    for (command, body) in [
        ("VIEW", json!({"view": "restricted", "username": "ken", "by": the_owner, "role": "owner"})),
        ("POST", json!({"post": "authorized", "user_type": "REGISTERED", "kind": "account"})),
        ("BAN", json!({"subject": the_owner, "by": the_owner})),
        ("DEBUG", json!({"username": "ken"})),
    ] {
        let request = json!({"id": RequestId::new(), "command": command, "role": "owner", "body": body});
        seat.link.push(format!("{request}\n").into()).unwrap();
    }
    seat.ask(&Ping {}).await.unwrap();
    let info = seat.ask(&RetInfo {}).await.unwrap();
    assert_eq!((info.policy.rev, info.role), (0, Role::Guest), "nothing of that was done");
    ken.barrier("first").await;
    assert_eq!(ken.channel("first").await.state, LinkState::Up);
}

#[actix::test]
async fn nobody_but_owner_and_moderators_turns_a_switch_neither_here_nor_at_the_tracker() {
    let (world, ken) = scene().await;
    let (eve, mallory) = (account(&world, "eve").await, Raw::guest(&world, "mallory").await);
    eve.join("first").await;
    assert_eq!(eve.refused(order(Order::View(View::Restricted))).await, Code::NotModerator);
    let record = mallory.locate("first").await;
    let seat = mallory.enter(&record, None).await.unwrap().read();
    let view = seat.ask(&SetView { view: View::Restricted }).await;
    assert_eq!(view.unwrap_err().code, Code::NotModerator);
    let post = seat.ask(&SetPost { post: Post::Authorized }).await;
    assert_eq!(post.unwrap_err().code, Code::NotModerator);
    let policy = Policy { rev: 99, view: View::Restricted, ..Policy::default() };
    let told = mallory.control.request(&SetPolicy { id: record.id, policy }).await;
    assert_eq!(told.unwrap_err().into_refusal().code, Code::NotOwner);
    assert_eq!(mallory.locate("first").await.id, record.id, "it is listed as it was");
    ken.barrier("first").await;
}

#[actix::test]
async fn the_owner_does_not_lock_itself_out() {
    let (world, mut ken) = scene().await;
    let ada = account(&world, "ada").await;
    ada.join("first").await;
    for asked in [
        Order::Deauthorize { who: who("ken") },
        Order::Kick { who: who("ken"), why: None },
        Order::Ban { who: who("ken"), why: None },
    ] {
        assert_eq!(ken.refused(order(asked)).await, Code::NotAllowed);
    }
    does(&ken, Order::Authorize { who: who("ada"), role: Grant::Moderator }).await;
    assert_eq!(ada.refused(order(Order::Ban { who: who("ken"), why: None })).await, Code::NotAllowed);
    does(&ken, Order::View(View::Restricted)).await;
    does(&ken, Order::Post(Post::Authorized)).await;
    ken.restart().await;
    ken.entered().await;
    ken.expect_connection("first", LinkState::Up).await;
    ken.send("first", "still my channel").await;
    ken.expect("stored", stored).await;
    // From another device, too.
    let pocket = world.guest("pocket").await;
    pocket.signin("ken", PASSWORD).await.unwrap();
    assert_eq!(pocket.join("first").await.role, Role::Owner);
    assert!(does(&pocket, Order::View(View::Public)).await.changed);
}

#[actix::test]
async fn an_account_is_authorized_also_while_it_is_away_and_stays_so() {
    let (world, mut ken) = scene().await;
    let mut ada = account(&world, "ada").await;
    ada.stop().await;
    does(&ken, Order::View(View::Restricted)).await;
    let done = does(&ken, authorize("ADA")).await;
    assert!(
        done.changed && matches!(done.done, Done::Role { who, .. } if who.name.as_deref() == Some("ada"))
    );
    ken.restart().await;
    ken.entered().await;
    ken.expect_connection("first", LinkState::Up).await;
    ada.start().await;
    ada.entered().await;
    ada.join_soon("first").await;
    ada.send("first", "in").await;
    ada.expect("stored", stored).await;
    // A guest is told what it takes.
    let _gus = world.guest("gus").await;
    assert_eq!(ken.refused(order(authorize("gus"))).await, Code::NotRegistered);
    assert_eq!(ken.refused(order(authorize("nobody"))).await, Code::NoSuchUser);
}

#[actix::test]
async fn a_restricted_view_counts_for_those_who_are_inside() {
    let (world, ken) = scene().await;
    let mut gus = world.guest("gus").await;
    gus.join("first").await;
    gus.send("first", "before").await;
    gus.expect("stored", stored).await;
    does(&ken, Order::View(View::Restricted)).await;
    gus.expect("why", |event| {
        matches!(event, Event::ViewChanged { view: View::Restricted, by, .. } if by == "ken").then_some(())
    })
    .await;
    let reason = gus
        .expect("being put out", |event| match event {
            Event::Connection { to, state: LinkState::Retrying, reason, .. } if to == "first" => {
                reason.clone()
            }
            _ => None,
        })
        .await;
    assert!(reason.contains("authorized") && reason.contains("join first"), "{reason}");
    ken.send("first", "among ourselves").await;
    ken.reads("first", 2).await;
    assert_eq!(gus.texts("first"), ["before"], "who is out hears nothing more");
    // What is written meanwhile is kept, and what the client says is what there is to say.
    gus.send("first", "may I?").await;
    let refusal = gus.perform(join("first")).await.unwrap_err();
    assert_eq!(refusal.code, Code::NoSuchChannel);
    assert!(
        refusal.reason.contains("gone, closed, or not for you; what is to be sent there is kept"),
        "{refusal}"
    );
    let status = gus.channel("first").await;
    assert_eq!((status.queued, status.state), (1, LinkState::Retrying));
    assert!(status.reason.is_some_and(|reason| reason.contains("in 60 min")), "it is tried again hourly");
    does(&ken, Order::View(View::Public)).await;
    // The tracker tells as soon as it is open again: nobody waits for an hour.
    gus.expect_connection("first", LinkState::Up).await;
    gus.expect("stored", stored).await;
    ken.reads("first", 3).await;
}

#[actix::test]
async fn a_lost_authorization_pauses_the_queue_until_the_user_says_so() {
    let (world, ken) = scene().await;
    let mut ada = account(&world, "ada").await;
    ada.join("first").await;
    does(&ken, Order::Post(Post::Authorized)).await;
    ada.send("first", "one").await;
    assert_eq!(ada.expect("refused", refused).await, Code::NotAllowed);
    ada.send("first", "two").await;
    let is_queued =
        |event: &Event| matches!(event, Event::Outgoing { state: OutgoingState::Queued, .. }).then_some(());
    ada.expect("queued", is_queued).await;
    does(&ken, authorize("ada")).await;
    ada.expect("the role", |event| {
        matches!(event, Event::RoleChanged { you: true, role: Role::Authorized, .. }).then_some(())
    })
    .await;
    assert_eq!(ada.outbox().await.len(), 2, "nothing goes out before its author wants it");
    ada.retry("first").await;
    for seq in [1, 2] {
        ken.reads("first", seq).await;
    }
    assert_eq!(ken.texts("first"), ["one", "two"]);
}

#[actix::test]
async fn a_kick_ends_rejoining_until_the_user_joins() {
    let (world, ken) = scene().await;
    let mut gus = world.guest("gus").await;
    gus.join("first").await;
    let kicked = does(&ken, Order::Kick { who: who("gus"), why: Some("calm down".to_owned()) }).await;
    assert!(kicked.changed);
    let why = gus
        .expect("KICKED", |event| match event {
            Event::Kicked { why, banned: false, retry_after_ms: Some(_), .. } => why.clone(),
            _ => None,
        })
        .await;
    assert_eq!(why, "calm down");
    gus.expect_connection("first", LinkState::Down).await;
    assert!(!gus.channel("first").await.joined);
    // Neither the channel's coming up again nor a restart brings them back; only their own wish, after a minute.
    gus.restart().await;
    gus.entered().await;
    gus.barrier_of_tracker().await;
    let status = gus.channel("first").await;
    assert_eq!((status.joined, status.state), (false, LinkState::Down));
    let refusal = gus.perform(join("first")).await.unwrap_err();
    assert_eq!(refusal.code, Code::Kicked);
    assert!(refusal.retry_after_ms.is_some_and(|millis| millis <= 60_000));
    assert!(!gus.channel("first").await.joined, "a refused join is no join");
}

#[actix::test]
async fn who_is_banned_finds_no_such_channel_under_any_name() {
    let (world, ken) = scene().await;
    let mut gus = world.guest("gus").await;
    gus.join("first").await;
    does(&ken, Order::Ban { who: who("gus"), why: None }).await;
    gus.expect("KICKED", |event| matches!(event, Event::Kicked { banned: true, .. }).then_some(())).await;
    let gone = async || {
        gus.perform(join("first")).await.err().map(|refusal| refusal.code) == Some(Code::NoSuchChannel)
    };
    until("the tracker knows it too", gone).await;
    gus.done(Command::Guest { name: Some("gustav".parse().unwrap()) }).await;
    assert_eq!(gus.refused(join("first")).await, Code::NoSuchChannel);
    gus.signup(PASSWORD).await;
    assert_eq!(gus.refused(join("first")).await, Code::NoSuchChannel);
    let Reply::Bans(list) = ken.done(order(Order::Bans)).await else { unreachable!() };
    assert_eq!((list.total, list.bans[0].name.as_deref(), list.bans[0].by.as_str()), (1, Some("gus"), "ken"));
    assert!(does(&ken, Order::Unban { who: who("gus") }).await.changed, "by the name of that time");
    gus.join("first").await;
}

/// A connection that is not a member's: it has said HELLO, and shows what it is answered.
struct Visitor {
    link: Link,
    inbox: Inbox,
}

impl Visitor {
    async fn ask<C: Request>(&mut self, command: &C) -> Option<Refusal> {
        within(self.inbox.ask(&self.link, command)).await.err().map(RequestError::into_refusal)
    }
}

#[actix::test]
async fn a_restricted_channel_answers_connect_like_none_even_to_a_pass_that_does_not_count() {
    let (world, ken) = scene().await;
    let (mut raw, banned) = (Raw::guest(&world, "gus").await, Raw::guest(&world, "mallory").await);
    let record = raw.locate("first").await;
    let by_key = WhoIs::Subject(Subject::Guest(banned.identity.key()));
    does(&ken, Order::Ban { who: by_key, why: None }).await;
    does(&ken, Order::View(View::Restricted)).await;
    let stranger = Raw::guest(&world, "eve").await;
    raw.renew().await;
    for raw in [&raw, &banned, &stranger] {
        let (link, inbox) = raw.reach(&record).await;
        let mut visitor = Visitor { link, inbox };
        let mut said = Vec::new();
        for channel in [record.id, common::id::ChannelId::new()] {
            // A pass that counts, and one of somebody else.
            let other =
                if raw.identity.key() == stranger.identity.key() { &banned.pass } else { &stranger.pass };
            for pass in [&raw.pass, other] {
                let connect = Connect {
                    channel,
                    pass: pass.clone(),
                    have: None,
                    tail: 50,
                    invisible: false,
                    proof: None,
                    moved: None,
                };
                said.push(visitor.ask(&connect).await.expect("nobody gets in"));
            }
        }
        assert_eq!((said[0].code.clone(), said[1].code.clone()), (Code::NoSuchChannel, Code::BadPass));
        assert_eq!(said[..2], said[2..], "word for word");
        // Without having entered nothing else is answered either.
        for refused in [
            visitor.ask(&History::default()).await,
            visitor.ask(&Members::default()).await,
            visitor.ask(&RetInfo {}).await,
            visitor.ask(&Debug {}).await,
        ] {
            assert_eq!(refused.map(|refusal| refusal.code), Some(Code::WrongPhase));
        }
    }
}

#[actix::test]
async fn a_member_who_is_put_out_is_sent_nothing_more_of_the_channel() {
    let (world, ken) = scene().await;
    let raw = Raw::guest(&world, "gus").await;
    let record = raw.locate("first").await;
    let seat = raw.enter(&record, None).await.unwrap();
    does(&ken, Order::View(View::Restricted)).await;
    for text in ["not", "for", "gus"] {
        ken.send("first", text).await;
    }
    ken.reads("first", 3).await;
    let mut inbox = seat.inbox;
    // Whether it comes before the end or not, it is not answered with anything of the channel.
    drop(seat.link.send(&text_message("in between")));
    let mut told = Vec::new();
    let end = loop {
        match within(inbox.next()).await {
            Ok(Inbound::Event(event)) => told.push(event.name),
            Ok(Inbound::Request(request)) => panic!("{request:?}"),
            Err(end) => break end,
        }
    };
    assert!(!told.contains(&"MESSAGE".to_owned()), "{told:?}");
    assert!(told.contains(&"VIEW_CHANGED".to_owned()), "{told:?}");
    assert!(matches!(end, CloseReason::Told(refusal) if refusal.code == Code::NotAdmitted));
}

#[test]
fn a_policy_is_no_business_of_guests() {
    // What every member is told of the policy has room for the switches only.
    let (ada, mallory) = (AccountId::new(), Subject::Guest(Identity::generate().unwrap().key()));
    let roles = BTreeMap::from([(ada, Grant::Moderator)]);
    let policy = Policy { roles, bans: [mallory].into(), ..Policy::default() };
    let shown = serde_json::to_string(&policy.switches()).unwrap();
    assert!(!shown.contains(&ada.to_string()) && !shown.contains(&mallory.to_string()), "{shown}");
}
