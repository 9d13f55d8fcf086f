//! A channel is taken along: exported by its host and by a member, checked with nobody there, and made a channel again
//! elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use common::identity::Identity;
use common::proto::channel::Role;
use common::proto::status::Code;
use peer::api::{
    ChatMessage, Checked, Command, Exported, Imported, ImportedFrom, LinkState, ModerationCommand, Reply, Run,
};
use peer::history::file;
use support::{Person, World, named};

async fn export(person: &Person, path: &Path) -> Exported {
    let command = Command::Export { channel: named("first"), path: path.to_owned() };
    let Reply::Exported(exported) = person.done(command).await else { unreachable!() };
    exported
}

fn import(path: &Path, name: Option<&str>) -> Command {
    Command::Import { path: path.to_owned(), channel: name.map(named), key: None }
}

async fn imported(person: &Person, command: Command) -> Imported {
    let Reply::Imported(imported) = person.done(command).await else { unreachable!() };
    imported
}

fn check(path: &Path) -> Checked {
    file::read(path, |_, _, _| Ok(())).unwrap().1
}

/// What of a message has to survive a move.
fn kept(messages: &[ChatMessage]) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let fields = |message: &ChatMessage| {
        let author = (message.from.clone(), message.subject, message.author_kind);
        (message.seq, message.id, author, message.text.clone(), message.sent_at, message.stored_at)
    };
    messages.iter().map(fields).collect()
}

/// Ken hosts, and charlie has joined after `early` of ken's messages; then come `late` of both.
async fn scene(early: u64, late: u64) -> (World, Person, Person) {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    for number in 1..=early {
        ken.send("first", &format!("{number} ü 漢字")).await;
    }
    if early > 0 {
        ken.reads("first", early).await;
    }
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    for number in 0..late {
        let writer = if number % 2 == 0 { &ken } else { &charlie };
        writer.send("first", &format!("{number} later")).await;
        charlie.reads("first", early + number + 1).await;
    }
    ken.reads("first", early + late).await;
    (world, ken, charlie)
}

