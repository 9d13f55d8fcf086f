//! What of a directory can be made anew from the rest of it: who has which name, and which key enters as whom, follow from
//! accounts and channels, as long as each of those can be read. Requests and the audit can be gone without.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use common::doctor::{Check, PUT_BACK, put_aside};
use common::id::{AccountId, ChannelId, Subject};
use common::storage::{Direction, KeyRange, ReadError, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::audit::AUDIT;
use crate::store::directory::{Change, Directory, DirectoryError, Rows, Tries};
use crate::store::schema::{
    ACCOUNTS, CHANNEL_NAMES, CHANNELS, INVISIBLE, InvisibleRow, KEYS, KNOCKS, KeyRow, NameClaim, OFFERS,
    USER_NAMES,
};

/// Why a directory was not mended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MendError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It was not written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What cannot be read could not be put aside.
    #[error("what cannot be read could not be put aside: {0}")]
    Aside(#[from] std::io::Error),
}

/// How many rows are mended in one write.
const MENDED_ROWS: usize = 256;
const FROM_THE_REST: &str = "makes them anew from accounts and channels";
const ASIDE: &str = "puts them aside in quarantine.jsonl";

/// The rows of a table, and which of them cannot be read.
struct Table<T> {
    count: usize,
    rows: BTreeMap<Vec<u8>, T>,
    bad: Vec<(Bytes, Bytes)>,
}

impl<T: DeserializeOwned> Table<T> {
    fn read(store: &Store, rows: Rows<T>) -> Result<Self, ReadError> {
        let all = store.reader().scan(rows.table(), KeyRange::ALL, usize::MAX, Direction::Forward)?;
        let mut table = Self { count: all.len(), rows: BTreeMap::new(), bad: Vec::new() };
        for (key, value) in all {
            match rows.read(&value) {
                Some(row) => drop(table.rows.insert(key.to_vec(), row)),
                None => table.bad.push((key, value)),
            }
        }
        Ok(table)
    }

    /// How it is, with what is wrong in it: its rows that cannot be read, and those that should say something else.
    fn check<R>(&self, part: &str, wrong: &BTreeMap<Vec<u8>, R>, how: Option<&str>) -> Check {
        // Of those that cannot be read most are to be made anew.
        let bad = self.bad.iter().filter(|(key, _)| !wrong.contains_key(key.as_ref())).count() + wrong.len();
        let found = format!("{bad} of {} rows cannot be read, or are missing or wrong", self.count);
        match how {
            _ if bad == 0 => Check::sound(part, format!("{} rows", self.count)),
            Some(how) => Check::repairable(part, found, how),
            None => Check::broken(part, found, PUT_BACK),
        }
    }
}

/// What is to be written, or is to go, by its key.
type Mends<T> = BTreeMap<Vec<u8>, Option<T>>;

/// What was found of the rows that follow from others.
pub(super) struct Derived {
    user_names: Table<NameClaim>,
    channel_names: Table<ChannelId>,
    keys: Table<KeyRow>,
    invisible: Table<InvisibleRow>,
    /// Each account and each channel can be read: what has neither is nobody's.
    has_accounts: bool,
    has_channels: bool,
    mend_user_names: Mends<NameClaim>,
    mend_channel_names: Mends<ChannelId>,
    mend_keys: Mends<KeyRow>,
    mend_invisible: Mends<InvisibleRow>,
}

impl Derived {
    /// Looks at a store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(store: &Store) -> Result<Self, ReadError> {
        let (accounts, channels) = (Table::read(store, ACCOUNTS)?, Table::read(store, CHANNELS)?);
        let mut found = Self {
            user_names: Table::read(store, USER_NAMES)?,
            channel_names: Table::read(store, CHANNEL_NAMES)?,
            keys: Table::read(store, KEYS)?,
            invisible: Table::read(store, INVISIBLE)?,
            has_accounts: accounts.bad.is_empty(),
            has_channels: channels.bad.is_empty(),
            mend_user_names: Mends::new(),
            mend_channel_names: Mends::new(),
            mend_keys: Mends::new(),
            mend_invisible: Mends::new(),
        };
        for account in accounts.rows.values() {
            for look in account.name.skeletons() {
                let claim = NameClaim {
                    name: account.name.clone(),
                    holder: Subject::Account(account.id),
                    until: None,
                };
                found.claims(look.into_bytes(), claim);
            }
            for bound in &account.keys {
                found.binds(bound.key.as_bytes().to_vec(), account.id);
            }
        }
        for channel in channels.rows.values() {
            for look in channel.name.skeletons() {
                if !found.channel_names.rows.contains_key(look.as_bytes()) {
                    found.mend_channel_names.insert(look.into_bytes(), Some(channel.id));
                }
            }
        }
        for (key, _) in &found.invisible.bad {
            // It stands under the account's own key.
            let row = accounts.rows.get(key.as_ref()).map(|account| InvisibleRow { account: account.id });
            found.mend_invisible.insert(key.to_vec(), row);
        }
        found.drop_the_rest();
        Ok(found)
    }

    /// An account has a name. Whoever else is said to have it keeps it: it is not for a doctor to decide.
    fn claims(&mut self, look: Vec<u8>, claim: NameClaim) {
        if !self.user_names.rows.contains_key(&look) {
            self.mend_user_names.insert(look, Some(claim));
        }
    }

    /// A key enters as an account.
    fn binds(&mut self, key: Vec<u8>, account: AccountId) {
        let known = self.keys.rows.get(&key);
        if known.is_none_or(|known| known.account != Some(account)) {
            let row = KeyRow { account: Some(account), ..known.cloned().unwrap_or_default() };
            self.mend_keys.insert(key, Some(row));
        }
    }

    /// What cannot be read and belongs to nobody: a guest enters with the name anew.
    fn drop_the_rest(&mut self) {
        for (key, _) in &self.user_names.bad {
            self.mend_user_names.entry(key.to_vec()).or_insert(None);
        }
        for (key, _) in &self.channel_names.bad {
            self.mend_channel_names.entry(key.to_vec()).or_insert(None);
        }
        for (key, _) in &self.keys.bad {
            self.mend_keys.entry(key.to_vec()).or_insert(None);
        }
    }

    /// How each of the tables is.
    pub fn checks(&self) -> Vec<Check> {
        let of_accounts = self.has_accounts.then_some(FROM_THE_REST);
        let of_channels = self.has_channels.then_some(FROM_THE_REST);
        vec![
            self.user_names.check("user names", &self.mend_user_names, of_accounts),
            self.keys.check("keys", &self.mend_keys, of_accounts),
            self.channel_names.check("channel names", &self.mend_channel_names, of_channels),
            self.invisible.check("invisible", &self.mend_invisible, of_accounts),
        ]
    }

    /// Mends them.
    ///
    /// # Errors
    /// When that is not known to be done.
    pub async fn mend(self, directory: &Directory) -> Result<(), DirectoryError> {
        if self.has_accounts {
            put_all(directory, USER_NAMES, self.mend_user_names).await?;
            put_all(directory, KEYS, self.mend_keys).await?;
            put_all(directory, INVISIBLE, self.mend_invisible).await?;
        }
        if self.has_channels {
            put_all(directory, CHANNEL_NAMES, self.mend_channel_names).await?;
        }
        Ok(())
    }
}

