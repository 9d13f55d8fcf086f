//! What went wrong once two were talking.

use common::link::CloseReason;
use common::proto::direct::{LeftChat, Receipt};
use common::proto::limits::MAX_CHAT_NUMBER;
use common::proto::status::Code;
use peer::api::{ChatState, Command, Conversation, DirectCommand, DirectMessage, Event, Reply};
use serde_json::json;

use crate::support::{Person, Raw, RawTalk, World, chat_message};

async fn scene() -> (World, Person, Raw, RawTalk) {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    let eve = Raw::guest(&world, "eve").await;
    let talk = RawTalk::meet(&eve, "eve", &mut ken).await;
    (world, ken, eve, talk)
}

async fn conversation(person: &Person, user: &str) -> Vec<DirectMessage> {
    let history = DirectCommand::History { user: user.parse().unwrap(), count: 500, before: None };
    let Reply::Conversation(Conversation { messages, .. }) = person.done(Command::Direct(history)).await
    else {
        unreachable!()
    };
    messages
}

fn texts(messages: &[DirectMessage]) -> Vec<String> {
    messages.iter().map(|message| message.text.clone().unwrap()).collect()
}

/// Two quick messages came in one read, could not be taken apart, and both were lost.
#[actix::test]
async fn merged_messages() {
    let (_world, mut ken, _eve, mut talk) = scene().await;
    let messages: Vec<_> =
        (1..=20).map(|number| chat_message(number, number, &json!({"text": number.to_string()}))).collect();
    talk.send_merged(&messages).await;
    ken.reads_alone("20").await;
    let expected: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    assert_eq!(texts(&conversation(&ken, "eve").await), expected);
}

/// A message of over 1024, or over 4096, bytes was cut into pieces or lost.
#[actix::test]
async fn long_messages() {
    let (_world, mut ken, _eve, mut talk) = scene().await;
    for (number, bytes) in [(1, 1025), (2, 4097), (3, 16 * 1024)] {
        let text = "\u{e4}".repeat(bytes / 2);
        talk.ask(&chat_message(number, number, &json!({"text": text}))).await.unwrap();
        assert_eq!(ken.reads_alone(&text).await.number, number);
    }
    let too_long = chat_message(4, 4, &json!({"text": "x".repeat(16 * 1024 + 1)}));
    assert_eq!(talk.ask(&too_long).await.unwrap_err().code, Code::TextTooLong);
}

/// Who sent a message was whatever it said.
#[actix::test]
async fn forged_sender() {
    let (world, mut ken, eve, mut talk) = scene().await;
    let charlie = Raw::guest(&world, "charlie").await;
    let claims = json!({"text": "hi", "from": "charlie", "sender": "charlie", "nickname": "charlie"});
    talk.ask(&chat_message(1, 1, &claims)).await.unwrap();
    let message = ken.reads_alone("hi").await;
    assert_eq!(
        (message.from.as_str(), message.user.as_str(), message.key),
        ("eve", "eve", eve.identity.key())
    );
    // Nor does somebody else's pass make anybody of her.
    let place = ken.status().await.listen.unwrap();
    let mut forged = RawTalk::dial(&eve, place, ken.whoami().await.key).await;
    assert_eq!(forged.request_with(charlie.pass).await.unwrap_err().code, Code::BadPass);
}

/// A message was taken from whoever had connected, before anybody had agreed.
#[actix::test]
async fn a_message_without_an_agreement() {
    let (world, ken, _eve, _talk) = scene().await;
    let stranger = Raw::guest(&world, "stranger").await;
    let place = ken.status().await.listen.unwrap();
    let mut visit = RawTalk::dial(&stranger, place, ken.whoami().await.key).await;
    let message = chat_message(1, 1, &json!({"text": "hello"}));
    assert_eq!(visit.ask(&message).await.unwrap_err().code, Code::WrongPhase);
    visit.request_with(stranger.pass.clone()).await.unwrap();
    assert_eq!(visit.ask(&message).await.unwrap_err().code, Code::WrongPhase);
    for refused in [visit.ask(&Receipt { read: 1 }).await, visit.ask(&LeftChat {}).await] {
        assert_eq!(refused.unwrap_err().code, Code::WrongPhase);
    }
    ken.barrier_of_tracker().await;
    assert!(ken.direct_texts().is_empty());
}

