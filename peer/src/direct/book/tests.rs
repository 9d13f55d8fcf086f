use common::id::{AccountId, IdentityKind};
use common::proto::knock::{Introduction, Knocked};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn key(number: u8) -> PeerKey {
    PeerKey::from_bytes([number; 32])
}

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

fn guest(of: &str, number: u8) -> Owner {
    Owner { subject: Subject::Guest(key(number)), name: name(of), kind: IdentityKind::Guest }
}

fn account(of: &str) -> Owner {
    Owner { subject: Subject::Account(AccountId::new()), name: name(of), kind: IdentityKind::Account }
}

fn knock(from: &Owner, number: u8) -> Knocked {
    Knocked { from: from.clone(), key: key(number), at: NOW }
}

fn introduction(who: &Owner, number: u8) -> Introduction {
    let addresses = vec![format!("tcp:192.0.2.{number}:1").parse().unwrap()];
    Introduction { who: who.clone(), key: key(number), addresses, rejected: false }
}

fn hear(book: &mut Book, from: &Owner, number: u8) -> Heard {
    book.knocked(&knock(from, number), Accept::Ask, NOW)
}

/// A book with one contact.
fn with(who: &Owner, number: u8) -> (Book, ContactId) {
    let mut book = Book::default();
    assert!(matches!(hear(&mut book, who, number), Heard::Ask(_)));
    let id = book.accept(&who.name, None, NOW).unwrap();
    (book, id)
}

fn warning(heard: Heard) -> Option<Option<Warning>> {
    if let Heard::Ask(asks) = heard { Some(asks.warning) } else { None }
}

#[test]
fn a_stranger_is_asked_about_once_and_accepted_with_the_key_they_asked_with() {
    let mut book = Book::default();
    let ken = guest("ken", 1);
    assert_eq!(warning(hear(&mut book, &ken, 1)), Some(None));
    assert_eq!(hear(&mut book, &ken, 1), Heard::Nothing, "the tracker tells it again");
    assert_eq!(book.open(&name("ken")).unwrap_err().code, Code::NotContact);
    let id = book.accept(&name("KEN"), None, NOW).unwrap();
    let contact = book.open(&name("ken")).unwrap();
    assert_eq!((contact.id, contact.keys()), (id, vec![key(1)]));
    assert!(book.requests().is_empty());
    assert_eq!(hear(&mut book, &ken, 1), Heard::Known(id), "they have lost what they knew");
    assert_eq!(book.accept(&name("ken"), None, NOW).unwrap_err().code, Code::NoRequest);
}

#[test]
fn a_request_that_was_turned_down_is_not_shown_again_and_may_be_accepted_later() {
    let mut book = Book::default();
    let ken = guest("ken", 1);
    hear(&mut book, &ken, 1);
    assert_eq!(book.reject(&name("ken"), None).unwrap().key, key(1));
    assert_eq!(hear(&mut book, &ken, 1), Heard::Nothing);
    assert!(book.accept(&name("ken"), None, NOW).is_ok());
    assert!(book.open(&name("ken")).is_ok());
}

#[test]
fn whom_nobody_has_asked_is_not_met_whatever_the_tracker_says() {
    let mut book = Book::default();
    let (ken, eve) = (guest("ken", 1), guest("eve", 9));
    assert_eq!(book.introduced(&introduction(&eve, 9), NOW), Met::Nothing);
    assert_eq!(book.start(&name("ken"), NOW), Ok(Started::Knock));
    assert_eq!(book.introduced(&introduction(&eve, 9), NOW), Met::Nothing);
    assert!(book.contacts().is_empty());
    let Met::Accepted(id) = book.introduced(&introduction(&ken, 1), NOW) else { panic!("ken has accepted") };
    assert!(book.asked().is_empty());
    assert_eq!(book.contact(id).unwrap().devices[0].addresses[0].as_str(), "tcp:192.0.2.1:1");
    assert_eq!(book.introduced(&introduction(&ken, 1), NOW), Met::Known(id));
    assert_eq!(book.start(&name("ken"), NOW), Ok(Started::Contact(id)));
}

#[test]
fn a_rejection_is_told_once_and_only_of_what_was_asked() {
    let mut book = Book::default();
    let rejected = Introduction { rejected: true, ..introduction(&guest("ken", 1), 1) };
    assert_eq!(book.introduced(&rejected, NOW), Met::Nothing);
    book.start(&name("ken"), NOW).unwrap();
    assert_eq!(book.introduced(&rejected, NOW), Met::Rejected(name("ken")));
    assert_eq!(book.introduced(&rejected, NOW), Met::Nothing);
}

