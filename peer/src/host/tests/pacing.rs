//! A member who sends too much is slowed down, and nobody else is.

use common::clock::Timestamp;
use common::identity::Identity;
use common::link::RequestError;
use common::meter::Rate;
use common::proto::channel::{Disconnect, Message, StatusOf};
use common::proto::limits::MAX_UNANSWERED_MESSAGES;
use common::proto::session::{self, Ping};
use common::proto::status::{Code, Refusal};

use super::scene::{Member, SOON, Scene, code, hello, message};
use crate::host::quota::Limits;

fn limits(messages: Rate, catch_up: Rate) -> Limits {
    Limits { messages, catch_up, ..Limits::default() }
}

fn now(text: &str) -> Message {
    // Later than the member came, by the clock of the same machine.
    Message { sent_at: Timestamp::now().plus(SOON), ..message(text) }
}

/// `too_many_requests`, and when to come back.
fn patience<T: std::fmt::Debug>(outcome: Result<T, RequestError>) -> u64 {
    match outcome {
        Err(RequestError::Refused(Refusal {
            code: Code::TooManyRequests,
            retry_after_ms: Some(wait),
            ..
        })) => wait,
        other => panic!("no wait was asked for: {other:?}"),
    }
}

/// All that is said before this is carried out when it is answered.
async fn ping(member: &Member) {
    member.link.request(&Ping {}).await.unwrap();
}

#[actix::test]
async fn what_comes_too_fast_is_stored_later_in_order_and_nothing_else_waits_for_it() {
    // The third waits 12 s, which is longer than anything here takes.
    let scene = Scene::limited(limits(Rate::new(2, 5), Rate::new(1, 1))).await;
    let (flooder, mut other) = (scene.join_as("flooder").await, scene.join_as("other").await);
    let flood: Vec<_> = (0..MAX_UNANSWERED_MESSAGES).map(|n| now(&n.to_string())).collect();
    let third = flood[2].id;
    let mut answers: Vec<_> = flood.iter().map(|one| flooder.link.send(one).unwrap()).collect();
    let waiting = answers.split_off(2);
    for (answer, seq) in answers.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap().seq, seq);
    }
    ping(&flooder).await;
    assert_eq!(scene.host.head().seq, 2, "the rest waits");
    // Others are heard at once, and the flooder is answered whatever is no message.
    assert_eq!(other.link.request(&now("hello")).await.unwrap().seq, 3);
    assert_eq!(other.entry().await.open().unwrap().seq, 1);
    let report = flooder.link.request(&StatusOf { ids: vec![third] }).await.unwrap();
    assert!(report.stored.is_empty(), "not before its turn");
    // What waits ends with the connection, and was never stored.
    flooder.link.request(&Disconnect {}).await.unwrap();
    for answer in waiting {
        assert!(answer.await.is_err());
    }
    assert_eq!(scene.host.head().seq, 3);
}

#[actix::test]
async fn a_delay_is_no_loss() {
    let scene = Scene::limited(limits(Rate::new(2, 6000), Rate::new(1, 1))).await;
    let member = scene.join_as("member").await;
    let answers: Vec<_> = (0..60).map(|n| member.link.send(&now(&n.to_string())).unwrap()).collect();
    for (answer, seq) in answers.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap().seq, seq);
    }
}

#[actix::test]
async fn what_would_wait_too_long_is_refused_with_when_to_come_back_and_so_is_what_follows() {
    let scene = Scene::limited(limits(Rate::new(1, 1), Rate::new(1, 1))).await;
    let member = scene.join_as("member").await;
    let answers: Vec<_> = (0..3).map(|n| member.link.send(&now(&n.to_string())).unwrap()).collect();
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await);
    }
    assert_eq!(outcomes.remove(0).unwrap().seq, 1);
    let wait = patience(outcomes.remove(0));
    assert!(wait > 13_000 && wait <= 60_000, "{wait} ms");
    assert_eq!(code(outcomes.remove(0)), Code::AfterRefused);
    let again = Message { restart: true, ..now("again") };
    patience(member.link.request(&again).await);
    assert_eq!(scene.join_as("other").await.link.request(&now("hello")).await.unwrap().seq, 2);
}

#[actix::test]
async fn to_come_in_anew_gives_nothing_back() {
    let scene = Scene::limited(limits(Rate::new(1, 1), Rate::new(1, 1))).await;
    let pass = scene.guest_pass(Identity::generate().unwrap().key(), "member");
    let (member, _) = scene.join(&pass, None, 0).await;
    assert_eq!(member.link.request(&now("hello")).await.unwrap().seq, 1);
    let (member, _) = scene.join(&pass, None, 0).await;
    patience(member.link.request(&now("hello")).await);
}

#[actix::test]
async fn what_was_written_while_away_is_taken_faster() {
    let scene = Scene::limited(limits(Rate::new(1, 1), Rate::new(100, 1))).await;
    let member = scene.join_as("member").await;
    member.send_many(100).await;
    assert_eq!(member.link.request(&now("hello")).await.unwrap().seq, 101);
    patience(member.link.request(&now("too much")).await);
}

#[actix::test]
async fn hello_says_how_much_to_those_whom_it_holds() {
    let rates = (Rate::new(10, 300), Rate::new(1000, 60));
    let scene = Scene::limited(limits(rates.0, rates.1)).await;
    let said = said_to_who_comes(&scene).await;
    assert_eq!((said.messages, said.catch_up, said.connections), (Some(rates.0), Some(rates.1), Some(512)));
    let scene = Scene::new().await;
    let said = said_to_who_comes(&scene).await;
    assert_eq!((said.messages, said.connections), (None, None), "the user of the same program is exempt");
}

async fn said_to_who_comes(scene: &Scene) -> session::Limits {
    let (link, mut inbox) = scene.dial(Identity::generate().unwrap().key(), 1024);
    inbox.ask(&link, &hello()).await.unwrap().limits
}
