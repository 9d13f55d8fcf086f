//! Rows that are looked at one by one: whether each can be read.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use common::doctor::Check;
use common::proto::device::Revoked;
use common::proto::presence::User;
use common::storage::{Abort, Direction, KeyRange, ReadError, Store, StoreError, Table};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::outbox::Item;
use crate::files::book::Transfer;
use crate::host::HostRecord;
use crate::pace::KeptPace;
use crate::session::Session;
use crate::store::KnownChannel;

/// Where what cannot be read is put aside.
pub const QUARANTINE: &str = "quarantine.jsonl";

/// What is in a table.
struct Kind {
    table: Table,
    name: &'static str,
    is_whole: fn(&[u8]) -> bool,
}

macro_rules! kinds {
    ($($name:literal $form:ty;)*) => {
        &[$(Kind { table: Table::new($name), name: $name, is_whole: is::<$form> },)*]
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
    "direct_contacts" Value;
    "direct_requests" Value;
};

/// The records of what is hosted: without one a channel and its log are nobody's.
pub const HOSTED: Table = Table::new("hosted");

fn is<T: DeserializeOwned>(bytes: &[u8]) -> bool {
    serde_json::from_slice::<T>(bytes).is_ok()
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
    for kind in KINDS {
        let (count, bad) = unreadable(store, kind)?;
        (sound, tables) = (sound + count - bad.len(), tables + 1);
        if !bad.is_empty() {
            let found = format!("{} of {count} cannot be read", bad.len());
            checks.push(Check::repairable(kind.name, found, "puts them aside in quarantine.jsonl"));
        }
    }
    let records = store.reader().scan(HOSTED, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let bad = records.iter().filter(|(_, value)| !is::<HostRecord>(value)).count();
    if bad > 0 {
        let found = format!("{bad} of {} cannot be read", records.len());
        let todo = "put back a backup of the whole folder: this says which channels are yours";
        checks.push(Check::broken("hosted", found, todo));
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
    for kind in KINDS {
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

fn put_aside(data: &Path, table: &str, rows: &Rows) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(data.join(QUARANTINE))?;
    for (key, value) in rows {
        let line = BTreeMap::from([
            ("table", table.to_owned()),
            ("key", hex::encode(key)),
            ("value", hex::encode(value)),
            ("text", String::from_utf8_lossy(value).into_owned()),
        ]);
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}
