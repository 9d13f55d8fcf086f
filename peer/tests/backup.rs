//! A copy of a peer's data that is made while it runs is a peer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use common::proto::status::Code;
use peer::Config;
use peer::api::{BackedUp, Command, LinkState, Reply};
use support::{Person, World};

async fn backup(person: &Person, folder: &Path) -> BackedUp {
    let Reply::BackedUp(done) = person.done(Command::Backup { folder: folder.to_owned() }).await else {
        unreachable!()
    };
    done
}

#[actix::test]
async fn a_copy_that_was_made_in_the_middle_of_a_talk_goes_on_from_there() {
    let world = World::new().await;
    let mut ken = world.guest("ken").await;
    ken.host("first").await;
    let mut charlie = world.guest("charlie").await;
    charlie.join("first").await;
    let folder = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    for number in 1..=30 {
        charlie.send("first", &number.to_string()).await;
        if number % 10 == 0 {
            charlie.reads("first", number).await;
            let copy = folder.path().join(number.to_string());
            let done = backup(&charlie, &copy).await;
            assert!(done.bytes > 0 && !copy.join("lock").exists(), "{done:?}");
            copies.push((copy, number));
        }
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        copies.len(),
        "nothing is left beside them"
    );
    let again = Command::Backup { folder: copies[0].0.clone() };
    assert_eq!(charlie.refused(again).await, Code::FileFailed);
    let who = charlie.whoami().await;
    charlie.stop().await;
    // Each is the same peer, and gets what was said since.
    for (copy, number) in copies {
        let mut restored = Person::new(Config { data: copy, ..charlie.config.clone() });
        restored.start().await;
        assert!(restored.history("first").await.len() as u64 >= number);
        assert_eq!(restored.entered().await.key, who.key);
        restored.expect_connection("first", LinkState::Up).await;
        restored.reads("first", 30).await;
        restored.stop().await;
    }
    // A host's copy serves what it has.
    let copy = folder.path().join("ken");
    backup(&ken, &copy).await;
    ken.stop().await;
    let mut restored = Person::new(Config { data: copy, ..ken.config.clone() });
    restored.start().await;
    restored.expect_connection("first", LinkState::Up).await;
    assert_eq!(restored.history("first").await.len(), 30);
}
