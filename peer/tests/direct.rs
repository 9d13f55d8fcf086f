//! Private conversations: asked for, agreed to, straight from one peer to another, kept for whoever is away.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use common::identity::PeerKey;
use common::proto::status::Code;
use peer::Config;
use peer::api::{
    ChatRequest, ChatState, Command, ContactRow, ContactState, Conversation, DeliveryState, DevicesCommand,
    DirectCommand, DirectMessage, Event, LinkState, Reply,
};
use peer::direct::Accept;
use support::{Person, World, free_port, until};

fn direct(command: DirectCommand) -> Command {
    Command::Direct(command)
}

fn start(user: &str) -> Command {
    direct(DirectCommand::Start { user: user.parse().unwrap() })
}

fn accept(user: &str) -> Command {
    direct(DirectCommand::Accept { user: user.parse().unwrap(), key: None })
}

fn msg(user: &str, text: &str) -> Command {
    direct(DirectCommand::Msg { user: user.parse().unwrap(), text: text.to_owned() })
}

fn with_user(command: fn(common::name::UserName) -> DirectCommand, user: &str) -> Command {
    direct(command(user.parse().unwrap()))
}

async fn write(person: &Person, user: &str, text: &str) -> common::id::MessageId {
    let Reply::Written(written) = person.done(msg(user, text)).await else { unreachable!() };
    written.id
}

async fn contacts(person: &Person) -> Vec<ContactRow> {
    let Reply::Contacts(list) = person.done(direct(DirectCommand::Contacts)).await else { unreachable!() };
    list.contacts
}

async fn contact(person: &Person, user: &str) -> ContactRow {
    let rows = contacts(person).await;
    rows.into_iter().find(|row| row.user.as_str() == user).unwrap_or_else(|| panic!("{user} is not there"))
}

async fn conversation(person: &Person, user: &str) -> Vec<DirectMessage> {
    let history = DirectCommand::History { user: user.parse().unwrap(), count: 500, before: None };
    let Reply::Conversation(Conversation { messages, .. }) = person.done(direct(history)).await else {
        unreachable!()
    };
    messages
}

fn texts(messages: &[DirectMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_deref().unwrap_or("?")).collect()
}

async fn request_of(person: &mut Person, user: &str) -> ChatRequest {
    person
        .expect("request", |event| match event {
            Event::ChatRequest(request) if request.user.as_str() == user => Some(request.clone()),
            _ => None,
        })
        .await
}

async fn chat(person: &mut Person, wanted: ChatState) -> Option<PeerKey> {
    let what = format!("chat {wanted:?}");
    person
        .expect(&what, |event| match event {
            Event::Chat { state, key, .. } if *state == wanted => Some(*key),
            _ => None,
        })
        .await
}

async fn outgoing(person: &mut Person, id: common::id::MessageId, wanted: DeliveryState) {
    let what = format!("{wanted:?}");
    person
        .expect(&what, |event| {
            let is_it =
                matches!(event, Event::ChatOutgoing { id: of, state, .. } if *of == id && *state == wanted);
            is_it.then_some(())
        })
        .await;
}

/// Two who have agreed to talk, and are connected.
async fn scene() -> (World, Person, Person) {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    meet(&mut ken, &mut charlie).await;
    (world, ken, charlie)
}

async fn meet(asks: &mut Person, agrees: &mut Person) {
    let (name, other) = (asks.name().to_owned(), agrees.name().to_owned());
    asks.done(start(&other)).await;
    request_of(agrees, &name).await;
    agrees.done(accept(&name)).await;
    asks.expect_connection(&format!("@{other}"), LinkState::Up).await;
    agrees.expect_connection(&format!("@{name}"), LinkState::Up).await;
}

#[actix::test]
async fn a_request_is_asked_accepted_and_talked_over() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    let keys = (ken.whoami().await.key, charlie.whoami().await.key);
    let Reply::Started(started) = ken.done(start("charlie")).await else { unreachable!() };
    assert_eq!((started.contact.state, started.reason), (ContactState::Asked, None));
    assert_eq!(ken.refused(msg("charlie", "too early")).await, Code::NotContact);
    let request = request_of(&mut charlie, "ken").await;
    assert_eq!((request.key, request.new_device, request.same_name), (keys.0, false, false));
    assert_eq!(contact(&charlie, "ken").await.state, ContactState::Asks);
    let Reply::Contact(row) = charlie.done(accept("ken")).await else { unreachable!() };
    assert_eq!((row.state, row.keys), (ContactState::Contact, vec![keys.0]));
    assert_eq!(chat(&mut ken, ChatState::Accepted).await, Some(keys.1));
    ken.expect_connection("@charlie", LinkState::Up).await;

    let id = write(&ken, "charlie", "just the two of us").await;
    let message = charlie.reads_alone("just the two of us").await;
    assert_eq!((message.id, message.from.as_str(), message.mine), (id, "ken", false));
    outgoing(&mut ken, id, DeliveryState::Delivered).await;
    outgoing(&mut ken, id, DeliveryState::Read).await;
    write(&charlie, "ken", "yes").await;
    ken.reads_alone("yes").await;
    for (person, user) in [(&ken, "charlie"), (&charlie, "ken")] {
        assert_eq!(texts(&conversation(person, user).await), ["just the two of us", "yes"]);
    }
    // Asking again is not needed, and changes nothing.
    let Reply::Started(again) = ken.done(start("charlie")).await else { unreachable!() };
    assert_eq!(again.contact.state, ContactState::Contact);
}

