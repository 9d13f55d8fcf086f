//! The examples of `docs/PROTOCOL.md` are what the programs say and understand, and its tables are complete.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::entry::{Checkpoint, Hash, Position};
use common::id::{ChannelId, Epoch, RequestId, Subject};
use common::identity::PeerKey;
use common::pass::PassRules;
use common::proto::channel::{self, HostRequest};
use common::proto::device;
use common::proto::direct::{self, PeerRequest};
use common::proto::directory::{self, TrackerRequest};
use common::proto::event::{self, HostEvent, TrackerEvent};
use common::proto::file::{self, FileEvent, FileRequest};
use common::proto::knock;
use common::proto::moving::was_handed_over;
use common::proto::presence;
use common::proto::recovery::{self, MemberRequest};
use common::proto::session::{self, Directory};
use common::proto::status::{Code, Status};
use common::proto::transfer;
use common::proto::{Command, Frame, Pushed};
use common::signed::Signed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

const PROTOCOL: &str = include_str!("../../docs/PROTOCOL.md");

/// The lines of all blocks marked `json`.
fn examples() -> impl Iterator<Item = &'static str> {
    let mut is_json = false;
    PROTOCOL.lines().filter(move |line| {
        if let Some(info) = line.strip_prefix("```") {
            is_json = info == "json";
            return false;
        }
        is_json && !line.is_empty()
    })
}

/// An example of a request, with its response.
struct Exchange {
    command: String,
    body: Box<RawValue>,
    outcome: Option<Result<Box<RawValue>, Code>>,
}

/// All that the examples say.
#[derive(Default)]
struct Story {
    exchanges: Vec<Exchange>,
    events: Vec<(String, Box<RawValue>)>,
}

impl Story {
    fn read() -> Self {
        let (mut story, mut open) = (Self::default(), BTreeMap::<RequestId, usize>::new());
        for line in examples() {
            match Frame::parse(line.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}: {line}")) {
                Frame::Request(request) => {
                    let place = story.exchanges.len();
                    assert!(open.insert(request.id, place).is_none(), "a second {}", request.id);
                    story.exchanges.push(Exchange {
                        command: request.command,
                        body: request.body,
                        outcome: None,
                    });
                }
                Frame::Response(response) => {
                    check_status(line, response.outcome.as_ref().err().map(|refusal| &refusal.code));
                    let place = open.remove(&response.id).expect("a response comes after its request");
                    story.exchanges[place].outcome = Some(response.outcome.map_err(|refusal| refusal.code));
                }
                Frame::Event(event) => story.events.push((event.name, event.body)),
            }
        }
        assert!(open.is_empty(), "requests without a response: {open:?}");
        story
    }

    /// The replies to `C`, in order.
    fn replies<C: Command>(&self) -> Vec<C::Reply> {
        let of_command = self.exchanges.iter().filter(|exchange| exchange.command == C::NAME);
        let done = of_command.filter_map(|exchange| exchange.outcome.as_ref()?.as_ref().ok());
        done.map(|body| serde_json::from_str(body.get()).unwrap()).collect()
    }
}

/// The status has to be the one that goes with the code.
fn check_status(line: &str, code: Option<&Code>) {
    let frame: Value = serde_json::from_str(line).unwrap();
    let expected = code.map_or(Status::Ok, Code::status);
    assert_eq!(frame["status"], serde_json::to_value(expected).unwrap(), "{line}");
    if let Some(code) = code {
        assert!(Code::ALL.contains(code), "unknown code in {line}");
    }
}

/// Reads a body, and makes sure that nothing in it was ignored.
fn read<T: DeserializeOwned + Serialize>(body: &RawValue) -> T {
    let value: T = serde_json::from_str(body.get()).unwrap_or_else(|error| panic!("{error}: {body}"));
    let (written, understood) = (body.get(), serde_json::to_value(&value).unwrap());
    assert!(holds(&understood, &serde_json::from_str(written).unwrap()), "{written} is read as {understood}");
    value
}

/// Whether all of `part` is in `whole`.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| holds(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        _ => whole == part,
    }
}

