mod model;

use common::entry::{Hash, Position};
use common::id::Epoch;
use common::identity::PeerKey;
use common::proto::channel::StoredMessage;

use super::*;

fn me() -> Subject {
    Subject::Guest(PeerKey::from_bytes([1; 32]))
}

fn other() -> Subject {
    Subject::Guest(PeerKey::from_bytes([2; 32]))
}

fn item(number: u64) -> Item {
    Item {
        number,
        id: MessageId::new(),
        text: number.to_string(),
        offers: None,
        sent_at: Timestamp::from_millis(number),
        writer: me(),
        writer_name: "ken".into(),
        expires: None,
        head_seen: None,
        refused: None,
        wish: None,
        stored: None,
    }
}

fn is_stored(effect: &Effect, which: (u64, MessageId), at: u64) -> bool {
    matches!(effect, Effect::Stored { item, seq } if (item.number, item.id) == which && *seq == at)
}

fn filled(count: u64) -> Outbox {
    let mut outbox = Outbox::default();
    for _ in 0..count {
        let number = outbox.next_number().unwrap();
        outbox.begin(item(number));
        outbox.written(number, true);
    }
    outbox
}

fn ids(outbox: &Outbox) -> Vec<MessageId> {
    outbox.rows(None).iter().map(|row| row.item.id).collect()
}

fn send_all(outbox: &mut Outbox) -> Vec<(MessageId, bool)> {
    std::iter::from_fn(|| outbox.next(me())).map(|(item, restart)| (item.id, restart)).collect()
}

fn refuse(code: Code) -> Answer {
    Answer::Refused(code.into())
}

fn edit(text: &str) -> Wish {
    Wish::Edit { id: MessageId::new(), text: text.into(), expires: None }
}

fn stored(id: MessageId, seq: u64) -> StoredMessage {
    StoredMessage { id, seq, stored_at: Timestamp::from_millis(1) }
}

fn now_decided(outbox: &mut Outbox, id: MessageId, wish: Wish) -> Change {
    match outbox.wish(id, wish).unwrap() {
        Decision::Now(change) => change,
        Decision::Later(item) => panic!("{item:?} has to be asked for"),
    }
}

fn later(outbox: &mut Outbox, id: MessageId, wish: Wish) -> Item {
    match outbox.wish(id, wish).unwrap() {
        Decision::Later(item) => item,
        Decision::Now(change) => panic!("{change:?} was decided too early"),
    }
}

#[test]
fn a_window_is_under_way_and_no_more() {
    let mut outbox = filled(100);
    let all = ids(&outbox);
    let sent = send_all(&mut outbox);
    assert_eq!(sent.len(), MAX_UNANSWERED_MESSAGES);
    assert!(sent.iter().zip(&all).all(|((id, restart), expected)| id == expected && !restart));
}

#[test]
fn what_is_written_later_does_not_overtake_what_is_not_on_disk_yet() {
    let mut outbox = Outbox::default();
    let numbers: Vec<u64> = (0..3).map(|_| outbox.next_number().unwrap()).collect();
    numbers.iter().for_each(|number| outbox.begin(item(*number)));
    let all = ids(&outbox);
    outbox.written(numbers[1], true);
    outbox.written(numbers[2], true);
    assert_eq!(send_all(&mut outbox), []);
    outbox.written(numbers[0], false);
    assert_eq!(send_all(&mut outbox), [(all[1], false), (all[2], false)]);
}

#[test]
fn a_refusal_stays_and_what_came_after_it_waits_until_the_user_retries() {
    let mut outbox = filled(3);
    let all = ids(&outbox);
    send_all(&mut outbox);
    assert!(is_stored(&outbox.answered(all[0], Answer::Stored(1))[0], (0, all[0]), 1));
    let effects = outbox.answered(all[1], refuse(Code::NotAllowed));
    assert!(matches!(&effects[..], [Effect::Refused(item)] if item.id == all[1] && item.refused.is_some()));
    outbox.retry(None, None).unwrap();
    assert_eq!(outbox.next(me()), None, "the third would overtake the second");
    assert_eq!(outbox.answered(all[2], refuse(Code::AfterRefused)), []);
    assert_eq!(send_all(&mut outbox), [(all[1], true), (all[2], false)]);
}