#[actix::test]
async fn a_request_can_be_turned_down_and_an_unanswered_one_says_so_and_stands() {
    let world = World::new().await;
    let mut config = world.config("ken");
    config.direct.unanswered_after = Duration::from_millis(50);
    let mut ken = world.person(config).await;
    ken.entered().await;
    let mut charlie = world.guest("charlie").await;
    ken.done(start("charlie")).await;
    chat(&mut ken, ChatState::Unanswered).await;
    request_of(&mut charlie, "ken").await;
    let reject = direct(DirectCommand::Reject { user: "ken".parse().unwrap(), key: None });
    charlie.done(reject).await;
    chat(&mut ken, ChatState::Rejected).await;
    assert!(contacts(&ken).await.is_empty());
    // Asked again, nobody is bothered; but charlie may think better of it.
    ken.done(start("charlie")).await;
    chat(&mut ken, ChatState::Rejected).await;
    charlie.barrier_of_tracker().await;
    charlie.done(start("ken")).await;
    request_of(&mut ken, "charlie").await;
    ken.done(accept("charlie")).await;
    charlie.expect_connection("@ken", LinkState::Up).await;
}

#[actix::test]
async fn whom_nobody_knows_is_asked_like_anybody_else() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    let Reply::Started(started) = ken.done(start("nobody")).await else { unreachable!() };
    assert_eq!((started.contact.state, started.reason), (ContactState::Asked, None));
    assert_eq!(ken.refused(start("ken")).await, Code::BadName);
    for command in [accept("nobody"), with_user(|user| DirectCommand::Reject { user, key: None }, "nobody")] {
        assert_eq!(ken.refused(command).await, Code::NoRequest);
    }
    for command in [
        msg("nobody", "hi"),
        with_user(|user| DirectCommand::Close { user }, "nobody"),
        with_user(|user| DirectCommand::Unblock { user }, "nobody"),
        with_user(|user| DirectCommand::History { user, count: 1, before: None }, "nobody"),
    ] {
        assert_eq!(ken.refused(command).await, Code::NotContact);
    }
    // Whom the tracker knows can be blocked unheard.
    let block = with_user(|user| DirectCommand::Block { user }, "nobody");
    assert_eq!(ken.refused(block).await, Code::NoSuchUser);
}

#[actix::test]
async fn a_request_and_its_answer_wait_for_whoever_is_away() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    charlie.stop().await;
    ken.done(start("charlie")).await;
    ken.stop().await;
    charlie.start().await;
    request_of(&mut charlie, "ken").await;
    charlie.done(accept("ken")).await;
    ken.start().await;
    chat(&mut ken, ChatState::Accepted).await;
    ken.expect_connection("@charlie", LinkState::Up).await;
    write(&ken, "charlie", "hello").await;
    charlie.reads_alone("hello").await;
}

#[actix::test]
async fn what_is_written_to_somebody_away_arrives_once_and_in_order_when_they_are_back() {
    let (_world, mut ken, mut charlie) = scene().await;
    charlie.stop().await;
    ken.expect_connection("@charlie", LinkState::Retrying).await;
    let mut ids = Vec::new();
    for number in 1..=150 {
        ids.push(write(&ken, "charlie", &number.to_string()).await);
    }
    assert_eq!(contact(&ken, "charlie").await.queued, 150);
    ken.restart().await;
    assert_eq!(contact(&ken, "charlie").await.queued, 150, "it is on disk");
    charlie.config.listen.port = free_port();
    charlie.start().await;
    charlie.reads_alone("150").await;
    outgoing(&mut ken, ids[149], DeliveryState::Delivered).await;
    let expected: Vec<String> = (1..=150).map(|number| number.to_string()).collect();
    assert_eq!(texts(&conversation(&charlie, "ken").await), expected);
    let shown = charlie.direct_texts();
    assert_eq!(shown, expected, "each shown once");
    until("nothing waits", async || contact(&ken, "charlie").await.queued == 0).await;
    charlie.restart().await;
    charlie.expect_connection("@ken", LinkState::Up).await;
    write(&ken, "charlie", "one more").await;
    charlie.reads_alone("one more").await;
    assert_eq!(charlie.direct_texts().len(), 151, "nothing comes twice");
}