fn check_exchange<C: Command>(exchange: &Exchange) {
    read::<C>(&exchange.body);
    if let Some(Ok(reply)) = &exchange.outcome {
        read::<C::Reply>(reply);
    }
}

/// Calls what checks a body by its word; a word that is not in the list is an error of this test.
macro_rules! by_name {
    ($name:expr, $check:ident($argument:expr): $($body:ty,)*) => {
        match $name {
            $(<$body>::NAME => { $check::<$body>($argument); })*
            other => panic!("no type is known here for {other}"),
        }
    };
}

fn check_request(exchange: &Exchange) {
    let is_tracker = TrackerRequest::NAMES.contains(&exchange.command.as_str());
    let is_host = HostRequest::NAMES.contains(&exchange.command.as_str());
    if is_tracker {
        TrackerRequest::parse(&exchange.command, &exchange.body).unwrap();
    }
    if is_host {
        HostRequest::parse(&exchange.command, &exchange.body).unwrap();
    }
    let is_peer = PeerRequest::NAMES.contains(&exchange.command.as_str());
    if is_peer {
        PeerRequest::parse(&exchange.command, &exchange.body).unwrap();
    }
    let is_file = FileRequest::NAMES.contains(&exchange.command.as_str());
    if is_file {
        FileRequest::parse(&exchange.command, &exchange.body).unwrap();
    }
    let is_member = MemberRequest::NAMES.contains(&exchange.command.as_str());
    if is_member {
        MemberRequest::parse(&exchange.command, &exchange.body).unwrap();
    }
    assert!(is_tracker || is_host || is_peer || is_file || is_member, "{} is of no list", exchange.command);
    by_name! { exchange.command.as_str(), check_exchange(exchange):
        session::Hello, directory::Heads,
        directory::Signup, directory::Signin, directory::Signout, directory::Password, directory::Guest,
        device::Devices, device::Revoke,
        directory::Renew, directory::List, directory::Host, directory::Unhost, directory::SetPolicy,
        directory::Resolve, directory::Locate,
        knock::Knock, knock::Introduce, directory::SayToAll,
        presence::Users, presence::Watch, presence::Unwatch, presence::Invisible,
        direct::ChatRequest, direct::ChatAccept, direct::ChatReject, direct::ChatMsg, direct::Receipt, direct::LeftChat,
        file::FileGet, recovery::Fetch, recovery::Proofs, transfer::Transfer, transfer::Take,
        channel::Connect, channel::Pass, channel::Disconnect, channel::Message, channel::StatusOf, channel::History, channel::Search, channel::Verify,
        channel::Members, channel::RetInfo, channel::SetView, channel::SetPost, channel::SetRetention, channel::Authorize,
        channel::Deauthorize, channel::Erase, channel::Kick, channel::Ban, channel::Unban, channel::Bans, channel::Audit, channel::Debug,
    }
}

fn check_event(name: &str, body: &RawValue) {
    let (to_peer, to_member) = (TrackerEvent::parse(name, body), HostEvent::parse(name, body));
    let of_file = FileEvent::parse(name, body);
    assert!(
        to_peer.is_ok() || to_member.is_ok() || of_file.is_ok(),
        "{name} is of no list, or not of its form"
    );
    fn check<T: DeserializeOwned + Serialize>(body: &RawValue) {
        read::<T>(body);
    }
    // A tracker tells of whom one watches in the words in which a host tells of its members.
    let of_tracker = to_peer.is_ok();
    match name {
        "JOINED" if of_tracker => return check::<presence::CameOnline>(body),
        "LEFT" if of_tracker => return check::<presence::WentOffline>(body),
        _ => {}
    }
    by_name! { name, check(body):
        common::entry::RawEntry, event::Joined, event::Left, event::ChannelUp, event::ChannelDown, event::GoingAway,
        knock::Knocked, knock::Introduction, presence::InvisibleChanged,
        event::ViewChanged, event::PostChanged, event::RoleChanged, event::Kicked, event::SignedHead, event::LogBehind,
        device::Revoked, event::Superseded, transfer::Offered, event::Broadcast, file::FileProgress,
    }
}

