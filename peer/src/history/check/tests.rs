use common::clock::Timestamp;
use common::entry::Position;
use common::id::{ChannelId, Epoch, IdentityKind, Subject};
use common::identity::Identity;
use common::proto::directory::Owner;
use common::signed::Signed;
use serde::Serialize;
use serde_json::value::RawValue;

use super::*;
use crate::client::archive::intervals::Place;
use crate::testing::entry;

/// The log of a channel, with what can be exported of it.
struct Scene {
    host: Identity,
    head: Head,
    entries: Vec<RawEntry>,
    places: Vec<Place>,
}

impl Scene {
    fn new(count: u64) -> Self {
        let (host, channel, epoch) = (Identity::generate().unwrap(), ChannelId::new(), Epoch::new());
        let owner = Owner {
            subject: Subject::Guest(host.key()),
            name: "ken".parse().unwrap(),
            kind: IdentityKind::Guest,
        };
        let head = Head {
            natter_export: VERSION,
            channel,
            name: "first".parse().unwrap(),
            owner,
            host_key: host.key(),
            epoch,
            created: None,
            policy: None,
            forks: Vec::new(),
            parent: None,
            hand_over: None,
            sealed_by: host.key(),
            exported_at: Timestamp::from_millis(1),
        };
        let entries: Vec<RawEntry> = (1..=count).map(|seq| entry(seq, "a")).collect();
        let mut scene = Self { host, head, entries, places: Vec::new() };
        scene.chain();
        scene
    }

    fn chain(&mut self) {
        let mut place = Place { seq: 0, hash: Hash::root(self.head.channel, self.head.epoch) };
        self.places = vec![place];
        for entry in &self.entries {
            place = Place { seq: place.seq + 1, hash: place.hash.next(&entry.header) };
            self.places.push(place);
        }
    }

    fn place(&self, seq: u64) -> Place {
        self.places[seq as usize]
    }

    fn part(&self, after: u64, base: u64, end: u64) -> Interval {
        Interval { after, base: self.place(base), end: self.place(end), apart: false }
    }

    fn signed(&self, seq: u64) -> Line {
        let place = self.place(seq);
        let position = Position { epoch: self.head.epoch, seq, hash: place.hash };
        let checkpoint =
            Checkpoint { channel: self.head.channel, position, time: Timestamp::from_millis(seq) };
        Line::Checkpoint(Signed::sign(&checkpoint, &self.host).unwrap())
    }

    /// The lines of an export with these signatures and parts, without its end.
    fn lines(&self, signed: &[u64], parts: &[Interval]) -> Vec<Vec<u8>> {
        let mut lines = vec![json(&self.head)];
        lines.extend(signed.iter().map(|seq| json(&self.signed(*seq))));
        for part in parts {
            lines.push(json(&Line::Part(*part)));
            let entries = &self.entries[part.after as usize..part.end.seq as usize];
            lines.extend(entries.iter().map(|entry| json(&Line::Entry(entry.clone()))));
        }
        lines
    }

    fn whole(&self) -> Vec<Vec<u8>> {
        let count = self.entries.len() as u64;
        self.lines(&[count], &[self.part(0, 0, count)])
    }