async fn put_all<T: Serialize>(
    directory: &Directory,
    rows: Rows<T>,
    mends: Mends<T>,
) -> Result<(), DirectoryError> {
    let mends: Vec<_> = mends.into_iter().collect();
    for some in mends.chunks(MENDED_ROWS) {
        let mut change = directory.change();
        for (key, row) in some {
            match row {
                Some(row) => change.put(rows, key, row)?,
                None => change.delete(rows, key),
            }
        }
        commit(change).await?;
    }
    Ok(())
}

/// Nothing was read for it that could have changed meanwhile.
async fn commit(change: Change) -> Result<(), DirectoryError> {
    change.commit(&mut Tries::default()).await.map(drop)
}

/// How what the tracker can go without is.
///
/// # Errors
/// When it cannot be read.
pub(super) fn check_dispensable(store: &Store) -> Result<Vec<Check>, ReadError> {
    let nothing = Mends::<()>::new();
    Ok(vec![
        Table::read(store, KNOCKS)?.check("requests", &nothing, Some(ASIDE)),
        Table::read(store, OFFERS)?.check("offers", &nothing, Some(ASIDE)),
        Table::read(store, AUDIT)?.check("audit", &nothing, Some(ASIDE)),
    ])
}

/// Puts aside what cannot be read of it.
///
/// # Errors
/// When that is not known to be done.
pub(super) async fn drop_dispensable(store: &Store, data: &Path) -> Result<(), MendError> {
    let directory = Directory::new(store.clone());
    drop_bad(&directory, KNOCKS, "knocks", Table::read(store, KNOCKS)?.bad, data).await?;
    drop_bad(&directory, OFFERS, "offers", Table::read(store, OFFERS)?.bad, data).await?;
    drop_bad(&directory, AUDIT, "audit", Table::read(store, AUDIT)?.bad, data).await
}

async fn drop_bad<T>(
    directory: &Directory,
    rows: Rows<T>,
    name: &str,
    bad: Vec<(Bytes, Bytes)>,
    data: &Path,
) -> Result<(), MendError> {
    put_aside(data, name, &bad)?;
    for some in bad.chunks(MENDED_ROWS) {
        let mut change = directory.change();
        some.iter().for_each(|(key, _)| change.delete(rows, key));
        commit(change).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