#[test]
fn a_paused_queue_is_still_paused_and_says_why_after_a_restart() {
    let mut outbox = filled(2);
    let all = ids(&outbox);
    send_all(&mut outbox);
    let effects = outbox.answered(all[0], refuse(Code::NotAllowed));
    let [Effect::Refused(kept)] = &effects[..] else { panic!("{effects:?}") };
    let json = serde_json::to_string(kept).unwrap();
    let mut outbox = Outbox::load(vec![serde_json::from_str(&json).unwrap(), item(1)]);
    assert_eq!(outbox.next(me()), None);
    let rows = outbox.rows(Some(me()));
    assert_eq!(rows[0].item.refused.as_ref().unwrap().code, Code::NotAllowed);
    assert_eq!(rows[0].waits, Some(Waits::Refused));
    assert_eq!(rows[1].waits, Some(Waits::Behind(all[0])));
    // It may have been stored by an attempt before the refused one.
    assert_eq!(outbox.questions(me()), [all[0]]);
    assert_eq!(outbox.questions(me()), []);
    let effects = outbox.learned(&[all[0]], &[stored(all[0], 7)]);
    assert!(is_stored(&effects[0], (0, all[0]), 7) && effects.len() == 1);
    assert_eq!(send_all(&mut outbox).len(), 1);
}

#[test]
fn an_item_of_an_earlier_release_is_read() {
    let full = serde_json::to_value(item(3)).unwrap();
    let old = serde_json::json!({
        "number": 3, "id": full["id"], "text": "3", "sent_at": 3, "writer": full["writer"],
    });
    let read: Item = serde_json::from_value(old).unwrap();
    assert_eq!(read, Item { writer_name: String::new(), id: read.id, ..item(3) });
}

#[test]
fn a_passing_refusal_holds_the_queue_back_and_no_longer_than_that() {
    let mut outbox = filled(2);
    let all = ids(&outbox);
    send_all(&mut outbox);
    let refusal = Refusal { retry_after_ms: Some(70), ..Code::TooManyRequests.into() };
    let effects = outbox.answered(all[0], Answer::Refused(refusal.clone()));
    let retry_after = Some(Duration::from_millis(70));
    assert_eq!(effects, [Effect::Held { refusal: Some(refusal), retry_after }]);
    outbox.answered(all[1], refuse(Code::AfterRefused));
    assert_eq!(outbox.next(me()), None);
    outbox.release();
    assert_eq!(send_all(&mut outbox), [(all[0], true), (all[1], false)]);
}

#[test]
fn an_unexplained_after_refused_is_not_answered_at_once_for_ever() {
    let mut outbox = filled(1);
    let all = ids(&outbox);
    send_all(&mut outbox);
    let effects = outbox.answered(all[0], refuse(Code::AfterRefused));
    assert_eq!(effects, [Effect::Held { refusal: None, retry_after: None }]);
    assert_eq!(outbox.next(me()), None);
    outbox.release();
    assert_eq!(send_all(&mut outbox), [(all[0], true)]);
}

#[test]
fn what_was_never_sent_is_changed_at_once_and_keeps_its_place() {
    let mut outbox = filled(3);
    let all = ids(&outbox);
    let change = now_decided(&mut outbox, all[1], edit("new"));
    let new = change.becomes.clone().unwrap();
    assert_eq!((new.number, new.sent_at, new.text.as_str()), (1, Timestamp::from_millis(1), "new"));
    assert_ne!(new.id, all[1]);
    // Until that is on disk, neither of the two goes out.
    assert_eq!(send_all(&mut outbox), [(all[0], false)]);
    assert!(outbox.wish(all[1], Wish::Cancel).is_err());
    assert_eq!(outbox.changed(1, Ok(()), false), [Effect::Changed(change)]);
    let change = now_decided(&mut outbox, all[2], Wish::Cancel);
    assert_eq!(outbox.changed(2, Ok(()), false), [Effect::Changed(change)]);
    assert_eq!(send_all(&mut outbox), [(new.id, false)]);
    assert_eq!(outbox.len(), 2);
    assert_eq!(outbox.wish(all[2], Wish::Cancel).unwrap_err().code, Code::NoSuchMessage);
}

#[test]
fn a_change_that_cannot_be_written_does_not_count_once_the_message_is_on_disk_as_it_was() {
    let mut outbox = filled(1);
    let all = ids(&outbox);
    now_decided(&mut outbox, all[0], edit("new"));
    let effects = outbox.changed(0, Err(Code::StorageFull.into()), true);
    let Some(Effect::Change(Change { becomes: Some(item), .. })) = effects.first() else {
        panic!("{effects:?}")
    };
    assert!(item.id == all[0] && item.wish.is_none());
    assert_eq!(send_all(&mut outbox), []);
    assert_eq!(outbox.changed(0, Ok(()), false), []);
    assert_eq!(send_all(&mut outbox), [(all[0], false)]);
}