#[actix::test]
async fn a_channel_is_exported_while_it_runs_and_is_a_channel_again_elsewhere() {
    let (world, ken, charlie) = scene(0, 7).await;
    let Reply::Moderated(_) = ken
        .done(Command::Moderate {
            channel: named("first"),
            order: ModerationCommand::Post(common::proto::directory::Post::Authorized),
        })
        .await
    else {
        unreachable!()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first.jsonl");
    let exported = export(&ken, &path).await;
    assert_eq!((exported.entries, exported.last, exported.by_host), (7, 7, true));
    assert!(exported.missing.is_empty());
    let checked = check(&path);
    assert_eq!((checked.entries, checked.signed.unwrap().seq, checked.by_host), (7, 7, true));
    // Nothing is written over, and nothing but the export is left there.
    let again = Command::Export { channel: named("first"), path: path.clone() };
    assert_eq!(ken.refused(again).await, Code::FileFailed);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let mut elsewhere = world.guest("ben").await;
    // Whose key that is, ben does not know before ken says so.
    assert_eq!(elsewhere.refused(import(&path, Some("second"))).await, Code::ForeignExport);
    let key = Some(ken.whoami().await.key);
    let command = Command::Import { path: path.clone(), channel: Some(named("second")), key };
    let taken = imported(&elsewhere, command).await;
    assert_eq!((taken.entries, taken.from), (7, ImportedFrom::Export));
    assert_eq!(kept(&elsewhere.history("second").await), kept(&ken.history("first").await));
    // It is a channel like any other, with the policy that it had, and goes on where it was.
    elsewhere.send("second", "here we go on").await;
    elsewhere.reads("second", 8).await;
    assert_eq!(charlie.join("second").await.policy.post, common::proto::directory::Post::Authorized);
    assert_eq!(kept(&charlie.history("second").await)[..7], kept(&ken.history("first").await));
    elsewhere.restart().await;
    elsewhere.expect_connection("second", LinkState::Up).await;
    assert_eq!(elsewhere.history("second").await.len(), 8);
}

#[actix::test]
async fn a_member_takes_along_what_it_has_and_a_whole_log_can_be_hosted_by_those_who_know_the_host() {
    let (_world, mut ken, mut charlie) = scene(60, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let [part, whole] = ["part.jsonl", "whole.jsonl"].map(|name| folder.path().join(name));
    let exported = export(&charlie, &part).await;
    assert_eq!((exported.entries, exported.last, exported.by_host), (53, 63, false));
    assert_eq!(exported.missing, [Run { from: 1, to: 10 }]);
    assert_eq!(check(&part).signed.unwrap().seq, 63);
    assert_eq!(charlie.refused(import(&part, Some("mine"))).await, Code::BadExport);
    // The rest is fetched by reading it.
    support::until("all of it is here", async || {
        charlie.history("first").await;
        !export(&charlie, &folder.path().join(uuid())).await.missing.iter().any(|run| run.from == 1)
    })
    .await;
    export(&charlie, &whole).await;
    ken.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    let taken = imported(&charlie, import(&whole, Some("mine"))).await;
    assert_eq!(taken.entries, 63);
    assert_eq!(kept(&charlie.history("mine").await), kept(&charlie.history("first").await));
    assert_eq!(charlie.join("mine").await.role, Role::Owner);
    // Of what is hosted here the whole log is checked, and not what was shown of it.
    let Reply::Verified(verified) = charlie.done(Command::Verify { channel: named("mine") }).await else {
        unreachable!()
    };
    assert!(verified.sound, "{verified:?}");
    let [log] = verified.logs.as_slice() else { panic!("{verified:?}") };
    assert_eq!((log.entries, log.last, log.missing.as_slice()), (63, 63, &[][..]));
}

fn uuid() -> String {
    common::id::MessageId::new().to_string()
}

#[actix::test]
async fn what_does_not_verify_leaves_nothing_behind() {
    let (_world, ken, _charlie) = scene(0, 5).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first.jsonl");
    export(&ken, &path).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().collect::<Vec<_>>();
    let put = |name: &str, lines: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    };
    let forged = text.replacen("1 later", "1 never", 1);
    let mut moved = lines.clone();
    moved.swap(4, 5);
    let cases: Vec<PathBuf> = vec![
        put("truncated", &lines[..lines.len() - 1]),
        put("left out", &[&lines[..5], &lines[6..]].concat()),
        put("moved", &moved),
        put("forged", &forged.lines().collect::<Vec<_>>()),
        put("empty", &[]),
        folder.path().join("nowhere"),
    ];
    for path in cases {
        let code = ken.refused(import(&path, Some("again"))).await;
        assert!([Code::BadExport, Code::FileFailed].contains(&code), "{}: {code}", path.display());
    }
    // The name is free, and nothing of all that is hosted.
    let foreign = Command::Import {
        path: path.clone(),
        channel: Some(named("again")),
        key: Some(Identity::generate().unwrap().key()),
    };
    assert_eq!(ken.refused(foreign).await, Code::ForeignExport);
    assert_eq!(ken.refused(import(&path, Some("first"))).await, Code::NameTaken);
    assert_eq!(ken.status().await.channels.len(), 1);
    assert_eq!(imported(&ken, import(&path, Some("again"))).await.entries, 5);
}

#[actix::test]
async fn only_the_owner_exports_what_is_hosted() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.signup("correct horse battery").await;
    ken.host("first").await;
    ken.done(Command::Signout).await;
    ken.done(Command::Guest { name: Some("somebody".parse().unwrap()) }).await;
    let folder = tempfile::tempdir().unwrap();
    let command = Command::Export { channel: named("first"), path: folder.path().join("first") };
    assert_eq!(ken.refused(command).await, Code::NotOwner);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[actix::test]
async fn logs_of_irc_become_a_channel_and_say_so() {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("2007-02-16.log"), "[00:03] <ben> good morning\n").unwrap();
    let day =
        "=== ken has joined #ubuntu\n[20:41] <ken> hello\n[20:42] <ben> \u{fc} hi\n[20:43]  * ken waves\n";
    std::fs::write(folder.path().join("2007-02-15.log"), day).unwrap();
    assert_eq!(ken.refused(import(folder.path(), None)).await, Code::Usage);
    let taken = imported(&ken, import(folder.path(), Some("ubuntu"))).await;
    assert_eq!((taken.entries, taken.from), (4, ImportedFrom::Irc));
    let messages = ken.history("ubuntu").await;
    let said: Vec<_> =
        messages.iter().map(|message| (message.from.as_str(), message.text.as_deref())).collect();
    assert_eq!(
        said,
        [
            ("ken", Some("hello")),
            ("ben", Some("ü hi")),
            ("ken", Some("* ken waves")),
            ("ben", Some("good morning"))
        ]
    );
    assert!(messages.iter().all(|message| message.imported.as_deref() == Some("irc")));
    assert_ne!(
        messages[0].subject,
        ken.whoami().await.subject.unwrap(),
        "a nick is not who has the name here"
    );
    assert_eq!(peer::api::format_utc(messages[3].sent_at), "2007-02-16T00:03:00.000Z");
    // What is said from now on is not marked, and all of it can be taken along again.
    ken.send("ubuntu", "hello again").await;
    ken.reads("ubuntu", 5).await;
    assert_eq!(ken.history("ubuntu").await[4].imported, None);
    let path = folder.path().join("ubuntu.jsonl");
    let command = Command::Export { channel: named("ubuntu"), path: path.clone() };
    ken.done(command).await;
    assert_eq!(check(&path).entries, 5);
}
