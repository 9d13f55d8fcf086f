//! What owner and moderators do, and what that does to those who are there.

use common::id::{AccountId, Subject};
use common::identity::Identity;
use common::link::{CloseReason, RequestError};
use common::proto::Command;
use common::proto::channel::{
    Audit, Authorize, Ban, Bans, Connect, Connected, Deauthorize, Debug, Kick, Members, Message, Moderated,
    Pass, RetInfo, Role, SetPost, SetView, Unban,
};
use common::proto::directory::{Grant, Post, View};
use common::proto::event::HostEvent;
use common::proto::limits::{MAX_ORDERS, ORDERS};
use common::proto::status::{Code, Refusal};
use common::storage::{Abort, Faults, Transaction};

use super::scene::{Member, Scene, message};

/// Somebody with an account, and a peer.
struct Someone {
    account: AccountId,
    pass: common::pass::Pass,
}

impl Someone {
    fn new(scene: &Scene, name: &str) -> Self {
        Self::on_device_of(scene, name, AccountId::new())
    }

    fn on_device_of(scene: &Scene, name: &str, account: AccountId) -> Self {
        let key = Identity::generate().unwrap().key();
        Self { account, pass: scene.account_pass(key, name, account) }
    }

    fn subject(&self) -> Subject {
        Subject::Account(self.account)
    }

    async fn join(&self, scene: &Scene) -> Member {
        scene.join(&self.pass, None, 0).await.0
    }

    async fn try_join(&self, scene: &Scene) -> Result<Connected, Refusal> {
        let visitor = scene.visitor(self.pass.peer_key).await;
        let connect = scene.connect(&self.pass, None, 0);
        visitor.link.request(&connect).await.map_err(RequestError::into_refusal)
    }
}

async fn owner(scene: &Scene) -> Member {
    scene.join(&scene.guest_pass(scene.owner.key(), "owner"), None, 0).await.0
}

async fn ask<C: Command>(member: &Member, command: &C) -> Result<C::Reply, Code> {
    member.link.request(command).await.map_err(|error| error.into_refusal().code)
}

async fn does<C: Command<Reply = Moderated>>(member: &Member, command: &C) -> Moderated {
    ask(member, command).await.unwrap()
}

fn authorize(who: &Someone, role: Grant) -> Authorize {
    Authorize { account: who.account, name: who.pass.name.parse().unwrap(), role }
}

fn kick(subject: Subject) -> Kick {
    Kick { subject, why: Some("enough".to_owned()) }
}

fn ban(subject: Subject) -> Ban {
    Ban { subject, name: Some("somebody".parse().unwrap()), why: None }
}

/// Sends and tells only with which code it was refused.
async fn send(member: &Member, text: &str) -> Result<u64, Code> {
    ask(member, &Message { restart: true, ..message(text) }).await.map(|stored| stored.seq)
}

async fn kicked(member: &mut Member) -> (String, Option<String>, bool) {
    loop {
        if let HostEvent::Kicked(kicked) = member.event().await.expect("KICKED comes before the end") {
            return (kicked.by, kicked.why, kicked.banned);
        }
    }
}