#[actix::test]
async fn both_write_at_once_and_show_the_same_order() {
    let (_world, mut ken, mut charlie) = scene().await;
    let typing = |person: &Person, user: &'static str| {
        let (node, name) = (person.node(), person.name().to_owned());
        async move {
            for number in 1..=60 {
                peer::ui::Node::perform(&node, msg(user, &format!("{name} {number}"))).await.unwrap();
            }
        }
    };
    let both = futures_util::future::join(typing(&ken, "charlie"), typing(&charlie, "ken"));
    support::within(both).await;
    ken.reads_alone("charlie 60").await;
    charlie.reads_alone("ken 60").await;
    let (one, other) = (conversation(&ken, "charlie").await, conversation(&charlie, "ken").await);
    assert_eq!(texts(&one), texts(&other));
    assert_eq!(one.len(), 120);
    for name in ["ken", "charlie"] {
        let numbers = one.iter().filter(|message| message.from == name).map(|message| message.number);
        assert!(numbers.eq(1..=60), "each once, in the order of typing");
    }
}

#[actix::test]
async fn a_message_that_comes_late_stands_in_its_place_and_is_marked() {
    let (_world, mut ken, mut charlie) = scene().await;
    write(&ken, "charlie", "first").await;
    charlie.reads_alone("first").await;
    ken.stop().await;
    charlie.expect_connection("@ken", LinkState::Retrying).await;
    charlie.stop().await;
    // Each writes while the other is away.
    ken.start().await;
    write(&ken, "charlie", "second, by ken").await;
    write(&ken, "charlie", "third, by ken").await;
    ken.stop().await;
    charlie.start().await;
    write(&charlie, "ken", "second, by charlie").await;
    ken.start().await;
    let of_charlie = ken.reads_alone("second, by charlie").await;
    charlie.reads_alone("third, by ken").await;
    assert!(of_charlie.late, "ken's own third stands behind it");
    let (one, other) = (conversation(&ken, "charlie").await, conversation(&charlie, "ken").await);
    assert_eq!(texts(&one), texts(&other));
    assert_eq!((texts(&one)[0], texts(&one)[3]), ("first", "third, by ken"));
}

#[actix::test]
async fn the_tracker_may_be_away_once_two_know_each_other() {
    let (mut world, mut ken, mut charlie) = scene().await;
    // Where both were is known from now on.
    for person in [&mut ken, &mut charlie] {
        person.config.listen.port = 0;
    }
    world.stop_tracker().await;
    ken.expect_connection("tracker", LinkState::Retrying).await;
    write(&ken, "charlie", "still there?").await;
    charlie.reads_alone("still there?").await;
    charlie.stop().await;
    ken.expect_connection("@charlie", LinkState::Retrying).await;
    write(&ken, "charlie", "later").await;
    charlie.start().await;
    charlie.reads_alone("later").await;
}

#[actix::test]
async fn a_conversation_that_was_closed_opens_again_when_somebody_writes() {
    let (_world, mut ken, mut charlie) = scene().await;
    ken.done(with_user(|user| DirectCommand::Close { user }, "charlie")).await;
    chat(&mut charlie, ChatState::Left).await;
    ken.expect_connection("@charlie", LinkState::Down).await;
    charlie.expect_connection("@ken", LinkState::Down).await;
    write(&charlie, "ken", "one more thing").await;
    ken.reads_alone("one more thing").await;
}

#[actix::test]
async fn who_is_blocked_hears_nothing_of_it_and_their_messages_wait() {
    let (world, mut ken, mut charlie) = scene().await;
    charlie.done(with_user(|user| DirectCommand::Block { user }, "ken")).await;
    ken.expect_connection("@charlie", LinkState::Retrying).await;
    write(&ken, "charlie", "hello?").await;
    assert_eq!(charlie.refused(msg("ken", "hm")).await, Code::NotContact);
    assert_eq!(contact(&charlie, "ken").await.state, ContactState::Blocked);
    // Ken comes anew, knocks, and is not heard.
    ken.restart().await;
    ken.entered().await;
    let knock = common::proto::knock::Knock { name: "charlie".parse().unwrap(), invisible: false };
    let raw = support::Raw::guest(&world, "eve").await;
    support::within(raw.control.request(&knock)).await.unwrap();
    request_of(&mut charlie, "eve").await;
    assert_eq!(contact(&ken, "charlie").await.queued, 1);
    charlie.barrier_of_tracker().await;
    assert!(charlie.direct_texts().is_empty());
    charlie.done(with_user(|user| DirectCommand::Unblock { user }, "ken")).await;
    charlie.reads_alone("hello?").await;
    until("it has arrived", async || contact(&ken, "charlie").await.queued == 0).await;
}