#[test]
fn a_wish_that_was_accepted_is_tried_again_until_it_can_be_written() {
    let mut outbox = filled(2);
    let all = ids(&outbox);
    send_all(&mut outbox);
    later(&mut outbox, all[0], Wish::Cancel);
    assert!(matches!(&outbox.answered(all[0], refuse(Code::NotAllowed))[..], [Effect::Change(_)]));
    outbox.answered(all[1], refuse(Code::AfterRefused));
    let effects = outbox.changed(0, Err(Code::StorageFull.into()), false);
    assert!(matches!(&effects[..], [Effect::Held { .. }]));
    assert_eq!((send_all(&mut outbox), outbox.change_again()), (Vec::new(), Vec::new()));
    outbox.release();
    assert!(matches!(&outbox.change_again()[..], [Effect::Change(_)]));
    assert!(matches!(&outbox.changed(0, Ok(()), false)[..], [Effect::Changed(_)]));
    assert_eq!(send_all(&mut outbox), [(all[1], true)]);
}

#[test]
fn a_wish_about_what_is_under_way_is_decided_by_its_answer() {
    let mut outbox = filled(3);
    let all = ids(&outbox);
    send_all(&mut outbox);
    for id in &all {
        assert_eq!(later(&mut outbox, *id, Wish::Cancel).wish, Some(Wish::Cancel));
    }
    assert_eq!(outbox.questions(me()), [], "their answers are on the way");
    let effects = outbox.answered(all[0], Answer::Stored(4));
    let too_late = Effect::TooLate { id: all[0], seq: 4, wish: Wish::Cancel };
    assert!(is_stored(&effects[0], (0, all[0]), 4));
    assert_eq!(effects[1..], [too_late]);
    // Refused for good, but it is what the user wants gone: nothing pauses.
    assert!(matches!(&outbox.answered(all[1], refuse(Code::NotAllowed))[..], [Effect::Change(_)]));
    assert!(matches!(&outbox.answered(all[2], refuse(Code::AfterRefused))[..], [Effect::Change(_)]));
    assert!(outbox.changed(1, Ok(()), false).len() == 1 && outbox.changed(2, Ok(()), false).len() == 1);
    assert!(outbox.is_empty());
}