#[actix::test]
async fn a_restricted_view_puts_out_who_may_not_stay_and_keeps_who_may() {
    let scene = Scene::new().await;
    let (owner, ada, bob) = (owner(&scene).await, Someone::new(&scene, "ada"), Someone::new(&scene, "bob"));
    let (mut guest, mut at_bobs, at_adas) =
        (scene.join_as("guest").await, bob.join(&scene).await, ada.join(&scene).await);
    does(&owner, &authorize(&ada, Grant::Authorized)).await;
    let done = does(&owner, &SetView { view: View::Restricted }).await;
    assert_eq!(done, Moderated { rev: 2, changed: true });
    for member in [&mut guest, &mut at_bobs] {
        let mut told = Vec::new();
        let end = loop {
            match member.event().await {
                Ok(HostEvent::ViewChanged(changed)) => told.push((changed.view, changed.rev, changed.by)),
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        assert_eq!(told, [(View::Restricted, 2, "owner".to_owned())], "they are told why");
        assert!(matches!(end, CloseReason::Told(refusal) if refusal.code == Code::NotAdmitted));
    }
    assert_eq!(send(&at_adas, "I may stay").await, Ok(1));
    assert_eq!(bob.try_join(&scene).await.unwrap_err().code, Code::NoSuchChannel);
    does(&owner, &SetView { view: View::Public }).await;
    assert_eq!(bob.try_join(&scene).await.unwrap().role, Role::Registered);
}

#[actix::test]
async fn a_lost_authorisation_stops_the_next_message() {
    let scene = Scene::new().await;
    let (owner, ada) = (owner(&scene).await, Someone::new(&scene, "ada"));
    let (at_adas, guest) = (ada.join(&scene).await, scene.join_as("guest").await);
    does(&owner, &SetPost { post: Post::Authorized }).await;
    assert_eq!(
        (send(&guest, "no").await, send(&at_adas, "no").await),
        (Err(Code::NotAllowed), Err(Code::NotAllowed))
    );
    does(&owner, &authorize(&ada, Grant::Authorized)).await;
    assert_eq!(send(&at_adas, "yes").await, Ok(1));
    assert_eq!(send(&owner, "the owner always").await, Ok(2));
    does(&owner, &Deauthorize { account: ada.account }).await;
    assert_eq!(send(&at_adas, "no more").await, Err(Code::NotAllowed));
    assert_eq!(ask(&at_adas, &RetInfo {}).await.unwrap().role, Role::Registered, "reading goes on");
}

#[actix::test]
async fn nothing_of_who_lost_the_right_is_stored_after_the_answer_that_says_so() {
    let scene = Scene::new().await;
    let (owner, guest) = (owner(&scene).await, scene.join_as("guest").await);
    // Many on their way, read or not, when the order comes.
    let answers: Vec<_> = (0..60).map(|n| guest.link.send(&message(&n.to_string())).unwrap()).collect();
    let done = owner.link.request(&SetPost { post: Post::Authorized }).await;
    assert!(done.is_ok());
    let head = ask(&owner, &RetInfo {}).await.unwrap().head.seq;
    let mut stored = 0;
    for answer in answers {
        match answer.await.map_err(|error| error.into_refusal().code) {
            Ok(answer) => stored = answer.seq,
            Err(code) => assert!([Code::NotAllowed, Code::AfterRefused].contains(&code), "{code}"),
        }
    }
    // A batch that was on its way to the disk already may still come; nothing that waited behind it.
    assert!(ask(&owner, &RetInfo {}).await.unwrap().head.seq == stored.max(head));
    assert_eq!(send(&guest, "later").await, Err(Code::NotAllowed));
}

#[actix::test]
async fn who_is_kicked_is_told_why_and_refused_for_a_minute() {
    let scene = Scene::new().await;
    let (owner, bob) = (owner(&scene).await, Someone::new(&scene, "bob"));
    let second = Someone::on_device_of(&scene, "bob", bob.account);
    let (mut here, mut there) = (bob.join(&scene).await, second.join(&scene).await);
    assert!(does(&owner, &kick(bob.subject())).await.changed);
    for member in [&mut here, &mut there] {
        assert_eq!(kicked(member).await, ("owner".to_owned(), Some("enough".to_owned()), false));
        assert_eq!(member.farewell().await, Code::Kicked);
    }
    let refused = second.try_join(&scene).await.unwrap_err();
    assert_eq!(refused.code, Code::Kicked);
    assert!(refused.retry_after_ms.is_some_and(|millis| (1..=60_000).contains(&millis)), "{refused:?}");
    let again = does(&owner, &kick(bob.subject())).await;
    assert_eq!(again, Moderated { rev: 0, changed: false }, "nobody is there to be put out");
}

#[actix::test]
async fn a_ban_goes_by_account_and_by_the_key_of_a_guest() {
    let scene = Scene::new().await;
    let (owner, bob) = (owner(&scene).await, Someone::new(&scene, "bob"));
    let key = Identity::generate().unwrap().key();
    let pass = scene.guest_pass(key, "eve");
    let (mut at_bobs, mut at_eves) = (bob.join(&scene).await, scene.join(&pass, None, 0).await.0);
    for (subject, member) in [(bob.subject(), &mut at_bobs), (Subject::Guest(key), &mut at_eves)] {
        assert!(does(&owner, &ban(subject)).await.changed);
        assert_eq!(kicked(member).await, ("owner".to_owned(), None, true));
        assert_eq!(member.farewell().await, Code::Banned);
    }
    let second = Someone::on_device_of(&scene, "bob", bob.account);
    assert_eq!(second.try_join(&scene).await.unwrap_err().code, Code::NoSuchChannel);
    // Another name, or an account, is no way round it.
    let as_account =
        Someone { account: AccountId::new(), pass: scene.account_pass(key, "eva", AccountId::new()) };
    assert_eq!(as_account.try_join(&scene).await.unwrap_err().code, Code::NoSuchChannel);
    let list = ask(&owner, &Bans::default()).await.unwrap();
    assert_eq!((list.total, list.bans.len(), list.next), (2, 2, None));
    assert!(list.bans.iter().all(|row| row.by == "owner"));
    for subject in [bob.subject(), Subject::Guest(key)] {
        assert!(does(&owner, &Unban { subject }).await.changed);
    }
    assert!(!does(&owner, &Unban { subject: bob.subject() }).await.changed);
    assert!(second.try_join(&scene).await.is_ok());
}

#[actix::test]
async fn a_moderator_touches_neither_the_owner_nor_another_moderator() {
    let scene = Scene::new().await;
    let owner = owner(&scene).await;
    let (ada, bea, bob) =
        (Someone::new(&scene, "ada"), Someone::new(&scene, "bea"), Someone::new(&scene, "bob"));
    does(&owner, &authorize(&ada, Grant::Moderator)).await;
    does(&owner, &authorize(&bea, Grant::Moderator)).await;
    let (at_adas, at_beas) = (ada.join(&scene).await, bea.join(&scene).await);
    let the_owner = Subject::Guest(scene.owner.key());
    for subject in [the_owner, bea.subject()] {
        assert_eq!(ask(&at_adas, &kick(subject)).await, Err(Code::NotAllowed));
        assert_eq!(ask(&at_adas, &ban(subject)).await, Err(Code::NotAllowed));
    }
    assert_eq!(ask(&at_adas, &Deauthorize { account: bea.account }).await, Err(Code::NotAllowed));
    assert_eq!(ask(&at_adas, &authorize(&bea, Grant::Authorized)).await, Err(Code::NotAllowed));
    assert_eq!(ask(&at_adas, &authorize(&bob, Grant::Moderator)).await, Err(Code::NotOwner));
    // By the key of a moderator's device, which is a guest's as well as an account's.
    does(&at_adas, &ban(Subject::Guest(bea.pass.peer_key))).await;
    does(&at_adas, &kick(Subject::Guest(bea.pass.peer_key))).await;
    assert_eq!(send(&at_beas, "still here").await, Ok(1));
    assert!(bea.try_join(&scene).await.is_ok());
    assert!(does(&at_adas, &authorize(&bob, Grant::Authorized)).await.changed, "what a moderator is for");
    assert!(does(&at_adas, &SetView { view: View::Restricted }).await.changed);
    assert!(does(&at_adas, &Deauthorize { account: ada.account }).await.changed, "and one may give it up");
}

#[actix::test]
async fn the_owner_loses_no_right_by_accident() {
    let scene = Scene::new().await;
    let owner = owner(&scene).await;
    let the_owner = Subject::Guest(scene.owner.key());
    for refused in [ask(&owner, &kick(the_owner)).await, ask(&owner, &ban(the_owner)).await] {
        assert_eq!(refused, Err(Code::NotAllowed));
    }
    does(&owner, &SetView { view: View::Restricted }).await;
    does(&owner, &SetPost { post: Post::Authorized }).await;
    assert_eq!(send(&owner, "my own channel").await, Ok(1));
    // The same peer under an account, before the tracker has said whose the channel is now.
    let account = AccountId::new();
    let pass = scene.account_pass(scene.owner.key(), "owner", account);
    let (as_account, connected) = scene.join(&pass, None, 0).await;
    assert_eq!(connected.role, Role::Owner);
    let ada = Someone::new(&scene, "ada");
    does(&as_account, &authorize(&ada, Grant::Moderator)).await;
    let at_adas = ada.join(&scene).await;
    assert_eq!(ask(&at_adas, &kick(Subject::Account(account))).await, Err(Code::NotAllowed));
}

#[actix::test]
async fn an_account_is_authorised_whether_or_not_it_is_there() {
    let mut scene = Scene::new().await;
    let ada = Someone::new(&scene, "ada");
    {
        let owner = owner(&scene).await;
        does(&owner, &authorize(&ada, Grant::Authorized)).await;
        assert!(!does(&owner, &authorize(&ada, Grant::Authorized)).await.changed, "once is enough");
        does(&owner, &SetView { view: View::Restricted }).await;
        does(&owner, &ban(Subject::Guest(Identity::generate().unwrap().key()))).await;
        let granted = Members { granted: true, after: None };
        let list = ask(&owner, &granted).await.unwrap();
        let rows: Vec<_> = list.members.iter().map(|row| (row.name.as_str(), row.role)).collect();
        assert_eq!(rows, [("owner", Role::Owner), ("ada", Role::Authorized)], "although ada is not here");
    }
    scene.reopen().await;
    assert_eq!(ada.try_join(&scene).await.unwrap().role, Role::Authorized, "it outlives a restart");
    let owner = owner(&scene).await;
    let info = ask(&owner, &RetInfo {}).await.unwrap();
    assert_eq!((info.policy.rev, info.policy.view), (3, View::Restricted));
    assert_eq!(ask(&owner, &Bans::default()).await.unwrap().total, 1);
}

#[actix::test]
async fn what_was_done_is_kept_with_who_and_when_and_why() {
    let scene = Scene::new().await;
    let (owner, bob) = (owner(&scene).await, Someone::new(&scene, "bob"));
    let _here = bob.join(&scene).await;
    does(&owner, &SetView { view: View::Restricted }).await;
    does(&owner, &SetView { view: View::Restricted }).await;
    does(&owner, &kick(bob.subject())).await;
    does(&owner, &ban(bob.subject())).await;
    let acts = ask(&owner, &Audit::default()).await.unwrap().acts;
    let told: Vec<_> = acts.iter().map(|act| (act.number, act.what.as_str(), act.to.as_deref())).collect();
    assert_eq!(told, [(1, "view", Some("restricted")), (2, "kick", None), (3, "ban", None)]);
    let kick = &acts[1];
    assert_eq!(kick.by.subject, Subject::Guest(scene.owner.key()));
    assert_eq!(
        (kick.why.as_deref(), kick.whom.as_ref().map(|whom| whom.subject)),
        (Some("enough"), Some(bob.subject()))
    );
    assert!(acts[0].at <= acts[2].at);
    let page = ask(&owner, &Audit { before: Some(3), limit: Some(1) }).await.unwrap().acts;
    assert_eq!((page.len(), page[0].number), (1, 2));
}

#[actix::test]
async fn who_is_no_moderator_does_and_sees_nothing_of_it() {
    let scene = Scene::new().await;
    let (owner, ada) = (owner(&scene).await, Someone::new(&scene, "ada"));
    does(&owner, &authorize(&ada, Grant::Authorized)).await;
    let bob = Someone::new(&scene, "bob");
    for member in [ada.join(&scene).await, bob.join(&scene).await, scene.join_as("guest").await] {
        let subject = bob.subject();
        let refused = [
            ask(&member, &SetView { view: View::Restricted }).await.map(drop),
            ask(&member, &SetPost { post: Post::Authorized }).await.map(drop),
            ask(&member, &authorize(&bob, Grant::Authorized)).await.map(drop),
            ask(&member, &Deauthorize { account: ada.account }).await.map(drop),
            ask(&member, &kick(subject)).await.map(drop),
            ask(&member, &ban(subject)).await.map(drop),
            ask(&member, &Unban { subject }).await.map(drop),
            ask(&member, &Bans::default()).await.map(drop),
            ask(&member, &Audit::default()).await.map(drop),
        ];
        assert!(refused.iter().all(|refused| *refused == Err(Code::NotModerator)), "{refused:?}");
        assert_eq!(ask(&member, &Debug {}).await.map(drop), Err(Code::NotOwner));
    }
    let info = ask(&owner, &RetInfo {}).await.unwrap();
    assert_eq!((info.policy.rev, ask(&owner, &Audit::default()).await.unwrap().acts.len()), (1, 1));
}

#[actix::test]
async fn orders_that_come_together_are_done_one_after_another() {
    let scene = Scene::new().await;
    let owner = owner(&scene).await;
    let people: Vec<_> = (0..20).map(|n| Someone::new(&scene, &format!("ada{n}"))).collect();
    let asked: Vec<_> =
        people.iter().map(|who| owner.link.send(&authorize(who, Grant::Authorized)).unwrap()).collect();
    for (n, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), Moderated { rev: n as u64 + 1, changed: true });
    }
    let list = ask(&owner, &Members { granted: true, after: None }).await.unwrap();
    assert_eq!(list.total, 21);
}