#[actix::test]
async fn who_gets_through_unasked_is_as_its_user_wants_it() {
    let world = World::new().await;
    let start_with = async |name: &str, accept: Accept| {
        let mut config: Config = world.config(name);
        config.direct.accept = accept;
        let person = world.person(config).await;
        person.entered().await;
        person
    };
    let mut open = start_with("open", Accept::Everyone).await;
    let closed = start_with("closed", Accept::Contacts).await;
    let mut ken = world.guest("ken").await;
    ken.done(start("open")).await;
    ken.expect_connection("@open", LinkState::Up).await;
    write(&ken, "open", "hello").await;
    open.reads_alone("hello").await;
    ken.done(start("closed")).await;
    closed.barrier_of_tracker().await;
    assert!(contacts(&closed).await.is_empty());
    assert_eq!(contact(&ken, "closed").await.state, ContactState::Asked);
}

#[actix::test]
async fn without_receipts_it_is_said_that_a_message_arrived_and_not_that_it_was_read() {
    let world = World::new().await;
    let mut config = world.config("charlie");
    config.direct.receipts = false;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.person(config).await);
    charlie.entered().await;
    meet(&mut ken, &mut charlie).await;
    let id = write(&ken, "charlie", "hello").await;
    outgoing(&mut ken, id, DeliveryState::Delivered).await;
    charlie.reads_alone("hello").await;
    // A second one goes there and back, long after the first was shown.
    charlie.restart().await;
    charlie.expect_connection("@ken", LinkState::Up).await;
    let second = write(&ken, "charlie", "again").await;
    outgoing(&mut ken, second, DeliveryState::Delivered).await;
    let states: Vec<_> = conversation(&ken, "charlie").await.iter().map(|message| message.state).collect();
    assert_eq!(states, [Some(DeliveryState::Delivered); 2]);
}

const PASSWORD: &str = "correct horse";

#[actix::test]
async fn a_new_device_of_an_account_gets_nothing_before_the_user_agrees() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    charlie.signup(PASSWORD).await;
    meet(&mut ken, &mut charlie).await;
    // A second device of charlie's account asks ken.
    let mut config = world.config("laptop");
    config.direct.accept = Accept::Ask;
    let mut laptop = world.person(config).await;
    laptop.entered().await;
    laptop.signin("charlie", PASSWORD).await.unwrap();
    laptop.done(start("ken")).await;
    let request = request_of(&mut ken, "charlie").await;
    assert!(request.new_device && request.key == laptop.whoami().await.key);
    write(&ken, "charlie", "for the one that is known").await;
    charlie.reads_alone("for the one that is known").await;
    laptop.barrier_of_tracker().await;
    assert!(laptop.direct_texts().is_empty());
    // Once ken agrees, both devices get what he writes from then on.
    ken.done(accept("charlie")).await;
    laptop.expect_connection("@ken", LinkState::Up).await;
    write(&ken, "charlie", "for both").await;
    laptop.reads_alone("for both").await;
    charlie.reads_alone("for both").await;
    assert_eq!(laptop.direct_texts(), ["for both"]);
    write(&laptop, "ken", "from the laptop").await;
    assert_eq!(ken.reads_alone("from the laptop").await.from, "charlie");
}

#[actix::test]
async fn a_device_of_a_contact_that_is_signed_out_gets_nothing_more() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    charlie.signup(PASSWORD).await;
    meet(&mut ken, &mut charlie).await;
    let desk = world.guest("desk").await;
    desk.signin("charlie", PASSWORD).await.unwrap();
    let key = charlie.whoami().await.key.to_string();
    desk.done(Command::Devices(DevicesCommand::Revoke { key })).await;
    ken.expect_connection("@charlie", LinkState::Retrying).await;
    write(&ken, "charlie", "not for a thief").await;
    charlie.restart().await;
    assert_eq!(contact(&ken, "charlie").await.queued, 1);
    // With the password it is let in, and what has waited arrives.
    charlie.signin("charlie", PASSWORD).await.unwrap();
    charlie.reads_alone("not for a thief").await;
}

#[actix::test]
async fn a_guest_who_makes_an_account_stays_a_contact() {
    let (_world, mut ken, mut charlie) = scene().await;
    write(&charlie, "ken", "as a guest").await;
    ken.reads_alone("as a guest").await;
    charlie.signup(PASSWORD).await;
    charlie.expect_connection("@ken", LinkState::Up).await;
    write(&charlie, "ken", "as an account").await;
    ken.reads_alone("as an account").await;
    assert_eq!(texts(&conversation(&ken, "charlie").await), ["as a guest", "as an account"]);
    assert_eq!(contacts(&ken).await.len(), 1);
}
