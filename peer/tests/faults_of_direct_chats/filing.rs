//! What went wrong with files: they came in packets that could be lost, from anybody, under any name.

use std::fs;

use common::entry::Hash;
use common::id::FileId;
use common::proto::direct::ChatMsg;
use common::proto::file::{FILE, FILE_END, FolderOffer, Offer};
use common::proto::status::Code;
use peer::api::{
    Command, DirectCommand, Event, FileChange, FileCommand, FileRow, FileState, FileTo, LinkState, Reply,
};
use serde_json::json;

use crate::support::{Person, Raw, RawTalk, Relay, World, chat_message, until};

async fn meet(asks: &mut Person, agrees: &mut Person) {
    let (name, other) = (asks.name().to_owned(), agrees.name().to_owned());
    asks.done(Command::Direct(DirectCommand::Start { user: other.parse().unwrap() })).await;
    agrees.expect("request", |event| matches!(event, Event::ChatRequest(_)).then_some(())).await;
    agrees.done(Command::Direct(DirectCommand::Accept { user: name.parse().unwrap(), key: None })).await;
    asks.expect_connection(&format!("@{other}"), LinkState::Up).await;
}

async fn send(person: &Person, user: &str, name: &str, bytes: &[u8]) -> FileId {
    let path = person.config.data.join(name);
    fs::write(&path, bytes).unwrap();
    let send = FileCommand::Send { to: FileTo::User(user.parse().unwrap()), paths: vec![path] };
    let Reply::Files(list) = person.done(Command::Files(send)).await else { unreachable!() };
    list.files[0].id
}

async fn accept(person: &Person, id: FileId) {
    let change = FileCommand::Change { id: id.to_string(), change: FileChange::Accept };
    person.done(Command::Files(change)).await;
}

async fn files(person: &Person) -> Vec<FileRow> {
    let Reply::Files(list) = person.done(Command::Files(FileCommand::List)).await else { unreachable!() };
    list.files
}

async fn is(person: &mut Person, id: FileId, state: FileState) -> FileRow {
    person
        .expect(&format!("{state:?}"), |event| match event {
            Event::File(row) if row.id == id && row.state == state => Some((**row).clone()),
            _ => None,
        })
        .await
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// The receiver counted chunks, and one that was lost made it wait for ever; the next file went into the same one.
#[actix::test]
async fn hung_transfer_after_one_lost_chunk() {
    let world = World::new().await;
    let mut relay = Relay::new().await;
    let mut config = world.config("ken");
    config.listen.advertise = vec![relay.address()];
    let mut ken = world.person(config).await;
    ken.entered().await;
    // It listens from its first channel on.
    relay.lead_to(ken.host("first").await.listen);
    let mut charlie = world.guest("charlie").await;
    meet(&mut ken, &mut charlie).await;
    let sent = bytes(8 * 1024 * 1024);
    let first = send(&ken, "charlie", "first", &sent).await;
    is(&mut charlie, first, FileState::Offered).await;
    let second = send(&ken, "charlie", "second", b"another").await;
    is(&mut charlie, second, FileState::Offered).await;
    accept(&charlie, first).await;
    is(&mut charlie, first, FileState::Running).await;
    relay.cut();
    accept(&charlie, second).await;
    until("both are there", async || {
        files(&charlie).await.iter().filter(|row| row.state == FileState::Done).count() == 2
    })
    .await;
    assert_eq!(fs::read(charlie.config.downloads.join("first")).unwrap(), sent);
    assert_eq!(fs::read(charlie.config.downloads.join("second")).unwrap(), b"another");
}

fn offer(name: &str) -> Offer {
    Offer { id: FileId::new(), name: name.to_owned(), size: 3, root: Hash::of(b"bad"), folder: None }
}

fn message(number: u64, kind: &str, body: &serde_json::Value) -> ChatMsg {
    ChatMsg { kind: kind.to_owned(), ..chat_message(number, number, body) }
}

/// The name that a file came with was joined to the folder for downloads as it was.
#[actix::test]
async fn path_traversal() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    let eve = Raw::guest(&world, "eve").await;
    let mut talk = RawTalk::meet(&eve, "eve", &mut ken).await;
    let names = [
        "../evil",
        "/tmp/evil",
        "..",
        "a/../../evil",
        "C:\\evil",
        "evil\u{202e}gpj.exe",
        "ev\u{1b}[2Jil",
        "nul.txt",
        "",
    ];
    for (name, number) in names.iter().zip(1..) {
        talk.ask(&message(number, FILE, &json!(offer(name)))).await.unwrap();
        ken.expect(name, |event| {
            matches!(event, Event::Warning { code: Code::BadFileName, .. }).then_some(())
        })
        .await;
    }
    let folder = FolderOffer { files: 1, size: u64::MAX, root: Hash::of(b"") };
    let huge = Offer { folder: Some(folder), ..offer("huge") };
    talk.ask(&message(10, FILE, &json!(huge))).await.unwrap();
    talk.ask(&message(11, FILE, &json!({"name": 7}))).await.unwrap();
    for _ in 0..2 {
        ken.expect("a warning", |event| {
            matches!(event, Event::Warning { code: Code::BadRequest, .. }).then_some(())
        })
        .await;
    }
    assert_eq!(files(&ken).await, []);
    assert!(!ken.config.downloads.exists(), "nothing is written before it is accepted");
}

/// Anybody could say that a file had come, or send what nobody had asked for.
#[actix::test]
async fn somebody_elses_file() {
    let world = World::new().await;
    let (mut ken, mut charlie) = (world.guest("ken").await, world.guest("charlie").await);
    meet(&mut ken, &mut charlie).await;
    let id = send(&ken, "charlie", "secret", b"for charlie alone").await;
    is(&mut charlie, id, FileState::Offered).await;
    let (eve, mallory) = (Raw::guest(&world, "eve").await, Raw::guest(&world, "mallory").await);
    let mut talk = RawTalk::meet(&eve, "eve", &mut ken).await;
    // A contact to whom it was not offered, and a stranger, learn as much of it as of what there is not.
    for raw in [&eve, &mallory] {
        let known = raw.refused_file(&raw.pass, &ken, id).await;
        assert_eq!(known.code, Code::NoSuchFile);
        assert_eq!(known, raw.refused_file(&raw.pass, &ken, FileId::new()).await);
    }
    let stolen = mallory.refused_file(&eve.pass, &ken, id).await;
    assert_eq!(stolen.code, Code::BadPass);
    // What somebody else says of it changes nothing.
    for outcome in ["done", "cancelled"] {
        let number = if outcome == "done" { 1 } else { 2 };
        let end = json!({"id": id, "name": "secret", "outcome": outcome});
        talk.ask(&message(number, FILE_END, &end)).await.unwrap();
    }
    // Nor does an offer under an id that is taken.
    let same = Offer { id, ..offer("other") };
    talk.ask(&message(3, FILE, &json!(same))).await.unwrap();
    assert_eq!(files(&ken).await[0].state, FileState::Offered);
    assert_eq!(files(&ken).await.len(), 1);
    accept(&charlie, id).await;
    is(&mut charlie, id, FileState::Done).await;
    assert_eq!(fs::read(charlie.config.downloads.join("secret")).unwrap(), b"for charlie alone");
}