#[actix::test]
async fn what_is_not_on_disk_does_not_count() {
    let scene = Scene::new().await;
    let (owner, guest) = (owner(&scene).await, scene.join_as("guest").await);
    for fault in [Faults::lose_next_write, Faults::fail_next_flush] {
        fault(&scene.faults);
        let refused = ask(&owner, &SetPost { post: Post::Authorized }).await;
        assert_eq!(refused, Err(Code::StorageFailed));
        assert_eq!(ask(&guest, &RetInfo {}).await.unwrap().policy.post, Post::Everyone);
        assert!(send(&guest, "still").await.is_ok());
    }
    let done = does(&owner, &SetPost { post: Post::Authorized }).await;
    assert_eq!(done, Moderated { rev: 1, changed: true });
}

#[actix::test]
async fn a_moderator_gives_no_more_orders_than_somebody_types_and_the_owner_is_not_held_up_by_it() {
    let scene = Scene::new().await;
    let (owner, ada) = (owner(&scene).await, Someone::new(&scene, "ada"));
    does(&owner, &authorize(&ada, Grant::Moderator)).await;
    let at_adas = ada.join(&scene).await;
    let made_up = || kick(Subject::Account(AccountId::new()));
    let most = ORDERS.burst.get() as usize;
    for _ in 0..most {
        does(&at_adas, &made_up()).await;
    }
    let refused = at_adas.link.request(&made_up()).await.unwrap_err().into_refusal();
    assert_eq!(refused.code, Code::TooManyRequests);
    let wait = refused.retry_after_ms.unwrap();
    assert!((1..=ORDERS.period().as_millis()).contains(&u128::from(wait)), "{refused:?}");
    // On another device it is no other moderator; and what was refused was not done.
    let second = Someone::on_device_of(&scene, "ada", ada.account).join(&scene).await;
    assert_eq!(ask(&second, &SetView { view: View::Restricted }).await, Err(Code::TooManyRequests));
    for _ in 0..=most {
        does(&owner, &made_up()).await;
    }
    let acts = ask(&owner, &Audit::default()).await.unwrap().acts;
    assert_eq!(acts.len(), 1 + most + 1 + most);
    assert_eq!(ask(&owner, &RetInfo {}).await.unwrap().policy.view, View::Public);
}