/// An empty message was taken for the end of the connection.
#[actix::test]
async fn an_empty_message() {
    let (_world, mut ken, eve, mut talk) = scene().await;
    let empty = chat_message(1, 1, &json!({"text": ""}));
    assert_eq!(talk.ask(&empty).await.unwrap_err().code, Code::TextEmpty);
    // What is refused does not let anything overtake it; whoever comes again goes on.
    talk.end().await;
    let mut talk = RawTalk::again(&eve, &ken).await;
    talk.ask(&chat_message(1, 1, &json!({"text": "hello"}))).await.unwrap();
    ken.reads_alone("hello").await;
}

/// A retry after a lost answer came twice.
#[actix::test]
async fn a_repeated_message() {
    let (_world, mut ken, eve, mut talk) = scene().await;
    let message = chat_message(1, 1, &json!({"text": "once"}));
    for _ in 0..3 {
        talk.ask(&message).await.unwrap();
    }
    let mut again = RawTalk::again(&eve, &ken).await;
    again.ask(&message).await.unwrap();
    let other = chat_message(1, 1, &json!({"text": "another under its number"}));
    assert_eq!(again.ask(&other).await.unwrap_err().code, Code::IdReused);
    ken.reads_alone("once").await;
    assert_eq!(texts(&conversation(&ken, "eve").await), ["once"]);
}

/// What no device stamps is refused: nobody can use up the numbers of a conversation, or break its order.
#[actix::test]
async fn impossible_numbers() {
    let (_world, ken, eve, mut talk) = scene().await;
    talk.ask(&chat_message(3, 7, &json!({"text": "in order"}))).await.unwrap();
    for (number, clock) in [(4, 7), (4, 1), (0, 9), (4, 0), (u64::MAX, 9), (4, u64::MAX), (4, 1 << 40)] {
        let mut talk = RawTalk::again(&eve, &ken).await;
        let refused = talk.ask(&chat_message(number, clock, &json!({"text": "x"}))).await.unwrap_err();
        assert_eq!(refused.code, Code::BadRequest, "{number} {clock}");
    }
    assert_eq!(texts(&conversation(&ken, "eve").await), ["in order"]);
}

/// A pair ended up with two connections, one for each direction.
#[actix::test]
async fn two_connections() {
    let (_world, mut ken, eve, mut first) = scene().await;
    let mut second = RawTalk::again(&eve, &ken).await;
    first.end().await;
    second.ask(&chat_message(1, 1, &json!({"text": "over the newer"}))).await.unwrap();
    ken.reads_alone("over the newer").await;
    second.ask(&LeftChat {}).await.unwrap();
    ken.expect("the end", |event| matches!(event, Event::Chat { state: ChatState::Left, .. }).then_some(()))
        .await;
}

/// What was said went when the program ended; here even an older copy of it, put back, is noticed.
#[actix::test]
async fn a_history_that_is_older_than_the_other_ones() {
    let (_world, mut ken, eve, talk) = scene().await;
    drop(talk);
    let mut talk = RawTalk::again_with(&eve, &ken, 5).await;
    let code = |event: &Event| match event {
        Event::Warning { code, .. } => Some(code.clone()),
        _ => None,
    };
    assert_eq!(ken.expect("a warning", code).await, Code::LogBehind);
    let msg = DirectCommand::Msg { user: "eve".parse().unwrap(), text: "hello".to_owned() };
    ken.done(Command::Direct(msg)).await;
    assert_eq!(talk.message().await.number, 6, "no number comes twice");
}

/// What a device claims to have uses no numbers up: one that has what nobody can have written is not talked to.
#[actix::test]
async fn impossible_position() {
    let (_world, ken, eve, talk) = scene().await;
    drop(talk);
    let mut liar = RawTalk::again_with(&eve, &ken, MAX_CHAT_NUMBER - 1).await;
    assert!(matches!(liar.end().await, CloseReason::Told(refusal) if refusal.code == Code::BadRequest));
    ken.done(Command::Direct(DirectCommand::Msg { user: "eve".parse().unwrap(), text: "still".into() }))
        .await;
    let mut honest = RawTalk::again(&eve, &ken).await;
    assert_eq!(honest.message().await.number, 1);
}
