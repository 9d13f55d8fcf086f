//! What an operator looks at: accounts, channels, numbers, and what operators did. Changes nothing.

use std::collections::BTreeMap;

use common::id::Subject;
use common::proto::status::{Code, Refusal};
use serde::de::DeserializeOwned;

use super::TrackerHandle;
use super::messages::{AreOnline, WhoIsThere};
use super::pattern::Pattern;
use crate::admin::report::{AccountRow, AuditEntry, ChannelRow, Rows, Stats};
use crate::error::Failure;
use crate::limits::{MAX_REPORT_ROWS, SCAN_ROWS};
use crate::store::audit;
use crate::store::directory::Rows as Table;
use crate::store::schema::{ACCOUNTS, Account, CHANNELS};

impl TrackerHandle {
    /// The accounts whose names match.
    ///
    /// # Errors
    /// When the pattern is too long.
    pub async fn accounts(&self, pattern: Option<String>) -> Result<Rows<AccountRow>, Failure> {
        let found = self.matching(ACCOUNTS, pattern, |account| account.name.folded()).await?;
        let mut rows = Vec::with_capacity(found.rows.len());
        for account in found.rows {
            let keys = account.keys.iter().map(|bound| bound.key).collect();
            let there = self.actor.send(WhoIsThere(keys)).await?.0;
            let online = there.into_iter().filter(|is_there| *is_there).count();
            let Account { id, name, created, keys, suspended, .. } = account;
            rows.push(AccountRow {
                name,
                id: Subject::Account(id),
                created,
                devices: keys.len(),
                online,
                suspended: suspended.is_some(),
                reason: suspended.and_then(|suspension| suspension.reason),
            });
        }
        Ok(Rows { rows, total: found.total })
    }

    /// The channels whose names match, those that are not for everybody too.
    ///
    /// # Errors
    /// When the pattern is too long.
    pub async fn channels(&self, pattern: Option<String>) -> Result<Rows<ChannelRow>, Failure> {
        let found = self.matching(CHANNELS, pattern, |row| row.name.folded()).await?;
        let online = self.actor.send(AreOnline(found.rows.iter().map(|row| row.id).collect())).await?.0;
        let rows = found.rows.into_iter().zip(online).map(|(row, online)| ChannelRow {
            name: row.name,
            id: row.id,
            owner: row.owner.name,
            view: row.policy.view,
            online,
            seen: row.seen,
        });
        Ok(Rows { rows: rows.collect(), total: found.total })
    }

    /// How much there is of everything.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn stats(&self) -> Result<Stats, Failure> {
        let counts = self.counts().await?;
        let (mut accounts, mut suspended, mut channels) = (0, 0, 0);
        self.each(ACCOUNTS, |account| {
            accounts += 1;
            suspended += usize::from(account.suspended.is_some());
        })
        .await?;
        self.each(CHANNELS, |_| channels += 1).await?;
        Ok(Stats {
            version: env!("CARGO_PKG_VERSION"),
            up_seconds: self.now().since(self.started).as_secs(),
            connections: counts.connections,
            entered: counts.entered,
            accounts,
            suspended,
            channels,
            hosted: counts.leases,
            revocations: self.revocations.count(),
            password_checks: self.passwords.runs(),
        })
    }

    /// The last acts of operators.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn audit(&self, count: usize) -> Result<Vec<AuditEntry>, Failure> {
        let rows = audit::last(&self.directory, count.min(MAX_REPORT_ROWS)).await?;
        Ok(rows.into_iter().map(|(number, action)| AuditEntry { number, action }).collect())
    }

    /// The first rows of a table whose names match, in the order of their names, and how many do.
    async fn matching<T>(
        &self,
        table: Table<T>,
        pattern: Option<String>,
        name: impl Fn(&T) -> &str,
    ) -> Result<Rows<T>, Failure>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let pattern = pattern.as_deref().map(Pattern::new).transpose();
        let pattern = pattern.map_err(|error| Refusal::new(Code::BadRequest, error.to_string()))?;
        let (mut first, mut total) = (BTreeMap::new(), 0);
        self.each(table, |row| {
            let name = name(&row).to_owned();
            if pattern.as_ref().is_none_or(|pattern| pattern.matches(&name)) {
                total += 1;
                first.insert(name, row);
                if first.len() > MAX_REPORT_ROWS {
                    first.pop_last();
                }
            }
        })
        .await?;
        Ok(Rows { rows: first.into_values().collect(), total })
    }

    /// Goes through a table, some rows at a time.
    async fn each<T>(&self, table: Table<T>, mut see: impl FnMut(T)) -> Result<(), Failure>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.directory.scan(table, after.as_deref(), SCAN_ROWS).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (_, row) in page {
                see(row.value);
            }
        }
    }
}