#[actix::test]
async fn an_order_that_may_not_be_given_is_refused_at_once_and_takes_nobodys_place() {
    let scene = Scene::new().await;
    let (owner, guest) = (owner(&scene).await, scene.join_as("guest").await);
    let ada = Someone::new(&scene, "ada");
    // The disk takes nothing for now, so that what was let in waits.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = scene.store.clone();
    let busy = tokio::spawn(async move {
        let waits = move |_: &mut Transaction<'_>| -> Result<(), Abort> {
            // The test that ends lets go, too.
            let _ = held.recv();
            Ok(())
        };
        store.write(waits).await
    });
    let first = owner.link.send(&authorize(&ada, Grant::Authorized)).unwrap();
    for _ in 0..2 * MAX_ORDERS {
        assert_eq!(ask(&guest, &SetView { view: View::Restricted }).await, Err(Code::NotModerator));
    }
    let second = owner.link.send(&SetPost { post: Post::Authorized }).unwrap();
    // Behind it on the same connection, and answered past the orders.
    ask(&owner, &RetInfo {}).await.unwrap();
    release.send(()).unwrap();
    assert!(first.await.unwrap().changed && second.await.unwrap().changed);
    busy.await.unwrap().unwrap();
}

async fn name_of(owner: &Member, subject: Subject) -> String {
    let list = ask(owner, &Members { granted: true, after: None }).await.unwrap();
    list.members.into_iter().find(|row| row.subject == subject).unwrap().name
}

