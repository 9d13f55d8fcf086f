use common::proto::event::Person;
use common::proto::status::{Code, Refusal};

use super::*;
use crate::api::LinkState;
use crate::ui::fake::{channel_id, epoch, identity, key, message, message_id};

fn first() -> ChannelName {
    "first".parse().unwrap()
}

fn other(seq: u64, text: &str) -> ChatMessage {
    let stranger = common::identity::PeerKey::from_bytes([1; 32]);
    ChatMessage { subject: Subject::Guest(stranger), ..message(seq, text) }
}

fn model() -> Model {
    let mut model = Model::default();
    model.see_identity(&identity());
    model
}

fn told(model: &mut Model, message: ChatMessage) {
    model.apply(&Event::Message(message), None);
}

fn unread(model: &Model) -> (u64, u64) {
    model.talk(&first()).map(|talk| (talk.kept.unread, talk.kept.mentions)).unwrap_or_default()
}

fn mark(seq: u64) -> Mark {
    Mark { epoch: epoch(), seq }
}

fn status(seq: u64) -> ChannelStatus {
    ChannelStatus {
        id: channel_id(),
        channel: first(),
        hosted: false,
        joined: true,
        state: LinkState::Up,
        reason: None,
        seq,
        queued: 0,
        behind: None,
    }
}

#[test]
fn what_others_write_is_unread_until_it_was_seen() {
    let mut model = model();
    told(&mut model, other(1, "hello"));
    told(&mut model, other(2, "@Ken, are you there?"));
    told(&mut model, message(3, "my own"));
    assert_eq!((unread(&model), model.unread()), ((2, 1), (2, 1)));
    assert_eq!(
        model.alerts.since(0).map(|alert| alert.text.as_str()).collect::<Vec<_>>(),
        ["@Ken, are you there?"]
    );
    // Told again after a crash: counted once.
    told(&mut model, other(2, "@Ken, are you there?"));
    assert_eq!((unread(&model), model.alerts.count()), ((2, 1), 1));
    model.read(&first(), mark(2));
    assert_eq!(unread(&model), (1, 1));
    model.read(&first(), mark(3));
    assert_eq!((unread(&model), model.unread()), ((0, 0), (0, 0)));
    let frame = model.frame;
    model.read(&first(), mark(1));
    assert_eq!((unread(&model), model.frame), ((0, 0), frame));
    assert_eq!(model.talk(&first()).unwrap().kept.read, Some(mark(3)));
}

#[test]
fn another_log_counts_from_its_beginning() {
    let mut model = model();
    told(&mut model, other(7, "old"));
    model.read(&first(), mark(7));
    let epoch = "01900000-0000-4000-8000-00000000000a".parse().unwrap();
    told(&mut model, ChatMessage { epoch, ..other(1, "new") });
    assert_eq!(unread(&model), (1, 0));
}

#[test]
fn a_muted_channel_is_counted_and_not_heard() {
    let mut model = model();
    model.mute(&first(), true);
    told(&mut model, other(1, "ken!"));
    assert_eq!((unread(&model), model.unread(), model.alerts.count()), ((1, 1), (0, 0), 0));
    assert!(model.is_dirty && model.kept()[&first()].muted);
}

#[test]
fn what_came_while_no_page_counted_is_unread_at_the_next_start() {
    let mut model = model();
    told(&mut model, other(1, "hello"));
    model.read(&first(), mark(1));
    let mut later = Model::new(model.kept(), BTreeMap::new());
    later.see_channels(&[status(5)]);
    assert_eq!(unread(&later), (4, 0));
    told(&mut later, other(5, "counted already"));
    told(&mut later, other(6, "new"));
    assert_eq!(unread(&later), (5, 0));
    // Where no page was ever, all that is there already counts as read.
    let mut new = Model::default();
    new.see_channels(&[status(100)]);
    assert_eq!(unread(&new), (0, 0));
    // A channel that is gone is not remembered.
    later.see_channels(&[]);
    assert!(later.kept().is_empty());
}

