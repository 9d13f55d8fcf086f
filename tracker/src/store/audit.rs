//! What operators have done: who, what, when and why, as many rows as there is room for.

use common::clock::Timestamp;
use common::storage::Table;
use serde::{Deserialize, Serialize};

use super::directory::{Change, Directory, DirectoryError, Rows};
use crate::limits::{MAX_AUDIT_DETAIL_CHARS, MAX_AUDIT_ROWS};

/// By number.
pub const AUDIT: Rows<AuditRow> = Rows::new(Table::new("audit"));
/// The number of the next row.
pub const NEXT: Rows<u64> = Rows::new(Table::new("audit_next"));
const THE_NEXT: &[u8] = b"next";

/// Something an operator has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Who, as far as it is known: from where.
    pub by: String,
    /// What.
    pub action: String,
    /// To whom or what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why, or what was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Notes what the same change does. The oldest row goes when there are too many.
///
/// # Errors
/// When the directory cannot be read.
pub async fn note(change: &mut Change, mut row: AuditRow) -> Result<(), DirectoryError> {
    row.why = row.why.map(|why| why.chars().take(MAX_AUDIT_DETAIL_CHARS).collect());
    let number = change.get(NEXT, THE_NEXT).await?.unwrap_or(1);
    change.put(AUDIT, &number.to_be_bytes(), &row)?;
    if let Some(oldest) = number.checked_sub(MAX_AUDIT_ROWS) {
        change.delete(AUDIT, &oldest.to_be_bytes());
    }
    change.put(NEXT, THE_NEXT, &(number + 1))
}

/// The last rows with their numbers, the newest at the end.
///
/// # Errors
/// When the directory cannot be read.
pub async fn last(directory: &Directory, count: usize) -> Result<Vec<(u64, AuditRow)>, DirectoryError> {
    let next = directory.get(NEXT, THE_NEXT).await?.map_or(1, |row| row.value);
    let after = next.saturating_sub(1).saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
    let rows = directory.scan(AUDIT, Some(&after.to_be_bytes()), count).await?;
    let numbered = |(key, row): (Vec<u8>, super::directory::Row<AuditRow>)| {
        Some((u64::from_be_bytes(key.as_slice().try_into().ok()?), row.value))
    };
    Ok(rows.into_iter().filter_map(numbered).collect())
}

#[cfg(test)]
mod tests {
    use common::storage::Store;

    use super::*;
    use crate::store::directory::{Committed, Tries};
    use crate::store::schema::SCHEMA;

    #[tokio::test]
    async fn the_newest_are_kept_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), SCHEMA).unwrap();
        let directory = Directory::new(store.clone());
        assert_eq!(last(&directory, 5).await.unwrap(), []);
        // As if there had been many.
        let mut change = directory.change();
        change.put(NEXT, THE_NEXT, &(MAX_AUDIT_ROWS - 1)).unwrap();
        change.commit(&mut Tries::default()).await.unwrap();
        for n in 0..4 {
            let row = AuditRow {
                at: Timestamp::from_millis(n),
                by: "console".into(),
                action: "suspend".into(),
                target: Some(n.to_string()),
                why: Some("x".repeat(5000)),
            };
            let mut change = directory.change();
            note(&mut change, row).await.unwrap();
            assert!(matches!(change.commit(&mut Tries::default()).await.unwrap(), Committed::Done(_)));
        }
        let numbers =
            |rows: Vec<(u64, AuditRow)>| rows.into_iter().map(|(number, _)| number).collect::<Vec<_>>();
        let first = MAX_AUDIT_ROWS - 1;
        let found = last(&directory, 3).await.unwrap();
        assert_eq!(found[0].1.why.as_ref().unwrap().len(), MAX_AUDIT_DETAIL_CHARS);
        assert_eq!(numbers(found), [first + 1, first + 2, first + 3]);
        assert_eq!(numbers(last(&directory, usize::MAX).await.unwrap()).len(), 4);
        store.close().await;
    }
}