#[actix::test]
async fn the_name_that_is_kept_of_somebody_is_the_one_in_their_pass_whatever_was_claimed() {
    let scene = Scene::new().await;
    let (owner, ada) = (owner(&scene).await, Someone::new(&scene, "ada"));
    let claimed = |name: &str| Authorize { name: name.parse().unwrap(), ..authorize(&ada, Grant::Moderator) };
    does(&owner, &claimed("mallory")).await;
    assert_eq!(name_of(&owner, ada.subject()).await, "mallory", "until she comes");
    let until_it_is = async |name: &str| {
        let found = async {
            while name_of(&owner, ada.subject()).await != name {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(super::scene::SOON, found).await.unwrap();
    };
    let leaves = async |mut member: Member| {
        member.link.close();
        member.end().await;
        let is_gone = async { while ask(&owner, &RetInfo {}).await.unwrap().members > 1 {} };
        tokio::time::timeout(super::scene::SOON, is_gone).await.unwrap();
    };
    leaves(ada.join(&scene).await).await;
    until_it_is("ada").await;
    // A claim undoes nothing, also when it comes with another role or a ban.
    does(&owner, &Authorize { role: Grant::Authorized, ..claimed("mallory") }).await;
    assert_eq!(name_of(&owner, ada.subject()).await, "ada");
    // A new name counts as soon as it is shown.
    let at_adas = ada.join(&scene).await;
    let renamed = scene.sign(&scene.account_pass(ada.pass.peer_key, "adele", ada.account));
    ask(&at_adas, &Pass { pass: renamed, moved: None }).await.unwrap();
    leaves(at_adas).await;
    until_it_is("adele").await;
    does(&owner, &ban(ada.subject())).await;
    let bans = ask(&owner, &Bans::default()).await.unwrap().bans;
    assert_eq!(bans[0].name.as_deref(), Some("adele"));
}

#[actix::test]
async fn of_who_is_invisible_no_name_is_learnt() {
    let scene = Scene::new().await;
    let (owner, ada) = (owner(&scene).await, Someone::new(&scene, "ada"));
    does(&owner, &Authorize { name: "mallory".parse().unwrap(), ..authorize(&ada, Grant::Authorized) }).await;
    let visitor = scene.visitor(ada.pass.peer_key).await;
    let connect = Connect { invisible: true, ..scene.connect(&ada.pass, None, 0) };
    visitor.link.request(&connect).await.unwrap();
    // Behind whatever was written for that.
    does(&owner, &SetPost { post: Post::Authorized }).await;
    assert_eq!(name_of(&owner, ada.subject()).await, "mallory");
}