#[test]
fn lines_are_for_views_and_a_view_that_falls_behind_begins_anew() {
    let mut model = model();
    told(&mut model, other(1, "nobody looks"));
    let talk = |model: &mut Model| model.talk_mut(&first()).unwrap().watch();
    let from = talk(&mut model);
    let texts = |model: &Model, from| {
        let lines = model.talk(&first()).unwrap().lines_from(from)?;
        Some(
            lines
                .map(|line| match line {
                    Line::Message(message) => message.text.clone().unwrap(),
                    Line::Notice(text) => text.clone(),
                })
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(texts(&model, from).unwrap(), Vec::<String>::new());
    told(&mut model, other(2, "a"));
    let joined = Event::Joined { channel: first(), members: Vec::<Person>::new(), count: 3 };
    model.apply(&joined, Some("* #first: 3 joined".to_owned()));
    assert_eq!(texts(&model, from).unwrap(), ["a", "3 joined"]);
    assert_eq!(texts(&model, from + 1).unwrap(), ["3 joined"]);
    for seq in 3..2000 {
        told(&mut model, other(seq, "flood"));
    }
    assert_eq!(texts(&model, from), None);
    let newest = model.talk(&first()).unwrap().next();
    assert_eq!(texts(&model, newest).unwrap(), Vec::<String>::new());
    // Filled gaps make what is shown wrong; so does nobody's looking.
    model.apply(&Event::Filled { channel: first(), from: 1, to: 2 }, None);
    assert_eq!(texts(&model, newest), None);
    let again = talk(&mut model);
    model.talk_mut(&first()).unwrap().unwatch();
    model.talk_mut(&first()).unwrap().unwatch();
    assert_eq!(texts(&model, again), None);
}

#[test]
fn a_view_holds_few_bytes() {
    let mut model = model();
    let from = model.talk_mut(&first()).unwrap().watch();
    for seq in 1..200 {
        told(&mut model, other(seq, &"x".repeat(16_384)));
    }
    let talk = model.talk(&first()).unwrap();
    assert!(talk.lines_from(from).is_none());
    assert!(talk.lines_from(talk.next() - 64).is_some() && talk.lines_from(talk.next() - 65).is_none());
}

#[test]
fn what_was_not_asked_for_is_said_and_never_lost() {
    let mut model = model();
    let warning = |channel| Event::Warning { code: Code::NewLog, reason: "begun anew".into(), channel };
    model.apply(&warning(None), Some("! begun anew (new_log)".into()));
    let outcome = Box::new(Err(Refusal::from(Code::CannotListen)));
    model.apply(&Event::Result { command: "host", outcome }, None);
    model.talk_mut(&first()).unwrap().watch();
    model.apply(&warning(Some(first())), Some("! #first: begun anew (new_log)".into()));
    let said = model.notices.since(0).map(|notice| (notice.text.as_str(), notice.is_bad)).collect::<Vec<_>>();
    let listen = Code::CannotListen.sentence();
    assert_eq!(said, [("begun anew", true), (listen, true), ("#first: begun anew", true)]);
    assert_eq!(model.talk(&first()).unwrap().next(), 1);
    // An event that nobody here has heard of.
    let unknown = Event::TrackerKey { tracker: "x".into(), key: key(), confirmed: false };
    model.other(&unknown, Some("something new".into()));
    assert_eq!(model.notices.since(3).count(), 1);
    for _ in 0..200 {
        model.say("again");
    }
    assert_eq!((model.notices.since(0).count(), model.notices.count()), (50, 204));
    assert_eq!(model.notices.since(203).count(), 1);
}

#[test]
fn a_message_on_its_way_changes_what_waits() {
    let mut model = model();
    let event = |state| Event::Outgoing {
        id: message_id(),
        channel: first(),
        state,
        seq: None,
        code: None,
        reason: None,
        becomes: None,
    };
    model.apply(&event(OutgoingState::Queued), None);
    let frame = model.frame;
    model.apply(&event(OutgoingState::Refused), None);
    assert_eq!(model.talk(&first()).unwrap().outbox, 2);
    assert!(model.frame > frame);
}

#[test]
fn a_name_is_a_word_of_its_own() {
    let ken: UserName = "ken".parse().unwrap();
    for text in ["ken", "@ken", "hi KEN!", "(ken)", "a\nken\nb", "it is ken."] {
        assert!(is_mention(text, &ken), "{text}");
    }
    for text in ["", "token", "kens", "ken-2", "ken_", "broken ken2"] {
        assert!(!is_mention(text, &ken), "{text}");
    }
}