#[test]
fn another_key_of_a_contact_gets_nothing_before_the_user_agrees() {
    let ken = account("ken");
    let (mut book, id) = with(&ken, 1);
    for accept in [Accept::Ask, Accept::Contacts, Accept::Everyone] {
        let mut book = book.clone();
        assert_eq!(book.introduced(&introduction(&ken, 2), NOW), Met::OtherKey(id));
        let heard = book.knocked(&knock(&ken, 2), accept, NOW);
        assert_eq!(warning(heard), Some(Some(Warning::NewDevice)), "{accept:?}");
        assert_eq!(book.contact(id).unwrap().keys(), [key(1)]);
    }
    book.change(id, |contact| contact.devices[0].acked = 7);
    hear(&mut book, &ken, 2);
    assert_eq!(book.accept(&name("ken"), None, NOW), Ok(id));
    let contact = book.contact(id).unwrap();
    assert_eq!(contact.keys(), [key(1), key(2)]);
    assert_eq!(contact.device(key(2)).unwrap().acked, 7, "what the other device has is not sent again");
}

#[test]
fn who_takes_the_name_of_a_contact_is_somebody_else() {
    let (mut book, old) = with(&guest("ken", 1), 1);
    let other = guest("Ken", 2);
    let heard = book.knocked(&knock(&other, 2), Accept::Everyone, NOW);
    assert_eq!(warning(heard), Some(Some(Warning::SameName)));
    assert_eq!(book.open(&name("ken")).unwrap().id, old);
    // Nor does a contact who calls itself like another become that other.
    let (eve, _) = (guest("eve", 3), hear(&mut book, &guest("eve", 3), 3));
    let eve_id = book.accept(&eve.name, None, NOW).unwrap();
    hear(&mut book, &Owner { name: name("ken"), ..eve }, 3);
    assert_eq!(book.open(&name("ken")).unwrap().id, old);
    assert_eq!(book.contact(eve_id).unwrap().name, name("eve"));
    // Whoever knows of the other and agrees means the newer one from then on.
    let new = book.accept(&name("ken"), None, NOW).unwrap();
    assert_ne!(new, old);
    assert_eq!(book.open(&name("ken")).unwrap().id, new);
    assert!(book.contact(old).is_some());
}

#[test]
fn a_guest_who_becomes_an_account_stays_the_same_contact() {
    let (mut book, id) = with(&guest("ken", 1), 1);
    let ken = Owner { name: name("kenneth"), ..account("ken") };
    assert_eq!(book.introduced(&introduction(&ken, 1), NOW), Met::Known(id));
    let contact = book.open(&name("kenneth")).unwrap();
    assert_eq!((contact.id, contact.subject), (id, ken.subject));
    // The account's other devices are not agreed to by that.
    assert_eq!(book.introduced(&introduction(&ken, 2), NOW), Met::OtherKey(id));
}

#[test]
fn two_who_ask_each_other_agree_at_once() {
    let ken = guest("ken", 1);
    let mut book = Book::default();
    book.start(&name("ken"), NOW).unwrap();
    assert!(matches!(hear(&mut book, &ken, 1), Heard::Agreed(_)));
    assert!(book.asked().is_empty() && book.open(&name("ken")).is_ok());
    let mut book = Book::default();
    hear(&mut book, &ken, 1);
    assert!(matches!(book.start(&name("ken"), NOW), Ok(Started::Agreed(_))));
}

#[test]
fn who_gets_through_unasked_is_as_the_user_wants_it() {
    let ken = guest("ken", 1);
    let heard = |accept| Book::default().knocked(&knock(&ken, 1), accept, NOW);
    assert!(matches!(heard(Accept::Ask), Heard::Ask(_)));
    assert_eq!(heard(Accept::Contacts), Heard::Nothing);
    assert!(matches!(heard(Accept::Everyone), Heard::Agreed(_)));
}

#[test]
fn of_two_requests_under_one_name_the_key_says_which() {
    let mut book = Book::default();
    let ken = account("ken");
    hear(&mut book, &ken, 1);
    hear(&mut book, &ken, 2);
    assert_eq!(book.accept(&name("ken"), None, NOW).unwrap_err().code, Code::Usage);
    assert_eq!(book.reject(&name("ken"), Some("33")).unwrap_err().code, Code::NoRequest);
    assert_eq!(book.reject(&name("ken"), Some("01")).unwrap().key, key(1));
    let id = book.accept(&name("ken"), None, NOW).unwrap();
    assert_eq!(book.contact(id).unwrap().keys(), [key(2)]);
}

