//! Where bytes of others come in. Whatever they are, nothing panics, and what was understood is understood again when it
//! is said back.
//!
//! The fuzz targets beside this file run these functions, and so does `peer/tests/fuzzing`, over the corpus and what is
//! made of it, where there is no fuzzer.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytes::BytesMut;
use clap::Parser;
use common::admission::parse_trusted;
use common::clock::Timestamp;
use common::codec::{LineCodec, LineError};
use common::entry::{Hash, RawEntry, TextBody};
use common::id::{ChannelId, DirectoryId, MessageId, RequestId};
use common::identity::PeerKey;
use common::name::{ChannelName, UserName};
use common::pass::{PassRules, SignedPass};
use common::proto::channel::HostRequest;
use common::proto::direct::PeerRequest;
use common::proto::directory::TrackerRequest;
use common::proto::event::{HostEvent, TrackerEvent};
use common::proto::file::{FileEvent, FileRequest, FolderOffer, Offer};
use common::proto::limits::MAX_FRAME_BYTES;
use common::proto::status::{Code, Refusal};
use common::proto::{Empty, Frame, encode_response};
use common::secret::Secret;
use common::text::{for_terminal, one_line};
use common::transport::Address;
use peer::client::outbox::Item;
use peer::files::{book, manifest, names};
use peer::history::check::Check;
use peer::history::irc;
use peer::host::HostRecord;
use peer::pace::KeptPace;
use peer::session::Session;
use peer::tracker_link::trust::KnownTrackers;
use peer::ui::known::Known;
use peer::ui::{complete, parse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio_util::codec::Decoder;
use tracker::admin::command::{Command, Typed};
use tracker::store::schema::{
    Account, ChannelRow, KeyRow, KnocksRow, Meta, NameClaim, OffersRow, RemovedRow, RevocationRow,
};
use tracker::tracker::pattern::Pattern;

/// Takes any bytes.
pub type Entry = fn(&[u8]);

/// All of them, by the names of their targets.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("lines", lines),
    ("frames", frames),
    ("bodies", bodies),
    ("entries", entries),
    ("passes", passes),
    ("names", names),
    ("addresses", addresses),
    ("texts", texts),
    ("rows", rows),
    ("commands", commands),
    ("operator", operator),
    ("exports", exports),
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A stream, cut into lines: the first byte says how large the pieces are in which it comes.
pub fn lines(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let (mut codec, mut buffer, mut found) = (LineCodec::default(), BytesMut::new(), Vec::new());
    for piece in stream.chunks(usize::from(*size) * 64 + 1) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(line)) => found.push(line),
                Ok(None) => break,
                Err(LineError::TooLong) => return assert!(buffer.len() >= MAX_FRAME_BYTES),
                Err(error) => panic!("{error}"),
            }
        }
    }
    let expected: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    let (rest, whole) = expected.split_last().expect("a split has a part");
    assert_eq!(found, whole);
    assert_eq!(&buffer[..], *rest);
}

/// A file, as an export and as a log of IRC.
pub fn exports(bytes: &[u8]) {
    let mut check = Check::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(said) = irc::said(&text(line)) {
            assert!(!said.nick.is_empty() && !said.text.is_empty());
        }
    }
    // An export is read up to the first line that is wrong.
    let lines = bytes.split(|byte| *byte == b'\n');
    if lines.map(|line| check.line(line)).all(|outcome| outcome.is_ok()) {
        drop(check.finish());
    }
}

/// A line, as all that it could be.
pub fn frames(bytes: &[u8]) {
    let bytes = bytes.get(..MAX_FRAME_BYTES).unwrap_or(bytes);
    match Frame::parse(bytes) {
        Ok(Frame::Request(request)) => {
            read(&request.command, &request.body);
            let command = serde_json::to_string(&request.command).expect("a word can be written");
            let again =
                format!("{{\"id\":\"{}\",\"command\":{command},\"body\":{}}}", request.id, request.body);
            assert!(matches!(Frame::parse(again.as_bytes()), Ok(Frame::Request(_))), "{again}");
        }
        Ok(Frame::Event(event)) => read(&event.name, &event.body),
        Ok(Frame::Response(response)) => drop(response.outcome.map_err(answered)),
        Err(refusal) => answered(refusal),
    }
}

/// The first line is a word, the rest a body.
pub fn bodies(bytes: &[u8]) {
    let text = text(bytes.get(..MAX_FRAME_BYTES).unwrap_or(bytes));
    let (word, body) = text.split_once('\n').unwrap_or(("CONNECT", &text));
    if let Ok(body) = RawValue::from_string(body.to_owned()) {
        read(word, &body);
    }
}

fn read(word: &str, body: &RawValue) {
    let refused = [
        TrackerRequest::parse(word, body).err(),
        HostRequest::parse(word, body).err(),
        PeerRequest::parse(word, body).err(),
        FileRequest::parse(word, body).err(),
        FileEvent::parse(word, body).err(),
        TrackerEvent::parse(word, body).err(),
        HostEvent::parse(word, body).err(),
    ];
    refused.into_iter().flatten().for_each(answered);
}

/// What is wrong can be told to whoever did it.
fn answered(refusal: Refusal) {
    let line = encode_response::<Empty>(RequestId::new(), &Err(refusal.clone()));
    let Ok(Frame::Response(response)) = Frame::parse(&line) else { panic!("{refusal} is no answer") };
    assert!(refusal.code == Code::Internal || response.outcome.is_err_and(|told| told.code == refusal.code));
}

