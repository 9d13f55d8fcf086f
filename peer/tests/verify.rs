//! What was received is checked against what the host has signed, with and without the host.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use common::entry::RawEntry;
use common::storage::{Abort, Direction, KeyRange, Store, Table};
use peer::SCHEMA;
use peer::api::{Command, FaultKind, LinkState, Reply, Run, Verified};
use support::{Person, World, named};

const ARCHIVE: Table = Table::new("archive");

async fn verified(person: &Person) -> Verified {
    let Reply::Verified(verified) = person.done(Command::Verify { channel: named("first") }).await else {
        unreachable!()
    };
    verified
}

/// Ken hosts, and has written `early` messages before charlie joined, and `late` ones since.
async fn scene(early: u64, late: u64) -> (World, Person, Person) {
    let world = World::new().await;
    let ken = world.guest("ken").await;
    ken.host("first").await;
    for number in 1..=early {
        ken.send("first", &number.to_string()).await;
    }
    if early > 0 {
        ken.reads("first", early).await;
    }
    let charlie = world.guest("charlie").await;
    charlie.join("first").await;
    for number in early + 1..=early + late {
        ken.send("first", &number.to_string()).await;
    }
    charlie.reads("first", early + late).await;
    (world, ken, charlie)
}

#[actix::test]
async fn what_is_kept_is_proven_by_the_host_and_without_it_and_what_is_missing_is_named() {
    let (_world, mut ken, mut charlie) = scene(60, 3).await;
    for person in [&ken, &charlie] {
        let told = verified(person).await;
        assert!(told.sound && told.not_asked.is_none(), "{told:?}");
        assert_eq!(told.logs[0].signed.unwrap().seq, 63, "{told:?}");
    }
    let told = verified(&charlie).await;
    assert_eq!((told.logs[0].entries, told.logs[0].missing.as_slice()), (53, &[Run { from: 1, to: 10 }][..]));
    ken.stop().await;
    charlie.expect_connection("first", LinkState::Retrying).await;
    charlie.restart().await;
    let told = verified(&charlie).await;
    assert!(told.sound && told.not_asked.is_some(), "{told:?}");
    assert_eq!(told.logs[0].signed.unwrap().seq, 63, "the signature was kept: {told:?}");
}

/// Changes entries in somebody's archive, while their peer does not run.
async fn tamper(person: &Person, change: impl Fn(u64, &[u8]) -> Option<Vec<u8>> + Send + 'static) {
    let store = Store::open(&person.config.data, SCHEMA).unwrap();
    let written = store.write(move |transaction| {
        for (key, value) in transaction.scan(ARCHIVE, KeyRange::ALL, usize::MAX, Direction::Forward)? {
            let seq = u64::from_be_bytes(*key.last_chunk().unwrap());
            match change(seq, &value) {
                Some(changed) => transaction.put(ARCHIVE, key, changed),
                None => transaction.delete(ARCHIVE, key),
            }
        }
        Ok::<_, Abort>(())
    });
    written.await.unwrap();
    store.close().await;
}

#[actix::test]
async fn an_archive_that_was_changed_on_the_disk_says_where_and_what_it_means() {
    let (_world, _ken, mut charlie) = scene(0, 9).await;
    charlie.stop().await;
    tamper(&charlie, |seq, value| {
        let (hash, entry) = value.split_at(33);
        let mut entry = RawEntry::from_bytes(entry).unwrap();
        match seq {
            3 => return None,
            5 => entry.body = Some(serde_json::from_str(r#"{"text":"never said"}"#).unwrap()),
            7 => {
                let forged = entry.header.get().replace(r#""name":"ken""#, r#""name":"ben""#);
                entry.header = serde_json::from_str(&forged).unwrap();
            }
            _ => {}
        }
        Some([hash, &entry.to_bytes().unwrap()].concat())
    })
    .await;
    charlie.start().await;
    let told = verified(&charlie).await;
    let faults = told.logs[0].faults.iter().map(|fault| (fault.seq, fault.code)).collect::<Vec<_>>();
    assert_eq!(faults, [(3, FaultKind::Unreadable), (5, FaultKind::Body), (7, FaultKind::Altered)]);
    assert!(!told.sound && told.logs[0].faults[1].reason.contains("on this machine"), "{told:?}");
}
