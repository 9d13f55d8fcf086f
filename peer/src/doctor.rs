//! Looks at everything in a peer's data folder while the peer does not run, and mends what can be mended.
//!
//! What is looked at is a copy. A repair makes one more copy first, which stays; it never throws away what nobody else
//! has: entries that are left out of an archive are fetched again, rows that cannot be read are put aside in a file.

mod rows;

use std::collections::BTreeSet;
use std::path::Path;

use common::clock::Timestamp;
use common::doctor::{
    Check, DoctorError, Report, carefully, copy_before_repair, look, put_aside, repair_keys,
};
use common::identity::Identity;
use common::storage::{Direction, KeyRange, ReadError, Store, StoreError};

use crate::client::archive::check as archives;
use crate::direct::archive::check as talks;
use crate::files::book::Transfer;
use crate::host::HostRecord;
use crate::host::log::Log;
use crate::{SCHEMA, open_store};

/// The key files of a peer.
const KEYS: &[&str] = &["identity"];
const PUT_BACK: &str = "put back a backup of the whole folder; then, while members are there: recover CH";

/// Why a folder was not looked at, or not mended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// It could not be looked at.
    #[error(transparent)]
    Folder(#[from] DoctorError),
    /// The copy of the store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be mended.
    #[error("the repair did not come to its end: {0}; the copy of before is beside the store")]
    Write(#[from] StoreError),
}

/// Looks at a peer's data folder, and mends it if that is wanted.
///
/// # Errors
/// When its peer runs, it is no data folder, or it cannot be mended.
pub async fn examine(data: &Path, repair: bool) -> Result<Report, ExamineError> {
    let before = check(data).await?;
    if !repair || !before.is_repairable() {
        return Ok(before);
    }
    let copy = copy_before_repair(data, Timestamp::now().as_millis())?;
    repair_keys(data, KEYS)?;
    let store = open_store(data).map_err(DoctorError::from)?;
    let repaired = mend(&store, data).await;
    store.close().await;
    repaired?;
    Ok(check(data).await?.after(&before, &copy))
}

async fn mend(store: &Store, data: &Path) -> Result<(), ExamineError> {
    rows::repair(store, data).await?;
    if let Ok(Some(identity)) = Identity::load(&data.join("identity")) {
        let found = talks::check_all(store, identity.key())?;
        put_aside(data, "direct_log", &found.unreadable)
            .map_err(|error| StoreError::Failed { reason: error.to_string() })?;
        talks::repair(store, found).await?;
    }
    for record in records(store)? {
        Log::new(store.clone(), record.id, record.epoch).repair_ids().await?;
    }
    Ok(archives::repair(store, received(store)?).await?)
}

async fn check(data: &Path) -> Result<Report, ExamineError> {
    let (mut checks, opened) = look(data, SCHEMA, KEYS)?;
    if let Some((store, _scratch)) = opened {
        checks.extend(carefully(|| check_store(data, &store)));
        store.close().await;
    }
    Ok(Report::new(data, checks))
}

fn check_store(data: &Path, store: &Store) -> Result<Vec<Check>, ReadError> {
    let mut checks = rows::check(store)?;
    // Without its key nothing of its logs can be proven; that it is gone is told already.
    if let Ok(Some(identity)) = Identity::load(&data.join("identity")) {
        for record in records(store)? {
            checks.extend(check_log(store, &record, &identity)?);
        }
        checks.push(check_talks(&talks::check_all(store, identity.key())?));
    }
    checks.extend(received(store)?.iter().map(check_archive));
    checks.extend(check_downloads(data, store)?);
    Ok(checks)
}

fn records(store: &Store) -> Result<Vec<HostRecord>, ReadError> {
    let rows = store.reader().scan(rows::HOSTED, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    Ok(rows.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect())
}

/// The archives, but for those of channels that are hosted here: there the log is all there is.
fn received(store: &Store) -> Result<Vec<archives::Checked>, ReadError> {
    let hosted = records(store)?;
    let mut all = archives::check_all(store)?;
    all.retain(|found| !hosted.iter().any(|own| own.id == found.channel && own.epoch == found.epoch));
    Ok(all)
}

fn check_log(store: &Store, record: &HostRecord, identity: &Identity) -> Result<Vec<Check>, ReadError> {
    let part = format!("log of {}", record.name);
    let found = Log::new(store.clone(), record.id, record.epoch).check(identity.key())?;
    let mut checks = Vec::new();
    match found.fault {
        Some((seq, why)) => {
            checks.push(Check::broken(&part, format!("entry {seq} of {}: {why}", found.entries), PUT_BACK));
        }
        None => checks.push(Check::sound(&part, format!("{} entries, the chain holds", found.entries))),
    }
    if found.wrong_signed > 0 {
        let what = format!("{} checkpoints are not of what is there", found.wrong_signed);
        checks.push(Check::broken(format!("{part}, signed"), what, PUT_BACK));
    }
    let ids = format!("{part}, ids");
    checks.push(match found.wrong_ids {
        0 => Check::sound(ids, "each message is found by its id"),
        wrong => {
            Check::repairable(ids, format!("{wrong} are wrong or missing"), "makes them anew from the log")
        }
    });
    Ok(checks)
}

fn check_talks(found: &talks::Checked) -> Check {
    let part = "private conversations";
    match (found.unreadable.len(), found.wrong()) {
        (0, 0) => Check::sound(part, format!("{} messages, each in its place", found.messages)),
        (0, wrong) => {
            let what = format!("{wrong} rows that say where messages stand are wrong or missing");
            Check::repairable(part, what, "makes them anew from the messages")
        }
        (bad, _) => {
            let what = format!("{bad} of {} messages cannot be read", found.messages + bad);
            Check::repairable(
                part,
                what,
                "puts them aside in quarantine.jsonl, and what led to them in order",
            )
        }
    }
}

fn check_archive(found: &archives::Checked) -> Check {
    let part = format!("archive {}", found.channel);
    let count = found.wrong.len();
    match (found.is_lost, found.wrong.keys().next()) {
        (true, _) => {
            Check::repairable(part, "nothing says what is in it", "has it fetched again from the host")
        }
        (false, Some(first)) => {
            let what = format!("{count} of {} entries are damaged, the first is {first}", found.entries);
            let repair = match found.left_out {
                0 => "has them fetched again from the host".to_owned(),
                more => format!(
                    "has them fetched again from the host, and {more} next to them that nothing proves"
                ),
            };
            Check::repairable(part, what, &repair)
        }
        (false, None) => Check::sound(part, format!("{} entries, the chain holds", found.entries)),
    }
}

/// What was begun to be fetched and is of no offer any more.
fn check_downloads(data: &Path, store: &Store) -> Result<Option<Check>, ReadError> {
    const FILES: common::storage::Table = common::storage::Table::new("files");
    let rows = store.reader().scan(FILES, KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let known = rows.iter().filter_map(|(_, value)| serde_json::from_slice::<Transfer>(value).ok());
    let known: BTreeSet<String> = known.map(|transfer| transfer.offer.id.to_string()).collect();
    let folder = data.join("downloads");
    let begun = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let names = begun.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strays = names.filter(|name| {
        let id = name.strip_prefix(".natter-").and_then(|rest| rest.strip_suffix(".part"));
        id.is_some_and(|id| !known.contains(id))
    });
    let count = strays.count();
    let todo = "remove the files .natter-*.part there that you do not want to keep";
    Ok((count > 0).then(|| Check::broken("downloads", format!("{count} begun files are of no offer"), todo)))
}