    /// The end that belongs to these lines, by somebody.
    fn sealed(&self, mut lines: Vec<Vec<u8>>, by: &Identity) -> Vec<Vec<u8>> {
        let mut hasher = blake3::Hasher::new();
        for line in &lines {
            hasher.update(line).update(b"\n");
        }
        let entries = lines.iter().filter(|line| line.starts_with(br#"{"entry""#)).count() as u64;
        let hash = Hash::from_bytes(*hasher.finalize().as_bytes());
        let seal = Seal { channel: self.head.channel, entries, hash };
        lines.push(json(&Line::End(Signed::sign(&seal, by).unwrap())));
        lines
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn check(lines: &[Vec<u8>]) -> Result<(Head, Checked), BadExport> {
    let mut check = Check::default();
    for line in lines {
        check.line(line)?;
    }
    check.finish()
}

#[test]
fn an_export_of_a_host_is_taken_with_all_that_it_says() {
    let scene = Scene::new(7);
    let (head, checked) = check(&scene.sealed(scene.whole(), &scene.host)).unwrap();
    assert_eq!(head, scene.head);
    assert!(checked.by_host && checked.missing.is_empty() && checked.unproven.is_empty());
    assert_eq!((checked.entries, checked.last, checked.signed.map(|at| at.seq)), (7, 7, Some(7)));
    check_whole(&checked).unwrap();
    let empty = Scene::new(0);
    let (_, checked) = check(&empty.sealed(empty.lines(&[0], &[empty.part(0, 0, 0)]), &empty.host)).unwrap();
    check_whole(&checked).unwrap();
}

#[test]
fn a_members_part_of_a_log_is_checked_as_far_as_it_goes_and_cannot_be_hosted() {
    let (scene, member) = (Scene::new(20), Identity::generate().unwrap());
    let mut scene = scene;
    scene.head.sealed_by = member.key();
    let parts = [scene.part(2, 6, 8), scene.part(10, 10, 20)];
    let (_, checked) = check(&scene.sealed(scene.lines(&[18], &parts), &member)).unwrap();
    assert!(!checked.by_host);
    assert_eq!(checked.missing, [Run { from: 1, to: 2 }, Run { from: 9, to: 10 }]);
    assert_eq!(checked.unproven, [Run { from: 3, to: 6 }]);
    assert_eq!(checked.signed.map(|at| at.seq), Some(18));
    assert!(check_whole(&checked).is_err());
    let whole = scene.sealed(scene.lines(&[18], &[scene.part(0, 0, 20)]), &member);
    let unsigned = check_whole(&check(&whole).unwrap().1).unwrap_err();
    assert!(unsigned.reason.contains("from 19 on"), "{unsigned}");
    let whole = scene.sealed(scene.lines(&[20], &[scene.part(0, 0, 20)]), &member);
    check_whole(&check(&whole).unwrap().1).unwrap();
}

#[test]
fn what_was_cut_off_anywhere_is_refused() {
    let scene = Scene::new(5);
    let lines = scene.sealed(scene.whole(), &scene.host);
    for upto in 0..lines.len() {
        let cut = check(&lines[..upto]).unwrap_err();
        let expected =
            if upto == 0 { matches!(cut, BadExport::Form) } else { matches!(cut, BadExport::Truncated) };
        assert!(expected, "after {upto} lines: {cut}");
    }
    // Within a line, too.
    for line in 0..lines.len() {
        let mut cut = lines[..=line].to_vec();
        cut[line].truncate(lines[line].len() / 2);
        assert!(check(&cut).is_err(), "within line {line}");
    }
}

#[test]
fn what_was_left_out_moved_doubled_or_added_is_refused_whoever_seals_it_anew() {
    let scene = Scene::new(6);
    let whole = scene.whole();
    let first_entry = 3;
    for by in [&scene.host, &Identity::generate().unwrap()] {
        for place in first_entry..whole.len() {
            let mut left_out = whole.clone();
            left_out.remove(place);
            assert!(check(&scene.sealed(left_out, by)).is_err(), "left out {place}");
            let mut doubled = whole.clone();
            doubled.insert(place, whole[place].clone());
            assert!(check(&scene.sealed(doubled, by)).is_err(), "doubled {place}");
            if place > first_entry {
                let mut moved = whole.clone();
                moved.swap(place - 1, place);
                let refused = check(&scene.sealed(moved, by)).unwrap_err();
                assert!(matches!(refused, BadExport::Order { .. }), "moved {place}: {refused}");
            }
        }
        let mut added = whole.clone();
        added.push(json(&Line::Entry(entry(7, "a"))));
        assert!(matches!(check(&scene.sealed(added, by)), Err(BadExport::Place(_))));
    }
    let mut trailing = scene.sealed(whole.clone(), &scene.host);
    trailing.push(whole[4].clone());
    assert!(matches!(check(&trailing), Err(BadExport::Trailing(_))));
    let mut late = whole.clone();
    late.push(json(&scene.signed(6)));
    assert!(matches!(check(&scene.sealed(late, &scene.host)), Err(BadExport::Place(_))));
}

#[test]
fn a_forged_entry_or_text_is_refused_although_the_seal_fits() {
    let scene = Scene::new(6);
    let forged = |change: &dyn Fn(&mut RawEntry)| {
        let mut entries = scene.entries.clone();
        change(&mut entries[2]);
        let mut lines = scene.whole();
        lines[5] = json(&Line::Entry(entries[2].clone()));
        check(&scene.sealed(lines, &scene.host)).unwrap_err()
    };
    let text = forged(&|entry| entry.body = Some(RawValue::from_string(r#"{"text":"b"}"#.into()).unwrap()));
    assert!(matches!(text, BadExport::Fault { seq: 3, kind: FaultKind::Body, .. }), "{text}");
    let author = forged(&|entry| {
        let other = entry.header.get().replace(r#""ken""#, r#""ben""#);
        entry.header = RawValue::from_string(other).unwrap();
    });
    // Only at the next place that was signed it is seen that one before it is not what it was.
    assert!(matches!(author, BadExport::Fault { seq: 6, .. }), "{author}");
    // A chain that is made anew over forged entries lacks the host's signature.
    let mut anew = Scene { host: scene.host.clone(), head: scene.head.clone(), ..Scene::new(6) };
    anew.chain();
    let mut lines = anew.whole();
    lines[1] = json(&scene.signed(6));
    let refused = check(&anew.sealed(lines, &scene.host)).unwrap_err();
    assert!(matches!(refused, BadExport::Fault { kind: FaultKind::OtherThanSigned, .. }), "{refused}");
}

#[test]
fn what_is_of_another_channel_log_or_host_is_refused() {
    let (scene, other) = (Scene::new(3), Scene::new(3));
    let with = |line: usize, foreign: Vec<u8>| {
        let mut lines = scene.whole();
        lines[line] = foreign;
        check(&scene.sealed(lines, &scene.host)).unwrap_err()
    };
    assert!(matches!(with(1, json(&other.signed(3))), BadExport::Foreign(2)));
    let of_other_log = {
        let head = Head { epoch: Epoch::new(), ..scene.head.clone() };
        let same_key =
            Scene { host: scene.host.clone(), head, entries: Vec::new(), places: other.places.clone() };
        json(&same_key.signed(3))
    };
    assert!(matches!(with(1, of_other_log), BadExport::Foreign(2)));
    let foreign = with(4, json(&Line::Entry(other.entries[1].clone())));
    assert!(matches!(foreign, BadExport::Fault { seq: 3, .. }), "{foreign}");
    // All of another channel under this one's head.
    let mut lines = other.whole();
    lines[0] = json(&scene.head);
    assert!(matches!(check(&scene.sealed(lines, &scene.host)), Err(BadExport::Foreign(2))));
    // The head says another host than the one that signed.
    let mut lines = scene.whole();
    let head = Head { host_key: other.host.key(), sealed_by: other.host.key(), ..scene.head.clone() };
    lines[0] = json(&head);
    assert!(matches!(check(&scene.sealed(lines, &other.host)), Err(BadExport::Foreign(2))));
}

#[test]
fn a_seal_of_somebody_else_or_over_something_else_is_refused() {
    let scene = Scene::new(3);
    let stranger = Identity::generate().unwrap();
    assert!(matches!(check(&scene.sealed(scene.whole(), &stranger)), Err(BadExport::Seal)));
    let mut changed = scene.sealed(scene.whole(), &scene.host);
    let renamed = Head { name: "second".parse().unwrap(), ..scene.head.clone() };
    changed[0] = json(&renamed);
    assert!(matches!(check(&changed), Err(BadExport::Seal)), "a head that was changed");
}

#[test]
fn lines_that_are_none_are_refused() {
    let scene = Scene::new(2);
    let versions = [json(&Head { natter_export: 2, ..scene.head.clone() }), b"{}".to_vec(), b"".to_vec()];
    for head in versions {
        assert!(matches!(check(&[head]), Err(BadExport::Form)));
    }
    for line in
        [&b"{}"[..], b"", b"{\"entry\":", b"{\"else\":1}", b"\xff\xfe", &vec![b' '; MAX_LINE_BYTES + 1]]
    {
        let refused = check(&[json(&scene.head), line.to_vec()]).unwrap_err();
        assert!(matches!(refused, BadExport::Line(2)), "{refused}");
    }
    let endless = Place { seq: u64::MAX, ..scene.place(1) };
    let endless = Interval { after: u64::MAX, base: endless, end: endless, apart: false };
    let refused = check(&[json(&scene.head), json(&Line::Part(endless))]).unwrap_err();
    assert!(matches!(refused, BadExport::Place(2)), "{refused}");
    let upside_down = Interval { after: 5, base: scene.place(1), end: scene.place(0), apart: false };
    let refused = check(&[json(&scene.head), json(&Line::Part(upside_down))]).unwrap_err();
    assert!(matches!(refused, BadExport::Place(2)), "{refused}");
}

#[test]
fn a_key_counts_that_is_known_here_or_that_the_user_has_confirmed() {
    let [host, other] = [1, 2].map(|byte| PeerKey::from_bytes([byte; 32]));
    for (known, given, taken) in [
        (Some(host), None, true),
        (None, Some(host), true),
        (Some(host), Some(host), true),
        (None, None, false),
        (Some(other), None, false),
        (None, Some(other), false),
        (Some(other), Some(host), false),
        (Some(host), Some(other), false),
    ] {
        let outcome = check_key(host, known, given);
        assert_eq!(outcome.is_ok(), taken, "{known:?} {given:?}");
        assert!(outcome.err().is_none_or(|refusal| refusal.code == Code::ForeignExport));
    }
}
