//! What a member looks for in a channel's log, past the actor: that only says whether they may.

use std::collections::HashMap;

use bytes::Bytes;
use common::name::fold;
use common::proto::channel::{FoundAt, Search};
use common::proto::limits::{MAX_FOUND, MAX_PAGE_BYTES};
use common::proto::status::{Code, Refusal};
use serde_json::value::RawValue;

use super::HostHandle;
use super::messages::{Asker, Permit};
use crate::search::index::LogId;
use crate::search::query::Query;
use crate::search::{Cursor, Hits, Wanted, Within};

impl HostHandle {
    /// The newest entries that say what is looked for, put together from stored bytes.
    pub(super) async fn search(&self, by: Asker, asked: Search) -> Result<Box<RawValue>, Refusal> {
        self.ask(Permit { by }).await?;
        let head = self.head();
        let log = LogId::Channel(self.id(), head.epoch);
        let found = self.shared.search.find(wanted(log, asked)?).await?;
        let entries = self.entries(&found, head.seq).await?;
        let texts = entries.iter().filter_map(|entry| std::str::from_utf8(entry).ok()).collect::<Vec<_>>();
        let (total, missing, epoch) = (found.total, found.missing, head.epoch);
        let body = format!(
            r#"{{"entries":[{}],"epoch":"{epoch}","total":{total},"missing":{missing}}}"#,
            texts.join(",")
        );
        RawValue::from_string(body).map_err(|error| Refusal::new(Code::Internal, error.to_string()))
    }

    /// The bytes of what was found, as many as fit a page. What is not on disk for sure, or has lost its text, is left out.
    async fn entries(&self, found: &Hits, upto: u64) -> Result<Vec<Bytes>, Refusal> {
        let log = self.shared.log.clone();
        let seqs = found.hits.iter().map(|hit| hit.seq).filter(|seq| *seq <= upto).collect::<Vec<_>>();
        let read = tokio::task::spawn_blocking(move || {
            let (mut entries, mut bytes) = (HashMap::new(), 0);
            for seq in seqs.iter().copied() {
                let Some(entry) = log.entry_at(seq)?.filter(has_text) else { continue };
                bytes += entry.len() + 1;
                if bytes > MAX_PAGE_BYTES {
                    break;
                }
                entries.insert(seq, entry);
            }
            Ok::<_, common::storage::ReadError>(seqs.iter().filter_map(|seq| entries.remove(seq)).collect())
        });
        let read = read.await.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
        read.map_err(|error| {
            tracing::warn!(channel = %self.id(), err = ?error.to_string(), "cannot read the log");
            Refusal::from(Code::StorageFailed)
        })
    }
}

fn has_text(entry: &Bytes) -> bool {
    common::entry::RawEntry::from_bytes(entry).is_ok_and(|entry| entry.text().is_some())
}

fn wanted(log: LogId, asked: Search) -> Result<Wanted, Refusal> {
    let Search { words, from, since, before, link, older, limit } = asked;
    let query = Query::parse(&words).map_err(|wrong| Refusal::new(Code::BadRequest, wrong.to_string()))?;
    if !query.says_something() && from.is_none() && !link {
        let reason = "there is no word to look for, and neither an author nor a link";
        return Err(Refusal::new(Code::BadRequest, reason));
    }
    Ok(Wanted {
        query,
        within: Some(Within::Log(log)),
        from: from.as_deref().map(fold),
        since: since.map(|since| since.as_millis()),
        before: before.map(|before| before.as_millis()),
        link,
        limit: limit.unwrap_or(MAX_FOUND).clamp(1, MAX_FOUND) as usize,
        older: older.map(|FoundAt { stored_at, seq }| Cursor { time: stored_at.as_millis(), key: seq }),
    })
}
