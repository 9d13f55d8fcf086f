//! From the offer to the file that is there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::proto::limits::FILE_BLOCK_BYTES;
use common::proto::status::Code;
use peer::api::{Command, DirectCommand, Event, FileChange, FileDirection, FileState, Reply};

use crate::scene::{Scene, bytes, change, expect, files, offer, refused_change, refused_offer, state_of};

#[actix::test]
async fn a_file_is_offered_accepted_and_there() {
    let mut scene = Scene::new().await;
    let sent = bytes(3 * FILE_BLOCK_BYTES as usize + 77);
    let path = scene.path("report 1.pdf");
    fs::write(&path, &sent).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let id = scene.offer(&path).await;
    let row = files(&scene.charlie).await.remove(0);
    assert_eq!(
        (row.direction, row.state, row.user.as_deref().unwrap()),
        (FileDirection::In, FileState::Offered, "ken")
    );
    assert_eq!((row.name.as_str(), row.size, row.files), ("report 1.pdf", sent.len() as u64, None));
    assert_eq!(scene.downloads(), [""; 0], "nothing is written before it is accepted");
    let there = scene.fetched(id).await;
    assert_eq!(there, scene.charlie.config.downloads.canonicalize().unwrap().join("report 1.pdf"));
    assert_eq!(fs::read(&there).unwrap(), sent);
    assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o111, 0, "not to be executed");
    let row = expect(&mut scene.ken, id, FileState::Done).await;
    assert_eq!((row.direction, row.have), (FileDirection::Out, row.size));
    assert_eq!(scene.downloads(), ["report 1.pdf"]);
}

#[actix::test]
async fn what_is_there_already_is_never_replaced() {
    let mut scene = Scene::new().await;
    for (expected, content) in [("a.txt", "one"), ("a (1).txt", "two"), ("a (2).txt", "three")] {
        let id = scene.offered("a.txt", content.as_bytes()).await;
        let there = scene.fetched(id).await;
        assert_eq!(there.file_name().unwrap(), expected);
        assert_eq!(fs::read_to_string(there).unwrap(), content);
    }
}

#[actix::test]
async fn sizes_around_a_block_and_nothing_at_all_arrive() {
    let mut scene = Scene::new().await;
    let block = FILE_BLOCK_BYTES as usize;
    for size in [0, 1, block - 1, block, block + 1, 2 * block] {
        let sent = bytes(size);
        let id = scene.offered(&format!("file {size}"), &sent).await;
        assert_eq!(fs::read(scene.fetched(id).await).unwrap(), sent, "{size}");
    }
}

#[actix::test]
async fn a_folder_arrives_with_all_its_files_and_no_links() {
    let mut scene = Scene::new().await;
    let folder = scene.path("project");
    fs::create_dir_all(folder.join("src/deep")).unwrap();
    for number in 0..300 {
        fs::write(folder.join(format!("src/{number}.txt")), bytes(number * 7)).unwrap();
    }
    fs::write(folder.join("src/deep/large"), bytes(2 * FILE_BLOCK_BYTES as usize)).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    symlink("/etc/passwd", folder.join("link")).unwrap();
    let id = scene.offer(&folder).await;
    assert_eq!(files(&scene.charlie).await[0].files, Some(302));
    let there = scene.fetched(id).await;
    assert_eq!(there.file_name().unwrap(), "project");
    fs::remove_file(folder.join("link")).unwrap();
    assert_eq!(tree_of(&there), tree_of(&folder));
    assert_eq!(scene.downloads(), ["project"]);
}

fn tree_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[actix::test]
async fn what_is_rejected_or_cancelled_is_over_on_both_sides() {
    let mut scene = Scene::new().await;
    let rejected = scene.offered("no.txt", b"no").await;
    change(&scene.charlie, rejected, FileChange::Reject).await;
    expect(&mut scene.ken, rejected, FileState::Rejected).await;
    let taken_back = scene.offered("oops.txt", b"oops").await;
    change(&scene.ken, taken_back, FileChange::Cancel).await;
    expect(&mut scene.charlie, taken_back, FileState::Cancelled).await;
    assert_eq!(refused_change(&scene.charlie, taken_back, FileChange::Accept).await, Code::WrongPhase);
    assert_eq!(refused_change(&scene.ken, taken_back, FileChange::Pause).await, Code::WrongPhase);
    assert_eq!(scene.downloads(), [""; 0]);
    // What is said of them stands in the conversation.
    let history = DirectCommand::History { user: "ken".parse().unwrap(), count: 50, before: None };
    let Reply::Conversation(page) = scene.charlie.done(Command::Direct(history)).await else {
        unreachable!()
    };
    let notes: Vec<_> =
        page.messages.iter().map(|message| message.file.as_ref().unwrap().name.as_str()).collect();
    assert_eq!(notes, ["no.txt", "no.txt", "oops.txt", "oops.txt"]);
}

#[actix::test]
async fn what_has_changed_since_it_was_offered_is_refused() {
    let mut scene = Scene::new().await;
    let id = scene.offered("notes.txt", b"before").await;
    fs::write(scene.path("notes.txt"), "after!").unwrap();
    change(&scene.charlie, id, FileChange::Accept).await;
    let row = expect(&mut scene.charlie, id, FileState::Failed).await;
    assert_eq!(row.code, Some(Code::FileChanged));
    assert_eq!(scene.downloads(), [""; 0]);
}

#[actix::test]
async fn an_offer_to_somebody_away_waits_for_them() {
    let mut scene = Scene::new().await;
    scene.charlie.stop().await;
    let path = scene.path("later.txt");
    fs::write(&path, "later").unwrap();
    let id = offer(&scene.ken, "charlie", &path).await.id;
    expect(&mut scene.ken, id, FileState::Offered).await;
    scene.charlie.start().await;
    expect(&mut scene.charlie, id, FileState::Offered).await;
    assert_eq!(fs::read(scene.fetched(id).await).unwrap(), b"later");
}

#[actix::test]
async fn what_cannot_be_offered_is_refused_at_once() {
    let scene = Scene::new().await;
    assert_eq!(refused_offer(&scene.ken, "charlie", Path::new("/nowhere/at all")).await, Code::Usage);
    assert_eq!(refused_offer(&scene.ken, "charlie", Path::new("/dev/null")).await, Code::Usage);
    assert_eq!(refused_offer(&scene.ken, "nobody", Path::new("/etc/hostname")).await, Code::NotContact);
    assert_eq!(files(&scene.ken).await, []);
}

#[actix::test]
async fn both_sides_are_told_the_same_of_how_far_it_is() {
    let mut scene = Scene::new().await;
    let id = scene.offered("large", &bytes(40 * 1024 * 1024)).await;
    change(&scene.charlie, id, FileChange::Accept).await;
    let seen = expect(&mut scene.charlie, id, FileState::Running).await;
    assert!(seen.rate.is_some());
    let told = scene
        .ken
        .expect("the same progress", |event| match event {
            Event::File(row) if row.id == id && row.state == FileState::Running => Some((**row).clone()),
            _ => None,
        })
        .await;
    assert_eq!((told.have, told.rate, told.seconds_left), (seen.have, seen.rate, seen.seconds_left));
    scene.arrives(id).await;
    assert_eq!(state_of(&scene.charlie, id).await, FileState::Done);
}
