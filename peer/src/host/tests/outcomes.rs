use common::id::{AccountId, MessageId};
use common::identity::Identity;
use common::proto::channel::{StatusOf, StatusReport, StoredMessage};
use common::proto::limits::MAX_STATUS_IDS;
use common::proto::status::Code;

use super::scene::{Member, Scene, code, message};

async fn outcomes(member: &Member, ids: &[MessageId]) -> StatusReport {
    member.link.request(&StatusOf { ids: ids.to_vec() }).await.unwrap()
}

#[actix::test]
async fn a_member_learns_which_of_their_own_messages_are_stored() {
    let scene = Scene::new().await;
    let (ken, charlie) = (scene.join_as("ken").await, scene.join_as("charlie").await);
    let (first, second, others) = (message("1"), message("2"), message("of charlie"));
    charlie.link.request(&others).await.unwrap();
    let stored = ken.link.request(&first).await.unwrap();
    let asked = [second.id, first.id, others.id, MessageId::new()];
    let expected = StoredMessage { id: first.id, seq: stored.seq, stored_at: stored.stored_at };
    assert_eq!(outcomes(&ken, &asked).await, StatusReport { stored: vec![expected] });
    assert_eq!(outcomes(&ken, &[]).await, StatusReport::default());
    let many = StatusOf { ids: vec![first.id; MAX_STATUS_IDS + 1] };
    assert_eq!(code(ken.link.request(&many).await), Code::BadRequest);
    assert_eq!(outcomes(&ken, &[first.id; MAX_STATUS_IDS]).await.stored.len(), MAX_STATUS_IDS);
}

#[actix::test]
async fn who_is_somebody_else_on_the_same_device_learns_nothing_of_the_guests_messages() {
    let scene = Scene::new().await;
    let key = Identity::generate().unwrap().key();
    let (guest, _) = scene.join(&scene.guest_pass(key, "ken"), None, 0).await;
    let sent = message("as a guest");
    guest.link.request(&sent).await.unwrap();
    let (account, _) = scene.join(&scene.account_pass(key, "ken", AccountId::new()), None, 0).await;
    assert_eq!(outcomes(&account, &[sent.id]).await, StatusReport::default());
}

#[actix::test]
async fn what_an_older_connection_had_under_way_is_settled_before_the_new_one_can_ask() {
    let scene = Scene::new().await;
    let key = Identity::generate().unwrap().key();
    let pass = scene.guest_pass(key, "ken");
    for fault in 0..3 {
        let (older, _) = scene.join(&pass, None, 0).await;
        let sent = message(&fault.to_string());
        match fault {
            1 => scene.faults.fail_next_flush(),
            2 => scene.faults.lose_next_write(),
            _ => {}
        }
        // Under way, and its answer is never looked at.
        let answer = older.link.send(&sent).unwrap();
        let (newer, _) = scene.join(&pass, None, 0).await;
        let before = outcomes(&newer, &[sent.id]).await.stored;
        drop(answer);
        // What was said is final.
        newer.send("another").await;
        assert_eq!(outcomes(&newer, &[sent.id]).await.stored, before, "{fault}");
        let again = newer.link.request(&sent).await.unwrap();
        assert!(before.first().is_none_or(|stored| stored.seq == again.seq), "{fault}");
    }
}
