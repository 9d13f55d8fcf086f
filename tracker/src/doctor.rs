//! Looks at everything in a tracker's data folder while the tracker does not run. What is looked at is a copy.

use std::path::Path;

use common::clock::Timestamp;
use common::doctor::{
    Check, DoctorError, PUT_BACK, Report, carefully, copy_before_repair, look, repair_keys,
};
use common::storage::{Direction, KeyRange, ReadError, Store};

use crate::store::audit::{AUDIT, NEXT};
use crate::store::directory::Rows;
use crate::store::schema::{
    ACCOUNTS, CHANNEL_NAMES, CHANNELS, INVISIBLE, KEYS, KNOCKS, META, REMOVED, RETIRED, REVOCATIONS, SCHEMA,
    USER_NAMES,
};

/// The key files of a tracker.
const KEY_FILES: &[&str] = &["identity", "signing"];

/// Looks at a tracker's data folder, and mends what can be mended if that is wanted.
///
/// # Errors
/// When its tracker runs, or it is no data folder.
pub async fn examine(data: &Path, repair: bool) -> Result<Report, DoctorError> {
    let before = check(data).await?;
    if !repair || !before.is_repairable() {
        return Ok(before);
    }
    let copy = copy_before_repair(data, Timestamp::now().as_millis())?;
    repair_keys(data, KEY_FILES)?;
    Ok(check(data).await?.after(&before, &copy))
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
    Ok(vec![
        rows(store, "accounts", ACCOUNTS)?,
        rows(store, "user names", USER_NAMES)?,
        rows(store, "keys", KEYS)?,
        rows(store, "channels", CHANNELS)?,
        rows(store, "channel names", CHANNEL_NAMES)?,
        rows(store, "removed channels", REMOVED)?,
        rows(store, "channels that are gone", RETIRED)?,
        rows(store, "requests", KNOCKS)?,
        rows(store, "revocations", REVOCATIONS)?,
        rows(store, "invisible", INVISIBLE)?,
        rows(store, "directory", META)?,
        rows(store, "audit", AUDIT)?,
        rows(store, "numbers of the audit", NEXT)?,
    ])
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