#[test]
fn who_is_blocked_is_not_heard_and_not_met() {
    let ken = guest("ken", 1);
    let (mut book, id) = with(&ken, 1);
    assert_eq!(book.block(&name("ken"), None, NOW).unwrap().id, id);
    assert_eq!(hear(&mut book, &ken, 1), Heard::Nothing);
    assert_eq!(hear(&mut book, &ken, 2), Heard::Nothing);
    assert_eq!(book.introduced(&introduction(&ken, 1), NOW), Met::Nothing);
    assert_eq!(book.open(&name("ken")).unwrap_err().code, Code::NotContact);
    assert_eq!(book.start(&name("ken"), NOW).unwrap_err().code, Code::NotContact);
    assert!(!book.is_in_use());
    assert!(book.unblock(&name("ken")).is_ok() && book.open(&name("ken")).is_ok());
    assert_eq!(book.unblock(&name("ken")).unwrap_err().code, Code::NotContact);
}

#[test]
fn a_stranger_who_asks_can_be_blocked_and_is_forgotten_when_unblocked() {
    let (mut book, eve) = (Book::default(), guest("eve", 9));
    assert_eq!(book.block(&name("eve"), None, NOW).unwrap_err().code, Code::NotContact);
    hear(&mut book, &eve, 9);
    assert!(!book.is_blocked(eve.subject));
    book.block(&name("eve"), None, NOW).unwrap();
    assert!(book.requests().is_empty() && book.is_blocked(eve.subject));
    assert_eq!(hear(&mut book, &eve, 9), Heard::Nothing);
    book.unblock(&name("eve")).unwrap();
    assert!(book.contacts().is_empty());
    assert!(matches!(hear(&mut book, &eve, 9), Heard::Ask(_)));
}

#[test]
fn whom_the_tracker_names_can_be_blocked_unheard_and_is_one_under_any_name() {
    let (mut book, eve) = (Book::default(), guest("eve", 9));
    let id = book.block(&name("eve"), Some(&eve), NOW).unwrap().id;
    assert!(book.is_blocked(eve.subject) && hear(&mut book, &eve, 9) == Heard::Nothing);
    let eva = guest("eva", 9);
    assert_eq!(book.block(&name("eva"), Some(&eva), NOW).unwrap().id, id);
    assert_eq!(book.contacts().len(), 1);
}

#[test]
fn everything_has_its_bounds() {
    let mut book = Book::default();
    for number in 0..=MAX_REQUESTS {
        let who = account(&format!("n{number}"));
        hear(&mut book, &who, 1);
        let asked = book.start(&name(&format!("m{number}")), NOW);
        assert_eq!(asked.is_ok(), number < MAX_REQUESTS);
    }
    assert_eq!((book.requests().len(), book.asked().len()), (MAX_REQUESTS, MAX_REQUESTS));
    assert_eq!(book.requests()[0].from.name, name("n1"), "of too many the oldest goes");
    let later = NOW.plus(REQUEST_LASTS);
    assert_eq!(book.start(&name("late"), later), Ok(Started::Knock));
    assert_eq!((book.requests().len(), book.asked().len()), (0, 1), "after a week they are gone");
    let (mut book, id) = with(&account("ken"), 1);
    book.change(id, |contact| (0..=u8::MAX).for_each(|number| contact.agree(key(number))));
    assert_eq!(book.contact(id).unwrap().devices.len(), MAX_DEVICES_OF_CONTACT);
}

#[test]
fn what_has_changed_is_noted() {
    let ken = guest("ken", 1);
    let (mut book, id) = with(&ken, 1);
    let changed = book.take_changed();
    assert!(changed.contains(&Changed::Contact(id)) && changed.contains(&Changed::Requests));
    assert_eq!(book.take_changed(), []);
    hear(&mut book, &ken, 1);
    assert_eq!(book.take_changed(), [], "nothing is another now");
    book.introduced(&introduction(&ken, 1), NOW);
    assert_eq!(book.take_changed(), [Changed::Contact(id)]);
    let kept = Book::load(book.contacts().to_vec(), book.requests().to_vec(), book.asked().to_vec());
    assert_eq!(kept.contacts(), book.contacts());
}
