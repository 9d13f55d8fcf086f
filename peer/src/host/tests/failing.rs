use common::entry::{Position, RawEntry};
use common::identity::Identity;
use common::proto::channel::{History, Message};
use common::proto::limits::{MAX_MESSAGE_FRAME_BYTES, MAX_TEXT_BYTES};
use common::proto::status::Code;
use common::storage::{Direction, KeyRange, StoreError, Table};
use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::scene::{Member, SOON, Scene, code, message, message_with_body};

#[actix::test]
async fn a_message_is_stored_byte_for_byte_and_bounded() {
    let scene = Scene::new().await;
    let mut member = scene.join_as("ken").await;
    let body = RawValue::from_string(r#"{ "text" : "a \u0041\ud83d\ude00", "x":1}"#.into()).unwrap();
    member.link.request(&message_with_body(body.clone())).await.unwrap();
    let entry: RawEntry = member.entry().await;
    assert_eq!(entry.body.unwrap().get(), body.get());
    let longest = "x".repeat(MAX_TEXT_BYTES);
    member.send(&longest).await;
    let escaped = format!(r#"{{"text":"{}"}}"#, "\\u0001".repeat(MAX_MESSAGE_FRAME_BYTES / 6));
    let escaped = RawValue::from_string(escaped).unwrap();
    for (refused, expected) in [
        (message(""), Code::TextEmpty),
        (message(&format!("{longest}x")), Code::TextTooLong),
        (Message { kind: "edit".into(), ..message("a") }, Code::UnknownType),
        (message_with_body(RawValue::from_string("7".into()).unwrap()), Code::BadRequest),
        (message_with_body(escaped), Code::FrameTooLong),
    ] {
        let refused = Message { restart: true, ..refused };
        assert_eq!(code(member.link.request(&refused).await), expected);
        assert_eq!(code(member.link.request(&message("b")).await), Code::AfterRefused);
    }
    let restart = Message { restart: true, ..message("b") };
    assert_eq!(member.link.request(&restart).await.unwrap().seq, 3);
}

#[actix::test]
async fn the_longest_message_comes_back_in_a_page_and_a_stream() {
    let scene = Scene::new().await;
    let member = scene.join_as("ken").await;
    let filler = "x".repeat(MAX_MESSAGE_FRAME_BYTES - 400);
    let body = RawValue::from_string(format!(r#"{{"text":"a","later":"{filler}"}}"#)).unwrap();
    for _ in 0..3 {
        member.link.request(&message_with_body(body.clone())).await.unwrap();
    }
    let page = member.history(History::default()).await;
    assert_eq!(page.entries.len(), 1);
    let start = Position::start(scene.host.id(), page.head.epoch);
    let pass = scene.guest_pass(Identity::generate().unwrap().key(), "ada");
    let (mut reader, _) = scene.join(&pass, Some(start), 0).await;
    assert_eq!(reader.take_upto(start, 3).await, page.head);
}

#[actix::test]
async fn a_lost_answer_is_given_again() {
    let mut scene = Scene::new().await;
    let key = Identity::generate().unwrap().key();
    let pass = scene.guest_pass(key, "ken");
    let sent = message("once");
    let (member, _) = scene.join(&pass, None, 0).await;
    // The request is on its way; whoever asked does not wait for its answer.
    drop(member.link.send(&sent).unwrap());
    let (member, _) = scene.join(&pass, None, 0).await;
    let first = member.link.request(&sent).await.unwrap();
    let second = member.link.request(&sent).await.unwrap();
    scene.reopen().await;
    let (member, _) = scene.join(&pass, None, 0).await;
    let third = member.link.request(&sent).await.unwrap();
    assert_eq!([first, second, third], [first; 3]);
    assert_eq!(scene.host.head().seq, 1);
    let other = Message { body: message("twice").body, ..sent };
    assert_eq!(code(member.link.request(&other).await), Code::IdReused);
}

#[actix::test]
async fn a_full_disk_refuses_messages_and_nothing_else() {
    let scene = Scene::new().await;
    let member = scene.join_as("ken").await;
    member.send("a").await;
    scene.faults.set_free_bytes(Some(0));
    let (first, second) =
        (member.link.send(&message("b")).unwrap(), member.link.send(&message("c")).unwrap());
    assert_eq!(code(first.await), Code::StorageFull);
    assert_eq!(code(second.await), Code::AfterRefused);
    assert_eq!(member.history(History::default()).await.entries.len(), 1);
    let mut late = scene.join_as("late").await;
    scene.faults.set_free_bytes(None);
    let restart = Message { restart: true, ..message("b") };
    assert_eq!(member.link.request(&restart).await.unwrap().seq, 2);
    assert_eq!(late.entry().await.text().as_deref(), Some("b"));
}

/// Sends until it is stored, as a client does.
async fn insist(member: &Member, sent: &Message) -> u64 {
    let again = Message { restart: true, ..sent.clone() };
    loop {
        match member.link.request(&again).await {
            Ok(stored) => return stored.seq,
            Err(error) => assert_eq!(error.into_refusal().code, Code::StorageFailed),
        }
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn what_a_failed_flush_left_on_disk_counts_and_what_it_did_not_is_stored_again() {
    for is_written in [true, false] {
        let scene = Scene::new().await;
        let mut member = scene.join_as("ken").await;
        let start = scene.host.head();
        member.send("a").await;
        if is_written {
            scene.faults.fail_next_flush();
        } else {
            scene.faults.lose_next_write();
        }
        let sent = message("b");
        assert_eq!(code(member.link.request(&sent).await), Code::StorageFailed);
        assert_eq!(insist(&member, &sent).await, 2);
        let restart = Message { restart: true, ..message("c") };
        assert_eq!(member.link.request(&restart).await.unwrap().seq, 3);
        assert_eq!(member.take_upto(start, 3).await, scene.host.head());
    }
}

#[actix::test]
async fn a_log_that_has_lost_entries_takes_nothing_and_the_owner_can_hear_of_it() {
    let scene = Scene::new().await;
    let member = scene.join_as("ken").await;
    member.send("a").await;
    let mut behind = std::pin::pin!(scene.host.log_is_behind());
    assert!(behind.as_mut().now_or_never().is_none());
    // As when an older copy of the folder is put back.
    let lose = scene.store.write(|transaction| {
        let entries = Table::new("log");
        for (key, _) in transaction.scan(entries, KeyRange::ALL, usize::MAX, Direction::Forward)? {
            transaction.delete(entries, key);
        }
        Ok(())
    });
    let lost: Result<(), StoreError> = lose.await;
    lost.unwrap();
    assert_eq!(code(member.link.request(&message("b")).await), Code::StorageFailed);
    assert!(timeout(SOON, behind).await.unwrap().contains("reached entry 1"));
    timeout(SOON, scene.host.log_is_behind()).await.expect("whoever asks late hears of it too");
    let restart = Message { restart: true, ..message("b") };
    assert_eq!(code(member.link.request(&restart).await), Code::LogBehind);
}