#[test]
fn after_a_lost_connection_the_host_is_asked_and_nothing_overtakes_meanwhile() {
    let mut outbox = filled(3);
    let all = ids(&outbox);
    send_all(&mut outbox);
    later(&mut outbox, all[1], edit("new"));
    outbox.disconnected();
    assert_eq!(send_all(&mut outbox), [(all[0], false)]);
    assert_eq!(outbox.questions(me()), [all[1]]);
    // The connection is lost before that is answered, too.
    outbox.disconnected();
    assert_eq!(outbox.questions(me()), [all[1]]);
    let effects = outbox.learned(&[all[1]], &[]);
    let [Effect::Change(change)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(send_all(&mut outbox), [(all[0], false)]);
    outbox.changed(1, Ok(()), false);
    let new = change.becomes.as_ref().unwrap().id;
    assert_eq!(send_all(&mut outbox), [(new, false), (all[2], false)]);
}

#[test]
fn what_was_loaded_may_have_been_sent_and_a_wish_survives_the_restart() {
    let mut outbox = Outbox::load(vec![item(4), item(5)]);
    let all = ids(&outbox);
    let kept = later(&mut outbox, all[0], Wish::Cancel);
    let mut outbox = Outbox::load(vec![kept]);
    assert_eq!(outbox.questions(other()), [], "only its writer's session can ask");
    assert_eq!(outbox.questions(me()), [all[0]]);
    let effects = outbox.not_learned(&[all[0]], Code::StorageFailed.into());
    assert!(matches!(&effects[..], [Effect::Held { .. }]));
    assert_eq!(outbox.questions(me()), [], "not before the time to try again");
    outbox.release();
    assert_eq!(outbox.questions(me()), [all[0]]);
    let too_late = Effect::TooLate { id: all[0], seq: 9, wish: Wish::Cancel };
    let effects = outbox.learned(&[all[0]], &[stored(all[0], 9)]);
    assert!(is_stored(&effects[0], (4, all[0]), 9));
    assert_eq!(effects[1..], [too_late]);
}

#[test]
fn a_failure_of_the_hosts_disk_says_nothing_about_the_message() {
    let mut outbox = filled(1);
    let all = ids(&outbox);
    send_all(&mut outbox);
    outbox.answered(all[0], refuse(Code::StorageFailed));
    later(&mut outbox, all[0], Wish::Cancel);
    outbox.release();
    assert_eq!((outbox.next(me()), outbox.questions(me())), (None, all));
}

#[test]
fn what_came_after_a_failure_of_the_hosts_disk_may_be_stored_and_after_another_refusal_is_not() {
    for (code, is_known) in
        [(Code::StorageFailed, false), (Code::StorageFull, true), (Code::NotAllowed, true)]
    {
        let mut outbox = filled(2);
        let all = ids(&outbox);
        send_all(&mut outbox);
        outbox.answered(all[0], refuse(code.clone()));
        outbox.answered(all[1], refuse(Code::AfterRefused));
        let decision = outbox.wish(all[1], Wish::Cancel).unwrap();
        assert_eq!(matches!(decision, Decision::Now(_)), is_known, "{code}");
        outbox.release();
        assert_eq!(outbox.questions(me()).contains(&all[1]), !is_known, "{code}");
    }
}

#[test]
fn what_is_too_late_is_refused_here_and_gets_a_new_term_when_retried() {
    let at = Timestamp::from_millis;
    let mut outbox = Outbox::load(vec![
        Item { expires: Some(at(100)), ..item(0) },
        Item { expires: Some(at(200)), ..item(1) },
        item(2),
    ]);
    let all = ids(&outbox);
    assert_eq!((outbox.expire(at(99)), outbox.next_expiry()), (Vec::new(), Some(at(100))));
    assert_eq!(send_all(&mut outbox)[0], (all[0], false));
    assert_eq!(outbox.expire(at(150)), [], "its answer is on the way");
    outbox.disconnected();
    let effects = outbox.expire(at(150));
    assert!(
        matches!(&effects[..], [Effect::Refused(item)] if item.refused.as_ref().unwrap().code == Code::Expired)
    );
    assert_eq!((outbox.next(me()), outbox.next_expiry()), (None, Some(at(200))));
    assert_eq!(outbox.expire(at(150)), []);
    let effects = outbox.retry(Some(all[0]), Some(at(900))).unwrap();
    assert!(matches!(&effects[..], [Effect::Requeued(item)] if item.expires == Some(at(900))));
    assert_eq!(send_all(&mut outbox).len(), 3);
    assert_eq!(outbox.retry(Some(MessageId::new()), None).unwrap_err().code, Code::NoSuchMessage);
}

#[test]
fn late_text_is_told_of_once_without_counting_ones_own() {
    let position = |seq| Position { epoch: EPOCH.parse().unwrap(), seq, hash: Hash::of(b"") };
    const EPOCH: &str = "52ff0c21-d9f0-42bb-83f0-1875046d70dd";
    let minute = Duration::from_secs(60);
    let late = |number| Item { head_seen: Some(position(10)), ..item(number) };
    let mut outbox = Outbox::load(vec![late(0), late(1), item(2)]);
    let all = ids(&outbox);
    let early = Timestamp::from_millis(0);
    assert_eq!(outbox.late(me(), early, position(50), minute), None);
    let now = early.plus(minute * 2);
    assert_eq!(outbox.late(me(), now, position(10), minute), None);
    outbox.next(me()).unwrap();
    outbox.answered(all[0], Answer::Stored(11));
    assert_eq!(outbox.late(me(), now, position(11), minute), None, "that was one's own");
    let told = outbox.late(me(), now, position(14), minute).unwrap();
    assert_eq!(told, Late { messages: 1, between: 3, oldest: Timestamp::from_millis(1) });
    assert_eq!(outbox.late(me(), now, position(20), minute), None);
    let elsewhere = Position { epoch: Epoch::new(), ..position(5) };
    let mut outbox = Outbox::load(vec![late(0)]);
    assert_eq!(outbox.late(other(), now, elsewhere, minute), None);
    assert_eq!(outbox.late(me(), now, elsewhere, minute).unwrap().between, 5);
}

#[test]
fn nothing_goes_out_under_another_identity_and_the_list_says_why() {
    let mut outbox = filled(2);
    assert_eq!(outbox.next(other()), None);
    let rows = outbox.rows(Some(other()));
    assert_eq!(rows[0].waits, Some(Waits::Writer("ken".into())));
    assert_eq!(outbox.stuck(Some(other())).unwrap().1, Waits::Writer("ken".into()));
    assert_eq!((outbox.moving(other()), outbox.moving(me()), outbox.stuck(Some(me()))), (0, 2, None));
    assert_eq!(send_all(&mut outbox).len(), 2);
}

#[test]
fn a_message_is_found_by_the_end_of_its_id_and_there_is_an_end_to_how_many_wait() {
    let outbox = filled(2);
    let all = ids(&outbox);
    let end = all[1].to_string().to_uppercase();
    assert_eq!(outbox.matching(&end[end.len() - 8..]), [all[1]]);
    assert_eq!(outbox.matching("").len(), 2);
    let mut outbox = filled(MAX_OUTBOX_MESSAGES as u64);
    assert_eq!(outbox.next_number().unwrap_err().code, Code::OutboxFull);
}
