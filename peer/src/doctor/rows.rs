//! Rows that are looked at one by one: whether each can be read.

use std::path::Path;

use bytes::Bytes;
use common::doctor::{Check, PUT_BACK, put_aside};
use common::entry::{Checkpoint, RawEntry};
use common::id::Epoch;
use common::proto::device::Revoked;
use common::proto::presence::User;
use common::signed::Signed;
use common::storage::{Abort, Direction, KeyRange, ReadError, Store, StoreError, Table};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::outbox::Item;
use crate::files::book::Transfer;
use crate::history::ImportMark;
use crate::host::HostRecord;
use crate::pace::KeptPace;
use crate::session::Session;
use crate::store::KnownChannel;

/// What is in a table.
struct Kind {
    table: Table,
    name: &'static str,
    is_whole: fn(&[u8]) -> bool,
}

impl Kind {
    const fn new(name: &'static str, is_whole: fn(&[u8]) -> bool) -> Self {
        Self { table: Table::new(name), name, is_whole }
    }
}

macro_rules! kinds {
    ($($name:literal $form:ty;)*) => {
        &[$(Kind::new($name, is::<$form>),)*]
    };
}

/// What may be put aside: the peer goes on without it.
const KINDS: &[Kind] = kinds! {
    "session" Session;
    "settings" Value;
    "channels" KnownChannel;
    "outbox" Item;
    "pace" KeptPace;
    "hosting" Value;
    "revoked" Revoked;
    "watched" User;
    "files" Transfer;
    "acts" Value;
    "policy_named" Value;
    "members" Value;
    "direct_contacts" Value;
    "direct_requests" Value;
    "archive_checkpoints" Signed<Checkpoint>;
};

/// What is no JSON, and may be put aside as well.
const OTHERS: &[Kind] = &[
    Kind::new("archive_erased", |row| row.len() == NUMBER_AND_ID_BYTES),
    Kind::new("log_erased", is_number),
    Kind::new("log_forgotten", is_number),
    Kind::new("branches", is_entry),
    Kind::new("given_back", is_entry),
];

/// What is not put aside: the peer would take it that there is nothing.
const KEPT: &[Kind] = kinds! {
    "hosted" HostRecord;
    "archive_epoch" Epoch;
    "forking" Epoch;
    "importing" ImportMark;
};

const NUMBER_AND_ID_BYTES: usize = 24;

/// The records of what is hosted: without one a channel and its log are nobody's.
pub const HOSTED: Table = Table::new("hosted");

fn is<T: DeserializeOwned>(bytes: &[u8]) -> bool {
    serde_json::from_slice::<T>(bytes).is_ok()
}

fn is_number(bytes: &[u8]) -> bool {
    bytes.len() == size_of::<u64>()
}

fn is_entry(bytes: &[u8]) -> bool {
    RawEntry::from_bytes(bytes).is_ok_and(|entry| entry.open_header().is_ok())
}

type Rows = Vec<(Bytes, Bytes)>;

fn unreadable(store: &Store, kind: &Kind) -> Result<(usize, Rows), ReadError> {
    let rows = store.reader().scan(kind.table, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let count = rows.len();
    Ok((count, rows.into_iter().filter(|(_, value)| !(kind.is_whole)(value)).collect()))
}

/// Looks at all rows.
///
/// # Errors
/// When the store cannot be read.
pub fn check(store: &Store) -> Result<Vec<Check>, ReadError> {
    let mut checks = Vec::new();
    let (mut sound, mut tables) = (0, 0);
    for kind in KINDS.iter().chain(OTHERS) {
        let (count, bad) = unreadable(store, kind)?;
        (sound, tables) = (sound + count - bad.len(), tables + 1);
        if !bad.is_empty() {
            let found = format!("{} of {count} cannot be read", bad.len());
            checks.push(Check::repairable(kind.name, found, "puts them aside in quarantine.jsonl"));
        }
    }
    for kind in KEPT {
        let (count, bad) = unreadable(store, kind)?;
        (sound, tables) = (sound + count - bad.len(), tables + 1);
        if !bad.is_empty() {
            let found = format!("{} of {count} cannot be read", bad.len());
            checks.push(Check::broken(kind.name, found, PUT_BACK));
        }
    }
    checks.insert(0, Check::sound("rows", format!("{sound} in {tables} tables can be read")));
    Ok(checks)
}

/// Puts aside what cannot be read: first into a file, then out of the store.
///
/// # Errors
/// When it is not known to be done.
pub async fn repair(store: &Store, data: &Path) -> Result<(), StoreError> {
    let failed = |what: String| StoreError::Failed { reason: what };
    for kind in KINDS.iter().chain(OTHERS) {
        let (_, bad) = unreadable(store, kind).map_err(|error| failed(error.to_string()))?;
        if bad.is_empty() {
            continue;
        }
        put_aside(data, kind.name, &bad).map_err(|error| failed(error.to_string()))?;
        let table = kind.table;
        let write = store.write(move |transaction| {
            bad.iter().for_each(|(key, _)| transaction.delete(table, key));
            Ok::<_, Abort>(())
        });
        write.await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// The names of all tables in the sources below a folder.
    fn tables(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                tables(&path, found);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let names = text.split("Table::new(\"").skip(1).filter_map(|rest| rest.split_once('"'));
                found.extend(names.map(|(name, _)| name.to_owned()));
            }
        }
    }

    #[test]
    fn every_table_is_looked_at() {
        let mut all = BTreeSet::new();
        tables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        let own = KINDS.iter().chain(OTHERS).chain(KEPT).map(|kind| kind.name.to_owned());
        // The logs, archives and conversations themselves are gone through entry by entry.
        let logs = ["log", "log_ids", "log_checkpoints", "archive", "archive_intervals"];
        let talks = ["direct_log", "direct_order", "direct_mine", "direct_state", "direct_shown"];
        let elsewhere = logs.into_iter().chain(talks).map(str::to_owned);
        let looked_at: BTreeSet<String> = own.chain(elsewhere).collect();
        all.remove("t");
        assert_eq!(all, looked_at);
    }
}
