//! Whatever comes in between, a file goes on where it was.

use std::fs;

use common::proto::limits::FILE_BLOCK_BYTES;
use peer::api::{Command, DirectCommand, FileChange, FileState};

use crate::scene::{Scene, bytes, change, expect, files, state_of};

#[actix::test]
async fn what_is_paused_goes_on_where_it_was() {
    let mut scene = Scene::new().await;
    let sent = bytes(48 * 1024 * 1024);
    let id = scene.offered("large", &sent).await;
    change(&scene.charlie, id, FileChange::Accept).await;
    expect(&mut scene.charlie, id, FileState::Running).await;
    change(&scene.charlie, id, FileChange::Pause).await;
    if state_of(&scene.charlie, id).await == FileState::Paused {
        change(&scene.charlie, id, FileChange::Resume).await;
    }
    assert_eq!(fs::read(scene.arrives(id).await).unwrap(), sent);
    assert_eq!(scene.downloads(), ["large"]);
}

#[actix::test]
async fn what_the_sender_has_paused_waits_until_they_go_on() {
    let mut scene = Scene::new().await;
    let id = scene.offered("x", b"paused at first").await;
    change(&scene.ken, id, FileChange::Pause).await;
    change(&scene.charlie, id, FileChange::Accept).await;
    let row = scene
        .charlie
        .expect("why it waits", |event| match event {
            peer::api::Event::File(row) if row.id == id && row.reason.is_some() => Some((**row).clone()),
            _ => None,
        })
        .await;
    assert_eq!((row.state, row.code), (FileState::Waiting, Some(common::proto::status::Code::FilePaused)));
    change(&scene.ken, id, FileChange::Resume).await;
    assert_eq!(fs::read(scene.arrives(id).await).unwrap(), b"paused at first");
}

#[actix::test]
async fn from_who_is_blocked_nothing_is_fetched_any_more() {
    let mut scene = Scene::new().await;
    let id = scene.offered("x", b"while they are away").await;
    scene.ken.stop().await;
    change(&scene.charlie, id, FileChange::Accept).await;
    expect(&mut scene.charlie, id, FileState::Waiting).await;
    scene.charlie.done(Command::Direct(DirectCommand::Block { user: "ken".parse().unwrap() })).await;
    expect(&mut scene.charlie, id, FileState::Paused).await;
    scene.charlie.done(Command::Direct(DirectCommand::Unblock { user: "ken".parse().unwrap() })).await;
    scene.ken.start().await;
    change(&scene.charlie, id, FileChange::Resume).await;
    assert_eq!(fs::read(scene.arrives(id).await).unwrap(), b"while they are away");
}

#[actix::test]
async fn restarts_of_either_side_go_on_where_it_was() {
    let mut scene = Scene::new().await;
    let sent = bytes(64 * 1024 * 1024);
    let id = scene.offered("large", &sent).await;
    change(&scene.charlie, id, FileChange::Accept).await;
    expect(&mut scene.charlie, id, FileState::Running).await;
    scene.charlie.restart().await;
    let kept = files(&scene.charlie).await.remove(0);
    assert!(kept.have % FILE_BLOCK_BYTES == 0 || kept.have == kept.size);
    scene.ken.restart().await;
    until_done(&mut scene, id).await;
    assert_eq!(fs::read(scene.charlie.config.downloads.join("large")).unwrap(), sent);
    assert_eq!(scene.downloads(), ["large"]);
}

/// It may be there before anybody looks.
async fn until_done(scene: &mut Scene, id: common::id::FileId) {
    crate::support::until("it is there", async || state_of(&scene.charlie, id).await == FileState::Done)
        .await;
}

#[actix::test]
async fn what_is_cancelled_on_the_way_leaves_nothing_behind() {
    let mut scene = Scene::new().await;
    let id = scene.offered("large", &bytes(64 * 1024 * 1024)).await;
    change(&scene.charlie, id, FileChange::Accept).await;
    expect(&mut scene.charlie, id, FileState::Running).await;
    change(&scene.charlie, id, FileChange::Cancel).await;
    expect(&mut scene.ken, id, FileState::Cancelled).await;
    crate::support::until("nothing is left", async || scene.downloads().is_empty()).await;
}