/// An entry of a log as it is received and stored.
pub fn entries(bytes: &[u8]) {
    let Ok(entry) = RawEntry::from_bytes(bytes) else { return };
    if let Ok(header) = entry.open() {
        let stored = entry.to_bytes().expect("what was read can be written");
        let again = RawEntry::from_bytes(&stored).and_then(|entry| entry.open());
        assert_eq!(again.ok().map(|header| header.id), Some(header.id));
        let _ = Hash::of(bytes).next(&entry.header);
        drop(entry.text());
    }
    if let Some(body) = &entry.body
        && TextBody::parse(body).is_ok()
    {
        serde_json::from_str::<serde_json::Value>(body.get()).expect("what is taken can be read by others");
    }
}

/// A pass that somebody shows.
pub fn passes(bytes: &[u8]) {
    let Ok(pass) = SignedPass::try_from(text(bytes)) else { return };
    let key = PeerKey::from_bytes([1; 32]);
    let rules = PassRules {
        trusted: &[key],
        directory: DirectoryId::new(),
        holder: key,
        now: Timestamp::from_millis(1_790_000_000_000),
        grace: Duration::ZERO,
    };
    assert!(pass.verify(&rules).is_err(), "nobody has signed it");
}

fn same<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let shown = value.to_string();
        assert!(shown.parse::<T>().is_ok_and(|again| again.to_string() == shown), "{shown:?}");
    }
}

/// What a file is called that somebody offers, and the list of a folder.
fn files(bytes: &[u8], text: &str) {
    assert!(names::check_name(&names::safe(text)).is_ok());
    if names::check_name(text).is_ok() {
        assert_eq!(Path::new(text).components().count(), 1);
    }
    if let Ok(offer) = serde_json::from_slice::<Offer>(bytes) {
        drop(book::check(&offer));
    }
    let offered = FolderOffer { files: 3, size: 0, root: Hash::of(b"") };
    drop(manifest::read(bytes, &offered, 0));
}

/// Names, and the files that are called after them; ids and keys.
pub fn names(bytes: &[u8]) {
    let text = text(bytes);
    files(bytes, &text);
    same::<UserName>(&text);
    same::<ChannelName>(&text);
    same::<PeerKey>(&text);
    same::<ChannelId>(&text);
    same::<MessageId>(&text);
    if let Ok(name) = text.parse::<ChannelName>() {
        let stem = name.file_stem();
        assert!(!stem.is_empty() && stem.len() <= 255, "{stem:?}");
        assert!(!stem.contains(['/', '\\', '\0']) && !stem.starts_with('.'), "{stem:?}");
        assert!(name.skeletons().iter().all(|look| !look.is_empty()), "{name}");
        let pattern = Pattern::new(name.as_str()).expect("a name is not too long");
        assert!(pattern.matches(name.folded()), "{name}");
    }
    if let (Ok(pattern), Some(last)) = (Pattern::new(&text), text.lines().last()) {
        pattern.matches(last);
    }
}

/// Where somebody is.
pub fn addresses(bytes: &[u8]) {
    let text = text(bytes);
    same::<Address>(&text);
    if let Ok(address) = text.parse::<Address>() {
        let _ = (address.carrier().len(), address.tcp_addr());
    }
    drop(parse_trusted(&text));
    for flag in ["--tracker", "--advertise", "--expire", "--peer-host-ip"] {
        drop(peer::Args::try_parse_from(["peer".into(), format!("{flag}={text}")]));
    }
    drop(KnownTrackers::parse(&text).map(|known| known.to_string()));
}

/// Text before it comes to a terminal.
pub fn texts(bytes: &[u8]) {
    let text = text(bytes);
    let shown = for_terminal(&text, 4);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown:?}");
    assert!(!one_line(&text).chars().any(|c| c.is_control() || c == '\u{2028}'), "{text:?}");
}

fn row<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(row) = serde_json::from_slice::<T>(bytes) {
        let stored = serde_json::to_vec(&row).expect("what was read can be written");
        let again = serde_json::from_slice::<T>(&stored).expect("what was written can be read");
        assert_eq!(serde_json::to_vec(&again).ok(), Some(stored));
    }
}

/// What lies on disk, in the form of every row there is.
pub fn rows(bytes: &[u8]) {
    row::<Account>(bytes);
    row::<NameClaim>(bytes);
    row::<KeyRow>(bytes);
    row::<ChannelRow>(bytes);
    row::<RemovedRow>(bytes);
    row::<KnocksRow>(bytes);
    row::<OffersRow>(bytes);
    row::<RevocationRow>(bytes);
    row::<Meta>(bytes);
    row::<Session>(bytes);
    row::<KeptPace>(bytes);
    row::<Item>(bytes);
    row::<HostRecord>(bytes);
}

/// A line that a user or a program types.
pub fn commands(bytes: &[u8]) {
    let text = text(bytes);
    let known = Known::default();
    drop((complete::complete(&text, &known), complete::hint(&text, &known)));
    parse::may_hold_password(&text);
    let Ok((_, line)) = parse::split_tag(&text) else { return };
    match parse::parse(line) {
        Ok(Some(parsed)) => {
            let spec = parsed.spec;
            let none = parsed.into_action(Vec::new());
            assert!(none.is_ok() || !spec.secrets.is_empty(), "{line:?}");
            let secrets = spec.secrets.iter().map(|_| Secret::new("correct horse")).collect();
            if let Ok(Some(again)) = parse::parse(line) {
                again.into_action(secrets).unwrap_or_else(|refusal| panic!("{line:?}: {refusal}"));
            }
        }
        Ok(None) => assert!(line.trim().is_empty(), "{line:?}"),
        Err(wrong) => assert!(!wrong.refusal.reason.is_empty()),
    }
}

/// A line that an operator types, and the same split by a shell.
pub fn operator(bytes: &[u8]) {
    let text = text(bytes);
    drop(Command::parse(Typed::Line(&text)));
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    drop(Command::parse(Typed::Words(&words)));
}