#[test]
fn every_example_is_understood_in_full() {
    let story = Story::read();
    story.exchanges.iter().for_each(check_request);
    story.events.iter().for_each(|(name, body)| check_event(name, body));
}

#[test]
fn every_command_and_event_has_an_example() {
    let story = Story::read();
    let done = story.exchanges.iter().filter(|exchange| matches!(exchange.outcome, Some(Ok(_))));
    let shown: BTreeSet<&str> = done.map(|exchange| exchange.command.as_str()).collect();
    let lists = [
        TrackerRequest::NAMES,
        HostRequest::NAMES,
        PeerRequest::NAMES,
        FileRequest::NAMES,
        MemberRequest::NAMES,
    ];
    let commands: BTreeSet<&str> = lists.into_iter().flatten().copied().collect();
    assert_eq!(shown, commands);
    let shown: BTreeSet<&str> = story.events.iter().map(|(name, _)| name.as_str()).collect();
    let events: BTreeSet<&str> =
        TrackerEvent::NAMES.iter().chain(HostEvent::NAMES).chain(FileEvent::NAMES).copied().collect();
    assert_eq!(shown, events);
    for name in ["JOINED", "LEFT"] {
        let of_tracker = |(shown, body): &(String, Box<RawValue>)| {
            shown == name && TrackerEvent::parse(shown, body).is_ok()
        };
        assert!(story.events.iter().any(of_tracker), "no {name} of a tracker");
    }
}

#[test]
fn every_code_has_its_row() {
    let rows: BTreeSet<&str> = PROTOCOL.lines().filter(|line| line.matches(" | ").count() == 3).collect();
    for code in Code::ALL {
        let status = serde_json::to_value(code.status()).unwrap();
        let lasts = if code.is_passing() { "passing" } else { "lasting" };
        let row = format!("| `{code}` | {} | {lasts} | {} |", status.as_str().unwrap(), code.sentence());
        assert!(rows.contains(row.as_str()), "no row {row}");
    }
    let listed = rows.iter().filter(|row| row.contains("| passing |") || row.contains("| lasting |"));
    assert_eq!(listed.count(), Code::ALL.len(), "a row of a code that there is not");
}

/// The value in the row of section 11.
fn test_value<T: std::str::FromStr>(name: &str) -> T {
    let begin = format!("| {name} | `");
    let rest = PROTOCOL.lines().find_map(|line| line.strip_prefix(begin.as_str())).expect(name);
    rest.trim_end_matches("` |").parse().ok().expect(name)
}

fn hash_of(name: &str) -> Hash {
    // Keys and hashes are written alike.
    Hash::from_bytes(*test_value::<PeerKey>(name).as_bytes())
}

#[test]
fn the_entries_are_chained_as_described() {
    let story = Story::read();
    let (id, epoch) = (test_value::<ChannelId>("channel"), test_value::<Epoch>("epoch"));
    let mut at = Position::start(id, epoch);
    assert_eq!(at.hash, hash_of("root"));
    let entries = story.events.iter().filter(|(name, _)| name == "MESSAGE");
    for (_, body) in entries {
        let entry: common::entry::RawEntry = read(body);
        let header = entry.open().unwrap();
        at = Position { epoch, seq: at.seq + 1, hash: at.hash.next(&entry.header) };
        assert_eq!((header.seq, at.hash), (at.seq, hash_of(&format!("hash of entry {}", at.seq))));
    }
    assert_eq!(at.seq, 2);
    let history = story.replies::<channel::History>();
    assert_eq!(history[0].head, at);
}

#[test]
fn the_checkpoints_are_signed_by_the_host() {
    let story = Story::read();
    let host = story.replies::<directory::Locate>()[0].host_key;
    assert_eq!(host, test_value("ken's peer key"));
    for connected in story.replies::<channel::Connect>() {
        let checkpoint = connected.checkpoint.verify(&host).unwrap();
        assert_eq!((checkpoint.channel, checkpoint.position), (test_value("channel"), connected.head));
        let payload = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(
            PROTOCOL.contains(&payload),
            connected.head.seq == 2,
            "the payload that is shown is {payload}"
        );
    }
}

