//! Looks at everything in a tracker's data folder while the tracker does not run, and mends what can be mended. What is
//! looked at is a copy.

mod mending;

use std::path::Path;

use common::clock::Timestamp;
use common::doctor::{
    Check, DoctorError, PUT_BACK, Report, carefully, copy_before_repair, look, repair_keys,
};
use common::storage::{Direction, KeyRange, ReadError, Store};

use crate::store::audit::NEXT;
use crate::store::directory::{Directory, Rows};
use crate::store::schema::{ACCOUNTS, CHANNELS, META, REMOVED, RETIRED, REVOCATIONS, SCHEMA};
pub use mending::MendError;
use mending::{Derived, check_dispensable, drop_dispensable};

/// The key files of a tracker.
const KEY_FILES: &[&str] = &["identity", "signing"];

/// Why a folder was not looked at, or not mended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// It could not be looked at.
    #[error(transparent)]
    Folder(#[from] DoctorError),
    /// The store could not be mended.
    #[error("the repair did not come to its end: {0}; the copy of before is beside the store")]
    Mend(#[from] MendError),
}

/// Looks at a tracker's data folder, and mends what can be mended if that is wanted.
///
/// # Errors
/// When its tracker runs, or it is no data folder.
pub async fn examine(data: &Path, repair: bool) -> Result<Report, ExamineError> {
    let before = check(data).await?;
    if !repair || !before.is_repairable() {
        return Ok(before);
    }
    let copy = copy_before_repair(data, Timestamp::now().as_millis())?;
    repair_keys(data, KEY_FILES)?;
    let store = Store::open(data, SCHEMA).map_err(DoctorError::from)?;
    let mended = mend(&store, data).await;
    store.close().await;
    mended?;
    Ok(check(data).await?.after(&before, &copy))
}

async fn mend(store: &Store, data: &Path) -> Result<(), MendError> {
    drop_dispensable(store, data).await?;
    let derived = Derived::look(store)?;
    Ok(derived.mend(&Directory::new(store.clone())).await?)
}

async fn check(data: &Path) -> Result<Report, DoctorError> {
    let (mut checks, opened) = look(data, SCHEMA, KEY_FILES)?;
    if let Some((store, _scratch)) = opened {
        checks.extend(carefully(|| check_rows(&store)));
        store.close().await;
    }
    Ok(Report::new(data, checks))
}

fn check_rows(store: &Store) -> Result<Vec<Check>, ReadError> {
    let mut checks = vec![
        rows(store, "accounts", ACCOUNTS)?,
        rows(store, "channels", CHANNELS)?,
        rows(store, "removed channels", REMOVED)?,
        rows(store, "channels that are gone", RETIRED)?,
        rows(store, "revocations", REVOCATIONS)?,
        rows(store, "directory", META)?,
        rows(store, "numbers of the audit", NEXT)?,
    ];
    checks.extend(Derived::look(store)?.checks());
    checks.extend(check_dispensable(store)?);
    Ok(checks)
}

fn rows<T: serde::de::DeserializeOwned>(
    store: &Store,
    part: &str,
    rows: Rows<T>,
) -> Result<Check, ReadError> {
    let all = store.reader().scan(rows.table(), KeyRange::ALL, usize::MAX, Direction::Forward)?;
    let bad = all.iter().filter(|(_, value)| !rows.can_read(value)).count();
    let count = all.len();
    Ok(match bad {
        0 => Check::sound(part, format!("{count} rows")),
        _ => Check::broken(part, format!("{bad} of {count} rows cannot be read"), PUT_BACK),
    })
}