#[test]
fn the_move_is_signed_by_the_host_before_and_by_the_tracker() {
    let story = Story::read();
    let signing_key = test_value::<PeerKey>("signing key");
    let known = story.replies::<directory::Locate>().remove(0);
    let hosted = story.replies::<directory::Host>().into_iter().find(|hosted| hosted.channel.moved.is_some());
    let channel = hosted.expect("a takeover").channel;
    assert_eq!(channel.host_key, test_value("the key of ken's other machine"));
    assert!(was_handed_over(&known, &channel));
    let proof = channel.moved.unwrap().proof.verify(&signing_key).unwrap();
    assert_eq!((proof.channel, proof.host_key, proof.term), (channel.id, channel.host_key, channel.term));
    assert!(PROTOCOL.contains(&serde_json::to_string(&proof).unwrap()), "the payload that is shown");
}

#[test]
fn the_offers_are_of_what_they_say() {
    let story = Story::read();
    let of_type = |kind: &'static str| {
        let messages = story.exchanges.iter().filter(|exchange| exchange.command == direct::ChatMsg::NAME);
        messages
            .map(|exchange| read::<direct::ChatMsg>(&exchange.body))
            .filter(move |message| message.kind == kind)
    };
    let list = Hash::of(b"{\"path\":\"hello.txt\",\"size\":5}\n");
    for message in of_type(file::FILE) {
        let offer: file::Offer = read(&message.body);
        assert_eq!((offer.size, offer.root), (5, Hash::of(b"hello")));
        assert!(
            offer.folder.is_none_or(|folder| (folder.files, folder.size, folder.root) == (1, 30, list)),
            "{list}"
        );
    }
    assert_eq!((of_type(file::FILE).count(), of_type(file::FILE_END).count()), (2, 1));
    of_type(file::FILE_END).for_each(|message| drop(read::<file::FileEnd>(&message.body)));
}

fn directory_of(story: &Story) -> Directory {
    story
        .replies::<session::Hello>()
        .into_iter()
        .find_map(|welcome| welcome.directory)
        .expect("a tracker's HELLO")
}

#[test]
fn the_passes_count_in_their_directory_for_their_holder() {
    let story = Story::read();
    let Directory { id, signing_keys } = directory_of(&story);
    assert_eq!(signing_keys, [test_value::<PeerKey>("signing key")]);
    let (ken, charlie) = (test_value("ken's peer key"), test_value("charlie's peer key"));
    let entered = [
        (story.replies::<directory::Guest>(), charlie),
        (story.replies::<directory::Signup>(), ken),
        (story.replies::<directory::Signin>(), ken),
        (story.replies::<directory::Renew>(), ken),
    ];
    for (entered, holder) in entered {
        let text = entered[0].pass.as_str().to_owned();
        let issued = issued(&text);
        let rules =
            PassRules { trusted: &signing_keys, directory: id, holder, now: issued, grace: Duration::ZERO };
        let pass = entered[0].pass.verify(&rules).unwrap();
        assert_eq!(matches!(pass.subject, Subject::Guest(key) if key == holder), holder == charlie);
        let other = PassRules { holder: if holder == ken { charlie } else { ken }, ..rules };
        assert!(entered[0].pass.verify(&other).is_err());
    }
    let guest = story.replies::<directory::Guest>().remove(0).pass;
    let payload = hex::decode(guest.as_str().split_once('.').unwrap().0).unwrap();
    assert!(PROTOCOL.contains(std::str::from_utf8(&payload).unwrap()), "the payload that is shown");
}

/// When a pass was signed, by what it says.
fn issued(pass: &str) -> common::clock::Timestamp {
    let payload: Value =
        serde_json::from_slice(&hex::decode(pass.split_once('.').unwrap().0).unwrap()).unwrap();
    serde_json::from_value(payload["issued"].clone()).unwrap()
}

#[test]
fn a_signature_for_one_purpose_does_not_count_for_another() {
    let story = Story::read();
    let pass = &story.replies::<directory::Guest>()[0].pass;
    let as_checkpoint: Signed<Checkpoint> = serde_json::from_value(Value::from(pass.as_str())).unwrap();
    assert!(as_checkpoint.verify(&directory_of(&story).signing_keys[0]).is_err());
}
